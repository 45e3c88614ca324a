"""Workers that share the work: any number of them, on any number of machines, over one PostgreSQL.

One of them, whoever holds the lane `worker`, looks for what is due and puts it into the queue; all of them, that one
too, do what stands there. Jobs for event handlers are looked for and done by those that have these handlers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from gateway.errors import GatewayError, StoreError
from gateway.events.calling import AT_ONCE
from gateway.worker.jobs import Context, Due, Kind, Kinds
from gateway.worker.performing import End, perform
from gateway.worker.procrastinate import Again, Queue, Queued, make_tables, places_of, queue_name
from gateway.worker.rests import Rests, back_off
from gateway.worker.runner import LANE, TRIES, Looks, Pace, StoreTrouble, warn_of_handlers
from gateway.worker.stopping import Stop

if TYPE_CHECKING:
    from gateway.store.database import LaneToken
    from gateway.store.postgresql import PostgresqlDatabase

__all__ = ["Distributed"]

log = logging.getLogger("gateway.worker")

MOST_QUEUED = 50
"""Of one group at a time: what hangs together does not fill the queue."""

PATIENCE = 0.3
"""Seconds that a job waits for a place whose group has all that it may have here."""

FULL_SECONDS = 2.0
"""How long it is put off then."""


class Distributed:
    """One worker of many. `until_idle` does what is due now, together with the others, and returns."""

    def __init__(
        self,
        context: Context,
        kinds: Kinds,
        stop: Stop,
        *,
        concurrency: int,
        grace: float,
        until_idle: bool = False,
        pace: Pace | None = None,
    ) -> None:
        core = context.core
        self._context = context
        self._kinds = kinds
        self._stop = stop
        self._places = concurrency
        self._grace = grace
        self._until_idle = until_idle
        self._pace = pace or Pace()
        self._stalled_after = core.settings.worker.stalled_after.total_seconds()
        self._rests = Rests(core.clock.monotonic, random.random)
        self._free = asyncio.Semaphore(concurrency)
        self._groups: dict[tuple[str, str], asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._looks = Looks(core, kinds)

    async def run(self) -> None:
        """Until it is stopped, or idle. Raises StoreError when the store cannot be used and repeating is of no use."""
        trouble = StoreTrouble(self._pace)
        try:
            while not self._stop.asked:
                try:
                    database = await self._open()
                except GatewayError as error:
                    wait = trouble.met(error)
                    if self._until_idle and (not error.retryable or trouble.times >= TRIES):
                        raise
                    await self._stop.wait(self._wake, wait)
                    continue
                trouble.over()
                with self._woken():
                    await self._work(database)
                return
        finally:
            self._looks.close()

    async def _open(self) -> PostgresqlDatabase:
        from gateway.store.postgresql import PostgresqlDatabase

        database = await self._looks.run(self._context.core.database)
        assert isinstance(database, PostgresqlDatabase)
        await self._looks.run(lambda: make_tables(database))
        return database

    async def _work(self, database: PostgresqlDatabase) -> None:
        queue = Queue(database, self._do, stalled_after=self._stalled_after)
        self._queue = queue
        leader = _Leader(self._looks, database, queue, self._kinds, self._here())
        try:
            if self._until_idle:
                await self._exhaust(leader)
                return
            log.info("at work on %s, %d jobs at once, together with others", database.name, self._places)
            await self._looks.run(lambda: warn_of_handlers(self._context.core))
            leading = asyncio.create_task(self._lead(leader), name="gateway leader")
            working = asyncio.create_task(self._serve(queue), name="gateway worker")
            await asyncio.wait({leading, working}, return_when=asyncio.FIRST_COMPLETED)
            self._stop.ask_once()
            await asyncio.gather(leading, working)
        finally:
            await self._looks.run(leader.leave)
            await queue.close()

    def _here(self) -> list[str]:
        """The handlers of this process."""
        return [handler.name for handler in self._context.core.handlers]

    async def _lead(self, leader: _Leader) -> None:
        """Put what is due into the queue, as long as this worker is the one to do so."""
        trouble, pause, recovered = StoreTrouble(self._pace), self._pace.soonest, float("-inf")
        while not self._stop.asked:
            self._wake.clear()
            try:
                await leader.stand()
                put = await leader.put_due()
                if time.monotonic() - recovered >= self._stalled_after / 3:
                    recovered = time.monotonic()
                    await self._recover(leader)
                trouble.over()
                pause = self._pace.soonest if put else min(self._pace.idle, pause * 1.3)
                wait = pause
            except GatewayError as error:
                wait = trouble.met(error)
            if await self._stop.wait(self._wake, wait):
                pause = self._pace.soonest
                await asyncio.sleep(self._pace.soonest)  # others end meanwhile: a look is a few ways to the server

    async def _recover(self, leader: _Leader) -> None:
        await self._queue.reclaim()
        if not leader.leads:
            return
        for name in await self._queue.recover(lambda times: back_off(times, random.random, first=5)):
            log.warning("the worker that was at %s has ended without a word: it is done again", name)

    async def _serve(self, queue: Queue) -> None:
        """Do what stands in the queue; again when the server was lost."""
        trouble = StoreTrouble(self._pace)
        while not self._stop.asked:
            began = time.monotonic()
            try:
                await queue.open()
                work = asyncio.create_task(
                    queue.work(places_of(self._here()), concurrency=2 * self._places, grace=self._grace, wait=True)
                )
                if await self._until_asked(work):
                    return
                raise StoreError("the connection to the queue was lost", retryable=True)
            except GatewayError as error:
                if time.monotonic() - began > 2 * self._pace.trouble:
                    trouble = StoreTrouble(self._pace)
                await self._stop.wait(self._wake, trouble.met(error))

    async def _until_asked(self, work: asyncio.Task[None]) -> bool:
        """Until it ends by itself, or is told to and has had its grace time: then True."""
        told = False
        try:
            await self._stop.unless_asked(work)
            if told := not work.done():
                if self._tasks:
                    log.info("stopping: %d under way", len(self._tasks))
                work.cancel()
                await self._stop.unless_hurried(asyncio.gather(work, return_exceptions=True))
        finally:
            if not work.done():
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait({work}, timeout=self._pace.cancelling)
        if work.done() and not work.cancelled() and not told:
            work.result()
        return told

    async def _exhaust(self, leader: _Leader) -> None:
        """Do what is due until nothing is but what rests."""
        await self._queue.open()
        pause = self._pace.soonest
        while not self._stop.asked:
            await leader.stand()
            put = await leader.put_due()
            work = asyncio.create_task(
                self._queue.work(places_of(self._here()), concurrency=2 * self._places, grace=None, wait=False)
            )
            await self._until_asked(work)
            if put or await leader.busy():
                # What is left is being done by others, or has to wait its turn.
                pause = self._pace.soonest if put else min(self._pace.idle, pause * 1.3)
                await self._stop.wait(asyncio.Event(), pause)
                continue
            return

    async def _do(self, queued: Queued) -> None:
        """One job of the queue."""
        kind = self._kinds.get(queued.kind)
        if kind is None:
            log.warning("%s is a job of another version, and is left to it", queued.name)
            return
        if queued.rests:
            await self._put(queued, rests=False, failures=queued.failures)
            return
        end = None
        async with self._turn(kind, queued.group) as its_turn:
            if its_turn and not self._stop.asked:
                end = await perform(self._context, kind, queued.key)
        if end is not None:
            await self._ended(queued, end)
        elif not self._stop.asked:  # then it is found again
            await self._put(queued, rests=True, failures=queued.failures, after=FULL_SECONDS * (0.5 + random.random()))

    @contextlib.asynccontextmanager
    async def _turn(self, kind: Kind, group: str) -> AsyncIterator[bool]:
        """One of the places of this worker. False when the job's group has kept all that it may have for too long: more
        jobs are taken from the queue than there are places, so that those that wait here do not hold back others.
        """
        most = min(AT_ONCE, max(1, self._places // 2)) if kind.here else max(1, self._places // 2)
        crowd = self._groups.setdefault((kind.name, group), asyncio.Semaphore(most if group else 2 * self._places))
        try:
            async with asyncio.timeout(PATIENCE if group else None):
                await crowd.acquire()
        except TimeoutError:
            yield False
            return
        task = asyncio.current_task()
        assert task is not None
        try:
            async with self._free:
                self._tasks.add(task)
                yield True
        finally:
            self._tasks.discard(task)
            crowd.release()

    async def _ended(self, queued: Queued, end: End) -> None:
        if end is End.LOST:
            raise Again
        if end is End.DONE:
            self._rests.clear(queued.kind, queued.key)
            self._wake.set()
        elif end is End.FAILED or self._rests.idled(queued.kind, queued.key):
            failures = queued.failures + 1
            await self._put(queued, rests=True, failures=failures, after=back_off(failures, random.random))

    async def _put(self, queued: Queued, *, rests: bool, failures: int, after: float = 0) -> None:
        again = Queued(queued.kind, queued.key, queued.lock, queued.group, queued.place, failures=failures, rests=rests)
        try:
            await self._queue.put([again], after=after)
        except StoreError as error:
            log.warning("%s could not be put back, and is found again: %s", queued.name, error)

    @contextlib.contextmanager
    def _woken(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if not self._wake.is_set():
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self._wake.set)

        self._context.core.wakers.append(wake)
        try:
            yield
        finally:
            self._context.core.wakers.remove(wake)


class _Leader:
    """What puts jobs into the queue: one for what all can do, and one for every set of handlers."""

    def __init__(
        self, looks: Looks, database: PostgresqlDatabase, queue: Queue, kinds: Kinds, handlers: list[str]
    ) -> None:
        self._looks = looks
        self._database = database
        self._queue = queue
        own = hashlib.sha256("\0".join(sorted(handlers)).encode()).hexdigest()[:16]
        self._lanes = [LANE, f"{LANE} {own}"] if handlers else [LANE]
        self._tokens: dict[str, LaneToken] = {}
        self._kinds = kinds

    @property
    def leads(self) -> bool:
        """Whether it is the one for what all can do."""
        return LANE in self._tokens

    async def stand(self) -> None:
        """Hold the lanes that nobody else has."""
        await self._looks.run(self._stand)

    def _stand(self) -> None:
        for name in self._lanes:
            token = self._tokens.get(name)
            if token is not None and not self._database.holds_lane(token):
                del self._tokens[name]
                self._database.leave_lane(token)
            if name not in self._tokens and (taken := self._database.try_lane(name)) is not None:
                self._tokens[name] = taken

    def leave(self) -> None:
        for token in self._tokens.values():
            self._database.leave_lane(token)
        self._tokens.clear()

    async def put_due(self) -> int:
        """Put what is due and does not stand in the queue yet; how many."""
        if not self._tokens:
            return 0
        listed = await self._queue.listed()
        kinds = Counter(queued.kind for queued, _ in listed.values())
        groups = Counter((queued.kind, queued.group) for queued, resting in listed.values() if not resting)
        new: list[Queued] = []
        for kind, due in await self._looks.find(kinds.__getitem__):
            queued = self._queued(kind, due)
            if not self._is_mine(kind) or queued.name in listed:
                continue
            if due.group and groups[kind.name, due.group] >= MOST_QUEUED:
                continue
            groups[kind.name, due.group] += 1
            new.append(queued)
        return await self._queue.put(new)

    async def busy(self) -> bool:
        """Whether anything in the queue is being done or about to be."""
        listed = await self._queue.listed()
        return any(not resting for _, resting in listed.values())

    def _is_mine(self, kind: Kind) -> bool:
        return any((lane != LANE) is kind.here for lane in self._tokens)

    def _queued(self, kind: Kind, due: Due) -> Queued:
        place = queue_name(due.group if kind.here else None)
        return Queued(kind.name, due.key, due.lock, due.group, place)
