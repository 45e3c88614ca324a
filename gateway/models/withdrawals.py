"""Withdrawals: money that leaves. Every one has the merchant's own reference and is sent at most once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from gateway.models.base import (
    Environment,
    Fee,
    Input,
    Instant,
    PositiveMoney,
    ProviderOptions,
    Reference,
    Result,
    refusing,
)
from gateway.money import Money
from gateway.secrets import Raw

__all__ = [
    "CardTopUp",
    "CryptoAddress",
    "Destination",
    "LightningInvoice",
    "ProviderWithdrawal",
    "Withdrawal",
    "WithdrawalRequest",
    "WithdrawalStatus",
]

_FROZEN = ConfigDict(extra="forbid", hide_input_in_errors=True)


@refusing
@dataclass(frozen=True, config=_FROZEN)
class LightningInvoice:
    """A BOLT 11 invoice that carries an amount; amountless, expired and foreign-network ones are refused before
    sending.
    """

    invoice: str = Field(min_length=1, max_length=4096)
    kind: Literal["lightning"] = "lightning"

    def __str__(self) -> str:
        return self.invoice


@refusing
@dataclass(frozen=True, config=_FROZEN)
class CryptoAddress:
    """An address on the network of the withdrawal's asset."""

    address: str = Field(min_length=1, max_length=256)
    memo: str | None = None
    kind: Literal["address"] = "address"

    def __str__(self) -> str:
        return self.address


@refusing
@dataclass(frozen=True, config=_FROZEN)
class CardTopUp:
    """A card of a customer: `customer` is the merchant's own number, `card` the provider's card number id."""

    customer: str = Field(min_length=1, max_length=128)
    card: str = Field(min_length=1, max_length=128)
    kind: Literal["card"] = "card"

    def __str__(self) -> str:
        return f"card {self.card} of {self.customer}"


Destination = Annotated[LightningInvoice | CryptoAddress | CardTopUp, Field(discriminator="kind")]
"""Where a payout goes."""


class WithdrawalStatus(StrEnum):
    """Where a withdrawal stands. COMPLETED, FAILED and CANCELLED are final; UNCONFIRMED may have happened."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"

    @property
    def is_final(self) -> bool:
        return self in (WithdrawalStatus.COMPLETED, WithdrawalStatus.FAILED, WithdrawalStatus.CANCELLED)


class WithdrawalRequest(Input):
    """Ask for a payout of exactly `amount` to `to`. The same reference never pays twice."""

    reference: Reference
    amount: PositiveMoney
    to: Destination
    description: str | None = Field(default=None, max_length=1000)
    provider_options: ProviderOptions = Field(default_factory=dict)


class ProviderWithdrawal(Result):
    """A withdrawal as the provider shows it at one moment; `provider_id` is None where the provider gives none."""

    provider_id: str | None = None
    status: WithdrawalStatus
    provider_status: str | None = None
    amount: Money | None = None
    debited: Money | None = None
    fees: tuple[Fee, ...] = ()
    transactions: tuple[str, ...] = ()
    created_at: Instant | None = None
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)


class Withdrawal(Result):
    """A payout as the gateway knows it. `debited` is what left the wallet, fees included, where the provider says
    so.
    """

    reference: str
    account: str
    provider: str
    environment: Environment
    status: WithdrawalStatus
    amount: Money
    to: Destination
    provider_id: str | None = None
    provider_status: str | None = None
    debited: Money | None = None
    fees: tuple[Fee, ...] = ()
    created_at: Instant
    updated_at: Instant
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)
