"""How often a key may be used by this process: never more than N sendings within any window of the declared length.

What counts is the store's budget, which all processes share (`store/rates.py`). This one counts where there is no
declared limit to share, and while the store cannot be used.
"""

from __future__ import annotations

import heapq
import threading
import weakref
from collections import deque
from collections.abc import Sequence

from gateway.contracts.adapter import RateLimit

__all__ = ["Headrooms", "RateWindow"]


class RateWindow:
    """The sendings of one key. A sliding window, because nobody says where the provider's own window begins.

    Times are of the monotonic clock. Safe for threads.
    """

    def __init__(self, limit: RateLimit | None) -> None:
        self.limit = limit
        self._slots: deque[float] = deque(maxlen=limit.requests if limit else 0)
        self._closed_until = float("-inf")
        self._lock = threading.Lock()
        self._watched: weakref.WeakSet[Headrooms] = weakref.WeakSet()

    def reserve(self, now: float, patience: float) -> tuple[bool, float]:
        """Take the next free slot. Returns (True, seconds to wait for it), or (False, seconds) when that leaves
        nothing of `patience`.
        """
        with self._lock:
            start = max(now, self._closed_until)
            if self.limit is not None and len(self._slots) == self.limit.requests:
                start = max(start, self._slots[0] + self.limit.seconds)
            wait = start - now
            if wait > 0 and wait >= patience:
                return False, wait
            if self.limit is not None:
                self._slots.append(start)
        self._tell(start)
        return True, wait

    def note(self, moment: float) -> None:
        """A sending at this moment, whose place was taken in the store."""
        with self._lock:
            if self.limit is not None:
                self._slots.append(moment)
        self._tell(moment)

    def close_until(self, moment: float) -> None:
        """The provider said when to come back: nobody uses this key before."""
        with self._lock:
            self._closed_until = max(self._closed_until, moment)
        for headrooms in tuple(self._watched):
            headrooms.closed(self, moment)

    def _tell(self, moment: float) -> None:
        for headrooms in tuple(self._watched):
            headrooms.taken(self, moment)

    def watched_by(self, headrooms: Headrooms) -> tuple[float, tuple[float, ...]]:
        """Tell this one of every sending from now on. Returns until when the key is closed, and its sendings so far."""
        with self._lock:
            self._watched.add(headrooms)
            return self._closed_until, tuple(self._slots)

    def headroom(self, now: float) -> int | None:
        """How many sendings are free at once; None when there is no limit."""
        if self.limit is None:
            return None
        with self._lock:
            used = sum(1 for slot in self._slots if slot > now - self.limit.seconds)
            return self.limit.requests - used


class Headrooms:
    """Which of several keys has the most sendings free at once. Kept up to date as sendings come and go, because
    counting those of every key at every choice would cost more than the choice is worth. Safe for threads.
    """

    def __init__(self, windows: Sequence[RateWindow], now: float) -> None:
        limits = [window.limit for window in windows]
        self._limits = [limit for limit in limits if limit is not None]
        assert len(self._limits) == len(limits)
        self._places = {id(window): place for place, window in enumerate(windows)}
        self._free = [limit.requests for limit in self._limits]
        # When how many of which key are free again.
        self._ends: list[tuple[float, int, int]] = []
        self._lock = threading.Lock()
        for window in windows:
            closed, slots = window.watched_by(self)
            for slot in slots:
                self.taken(window, slot)
            if closed > now:
                self.closed(window, closed)

    def most(self, now: float) -> int:
        """The place of the key with the most free; of equals the first."""
        free = self._free
        with self._lock:
            while self._ends and self._ends[0][0] <= now:
                _, place, number = heapq.heappop(self._ends)
                free[place] += number
            return free.index(max(free))

    def ordered(self, now: float) -> list[int]:
        """The places of all keys, those with the most free first."""
        first = self.most(now)
        with self._lock:
            free = list(self._free)
        return [first, *(place for place in sorted(range(len(free)), key=lambda p: -free[p]) if place != first)]

    def taken(self, window: RateWindow, moment: float) -> None:
        """A key is used at this moment."""
        place = self._places[id(window)]
        self._less(place, 1, moment + self._limits[place].seconds)

    def closed(self, window: RateWindow, until: float) -> None:
        """A key is not used before this moment: whatever others have free is more."""
        place = self._places[id(window)]
        self._less(place, 2 * self._limits[place].requests, until)

    def _less(self, place: int, number: int, until: float) -> None:
        with self._lock:
            self._free[place] -= number
            heapq.heappush(self._ends, (until, place, number))
