"""How often the watcher asks a provider, on a clock that is moved: time passes as fast as it is worked through.

Everything but the provider is real: the store, what is due, the looks, the engine and its rate limit. The provider
answers in the process. Its orders stay open, so this is what waiting costs, whatever comes of it.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from sqlalchemy import Connection as StoreConnection
from sqlalchemy import func, insert, select

from benchmarks.measuring import Row
from gateway.config import WatchSettings, load_settings
from gateway.core import Core
from gateway.engine.drivers import SyncDriver
from gateway.engine.http import Connection, SyncTransport
from gateway.flows import watching
from gateway.flows.schedule import Seen, next_look
from gateway.models import OrderStatus, PaymentInstructions, ProviderOrder, Settlement
from gateway.models.base import Environment
from gateway.models.orders import OrderRequest
from gateway.money import Money
from gateway.plugins import load_plugins
from gateway.store import tables
from gateway.store.snapshots import dump
from gateway_aurex.mapping import NETWORK_UNSPECIFIED

__all__ = ["Simulation", "rows", "wanted"]

_BASE_URL = "http://127.0.0.1:9"  # nothing listens there, and nothing is sent
_START = datetime(2025, 6, 1, 12, tzinfo=UTC)
_MADE = timedelta(minutes=20)
"""The orders were made over this time, which is before the beginning."""
_EXPIRES = _START + timedelta(minutes=30)
_A_LIST = 100
"""Orders of one customer: one page."""
_SAMPLE = 1000


def _times(number: int, orders: int) -> tuple[datetime, datetime]:
    """When this one of the orders was made, and when it was last looked at."""
    made_at = (_START - _MADE * (1 - number / orders)).replace(microsecond=0)
    return made_at, max(made_at, _START - timedelta(seconds=number * 37 % 120))


class Clock:
    def __init__(self) -> None:
        self._passed = 0.0

    def now(self) -> datetime:
        return _START + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def sleep(self, seconds: float) -> None:
        self._passed += seconds


class Simulation:
    """So many open orders at one account, made over the last minutes, and a worker that does nothing but look.

    `lists`: Aurex, which shows an order only in its customer's list and takes 60 calls a minute; otherwise Aurpay,
    which has a call for each order and declares no limit. Close it when done.
    """

    def __init__(self, orders: int, *, lists: bool, customers: int | None = None) -> None:
        self.clock = Clock()
        self.calls: list[float] = []
        """When the provider was asked, in seconds since the beginning."""
        self._lists = lists
        self._customers = customers or max(1, orders // _A_LIST)
        self._pages: dict[str, list[bytes]] = {}
        auth = {"kind": "bearer"} if lists else {"kind": "api-key"}
        account = {
            "provider": "aurex" if lists else "aurpay",
            "environment": "sandbox",
            "base_url": _BASE_URL,
            "auth": {**auth, "api_key": "benchmark-key"},
        }
        settings = load_settings(accounts={"shop": account}, store="sqlite://")
        self._core = Core(settings, load_plugins(), clock=self.clock)
        self._driver = SyncDriver(
            self._core.connection, self._core.database, sleep=self.clock.sleep, transport=self._transport
        )
        self._core.database().transaction(lambda connection: self._fill(connection, orders))

    def run(self, seconds: float, most_steps: float = 1.0) -> None:
        """Let so much time pass. Where nothing can be done, time moves on by at most so many seconds."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            found = self._core.database().read(
                lambda connection: watching.due(self._core, connection, self.clock.now(), 50)
            )
            for one in found:
                self._driver.run(watching.look(self._core, one.key))
            if not found:
                self.clock.sleep(min(most_steps, end - self.clock.monotonic()))

    @property
    def longest_unseen(self) -> timedelta:
        """How long ago the order that waits longest was looked at."""
        first: datetime = self._core.database().read(
            lambda connection: connection.execute(select(func.min(tables.watches.c.looked_at))).scalar_one()
        )
        return self.clock.now() - first

    @property
    def looks(self) -> int:
        """How often orders were looked at, all together."""
        found: int = self._core.database().read(
            lambda connection: connection.execute(select(func.sum(tables.watches.c.looks))).scalar_one()
        )
        return found

    def most_within(self, seconds: float) -> int:
        """The most calls within any such time."""
        window: deque[float] = deque()
        most = 0
        for moment in self.calls:
            window.append(moment)
            while moment - window[0] >= seconds:
                window.popleft()
            most = max(most, len(window))
        return most

    def close(self) -> None:
        self._driver.close()
        self._core.close()

    def _fill(self, connection: StoreConnection, orders: int) -> None:
        """The rows that creating these orders has left."""
        account = self._core.account("shop")
        made = [self._order(number, orders) for number in range(orders)]
        where = {"account": "shop", "provider": account.provider.name, "environment": Environment.SANDBOX.value}
        for table, columns in (
            (tables.orders, ("reference", "status", "settles_to", "request", "created_at", "updated_at")),
            (
                tables.attempts,
                (
                    "reference",
                    "number",
                    "attempt_id",
                    "status",
                    "exceptions",
                    "provider_id",
                    "snapshot",
                    "created_at",
                    "updated_at",
                ),
            ),
            (
                tables.watches,
                (
                    "kind",
                    "reference",
                    "number",
                    "batch",
                    "rank",
                    "made_at",
                    "since",
                    "looked_at",
                    "next_at",
                    "looks",
                    "failures",
                    "absences",
                ),
            ),
        ):
            common = where if "account" in table.c else {"environment": where["environment"]}
            connection.execute(insert(table), [common | {name: row[name] for name in columns} for row in made])
        if self._lists:
            times = {"created_at": _START, "updated_at": _START}
            known = [
                where | times | {"reference": f"c-{number}", "provider_id": f"user-{number}", "snapshot": {}}
                for number in range(self._customers)
            ]
            connection.execute(insert(tables.customers), known)
            for rows in self._pages.values():
                rows.reverse()  # newest first, as the sandbox has them

    def _order(self, number: int, orders: int) -> dict[str, Any]:
        customer = number % self._customers
        made_at, looked_at = _times(number, orders)
        status, price, coin = OrderStatus.PENDING, Money("25", "USD"), "USDT" if self._lists else "USDT@tron"
        request = OrderRequest(reference=f"order-{number}", price=price, pay_with=coin, customer=f"c-{customer}")
        name = f"user-{customer}/dep_{number}" if self._lists else f"{number:020d}"
        snapshot = ProviderOrder(
            provider_id=name,
            status=status,
            provider_status="waiting" if self._lists else "PENDING",
            price=price,
            pay_with=request.pay_with,
            pay=PaymentInstructions(amount=price),
            created_at=made_at if self._lists else _START,
            expires_at=_EXPIRES,
            warnings=(NETWORK_UNSPECIFIED,) if self._lists else (),
        )
        if self._lists:
            row = {
                "depositId": f"dep_{number}",
                "amount": 25,
                "currency": "USDT",
                "status": "waiting",
                "createdAt": f"{made_at:%Y-%m-%dT%H:%M:%SZ}",
            }
            self._pages.setdefault(f"user-{customer}", []).append(json.dumps(row).encode())
        return {
            "kind": "order",
            "reference": request.reference,
            "number": 1,
            "attempt_id": f"attempt-{number}",
            "status": status.value,
            "settles_to": (Settlement.CUSTOMER if self._lists else Settlement.MERCHANT).value,
            "request": request.model_dump(mode="json"),
            "exceptions": [],
            "provider_id": name,
            "snapshot": dump(snapshot),
            "batch": f"c-{customer}" if self._lists else "",
            "rank": 1,
            "made_at": made_at,
            "since": made_at,
            "created_at": made_at,
            "updated_at": made_at,
            "looked_at": looked_at,
            "next_at": next_look(Seen(since=made_at, looked_at=looked_at, expires_at=_EXPIRES), WatchSettings()),
            "looks": 0,
            "failures": 0,
            "absences": 0,
        }

    def _transport(self, connection: Connection) -> SyncTransport:
        return SyncTransport(connection, httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(self.clock.monotonic() - 1000.0)
        parts = urlsplit(str(request.url))
        content = self._list(parts.path, parts.query) if self._lists else self._detail(parts.path)
        return httpx.Response(200, headers={"Content-Type": "application/json"}, content=content)

    def _list(self, path: str, query: str) -> bytes:
        asked = parse_qs(query)
        begin, size = int(asked["offset"][0]), int(asked["limit"][0])
        return b'{"success":true,"data":[%s]}' % b",".join(self._pages[path.split("/")[2]][begin : begin + size])

    def _detail(self, path: str) -> bytes:
        number = path.rpartition("/")[2]
        data = {"order_id": number, "status": "PENDING", "vs_price": "25", "vs_currency": "USD"}
        data |= {"chain": "TRX", "currency": "USDT-TRC20", "create_time": f"{_START:%Y-%m-%dT%H:%M:%S}"}
        return json.dumps({"code": 0, "message": "ok", "data": data, "result": True}).encode()


def wanted(orders: int, seconds: float) -> int:
    """How many reads the schedule wants within so much time, with a read for each order and no limit."""
    most = min(orders, _SAMPLE)
    total, settings = 0, WatchSettings()
    for number in range(most):
        made_at, looked_at = _times(number, most)
        seen = Seen(since=made_at, looked_at=looked_at, expires_at=_EXPIRES)
        when = next_look(seen, settings)
        while when is not None and when <= _START + timedelta(seconds=seconds):
            total += 1
            when = next_look(replace(seen, looked_at=when), settings)
    return total * orders // most


def rows(*, quick: bool = False) -> list[Row]:
    minutes = 2 if quick else 5
    found = []
    for orders in (100,) if quick else (100, 10_000, 100_000):
        simulation = Simulation(orders, lists=True)
        try:
            simulation.run(minutes * 60)
        finally:
            simulation.close()
        hour = 60 / minutes
        found.append(
            Row(
                f"polls for {orders:,} open orders by their customers' lists, against a read of each",
                "/h",
                (len(simulation.calls) * hour,),
                (wanted(orders, minutes * 60) * hour,),
            )
        )
    return found
