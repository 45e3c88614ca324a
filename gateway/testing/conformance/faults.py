"""How the kit says what is wrong: in plain words, with what was sent, what was expected, and where to look."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NoReturn

__all__ = ["Nonconforming", "Piercing", "fault", "piercing"]


class Nonconforming(AssertionError):
    """The adapter does not keep what the gateway's contract asks of it."""


class Piercing(BaseException):
    """A fault that is found while the engine drives the adapter, which makes errors of all other exceptions there.
    `colours.Blocking` raises the `fault` itself.
    """

    def __init__(self, found: Nonconforming) -> None:
        super().__init__(str(found))
        self.fault = found


@contextlib.contextmanager
def piercing() -> Iterator[None]:
    """What is found in here comes through the engine."""
    try:
        yield
    except Nonconforming as found:
        raise Piercing(found) from None


def fault(what: str, *, expected: str = "", found: str = "", look_at: str = "") -> NoReturn:
    """Raise Nonconforming. `what` is the fault in one sentence."""
    __tracebackhide__ = True
    lines = [what]
    lines += [
        f"  {name}: {text}" for name, text in (("expected", expected), ("found", found), ("look at", look_at)) if text
    ]
    raise Nonconforming("\n".join(lines))
