"""Events: appended in the transaction of what they tell, numbered in the order in which they become visible."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, text

from gateway.errors import InvalidRequest
from gateway.models.base import Environment
from gateway.models.events import EVENT_TYPES
from gateway.store.snapshots import without_floats
from gateway.store.tables import events

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["append"]

# Any number that nothing else locks by; it is held until the commit.
_TURN = 0x6761_7465_7761_7931


def append(
    connection: Connection,
    kind: str,
    *,
    subject: str,
    reference: str,
    account: str | None,
    provider: str | None,
    environment: Environment | None,
    data: Mapping[str, Any],
    now: datetime,
) -> int:
    """Append one event to the subject's and return its number."""
    if kind not in EVENT_TYPES:
        raise InvalidRequest(f"there is no event {kind}")
    if connection.dialect.name == "postgresql":
        # A sequence gives numbers before the commit: without taking turns, a reader could pass one that comes later.
        connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
    row = connection.execute(
        insert(events)
        .values(
            type=kind,
            subject=f"{subject} {reference}",
            reference=reference,
            account=account,
            provider=provider,
            environment=environment.value if environment else None,
            data=without_floats(data),
            at=now,
        )
        .returning(events.c.id)
    )
    return int(row.scalar_one())
