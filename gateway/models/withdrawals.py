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
    """The BOLT 11 text, with or without `lightning:` in front."""
    kind: Literal["lightning"] = "lightning"
    """How JSON tells destinations apart."""

    def __str__(self) -> str:
        return self.invoice


@refusing
@dataclass(frozen=True, config=_FROZEN)
class CryptoAddress:
    """An address on the network of the withdrawal's asset."""

    address: str = Field(min_length=1, max_length=256)
    memo: str | None = None
    """What some networks ask for beside the address; it is refused where the provider cannot send it."""
    kind: Literal["address"] = "address"
    """How JSON tells destinations apart."""

    def __str__(self) -> str:
        return self.address


@refusing
@dataclass(frozen=True, config=_FROZEN)
class CardTopUp:
    """A card of a customer, to be loaded."""

    customer: str = Field(min_length=1, max_length=128)
    """The merchant's own customer number."""
    card: str = Field(min_length=1, max_length=128)
    """The provider's own number of the card: `Card.provider_id`, not what is printed on it."""
    kind: Literal["card"] = "card"
    """How JSON tells destinations apart."""

    def __str__(self) -> str:
        return f"card {self.card} of {self.customer}"


Destination = Annotated[LightningInvoice | CryptoAddress | CardTopUp, Field(discriminator="kind")]
"""Where a payout goes."""


class WithdrawalStatus(StrEnum):
    """Where a withdrawal stands. `is_final` says which are the end."""

    PENDING = "pending"
    """Asked for, and the provider has not begun as far as is known."""
    PROCESSING = "processing"
    """Under way at the provider."""
    COMPLETED = "completed"
    """It has arrived, as far as the provider says. Final."""
    FAILED = "failed"
    """Nothing was paid out. Final."""
    CANCELLED = "cancelled"
    """Nothing was paid out. Final."""
    UNCONFIRMED = "unconfirmed"
    """It may have happened: find out before anything else is tried."""

    @property
    def is_final(self) -> bool:
        """COMPLETED, FAILED and CANCELLED."""
        return self in (WithdrawalStatus.COMPLETED, WithdrawalStatus.FAILED, WithdrawalStatus.CANCELLED)


class WithdrawalRequest(Input):
    """Ask for a payout. The same reference never pays twice. A field that is wrong or unknown raises InvalidRequest."""

    reference: Reference
    """The merchant's own number of the payout: 1 to 128 printable ASCII characters without spaces."""
    amount: PositiveMoney
    """Exactly what is paid out, above zero: of an invoice its own amount in `BTC@lightning`, of a card what it is
    loaded with.
    """
    to: Destination
    description: str | None = Field(default=None, max_length=1000)
    """The merchant's own words, up to 1,000 characters. Kept with the request; no adapter here sends it on."""
    provider_options: ProviderOptions = Field(default_factory=dict)
    """Options that only one provider knows, by its name; the other adapters ignore them."""


class ProviderWithdrawal(Result):
    """A withdrawal as the provider shows it at one moment."""

    provider_id: str | None = None
    """None where the provider gives none: it cannot be read again then."""
    status: WithdrawalStatus
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    amount: Money | None = None
    """What was paid out; None where the provider does not tell."""
    debited: Money | None = None
    """What left the wallet, fees included; None where the provider does not tell."""
    fees: tuple[Fee, ...] = ()
    transactions: tuple[str, ...] = ()
    """The hashes of the payments on the chain."""
    created_at: Instant | None = None
    """When it was made, by the provider's clock."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class Withdrawal(Result):
    """A payout as the gateway knows it."""

    reference: str
    """The merchant's own number of the payout."""
    account: str
    provider: str
    environment: Environment
    status: WithdrawalStatus
    amount: Money
    """What was asked for."""
    to: Destination
    provider_id: str | None = None
    """None while it is not known, and where the provider gives none."""
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    debited: Money | None = None
    """What left the wallet, fees included; None where the provider does not tell."""
    fees: tuple[Fee, ...] = ()
    created_at: Instant
    """When it was asked for here."""
    updated_at: Instant
    """When it was last recorded here."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)
