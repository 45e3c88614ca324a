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
    """One difference. `here` and `there` are words for a person, `todo` is what to do about it.

    `number` is an order's attempt. `matches` are suggestions and never proof: two purchases of one price look the same.
    `repaired` says that what is known here follows the provider since.
    """

    kind: FindingKind
    subject: Subject
    account: str
    reference: str | None = None
    number: int | None = None
    provider_id: str | None = None
    here: str | None = None
    there: str | None = None
    todo: str
    matches: tuple[dict[str, Any], ...] = ()
    repaired: bool = False


class NotCompared(Result):
    """What was left out, and why. `failed` says that it should have been compared and could not be."""

    what: str
    reason: str
    failed: bool = False


class Reconciliation(Result):
    """One run over one account. `read` counts what the provider's lists held, by operation.

    Of the findings at most 10,000 are kept; `unlisted` counts the others.
    """

    account: str
    provider: str
    environment: Environment
    since: Instant
    until: Instant
    began_at: Instant
    ended_at: Instant
    read: dict[str, int] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    unlisted: int = 0
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
