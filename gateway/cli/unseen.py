"""What a person types without its being shown."""

from __future__ import annotations

import getpass
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["typed_unseen"]


def typed_unseen(prompt: str) -> str:
    """A line from the terminal. Whatever ends the process meanwhile, the terminal shows again what is typed."""
    with _as_interrupts():
        return getpass.getpass(prompt, stream=sys.stderr)


@contextmanager
def _as_interrupts() -> Iterator[None]:
    """What would end the process at once, and leave the terminal as it is, is an interrupt: the echo comes back, and
    the command tells what was done.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
