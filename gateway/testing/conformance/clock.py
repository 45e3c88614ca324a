"""Time in the kit: every pause moves it forward instead of being waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["KitClock"]


class KitClock:
    """A `gateway.engine.clock.Clock` with a `sleep` for each colour. `slept` are the pauses, in order.

    A pause moves `monotonic`. It moves `now` only with a `forward`, which is told of it: else `now` is real time, so
    that a sandbox may check signatures against it, however narrow its window is.
    """

    def __init__(self, forward: Callable[[float], None] | None = None) -> None:
        self._ahead = 0.0
        self._now_ahead = timedelta()
        self.slept: list[float] = []
        self.forward = forward

    def now(self) -> datetime:
        return datetime.now(UTC) + self._now_ahead

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds > 0:
            self._ahead += seconds
            if self.forward is not None:
                self._now_ahead += timedelta(seconds=seconds)
                self.forward(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)
