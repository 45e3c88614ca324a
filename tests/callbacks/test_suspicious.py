"""Callbacks with a genuine token that contradict what is known: told, and believed in nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callbacks.bell import SECRET, MadeButUnanswered, Shop, cart, inbox, known, suspicions, told
from gateway.assets import Asset
from gateway.errors import Conflict, OutcomeUnknown
from gateway.models import OrderStatus
from gateway.store.inbox import CallbackState
from support.colours import Opened
from support.toy import good


@pytest.fixture
def gw(shop: Shop, colour: str) -> Iterator[Opened]:
    with shop.gateway(colour) as opened:
        yield opened


def names(number: str) -> bytes:
    return f'{{"order": "{number}"}}'.encode()


class TestProof:
    def test_every_secret_that_is_configured_proves(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="proved")
        for proof in (SECRET, "bell-proof-that-comes-next"):
            assert shop.calls_back(gw, "n1", proof=proof) == 200
        assert [row.proof.value for row in inbox(gw)] == ["matches"]
        gw.callbacks.process()
        assert suspicions(gw) == []

    def test_one_that_differs_is_recorded_told_and_read(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="proved")
        shop.service.orders["n1"]["status"] = "paid"
        assert shop.calls_back(gw, "n1", proof="a guess") == 200
        gw.callbacks.process()
        (row,) = inbox(gw)
        reason = "its proof differs: the Proof header does not match"
        assert (row.proof.value, row.proof_reason, row.error) == ("differs", "the Proof header does not match", reason)
        assert (known(gw).status, suspicions(gw)) == (OrderStatus.PAID, [reason])
        (event,) = [event for event in gw.events.since(0) if event.type == "callback.suspicious"]
        assert (event.subject, event.account, event.provider) == ("order cart-1", "proved", "bell")
        assert event.data == {
            "reason": reason,
            "attempt": 1,
            "attempt_id": row.attempt_id,
            "provider_id": "n1",
            "callbacks": [row.id],
            "times": 1,
            "clients": ["192.0.2.7"],
        }

    def test_such_ones_lead_to_one_reading_a_minute(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="proved")
        for second in range(120):
            shop.calls_back(gw, "n1", proof="a guess", body=names(f"n1{second}"))
            gw.callbacks.process()
            shop.clock.advance(1)
        assert shop.service.reads == 2
        assert len(suspicions(gw)) == 2
        waiting = [row for row in inbox(gw) if row.state is CallbackState.WAITING]
        assert {row.error for row in waiting} <= {"suspicious callbacks lead to one reading a minute", None}
        shop.clock.advance(60)
        gw.callbacks.process()
        assert (shop.service.reads, len(suspicions(gw))) == (3, 3)
        assert {row.state for row in inbox(gw)} == {CallbackState.PROCESSED}
        assert sum(row.times for row in inbox(gw)) == 120

    def test_genuine_ones_are_not_held_up_by_them(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="proved")
        shop.calls_back(gw, "n1", proof="a guess")
        gw.callbacks.process()
        shop.calls_back(gw, "n1", proof="a guess")
        gw.callbacks.process()
        assert shop.service.reads == 1
        shop.service.orders["n1"]["status"] = "paid"
        shop.calls_back(gw, "n1", proof=SECRET)
        assert gw.callbacks.process() == 1
        assert (known(gw).status, shop.service.reads) == (OrderStatus.PAID, 2)

    def test_nor_by_more_of_them_than_are_looked_at_at_once(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="proved")
        shop.calls_back(gw, "n1", proof="a guess")
        gw.callbacks.process()
        for number in range(250):
            shop.calls_back(gw, "n1", proof="a guess", body=b"%d" % number)
        shop.service.orders["n1"]["status"] = "paid"
        shop.calls_back(gw, "n1", proof=SECRET)
        gw.callbacks.process()
        assert (known(gw).status, shop.service.reads) == (OrderStatus.PAID, 2)

    def test_a_clock_set_back_does_not_prolong_the_pause(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="proved")
        shop.calls_back(gw, "n1", proof="a guess")
        gw.callbacks.process()
        shop.clock.advance(-3600)
        shop.calls_back(gw, "n1", proof="a guess")
        gw.callbacks.process()
        assert shop.service.reads == 2

    def test_a_strict_account_rejects_it(self, shop: Shop, gw: Opened, caplog: pytest.LogCaptureFixture) -> None:
        gw.orders.create(cart(), account="strict")
        for index in range(100):
            assert shop.calls_back(gw, "n1", proof="a guess", body=names(f"n{index}")) == 404
        (row,) = inbox(gw)
        assert (row.state, row.times, row.error) == (CallbackState.REJECTED, 100, "the Proof header does not match")
        assert suspicions(gw) == ["rejected, because its proof differs: the Proof header does not match"]
        assert (gw.callbacks.process(), shop.service.reads) == (0, 0)
        shop.clock.advance(61)
        assert shop.calls_back(gw, "n1") == 404
        assert len(inbox(gw)) == len(suspicions(gw)) == 2
        assert "attempt" in caplog.text
        assert SECRET not in caplog.text
        assert shop.calls_back(gw, "n1", proof=SECRET) == 200

    def test_an_adapter_that_fails_to_read_it_loses_nothing(
        self, shop: Shop, gw: Opened, caplog: pytest.LogCaptureFixture
    ) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        assert shop.calls_back(gw, "n1", body=b"crash") == 200
        gw.callbacks.process()
        assert known(gw).status is OrderStatus.PAID
        assert suspicions(gw) == ["its proof differs: the adapter failed to read it"]


class TestNumbers:
    def test_a_body_that_names_another_order_is_not_followed_there(self, shop: Shop, gw: Opened) -> None:
        gw.orders.create(cart(), account="shop")
        gw.orders.create(cart("cart-2"), account="shop")
        shop.service.orders["n2"]["status"] = "paid"
        shop.calls_back(gw, "n1", body=names("n2"))
        gw.callbacks.process()
        assert known(gw).status is OrderStatus.PENDING
        assert suspicions(gw) == ["names the order n2; this attempt's is n1"]
        assert known(gw, "cart-2").status is OrderStatus.PENDING

    def test_one_order_belongs_to_one_reference(self, shop: Shop, gw: Opened) -> None:
        """Two purchases of one price, and both addresses are called with the number of the first."""
        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="shop")
        gw.orders.create(cart("cart-2", pay_with=None), account="shop")
        gw.orders.create(cart("cart-3", pay_with=None), account="twin")
        shop.service.orders["n1"]["status"] = "paid"
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        for number in ("n2", "n3"):
            shop.calls_back(gw, number, body=names("n1"))
        gw.callbacks.process()
        assert [known(gw, f"cart-{index}").provider_id for index in (1, 2, 3)] == ["n1", None, None]
        assert [known(gw, f"cart-{index}").status.value for index in (1, 2, 3)] == ["paid", "pending", "pending"]
        assert suspicions(gw) == ["names the order n1, which belongs to cart-1 (attempt 1) already"] * 2
        # What is claimed is not even read; and the right number is still learned.
        assert shop.service.reads == 1
        shop.calls_back(gw, "n2")
        shop.clock.advance(60)
        gw.callbacks.process()
        assert known(gw, "cart-2").provider_id == "n2"

    def test_the_number_of_an_account_that_is_no_longer_configured(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="twin")
        gw.orders.create(cart("cart-2", pay_with=None), account="shop")
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        core = gw._core
        core.accounts = {name: account for name, account in core.accounts.items() if name != "twin"}
        shop.calls_back(gw, "n2", body=names("n1"))
        gw.callbacks.process()
        assert known(gw, "cart-2").provider_id is None
        assert suspicions(gw) == ["names the order n1, which belongs to cart-1 (attempt 1) already"]

    def test_one_order_claimed_for_two_references_at_the_same_time(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = True
        for index in (1, 2):
            gw.orders.create(cart(f"cart-{index}", pay_with=None), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        for number in ("n1", "n2"):
            shop.calls_back(gw, number, body=names("n1"))
        gw.together(6, lambda gateway, index: gateway.callbacks.process())
        numbers = [known(gw, f"cart-{index}").provider_id for index in (1, 2)]
        assert sorted(numbers, key=str) == [None, "n1"]
        assert len(suspicions(gw)) == 1
        assert {row.state for row in inbox(gw)} == {CallbackState.PROCESSED}

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"price": "24.99"}, "asked for 25.00 USD, the order n1 is for 24.99 USD"),
            ({"currency": "EUR"}, "asked for 25.00 USD, the order n1 is for 25.00 EUR"),
            ({"price": None}, "names the order n1, which does not show its price"),
            (
                {"coin": "USDC@tron"},
                "asked to be paid in USDT@tron, the order n1 is paid in USDC@tron",
            ),
            ({"id": "n7"}, "asked for the order n1, the provider shows n7"),
            (
                {"created": "2025-06-01T11:57:59+00:00"},
                "names the order n1, which was made at 2025-06-01 11:57:59 UTC, before it was asked for",
            ),
        ],
    )
    def test_a_learned_number_has_to_be_of_what_was_asked(
        self, shop: Shop, gw: Opened, change: dict[str, Any], reason: str
    ) -> None:
        shop.line.plan(MadeButUnanswered(shop.service, answered=False))
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"] |= {"status": "paid", **change}
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert suspicions(gw) == [reason]
        assert (known(gw).provider_id, known(gw).status) == (None, OrderStatus.CREATING)
        assert [entry.state.value for entry in gw.journal.show("cart-1")] == ["unknown"]

    def test_an_order_that_shows_its_attempt_needs_no_price(self, shop: Shop, gw: Opened) -> None:
        shop.service.echoes = True
        shop.line.plan(MadeButUnanswered(shop.service, answered=False))
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"] |= {"status": "paid", "price": None}
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert suspicions(gw) == []
        assert (known(gw).provider_id, known(gw).status) == ("n1", OrderStatus.PAID)
        assert [entry.state.value for entry in gw.journal.show("cart-1")] == ["done"]

    def test_an_order_of_another_attempt_is_not_taken_whatever_its_price_is(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = shop.service.echoes = True
        for index in (1, 2):
            gw.orders.create(cart(f"cart-{index}", pay_with=None), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        shop.calls_back(gw, "n2", body=names("n1"))
        gw.callbacks.process()
        (reason,) = suspicions(gw)
        assert re.fullmatch(r"asked for the attempt [0-9a-f]{32}, the order n1 is for [0-9a-f]{32}", reason)
        assert known(gw, "cart-2").provider_id is None
        with pytest.raises(Conflict, match="asked for the attempt"):
            gw.orders.link("cart-2", "n1")
        assert gw.orders.link("cart-1", "n1").status is OrderStatus.PAID

    def test_an_answer_that_is_for_another_attempt(self, shop: Shop, gw: Opened) -> None:
        shop.line.plan(good({"id": "n1", "status": "open", "attempt": "of-somebody-else"}))
        with pytest.raises(OutcomeUnknown, match="the order n1 is for of-somebody-else"):
            gw.orders.create(cart(), account="shop")
        assert known(gw).status is OrderStatus.CREATING

    def test_a_coin_without_a_network_is_answered_with_one(self, shop: Shop, gw: Opened) -> None:
        shop.line.plan(good({"id": "n1", "status": "open", "coin": "USDT@tron", "amount": "25.00"}))
        order = gw.orders.create(cart(pay_with="USDT"), account="shop")
        assert (order.pay_with, order.leading.order and order.leading.order.pay_with) == (
            Asset.of("USDT"),
            Asset.of("USDT@tron"),
        )
        shop.line.plan(good({"id": "n2", "status": "open", "coin": "USDC@tron", "amount": "25.00"}))
        with pytest.raises(OutcomeUnknown, match="asked to be paid in USDT, the order n2 is paid in USDC@tron"):
            gw.orders.create(cart("cart-2", pay_with="USDT"), account="shop")

    def test_a_whole_second_and_a_little_are_no_contradiction(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="shop")
        shop.service.orders["n1"]["created"] = "2025-06-01T11:58:30+00:00"
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert known(gw).provider_id == "n1"

    def test_a_number_that_the_provider_does_not_know_is_tried_three_times(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="shop")
        shop.calls_back(gw, "n1", body=names("n404"))
        for _ in range(3):
            assert gw.callbacks.process() == 1
            shop.clock.advance(10)
        (reason,) = suspicions(gw)
        assert reason.startswith("names the order n404, which the provider does not show: ")
        assert "no such order" in reason
        assert gw.callbacks.process() == 0
        shop.clock.advance(60)
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert known(gw).provider_id == "n1"

    def test_of_several_numbers_the_one_that_agrees_is_taken(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = True
        gw.orders.create(cart("cart-0", "26.00 USD", pay_with=None), account="shop")
        gw.orders.create(cart(pay_with=None), account="shop")
        for number in ("n1", "n2"):
            shop.calls_back(gw, "n2", body=names(number))
        gw.callbacks.process()
        assert known(gw).provider_id == "n2"
        assert suspicions(gw) == [
            "asked for 25.00 USD, the order n1 is for 26.00 USD; names the order n1; this attempt's is n2"
        ]

    def test_a_flood_of_numbers_leads_to_three_readings(self, shop: Shop, gw: Opened) -> None:
        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="shop")
        for index in range(2, 12):
            shop.service.orders[f"n{index}"] = shop.service.orders["n1"] | {"id": f"n{index}", "price": "1.00"}
            shop.calls_back(gw, "n1", body=names(f"n{index}"))
        gw.callbacks.process()
        assert shop.service.reads == 3
        (reason,) = suspicions(gw)
        assert "names 10 orders: all but 3 were left aside" in reason

    @pytest.mark.parametrize("number", ["", "x" * 201, "n1\u0000", "n1\n", 7])
    def test_what_is_no_number_is_none(self, shop: Shop, gw: Opened, number: Any) -> None:
        import json

        shop.service.hosted = True
        gw.orders.create(cart(pay_with=None), account="shop")
        assert shop.calls_back(gw, "n1", body=json.dumps({"order": number}).encode()) == 200
        assert [row.provider_id for row in inbox(gw)] == [None]


class TestContradictions:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"price": "0.01"}, "asked for 25.00 USD, the order n1 is for 0.01 USD"),
            ({"coin": "USDC@tron"}, "asked to be paid in USDT@tron, the order n1 is paid in USDC@tron"),
            (
                {"amount": "0.01"},
                "the payer was asked for 25.00 USDT@tron, and the order n1 now asks for 0.01 USDT@tron",
            ),
            ({"id": "n7"}, "asked for the order n1, the provider shows n7"),
        ],
    )
    def test_an_order_that_is_not_as_asked_pays_nothing(
        self, shop: Shop, gw: Opened, change: dict[str, Any], reason: str
    ) -> None:
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"] |= {"status": "paid", **change}
        shop.calls_back(gw, "n1")
        gw.callbacks.process()
        assert suspicions(gw) == [reason]
        assert (known(gw).status, told(gw)) == (OrderStatus.PENDING, ["order.created", "callback.suspicious"])
        assert inbox(gw)[0].error == reason

    def test_an_attempt_that_nobody_knows_here_is_told(
        self, shop: Shop, colour: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with shop.gateway(colour) as gw:
            gw.orders.create(cart(), account="shop")
        with shop.gateway(colour) as restored:
            assert shop.calls_back(restored, "n1") == 200
            assert restored.callbacks.process() == 1
            (row,) = inbox(restored)
            assert (row.state, row.reference) == (CallbackState.UNMATCHED, None)
            (event,) = restored.events.since(0)
            assert (event.type, event.subject) == ("callback.suspicious", f"callback {row.attempt_id}")
            assert "restored from an older back-up" in event.data["reason"]
            assert (restored.callbacks.process(), shop.service.reads) == (0, 0)

    def test_a_number_that_a_person_named_meanwhile_stays(self, shop: Shop, gw: Opened) -> None:
        """Between the reading and its end somebody links the order to another number."""
        from gateway.flows import callbacks as flow

        shop.service.hosted = True
        for index in (1, 2):
            gw.orders.create(cart(f"cart-{index}", pay_with=None), account="shop")
        shop.calls_back(gw, "n1")
        database = gw.core.database()
        attempt = inbox(gw)[0].attempt_id
        taken = database.transaction(lambda connection: flow._take(gw.core, connection, attempt))
        assert isinstance(taken, flow._Taken)
        read = gw.run(flow._read(gw.core, taken, "n1", None))
        assert isinstance(read, flow._Seen)
        gw.orders.link("cart-1", "n2")
        found = database.transaction(lambda connection: flow._finish(gw.core, connection, taken, read, []))
        assert found == ["names the order n1; this attempt's is n2"]
        assert known(gw).provider_id == "n2"
        with pytest.raises(Conflict):
            gw.orders.link("cart-2", "n2")
