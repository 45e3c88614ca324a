"""Choices: why an order went where it went."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from gateway.models.base import Environment, Instant, Result
from gateway.models.orders import OrderStatus

__all__ = ["Choice", "Verdict"]


class Verdict(StrEnum):
    """What was decided about an account."""

    CHOSEN = "chosen"
    """The attempt was begun there."""
    SKIPPED = "skipped"
    """It was failing, and is left alone for a while."""
    REFUSED = "refused"
    """It cannot take this order: a route, its capabilities, or its adapter says so. Nothing was sent."""
    MOVED_ON = "moved-on"
    """The attempt failed there, or its outcome is unknown, and the order went on at another account."""


class Choice(Result):
    """One account that was looked at for an attempt, and why it was taken or not."""

    number: int
    """The attempt's, counted from 1."""
    account: str
    environment: Environment
    verdict: Verdict
    reason: str
    """In words for a person."""
    at: Instant
    """When it was decided."""
    status: OrderStatus | None = None
    """Where the attempt stands now; None unless the account was chosen."""
    error: dict[str, Any] | None = None
    """Why the creation failed or is unknown, as `GatewayError.to_dict()`; None unless the account was chosen."""
