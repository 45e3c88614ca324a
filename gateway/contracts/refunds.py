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
    """One refund to make: `order` is the provider's own number of the paid order, `known` what was last read of it."""

    request: RefundRequest
    order: str
    known: ProviderOrder | None = None


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
