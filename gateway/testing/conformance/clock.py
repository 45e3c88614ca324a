"""Time in the kit: real time, moved forward by every pause instead of waiting for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["KitClock"]


class KitClock:
    """A `gateway.engine.clock.Clock` with a `sleep` for each colour. `slept` are the pauses, in order."""

    def __init__(self, forward: Callable[[float], None] = lambda seconds: None) -> None:
        self._ahead = 0.0
        self.slept: list[float] = []
        self.forward = forward

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds > 0:
            self._ahead += seconds
            self.forward(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)
