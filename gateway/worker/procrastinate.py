"""The queue that many workers share: Procrastinate in the store's own PostgreSQL.

Everything that touches that library (https://procrastinate.readthedocs.io) stands here. A job in the queue is one task
with the kind and the key of a job that is due; `lock` is the job's own, and the queueing lock lets no second one wait
for the same. Jobs that have ended are deleted: what was done stands in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import psycopg_pool
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision, exceptions, jobs
from procrastinate.schema import SchemaManager
from psycopg import sql
from sqlalchemy import text

from gateway.errors import ConfigurationError, StoreError
from gateway.store import restores
from gateway.worker.rests import back_off

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.store.database import Database
    from gateway.store.postgresql import PostgresqlDatabase

__all__ = ["Again", "Queue", "Queued", "make_tables", "places_of", "queue_name"]

log = logging.getLogger("gateway.worker")

TASK = "gateway"
FACT = "procrastinate"
MIGRATIONS = resources.files("procrastinate.sql") / "migrations"
LONGEST_NAME = 128
CONNECTIONS = 4
POLLING = 0.25
"""Seconds after which a worker looks for jobs that nobody tells it of: their lock is free now, or their rest over."""

Do = Callable[["Queued"], Awaitable[None]]


class Again(Exception):
    """Raised in doing a job: it stays in its place before all that came after it, and is done again soon."""


class _Retry(BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: jobs.Job) -> RetryDecision | None:
        if not isinstance(exception, Again):
            return None
        seconds = back_off(job.attempts + 1, random.random, longest=60)
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=seconds))


@dataclass(frozen=True, slots=True)
class Queued:
    """One job in the queue. `place` is the queue that it stands in.

    One that `rests` has failed, `failures` times in a row, or waits for its group's turn: when its time has come it is
    put into the queue again as it was before.
    """

    kind: str
    key: str
    lock: str
    group: str = ""
    place: str = TASK
    failures: int = 0
    rests: bool = False

    @property
    def name(self) -> str:
        """What no two that wait have in common."""
        return f"{self.kind} {self.key}"


def queue_name(handler: str | None = None) -> str:
    """The queue of the jobs that every worker can do, or of those that take this handler."""
    if handler is None:
        return TASK
    name = f"{TASK}:{handler}"
    return name if len(name) <= LONGEST_NAME else f"{TASK}:{hashlib.sha256(handler.encode()).hexdigest()}"


class _Connector(PsycopgConnector):
    """Tells the server again what it has not heard, such as that a job has ended: all that changes something and
    gives nothing back may be said twice.
    """

    def __init__(self, patience: float, **given: Any) -> None:
        super().__init__(**given)
        self._patience = patience

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        until, times = time.monotonic() + self._patience, 0
        while True:
            try:
                await super().execute_query_async(query, **arguments)
                return
            except exceptions.ConnectorException as error:
                if times and isinstance(error.__cause__, psycopg.errors.RaiseException):
                    return  # it was heard the first time: the job is not there any more
                times += 1
                seconds = back_off(times, random.random, first=0.1, longest=2)
                if not isinstance(error.__cause__, psycopg.OperationalError) or time.monotonic() + seconds > until:
                    raise
                await asyncio.sleep(seconds)


class Queue:
    """One process at the queue. Its connections are its own, set up as the store's are."""

    def __init__(self, database: PostgresqlDatabase, do: Do, *, stalled_after: float) -> None:
        self._stalled_after = stalled_after
        given, own_schema = database.connection_arguments()

        async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
            # Every call of the library is one statement: begin and commit would double the ways to the server.
            await connection.set_autocommit(True)
            if own_schema is not None:
                await connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(own_schema)))

        connector = _Connector(
            stalled_after / 2,
            # SQLAlchemy's own ways of reading values are nothing for another library.
            kwargs={name: value for name, value in given.items() if name != "context"},
            configure=configure,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=10,
        )
        self._app = App(connector=connector)
        self._manager = self._app.job_manager
        # Under which numbers this process works, what it is at, and what it seems to have lost.
        self._numbers: set[int] = set()
        self._under_way: set[int] = set()
        self._suspected: set[int] = set()

        @self._app.task(name=TASK, pass_context=True, retry=_Retry())
        async def task(context: JobContext, /, **arguments: Any) -> None:
            number, worker = context.job.id, context.job.worker_id
            assert number is not None
            assert worker is not None
            self._numbers.add(worker)
            self._under_way.add(number)
            try:
                await do(Queued(place=context.job.queue, **arguments))
            finally:
                self._under_way.discard(number)

    async def open(self) -> None:
        """Raises StoreError when the server cannot be reached; it may be called again then."""
        with _told():
            await self._app.connector.open_async()

    async def close(self) -> None:
        await self._app.close_async()

    async def work(self, places: Sequence[str], *, concurrency: int, grace: float | None, wait: bool) -> None:
        """Do what stands in these queues: until it is cancelled, or (without `wait`) until none is left.

        A cancellation lets what is under way end within `grace`, and cuts it short then. Raises StoreError when the
        server is lost; returns when the library gives up for another reason.
        """
        with _told():
            await self._app.run_worker_async(
                queues=list(places),
                name=TASK,
                concurrency=concurrency,
                wait=wait,
                fetch_job_polling_interval=POLLING,
                shutdown_graceful_timeout=grace,  # type: ignore[arg-type]  # None is for ever
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=self._stalled_after / 3,
                stalled_worker_timeout=self._stalled_after,
            )

    async def put(self, queued: Sequence[Queued], *, after: float = 0) -> int:
        """Put these in, to be done after so many seconds, but for those that wait already; how many went in."""
        if not queued:
            return 0
        at = datetime.now(UTC) + timedelta(seconds=after) if after else None
        made = [_job(each, at) for each in queued]
        with _told():
            try:
                await self._manager.batch_defer_jobs_async(made)
                return len(made)
            except exceptions.AlreadyEnqueued:
                if len(made) == 1:
                    return 0
        # All or none went in: one by one, because another worker has put one of them in meanwhile.
        return sum([await self.put([each], after=after) for each in queued])

    async def listed(self) -> dict[str, tuple[Queued, bool]]:
        """What stands in the queue or is being done, by name, and whether it rests because it has failed."""
        with _told():
            found = await self._manager.list_jobs_async(task=TASK)
        now = datetime.now(UTC)
        listed: dict[str, tuple[Queued, bool]] = {}
        for job in found:
            arguments: Any = job.task_kwargs
            queued = Queued(place=job.queue, **arguments)
            later = job.scheduled_at is not None and job.scheduled_at > now
            resting = queued.rests and queued.failures > 0 and later
            if queued.name not in listed or not resting:
                listed[queued.name] = queued, resting
        return listed

    async def recover(self, rest: Callable[[int], float]) -> list[str]:
        """Put back what workers were at that have given no sign of life for too long; the names.

        It keeps its lock and its place before all that came after it. `rest` says how long it rests after so many
        workers have ended over it.
        """
        with _told():
            stalled = list(
                await self._manager.get_stalled_jobs(task_name=TASK, seconds_since_heartbeat=self._stalled_after)
            )
            for job in stalled:
                await self._put_back(job, rest(job.attempts) if job.attempts else 0)
        return [str(job.queueing_lock) for job in stalled]

    async def reclaim(self) -> None:
        """Put back what this process took or ended without the server's or its own knowing, because the connection was
        lost in between. Found so twice, as it may be just on its way.
        """
        with _told():
            doing = await self._manager.list_jobs_async(task=TASK, status="doing")
            mine = {job.id: job for job in doing if job.id is not None and job.worker_id in self._numbers}
            lost = {number: job for number, job in mine.items() if number not in self._under_way}
            for number in self._suspected & set(lost):
                await self._put_back(lost[number], 0)
            self._suspected = set(lost) - self._suspected

    async def _put_back(self, job: jobs.Job, pause: float) -> None:
        try:
            await self._manager.retry_job(job, retry_at=datetime.now(UTC) + timedelta(seconds=pause))
        except exceptions.ConnectorException as error:
            if isinstance(error.__cause__, psycopg.OperationalError):
                raise
            # It has ended meanwhile: its worker lives.


