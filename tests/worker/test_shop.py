"""A shop as merchants run it: `gateway worker --app` beside the shop, on SQLite and with two workers on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import COMMAND
from flows.world import World, cart
from gateway import Gateway, callbacks
from gateway.models import CustomerRequest, OrderRequest
from gateway.store import inbox
from gateway.store.inbox import CallbackState
from gateway.testing import faults
from gateway.testing.connections import LoopbackServer
from support.postgres import PostgresServer
from worker.processes import PATIENCE, until

APP = """
import json, os, time
from pathlib import Path

from gateway import Gateway

gw = Gateway(**json.loads(Path("shop.json").read_text()))


@gw.on("order.*", name="ledger")
def ledger(event):
    time.sleep(0.1)
    with open("ledger.txt", "a") as file:
        file.write(f"{event.id} {event.type} {event.reference} {os.getpid()}\\n")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return str(request.getfixturevalue("postgres"))


class Shop:
    """The shop's folder, its gateway in this process, and its workers in others."""

    def __init__(self, world: World, folder: Path, store: str) -> None:
        self.world = world
        self.folder = folder
        worker = {"stalled_after": "3s"}
        # Loopback has an address before anything is served there.
        self.web = LoopbackServer(self._route, "127.0.0.1", 0)
        self.web.start()
        self.settings: dict[str, Any] = {
            "accounts": world.accounts(),
            "store": store,
            "public_base_url": f"{self.web.url}/pay",
            "callback_key": "a key of the tests alone",
            "watch": {"callback": "10s"},
            "worker": worker,
        }
        (folder / "payments.py").write_text(APP)
        (folder / "shop.json").write_text(json.dumps(self.settings))
        self.environment = {
            **os.environ,
            "GATEWAY_STORE": store,
            "GATEWAY_ACCOUNTS": json.dumps(self.settings["accounts"]),
            "GATEWAY_WORKER": json.dumps(worker),
        }
        self.gateway = Gateway(**self.settings)
        self._callbacks = callbacks.asgi(self.gateway)

    async def _route(self, scope: Any, receive: Any, send: Any) -> None:
        await self._callbacks({**scope, "root_path": "/pay"}, receive, send)

    def called_back(self) -> set[str | None]:
        """The orders of which a callback was processed."""
        found = self.gateway._core.database().read(lambda connection: inbox.find(connection, limit=1000))
        return {one.reference for one in found if one.state is CallbackState.PROCESSED}

    def told(self) -> dict[str, list[str]]:
        """What the handler was called with, by order, in the order of the calls."""
        found: dict[str, list[str]] = defaultdict(list)
        for line in self._lines():
            found[line[2]].append(line[1].removeprefix("order."))
        return found

    def callers(self) -> set[str]:
        return {line[3] for line in self._lines()}

    def _lines(self) -> list[list[str]]:
        ledger = self.folder / "ledger.txt"
        return [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []

    def said(self) -> str:
        """All that the workers have said."""
        log = self.folder / "log.txt"
        return log.read_text() if log.exists() else ""

    def _up(self) -> int:
        return self.said().count('"at work on') + self.said().count("standing by")

    @contextmanager
    def workers(self, number: int, *, app: bool = True) -> Iterator[list[subprocess.Popen[str]]]:
        command = [*COMMAND, "worker", *(["--app", "payments:gw"] if app else []), "--json"]
        before = self._up()
        with (self.folder / "log.txt").open("a") as log:
            started = [
                subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    text=True,
                )
                for _ in range(number)
            ]
        try:
            until(lambda: self._up() >= before + number)
            yield started
            alive = [each for each in started if each.poll() is None]
            for each in alive:
                each.send_signal(signal.SIGTERM)
            assert {each.wait(PATIENCE) for each in alive} <= {0}
        finally:
            for each in started:
                each.kill()
                each.wait(PATIENCE)


@pytest.fixture
def shop(tmp_path: Path, store: str) -> Iterator[Shop]:
    with World(tmp_path) as world:
        made = Shop(world, tmp_path, store)
        with made.gateway:
            yield made
        made.web.stop()


def deposit(shop: Shop, reference: str) -> str:
    """An order at the provider that calls nobody back; its number there."""
    request = OrderRequest(reference=reference, price="40 USD", pay_with="USDT", customer="c-1", settles_to="customer")
    return str(shop.gateway.orders.create(request, account="cards").provider_id).partition("/")[2]


