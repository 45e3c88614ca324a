"""The journal: every write to a provider, recorded before it leaves.

    intended ──▶ sent ──▶ done | rejected | unknown ──▶ done | rejected   (settled by a person, or by the late answer)
        ▲          │
        └──────────┘  re-opened: nothing was done

An intent that was not sent ends as rejected when the same thing is begun elsewhere.

A row is identified by operation, reference and scope. Whoever begins it holds it with a lease under an owner's name;
every move says the state it comes from and, where the owner is given, whose it is. A move that lost a race is a
StoreError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import insert, select, update

from gateway.errors import (
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    Outcome,
    OutcomeUnknown,
    StoreError,
)
from gateway.models.base import Environment
from gateway.store.owner import Owner, is_alive
from gateway.store.snapshots import without_floats
from gateway.store.tables import journal
from gateway.store.types import canonical

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = [
    "Begun",
    "JournalEntry",
    "JournalState",
    "abandon",
    "begin",
    "doubt",
    "find",
    "fingerprint",
    "finish",
    "is_done_by",
    "is_held",
    "is_under_way",
    "list_entries",
    "mark_sent",
    "recover",
    "reopen",
    "require_same",
    "settle",
]


class JournalState(StrEnum):
    """DONE and REJECTED are final. UNKNOWN may have happened and is never sent again."""

    INTENDED = "intended"
    SENT = "sent"
    DONE = "done"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Begun(StrEnum):
    """What `begin` found."""

    FRESH = "fresh"
    """Ours to send."""
    RECORDED = "recorded"
    """Done or rejected before: the entry holds the result or the error."""
    UNKNOWN = "unknown"
    """Sent before, with an outcome that is not known."""
    BUSY = "busy"
    """Somebody else is at it."""


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One write. `result` is the provider's answer as a model's JSON, `error` a `GatewayError.to_dict()`."""

    id: int
    operation: str
    reference: str
    scope: str
    account: str
    provider: str
    environment: Environment
    fingerprint: str
    request: dict[str, Any]
    state: JournalState
    owner: str | None
    lease_until: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    provider_id: str | None
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    settled_by: str | None
    settled_reason: str | None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return " ".join(part for part in (self.operation, self.reference, self.scope) if part)

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON-able data; times in ISO 8601."""
        data = asdict(self)
        times = {key: value.isoformat() for key, value in data.items() if isinstance(value, datetime)}
        return {**data, **times, "environment": self.environment.value, "state": self.state.value}


def fingerprint(request: Mapping[str, Any]) -> str:
    """SHA-256 of the request's canonical JSON: equal for equal requests. Raises InvalidRequest for floats."""
    return hashlib.sha256(canonical(request).encode("ascii")).hexdigest()


def begin(
    connection: Connection,
    *,
    operation: str,
    reference: str,
    scope: str = "",
    account: str,
    provider: str,
    environment: Environment,
    fingerprint: str,
    request: Mapping[str, Any],
    owner: Owner | str,
    now: datetime,
    lease: timedelta,
) -> tuple[JournalEntry, Begun]:
    """Record the intent to send, or say what became of the one that is recorded. Only FRESH may be sent.

    An intent is taken over, with the account given now, when its owner is gone or its lease has run out; beginning
    again as the same owner is the same intent. What was `sent` by such an owner becomes `unknown` here. Raises
    IdempotencyConflict when the reference was used for another request or in the other environment.
    """
    row = connection.execute(
        select(journal)
        .where(journal.c.operation == operation, journal.c.reference == reference, journal.c.scope == scope)
        .with_for_update()
    ).one_or_none()
    ours = {
        "account": account,
        "provider": provider,
        "request": request,
        "owner": str(owner),
        "lease_until": now + lease,
        "updated_at": now,
    }
    if row is None:
        made = connection.execute(
            insert(journal).values(
                operation=operation,
                reference=reference,
                scope=scope,
                environment=environment.value,
                fingerprint=fingerprint,
                state=JournalState.INTENDED.value,
                created_at=now,
                **ours,
            )
        )
        key = made.inserted_primary_key
        assert key is not None
        return _load(connection, key[0]), Begun.FRESH
    entry = _entry(row)
    require_same(entry, fingerprint, environment)
    if entry.state is JournalState.SENT and not is_held(entry, now):
        entry = _lose(connection, entry, now)
    match entry.state:
        case JournalState.DONE | JournalState.REJECTED:
            return entry, Begun.RECORDED
        case JournalState.UNKNOWN:
            return entry, Begun.UNKNOWN
        case JournalState.INTENDED if entry.owner == str(owner) or not is_held(entry, now):
            connection.execute(update(journal).where(journal.c.id == entry.id).values(**ours))
            return _load(connection, entry.id), Begun.FRESH
        case _:
            return entry, Begun.BUSY


