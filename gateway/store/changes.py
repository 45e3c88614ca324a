"""What a change of an order, payout, refund or trade means for the events and for what is watched.

The modules that save them call these, so that no change goes untold, whoever makes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.models.base import Environment
from gateway.models.events import EVENT_TYPES
from gateway.models.orders import Attempt, Order, OrderException, OrderStatus
from gateway.models.refunds import Refund, RefundStatus
from gateway.models.trades import Trade, TradeStatus
from gateway.models.withdrawals import Withdrawal, WithdrawalStatus
from gateway.money import Money, plain
from gateway.store import events, watches

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["order_changed", "refund_changed", "trade_changed", "withdrawal_changed"]

_UNMADE = (OrderStatus.CREATING, OrderStatus.FAILED)
_TOLD = (
    OrderStatus.PROCESSING,
    OrderStatus.UNDERPAID,
    OrderStatus.PAID,
    OrderStatus.EXPIRED,
    OrderStatus.FAILED,
    OrderStatus.CANCELLED,
    OrderStatus.REFUNDED,
)


def order_changed(connection: Connection, before: Order | None, after: Order, number: int, now: datetime) -> None:
    """Attempt `number` was begun or saved. `before` is None when the order had no attempt."""
    attempt = after.attempts[number - 1]
    was = before.attempts[number - 1] if before is not None and len(before.attempts) >= number else None
    if was is not None and was.status in _UNMADE and attempt.status not in _UNMADE:
        others = [other for other in after.attempts if other.number != number]
        first = all(other.status in _UNMADE for other in others)
        _order(connection, "order.created" if first else "order.renewed", after, attempt, now)
    if before is not None:
        if after.status is not before.status and after.status in _TOLD:
            _order(connection, f"order.{after.status}", after, attempt, now)
        if OrderException.OVER in after.exceptions - before.exceptions:
            _order(connection, "order.overpaid", after, attempt, now)
    unknown = OrderException.UNCONFIRMED in attempt.exceptions
    if attempt.provider_id is not None or unknown:
        watches.follow(
            connection,
            "order",
            after.reference,
            number,
            account=attempt.account,
            provider=attempt.provider,
            environment=attempt.environment,
            unknown=unknown or attempt.status is OrderStatus.UNRECOGNISED,
            final=attempt.status.is_final or attempt.status is OrderStatus.EXPIRED,
            now=now,
        )


def _order(connection: Connection, kind: str, order: Order, attempt: Attempt, now: datetime) -> None:
    seen = attempt.order
    events.append(
        connection,
        kind,
        subject="order",
        reference=order.reference,
        account=attempt.account,
        provider=attempt.provider,
        environment=attempt.environment,
        data={
            "status": order.status.value,
            "exceptions": sorted(exception.value for exception in order.exceptions),
            "price": _money(order.price),
            "received": _money(seen.received) if seen else None,
            "net": _money(seen.net) if seen else None,
            "attempt": attempt.number,
            "provider_id": attempt.provider_id,
            "customer": order.customer,
            "metadata": order.metadata,
        },
        now=now,
    )


def withdrawal_changed(
    connection: Connection, before: Withdrawal, after: Withdrawal, *, taken_on: bool, now: datetime
) -> None:
    """The payout was saved. `taken_on` says that the provider has answered for it for the first time."""
    _thing(
        connection,
        "withdrawal",
        after.reference,
        account=after.account,
        provider=after.provider,
        environment=after.environment,
        told=_told("withdrawal", before.status.value, after.status.value, taken_on),
        unknown=after.status is WithdrawalStatus.UNCONFIRMED,
        final=after.status.is_final,
        data={
            "status": after.status.value,
            "amount": _money(after.amount),
            "to": str(after.to),
            "provider_id": after.provider_id,
        },
        now=now,
    )


def refund_changed(connection: Connection, before: Refund, after: Refund, *, taken_on: bool, now: datetime) -> None:
    """The refund was saved. `taken_on` as for a payout."""
    _thing(
        connection,
        "refund",
        after.reference,
        account=after.account,
        provider=after.provider,
        environment=after.environment,
        told=_told("refund", before.status.value, after.status.value, taken_on),
        unknown=after.status is RefundStatus.UNCONFIRMED,
        final=after.status.is_final,
        data={
            "status": after.status.value,
            "amount": _money(after.amount),
            "order": after.order,
            "attempt": after.attempt,
            "provider_id": after.provider_id,
        },
        now=now,
    )


def trade_changed(
    connection: Connection, before: Trade, after: Trade, *, provider: str, taken_on: bool, now: datetime
) -> None:
    """The trade was saved. `taken_on` as for a payout."""
    assert after.reference is not None
    assert after.environment is not None
    _thing(
        connection,
        "trade",
        after.reference,
        account=after.account,
        provider=provider,
        environment=after.environment,
        told=_told("trade", before.status.value, after.status.value, taken_on),
        unknown=after.status in (TradeStatus.UNCONFIRMED, TradeStatus.UNRECOGNISED),
        final=after.status in (TradeStatus.FILLED, TradeStatus.CANCELLED),
        data={
            "status": after.status.value,
            "market": after.market,
            "side": after.side.value if after.side else None,
            "volume": None if after.volume is None else plain(after.volume),
            "filled": None if after.filled is None else plain(after.filled),
            "provider_id": after.provider_id,
        },
        now=now,
    )


def _thing(
    connection: Connection,
    subject: str,
    reference: str,
    *,
    account: str,
    provider: str,
    environment: Environment,
    told: list[str],
    unknown: bool,
    final: bool,
    data: dict[str, Any],
    now: datetime,
) -> None:
    for kind in told:
        events.append(
            connection,
            kind,
            subject=subject,
            reference=reference,
            account=account,
            provider=provider,
            environment=environment,
            data=data,
            now=now,
        )
    watches.follow(
        connection,
        subject,
        reference,
        account=account,
        provider=provider,
        environment=environment,
        unknown=unknown,
        final=final,
        now=now,
    )


def _told(subject: str, before: str, after: str, taken_on: bool) -> list[str]:
    created, changed = f"{subject}.created", f"{subject}.{after}"
    return [created] * taken_on + [changed] * (after != before and changed in EVENT_TYPES)


def _money(money: Money | None) -> dict[str, str] | None:
    return None if money is None else {"amount": plain(money.amount), "asset": money.asset.code}
