"""What is done at fixed intervals: whoever moves its next time forward does it, so that it is done once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store.tables import schedules

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["due", "take"]


def due(connection: Connection, every: Mapping[str, timedelta], now: datetime, limit: int) -> list[str]:
    """The names, of those that are done at these intervals, whose time has come; those that nobody knows yet too."""
    if not every:
        return []
    known = {
        row.name: row.next_at
        for row in connection.execute(
            select(schedules.c.name, schedules.c.next_at).where(schedules.c.name.in_(sorted(every)))
        )
    }
    waiting = sorted((known[name], name) for name in every if name in known and _is_due(known[name], now, every[name]))
    return [*(name for name in every if name not in known), *(name for _, name in waiting)][:limit]


def take(connection: Connection, name: str, every: timedelta, now: datetime, *, at_once: bool = True) -> bool:
    """Claim this time of it, and set the next one. False when somebody else has, and the first time if that is not to
    be `at_once`.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    first = insert(schedules).values(name=name, next_at=now + every, last_at=now).on_conflict_do_nothing()
    if connection.execute(first.returning(schedules.c.name)).first() is not None:
        return at_once
    was = connection.execute(select(schedules.c.next_at).where(schedules.c.name == name)).scalar_one()
    if not _is_due(was, now, every):
        return False
    # The phase is kept, and what was missed is not made up for.
    next_at = was + every * ((now - was) // every + 1) if was <= now else now + every
    mine = update(schedules).where(schedules.c.name == name, schedules.c.next_at == was)
    return connection.execute(mine.values(next_at=next_at, last_at=now)).rowcount == 1


def _is_due(next_at: datetime, now: datetime, every: timedelta) -> bool:
    """A time further away than the interval was set by a clock that was ahead, or for a longer interval."""
    return next_at <= now or next_at > now + every
