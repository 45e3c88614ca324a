"""Refunds, customers, cards, trades, freezes and request numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.models import (
    Card,
    CardStatus,
    Customer,
    Environment,
    ProviderCustomer,
    ProviderRefund,
    Refund,
    RefundRequest,
    RefundStatus,
    Side,
    Trade,
    TradeKind,
    TradeRequest,
    TradeStatus,
)
from gateway.money import Money
from gateway.secrets import CardNumber, Secret
from gateway.store import cards, customers, freezes, refunds, trades
from gateway.store.database import Database
from gateway.store.numbers import next_number
from gateway.store.tables import freezes as table
from store.samples import LATER, LIVE, NOW, SANDBOX, add_attempt, all_say, children, make_order


@pytest.fixture
def run(database: Database) -> Callable[..., Any]:
    """`run(function, …)`: the function in a transaction."""
    return lambda function, *args, **fields: database.transaction(
        lambda connection: function(connection, *args, **fields)
    )


def listed(run: Callable[..., Any], function: Callable[..., Any], **fields: Any) -> list[str]:
    page = run(function, **{"size": 10, "cursor": None, **fields})
    assert page.next is None
    return [item.reference for item in page.items]


class TestRefunds:
    @pytest.fixture(autouse=True)
    def _order(self, run: Callable[..., Any]) -> None:
        run(make_order)

    def insert(
        self,
        connection: Connection,
        reference: str = "refund-1",
        *,
        order: str = "cart-1",
        attempt: int = 1,
        account: str = "shop",
        environment: Environment = LIVE,
        amount: Money | None = None,
    ) -> None:
        refunds.insert_refund(
            connection,
            RefundRequest(reference=reference, order=order, amount=amount),
            attempt=attempt,
            account=account,
            provider="aurpay",
            environment=environment,
            now=NOW,
        )

    def test_what_was_asked_and_what_became_of_it(self, run: Callable[..., Any]) -> None:
        run(self.insert, amount=Money("5.00", "USD"))
        asked = Refund(
            reference="refund-1",
            order="cart-1",
            attempt=1,
            account="shop",
            provider="aurpay",
            environment=LIVE,
            status=RefundStatus.PENDING,
            amount=Money("5.00", "USD"),
            created_at=NOW,
            updated_at=NOW,
        )
        assert run(refunds.load_refund, "refund-1") == asked
        result = ProviderRefund(
            provider_id="r-7",
            status=RefundStatus.COMPLETED,
            provider_status="DONE",
            amount=Money("4.99", "USD"),
            warnings=("less",),
        )
        run(refunds.save_refund, "refund-1", status=RefundStatus.COMPLETED, result=result, now=LATER)
        run(refunds.save_refund, "refund-1", status=RefundStatus.COMPLETED, result=None, now=LATER)
        without_number = result.model_copy(update={"provider_id": None})
        run(refunds.save_refund, "refund-1", status=RefundStatus.COMPLETED, result=without_number, now=LATER)
        found = run(refunds.load_refund, "refund-1")
        assert (found.status, found.provider_status, found.provider_id) == (RefundStatus.COMPLETED, "DONE", "r-7")
        assert (found.amount, found.warnings, found.updated_at) == (Money("4.99", "USD"), ("less",), LATER)

    def test_what_is_not_there(self, run: Callable[..., Any]) -> None:
        assert run(refunds.load_refund, "refund-1") is None
        assert run(refunds.open_refund_of, "cart-1", 1) is None
        with pytest.raises(NotFound, match="there is no refund refund-1"):
            run(refunds.save_refund, "refund-1", status=RefundStatus.FAILED, result=None, now=NOW)
        with pytest.raises(NotFound, match="there is no order cart-9"):
            run(self.insert, order="cart-9")
        with pytest.raises(NotFound, match="the order cart-1 has no attempt 2"):
            run(self.insert, attempt=2)

    def test_live_and_sandbox_are_not_mixed(self, run: Callable[..., Any]) -> None:
        with pytest.raises(Conflict, match="the order cart-1 is live and the account shop is sandbox"):
            run(self.insert, environment=SANDBOX)

    def test_the_refund_that_stands_in_the_way_of_another(self, run: Callable[..., Any]) -> None:
        run(self.insert, "one")
        assert run(refunds.open_refund_of, "cart-1", 1).reference == "one"
        run(refunds.save_refund, "one", status=RefundStatus.FAILED, result=None, now=NOW)
        assert run(refunds.open_refund_of, "cart-1", 1) is None
        run(self.insert, "two")
        run(refunds.save_refund, "two", status=RefundStatus.UNCONFIRMED, result=None, now=NOW)
        assert run(refunds.open_refund_of, "cart-1", 1).reference == "two"

    def test_the_refund_of_one_attempt_leaves_the_others_to_be_refunded(self, run: Callable[..., Any]) -> None:
        assert run(add_attempt) == 2
        run(self.insert, "one", attempt=2)
        assert run(refunds.open_refund_of, "cart-1", 1) is None
        run(self.insert, "two", attempt=1)
        assert run(refunds.open_refund_of, "cart-1", 1).reference == "two"
        found = run(refunds.open_refund_of, "cart-1", 2)
        assert (found.reference, found.attempt) == ("one", 2)

    def test_one_that_never_left_is_taken_up_for_another_attempt(self, run: Callable[..., Any]) -> None:
        run(add_attempt)
        run(self.insert)
        run(self.insert, attempt=2)
        assert run(refunds.load_refund, "refund-1").attempt == 2
        assert run(refunds.open_refund_of, "cart-1", 1) is None

    def test_one_that_never_left_is_taken_up_again_or_forgotten(self, run: Callable[..., Any]) -> None:
        run(self.insert)
        run(self.insert, account="backup")
        assert run(refunds.load_refund, "refund-1").account == "backup"
        for _ in range(2):
            run(refunds.delete_refund, "refund-1")
        assert run(refunds.load_refund, "refund-1") is None

    @pytest.mark.parametrize("status", [status for status in RefundStatus if status is not RefundStatus.PENDING])
    def test_one_that_may_have_left_is_neither(self, run: Callable[..., Any], status: RefundStatus) -> None:
        run(self.insert)
        run(refunds.save_refund, "refund-1", status=status, result=None, now=NOW)
        with pytest.raises(Conflict, match=f"refund-1 of order cart-1 already, {status}"):
            run(self.insert)
        with pytest.raises(Conflict, match="it is not forgotten"):
            run(refunds.delete_refund, "refund-1")
        assert run(refunds.load_refund, "refund-1").status is status

    def test_a_reference_stays_with_its_order(self, run: Callable[..., Any]) -> None:
        run(make_order, "cart-2")
        run(self.insert)
        with pytest.raises(Conflict, match="of order cart-1"):
            run(self.insert, order="cart-2")

    def test_lists(self, run: Callable[..., Any]) -> None:
        run(make_order, "sandboxed", environment=SANDBOX)
        run(self.insert, "a")
        run(self.insert, "b", account="backup")
        run(self.insert, "c", order="sandboxed", environment=SANDBOX)
        run(refunds.save_refund, "a", status=RefundStatus.FAILED, result=None, now=NOW)
        assert listed(run, refunds.list_refunds) == ["c", "b", "a"]
        assert listed(run, refunds.list_refunds, account="shop") == ["c", "a"]
        assert listed(run, refunds.list_refunds, environment=LIVE) == ["b", "a"]
        assert listed(run, refunds.list_refunds, status=RefundStatus.FAILED) == ["a"]


class TestCustomers:
    def save(
        self,
        connection: Connection,
        reference: str = "c-1",
        provider_id: str = "9001",
        *,
        account: str = "cards",
        environment: Environment = LIVE,
        **fields: Any,
    ) -> None:
        customers.save_customer(
            connection,
            reference,
            account=account,
            provider="aurex",
            environment=environment,
            customer=ProviderCustomer(provider_id=provider_id, **fields),
            now=NOW,
        )

    def test_both_numbers_lead_to_each_other(self, run: Callable[..., Any]) -> None:
        run(self.save)
        run(self.save, provider_id="7", account="backup")
        assert run(customers.provider_id, "cards", "c-1") == "9001"
        assert run(customers.provider_id, "backup", "c-1") == "7"
        assert run(customers.provider_id, "cards", "c-2") is None
        assert run(customers.reference_of, "cards", "9001") == "c-1"
        assert run(customers.reference_of, "cards", "7") is None

    def test_what_is_newly_seen(self, run: Callable[..., Any]) -> None:
        assert run(customers.load_customer, "cards", "c-1") is None
        run(self.save, first_name="Ann", created_at=NOW)
        run(self.save, first_name="Anna", last_name="Lee", created_at=NOW)
        assert run(customers.load_customer, "cards", "c-1") == Customer(
            reference="c-1",
            account="cards",
            provider="aurex",
            environment=LIVE,
            provider_id="9001",
            first_name="Anna",
            last_name="Lee",
            created_at=NOW,
        )

    @pytest.mark.parametrize(
        ("other", "what"),
        [
            ({"provider_id": "9002"}, "the customer c-1 is the provider's 9001 already"),
            ({"reference": "c-2"}, "the provider's customer 9001 is c-1 already"),
            ({"environment": SANDBOX}, "the customer c-1 is live, the account is sandbox"),
        ],
    )
    def test_one_number_there_for_one_number_here(
        self, run: Callable[..., Any], other: dict[str, Any], what: str
    ) -> None:
        run(self.save)
        with pytest.raises(Conflict, match=what):
            run(self.save, **other)
        assert run(customers.reference_of, "cards", "9001") == "c-1"
        assert listed(run, customers.list_customers) == ["c-1"]

    def test_lists(self, run: Callable[..., Any]) -> None:
        run(self.save, "a", "1")
        run(self.save, "b", "2", account="backup")
        run(self.save, "c", "3", environment=SANDBOX)
        assert listed(run, customers.list_customers) == ["c", "b", "a"]
        assert listed(run, customers.list_customers, account="cards") == ["c", "a"]
        assert listed(run, customers.list_customers, environment=LIVE) == ["b", "a"]


class TestCards:
    NUMBER = "4242424242424242"

    def save(
        self,
        connection: Connection,
        reference: str = "card-1",
        *,
        account: str = "cards",
        customer: str = "c-1",
        environment: Environment = LIVE,
        **fields: Any,
    ) -> None:
        values = {"provider_id": "k-1", "status": CardStatus.ACTIVE, "name": "Travel", **fields}
        cards.save_card(
            connection,
            reference,
            account=account,
            provider="aurex",
            environment=environment,
            customer=customer,
            card=Card(**values),
            now=NOW,
        )

    def test_a_card_and_its_present_name(self, run: Callable[..., Any]) -> None:
        assert run(cards.load_card, "card-1") is None
        run(self.save)
        run(self.save, status=CardStatus.FROZEN, name="Home")
        assert run(cards.load_card, "card-1") == Card(
            provider_id="k-1", customer="c-1", name="Home", status=CardStatus.FROZEN, reference="card-1"
        )

    def test_its_secrets_are_nowhere_in_the_files(self, sqlite_database: Database, tmp_path: Path) -> None:
        secrets: dict[str, Any] = {
            "number": CardNumber(self.NUMBER),
            "cvv": Secret("canary-cvv"),
            "raw": {"pan": self.NUMBER, "unusual_name": "canary-raw"},
            "balance": Money("99.17", "USD"),
        }
        sqlite_database.transaction(lambda connection: self.save(connection, **secrets))
        files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
        assert any(b"Travel" in content for content in files)
        for canary in (self.NUMBER.encode(), b"canary", b"99.17"):
            assert not any(canary in content for content in files)

    @pytest.mark.parametrize("other", [{"provider_id": "k-2"}, {"customer": "c-2"}, {"account": "backup"}])
    def test_a_reference_is_one_card(self, run: Callable[..., Any], other: dict[str, str]) -> None:
        run(self.save)
        with pytest.raises(Conflict, match="card-1 is the card k-1 of c-1 already"):
            run(self.save, **other)

    def test_lists(self, run: Callable[..., Any]) -> None:
        run(self.save, "a")
        run(self.save, "b", account="backup")
        run(self.save, "c", environment=SANDBOX, customer="c-2")
        assert listed(run, cards.list_cards) == ["c", "b", "a"]
        assert listed(run, cards.list_cards, account="cards") == ["c", "a"]
        assert listed(run, cards.list_cards, environment=LIVE) == ["b", "a"]
        assert listed(run, cards.list_cards, customer="c-1") == ["b", "a"]


class TestTrades:
    def insert(
        self,
        connection: Connection,
        reference: str = "trade-1",
        *,
        account: str = "treasury",
        environment: Environment = LIVE,
    ) -> None:
        trades.insert_trade(
            connection,
            TradeRequest(reference=reference, market="BTC/USD", side=Side.BUY, volume="0.10", rate="65000.50"),
            account=account,
            provider="emirex",
            environment=environment,
            now=NOW,
        )

    def test_what_was_asked(self, run: Callable[..., Any]) -> None:
        run(self.insert)
        found = run(trades.load_trade, "trade-1")
        assert found == Trade(
            provider_id=None,
            account="treasury",
            environment=LIVE,
            reference="trade-1",
            status=TradeStatus.PENDING,
            market="BTC/USD",
            side=Side.BUY,
            kind=TradeKind.LIMIT,
            volume=Decimal("0.10"),
            rate=Decimal("65000.50"),
            created_at=NOW,
        )
        assert str(found.volume) == "0.10"

    def test_what_became_of_it(self, run: Callable[..., Any]) -> None:
        run(self.insert)
        seen = Trade(provider_id="t-7", status=TradeStatus.OPEN, filled=Decimal("0.04"), created_at=LATER)
        run(trades.save_trade, "trade-1", seen, now=LATER)
        run(trades.save_trade, "trade-1", Trade(provider_id=None, status=TradeStatus.FILLED), now=LATER)
        found = run(trades.load_trade, "trade-1")
        assert (found.status, found.provider_id, found.filled) == (TradeStatus.FILLED, "t-7", None)
        assert (found.account, found.reference, found.market) == ("treasury", "trade-1", "BTC/USD")

    def test_it_is_found_by_the_providers_number(self, run: Callable[..., Any]) -> None:
        run(self.insert)
        run(trades.mark_placed, "trade-1", "t-7", now=NOW)
        assert run(trades.find_trade, "treasury", "t-7") == "trade-1"
        assert run(trades.find_trade, "backup", "t-7") is None

    def test_unknown_and_then_found(self, run: Callable[..., Any]) -> None:
        run(self.insert)
        run(trades.mark_unconfirmed, "trade-1", now=NOW)
        assert run(trades.load_trade, "trade-1").status is TradeStatus.UNCONFIRMED
        with pytest.raises(Conflict, match="there is a trade trade-1 already, unconfirmed"):
            run(self.insert)
        run(trades.mark_placed, "trade-1", "t-7", now=NOW)
        found = run(trades.load_trade, "trade-1")
        assert (found.status, found.provider_id) == (TradeStatus.PENDING, "t-7")
        with pytest.raises(Conflict, match=r"the provider's t-7: it is not forgotten"):
            run(trades.delete_trade, "trade-1")

    def test_unknown_and_then_found_not_to_be(self, run: Callable[..., Any]) -> None:
        run(self.insert)
        run(trades.mark_unconfirmed, "trade-1", now=NOW)
        for _ in range(2):
            run(trades.delete_trade, "trade-1")
        assert run(trades.load_trade, "trade-1") is None

    def test_one_that_never_left_is_taken_up_again(self, run: Callable[..., Any]) -> None:
        run(self.insert)
        run(self.insert, account="backup")
        assert run(trades.load_trade, "trade-1").account == "backup"
        with pytest.raises(Conflict, match=r"\(live\)"):
            run(self.insert, environment=SANDBOX)

    def test_what_is_not_there(self, run: Callable[..., Any]) -> None:
        assert run(trades.load_trade, "trade-1") is None
        for function, args in (
            (trades.save_trade, (Trade(provider_id=None, status=TradeStatus.OPEN),)),
            (trades.mark_unconfirmed, ()),
            (trades.mark_placed, ("t-7",)),
        ):
            with pytest.raises(NotFound, match="there is no trade trade-1"):
                run(function, "trade-1", *args, now=NOW)

    def test_lists(self, run: Callable[..., Any]) -> None:
        run(self.insert, "a")
        run(self.insert, "b", account="backup")
        run(self.insert, "c", environment=SANDBOX)
        run(trades.mark_unconfirmed, "a", now=NOW)
        assert listed(run, trades.list_trades) == ["c", "b", "a"]
        assert listed(run, trades.list_trades, account="treasury") == ["c", "a"]
        assert listed(run, trades.list_trades, environment=LIVE) == ["b", "a"]
        assert listed(run, trades.list_trades, status=TradeStatus.UNCONFIRMED) == ["a"]


class TestFreezes:
    def test_frozen_until_it_is_lifted(self, run: Callable[..., Any]) -> None:
        assert run(freezes.frozen) == {}
        assert run(freezes.freeze, "shop", by="ann", reason="key leaked", now=NOW) is True
        assert run(freezes.freeze, "backup", by="bob", reason="too", now=LATER) is True
        assert run(freezes.frozen) == {
            "backup": {"by": "bob", "reason": "too", "since": LATER},
            "shop": {"by": "ann", "reason": "key leaked", "since": NOW},
        }
        assert run(freezes.unfreeze, "shop", by="cid", now=LATER) is True
        assert list(run(freezes.frozen)) == ["backup"]

    def test_the_first_stays_on_record(self, run: Callable[..., Any]) -> None:
        run(freezes.freeze, "shop", by="ann", reason="key leaked", now=NOW)
        assert run(freezes.freeze, "shop", by="bob", reason="me too", now=LATER) is False
        assert run(freezes.frozen)["shop"]["by"] == "ann"
        assert run(freezes.unfreeze, "shop", now=LATER) is True
        assert run(freezes.unfreeze, "shop", now=LATER) is False
        assert run(freezes.frozen) == {}

    def test_the_record_outlives_the_freeze(self, run: Callable[..., Any]) -> None:
        run(freezes.freeze, "shop", by="ann", reason="key leaked", now=NOW)
        run(freezes.unfreeze, "shop", by="bob", now=LATER)
        run(freezes.freeze, "shop", by="cid", reason="again", now=LATER)
        query = select(table.c.frozen_by, table.c.reason, table.c.lifted_by).order_by(table.c.id)
        found = [tuple(row) for row in run(lambda connection: connection.execute(query).all())]
        assert found == [("ann", "key leaked", "bob"), ("cid", "again", None)]

    @pytest.mark.parametrize(("account", "by", "reason"), [("", "ann", "x"), ("shop", " ", "x"), ("shop", "ann", "")])
    def test_what_who_and_why_are_said(self, run: Callable[..., Any], account: str, by: str, reason: str) -> None:
        with pytest.raises(InvalidRequest, match="which account, who froze it and why"):
            run(freezes.freeze, account, by=by, reason=reason, now=NOW)
        assert run(freezes.frozen) == {}


class TestNumbers:
    def test_they_follow_the_clock_and_only_grow(self, run: Callable[..., Any]) -> None:
        clock = [1000, 2000, 2000, 1500, 2002, 2003]
        assert [run(next_number, "key", now) for now in clock] == [1000, 2000, 2001, 2002, 2003, 2004]

    def test_each_key_has_its_own(self, run: Callable[..., Any]) -> None:
        assert [run(next_number, key, 5) for key in ("a", "b", "a")] == [5, 5, 6]

    def test_microseconds_of_our_time_fit(self, run: Callable[..., Any]) -> None:
        now = 1_700_000_000_000_000
        assert [run(next_number, "key", now) for _ in range(2)] == [now, now + 1]

    def test_threads_never_get_the_same(self, run: Callable[..., Any]) -> None:
        found: list[int] = []

        def work() -> None:
            mine = [run(next_number, "key", 1000) for _ in range(20)]
            assert mine == sorted(mine)
            found.extend(mine)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == list(range(1000, 1080))

    def test_processes_never_get_the_same(self, database: Database, url: str) -> None:
        with children(3, "numbers", url, "30") as started:
            found = all_say(started)
        assert all(mine == sorted(mine) for mine in found)
        assert sorted(number for mine in found for number in mine) == list(range(1000, 1090))
