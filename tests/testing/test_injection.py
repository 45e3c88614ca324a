"""Each fault of calls over real HTTP: what the client sees, and whether the sandbox acted."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import pytest

from gateway.testing import RequestRecord, SandboxServer, faults
from gateway.testing.faults import CallFault, FaultQueue
from gateway.testing.injection import FaultInjection
from gateway.testing.request_log import RequestLog
from toy_sandbox import ToySandbox

BROKEN = (httpx.RemoteProtocolError, httpx.ReadError)


def create(client: httpx.Client, **kwargs: object) -> httpx.Response:
    return client.post("/orders", json={"amount": "12.50"}, **kwargs)  # type: ignore[arg-type]


def last(server: SandboxServer) -> RequestRecord:
    return server.requests["toy"][-1]


def test_without_faults_calls_pass(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox) -> None:
    assert create(client).json() == {"id": "1", "status": "new"}
    assert client.get("/nothing").status_code == 404
    assert server.requests["toy"] == [
        RequestRecord("POST", "/orders", 200, None, True),
        RequestRecord("GET", "/nothing", 404, None, True),
    ]
    assert not last(server).faulted


@pytest.mark.parametrize("executed", [False, True])
def test_status(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox, executed: bool) -> None:
    server.faults("toy").add(
        faults.Status(status=503, headers={"Retry-After": "7"}, body="closed", executed=executed, times=2)
    )
    for _ in range(2):
        answer = create(client)
        assert (answer.status_code, answer.headers["retry-after"], answer.text) == (503, "7", "closed")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert last(server) == RequestRecord("POST", "/orders", 503, "status", executed)
    assert len(sandbox.orders()) == (2 if executed else 0)
    assert create(client).status_code == 200


def test_status_without_a_body(server: SandboxServer, client: httpx.Client) -> None:
    server.faults("toy").add(faults.Status(status=204), faults.Status(status=304), faults.Status(status=500))
    assert [create(client).status_code for _ in range(4)] == [204, 304, 500, 200]


@pytest.mark.parametrize("executed", [False, True])
def test_drop(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox, executed: bool) -> None:
    server.faults("toy").add(faults.Drop(executed=executed))
    with pytest.raises(BROKEN):
        create(client)
    assert len(sandbox.orders()) == executed
    assert last(server) == RequestRecord("POST", "/orders", None, "drop", executed)
    assert create(client).json()["id"] == str(executed + 1)


def test_drop_on_a_connection_that_is_in_use(server: SandboxServer, client: httpx.Client) -> None:
    """Only the struck call's connection goes; a large body is taken in before."""
    create(client)
    server.faults("toy").add(faults.Drop(executed=False, path="/orders"))
    with pytest.raises(BROKEN):
        client.post("/orders", content=b"x" * 2_000_000)
    assert client.get("/orders").json() == ["1"]


def test_truncated(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox) -> None:
    whole = len(create(client).content)
    server.faults("toy").add(faults.Truncated(), faults.Truncated(keep=3), faults.Truncated(keep=0))
    for kept in (whole // 2, 3, 0):
        received = b""
        with client.stream("POST", "/orders", json={"amount": "1"}) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-length"] == str(whole)
            with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - the break comes within the loop
                for chunk in answer.iter_raw():
                    received += chunk
        assert len(received) == kept
    assert len(sandbox.orders()) == 4
    assert last(server) == RequestRecord("POST", "/orders", 200, "truncated", True)


def test_truncated_at_the_very_end_still_promises_more(server: SandboxServer, client: httpx.Client) -> None:
    server.faults("toy").add(faults.Truncated(keep=10_000))
    with pytest.raises(httpx.RemoteProtocolError):
        create(client)


@pytest.mark.parametrize("executed", [False, True])
def test_foreign(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox, executed: bool) -> None:
    server.faults("toy").add(faults.Foreign(executed=executed))
    answer = create(client)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert len(sandbox.orders()) == executed


@pytest.mark.parametrize("executed", [False, True])
def test_empty(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox, executed: bool) -> None:
    server.faults("toy").add(faults.Empty(executed=executed))
    answer = create(client)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert len(sandbox.orders()) == executed


@pytest.mark.parametrize("executed", [False, True])
def test_delay(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox, executed: bool) -> None:
    server.faults("toy").add(faults.Delay(seconds=0.2, executed=executed))
    began = time.monotonic()
    assert create(client).json()["id"] == "1"
    assert time.monotonic() - began >= 0.2
    assert last(server) == RequestRecord("POST", "/orders", 200, "delay", True)


@pytest.mark.parametrize("executed", [False, True])
def test_a_client_that_does_not_wait(
    server: SandboxServer, client: httpx.Client, sandbox: ToySandbox, executed: bool
) -> None:
    """The order is made all the same: at once, or after the client has given up."""
    done = threading.Event()
    server.faults("toy").add(faults.Delay(seconds=0.3, executed=executed))
    with pytest.raises(httpx.ReadTimeout):
        create(client, timeout=0.1)
    assert len(sandbox.orders()) == executed
    end = time.monotonic() + 5
    while not sandbox.orders() and time.monotonic() < end:
        done.wait(0.01)
    assert len(sandbox.orders()) == 1


def test_only_the_matching_call_is_struck(server: SandboxServer, client: httpx.Client) -> None:
    server.faults("toy").add(faults.Status(status=500, method="POST", path="/orders"))
    assert client.get("/orders").status_code == 200
    assert create(client).status_code == 500


def test_a_waiting_call_is_in_the_log(server: SandboxServer, client: httpx.Client, sandbox: ToySandbox) -> None:
    def hang() -> None:
        with pytest.raises(BROKEN):
            client.get("/hang")

    caller = threading.Thread(target=hang)
    caller.start()
    assert sandbox.hanging.wait(5)
    assert last(server) == RequestRecord("GET", "/hang", None, None, True)
    server.stop()
    caller.join(5)
    assert not caller.is_alive()


def test_dropping_needs_the_server() -> None:
    """Without a socket there is nothing to break off; it fails rather than pass for an answer."""
    queue: FaultQueue[CallFault] = FaultQueue(CallFault)
    queue.add(faults.Drop(executed=False))
    sandbox = ToySandbox()
    app = FaultInjection(sandbox.app, queue, RequestLog(), sandbox.clock)

    async def call() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://toy.invalid") as client:
            await client.post("/orders", json={"amount": "1"})

    with pytest.raises(ConnectionResetError, match="SandboxServer"):
        asyncio.run(call())
    assert sandbox.orders() == []
