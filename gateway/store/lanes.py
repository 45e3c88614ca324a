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
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import StoreError

if TYPE_CHECKING:
    import psycopg

__all__ = ["FileLanes", "LaneTaken", "LaneToken", "Lanes", "MemoryLanes", "ServerLanes", "enter"]

_FIRST_LOOK = 0.002
_LONGEST_LOOK = 0.05


class LaneToken:
    """A lane that is held. Give it back with `Database.leave_lane`, from any thread; again does nothing."""

    __slots__ = ("_give_back", "name")

    def __init__(self, name: str, give_back: Callable[[], None]) -> None:
        self.name = name
        self._give_back: Callable[[], None] | None = give_back

    @property
    def left(self) -> bool:
        return self._give_back is None

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

    def holds(self, token: LaneToken) -> bool:
        """Whether the lane is still held."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...

    def after_fork(self) -> None:
        """In the child: let go of the parent's lanes without giving them back."""
        ...


class LaneTaken(StoreError):
    """Somebody else is in the lane, for longer than one may wait."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "error": "StoreError"}  # what it is to those who are told


def enter(lanes: Lanes, name: str, timeout: float) -> LaneToken:
    """Wait up to `timeout` seconds for the lane. Raises LaneTaken when it stays taken."""
    until = time.monotonic() + timeout
    pause = _FIRST_LOOK
    while True:
        token = lanes.try_enter(name)
        if token is not None:
            return token
        left = until - time.monotonic()
        if left <= 0:
            raise LaneTaken(
                f"somebody else is at {name!r} for longer than {timeout:.3g} s; nothing was done",
                retryable=True,
                hint="repeat the call",
            )
        time.sleep(min(pause, left))  # neither flock nor a lock tried for has a time-out of its own
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

    def holds(self, token: LaneToken) -> bool:
        return not token.left

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

    def holds(self, token: LaneToken) -> bool:
        return not token.left

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


class ServerLanes:
    """Advisory locks of PostgreSQL, held by a connection of their own.

    A connection that is lost loses its lanes: the server gives them to the next. Within this process they stay taken
    until they are left.
    """

    def __init__(self, connect: Callable[[], tuple[psycopg.Connection[Any], str]]) -> None:
        """`connect` gives a connection and the name of the schema that the gateway's tables are in."""
        self._connect = connect
        self._session: psycopg.Connection[Any] | None = None
        self._schema = ""
        self._held: dict[str, LaneToken] = {}
        self._sessions: dict[str, psycopg.Connection[Any]] = {}
        self._lock = threading.Lock()
        self._inherited: list[object] = []

    def try_enter(self, name: str) -> LaneToken | None:
        with self._lock:
            if name in self._held:
                return None  # a session is let into a lock of its own again
            session = self._take(name)
            if session is None:
                return None
            self._held[name] = token = LaneToken(name, lambda: self._give_back(name, session))
            self._sessions[name] = session
            return token

    def holds(self, token: LaneToken) -> bool:
        """Asks the server, which takes the lane from a connection that is lost."""
        import psycopg

        with self._lock:
            session = self._sessions.get(token.name)
            if token.left or session is None or session is not self._session or session.closed:
                return False
            try:
                session.execute("SELECT 1")
            except psycopg.Error:
                session.close()
                return False
            return True

    def _take(self, name: str) -> psycopg.Connection[Any] | None:
        """The connection that has the lane now; None when somebody else has it."""
        import psycopg

        while True:
            fresh = self._session is None or self._session.closed
            if self._session is None or fresh:
                self._session, self._schema = self._connect()
            try:
                row = self._session.execute("SELECT pg_try_advisory_lock(%s)", [self._key(name)]).fetchone()
                return self._session if row and row[0] else None
            except psycopg.Error:
                self._session.close()
                if fresh:
                    raise StoreError(
                        f"the store's server could not be asked for {name!r}; nothing was done",
                        retryable=True,
                        hint="repeat the call",
                    ) from None

    def _key(self, name: str) -> int:
        """A number of 64 bits. Two gateways in two schemas of one database have lanes of their own."""
        digest = hashlib.sha256(f"{self._schema}\0{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def _give_back(self, name: str, session: psycopg.Connection[Any]) -> None:
        import psycopg

        with self._lock:
            del self._held[name]
            if session is self._session and not session.closed:
                try:
                    session.execute("SELECT pg_advisory_unlock(%s)", [self._key(name)])
                except psycopg.Error:
                    session.close()

    def close(self) -> None:
        for token in tuple(self._held.values()):
            token.leave()
        if self._session is not None:
            self._session.close()

    def after_fork(self) -> None:
        # The connection is the parent's: neither used nor closed.
        self._inherited.append(self._session)
        for token in self._held.values():
            token.forget()
        self._session, self._held, self._lock = None, {}, threading.Lock()


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
