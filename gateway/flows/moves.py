"""How an attempt's state follows what the provider shows: pure rules, no I/O.

Push and poll end here alike: a snapshot of the order at the provider meets what is known of the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from gateway.models.orders import Attempt, OrderException, OrderStatus, PaymentInstructions, ProviderOrder

__all__ = ["Move", "follow"]

_MONEY_CAME = (OrderStatus.PAID, OrderStatus.UNDERPAID)


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of an attempt. `refused` says why a status was not taken over: it is recorded and reported."""

    status: OrderStatus
    exceptions: frozenset[OrderException]
    snapshot: ProviderOrder
    seen: OrderStatus
    refused: str | None = None


def follow(attempt: Attempt, seen: ProviderOrder, tolerance: Decimal = Decimal(0)) -> Move:
    """The attempt after this snapshot. `tolerance` is the share of the amount that may be missing and still counts
    as paid.
    """
    snapshot = _merged(attempt.order, seen)
    status, exceptions = seen.status, set(seen.exceptions)
    status, compared = _compared(status, snapshot, tolerance)
    exceptions |= compared
    known = attempt.exceptions - {OrderException.UNCONFIRMED}  # it was seen at the provider, so it is there
    if not attempt.status.may_become(status):
        refused = f"the provider shows {status}, which cannot follow {attempt.status}; kept as {attempt.status}"
        kept = snapshot.model_copy(update={"warnings": tuple(dict.fromkeys((*snapshot.warnings, refused)))})
        return Move(attempt.status, known, kept, status, refused)
    if attempt.status is OrderStatus.EXPIRED and status in _MONEY_CAME:
        exceptions.add(OrderException.LATE)
    if OrderException.LATE in known and status in _MONEY_CAME:
        exceptions.add(OrderException.LATE)
    if status is OrderStatus.UNDERPAID:
        exceptions.add(OrderException.PARTIAL)
    if status in (attempt.status, OrderStatus.REFUNDED, OrderStatus.EXPIRED):
        exceptions |= known  # what has arrived of an expired order is still there
    return Move(status, frozenset(exceptions), snapshot, status)


def _compared(
    status: OrderStatus, snapshot: ProviderOrder, tolerance: Decimal
) -> tuple[OrderStatus, set[OrderException]]:
    """What the amounts say, where the provider shows both what was asked for and what arrived, in one asset."""
    asked, received = snapshot.pay.amount, snapshot.received
    if asked is None or received is None or asked.asset != received.asset or status not in _MONEY_CAME:
        return status, set()
    if received > asked:
        return OrderStatus.PAID, {OrderException.OVER}
    if received < asked:
        if status is OrderStatus.UNDERPAID and received >= asked * (1 - tolerance):
            return OrderStatus.PAID, {OrderException.PARTIAL}
        return status, {OrderException.PARTIAL}
    return status, set()


def _merged(known: ProviderOrder | None, seen: ProviderOrder) -> ProviderOrder:
    """The newer snapshot, with what it does not say taken from the older one: lists carry less than the creation's
    answer.
    """
    if known is None:
        return seen
    kept = {
        name: getattr(known, name)
        for name in type(seen).model_fields
        if name not in ("status", "provider_status", "exceptions", "raw", "warnings", "pay")
        and getattr(seen, name) in (None, ())
    }
    instructions = {
        name: getattr(seen.pay, name) if getattr(seen.pay, name) is not None else getattr(known.pay, name)
        for name in PaymentInstructions.model_fields
    }
    # The page that the payer was sent to stays: some adapters can only rebuild its address when they read the order.
    instructions["checkout_url"] = known.pay.checkout_url or seen.pay.checkout_url
    pay = PaymentInstructions(**instructions)
    # A warning about the way to pay holds as long as the order does.
    return seen.model_copy(
        update={**kept, "pay": pay, "warnings": tuple(dict.fromkeys((*known.warnings, *seen.warnings)))}
    )
