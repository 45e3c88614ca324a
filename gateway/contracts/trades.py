"""Exchange orders of the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.contracts.lists import Query
from gateway.exchange import Operation
from gateway.models.base import Page
from gateway.models.trades import Trade, TradeRequest

__all__ = ["CancelsTrades", "CreatesTrades", "ListsOpenTrades", "ListsTradeHistory", "NewTrade", "ReadsTrades"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrade:
    """One exchange order to place."""

    request: TradeRequest
    """What the merchant asked for; its own checks have passed."""


@runtime_checkable
class CreatesTrades(Protocol):
    def create_trade(self, trade: NewTrade) -> Operation[Trade]:
        """Place the order. Never repeated by the engine once it may have been placed."""
        ...


@runtime_checkable
class CancelsTrades(Protocol):
    def cancel_trade(self, provider_id: str) -> Operation[Trade]:
        """Cancel an open order; what was filled before stays filled."""
        ...


@runtime_checkable
class ReadsTrades(Protocol):
    def get_trade(self, provider_id: str) -> Operation[Trade]:
        """Read one order. Raises NotFound when the provider has none of this number."""
        ...


@runtime_checkable
class ListsOpenTrades(Protocol):
    def list_open_trades(self, query: Query) -> Operation[Page[Trade]]:
        """One page of the account's open orders."""
        ...


@runtime_checkable
class ListsTradeHistory(Protocol):
    def list_trade_history(self, query: Query) -> Operation[Page[Trade]]:
        """One page of the account's finished orders, newest first where the provider says so."""
        ...
