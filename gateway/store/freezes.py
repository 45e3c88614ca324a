"""Accounts whose payouts are stopped from here, beside `frozen` in the settings.

What was lifted is kept for the record.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from gateway.errors import InvalidRequest
from gateway.store.tables import freezes

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["freeze", "frozen", "unfreeze"]


def freeze(connection: Connection, account: str, *, by: str, reason: str, now: datetime) -> bool:
    """Stop the account's payouts. False when they are stopped already; who did so first stays on record."""
    if not account.strip() or not by.strip() or not reason.strip():
        raise InvalidRequest("a freeze says which account, who froze it and why")
    if account in frozen(connection):
        return False
    connection.execute(insert(freezes).values(account=account, frozen_by=by, reason=reason, frozen_at=now))
    return True


def unfreeze(connection: Connection, account: str, *, now: datetime, by: str | None = None) -> bool:
    """Let payouts go again. False when they were not stopped from here."""
    lifted = update(freezes).where(freezes.c.account == account, freezes.c.lifted_at.is_(None))
    return connection.execute(lifted.values(lifted_by=by, lifted_at=now)).rowcount > 0


def frozen(connection: Connection) -> dict[str, dict[str, Any]]:
    """The stopped accounts: `by`, `reason` and `since` of each."""
    query = select(freezes).where(freezes.c.lifted_at.is_(None)).order_by(freezes.c.account)
    return {
        row.account: {"by": row.frozen_by, "reason": row.reason, "since": row.frozen_at}
        for row in connection.execute(query)
    }
