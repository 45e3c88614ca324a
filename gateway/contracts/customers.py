"""Customers at the provider."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateway.exchange import Operation
from gateway.models.customers import CustomerRequest, ProviderCustomer

__all__ = ["CreatesCustomers", "ReadsCustomers"]


@runtime_checkable
class CreatesCustomers(Protocol):
    def create_customer(self, request: CustomerRequest) -> Operation[ProviderCustomer]: ...


@runtime_checkable
class ReadsCustomers(Protocol):
    def get_customer(self, provider_id: str) -> Operation[ProviderCustomer]: ...