def test_payments_are_seen_and_told_in_order(shop: Shop, store: str) -> None:
    """Those at a provider that calls back, those whose callback never comes, and those at one that calls nobody."""
    gw, server = shop.gateway, shop.world.server
    gw.customers.create(CustomerRequest(reference="c-1", first_name="Ada", last_name="Example"), account="cards")
    called = {name: gw.orders.create(cart(name), account="shop") for name in ("shop-1", "shop-2", "shop-3", "silent")}
    deposits = {name: deposit(shop, name) for name in ("card-1", "card-2", "card-3")}
    late = gw.orders.create(cart("late"), account="shop")
    server.callbacks("aurpay").faults.add(
        faults.Suppressed(order=called["silent"].provider_id),
        faults.Duplicated(order=called["shop-1"].provider_id, copies=20),
        faults.Forged(order=called["shop-2"].provider_id, genuine=True),
    )
    for order in called.values():
        server.pay("aurpay", str(order.provider_id))
    for number in deposits.values():
        server.pay("aurex", number)
    with shop.workers(1 if store.startswith("sqlite") else 2):
        names = [*called, *deposits]
        until(lambda: all(shop.told()[name][-1:] == ["paid"] for name in names), lambda: str(shop.told()))
        server.pay("aurpay", str(late.provider_id))
        until(lambda: shop.told()["late"][-1:] == ["paid"], lambda: str(shop.told()))
    assert {name: told for name, told in shop.told().items() if told != ["created", "paid"]} == {}
    assert set(shop.told()) == {*names, "late"}
    assert shop.called_back() == {"shop-1", "shop-2", "shop-3", "late"}


def test_a_worker_is_killed_among_its_calls_and_nothing_is_lost(shop: Shop, store: str) -> None:
    gw, server = shop.gateway, shop.world.server
    names = [f"cart-{number}" for number in range(30)]
    for name in names:
        order = gw.orders.create(cart(name), account="shop")
        server.pay("aurpay", str(order.provider_id))
        gw.orders.get(name)
    with shop.workers(1 if store.startswith("sqlite") else 2) as running:
        until(lambda: len(shop.told()) > 5)
        running[0].kill()
        running[0].wait(PATIENCE)
        with shop.workers(1):
            until(lambda: all(shop.told()[name][-1:] == ["paid"] for name in names), lambda: str(shop.told()))
    for name in names:
        told = shop.told()[name]
        # A call whose end was not recorded any more is made again; never out of order.
        assert list(dict.fromkeys(told)) == ["created", "paid"], told
        assert told == sorted(told)


def test_events_wait_for_a_worker_that_has_the_handlers(shop: Shop, store: str) -> None:
    """On PostgreSQL it need not be the one that looks for what is due."""
    gw = shop.gateway
    gw.orders.create(cart("first"), account="shop")
    with shop.workers(1):
        until(lambda: shop.told()["first"] == ["created"])
    gw.orders.create(cart("second"), account="shop")
    with shop.workers(1, app=False):
        until(lambda: "this worker has no event handlers, and the store knows ledger" in shop.said())
        until(lambda: '"subject": "recover"' in shop.said())
        if store.startswith("postgres"):
            with shop.workers(1):
                until(lambda: shop.told()["second"] == ["created"])
    with shop.workers(1):
        until(lambda: shop.told()["second"] == ["created"])
    assert shop.told()["first"] == ["created"]


def test_a_restarted_server_is_told_in_a_few_lines(other_postgres: PostgresServer, tmp_path: Path) -> None:
    """What libraries say of it is left out, and so is every traceback."""
    environment = {**os.environ, "GATEWAY_STORE": other_postgres.url(other_postgres.create())}
    said = tmp_path / "said"
    with said.open("w") as output:
        worker = subprocess.Popen(
            [*COMMAND, "worker"],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    try:
        until(lambda: "recover" in said.read_text())
        other_postgres.stop()
        until(lambda: "nothing can be done while the store fails" in said.read_text())
        other_postgres.start()
        until(lambda: "the store can be used again" in said.read_text(), said.read_text)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0
    finally:
        worker.kill()
        worker.wait(PATIENCE)
    lines = said.read_text().splitlines()
    assert not [line for line in lines if "Traceback" in line or line.startswith("  ")], lines
    assert len(lines) < 20, lines
