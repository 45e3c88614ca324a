"""Callbacks are processed outside of the request that brought them.

What a callback says is a hint. The order is read at the provider and compared with what was asked, and the attempt
follows it, as after a poll. What contradicts is told by the event `callback.suspicious` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.contracts import Proof
from gateway.core import Core, Telling, log
from gateway.engine.effects import Flow, transact
from gateway.errors import GatewayError, InvalidRequest, NotFound, RateLimited
from gateway.flows import orders
from gateway.models.orders import Attempt, OrderRequest, ProviderOrder
from gateway.store import inbox, journal, outcomes
from gateway.store import orders as store
from gateway.store.inbox import Callback, CallbackState
from gateway.store.journal import JournalState

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["load", "page", "process", "process_due"]

_AT_ONCE = 100
_MOMENT = timedelta(seconds=1)
_FIRST_PAUSE = timedelta(seconds=2)
_SUSPICIOUS_PAUSE = timedelta(minutes=1)
_CLOCKS_DIFFER = timedelta(minutes=2)
# A provider may tell of an order a moment before it shows it.
_TRIES_OF_A_NUMBER = 3
_MOST_NUMBERS = 3
_MOST_TOLD = 20
_MADE_NOW = "its order is being made at this moment"
_OFTEN = "suspicious callbacks lead to one reading a minute"
_UNMATCHED = (
    "the store knows no such attempt; if it was restored from an older back-up, look for the order at the provider"
)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What of one attempt is processed now. `made`: its creation has ended well. `unknown`: how it ended is unknown."""

    attempt_id: str
    place: tuple[str, int]
    rows: tuple[Callback, ...]
    request: OrderRequest
    attempt: Attempt
    made: bool
    unknown: bool

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(row.id for row in self.rows)

    @property
    def tries(self) -> int:
        """How often the oldest of them was tried, with this time."""
        return max(row.tries for row in self.rows) + 1


@dataclass(frozen=True, slots=True)
class _Seen:
    """The attempt's order at the provider, and the moment before it was read."""

    order: ProviderOrder
    number: str
    read_at: datetime


@dataclass(frozen=True, slots=True)
class _Wrong:
    """The order at the provider is not the attempt's, or contradicts what was asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Later:
    """It could not be read now."""

    reason: str
    pause: timedelta = timedelta(0)


def process_due(core: Core) -> Flow[int]:
    """Process every attempt that has callbacks due, once; how many there were. A failing one is put off."""
    seen: set[str] = set()
    while True:
        found = yield from transact(lambda connection: inbox.due(connection, core.now(), _AT_ONCE + len(seen)))
        new = [item.attempt_id for item in found if item.attempt_id not in seen]
        if not new:
            return len(seen)
        for attempt_id in new:
            seen.add(attempt_id)
            yield from process(core, attempt_id)


def process(core: Core, attempt_id: str, *, seconds: float | None = None) -> Flow[bool]:
    """Process the callbacks of one attempt that are due: one reading of its order for all of them.

    False when there was nothing to do now. What fails is put off with a growing pause and never given up; only a store
    that fails comes out, and leaves them due. May be repeated at any time, and by any process.
    """
    taken = yield from transact(lambda connection: _take(core, connection, attempt_id))
    if not isinstance(taken, _Taken):
        return taken
    told = Telling(core, "callback", "callbacks.process", taken.attempt.account, subject=f"order {taken.place[0]}")
    found: _Seen | None = None
    numbers, wrong = _numbers(taken)
    for number in numbers:
        read = yield from _read(core, taken, number, seconds)
        if isinstance(read, _Later):
            yield from _put_off(core, taken, read)
            told.ended("failed")
            return True
        if isinstance(read, _Seen):
            found = read
            break
        wrong.append(read.reason)
    suspicious = yield from transact(lambda connection: _finish(core, connection, taken, found, wrong))
    if suspicious:
        log.warning(
            "order %s, attempt %s at %s: a callback is suspicious: %s",
            taken.place[0],
            taken.attempt.number,
            taken.attempt.account,
            "; ".join(suspicious),
        )
    told.ended("suspicious" if suspicious else "done")
    return True


def _take(core: Core, connection: Connection, attempt_id: str) -> _Taken | bool:
    """The callbacks to process, marked as taken; or whether anything was done about those that cannot be."""
    now = core.now()
    rows = inbox.pending(connection, attempt_id)
    due = [row for row in rows if row.is_due(now)]
    if not due:
        return False
    known = store.find_attempt_id(connection, attempt_id)
    if known is None:
        _unmatched(connection, rows, now)
        return True
    reference, number = known
    order = store.load_order(connection, reference)
    assert order is not None
    attempt = order.attempts[number - 1]
    if attempt.provider_id is None and journal.is_under_way(connection, "orders.create", reference, str(number), now):
        # Who made the call gets its answer, which tells more than a callback; a body is not linked behind its back.
        inbox.put_off(connection, [row.id for row in due], now + _MOMENT, _MADE_NOW)
        return False
    if all(_is_suspicious(row, attempt) for row in due):
        last = inbox.last_suspicious(connection, attempt_id)
        # A time that is still to come is of before the clock was set back.
        if last is not None and timedelta(0) <= now - last < _SUSPICIOUS_PAUSE:
            inbox.put_off(connection, [row.id for row in due], last + _SUSPICIOUS_PAUSE, _OFTEN)
            return False
    inbox.take(connection, [row.id for row in rows])
    if attempt.provider_id is None:
        outcomes.recover(connection, now)  # the creation's process may have ended without its answer
    state = _creation(connection, known)
    return _Taken(
        attempt_id=attempt_id,
        place=known,
        rows=tuple(rows),
        request=store.load_request(connection, reference),
        attempt=attempt,
        made=state is JournalState.DONE,
        unknown=state in (JournalState.SENT, JournalState.UNKNOWN),
    )


def _creation(connection: Connection, place: tuple[str, int]) -> JournalState | None:
    """How far the attempt's creation is; None where the journal does not know it."""
    found = journal.find(connection, place[0], "orders.create")
    return next((entry.state for entry in found if entry.scope == str(place[1])), None)


