"""What is watched, on both stores."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from gateway.models import OrderStatus, ProviderOrder
from gateway.models.orders import OrderException
from gateway.money import Money
from gateway.store import lists, orders, rests, watches
from gateway.store.database import Database
from gateway.store.watches import FIRST_LOOK, Due, Watch
from store.samples import LIVE, NOW, SANDBOX, make_order, order_request

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def follow(
    connection: Connection,
    reference: str,
    *,
    batch: str = "",
    unknown: bool = False,
    account: str = "shop",
    after: timedelta = timedelta(0),
    kind: str = "order",
) -> None:
    watches.follow(
        connection,
        kind,
        reference,
        1 if kind == "order" else 0,
        account=account,
        provider="aurpay",
        environment=LIVE,
        unknown=unknown,
        final=False,
        changed=True,
        batch=batch,
        now=NOW + after,
    )


def load(connection: Connection, reference: str) -> Watch:
    found = watches.load(connection, "order", reference, 1)
    assert found is not None
    return found


def due(connection: Connection, *, batches: bool = False, limit: int = 100, after: timedelta = HOUR) -> list[Due]:
    return watches.due(connection, "shop", LIVE, NOW + after, limit, batches=batches)


def references(found: list[Due]) -> list[str]:
    return [one.reference or f"list of {one.batch}" for one in found]


def test_the_unknown_comes_first_then_what_waits_longest(database: Database) -> None:
    def work(connection: Connection) -> None:
        for index, reference in enumerate(("a", "b", "c")):
            follow(connection, reference, after=index * SECOND)
        follow(connection, "lost", unknown=True, after=10 * SECOND)
        assert references(due(connection)) == ["lost", "a", "b", "c"]
        assert references(due(connection, limit=2)) == ["lost", "a"]
        assert references(due(connection, after=FIRST_LOOK + SECOND)) == ["a", "b"]
        assert due(connection, after=FIRST_LOOK - SECOND) == []
        assert watches.due(connection, "shop", SANDBOX, NOW + HOUR, 10, batches=False) == []
        assert watches.due(connection, "other", LIVE, NOW + HOUR, 10, batches=False) == []

    database.transaction(work)


def test_orders_of_one_customer_are_one_look(database: Database) -> None:
    def work(connection: Connection) -> None:
        for index in range(9):
            follow(connection, f"order-{index}", batch=f"c-{index % 3}", after=(9 - index) * SECOND)
        follow(connection, "alone", after=4 * SECOND)
        follow(connection, "payout", kind="withdrawal", after=20 * SECOND)
        found = due(connection, batches=True)
        assert references(found) == ["list of c-2", "list of c-1", "list of c-0", "alone", "payout"]
        follow(connection, "lost", unknown=True, batch="c-0", after=15 * SECOND)
        found = due(connection, batches=True)
        assert references(found) == ["list of c-0", "list of c-2", "list of c-1", "alone", "payout"]
        assert references(due(connection, batches=True, limit=2)) == ["list of c-0", "list of c-2"]

    database.transaction(work)


def test_a_change_is_looked_at_soon_and_keeps_its_age(database: Database) -> None:
    def work(connection: Connection) -> None:
        follow(connection, "a")
        watches.looked(connection, [(load(connection, "a"), NOW + 10 * HOUR)], NOW + HOUR)
        follow(connection, "a", after=2 * HOUR)
        changed = load(connection, "a")
        assert (changed.made_at, changed.since) == (NOW, NOW + 2 * HOUR)
        assert changed.next_at == NOW + 2 * HOUR + FIRST_LOOK
        assert (changed.looked_at, changed.looks) == (NOW + HOUR, 1)

    database.transaction(work)


def test_what_has_ended_is_not_watched_anew_without_a_change(database: Database) -> None:
    def work(connection: Connection) -> None:
        ended = {"account": "shop", "provider": "aurpay", "environment": LIVE, "unknown": False, "final": True}
        watches.follow(connection, "order", "a", 1, changed=False, now=NOW, **ended)  # type: ignore[arg-type]
        assert watches.load(connection, "order", "a", 1) is None
        watches.follow(connection, "order", "a", 1, changed=True, now=NOW, **ended)  # type: ignore[arg-type]
        assert load(connection, "a").final_at == NOW
        watches.follow(connection, "order", "a", 1, changed=True, now=NOW + HOUR, **ended)  # type: ignore[arg-type]
        assert load(connection, "a").final_at == NOW, "monitored since it first ended"

    database.transaction(work)


def test_what_was_looked_at_by_a_clock_that_was_ahead_is_due(database: Database) -> None:
    def work(connection: Connection) -> None:
        follow(connection, "a")
        follow(connection, "b")
        watches.looked(connection, [(load(connection, "a"), NOW + 2 * HOUR)], NOW + HOUR)
        assert references(due(connection, after=timedelta(minutes=30))) == ["b", "a"]
        assert references(due(connection, after=timedelta(minutes=30), batches=True)) == ["b", "a"]
        watches.looked(connection, [(load(connection, "a"), NOW + HOUR)], NOW + timedelta(minutes=30))
        assert references(due(connection, after=timedelta(minutes=30))) == ["b"]

    database.transaction(work)


def test_looks_and_failures_are_counted(database: Database) -> None:
    def work(connection: Connection) -> None:
        follow(connection, "a")
        follow(connection, "b")
        a, b = load(connection, "a"), load(connection, "b")
        watches.failed(connection, [(a, NOW + HOUR), (b, NOW + 2 * HOUR)], "no", NOW)
        watches.failed(connection, [(a, NOW + 3 * HOUR)], "still no", NOW)
        a, b = load(connection, "a"), load(connection, "b")
        assert (a.failures, a.error, a.next_at) == (2, "still no", NOW + 3 * HOUR)
        assert (b.failures, b.error, b.next_at, b.looks) == (1, "no", NOW + 2 * HOUR, 0)
        watches.looked(connection, [(a, NOW + 4 * HOUR), (b, None)], NOW + HOUR)
        a = load(connection, "a")
        assert (a.failures, a.error, a.looks, a.looked_at, a.next_at) == (0, None, 1, NOW + HOUR, NOW + 4 * HOUR)
        assert watches.load(connection, "order", "b", 1) is None

    database.transaction(work)


def test_every_place_is_found(database: Database) -> None:
    def work(connection: Connection) -> None:
        assert watches.places(connection) == []
        for account in ("shop", "shop", "backup", "zoo"):
            follow(connection, f"{account}-{len(watches.counts(connection, NOW))}", account=account)
        watches.follow(
            connection,
            "trade",
            "t-1",
            account="shop",
            provider="emirex",
            environment=SANDBOX,
            unknown=True,
            final=False,
            changed=True,
            now=NOW,
        )
        assert watches.places(connection) == [("backup", LIVE), ("shop", LIVE), ("shop", SANDBOX), ("zoo", LIVE)]

    database.transaction(work)


def test_it_is_counted_by_account(database: Database) -> None:
    def work(connection: Connection) -> None:
        for index in range(3):
            follow(connection, f"a-{index}", unknown=index == 0)
        follow(connection, "b", account="backup")
        watches.failed(connection, [(load(connection, "a-1"), NOW + HOUR)], "no", NOW)
        backup, shop = watches.counts(connection, NOW + timedelta(minutes=6))
        assert (backup.account, backup.watched, backup.unknown, backup.failing, backup.overdue) == (
            "backup",
            1,
            0,
            0,
            1,
        )
        assert (shop.account, shop.watched, shop.open, shop.unknown) == ("shop", 3, 3, 1)
        assert (shop.failing, shop.overdue, shop.next_at) == (1, 2, NOW + FIRST_LOOK)

    database.transaction(work)


def test_what_a_list_shows_is_found_with_its_watch(database: Database) -> None:
    def work(connection: Connection) -> None:
        for reference in ("a", "b", "c"):
            make_order(connection, reference)
            saved(connection, reference, f"number-{reference}")
        watches.forget(connection, "order", "b", 1)
        found = lists.shown(connection, "shop", LIVE, ["number-a", "number-b", "number-x"])
        known = {one.provider_id: one for one in found}
        assert known.keys() == {"number-a", "number-b"}
        assert known["number-a"].watch == load(connection, "a")
        assert known["number-b"].watch is None
        assert known["number-a"].snapshot is not None
        assert known["number-a"].snapshot["price"] == {"amount": "25.00", "asset": "USD"}
        assert lists.shown(connection, "other", LIVE, ["number-a"]) == []
        assert lists.shown(connection, "shop", LIVE, []) == []

    database.transaction(work)


def test_who_waits_in_a_list(database: Database) -> None:
    def work(connection: Connection) -> None:
        for reference in ("a", "b", "c"):
            make_order(connection, reference)
            saved(connection, reference, None if reference == "c" else f"number-{reference}")
        customer = {"now": NOW + HOUR, "since": NOW + HOUR}
        here = "shop", LIVE, ""
        found = lists.waiting(connection, *here, limit=10, **customer)
        assert [(one.watch.reference, one.provider_id) for one in found] == [
            ("c", None),
            ("a", "number-a"),
            ("b", "number-b"),
        ]
        assert [one.watch.reference for one in lists.waiting(connection, *here, limit=1, **customer)] == ["c"]
        assert [one.watch.reference for one in lists.numberless(connection, "shop", LIVE, limit=10)] == ["c"]
        assert lists.numberless(connection, "shop", LIVE, asked_since=NOW + SECOND, limit=10) == []
        assert lists.numberless(connection, "shop", LIVE, batch="c-1", limit=10) == []
        assert lists.waits(connection, *here, **customer)
        assert lists.waits(connection, *here, made_before=NOW + SECOND, patience=2, **customer)
        assert not lists.waits(connection, *here, made_before=NOW, patience=2, **customer)
        watches.postpone(connection, load(connection, "a"), NOW, NOW, absent=True)
        assert lists.waits(connection, *here, made_before=NOW, patience=1, **customer), "it was absent before"
        looked = [(one.watch, NOW + 2 * HOUR) for one in lists.waiting(connection, *here, limit=10, **customer)]
        watches.looked(connection, looked, NOW + HOUR)
        assert not lists.waits(connection, *here, **customer)

    database.transaction(work)


def test_a_walk_and_a_rest_are_kept_until_they_end(database: Database) -> None:
    def work(connection: Connection) -> None:
        here = "shop", LIVE, "c-1"
        assert lists.load_walk(connection, *here) is None
        lists.go_on(connection, *here, "100:x", NOW)
        lists.go_on(connection, *here, "200:y", NOW)
        assert lists.load_walk(connection, *here) == lists.Walk("200:y", NOW)
        assert lists.load_walk(connection, "shop", SANDBOX, "c-1") is None
        lists.end_walk(connection, *here)
        assert lists.load_walk(connection, *here) is None

        for failures in (1, 2):
            rests.rest(connection, "shop", until=NOW + HOUR, failures=failures, error="down", now=NOW)
        rest = rests.load_rest(connection, "shop")
        assert rest is not None
        assert rests.load_rests(connection) == {"shop": rest}
        assert (rest.failures, rest.error) == (2, "down")
        assert [rest.holds(NOW + after) for after in (-HOUR, SECOND, HOUR)] == [False, True, False]
        assert rests.end_rest(connection, "shop") == 2
        assert (rests.end_rest(connection, "shop"), rests.load_rest(connection, "shop")) == (0, None)

    database.transaction(work)


def test_something_is_reported_once(database: Database) -> None:
    def work(connection: Connection) -> list[bool]:
        return [
            rests.report_once(connection, "x", write=False),
            rests.report_once(connection, "x"),
            rests.report_once(connection, "x"),
            rests.report_once(connection, "x", write=False),
        ]

    assert database.transaction(work) == [True, True, False, False]


@pytest.mark.parametrize("number", ["number-a", None])
def test_an_order_that_failed_without_a_number_is_forgotten(database: Database, number: str | None) -> None:
    def work(connection: Connection) -> None:
        make_order(connection, "a")
        saved(connection, "a", number)
        assert watches.load(connection, "order", "a", 1) is not None
        orders.save_attempt(
            connection,
            "a",
            1,
            status=OrderStatus.FAILED,
            exceptions=frozenset(),
            provider_id=None,
            snapshot=None,
            error=None,
            now=NOW,
        )
        watch = watches.load(connection, "order", "a", 1)
        if number is None:
            assert watch is None
        else:
            assert watch is not None
            assert watch.final_at == NOW

    database.transaction(work)


def saved(connection: Connection, reference: str, number: str | None) -> None:
    """The attempt as its creation left it: with its number, or of unknown outcome."""
    snapshot = ProviderOrder(
        provider_id=number, status=OrderStatus.PENDING, price=Money("25.00", "USD"), pay_with=order_request().pay_with
    )
    orders.save_attempt(
        connection,
        reference,
        1,
        status=OrderStatus.CREATING if number is None else OrderStatus.PENDING,
        exceptions=frozenset() if number else frozenset({OrderException.UNCONFIRMED}),
        provider_id=number,
        snapshot=snapshot if number else None,
        error=None,
        now=NOW,
    )
