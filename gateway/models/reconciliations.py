"""Reconciliations: the provider's books beside ours, and what differs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, computed_field

from gateway.models.base import Environment, Instant, Result

__all__ = ["Finding", "FindingKind", "NotCompared", "Reconciliation", "Subject"]

Subject = Literal["order", "withdrawal", "refund", "trade", "customer", "card", "transaction"]


class FindingKind(StrEnum):
    """How the two differ."""

    PAID_THERE = "paid-there"
    """Money has come, or gone back, at the provider, and it is open here."""
    OPEN_THERE = "open-there"
    """It is final here, and open at the provider."""
    STATUS_DIFFERS = "status-differs"
    """It stands elsewhere at the provider, and no money is in it."""
    AMOUNT_DIFFERS = "amount-differs"
    """The amounts, or the coins, are not the same."""
    UNKNOWN_HERE = "unknown-here"
    """The provider has it, and it was not made here."""
    NOT_SHOWN = "not-shown"
    """It was made here, and the provider's list does not show it. An absence proves nothing."""
    UNCONFIRMED = "unconfirmed"
    """A write whose outcome is unknown; `matches` are what may have come of it."""
    OUTSIDE = "outside"
    """Money moved at the provider, and no order, payout or refund here accounts for it."""


class Finding(Result):
    """One difference."""

    kind: FindingKind
    subject: Subject
    account: str
    reference: str | None = None
    """None where nothing here has it."""
    number: int | None = None
    """An order's attempt."""
    provider_id: str | None = None
    """None where nothing at the provider is known of it."""
    here: str | None = None
    """How it stands here, in words for a person; None where it is not here."""
    there: str | None = None
    """How it stands at the provider, likewise."""
    todo: str
    """What to do about it, in words for a person."""
    matches: tuple[dict[str, Any], ...] = ()
    """What may have come of a write of unknown outcome. Suggestions and never proof: two purchases of one price look
    the same.
    """
    repaired: bool = False
    """Whether what is known here follows the provider since."""


class NotCompared(Result):
    """What was left out, and why."""

    what: str
    """In words for a person, as `reason`."""
    reason: str
    failed: bool = False
    """Whether it should have been compared and could not be."""


class Reconciliation(Result):
    """One run over one account."""

    account: str
    provider: str
    environment: Environment
    since: Instant
    """The beginning of the time that was looked at."""
    until: Instant
    """The end of that time, not a part of it."""
    began_at: Instant
    ended_at: Instant
    read: dict[str, int] = Field(default_factory=dict)
    """How many rows the provider's lists held, by operation."""
    findings: tuple[Finding, ...] = ()
    """At most 10,000 are kept."""
    unlisted: int = 0
    """How many findings there were beyond those that are kept."""
    not_compared: tuple[NotCompared, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def differs(self) -> bool:
        """Whether something is left to do: a finding that was not repaired."""
        return self.unlisted > 0 or any(not finding.repaired for finding in self.findings)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def complete(self) -> bool:
        """Whether all was compared that the provider offers."""
        return not any(one.failed for one in self.not_compared)