def _is_suspicious(row: Callback, attempt: Attempt) -> bool:
    """Whether its news is doubtful enough to wait for: whoever holds the address must not steer the reads."""
    names_another = row.provider_id is not None and row.provider_id != attempt.provider_id
    return row.proof is Proof.DIFFERS or (row.proof is Proof.ABSENT and names_another)


def _unmatched(connection: Connection, rows: list[Callback], now: datetime) -> None:
    if inbox.end(connection, [row.id for row in rows], CallbackState.UNMATCHED, now, _UNMATCHED):
        first = rows[0]
        inbox.suspicious(
            connection,
            first.account,
            first.provider,
            first.environment,
            first.attempt_id,
            None,
            _told(rows),
            _UNMATCHED,
            now,
        )
        log.error("callbacks for attempt %s at %s: %s", first.attempt_id, first.account, _UNMATCHED)


def _numbers(taken: _Taken) -> tuple[list[str], list[str]]:
    """The provider's numbers to read, and what is wrong: the attempt's own number, or else those that the bodies name,
    one of which it may be.
    """
    attempt = taken.attempt
    if attempt.provider_id is not None:
        return [attempt.provider_id], []
    named = list(dict.fromkeys(row.provider_id for row in taken.rows if row.provider_id is not None))
    if named and not (taken.made or taken.unknown):
        told = "was refused" if attempt.error else "was not sent"
        return [], [f"names the order {named[0]}, and making one {told} as far as is known here"]
    if not named:
        log.warning(
            "order %s, attempt %s at %s was called back, and its number there is not known: there is nothing to read",
            taken.place[0],
            attempt.number,
            attempt.account,
        )
    left = [f"names {len(named)} orders: all but {_MOST_NUMBERS} were left aside"] if len(named) > _MOST_NUMBERS else []
    return named[:_MOST_NUMBERS], left


def _read(core: Core, taken: _Taken, number: str, seconds: float | None) -> Flow[_Seen | _Wrong | _Later]:
    """Read the order of this number and compare it with what was asked."""
    attempt, learned = taken.attempt, taken.attempt.provider_id is None
    if learned:
        claimed = yield from transact(lambda connection: _claimed(connection, attempt, taken.place, number))
        if claimed:
            return _Wrong(claimed)
    read_at = core.now()
    try:
        account = core.account(attempt.account)
        if account.environment is not attempt.environment:
            return _Later(f"the account is {account.environment} by now, and the attempt is {attempt.environment}")
        seen = yield from orders.fetch(core, account.name, number, seconds=seconds)
    except GatewayError as error:
        if learned and isinstance(error, (NotFound, InvalidRequest)) and taken.tries >= _TRIES_OF_A_NUMBER:
            return _Wrong(f"names the order {number}, which the provider does not show: {error.message}")
        return _Later(error.message, timedelta(seconds=(isinstance(error, RateLimited) and error.retry_after) or 0))
    except Exception as error:  # an adapter's mistake: the callback is not lost by it
        log.exception("the order %s at %s could not be read", number, attempt.account)
        return _Later(f"reading the order failed ({type(error).__name__})")
    wrong = _contradiction(taken, seen, number)
    return _Wrong(wrong) if wrong else _Seen(seen, number, read_at)


def _claimed(connection: Connection, attempt: Attempt, place: tuple[str, int], number: str) -> str | None:
    """Whose this number is already, at any account of the provider; None while it is nobody's or this attempt's."""
    for other in store.find_number(connection, attempt.provider, attempt.environment, number):
        if other != place:
            return f"names the order {number}, which belongs to {other[0]} (attempt {other[1]}) already"
    return None


