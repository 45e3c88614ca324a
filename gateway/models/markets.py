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
    """A tradable pair."""

    market: str
    """`BASE/QUOTE`, as requests name it."""
    provider_id: str
    """The exchange's own name of the pair."""
    base: str
    quote: str
    rate_decimals: int | None = None
    """How many decimals the exchange takes of a rate; None where it does not say."""
    base_decimals: int | None = None
    """How many it takes of an amount of the base."""
    quote_decimals: int | None = None
    """How many it takes of an amount of the quote."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class Ticker(Result):
    """The last day of a market. Rates are in quote units per base unit."""

    market: str
    """`BASE/QUOTE`."""
    last: Number
    open: Number | None = None
    close: Number | None = None
    high: Number | None = None
    low: Number | None = None
    volume: Number | None = None
    """What was traded, in base units."""
    change: Number | None = None
    """In percent."""
    minimum_trade: Number | None = None
    """The smallest trade, as the exchange writes it; in which unit is not known."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class BookLevel(Result):
    """What is offered at one rate."""

    rate: Number
    """In quote units per base unit."""
    volume: Number
    """In base units."""
    count: int | None = None
    """By how many orders; None where the exchange does not tell."""


class OrderBook(Result):
    """Open orders by rate."""

    market: str
    """`BASE/QUOTE`."""
    bids: tuple[BookLevel, ...]
    """To buy, the highest rate first."""
    asks: tuple[BookLevel, ...]
    """To sell, the lowest rate first."""
    sequence: int | None = None
    """The exchange's number of this state of the book; None where it gives none."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class PublicTrade(Result):
    """A trade that happened on a market."""

    market: str
    """`BASE/QUOTE`."""
    rate: Number
    """In quote units per base unit."""
    volume: Number
    """In base units."""
    total: Number | None = None
    """In quote units: rate × volume."""
    side: Side | None = None
    """As the exchange states it; None where it does not, or in a word that nobody knows."""
    happened_at: Instant
    raw: Raw = Field(default_factory=Raw, repr=False)
