"""`run()` of a gateway: which worker it is, in which event loop, and what stops it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.engine.drivers import AsyncDriver
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.worker.jobs import Context, Kinds
from gateway.worker.kinds import all_kinds
from gateway.worker.runner import Runner
from gateway.worker.stopping import Stop, StopEvent, stopping

if TYPE_CHECKING:
    from gateway.aio import AsyncGateway
    from gateway.api import Gateway
    from gateway.core import Core

__all__ = ["chosen_backend", "run_awaited", "run_blocking"]

log = logging.getLogger("gateway.worker")


def run_blocking(
    gateway: Gateway, *, until_idle: bool = False, concurrency: int | None = None, stop: StopEvent | None = None
) -> None:
    """`Gateway.run`: in an event loop of its own; in the main thread SIGTERM and SIGINT stop it too."""
    core = gateway._core
    sleep = asyncio.sleep if gateway._sleep is time.sleep else _awaitable(gateway._sleep)

    async def run() -> None:
        driver = AsyncDriver(core.connection, core.database, sleep, committed=core.committed)
        try:
            with stopping(stop, signals=threading.current_thread() is threading.main_thread()) as asked:
                await work(core, driver, asked, until_idle=until_idle, concurrency=concurrency)
        finally:
            await driver.close()

    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        raise InvalidRequest(
            "this blocks, and an event loop runs in this thread", hint="use AsyncGateway here, or run it in a thread"
        )
    asyncio.run(run())


async def run_awaited(
    gateway: AsyncGateway,
    *,
    until_idle: bool = False,
    concurrency: int | None = None,
    stop: StopEvent | None = None,
    signals: bool = False,
) -> None:
    """`AsyncGateway.run`: in the caller's event loop; a cancellation stops it."""
    with stopping(stop, signals=signals) as asked:
        await work(gateway._core, gateway._driver, asked, until_idle=until_idle, concurrency=concurrency)


async def work(
    core: Core,
    driver: AsyncDriver,
    stop: Stop,
    *,
    until_idle: bool,
    concurrency: int | None = None,
    kinds: Kinds | None = None,
) -> None:
    """Do these kinds of job (all there are) with the worker that the settings and the store ask for."""
    settings = core.settings.worker
    places = settings.concurrency if concurrency is None else concurrency
    if places < 1:
        raise InvalidRequest("concurrency is a whole number above zero")
    shared = chosen_backend(core) == "procrastinate"
    kinds = all_kinds(core, shared=shared) if kinds is None else kinds
    context, grace = Context(core, driver), settings.grace.total_seconds()
    if shared:
        from gateway.worker.distributed import Distributed

        await Distributed(context, kinds, stop, concurrency=places, grace=grace, until_idle=until_idle).run()
    else:
        await Runner(context, kinds, stop, concurrency=places, grace=grace, until_idle=until_idle).run()


def chosen_backend(core: Core) -> str:
    """`embedded` or `procrastinate`. Raises ConfigurationError for what cannot be."""
    wanted, on_postgresql = core.settings.worker.backend, core.settings.store.startswith("postgres")
    if wanted == "embedded" or (wanted == "auto" and not on_postgresql):
        return "embedded"
    if not on_postgresql:
        raise ConfigurationError(
            "worker.backend: procrastinate needs a store on PostgreSQL",
            hint="leave worker.backend out, or set `store` to a postgresql:// URL",
        )
    if _is_installed():
        return "procrastinate"
    if wanted == "procrastinate":
        raise ConfigurationError(
            "worker.backend: Procrastinate is not installed", hint="pip install 'crypto-gateway[worker]'"
        )
    log.warning(
        "Procrastinate is not installed, so one worker works at a time and others stand by; "
        "pip install 'crypto-gateway[worker]' lets them share the work"
    )
    return "embedded"


def _is_installed() -> bool:
    try:
        import procrastinate  # noqa: F401
        import psycopg_pool  # noqa: F401
    except ImportError:
        return False
    return True


def _awaitable(sleep: Callable[[float], None]) -> Callable[[float], Awaitable[None]]:
    async def awaited(seconds: float) -> None:
        sleep(seconds)
        await asyncio.sleep(0)

    return awaited
