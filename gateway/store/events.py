"""Events: appended in the transaction of what they tell, numbered in the order in which they become visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, insert, or_, select, text, true

from gateway.errors import InvalidRequest
from gateway.models.base import Environment
from gateway.models.events import EVENT_TYPES, Event
from gateway.store.snapshots import restore, without_floats
from gateway.store.tables import events

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Select

__all__ = ["append", "event_of", "last_id", "latest", "since", "wanted"]

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


def since(
    connection: Connection, cursor: int, limit: int, types: Iterable[str] | None = None, subject: str | None = None
) -> list[Event]:
    """The events after number `cursor`, oldest first, at most `limit`. `types` as `check_types` allows them, None for
    all; `subject` such as `order cart-1001`.
    """
    query = _of(types, subject).where(events.c.id > cursor).order_by(events.c.id).limit(limit)
    return [event_of(row._mapping) for row in connection.execute(query)]


def latest(
    connection: Connection, limit: int, types: Iterable[str] | None = None, subject: str | None = None
) -> list[Event]:
    """The newest events, at most `limit`, oldest first."""
    query = _of(types, subject).order_by(events.c.id.desc()).limit(limit)
    return [event_of(row._mapping) for row in connection.execute(query)][::-1]


def _of(types: Iterable[str] | None, subject: str | None) -> Select[Any]:
    query = select(events).where(wanted(types))
    return query if subject is None else query.where(events.c.subject == subject)


def last_id(connection: Connection) -> int:
    """The number of the newest event; 0 when there is none."""
    return connection.execute(select(func.max(events.c.id))).scalar() or 0


def wanted(types: Iterable[str] | None) -> ColumnElement[bool]:
    """The condition that an event is of one of these types. In SQL, so that a `*` also finds types that only a newer
    version knows.
    """
    if types is None or "*" in (types := tuple(types)):
        return true()
    whole = [kind for kind in types if not kind.endswith(".*")]
    return or_(
        events.c.type.in_(whole),
        *(events.c.type.startswith(kind.removesuffix("*"), autoescape=True) for kind in types if kind.endswith(".*")),
    )


def event_of(row: RowMapping) -> Event:
    return restore(Event, dict(row), f"the event {row['id']}")
