"""Payloads go, rows about money stay, and nothing that has not ended is touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from gateway.models import Environment, OrderException, OrderStatus, ProviderOrder, ProviderWithdrawal, WithdrawalStatus
from gateway.models.customers import ProviderCustomer
from gateway.money import Money
from gateway.store import customers, events, journal, orders, pruning, watches, withdrawals
from gateway.store.database import Database
from gateway.store.journal import JournalState
from gateway.store.tables import attempts, callbacks, choices, deliveries, metadata
from gateway.store.tables import journal as entries
from gateway.store.tables import withdrawals as payouts
from store.samples import LIVE, NOW, begin, make_order, make_payout, payout

BEFORE = NOW + timedelta(days=1)
RAW = {"id": "77", "note": "as the provider wrote it"}


@pytest.fixture
def run(database: Database) -> Callable[..., Any]:
    return lambda function, *args, **fields: database.transaction(
        lambda connection: function(connection, *args, **fields)
    )


def prune(run: Callable[..., Any], before: Any = BEFORE, limit: int = 100) -> dict[str, int]:
    """Everything; how many of each kind there were, without those of which there were none."""
    found = {}
    for kind in pruning.KINDS:
        counted = run(pruning.count, kind, before)
        done, after = 0, 0
        while after is not None:
            batch, after = run(pruning.prune, kind, before, after=after, limit=limit)
            done += batch
        assert done == counted
        assert run(pruning.count, kind, before) == 0
        if done:
            found[kind] = done
    return found


def order(
    connection: Connection, reference: str, status: OrderStatus, *exceptions: OrderException, watched: bool = False
) -> None:
    make_order(connection, reference)
    seen = ProviderOrder(provider_id=f"p-{reference}", status=OrderStatus.PENDING, price=Money("25.00", "USD"), raw=RAW)
    orders.save_attempt(
        connection,
        reference,
        1,
        status=status,
        exceptions=frozenset(exceptions),
        provider_id=f"p-{reference}",
        snapshot=seen,
        error=None,
        now=NOW,
    )
    if not watched:
        watches.forget(connection, "order", reference, 1)


def paid_out(connection: Connection, reference: str, status: WithdrawalStatus) -> None:
    make_payout(connection, payout(reference))
    seen = ProviderWithdrawal(provider_id=f"p-{reference}", status=status, raw=RAW)
    withdrawals.save_withdrawal(connection, reference, status=status, result=seen, now=NOW)
    watches.forget(connection, "withdrawal", reference)


def answers(run: Callable[..., Any], column: Any) -> list[bool]:
    """By number: whether what the provider wrote is still there."""
    return [bool(snapshot and snapshot["raw"]) for snapshot in listed(run, column)]


def listed(run: Callable[..., Any], column: Any) -> list[Any]:
    """A column's values, by number."""
    query = select(column).order_by(column.table.c.id)
    return run(lambda connection: list(connection.execute(query).scalars()))


def test_the_answers_about_orders_that_have_ended(run: Callable[..., Any]) -> None:
    run(order, "paid", OrderStatus.PAID)
    run(order, "expired", OrderStatus.EXPIRED)
    run(order, "open", OrderStatus.PENDING)
    run(order, "doubtful", OrderStatus.FAILED, OrderException.UNCONFIRMED)
    run(order, "watched", OrderStatus.PAID, watched=True)
    before = run(orders.load_order, "paid")
    assert before.raw == RAW
    assert prune(run, NOW) == {}
    assert prune(run) == {"order answers": 2}
    assert answers(run, attempts.c.snapshot) == [False, False, True, True, True]
    after = run(orders.load_order, "paid")
    assert after.raw == {}
    assert (after.status, after.price, after.provider_id) == (before.status, before.price, before.provider_id)
    assert prune(run) == {}


def test_the_answers_about_payouts(run: Callable[..., Any]) -> None:
    for status in (WithdrawalStatus.COMPLETED, WithdrawalStatus.FAILED, WithdrawalStatus.PROCESSING):
        run(paid_out, f"payout-{status}", status)
    run(paid_out, "payout", WithdrawalStatus.UNCONFIRMED)
    assert prune(run) == {"withdrawal answers": 2}
    assert answers(run, payouts.c.snapshot) == [False, False, True, True]
    assert run(withdrawals.load_withdrawal, "payout-completed").amount == payout().amount


