"""How a page of a list is asked for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Query"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One page. `cursor` is the `next` of the page before (an adapter's own text), None for the first.

    `customer` is the provider's own number of a customer; `kind` a variant of the list (a WalletKind, a CurrencyKind).
    """

    cursor: str | None = None
    size: int = 100
    customer: str | None = None
    kind: str = ""
