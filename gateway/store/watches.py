"""What is polled, and when next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, bindparam, case, delete, func, insert, literal, or_, select, tuple_, update

from gateway.models.base import Environment
from gateway.store.tables import watches
from gateway.store.types import UtcDateTime

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = [
    "FIRST_LOOK",
    "OVERDUE",
    "SET_BACK",
    "Count",
    "Due",
    "Watch",
    "counts",
    "due",
    "failed",
    "failure",
    "follow",
    "forget",
    "keep_found",
    "load",
    "looked",
    "neglected",
    "places",
    "postpone",
    "suggestions",
    "watch_in",
]

FIRST_LOOK = timedelta(seconds=10)
"""What is new or has changed is looked at after this, unless the schedule then says later."""
OVERDUE = timedelta(minutes=5)
SET_BACK = timedelta(seconds=30)
"""What is so far in the future happened before the clock was set back."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """One thing that is polled: an attempt of an order (`number`), a payout, a refund or a trade."""

    id: int
    kind: str
    reference: str
    number: int
    account: str
    provider: str
    environment: Environment
    batch: str
    rank: int
    made_at: datetime
    since: datetime
    looked_at: datetime
    next_at: datetime
    final_at: datetime | None
    looks: int
    failures: int
    absences: int
    found: list[dict[str, Any]] | None
    error: str | None

    def is_due(self, now: datetime) -> bool:
        return self.next_at <= now or self.looked_at > now + SET_BACK


@dataclass(frozen=True, slots=True)
class Due:
    """What may be looked at: one thing, or, with a `batch`, all that is due of one customer's list."""

    rank: int
    next_at: datetime
    kind: str
    reference: str = ""
    number: int = 0
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """What is watched of one account: how much of it is open, of unknown outcome, failing, and long overdue."""

    account: str
    environment: Environment
    watched: int
    open: int
    unknown: int
    failing: int
    overdue: int
    next_at: datetime


def follow(
    connection: Connection,
    kind: str,
    reference: str,
    number: int = 0,
    *,
    account: str,
    provider: str,
    environment: Environment,
    unknown: bool,
    final: bool,
    changed: bool,
    now: datetime,
    made_at: datetime | None = None,
    batch: str = "",
) -> None:
    """Have this looked at from now on, or note that it has changed. `number` is an order's attempt; `made_at` when it
    was asked for.

    What has changed is looked at soon again; `unknown` comes first; `final` is watched for late money only, and not
    anew when nothing has changed.
    """
    known = load(connection, kind, reference, number)
    rank = 0 if unknown else 1
    if known is None:
        if final and not changed:
            return
        connection.execute(
            insert(watches).values(
                kind=kind,
                reference=reference,
                number=number,
                account=account,
                provider=provider,
                environment=environment.value,
                batch=batch,
                rank=rank,
                made_at=made_at or now,
                since=now,
                looked_at=now,
                next_at=now + FIRST_LOOK,
                final_at=now if final else None,
                looks=0,
                failures=0,
                absences=0,
            )
        )
        return
    final_at = (known.final_at or now) if final else None
    if not changed and (known.rank, known.final_at) == (rank, final_at):
        return
    values = {"rank": rank, "final_at": final_at, "since": now, "next_at": min(known.next_at, now + FIRST_LOOK)}
    connection.execute(update(watches).where(watches.c.id == known.id).values(**values))


def forget(connection: Connection, kind: str, reference: str, number: int = 0) -> None:
    """Nothing more can happen to it, or it is not there any more."""
    connection.execute(delete(watches).where(*_thing(kind, reference, number)))


def load(connection: Connection, kind: str, reference: str, number: int = 0) -> Watch | None:
    row = connection.execute(select(watches).where(*_thing(kind, reference, number))).one_or_none()
    return None if row is None else watch_in(row)


