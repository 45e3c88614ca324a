"""Customers at the provider."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateway.exchange import Operation
from gateway.models.customers import CustomerRequest, ProviderCustomer

__all__ = ["CreatesCustomers", "ReadsCustomers"]


@runtime_checkable
class CreatesCustomers(Protocol):
    def create_customer(self, request: CustomerRequest) -> Operation[ProviderCustomer]:
        """Make the customer known; the answer has the provider's own number."""
        ...


@runtime_checkable
class ReadsCustomers(Protocol):
    def get_customer(self, provider_id: str) -> Operation[ProviderCustomer]:
        """Read one customer. Raises NotFound when the provider has none of this number."""
        ...
