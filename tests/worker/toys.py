"""Toy jobs: what is due stands in a table of the test's, and what was done in another, in order.

A job does what its key begins with: `ok` ends, `fail` raises, `idle` finds nothing to do and stays due, `gate` waits
until the gate is open, `hang` for ever, `first` for ever when it is begun for the first time, `sleep` half a second,
`stubborn` cannot be cancelled for as long.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from gateway.core import Core
from gateway.engine.effects import transact
from gateway.errors import InvalidRequest
from gateway.store.database import Database
from gateway.worker.jobs import Context, Due, Kind, Kinds
from gateway.worker.kinds import Schedule, scheduled

__all__ = ["Toys", "add", "log", "make_tables", "overlaps", "ticking", "toy_kinds"]


def make_tables(database: Database) -> None:
    big = "BIGSERIAL" if database.read(lambda connection: connection.dialect.name) == "postgresql" else "INTEGER"

    def work(connection: Connection) -> None:
        connection.execute(
            text("CREATE TABLE toys (name TEXT PRIMARY KEY, lock TEXT, crowd TEXT, n INTEGER, done INTEGER)")
        )
        connection.execute(
            text(f"CREATE TABLE toy_log (id {big} PRIMARY KEY, name TEXT, lock TEXT, what TEXT, who TEXT)")
        )

    database.transaction(work)


def add(database: Database, names: Iterable[str], *, lock: str | None = None, crowd: str = "") -> None:
    """These are due, each under a lock of its own unless it is given."""
    rows = [{"name": name, "lock": lock or f"lock {name}", "crowd": crowd} for name in names]

    def work(connection: Connection) -> None:
        first = connection.execute(text("SELECT coalesce(max(n), 0) FROM toys")).scalar_one()
        for number, row in enumerate(rows):
            connection.execute(
                text("INSERT INTO toys VALUES (:name, :lock, :crowd, :n, 0)"), {**row, "n": first + number + 1}
            )

    database.transaction(work)


def log(database: Database) -> list[tuple[str, str, str, str]]:
    """(name, lock, begin|end, who), in order."""
    statement = text("SELECT name, lock, what, who FROM toy_log ORDER BY id")
    return database.read(lambda connection: [tuple(row) for row in connection.execute(statement)])  # type: ignore[misc]


def overlaps(entries: Sequence[tuple[str, str, str, str]]) -> int:
    """How many began while another one of their lock was under way."""
    held: dict[str, str] = {}
    found = 0
    for name, lock, what, _ in entries:
        if what == "begin":
            found += lock in held and held[lock] != name
            held[lock] = name
        elif held.get(lock) == name:
            del held[lock]
    return found


@dataclass
class Toys:
    """What the jobs of one worker in this process share."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    now: int = 0
    most: int = 0
    cancelled: list[str] = field(default_factory=list)


def toy_kinds(toys: Toys | None = None) -> Kinds:
    shared = toys or Toys()

    def due(core: Core, connection: Connection, now: datetime, limit: int) -> list[Due]:
        statement = text("SELECT name, lock, crowd FROM toys WHERE done = 0 ORDER BY n LIMIT :limit")
        return [Due(row.name, row.lock, row.crowd) for row in connection.execute(statement, {"limit": limit})]

    async def run(context: Context, name: str) -> object:
        shared.now += 1
        shared.most = max(shared.most, shared.now)
        try:
            begun = await context.run(transact(lambda connection: _note(connection, name, "begin")))
            if await _behave(shared, name.partition("-")[0], begun) is False:
                return False
            await context.run(transact(lambda connection: _note(connection, name, "end")))
        except asyncio.CancelledError:
            shared.cancelled.append(name)
            raise
        finally:
            shared.now -= 1
        return True

    return {"toy": Kind("toy", due, run)}


def ticking() -> Kinds:
    """Something that is done every second."""

    async def tick(context: Context) -> None:
        entry = text("INSERT INTO toy_log (name, lock, what, who) VALUES ('tick', '', 'end', :who)")
        await context.run(transact(lambda connection: connection.execute(entry, {"who": str(os.getpid())}).rowcount))

    return {"schedule": scheduled({"tick": Schedule(timedelta(seconds=1), tick)})}


async def _behave(toys: Toys, what: str, begun: int) -> Any:
    if what == "fail":
        raise InvalidRequest("it is a toy that fails")
    if what == "crash":
        raise ZeroDivisionError("a mistake in a toy")
    if what == "idle":
        return False
    if what == "gate":
        await toys.gate.wait()
    elif what == "hang" or (what == "first" and begun == 1):
        await asyncio.Event().wait()
    elif what == "sleep":
        await asyncio.sleep(0.5)
    elif what == "stubborn":
        sleeping = asyncio.ensure_future(asyncio.sleep(0.5))
        while not sleeping.done():
            try:
                await asyncio.wait([sleeping])
            except asyncio.CancelledError:
                continue
    return True


def _note(connection: Connection, name: str, what: str) -> int:
    """How often this has happened to it."""
    lock = connection.execute(text("SELECT lock FROM toys WHERE name = :name"), {"name": name}).scalar_one()
    connection.execute(
        text("INSERT INTO toy_log (name, lock, what, who) VALUES (:name, :lock, :what, :who)"),
        {"name": name, "lock": lock, "what": what, "who": str(os.getpid())},
    )
    if what == "end":
        connection.execute(text("UPDATE toys SET done = 1 WHERE name = :name"), {"name": name})
    counted = text("SELECT count(*) FROM toy_log WHERE name = :name AND what = :what")
    return int(connection.execute(counted, {"name": name, "what": what}).scalar_one())
