"""How often a key may be used, for all processes together: never more than N sendings within any window.

The window slides, because nobody says where the provider's own begins. A place is taken when a call is about to be
sent; a place in the future is waited for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, text, update

from gateway.store.tables import rate_budgets

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.contracts.adapter import RateLimit

__all__ = ["close", "headroom", "reserve", "server_time"]

# Between taking a place and arriving at the provider time passes, for one call more than for another. So that never too
# many arrive in a window of the provider's, ours is longer.
_MARGIN = timedelta(seconds=1)

# Clocks of several machines differ by less; a clock that goes back by more was set back.
_SET_BACK = timedelta(seconds=5)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def reserve(
    connection: Connection, key: str, limit: RateLimit, now: datetime, patience: float, keep_free: int = 0
) -> tuple[bool, float]:
    """Take the next place of this key. Returns (True, seconds to wait for it), or (False, seconds) when that leaves
    nothing of `patience`.

    With `keep_free`, so many places of the window are left to others, and a place is taken only if it is free at once:
    (False, seconds until it may be worth asking again).
    """
    places, closed = _load(connection, key, limit, now)
    start = max(now, closed) if closed is not None else now
    window = timedelta(seconds=limit.seconds) + _MARGIN
    most = limit.requests - keep_free
    if len(places) >= most:
        start = max(start, places[-most] + window)
    wait = (start - now).total_seconds()
    if wait > 0 and (keep_free or wait >= patience):
        return False, wait
    _save(connection, key, [*places, start][-limit.requests :], closed, now)
    return True, wait


def close(connection: Connection, key: str, limit: RateLimit, now: datetime, seconds: float) -> None:
    """The provider said when to come back: nobody uses this key before."""
    places, closed = _load(connection, key, limit, now)
    until = now + timedelta(seconds=seconds)
    _save(connection, key, places, until if closed is None else max(closed, until), now)


def headroom(connection: Connection, key: str, limit: RateLimit, now: datetime) -> int:
    """How many sendings are free at once."""
    places, closed = _load(connection, key, limit, now, writing=False)
    return 0 if closed is not None and closed > now else limit.requests - len(places)


def server_time(connection: Connection) -> datetime | None:
    """The time of the store's own server, where it has one: machines whose clocks differ share a budget by it."""
    if connection.dialect.name != "postgresql":
        return None
    found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found.astimezone(UTC)


def _load(
    connection: Connection, key: str, limit: RateLimit, now: datetime, *, writing: bool = True
) -> tuple[list[datetime], datetime | None]:
    """The places that count now, oldest first, and until when the key is closed."""
    query = select(rate_budgets).where(rate_budgets.c.key == key)
    row = connection.execute(query.with_for_update() if writing else query).one_or_none()
    if row is None:
        return [], None
    places, closed = [_EPOCH + place * _MICROSECOND for place in row.slots], row.closed_until
    back = row.seen_at - now
    if back > _SET_BACK:
        # What was a minute ago by the old time is a minute ago by the new.
        places, closed = [place - back for place in places], closed and closed - back
        if writing:
            _save(connection, key, places, closed, now)
    since = now - timedelta(seconds=limit.seconds) - _MARGIN
    return [place for place in places if place > since][-limit.requests :], closed


def _save(connection: Connection, key: str, places: list[datetime], closed: datetime | None, now: datetime) -> None:
    values: dict[str, Any] = {
        "slots": [(place - _EPOCH) // _MICROSECOND for place in places],
        "closed_until": closed if closed is not None and closed > now else None,
        "seen_at": now,
    }
    changed = connection.execute(update(rate_budgets).where(rate_budgets.c.key == key).values(**values))
    if not changed.rowcount:
        connection.execute(insert(rate_budgets).values(key=key, **values))
