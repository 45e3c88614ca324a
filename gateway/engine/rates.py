"""How often a key may be used by this process: never more than N sendings within any window of the declared length.

What counts is the store's budget, which all processes share (`store/rates.py`). This one counts where there is no
declared limit to share, and while the store cannot be used.
"""

from __future__ import annotations

import threading
from collections import deque

from gateway.contracts.adapter import RateLimit

__all__ = ["RateWindow"]


class RateWindow:
    """The sendings of one key. A sliding window, because nobody says where the provider's own window begins.

    Times are of the monotonic clock. Safe for threads.
    """

    def __init__(self, limit: RateLimit | None) -> None:
        self.limit = limit
        self._slots: deque[float] = deque(maxlen=limit.requests if limit else 0)
        self._closed_until = float("-inf")
        self._lock = threading.Lock()

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
            return True, wait

    def note(self, moment: float) -> None:
        """A sending at this moment, whose place was taken in the store."""
        with self._lock:
            if self.limit is not None:
                self._slots.append(moment)

    def close_until(self, moment: float) -> None:
        """The provider said when to come back: nobody uses this key before."""
        with self._lock:
            self._closed_until = max(self._closed_until, moment)

    def headroom(self, now: float) -> int | None:
        """How many sendings are free at once; None when there is no limit."""
        if self.limit is None:
            return None
        with self._lock:
            used = sum(1 for slot in self._slots if slot > now - self.limit.seconds)
            return self.limit.requests - used
