"""The examples of docs/callbacks.md run as they are written: Aurpay's sandbox calls the application back over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway import Gateway, OrderRequest
from gateway.testing import SandboxServer, accounts_toml, faults
from gateway_aurpay.sandbox import AurpaySandbox

PAGE = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"### ([^\n]+)\n(?:(?!###).)*?```python\n(.*?)```", PAGE, re.DOTALL))
PATIENCE = 20.0


class _Quiet(WSGIRequestHandler):
    def log(self, *about: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def _uvicorn(door: socket.socket, app: Any) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="auto", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    until = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive(), "it did not start"
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


@contextlib.contextmanager
def _werkzeug(door: socket.socket, app: Any) -> Iterator[None]:
    host, port = door.getsockname()
    server = make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=door.fileno())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


SERVERS: dict[str, Callable[[socket.socket, Any], Any]] = {
    "Starlette": _uvicorn,
    "FastAPI": _uvicorn,
    "Django, ASGI": _uvicorn,
    "Django, WSGI": _werkzeug,
    "Flask": _werkzeug,
    "Anywhere else": _werkzeug,
}


@pytest.fixture(scope="module", autouse=True)
def django_project() -> Iterator[None]:
    """A project called `shop` with one page: Django is configured once in a process."""
    from django.http import HttpResponse
    from django.urls import path

    project, settings, urls = (types.ModuleType(name) for name in ("shop", "shop.settings", "shop.urls"))
    vars(settings).update(SECRET_KEY="x" * 50, ROOT_URLCONF="shop.urls", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
    vars(urls).update(urlpatterns=[path("", lambda request: HttpResponse("the shop"))])
    modules = {"shop": project, "shop.settings": settings, "shop.urls": urls}
    sys.modules.update(modules)
    yield
    for name in modules:
        del sys.modules[name]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer([AurpaySandbox()]) as server:
        yield server


@contextlib.contextmanager
def shop(
    name: str, sandbox: SandboxServer, folder: Path, monkeypatch: pytest.MonkeyPatch, *, starts: int = 1
) -> Iterator[str]:
    """The example of this section, served; its address. With several `starts`, it was served before."""
    monkeypatch.chdir(folder)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        settings = [
            f'public_base_url = "{url}/payments"',
            'callback_key = "a-callback-key-of-the-tests"',
            f'store = "sqlite:///{folder}/gateway.db"',
            accounts_toml({"shop": sandbox.account("aurpay")}),
        ]
        Path("gateway.toml").write_text("\n".join(settings), encoding="utf-8")
        namespace: dict[str, Any] = {"__name__": "example"}
        exec(compile(SECTIONS[name], f"docs/callbacks.md, {name}", "exec"), namespace)
        application = namespace.get("app") or namespace["application"]
        for _ in range(starts - 1):
            with socket.create_server(("127.0.0.1", 0)) as before, SERVERS[name](before, application):
                pass
        with SERVERS[name](door, application):
            yield url
        if "gw" in namespace:
            namespace["gw"].close()


def call(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    host, _, path = url.removeprefix("http://").partition("/")
    line = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        line.request(method, f"/{path}", body)
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def test_every_example_is_run_here() -> None:
    assert list(SECTIONS) == list(SERVERS)
    assert PAGE.count("```python") == len(SERVERS)


@pytest.mark.parametrize("name", SERVERS)
def test_an_example(
    name: str, sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with shop(name, sandbox, tmp_path, monkeypatch) as url, Gateway.from_file("gateway.toml") as gw:
        order = gw.orders.create(OrderRequest(reference="cart-1", price="25.00 USD", pay_with="USDT@tron"))
        assert order.provider_id is not None
        # Copies, and a stranger who has seen the address.
        sandbox.callbacks("aurpay").faults.add(faults.Duplicated(copies=3))
        sandbox.pay("aurpay", order.provider_id)
        sandbox.wait_idle(PATIENCE)
        deliveries = sandbox.callbacks("aurpay").deliveries()
        assert [delivery.status for delivery in deliveries] == [200] * 3
        (row,) = gw.callbacks.list()
        assert (row.method, row.proof.value, row.times, row.client) == ("POST", "matches", 3, "127.0.0.1")
        gw.callbacks.process()
        assert gw.orders.get("cart-1", refresh=False).status == "paid"
        assert [event.type for event in gw.events.since(0)] == ["order.created", "order.paid"]

        registered = deliveries[0].url
        assert registered.startswith(f"{url}/payments/shop/")
        # The shop's own pages are there, and nothing is admitted without the token.
        status, page = call(f"{url}/")
        assert (status, page.strip(b'"')) == (200, b"the shop")
        assert call(registered[:-1])[0] == call(f"{url}/payments/shop/x", "POST", b"{}")[0] == 404
        assert call(registered, "HEAD") == (200, b"")
        assert call(registered, "POST", b"x" * 70_000)[0] in (404, 413)
        assert len(gw.callbacks.list()) == 2


def test_an_application_that_is_started_again_in_its_process_takes_callbacks(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an application's own tests do, each with a client of its own."""
    with (
        shop("FastAPI", sandbox, tmp_path, monkeypatch, starts=3) as url,
        Gateway.from_file("gateway.toml") as gw,
    ):
        order = gw.orders.create(OrderRequest(reference="cart-1", price="25.00 USD", pay_with="USDT@tron"))
        assert order.provider_id is not None
        sandbox.pay("aurpay", order.provider_id)
        sandbox.wait_idle(PATIENCE)
        assert [delivery.status for delivery in sandbox.callbacks("aurpay").deliveries()] == [200]
        assert call(f"{url}/") == (200, b'"the shop"')


