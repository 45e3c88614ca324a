"""Calling handlers: within their time, a few at once, and never twice at once with events of one subject.

An async handler is awaited in the worker's event loop. A sync one runs in a thread of its own, because it may hang and
a thread cannot be ended: when its time is over it is left behind, and what it does from then on counts for nothing. A
handler that has left too many behind is not called until some of them have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.events.handlers import Handler
from gateway.events.threads import Threads
from gateway.models.events import Event

__all__ = ["Calls", "TimedOut"]

log = logging.getLogger("gateway")

AT_ONCE = 16
"""How many calls of one handler are under way at the same time."""

MOST_LEFT_BEHIND = 32
"""How many calls of one handler may be hanging."""

CANCELLING = 2.0
"""Seconds that an async handler has to end after it was cancelled."""

Pair = tuple[str, str]


class TimedOut(GatewayError):
    """A handler has not returned in time."""


@dataclass(slots=True)
class _Taken:
    """A pair of handler and subject: held by whoever delivers, and by a call that was left behind."""

    held: bool = True
    hanging: bool = False
    ended: bool = False
    task: asyncio.Task[BaseException | None] | None = None


class Calls:
    """The calls of this process. Safe for threads."""

    def __init__(self) -> None:
        self._threads = Threads()
        self.after_fork()
        _calls.add(self)

    def after_fork(self) -> None:
        """In the child: what the parent has under way is not done here."""
        self._threads.after_fork()
        self._lock = threading.Lock()
        self._taken: dict[Pair, _Taken] = {}
        self._under_way: Counter[str] = Counter()
        self._left_behind: Counter[str] = Counter()
        self._told: set[str] = set()

    def room(self, name: str) -> int:
        """How many more subjects this handler may be called for now."""
        with self._lock:
            return self._room(name)

    def under_way(self) -> int:
        """How many pairs of handler and subject are taken."""
        with self._lock:
            return len(self._taken)

    def is_taken(self, name: str, subject: str) -> bool:
        """Whether this pair is being delivered, or an earlier call for it has never ended."""
        with self._lock:
            return (name, subject) in self._taken

    def paused(self, name: str) -> str | None:
        """Why this handler is not called at all; None when it is."""
        with self._lock:
            return self._paused(name)

    def take(self, name: str, subject: str) -> bool:
        """Begin with this pair; False when it has to wait."""
        with self._lock:
            if (name, subject) in self._taken or self._room(name) <= 0:
                return False
            self._taken[name, subject] = _Taken()
            self._under_way[name] += 1
            return True

    def give_back(self, name: str, subject: str) -> None:
        """Done with it. A call that was left behind keeps the pair until it ends."""
        with self._lock:
            self._under_way[name] -= 1
            taken = self._taken[name, subject]
            taken.held = False
            if not taken.hanging:
                del self._taken[name, subject]

    async def call(self, handler: Handler, event: Event) -> None:
        """Call the handler with the event of a pair that was taken. Raises what it raised, or TimedOut."""
        if handler.is_async:
            await self._await(handler, event)
        else:
            await self._thread(handler, event)

    async def _await(self, handler: Handler, event: Event) -> None:
        self._begin(handler, event)
        task = asyncio.create_task(_contained(handler.function, event), name=f"{handler.name} {event.subject}")
        task.add_done_callback(lambda ended: self._ended(handler, event))
        try:
            await asyncio.wait({task}, timeout=handler.timeout)
            if task.done():
                _raise(task.result())
                return
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CANCELLING)
                self._leave_behind(handler, event, task)
        raise _too_late(handler)

    async def _thread(self, handler: Handler, event: Event) -> None:
        self._begin(handler, event)
        loop = asyncio.get_running_loop()
        returned: asyncio.Future[BaseException | None] = loop.create_future()
        context = contextvars.copy_context()

        def settle(error: BaseException | None) -> None:
            if not returned.done():
                returned.set_result(error)

        def run() -> None:
            error = context.run(_called, handler.function, event)
            self._ended(handler, event)
            with contextlib.suppress(RuntimeError):  # the worker's loop has ended meanwhile
                loop.call_soon_threadsafe(settle, error)

        self._threads.run(run)
        try:
            await asyncio.wait({returned}, timeout=handler.timeout)
            if returned.done():
                _raise(returned.result())
                return
        finally:
            if not returned.done():
                returned.cancel()
                self._leave_behind(handler, event)
        raise _too_late(handler)

    def _begin(self, handler: Handler, event: Event) -> None:
        with self._lock:
            self._taken[handler.name, event.subject].ended = False

    def _leave_behind(
        self, handler: Handler, event: Event, task: asyncio.Task[BaseException | None] | None = None
    ) -> None:
        with self._lock:
            taken = self._taken[handler.name, event.subject]
            if taken.ended:
                return
            taken.hanging, taken.task = True, task
            self._left_behind[handler.name] += 1
            why = self._paused(handler.name)
            news = why is not None and handler.name not in self._told
            if news:
                self._told.add(handler.name)
        if news:
            log.error("the event handler %s is paused: %s", handler.name, why)

    def _ended(self, handler: Handler, event: Event) -> None:
        """The call is over, in time or long after."""
        with self._lock:
            taken = self._taken[handler.name, event.subject]
            taken.ended = True
            if not taken.hanging:
                return
            taken.hanging = False
            self._left_behind[handler.name] -= 1
            if not taken.held:
                del self._taken[handler.name, event.subject]
            goes_on = handler.name in self._told and self._paused(handler.name) is None
            if goes_on:
                self._told.remove(handler.name)
        if goes_on:
            log.warning("the event handler %s is called again: some of its calls have ended", handler.name)

    def _room(self, name: str) -> int:
        return 0 if self._paused(name) else AT_ONCE - self._under_way[name]

    def _paused(self, name: str) -> str | None:
        hanging = self._left_behind[name]
        if hanging < MOST_LEFT_BEHIND:
            return None
        return f"{hanging} of its calls hang and have not ended; it is called again when some have, or by a new worker"


async def _contained(function: Callable[[Event], object], event: Event) -> BaseException | None:
    """What an async handler raised. Nothing that it raises ends the worker, but for an interrupt from the keyboard."""
    try:
        await function(event)  # type: ignore[misc]
    except KeyboardInterrupt:
        raise
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise  # by us
        return error
    except BaseException as error:
        return error
    return None


def _called(function: Callable[[Event], object], event: Event) -> BaseException | None:
    """What a sync handler raised, in its thread."""
    try:
        result = function(event)
    except BaseException as error:
        return error
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        return TypeError("the handler returned something to be awaited, so nothing was done: write it as `async def`")
    return None


def _raise(error: BaseException | None) -> None:
    if error is None:
        return
    if isinstance(error, Exception):
        raise error
    raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _too_late(handler: Handler) -> TimedOut:
    return TimedOut(f"it has not returned within {handler.timeout:g} s")


_calls: weakref.WeakSet[Calls] = weakref.WeakSet()


def _after_fork() -> None:
    for calls in list(_calls):
        calls.after_fork()


# Where there is no fork, there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)
