"""The embedded runner: one event loop that looks for what is due in the store, and does it.

It holds the lane `worker`, so that a second one on the same store stands by until the first has ended, however it
ended. All that it knows is found in the store again by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import ConfigurationError, Conflict, GatewayError
from gateway.store import deliveries
from gateway.worker.jobs import Context, Due, Kind, Kinds
from gateway.worker.performing import End, perform
from gateway.worker.rests import Rests, back_off
from gateway.worker.stopping import Stop

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.core import Core
    from gateway.store.database import Database

__all__ = ["LANE", "Looks", "Pace", "Runner", "StoreTrouble", "warn_of_handlers"]

T = TypeVar("T")

log = logging.getLogger("gateway.worker")

LANE = "worker"
TRIES = 5
"""How often a run that ends when it is idle tries a store that fails."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a worker waits, in seconds.

    It looks again after `soonest`, and the longer nothing was due the later, up to `idle`; at once when this process
    commits something. A store that fails is tried again within `trouble`; a failure that no repeating mends ends the
    worker after `patience`, so that whoever watches over it starts it anew.
    """

    soonest: float = 0.05
    idle: float = 1.0
    standby: float = 0.5
    trouble: float = 15.0
    patience: float = 60.0
    cancelling: float = 5.0
    gap: float = 0.01
    """Between two looks, however much is committed."""


class Looks:
    """What is due, read from the store on a thread of its own: the event loop never waits for a disk."""

    BATCH, MOST = 100, 10_000

    def __init__(self, core: Core, kinds: Kinds) -> None:
        self._core = core
        self._kinds = kinds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gateway-look")
        self._latest: tuple[float, datetime] | None = None
        self._mistakes: Counter[str] = Counter()

    async def find(self, held: Callable[[str], int]) -> list[tuple[Kind, Due]]:
        """What may be done now, of every kind in turn. `held` is how many of a kind are known to wait here already:
        so many more are read, that they do not hide the others.
        """
        limits = {name: min(self.MOST, self.BATCH + held(name)) for name in self._kinds}
        now = self._now()

        def work(connection: Connection) -> list[tuple[Kind, Sequence[Due]]]:
            return [(kind, self._due(kind, connection, now, limits[kind.name])) for kind in self._kinds.values()]

        found = await self.run(lambda: self._core.database().read(work))
        queues = [(kind, deque(dues)) for kind, dues in found]
        mixed: list[tuple[Kind, Due]] = []
        while queues:
            mixed += [(kind, waiting.popleft()) for kind, waiting in queues if waiting]
            queues = [queue for queue in queues if queue[1]]
        return mixed

    def _due(self, kind: Kind, connection: Connection, now: datetime, limit: int) -> Sequence[Due]:
        """A mistake in one kind keeps nobody from the others."""
        try:
            found = kind.due(self._core, connection, now, limit)
        except (GatewayError, SQLAlchemyError):
            raise
        except Exception:
            self._mistakes[kind.name] += 1
            if _is_power_of_two(self._mistakes[kind.name]):
                log.exception("what is due of %s cannot be told; trying again", kind.name)
            return ()
        del self._mistakes[kind.name]
        return found

    async def run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    def _now(self) -> datetime:
        """A clock that was set back makes nothing wait longer, as long as this process runs."""
        tick, now = self._core.clock.monotonic(), self._core.now()
        if self._latest is not None:
            now = max(now, self._latest[1] + timedelta(seconds=tick - self._latest[0]))
        self._latest = tick, now
        return now


def _is_power_of_two(times: int) -> bool:
    """The 1st, 2nd, 4th, 8th, … time in a row: often enough to be told."""
    return times & (times - 1) == 0


class StoreTrouble:
    """The store's failures in a row: how long to wait, and when to give up."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.times = 0
        self._hopeless_since: float | None = None

    def over(self) -> None:
        if self.times:
            log.warning("the store can be used again")
        self.times, self._hopeless_since = 0, None

    def met(self, error: GatewayError) -> float:
        """The seconds to wait. Raises the error when waiting is of no use."""
        self.times += 1
        if isinstance(error, ConfigurationError):
            raise error
        if error.retryable:
            self._hopeless_since = None
        elif self._hopeless_since is None:
            self._hopeless_since = time.monotonic()
        elif time.monotonic() - self._hopeless_since > self._pace.patience:
            raise error
        seconds = back_off(self.times, random.random, first=0.2, longest=self._pace.trouble)
        if _is_power_of_two(self.times):
            log.warning("nothing can be done while the store fails, trying again: %s", error)
        return seconds


def warn_of_handlers(core: Core) -> None:
    """A worker without the merchant's handlers is most often one that was started without them by mistake."""
    known = []
    with contextlib.suppress(GatewayError):  # it is only a warning
        known = [] if list(core.handlers) else core.database().read(deliveries.standings)
    if known:
        log.warning(
            "this worker has no event handlers, and the store knows %s: their events wait for a worker that has them "
            "(`gateway worker --app MODULE:NAME`)",
            ", ".join(one.name for one in known),
        )


