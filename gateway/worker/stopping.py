"""How a worker is told to stop: an event of the caller's, SIGTERM and SIGINT. The second time means at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Iterator
from typing import Any, TypeAlias

__all__ = ["Stop", "StopEvent", "stopping"]

StopEvent: TypeAlias = threading.Event | asyncio.Event
"""What a caller stops a worker with: an asyncio one has to be of the worker's own loop."""

LOOK_SECONDS = 0.2


class Stop:
    """Asked to stop, and perhaps to hurry. Belongs to one event loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def hurried(self) -> bool:
        return self._hurried.is_set()

    def ask(self) -> None:
        if self._asked.is_set():
            self._hurried.set()
        self._asked.set()

    def ask_once(self) -> None:
        """Ask, without being in a hurry if somebody has asked before."""
        self._asked.set()

    async def wait(self, wake: asyncio.Event, seconds: float) -> bool:
        """Until `wake` or the request to stop, at most so long. True when it was `wake`."""
        await _first(wake.wait(), self._asked.wait(), seconds=seconds)
        return wake.is_set()

    async def unless_asked(self, ended: asyncio.Future[Any]) -> None:
        """Until it has ended or somebody asks to stop."""
        await _first(asyncio.shield(ended), self._asked.wait(), seconds=None)

    async def unless_hurried(self, ended: asyncio.Future[Any]) -> None:
        """Until it has ended or somebody is in a hurry."""
        await _first(asyncio.shield(ended), self._hurried.wait(), seconds=None)


async def _first(*awaited: Awaitable[object], seconds: float | None) -> None:
    tasks = [asyncio.ensure_future(each) for each in awaited]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


@contextlib.contextmanager
def stopping(given: StopEvent | None, *, signals: bool) -> Iterator[Stop]:
    """What stops the run inside: the event that is given and, with `signals`, SIGTERM and SIGINT."""
    loop, stop = asyncio.get_running_loop(), Stop()
    numbers = (signal.SIGTERM, signal.SIGINT) if signals else ()
    before = {number: signal.getsignal(number) for number in numbers}
    ended = threading.Event()
    watching: asyncio.Task[None] | None = None
    for number in numbers:
        loop.add_signal_handler(number, stop.ask)
    if isinstance(given, asyncio.Event):
        watching = loop.create_task(_follow(given, stop))
    elif given is not None:
        threading.Thread(target=_watch, args=(given, ended, loop, stop), daemon=True).start()
    try:
        yield stop
    finally:
        ended.set()
        if watching is not None:
            watching.cancel()
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def _follow(given: asyncio.Event, stop: Stop) -> None:
    await given.wait()
    stop.ask()


def _watch(given: threading.Event, ended: threading.Event, loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
    while not ended.is_set():
        if given.wait(LOOK_SECONDS):
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(stop.ask)
            return
