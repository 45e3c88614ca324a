"""How long jobs rest, and that nothing is remembered for ever."""

from __future__ import annotations

import pytest

from gateway.worker.rests import LONGEST, TIDY, Rests, back_off


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("times", "most"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, LONGEST), (10_000, LONGEST)])
def test_it_doubles_up_to_a_limit_and_half_of_it_is_chance(times: int, most: float) -> None:
    assert back_off(times, lambda: 1.0) == most
    assert back_off(times, lambda: 0.0) == most / 2


def test_it_rests_longer_every_time_until_it_is_done() -> None:
    ticks = Ticks()
    rests = Rests(ticks, lambda: 1.0)
    for seconds in (1, 2, 4):
        assert rests.put("kind", "key") == seconds
        assert rests.rests("kind", "key")
        assert not rests.rests("kind", "other")
        assert not rests.rests("other", "key")
        ticks.now += seconds
        assert not rests.rests("kind", "key")
    rests.clear("kind", "key")
    assert rests.count("kind") == 0
    assert rests.put("kind", "key") == 1


def test_finding_nothing_to_do_once_is_chance() -> None:
    rests = Rests(Ticks(), lambda: 1.0)
    assert not rests.idled("kind", "key")
    assert not rests.rests("kind", "key")
    assert rests.idled("kind", "key")
    assert rests.put("kind", "key") == 1
    rests.clear("kind", "key")
    assert not rests.idled("kind", "key")


def test_for_good() -> None:
    ticks = Ticks()
    rests = Rests(ticks, lambda: 1.0, for_good=True)
    rests.put("kind", "key")
    ticks.now += 10 * LONGEST
    assert rests.rests("kind", "key")


def test_what_is_not_due_any_more_is_forgotten() -> None:
    ticks = Ticks()
    rests = Rests(ticks, lambda: 1.0)
    for number in range(10 * TIDY):
        ticks.now += 1
        if number % 2:
            rests.put("kind", f"{number}")
        else:
            rests.idled("kind", f"{number}")
    assert rests.count("kind") <= 2 * TIDY
