"""The inbox: every admitted callback, committed before the provider is answered, until its order was read.

    waiting ──▶ taken ──▶ processed | unmatched
    rejected: its proof differs and the account is strict; kept to be looked at

What was taken and not ended is due as well: whoever took it may have died. A row that is put off keeps its state, and
its `error` says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.contracts import IncomingCallback, Proof
from gateway.errors import InvalidRequest
from gateway.models.base import Environment
from gateway.store import events
from gateway.store.tables import attempts, callbacks

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = [
    "LONGEST_PAUSE",
    "Callback",
    "CallbackState",
    "DueAttempt",
    "admit",
    "digest",
    "due",
    "end",
    "find",
    "last_suspicious",
    "load",
    "pending",
    "put_off",
    "reject",
    "suspicious",
    "take",
]

LONGEST_PAUSE: Final = timedelta(minutes=10)
"""Nothing is put off for longer: what seems to be due later still was written before a clock was set back."""
_AT_ONCE = 200

_ALIKE = timedelta(minutes=1)


class CallbackState(StrEnum):
    """PROCESSED, REJECTED and UNMATCHED are final."""

    WAITING = "waiting"
    TAKEN = "taken"
    PROCESSED = "processed"
    REJECTED = "rejected"
    UNMATCHED = "unmatched"
    """Its token is genuine, and the store knows no such attempt: it may have been restored from an older back-up."""


_OPEN = (CallbackState.WAITING.value, CallbackState.TAKEN.value)


@dataclass(frozen=True, kw_only=True)
class Callback:
    """One callback, or several equal ones that came before the first was taken: `times` and `last_at` count them.

    `url` is the registered address without its token. `reference` and `number` are those of the order's attempt, where
    it is known. `error` is what was wrong with it, or why it was put off; `next_at` is when it is due.
    """

    id: int
    account: str
    provider: str
    environment: Environment
    attempt_id: str
    reference: str | None
    number: int | None
    method: str
    url: str
    headers: dict[str, str] | None
    body: bytes | None
    client: str | None
    proof: Proof
    proof_reason: str | None
    provider_id: str | None
    state: CallbackState
    times: int
    tries: int
    error: str | None
    received_at: datetime
    last_at: datetime
    next_at: datetime
    processed_at: datetime | None

    def is_due(self, now: datetime) -> bool:
        return self.next_at <= now or self.next_at > now + LONGEST_PAUSE

    def to_dict(self) -> dict[str, Any]:
        """The callback as JSON-able data; times in ISO 8601, the body as text."""
        data = asdict(self)
        times = {key: value.isoformat() for key, value in data.items() if isinstance(value, datetime)}
        body = None if self.body is None else self.body.decode("utf-8", "replace")
        words = {name: data[name].value for name in ("environment", "proof", "state")}
        return {**data, **times, **words, "body": body}


class DueAttempt(NamedTuple):
    """An attempt with callbacks to process; `reference` is its order's, None for one that is not known here."""

    attempt_id: str
    reference: str | None


def digest(callback: IncomingCallback) -> str:
    """Equal for requests that say the same: SHA-256 over method, address and body."""
    whole = hashlib.sha256()
    for part in (callback.method.encode(), callback.url.encode("utf-8", "surrogateescape"), callback.body):
        whole.update(len(part).to_bytes(8) + part)
    return whole.hexdigest()


def admit(connection: Connection, row: Mapping[str, Any]) -> None:
    """Put a callback into the inbox. One that equals another which nobody has taken yet is counted on that."""
    connection.execute(_upsert(connection.dialect.name), row)


@cache
def _upsert(dialect: str) -> Any:
    new: Any = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(callbacks)
    new = new.values({name: bindparam(name) for name in _ROW} | {"state": "waiting", "times": 1, "tries": 0})
    return new.on_conflict_do_update(
        index_elements=["attempt_id", "digest", "proof"],
        index_where=text("state = 'waiting'"),
        set_={"times": callbacks.c.times + 1, "last_at": new.excluded.last_at, "client": new.excluded.client},
    )


_ROW = (
    "account provider environment attempt_id digest method url headers body client proof proof_reason provider_id "
    "received_at last_at next_at"
).split()


def reject(connection: Connection, row: Mapping[str, Any], now: datetime) -> bool:
    """Keep a callback that was turned away although its token is genuine; whether it is the attempt's first of this
    minute. Others are counted on that, whatever they say: whoever sends them must not fill the store.
    """
    alike = (
        select(func.max(callbacks.c.id))
        .where(callbacks.c.attempt_id == row["attempt_id"], callbacks.c.state == CallbackState.REJECTED.value)
        .where(callbacks.c.received_at > now - _ALIKE)
    )
    known = connection.execute(alike).scalar()
    if known is not None:
        counted = {"times": callbacks.c.times + 1, "last_at": now}
        connection.execute(update(callbacks).where(callbacks.c.id == known).values(counted))
        return False
    ended = {"state": CallbackState.REJECTED.value, "times": 1, "tries": 0, "processed_at": now}
    connection.execute(insert(callbacks).values({**row, **ended, "error": row["proof_reason"]}))
    return True


