"""The applications behind real servers: uvicorn for ASGI, wsgiref for WSGI, and clients that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from callbacks.bell import KEY, Shop, cart, inbox
from gateway import AsyncGateway, Gateway, callbacks
from gateway.callbacks.tokens import attempt_url
from gateway.secrets import Secret
from gateway.testing.connections import LoopbackServer
from support.colours import Opened

PATIENCE = 20.0
PATH = attempt_url("", Secret(KEY), "shop", "a" * 32)
"""Genuine, whether there is such an attempt or not."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def served(gw: Opened, kind: str) -> Iterator[int]:
    """The port of a server with nothing but the application."""
    if kind == "asgi":
        server = LoopbackServer(callbacks.asgi(gw.raw), "127.0.0.1", 0)
        server.start()
        try:
            yield int(server.url.rsplit(":", 1)[1])
        finally:
            server.stop()
        return
    wsgi: WSGIServer = make_server("127.0.0.1", 0, callbacks.wsgi(gw.raw), handler_class=_Quiet)
    thread = threading.Thread(target=wsgi.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield wsgi.server_port
    finally:
        wsgi.shutdown()
        thread.join(PATIENCE)
        wsgi.server_close()


@pytest.fixture(params=["asgi", "wsgi"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gw(shop: Shop) -> Iterator[Opened]:
    with shop.gateway(callback_timeout=1) as opened:
        yield opened


@pytest.fixture
def port(gw: Opened, kind: str) -> Iterator[int]:
    with served(gw, kind) as found:
        yield found


def exchange(port: int, *parts: bytes, end: bool = False) -> bytes:
    """Send the parts, and what comes back until the server closes or the answer is whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        for part in parts:
            line.sendall(part)
        if end:
            line.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n\r\n" not in answer and (more := line.recv(65536)):
            answer += more
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def request(method: str, path: str, *headers: str, body: bytes = b"", length: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", "Connection: close", *headers]
    if length and body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def constant(answer: bytes) -> bytes:
    """The answer without the time of day."""
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:"))


def test_genuine_ones_come_in(port: int, gw: Opened) -> None:
    for method in ("GET", "HEAD", "POST"):
        assert status(exchange(port, request(method, f"{PATH}?n=1", body=b"{}" if method == "POST" else b""))) == 200
    assert [row.method for row in inbox(gw)] == ["GET", "HEAD", "POST"]
    assert {row.client for row in inbox(gw)} == {"127.0.0.1"}


def test_unknown_ones_are_answered_alike_byte_for_byte(port: int, gw: Opened) -> None:
    requests = [
        request("GET", "/"),
        request("GET", PATH[:-1]),
        request("GET", PATH.replace("/shop/", "/twin/")),
        request("GET", PATH.replace("/shop/", "/nobody/")),
        request("HEAD", PATH[:-1]),
        request("DELETE", PATH),
        request("BREW", PATH),
        request("POST", PATH[:-1]),
        request("GET", f"{PATH}/"),
        request("GET", f"/other{PATH}"),
    ]
    answers = {constant(exchange(port, one)) for one in requests}
    assert len(answers) == 1
    assert status(answers.pop()) == 404
    assert inbox(gw) == []


def test_a_body_that_is_too_large_is_as_unknown(port: int, gw: Opened) -> None:
    unknown = constant(exchange(port, request("GET", "/")))
    assert constant(exchange(port, request("POST", PATH, f"Content-Length: {10**12}", length=False))) == unknown
    assert constant(exchange(port, request("POST", PATH, body=b"x" * 65_537))) == unknown
    assert inbox(gw) == []


def test_a_chunked_body_has_the_same_limit(shop: Shop) -> None:
    def chunks(*sizes: int) -> bytes:
        return b"".join(f"{size:x}\r\n".encode() + b"x" * size + b"\r\n" for size in sizes)

    with shop.gateway() as gw, served(gw, "asgi") as port:
        head = request("POST", PATH, "Transfer-Encoding: chunked", length=False)
        assert status(exchange(port, head, chunks(30_000, 30_000, 5_536), b"0\r\n\r\n")) == 200
        assert status(exchange(port, head, chunks(30_000, 30_000, 5_537))) == 404
        (row,) = inbox(gw)
        assert len(gw.callbacks.show(row.id).body or b"") == 65_536


def test_a_slow_body_is_not_waited_for(port: int, gw: Opened) -> None:
    head = request("POST", PATH, "Content-Length: 100", length=False)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        line.sendall(head)
        began = time.monotonic()
        stop = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    line.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            answer = line.recv(65536)
        finally:
            stop.set()
            thread.join(PATIENCE)
        assert status(answer) == 408
        assert 0.9 < time.monotonic() - began < 4
    assert inbox(gw) == []


def test_a_body_that_breaks_off_is_no_callback(shop: Shop) -> None:
    with shop.gateway() as gw, served(gw, "asgi") as port:
        half = request("POST", PATH, "Content-Length: 100", length=False), b"x" * 50
        assert exchange(port, *half, end=True) == b""
        assert status(exchange(port, request("GET", PATH))) == 200
        assert [row.method for row in inbox(gw)] == ["GET"]


def test_a_hundred_senders_at_once(shop: Shop, tmp_path: Any) -> None:
    """Each is answered when its own callback is durable, and they share commits."""
    store = f"sqlite:///{tmp_path}/gateway.db"
    with shop.gateway(store=store) as gw:
        transactions = []
        database = gw.core.database()
        plain = database._together._transaction
        database._together._transaction = lambda work: (transactions.append(1), plain(work))[1]
        with served(gw, "asgi") as port:
            paths = [attempt_url("", Secret(KEY), "shop", f"{index:032x}") for index in range(300)]
            answers: list[int] = []

            def send(mine: list[str]) -> None:
                answers.extend(status(exchange(port, request("POST", path, body=b"{}"))) for path in mine)

            threads = [threading.Thread(target=send, args=(paths[index::100],)) for index in range(100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
        assert answers == [200] * 300
        assert {row.attempt_id for row in inbox(gw)} == {f"{index:032x}" for index in range(300)}
        assert len(transactions) < 300


class TestAsgi:
    """What the specification asks of an application, beside requests."""

    def run(self, app: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
        async def call() -> list[dict[str, Any]]:
            waiting, sent = list(messages), []

            async def receive() -> dict[str, Any]:
                return waiting.pop(0)

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            await app(scope, receive, send)
            return sent

        return asyncio.run(call())

    @pytest.mark.parametrize("make", [Gateway, AsyncGateway])
    def test_it_starts_and_ends(self, shop: Shop, make: Any) -> None:
        with shop.gateway("sync" if make is Gateway else "async") as gw:
            sent = self.run(
                callbacks.asgi(gw.raw),
                {"type": "lifespan"},
                {"type": "lifespan.startup"},
                {"type": "lifespan.shutdown"},
            )
            assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    def test_a_store_that_cannot_be_used_is_told_at_the_start(self, shop: Shop, tmp_path: Any) -> None:
        with shop.gateway(store=f"sqlite:///{tmp_path}/none/gateway.db") as gw:
            (sent,) = self.run(callbacks.asgi(gw.raw), {"type": "lifespan"}, {"type": "lifespan.startup"})
        assert sent["type"] == "lifespan.startup.failed"
        assert "the folder" in sent["message"]

    def test_a_websocket_is_closed(self, shop: Shop) -> None:
        with shop.gateway() as gw:
            sent = self.run(callbacks.asgi(gw.raw), {"type": "websocket"}, {"type": "websocket.connect"})
        assert sent == [{"type": "websocket.close"}]

    def test_a_client_that_goes_away_is_not_answered(self, shop: Shop) -> None:
        with shop.gateway() as gw:
            gw.orders.create(cart(), account="shop")
            scope = {"type": "http", "method": "POST", "path": PATH, "headers": [], "query_string": b""}
            begun = {"type": "http.request", "body": b"x", "more_body": True}
            sent = self.run(callbacks.asgi(gw.raw), scope, begun, {"type": "http.disconnect"})
            assert (sent, inbox(gw)) == ([], [])


class TestWsgi:
    def call(self, gw: Opened, **environ: Any) -> str:
        import io

        started: list[Any] = []
        given = {"REQUEST_METHOD": "POST", "PATH_INFO": PATH, "wsgi.input": io.BytesIO(b"x" * 100)}
        callbacks.wsgi(gw.raw)({**given, **environ}, lambda status, headers: started.append(status))
        return str(started[0])

    def test_a_body_without_a_length_is_read_only_where_it_ends(self, shop: Shop) -> None:
        with shop.gateway() as gw:
            assert self.call(gw) == "200 OK"
            assert self.call(gw, **{"wsgi.input_terminated": True}) == "200 OK"
            assert [len(gw.callbacks.show(row.id).body or b"") for row in inbox(gw)] == [0, 100]

    @pytest.mark.parametrize("length", ["-1", "1e3", "ten", "٣", "9" * 30])
    def test_what_is_no_length_is_not_admitted(self, shop: Shop, length: str) -> None:
        with shop.gateway() as gw:
            assert self.call(gw, CONTENT_LENGTH=length) == "404 Not Found"

    def test_strange_paths_and_headers_are_no_failure(self, shop: Shop) -> None:
        with shop.gateway() as gw:
            assert self.call(gw, PATH_INFO="/\xff\xfe/\x00") == "404 Not Found"
            assert self.call(gw, HTTP_X_ODD="\xff\xfe", QUERY_STRING="\xff=\x01") == "200 OK"
            gw.callbacks.process()


def test_addresses_of_a_served_shop_are_those_it_was_given(shop: Shop) -> None:
    """The port and the scheme that the process sees are not those that were registered."""
    with shop.gateway() as gw, served(gw, "asgi") as port:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        path = urlsplit(shop.callback_of("n1")).path
        assert path.startswith("/payments/shop/")
        assert status(exchange(port, request("GET", path))) == 200
        gw.callbacks.process()
        assert gw.orders.get("cart-1", refresh=False).status == "paid"
