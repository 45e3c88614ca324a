"""That the store was restored from an older state: noticed, told, and accepted by a person.

What was sent since that state was taken is not in it, so the journal cannot keep it from being sent again. Until a
person has compared it with the providers and accepted it, no money leaves.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from gateway.errors import InvalidRequest, NotFound, OutcomeUnknown, StoreError
from gateway.store import journal
from gateway.store.journal import JournalEntry, JournalState
from gateway.store.outcomes import mark_unknown
from gateway.store.tables import facts, restores

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "OPEN",
    "Restore",
    "accept",
    "fact",
    "list_restores",
    "note",
    "open_entries",
    "remember",
    "require_none",
    "unaccepted",
]

OPEN = (JournalState.INTENDED, JournalState.SENT, JournalState.UNKNOWN)
"""Journal entries that have not ended."""

_MOST = 10_000

# What may be sent although the store was restored and nobody has looked yet. Nothing of the merchant's leaves with
# these, and made a second time they cost nobody anything, while a shop that takes no orders loses all of them.
_WITHOUT_MONEY = ("orders.create", "customers.create")


@dataclass(frozen=True, kw_only=True)
class Restore:
    """One time that the store was found to be an older state of itself, or another one."""

    id: int
    reason: str
    found_at: datetime
    accepted_by: str | None
    accepted_reason: str | None
    accepted_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able data; times in ISO 8601."""
        data = asdict(self)
        return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in data.items()}


def note(connection: Connection, reason: str, now: datetime) -> Restore:
    """The store was restored: no money leaves until that is accepted.

    An intent of the restored state may have been sent since that was taken, so it is `unknown` from now on and not sent
    again; whoever holds one is stopped before it is sent.
    """
    if not reason.strip():
        raise InvalidRequest("what is recorded of a restore says how it is known")
    made = connection.execute(insert(restores).values(reason=reason, found_at=now))
    for entry in _entries(connection, (JournalState.INTENDED,)):
        if entry.operation in _WITHOUT_MONEY:
            continue
        error = OutcomeUnknown(
            "the store was restored to a state in which this was about to be sent; it may have been",
            account=entry.account,
            provider=entry.provider,
            operation=entry.operation,
            reference=entry.reference,
            hint=f"look at the provider, then `gateway journal settle {entry.reference} --as done|failed --reason …`",
        )
        mark_unknown(connection, journal.doubt(connection, entry, error=error.to_dict(), now=now), now)
    key = made.inserted_primary_key
    assert key is not None
    return _restore(connection.execute(select(restores).where(restores.c.id == key[0])).one())


def unaccepted(connection: Connection) -> list[Restore]:
    """What nobody has accepted yet, oldest first."""
    query = select(restores).where(restores.c.accepted_at.is_(None)).order_by(restores.c.id)
    return [_restore(row) for row in connection.execute(query)]


def list_restores(connection: Connection) -> list[Restore]:
    """All of them, newest first."""
    return [_restore(row) for row in connection.execute(select(restores).order_by(restores.c.id.desc()))]


def accept(connection: Connection, *, by: str, reason: str, now: datetime) -> list[Restore]:
    """A person has compared the store with the providers: money may leave again. Returns what was accepted.

    Raises NotFound when there is nothing to accept.
    """
    if not by.strip() or not reason.strip():
        raise InvalidRequest("whoever accepts a restore says who it is and why")
    found = unaccepted(connection)
    if not found:
        raise NotFound("there is no restore to accept: money is not held back", hint="see `gateway store check`")
    accepted = update(restores).where(restores.c.accepted_at.is_(None))
    connection.execute(accepted.values(accepted_by=by, accepted_reason=reason, accepted_at=now))
    ids = [restore.id for restore in found]
    return [_restore(row) for row in connection.execute(select(restores).where(restores.c.id.in_(ids)))]


def require_none(connection: Connection, asked: JournalEntry) -> None:
    """Raises StoreError while a restore is not accepted and this write, which was just begun, could move money."""
    found = unaccepted(connection) if asked.operation not in _WITHOUT_MONEY else []
    if not found:
        return
    entries = sum(entry.id != asked.id for entry in open_entries(connection))
    raise StoreError(
        f"the store was restored ({found[0].reason}; noticed {found[0].found_at:%Y-%m-%d %H:%M:%S} UTC) and nobody has "
        f"accepted that yet, so no money leaves; open journal entries: {entries}; nothing was sent",
        hint="`gateway store check` lists them; compare the store with the providers, settle what is unknown, then "
        "`gateway store accept-restore --reason …`",
    )


def open_entries(connection: Connection) -> list[JournalEntry]:
    """The journal entries that have not ended, oldest first."""
    return _entries(connection, OPEN)


def fact(connection: Connection, name: str) -> Any:
    """What the store remembers of itself under this name: JSON; None when it is nothing."""
    return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()


def remember(connection: Connection, name: str, value: dict[str, Any]) -> None:
    changed = connection.execute(update(facts).where(facts.c.name == name).values(value=value))
    if not changed.rowcount:
        connection.execute(insert(facts).values(name=name, value=value))


def _entries(connection: Connection, states: tuple[JournalState, ...]) -> list[JournalEntry]:
    return journal.list_entries(connection, states=states, limit=_MOST)[::-1]


def _restore(row: Any) -> Restore:
    return Restore(**row._mapping)
