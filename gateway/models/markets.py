"""Public market data of an exchange. A market is written `BASE/QUOTE`."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gateway.models.base import Instant, Number, Result
from gateway.secrets import Raw

__all__ = ["BookLevel", "Market", "OrderBook", "PublicTrade", "Side", "Ticker"]


class Side(StrEnum):
    """Which side of the book an exchange order is on."""

    BUY = "buy"
    SELL = "sell"


class Market(Result):
    """A tradable pair. The decimals are how many the exchange takes of each number; None where it does not say."""

    market: str
    provider_id: str
    base: str
    quote: str
    rate_decimals: int | None = None
    base_decimals: int | None = None
    quote_decimals: int | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)


class Ticker(Result):
    """The last day of a market. Rates are quote units per base unit, `volume` is in base units, `change` in percent."""

    market: str
    last: Number
    open: Number | None = None
    close: Number | None = None
    high: Number | None = None
    low: Number | None = None
    volume: Number | None = None
    change: Number | None = None
    minimum_trade: Number | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)


class BookLevel(Result):
    """What is offered at one rate: `volume` in base units, by `count` orders where the provider tells."""

    rate: Number
    volume: Number
    count: int | None = None


class OrderBook(Result):
    """Open orders by price: bids descending, asks ascending."""

    market: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    sequence: int | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)


class PublicTrade(Result):
    """A trade that happened on a market. `total` = rate × volume."""

    market: str
    rate: Number
    volume: Number
    total: Number | None = None
    side: Side | None = None
    happened_at: Instant
    raw: Raw = Field(default_factory=Raw, repr=False)
