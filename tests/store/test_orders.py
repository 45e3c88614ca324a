"""Orders: what was asked for, every attempt, and how each came to be where it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, update

from gateway.assets import Asset
from gateway.errors import Conflict, InvalidRequest, NotFound, StoreError
from gateway.models import (
    Fee,
    Order,
    OrderException,
    OrderStatus,
    PaymentInstructions,
    ProviderOrder,
    Settlement,
)
from gateway.money import Money
from gateway.store import orders
from gateway.store.database import Database
from gateway.store.orders import Move
from gateway.store.tables import orders as table
from store.samples import LATER, LIVE, NOW, SANDBOX, add_attempt, make_order, order_request

SNAPSHOT = ProviderOrder(
    provider_id="2024-1",
    status=OrderStatus.UNDERPAID,
    provider_status="PARTIAL",
    exceptions=frozenset({OrderException.PARTIAL}),
    price=Money("25.00", "USD"),
    pay_with=Asset.of("USDT@tron"),
    pay=PaymentInstructions(address="TX", amount=Money("25.000001", "USDT@tron"), uri="tron:TX"),
    received=Money("24.123456789012345678", "USDT@tron"),
    fees=(Fee(name="network", amount=Money("0.10", "USDT@tron")),),
    refundable=False,
    transactions=("0xabc",),
    created_at=NOW,
    expires_at=LATER,
    warnings=("look",),
    raw={"id": "2024-1", "amount": Decimal("25.000001"), "token": "hush-hush", "rate": 0.1},
)


def save(connection: Connection, reference: str = "cart-1", number: int = 1, **fields: Any) -> None:
    values: dict[str, Any] = {
        "status": OrderStatus.PENDING,
        "exceptions": frozenset(),
        "provider_id": None,
        "snapshot": None,
        "error": None,
        "now": LATER,
    }
    orders.save_attempt(connection, reference, number, **{**values, **fields})


def load(database: Database, reference: str = "cart-1") -> Order:
    found = database.transaction(lambda connection: orders.load_order(connection, reference))
    assert found is not None
    return found


class TestOrders:
    def test_what_was_asked_comes_back(self, database: Database) -> None:
        request = order_request(
            customer="c-42",
            settles_to=Settlement.CUSTOMER,
            return_url="https://shop.example/back",
            description="Two mugs ☕",
            metadata={"colour": "blue"},
            provider_options={"aurpay": {"fixed": True, "list": [1, "2"]}},
        )

        def work(connection: Connection) -> None:
            orders.insert_order(connection, request, environment=SANDBOX, settles_to=Settlement.CUSTOMER, now=NOW)
            assert orders.load_order(connection, "cart-1") is None  # not before its first attempt
            assert orders.list_orders(connection, size=10, cursor=None).items == ()
            assert add_attempt(connection, environment=SANDBOX) == 1

        database.transaction(work)
        assert database.transaction(lambda connection: orders.load_request(connection, "cart-1")) == request
        order = load(database)
        assert (order.price, order.pay_with, order.customer) == (request.price, request.pay_with, "c-42")
        assert str(order.price) == "25.00 USD"
        assert (order.description, order.metadata, order.created_at) == ("Two mugs ☕", {"colour": "blue"}, NOW)
        assert (order.environment, order.settles_to) == (SANDBOX, Settlement.CUSTOMER)
        (attempt,) = order.attempts
        assert (attempt.number, attempt.account, attempt.provider) == (1, "shop", "aurpay")
        assert (attempt.status, attempt.order, attempt.error) == (OrderStatus.CREATING, None, None)

    def test_what_is_not_there(self, database: Database) -> None:
        assert database.transaction(lambda connection: orders.load_order(connection, "cart-1")) is None
        with pytest.raises(NotFound, match="there is no order cart-1"):
            database.transaction(lambda connection: orders.load_request(connection, "cart-1"))
        with pytest.raises(NotFound, match="there is no order cart-1"):
            database.transaction(add_attempt)

    def test_a_reference_is_taken_once(self, database: Database) -> None:
        database.transaction(make_order)
        with pytest.raises(Conflict, match="there is an order cart-1 already"):
            database.transaction(make_order)
        assert len(load(database).attempts) == 1

    def test_a_request_with_a_float_is_refused(self, database: Database) -> None:
        request = order_request(provider_options={"aurpay": {"rate": 0.5}})
        with pytest.raises(InvalidRequest, match=r"provider_options\.aurpay\.rate: float"):
            database.transaction(
                lambda connection: orders.insert_order(
                    connection, request, environment=LIVE, settles_to=Settlement.MERCHANT, now=NOW
                )
            )

    def test_attempts_are_numbered_and_never_mixed(self, database: Database) -> None:
        database.transaction(make_order)
        assert database.transaction(lambda connection: add_attempt(connection, account="backup")) == 2
        with pytest.raises(Conflict, match="the order is live and the account toy is sandbox"):
            database.transaction(lambda connection: add_attempt(connection, account="toy", environment=SANDBOX))
        assert [(attempt.number, attempt.account) for attempt in load(database).attempts] == [
            (1, "shop"),
            (2, "backup"),
        ]

    def test_one_that_cannot_be_read_here(self, database: Database) -> None:
        database.transaction(make_order)

        def alter(connection: Connection) -> None:
            asked = order_request().model_dump(mode="json")
            connection.execute(update(table).values(request={**asked, "pay_with": "NEVER@heard"}))

        database.transaction(alter)
        assert str(load(database).pay_with) == "NEVER@heard"
        with pytest.raises(
            StoreError, match=r"the request of order cart-1 is recorded in a form.*NEVER@heard.*plugins"
        ):
            database.transaction(lambda connection: orders.load_request(connection, "cart-1"))


class TestAttempts:
    @pytest.fixture(autouse=True)
    def _order(self, database: Database) -> None:
        database.transaction(make_order)

    def test_a_snapshot_comes_back_without_secrets(self, database: Database) -> None:
        database.transaction(
            lambda connection: save(
                connection,
                status=OrderStatus.UNDERPAID,
                exceptions={OrderException.PARTIAL, OrderException.LATE},
                provider_id="2024-1",
                snapshot=SNAPSHOT,
            )
        )
        (attempt,) = load(database).attempts
        assert attempt.order is not None
        without_raw = {"raw"}
        assert attempt.order.model_dump(exclude=without_raw) == SNAPSHOT.model_dump(exclude=without_raw)
        assert str(attempt.order.received) == "24.123456789012345678 USDT@tron"
        assert dict(attempt.order.raw) == {"id": "2024-1", "amount": "25.000001", "token": "•••", "rate": "0.1"}
        assert attempt.exceptions == {OrderException.PARTIAL, OrderException.LATE}
        assert (attempt.status, attempt.provider_id) == (OrderStatus.UNDERPAID, "2024-1")
        assert (attempt.created_at, attempt.updated_at) == (NOW, LATER)

    def test_what_is_not_said_stays_but_errors_go(self, database: Database) -> None:
        error = {"error": "OutcomeUnknown", "message": "no answer"}
        database.transaction(lambda connection: save(connection, provider_id="1", snapshot=SNAPSHOT, error=error))
        assert load(database).attempts[0].error == error
        database.transaction(lambda connection: save(connection, status=OrderStatus.PAID))
        attempt = load(database).attempts[0]
        assert (attempt.provider_id, attempt.error, attempt.status) == ("1", None, OrderStatus.PAID)
        assert attempt.order is not None

    def test_only_its_own_attempt_changes(self, database: Database) -> None:
        database.transaction(lambda connection: add_attempt(connection, account="backup"))
        database.transaction(lambda connection: save(connection, number=2, status=OrderStatus.PAID, provider_id="7"))
        first, second = load(database).attempts
        assert (first.status, first.provider_id) == (OrderStatus.CREATING, None)
        assert (second.status, second.provider_id) == (OrderStatus.PAID, "7")

    @pytest.mark.parametrize("fields", [{"provider_id": "1"}, {}])
    def test_an_attempt_that_is_not_there(self, database: Database, fields: dict[str, Any]) -> None:
        with pytest.raises(NotFound, match="the order cart-1 has no attempt 2"):
            database.transaction(lambda connection: save(connection, number=2, **fields))

    def test_a_providers_number_belongs_to_one_attempt_of_an_account(self, database: Database) -> None:
        def others(connection: Connection) -> None:
            save(connection, provider_id="77")
            make_order(connection, "cart-2")
            make_order(connection, "cart-3", account="backup")
            save(connection, "cart-3", provider_id="77")  # another account's numbers are its own

        database.transaction(others)
        with pytest.raises(Conflict, match=r"provider's order 77 belongs to cart-1 \(attempt 1\)") as caught:
            database.transaction(lambda connection: save(connection, "cart-2", provider_id="77"))
        assert caught.value.account == "shop"
        assert load(database, "cart-2").provider_id is None
        assert database.transaction(lambda c: orders.find_attempt(c, "shop", "77")) == ("cart-1", 1)
        assert database.transaction(lambda c: orders.find_attempt(c, "backup", "77")) == ("cart-3", 1)
        assert database.transaction(lambda c: orders.find_attempt(c, "shop", "78")) is None

    def test_an_attempt_keeps_its_number(self, database: Database) -> None:
        database.transaction(lambda connection: save(connection, provider_id="77"))
        database.transaction(lambda connection: save(connection, provider_id="77"))
        with pytest.raises(Conflict, match="attempt 1 is the provider's order 77, not 78"):
            database.transaction(lambda connection: save(connection, provider_id="78"))
        with pytest.raises(InvalidRequest, match="not empty"):
            database.transaction(lambda connection: save(connection, provider_id=""))

    def test_moves_are_kept_in_order(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            orders.record_move(
                connection,
                "cart-1",
                1,
                from_status=OrderStatus.CREATING,
                to_status=OrderStatus.PAID,
                accepted=True,
                now=NOW,
            )
            orders.record_move(
                connection,
                "cart-1",
                1,
                from_status=OrderStatus.PAID,
                to_status=OrderStatus.PENDING,
                accepted=False,
                now=LATER,
            )
            make_order(connection, "cart-2")

        database.transaction(work)
        assert database.transaction(lambda connection: orders.list_moves(connection, "cart-1")) == [
            Move(number=1, from_status=OrderStatus.CREATING, to_status=OrderStatus.PAID, accepted=True, at=NOW),
            Move(number=1, from_status=OrderStatus.PAID, to_status=OrderStatus.PENDING, accepted=False, at=LATER),
        ]
        assert database.transaction(lambda connection: orders.list_moves(connection, "cart-2")) == []


class TestLists:
    def listed(self, database: Database, **fields: Any) -> list[str]:
        found = database.transaction(
            lambda connection: orders.list_orders(connection, **{"size": 10, "cursor": None, **fields})
        )
        return [order.reference for order in found.items]

    def test_newest_first_in_pages_that_do_not_shift(self, database: Database) -> None:
        for number in range(5):
            database.transaction(lambda connection, n=number: make_order(connection, f"cart-{n}"))  # type: ignore[misc]
        seen, cursor = [], None
        for step in range(3):
            page = database.transaction(
                lambda connection, at=cursor: orders.list_orders(connection, size=2, cursor=at)  # type: ignore[misc]
            )
            seen.append([order.reference for order in page.items])
            cursor = page.next
            # One that comes meanwhile is newer than all, so it is on no following page.
            database.transaction(lambda connection, n=step: make_order(connection, f"new-{n}"))  # type: ignore[misc]
        assert seen == [["cart-4", "cart-3"], ["cart-2", "cart-1"], ["cart-0"]]
        assert cursor is None

    def test_a_page_that_is_just_full_is_the_last(self, database: Database) -> None:
        database.transaction(make_order)
        page = database.transaction(lambda connection: orders.list_orders(connection, size=1, cursor=None))
        assert (len(page.items), page.next) == (1, None)

    def test_what_is_picked(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            make_order(connection, "expired-then-paid")
            save(connection, "expired-then-paid", status=OrderStatus.EXPIRED)
            add_attempt(connection, "expired-then-paid", account="backup")
            save(connection, "expired-then-paid", 2, status=OrderStatus.PAID)
            make_order(connection, "sandbox", environment=SANDBOX)
            make_order(connection, "paid-then-tried", account="backup")
            save(connection, "paid-then-tried", status=OrderStatus.PAID)
            add_attempt(connection, "paid-then-tried", account="third")

        database.transaction(work)
        assert self.listed(database, account="shop") == ["sandbox", "expired-then-paid"]
        assert self.listed(database, account="backup") == ["paid-then-tried", "expired-then-paid"]
        assert self.listed(database, account="nobody") == []
        assert self.listed(database, environment=LIVE) == ["paid-then-tried", "expired-then-paid"]
        assert self.listed(database, status=OrderStatus.PAID) == ["paid-then-tried", "expired-then-paid"]
        assert self.listed(database, status=OrderStatus.CREATING) == ["sandbox"]
        assert self.listed(database, status=OrderStatus.PAID, account="third") == ["paid-then-tried"]
        assert load(database, "paid-then-tried").account == "backup"

    @pytest.mark.parametrize("size", [0, -1, 1001])
    def test_a_page_has_a_size(self, database: Database, size: int) -> None:
        with pytest.raises(InvalidRequest, match="1 to 1000 items"):
            self.listed(database, size=size)

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "²", "9" * 40])
    def test_a_cursor_is_one_that_was_given(self, database: Database, cursor: str) -> None:
        with pytest.raises(InvalidRequest, match="cursor"):
            self.listed(database, cursor=cursor)
