"""Amounts as a provider writes them: decimals, or whole numbers of the smallest unit where the Subject says so."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from typing import TYPE_CHECKING

from gateway.assets import Asset
from gateway.money import Money

if TYPE_CHECKING:
    from gateway.testing.conformance.bench import Bench

__all__ = ["from_wire", "on_wire", "places_of"]

_UNSAID = -1
_EXACT = Context(prec=200, traps=[Inexact])  # the default context rounds to 28 digits


def places_of(bench: Bench, asset: Asset, row: str = "") -> int | None:
    """How many decimal places stand behind the provider's whole numbers of this asset in this row of the table; None
    where it writes decimals.

    What the Subject says of `USDT` holds for it on every network of which it says nothing else, and what it says of
    `wallets.list USDT` for that row or operation alone.
    """
    where = [f"{name} " for name in dict.fromkeys((row, row.partition(":")[0])) if name] + [""]
    said = (bench.subject.units.get(f"{one}{name}", _UNSAID) for one in where for name in (asset.code, asset.symbol))
    return next((places for places in said if places != _UNSAID), None)


def on_wire(bench: Bench, money: Money, row: str = "") -> Decimal:
    """The number that stands for this money in the provider's JSON: 1500000 for 1.5 USDT with six places."""
    places = places_of(bench, money.asset, row)
    return money.amount if places is None else money.amount.scaleb(places, _EXACT)


def from_wire(bench: Bench, number: Decimal, asset: Asset, row: str = "") -> Money:
    """The money for which the provider writes this number."""
    places = places_of(bench, asset, row)
    return Money(number, asset) if places is None else Money.of_units(number, asset, places)
