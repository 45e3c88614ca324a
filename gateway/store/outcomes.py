"""What the end of a write, or the doubt about it, means for the rows of orders, payouts, refunds, trades, customers
and cards.

Nothing here sends anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gateway.errors import InvalidRequest
from gateway.models.cards import Card, CardStatus
from gateway.models.customers import ProviderCustomer
from gateway.models.orders import OrderException, OrderStatus
from gateway.models.refunds import RefundStatus
from gateway.models.withdrawals import WithdrawalStatus
from gateway.store import cards, customers, journal, orders, refunds, trades, withdrawals
from gateway.store.journal import JournalEntry

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["mark_done", "mark_failed", "mark_unknown", "recover"]

_UNCONFIRMED = frozenset({OrderException.UNCONFIRMED})


def recover(connection: Connection, now: datetime) -> list[JournalEntry]:
    """Everything that was sent by a process which has ended since: unknown from now on."""
    lost = journal.recover(connection, now)
    for entry in lost:
        mark_unknown(connection, entry, now)
    return lost


def mark_unknown(connection: Connection, entry: JournalEntry, now: datetime) -> None:
    """Let the thing that the entry was about show that it may or may not exist."""
    if not _has_row(connection, entry):
        return
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


def mark_failed(connection: Connection, entry: JournalEntry, now: datetime) -> None:
    """A person found that nothing was done."""
    if not _has_row(connection, entry):
        return
    if entry.operation == "orders.create":
        _save_attempt(connection, entry, OrderStatus.FAILED, frozenset(), now)
    elif entry.operation == "withdrawals.create":
        withdrawals.save_withdrawal(connection, entry.reference, status=WithdrawalStatus.FAILED, result=None, now=now)
    elif entry.operation == "refunds.create":
        refunds.save_refund(connection, entry.reference, status=RefundStatus.FAILED, result=None, now=now)
    elif entry.operation == "trades.create":
        trades.fail_trade(connection, entry.reference, now=now)


def mark_done(connection: Connection, entry: JournalEntry, now: datetime) -> None:
    """A person found that it was done. What is followed further needs the provider's number: raises InvalidRequest
    without.
    """
    if not _has_row(connection, entry):
        return
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


def _has_row(connection: Connection, entry: JournalEntry) -> bool:
    """Whether there is anything to show it by. An intent that was taken back has nothing; it can only become unknown
    because the store was restored.
    """
    match entry.operation:
        case "withdrawals.create":
            return withdrawals.load_withdrawal(connection, entry.reference) is not None
        case "refunds.create":
            return refunds.load_refund(connection, entry.reference) is not None
        case "trades.create":
            return trades.load_trade(connection, entry.reference) is not None
        case _:
            return True


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
