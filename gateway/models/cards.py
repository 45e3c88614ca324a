"""Cards. Numbers, CVVs and one-time codes are secrets: in memory only, never in the store, masked wherever they are
shown.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gateway.models.base import Fee, Input, Instant, PositiveMoney, ProviderOptions, Reference, Result
from gateway.money import Money
from gateway.secrets import CardNumber, Raw, Secret

__all__ = ["Card", "CardRequest", "CardStatus", "CardTransaction", "CardTransactionStatus", "OneTimeCode"]


class CardStatus(StrEnum):
    """Where a card stands. EXPIRED is final."""

    ACTIVE = "active"
    FROZEN = "frozen"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    UNRECOGNISED = "unrecognised"


class CardTransactionStatus(StrEnum):
    """Where a card transaction stands. COMPLETED, DECLINED and FAILED are final."""

    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    UNRECOGNISED = "unrecognised"


class CardRequest(Input):
    """Issue a card to a customer (the merchant's own number) and load it with `initial_balance` from the customer's
    wallet.
    """

    reference: Reference
    customer: Reference
    name: str = Field(min_length=1, max_length=200)
    initial_balance: PositiveMoney
    provider_options: ProviderOptions = Field(default_factory=dict)


class Card(Result):
    """A card. `number` and `cvv` are filled in only by the call that issued it and by `cards.reveal`."""

    provider_id: str
    customer: str | None = None
    name: str | None = None
    status: CardStatus
    provider_status: str | None = None
    balance: Money | None = None
    debited: Money | None = None
    fees: tuple[Fee, ...] = ()
    expires: str | None = None
    """Month and year as printed on the card, `MM/YY`."""
    number: CardNumber | None = None
    cvv: Secret | None = None
    reference: str | None = None
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)


class CardTransaction(Result):
    """One use of a card."""

    provider_id: str
    amount: Money
    status: CardTransactionStatus
    provider_status: str | None = None
    created_at: Instant | None = None
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)


class OneTimeCode(Result):
    """A code that confirms a card payment. Use it at once; it is never stored."""

    code: Secret
    card: str
    expires_at: Instant | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)
