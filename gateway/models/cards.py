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
    """Where a card stands, as the provider says."""

    ACTIVE = "active"
    FROZEN = "frozen"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    """Final."""
    UNRECOGNISED = "unrecognised"
    """A status word that nobody knows: kept and warned about."""


class CardTransactionStatus(StrEnum):
    """Where a card transaction stands. COMPLETED, DECLINED and FAILED are final."""

    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    UNRECOGNISED = "unrecognised"
    """A status word that nobody knows: kept and warned about."""


class CardRequest(Input):
    """Issue a card to a customer and load it from the customer's wallet. The same reference never issues a second one.
    A field that is wrong or unknown raises InvalidRequest.
    """

    reference: Reference
    """The merchant's own number of the card: 1 to 128 printable ASCII characters without spaces."""
    customer: Reference
    """The merchant's own customer number, as `customers.create` had it."""
    name: str = Field(min_length=1, max_length=200)
    """What the card is called, 1 to 200 characters."""
    initial_balance: PositiveMoney
    """What the card is loaded with, above zero. Fees may be taken from the wallet besides; `Card.debited` is the sum.
    """
    provider_options: ProviderOptions = Field(default_factory=dict)
    """Options that only one provider knows, by its name; the other adapters ignore them."""


class Card(Result):
    """A card of a customer. Its number and CVV are secrets, masked wherever they are shown."""

    provider_id: str
    customer: str | None = None
    """The merchant's own customer number."""
    name: str | None = None
    status: CardStatus
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    balance: Money | None = None
    """What can be spent with it; None where the provider was not asked, or does not tell."""
    debited: Money | None = None
    """What issuing it took from the customer's wallet, fees included; told by the call that issued it."""
    fees: tuple[Fee, ...] = ()
    expires: str | None = None
    """Month and year as printed on the card, `MM/YY`."""
    number: CardNumber | None = None
    """Filled in only by the call that issued it and by `cards.reveal`; never stored."""
    cvv: Secret | None = None
    """As `number`."""
    reference: str | None = None
    """The merchant's own number; None where the card was read at the provider."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class CardTransaction(Result):
    """One use of a card."""

    provider_id: str
    amount: Money
    status: CardTransactionStatus
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    created_at: Instant | None = None
    """When it was made, by the provider's clock."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class OneTimeCode(Result):
    """A code that confirms a card payment. Use it at once; it is never stored."""

    code: Secret
    card: str
    """The provider's own number of the card."""
    expires_at: Instant | None = None
    """None where the provider does not tell."""
    raw: Raw = Field(default_factory=Raw, repr=False)