def require_same(entry: JournalEntry, fingerprint: str, environment: Environment | None = None) -> None:
    """Raise IdempotencyConflict unless this is the request that is recorded. `environment` None is not compared."""
    if environment is not None and environment is not entry.environment:
        what = f"in the {entry.environment} environment, and this call is {environment}"
    elif fingerprint != entry.fingerprint:
        what = "for another request"
    else:
        return
    raise IdempotencyConflict(
        f"the reference {entry.reference} was used at {entry.account} on "
        f"{entry.created_at:%Y-%m-%d %H:%M:%S} UTC {what}; nothing was sent",
        operation=entry.operation,
        reference=entry.reference,
        hint="another request needs a reference of its own",
    )


def mark_sent(connection: Connection, entry_id: int, now: datetime, *, owner: Owner | str | None = None) -> None:
    """It leaves now. Commit this before the first byte does. Raises StoreError when it is not ours to send any more."""
    _move(
        connection,
        entry_id,
        (JournalState.INTENDED,),
        owner,
        state=JournalState.SENT.value,
        sent_at=now,
        updated_at=now,
    )


def finish(
    connection: Connection,
    entry_id: int,
    state: JournalState,
    *,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    provider_id: str | None = None,
    owner: Owner | str | None = None,
    now: datetime,
) -> JournalEntry:
    """What became of a write that was sent: done, rejected or unknown. Returns the entry as it is then.

    With `owner`, the sender may also end a write that became `unknown` while it waited: its answer is the best
    evidence.
    """
    if state in (JournalState.INTENDED, JournalState.SENT):
        raise InvalidRequest(f"a write does not end as {state}")
    from_states = (JournalState.SENT,) if owner is None else (JournalState.SENT, JournalState.UNKNOWN)
    values: dict[str, Any] = {} if provider_id is None else {"provider_id": provider_id}
    _move(
        connection,
        entry_id,
        from_states,
        owner,
        state=state.value,
        result=without_floats(result),
        error=without_floats(error),
        updated_at=now,
        ended_at=None if state is JournalState.UNKNOWN else now,
        **values,
    )
    return _load(connection, entry_id)


def reopen(
    connection: Connection,
    entry_id: int,
    *,
    error: Mapping[str, Any] | None,
    owner: Owner | str | None = None,
    now: datetime,
) -> None:
    """Nothing was done: the same call may send it, from any process and at once."""
    _move(
        connection,
        entry_id,
        (JournalState.INTENDED, JournalState.SENT),
        owner,
        state=JournalState.INTENDED.value,
        owner=None,
        lease_until=None,
        sent_at=None,
        error=without_floats(error),
        updated_at=now,
    )


def abandon(connection: Connection, entry: JournalEntry, *, error: Mapping[str, Any], now: datetime) -> None:
    """Nothing of this intent was done, and nothing will be: the thing was begun elsewhere. Raises StoreError when
    somebody holds it.
    """
    if is_held(entry, now):
        raise StoreError(f"the journal entry of {entry.name} is somebody's at this moment; it was not ended")
    _move(
        connection,
        entry.id,
        (JournalState.INTENDED,),
        None,
        state=JournalState.REJECTED.value,
        owner=None,
        lease_until=None,
        error=without_floats(error),
        updated_at=now,
        ended_at=now,
    )


