"""Deliveries: which handler still has to be called with which event. Events of one subject go to a handler in order.

A handler's cursor is the last event that was handed out to it. Handing out is the insert of a delivery for each event
that it wants, in one transaction with the move of the cursor: none is left out, and none is there twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import exists, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.models.events import Delivery, DeliveryState, Event
from gateway.store.events import event_of, last_id, wanted
from gateway.store.snapshots import restore
from gateway.store.tables import deliveries, events, handlers
from gateway.store.types import UtcDateTime

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

__all__ = [
    "Standing",
    "Waiting",
    "behind",
    "done",
    "due",
    "failed",
    "fan_out",
    "list_deliveries",
    "next_delivery",
    "replay",
    "standings",
]

WAITING, DONE, DEAD = (state.value for state in DeliveryState)

_earlier = deliveries.alias("earlier")
# Nothing of the same subject waits before it.
_FIRST_OF_ITS_SUBJECT = ~exists().where(
    _earlier.c.handler == deliveries.c.handler,
    _earlier.c.subject == deliveries.c.subject,
    _earlier.c.state == WAITING,
    _earlier.c.event_id < deliveries.c.event_id,
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a handler is to be called with next. `tries` counts the calls that failed."""

    id: int
    handler: str
    event: Event
    tries: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a handler has come."""

    name: str
    cursor: int
    behind: int
    waiting: int
    dead: int


def behind(connection: Connection, names: Iterable[str]) -> list[str]:
    """Those of these handlers to which events can be handed out, and those that are new."""
    newest = last_id(connection)
    known = {row.name: row.cursor for row in connection.execute(select(handlers.c.name, handlers.c.cursor))}
    return [name for name in names if known.get(name, -1) < newest]


def fan_out(
    connection: Connection,
    handler: str,
    *,
    types: Sequence[str],
    since: datetime | Literal["beginning", "now"],
    limit: int,
    now: datetime,
) -> int:
    """Hand the next events out to this handler, at most `limit`, and return how many were looked at.

    `since` is where a handler that nobody knew yet begins.
    """
    cursor = _cursor(connection, handler, since, now)
    following = select(events.c.id).where(events.c.id > cursor).order_by(events.c.id).limit(limit).subquery()
    passed, last = connection.execute(select(func.count(), func.max(following.c.id)).select_from(following)).one()
    if not passed:
        return 0
    moment = literal(now, UtcDateTime())
    # What follows an event that has to wait waits as long, so that nothing is looked at before its turn.
    waiting = deliveries.alias("waiting")
    as_long = select(func.max(waiting.c.next_at)).where(
        waiting.c.handler == handler, waiting.c.subject == events.c.subject, waiting.c.state == WAITING
    )
    news = select(
        literal(handler),
        events.c.id,
        events.c.subject,
        literal(WAITING),
        literal(0),
        func.coalesce(as_long.scalar_subquery(), moment),
        moment,
    ).where(events.c.id > cursor, events.c.id <= last, wanted(types))
    columns = ("handler", "event_id", "subject", "state", "tries", "next_at", "updated_at")
    connection.execute(insert(deliveries).from_select(columns, news))
    connection.execute(update(handlers).where(handlers.c.name == handler).values(cursor=last, updated_at=now))
    return int(passed)


def _cursor(connection: Connection, handler: str, since: datetime | Literal["beginning", "now"], now: datetime) -> int:
    """Where the handler has come to; it is made known if it is not. Its row is held until the commit."""
    row = select(handlers.c.cursor).where(handlers.c.name == handler).with_for_update()
    cursor = connection.execute(row).scalar()
    if cursor is not None:
        return int(cursor)
    values = {"name": handler, "cursor": _beginning(connection, since), "created_at": now, "updated_at": now}
    # Another process may have made it known meanwhile.
    upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(upsert(handlers).values(**values).on_conflict_do_nothing())
    return int(connection.execute(row).scalar_one())


def _beginning(connection: Connection, since: datetime | Literal["beginning", "now"]) -> int:
    if since == "beginning":
        return 0
    if since == "now":
        return last_id(connection)
    first = connection.execute(select(func.min(events.c.id)).where(events.c.at >= since)).scalar()
    return last_id(connection) if first is None else int(first) - 1


def due(
    connection: Connection, now: datetime, limit: int, names: Collection[str] | None = None
) -> list[tuple[str, str]]:
    """Handlers and subjects that have a delivery which is due, at most `limit`, those that wait longest first.

    Each handler of `names` (None: all) in turn, so that one with many hides no other. Only reads.
    """
    if names is None:
        names = list(connection.execute(select(handlers.c.name).order_by(handlers.c.name)).scalars())
    queues = [list(connection.execute(_due(name, now, limit)).scalars()) for name in names]
    longest = max(map(len, queues), default=0)
    turns = [
        (name, queue[place])
        for place in range(longest)
        for name, queue in zip(names, queues, strict=True)
        if place < len(queue)
    ]
    return turns[:limit]


def _due(handler: str, now: datetime, limit: int) -> Select[Any]:
    return (
        select(deliveries.c.subject)
        .where(
            deliveries.c.handler == handler,
            deliveries.c.state == WAITING,
            deliveries.c.next_at <= now,
            _FIRST_OF_ITS_SUBJECT,
        )
        .order_by(deliveries.c.next_at, deliveries.c.event_id)
        .limit(limit)
    )


def next_delivery(connection: Connection, handler: str, subject: str, now: datetime) -> Waiting | None:
    """The first event of this subject that waits for this handler; None when it is not due, or there is none.

    One that was never tried is due whatever the clock says.
    """
    query = (
        select(deliveries.c.id.label("delivery"), deliveries.c.tries, deliveries.c.next_at, *events.c)
        .join(events, events.c.id == deliveries.c.event_id)
        .where(deliveries.c.handler == handler, deliveries.c.subject == subject, deliveries.c.state == WAITING)
        .order_by(deliveries.c.event_id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None or (row.tries and row.next_at > now):
        return None
    return Waiting(row.delivery, handler, event_of(row._mapping), row.tries)


def done(connection: Connection, delivery: Waiting, now: datetime) -> None:
    """The handler has returned."""
    _save(connection, delivery, DONE, error=None, next_at=now, now=now)


def failed(
    connection: Connection, delivery: Waiting, error: str, *, most: int, pause: timedelta, now: datetime
) -> DeliveryState:
    """The handler failed: the delivery waits for `pause`, and with it what follows of its subject; after `most` tries
    it is dead, and what follows goes on.
    """
    if delivery.tries + 1 >= most:
        _save(connection, delivery, DEAD, error=error, next_at=now, now=now)
        return DeliveryState.DEAD
    again = now + pause
    _save(connection, delivery, WAITING, error=error, next_at=again, now=now)
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.handler == delivery.handler,
            deliveries.c.subject == delivery.event.subject,
            deliveries.c.state == WAITING,
            deliveries.c.next_at < again,
        )
        .values(next_at=again)
    )
    return DeliveryState.WAITING


def _save(
    connection: Connection, delivery: Waiting, state: str, *, error: str | None, next_at: datetime, now: datetime
) -> None:
    """Nothing, when it is not waiting any more: somebody else has ended it."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.state == WAITING)
        .values(state=state, tries=delivery.tries + 1, error=error, next_at=next_at, updated_at=now)
    )


