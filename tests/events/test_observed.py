"""Callbacks and polls as observers hear of them, and the event that tells of a doubtful callback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.world import World, cart
from gateway.callbacks.tokens import attempt_url
from gateway.models import OrderStatus
from gateway.observation import Record
from gateway.secrets import Secret
from gateway.store import orders
from gateway.testing import faults
from support.colours import Opened
from watcher.days import Days
from watcher.days import cart as watched

BASE, KEY = "https://shop.example/pay", "callback-key-of-the-shop-0123456789"


@pytest.fixture
def shop(world: World, colour: str) -> Any:
    accounts = world.accounts()
    accounts["shop"].pop("callback", None)
    with world.gateway(colour, accounts=accounts, public_base_url=BASE, callback_key=KEY) as gw:
        yield gw


def heard(gw: Opened, kind: str) -> list[Record]:
    records: list[Record] = []
    gw.raw.observe(lambda record: records.append(record) if record.kind == kind else None)
    return records


def told(records: list[Record]) -> list[tuple[str, str, str, str | None]]:
    return [(record.operation, record.outcome, record.account, record.subject) for record in records]


def address(gw: Opened, reference: str = "cart-1001") -> str:
    attempt = gw.core.database().read(lambda connection: orders.attempt_id_of(connection, reference, 1))
    return attempt_url(BASE, Secret(KEY), "shop", attempt)


def call(gw: Opened, url: str, number: str | None = None) -> int:
    body = json.dumps({"order_id": number}).encode() if number else b""
    status: int = gw.callbacks.receive(method="POST", url=url, headers={}, body=body, client="192.0.2.7")
    return status


def test_a_callback_is_received_and_processed(world: World, shop: Opened) -> None:
    number = shop.orders.create(cart(), account="shop").provider_id
    records = heard(shop, "callback")
    world.server.pay("aurpay", number)
    assert call(shop, address(shop), number) == 200
    assert told(records) == [("callbacks.receive", "done", "shop", None)]
    shop.callbacks.process()
    assert told(records)[1:] == [("callbacks.process", "done", "shop", "order cart-1001")]
    assert {(record.provider, record.error) for record in records} == {("aurpay", None)}
    assert all(record.seconds > 0 for record in records)
    assert shop.orders.get("cart-1001", refresh=False).status is OrderStatus.PAID
    assert [event.type for event in shop.events.since()] == ["order.created", "order.paid"]


def test_a_callback_that_is_not_admitted(shop: Opened) -> None:
    shop.orders.create(cart(), account="shop")
    records = heard(shop, "callback")
    url = address(shop)
    assert call(shop, url[:-1] + ("0" if url[-1] != "0" else "1")) == 404
    assert told(records) == [("callbacks.receive", "rejected", "", None)]
    assert KEY not in repr(records)
    assert url[-32:] not in repr(records)


def test_a_callback_whose_order_cannot_be_read_now(world: World, shop: Opened) -> None:
    number = shop.orders.create(cart(), account="shop").provider_id
    records = heard(shop, "callback")
    call(shop, address(shop), number)
    world.server.faults("aurpay").add(faults.Status(status=400, method="GET"))
    shop.callbacks.process()
    assert told(records)[1:] == [("callbacks.process", "failed", "shop", "order cart-1001")]


def test_a_callback_that_names_another_order_is_suspicious(shop: Opened) -> None:
    number = shop.orders.create(cart(), account="shop").provider_id
    other = shop.orders.create(cart("cart-1002"), account="shop").provider_id
    records = heard(shop, "callback")
    assert call(shop, address(shop), other) == 200
    for _ in range(2):
        shop.callbacks.process()
    assert told(records)[1:] == [("callbacks.process", "suspicious", "shop", "order cart-1001")]
    (event,) = shop.events.since(types=["callback.*"])
    assert (event.type, event.reference, event.account) == ("callback.suspicious", "cart-1001", "shop")
    assert event.data["provider_id"] == number
    assert other in event.data["reason"]
    assert shop.orders.get("cart-1001", refresh=False).status is OrderStatus.PENDING


# Polls


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    with Days(tmp_path) as made:
        yield made


def test_a_look_at_one_order(days: Days, colour: str) -> None:
    with days.gateway(colour) as gw:
        gw.orders.create(watched("cart-1"), account="shop")
        records = heard(gw, "poll")
        days.server.advance(60)
        assert days.look(gw) == 1
        assert told(records) == [("order", "done", "shop", "order cart-1")]
        days.server.advance(3600)
        days.server.faults("aurpay").add(faults.Status(status=400, method="GET"))
        assert days.look(gw) == 1
        assert told(records)[1:] == [("order", "failed", "shop", "order cart-1")]
        assert [(record.provider, record.error) for record in records] == [
            ("aurpay", None),
            ("aurpay", "InvalidRequest"),
        ]


def test_a_look_into_a_customers_list(days: Days, colour: str) -> None:
    with days.gateway(colour) as gw:
        days.customer(gw)
        days.deposits(gw, 3)
        records = heard(gw, "poll")
        days.server.advance(10)
        assert days.look(gw) == 1
        assert told(records) == [("list", "done", "cards", "customer c-1")]
