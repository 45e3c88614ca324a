"""Time that passes only when it is told to, or when something sleeps on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["START", "VirtualClock"]

START = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)


class VirtualClock:
    """A `gateway.engine.clock.Clock`, with the `sleep` for each colour. `slept` are the pauses, in order."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._passed = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []
        self.while_asleep: Callable[[], None] = lambda: None
        """What happens during each pause."""

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._passed += seconds

    def set_back(self, seconds: float) -> None:
        """The time of day, as somebody sets the clock of a machine."""
        self._start -= timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.while_asleep()
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)
