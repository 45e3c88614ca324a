"""Accounts that are not polled for a while, and what was reported of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from gateway.store.tables import facts, rests
from gateway.store.watches import SET_BACK

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Rest", "end_rest", "load_rest", "load_rests", "report_once", "rest"]


@dataclass(frozen=True, slots=True)
class Rest:
    """An account that is left alone until then. `failures` in a row; 0 when only the key's calls are used up."""

    began_at: datetime
    until: datetime
    failures: int
    error: str

    def holds(self, now: datetime) -> bool:
        return self.until > now and self.began_at <= now + SET_BACK


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
