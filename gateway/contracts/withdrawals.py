"""Withdrawals: paying out and following it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from gateway.contracts.lists import Query
from gateway.exchange import Operation
from gateway.models.base import Page
from gateway.models.withdrawals import ProviderWithdrawal, WithdrawalRequest

__all__ = ["CreatesWithdrawals", "ListsWithdrawals", "NewWithdrawal", "ReadsWithdrawals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWithdrawal:
    """One payout.

    An invoice has been decoded and compared with the amount, an address checked, and the merchant's brakes passed,
    before an adapter sees it.
    """

    request: WithdrawalRequest
    """What the merchant asked for; its own checks have passed."""
    requested_at: datetime
    """By the gateway's clock (aware UTC)."""
    customer: str | None = None
    """The provider's own number of the customer whose card is topped up, where one is known."""

    def options(self, provider: str) -> dict[str, object]:
        """The request's `provider_options` for this provider."""
        return dict(self.request.provider_options.get(provider, {}))


@runtime_checkable
class CreatesWithdrawals(Protocol):
    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        """Pay out. Never repeated by the engine once it may have been carried out."""
        ...


@runtime_checkable
class ReadsWithdrawals(Protocol):
    def get_withdrawal(self, provider_id: str) -> Operation[ProviderWithdrawal]:
        """Read one payout. Raises NotFound when the provider has none of this number."""
        ...


@runtime_checkable
class ListsWithdrawals(Protocol):
    def list_withdrawals(self, query: Query) -> Operation[Page[ProviderWithdrawal]]:
        """One page of the provider's payouts, newest first where the provider says so."""
        ...
