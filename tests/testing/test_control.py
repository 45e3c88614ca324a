"""The control API: everything that Python can do, as JSON."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.testing import SandboxServer


@pytest.fixture(autouse=True)
def one_order(client: httpx.Client, merchant: Any) -> None:
    client.post("/orders", json={"amount": "12.50", "callback_url": merchant.url + "/cb"})


def test_what_is_there(server: SandboxServer, control: httpx.Client) -> None:
    [toy] = control.get("/").json()["sandboxes"]
    assert (toy["name"], toy["base_url"], toy["orders"]) == ("toy", server.base_url("toy"), 1)
    assert control.get("/toy").json()["name"] == "toy"
    assert control.get("/toy/account").json() == server.account("toy")
    assert control.get("/toy/orders").json() == {
        "orders": [{"id": "1", "status": "new", "amount": "12.50", "currency": "USD"}]
    }


def test_paying_and_the_ledger(control: httpx.Client) -> None:
    answer = control.post("/toy/pay", json={"order": "1", "how": "over"})
    assert (answer.status_code, answer.json()["status"]) == (200, "paid-over")
    assert control.get("/toy/ledger").json() == {"received": "12.50"}
    again = control.post("/toy/pay", json={"order": "1"})
    assert (again.status_code, again.json()) == (409, {"error": "SandboxError", "message": "order 1 is paid-over"})


def test_expiring_and_failing(control: httpx.Client) -> None:
    assert control.post("/toy/expire", json={"order": "1"}).json()["status"] == "expired"
    assert control.post("/toy/fail", json={"order": "1"}).json()["status"] == "failed"


def test_the_clock(control: httpx.Client) -> None:
    before = control.get("/toy").json()["now"]
    after = control.post("/clock", json={"seconds": 86400}).json()["clocks"]["toy"]
    assert after[:10] > before[:10]
    assert control.get("/toy/orders").json()["orders"][0]["status"] == "expired"


def test_faults(server: SandboxServer, control: httpx.Client, client: httpx.Client) -> None:
    added = control.post("/toy/faults", json={"kind": "status", "status": 502, "times": 2, "path": "/orders"})
    assert added.status_code == 200
    assert client.get("/orders").status_code == 502
    [waiting] = control.get("/toy/faults").json()["faults"]
    assert (waiting["kind"], waiting["status"], waiting["times"]) == ("status", 502, 1)
    assert control.delete("/toy/faults").json() == {"faults": []}
    assert client.get("/orders").status_code == 200
    log = control.get("/toy/requests").json()["requests"]
    assert [(call["method"], call["status"], call["fault"]) for call in log] == [
        ("POST", 200, None),
        ("GET", 502, "status"),
        ("GET", 200, None),
    ]
    assert server.faults("toy").pending() == []


def test_callbacks(server: SandboxServer, control: httpx.Client, merchant: Any) -> None:
    control.post("/toy/callbacks/faults", json={"kind": "reordered", "times": 3})
    control.post("/toy/expire", json={"order": "1"})
    control.post("/toy/pay", json={"order": "1", "how": "late"})
    assert control.get("/toy/callbacks").json() == {"pending": 0, "deliveries": []}
    assert control.get("/toy/callbacks/faults").json()["faults"][0]["times"] == 1
    assert control.delete("/toy/callbacks/faults").json() == {"faults": []}
    assert control.post("/toy/callbacks/release").json() == {"released": 2}
    server.wait_idle()
    assert merchant.bodies() == ["1 paid-late", "1 expired"]
    made = control.get("/toy/callbacks").json()["deliveries"]
    assert [(each["callback"], each["status"], each["delivered"]) for each in made] == [(2, 200, True), (1, 200, True)]


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "message"),
    [
        ("GET", "/acme", "", 404, "no sandbox is called 'acme'; there are toy"),
        ("GET", "/acme/requests", "", 404, "no sandbox is called 'acme'; there are toy"),
        ("POST", "/acme/pay", "", 404, "no sandbox is called 'acme'; there are toy"),
        ("POST", "/toy/pay", '{"order": "7"}', 404, "the toy sandbox has no order '7'"),
        ("GET", "/toy/nothing", "", 404, "GET /toy/nothing: Not Found"),
        ("GET", "/toy/pay", "", 405, "GET /toy/pay: Method Not Allowed"),
        ("POST", "/toy/pay", '{"order": 1}', 422, "order: Input should be a valid string"),
        ("POST", "/toy/pay", '{"order": "1", "how": "twice"}', 422, "how: Input should be 'exact', 'under'"),
        ("POST", "/toy/expire", "{}", 422, "order: Field required"),
        ("POST", "/toy/fail", "not json", 422, "body: Invalid JSON"),
        ("POST", "/clock", '{"seconds": -1}', 422, "seconds: Input should be greater than or equal to 0"),
        ("POST", "/clock", '{"seconds": 1e30}', 422, "seconds: "),
        ("POST", "/toy/faults", '{"kind": "forged"}', 422, "body: Input tag 'forged'"),
        ("POST", "/toy/faults", '{"kind": "drop"}', 422, "drop.executed: Field required"),
        ("POST", "/toy/callbacks/faults", '{"kind": "drop"}', 422, "body: Input tag 'drop'"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    server: SandboxServer, control: httpx.Client, method: str, path: str, content: str, status: int, message: str
) -> None:
    answer = control.request(method, path, content=content)
    assert answer.status_code == status
    assert answer.json()["message"].startswith(message)
    assert answer.headers["content-type"] == "application/json"
    assert [order.status for order in server.orders("toy")] == ["new"]
    assert server.faults("toy").pending() == []
    assert server.callbacks("toy").faults.pending() == []
