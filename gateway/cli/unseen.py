"""What a person types, without its being shown where it is a secret."""

from __future__ import annotations

import getpass
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import InvalidRequest
from gateway.secrets import is_text

__all__ = ["line_typed", "typed_unseen"]


def typed_unseen(prompt: str) -> str:
    """A line from the terminal. Whatever ends the process meanwhile, the terminal shows again what is typed. Raises
    InvalidRequest for what is no text.
    """
    with _as_interrupts():
        text = _text(lambda: getpass.getpass(prompt, stream=sys.stderr))
    if text is None:
        sys.stderr.write("\n")  # the end of the line was not shown
        raise _no_text()
    return text


def line_typed() -> str:
    """A line of standard input with its end; empty when there is none any more. Raises InvalidRequest for what is no
    text.
    """
    text = _text(sys.stdin.readline)
    if text is None:
        raise _no_text()
    return text


def _text(read: Callable[[], str]) -> str | None:
    """What is read; None when it is no text. Depending on the locale, that is an error or comes as surrogates."""
    try:
        text = read()
    except UnicodeError:
        return None
    return text if is_text(text) else None


def _no_text() -> InvalidRequest:
    return InvalidRequest(
        "what was entered is no text in UTF-8, so nothing was done with it",
        hint="copy it again from where it was shown",
    )


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