def is_done_by(connection: Connection, entry_id: int, owner: Owner | str | None) -> bool:
    """Whether this owner's answer is recorded already."""
    entry = _load(connection, entry_id)
    return entry.state is JournalState.DONE and owner is not None and entry.owner == str(owner)


def doubt(connection: Connection, entry: JournalEntry, *, error: Mapping[str, Any], now: datetime) -> JournalEntry:
    """An intent of which it is not known any more whether it was sent. Its holder, if there is one, cannot send it."""
    _move(
        connection,
        entry.id,
        (JournalState.INTENDED,),
        None,
        state=JournalState.UNKNOWN.value,
        error=without_floats(error),
        updated_at=now,
    )
    return _load(connection, entry.id)


def is_under_way(connection: Connection, operation: str, reference: str, scope: str, now: datetime) -> bool:
    """Whether somebody holds this write at this moment, sent or about to be."""
    found = [entry for entry in find(connection, reference, operation) if entry.scope == scope]
    return any(entry.state in (JournalState.INTENDED, JournalState.SENT) and is_held(entry, now) for entry in found)


def recover(connection: Connection, now: datetime) -> list[JournalEntry]:
    """Whatever was sent by a process that has ended is `unknown` from now on; these entries, oldest first.

    Where it cannot be known whether the process runs, the lease decides. A sender that runs keeps its entry.
    """
    sent = select(journal).where(journal.c.state == JournalState.SENT.value).order_by(journal.c.id)
    entries = [_entry(row) for row in connection.execute(sent)]
    return [
        _lose(connection, entry, now)
        for entry in entries
        if not is_held(entry, now) and not (entry.owner and is_alive(entry.owner))
    ]


def settle(
    connection: Connection,
    *,
    reference: str,
    operation: str | None = None,
    scope: str | None = None,
    outcome: Literal["done", "failed"],
    reason: str,
    by: str,
    now: datetime,
    result: Mapping[str, Any] | None = None,
    provider_id: str | None = None,
) -> JournalEntry:
    """End an unknown write by what a person found out; `failed` means that nothing was done. Sends nothing.

    Who, when and why are kept. Raises NotFound when there is no such entry, InvalidRequest when several are unknown,
    and Conflict when none is.
    """
    if outcome not in ("done", "failed"):
        raise InvalidRequest("a write is settled as done or as failed", reference=reference)
    if not reason.strip() or not by.strip():
        raise InvalidRequest("a settlement says who settles it and why", reference=reference)
    entry = _unknown_one(connection, reference, operation, scope, now)
    values: dict[str, Any] = {"state": JournalState.DONE.value, "result": without_floats(result), "error": None}
    if outcome == "failed":
        error = GatewayError(
            f"settled by hand as failed by {by}: {reason}",
            outcome=Outcome.REJECTED,
            account=entry.account,
            provider=entry.provider,
            operation=entry.operation,
            reference=entry.reference,
            hint="nothing was done; to try again, use a new reference",
        )
        values = {"state": JournalState.REJECTED.value, "error": error.to_dict()}
    if provider_id is not None:
        values["provider_id"] = provider_id
    _move(
        connection,
        entry.id,
        (JournalState.UNKNOWN,),
        None,
        settled_by=by,
        settled_reason=reason,
        updated_at=now,
        ended_at=now,
        **values,
    )
    return _load(connection, entry.id)


def list_entries(
    connection: Connection,
    *,
    states: Collection[JournalState] | None = None,
    operation: str | None = None,
    account: str | None = None,
    limit: int = 100,
    before_id: int | None = None,
) -> list[JournalEntry]:
    """Entries, newest first; for those that follow, pass the last one's id as `before_id`."""
    if limit < 1:
        raise InvalidRequest("the limit is a number above zero")
    query = select(journal).order_by(journal.c.id.desc()).limit(limit)
    if states is not None:
        query = query.where(journal.c.state.in_([state.value for state in states]))
    if operation is not None:
        query = query.where(journal.c.operation == operation)
    if account is not None:
        query = query.where(journal.c.account == account)
    if before_id is not None:
        query = query.where(journal.c.id < before_id)
    return [_entry(row) for row in connection.execute(query)]


