"""How far the reading of a customer's list has come, and which accounts are not polled for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, insert, select, update

from gateway.models.base import Environment
from gateway.store.tables import facts, rests, walks

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "Rest",
    "Walk",
    "end_rest",
    "end_walk",
    "go_on",
    "load_rest",
    "load_rests",
    "load_walk",
    "report_once",
    "rest",
]

# What began so far in the future began before the clock was set back.
_SET_BACK = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Walk:
    """A list that is read page by page; `cursor` is where to go on."""

    cursor: str
    began_at: datetime


@dataclass(frozen=True, slots=True)
class Rest:
    """An account that is left alone until then. `failures` in a row; 0 when only the key's calls are used up."""

    began_at: datetime
    until: datetime
    failures: int
    error: str

    def holds(self, now: datetime) -> bool:
        return self.until > now and self.began_at <= now + _SET_BACK


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


def rest(connection: Connection, account: str, *, until: datetime, failures: int, error: str, now: datetime) -> None:
    """Leave this account alone until then."""
    values = {"began_at": now, "until": until, "failures": failures, "error": error}
    if connection.execute(update(rests).where(rests.c.account == account).values(**values)).rowcount == 0:
        connection.execute(insert(rests).values(account=account, **values))


def load_rest(connection: Connection, account: str) -> Rest | None:
    """The last rest of this account since it was reached, over or not."""
    row = connection.execute(select(rests).where(rests.c.account == account)).one_or_none()
    return None if row is None else Rest(row.began_at, row.until, row.failures, row.error)


def end_rest(connection: Connection, account: str) -> int:
    """It was reached: how many failures there were before."""
    row = connection.execute(select(rests.c.failures).where(rests.c.account == account)).one_or_none()
    if row is None:
        return 0
    connection.execute(delete(rests).where(rests.c.account == account))
    return int(row.failures)


def load_rests(connection: Connection) -> dict[str, Rest]:
    """The last rest of every account since it was reached, over or not."""
    return {
        row.account: Rest(row.began_at, row.until, row.failures, row.error) for row in connection.execute(select(rests))
    }


def report_once(connection: Connection, name: str, *, write: bool = True) -> bool:
    """Whether this has still to be reported; with `write` it counts as reported from now on."""
    if connection.execute(select(facts.c.name).where(facts.c.name == name)).first() is not None:
        return False
    if write:
        connection.execute(insert(facts).values(name=name, value={}))
    return True


def _walk(account: str, environment: Environment, batch: str) -> tuple[ColumnElement[bool], ...]:
    return walks.c.account == account, walks.c.environment == environment.value, walks.c.batch == batch
