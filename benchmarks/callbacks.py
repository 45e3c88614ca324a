"""Callbacks taken in: through the ASGI application in this process, each answered when its commit is durable.

Every one is an Aurpay callback of an attempt of its own, signed, so none of them coalesce. Whoever sends shares the
event loop and the processors with the application; there is no web server and no network in it.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select

from benchmarks import postgres
from benchmarks.measuring import Row
from gateway import AsyncGateway, callbacks
from gateway.callbacks.tokens import attempt_url
from gateway.secrets import Secret
from gateway.store import tables

__all__ = ["rows"]

_BASE_URL = "https://shop.example/payments"
_KEY, _SECRET = "benchmark-callback-key", "benchmark-callback-secret"
_SENDERS = 64
_OFFERED = 500
"""Callbacks a second, whether they are answered or not."""

Send = Callable[[], Awaitable[None]]


def rows(*, quick: bool = False) -> list[Row]:
    rounds, many, seconds = (1, 64, 0.1) if quick else (3, 3000, 4.0)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        stores = [
            ("SQLite, synced to disk", lambda: f"sqlite:///{Path(tempfile.mkdtemp(dir=folder), 'gateway.db')}"),
            ("PostgreSQL, synced to disk", postgres.fresh),
        ]
        found = []
        for where, store in stores:
            taken = [asyncio.run(_measured(store(), many, _at_once)) for _ in range(rounds)]
            late = [asyncio.run(_measured(store(), int(_OFFERED * seconds), _on_schedule)) for _ in range(rounds)]
            name = f"callbacks accepted from {_SENDERS} senders at once ({where})"
            found.append(Row(name, "/s", tuple(taken), target=(">=", 1000)))
            name = f"callbacks offered {_OFFERED} a second: 99 % are answered within ({where})"
            found.append(Row(name, "ms", tuple(late), target=("<=", 100)))
    return found


async def _measured(store: str, many: int, how: Callable[[list[Send]], Awaitable[float]]) -> float:
    """What `how` finds about sending so many callbacks, all of which have to be in the inbox afterwards."""
    account = {
        "provider": "aurpay",
        "environment": "sandbox",
        "base_url": "http://127.0.0.1:9",  # nothing listens there, and nothing is sent
        "auth": {"kind": "api-key", "api_key": "benchmark-key"},
        "callback": {"secret": _SECRET},
    }
    settings = {"public_base_url": _BASE_URL, "callback_key": _KEY}
    async with AsyncGateway(accounts={"shop": account}, store=store, **settings) as gateway:
        app = callbacks.asgi(gateway)
        first, *others = [_sending(app, number) for number in range(many + 1)]
        await first()  # the store is open
        figure = await how(others)
        database = gateway._core.database()
        counted = select(func.count()).where(tables.callbacks.c.proof == "matches")
        kept = await asyncio.to_thread(
            lambda: database.read(lambda connection: connection.execute(counted).scalar_one())
        )
    if kept != many + 1:
        raise RuntimeError(f"{many + 1} callbacks were answered, and {kept} are in the inbox with their proof")
    return figure


async def _at_once(sends: list[Send]) -> float:
    """Callbacks a second by senders that send the next one when the last is answered."""
    left = iter(sends)

    async def sender() -> None:
        for send in left:
            await send()

    begun = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(_SENDERS)))
    return len(sends) / (time.perf_counter() - begun)


async def _on_schedule(sends: list[Send]) -> float:
    """Milliseconds within which 99 % are answered, each from the moment that it had to be sent at: one that goes out
    late because the machine was busy has waited since then.
    """
    took: list[float] = []

    async def answered(send: Send, planned: float) -> None:
        await send()
        took.append(time.perf_counter() - planned)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, send in enumerate(sends):
            planned = begun + number / _OFFERED
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            group.create_task(answered(send, planned))
    return sorted(took)[len(took) * 99 // 100] * 1000


def _sending(app: callbacks.AsgiCallbacks, number: int) -> Send:
    """Send this callback, which raises unless it is accepted. It is signed before, which is the provider's work."""
    url = attempt_url(_BASE_URL, Secret(_KEY), "shop", f"{number:032x}")
    date = datetime.now(UTC).isoformat(timespec="milliseconds")
    signature = base64.b64encode(hmac.digest(_SECRET.encode(), f"{date} | {url}".encode(), "sha256"))
    body = json.dumps(
        {
            "order_id": f"{20231114221320000000 + number}",
            "status": "PAID",
            "chain": "TRX",
            "currency": "USDT-TRC20",
            "amount": "25.01",
            "vs_price": "25.00",
            "vs_currency": "USD",
            "create_time": "2023-11-14 22:13:20",
        }
    ).encode()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": urlsplit(url).path.removeprefix("/payments"),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"shop.example"),
            (b"user-agent", b"Aurpay"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"date", date.encode()),
            (b"signature", signature),
        ],
        "client": ("127.0.0.1", 4711),
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def answer(message: MutableMapping[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"a callback was answered with {message['status']}")

    return lambda: app(scope, receive, answer)
