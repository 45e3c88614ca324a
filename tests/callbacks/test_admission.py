"""What is admitted, and that everything else gets one and the same answer, whichever way it comes in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callbacks.bell import SECRET, Shop, cart, inbox
from callbacks.doors import DOORS, Answer, Request, knock
from gateway.errors import StoreError
from support.colours import Opened

LIMIT = 65_536


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gw(shop: Shop, door: str) -> Iterator[Opened]:
    with shop.gateway(door.split()[1]) as opened:
        opened.orders.create(cart(), account="shop")
        yield opened


@pytest.fixture
def call(gw: Opened, door: str) -> Callable[[Request], Answer]:
    return knock(gw, door)


@pytest.fixture
def genuine(shop: Shop, gw: Opened) -> Request:
    return Request("POST", shop.callback_of("n1").removeprefix("https://shop.example/payments"), parts=(b"{}",))


def headers(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers}


def test_a_genuine_one_is_admitted(call: Callable[[Request], Answer], gw: Opened, genuine: Request) -> None:
    for method in ("POST", "GET", "HEAD"):
        answer = call(replace(genuine, method=method))
        assert (answer.status, answer.body) == (200, b"")
        assert headers(answer) in ({}, {"content-length": "0"})
    rows = inbox(gw)
    assert [row.method for row in rows] == ["POST", "GET", "HEAD"]
    assert {row.client for row in rows} == {"192.0.2.7"}
    assert rows[0].url.startswith("https://shop.example/payments/shop/")


def test_query_headers_and_body_arrive_as_they_were_sent(
    call: Callable[[Request], Answer], gw: Opened, genuine: Request
) -> None:
    body = bytes(range(256)) + b'{"order": "n1"}'
    call(replace(genuine, query="orderNo=1&x=%20y", headers=(("X-One", "1"), ("Proof", "abc")), parts=(body,)))
    (row,) = inbox(gw)
    shown = gw.callbacks.show(row.id)
    assert shown.url.endswith("?orderNo=1&x=%20y")
    assert shown.body == body
    assert shown.headers is not None
    assert (shown.headers["x-one"], shown.headers["proof"]) == ("1", "abc")


def unknown(genuine: Request) -> list[Request]:
    path = genuine.path
    _, account, rest = path.split("/")
    attempt, mac = rest.split(".")
    other = secrets.token_hex(16)
    paths = [
        "/",
        "",
        "/favicon.ico",
        f"/{account}",
        f"/{account}/{attempt}",
        f"/{account}/{attempt}.",
        f"{path}/",
        f"{path}0",
        path[:-1],
        path.upper(),
        f"/deeper{path}",
        path.replace("/shop/", "/shop//"),
        path.replace("/shop/", "/shop/%2F"),
        path.replace("/shop/", "/twin/"),
        path.replace("/shop/", "/nobody/"),
        path.replace("/shop/", "/Shop/"),
        path.replace("/shop/", "/shop%00/"),
        f"/{account}/{other}.{mac}",
        f"/{account}/{attempt}.{other}",
        f"/{account}/{attempt}.{'0' * 32}",
        f"/{account}/{attempt[:-1]}.{attempt[-1]}{mac[:-1]}",
        f"/{account}/{mac}.{attempt}",
    ]
    methods = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "post", ""]
    return [
        *(replace(genuine, path=path) for path in paths),
        *(replace(genuine, path=path, method="GET", parts=(b"",)) for path in paths),
        *(replace(genuine, path=path, method="HEAD", parts=(b"",)) for path in paths),
        *(replace(genuine, method=method) for method in methods),
        replace(genuine, parts=(b"x" * (LIMIT + 1),)),
        replace(genuine, parts=(b"x" * 1000,) * 66, length=False),
        replace(genuine, path=path[:-1], parts=(b"x" * (LIMIT + 1),)),
    ]


def test_whatever_is_unknown_gets_the_same_answer(
    call: Callable[[Request], Answer], gw: Opened, genuine: Request
) -> None:
    requests = unknown(genuine)
    answers = {repr(call(request)) for request in requests}
    assert len(requests) > 70
    assert len(answers) == 1
    answer = call(requests[0])
    assert (answer.status, answer.body) == (404, b"")
    assert inbox(gw) == []


def test_the_answer_to_an_unknown_one_costs_no_store(shop: Shop, door: str, tmp_path: Path) -> None:
    """Not even a store that cannot be opened: nothing is looked up for a token."""
    with shop.gateway(door.split()[1]) as gw:
        gw.orders.create(cart(), account="shop")
    path = shop.callback_of("n1").removeprefix("https://shop.example/payments")
    with shop.gateway(door.split()[1], store=f"sqlite:///{tmp_path}/no-such-folder/gateway.db") as gw:
        call = knock(gw, door)
        assert call(Request("GET", path[:-1])).status == 404
        assert call(Request("GET", path)).status == 503


def test_ten_thousand_forged_ones_are_not_admitted(
    call: Callable[[Request], Answer], gw: Opened, genuine: Request, door: str
) -> None:
    prefix = genuine.path.rpartition(".")[0]
    answers = set()
    before = changes(gw)
    for index in range(10_000 if door == "asgi async" else 1_000):
        guess = secrets.token_hex(16)
        attempt = prefix if index % 2 else f"/shop/{secrets.token_hex(16)}"
        answers.add(call(replace(genuine, path=f"{attempt}.{guess}")).status)
    assert answers == {404}
    assert inbox(gw) == []
    assert [event.type for event in gw.events.since(0)] == ["order.created"]
    assert changes(gw) == before


def changes(gw: Opened) -> int:
    """How many rows this store's connection has changed."""
    counted = "SELECT total_changes()"
    return gw.core.database().transaction(lambda connection: connection.exec_driver_sql(counted).scalar_one())