def _job(queued: Queued, at: datetime | None) -> jobs.Job:
    return jobs.Job(
        queue=queued.place,
        # What rests holds nobody up.
        lock=None if queued.rests else queued.lock,
        queueing_lock=queued.name,
        task_name=TASK,
        task_kwargs={
            "kind": queued.kind,
            "key": queued.key,
            "lock": queued.lock,
            "group": queued.group,
            "failures": queued.failures,
            "rests": queued.rests,
        },
        scheduled_at=at,
    )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The library's failures as the gateway's: without SQL and without values."""
    try:
        yield
    except (exceptions.ConnectorException, psycopg.Error, psycopg_pool.PoolTimeout):
        raise StoreError(
            "the queue in the store's database cannot be used: the connection was lost or refused",
            retryable=True,
            hint="nothing is lost: what is due stands in the store",
        ) from None


def make_tables(database: Database) -> None:
    """Make Procrastinate's tables beside the gateway's own, or bring them up to date; again changes nothing.

    Raises ConfigurationError when there are such tables of somebody else.
    """
    names = sorted(each.name for each in MIGRATIONS.iterdir() if each.name.endswith(".sql"))
    token = database.enter_lane("worker tables", 30)
    try:
        last = database.transaction(lambda connection: _make(connection, database.name, names[-1]))
        for name in names:
            if name > last:
                database.transaction(lambda connection, name=name: _migrate(connection, name))  # type: ignore[misc]
                log.info("the queue's tables are brought up to date: %s", name)
    finally:
        database.leave_lane(token)


def _make(connection: Connection, store: str, newest: str) -> str:
    """The newest change that is in the tables."""
    known = restores.fact(connection, FACT)
    if known is not None:
        return str(known["migration"])
    there = connection.execute(
        text("SELECT to_regclass(quote_ident(current_schema()) || '.procrastinate_jobs') IS NOT NULL")
    ).scalar_one()
    if there:
        raise ConfigurationError(
            f"the store {store}: its schema holds the queue of another application that uses Procrastinate",
            hint="give the gateway a schema of its own with ?schema=gateway in `store`",
        )
    _execute(connection, SchemaManager.get_schema())
    restores.remember(connection, FACT, {"migration": newest})
    return newest


def _migrate(connection: Connection, name: str) -> None:
    _execute(connection, (MIGRATIONS / name).read_text(encoding="utf-8"))
    restores.remember(connection, FACT, {"migration": name})


def _execute(connection: Connection, script: str) -> None:
    """Several statements at once, with nothing to be filled in."""
    session: Any = connection.connection.driver_connection
    session.execute(script)


def places_of(handlers: Iterable[str]) -> list[str]:
    """The queues of a process that has these handlers."""
    return [queue_name(), *(queue_name(name) for name in sorted(handlers))]
