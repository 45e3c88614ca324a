"""One test body over both colours.

`opened("sync" | "async", ...)` gives a gateway on which every call is blocking: on `AsyncGateway` each call is run to
its end on one event loop that belongs to it. Lists come back as lists. `together` makes calls at once, in threads or in
tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from gateway.plugins import Plugins
from support.toy import toy_plugins
from support.virtual import VirtualClock

__all__ = ["COLOURS", "Opened", "opened"]

COLOURS = ("sync", "async")


class _Blocking:
    """A gateway, or a part of one, whose calls are run to their end."""

    def __init__(self, inner: Any, finish: Callable[[Any], Any]) -> None:
        self._inner = inner
        self._finish = finish

    def __getattr__(self, name: str) -> Any:
        return self._shown(getattr(self._inner, name))

    def _shown(self, value: Any) -> Any:
        if inspect.ismethod(value):
            return lambda *args, **kwargs: self._shown(self._finish(value(*args, **kwargs)))
        if type(value).__module__ in ("gateway.api", "gateway.aio"):
            return _Blocking(value, self._finish)
        return value


class Opened(_Blocking):
    """An open gateway. `raw` is the `Gateway` or `AsyncGateway` itself, `core` what it works with."""

    def __init__(self, raw: Any, colour: str, runner: asyncio.Runner | None) -> None:
        self.raw = raw
        self.core = raw._core
        self.colour = colour
        self.runner = runner
        super().__init__(raw, self._to_its_end)

    def _to_its_end(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            assert self.runner is not None
            return self.runner.run(value)
        if isinstance(value, AsyncIterator):
            assert self.runner is not None
            return self.runner.run(_collected(value))
        return list(value) if isinstance(value, Iterator) else value

    def run(self, flow: Any) -> Any:
        """Carry out a flow, past the public surface."""
        return self._to_its_end(self.raw._run(flow))

    def together(self, count: int, call: Callable[[Any, int], Any]) -> list[Any]:
        """The results, or the exceptions, of `call(gateway, index)` made `count` times at once, in threads or tasks."""
        if self.runner is not None:

            async def all_of_them() -> list[Any]:
                return await asyncio.gather(*(call(self.raw, index) for index in range(count)), return_exceptions=True)

            return self.runner.run(all_of_them())
        results: list[Any] = [None] * count
        start = threading.Barrier(count)

        def one(index: int) -> None:
            start.wait(10)
            try:
                results[index] = call(self.raw, index)
            except Exception as error:
                results[index] = error

        threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return results


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


@contextlib.contextmanager
def opened(
    colour: str, *, plugins: Plugins | None = None, clock: VirtualClock | None = None, **given: Any
) -> Iterator[Opened]:
    """A gateway of this colour; of the provider `toy` alone unless `plugins` says otherwise.

    With `clock` nothing waits really: pauses move that clock.
    """
    from gateway import AsyncGateway, Gateway

    given.setdefault("store", "sqlite://")
    plugins = plugins or toy_plugins()
    if colour == "sync":
        if clock is not None:
            given = {"clock": clock, "sleep": clock.sleep, **given}
        with Gateway(plugins=plugins, **given) as gateway:
            yield Opened(gateway, colour, None)
        return
    if clock is not None:
        given = {"clock": clock, "sleep": clock.asleep, **given}
    with asyncio.Runner() as runner:
        made = AsyncGateway(plugins=plugins, **given)
        try:
            yield Opened(made, colour, runner)
        finally:
            runner.run(made.close())
