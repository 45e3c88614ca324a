"""Orders that their provider shows only in their customer's list: read once for all that is due in it."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from gateway.errors import ProviderUnavailable
from gateway.flows import orders as order_flow
from gateway.flows import polling, walking, watching
from gateway.models import OrderStatus
from gateway.store import lists
from gateway.testing import faults
from watcher.days import HOUR, MINUTE, Days, set_next, watch_of


def reads(days: Days) -> int:
    return days.reads("aurex", "/users/")


def test_one_reading_serves_all_orders_of_a_customer(days: Days, colour: str) -> None:
    with days.gateway(colour) as gw:
        days.customer(gw)
        deposits = days.deposits(gw, 60)
        for deposit in deposits[::2]:
            days.server.pay("aurex", deposit)
        days.server.advance(10)
        assert [one.key for one in days.due(gw)] == ["list/cards/c-1"]
        before = reads(days)
        assert days.look(gw) == 1
        assert reads(days) == before + 1
        paid = [gw.orders.get(f"c-1-{index}", refresh=False).status is OrderStatus.PAID for index in range(60)]
        assert paid == [True, False] * 30
        assert days.due(gw) == []


def test_the_cost_is_in_pages_and_not_in_orders(days: Days) -> None:
    with days.gateway() as gw:
        days.customer(gw)
        days.deposits(gw, 250)
        days.server.advance(10)
        before = reads(days)
        days.look(gw)
        assert reads(days) == before + 3
        looks = [watch_of(gw, f"c-1-{index}").looks for index in range(250)]  # type: ignore[union-attr]
        assert looks == [1] * 250


def test_the_reading_stops_as_soon_as_all_that_is_due_was_seen(days: Days) -> None:
    with days.gateway() as gw:
        days.customer(gw)
        days.deposits(gw, 150)
        days.pass_time(gw, 11 * MINUTE)
        newest = days.deposit(gw, "new")
        days.server.pay("aurex", newest)
        days.server.advance(10)
        before = reads(days)
        days.look(gw)
        assert reads(days) == before + 1, "the newest stands on the first page"
        assert gw.orders.get("new", refresh=False).status is OrderStatus.PAID


def test_each_customer_has_a_list(days: Days) -> None:
    with days.gateway() as gw:
        for customer in ("c-1", "c-2", "c-3"):
            days.customer(gw, customer)
            days.deposit(gw, f"of-{customer}", customer)
        days.server.advance(10)
        assert sorted(one.key for one in days.due(gw)) == ["list/cards/c-1", "list/cards/c-2", "list/cards/c-3"]
        assert days.look(gw) == 3


def test_a_long_list_is_gone_on_with(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "PAGES_A_LOOK", 2)
    monkeypatch.setattr(polling, "PAGE_SIZE", 10)
    with days.gateway() as gw:
        days.customer(gw)
        oldest, *_ = days.deposits(gw, 55)
        days.server.pay("aurex", oldest)
        days.server.advance(10)
        key = days.due(gw)[0].key
        before = reads(days)
        for looks, pages in ((1, 2), (2, 4)):
            assert gw.run(watching.look(gw.core, key))
            assert reads(days) == before + pages, looks
            assert gw.orders.get("c-1-0", refresh=False).status is OrderStatus.PENDING
        assert gw.run(watching.look(gw.core, key))
        assert reads(days) == before + 6
        assert gw.orders.get("c-1-0", refresh=False).status is OrderStatus.PAID
        assert not gw.run(watching.look(gw.core, key)), "nothing is due any more"


def test_a_reading_that_the_rate_limit_cuts_off_is_gone_on_with(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "PAGE_SIZE", 5)
    with days.gateway() as gw:
        days.customer(gw)
        oldest, *_ = days.deposits(gw, 200)
        days.server.pay("aurex", oldest)
        days.server.advance(60)
        before = reads(days)
        days.pass_time(gw, 3 * MINUTE)
        assert gw.orders.get("c-1-0", refresh=False).status is OrderStatus.PAID
        answers = [record.status for record in days.server.requests["aurex"]]
        assert 429 not in answers
        # 40 pages, and half of 60 calls a minute: a walk that began anew each minute would never end.
        assert reads(days) - before <= 4 * 60
        assert all(watch_of(gw, f"c-1-{index}").looks >= 1 for index in range(200))  # type: ignore[union-attr]


def test_a_reading_that_was_given_up_long_ago_begins_anew(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "PAGES_A_LOOK", 1)
    monkeypatch.setattr(polling, "PAGE_SIZE", 10)
    with days.gateway() as gw:
        days.customer(gw)
        *_, newest = days.deposits(gw, 25)
        days.server.advance(10)
        key = days.due(gw)[0].key
        assert gw.run(watching.look(gw.core, key))
        days.server.pay("aurex", newest)
        days.server.advance(2 * HOUR)
        assert gw.run(watching.look(gw.core, key))
        assert gw.orders.get("c-1-24", refresh=False).status is OrderStatus.PAID


def test_what_the_list_does_not_show_is_reported_and_not_failed(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    with days.gateway() as gw:
        days.customer(gw)
        shown = days.deposit(gw, "shown")
        hidden = days.deposit(gw, "hidden")
        record = days.aurex._books.deposits.pop(hidden)
        days.server.advance(10)
        with caplog.at_level(logging.WARNING, "gateway"):
            days.pass_time(gw, 2 * MINUTE)
            assert "has not shown it" not in caplog.text
            days.pass_time(gw, 30 * MINUTE)
        warning, *more = [entry.getMessage() for entry in caplog.records if "has not shown it" in entry.getMessage()]
        assert warning.startswith("order hidden at cards: the provider's list has not shown it 4 times, which proves")
        assert len(more) <= 1, "it is said less and less often"
        order = gw.orders.get("hidden", refresh=False)
        assert (order.status, order.exceptions) == (OrderStatus.PENDING, frozenset())
        watch, other = watch_of(gw, "hidden"), watch_of(gw, "shown")
        assert watch is not None
        assert other is not None
        assert watch.looks < other.looks / 2, "it is looked for less and less often"
        days.aurex._books.deposits[hidden] = record
        days.server.pay("aurex", hidden)
        days.server.pay("aurex", shown)
        days.pass_time(gw, HOUR)
        assert gw.orders.get("hidden", refresh=False).status is OrderStatus.PAID
        assert gw.orders.get("shown", refresh=False).status is OrderStatus.PAID


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_list_is_not_read_to_its_end_for_what_would_stand_further_up(
    days: Days, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    """Only where its rows show that it is ordered by age."""
    monkeypatch.setattr(polling, "PAGE_SIZE", 10)
    with days.gateway() as gw:
        days.customer(gw)
        days.deposits(gw, 40, apart=60)
        hidden = days.deposit(gw, "hidden")
        del days.aurex._books.deposits[hidden]
        if not newest_first:
            days.aurex._books.deposits = dict(reversed(days.aurex._books.deposits.items()))
        days.server.advance(10)
        for index in range(40):
            set_next(gw, f"c-1-{index}", days.clock.now() + timedelta(days=1))
        before = reads(days)
        assert days.look(gw) == 1
        assert reads(days) - before == (1 if newest_first else 5)
        # What stays away is looked for to the end after all: the rows may have been misunderstood.
        for _ in range(2):
            days.server.advance(1)
            set_next(gw, "hidden", days.clock.now())
            before = reads(days)
            assert days.look(gw) == 1
        assert reads(days) - before == 5


def test_one_row_that_cannot_be_taken_over_keeps_no_other_back(
    days: Days, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take_over = order_flow.take_over

    def failing(core, connection, reference, *rest, **more):  # type: ignore[no-untyped-def]
        take_over(core, connection, reference, *rest, **more)
        if reference == "c-1-1":
            raise ProviderUnavailable("not this one")

    with days.gateway() as gw:
        days.customer(gw)
        deposits = days.deposits(gw, 3)
        for deposit in deposits:
            days.server.pay("aurex", deposit)
        monkeypatch.setattr(order_flow, "take_over", failing)
        days.server.advance(10)
        days.look(gw)
        statuses = [gw.orders.get(f"c-1-{index}", refresh=False).status.value for index in range(3)]
        assert statuses == ["paid", "pending", "paid"]
        assert "order c-1-1 at cards was read and could not be taken over" in caplog.text
        monkeypatch.setattr(order_flow, "take_over", take_over)
        days.pass_time(gw, MINUTE)
        assert gw.orders.get("c-1-1", refresh=False).status is OrderStatus.PAID


def test_a_customer_whose_list_cannot_be_read_keeps_no_other_back(days: Days) -> None:
    with days.gateway() as gw:
        broken, fine = days.customer(gw, "c-1"), days.customer(gw, "c-2")
        days.deposit(gw, "broken", "c-1")
        good = days.deposit(gw, "fine", "c-2")
        days.server.faults("aurex").add(faults.Empty(path=f"/users/{broken}/", times=10_000))
        days.server.pay("aurex", good)
        days.pass_time(gw, 5 * MINUTE)
        assert fine
        assert gw.orders.get("fine", refresh=False).status is OrderStatus.PAID
        watch = watch_of(gw, "broken")
        assert watch is not None
        assert 2 <= watch.failures <= 5
        assert watch.error
        days.server.faults("aurex").clear()
        days.pass_time(gw, 20 * MINUTE)
        watch = watch_of(gw, "broken")
        assert watch is not None
        assert (watch.failures, watch.error) == (0, None)


def test_an_order_whose_customer_is_not_known_here_is_read_by_itself(days: Days) -> None:
    with days.gateway() as gw:
        days.customer(gw)
        deposit = days.deposit(gw, "cart-1")
        days.server.pay("aurex", deposit)
        gw.core.database().transaction(lambda c: c.exec_driver_sql("DELETE FROM customers"))
        days.pass_time(gw, MINUTE)
        assert gw.orders.get("cart-1", refresh=False).status is OrderStatus.PAID


def test_a_walk_is_forgotten_when_it_has_ended(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "PAGES_A_LOOK", 1)
    monkeypatch.setattr(polling, "PAGE_SIZE", 10)
    with days.gateway() as gw:
        days.customer(gw)
        days.deposits(gw, 25)
        days.server.advance(10)
        here = "cards", gw.core.account("cards").environment, "c-1"
        key, seen = days.due(gw)[0].key, []
        while gw.run(watching.look(gw.core, key)):
            walk = gw.core.database().read(lambda c: lists.load_walk(c, *here))
            seen.append(None if walk is None else walk.began_at <= days.clock.now() + timedelta(seconds=1))
        assert seen == [True, True, None]
