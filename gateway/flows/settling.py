"""Writes of unknown outcome: how they are marked, and how a person settles them by evidence. Nothing here sends
anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.errors import InvalidRequest
from gateway.models.cards import Card, CardStatus
from gateway.models.customers import ProviderCustomer
from gateway.models.orders import OrderException, OrderStatus
from gateway.models.refunds import RefundStatus
from gateway.models.withdrawals import WithdrawalStatus
from gateway.store import cards, customers, journal, orders, refunds, trades, withdrawals
from gateway.store.journal import JournalEntry, JournalState

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["entries", "find", "mark_unknown", "recover", "settle"]

_UNCONFIRMED = frozenset({OrderException.UNCONFIRMED})


def mark_unknown(connection: Connection, entry: JournalEntry, now: datetime) -> None:
    """Let the thing that the entry was about show that it may or may not exist."""
    if entry.operation == "orders.create":
        _save_attempt(connection, entry, OrderStatus.CREATING, _UNCONFIRMED, now)
    elif entry.operation == "withdrawals.create":
        withdrawals.save_withdrawal(
            connection, entry.reference, status=WithdrawalStatus.UNCONFIRMED, result=None, now=now
        )
    elif entry.operation == "refunds.create":
        refunds.save_refund(connection, entry.reference, status=RefundStatus.UNCONFIRMED, result=None, now=now)
    elif entry.operation == "trades.create":
        trades.mark_unconfirmed(connection, entry.reference, now=now)
    # A customer or a card has no row of its own before it is known at the provider.


def settle(
    core: Core,
    reference: str,
    *,
    outcome: Literal["done", "failed"],
    reason: str,
    by: str,
    operation: str | None,
    provider_id: str | None,
) -> Flow[JournalEntry]:
    """Record what a person found out about an unknown write. `failed` means that nothing was done; nothing is sent
    either way.
    """
    if not reason.strip():
        raise InvalidRequest("a settlement needs a reason", hint="say what was seen at the provider")

    def work(connection: Connection) -> JournalEntry:
        now = core.now()
        entry = journal.settle(
            connection,
            reference=reference,
            operation=operation,
            outcome=outcome,
            reason=reason,
            by=by,
            provider_id=provider_id,
            now=now,
        )
        if outcome == "failed":
            _mark_failed(connection, entry, now)
        else:
            _mark_done(connection, entry, now)
        return entry

    return (yield from transact(work))


def _mark_failed(connection: Connection, entry: JournalEntry, now: datetime) -> None:
    if entry.operation == "orders.create":
        _save_attempt(connection, entry, OrderStatus.FAILED, frozenset(), now)
    elif entry.operation == "withdrawals.create":
        withdrawals.save_withdrawal(connection, entry.reference, status=WithdrawalStatus.FAILED, result=None, now=now)
    elif entry.operation == "refunds.create":
        refunds.save_refund(connection, entry.reference, status=RefundStatus.FAILED, result=None, now=now)
    elif entry.operation == "trades.create":
        trades.delete_trade(connection, entry.reference)


def _mark_done(connection: Connection, entry: JournalEntry, now: datetime) -> None:
    if entry.operation == "withdrawals.create":
        withdrawals.save_withdrawal(
            connection,
            entry.reference,
            status=WithdrawalStatus.COMPLETED,
            result=None,
            now=now,
            provider_id=entry.provider_id,
        )
        return
    if entry.operation == "refunds.create":
        refunds.save_refund(connection, entry.reference, status=RefundStatus.PROCESSING, result=None, now=now)
        return
    if entry.provider_id is None:
        raise InvalidRequest(
            f"{entry.operation} {entry.reference} can be settled as done only with the provider's number of it",
            reference=entry.reference,
            hint="add --provider-id; without one it could never be followed",
        )
    if entry.operation == "orders.create":
        _save_attempt(connection, entry, OrderStatus.PENDING, frozenset(), now, provider_id=entry.provider_id)
    elif entry.operation == "trades.create":
        trades.mark_placed(connection, entry.reference, entry.provider_id, now=now)
    elif entry.operation == "customers.create":
        customers.save_customer(
            connection,
            entry.reference,
            account=entry.account,
            provider=entry.provider,
            environment=entry.environment,
            customer=ProviderCustomer(provider_id=entry.provider_id),
            now=now,
        )
    elif entry.operation == "cards.create":
        cards.save_card(
            connection,
            entry.reference,
            account=entry.account,
            provider=entry.provider,
            environment=entry.environment,
            customer=entry.request["customer"],
            card=Card(provider_id=entry.provider_id, status=CardStatus.UNRECOGNISED, name=entry.request["name"]),
            now=now,
        )


def _save_attempt(
    connection: Connection,
    entry: JournalEntry,
    status: OrderStatus,
    exceptions: frozenset[OrderException],
    now: datetime,
    provider_id: str | None = None,
) -> None:
    orders.save_attempt(
        connection,
        entry.reference,
        int(entry.scope),
        status=status,
        exceptions=exceptions,
        provider_id=provider_id,
        snapshot=None,
        error=entry.error,
        now=now,
    )


def entries(
    core: Core, *, states: tuple[JournalState, ...] | None, account: str | None, limit: int
) -> Flow[list[JournalEntry]]:
    """The journal, newest first. Entries whose sender died are found as unknown here too."""

    def work(connection: Connection) -> list[JournalEntry]:
        recover(connection, core.now())
        return journal.list_entries(connection, states=states, account=account, limit=limit)

    return (yield from transact(work))


def recover(connection: Connection, now: datetime) -> list[JournalEntry]:
    """Everything that was sent by a process which has ended since: unknown from now on."""
    lost = journal.recover(connection, now)
    for entry in lost:
        mark_unknown(connection, entry, now)
    return lost


def find(core: Core, reference: str) -> Flow[list[JournalEntry]]:
    """Every entry of a reference, oldest first."""

    def work(connection: Connection) -> list[JournalEntry]:
        recover(connection, core.now())
        return journal.find(connection, reference)

    return (yield from transact(work))
