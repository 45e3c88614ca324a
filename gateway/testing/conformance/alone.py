"""An adapter's code runs by itself: what reaches for the network or starts a program in it is named."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

from gateway.testing.conformance.faults import fault, piercing

__all__ = ["alone"]

_FORBIDDEN = frozenset("socket.connect socket.getaddrinfo socket.gethostbyname subprocess.Popen os.system".split())


class _Now(threading.local):
    operation: str | None = None


_now = _Now()
_installed = threading.Lock()


@contextlib.contextmanager
def alone(operation: str) -> Iterator[None]:
    """This operation's own code runs in here, and nothing else of this thread."""
    if _installed.acquire(blocking=False):  # once a process, and kept: a hook cannot be taken out again
        sys.addaudithook(_look)
    before, _now.operation = _now.operation, operation
    try:
        yield
    finally:
        _now.operation = before


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    operation = _now.operation
    if operation is None or event not in _FORBIDDEN:
        return
    with piercing():
        fault(
            f"{operation} does I/O of its own: {event}",
            expected="nothing but yielded Requests: the engine sends them, in both colours",
            look_at="the adapter's operation, and what it imports",
        )
