"""An order's life, seen by polling alone."""

from __future__ import annotations

import pytest

from gateway.models import OrderException, OrderStatus
from gateway.models.orders import Order
from support.colours import Opened
from watcher.days import DAY, HOUR, MINUTE, Days, cart, events_of, watch_of

DETAIL = "/api/v2/order/detail/"


def stored(gw: Opened, reference: str = "cart-1") -> Order:
    found: Order = gw.orders.get(reference, refresh=False)
    return found


def test_a_paid_deposit_is_noticed(days: Days, colour: str) -> None:
    with days.gateway(colour) as gw:
        days.customer(gw)
        deposit = days.deposit(gw, "cart-1")
        days.pass_time(gw, MINUTE)
        assert stored(gw).status is OrderStatus.PENDING
        days.server.pay("aurex", deposit)
        days.pass_time(gw, MINUTE)
        assert stored(gw).status is OrderStatus.PAID
        assert events_of(gw, "cart-1") == ["order.created", "order.paid"]


def test_an_order_with_a_read_of_its_own_is_noticed(days: Days, colour: str) -> None:
    with days.gateway(colour) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.pass_time(gw, MINUTE)
        days.server.pay("aurpay", number)
        days.pass_time(gw, MINUTE)
        assert stored(gw).status is OrderStatus.PAID
        assert events_of(gw, "cart-1") == ["order.created", "order.paid"]


def test_it_is_read_as_the_schedule_says_and_then_no_more(days: Days) -> None:
    with days.gateway() as gw:
        gw.orders.create(cart(), account="shop")
        counted = []
        for seconds, step in (
            (2 * MINUTE, 5),
            (8 * MINUTE, 10),
            (20 * MINUTE, 10),
            (2 * HOUR, 30),
            (DAY, 60),
            (3 * DAY, 600),
        ):
            before = days.reads("aurpay", DETAIL)
            days.pass_time(gw, seconds, step)
            counted.append(days.reads("aurpay", DETAIL) - before)
        assert stored(gw).status is OrderStatus.EXPIRED
        # Expired after half an hour; for two hours a quarter apart, then hourly, and no more after the day.
        assert counted == [12, 16, 10, 8, 22, 0]
        assert watch_of(gw, "cart-1") is None
        assert events_of(gw, "cart-1") == ["order.created", "order.expired"]


def test_late_money_is_noticed_while_it_is_monitored(days: Days) -> None:
    with days.gateway() as gw:
        early = gw.orders.create(cart("cart-1"), account="shop").provider_id
        late = gw.orders.create(cart("cart-2", "26 USD"), account="shop").provider_id
        days.pass_time(gw, 31 * MINUTE, 30)
        assert (stored(gw).status, stored(gw, "cart-2").status) == (OrderStatus.EXPIRED, OrderStatus.EXPIRED)
        days.pass_time(gw, 23 * HOUR, 300)
        days.server.pay("aurpay", early, "late")
        days.pass_time(gw, 2 * HOUR, 300)
        paid = stored(gw)
        assert (paid.status, paid.exceptions) == (OrderStatus.PAID, frozenset({OrderException.LATE}))
        assert events_of(gw, "cart-1") == ["order.created", "order.expired", "order.paid"]
        reads = days.reads("aurpay", DETAIL)
        days.server.pay("aurpay", late, "late")
        days.pass_time(gw, 2 * HOUR, 300)
        assert stored(gw, "cart-2").status is OrderStatus.EXPIRED, "nobody looks any more"
        assert days.reads("aurpay", DETAIL) == reads
        assert gw.orders.get("cart-2").status is OrderStatus.PAID, "but whoever asks is told"


def test_what_is_told_after_the_monitoring_is_monitored_anew_once(days: Days) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.pass_time(gw, 2 * DAY, 600)
        assert watch_of(gw, "cart-1") is None
        gw.orders.get("cart-1")
        assert watch_of(gw, "cart-1") is None, "nothing has changed"
        days.server.pay("aurpay", number, "late")
        gw.orders.get("cart-1")
        assert watch_of(gw, "cart-1") is not None
        days.pass_time(gw, 2 * DAY, 600)
        assert watch_of(gw, "cart-1") is None


