"""How an order follows its provider: every move, late and partial money, words that nobody knows, accounts that are
gone.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from flows.world import World, cart, usd
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.flows.moves import follow
from gateway.models import (
    Attempt,
    Environment,
    OrderException,
    OrderStatus,
    PaymentInstructions,
    ProviderOrder,
)
from gateway.money import Money
from gateway.store import orders as store
from gateway.testing import faults
from support.colours import Opened

S, E = OrderStatus, OrderException
DETAILS = "/api/v2/order/detail/"


def shown(gw: Opened, reference: str = "cart-1001") -> tuple[OrderStatus, set[OrderException]]:
    order = gw.orders.get(reference)
    return order.status, set(order.exceptions)


def moves(gw: Opened, reference: str = "cart-1001") -> list[tuple[str, str, bool]]:
    found = gw.core.database().transaction(lambda connection: store.list_moves(connection, reference))
    return [(move.from_status.value, move.to_status.value, move.accepted) for move in found]


def says(world: World, status: str, times: int = 1, **more: str) -> None:
    """What the next readings of an order will show."""
    fields = {"order_id": world.aurpay.orders()[-1].id, "status": status, **more}
    body = ", ".join(f'"{name}": "{value}"' for name, value in fields.items())
    world.server.faults("aurpay").add(
        faults.Status(status=200, body=f'{{"code": 0, "data": {{{body}}}}}', times=times, method="GET", path=DETAILS)
    )


def test_an_order_is_paid(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        assert shown(gw) == (S.PENDING, set())
        world.server.pay("aurpay", order.provider_id)
        assert shown(gw) == (S.PAID, set())
        reads = len(world.calls("aurpay", "GET", DETAILS))
        assert shown(gw) == (S.PAID, set())
        assert len(world.calls("aurpay", "GET", DETAILS)) == reads, "what is final is not read again"
        assert moves(gw) == [("creating", "pending", True), ("pending", "paid", True)]


def test_an_order_expires_is_renewed_and_paid(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        first = gw.orders.create(cart(), account="shop")
        with pytest.raises(Conflict, match="attempt 1 is still open") as error:
            gw.orders.renew("cart-1001")
        assert "the payer can use it until" in error.value.hint
        world.server.advance(31 * 60)
        assert shown(gw) == (S.EXPIRED, set())
        second = gw.orders.renew("cart-1001")
        assert (second.status, [attempt.status for attempt in second.attempts]) == (S.PENDING, [S.EXPIRED, S.PENDING])
        assert second.provider_id != first.provider_id
        assert gw.orders.create(cart(), account="shop") == second
        world.server.pay("aurpay", second.provider_id)
        assert shown(gw) == (S.PAID, set())
        with pytest.raises(Conflict, match="money has come in for this order already"):
            gw.orders.renew("cart-1001")
    assert world.creations() == 2


def test_late_money_counts(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.expire("aurpay", order.provider_id)
        assert shown(gw) == (S.EXPIRED, set())
        world.server.pay("aurpay", order.provider_id, "late")
        assert shown(gw) == (S.PAID, {E.LATE})
        assert shown(gw) == (S.PAID, {E.LATE})


def test_too_little_money_and_the_rest_of_it(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id, "under")
        assert shown(gw) == (S.UNDERPAID, {E.PARTIAL})
        with pytest.raises(Conflict, match="it is underpaid"):
            gw.orders.renew("cart-1001")
        world.server.pay("aurpay", order.provider_id)
        assert shown(gw) == (S.PAID, set())


def test_too_little_money_late(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.expire("aurpay", order.provider_id)
        assert shown(gw)[0] is S.EXPIRED
        world.server.pay("aurpay", order.provider_id, "under")
        assert shown(gw) == (S.UNDERPAID, {E.PARTIAL, E.LATE})
        world.server.pay("aurpay", order.provider_id)
        assert shown(gw) == (S.PAID, {E.LATE})


def test_what_the_merchant_accepted_by_hand_is_marked(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id, "under")
        assert shown(gw)[0] is S.UNDERPAID
        world.aurpay.resolve(order.provider_id)
        status, exceptions = shown(gw)
        assert (status, E.MARKED in exceptions) == (S.PAID, True)


def test_a_cancelled_order_is_renewed(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.fail("aurpay", order.provider_id)
        assert shown(gw) == (S.CANCELLED, set())
        assert gw.orders.renew("cart-1001").status is S.PENDING


def test_a_failed_deposit_is_renewed(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        world.customer_with_card(gw)
        request = cart(price="100 USD", pay_with="SOL", customer="c-42", settles_to="customer")
        order = gw.orders.create(request, account="cards")
        world.server.fail("aurex", order.provider_id.partition("/")[2])
        assert shown(gw) == (S.FAILED, set())
        renewed = gw.orders.renew("cart-1001", account="cards")
        assert (renewed.status, renewed.settles_to, len(renewed.attempts)) == (S.PENDING, "customer", 2)


def test_a_word_that_nobody_knows_is_kept_warned_about_and_read_again(
    world: World, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        says(world, "ON_HOLD", times=2)
        with caplog.at_level(logging.WARNING, logger="gateway"):
            assert shown(gw) == (S.UNRECOGNISED, set())
            assert shown(gw) == (S.UNRECOGNISED, set())
        assert sum("ON_HOLD" in record.getMessage() for record in caplog.records) == 1
        found = gw.orders.get("cart-1001", refresh=False)
        assert any("ON_HOLD" in warning for warning in found.warnings)
        assert found.leading.order.provider_status == "ON_HOLD"
        world.server.pay("aurpay", order.provider_id)
        assert shown(gw) == (S.PAID, set())


def test_a_move_that_is_not_allowed_is_refused_recorded_and_told_once(
    world: World, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id, "under")
        assert shown(gw)[0] is S.UNDERPAID
        says(world, "PENDING", times=3)
        with caplog.at_level(logging.WARNING, logger="gateway"):
            for _ in range(3):
                assert shown(gw) == (S.UNDERPAID, {E.PARTIAL})
        refused = "the provider shows pending, which cannot follow underpaid; kept as underpaid"
        assert gw.orders.get("cart-1001", refresh=False).warnings == (refused,)
        assert [record.getMessage() for record in caplog.records] == [f"order cart-1001, attempt 1 at shop: {refused}"]
        assert moves(gw)[-1] == ("underpaid", "pending", False)
        assert len(moves(gw)) == 3
        world.server.pay("aurpay", order.provider_id)
        assert shown(gw) == (S.PAID, set())


def test_an_order_whose_number_is_learned_late_is_kept_without_one(world: World, colour: str) -> None:
    body = '{"code": 0, "data": {"pay_url": "https://dashboard.aurpay.net/#/cashier/checkout-1"}}'
    world.server.faults("aurpay").add(faults.Status(status=200, body=body, method="POST"))
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(pay_with=None), account="shop")
        assert (order.status, order.provider_id) == (S.PENDING, None)
        assert order.pay.checkout_url.endswith("checkout-1")
        assert gw.orders.get("cart-1001") == order
        assert world.calls("aurpay", "GET") == []


# Where an order is found


def test_an_order_is_found_at_its_account_after_the_route_has_changed(world: World, colour: str) -> None:
    def route(name: str) -> list[dict[str, Any]]:
        return [{"operation": "orders.create", "accounts": [name]}]

    with world.gateway(colour, store=world.store, routes=route("shop")) as gw:
        number = gw.orders.create(cart()).provider_id
    world.server.pay("aurpay", number)
    with world.gateway(colour, store=world.store, routes=route("backup")) as gw:
        assert gw.orders.get("cart-1001").account == "shop"
        assert shown(gw) == (S.PAID, set())
        assert gw.orders.create(cart()).account == "shop"
        assert gw.orders.create(cart("cart-1002")).account == "backup"


def test_an_order_at_an_account_that_is_gone_is_shown_as_last_known(
    world: World, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    with world.gateway(colour, store=world.store) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
    world.server.pay("aurpay", number)
    accounts = world.accounts()
    del accounts["shop"]
    with world.gateway(colour, store=world.store, accounts=accounts) as gw:
        with caplog.at_level(logging.WARNING, logger="gateway"):
            assert shown(gw) == (S.PENDING, set())
        assert "not configured any more" in caplog.text
        assert [order.account for order in gw.orders.list()] == ["shop"]
        assert gw.orders.create(cart()).account == "shop"


def test_there_is_no_such_order(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        for asking in (gw.orders.get, gw.orders.renew):
            with pytest.raises(NotFound, match="no order cart-9") as error:
                asking("cart-9")
            assert "orders.fetch" in error.value.hint
        with pytest.raises(InvalidRequest):
            gw.orders.fetch(account="shop", provider_id="1")
        with pytest.raises(ValueError, match="OrderStatus"):
            gw.orders.list(status="shipped")


def test_orders_are_listed_in_pages_newest_first(world: World, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.PAGE", 2)
    monkeypatch.setattr("gateway.aio.PAGE", 2)
    with world.gateway(colour) as gw:
        for number in range(5):
            gw.orders.create(cart(f"cart-{number}"), account=("shop", "backup")[number % 2])
        assert [order.reference for order in gw.orders.list()] == [f"cart-{number}" for number in (4, 3, 2, 1, 0)]
        assert [order.reference for order in gw.orders.list(account="backup")] == ["cart-3", "cart-1"]


def test_an_order_is_renewed_in_the_environment_where_it_was_made(world: World, colour: str) -> None:
    with world.gateway(colour, accounts=world.accounts(backup={"environment": "live"})) as gw:
        world.server.expire("aurpay", gw.orders.create(cart(), account="shop").provider_id)
        with pytest.raises(InvalidRequest, match="belongs to the sandbox environment, the account backup is live"):
            gw.orders.renew("cart-1001", account="backup")
        assert len(gw.orders.get("cart-1001").attempts) == 1


# The rules of a move, without anything around them

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
FINAL = (S.FAILED, S.CANCELLED, S.REFUNDED)
OPEN_ENDS = {S.UNDERPAID, S.PAID, S.EXPIRED, S.FAILED, S.CANCELLED, S.REFUNDED, S.UNRECOGNISED}
MAY_BECOME = {
    S.CREATING: OPEN_ENDS | {S.PENDING, S.PROCESSING},
    S.PENDING: OPEN_ENDS | {S.PROCESSING},
    S.PROCESSING: OPEN_ENDS,
    S.UNRECOGNISED: OPEN_ENDS | {S.PENDING, S.PROCESSING},
    S.UNDERPAID: {S.PAID, S.EXPIRED, S.REFUNDED},
    S.EXPIRED: {S.PAID, S.UNDERPAID},
    S.PAID: {S.REFUNDED},
    S.FAILED: set(),
    S.CANCELLED: set(),
    S.REFUNDED: set(),
}


def coins(amount: str) -> Money:
    return Money(amount, "USDT@tron")


def attempt(status: OrderStatus, *exceptions: OrderException, order: ProviderOrder | None = None) -> Attempt:
    return Attempt(
        number=1,
        account="shop",
        provider="aurpay",
        environment=Environment.SANDBOX,
        status=status,
        exceptions=frozenset(exceptions),
        created_at=NOW,
        updated_at=NOW,
        order=order,
    )


def seen(status: OrderStatus, *, received: str | None = None, **more: Any) -> ProviderOrder:
    given = {"pay": PaymentInstructions(amount=coins("100")), **more}
    return ProviderOrder(
        provider_id="1", status=status, received=None if received is None else coins(received), **given
    )


@pytest.mark.parametrize("before", list(S))
@pytest.mark.parametrize("after", [status for status in S if status is not S.CREATING])
def test_every_move_is_allowed_or_refused_as_the_rules_say(before: OrderStatus, after: OrderStatus) -> None:
    move = follow(attempt(before), seen(after))
    allowed = after is before or after in MAY_BECOME[before]
    assert move.seen is after
    assert move.status is (after if allowed else before)
    assert (move.refused is None) is allowed
    if not allowed:
        assert move.snapshot.warnings == (move.refused,)
        assert f"shows {after}, which cannot follow {before}" in move.refused


@pytest.mark.parametrize(
    ("status", "received", "tolerance", "becomes", "exceptions"),
    [
        (S.PAID, "100", "0", S.PAID, set()),
        (S.PAID, "100.000001", "0", S.PAID, {E.OVER}),
        (S.PAID, "99", "0", S.PAID, {E.PARTIAL}),
        (S.UNDERPAID, "99.5", "0.005", S.PAID, {E.PARTIAL}),
        (S.UNDERPAID, "99.499999", "0.005", S.UNDERPAID, {E.PARTIAL}),
        (S.UNDERPAID, "99.999999", "0", S.UNDERPAID, {E.PARTIAL}),
        (S.UNDERPAID, "101", "0", S.PAID, {E.OVER}),
        (S.UNDERPAID, "100", "0", S.UNDERPAID, {E.PARTIAL}),
        (S.PENDING, "50", "0", S.PENDING, set()),
        (S.UNDERPAID, None, "0.5", S.UNDERPAID, {E.PARTIAL}),
    ],
)
def test_amounts_are_compared_where_both_are_shown(
    status: OrderStatus, received: str | None, tolerance: str, becomes: OrderStatus, exceptions: set[OrderException]
) -> None:
    move = follow(attempt(S.PENDING), seen(status, received=received), Decimal(tolerance))
    assert (move.status, set(move.exceptions)) == (becomes, exceptions)


def test_amounts_of_different_assets_are_not_compared() -> None:
    snapshot = seen(S.PAID, pay=PaymentInstructions(amount=usd("100"))).model_copy(update={"received": coins("1")})
    assert follow(attempt(S.PENDING), snapshot).exceptions == frozenset()


def test_what_a_reading_does_not_say_stays_as_it_was_known() -> None:
    full = ProviderOrder(
        provider_id="1",
        status=S.PENDING,
        price=usd("100"),
        net=usd("95"),
        expires_at=NOW,
        transactions=("aa",),
        pay=PaymentInstructions(address="T1", amount=coins("100"), checkout_url="https://pay.example/1"),
        warnings=("the network is not specified",),
    )
    short = ProviderOrder(
        provider_id="1",
        status=S.PAID,
        pay=PaymentInstructions(amount=coins("100.5")),
        warnings=("the network is not specified", "another"),
    )
    merged = follow(attempt(S.PENDING, order=full), short).snapshot
    assert (merged.status, merged.price, merged.net, merged.expires_at, merged.transactions) == (
        S.PAID,
        usd("100"),
        usd("95"),
        NOW,
        ("aa",),
    )
    assert (merged.pay.address, merged.pay.amount, merged.pay.checkout_url) == (
        "T1",
        coins("100.5"),
        "https://pay.example/1",
    )
    assert merged.warnings == ("the network is not specified", "another")


def test_what_is_unusual_about_an_attempt_stays_until_it_moves_on() -> None:
    assert follow(attempt(S.EXPIRED), seen(S.PAID)).exceptions == {E.LATE}
    assert follow(attempt(S.UNDERPAID, E.LATE, E.PARTIAL), seen(S.PAID)).exceptions == {E.LATE}
    assert follow(attempt(S.PAID, E.LATE), seen(S.REFUNDED)).exceptions == {E.LATE}
    assert follow(attempt(S.PAID, E.LATE), seen(S.PAID)).exceptions == {E.LATE}
    assert follow(attempt(S.CREATING, E.UNCONFIRMED), seen(S.PENDING)).exceptions == frozenset()
    assert follow(attempt(S.UNDERPAID, E.PARTIAL), seen(S.EXPIRED)).exceptions == {E.PARTIAL}
    assert follow(attempt(S.PENDING), seen(S.PAID, exceptions=frozenset({E.MARKED}))).exceptions == {E.MARKED}


@pytest.mark.parametrize("percent", ["1%", "0.5%"])
def test_the_accounts_tolerance_counts(world: World, percent: str) -> None:
    accounts = world.accounts(shop={"underpayment_tolerance": percent})
    with world.gateway(accounts=accounts) as gw:
        assert gw.core.account("shop").settings.underpayment_tolerance == Decimal(percent[:-1]) / 100
