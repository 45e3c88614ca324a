"""What processing makes of callbacks: one reading of the order, and the attempt follows it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callbacks.bell import MadeButUnanswered, Shop, cart, inbox, known, suspicions, told
from gateway.errors import OutcomeUnknown
from gateway.flows import callbacks as flow
from gateway.models import OrderException, OrderStatus
from gateway.store import inbox as store
from gateway.store.inbox import CallbackState
from support.colours import Opened
from support.loopback import Answer

PATIENCE = 30.0


@pytest.fixture
def gw(shop: Shop, colour: str) -> Iterator[Opened]:
    with shop.gateway(colour) as opened:
        yield opened


def states(gw: Opened) -> list[str]:
    return [row.state.value for row in inbox(gw)]


class TestNews:
    def test_a_paid_order_is_paid(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        assert shop.calls_back(gw, "n1") == 200
        assert known(gw).status is OrderStatus.PENDING
        assert gw.callbacks.process() == 1
        assert known(gw).status is OrderStatus.PAID
        assert told(gw) == ["order.created", "order.paid"]
        (row,) = inbox(gw)
        assert (row.state, row.reference, row.number, row.error) == (CallbackState.PROCESSED, "cart-1", 1, None)
        assert (row.provider_id, row.client, row.processed_at) == ("n1", "192.0.2.7", shop.clock.now())
        assert gw.callbacks.process() == 0

    def test_a_callback_is_no_proof(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.calls_back(gw, "n1", body=b'{"order": "n1", "status": "paid"}')
        gw.callbacks.process()
        assert known(gw).status is OrderStatus.PENDING
        assert told(gw) == ["order.created"]

    def test_a_callback_without_a_body_is_enough(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        assert shop.calls_back(gw, "n1", method="GET") == shop.calls_back(gw, "n1", method="HEAD") == 200
        assert gw.callbacks.process() == 1
        assert known(gw).status is OrderStatus.PAID
        assert (shop.service.reads, states(gw)) == (1, ["processed", "processed"])

    def test_a_thousand_equal_ones_are_one_piece_of_news(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        for _ in range(1000):
            assert shop.calls_back(gw, "n1") == 200
        (row,) = inbox(gw)
        assert (row.times, row.state) == (1000, CallbackState.WAITING)
        gw.callbacks.process()
        assert (shop.service.reads, told(gw)) == (1, ["order.created", "order.paid"])
        # Equal once more, and news again: the order has changed since it was read.
        shop.service.orders["n1"]["status"] = "refunded"
        shop.calls_back(gw, "n1")
        assert [row.times for row in inbox(gw)] == [1000, 1]
        gw.callbacks.process()
        assert (shop.service.reads, known(gw).status) == (2, OrderStatus.REFUNDED)

    def test_what_comes_while_the_first_is_processed_is_news(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.calls_back(gw, "n1")
        (row,) = inbox(gw)
        gw.core.database().transaction(lambda connection: store.take(connection, [row.id]))
        shop.calls_back(gw, "n1")
        assert states(gw) == ["taken", "waiting"]
        assert gw.callbacks.process() == 1
        assert (shop.service.reads, states(gw)) == (1, ["processed", "processed"])

    def test_shuffled_and_replayed_ones_pay_every_order_once(self, shop: Shop, gw: Opened) -> None:
        chance = random.Random(7)
        for index in range(1, 21):
            gw.orders.create(cart(f"cart-{index}", f"{index}.00 USD"), account="shop")
        news = [f"n{index}" for index in range(1, 21) for _ in range(5)]
        for number in shop.service.orders:
            shop.service.orders[number]["status"] = "paid"
        chance.shuffle(news)
        for index, number in enumerate(news):
            assert shop.calls_back(gw, number, method=chance.choice(["GET", "POST"])) == 200
            if index % 7 == 0:
                gw.callbacks.process()
        gw.callbacks.process()
        for index in range(1, 21):
            assert told(gw, f"cart-{index}") == ["order.created", "order.paid"]

    def test_one_reading_is_no_burden_for_another_order(self, shop: Shop, gw: Opened) -> None:
        for index in range(1, 4):
            gw.orders.create(cart(f"cart-{index}"), account="shop")
            shop.service.orders[f"n{index}"]["status"] = "paid"
            shop.calls_back(gw, f"n{index}")
        shop.service.orders["n2"]["broken"] = True
        assert gw.callbacks.process() == 3
        assert [known(gw, f"cart-{index}").status.value for index in range(1, 4)] == ["paid", "pending", "paid"]


class TestLate:
    def test_money_after_the_order_has_expired(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "expired"
        assert gw.orders.get("cart-1").status is OrderStatus.EXPIRED
        shop.clock.advance(86_400)
        shop.service.orders["n1"]["status"] = "paid"
        assert shop.calls_back(gw, "n1") == 200
        gw.callbacks.process()
        assert (known(gw).status, known(gw).exceptions) == (OrderStatus.PAID, {OrderException.LATE})
        assert told(gw) == ["order.created", "order.expired", "order.paid"]

    def test_a_callback_that_comes_after_the_end_changes_nothing(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        gw.orders.get("cart-1")
        before = told(gw)
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert (known(gw).status, told(gw), states(gw)) == (OrderStatus.PAID, before, ["processed"])

    def test_a_status_that_cannot_follow_is_kept_out(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        gw.orders.get("cart-1")
        shop.clock.advance(1)
        shop.service.orders["n1"]["status"] = "expired"
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert known(gw).status is OrderStatus.PAID
        assert any("cannot follow paid" in warning for warning in known(gw).warnings)

    def test_a_reading_from_before_the_last_change_contradicts_nothing(self, shop: Shop, gw: Opened) -> None:
        """The order was paid, and read by somebody, while a callback's reading was on its way."""
        from gateway.flows import orders
        from gateway.models import ProviderOrder

        gw.orders.create(cart(), account="shop")
        early = shop.clock.now()
        shop.clock.advance(1)
        shop.service.orders["n1"]["status"] = "paid"
        gw.orders.get("cart-1")
        stale = ProviderOrder(provider_id="n1", status=OrderStatus.PENDING)
        gw.core.database().transaction(
            lambda connection: orders.take_over(gw.core, connection, "cart-1", 1, stale, read_at=early)
        )
        assert (known(gw).status, known(gw).warnings) == (OrderStatus.PAID, ())
        later = shop.clock.now()
        shop.clock.advance(1)
        gw.core.database().transaction(
            lambda connection: orders.take_over(gw.core, connection, "cart-1", 1, stale, read_at=later)
        )
        assert known(gw).warnings == ()  # it is the last change that counts, and that was at this moment
        gw.core.database().transaction(
            lambda connection: orders.take_over(gw.core, connection, "cart-1", 1, stale, read_at=shop.clock.now())
        )
        assert len(known(gw).warnings) == 1


