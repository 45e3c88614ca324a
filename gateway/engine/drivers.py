"""The two drivers: they carry out the effects of a flow, and nothing else. All rules live above them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.engine.effects import Block, Checkpoint, Effect, Enter, Flow, Leave, Note, Pause, Send, Transact
from gateway.engine.http import AsyncTransport, Connection, SyncTransport
from gateway.errors import ConfigurationError, Conflict

if TYPE_CHECKING:
    from gateway.store.database import Database, LaneToken

__all__ = ["AsyncDriver", "SyncDriver"]

T = TypeVar("T")


def _closed() -> ConfigurationError:
    return ConfigurationError(
        "this gateway is closed; nothing was sent", hint="make a new one; a gateway is used inside `with`"
    )


def _busy(lane: Enter) -> Conflict:
    return Conflict(
        f"another call holds {lane.lane!r} for longer than this call may take; nothing was sent", retryable=True
    )


class SyncDriver:
    """Runs flows in the calling thread; safe for many threads."""

    def __init__(
        self,
        connection: Callable[[str], Connection],
        database: Callable[[], Database],
        sleep: Callable[[float], None] = time.sleep,
        transport: Callable[[Connection], SyncTransport] = SyncTransport,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._committed = committed
        self._make_transport = transport
        self._database = database
        self._sleep = sleep
        self._transports: dict[str, SyncTransport] = {}
        self._lanes: dict[str, threading.Lock] = {}
        self._shared: dict[str, LaneToken] = {}
        self._lock = threading.Lock()
        self._inherited: list[object] = []
        self._open = True
        _drivers.add(self)

    def after_fork(self) -> None:
        """In the child: connections of its own. The parent's are left alone, neither used nor closed; and whatever
        its threads were at is not done here.
        """
        self._inherited.append(self._transports)
        self._transports, self._lanes, self._shared, self._lock = {}, {}, {}, threading.Lock()

    def run(self, flow: Flow[T]) -> T:
        """Carry the flow out to its end. An exception of an effect is thrown into the flow, which may deal with it."""
        if not self._open:
            flow.close()
            raise _closed()
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                effect = flow.send(value) if error is None else flow.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            value, error = None, None
            try:
                value = self._carry_out(effect)
                if isinstance(effect, Transact):
                    self._committed()
            except BaseException as caught:  # an interrupt too: the flow decides what is recorded of it
                error = caught

    def _carry_out(self, effect: Effect) -> Any:
        match effect:
            case Send():
                return self._transport(effect.account).send(effect.request, effect.timeout)
            case Transact(together=True):
                return self._database().together(effect.work).result()
            case Transact():
                return self._database().transaction(effect.work)
            case Note():
                return _given_time(self._database().together(effect.work), effect.patience)
            case Block():
                return effect.work()
            case Checkpoint():
                return None
            case Pause():
                return self._sleep(effect.seconds)
            case Enter():
                return self._enter(effect)
            case Leave():
                return self._leave(effect)

    def _transport(self, account: str) -> SyncTransport:
        with self._lock:
            if account not in self._transports:
                self._transports[account] = self._make_transport(self._connection(account))
            return self._transports[account]

    def _enter(self, lane: Enter) -> None:
        with self._lock:
            lock = self._lanes.setdefault(lane.lane, threading.Lock())
        if not lock.acquire(timeout=lane.timeout):
            raise _busy(lane)
        if lane.shared:
            try:
                self._shared[lane.lane] = self._database().enter_lane(lane.lane, lane.timeout)
            except BaseException:
                lock.release()
                raise

    def _leave(self, lane: Leave) -> None:
        lock = self._lanes.get(lane.lane)
        if lock is None or not lock.locked():
            return
        token = self._shared.pop(lane.lane, None)
        if token is not None:
            self._database().leave_lane(token)
        lock.release()

    def close(self) -> None:
        self._open = False
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()


class AsyncDriver:
    """Runs flows in the calling task; store work goes to writer threads, so that the event loop never waits for a
    disk: one of them for a file, several for a server.
    """

    def __init__(
        self,
        connection: Callable[[str], Connection],
        database: Callable[[], Database],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: Callable[[Connection], AsyncTransport] = AsyncTransport,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._committed = committed
        self._make_transport = transport
        self._database = database
        self._sleep = sleep
        self._transports: dict[str, AsyncTransport] = {}
        self._lanes: dict[str, asyncio.Lock] = {}
        self._shared: dict[str, LaneToken] = {}
        self._handing_over = threading.Lock()
        self._writer = _threads(1)
        self._store: Database | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inherited: list[object] = []
        self._open = True
        _drivers.add(self)

    def after_fork(self) -> None:
        """As `SyncDriver.after_fork`; the writer thread is the parent's too. The child needs an event loop of its
        own.
        """
        self._inherited += [self._transports, self._writer]
        self._transports, self._lanes, self._shared, self._writer = {}, {}, {}, _threads(1)
        self._handing_over, self._loop, self._store = threading.Lock(), None, None

    async def run(self, flow: Flow[T]) -> T:
        """As `SyncDriver.run`. A cancellation is thrown into the flow too, which records it before it ends.

        A transaction is never cut short: a cancellation that comes during one meets the flow at its next effect.
        """
        if not self._open:
            flow.close()
            raise _closed()
        # Its connections live in the loop that made them; elsewhere a write would break half-way.
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            flow.close()
            raise ConfigurationError(
                "this gateway is in use in another event loop; nothing was sent",
                hint="make one gateway for each event loop, and use it inside one `asyncio.run`",
            )
        value: Any = None
        error: BaseException | None = None
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                effect = flow.send(value) if error is None else flow.throw(error)
            except StopIteration as end:
                if cancelled is not None:
                    raise cancelled from None
                result: T = end.value
                return result
            value, error = None, None
            if cancelled is not None and not isinstance(effect, Leave):
                error, cancelled = cancelled, None
                continue
            try:
                if isinstance(effect, Transact):
                    work, cancelled = await self._transact(effect)
                    value = work.result()
                    self._committed()
                else:
                    value = await self._carry_out(effect)
            except BaseException as caught:
                error = caught

    async def _transact(self, effect: Transact) -> tuple[asyncio.Future[Any], asyncio.CancelledError | None]:
        """The work, done or failed, and the cancellation that came meanwhile."""
        store = self._store or await self._opened()
        work: asyncio.Future[Any]
        if effect.together:
            work = asyncio.wrap_future(store.together(effect.work))
        else:
            work = asyncio.get_running_loop().run_in_executor(self._writer, store.transaction, effect.work)
        cancelled = None
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as caught:
                cancelled = caught
        return work, cancelled

    async def _opened(self) -> Database:
        store = await asyncio.get_running_loop().run_in_executor(self._writer, self._database)
        if self._store is None:
            self._store = store
            if store.parallel > 1:
                # A server does several transactions at once; a file one at a time.
                self._writer.shutdown(wait=False)
                self._writer = _threads(store.parallel // 2)
        return store

    async def _carry_out(self, effect: Send | Pause | Note | Block | Checkpoint | Enter | Leave) -> Any:
        match effect:
            case Send():
                return await self._transport(effect.account).send(effect.request, effect.timeout)
            case Note():
                store = self._store or await self._opened()
                return await asyncio.to_thread(_given_time, store.together(effect.work), effect.patience)
            case Block():
                return await asyncio.to_thread(effect.work)
            case Checkpoint():
                return None
            case Pause():
                return await self._sleep(effect.seconds)
            case Enter():
                return await self._enter(effect)
            case Leave():
                return self._leave(effect)

    def _transport(self, account: str) -> AsyncTransport:
        if account not in self._transports:
            self._transports[account] = self._make_transport(self._connection(account))
        return self._transports[account]

    async def _enter(self, lane: Enter) -> None:
        lock = self._lanes.setdefault(lane.lane, asyncio.Lock())
        try:
            async with asyncio.timeout(lane.timeout):
                await lock.acquire()
        except TimeoutError:
            raise _busy(lane) from None
        if lane.shared:
            try:
                await self._enter_shared(lane)
            except BaseException:
                lock.release()
                raise

    async def _enter_shared(self, lane: Enter) -> None:
        database, abandoned = self._database(), False

        def enter() -> None:
            token = database.enter_lane(lane.lane, lane.timeout)
            with self._handing_over:
                if not abandoned:
                    self._shared[lane.lane] = token
                    return
            database.leave_lane(token)  # whoever wanted it was cancelled meanwhile

        try:
            # Not on the writer thread: waiting for another process must not hold the store work of this one back.
            await asyncio.to_thread(enter)
        except BaseException:
            with self._handing_over:
                abandoned = True
                token = self._shared.pop(lane.lane, None)
            if token is not None:
                database.leave_lane(token)
            raise

    def _leave(self, lane: Leave) -> None:
        lock = self._lanes.get(lane.lane)
        if lock is None or not lock.locked():
            return
        token = self._shared.pop(lane.lane, None)
        if token is not None:
            store = self._database()
            if store.parallel > 1:
                # A server has to be told, and the event loop does not wait for that; nobody gets the lane before.
                asyncio.get_running_loop().run_in_executor(None, store.leave_lane, token)
            else:
                store.leave_lane(token)
        lock.release()

    async def close(self) -> None:
        self._open = False
        for transport in self._transports.values():
            await transport.close()
        self._transports.clear()
        self._writer.shutdown()


def _given_time(work: Future[None], seconds: float) -> None:
    wait([work], seconds)
    if work.done():
        work.result()


def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=number, thread_name_prefix="gateway-store")


_drivers: weakref.WeakSet[SyncDriver | AsyncDriver] = weakref.WeakSet()


def _after_fork() -> None:
    for driver in list(_drivers):
        driver.after_fork()


# Where there is no fork, there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)
