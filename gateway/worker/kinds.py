"""The kinds of job that there are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from gateway.engine.effects import transact
from gateway.flows import callbacks, delivering, keeping, key_watch, reconciling, watching
from gateway.models.keys import KeyState
from gateway.store import deliveries, inbox, outcomes, schedules
from gateway.worker.jobs import Context, Due, Kind, Kinds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.core import Core

__all__ = ["Schedule", "all_kinds", "scheduled"]

log = logging.getLogger("gateway.worker")


def all_kinds(core: Core, *, shared: bool) -> Kinds:
    """Every kind, the most urgent first. `shared` says that other processes do them too."""
    kinds = (
        Kind("callback", _callbacks_due, _process),
        Kind("fan-out", _fan_outs_due, _fan_out, here=True),
        Kind("deliver", _all_deliveries_due if shared else _deliveries_due, _deliver, here=True),
        Kind("watch", _watches_due, _look),
        scheduled(_schedules(core)),
    )
    return {kind.name: kind for kind in kinds}


# Callbacks: those of one attempt are processed together


def _callbacks_due(core: Core, connection: Connection, now: datetime, limit: int) -> list[Due]:
    return [
        Due(one.attempt_id, f"order {one.reference}" if one.reference else f"callback {one.attempt_id}")
        for one in inbox.due(connection, now, limit)
    ]


async def _process(context: Context, key: str) -> bool:
    return await context.run(callbacks.process(context.core, key))


# Events: handed out to each handler, and delivered for each handler and subject. No name of a handler has a space.


def _fan_outs_due(core: Core, connection: Connection, now: datetime, limit: int) -> list[Due]:
    return [Due(name, f"fan-out {name}", name) for name in delivering.behind(core, connection)][:limit]


async def _fan_out(context: Context, key: str) -> int:
    return await context.run(delivering.fan_out(context.core, key))


def _deliveries_due(core: Core, connection: Connection, now: datetime, limit: int) -> list[Due]:
    return [_delivery(name, subject) for name, subject in delivering.due(core, connection, now, limit)]


def _all_deliveries_due(core: Core, connection: Connection, now: datetime, limit: int) -> list[Due]:
    """Whatever room for calls this process has: others have room of their own."""
    names = [handler.name for handler in core.handlers]
    return [_delivery(name, subject) for name, subject in deliveries.due(connection, now, limit, names)]


def _delivery(name: str, subject: str) -> Due:
    return Due(f"{name} {subject}", f"deliver {name} {subject}", name)


async def _deliver(context: Context, key: str) -> int:
    name, _, subject = key.partition(" ")
    return await delivering.deliver(context.core, context.run, name, subject)


# What can still change at a provider, or is not known


def _watches_due(core: Core, connection: Connection, now: datetime, limit: int) -> list[Due]:
    return [Due(look.key, look.lock, look.account) for look in watching.due(core, connection, now, limit)]


async def _look(context: Context, key: str) -> bool:
    return await context.run(watching.look(context.core, key))


# What is done at fixed intervals


@dataclass(frozen=True, slots=True)
class Schedule:
    """Done at this interval, by one worker, the first time `at_once` or after it. A time at which no worker ran is not
    made up for.
    """

    every: timedelta
    run: Callable[[Context], Awaitable[object]]
    at_once: bool = True


def scheduled(table: dict[str, Schedule]) -> Kind:
    """The kind of job that does these when their time has come."""
    every = {name: schedule.every for name, schedule in table.items()}

    def due(core: Core, connection: Connection, now: datetime, limit: int) -> Sequence[Due]:
        return [Due(name, f"schedule {name}") for name in schedules.due(connection, every, now, limit)]

    async def run(context: Context, name: str) -> object:
        if name not in table:
            return False  # of a worker with other settings
        schedule, now = table[name], context.core.now()
        every, at_once = schedule.every, schedule.at_once
        taken = await context.run(
            transact(lambda connection: schedules.take(connection, name, every, now, at_once=at_once))
        )
        if not taken:
            return False
        await schedule.run(context)
        return True

    return Kind("schedule", due, run)


def _schedules(core: Core) -> dict[str, Schedule]:
    settings = core.settings.reconcile
    table = {"recover": Schedule(timedelta(minutes=1), _recover)}
    if key_watch.watches_keys(core):
        table["keys"] = Schedule(timedelta(hours=1), _look_at_keys)
    if settings.scheduled:
        for name in core.accounts:
            table[f"reconcile {name}"] = Schedule(settings.every, partial(_reconcile, name), at_once=False)
    if core.settings.worker.prune_older_than is not None:
        table["prune"] = Schedule(timedelta(days=1), partial(_prune, core.settings.worker.prune_older_than))
    return table


async def _recover(context: Context) -> None:
    """What was sent by a process that has ended since is unknown from now on, and told."""
    now = context.core.now()
    for entry in await context.run(transact(lambda connection: outcomes.recover(connection, now))):
        log.warning(
            "%s %s at %s was sent by a process that ended before its answer: its outcome is unknown",
            entry.operation,
            entry.reference,
            entry.account,
        )


async def _look_at_keys(context: Context) -> None:
    """Tell of the keys that expire soon, while there is time to replace them."""
    for key in await context.run(key_watch.tell_of_expiry(context.core)):
        log.warning(
            "the key %s of %s %s at %s UTC: replace it with `gateway keys rotate`",
            key.label,
            key.account,
            "has expired" if key.state is KeyState.EXPIRED else "expires",
            f"{key.expires_at:%Y-%m-%d %H:%M}",
        )


async def _reconcile(account: str, context: Context) -> None:
    """Compare the provider's books with the store; what is found is kept, and told in one line."""
    settings, since = context.core.settings.reconcile, context.core.now() - context.core.settings.reconcile.window
    found = await context.run(
        reconciling.reconcile(context.core, account, since=since, repair=settings.repair, background=True)
    )
    for one in found.not_compared:
        if one.failed:
            log.warning("%s was not reconciled as to %s: %s", account, one.what, one.reason)
    if found.differs:
        left = sum(not finding.repaired for finding in found.findings) + found.unlisted
        log.warning(
            "the books of %s differ from the provider's in %s places since %s: "
            "see `gateway reconcile --account %s --last`",
            account,
            left,
            f"{since:%Y-%m-%d %H:%M} UTC",
            account,
        )


async def _prune(age: timedelta, context: Context) -> None:
    """Drop the payloads of what ended so long ago."""
    found = await context.run(keeping.prune(context.core, older_than=age, dry_run=False))
    if any(found.values()):
        log.info("pruned: %s", ", ".join(f"{number} {kind}" for kind, number in found.items() if number))
