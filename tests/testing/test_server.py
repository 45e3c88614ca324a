"""Starting, stopping and finding one's way; what steers a sandbox from Python."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

import httpx
import pytest

from gateway.errors import ConfigurationError
from gateway.testing import NotInSandbox, Payment, SandboxClock, SandboxError, SandboxServer, faults
from toy_sandbox import ToySandbox


class Other(ToySandbox):
    name = "other"


class Shouting(ToySandbox):
    name = "Toy"


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=5)


def order(server: SandboxServer, amount: str = "5") -> str:
    answer = httpx.post(server.base_url("toy") + "/orders", json={"amount": amount}, trust_env=False)
    return str(answer.json()["id"])


def test_each_sandbox_sees_its_own_paths_at_its_root(server: SandboxServer) -> None:
    seen = get(server.url + "/toy/seen/a%2Fb/c%20d?x=%41&y=").json()
    assert seen == {"path": "/seen/a/b/c d", "raw_path": "/seen/a%2Fb/c%20d", "query": "x=%41&y="}
    assert get(server.url + "/toy").status_code == 404
    assert get(server.url + "/toy/").status_code == 404


@pytest.mark.parametrize("path", ["", "/", "/unknown/orders", "/toyy/orders", "//toy/orders", "/toy2"])
def test_other_paths_lead_nowhere(server: SandboxServer, path: str) -> None:
    answer = get(server.url + path)
    assert answer.status_code == 404
    assert answer.json()["message"] == "nothing is served here; there are /_control, /toy"


def date(answer: httpx.Response) -> datetime:
    [text] = answer.headers.get_list("date")
    return parsedate_to_datetime(text)


def test_answers_are_dated_by_the_sandboxes_clock(server: SandboxServer) -> None:
    whole = datetime.now(UTC).replace(microsecond=0)
    assert whole <= date(get(server.base_url("toy") + "/orders")) <= datetime.now(UTC)
    server.advance(7200)
    ahead = whole + timedelta(hours=2)
    assert ahead <= date(get(server.base_url("toy") + "/orders")) < ahead + timedelta(minutes=1)
    server.faults("toy").add(faults.Status(status=503, executed=True))
    assert date(get(server.base_url("toy") + "/orders")) >= ahead
    said = "Thu, 02 Jan 2025 03:04:05 GMT"
    server.faults("toy").add(faults.Status(status=503, headers={"Date": said}))
    assert get(server.base_url("toy") + "/orders").headers.get_list("date") == [said]


def test_sandboxes_are_apart() -> None:
    with SandboxServer([ToySandbox(), Other()]) as server:
        order(server)
        server.faults("other").add(faults.Empty())
        assert get(server.base_url("toy") + "/orders").json() == ["1"]
        assert get(server.base_url("other") + "/orders").content == b""
        assert get(server.base_url("other") + "/orders").json() == []
        assert {name: len(records) for name, records in server.requests.items()} == {"toy": 2, "other": 2}
        assert server.names == ["toy", "other"]


def test_starts_and_stops_quickly_and_often() -> None:
    before = set(threading.enumerate())
    times = []
    for _ in range(20):
        began = time.monotonic()
        with SandboxServer([ToySandbox()]) as server, httpx.Client(trust_env=False) as client:
            assert client.get(server.base_url("toy") + "/orders").json() == []
            url = server.url
            # The client's idle connection is still open when the server stops.
            server.stop()
        times.append(time.monotonic() - began)
        with pytest.raises(httpx.ConnectError):
            get(url)
    assert sorted(times)[len(times) // 2] < 0.2
    assert not set(threading.enumerate()) - before


def test_stops_while_calls_are_under_way(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sandbox = ToySandbox()
    server = SandboxServer([sandbox])
    server.start()
    server.faults("toy").add(faults.Delay(seconds=60, path="/orders"))
    failures: list[Exception] = []

    def call(path: str) -> None:
        try:
            get(server.base_url("toy") + path)
        except httpx.TransportError as error:
            failures.append(error)

    callers = [threading.Thread(target=call, args=(path,)) for path in ("/hang", "/orders")]
    for caller in callers:
        caller.start()
    assert sandbox.hanging.wait(5)
    while len(server.requests["toy"]) < 2:
        time.sleep(0.005)
    began = time.monotonic()
    server.stop()
    server.stop()
    assert time.monotonic() - began < 2
    for caller in callers:
        caller.join(5)
    assert len(failures) == 2
    # Neither a line for each request nor a failure of the application that was only stopped.
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_server_is_started_once(server: SandboxServer) -> None:
    with pytest.raises(ConfigurationError, match="started before"):
        server.start()


def test_before_the_start_there_is_no_address() -> None:
    server = SandboxServer([ToySandbox()])
    with pytest.raises(ConfigurationError, match="not started"):
        _ = server.url
    server.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "shop.example", ""])
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(ConfigurationError, match="is not served on"):
        SandboxServer([ToySandbox()], host=host)


def test_a_name_that_is_not_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, **k: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]
    )
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        SandboxServer([ToySandbox()], host="localhost").start()


def test_localhost_is_served() -> None:
    with SandboxServer([ToySandbox()], host="localhost") as server:
        assert get(server.base_url("toy") + "/orders").json() == []


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with SandboxServer([ToySandbox()], host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert get(server.base_url("toy") + "/orders").json() == []


def test_a_port_of_ones_own_choice(server: SandboxServer) -> None:
    taken = int(server.url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=f"port {taken}"):
        SandboxServer([ToySandbox()], port=taken).start()
    server.stop()
    with SandboxServer([ToySandbox()], port=taken) as again:
        assert again.url == f"http://127.0.0.1:{taken}"
    for number in (-1, 65536):
        with pytest.raises(ConfigurationError, match=f"no port {number}"):
            SandboxServer([ToySandbox()], port=number)


def test_names_are_unique_and_well_formed() -> None:
    with pytest.raises(ConfigurationError, match="two sandboxes are called 'toy'"):
        SandboxServer([ToySandbox(), ToySandbox()])
    with pytest.raises(ConfigurationError, match="'Toy'"):
        SandboxServer([Shouting()])


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gateway.testing.connections", "gateway.testing.control"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn.config", None)
    with pytest.raises(ConfigurationError, match=r"uvicorn.*crypto-gateway\[sandbox\]"):
        SandboxServer([])


def test_accounts_are_ready_for_the_configuration(server: SandboxServer) -> None:
    base_url = f"{server.url}/toy"
    assert server.accounts() == {
        "toy": {
            "provider": "toy",
            "environment": "sandbox",
            "base_url": base_url,
            "auth": {"kind": "bearer", "api_key": f"toy-key-for-{base_url}"},
        }
    }


def test_paying_expiring_failing(server: SandboxServer) -> None:
    first, second, third = order(server, "5.00"), order(server, "7"), order(server, "9")
    assert server.pay("toy", first).status == "paid-exact"
    assert server.expire("toy", second).status == "expired"
    assert server.pay("toy", second, "late").status == "paid-late"
    assert server.fail("toy", third).status == "failed"
    assert server.ledger("toy") == {"received": "12.00"}
    assert server.order("toy", first).amount == Decimal("5.00")
    with pytest.raises(SandboxError, match="is paid-exact"):
        server.pay("toy", first, Payment.UNDER)
    with pytest.raises(SandboxError, match="no such way to pay: 'twice'"):
        server.pay("toy", third, "twice")


def test_unknown_names(server: SandboxServer) -> None:
    with pytest.raises(NotInSandbox, match="'acme'; there are toy"):
        server.pay("acme", "1")
    for steer in (server.pay, server.expire, server.fail):
        with pytest.raises(NotInSandbox, match="no order '1'"):
            steer("toy", "1")


def test_the_clock_moves_for_all_once() -> None:
    clock = SandboxClock()
    with SandboxServer([ToySandbox(clock), Other(clock)]) as server:
        created = order(server)
        before = clock.now()
        server.advance(29 * 60)
        assert 29 * 60 <= (clock.now() - before).total_seconds() < 30 * 60
        assert server.order("toy", created).status == "new"
        server.advance(60)
        assert server.order("toy", created).status == "expired"
        with pytest.raises(SandboxError, match="forward"):
            server.advance(-1)
