"""How the accounts do at making orders, as all processes on this store have seen it.

working ──▶ failing, below the number that counts ──▶ resting until `open_until` ──▶ one call probes it ─┐
   ▲                                                    ▲              it fails ──────────────────────────┤
   └──────────────────────────── it works ──────────────┼─────────────────────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from gateway.store.tables import account_health

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Health", "load_health", "probe", "record_failure", "record_success"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`failures` in a row, the last of them `error`. Until `open_until` the account is passed over; since then one
    call may probe it. None: too few failures to count.
    """

    account: str
    failures: int
    open_until: datetime | None
    error: str | None
    updated_at: datetime

    def rests(self, now: datetime) -> bool:
        """Whether it is passed over. A time that is much further away than it was set for was set by another clock."""
        if self.open_until is None:
            return False
        left = self.open_until - now
        return timedelta(0) < left <= 2 * (self.open_until - self.updated_at)

    def is_due(self, now: datetime) -> bool:
        """Whether the next call is the one that probes it."""
        return self.open_until is not None and not self.rests(now)


def load_health(connection: Connection, accounts: Iterable[str]) -> dict[str, Health]:
    """Of these accounts, those that have failed since they last worked."""
    query = select(account_health).where(account_health.c.account.in_(list(accounts)))
    return {row.account: Health(**row._mapping) for row in connection.execute(query)}


def record_failure(
    connection: Connection, account: str, error: str, *, failures: int, cool_down: timedelta, now: datetime
) -> None:
    """It failed once more. From `failures` in a row on it rests for `cool_down`."""
    known = load_health(connection, [account]).get(account)
    count = 1 if known is None else known.failures + 1
    values = {
        "failures": count,
        "open_until": now + cool_down if count >= failures else None,
        "error": error,
        "updated_at": now,
    }
    if known is None:
        connection.execute(insert(account_health).values(account=account, **values))
    else:
        connection.execute(update(account_health).where(account_health.c.account == account).values(**values))


def record_success(connection: Connection, account: str) -> None:
    """It worked: whatever was before is forgotten."""
    connection.execute(delete(account_health).where(account_health.c.account == account))


def probe(connection: Connection, account: str, *, cool_down: timedelta, now: datetime) -> bool:
    """Whether the caller is the one who may probe it: from now on it rests for all others. A prober that dies is
    followed by another after the same time.
    """
    known = load_health(connection, [account]).get(account)
    if known is None or not known.is_due(now):
        return False
    values = {"open_until": now + cool_down, "updated_at": now}
    connection.execute(update(account_health).where(account_health.c.account == account).values(**values))
    return True
