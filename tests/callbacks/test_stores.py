"""The inbox on both stores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from callbacks.bell import Shop, cart, inbox, known, suspicions, told
from gateway.contracts import IncomingCallback, Proof
from gateway.errors import InvalidRequest
from gateway.models import OrderStatus
from gateway.store import inbox as store
from gateway.store.database import Database
from gateway.store.inbox import CallbackState

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database.open(url) as opened:
        yield opened


def row(attempt: str = "a1", body: bytes = b"x", *, proof: str = "absent", at: datetime = NOW) -> dict[str, Any]:
    callback = IncomingCallback(method="POST", url="https://shop.example/x", headers={}, body=body, received_at=at)
    return {
        "account": "shop",
        "provider": "bell",
        "environment": "sandbox",
        "attempt_id": attempt,
        "digest": store.digest(callback),
        "method": "POST",
        "url": "https://shop.example/x",
        "headers": {"a": "b"},
        "body": body,
        "client": None,
        "proof": proof,
        "proof_reason": "it is wrong" if proof == "differs" else None,
        "provider_id": None,
        "received_at": at,
        "last_at": at,
        "next_at": at,
    }


def test_equal_ones_count_as_one_only_while_the_first_waits(database: Database) -> None:
    later = NOW + timedelta(seconds=5)
    for given in (row(), row(at=later), row(body=b"y"), row(proof="matches"), row("a2")):
        database.transaction(lambda connection, given=given: store.admit(connection, given))
    found = database.read(lambda connection: store.pending(connection, "a1"))
    assert [(item.times, item.proof, item.received_at, item.last_at) for item in found] == [
        (2, Proof.ABSENT, NOW, later),
        (1, Proof.ABSENT, NOW, NOW),
        (1, Proof.MATCHES, NOW, NOW),
    ]
    database.transaction(lambda connection: store.take(connection, [found[0].id]))
    database.transaction(lambda connection: store.admit(connection, row()))
    database.transaction(lambda connection: store.admit(connection, row()))
    found = database.read(lambda connection: store.pending(connection, "a1"))
    assert [(item.state.value, item.times, item.tries) for item in found] == [
        ("taken", 2, 1),
        ("waiting", 1, 0),
        ("waiting", 1, 0),
        ("waiting", 2, 0),
    ]


def test_what_is_due_by_attempt_and_by_time(database: Database) -> None:
    for minute, attempt in enumerate(["a3", "a1", "a2", "a1"]):
        given = row(attempt, str(minute).encode(), at=NOW + timedelta(seconds=minute))
        database.transaction(lambda connection, given=given: store.admit(connection, given))

    def due(seconds: int, limit: int = 10) -> list[str]:
        moment = NOW + timedelta(seconds=seconds)
        return [item.attempt_id for item in database.read(lambda c: store.due(c, moment, limit))]

    assert due(0) == ["a3"]
    assert due(10) == ["a3", "a1", "a2"]
    assert due(10, limit=2) == ["a3", "a1"]
    (one, *_) = database.read(lambda connection: store.pending(connection, "a3"))
    database.transaction(lambda c: store.put_off(c, [one.id], NOW + timedelta(seconds=60), "later"))
    assert due(10) == ["a1", "a2"]
    assert due(60) == ["a1", "a2", "a3"]
    # Before the clock was set back by an hour it was put off for a minute.
    assert due(-3600) == ["a1", "a2", "a3"]
    ids = [item.id for item in database.read(lambda connection: store.pending(connection, "a1"))]
    assert database.transaction(lambda c: store.end(c, ids, CallbackState.PROCESSED, NOW))
    assert not database.transaction(lambda c: store.end(c, ids, CallbackState.PROCESSED, NOW))
    assert due(10) == ["a2"]
    with pytest.raises(InvalidRequest):
        database.transaction(lambda c: store.end(c, ids, CallbackState.WAITING, NOW))


def test_rejected_ones_are_one_row_a_minute(database: Database) -> None:
    def reject(seconds: int) -> bool:
        moment = NOW + timedelta(seconds=seconds)
        given = row(body=str(seconds).encode(), proof="differs", at=moment)
        return database.transaction(lambda connection: store.reject(connection, given, moment))

    assert [reject(seconds) for seconds in (0, 1, 59, 61, 62)] == [True, False, False, True, False]
    found = database.read(lambda connection: store.find(connection))
    assert [(item.state, item.times, item.error) for item in found] == [
        (CallbackState.REJECTED, 2, "it is wrong"),
        (CallbackState.REJECTED, 3, "it is wrong"),
    ]
    assert database.read(lambda connection: store.due(connection, NOW + timedelta(hours=1), 10)) == []


def test_they_are_found_by_state_account_and_order(url: str, shop: Shop) -> None:
    with shop.gateway(store=url) as gw:
        for index in (1, 2):
            gw.orders.create(cart(f"cart-{index}"), account="shop" if index == 1 else "twin")
            shop.calls_back(gw, f"n{index}")
        shop.service.orders["n1"]["status"] = "paid"
        assert gw.callbacks.process() == 2
        shop.calls_back(gw, "n1", method="GET")
        assert [row.id for row in gw.callbacks.list()] == [3, 2, 1]
        assert [row.id for row in gw.callbacks.list(state="waiting")] == [3]
        assert [row.id for row in gw.callbacks.list(account="twin")] == [2]
        assert [row.id for row in gw.callbacks.list(reference="cart-1")] == [3, 1]
        assert [row.id for row in gw.callbacks.list(limit=1)] == [3]
        with pytest.raises(InvalidRequest):
            gw.callbacks.list(limit=0)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_life_of_callbacks_on_both_stores(url: str, shop: Shop, colour: str) -> None:
    with shop.gateway(colour, store=url) as gw:
        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="proved")
        shop.service.orders["n1"]["status"] = "paid"
        # Bytes that no text can be, and a header that is not ASCII: kept as they are.
        assert shop.calls_back(gw, "n1", body=b"\x00\xff\xfe", proof="falsch-\xfc") == 200
        assert shop.calls_back(gw, "n1") == 200
        assert len(suspicions(gw)) == 0
        gw.callbacks.process()
        assert (known(gw).status, known(gw).provider_id) == (OrderStatus.PAID, "n1")
        assert told(gw) == ["order.created", "order.paid", "callback.suspicious"]
        assert {row.state for row in inbox(gw)} == {CallbackState.PROCESSED}
        assert gw.callbacks.show(1).body == b"\x00\xff\xfe"


def test_many_at_once_on_both_stores(url: str, shop: Shop) -> None:
    with shop.gateway("async", store=url) as gw:
        gw.orders.create(cart(), account="shop")
        path = shop.callback_of("n1")

        def one(gateway: Any, index: int) -> Any:
            return gateway.callbacks.receive(method="POST", url=path, headers={}, body=str(index % 10).encode())

        assert gw.together(200, one) == [200] * 200
        rows = inbox(gw)
        assert (len(rows), sum(row.times for row in rows)) == (10, 200)
