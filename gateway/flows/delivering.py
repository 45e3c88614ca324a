"""Events: read, handed out to handlers, delivered at least once, in order for each subject.

Handing out and recording are transactions of the store; between them the handler is called. A process that dies there
has its delivery made again: only what the handler has returned from is marked as done.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar

from gateway.accounts import secrets_in
from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.errors import InvalidRequest, NotFound
from gateway.events.handlers import Handler
from gateway.models.events import Delivery, DeliveryState, Event, HandlerState, check_types
from gateway.observation import Record
from gateway.secrets import Redactor
from gateway.store import deliveries, events
from gateway.store.deliveries import Waiting
from gateway.store.pages import LARGEST

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["behind", "dead", "deliver", "due", "fan_out", "handlers", "latest", "read", "replay"]

T = TypeVar("T")

log = logging.getLogger("gateway")

FAN_OUT = 500
"""Events that are handed out to a handler in one transaction."""

IN_A_ROW = 20
"""Events of one subject that one job delivers before others have their turn."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=90), timedelta(hours=12)
"""With full jitter, 12 tries take 18 hours on average and 37 at most."""

LONGEST_ERROR = 500


class Run(Protocol):
    """Carries a flow out, such as `AsyncDriver.run`."""

    async def __call__(self, flow: Flow[T]) -> T: ...


def read(core: Core, *, cursor: int, types: Sequence[str] | None, subject: str | None, limit: int) -> Flow[list[Event]]:
    """The events after number `cursor`, oldest first, at most `limit`."""
    if not 0 <= cursor < 2**63:
        raise InvalidRequest("the cursor is the number of an event, or 0 for the beginning")
    wanted = None if types is None else check_types(types)
    return (yield from transact(lambda connection: events.since(connection, cursor, _within(limit), wanted, subject)))


def latest(core: Core, *, types: Sequence[str] | None, subject: str | None, limit: int) -> Flow[list[Event]]:
    """The newest events, at most `limit`, oldest first."""
    wanted = None if types is None else check_types(types)
    return (yield from transact(lambda connection: events.latest(connection, _within(limit), wanted, subject)))


def behind(core: Core, connection: Connection) -> list[str]:
    """The handlers of this gateway to which events can be handed out. Only reads."""
    return deliveries.behind(connection, [handler.name for handler in core.handlers])


def fan_out(core: Core, name: str | None = None) -> Flow[int]:
    """Hand out the next events to this handler, or to each that is behind; how many were looked at, 0 when all were.

    May be repeated, by any number of workers.
    """
    wanted = [handler for handler in core.handlers if name in (None, handler.name)]
    return (yield from transact(lambda connection: sum(_hand_out(core, connection, handler) for handler in wanted)))


def _hand_out(core: Core, connection: Connection, handler: Handler) -> int:
    if not deliveries.behind(connection, [handler.name]):
        return 0
    return deliveries.fan_out(
        connection, handler.name, types=handler.types, since=handler.since, limit=FAN_OUT, now=core.now()
    )


