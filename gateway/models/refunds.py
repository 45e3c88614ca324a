"""Refunds: a paid order's money going back."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gateway.models.base import Environment, Input, Instant, PositiveMoney, ProviderOptions, Reference, Result
from gateway.money import Money
from gateway.secrets import Raw

__all__ = ["ProviderRefund", "Refund", "RefundRequest", "RefundStatus"]


class RefundStatus(StrEnum):
    """Where a refund stands. COMPLETED and FAILED are final; UNCONFIRMED may have happened."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"

    @property
    def is_final(self) -> bool:
        return self in (RefundStatus.COMPLETED, RefundStatus.FAILED)


class RefundRequest(Input):
    """Refund one payment of the order with this reference. `amount` None is all of it; not every provider can refund a
    part.

    `attempt` is the number of the attempt whose payment goes back. None is the one that is furthest along, paid before
    underpaid and the latest of equals, of those that have no refund yet, or only failed ones.
    """

    reference: Reference
    order: Reference
    attempt: int | None = Field(default=None, ge=1)
    amount: PositiveMoney | None = None
    reason: str | None = Field(default=None, max_length=1000)
    provider_options: ProviderOptions = Field(default_factory=dict)


class ProviderRefund(Result):
    """A refund as the provider shows it at one moment."""

    provider_id: str | None = None
    status: RefundStatus
    provider_status: str | None = None
    amount: Money | None = None
    created_at: Instant | None = None
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)


class Refund(Result):
    """A refund as the gateway knows it."""

    reference: str
    order: str
    attempt: int
    account: str
    provider: str
    environment: Environment
    status: RefundStatus
    amount: Money | None = None
    provider_id: str | None = None
    provider_status: str | None = None
    created_at: Instant
    updated_at: Instant
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)
