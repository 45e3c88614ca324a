"""Reading a provider's list to its end, or as far back as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from gateway.core import Core
from gateway.engine.effects import Flow, Pause
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import Outcome, RateLimited
from gateway.exchange import Operation
from gateway.models.base import Page

if TYPE_CHECKING:
    from gateway.accounts import OpenAccount

__all__ = ["NewestFirst", "patient_page"]

T = TypeVar("T")

_LONGEST_WAIT = 120.0
_MOST_WAITS = 30


class NewestFirst:
    """Whether a list is ordered by age, which nobody promises: found out from its rows."""

    def __init__(self) -> None:
        self._holds = True
        self._first: datetime | None = None
        self._last: datetime | None = None

    def oldest(self, times: Iterable[datetime | None]) -> datetime | None:
        """After a further page, whose rows have these times: the age that all following rows have at least; None while
        the order is not certain.
        """
        for time in times:
            if time is None or (self._last is not None and time > self._last):
                self._holds = False
                break
            self._first, self._last = self._first or time, time
        if not self._holds or self._first is None or self._last is None or self._first == self._last:
            return None
        return self._last


def patient_page(
    core: Core,
    account: OpenAccount,
    operation: str,
    make: Callable[[], Operation[Page[T]]],
    *,
    seconds: float | None,
    background: bool,
) -> Flow[Page[T]]:
    """One page; when the key has no calls left, it waits for them: a long list takes as long as it takes."""
    for waits in range(_MOST_WAITS):
        run = Performance(account, operation, core.deadline(seconds, account), background=background)
        try:
            return (yield from perform(run, Begun(make())))
        except RateLimited as error:
            if error.outcome is not Outcome.NOT_SENT or waits == _MOST_WAITS - 1:
                raise
            wait = min(max(error.retry_after or 1.0, 1.0), _LONGEST_WAIT)
        yield Pause(wait)
    raise AssertionError("the last wait raises")
