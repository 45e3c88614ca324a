"""Events delivered per second: from the first that is handed out to the last whose handler's return is recorded."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row
from gateway import Event, Gateway
from gateway.models import Environment
from gateway.store import events

__all__ = ["append", "delivered", "rows"]

SUBJECTS = 500


def append(gateway: Gateway, many: int) -> None:
    """So many events, of 500 orders in turn."""

    def work(connection: Any) -> None:
        for number in range(many):
            events.append(
                connection,
                "order.paid",
                subject="order",
                reference=f"cart-{number % SUBJECTS}",
                account="shop",
                provider="aurpay",
                environment=Environment.SANDBOX,
                data={"status": "paid", "price": {"amount": "25.00", "asset": "USD"}},
                now=datetime.now(UTC),
            )

    gateway._core.database().transaction(work)


def delivered(store: str, many: int) -> float:
    """Events a second by one worker, to a handler that returns at once."""
    seen: list[int] = []
    with Gateway(store=store, accounts={}) as gateway:

        @gateway.on("*", name="books")
        def books(event: Event) -> None:
            seen.append(event.id)

        append(gateway, many)
        begun = time.perf_counter()
        gateway.run(until_idle=True)
        took = time.perf_counter() - begun
    assert len(seen) == many
    return many / took


def rows(*, quick: bool) -> list[Row]:
    rounds, many = (1, 50) if quick else (5, 3000)
    figures = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            figures.append(delivered(f"sqlite:///{Path(folder) / 'gateway.db'}", many))
    return [Row("events delivered by one worker (SQLite, on disk)", "/s", tuple(figures))]