def find(connection: Connection, reference: str, operation: str | None = None) -> list[JournalEntry]:
    """Every entry of this reference, oldest first."""
    query = select(journal).where(journal.c.reference == reference).order_by(journal.c.id)
    if operation is not None:
        query = query.where(journal.c.operation == operation)
    return [_entry(row) for row in connection.execute(query)]


def _entry(row: Row[Any]) -> JournalEntry:
    values = dict(row._mapping)
    values["environment"] = Environment(values["environment"])
    values["state"] = JournalState(values["state"])
    return JournalEntry(**values)


def _load(connection: Connection, entry_id: int) -> JournalEntry:
    return _entry(connection.execute(select(journal).where(journal.c.id == entry_id)).one())


def is_held(entry: JournalEntry, now: datetime) -> bool:
    """Whether somebody is at it: the lease still runs and the owner is not known to be gone."""
    if entry.owner is None or entry.lease_until is None or entry.lease_until <= now:
        return False
    return is_alive(entry.owner) is not False


def _lose(connection: Connection, entry: JournalEntry, now: datetime) -> JournalEntry:
    """The sender is gone, or its time is over: nobody here knows what became of it."""
    error = OutcomeUnknown(
        "it was sent by a process that ended, or was cut off, before it had recorded an answer",
        account=entry.account,
        provider=entry.provider,
        operation=entry.operation,
        reference=entry.reference,
        hint=f"look at the provider, then `gateway journal settle {entry.reference} --as done|failed --reason …`",
    )
    _move(
        connection,
        entry.id,
        (JournalState.SENT,),
        None,
        state=JournalState.UNKNOWN.value,
        error=error.to_dict(),
        updated_at=now,
    )
    return _load(connection, entry.id)


def _move(
    connection: Connection,
    entry_id: int,
    from_states: tuple[JournalState, ...],
    by_owner: Owner | str | None,
    **values: Any,
) -> None:
    """Change the row if it is in one of these states and, where one is given, still this owner's."""
    moved = update(journal).where(journal.c.id == entry_id, journal.c.state.in_([state.value for state in from_states]))
    if by_owner is not None:
        moved = moved.where(journal.c.owner == str(by_owner))
    if connection.execute(moved.values(**values)).rowcount == 1:
        return
    row = connection.execute(select(journal).where(journal.c.id == entry_id)).one_or_none()
    if row is None:
        raise StoreError(f"there is no journal entry {entry_id}")
    entry = _entry(row)
    whose = "" if by_owner is None or entry.owner == str(by_owner) else " and somebody else's"
    raise StoreError(
        f"the journal entry of {entry.name} is {entry.state}{whose}; it could not become {values['state']}",
        hint=f"see `gateway journal show {entry.reference}`",
    )


def _unknown_one(
    connection: Connection, reference: str, operation: str | None, scope: str | None, now: datetime
) -> JournalEntry:
    """The one entry to settle. One whose sender has ended counts as unknown although nobody has found it yet."""
    found = [entry for entry in find(connection, reference, operation) if scope is None or entry.scope == scope]
    if not found:
        raise NotFound(
            f"the journal has no entry {' '.join(part for part in (operation, reference, scope) if part)}",
            hint="see `gateway journal list`",
        )
    found = [
        _lose(connection, entry, now) if entry.state is JournalState.SENT and not is_held(entry, now) else entry
        for entry in found
    ]
    unknown = [entry for entry in found if entry.state is JournalState.UNKNOWN]
    if not unknown:
        states = ", ".join(f"{entry.name} is {entry.state}" for entry in found)
        raise Conflict(f"there is nothing to settle: {states}", reference=reference)
    if len(unknown) > 1:
        names = ", ".join(entry.name for entry in unknown)
        raise InvalidRequest(
            f"several entries are unknown: {names}", reference=reference, hint="name the operation and the scope"
        )
    return unknown[0]
