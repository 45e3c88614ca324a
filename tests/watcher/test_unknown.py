"""What nobody here knows the provider's number of: looked for, suggested to a person, and never settled by itself."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from gateway.errors import OutcomeUnknown
from gateway.models import OrderException, OrderStatus, TradeRequest
from gateway.store import watches
from gateway.testing import faults
from support.colours import Opened
from watcher.days import DAY, HOUR, MINUTE, Days, cart, set_next, watch_of

LIST = "/api/v2/order/"


def lost(days: Days, gw: Opened, reference: str = "cart-1", price: str = "25.00 USD", *, executed: bool = True) -> None:
    """An order whose creation got no answer."""
    days.server.faults("aurpay").add(faults.Drop(executed=executed, method="POST"))
    with pytest.raises(OutcomeUnknown):
        gw.orders.create(cart(reference, price), account="shop")


def suggested(gw: Opened, reference: str = "cart-1") -> list[str]:
    found = gw.core.database().read(lambda c: watches.suggestions(c, reference))
    return [match["provider_id"] for match in found]


def lists(days: Days) -> int:
    return sum(record.path == LIST for record in days.server.requests["aurpay"])


def test_a_lost_order_is_looked_for_and_only_suggested(
    days: Days, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    with days.gateway(colour) as gw:
        lost(days, gw)
        gw.orders.create(cart("cart-2"), account="shop")  # of the same price, and known
        (number, _) = (order.id for order in days.server.orders("aurpay"))
        with caplog.at_level(logging.WARNING, "gateway"):
            days.pass_time(gw, HOUR, 30)
        assert suggested(gw) == [number]
        (told,) = [record.getMessage() for record in caplog.records if "may be" in record.getMessage()]
        assert told == (
            f"order cart-1 at shop may be the provider's {number}: look there, then `gateway journal settle cart-1 "
            "--operation orders.create --as done --provider-id … --reason …`"
        )
        order = gw.orders.get("cart-1", refresh=False)
        assert (order.status, order.provider_id) == (OrderStatus.CREATING, None)
        assert order.exceptions == {OrderException.UNCONFIRMED}

        gw.journal.settle("cart-1", outcome="done", reason="seen there", provider_id=number)
        days.server.pay("aurpay", number, "late")
        days.pass_time(gw, MINUTE)
        assert gw.orders.get("cart-1", refresh=False).status is OrderStatus.PAID
        watch = watch_of(gw, "cart-1")
        assert watch is not None
        assert watch.rank == 1


def test_nothing_is_suggested_that_cannot_be_it(days: Days) -> None:
    with days.gateway() as gw:
        gw.orders.create(cart("old"), account="shop")
        old = days.server.orders("aurpay")[0].id
        gw.core.database().transaction(lambda c: _unlink(c, "old"))
        days.server.advance(10 * MINUTE)
        lost(days, gw, "cart-2", "26.00 USD")  # another price
        lost(days, gw, executed=False)
        days.pass_time(gw, 5 * MINUTE)
        assert suggested(gw) == [], "neither one from before, nor one of another price"
        assert suggested(gw, "cart-2") == [order.id for order in days.server.orders("aurpay") if order.id != old]


def test_an_order_that_was_never_made_goes_when_a_person_says_so(days: Days) -> None:
    with days.gateway() as gw:
        lost(days, gw, executed=False)
        days.pass_time(gw, MINUTE)
        assert watch_of(gw, "cart-1") is not None
        gw.journal.settle("cart-1", outcome="failed", reason="not there")
        assert watch_of(gw, "cart-1") is None


def test_the_unknown_comes_first(days: Days) -> None:
    with days.gateway() as gw:
        for index in range(5):
            gw.orders.create(cart(f"known-{index}"), account="shop")
        days.server.advance(30)
        lost(days, gw)
        days.server.advance(30)
        assert [one.key for one in days.due(gw, limit=2)] == ["order/1/cart-1", "order/1/known-0"]


def test_one_search_serves_all_that_are_lost(days: Days) -> None:
    with days.gateway() as gw:
        for index in range(4):
            lost(days, gw, f"cart-{index}", f"{20 + index}.00 USD")
        days.server.advance(10)
        before = lists(days)
        days.look(gw)
        assert lists(days) == before + 1
        numbers = [order.id for order in days.server.orders("aurpay")]
        assert [suggested(gw, f"cart-{index}") for index in range(4)] == [[number] for number in numbers]


def test_it_is_looked_for_less_and_less_often_and_not_given_up(days: Days) -> None:
    with days.gateway() as gw:
        lost(days, gw, executed=False)
        counted = []
        for _ in range(3):
            before = lists(days)
            days.pass_time(gw, 2 * DAY, 600)
            counted.append(lists(days) - before)
        assert 40 < counted[0] < 120
        assert counted[0] > counted[1] > counted[2] > 5


def test_what_was_linked_meanwhile_is_suggested_no_more(days: Days) -> None:
    with days.gateway() as gw:
        lost(days, gw, "cart-1")
        days.server.advance(30)
        lost(days, gw, "cart-2")
        first, second = (order.id for order in days.server.orders("aurpay"))
        days.pass_time(gw, MINUTE)
        assert suggested(gw, "cart-1") == [first, second]
        assert suggested(gw, "cart-2") == [second, first], "the nearest in time first"
        gw.journal.settle("cart-1", outcome="done", reason="seen there", provider_id=first)
        lost(days, gw, "cart-3")
        days.pass_time(gw, 5 * MINUTE)
        assert first not in suggested(gw, "cart-2")
        assert first not in suggested(gw, "cart-3")


def test_a_lost_deposit_is_looked_for_in_its_customers_list(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    with days.gateway() as gw:
        days.customer(gw)
        days.deposits(gw, 30)
        days.server.faults("aurex").add(faults.Drop(executed=True, method="POST"))
        with pytest.raises(OutcomeUnknown):
            days.deposit(gw, "lost", price="77 USD")
        number = days.server.orders("aurex")[-1].id
        with caplog.at_level(logging.WARNING, "gateway"):
            days.pass_time(gw, 5 * MINUTE)
        assert [found.partition("/")[2] for found in suggested(gw, "lost")] == [number]
        assert sum("may be the provider's" in record.getMessage() for record in caplog.records) == 1
        assert gw.orders.get("lost", refresh=False).status is OrderStatus.CREATING


def test_an_order_whose_page_was_used_and_whose_callback_was_lost(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with Days(tmp_path_factory.mktemp("hosted"), pay_url_has_order_id=False) as days, days.gateway() as gw:
        order = gw.orders.create(cart(pay_with=None), account="shop")
        assert (order.provider_id, order.status) == (None, OrderStatus.PENDING)
        page = days.server.orders("aurpay")[0].id
        days.aurpay.choose(page, "USDT-TRC20")
        number = next(order.id for order in days.server.orders("aurpay") if order.id != page)
        days.server.pay("aurpay", number)
        with caplog.at_level(logging.WARNING, "gateway"):
            days.pass_time(gw, 2 * MINUTE)
        assert suggested(gw) == [number]
        assert "`gateway orders link cart-1 …`" in caplog.text
        assert gw.orders.get("cart-1", refresh=False).status is OrderStatus.PENDING
        assert gw.orders.link("cart-1", number).status is OrderStatus.PAID


def test_a_page_that_was_never_used_is_given_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Days(tmp_path_factory.mktemp("hosted"), pay_url_has_order_id=False) as days, days.gateway() as gw:
        gw.orders.create(cart(pay_with=None), account="shop")
        days.pass_time(gw, DAY - HOUR, 600)
        assert watch_of(gw, "cart-1") is not None
        days.pass_time(gw, 3 * HOUR, 600)
        assert watch_of(gw, "cart-1") is None


def test_a_lost_trade_is_looked_for_in_the_exchanges_lists(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    from decimal import Decimal

    with days.gateway() as gw:
        days.emirex.set_book("BTCUSDC", buy=[(Decimal(59000), Decimal(1))], sell=[(Decimal(61000), Decimal(1))])
        days.emirex.credit("BTC", Decimal(2))

        def request(reference: str, volume: str) -> TradeRequest:
            return TradeRequest(reference=reference, market="BTC/USDC", side="sell", volume=volume, rate=Decimal(60500))

        known = gw.trades.create(request("known", "0.25"), account="treasury").provider_id
        days.server.faults("emirex").add(faults.Drop(executed=True, path="/private/create-order"))
        with pytest.raises(OutcomeUnknown):
            gw.trades.create(request("t-1", "0.25"), account="treasury")
        with caplog.at_level(logging.WARNING, "gateway"):
            days.pass_time(gw, 5 * MINUTE)
        (number,) = suggested(gw, "t-1")
        assert number != known
        told = [record.getMessage() for record in caplog.records if "may be" in record.getMessage()]
        assert len(told) == 1
        assert told[0].startswith(f"trade t-1 at treasury may be the provider's {number}: look there, then `gateway jo")
        gw.journal.settle("t-1", outcome="done", reason="seen there", provider_id=number)
        days.emirex.fill(number)
        days.pass_time(gw, MINUTE)
        assert gw.trades.get("t-1", refresh=False).status.value == "filled"


def test_a_lost_order_is_followed_also_when_its_account_may_not_list(
    days: Days, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.capabilities import absent

    with days.gateway() as gw:
        shop = gw.core.account("shop")
        monkeypatch.setattr(shop, "capabilities", shop.capabilities.replaced(absent("orders.list", "test", "no list")))
        lost(days, gw)
        days.pass_time(gw, 2 * DAY, 600)
        told = [record.getMessage() for record in caplog.records if "cannot be followed" in record.getMessage()]
        assert len(told) == 1
        assert "order cart-1 at shop cannot be followed: orders.list is not offered: no list" in told[0]
        set_next(gw, "cart-1", days.clock.now() - timedelta(seconds=1))
        assert days.look(gw) == 1


def _unlink(connection: object, reference: str) -> None:
    """As if the order had been made by somebody else."""
    for table, column in (("moves", "reference"), ("watches", "reference"), ("attempts", "reference")):
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = '{reference}'")  # type: ignore[attr-defined]
