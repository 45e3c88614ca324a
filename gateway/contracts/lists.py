"""How a page of a list is asked for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Query"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One page."""

    cursor: str | None = None
    """The `next` of the page before (an adapter's own text), None for the first."""
    size: int = 100
    """How many rows are asked for; a provider may give fewer or more."""
    customer: str | None = None
    """The provider's own number of a customer; None: the account's."""
    kind: str = ""
    """A variant of the list (a WalletKind, a CurrencyKind)."""
