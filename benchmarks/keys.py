"""What a ring of keys costs: the choice among a hundred, and a read with one of them beside a read with the one key
that stands in the settings.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec

from benchmarks.measuring import Row, interleaved
from gateway.config import load_settings
from gateway.contracts import NoAuth, RateLimit, ReadsOrders
from gateway.core import Core
from gateway.engine.drivers import SyncDriver
from gateway.engine.http import Connection, SyncTransport
from gateway.engine.perform import Begun, Performance, perform
from gateway.engine.rates import RateWindow
from gateway.keyring import RawKey, Vault
from gateway.models import Environment
from gateway.models.keys import ApiKey, KeyOrigin, Permission
from gateway.plugins import load_plugins
from gateway.ring import HeldKey, Ring
from gateway.secrets import Secret
from gateway.store import keys

__all__ = ["rows"]

_MANY = 100
_MASTER = "ab" * 32
_READ = frozenset({Permission.READ})
_ORDER = "2023111400000001"
_ANSWER: dict[str, Any] = {
    "code": 0,
    "message": "ok",
    "data": {
        "order_id": _ORDER,
        "status": "PENDING",
        "amount": Decimal("25.01"),
        "create_time": "2023-11-14 22:13:20",
        "vs_currency": "USD",
        "vs_price": Decimal("25.00"),
        "chain": "TRX",
        "currency": "USDT-TRC20",
        "address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
    },
    "result": True,
}


def rows(*, quick: bool = False) -> list[Row]:
    rounds, choices, reads = (2, 50, 3) if quick else (15, 20_000, 400)
    many, one = _choosing(_MANY), _choosing(1)
    among_many, among_one = interleaved(lambda: many(choices), lambda: one(choices), rounds)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        account = _Account(Path(folder))
        try:
            read = interleaved(lambda: account.reads("ring", reads), lambda: account.reads("fixed", reads), rounds)
        finally:
            account.close()
    return [
        Row(f"a key chosen among {_MANY} with a rate limit, and its call counted", "µs", among_many, target=("<=", 10)),
        Row("the same, against a ring of one key", "µs", among_many, among_one),
        Row(f"Aurpay order read with a ring of {_MANY} keys, against the configured key", "µs", *read),
    ]


# The choice alone


def _key(label: str) -> ApiKey:
    return ApiKey(
        account="ring",
        provider="aurpay",
        environment=Environment.SANDBOX,
        label=label,
        kind="api-key",
        permissions=frozenset(Permission),
        origin=KeyOrigin.IMPORTED,
    )


def _choosing(number: int) -> Callable[[int], float]:
    """Microseconds of the processor for one choice and for counting its call, on average over so many. The calls come
    as fast as the keys' limits allow, so that as many become free again as are made.
    """
    limit = RateLimit(60, 60)
    ring = Ring("bench")
    held = [HeldKey(_key(f"key-{place}"), NoAuth(), RateWindow(limit)) for place in range(number)]
    ring.take([(one, one.key) for one in held])
    moments = count()
    pause = limit.seconds / (limit.requests * number)

    def measure(choices: int) -> float:
        begun = time.process_time()
        for _ in range(choices):
            now = next(moments) * pause
            ring.choose(_READ, now).window.note(now)
        return (time.process_time() - begun) / choices * 1e6

    measure(limit.requests * number)  # every key's calls are in use
    return measure


# A read


class _Account:
    """Two accounts at one provider in the process: `ring` works with a ring, `fixed` with a key of its settings."""

    def __init__(self, folder: Path) -> None:
        store, master = f"sqlite:///{folder / 'bench.db'}", RawKey(Secret(_MASTER))
        account = {"provider": "aurpay", "environment": "sandbox", "base_url": "http://127.0.0.1:9"}
        accounts = {
            "ring": account | {"auth": {"kind": "ring"}},
            "fixed": account | {"auth": {"kind": "api-key", "api_key": "benchmark-key"}},
        }
        vault = Vault.create(folder / "vault", master)
        vault.put_many({("ring", f"key-{place}"): Secret(f"benchmark-key-{place}") for place in range(_MANY)})
        settings = load_settings(accounts=accounts, store=store, vault={"at": str(folder / "vault"), "key": _MASTER})
        self._core = Core(settings, load_plugins())
        self._driver = SyncDriver(self._core.connection, self._core.database, transport=_mocked)

        def fill(connection: Any) -> None:
            for place in range(_MANY):
                keys.add(connection, _key(f"key-{place}"), ("api_key",), datetime.now(UTC))

        self._core.database().transaction(fill)

    def reads(self, name: str, number: int) -> float:
        """Microseconds of the processor for one read, on average."""
        begun = time.process_time()
        for _ in range(number):
            account = self._core.account(name)
            reading = Begun(account.able(ReadsOrders).get_order(_ORDER))
            found = self._driver.run(
                perform(Performance(account, "orders.get", self._core.deadline(None, account)), reading)
            )
            if found.provider_id != _ORDER:
                raise RuntimeError("another order was read")
        return (time.process_time() - begun) / number * 1e6

    def close(self) -> None:
        self._driver.close()
        self._core.close()


def _mocked(connection: Connection) -> SyncTransport:
    content = msgspec.json.Encoder(decimal_format="number").encode(_ANSWER)
    headers = {"Content-Type": "application/json"}
    return SyncTransport(
        connection, httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, content=content))
    )
