"""Events: what happened, once each, in one shape."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gateway.models.base import Environment, Instant, Result

__all__ = ["EVENT_TYPES", "Event"]

EVENT_TYPES: dict[str, str] = {
    "order.created": "an order was made at a provider; the payer can pay",
    "order.renewed": "a further attempt was made for the same purchase",
    "order.processing": "a payment was seen and is not confirmed yet",
    "order.underpaid": "less than asked for has arrived",
    "order.paid": "paid; `data.exceptions` tells late, partial or marked ones",
    "order.overpaid": "more than asked for has arrived, or a second attempt was paid",
    "order.expired": "not paid in time; it is watched on for late money",
    "order.failed": "it could not be made, or failed at the provider",
    "order.cancelled": "cancelled at the provider",
    "order.refunded": "the payment went back",
    "withdrawal.created": "the provider has taken the payout on",
    "withdrawal.processing": "the payout is under way",
    "withdrawal.completed": "the payout has arrived, as far as the provider says",
    "withdrawal.failed": "nothing was paid out",
    "withdrawal.cancelled": "nothing was paid out",
    "withdrawal.unconfirmed": "whether it was paid out is not known: settle it before anything else",
    "refund.created": "the provider has taken the refund on",
    "refund.processing": "the refund is under way",
    "refund.completed": "the refund was made",
    "refund.failed": "nothing was refunded",
    "refund.unconfirmed": "whether it was refunded is not known",
    "trade.created": "an exchange order was placed",
    "trade.open": "it is in the book",
    "trade.filled": "all of it was filled",
    "trade.failed": "it was not placed",
    "trade.cancelled": "cancelled; `data.filled` tells what was filled before, where that is known",
    "trade.unconfirmed": "whether it was placed is not known",
    "callback.suspicious": "a callback with the gateway's token contradicts what is known; `data.reason` says how",
}
"""Every type of event, and what it means."""


class Event(Result):
    """One event. `id` grows in the order in which events became visible; equal deliveries of one event share it.

    `subject` is the kind and the reference of what it is about, such as `order cart-1001`; events of one subject are
    delivered in order. `data` is what was known at that moment, as JSON; amounts are text.
    """

    id: int
    type: str
    subject: str
    reference: str
    account: str | None = None
    provider: str | None = None
    environment: Environment | None = None
    at: Instant
    data: dict[str, Any] = Field(default_factory=dict)
