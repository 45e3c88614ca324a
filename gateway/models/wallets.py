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
    """The provider holds the keys."""
    SELF_CUSTODY = "self-custody"
    """The merchant holds the keys."""
    LIGHTNING = "lightning"
    """The balance of Lightning payments."""


class Wallet(Result):
    """One balance. `total` = `available` + `pending` + `allocated` where the provider gives them; what it does not give
    is None.
    """

    account: str = ""
    kind: WalletKind
    asset: Asset
    available: Money | None = None
    """Can be spent now."""
    pending: Money | None = None
    """Awaits confirmation."""
    allocated: Money | None = None
    """Moved elsewhere inside the provider: to cards, into open exchange orders."""
    total: Money | None = None
    address: str | None = None
    """The wallet's own, where it has one."""
    customer: str | None = None
    """The merchant's own number of the customer whose wallet it is; None: the merchant's."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)
