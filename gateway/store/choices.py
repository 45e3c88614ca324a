"""Why an order went where it went, one row for every account that was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from gateway.models.base import Environment
from gateway.models.choices import Choice, Verdict
from gateway.store.tables import choices

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Looked", "list_choices", "record_choices"]

Looked = tuple[int, str, Verdict, str]
"""The number of the attempt, the account, what was decided, and why."""


def record_choices(
    connection: Connection, reference: str, looked: Sequence[Looked], *, environment: Environment, now: datetime
) -> None:
    """Keep what was decided, in this order. What was recorded of the same attempt before is not repeated."""
    known = {
        tuple(row)
        for row in connection.execute(
            select(choices.c.number, choices.c.account, choices.c.verdict, choices.c.reason).where(
                choices.c.reference == reference
            )
        )
    }
    fresh = [
        {
            "reference": reference,
            "number": number,
            "account": account,
            "environment": environment.value,
            "verdict": verdict.value,
            "reason": reason,
            "at": now,
        }
        for number, account, verdict, reason in dict.fromkeys(looked)
        if (number, account, verdict.value, reason) not in known
    ]
    if fresh:
        connection.execute(insert(choices), fresh)


def list_choices(connection: Connection, reference: str) -> list[Choice]:
    """What was decided for the order, oldest first."""
    query = select(choices).where(choices.c.reference == reference).order_by(choices.c.id)
    return [Choice.model_validate(dict(row._mapping)) for row in connection.execute(query)]
