"""A thousand reads at once on one event loop, against the same loop on a bare `httpx.AsyncClient`.

Both sides have the same limits of connections, send the same key to the same local server and read the same order.
Through the gateway each read is `orders.fetch`: all of the engine, the provider's models, and a look into the store
for the merchant's reference.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from benchmarks.measuring import Row, interleaved
from benchmarks.server import NUMBER, serving
from gateway import AsyncGateway, OrderStatus

__all__ = ["rows"]

_KEY = "benchmark-key"
_TASKS = 20


def rows(*, quick: bool = False) -> list[Row]:
    rounds, reads = (1, 20) if quick else (9, 1000)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder, serving() as url:
        store = f"sqlite:///{Path(folder, 'bench.db')}"
        at_once, in_turn = (
            interleaved(
                lambda tasks=tasks: asyncio.run(_through(url, store, reads, tasks)),
                lambda tasks=tasks: asyncio.run(_by_hand(url, reads, tasks)),
                rounds,
            )
            for tasks in (reads, _TASKS)
        )
    return [
        Row(
            f"{reads:,} reads at once by `AsyncGateway`, against `httpx.AsyncClient`",
            "/s",
            *at_once,
            target=(">=", 0.9),
        ),
        Row(f"{reads:,} reads, {_TASKS} at a time, in the same way", "/s", *in_turn),
    ]


async def _through(url: str, store: str, reads: int, tasks: int) -> float:
    auth = {"kind": "api-key", "api_key": _KEY}
    account = {"provider": "aurpay", "environment": "sandbox", "base_url": url, "auth": auth, "timeout": 120}
    async with AsyncGateway(accounts={"shop": account}, store=store) as gw:

        async def read() -> None:
            order = await gw.orders.fetch(account="shop", provider_id=NUMBER)
            if order.provider_id != NUMBER or order.status is not OrderStatus.PENDING:
                raise RuntimeError("not the order that was asked for")

        await read()  # the store is open, a connection is there
        return await _throughput(read, reads, tasks)


async def _by_hand(url: str, reads: int, tasks: int) -> float:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120, trust_env=False) as client:

        async def read() -> None:
            response = await client.get(f"/api/v2/order/detail/{NUMBER}", headers={"API-Key": _KEY})
            response.raise_for_status()
            data = response.json()["data"]
            if data["order_id"] != NUMBER or data["status"] != "PENDING":
                raise RuntimeError("not the order that was asked for")

        await read()
        return await _throughput(read, reads, tasks)


async def _throughput(read: Callable[[], Awaitable[None]], reads: int, tasks: int) -> float:
    """Reads a second, by so many tasks that read one after the other."""

    async def several() -> None:
        for _ in range(reads // tasks):
            await read()

    start = time.perf_counter()
    await asyncio.gather(*(several() for _ in range(tasks)))
    return reads // tasks * tasks / (time.perf_counter() - start)
