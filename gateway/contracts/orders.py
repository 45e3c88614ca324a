"""Payments: creating, reading, listing and cancelling orders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from gateway.contracts.lists import Query
from gateway.exchange import Operation
from gateway.models.base import Page
from gateway.models.orders import OrderRequest, ProviderOrder

__all__ = ["CancelsOrders", "CreatesOrders", "ListsOrders", "NewOrder", "ReadsOrders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """One order to make at the provider."""

    request: OrderRequest
    """What the merchant asked for; its own checks have passed."""
    attempt: str
    """The gateway's own identifier of this attempt, unique for ever."""
    requested_at: datetime
    """By the gateway's clock (aware UTC)."""
    customer: str | None = None
    """The provider's own number of the customer, where one is known."""
    callback_url: str | None = None
    """The address made for this attempt, None when the gateway takes no callbacks."""

    def options(self, provider: str) -> dict[str, object]:
        """The request's `provider_options` for this provider."""
        return dict(self.request.provider_options.get(provider, {}))


@runtime_checkable
class CreatesOrders(Protocol):
    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        """Make the order. What the answer says of asset, amount and network is compared with what was asked."""
        ...


@runtime_checkable
class ReadsOrders(Protocol):
    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        """Read one order. Raises NotFound when the provider has none of this number."""
        ...


@runtime_checkable
class ListsOrders(Protocol):
    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        """One page of the provider's orders, newest first where the provider says so."""
        ...


@runtime_checkable
class CancelsOrders(Protocol):
    def cancel_order(self, provider_id: str) -> Operation[ProviderOrder]:
        """Cancel an order that is still open."""
        ...