def test_the_answers_in_the_journal(database: Database, run: Callable[..., Any]) -> None:
    for state in (JournalState.DONE, JournalState.UNKNOWN, JournalState.SENT):
        entry, _ = database.transaction(begin("us", reference=f"payout-{state}"))
        run(journal.mark_sent, entry.id, NOW)
        if state is not JournalState.SENT:
            run(journal.finish, entry.id, state, result={"provider_id": "77", "raw": RAW}, now=NOW)
    assert prune(run) == {"journal answers": 1}
    assert listed(run, entries.c.result) == [{"provider_id": "77", "raw": {}}, {"provider_id": "77", "raw": RAW}, None]
    (entry,) = run(journal.find, "payout-done")
    assert (entry.request, entry.state) == ({"amount": "0.01"}, JournalState.DONE)


def test_the_answers_about_customers(run: Callable[..., Any]) -> None:
    run(
        customers.save_customer,
        "c-42",
        account="shop",
        provider="aurex",
        environment=LIVE,
        customer=ProviderCustomer(provider_id="u-1", raw=RAW),
        now=NOW,
    )
    assert prune(run) == {"customer answers": 1}
    assert run(customers.provider_id, "shop", "c-42") == "u-1"


def test_callbacks_that_were_dealt_with(run: Callable[..., Any]) -> None:
    def put(connection: Connection, state: str) -> None:
        connection.execute(
            insert(callbacks).values(
                account="shop",
                provider="aurpay",
                environment=Environment.LIVE.value,
                attempt_id=state,
                digest="d",
                method="POST",
                url="/shop/x",
                headers={"x": "y"},
                body=b"{}",
                proof="absent",
                state=state,
                times=1,
                tries=0,
                received_at=NOW,
                last_at=NOW,
                next_at=NOW,
            )
        )

    for state in ("processed", "rejected", "waiting", "taken", "unmatched"):
        run(put, state)
    assert prune(run) == {"callback bodies": 2}
    query = select(callbacks.c.headers, callbacks.c.body, callbacks.c.attempt_id).order_by(callbacks.c.id)
    found = [tuple(row) for row in run(lambda connection: connection.execute(query).all())]
    assert found[:2] == [(None, None, "processed"), (None, None, "rejected")]
    assert all(row[:2] == ({"x": "y"}, b"{}") for row in found[2:])


def test_deliveries_that_were_made_and_choices_of_orders_that_have_ended(run: Callable[..., Any]) -> None:
    run(order, "paid", OrderStatus.PAID)
    run(order, "open", OrderStatus.PENDING)

    def put(connection: Connection) -> None:
        first = connection.execute(select(func.min(events.events.c.id))).scalar_one()
        for state, handler in (("done", "a"), ("waiting", "b"), ("dead", "c")):
            connection.execute(
                insert(deliveries).values(
                    handler=handler,
                    event_id=first,
                    subject="order paid",
                    state=state,
                    tries=1,
                    next_at=NOW,
                    updated_at=NOW,
                )
            )
        for reference in ("paid", "open", "never-made"):
            connection.execute(
                insert(choices).values(
                    reference=reference,
                    number=1,
                    account="shop",
                    environment="live",
                    verdict="chosen",
                    reason="the first",
                    at=NOW,
                )
            )

    run(put)
    told = run(lambda connection: connection.execute(select(func.count()).select_from(events.events)).scalar_one())
    assert prune(run) == {"order answers": 1, "deliveries": 1, "choices": 1}
    left = run(
        lambda connection: connection.execute(select(deliveries.c.state).order_by(deliveries.c.id)).scalars().all()
    )
    assert left == ["waiting", "dead"]
    left = run(
        lambda connection: connection.execute(select(choices.c.reference).order_by(choices.c.id)).scalars().all()
    )
    assert left == ["open", "never-made"]
    kept = run(lambda connection: connection.execute(select(func.count()).select_from(events.events)).scalar_one())
    assert kept == told > 0


def test_it_goes_in_batches(run: Callable[..., Any]) -> None:
    for number in range(7):
        run(paid_out, f"payout-{number}", WithdrawalStatus.COMPLETED)
    assert run(pruning.prune, "withdrawal answers", BEFORE, after=0, limit=3) == (3, 3)
    assert run(pruning.prune, "withdrawal answers", BEFORE, after=3, limit=3) == (3, 6)
    assert run(pruning.prune, "withdrawal answers", BEFORE, after=6, limit=3) == (1, None)


def test_no_row_about_money_goes(run: Callable[..., Any]) -> None:
    """Whatever is pruned by and by: only deliveries and choices are deleted."""
    run(order, "paid", OrderStatus.PAID)
    run(paid_out, "payout", WithdrawalStatus.COMPLETED)

    def sizes(connection: Connection) -> dict[str, int]:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }

    before = run(sizes)
    prune(run)
    assert run(sizes) == before
    assert before["orders"] == before["attempts"] == before["withdrawals"] == 1
    assert before["events"] > 0
