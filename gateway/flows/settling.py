"""The journal, and how a person settles a write of unknown outcome by evidence. Nothing here sends anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.errors import InvalidRequest
from gateway.store import journal, outcomes
from gateway.store.journal import JournalEntry, JournalState

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["entries", "find", "settle"]


def settle(
    core: Core,
    reference: str,
    *,
    outcome: Literal["done", "failed"],
    reason: str,
    by: str,
    operation: str | None,
    scope: str | None,
    provider_id: str | None,
) -> Flow[JournalEntry]:
    """Record what a person found out about an unknown write. `failed` means that nothing was done; nothing is sent
    either way.
    """
    if not reason.strip():
        raise InvalidRequest("a settlement needs a reason", hint="say what was seen at the provider")

    def work(connection: Connection) -> JournalEntry:
        now = core.now()
        entry = journal.settle(
            connection,
            reference=reference,
            operation=operation,
            scope=scope,
            outcome=outcome,
            reason=reason,
            by=by,
            provider_id=provider_id,
            now=now,
        )
        if outcome == "failed":
            outcomes.mark_failed(connection, entry, now)
        else:
            outcomes.mark_done(connection, entry, now)
        return entry

    return (yield from transact(work))


def entries(
    core: Core, *, states: tuple[JournalState, ...] | None, account: str | None, limit: int
) -> Flow[list[JournalEntry]]:
    """The journal, newest first. Entries whose sender died are found as unknown here too."""

    def work(connection: Connection) -> list[JournalEntry]:
        outcomes.recover(connection, core.now())
        return journal.list_entries(connection, states=states, account=account, limit=limit)

    return (yield from transact(work))


def find(core: Core, reference: str) -> Flow[list[JournalEntry]]:
    """Every entry of a reference, oldest first."""

    def work(connection: Connection) -> list[JournalEntry]:
        outcomes.recover(connection, core.now())
        return journal.find(connection, reference)

    return (yield from transact(work))