def due(connection: Connection, now: datetime, limit: int) -> list[DueAttempt]:
    """The attempts whose callbacks may be processed now, those that wait longest first. Only reads."""
    first = func.min(callbacks.c.next_at)
    query = (
        select(callbacks.c.attempt_id, func.max(attempts.c.reference))
        .select_from(callbacks.outerjoin(attempts, attempts.c.attempt_id == callbacks.c.attempt_id))
        .where(callbacks.c.state.in_(_OPEN), _is_due(now))
        .group_by(callbacks.c.attempt_id)
        .order_by(first, callbacks.c.attempt_id)
        .limit(limit)
    )
    return [DueAttempt(*row) for row in connection.execute(query)]


def pending(connection: Connection, attempt_id: str) -> list[Callback]:
    """What of this attempt has not ended, due or not: as many as are processed at once, the oldest first, without
    bodies. Those whose proof differs come last: whoever makes many of them holds no genuine one up.
    """
    query = _all().where(callbacks.c.attempt_id == attempt_id, callbacks.c.state.in_(_OPEN))
    query = query.with_only_columns(*(column for column in query.selected_columns if column.name != "body"))
    doubtful = callbacks.c.proof == Proof.DIFFERS.value
    return [_callback(row) for row in connection.execute(query.order_by(doubtful, callbacks.c.id).limit(_AT_ONCE))]


def take(connection: Connection, ids: Collection[int]) -> None:
    """They are looked at now: what comes from here on is news."""
    taken = {"state": CallbackState.TAKEN.value, "tries": callbacks.c.tries + 1}
    connection.execute(update(callbacks).where(_open(ids)).values(taken))


def put_off(connection: Connection, ids: Collection[int], until: datetime, reason: str) -> None:
    """Process them at `until`, and not before."""
    connection.execute(update(callbacks).where(_open(ids)).values(next_at=until, error=reason))


def end(
    connection: Connection, ids: Collection[int], state: CallbackState, now: datetime, error: str | None = None
) -> bool:
    """They are done with. Whether any of them was not before: another process may have been at the same ones.

    `error` is what was wrong with them.
    """
    if state not in (CallbackState.PROCESSED, CallbackState.UNMATCHED):
        raise InvalidRequest(f"a callback does not end as {state}")
    ended = {"state": state.value, "error": error, "processed_at": now}
    return connection.execute(update(callbacks).where(_open(ids)).values(ended)).rowcount > 0


def last_suspicious(connection: Connection, attempt_id: str) -> datetime | None:
    """When a callback of this attempt was last processed with something wrong about it."""
    query = select(func.max(callbacks.c.processed_at)).where(
        callbacks.c.attempt_id == attempt_id,
        callbacks.c.state == CallbackState.PROCESSED.value,
        callbacks.c.error.is_not(None),
    )
    found: datetime | None = connection.execute(query).scalar()
    return found


def suspicious(
    connection: Connection,
    account: str,
    provider: str,
    environment: Environment,
    attempt_id: str,
    reference: str | None,
    data: dict[str, Any],
    reason: str,
    now: datetime,
) -> None:
    """Append the event: of the order, so that it is told in its turn; of the attempt where no order is known."""
    events.append(
        connection,
        "callback.suspicious",
        subject="order" if reference else "callback",
        reference=reference or attempt_id,
        account=account,
        provider=provider,
        environment=environment,
        data={"reason": reason, "attempt_id": attempt_id, **data},
        now=now,
    )


def find(
    connection: Connection,
    *,
    state: CallbackState | None = None,
    account: str | None = None,
    reference: str | None = None,
    limit: int = 100,
) -> list[Callback]:
    """Callbacks, newest first."""
    if limit < 1:
        raise InvalidRequest("the limit is a number above zero")
    query = _all().order_by(callbacks.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(callbacks.c.state == state.value)
    if account is not None:
        query = query.where(callbacks.c.account == account)
    if reference is not None:
        query = query.where(attempts.c.reference == reference)
    return [_callback(row) for row in connection.execute(query)]


def load(connection: Connection, callback_id: int) -> Callback | None:
    row = connection.execute(_all().where(callbacks.c.id == callback_id)).one_or_none()
    return None if row is None else _callback(row)


def _all() -> Select[Any]:
    return select(callbacks, attempts.c.reference, attempts.c.number).select_from(
        callbacks.outerjoin(attempts, attempts.c.attempt_id == callbacks.c.attempt_id)
    )


def _open(ids: Collection[int]) -> ColumnElement[bool]:
    return callbacks.c.id.in_(ids) & callbacks.c.state.in_(_OPEN)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return or_(callbacks.c.next_at <= now, callbacks.c.next_at > now + LONGEST_PAUSE)


def _callback(row: Row[Any]) -> Callback:
    values = {"body": None, **row._mapping}
    del values["digest"]
    values["environment"] = Environment(values["environment"])
    values["proof"] = Proof(values["proof"])
    values["state"] = CallbackState(values["state"])
    return Callback(**values)
