"""The real kinds of job: what is due of each, under which lock, and what is done at intervals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from flows.world import World, cart
from gateway import AsyncGateway, Gateway
from gateway.errors import ConfigurationError
from gateway.models.events import Event
from gateway.store import inbox, journal
from gateway.store.tables import attempts, callbacks, schedules, watches
from gateway.worker.kinds import all_kinds
from store.samples import begin

OWNER_THAT_ENDED = "somewhere|elsewhere|1|0|0000"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def opened(world: World, **given: Any) -> Gateway:
    settings = {"public_base_url": "http://127.0.0.1:9/pay", "callback_key": "a key of the tests alone", **given}
    return Gateway(accounts=world.accounts(), store="sqlite://", **settings)


def due(gateway: Gateway, kind: str, *, shared: bool = False, ahead: timedelta = timedelta(0)) -> list[Any]:
    core = gateway._core
    found = all_kinds(core, shared=shared)[kind]
    return list(core.database().read(lambda connection: found.due(core, connection, core.now() + ahead, 100)))


def test_the_most_urgent_comes_first(world: World) -> None:
    with opened(world) as gateway:
        names = list(all_kinds(gateway._core, shared=False))
    assert names == ["callback", "fan-out", "deliver", "watch", "schedule"]


def admit(gateway: Gateway, attempt: str, received_at: datetime) -> None:
    row: dict[str, Any] = dict.fromkeys(("client", "proof_reason", "provider_id"))
    row |= {"account": "shop", "provider": "aurpay", "environment": "sandbox", "attempt_id": attempt}
    row |= {"digest": "d", "method": "POST", "url": "/", "headers": {}, "body": b"{}", "proof": "matches"}
    row |= dict.fromkeys(("received_at", "last_at", "next_at"), received_at)
    gateway._core.database().transaction(lambda connection: inbox.admit(connection, row))


def test_everything_about_one_order_has_one_lock(world: World) -> None:
    with opened(world) as gateway:
        gateway.orders.create(cart("cart-1"), account="shop")
        attempt = gateway._core.database().read(
            lambda connection: connection.execute(select(attempts.c.attempt_id)).scalar_one()
        )
        admit(gateway, attempt, datetime.now(UTC))
        (called,) = due(gateway, "callback")
        (watched,) = due(gateway, "watch", ahead=timedelta(hours=1))
        assert called.lock == watched.lock == "order cart-1"
        assert watched.group == "shop"


def test_a_callback_of_an_attempt_that_nobody_knows(world: World) -> None:
    with opened(world) as gateway:
        admit(gateway, "nobody", datetime.now(UTC))
        (found,) = due(gateway, "callback")
        assert (found.key, found.lock) == ("nobody", "callback nobody")
        gateway.run(until_idle=True)
        assert due(gateway, "callback") == []


@pytest.mark.parametrize("shared", [False, True])
def test_deliveries_are_due_by_handler_and_subject(world: World, shared: bool) -> None:
    with opened(world) as gateway:
        told: list[Event] = []
        gateway.on("order.created", name="a")(told.append)
        gateway.on("order.paid", name="b")(told.append)
        gateway.orders.create(cart("cart-1"), account="shop")
        fans = due(gateway, "fan-out", shared=shared)
        assert [(one.key, one.lock, one.group) for one in fans] == [("a", "fan-out a", "a"), ("b", "fan-out b", "b")]
        assert due(gateway, "deliver", shared=shared) == []
        kinds = all_kinds(gateway._core, shared=shared)
        assert [name for name, kind in kinds.items() if kind.here] == ["fan-out", "deliver"]
        gateway.run(until_idle=True)
        assert [(event.type, event.reference) for event in told] == [("order.created", "cart-1")]
        assert due(gateway, "fan-out", shared=shared) == []


class TestSchedules:
    def test_which_there_are(self, world: World) -> None:
        with opened(world) as gateway:
            names = [one.key for one in due(gateway, "schedule")]
            assert names == ["recover", *(f"reconcile {name}" for name in world.accounts())]
        with opened(world, reconcile={"scheduled": False}, worker={"prune_older_than": "90d"}) as gateway:
            assert [one.key for one in due(gateway, "schedule")] == ["recover", "prune"]

    def test_the_books_are_compared_after_the_interval(self, world: World) -> None:
        with opened(world, reconcile={"every": "1h"}) as gateway:
            gateway.run(until_idle=True)
            assert all(gateway.reconciled(account=name) is None for name in gateway.accounts)
            ago = datetime.now(UTC) - timedelta(seconds=1)
            one = update(schedules).where(schedules.c.name == "reconcile shop").values(next_at=ago)
            gateway._core.database().transaction(lambda connection: connection.execute(one).rowcount)
            gateway.run(until_idle=True)
            found = gateway.reconciled(account="shop")
            assert found is not None
            assert gateway.reconciled(account="cards") is None
            gateway.run(until_idle=True)
            assert gateway.reconciled(account="shop") == found

    def test_what_a_dead_process_has_sent_is_unknown(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        with opened(world) as gateway:
            database = gateway._core.database()
            past = datetime.now(UTC) - timedelta(hours=1)
            entry, _ = database.transaction(begin(OWNER_THAT_ENDED, now=past))
            database.transaction(
                lambda connection: journal.mark_sent(connection, entry.id, past, owner=OWNER_THAT_ENDED)
            )
            gateway.run(until_idle=True)
            (found,) = gateway.journal.show("payout-1")
            assert found.state == "unknown"
            assert "its outcome is unknown" in caplog.text

    def test_payloads_are_dropped(self, world: World) -> None:
        with opened(world, worker={"prune_older_than": "90d"}) as gateway:
            for name, days in (("old", 91), ("new", 89)):
                admit(gateway, name, datetime.now(UTC) - timedelta(days=days))
            ended = update(callbacks).values(state="processed", processed_at=callbacks.c.received_at)
            database = gateway._core.database()
            database.transaction(lambda connection: connection.execute(ended).rowcount)
            gateway.run(until_idle=True)
            bodies = select(callbacks.c.attempt_id, callbacks.c.body).order_by(callbacks.c.id)
            found = database.read(lambda connection: dict(map(tuple, connection.execute(bodies).all())))  # type: ignore[arg-type]
            assert found == {"old": None, "new": b"{}"}

    def test_too_young_to_be_dropped(self) -> None:
        with pytest.raises(ConfigurationError, match=r"worker\.prune_older_than: must be at least 1 d"):
            Gateway(store="sqlite://", worker={"prune_older_than": "12h"})


def test_an_order_is_paid_and_told_in_one_run(world: World) -> None:
    """As in tests of a shop: what is due, and what becomes due by it."""
    with opened(world) as gateway:
        told: list[str] = []
        gateway.on("order.*", name="books")(lambda event: told.append(event.type))
        order = gateway.orders.create(cart("cart-1"), account="shop")
        world.server.pay("aurpay", str(order.provider_id))
        soon = update(watches).values(
            next_at=datetime.now(UTC) - timedelta(seconds=1),
            looked_at=order.created_at - timedelta(hours=1),
            since=order.created_at - timedelta(hours=1),
        )
        gateway._core.database().transaction(lambda connection: connection.execute(soon).rowcount)
        gateway.run(until_idle=True)
        assert told == ["order.created", "order.paid"]


def test_an_async_shop_s_handlers_use_its_gateway(world: World) -> None:
    async def shop() -> list[str]:
        told: list[str] = []
        async with AsyncGateway(accounts=world.accounts(), store="sqlite://") as gateway:

            @gateway.on("order.created", name="books")
            async def books(event: Event) -> None:
                order = await gateway.orders.get(event.reference, refresh=False)
                told.append(f"{order.reference} {order.status}")

            @gateway.on("order.created", name="mail")
            def mail(event: Event) -> None:
                told.append(f"mail {event.reference}")

            await gateway.orders.create(cart("cart-1"), account="shop")
            await gateway.run(until_idle=True)
        return told

    assert sorted(asyncio.run(shop())) == ["cart-1 pending", "mail cart-1"]
