"""Events: what happened, once each, in one shape."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import Field

from gateway.errors import InvalidRequest
from gateway.models.base import Environment, Instant, Result

__all__ = ["EVENT_TYPES", "Delivery", "DeliveryState", "Event", "HandlerState", "check_types"]

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
    "key.expiring": "a key of a ring expires soon, or has expired; `data.expires_at` says when",
    "callback.suspicious": "a callback with the gateway's token contradicts what is known, or nothing is known of its "
    "attempt; `data.reason` says which",
}
"""Every type of event, and what it means."""

_SUBJECTS = tuple(dict.fromkeys(kind.partition(".")[0] for kind in EVENT_TYPES))


def check_types(types: Iterable[str]) -> tuple[str, ...]:
    """The types as they were given: those of `EVENT_TYPES`, `order.*` for all of one kind, `*` for all. Raises
    InvalidRequest.
    """
    given = (types,) if isinstance(types, str) else tuple(types)
    known = ("*", *(f"{subject}.*" for subject in _SUBJECTS), *EVENT_TYPES)
    for kind in given:
        if kind not in known:
            near = difflib.get_close_matches(str(kind), known, n=1)
            raise InvalidRequest(
                f"there is no event {str(kind)[:64]!r}",
                hint=f"did you mean {near[0]}?" if near else f"there are {', '.join(EVENT_TYPES)}, order.* and *",
            )
    return given


class Event(Result):
    """One event. A handler that is called with it twice finds the same `id`."""

    id: int
    """Grows in the order in which events became visible; all deliveries of one event share it."""
    type: str
    """One of `EVENT_TYPES`."""
    subject: str
    """The kind and the reference of what it is about, such as `order cart-1001`. A handler gets the events of one
    subject in order.
    """
    reference: str
    """The reference alone; of a key `account/label`."""
    account: str | None = None
    provider: str | None = None
    environment: Environment | None = None
    at: Instant
    """When it was recorded here."""
    data: dict[str, Any] = Field(default_factory=dict)
    """What was known at that moment, as JSON; amounts are text."""


class DeliveryState(StrEnum):
    """Where one event stands with one handler."""

    WAITING = "waiting"
    """To be called, or to be called again."""
    DONE = "done"
    """The handler has returned."""
    DEAD = "dead"
    """Tried as often as the handler allows; `events.replay` has it tried again."""


class Delivery(Result):
    """One event for one handler."""

    handler: str
    event: Event
    state: DeliveryState
    tries: int
    """How often the handler was called with it, since the last replay."""
    next_at: Instant
    """When it is called next, while it waits."""
    error: str | None = None
    """Why the last try failed: the type of the exception and its message, without secrets."""
    updated_at: Instant
    """When it was last tried, handed out or replayed."""


class HandlerState(Result):
    """How far a handler has come."""

    name: str
    registered: bool
    """Whether this process has it; a worker that has not cannot run it."""
    types: tuple[str, ...] = ()
    """The types of events that it is called with; empty where it is not registered."""
    cursor: int
    """The `id` of the last event that was looked at for it."""
    behind: int
    """How many events have come since."""
    waiting: int
    """How many of its deliveries wait."""
    dead: int
    """How many of its deliveries are dead."""
    paused: str | None = None
    """Why this process does not call it now; None where it does."""
