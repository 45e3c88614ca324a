"""Which jobs rest: what has failed is done again after a back-off, and so is what stays due without anything to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Rests", "back_off"]

FIRST, LONGEST = 1.0, 300.0
TIDY = 1000


def back_off(times: int, uniform: Callable[[], float], *, first: float = FIRST, longest: float = LONGEST) -> float:
    """Seconds until the next try after `times` failures, from 1: doubling, and half of it by chance."""
    whole = min(longest, first * 2.0 ** min(times - 1, 30))
    return whole * (0.5 + uniform() / 2)


@dataclass(slots=True)
class _Rest:
    times: int
    until: float


class Rests:
    """In memory: a worker that is started again tries everything at once. Times are of the monotonic clock.

    `for_good` lets nothing be tried twice, for a run that is to come to an end.
    """

    def __init__(self, monotonic: Callable[[], float], uniform: Callable[[], float], *, for_good: bool = False) -> None:
        self._monotonic = monotonic
        self._for_good = for_good
        self._uniform = uniform
        self._kinds: dict[str, dict[str, _Rest]] = defaultdict(dict)

    def rests(self, kind: str, key: str) -> bool:
        rest = self._kinds[kind].get(key)
        return rest is not None and rest.times > 0 and (self._for_good or rest.until > self._monotonic())

    def idled(self, kind: str, key: str) -> bool:
        """It found nothing to do: whether for the second time, without anything done between. The first time can be
        chance: somebody else has just done it.
        """
        rests = self._kinds[kind]
        if key in rests:
            return True
        self._tidy(rests)
        rests[key] = _Rest(0, float("-inf"))
        return False

    def put(self, kind: str, key: str) -> float:
        """It failed, or found nothing to do again: the seconds that it rests."""
        rests = self._kinds[kind]
        self._tidy(rests)
        times = rests[key].times + 1 if key in rests else 1
        seconds = back_off(times, self._uniform)
        rests[key] = _Rest(times, self._monotonic() + seconds)
        return seconds

    def clear(self, kind: str, key: str) -> None:
        """It was done."""
        self._kinds[kind].pop(key, None)

    def count(self, kind: str) -> int:
        """How many jobs of this kind are remembered."""
        return len(self._kinds[kind])

    def _tidy(self, rests: dict[str, _Rest]) -> None:
        """What is not due any more is never cleared, so it is forgotten after a time."""
        if self._for_good or len(rests) % TIDY != TIDY - 1:
            return
        before = self._monotonic() - 2 * LONGEST
        for key in [key for key, rest in rests.items() if rest.until < before]:
            del rests[key]
