"""Orders that are read page by page: what is watched of a customer, and how far the reading of the list has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from gateway.models.base import Environment
from gateway.models.orders import OrderStatus
from gateway.store.tables import attempts, walks, watches
from gateway.store.watches import SET_BACK, Watch, failure, watch_in

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = [
    "Shown",
    "Waiting",
    "Walk",
    "end_walk",
    "failed_together",
    "go_on",
    "load_walk",
    "numberless",
    "shown",
    "waiting",
    "waits",
]


@dataclass(frozen=True, slots=True)
class Shown:
    """An attempt that a provider's list shows, as it is known here; `watch` None when it is not watched any more."""

    reference: str
    number: int
    provider_id: str
    status: str
    snapshot: dict[str, Any] | None
    watch: Watch | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An attempt that is watched; `provider_id` None when its number at the provider is not known."""

    watch: Watch
    status: OrderStatus
    provider_id: str | None


@dataclass(frozen=True, slots=True)
class Walk:
    """A list that is read page by page; `cursor` is where to go on."""

    cursor: str
    began_at: datetime


def shown(connection: Connection, account: str, environment: Environment, provider_ids: Iterable[str]) -> list[Shown]:
    """Of a page of a provider's orders, those that are attempts made here."""
    query = (
        select(
            attempts.c.reference.label("order"),
            attempts.c.number.label("attempt"),
            attempts.c.provider_id,
            attempts.c.status,
            attempts.c.snapshot,
            watches,
        )
        .outerjoin_from(
            attempts,
            watches,
            and_(
                watches.c.kind == "order",
                watches.c.reference == attempts.c.reference,
                watches.c.number == attempts.c.number,
            ),
        )
        .where(
            attempts.c.account == account,
            attempts.c.environment == environment.value,
            attempts.c.provider_id.in_(list(provider_ids)),
        )
    )
    return [
        Shown(
            row.order, row.attempt, row.provider_id, row.status, row.snapshot, None if row.id is None else watch_in(row)
        )
        for row in connection.execute(query)
    ]


def waits(
    connection: Connection,
    account: str,
    environment: Environment,
    batch: str,
    *,
    now: datetime,
    since: datetime,
    made_before: datetime | None = None,
    patience: int = 0,
) -> bool:
    """Whether an order of this customer is due that was not looked at since then. With `made_before` only such count,
    and those that were absent `patience` times.
    """
    conditions = _waiting(account, environment, batch, now, since)
    if made_before is not None:
        conditions.append(or_(watches.c.made_at < made_before, watches.c.absences >= patience))
    return connection.execute(select(watches.c.id).where(*conditions).limit(1)).first() is not None


def waiting(
    connection: Connection,
    account: str,
    environment: Environment,
    batch: str,
    *,
    now: datetime,
    since: datetime,
    limit: int,
) -> list[Waiting]:
    """Those orders, what waits longest first."""
    conditions = _waiting(account, environment, batch, now, since)
    query = _with_attempts.where(*conditions).order_by(watches.c.rank, watches.c.next_at).limit(limit)
    return [_waits(row) for row in connection.execute(query)]


def numberless(
    connection: Connection,
    account: str,
    environment: Environment,
    *,
    batch: str | None = None,
    asked_since: datetime | None = None,
    limit: int,
) -> list[Waiting]:
    """The watched attempts at this account whose number at the provider is not known."""
    query = _with_attempts.where(
        attempts.c.account == account,
        attempts.c.environment == environment.value,
        attempts.c.provider_id.is_(None),
    )
    if batch is not None:
        query = query.where(watches.c.batch == batch)
    if asked_since is not None:
        query = query.where(watches.c.made_at >= asked_since)
    return [_waits(row) for row in connection.execute(query.order_by(watches.c.id).limit(limit))]


def failed_together(
    connection: Connection,
    account: str,
    environment: Environment,
    batch: str,
    *,
    now: datetime,
    since: datetime,
    error: str,
    at: datetime,
) -> None:
    """The list of this customer could not be read: all that is due of it and was not looked at since then."""
    conditions = _waiting(account, environment, batch, now, since)
    connection.execute(update(watches).where(*conditions).values(next_at=at, **failure(error, now)))


def load_walk(connection: Connection, account: str, environment: Environment, batch: str) -> Walk | None:
    row = connection.execute(select(walks).where(*_walk(account, environment, batch))).one_or_none()
    return None if row is None else Walk(row.cursor, row.began_at)


def go_on(
    connection: Connection, account: str, environment: Environment, batch: str, cursor: str, began_at: datetime
) -> None:
    """Remember where to go on."""
    moved = update(walks).where(*_walk(account, environment, batch)).values(cursor=cursor, began_at=began_at)
    if connection.execute(moved).rowcount == 0:
        connection.execute(
            insert(walks).values(
                account=account, environment=environment.value, batch=batch, cursor=cursor, began_at=began_at
            )
        )


def end_walk(connection: Connection, account: str, environment: Environment, batch: str) -> None:
    connection.execute(delete(walks).where(*_walk(account, environment, batch)))


_with_attempts = select(watches, attempts.c.status, attempts.c.provider_id).join_from(
    attempts,
    watches,
    and_(
        watches.c.kind == "order",
        watches.c.reference == attempts.c.reference,
        watches.c.number == attempts.c.number,
    ),
)


def _waits(row: Row[Any]) -> Waiting:
    return Waiting(watch_in(row), OrderStatus(row.status), row.provider_id)


def _waiting(
    account: str, environment: Environment, batch: str, now: datetime, since: datetime
) -> list[ColumnElement[bool]]:
    return [
        watches.c.account == account,
        watches.c.environment == environment.value,
        watches.c.batch == batch,
        or_(and_(watches.c.next_at <= now, watches.c.looked_at < since), watches.c.looked_at > now + SET_BACK),
    ]


def _walk(account: str, environment: Environment, batch: str) -> tuple[ColumnElement[bool], ...]:
    return walks.c.account == account, walks.c.environment == environment.value, walks.c.batch == batch
