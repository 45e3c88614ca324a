"""Customers at a provider, and the merchant's own number for each."""

from __future__ import annotations

from pydantic import Field

from gateway.models.base import Environment, Input, Instant, ProviderOptions, Reference, Result
from gateway.secrets import Raw

__all__ = ["Customer", "CustomerRequest", "ProviderCustomer"]


class CustomerRequest(Input):
    """Make a customer known to a provider. The same reference never makes a second one at an account. A field that is
    wrong or unknown raises InvalidRequest.
    """

    reference: Reference
    """The merchant's own customer number, the same at every account: 1 to 128 printable ASCII characters without
    spaces.
    """
    first_name: str = Field(min_length=1, max_length=200)
    """1 to 200 characters."""
    last_name: str = Field(min_length=1, max_length=200)
    """1 to 200 characters."""
    provider_options: ProviderOptions = Field(default_factory=dict)
    """Options that only one provider knows, by its name; the other adapters ignore them."""


class ProviderCustomer(Result):
    """A customer as the provider shows it."""

    provider_id: str
    first_name: str | None = None
    last_name: str | None = None
    created_at: Instant | None = None
    """When it was made, by the provider's clock."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class Customer(Result):
    """A customer as the gateway knows it, at one account."""

    reference: str
    """The merchant's own customer number."""
    account: str
    provider: str
    environment: Environment
    provider_id: str
    """The provider's own number, at this account."""
    first_name: str | None = None
    last_name: str | None = None
    created_at: Instant | None = None
    """When it was made, by the provider's clock. None where it does not tell."""
    raw: Raw = Field(default_factory=Raw, repr=False)