@pytest.mark.parametrize("name", ["Starlette", "Flask"])
def test_a_stranger_with_the_address_is_told_and_not_believed(
    name: str, sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop(name, sandbox, tmp_path, monkeypatch) as _, Gateway.from_file("gateway.toml") as gw:
        order = gw.orders.create(OrderRequest(reference="cart-1", price="25.00 USD", pay_with="USDT@tron"))
        assert order.provider_id is not None
        sandbox.callbacks("aurpay").faults.add(faults.Forged(genuine=True))
        sandbox.pay("aurpay", order.provider_id)
        sandbox.wait_idle(PATIENCE)
        assert sorted(row.proof.value for row in gw.callbacks.list()) == ["differs", "matches"]
        gw.callbacks.process()
        assert gw.orders.get("cart-1", refresh=False).status == "paid"
        (reason,) = [event.data["reason"] for event in gw.events.since(0) if event.type == "callback.suspicious"]
        assert "its proof differs: " in reason


def test_a_hosted_order_of_the_provider_learns_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aurpay tells the number of such an order in its callback first."""
    aurpay = AurpaySandbox(pay_url_has_order_id=False)
    with (
        SandboxServer([aurpay]) as sandbox,
        shop("Starlette", sandbox, tmp_path, monkeypatch),
        Gateway.from_file("gateway.toml") as gw,
    ):
        for reference in ("cart-1", "cart-2"):
            assert gw.orders.create(OrderRequest(reference=reference, price="25.00 USD")).provider_id is None
        pages = [page.id for page in sandbox.orders("aurpay")]
        for page in pages:
            aurpay.choose(page, "USDT-TRC20")
        numbers = [order.id for order in sandbox.orders("aurpay") if order.id not in pages]
        for number in reversed(numbers):
            sandbox.pay("aurpay", number)
        sandbox.wait_idle(PATIENCE)
        gw.callbacks.process()
        orders = [gw.orders.get(reference, refresh=False) for reference in ("cart-1", "cart-2")]
        assert [(order.status.value, order.provider_id) for order in orders] == [
            ("paid", numbers[0]),
            ("paid", numbers[1]),
        ]
        assert not [event for event in gw.events.since(0) if event.type == "callback.suspicious"]


def test_a_lightning_order_is_called_back_without_a_body(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop("Starlette", sandbox, tmp_path, monkeypatch), Gateway.from_file("gateway.toml") as gw:
        order = gw.orders.create(OrderRequest(reference="cart-1", price="25.00 USD", pay_with="BTC@lightning"))
        assert order.provider_id is not None
        sandbox.pay("aurpay", order.provider_id)
        sandbox.wait_idle(PATIENCE)
        (row,) = gw.callbacks.list()
        assert (row.method, row.body, row.proof.value) == ("GET", None, "matches")
        gw.callbacks.process()
        assert gw.orders.get("cart-1", refresh=False).status == "paid"


def test_late_money_is_told_by_a_callback(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop("Starlette", sandbox, tmp_path, monkeypatch), Gateway.from_file("gateway.toml") as gw:
        order = gw.orders.create(OrderRequest(reference="cart-1", price="25.00 USD", pay_with="USDT@tron"))
        assert order.provider_id is not None
        sandbox.expire("aurpay", order.provider_id)
        assert gw.orders.get("cart-1").status == "expired"
        sandbox.pay("aurpay", order.provider_id)
        sandbox.wait_idle(PATIENCE)
        gw.callbacks.process()
        late = gw.orders.get("cart-1", refresh=False)
        assert (late.status.value, {exception.value for exception in late.exceptions}) == ("paid", {"late"})
