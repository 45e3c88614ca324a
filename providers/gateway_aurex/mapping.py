"""Vendor words → neutral ones, then shapes → models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from gateway.assets import Asset
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
)
from gateway.exchange import Failure, Response
from gateway.models import (
    Card,
    CardStatus,
    CardTransaction,
    CardTransactionStatus,
    Fee,
    OneTimeCode,
    OrderStatus,
    PaymentInstructions,
    ProviderCustomer,
    ProviderOrder,
    ProviderWithdrawal,
    Wallet,
    WalletKind,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway_aurex import wire

__all__ = ["USD", "card", "card_transaction", "customer", "failure", "one_time_code", "order", "top_up", "wallet"]

USD = Asset.of("USD")

# D, pages users and cards.
DEPOSIT_STATUSES = {
    "waiting": OrderStatus.PENDING,
    "confirmed": OrderStatus.PAID,
    "failed": OrderStatus.FAILED,
    "expired": OrderStatus.EXPIRED,
}
CARD_STATUSES = {
    "active": CardStatus.ACTIVE,
    "frozen": CardStatus.FROZEN,
    "blocked": CardStatus.BLOCKED,
    "expired": CardStatus.EXPIRED,
}
CARD_TRANSACTION_STATUSES = {
    "pending": CardTransactionStatus.PENDING,
    "completed": CardTransactionStatus.COMPLETED,
    "declined": CardTransactionStatus.DECLINED,
    "failed": CardTransactionStatus.FAILED,
}

# D, page overview: there is no machine code, only the HTTP status and a text. 403 and 422 are not documented and mean
# what HTTP says.
ERRORS: Mapping[int, type[GatewayError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: RateLimited,
}

NETWORK_UNSPECIFIED = "Aurex does not say on which network the address is: a coin sent over the wrong network is lost"

T = TypeVar("T")


def failure(response: Response) -> Failure | None:
    """The error that the envelope tells of. Its code is the HTTP status, the only one that the vendor gives."""
    text = wire.error_text(response)
    if text is None:
        return None
    kind = ProviderUnavailable if response.status >= 500 else ERRORS.get(response.status)
    # One status for two meanings and no code: only the text tells them apart (I).
    if response.status in (200, 409) and "insufficient" in text.lower():
        kind = InsufficientFunds
    return Failure(kind or InvalidRequest, text, code=str(response.status), recognised=kind is not None)


def _status(table: Mapping[str, T], word: str, unrecognised: T) -> tuple[T, tuple[str, ...]]:
    status = table.get(word.lower())
    return (unrecognised, (f"unknown status {word[:60]!r}",)) if status is None else (status, ())


def _fees(fees: wire.Fees | None) -> tuple[Fee, ...]:
    return tuple(Fee(name=name, amount=Money(amount, USD)) for name, amount in fees.named) if fees else ()


def order(answer: wire.Answer[wire.Deposit], user: str) -> ProviderOrder:
    """A deposit; a row of the list lacks fields. It is found only under its user, so its number carries the user's."""
    deposit = answer.data
    status, warnings = _status(DEPOSIT_STATUSES, deposit.status, OrderStatus.UNRECOGNISED)
    if status is OrderStatus.PENDING:
        warnings += (NETWORK_UNSPECIFIED,)
    price = Money(deposit.amount, USD)
    return ProviderOrder(
        provider_id=f"{user}/{deposit.deposit_id}",
        status=status,
        provider_status=deposit.status,
        price=price,
        pay_with=deposit.currency,
        pay=PaymentInstructions(address=deposit.deposit_address, amount=price),
        net=Money(deposit.net_amount, USD) if deposit.net_amount is not None else None,
        fees=_fees(deposit.fees),
        created_at=deposit.created_at,
        expires_at=deposit.expires_at,
        warnings=warnings,
        raw=answer.raw,
    )


def wallet(answer: wire.Answer[wire.Wallet], user: str) -> Wallet:
    """A user's wallet. Money that was moved to cards does not flow back, but is still the user's: `allocated`."""
    data = answer.data
    available, pending, allocated = (
        Money(amount, data.currency) for amount in (data.balance, data.pending_balance, data.in_cards_balance)
    )
    return Wallet(
        kind=WalletKind.CUSTODIAL,
        asset=data.currency,
        available=available,
        pending=pending,
        allocated=allocated,
        total=available + pending + allocated,
        customer=user,
        raw=answer.raw,
    )


def top_up(answer: wire.Answer[wire.TopUp], amount: Money) -> ProviderWithdrawal:
    """A top-up, done when it is answered. What it takes from the wallet is the amount and the fee (D)."""
    data = answer.data
    loaded = amount if data.recharge_amount is None else Money(data.recharge_amount, USD)
    fees = _fees(data.fees)
    return ProviderWithdrawal(
        status=WithdrawalStatus.COMPLETED,
        amount=loaded,
        debited=sum((fee.amount for fee in fees), amount) if fees else None,
        fees=fees,
        warnings=() if loaded == amount else (f"asked for {amount}, the card was charged with {loaded}",),
        raw=answer.raw,
    )


def customer(answer: wire.Answer[wire.User]) -> ProviderCustomer:
    user = answer.data
    return ProviderCustomer(
        provider_id=user.user_id,
        first_name=user.first_name,
        last_name=user.last_name,
        created_at=user.created_at,
        raw=answer.raw,
    )


def card(answer: wire.Answer[wire.Card], user: str) -> Card:
    data = answer.data
    status, warnings = _status(CARD_STATUSES, data.status, CardStatus.UNRECOGNISED)
    debited = data.fees.deposit_amount if data.fees else None
    return Card(
        provider_id=data.card_id,
        customer=user,
        name=data.card_name,
        status=status,
        provider_status=data.status,
        balance=Money(data.balance, USD) if data.balance is not None else None,
        debited=Money(debited, USD) if debited is not None else None,
        fees=_fees(data.fees),
        expires=data.expiry_date,
        number=data.card_number,
        cvv=data.cvv,
        warnings=warnings,
        raw=answer.raw,
    )


def card_transaction(answer: wire.Answer[wire.CardTransaction]) -> CardTransaction:
    data = answer.data
    status, warnings = _status(CARD_TRANSACTION_STATUSES, data.status, CardTransactionStatus.UNRECOGNISED)
    return CardTransaction(
        provider_id=data.transaction_id,
        amount=Money(data.amount, data.currency),
        status=status,
        provider_status=data.status,
        created_at=data.created_at,
        warnings=warnings,
        raw=answer.raw,
    )


def one_time_code(answer: wire.Answer[wire.OneTimeCode], card: str, now: datetime) -> OneTimeCode:
    data = answer.data
    return OneTimeCode(
        code=data.otp,
        card=data.card_id or card,
        expires_at=None if data.expires_in is None else now + timedelta(seconds=data.expires_in),
        raw=answer.raw,
    )