def due(
    connection: Connection, account: str, environment: Environment, now: datetime, limit: int, *, batches: bool
) -> list[Due]:
    """What of this account may be looked at now, at most `limit`: the unknown first, then what waits longest.

    With `batches` the orders of one customer are one look.
    """
    here = watches.c.account == account, watches.c.environment == environment.value
    set_back = connection.execute(select(watches.c.id).where(watches.c.looked_at > now + SET_BACK).limit(1)).first()
    time_has_come = _time_has_come(now) if set_back else watches.c.next_at <= now
    found: list[Due] = []
    for rank in (0, 1):  # one after the other, so that each is a range of the index
        query = select(watches).where(*here, watches.c.rank == rank, time_has_come).order_by(watches.c.next_at)
        if not batches:
            found += [
                Due(row.rank, row.next_at, row.kind, row.reference, row.number)
                for row in connection.execute(query.limit(limit - len(found)))
            ]
        elif connection.execute(query.limit(1)).first() is not None:
            found += _due_in_batches(connection, [*here, watches.c.rank == rank, time_has_come], rank, limit)
        if len(found) >= limit:
            break
    if not batches:
        return found
    # A customer of whom something is unknown is due once.
    once: dict[tuple[str, str, int, str], Due] = {}
    for one in found:
        once.setdefault((one.kind, one.reference, one.number, one.batch), one)
    return sorted(once.values(), key=lambda one: (one.rank, one.next_at))[:limit]


def _due_in_batches(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], rank: int, limit: int
) -> list[Due]:
    alone = select(watches).where(*conditions, watches.c.batch == "").order_by(watches.c.next_at).limit(limit)
    first = func.min(watches.c.next_at)
    together = (
        select(watches.c.batch, first.label("first"))
        .where(*conditions, watches.c.batch != "")
        .group_by(watches.c.batch)
        .order_by(first)
        .limit(limit)
    )
    return [
        *(Due(rank, row.next_at, row.kind, row.reference, row.number) for row in connection.execute(alone)),
        *(Due(rank, row.first, "order", batch=row.batch) for row in connection.execute(together)),
    ]


def looked(connection: Connection, seen: Iterable[tuple[Watch, datetime | None]], now: datetime) -> None:
    """These were read; each is looked at again at its time, or never (None)."""
    seen = list(seen)
    again = [{"watch": watch.id, "at": when} for watch, when in seen if when is not None]
    if again:
        values = {
            "next_at": bindparam("at"),
            "looked_at": now,
            "looks": watches.c.looks + 1,
            "failures": 0,
            "absences": 0,
            "error": None,
            **_not_after(now),
        }
        connection.execute(update(watches).where(watches.c.id == bindparam("watch")).values(**values), again)
    _drop(connection, [watch for watch, when in seen if when is None])


def postpone(
    connection: Connection,
    watch: Watch,
    when: datetime | None,
    now: datetime,
    *,
    looked: bool = False,
    absent: bool = False,
    error: str | None = None,
    found: list[dict[str, Any]] | None = None,
) -> None:
    """Nothing was learned of it, though it was looked for (`looked`) or its list was read to the end (`absent`)."""
    if when is None:
        _drop(connection, [watch])
        return
    values: dict[str, Any] = {
        "next_at": when,
        "error": error,
        "found": found if found is not None else watch.found,
        **_not_after(now),
    }
    if looked or absent:
        values |= {"looked_at": now, "looks": watch.looks + 1, "failures": 0}
    if absent:
        values["absences"] = watch.absences + 1
    connection.execute(update(watches).where(watches.c.id == watch.id).values(**values))


def failed(connection: Connection, failures: Iterable[tuple[Watch, datetime]], error: str, now: datetime) -> None:
    """These could not be read; each is tried again at its time."""
    rows = [{"watch": watch.id, "at": when} for watch, when in failures]
    if rows:
        values = {"next_at": bindparam("at"), **failure(error, now)}
        connection.execute(update(watches).where(watches.c.id == bindparam("watch")).values(**values), rows)


