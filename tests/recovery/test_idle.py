"""A worker that ends when it is idle looks again when something ended while it looked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.core import Core
from gateway.engine.drivers import AsyncDriver
from gateway.worker import running
from gateway.worker.jobs import Context, Due, Kind
from gateway.worker.stopping import Stop
from support.colours import opened

PATIENCE = 30.0


def test_what_becomes_due_while_it_looks_is_done() -> None:
    done: list[str] = []
    begun, looking, ended = threading.Event(), threading.Event(), threading.Event()

    def due(core: Core, connection: Any, now: datetime, limit: int) -> Sequence[Due]:
        seen = list(done)
        if begun.is_set() and not ended.is_set():
            looking.set()
            assert ended.wait(PATIENCE)
        # As it was when the look began.
        left = ["second"] if "first" in seen else ["first"]
        return [Due(name, name) for name in left if name not in seen]

    async def run(context: Context, name: str) -> bool:
        if name == "first":
            begun.set()
            assert await asyncio.to_thread(looking.wait, PATIENCE)
        done.append(name)
        ended.set()
        return True

    with opened("sync") as gw, asyncio.Runner() as runner:

        async def work() -> None:
            driver = AsyncDriver(gw.core.connection, gw.core.database)
            kinds = {"toy": Kind("toy", due, run)}
            try:
                await running.work(gw.core, driver, Stop(), until_idle=True, concurrency=4, kinds=kinds)
            finally:
                await driver.close()

        runner.run(work())
    assert done == ["first", "second"]