def replay(
    connection: Connection,
    *,
    handler: str | None,
    numbers: Collection[int] | None,
    subject: str | None,
    done_too: bool,
    now: datetime,
) -> int:
    """Have dead deliveries (and, with `done_too`, those that were done) made again, and return how many.

    None restricts nothing.
    """
    ended = (DEAD, DONE) if done_too else (DEAD,)
    again = update(deliveries).where(deliveries.c.state.in_(ended))
    if handler is not None:
        again = again.where(deliveries.c.handler == handler)
    if numbers is not None:
        again = again.where(deliveries.c.event_id.in_(numbers))
    if subject is not None:
        again = again.where(deliveries.c.subject == subject)
    return connection.execute(again.values(state=WAITING, tries=0, error=None, next_at=now, updated_at=now)).rowcount


def list_deliveries(
    connection: Connection, state: DeliveryState, *, handler: str | None = None, limit: int
) -> list[Delivery]:
    """Deliveries in this state, newest event first."""
    own = [deliveries.c[name].label(f"delivery_{name}") for name in ("handler", *_OWN)]
    query = select(*own, *events.c).join(events, events.c.id == deliveries.c.event_id)
    query = query.where(deliveries.c.state == state.value)
    if handler is not None:
        query = query.where(deliveries.c.handler == handler)
    rows = connection.execute(query.order_by(deliveries.c.event_id.desc(), deliveries.c.handler).limit(limit))
    return [
        restore(
            Delivery,
            {
                "event": event_of(row._mapping),
                **{name: row._mapping[f"delivery_{name}"] for name in ("handler", *_OWN)},
            },
            f"the delivery of event {row.id}",
        )
        for row in rows
    ]


_OWN = ("state", "tries", "next_at", "error", "updated_at")


def standings(connection: Connection) -> list[Standing]:
    """Every handler that was ever known, by name."""
    later = select(func.count()).select_from(events).where(events.c.id > handlers.c.cursor).scalar_subquery()
    counted = {
        (row.handler, row.state): row.many
        for row in connection.execute(
            select(deliveries.c.handler, deliveries.c.state, func.count().label("many"))
            .where(deliveries.c.state.in_((WAITING, DEAD)))
            .group_by(deliveries.c.handler, deliveries.c.state)
        )
    }
    return [
        Standing(
            row.name, row.cursor, row.behind, counted.get((row.name, WAITING), 0), counted.get((row.name, DEAD), 0)
        )
        for row in connection.execute(
            select(handlers.c.name, handlers.c.cursor, later.label("behind")).order_by(handlers.c.name)
        )
    ]