def test_a_body_of_exactly_the_limit_is_admitted(
    call: Callable[[Request], Answer], gw: Opened, genuine: Request
) -> None:
    for length in (True, False):
        assert call(replace(genuine, parts=(b"x" * LIMIT,), length=length)).status == 200
        assert call(replace(genuine, parts=(b"x" * LIMIT, b"y"), length=length)).status == 404
    (row,) = inbox(gw)
    assert gw.callbacks.show(row.id).body == b"x" * LIMIT


def test_the_limit_is_a_setting(shop: Shop, door: str) -> None:
    with shop.gateway(door.split()[1], callback_body_limit=1024) as gw:
        gw.orders.create(cart(), account="shop")
        path = shop.callback_of("n1").removeprefix("https://shop.example/payments")
        statuses = [knock(gw, door)(Request("POST", path, parts=(b"x" * size,))).status for size in (1024, 1025)]
        assert statuses == [200, 404]


def test_it_is_mounted_anywhere(call: Callable[[Request], Answer], gw: Opened, genuine: Request, door: str) -> None:
    prefixes = ["", "/payments"] if door.startswith("receive") else ["", "/payments", "/mounted", "/a/b/c"]
    for prefix in prefixes:
        if door.startswith("receive"):
            assert call(replace(genuine, path=prefix + genuine.path)).status == 200
        else:
            assert call(replace(genuine, prefix=prefix)).status == 200
    # Under the registered prefix too where the server does not take it off.
    assert call(replace(genuine, path="/payments" + genuine.path)).status == 200
    assert call(replace(genuine, path="/elsewhere" + genuine.path)).status == 404


def test_a_store_that_cannot_be_used_is_told_to_the_provider(
    call: Callable[[Request], Answer],
    gw: Opened,
    genuine: Request,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(work: Any) -> Any:
        raise StoreError("the disk is full", retryable=True)

    monkeypatch.setattr(gw.core.database(), "together", fails)
    answer = call(genuine)
    assert (answer.status, answer.body) == (503, b"")
    assert "could not be recorded and was answered with 503" in caplog.text
    assert genuine.path.rpartition(".")[2] not in caplog.text


def test_strict_accounts_answer_as_if_nothing_were_there(shop: Shop, door: str) -> None:
    with shop.gateway(door.split()[1]) as gw:
        gw.orders.create(cart(), account="strict")
        call = knock(gw, door)
        request = Request("POST", shop.callback_of("n1").removeprefix("https://shop.example/payments"), parts=(b"{}",))
        assert call(request) == call(replace(request, path="/nothing/here"))
        assert call(replace(request, headers=(("Proof", SECRET),))).status == 200


def test_secrets_and_tokens_are_not_kept(call: Callable[[Request], Answer], gw: Opened, genuine: Request) -> None:
    from support.toy import KEY

    sent = replace(
        genuine,
        query=f"key={KEY}",
        headers=(("Authorization", "Bearer hush"), ("X-Key", KEY), ("Callback-Token", "hush")),
        parts=(b'{"order": "n1", "key": "' + KEY.encode() + b'"}',),
    )
    assert call(sent).status == 200
    (row,) = inbox(gw)
    kept = repr(gw.callbacks.show(row.id).to_dict())
    assert row.provider_id == "n1"
    for secret in (KEY, "hush", genuine.path.rpartition(".")[2]):
        assert secret not in kept
