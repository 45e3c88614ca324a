"""Bodies for both colours: a script yields a call and is sent its result, in a thread or in a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["PATIENCE", "Script", "pause", "told", "waiting_for"]

PATIENCE = 60.0
"""Seconds after which whatever is waited for will not come."""

Script = Generator[Any, Any, Any]
"""A body for both colours: what it yields is a call, and what comes back its result."""


def told(colour: str, script: Callable[[Any, int], Script]) -> Callable[[Any, int], Any]:
    """The script as `Opened.together` takes it."""

    def blocking(gateway: Any, index: int) -> Any:
        return _carried_out(script(gateway, index))

    async def waiting(gateway: Any, index: int) -> Any:
        return await _carried_out_in_a_task(script(gateway, index))

    return blocking if colour == "sync" else waiting


def _carried_out(script: Script) -> Any:
    result: Any = None
    while True:
        try:
            result = script.send(result)
        except StopIteration as end:
            return end.value
        if result is pause:
            time.sleep(0.002)
        elif hasattr(result, "__next__"):
            result = list(result)


async def _carried_out_in_a_task(script: Script) -> Any:
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            call = script.send(result) if error is None else script.throw(error)
        except StopIteration as end:
            return end.value
        result, error = None, None
        try:
            if call is pause:
                await asyncio.sleep(0.002)
            elif hasattr(call, "__anext__"):
                result = [item async for item in call]
            elif asyncio.iscoroutine(call):
                result = await call
            else:
                result = call
        except Exception as caught:
            error = caught


def pause() -> None:
    """What a script yields to let others go on."""


def waiting_for(condition: Callable[[], object]) -> Script:
    """Until another one has brought this about."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        yield pause
