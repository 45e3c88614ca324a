"""What differs between a thing as it is known here and as its provider shows it: pure rules, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gateway.flows.moves import follow
from gateway.models.orders import Attempt, OrderException, OrderRequest, OrderStatus, ProviderOrder
from gateway.models.reconciliations import FindingKind
from gateway.models.trades import Trade, TradeStatus
from gateway.models.withdrawals import ProviderWithdrawal, Withdrawal, WithdrawalStatus
from gateway.money import plain

__all__ = ["Difference", "of_order", "of_trade", "of_withdrawal"]

_MONEY = (OrderStatus.PAID, OrderStatus.UNDERPAID, OrderStatus.REFUNDED)
_NOT_READ_YET = (TradeStatus.PENDING, TradeStatus.OPEN)


@dataclass(frozen=True, slots=True)
class Difference:
    """`follows` says that what is known here may follow the provider, which a repair lets it do."""

    kind: FindingKind
    here: str
    there: str
    follows: bool = False


def of_order(
    attempt: Attempt, request: OrderRequest, seen: ProviderOrder, tolerance: Decimal, *, read_at: datetime
) -> list[Difference]:
    """An attempt and a snapshot of it that was read since `read_at`. An older snapshot contradicts nothing."""
    asked = _asked(request, seen)
    found = [] if asked is None else [asked]
    move = follow(attempt, seen, tolerance)
    follows = asked is None  # what is not what was asked for is left to a person
    if move.refused is not None:
        if attempt.updated_at < read_at:
            is_open = attempt.status.is_final and not seen.status.is_final
            kind = FindingKind.OPEN_THERE if is_open else FindingKind.STATUS_DIFFERS
            found.append(Difference(kind, attempt.status.value, seen.status.value))
        return found
    if move.status is not attempt.status:
        paid = move.status in _MONEY and not attempt.status.is_final
        kind = FindingKind.PAID_THERE if paid else FindingKind.STATUS_DIFFERS
        found.append(
            Difference(
                kind,
                _stands(attempt.status, attempt.exceptions),
                _stands(move.status, move.exceptions),
                follows,
            )
        )
    elif move.exceptions - attempt.exceptions:
        here, there = _stands(attempt.status, attempt.exceptions), _stands(move.status, move.exceptions)
        found.append(Difference(FindingKind.STATUS_DIFFERS, here, there, follows))
    else:
        for name in ("received", "net"):
            known, shown = getattr(attempt.order, name, None), getattr(seen, name)
            if known is not None and shown is not None and known != shown:
                found.append(Difference(FindingKind.AMOUNT_DIFFERS, f"{name} {known}", f"{name} {shown}", follows))
    return found


def of_withdrawal(known: Withdrawal, seen: ProviderWithdrawal) -> list[Difference]:
    """A payout and the provider's row of it. One of unknown outcome is left to a person."""
    found = []
    if seen.amount is not None and seen.amount != known.amount:
        found.append(Difference(FindingKind.AMOUNT_DIFFERS, str(known.amount), str(seen.amount)))
    if seen.status is known.status or seen.status is WithdrawalStatus.UNCONFIRMED:
        return found
    follows = not found and not known.status.is_final and known.status is not WithdrawalStatus.UNCONFIRMED
    kind = FindingKind.STATUS_DIFFERS
    if known.status.is_final and not seen.status.is_final:
        kind = FindingKind.OPEN_THERE
    elif seen.status is WithdrawalStatus.COMPLETED and not known.status.is_final:
        kind = FindingKind.PAID_THERE
    return [*found, Difference(kind, known.status.value, seen.status.value, follows)]


def of_trade(known: Trade, seen: Trade) -> list[Difference]:
    """An exchange order and the provider's row of it."""
    found = []
    for name in ("volume", "rate"):
        asked, shown = getattr(known, name), getattr(seen, name)
        if asked is not None and shown is not None and asked != shown:
            found.append(Difference(FindingKind.AMOUNT_DIFFERS, f"{name} {plain(asked)}", f"{name} {plain(shown)}"))
    follows = not found and not known.status.is_final and known.status is not TradeStatus.UNCONFIRMED
    if seen.status is not known.status and not (known.status in _NOT_READ_YET and seen.status in _NOT_READ_YET):
        is_open = known.status.is_final and not seen.status.is_final
        kind = FindingKind.OPEN_THERE if is_open else FindingKind.STATUS_DIFFERS
        found.append(Difference(kind, known.status.value, seen.status.value, follows))
    elif known.filled is not None and seen.filled is not None and known.filled != seen.filled:
        here, there = f"filled {plain(known.filled)}", f"filled {plain(seen.filled)}"
        found.append(Difference(FindingKind.AMOUNT_DIFFERS, here, there, follows))
    return found


def _asked(request: OrderRequest, seen: ProviderOrder) -> Difference | None:
    if seen.price is not None and seen.price != request.price:
        return Difference(FindingKind.AMOUNT_DIFFERS, f"asked for {request.price}", f"for {seen.price}")
    if seen.pay_with is not None and request.pay_with is not None and not seen.pay_with.satisfies(request.pay_with):
        return Difference(FindingKind.AMOUNT_DIFFERS, f"to be paid in {request.pay_with}", f"paid in {seen.pay_with}")
    return None


def _stands(status: OrderStatus, exceptions: frozenset[OrderException]) -> str:
    unusual = ", ".join(sorted(exceptions))
    return f"{status.value} ({unusual})" if unusual else status.value
