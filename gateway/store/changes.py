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
    from sqlalchemy import Connection, Row

__all__ = ["newly_taken_on", "order_changed", "refund_changed", "trade_changed", "trade_failed", "withdrawal_changed"]

_TOLD = (
    OrderStatus.PROCESSING,
    OrderStatus.UNDERPAID,
    OrderStatus.PAID,
    OrderStatus.EXPIRED,
    OrderStatus.FAILED,
    OrderStatus.CANCELLED,
    OrderStatus.REFUNDED,
)
# Where a payout, a refund or a trade stands only when the provider has it.
_TAKEN_ON = frozenset({"processing", "completed", "open", "filled", "cancelled"})


def order_changed(connection: Connection, before: Order | None, after: Order, number: int, now: datetime) -> None:
    """Attempt `number` was begun or saved. `before` is None when the order had no attempt."""
    attempt = after.attempts[number - 1]
    was = before.attempts[number - 1] if before is not None and len(before.attempts) >= number else None
    if was is not None:
        others = [other for other in after.attempts if other.number != number]
        for kind in _happened(was, attempt, others, after):
            _order(connection, kind, after, attempt, now)
    _follow_attempt(connection, was, attempt, after, now)


def _follow_attempt(connection: Connection, was: Attempt | None, attempt: Attempt, order: Order, now: datetime) -> None:
    """Have the attempt watched, unless there is nothing at the provider."""
    unknown = OrderException.UNCONFIRMED in attempt.exceptions
    # The payer of a hosted page makes the order, whose number only a callback tells: it can be looked for.
    hosted = attempt.order is not None and not attempt.status.is_final
    if attempt.provider_id is None and not unknown and not hosted:
        if was is not None:
            watches.forget(connection, "order", order.reference, attempt.number)
        return
    watches.follow(
        connection,
        "order",
        order.reference,
        attempt.number,
        account=attempt.account,
        provider=attempt.provider,
        environment=attempt.environment,
        unknown=unknown or attempt.status is OrderStatus.UNRECOGNISED,
        final=attempt.status.is_final or attempt.status is OrderStatus.EXPIRED,
        changed=was is None
        or (was.status, was.exceptions, was.provider_id) != (attempt.status, attempt.exceptions, attempt.provider_id),
        made_at=attempt.created_at,
        batch=order.customer or "",
        now=now,
    )


def _happened(was: Attempt, attempt: Attempt, others: list[Attempt], order: Order) -> list[str]:
    """What the change of one attempt means for the purchase: nothing new where another attempt is further along."""
    told = []
    if _made(attempt) and not _made(was):
        told.append("order.renewed" if any(map(_made, others)) else "order.created")
    moved = attempt.status is not was.status
    paid_already = any(other.status is OrderStatus.PAID for other in others)
    # An attempt of unknown outcome, which nobody can see or pay, does not hide the end of one that could be paid.
    leads = order.status is attempt.status or (order.status is OrderStatus.CREATING and _made(attempt))
    if moved and leads and attempt.status in _TOLD and not (attempt.status is OrderStatus.PAID and paid_already):
        told.append(f"order.{attempt.status}")
    paid_again = moved and attempt.status is OrderStatus.PAID and paid_already
    if paid_again or OrderException.OVER in attempt.exceptions - was.exceptions:
        told.append("order.overpaid")
    return told


def _made(attempt: Attempt) -> bool:
    """Whether it is known to be an order at its provider; one that was refused, or is of unknown outcome, is not."""
    return attempt.provider_id is not None or attempt.order is not None


def newly_taken_on(before: Row[Any], after: Row[Any]) -> bool:
    """Whether this change of a payout's, refund's or trade's row is the one that shows that the provider has it."""
    return _is_taken_on(after) and not _is_taken_on(before)


def _is_taken_on(row: Row[Any]) -> bool:
    known = row.snapshot is not None or row.provider_id is not None or row.status in _TAKEN_ON
    return known and row.status != "unconfirmed"  # some answers prove nothing


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
    """The payout was saved. `taken_on` says that this is what shows that the provider has it."""
    _thing(
        connection,
        "withdrawal",
        after.reference,
        account=after.account,
        provider=after.provider,
        environment=after.environment,
        told=_told("withdrawal", before.status.value, after.status.value, taken_on),
        unknown=after.status is WithdrawalStatus.UNCONFIRMED,
        over=after.status.is_final,
        changed=after.status is not before.status or after.provider_id != before.provider_id,
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
        over=after.status.is_final,
        changed=after.status is not before.status or after.provider_id != before.provider_id,
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
        # Of a cancelled one it may still have to be read how much was filled.
        over=after.status is TradeStatus.FILLED or (after.status is TradeStatus.CANCELLED and after.filled is not None),
        changed=after.status is not before.status or after.provider_id != before.provider_id,
        data=_of_trade(after),
        now=now,
    )


def trade_failed(connection: Connection, trade: Trade, *, provider: str, now: datetime) -> None:
    """The trade was not placed. Its row goes, so there is nothing to watch."""
    assert trade.reference is not None
    events.append(
        connection,
        "trade.failed",
        subject="trade",
        reference=trade.reference,
        account=trade.account,
        provider=provider,
        environment=trade.environment,
        data={**_of_trade(trade), "status": "failed"},
        now=now,
    )
    watches.forget(connection, "trade", trade.reference)


def _of_trade(trade: Trade) -> dict[str, Any]:
    return {
        "status": trade.status.value,
        "market": trade.market,
        "side": trade.side.value if trade.side else None,
        "volume": None if trade.volume is None else plain(trade.volume),
        "filled": None if trade.filled is None else plain(trade.filled),
        "provider_id": trade.provider_id,
    }


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
    over: bool,
    changed: bool,
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
    if over:
        watches.forget(connection, subject, reference)
        return
    watches.follow(
        connection,
        subject,
        reference,
        account=account,
        provider=provider,
        environment=environment,
        unknown=unknown,
        final=False,
        changed=changed,
        now=now,
    )


def _told(subject: str, before: str, after: str, taken_on: bool) -> list[str]:
    created, changed = f"{subject}.created", f"{subject}.{after}"
    return [created] * taken_on + [changed] * (after != before and changed in EVENT_TYPES)


def _money(money: Money | None) -> dict[str, str] | None:
    return None if money is None else {"amount": plain(money.amount), "asset": money.asset.code}
