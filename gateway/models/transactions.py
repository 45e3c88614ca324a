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
    """Which list of accepted currencies: those that prices are in, or the coins that are paid."""

    FIAT = "fiat"
    CRYPTO = "crypto"


class Transaction(Result):
    """One movement, in the provider's words: `kind` and `status` are not mapped, because no table of them is known."""

    provider_id: str
    kind: str | None = None
    status: str | None = None
    amount: Money | None = None
    obtained: Money | None = None
    fees: tuple[Fee, ...] = ()
    order_id: str | None = None
    hashes: tuple[str, ...] = ()
    created_at: Instant | None = None
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)


class Currency(Result):
    """A currency that the provider accepts: fiat for prices, crypto for payment. `code` is the provider's own name
    for it.
    """

    code: str
    kind: CurrencyKind
    asset: Asset
    network: str | None = None
    contract: str | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)
