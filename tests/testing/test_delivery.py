"""Callbacks over real HTTP, and what faults do to them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.testing import Delivery, OutgoingCallback, SandboxServer, faults
from gateway.testing.delivery import CallbackDelivery
from toy_sandbox import ToySandbox


@pytest.fixture
def delivery() -> Any:
    delivery = CallbackDelivery(ToySandbox().forged, back_off=0.01)
    yield delivery
    delivery.close()


def callback(
    merchant: Any, order: str = "1", method: str = "POST", path: str = "/cb?token=t&x=%20"
) -> OutgoingCallback:
    body = b"" if method == "GET" else f"order {order}".encode()
    return OutgoingCallback(method, merchant.url + path, {"X-Proof": "genuine"}, body, order)


def outcomes(delivery: CallbackDelivery) -> list[tuple[int, int, int | None]]:
    return [(made.callback, made.attempt, made.status) for made in delivery.deliveries()]


def test_a_paid_order_is_called_back(server: SandboxServer, client: Any, merchant: Any) -> None:
    client.post("/orders", json={"amount": "3", "callback_url": merchant.url + "/paid?ref=1"})
    server.pay("toy", "1")
    server.wait_idle()
    [received] = merchant.received
    assert (received.method, received.target, received.proof) == ("POST", "/paid?ref=1", "genuine")
    assert received.body == "1 paid-exact"
    [made] = server.callbacks("toy").deliveries()
    assert made == Delivery(1, "1", "POST", merchant.url + "/paid?ref=1", 1, status=200)
    assert made.delivered


def test_expiry_by_the_clock_is_called_back(server: SandboxServer, client: Any, merchant: Any) -> None:
    client.post("/orders", json={"amount": "3", "callback_url": merchant.url})
    server.advance(1800)
    server.wait_idle()
    assert merchant.bodies() == ["1 expired"]


def test_get_goes_out_as_it_is(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.emit(callback(merchant, method="GET"))
    delivery.emit(callback(merchant, method="GET", path=""))
    delivery.wait_idle()
    assert [(got.method, got.target, got.body) for got in merchant.received] == [
        ("GET", "/cb?token=t&x=%20", ""),
        ("GET", "/", ""),
    ]


@pytest.mark.parametrize("failure", [500, 400, 302, 0])
def test_a_refused_callback_is_repeated(delivery: CallbackDelivery, merchant: Any, failure: int) -> None:
    merchant.answers = [failure, failure]
    delivery.emit(callback(merchant))
    delivery.wait_idle()
    status = failure or None
    assert outcomes(delivery) == [(1, 1, status), (1, 2, status), (1, 3, 200)]
    assert {got.target for got in merchant.received} == {"/cb?token=t&x=%20"}  # no redirect was followed
    if not failure:
        assert (delivery.deliveries()[0].error or "").startswith("RemoteDisconnected")


def test_repeating_ends(delivery: CallbackDelivery, merchant: Any) -> None:
    merchant.answers = [500] * 10
    delivery.emit(callback(merchant))
    delivery.wait_idle()
    assert outcomes(delivery) == [(1, 1, 500), (1, 2, 500), (1, 3, 500)]
    assert not any(made.delivered for made in delivery.deliveries())


def test_nobody_listens(delivery: CallbackDelivery, merchant: Any) -> None:
    merchant.close()
    delivery.emit(callback(merchant))
    delivery.wait_idle()
    assert outcomes(delivery) == [(1, 1, None), (1, 2, None), (1, 3, None)]
    assert all((made.error or "").startswith("ConnectionRefusedError") for made in delivery.deliveries())


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://shop.example/cb", "only 127.0.0.1"),
        ("http://192.0.2.1/cb", "only 127.0.0.1"),
        ("http://127.0.0.1.shop.example/cb", "only 127.0.0.1"),
        ("http://127.0.0.1@shop.example/cb", "only 127.0.0.1"),
        ("file:///etc/hostname", "not an address of the web"),
        ("cart-1", "not an address of the web"),
        ("", "not an address of the web"),
        ("http://127.0.0.1:port/", "not an address"),
        ("http://[::1/", "not an address"),
    ],
)
def test_only_this_machine_is_called(delivery: CallbackDelivery, url: str, error: str) -> None:
    delivery.emit(OutgoingCallback("GET", url))
    delivery.wait_idle()
    [made] = delivery.deliveries()
    assert made.status is None
    assert error in (made.error or "")


@pytest.mark.parametrize("path", ["/a b", "/ü", "/\r\nX: y"])
def test_what_cannot_be_sent_is_an_error(delivery: CallbackDelivery, merchant: Any, path: str) -> None:
    delivery.emit(callback(merchant, path=path))
    delivery.emit(callback(merchant, order="2"))
    delivery.wait_idle()
    assert [made.status for made in delivery.deliveries() if made.callback == 1] in ([None] * 3, [200])
    assert any(made.callback == 2 and made.delivered for made in delivery.deliveries())


def test_proxies_are_not_used(delivery: CallbackDelivery, merchant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    delivery.emit(callback(merchant))
    delivery.wait_idle()
    assert outcomes(delivery) == [(1, 1, 200)]


def test_duplicated(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.faults.add(faults.Duplicated(copies=3))
    delivery.emit(callback(merchant))
    delivery.emit(callback(merchant, "2"))
    delivery.wait_idle()
    assert merchant.bodies() == ["order 1", "order 1", "order 1", "order 2"]
    assert [made.callback for made in delivery.deliveries()] == [1, 1, 1, 2]


def test_delayed(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.faults.add(faults.Delayed(seconds=0.2))
    began = time.monotonic()
    delivery.emit(callback(merchant))
    delivery.emit(callback(merchant, "2"))
    assert delivery.pending() >= 1
    delivery.wait_idle()
    assert time.monotonic() - began >= 0.2
    assert merchant.bodies() == ["order 2", "order 1"]


def test_reordered(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.faults.add(faults.Reordered(times=3))
    for order in "123":
        assert merchant.received == []
        delivery.emit(callback(merchant, order))
    delivery.emit(callback(merchant, "4"))
    delivery.wait_idle()
    assert merchant.bodies() == ["order 3", "order 2", "order 1", "order 4"]


def test_held_callbacks_are_released_when_no_more_come(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.faults.add(faults.Reordered(times=5))
    for order in "12":
        delivery.emit(callback(merchant, order))
    delivery.wait_idle()
    assert merchant.received == []
    assert delivery.release() == 2
    assert delivery.release() == 0
    delivery.wait_idle()
    assert merchant.bodies() == ["order 2", "order 1"]


def test_groups_are_held_apart(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.faults.add(faults.Reordered(order="a"), faults.Reordered(order="b"))
    for order in "aba":
        delivery.emit(callback(merchant, order))
    delivery.wait_idle()
    assert merchant.bodies() == ["order a", "order a"]
    delivery.emit(callback(merchant, "b"))
    delivery.wait_idle()
    assert merchant.bodies() == ["order a", "order a", "order b", "order b"]


@pytest.mark.parametrize("genuine", [False, True])
def test_forged(server: SandboxServer, client: Any, merchant: Any, sandbox: ToySandbox, genuine: bool) -> None:
    client.post("/orders", json={"amount": "3", "callback_url": merchant.url})
    server.callbacks("toy").faults.add(faults.Forged(genuine=genuine))
    server.pay("toy", "1")
    server.wait_idle()
    assert [got.proof for got in merchant.received] == ["forged", "genuine"][: 1 + genuine]
    assert set(merchant.bodies()) == {"1 paid-exact"}
    assert [made.forged for made in server.callbacks("toy").deliveries()] == [True, False][: 1 + genuine]


def test_a_sandbox_that_cannot_forge(merchant: Any) -> None:
    def forge(callback: OutgoingCallback) -> OutgoingCallback:
        raise LookupError("no such order")

    delivery = CallbackDelivery(forge)
    delivery.faults.add(faults.Forged())
    delivery.emit(callback(merchant))
    delivery.emit(callback(merchant, "2"))
    delivery.wait_idle()
    delivery.close()
    assert [made.error for made in delivery.deliveries()] == ["forging failed: LookupError('no such order')", None]


def test_suppressed(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.faults.add(faults.Suppressed(order="2"))
    for order in "123":
        delivery.emit(callback(merchant, order))
    delivery.wait_idle()
    assert merchant.bodies() == ["order 1", "order 3"]
    [suppressed] = [made for made in delivery.deliveries() if made.order == "2"]
    assert (suppressed.error, suppressed.attempt, suppressed.delivered) == ("suppressed", 0, False)


def test_waiting_is_bounded(delivery: CallbackDelivery, merchant: Any) -> None:
    delivery.faults.add(faults.Delayed(seconds=60))
    delivery.emit(callback(merchant))
    with pytest.raises(TimeoutError, match="1 callbacks not made"):
        delivery.wait_idle(0.02)


def test_a_merchant_that_never_answers_does_not_hold_up_the_end(merchant: Any) -> None:
    delivery = CallbackDelivery(ToySandbox().forged)
    merchant.silent.set()
    delivery.emit(callback(merchant))
    delivery.emit(callback(merchant, "2"))
    assert merchant.arrived.wait(5)
    began = time.monotonic()
    delivery.close()
    delivery.close()
    assert time.monotonic() - began < 1
    delivery.emit(callback(merchant, "3"))
    delivery.wait_idle(0.1)
    assert merchant.bodies() == ["order 1"]


def test_a_merchant_that_is_too_slow(merchant: Any) -> None:
    delivery = CallbackDelivery(ToySandbox().forged, timeout=0.05, attempts=1)
    merchant.silent.set()
    delivery.emit(callback(merchant))
    delivery.wait_idle()
    delivery.close()
    [made] = delivery.deliveries()
    assert (made.error or "").startswith("TimeoutError")
