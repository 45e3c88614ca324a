"""What is polled, and when next."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from gateway.models.base import Environment
from gateway.store.tables import watches

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["follow", "forget"]


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
    now: datetime,
) -> None:
    """Have this looked at from now on, or note that it has changed. `number` is an order's attempt.

    What has changed is looked at soon again; `unknown` comes first; `final` is watched for late money only.
    """
    thing = watches.c.kind == kind, watches.c.reference == reference, watches.c.number == number
    known = connection.execute(select(watches).where(*thing)).one_or_none()
    rank = 0 if unknown else 1
    if known is None:
        connection.execute(
            insert(watches).values(
                kind=kind,
                reference=reference,
                number=number,
                account=account,
                provider=provider,
                environment=environment.value,
                batch="",
                rank=rank,
                since=now,
                next_at=now,
                final_at=now if final else None,
                looks=0,
                failures=0,
                absences=0,
            )
        )
        return
    final_at = (known.final_at or now) if final else None
    if (known.rank, known.final_at) != (rank, final_at):
        connection.execute(update(watches).where(watches.c.id == known.id).values(rank=rank, final_at=final_at))


def forget(connection: Connection, kind: str, reference: str, number: int = 0) -> None:
    """It is not there any more: nothing had left."""
    connection.execute(
        delete(watches).where(watches.c.kind == kind, watches.c.reference == reference, watches.c.number == number)
    )
