"""Public market data."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateway.contracts.lists import Query
from gateway.exchange import Operation
from gateway.models.base import Page
from gateway.models.markets import Market, OrderBook, PublicTrade, Ticker

__all__ = ["ListsMarkets", "ListsPublicTrades", "ReadsBooks", "ReadsTickers"]


@runtime_checkable
class ListsMarkets(Protocol):
    def list_markets(self, query: Query) -> Operation[Page[Market]]:
        """The pairs that can be traded."""
        ...


@runtime_checkable
class ReadsTickers(Protocol):
    def get_ticker(self, market: str) -> Operation[Ticker]:
        """`market` is written BASE/QUOTE, here and below."""
        ...


@runtime_checkable
class ReadsBooks(Protocol):
    def get_book(self, market: str, depth: int | None) -> Operation[OrderBook]:
        """The order book, `depth` levels a side where the provider lets choose."""
        ...


@runtime_checkable
class ListsPublicTrades(Protocol):
    def list_public_trades(self, market: str) -> Operation[Page[PublicTrade]]:
        """The latest trades, newest first."""
        ...
