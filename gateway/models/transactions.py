"""Transactions: money movements that the provider lists, and the currencies that it deals in."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gateway.assets import Asset
from gateway.models.base import Fee, Instant, Result
from gateway.money import Money
from gateway.secrets import Raw

__all__ = ["Currency", "CurrencyKind", "Transaction"]


class CurrencyKind(StrEnum):
    """Which list of accepted currencies."""

    FIAT = "fiat"
    """Those that prices are in."""
    CRYPTO = "crypto"
    """The coins that are paid."""


class Transaction(Result):
    """One movement of money at the provider."""

    provider_id: str
    kind: str | None = None
    """In the provider's words, not mapped: no table of them is known."""
    status: str | None = None
    """As `kind`: nothing says which of its words is final."""
    amount: Money | None = None
    obtained: Money | None = None
    """What the provider calls so; whether that is before or after fees, Aurpay does not say."""
    fees: tuple[Fee, ...] = ()
    order_id: str | None = None
    """The provider's own number of the order that it belongs to."""
    hashes: tuple[str, ...] = ()
    """Of the payments on the chain."""
    created_at: Instant | None = None
    """When it was made, by the provider's clock."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class Currency(Result):
    """A currency that the provider accepts."""

    code: str
    """The provider's own name for it."""
    kind: CurrencyKind
    asset: Asset
    network: str | None = None
    """As in `asset`; None for fiat."""
    contract: str | None = None
    """The token's contract on the network, where it has one."""
    raw: Raw = Field(default_factory=Raw, repr=False)
