"""A worker in small: what a real one does with events, step by step, so that a test can say when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from gateway.engine.drivers import AsyncDriver
from gateway.flows import delivering
from gateway.models import Environment
from gateway.store import events
from support.colours import Opened, opened
from support.virtual import VirtualClock

__all__ = ["Worker", "happen", "numbers", "shop"]


class Worker:
    """Hands out and delivers with the gateway's own functions. `rounds` counts those that found something to do."""

    def __init__(self, gw: Opened, runner: asyncio.Runner, driver: AsyncDriver) -> None:
        self.gw = gw
        self.core = gw.core
        self.runner = runner
        self.driver = driver

    def work(self) -> int:
        """Everything that is due now, and what becomes due by it; how many calls were made."""
        return self.runner.run(self.working())

    async def working(self) -> int:
        made = 0
        while await self.driver.run(delivering.fan_out(self.core)):
            pass
        while pairs := self.due():
            made += sum(await asyncio.gather(*(self.deliver(*pair) for pair in pairs)))
        return made

    def due(self) -> list[tuple[str, str]]:
        now = self.core.now()
        return self.core.database().read(lambda connection: delivering.due(self.core, connection, now, 100))

    async def deliver(self, handler: str, subject: str) -> int:
        return await delivering.deliver(self.core, self.driver.run, handler, subject)


@contextlib.contextmanager
def shop(colour: str = "sync", clock: VirtualClock | None = None, **given: Any) -> Iterator[Worker]:
    """A worker of a gateway, whose store is in memory unless `store` says otherwise."""
    with opened(colour, clock=clock, **given) as gw, contextlib.ExitStack() as stack:
        if gw.runner is not None:
            yield Worker(gw, gw.runner, gw.raw._driver)
            return
        runner = stack.enter_context(asyncio.Runner())
        driver = AsyncDriver(gw.core.connection, gw.core.database)
        try:
            yield Worker(gw, runner, driver)
        finally:
            runner.run(driver.close())


def happen(worker: Worker, *told: str) -> list[int]:
    """Events such as `paid cart-1` or `refund.created ref-1`, in one transaction; their numbers."""

    def work(connection: Any) -> list[int]:
        return [
            events.append(
                connection,
                kind if "." in kind else f"order.{kind}",
                subject=kind.partition(".")[0] if "." in kind else "order",
                reference=reference,
                account="shop",
                provider="toy",
                environment=Environment.SANDBOX,
                data={"n": number},
                now=worker.core.now(),
            )
            for number, (kind, _, reference) in enumerate(one.partition(" ") for one in told)
        ]

    found: list[int] = worker.core.database().transaction(work)
    return found


def numbers(seen: list[Any]) -> list[int]:
    return [event.id for event in seen]
