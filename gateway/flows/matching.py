"""Which of a provider's orders, or trades, may be the one whose number there is not known: pure rules, no I/O.

A match is a suggestion for a person. Nothing is ever settled by it: two purchases of one price look the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.models.orders import OrderRequest, ProviderOrder
from gateway.models.trades import Trade
from gateway.money import Money, plain

__all__ = ["CLOCKS_DIFFER", "Wanted", "likely", "likely_trades", "may_be", "told", "trade_may_be"]

CLOCKS_DIFFER = timedelta(minutes=2)
"""Providers write whole seconds, and clocks differ a little."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attempt whose creation may have made an order that nobody here knows the number of."""

    reference: str
    number: int
    attempt: str | None
    """The gateway's own identifier of it, which some providers show again."""
    request: OrderRequest
    asked_at: datetime


def may_be(wanted: Wanted, seen: ProviderOrder) -> bool:
    """Whether this can be the order that was asked for then: of the same attempt, or where the provider does not show
    whose it is, of the same price and coin, and made no earlier.
    """
    if seen.provider_id is None:
        return False
    if seen.attempt is not None:
        return seen.attempt == wanted.attempt
    asked = wanted.request
    if seen.price != asked.price:
        return False
    if seen.pay_with is not None and asked.pay_with is not None and not seen.pay_with.satisfies(asked.pay_with):
        return False
    return seen.created_at is None or seen.created_at >= wanted.asked_at - CLOCKS_DIFFER


def likely(wanted: Wanted, orders: Iterable[ProviderOrder], linked: Collection[str] = ()) -> list[ProviderOrder]:
    """Those of the provider's orders that this may be, the nearest in time first; none whose number is `linked` to an
    attempt.
    """
    found = {seen.provider_id: seen for seen in orders if may_be(wanted, seen) and seen.provider_id not in linked}
    return sorted(found.values(), key=lambda seen: _distance(seen.created_at, wanted.asked_at))


def trade_may_be(asked: Trade, asked_at: datetime, seen: Trade) -> bool:
    """Whether this can be the trade that was asked for then: same side, volume and rate, a market of the same name,
    and placed no earlier.
    """
    if seen.provider_id is None or seen.volume != asked.volume or seen.side is not asked.side:
        return False
    if seen.market is not None and _letters(seen.market) != _letters(asked.market or ""):
        return False
    if asked.rate is not None and seen.rate is not None and seen.rate != asked.rate:
        return False
    return seen.created_at is None or seen.created_at >= asked_at - CLOCKS_DIFFER


def likely_trades(
    asked: Trade, asked_at: datetime, trades: Iterable[Trade], linked: Collection[str] = ()
) -> list[Trade]:
    """As `likely`, of exchange orders."""
    found = {
        seen.provider_id: seen
        for seen in trades
        if trade_may_be(asked, asked_at, seen) and seen.provider_id not in linked
    }
    return sorted(found.values(), key=lambda seen: _distance(seen.created_at, asked_at))


def told(seen: ProviderOrder | Trade) -> dict[str, Any]:
    """What a person needs to recognise it, as JSON-able data."""
    said: dict[str, Any] = {
        "provider_id": seen.provider_id,
        "status": seen.status.value,
        "created_at": seen.created_at.isoformat() if seen.created_at else None,
    }
    if isinstance(seen, ProviderOrder):
        return {**said, "price": _money(seen.price), "pay_with": seen.pay_with.code if seen.pay_with else None}
    return {
        **said,
        "market": seen.market,
        "side": seen.side.value if seen.side else None,
        "volume": None if seen.volume is None else plain(seen.volume),
        "rate": None if seen.rate is None else plain(seen.rate),
    }


def _money(money: Money | None) -> str | None:
    return None if money is None else str(money)


def _letters(market: str) -> str:
    """Exchanges write a market with a separator of their own, or none."""
    return "".join(filter(str.isalnum, market)).upper()


def _distance(created_at: datetime | None, asked_at: datetime) -> tuple[bool, timedelta]:
    """One that does not say when it was made comes last."""
    return (True, timedelta(0)) if created_at is None else (False, abs(created_at - asked_at))
