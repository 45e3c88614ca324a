"""Ten thousand open orders at a provider that takes sixty calls a minute, on a clock that is moved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from benchmarks.watcher import Simulation, wanted

MINUTE = 60


@pytest.fixture
def quietly(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is worth a word: no order changes, and none fails."""
    yield
    assert not caplog.records


@pytest.mark.usefixtures("quietly")
def test_ten_thousand_orders_are_all_seen_in_the_time_that_their_pages_take() -> None:
    simulation = Simulation(10_000, lists=True)
    simulation.run(8 * MINUTE)
    # A hundred pages, and half of sixty calls a minute: a round takes less than four minutes.
    assert simulation.longest_unseen < timedelta(minutes=4)
    assert simulation.most_within(60) <= 30, "half of the calls are the merchant's"
    assert len(simulation.calls) >= 7 * 30, "and none of the others is wasted"
    assert simulation.looks == 100 * len(simulation.calls), "every call reads a page of a hundred orders"
    simulation.close()


@pytest.mark.usefixtures("quietly")
def test_the_cost_grows_with_pages_and_not_with_orders() -> None:
    calls = {}
    for orders in (50, 500):
        simulation = Simulation(orders, lists=True, customers=5)
        simulation.run(10 * MINUTE)
        calls[orders] = len(simulation.calls)
        simulation.close()
    # The youngest on a page is looked at each thirty seconds; the others are read with it, once they are in step.
    assert calls[500] <= 1.5 * 5 * 20
    assert calls[500] < 2 * calls[50], "ten times the orders"
    assert calls[500] < wanted(500, 10 * MINUTE) / 30


@pytest.mark.usefixtures("quietly")
def test_one_customer_with_many_pages() -> None:
    simulation = Simulation(3000, lists=True, customers=1)
    simulation.run(5 * MINUTE)
    assert simulation.longest_unseen < timedelta(minutes=4)
    assert simulation.most_within(60) <= 30
    assert simulation.looks >= 2 * 3000
    simulation.close()


@pytest.mark.usefixtures("quietly")
def test_reads_of_single_orders_follow_the_schedule() -> None:
    simulation = Simulation(100, lists=False)
    simulation.run(10 * MINUTE)
    assert 0.85 * wanted(100, 10 * MINUTE) <= len(simulation.calls) <= wanted(100, 10 * MINUTE)
    assert simulation.longest_unseen <= timedelta(seconds=125)
    simulation.close()
    assert wanted(10_000, 10 * MINUTE) == pytest.approx(100 * wanted(100, 10 * MINUTE), rel=0.1)
