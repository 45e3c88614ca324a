"""One check over `Gateway` and `AsyncGateway`: every call is run to its end, lists come back as lists."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

from gateway.testing.conformance.faults import Piercing

__all__ = ["ASYNC", "COLOURS", "SYNC", "Blocking"]

SYNC, ASYNC = "sync", "async"
COLOURS = (SYNC, ASYNC)


class Blocking:
    """A gateway of either colour, or a part of one, whose calls block."""

    def __init__(self, inner: Any, runner: asyncio.Runner | None) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return self._shown(getattr(self._inner, name))

    def _shown(self, value: Any) -> Any:
        if inspect.ismethod(value):
            return lambda *args, **kwargs: self._shown(self._called(value, *args, **kwargs))
        if type(value).__module__ in ("gateway.api", "gateway.aio"):
            return Blocking(value, self._runner)
        return value

    def _called(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._finished(method(*args, **kwargs))
        except Piercing as pierced:
            raise pierced.fault from None

    def _finished(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            return self._run(value)
        if isinstance(value, AsyncIterator):
            return self._run(_collected(value))
        return list(value) if isinstance(value, Iterator) else value

    def _run(self, coroutine: Any) -> Any:
        assert self._runner is not None
        return self._runner.run(coroutine)


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
