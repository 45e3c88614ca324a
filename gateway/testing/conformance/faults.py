"""How the kit says what is wrong: in plain words, with what was sent, what was expected, and where to look."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Nonconforming", "fault"]


class Nonconforming(AssertionError):
    """The adapter does not keep what the gateway's contract asks of it."""


def fault(what: str, *, expected: str = "", found: str = "", look_at: str = "") -> NoReturn:
    """Raise Nonconforming. `what` is the fault in one sentence."""
    __tracebackhide__ = True
    lines = [what]
    lines += [
        f"  {name}: {text}" for name, text in (("expected", expected), ("found", found), ("look at", look_at)) if text
    ]
    raise Nonconforming("\n".join(lines))
