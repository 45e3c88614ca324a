"""Providers that are down, keys that are used up, clocks that jump, accounts that go, processes that die."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.flows import polling, watching
from gateway.models import OrderStatus
from gateway.store import rests, watches
from gateway.testing import faults
from support.colours import Opened
from watcher.days import DAY, HOUR, MINUTE, Days, cart, events_of, watch_of

DETAIL = "/api/v2/order/detail/"


def stored(gw: Opened, reference: str = "cart-1") -> OrderStatus:
    status: OrderStatus = gw.orders.get(reference, refresh=False).status
    return status


def test_a_provider_that_is_down_for_an_hour(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    with days.gateway() as gw:
        numbers = [gw.orders.create(cart(f"cart-{index}"), account="shop").provider_id for index in range(10)]
        days.customer(gw)
        deposit = days.deposit(gw, "elsewhere")
        days.pass_time(gw, MINUTE)
        days.server.faults("aurpay").add(faults.Status(status=503, times=10_000))
        for number in numbers:
            days.server.pay("aurpay", number)
        days.server.pay("aurex", deposit)
        before = days.reads("aurpay", DETAIL)
        with caplog.at_level(logging.INFO, "gateway"):
            days.pass_time(gw, HOUR)
            calls = days.reads("aurpay", DETAIL) - before
            assert stored(gw, "elsewhere") is OrderStatus.PAID, "one that is down does not hold the other back"
            assert all(stored(gw, f"cart-{index}") is OrderStatus.PENDING for index in range(10))
            assert calls < 150, "it is left alone"
            days.server.faults("aurpay").clear()
            days.pass_time(gw, 6 * MINUTE)
            assert stored(gw, "cart-0") is OrderStatus.PAID, "and soon noticed to be back"
            days.pass_time(gw, HOUR, 60)
        assert all(stored(gw, f"cart-{index}") is OrderStatus.PAID for index in range(10))
        assert all(events_of(gw, f"cart-{index}").count("order.paid") == 1 for index in range(10)), (
            "nothing was lost, and nothing told twice"
        )
        told = [record.getMessage() for record in caplog.records]
        failing = [text for text in told if text.startswith("polling shop fails")]
        assert 2 <= len(failing) <= 6, "it is said less and less often"
        assert any(text.startswith("shop can be reached again, after") for text in told)


def test_one_order_that_always_fails_keeps_no_other_back(days: Days) -> None:
    with days.gateway() as gw:
        broken = gw.orders.create(cart("broken"), account="shop").provider_id
        fine = gw.orders.create(cart("fine"), account="shop").provider_id
        days.server.faults("aurpay").add(faults.Status(status=500, path=f"{DETAIL}{broken}", times=10_000))
        days.pass_time(gw, 5 * MINUTE)
        days.server.pay("aurpay", fine)
        days.pass_time(gw, MINUTE)
        assert stored(gw, "fine") is OrderStatus.PAID
        watch = watch_of(gw, "broken")
        assert watch is not None
        assert watch.failures >= 3


def test_an_order_that_the_provider_does_not_know_is_not_failed(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.server.faults("aurpay").add(
            faults.Status(status=404, path=f"{DETAIL}{number}", times=10_000, body='{"code": 404, "message": "no"}')
        )
        days.pass_time(gw, HOUR)
        assert stored(gw) is OrderStatus.PENDING
        assert any("order cart-1 at shop could not be read 4 times" in record.getMessage() for record in caplog.records)
        days.server.faults("aurpay").clear()
        days.server.pay("aurpay", number, "late")
        days.pass_time(gw, HOUR + MINUTE)
        assert stored(gw) is OrderStatus.PAID


def test_polling_leaves_half_of_the_keys_calls_to_the_merchant(days: Days) -> None:
    with days.gateway() as gw:
        for index in range(50):
            days.customer(gw, f"c-{index}") if index < 20 else None
        for index in range(20):
            days.deposits(gw, 3, f"c-{index}")
        # More customers than calls: as if each had to be read each ten seconds.
        days.server.advance(60)
        for _ in range(3):
            before = len(days.server.requests["aurex"])
            days.pass_time(gw, MINUTE, 5)
            polls = len(days.server.requests["aurex"]) - before
            assert polls <= 31
            for _ in range(25):
                gw.wallets.list(account="cards", kind="custodial", customer="c-1", deadline=1)
        assert all(record.status != 429 for record in days.server.requests["aurex"])
        assert all(watch.failures == 0 for watch in _watches(gw)), "that there is no room is no failure"
        assert all(watch.looks >= 1 for watch in _watches(gw))


def test_polling_is_not_starved_by_a_merchant_who_uses_the_key_up(days: Days) -> None:
    with days.gateway() as gw:
        for index in range(3):
            days.customer(gw, f"c-{index}")
        deposits = [days.deposit(gw, f"cart-{index}", f"c-{index}") for index in range(3)]
        for deposit in deposits:
            days.server.pay("aurex", deposit)
        own, before = 0, days.reads("aurex", "/users/")
        for _ in range(16):  # forty calls a minute, for four minutes
            for _ in range(10):
                gw.wallets.list(account="cards", kind="custodial", customer="c-0", deadline=60)
                own += 1
            days.server.advance(15)
            days.look(gw)
        polls = days.reads("aurex", "/users/") - before - own
        assert 3 <= polls <= 5, "one a minute"
        assert {stored(gw, f"cart-{index}") for index in range(3)} == {OrderStatus.PAID}
        assert all(record.status != 429 for record in days.server.requests["aurex"])


def test_a_key_without_calls_left_is_come_back_to_when_there_is_room(days: Days) -> None:
    with days.gateway() as gw:
        days.customer(gw)
        deposit = days.deposit(gw, "cart-1")
        days.server.advance(60)
        (one,) = days.due(gw)
        for _ in range(60):
            gw.wallets.list(account="cards", kind="custodial", customer="c-1")
        before = len(days.server.requests["aurex"])
        assert days.due(gw) == []
        assert gw.run(watching.look(gw.core, one.key)) is False
        assert len(days.server.requests["aurex"]) == before
        rest = gw.core.database().read(lambda c: rests.load_rest(c, "cards"))
        assert rest is not None
        assert 0 < (rest.until - days.clock.now()).total_seconds() <= 60
        watch = watch_of(gw, "cart-1")
        assert watch is not None
        assert (watch.failures, watch.looks) == (0, 0)
        days.server.pay("aurex", deposit)
        days.pass_time(gw, 61)
        assert stored(gw) is OrderStatus.PAID


def test_a_provider_that_says_when_to_come_back_is_obeyed(days: Days) -> None:
    with days.gateway() as gw:
        gw.orders.create(cart(), account="shop")
        days.server.faults("aurpay").add(faults.Status(status=429, headers={"Retry-After": "300"}, times=1))
        days.pass_time(gw, 20)
        before = days.reads("aurpay", DETAIL)
        days.pass_time(gw, 270)
        assert days.reads("aurpay", DETAIL) == before
        days.pass_time(gw, 60)
        assert days.reads("aurpay", DETAIL) > before


def test_a_clock_that_is_set_back_an_hour_stops_nothing(days: Days) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.customer(gw)
        deposit = days.deposit(gw, "cart-2")
        days.pass_time(gw, 5 * MINUTE)
        days.clock.set_back(HOUR)
        days.server.pay("aurpay", number)
        days.server.pay("aurex", deposit)
        days.server.advance(1)
        days.look(gw)
        assert (stored(gw), stored(gw, "cart-2")) == (OrderStatus.PAID, OrderStatus.PAID)
        before = days.reads("aurpay", DETAIL)
        days.pass_time(gw, 10 * MINUTE)
        assert days.reads("aurpay", DETAIL) - before < 10, "and it is not read without end"
        days.pass_time(gw, 2 * DAY, 600)
        assert (watch_of(gw, "cart-1"), watch_of(gw, "cart-2")) == (None, None)


def test_what_was_made_before_the_clock_was_set_back_is_read_too(days: Days) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.clock.set_back(HOUR)
        days.server.pay("aurpay", number)
        days.pass_time(gw, MINUTE)
        assert stored(gw) is OrderStatus.PAID


def test_a_clock_that_jumps_ahead_makes_no_storm(days: Days) -> None:
    with days.gateway() as gw:
        gw.orders.create(cart(), account="shop")
        days.pass_time(gw, MINUTE)
        before = days.reads("aurpay", DETAIL)
        days.server.advance(5 * HOUR)
        days.look(gw)
        assert days.reads("aurpay", DETAIL) == before + 1


def test_an_account_that_is_gone_is_reported_once(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    with days.gateway() as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.customer(gw)
        days.deposit(gw, "cart-2")
    for _ in range(2):
        with days.gateway(accounts=days.accounts(shop=None)) as gw, caplog.at_level(logging.WARNING, "gateway"):
            days.pass_time(gw, HOUR)
            assert stored(gw, "cart-2") in (OrderStatus.PENDING, OrderStatus.EXPIRED)
    (told,) = [record.getMessage() for record in caplog.records if "still watched" in record.getMessage()]
    assert told == (
        "orders, payouts, refunds or trades are still watched at the account shop (sandbox), which is not configured "
        "any more: they are not read until it is configured as it was"
    )
    assert days.reads("aurpay", DETAIL) == 0
    days.server.pay("aurpay", number, "late")
    with days.gateway() as gw:
        days.pass_time(gw, MINUTE)
        assert stored(gw) is OrderStatus.PAID


def test_an_account_that_has_become_live_does_not_read_what_is_a_sandboxs(
    days: Days, caplog: pytest.LogCaptureFixture
) -> None:
    with days.gateway() as gw:
        gw.orders.create(cart(), account="shop")
    with days.gateway(accounts=days.accounts(shop={"environment": "live"})) as gw:
        days.pass_time(gw, HOUR)
        assert [key.key for key in days.due(gw)] == []
    told = [record.getMessage() for record in caplog.records if "still watched" in record.getMessage()]
    assert len(told) == 1
    assert "the account shop (sandbox), which is live now" in told[0]
    assert days.reads("aurpay", DETAIL) == 0


def test_a_process_that_dies_at_any_step_of_a_look_loses_nothing(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "PAGE_SIZE", 5)
    with days.gateway() as gw:
        days.customer(gw)
        deposits = days.deposits(gw, 12)
        orders = [gw.orders.create(cart(f"cart-{index}"), account="shop").provider_id for index in range(12)]
        steps, killed = 0, 0
        for round_ in range(12):
            days.server.pay("aurex", deposits[round_])
            days.server.pay("aurpay", orders[round_])
            days.server.advance(120)
            for one in days.due(gw):
                ended = _killed_after(gw, watching.look(gw.core, one.key), round_)
                steps, killed = steps + 1, killed + (not ended)
        assert killed >= 12, "some were killed"
        days.pass_time(gw, 5 * MINUTE)
        names = [f"c-1-{index}" for index in range(12)] + [f"cart-{index}" for index in range(12)]
        assert {stored(gw, name) for name in names} == {OrderStatus.PAID}
        assert all(events_of(gw, name).count("order.paid") == 1 for name in names)


def _killed_after(gw: Opened, flow: Any, effects: int) -> bool:
    """Carry out so many effects and no more, as a process does that is killed; whether it came to its end before."""
    driver = gw.raw._driver
    try:
        effect = next(flow)
        for _ in range(effects):
            value, error = None, None
            try:
                value = driver._carry_out(effect)
            except Exception as caught:
                error = caught
            effect = flow.send(value) if error is None else flow.throw(error)
    except StopIteration:
        return True
    return False


def _watches(gw: Opened) -> list[watches.Watch]:
    from sqlalchemy import select

    from gateway.store.tables import watches as table

    def work(connection: Any) -> list[watches.Watch]:
        rows = connection.execute(select(table.c.kind, table.c.reference, table.c.number)).all()
        return [found for row in rows if (found := watches.load(connection, *row)) is not None]

    found: list[watches.Watch] = gw.core.database().read(work)
    return found