def due(core: Core, connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Handlers of this gateway and subjects that can be delivered now, at most `limit`. Only reads.

    What this process has under way is left out, and so are handlers that have no room for more.
    """
    calls = core.calls
    rooms = {handler.name: room for handler in core.handlers if (room := calls.room(handler.name)) > 0}
    # As many more as may be left out below.
    found = deliveries.due(connection, now, limit + calls.under_way(), list(rooms))
    free = []
    for name, subject in found:
        if rooms[name] > 0 and not calls.is_taken(name, subject):
            rooms[name] -= 1
            free.append((name, subject))
    return free[:limit]


async def deliver(core: Core, run: Run, name: str, subject: str) -> int:
    """Call this handler with what waits for it of this subject, in order, until it fails or nothing is due; how many
    calls were made.

    The caller sees to it that no other worker is at the same handler and subject.
    """
    handler = core.handlers.get(name)
    if handler is None or not core.calls.take(name, subject):
        return 0
    made = 0
    try:
        waiting = await run(_next(core, name, subject))
        while waiting is not None and made < IN_A_ROW:
            made += 1
            waiting = await _deliver(core, run, handler, waiting)
    finally:
        core.calls.give_back(name, subject)
    return made


async def _deliver(core: Core, run: Run, handler: Handler, waiting: Waiting) -> Waiting | None:
    """One call, and its end recorded. What comes next, unless it failed."""
    started, start = core.clock.now(), core.clock.monotonic()
    fault: Exception | None = None
    following: Waiting | None = None
    try:
        await core.calls.call(handler, waiting.event)
    except Exception as error:
        fault = error
    outcome = "done"
    if fault is None:
        following = await run(_done(core, handler.name, waiting))
    else:
        state = await run(_failed(core, handler, waiting, fault))
        outcome = "failed" if state is DeliveryState.WAITING else "dead"
        _report(core, handler, waiting, fault, outcome)
    core.observe(
        Record(
            kind="delivery",
            account=waiting.event.account or "",
            provider=waiting.event.provider or "",
            operation=waiting.event.type,
            handler=handler.name,
            subject=waiting.event.subject,
            outcome=outcome,
            started_at=started,
            seconds=core.clock.monotonic() - start,
            attempt=waiting.tries + 1,
            error=type(fault).__name__ if fault is not None else None,
        )
    )
    return following


def _next(core: Core, name: str, subject: str) -> Flow[Waiting | None]:
    return (
        yield from transact(
            lambda connection: deliveries.next_delivery(connection, name, subject, core.now()), together=True
        )
    )


def _done(core: Core, name: str, waiting: Waiting) -> Flow[Waiting | None]:
    """Marked as done; and what is next, in the same transaction."""

    def work(connection: Connection) -> Waiting | None:
        deliveries.done(connection, waiting, core.now())
        return deliveries.next_delivery(connection, name, waiting.event.subject, core.now())

    return (yield from transact(work, together=True))


def _failed(core: Core, handler: Handler, waiting: Waiting, fault: Exception) -> Flow[DeliveryState]:
    error = _words(core, fault)
    pause = core.backoff(waiting.tries + 1, FIRST_PAUSE.total_seconds(), LONGEST_PAUSE.total_seconds())
    return (
        yield from transact(
            lambda connection: deliveries.failed(
                connection, waiting, error, most=handler.tries, pause=timedelta(seconds=pause), now=core.now()
            )
        )
    )


def _report(core: Core, handler: Handler, waiting: Waiting, fault: Exception, outcome: str) -> None:
    event = waiting.event
    tried = f"try {waiting.tries + 1} of {handler.tries}"
    if outcome == "dead":
        again = f"it is not tried again: mend it, then `gateway events replay {handler.name} --event {event.id}`"
    else:
        again = "it is tried again later"
    trace = "".join(traceback.format_exception(type(fault), fault, _from_the_handler_on(fault))).rstrip()
    log.log(
        logging.ERROR if outcome == "dead" else logging.WARNING,
        "the event handler %s failed at event %s, %s of %s (%s); %s\n%s",
        handler.name,
        event.id,
        event.type,
        event.subject,
        tried,
        again,
        _redacted(core, trace),
    )


def _from_the_handler_on(fault: Exception) -> TracebackType | None:
    trace = fault.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__") in (__name__, "gateway.events.calling"):
        trace = trace.tb_next
    return trace


def _words(core: Core, fault: Exception) -> str:
    """The type and the message, on one line and without the secrets of any account."""
    message = " ".join(_redacted(core, str(fault)).split())
    return f"{type(fault).__name__}: {message}"[:LONGEST_ERROR].removesuffix(": ")


def _redacted(core: Core, text: str) -> str:
    for account in core.accounts.values():
        text = account.redactor.text(text)
    return Redactor(secrets_in(core.settings)).text(text)


def dead(core: Core, *, handler: str | None, limit: int) -> Flow[list[Delivery]]:
    """Deliveries that are not tried any more, newest event first."""
    return (
        yield from transact(
            lambda connection: deliveries.list_deliveries(
                connection, DeliveryState.DEAD, handler=handler, limit=_within(limit)
            )
        )
    )


def replay(
    core: Core,
    *,
    handler: str | None,
    numbers: Sequence[int] | None,
    subject: str | None,
    done_too: bool,
) -> Flow[int]:
    """Have dead deliveries made again, and with `done_too` those that were done; how many."""
    if done_too and (handler is None or (numbers is None and subject is None)):
        raise InvalidRequest(
            "what was done is delivered again only to one handler, and only named events or one subject",
            hint="name the handler, and the events or the subject",
        )

    def work(connection: Connection) -> int:
        if handler is not None and handler not in (known := [one.name for one in deliveries.standings(connection)]):
            raise NotFound(
                f"no event handler is called {handler[:64]!r}", hint=f"there are {', '.join(known) or 'none'}"
            )
        return deliveries.replay(
            connection, handler=handler, numbers=numbers, subject=subject, done_too=done_too, now=core.now()
        )

    return (yield from transact(work))


def handlers(core: Core) -> Flow[list[HandlerState]]:
    """Every handler that is registered here, or was ever known to the store, by name."""
    found = {
        one.name: HandlerState(
            name=one.name,
            registered=False,
            cursor=one.cursor,
            behind=one.behind,
            waiting=one.waiting,
            dead=one.dead,
        )
        for one in (yield from transact(deliveries.standings))
    }
    for handler in core.handlers:
        new = HandlerState(name=handler.name, registered=True, cursor=0, behind=0, waiting=0, dead=0)
        here = {"registered": True, "types": handler.types, "paused": core.calls.paused(handler.name)}
        found[handler.name] = found.get(handler.name, new).model_copy(update=here)
    return [found[name] for name in sorted(found)]


def _within(limit: int) -> int:
    if not 1 <= limit <= LARGEST:
        raise InvalidRequest(f"a list has 1 to {LARGEST} items, not {limit}")
    return limit
