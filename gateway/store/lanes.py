"""Lanes: one at a time, over all processes that use a database.

The system takes a lane back when its holder's process ends.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateway.errors import StoreError

__all__ = ["FileLanes", "LaneToken", "Lanes", "MemoryLanes", "enter"]

_FIRST_LOOK = 0.002
_LONGEST_LOOK = 0.05


class LaneToken:
    """A lane that is held. Give it back with `Database.leave_lane`, from any thread; again does nothing."""

    __slots__ = ("_give_back", "name")

    def __init__(self, name: str, give_back: Callable[[], None]) -> None:
        self.name = name
        self._give_back: Callable[[], None] | None = give_back

    def leave(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def forget(self) -> None:
        """Drop the token without giving the lane back."""
        self._give_back = None


class Lanes(Protocol):
    def try_enter(self, name: str) -> LaneToken | None:
        """The lane, or None when somebody else is in it."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...

    def after_fork(self) -> None:
        """In the child: let go of the parent's lanes without giving them back."""
        ...


def enter(lanes: Lanes, name: str, timeout: float) -> LaneToken:
    """Wait up to `timeout` seconds for the lane. Raises StoreError when it stays taken."""
    until = time.monotonic() + timeout
    pause = _FIRST_LOOK
    while True:
        token = lanes.try_enter(name)
        if token is not None:
            return token
        left = until - time.monotonic()
        if left <= 0:
            raise StoreError(
                f"somebody else is at {name!r} for longer than {timeout:g} s; nothing was done",
                retryable=True,
                hint="repeat the call",
            )
        time.sleep(min(pause, left))  # flock has no time-out of its own
        pause = min(_LONGEST_LOOK, pause * 2)


class MemoryLanes:
    """For a database in memory, which no other process shares."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def try_enter(self, name: str) -> LaneToken | None:
        with self._lock:
            if name in self._taken:
                return None
            self._taken.add(name)
        return LaneToken(name, lambda: self._taken.discard(name))

    def close(self) -> None:
        self._taken.clear()

    def after_fork(self) -> None:
        self._taken, self._lock = set(), threading.Lock()


class FileLanes:
    """One file a lane beside the database, held with flock(2) and removed when it is given back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, LaneToken] = {}

    def try_enter(self, name: str) -> LaneToken | None:
        import fcntl  # here, because the module is imported on every system and has to say what is missing there

        path = self._folder / hashlib.sha256(name.encode()).hexdigest()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            while True:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_same(path, descriptor):
                        break
                except BlockingIOError:
                    os.close(descriptor)
                    return None
                except BaseException:
                    os.close(descriptor)
                    raise
                # Its last holder removed the file between our opening and locking it: this lock guards nothing.
                os.close(descriptor)
        except OSError as error:
            raise StoreError(
                f"the folder of locks {self._folder} cannot be used: {error.strerror}",
                hint="it is beside the database and must be writable",
            ) from None
        token = LaneToken(name, lambda: self._give_back(path, descriptor))
        self._held[descriptor] = token
        return token

    def _give_back(self, path: Path, descriptor: int) -> None:
        import fcntl

        del self._held[descriptor]
        try:
            path.unlink(missing_ok=True)
        except OSError:
            pass  # the file may stay; what counts is the lock
        finally:
            # Unlocked by hand, because a child process may hold a copy of the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def close(self) -> None:
        for token in tuple(self._held.values()):
            token.leave()

    def after_fork(self) -> None:
        held, self._held = self._held, {}
        for descriptor, token in held.items():
            token.forget()
            os.close(descriptor)


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
