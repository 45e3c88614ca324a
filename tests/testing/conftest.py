"""A running toy sandbox, and a merchant who takes its callbacks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from gateway.testing import SandboxServer
from toy_sandbox import ToySandbox


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    proof: str | None
    body: str


class Merchant:
    """Keeps every callback; answers the next ones with `answers`, then 200. `close_first` ones get no answer at all."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[int] = []
        self.silent = threading.Event()
        self.arrived = threading.Event()
        self.over = threading.Event()
        merchant = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                merchant.received.append(Received(self.command, self.path, self.headers.get("X-Proof"), body))
                merchant.arrived.set()
                if merchant.silent.is_set():
                    merchant.over.wait(10)
                    return
                status = merchant.answers.pop(0) if merchant.answers else 200
                if status == 0:
                    return  # closes the connection
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def bodies(self) -> list[str]:
        return [callback.body for callback in self.received]

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    merchant = Merchant()
    yield merchant
    merchant.close()


@pytest.fixture
def sandbox() -> ToySandbox:
    return ToySandbox()


@pytest.fixture
def server(sandbox: ToySandbox) -> Iterator[SandboxServer]:
    with SandboxServer([sandbox]) as server:
        yield server


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx.Client]:
    """A client at the toy's base URL."""
    with httpx.Client(base_url=server.base_url("toy"), trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
def control(server: SandboxServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/_control", trust_env=False, timeout=5) as client:
        yield client
