"""Times are the provider's own, in their own zone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.exercised import LONG_AGO

__all__ = ["is_the_time", "was_made"]


def was_made(name: str, order: Any, before: datetime, after: datetime) -> None:
    """What was made between these two moments says so, where it says anything."""
    made = order.created_at
    if made is not None and not before - LONG_AGO <= made <= after + LONG_AGO:
        is_the_time(name, "created_at", made, after)


def is_the_time(name: str, field: str, shown: datetime | None, truth: datetime) -> None:
    """The time that is shown is the one at the provider, but for minutes."""
    if shown is None or abs(shown - truth) <= LONG_AGO:
        return
    hours = Decimal(round((shown - truth).total_seconds() / 360)) / 10
    fault(
        f"{name}: {field} is {hours} hours away from what it is at the provider",
        expected=truth.isoformat(timespec="seconds"),
        found=shown.isoformat(timespec="seconds"),
        look_at="the zone of the provider's times: where it names none, a local time was taken for UTC",
    )
