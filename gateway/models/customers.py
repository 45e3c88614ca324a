"""Customers at a provider, and the merchant's own number for each."""

from __future__ import annotations

from pydantic import Field

from gateway.models.base import Environment, Input, Instant, ProviderOptions, Reference, Result
from gateway.secrets import Raw

__all__ = ["Customer", "CustomerRequest", "ProviderCustomer"]


class CustomerRequest(Input):
    """Make a customer known to a provider. `reference` is the merchant's own customer number, the same at every
    account.
    """

    reference: Reference
    first_name: str = Field(min_length=1, max_length=200)
    last_name: str = Field(min_length=1, max_length=200)
    provider_options: ProviderOptions = Field(default_factory=dict)


class ProviderCustomer(Result):
    """A customer as the provider shows it."""

    provider_id: str
    first_name: str | None = None
    last_name: str | None = None
    created_at: Instant | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)


class Customer(Result):
    """A customer as the gateway knows it: `reference` here, `provider_id` at the provider of `account`."""

    reference: str
    account: str
    provider: str
    environment: Environment
    provider_id: str
    first_name: str | None = None
    last_name: str | None = None
    created_at: Instant | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)
