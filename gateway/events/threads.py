"""Threads for calls that may hang: used again when a call has ended, lost with one that does not end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

__all__ = ["Threads"]

KEPT = 32
"""How many threads wait for a next call."""

IDLE_SECONDS = 10.0


class Threads:
    """Starting a thread for each call would cost more than most calls do. Safe for threads."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """In the child, where the parent's threads are not."""
        self._lock = threading.Lock()
        self._idle: list[_Thread] = []

    def run(self, call: Callable[[], None]) -> None:
        """Have it called in a thread where nothing else is under way. It has to deal with what it raises."""
        with self._lock:
            thread = self._idle.pop() if self._idle else None
        if thread is None:
            thread = _Thread(self)
            thread.start()
        thread.calls.put(call)

    def rest(self, thread: _Thread) -> bool:
        """It has ended its call. False when it is not needed any more."""
        with self._lock:
            if len(self._idle) >= KEPT:
                return False
            self._idle.append(thread)
            return True

    def leave(self, thread: _Thread) -> bool:
        """It has had nothing to do for long. False when it was just given something."""
        with self._lock:
            if thread not in self._idle:
                return False
            self._idle.remove(thread)
            return True


class _Thread(threading.Thread):
    def __init__(self, threads: Threads) -> None:
        # A daemon: a call that hangs must not keep the process from ending.
        super().__init__(name="gateway-handler", daemon=True)
        self.calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = threads

    def run(self) -> None:
        while True:
            try:
                self.calls.get(timeout=IDLE_SECONDS)()
            except Empty:
                if self._threads.leave(self):
                    return
                continue
            if not self._threads.rest(self):
                return
