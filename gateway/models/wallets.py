"""Wallets: balances at a provider."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gateway.assets import Asset
from gateway.models.base import Result
from gateway.money import Money
from gateway.secrets import Raw

__all__ = ["Wallet", "WalletKind"]


class WalletKind(StrEnum):
    """Who holds the keys, and which of the provider's lists a wallet stands in."""

    CUSTODIAL = "custodial"
    SELF_CUSTODY = "self-custody"
    LIGHTNING = "lightning"


class Wallet(Result):
    """One balance. `total` = `available` + `pending` + `allocated` where the provider gives them; what it does not
    give is None.

    `available` can be spent now, `pending` awaits confirmation, `allocated` was moved elsewhere inside the provider
    (to cards, into open exchange orders).
    """

    account: str = ""
    kind: WalletKind
    asset: Asset
    available: Money | None = None
    pending: Money | None = None
    allocated: Money | None = None
    total: Money | None = None
    address: str | None = None
    customer: str | None = None
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)