class Runner:
    """One run of it. `until_idle` does what is due now and returns; otherwise it runs until `stop`."""

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
        self._looks = Looks(core, kinds)
        self._rests = Rests(core.clock.monotonic, random.random, for_good=until_idle)
        self._found: deque[tuple[Kind, Due]] = deque()
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._locks: set[str] = set()
        self._groups: Counter[tuple[str, str]] = Counter()
        self._passed: Counter[str] = Counter()
        # Since the last look began, which may have seen them as they were before.
        self._ended: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until it is stopped, or idle. Raises Conflict when it should do what is due and another worker is at it, and
        StoreError when the store cannot be used and repeating is of no use.
        """
        try:
            with self._woken():
                while not self._stop.asked:
                    async with self._alone() as holds:
                        if holds is not None and await self._loop(holds):
                            return
        finally:
            self._looks.close()

    async def _loop(self, holds: Callable[[], bool]) -> bool:
        """False when somebody else may hold the lane by now."""
        grace = 0.0
        try:
            if ended := await self._until_told(holds):
                grace = self._grace
            return ended
        except asyncio.CancelledError:
            grace = self._grace
            raise
        finally:
            await self._finish(grace)

    async def _until_told(self, holds: Callable[[], bool]) -> bool:
        trouble, pause = StoreTrouble(self._pace), self._pace.soonest
        while not self._stop.asked:
            self._wake.clear()
            looked, wait = False, pause
            if not self._found and len(self._tasks) < self._places:
                try:
                    if not await self._looks.run(holds):
                        log.warning("the store's server was lost, and with it the turn of this worker")
                        return False
                    self._ended.clear()
                    self._found.extend(await self._looks.find(self._held))
                    self._passed.clear()
                    looked = True
                    trouble.over()
                except GatewayError as error:
                    wait = trouble.met(error)
                    if self._until_idle and (not error.retryable or trouble.times >= TRIES):
                        raise
            started = self._start()
            # What ended during the look may have made something due that the look could not see.
            if self._until_idle and looked and not started and not self._tasks and not self._ended:
                return True
            pause = self._pace.soonest if started else min(self._pace.idle, pause * 1.3)
            if await self._stop.wait(self._wake, wait):
                pause = self._pace.soonest
                await asyncio.sleep(self._pace.gap)
        return True

    def _held(self, kind: str) -> int:
        return self._rests.count(kind) + self._passed[kind] + sum(1 for name, _ in self._tasks if name == kind)

    def _start(self) -> int:
        """Begin what was found, as far as there are places; how many."""
        started = 0
        while self._found and len(self._tasks) < self._places:
            kind, due = self._found.popleft()
            job, group = (kind.name, due.key), (kind.name, due.group)
            if job in self._tasks or job in self._ended or self._rests.rests(*job):
                continue
            if due.lock in self._locks or (due.group and self._groups[group] >= max(1, self._places // 2)):
                self._passed[kind.name] += 1  # a later look finds it again
                continue
            self._locks.add(due.lock)
            self._groups[group] += 1
            self._tasks[job] = asyncio.create_task(self._do(kind, due), name=f"{kind.name} {due.key}")
            started += 1
        return started

    async def _do(self, kind: Kind, due: Due) -> None:
        try:
            end = await perform(self._context, kind, due.key)
            if end is End.DONE:
                self._rests.clear(kind.name, due.key)
            elif end is not End.NOTHING or self._rests.idled(kind.name, due.key):
                seconds = self._rests.put(kind.name, due.key)
                if end is End.LOST and not self._until_idle:
                    # What comes after it under its lock waits too: it is in order, and the store fails for all.
                    await self._stop.wait(asyncio.Event(), min(seconds, self._pace.trouble))
        finally:
            del self._tasks[kind.name, due.key]
            self._ended.add((kind.name, due.key))
            self._locks.discard(due.lock)
            self._groups[kind.name, due.group] -= 1
            self._wake.set()

    async def _finish(self, grace: float) -> None:
        """Let what is under way end within the grace time; then cut it short, which leaves it due."""
        self._found.clear()
        tasks = set(self._tasks.values())
        if not tasks:
            return
        if grace and not self._stop.hurried:
            log.info("stopping: %d under way", len(tasks))
            ended = asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._stop.unless_hurried(ended)
        left = {task for task in tasks if not task.done()}
        for task in left:
            task.cancel()
        if left:
            _, hanging = await asyncio.wait(left, timeout=self._pace.cancelling)
            log.warning("%d could not be finished in time and are still due", len(left))
            for task in hanging:
                log.error("%s hangs", task.get_name())

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[Callable[[], bool] | None]:
        """Hold the lane, and say how to see that it is still held; None when it was stopped before it was free."""
        token, told, trouble = None, False, StoreTrouble(self._pace)
        database: Database | None = None
        while token is None and not self._stop.asked:
            wait = self._pace.standby
            try:
                database = await self._looks.run(self._context.core.database)
                token = await self._looks.run(lambda opened=database: opened.try_lane(LANE))  # type: ignore[misc]
                trouble.over()
            except GatewayError as error:
                wait = trouble.met(error)
                if self._until_idle:
                    raise
            else:
                if token is None and self._until_idle:
                    raise Conflict(
                        "another worker is at work on this store, and does what is due",
                        retryable=True,
                        hint="stop it first, or leave it to that one",
                    )
                if token is None and not told:
                    told = True
                    log.info("another worker is at work on this store: standing by until it ends")
            if token is None:
                await self._stop.wait(self._wake, wait)
        if told and token is not None:
            log.info("the other worker has ended: taking over")
        if database is not None and token is not None and not self._until_idle:
            log.info("at work on %s, %d jobs at once", database.name, self._places)
            await self._looks.run(lambda: warn_of_handlers(self._context.core))
        if token is None or database is None:
            yield None
            return
        held, opened = token, database
        try:
            yield lambda: opened.holds_lane(held)
        finally:
            opened.leave_lane(held)

    @contextlib.contextmanager
    def _woken(self) -> Iterator[None]:
        """Look at once when this process commits something, from whatever thread."""
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
