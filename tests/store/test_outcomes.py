"""What the end of a write, or the doubt about it, means for the rows that it was about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.errors import InvalidRequest
from gateway.models import (
    CardStatus,
    OrderException,
    OrderStatus,
    RefundRequest,
    RefundStatus,
    Side,
    TradeRequest,
    TradeStatus,
    WithdrawalStatus,
)
from gateway.store import cards, customers, journal, orders, outcomes, refunds, trades, withdrawals
from gateway.store.database import Database
from gateway.store.journal import JournalEntry, JournalState
from store.samples import LATER, LEASE, LIVE, NOW, begin, make_order, make_payout, payout

WHERE: dict[str, Any] = {"account": "shop", "provider": "aurpay", "environment": LIVE, "now": NOW}


def refund(connection: Connection) -> None:
    make_order(connection)
    refunds.insert_refund(connection, RefundRequest(reference="it", order="cart-1"), attempt=1, **WHERE)


def trade(connection: Connection) -> None:
    request = TradeRequest(reference="it", market="BTC/USD", side=Side.BUY, volume="1", rate="2")
    trades.insert_trade(connection, request, **WHERE)


ROWS: dict[str, Callable[[Connection], Any]] = {
    "orders.create": lambda connection: make_order(connection, "it"),
    "withdrawals.create": lambda connection: make_payout(connection, payout("it")),
    "refunds.create": refund,
    "trades.create": trade,
    "customers.create": lambda connection: None,
    "cards.create": lambda connection: None,
}


def entry_of(database: Database, operation: str) -> JournalEntry:
    """A write of this kind that was sent by somebody unknown, and what it was about."""
    asked = {"customer": "c-1", "name": "Travel"}
    database.transaction(ROWS[operation])
    scope = "1" if operation == "orders.create" else ""
    entry, _ = database.transaction(begin("?", reference="it", operation=operation, scope=scope, request=asked))
    database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW))
    return entry


def settled(database: Database, operation: str, outcome: Any, provider_id: str | None = None) -> None:
    """As a person settles it: the journal and the rows in one transaction."""
    entry_of(database, operation)

    def work(connection: Connection) -> None:
        outcomes.recover(connection, NOW + LEASE)
        entry = journal.settle(
            connection, reference="it", outcome=outcome, reason="seen", by="ann", now=LATER, provider_id=provider_id
        )
        (outcomes.mark_done if outcome == "done" else outcomes.mark_failed)(connection, entry, LATER)

    database.transaction(work)


def order(connection: Connection) -> Any:
    found = orders.load_order(connection, "it")
    assert found is not None
    return found


LOAD: dict[str, Callable[[Connection], Any]] = {
    "orders.create": order,
    "withdrawals.create": lambda connection: withdrawals.load_withdrawal(connection, "it"),
    "refunds.create": lambda connection: refunds.load_refund(connection, "it"),
    "trades.create": lambda connection: trades.load_trade(connection, "it"),
    "customers.create": lambda connection: customers.load_customer(connection, "shop", "it"),
    "cards.create": lambda connection: cards.load_card(connection, "it"),
}


class TestUnknown:
    @pytest.mark.parametrize(
        ("operation", "status"),
        [
            ("orders.create", OrderStatus.CREATING),
            ("withdrawals.create", WithdrawalStatus.UNCONFIRMED),
            ("refunds.create", RefundStatus.UNCONFIRMED),
            ("trades.create", TradeStatus.UNCONFIRMED),
        ],
    )
    def test_what_a_lost_sender_leaves_is_shown_as_such(self, database: Database, operation: str, status: Any) -> None:
        entry = entry_of(database, operation)
        before = NOW + LEASE - timedelta(microseconds=1)
        assert database.transaction(lambda connection: outcomes.recover(connection, before)) == []
        (lost,) = database.transaction(lambda connection: outcomes.recover(connection, NOW + LEASE))
        assert (lost.id, lost.state) == (entry.id, JournalState.UNKNOWN)
        found = database.transaction(LOAD[operation])
        assert found.status is status
        if operation == "orders.create":
            assert found.exceptions == {OrderException.UNCONFIRMED}
            assert found.attempts[0].error["error"] == "OutcomeUnknown"

    @pytest.mark.parametrize("operation", ["customers.create", "cards.create"])
    def test_what_has_no_row_before_it_is_known_gets_none(self, database: Database, operation: str) -> None:
        entry_of(database, operation)
        assert len(database.transaction(lambda connection: outcomes.recover(connection, NOW + LEASE))) == 1
        assert database.transaction(LOAD[operation]) is None


class TestFailed:
    @pytest.mark.parametrize(
        ("operation", "status"),
        [
            ("orders.create", OrderStatus.FAILED),
            ("withdrawals.create", WithdrawalStatus.FAILED),
            ("refunds.create", RefundStatus.FAILED),
        ],
    )
    def test_it_has_failed(self, database: Database, operation: str, status: Any) -> None:
        settled(database, operation, "failed")
        found = database.transaction(LOAD[operation])
        assert found.status is status
        if operation == "orders.create":
            assert found.exceptions == frozenset()

    @pytest.mark.parametrize("operation", ["trades.create", "customers.create", "cards.create"])
    def test_there_is_nothing(self, database: Database, operation: str) -> None:
        settled(database, operation, "failed")
        assert database.transaction(LOAD[operation]) is None


class TestDone:
    @pytest.mark.parametrize(
        ("operation", "status"),
        [
            ("orders.create", OrderStatus.PENDING),
            ("withdrawals.create", WithdrawalStatus.COMPLETED),
            ("trades.create", TradeStatus.PENDING),
            ("cards.create", CardStatus.UNRECOGNISED),
        ],
    )
    def test_it_is_there_under_the_providers_number(self, database: Database, operation: str, status: Any) -> None:
        settled(database, operation, "done", "77")
        found = database.transaction(LOAD[operation])
        assert (found.status, found.provider_id) == (status, "77")

    def test_a_refund_is_followed_by_its_order(self, database: Database) -> None:
        settled(database, "refunds.create", "done")
        assert database.transaction(LOAD["refunds.create"]).status is RefundStatus.PROCESSING

    def test_a_payout_is_final_without_a_number(self, database: Database) -> None:
        settled(database, "withdrawals.create", "done")
        assert database.transaction(LOAD["withdrawals.create"]).status is WithdrawalStatus.COMPLETED

    def test_a_customer_is_known_from_then_on(self, database: Database) -> None:
        settled(database, "customers.create", "done", "9001")
        assert database.transaction(lambda c: customers.provider_id(c, "shop", "it")) == "9001"

    def test_a_card_is_its_customers(self, database: Database) -> None:
        settled(database, "cards.create", "done", "k-1")
        found = database.transaction(LOAD["cards.create"])
        assert (found.customer, found.name, found.number) == ("c-1", "Travel", None)

    @pytest.mark.parametrize("operation", ["orders.create", "trades.create", "customers.create", "cards.create"])
    def test_what_is_followed_further_needs_the_providers_number(self, database: Database, operation: str) -> None:
        with pytest.raises(InvalidRequest, match="only with the provider's number"):
            settled(database, operation, "done")
        (entry,) = database.transaction(lambda connection: journal.find(connection, "it"))
        assert entry.state is JournalState.SENT  # the whole settlement was rolled back

    def test_another_operation_has_no_rows(self, database: Database) -> None:
        ROWS["keys.create"] = lambda connection: None
        try:
            settled(database, "keys.create", "done", "1")
        finally:
            del ROWS["keys.create"]
        (entry,) = database.transaction(lambda connection: journal.find(connection, "it"))
        assert entry.state is JournalState.DONE
