"""Events delivered per second: from the first that is handed out to the last whose handler's return is recorded.

On PostgreSQL the workers are processes of their own, `python -m benchmarks.events STORE`, which wait for the events.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks import postgres
from benchmarks.measuring import Row
from gateway import Event, Gateway
from gateway.models import Environment
from gateway.store import events, tables

__all__ = ["append", "delivered", "rows"]

SUBJECTS = 500
_PATIENCE = 90.0
"""Seconds after which something must be wrong."""


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


def shared(store: str, workers: int, many: int) -> float:
    """Events a second by so many worker processes together: from the first that was recorded to the last."""
    with Gateway(store=store, accounts={}) as gateway, _working(store, workers):
        append(gateway, many)
        updated = tables.deliveries.c.updated_at
        query = select(func.count(), func.min(updated), func.max(updated)).where(tables.deliveries.c.state == "done")
        until = time.monotonic() + _PATIENCE
        while True:
            done, first, last = gateway._core.database().read(lambda connection: connection.execute(query).one())
            if done == many:
                return float((many - 1) / (last - first).total_seconds())
            if time.monotonic() > until:
                raise RuntimeError(f"{workers} workers have delivered {done} of {many} events in {_PATIENCE:.0f} s")
            time.sleep(0.2)


@contextmanager
def _working(store: str, workers: int) -> Iterator[None]:
    """So many workers, which are at work."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for _ in range(workers):
            command = [sys.executable, "-m", "benchmarks.events"]
            # The store's URL has a password in it, which other users of the machine could read in the arguments.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(process)
            assert process.stdin is not None
            process.stdin.write(f"{store}\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            if "at work" not in process.stdout.readline():
                raise RuntimeError("a worker has ended before it began")
        yield
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


class _Says(logging.Handler):
    """What the worker logs, to the process that started it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage().partition(" on ")[0], flush=True)  # noqa: T201


def main() -> None:
    """One worker, until the process that started it closes the pipe or ends, however it ends."""
    store = sys.stdin.readline().strip()
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    logger = logging.getLogger("gateway.worker")
    logger.addHandler(_Says())
    logger.setLevel(logging.INFO)
    with Gateway(store=store, accounts={}) as gateway:
        gateway.on("*", name="books")(lambda event: None)
        gateway.run()


def _end_with_the_pipe() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def rows(*, quick: bool) -> list[Row]:
    rounds, many, by_several = (1, 50, 50) if quick else (5, 3000, 600)
    figures = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            figures.append(delivered(f"sqlite:///{Path(folder) / 'gateway.db'}", many))
    found = [Row("events delivered by one worker (SQLite, on disk)", "/s", tuple(figures))]
    together: dict[int, list[float]] = {1: [], 2: [], 4: []}
    for _ in range(min(rounds, 3)):
        for workers, each in together.items():
            each.append(shared(postgres.fresh(), workers, by_several))
    one, two, four = map(tuple, together.values())
    return [
        *found,
        Row("events delivered by 1 worker (PostgreSQL, synced to disk)", "/s", one),
        Row("events delivered by 2 workers (PostgreSQL, synced to disk), against 1", "/s", two, one),
        Row("events delivered by 4 workers (PostgreSQL, synced to disk), against 1", "/s", four, one),
    ]


if __name__ == "__main__":
    main()
