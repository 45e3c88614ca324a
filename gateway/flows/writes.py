"""How every write goes: recorded before it leaves, sent at most once, its end recorded; the reference makes it
idempotent.

intended ──▶ sent ──▶ done | rejected | unknown
    ▲          │
    └──────────┘  nothing was done and the same call may send it (not sent, too many requests, key not accepted)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from gateway.core import Core
from gateway.engine import keys
from gateway.engine.clock import Deadline
from gateway.engine.effects import Flow, Pause, transact
from gateway.engine.perform import Begun, Performance, needed, perform
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    Outcome,
    OutcomeUnknown,
    PermissionDenied,
    StoreError,
)
from gateway.exchange import Operation
from gateway.money import Money, plain
from gateway.store import journal, restores
from gateway.store.journal import JournalEntry, JournalState
from gateway.store.outcomes import mark_unknown, recover

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.accounts import OpenAccount

__all__ = ["Write", "comparable", "ended", "once", "recorded"]

P = TypeVar("P", bound=BaseModel)

_FIRST_LOOK = 0.05
_LONGEST_LOOK = 1.0
_LEASE_MARGIN = timedelta(seconds=30)
# How long the end of a write is tried to be recorded, beyond the call's own deadline: nobody else knows it.
_KEEPING = 3.0
_FIRST_KEEPING = 0.1


def _nothing(connection: Connection) -> None:
    """The default of the steps below."""


@dataclass(frozen=True, kw_only=True)
class Write(Generic[P]):
    """One write. `operation`, `reference` and `scope` identify it; `request` is what must be the same when it is
    repeated.

    `prepare` makes the adapter's operation, whose own checks run before anything is recorded. The `on_…` steps run
    in the same transaction as the journal's move: `on_intent` may still refuse (limits), `on_done` keeps the
    result, `on_rejected` and `on_reopened` undo what `on_intent` wrote. `on_failure` comes with every failure that the
    provider, or the way there, is the cause of. `check` compares an answer with what was asked; its text says what
    differs. `kept` is what of the result may be recorded. `circumstances` are the refusals that say nothing about the
    request itself: the same call may be made again once they have changed.
    """

    operation: str
    reference: str
    scope: str = ""
    account: OpenAccount
    request: dict[str, Any]
    prepare: Callable[[], Operation[P]]
    on_intent: Callable[[Connection], None] = _nothing
    on_done: Callable[[Connection, P], None] = field(default=lambda connection, result: None)
    on_rejected: Callable[[Connection, GatewayError], None] = field(default=lambda connection, error: None)
    on_reopened: Callable[[Connection, GatewayError], None] = field(default=lambda connection, error: None)
    on_failure: Callable[[Connection, GatewayError], None] = field(default=lambda connection, error: None)
    circumstances: tuple[type[GatewayError], ...] = (AuthenticationFailed, PermissionDenied)
    check: Callable[[P], str | None] = field(default=lambda result: None)
    kept: Callable[[P], P] = field(default=lambda result: result)
    provider_id: Callable[[P], str | None] = field(default=lambda result: getattr(result, "provider_id", None))


def comparable(request: BaseModel) -> dict[str, Any]:
    """The request as JSON-able data, the same for equal requests: `25.00` and `25` are one amount."""
    data: dict[str, Any] = _plainly(request.model_dump(mode="json"), request)
    return data


def _plainly(written: Any, value: Any) -> Any:
    """The JSON of a value, its exact numbers without zeros at the end."""
    if isinstance(value, Decimal):
        number = plain(value)
        return number.rstrip("0").rstrip(".") if "." in number else number
    if isinstance(value, Money):
        return {**written, "amount": _plainly(None, value.amount)}
    if isinstance(value, BaseModel):
        return {name: _plainly(item, getattr(value, name)) for name, item in written.items()}
    return written


def recorded(
    core: Core, write_operation: str, reference: str, request: dict[str, Any], scope: str = ""
) -> Flow[JournalEntry | None]:
    """The entry of a write that has ended, if there is one. Raises what it ended with, or IdempotencyConflict, also
    when its account has changed its environment since.

    Looked up before any check of the request, so that repeating a call gives its result also when the request would
    not pass today (an invoice that has expired since). An entry that is still open is left to `once`.
    """

    def find(connection: Connection) -> JournalEntry | None:
        found = journal.find(connection, reference, write_operation)
        return next((entry for entry in found if entry.scope == scope), None)

    def look(connection: Connection) -> JournalEntry | None:
        entry = find(connection)
        if entry is None:
            return None
        account = core.accounts.get(entry.account)
        journal.require_same(entry, journal.fingerprint(request), account.environment if account else None)
        if entry.state is JournalState.SENT and recover(connection, core.now()):
            return find(connection)  # its sender may be among those that have died
        return entry

    entry = yield from transact(look)
    if entry is None or entry.state in (JournalState.INTENDED, JournalState.SENT):
        return None
    if entry.state is not JournalState.DONE:
        raise ended(entry)
    return entry


def once(core: Core, write: Write[P], deadline: Deadline) -> Flow[P | None]:
    """Carry the write out, unless it was already. Returns the provider's result, or None when an earlier call has
    done it.

    Raises the recorded rejection or OutcomeUnknown of an earlier call, Conflict when a twin is still at it at the
    deadline.
    """
    try:
        begun = Begun(write.prepare())
        if begun.request is not None and begun.request.signed:
            yield from keys.prepare(write.account, needed(write.operation), deadline)
        entry = yield from _begin(core, write, deadline)
    except GatewayError as error:
        raise _not_sent(error).about(
            account=write.account.name,
            provider=write.account.provider.name,
            operation=write.operation,
            reference=write.reference,
        ) from error.__cause__
    if entry is None:
        return None
    run = Performance(
        write.account,
        write.operation,
        deadline,
        lambda: transact(lambda c: journal.mark_sent(c, entry.id, core.now(), owner=entry.owner)),
    )
    try:
        result = yield from perform(run, begun)
        different = write.check(result)
        if different:
            raise OutcomeUnknown(
                f"the provider carried it out, but not as asked: {different}",
                hint="look at the provider, then `gateway journal settle` it; it will not be sent again",
                provider_code=write.provider_id(result),
            )
    except GatewayError as error:
        # Refused before its write left (while logging in, say), the write itself was not.
        sent = run.before_write is None
        (error if sent else _not_sent(error)).about(
            account=write.account.name,
            provider=write.account.provider.name,
            operation=write.operation,
            reference=write.reference,
        )
        yield from _record_failure(core, write, entry, error, sent=sent, by_provider=not isinstance(error, StoreError))
        raise
    except BaseException as interruption:
        # Interrupted or cancelled while it was under way: what had left may have been carried out.
        broken = OutcomeUnknown(f"interrupted ({type(interruption).__name__}) before the answer was recorded")
        yield from _record_failure(core, write, entry, broken, sent=run.before_write is None)
        raise

    def done(connection: Connection) -> None:
        if journal.is_done_by(connection, entry.id, entry.owner):
            return  # the commit of which nobody could say whether it had come about had
        journal.finish(
            connection,
            entry.id,
            JournalState.DONE,
            result=write.kept(result).model_dump(mode="json"),
            provider_id=write.provider_id(result),
            owner=entry.owner,
            now=core.now(),
        )
        write.on_done(connection, result)

    try:
        yield from _kept(core, done, max(deadline.remaining(), _KEEPING), doubtful=True)
    except Exception as error:  # whatever it is: the money has moved, and the caller must learn that
        why = error.message if isinstance(error, GatewayError) else type(error).__name__
        unkept = OutcomeUnknown(
            f"the provider carried it out ({write.provider_id(result) or 'it gave no number'}), "
            f"but that could not be recorded: {why}",
            account=write.account.name,
            provider=write.account.provider.name,
            operation=write.operation,
            reference=write.reference,
            hint="mend the store, then `gateway journal settle` it as done",
        )
        yield from _record_failure(core, write, entry, unkept)
        raise unkept from error
    return result


def _begin(core: Core, write: Write[Any], deadline: Deadline) -> Flow[JournalEntry | None]:
    """The entry, ours to send; None when it is done. Waits for a twin that is at it."""
    pause, owner, doubts = _FIRST_LOOK, core.database().owner(), 0
    while True:
        lease = timedelta(seconds=deadline.remaining()) + _LEASE_MARGIN

        def begin(connection: Connection, lease: timedelta = lease) -> tuple[JournalEntry, journal.Begun]:
            entry, begun = journal.begin(
                connection,
                operation=write.operation,
                reference=write.reference,
                scope=write.scope,
                account=write.account.name,
                provider=write.account.provider.name,
                environment=write.account.environment,
                fingerprint=journal.fingerprint(write.request),
                request=write.request,
                owner=owner,
                now=core.now(),
                lease=lease,
            )
            if begun is journal.Begun.FRESH:
                restores.require_none(connection, entry)
                write.on_intent(connection)
            elif begun is journal.Begun.UNKNOWN:
                mark_unknown(connection, entry, core.now())
            return entry, begun

        try:
            entry, begun = yield from transact(begin)
        except StoreError as error:
            # Begun again as the same owner, it is the same intent, whether or not the first was recorded.
            doubts += error.outcome is Outcome.UNKNOWN
            if error.outcome is not Outcome.UNKNOWN or doubts > 1:
                raise
            continue
        if begun is journal.Begun.FRESH:
            return entry
        if begun is not journal.Begun.BUSY:
            if entry.state is not JournalState.DONE:
                raise ended(entry)
            return None
        if deadline.remaining() <= pause:
            raise Conflict(
                "another call with this reference is still under way; nothing was sent by this one",
                account=entry.account,
                operation=write.operation,
                reference=write.reference,
                retryable=True,
                hint="repeat the call to get its result",
            )
        yield Pause(pause)
        pause = min(_LONGEST_LOOK, pause * 2)


def _not_sent(error: GatewayError) -> GatewayError:
    """The failure of a write before it left. What is not known then is only whether the store has noted the attempt."""
    if isinstance(error, StoreError) and error.outcome is Outcome.UNKNOWN:
        error.message += "; nothing was sent"
        error.outcome, error.retryable, error.hint = Outcome.NOT_SENT, True, "repeat the call"
    return error


def _kept(core: Core, work: Callable[[Connection], None], seconds: float, *, doubtful: bool = False) -> Flow[None]:
    """Record what only this call knows. A store that is out of reach for a moment is asked again for so many seconds.

    `doubtful` work may be done twice, so it is repeated also when nobody can say whether it was recorded.
    """
    pause, deadline = _FIRST_KEEPING, Deadline.after(core.clock, seconds)
    while True:
        try:
            yield from transact(work)
            return
        except StoreError as error:
            passing = error.retryable or (doubtful and error.outcome is Outcome.UNKNOWN)
            if not passing or deadline.remaining() <= pause:
                raise
        yield Pause(pause)
        pause = min(_LONGEST_LOOK, pause * 2)


def ended(entry: JournalEntry) -> GatewayError:
    """What a write ended with that was rejected, or whose outcome is unknown: for the same call made again."""
    if entry.state is JournalState.REJECTED:
        error = GatewayError.from_dict(entry.error or {"message": "rejected"})
        error.message = f"{error.message} [as recorded {_when(entry.ended_at)}; it was not sent again]"
        return error
    cause = f": {entry.error['message']}" if entry.error else ""
    return OutcomeUnknown(
        f"an earlier call left and its outcome is not known{cause} [{_when(entry.sent_at)}; not sent again]",
        account=entry.account,
        provider=entry.provider,
        operation=entry.operation,
        reference=entry.reference,
        hint=f"look at the provider, then `gateway journal settle {entry.reference} --as done|failed --reason …`",
    )


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "earlier"


def _record_failure(
    core: Core,
    write: Write[Any],
    entry: JournalEntry,
    error: GatewayError,
    *,
    sent: bool = True,
    by_provider: bool = False,
) -> Flow[None]:
    refused = error.outcome is Outcome.REJECTED
    reopens = not sent or error.outcome is Outcome.NOT_SENT
    reopens = reopens or (refused and (error.retryable or isinstance(error, write.circumstances)))

    def record(connection: Connection) -> None:
        if by_provider:
            write.on_failure(connection, error)
        if reopens:
            journal.reopen(connection, entry.id, error=error.to_dict(), owner=entry.owner, now=core.now())
            write.on_reopened(connection, error)
        elif refused:
            journal.finish(
                connection,
                entry.id,
                JournalState.REJECTED,
                error=error.to_dict(),
                owner=entry.owner,
                now=core.now(),
            )
            write.on_rejected(connection, error)
        else:
            lost = journal.finish(
                connection, entry.id, JournalState.UNKNOWN, error=error.to_dict(), owner=entry.owner, now=core.now()
            )
            mark_unknown(connection, lost, core.now())

    try:
        yield from _kept(core, record, _KEEPING)
    except GatewayError as unrecorded:
        # The caller learns what became of the request; the journal's row is found as unknown after the lease.
        error.__notes__ = [*getattr(error, "__notes__", []), f"and it could not be recorded: {unrecorded.message}"]
