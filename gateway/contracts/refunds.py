"""Refunds: creating and reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.exchange import Operation
from gateway.models.orders import ProviderOrder
from gateway.models.refunds import ProviderRefund, RefundRequest

__all__ = ["CreatesRefunds", "NewRefund", "ReadsRefunds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRefund:
    """One refund to make."""

    request: RefundRequest
    """What the merchant asked for; its own checks have passed."""
    order: str
    """The provider's own number of the paid order."""
    known: ProviderOrder | None = None
    """What was last read of the order."""


@runtime_checkable
class CreatesRefunds(Protocol):
    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        """Pay back. Never repeated by the engine once it may have been carried out."""
        ...


@runtime_checkable
class ReadsRefunds(Protocol):
    def get_refund(self, order: str) -> Operation[ProviderRefund]:
        """What became of the refund of this order (the provider's own number of the order)."""
        ...
