"""Watching on both stores, and by several at once."""

from __future__ import annotations

import threading

import pytest

from gateway.errors import OutcomeUnknown, ProviderUnavailable
from gateway.flows import orders as order_flow
from gateway.flows import watching
from gateway.models import OrderStatus
from gateway.store import watches
from gateway.testing import faults
from watcher.days import MINUTE, Days, cart, events_of


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, days: Days) -> str:
    return str(days.store if request.param == "sqlite" else request.getfixturevalue("postgres"))


def test_orders_are_followed_on_both_stores(days: Days, store: str, colour: str) -> None:
    with days.gateway(colour, store=store) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.customer(gw)
        deposits = days.deposits(gw, 5)
        days.server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart("lost", "31 USD"), account="shop")
        days.pass_time(gw, MINUTE)
        days.server.pay("aurpay", number)
        days.server.pay("aurex", deposits[3])
        days.pass_time(gw, MINUTE)
        assert gw.orders.get("cart-1", refresh=False).status is OrderStatus.PAID
        statuses = [gw.orders.get(f"c-1-{index}", refresh=False).status.value for index in range(5)]
        assert statuses == ["pending", "pending", "pending", "paid", "pending"]
        found = gw.core.database().read(lambda c: watches.suggestions(c, "lost"))
        assert [match["price"] for match in found] == ["31 USD"]


def test_one_row_that_fails_is_undone_alone_on_both_stores(
    days: Days, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over = order_flow.take_over

    def failing(core, connection, reference, *rest, **more):  # type: ignore[no-untyped-def]
        take_over(core, connection, reference, *rest, **more)
        if reference == "c-1-1":
            raise ProviderUnavailable("not this one")

    with days.gateway(store=store) as gw:
        days.customer(gw)
        for deposit in days.deposits(gw, 3):
            days.server.pay("aurex", deposit)
        monkeypatch.setattr(order_flow, "take_over", failing)
        days.server.advance(10)
        days.look(gw)
        statuses = [gw.orders.get(f"c-1-{index}", refresh=False).status.value for index in range(3)]
        assert statuses == ["paid", "pending", "paid"]
        assert events_of(gw, "c-1-1") == ["order.created"]


def test_the_same_look_by_several_at_once_tells_everything_once(days: Days, store: str) -> None:
    with days.gateway(store=store) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.customer(gw)
        for deposit in days.deposits(gw, 10):
            days.server.pay("aurex", deposit)
        days.server.pay("aurpay", number)
        days.server.advance(10)
        keys = sorted(one.key for one in days.due(gw))
        assert keys == ["list/cards/c-1", "order/1/cart-1"]
        failures: list[BaseException] = []
        start = threading.Barrier(8)

        def one(index: int) -> None:
            try:
                start.wait(10)
                gw.raw._run(watching.look(gw.core, keys[index % 2]))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=one, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        names = ["cart-1", *(f"c-1-{index}" for index in range(10))]
        assert {gw.orders.get(name, refresh=False).status for name in names} == {OrderStatus.PAID}
        assert all(events_of(gw, name) == ["order.created", "order.paid"] for name in names)
