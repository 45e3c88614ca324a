"""Refunds: a paid order's money going back."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gateway.models.base import Environment, Input, Instant, PositiveMoney, ProviderOptions, Reference, Result
from gateway.money import Money
from gateway.secrets import Raw

__all__ = ["ProviderRefund", "Refund", "RefundRequest", "RefundStatus"]


class RefundStatus(StrEnum):
    """Where a refund stands. `is_final` says which are the end."""

    PENDING = "pending"
    """Asked for, and the provider has not begun as far as is known."""
    PROCESSING = "processing"
    """Under way at the provider."""
    COMPLETED = "completed"
    """The refund was made. Final."""
    FAILED = "failed"
    """Nothing was refunded. Final."""
    UNCONFIRMED = "unconfirmed"
    """It may have happened: find out before anything else is tried."""

    @property
    def is_final(self) -> bool:
        """COMPLETED and FAILED."""
        return self in (RefundStatus.COMPLETED, RefundStatus.FAILED)


class RefundRequest(Input):
    """Refund one payment of an order. The same reference always gives the same refund, and no payment is refunded under
    two. A field that is wrong or unknown raises InvalidRequest.
    """

    reference: Reference
    """The merchant's own number of the refund: 1 to 128 printable ASCII characters without spaces."""
    order: Reference
    """The reference of the order."""
    attempt: int | None = Field(default=None, ge=1)
    """The number of the attempt whose payment goes back. None: the one that is furthest along, paid before underpaid
    and the latest of equals, of those that have no refund yet, or only failed ones.
    """
    amount: PositiveMoney | None = None
    """Above zero. None is all of it; not every provider can refund a part."""
    reason: str | None = Field(default=None, max_length=1000)
    """The merchant's own words, up to 1,000 characters. Kept with the request; no adapter here sends it on."""
    provider_options: ProviderOptions = Field(default_factory=dict)
    """Options that only one provider knows, by its name; the other adapters ignore them."""


class ProviderRefund(Result):
    """A refund as the provider shows it at one moment."""

    provider_id: str | None = None
    """The provider's own number; where a refund has none, that of the order."""
    status: RefundStatus
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    amount: Money | None = None
    """What goes back; None where the provider does not tell."""
    created_at: Instant | None = None
    """When it was made, by the provider's clock."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class Refund(Result):
    """A refund as the gateway knows it."""

    reference: str
    """The merchant's own number of the refund."""
    order: str
    """The reference of the order."""
    attempt: int
    """The number of the attempt whose payment goes back."""
    account: str
    provider: str
    environment: Environment
    status: RefundStatus
    amount: Money | None = None
    """What goes back, as the provider tells or else as it was asked for. None: all of it, and it was not told how much.
    """
    provider_id: str | None = None
    """As in ProviderRefund; None while it is not known."""
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    created_at: Instant
    """When it was asked for here."""
    updated_at: Instant
    """When it was last recorded here."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)
