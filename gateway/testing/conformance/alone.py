"""An adapter's code runs by itself: what reaches for the network, starts a program or a thread, waits, or changes a
file or the environment in it is named.

What is watched are Python's own audit events, in the thread that runs the adapter; a thread that it starts is named
when it starts. An extension module that goes around them is not seen, nor, before Python 3.13, a `sleep` that was
imported by its name.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

from gateway.testing.conformance.faults import fault, piercing

__all__ = ["alone", "watched"]

_IO = frozenset(
    (
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "urllib.Request"),
        *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
        *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
        *("_thread.start_new_thread", "_thread.start_joinable_thread", "sqlite3.connect"),
    )
)
_CHANGES = frozenset(
    (
        *("os.putenv", "os.unsetenv", "os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link", "os.symlink"),
        *("os.truncate", "os.chmod"),
    )
)
_WAITS = frozenset(("time.sleep",))
_WATCHED = _IO | _CHANGES | _WAITS | {"open"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_IMPORTING = "<frozen importlib._bootstrap_external>"  # it writes what it has compiled


class _Now(threading.local):
    operation: str | None = None


_now = _Now()
_installed = threading.Lock()


@contextlib.contextmanager
def alone(operation: str) -> Iterator[None]:
    """This operation's own code runs in here, and nothing else of this thread. What is found is raised as Piercing."""
    if _installed.acquire(blocking=False):  # once a process, and kept: a hook cannot be taken out again
        sys.addaudithook(_look)
        if sys.version_info < (3, 12):
            _tell_of_threads()
        if sys.version_info < (3, 13):
            _tell_of_pauses()
    before, _now.operation = _now.operation, operation
    try:
        yield
    finally:
        _now.operation = before


def watched(operation: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as a part of this operation's own code."""

    def called(*args: Any, **kwargs: Any) -> Any:
        with alone(operation):
            return function(*args, **kwargs)

    return called


def _tell_of_threads() -> None:
    """Python 3.11 has no event for a thread that starts."""
    start = threading.Thread.start

    def told(thread: threading.Thread) -> None:
        sys.audit("_thread.start_new_thread", thread)
        start(thread)

    threading.Thread.start = told  # type: ignore[assignment, method-assign]


def _tell_of_pauses() -> None:
    """Python has an event for a pause from 3.13 on."""
    sleep = time.sleep

    def told(seconds: float | SupportsIndex) -> None:
        sys.audit("time.sleep", seconds)
        sleep(seconds)

    time.sleep = told


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _WATCHED or _now.operation is None:
        return
    if event == "open" and not _writes(*arguments[1:3]):
        return
    if sys._getframe(1).f_code.co_filename == _IMPORTING:
        return
    operation, _now.operation = _now.operation, None  # saying so is not the adapter's doing
    try:
        with piercing():
            _named(operation, event, arguments)
    finally:
        _now.operation = operation


def _named(operation: str, event: str, arguments: tuple[Any, ...]) -> None:
    if event in _IO:
        fault(
            f"{operation} does I/O of its own: {event}",
            expected="nothing but yielded Requests: the engine sends them, in both colours",
            look_at="the adapter's operation, and what it imports",
        )
    if event in _WAITS:
        fault(
            f"{operation} waits by itself: {event}",
            expected="no pause: it stops every other call of an AsyncGateway; the engine waits and tries again",
            look_at="the adapter's operation, and what it imports",
        )
    what = "opens a file for writing" if event == "open" else f"changes what is outside of it: {event}"
    fault(
        f"{operation} {what}",
        expected="no file and no variable of the environment changed: an adapter keeps nothing, and asks by Requests",
        look_at="the adapter's operation, and what it imports",
    )


def _writes(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)
