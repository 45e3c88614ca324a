"""The kinds of job that there are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.engine.effects import transact
from gateway.store import outcomes, schedules
from gateway.worker.jobs import Context, Due, Kind, Kinds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.core import Core

__all__ = ["Schedule", "all_kinds", "scheduled"]

log = logging.getLogger("gateway.worker")


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is done at fixed intervals, by one worker. A time at which no worker ran is not made up for."""

    every: timedelta
    run: Callable[[Context], Awaitable[object]]


def all_kinds(core: Core) -> Kinds:
    """Every kind, the most urgent first."""
    kinds = [scheduled({"recover": Schedule(timedelta(minutes=1), _recover)})]
    return {kind.name: kind for kind in kinds}


def scheduled(table: dict[str, Schedule]) -> Kind:
    """The kind of job that does these when their time has come."""
    every = {name: schedule.every for name, schedule in table.items()}

    def due(core: Core, connection: Connection, now: datetime, limit: int) -> Sequence[Due]:
        return [Due(name, f"schedule {name}", name) for name in schedules.due(connection, every, now, limit)]

    async def run(context: Context, name: str) -> object:
        schedule, now = table[name], context.core.now()
        taken = await context.run(transact(lambda connection: schedules.take(connection, name, schedule.every, now)))
        return await schedule.run(context) if taken else False

    return Kind("schedule", due, run)


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
