"""How the kit says what is wrong: in plain words, with what was sent, what was expected, and where to look."""

from __future__ import annotations

import contextlib
import functools
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import gateway
from gateway.errors import GatewayError

__all__ = ["Nonconforming", "Piercing", "as_faults", "fault", "piercing"]

_NOT_THE_AUTHORS = (str(Path(gateway.__file__).parent), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))


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


def as_faults(function: Callable[..., None]) -> Callable[..., None]:
    """The check, with an error of the gateway that it did not expect told as a fault, without the engine's frames."""

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        try:
            function(*args, **kwargs)
        except GatewayError as error:
            unexpected = error
        else:
            return
        fault(
            f"the gateway could not go on: {type(unexpected).__name__}: {unexpected}",
            expected="no error: nothing was made to go wrong here",
            look_at=_place_of(unexpected),
        )

    return checked


def _place_of(error: BaseException | None) -> str:
    """The author's own line in which it came about, where there is one."""
    found = ""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame in traceback.extract_tb(error.__traceback__):
            if not frame.filename.startswith((*_NOT_THE_AUTHORS, "<")):
                found = f"{frame.filename}:{frame.lineno} ({frame.name}); "
        error = error.__cause__ or error.__context__
    return f"{found}the adapter, its sandbox, or the sample of this row in the Subject"