class TestFailing:
    def test_a_provider_that_is_down_is_asked_again_later(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        shop.calls_back(gw, "n1")
        shop.service.down = True
        pauses = []
        for tries in range(1, 13):
            assert gw.callbacks.process() == 1
            (row,) = inbox(gw)
            assert (row.tries, row.state) == (tries, CallbackState.TAKEN)
            assert row.error is not None
            assert "503" in row.error
            pauses.append((row.next_at - shop.clock.now()).total_seconds())
            assert gw.callbacks.process() == 0
            shop.clock.advance(pauses[-1])
        assert pauses[:4] == [2, 4, 8, 16]
        assert pauses[-1] == 600
        shop.service.down = False
        gw.callbacks.process()
        assert (known(gw).status, states(gw), inbox(gw)[0].error) == (OrderStatus.PAID, ["processed"], None)

    def test_fresh_news_is_tried_at_once_and_takes_the_old_along(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.calls_back(gw, "n1")
        shop.service.down = True
        gw.callbacks.process()
        shop.service.down = False
        shop.calls_back(gw, "n1")
        assert gw.callbacks.process() == 1
        assert (states(gw), shop.service.reads) == (["processed", "processed"], 1)

    def test_a_mistake_of_the_adapter_loses_nothing(
        self, shop: Shop, gw: Opened, caplog: pytest.LogCaptureFixture
    ) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["broken"] = True
        shop.calls_back(gw, "n1")
        assert gw.callbacks.process() == 1
        (row,) = inbox(gw)
        assert row.state is CallbackState.TAKEN
        assert row.error
        del shop.service.orders["n1"]["broken"]
        shop.service.orders["n1"]["status"] = "paid"
        shop.clock.advance(2)
        gw.callbacks.process()
        assert known(gw).status is OrderStatus.PAID

    def test_an_account_that_is_not_configured_any_more(self, shop: Shop, colour: str, tmp_path: Path) -> None:
        file = f"sqlite:///{tmp_path / 'gateway.db'}"
        with shop.gateway(colour, store=file) as gw:
            gw.orders.create(cart(), account="shop")
            shop.service.orders["n1"]["status"] = "paid"
            shop.calls_back(gw, "n1")
        others = {name: data for name, data in shop.accounts().items() if name != "shop"}
        with shop.gateway(colour, store=file, accounts=others) as gw:
            gw.callbacks.process()
            (row,) = inbox(gw)
            assert row.state is CallbackState.TAKEN
            assert row.error is not None
            assert "no account is called 'shop'" in row.error
            assert shop.calls_back(gw, "n1") == 404
        shop.clock.advance(2)
        live = shop.accounts()
        live["shop"] |= {"environment": "live"}
        with shop.gateway(colour, store=file, accounts=live) as gw:
            gw.callbacks.process()
            assert inbox(gw)[0].error == "the account is live by now, and the attempt is sandbox"
        shop.clock.advance(4)
        with shop.gateway(colour, store=file) as gw:
            gw.callbacks.process()
            assert known(gw).status is OrderStatus.PAID

    def test_what_was_taken_and_not_ended_is_taken_again(self, shop: Shop, colour: str, tmp_path: Path) -> None:
        file = f"sqlite:///{tmp_path / 'gateway.db'}"
        with shop.gateway(colour, store=file) as gw:
            gw.orders.create(cart(), account="shop")
            shop.service.orders["n1"]["status"] = "paid"
            shop.calls_back(gw, "n1")
            attempt = inbox(gw)[0].attempt_id
            # As far as a process comes that is killed while it reads.
            gw.core.database().transaction(lambda connection: flow._take(gw.core, connection, attempt))
            assert states(gw) == ["taken"]
        with shop.gateway(colour, store=file) as gw:
            assert gw.callbacks.process() == 1
            assert (known(gw).status, told(gw)) == (OrderStatus.PAID, ["order.created", "order.paid"])
            assert inbox(gw)[0].tries == 2

    def test_a_clock_that_is_set_back_holds_nothing_back(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        shop.calls_back(gw, "n1")
        shop.clock.advance(-3600)
        assert gw.callbacks.process() == 1
        assert known(gw).status is OrderStatus.PAID

    def test_many_at_once_make_one_event_each(self, shop: Shop, gw: Opened) -> None:
        for index in range(1, 6):
            gw.orders.create(cart(f"cart-{index}"), account="proved")
            shop.service.orders[f"n{index}"]["status"] = "paid"
            shop.calls_back(gw, f"n{index}", proof="a guess")
        results = gw.together(8, lambda gateway, index: gateway.callbacks.process())
        assert not [result for result in results if isinstance(result, Exception)]
        for index in range(1, 6):
            assert sorted(told(gw, f"cart-{index}")) == ["callback.suspicious", "order.created", "order.paid"]


class TestCreation:
    def test_a_callback_before_the_create_call_has_returned_waits_for_it(self, shop: Shop) -> None:
        with shop.gateway() as gw:
            shop.line.plan(MadeButUnanswered(shop.service))
            made: list[Any] = []
            call = threading.Thread(target=lambda: made.append(gw.orders.create(cart(), account="shop")))
            call.start()
            shop.line.wait_for(1)
            assert shop.service.made.wait(PATIENCE)
            shop.service.orders["n1"]["status"] = "paid"
            assert shop.calls_back(gw, "n1") == 200
            for _ in range(3):
                gw.callbacks.process()
                (row,) = inbox(gw)
                assert (row.state, row.tries) == (CallbackState.WAITING, 0)
                assert row.error == "its order is being made at this moment"
                shop.clock.advance(1)
            assert (shop.service.reads, known(gw).provider_id) == (0, None)
            shop.line.release()
            call.join(PATIENCE)
            assert made[0].provider_id == "n1"
            assert gw.callbacks.process() == 1
            assert (known(gw).status, told(gw)) == (OrderStatus.PAID, ["order.created", "order.paid"])

    def test_a_number_settles_a_creation_of_unknown_outcome(self, shop: Shop, gw: Opened) -> None:
        shop.line.plan(MadeButUnanswered(shop.service, answered=False))
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart(), account="shop")
        assert known(gw).exceptions == {OrderException.UNCONFIRMED}
        shop.service.orders["n1"]["status"] = "paid"
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        order = known(gw)
        assert (order.provider_id, order.status, order.exceptions) == ("n1", OrderStatus.PAID, frozenset())
        (entry,) = gw.journal.show("cart-1")
        assert (entry.state, entry.settled_by, entry.provider_id) == ("done", "callback", "n1")
        assert entry.settled_reason == "a callback named the order n1, which agrees with what was asked"
        # The call may be repeated, and gives this order.
        assert gw.orders.create(cart(), account="shop").provider_id == "n1"
        assert len(shop.service.orders) == 1
        assert suspicions(gw) == []

    def test_without_a_number_an_unknown_outcome_stays_unknown(
        self, shop: Shop, gw: Opened, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop.line.plan(MadeButUnanswered(shop.service, answered=False))
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart(), account="shop")
        shop.calls_back(gw, "n1", method="GET")
        gw.callbacks.process()
        assert (known(gw).status, states(gw), shop.service.reads) == (OrderStatus.CREATING, ["processed"], 0)
        assert "cart-1, attempt 1 at shop was called back, and its number there is not known" in caplog.text

    def test_a_hosted_order_learns_its_number(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="shop")
        assert known(gw).provider_id is None
        shop.service.orders["n1"] |= {"status": "paid", "coin": "USDT@tron"}
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert (known(gw).provider_id, known(gw).status) == ("n1", OrderStatus.PAID)
        assert (told(gw), suspicions(gw)) == (["order.created", "order.paid"], [])

    def test_after_a_refused_creation_a_number_is_suspicious(self, shop: Shop, gw: Opened) -> None:
        from support.toy import wrong

        shop.line.plan(wrong("bad-request", "no"))
        with pytest.raises(Exception, match="no"):
            gw.orders.create(cart(), account="shop")
        gw.orders.create(cart("cart-2"), account="shop")
        shop.service.callbacks["n9"] = attempt_url(gw, "cart-1")
        shop.calls_back(gw, "n9", body=b'{"order": "n1"}')
        gw.callbacks.process()
        assert suspicions(gw) == ["names the order n1, and making one was refused as far as is known here"]
        assert (known(gw).status, known(gw).provider_id, shop.service.reads) == (OrderStatus.FAILED, None, 0)

    def test_an_attempt_that_did_not_leave_keeps_its_address(self, shop: Shop, gw: Opened) -> None:
        shop.line.plan(Answer(429, {}, headers={"Retry-After": "1000"}))
        with pytest.raises(Exception, match="429"):
            gw.orders.create(cart(), account="shop", deadline=5)
        first = shop.line.requests[0].json["callback"]
        assert first == attempt_url(gw, "cart-1")
        shop.clock.advance(1000)
        gw.orders.create(cart(), account="shop")
        assert shop.callback_of("n1") == first == attempt_url(gw, "cart-1")


def attempt_url(gw: Opened, reference: str, number: int = 1) -> str:
    from callbacks.bell import BASE_URL, KEY
    from gateway.callbacks.tokens import attempt_url as made
    from gateway.secrets import Secret
    from gateway.store import orders

    found = gw.core.database().read(lambda connection: orders.attempt_id_of(connection, reference, number))
    assert found is not None
    return made(BASE_URL, Secret(KEY), "shop", found)


def test_no_address_is_made_for_callbacks_that_nobody_takes(shop: Shop) -> None:
    for given in ({"callback_key": None}, {"public_base_url": None}):
        with shop.gateway(**given) as gw:
            gw.orders.create(cart(), account="shop")
    assert list(shop.service.callbacks.values()) == [None, None]


def test_an_account_whose_provider_does_not_call_back_gets_no_address() -> None:
    from support.colours import opened
    from support.loopback import Loopback
    from support.toy import account, answers

    with (
        Loopback(app=answers) as line,
        opened(
            "sync",
            accounts={"shop": account(line.url)},
            public_base_url="https://shop.example",
            callback_key="a-callback-key-of-the-tests",
        ) as gw,
    ):
        assert not gw.core.account("shop").receives_callbacks
        gw.orders.create(cart(), account="shop")
        assert "callback" not in line.requests[0].json