def keep_found(connection: Connection, watch: Watch, found: list[dict[str, Any]]) -> None:
    """Remember what it may be at the provider."""
    connection.execute(update(watches).where(watches.c.id == watch.id).values(found=found))


def neglected(connection: Connection, account: str, environment: Environment, since: datetime) -> bool:
    """Whether something of this account is due since then, and nothing of it was read since."""
    here = watches.c.account == account, watches.c.environment == environment.value
    late = watches.c.rank.in_((0, 1)), watches.c.next_at <= since
    read = watches.c.looked_at > since, watches.c.looks > 0

    def there_is(*conditions: ColumnElement[bool]) -> bool:
        return connection.execute(select(watches.c.id).where(*here, *conditions).limit(1)).first() is not None

    return there_is(*late) and not there_is(*read)


def suggestions(connection: Connection, reference: str, number: int = 0) -> list[dict[str, Any]]:
    """Likely matches at the provider of something whose number there is not known, best first."""
    query = select(watches.c.found).where(watches.c.reference == reference, watches.c.found.is_not(None))
    if number:
        query = query.where(watches.c.number == number)
    return [match for found in connection.execute(query).scalars() for match in found]


def places(connection: Connection) -> list[tuple[str, Environment]]:
    """Every account, with its environment, of which something is watched."""
    columns = watches.c.account, watches.c.environment
    query = select(*columns).order_by(*columns).limit(1)
    found: list[tuple[str, Environment]] = []
    row = connection.execute(query).first()
    while row is not None:  # from one to the next in the index, which is faster than reading all rows
        found.append((row.account, Environment(row.environment)))
        row = connection.execute(query.where(tuple_(*columns) > tuple_(row.account, row.environment))).first()
    return found


def counts(connection: Connection, now: datetime) -> list[Count]:
    """What is watched, an account at a time."""

    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    query = select(
        watches.c.account,
        watches.c.environment,
        func.count().label("watched"),
        number(watches.c.final_at.is_(None)).label("open"),
        number(watches.c.rank == 0).label("unknown"),
        number(watches.c.failures > 0).label("failing"),
        number(watches.c.next_at <= now - OVERDUE).label("overdue"),
        func.min(watches.c.next_at).label("next_at"),
    ).group_by(watches.c.account, watches.c.environment)
    return [
        Count(
            row.account,
            Environment(row.environment),
            row.watched,
            row.open,
            row.unknown,
            row.failing,
            row.overdue,
            row.next_at,
        )
        for row in connection.execute(query.order_by(watches.c.account, watches.c.environment))
    ]


def _thing(kind: str, reference: str, number: int) -> tuple[ColumnElement[bool], ...]:
    return watches.c.kind == kind, watches.c.reference == reference, watches.c.number == number


def _time_has_come(now: datetime) -> ColumnElement[bool]:
    return or_(watches.c.next_at <= now, watches.c.looked_at > now + SET_BACK)


def _not_after(now: datetime) -> dict[str, Any]:
    """A clock that was set back makes nothing younger than it is."""
    return {
        name: case((watches.c[name] > now, literal(now, UtcDateTime())), else_=watches.c[name])
        for name in ("made_at", "since", "final_at")
    }


def failure(error: str, now: datetime) -> dict[str, Any]:
    """What a failed reading changes, beside when the next is."""
    return {"failures": watches.c.failures + 1, "error": error, **_not_after(now)}


def _drop(connection: Connection, over: Sequence[Watch]) -> None:
    if over:
        connection.execute(delete(watches).where(watches.c.id.in_([watch.id for watch in over])))


def watch_in(row: Row[Any]) -> Watch:
    """The watch that a row has the columns of."""
    values = {column.name: row._mapping[column] for column in watches.c}
    return Watch(**{**values, "environment": Environment(row._mapping[watches.c.environment])})