def test_a_short_monitoring_is_kept(days: Days) -> None:
    with days.gateway(watch={"monitoring": "30m"}) as gw:
        gw.orders.create(cart(), account="shop")
        days.pass_time(gw, 35 * MINUTE, 30)
        assert watch_of(gw, "cart-1") is not None
        days.pass_time(gw, 30 * MINUTE, 30)
        assert watch_of(gw, "cart-1") is None


def test_what_was_underpaid_is_followed_until_the_rest_comes(days: Days) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.pass_time(gw, 5 * MINUTE)
        days.server.pay("aurpay", number, "under")
        days.pass_time(gw, MINUTE)
        assert stored(gw).status is OrderStatus.UNDERPAID
        reads = days.reads("aurpay", DETAIL)
        days.pass_time(gw, MINUTE)
        assert days.reads("aurpay", DETAIL) - reads >= 5, "a change is looked at soon again"
        days.server.pay("aurpay", number)
        days.pass_time(gw, MINUTE)
        assert stored(gw).status is OrderStatus.PAID
        assert events_of(gw, "cart-1") == ["order.created", "order.underpaid", "order.paid"]


def test_a_callback_is_given_time(days: Days) -> None:
    callbacks = {"public_base_url": "https://shop.example/callbacks", "callback_key": "k" * 32}
    with days.gateway(**callbacks) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.customer(gw)
        days.deposit(gw, "cart-2")
        days.pass_time(gw, 110)
        assert days.reads("aurpay", DETAIL) == 0
        assert days.reads("aurex", "/users/") > 5, "a provider that does not call back is asked"
        days.server.pay("aurpay", number)
        days.pass_time(gw, 30)
        assert stored(gw).status is OrderStatus.PAID, "the callback has not come, so it was read"
        assert days.reads("aurpay", DETAIL) == 1


def test_what_a_callback_has_told_is_not_read_again_at_once(days: Days) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.pass_time(gw, 15 * MINUTE)
        days.server.pay("aurpay", number)
        assert gw.orders.get("cart-1").status is OrderStatus.PAID
        reads = days.reads("aurpay", DETAIL)
        days.pass_time(gw, 5 * HOUR, 60)
        assert days.reads("aurpay", DETAIL) == reads
        days.pass_time(gw, 2 * HOUR, 60)
        assert days.reads("aurpay", DETAIL) == reads + 1


@pytest.mark.parametrize("account", ["shop", "cards"])
def test_a_reading_without_news_changes_nothing_of_the_order(days: Days, account: str) -> None:
    with days.gateway() as gw:
        days.customer(gw)
        if account == "shop":
            gw.orders.create(cart(), account="shop")
        else:
            days.deposit(gw, "cart-1")
        days.pass_time(gw, MINUTE)
        known = stored(gw)
        days.pass_time(gw, 5 * MINUTE)
        assert stored(gw) == known
        watch = watch_of(gw, "cart-1")
        assert watch is not None
        assert watch.looks > 10


def test_an_order_that_is_cancelled_at_the_provider_is_noticed(days: Days) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.pass_time(gw, MINUTE)
        days.server.fail("aurpay", number)
        days.pass_time(gw, MINUTE)
        assert stored(gw).status is OrderStatus.CANCELLED


def test_every_attempt_of_a_renewed_order_is_followed(days: Days) -> None:
    with days.gateway() as gw:
        first = gw.orders.create(cart(), account="shop").provider_id
        days.pass_time(gw, 31 * MINUTE, 30)
        second = gw.orders.renew("cart-1").provider_id
        assert first != second
        days.pass_time(gw, MINUTE)
        days.server.pay("aurpay", first, "late")
        days.pass_time(gw, HOUR, 30)
        assert stored(gw).status is OrderStatus.PAID
        assert stored(gw).leading.number == 1