def _contradiction(taken: _Taken, seen: ProviderOrder, number: str) -> str | None:
    """What of the order at the provider cannot be of this attempt; None when all that it shows agrees."""
    attempt = taken.attempt
    if seen.provider_id is not None and seen.provider_id != number:
        return f"asked for the order {number}, the provider shows {seen.provider_id}"
    different = orders.differs(taken.request, taken.attempt_id, seen)
    if different:
        return different
    if attempt.provider_id is None:
        if seen.price is None and seen.attempt is None:
            return f"names the order {number}, which does not show its price"
        # Providers write whole seconds, and clocks differ a little.
        if seen.created_at is not None and seen.created_at < attempt.created_at - _CLOCKS_DIFFER:
            made = f"{seen.created_at:%Y-%m-%d %H:%M:%S} UTC"
            return f"names the order {number}, which was made at {made}, before it was asked for"
    asked, now = attempt.order.pay.amount if attempt.order else None, seen.pay.amount
    if asked is not None and now is not None and asked.asset == now.asset and now < asked:
        return f"the payer was asked for {asked}, and the order {number} now asks for {now}"
    return None


def _put_off(core: Core, taken: _Taken, later: _Later) -> Flow[None]:
    pause = min(max(_FIRST_PAUSE * 2 ** min(taken.tries - 1, 20), later.pause), inbox.LONGEST_PAUSE)
    yield from transact(lambda connection: inbox.put_off(connection, taken.ids, core.now() + pause, later.reason))
    log.warning(
        "order %s, attempt %s at %s: its callbacks are processed again in %.0f s: %s",
        taken.place[0],
        taken.attempt.number,
        taken.attempt.account,
        pause.total_seconds(),
        later.reason,
    )


def _finish(core: Core, connection: Connection, taken: _Taken, seen: _Seen | None, wrong: list[str]) -> list[str]:
    """End the callbacks with what was read and what is wrong with them; returns the latter."""
    now, attempt, place = core.now(), taken.attempt, taken.place
    if seen is not None and attempt.provider_id is None:
        # Somebody may have been faster since it was looked at.
        claimed = _claimed(connection, attempt, place, seen.number) or _named_meanwhile(connection, place, seen)
        if claimed:
            seen, wrong = None, [*wrong, claimed]
    known = seen.number if seen else attempt.provider_id
    others = dict.fromkeys(row.provider_id for row in taken.rows if known and row.provider_id not in (None, known))
    differing = dict.fromkeys(row.proof_reason for row in taken.rows if row.proof is Proof.DIFFERS)
    reasons = [
        *wrong,
        *(f"names the order {other}; this attempt's is {known}" for other in others),
        *(f"its proof differs: {why}" for why in differing),
    ]
    reason = "; ".join(dict.fromkeys(reasons)) or None
    if not inbox.end(connection, taken.ids, CallbackState.PROCESSED, now, reason):
        return []  # another process has ended them, with an event where there was anything to tell
    if seen is not None:
        if _creation(connection, place) in (JournalState.SENT, JournalState.UNKNOWN):
            journal.settle(
                connection,
                reference=place[0],
                operation="orders.create",
                scope=str(place[1]),
                outcome="done",
                reason=f"a callback named the order {seen.number}, which agrees with what was asked",
                by="callback",
                provider_id=seen.number,
                result=seen.order.model_dump(mode="json"),
                now=now,
            )
        numbered = seen.order.model_copy(update={"provider_id": seen.number})
        orders.take_over(core, connection, *place, numbered, read_at=seen.read_at)
    if reason:
        data = {"attempt": attempt.number, "provider_id": known, **_told(taken.rows)}
        where = attempt.account, attempt.provider, attempt.environment
        inbox.suspicious(connection, *where, taken.attempt_id, place[0], data, reason, now)
    return reasons


def _named_meanwhile(connection: Connection, place: tuple[str, int], seen: _Seen) -> str | None:
    order = store.load_order(connection, place[0])
    assert order is not None
    number = order.attempts[place[1] - 1].provider_id
    return None if number in (None, seen.number) else f"names the order {seen.number}; this attempt's is {number}"


def _told(rows: Iterable[Callback]) -> dict[str, Any]:
    """Of which callbacks an event tells."""
    rows = list(rows)
    return {
        "callbacks": [row.id for row in rows[:_MOST_TOLD]],
        "times": sum(row.times for row in rows),
        "clients": list(dict.fromkeys(row.client for row in rows if row.client))[:_MOST_TOLD],
    }


# For people


def page(
    core: Core, *, state: CallbackState | None, account: str | None, reference: str | None, limit: int
) -> Flow[list[Callback]]:
    """The inbox, newest first."""
    return (
        yield from transact(
            lambda connection: inbox.find(connection, state=state, account=account, reference=reference, limit=limit)
        )
    )


def load(core: Core, callback_id: int) -> Flow[Callback]:
    """One callback of the inbox. Raises NotFound."""
    found = yield from transact(lambda connection: inbox.load(connection, callback_id))
    if found is None:
        raise NotFound(f"the inbox has no callback {callback_id}", hint="see `gateway callbacks list`")
    return found
