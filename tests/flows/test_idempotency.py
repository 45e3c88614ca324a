"""One reference, one write: repeated, repeated differently, and repeated at once by threads, tasks and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows.world import ADDRESS, ON_BOTH, World, cart, payout, top_up
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    RateLimited,
)
from gateway.models import (
    CardRequest,
    CryptoAddress,
    CustomerRequest,
    OrderStatus,
    RefundRequest,
    TradeRequest,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.testing import faults
from support.colours import Opened

TWIN = Path(__file__).parent / "twin.py"


def trade(**changes: Any) -> TradeRequest:
    given = {"reference": "trade-1", "market": "BTC/USDC", "side": "buy", "volume": "0.01", "rate": "100.5"}
    return TradeRequest(**{**given, **changes})


def writes(world: World, gw: Opened) -> dict[str, tuple[Callable[[], Any], Callable[[], int]]]:
    """Every kind of write, all of them with the reference `same`, and how often its provider was asked."""
    card = world.customer_with_card(gw)
    gw.orders.create(cart("bought"), account="shop")
    bought = gw.orders.get("bought", refresh=False).provider_id
    world.server.pay("aurpay", bought)
    made = world.creations()
    invoice = payout("same")
    user = gw.customers.get("c-42", account="cards", refresh=False).provider_id

    def count(provider: str, path: str) -> int:
        return sum(record.path == path for record in world.calls(provider, "POST"))

    def asked(provider: str, path: str) -> Callable[[], int]:
        before = count(provider, path)
        return lambda: count(provider, path) - before

    return {
        "order": (lambda: gw.orders.create(cart("same"), account="shop"), lambda: world.creations() - made),
        "payout": (lambda: gw.withdrawals.create(invoice, account="shop"), asked("aurpay", "/api/bln/withdraw")),
        "top-up": (
            lambda: gw.withdrawals.create(top_up(card, "same-card"), account="cards"),
            asked("aurex", f"/users/{user}/cards/{card}/topup"),
        ),
        "refund": (
            lambda: gw.refunds.create(RefundRequest(reference="same", order="bought")),
            asked("aurpay", f"/api/v2/order/refund/{bought}"),
        ),
        "customer": (
            lambda: gw.customers.create(
                CustomerRequest(reference="same", first_name="A", last_name="B"), account="cards"
            ),
            asked("aurex", "/users"),
        ),
        "card": (
            lambda: (
                gw.cards.create(
                    CardRequest(reference="same", customer="c-42", name="Travel", initial_balance="25 USD"),
                    account="cards",
                ).provider_id
            ),
            asked("aurex", f"/users/{user}/cards"),
        ),
        "trade": (
            lambda: gw.trades.create(trade(reference="same"), account="treasury"),
            asked("emirex", "/private/create-order"),
        ),
    }


@ON_BOTH
def test_every_kind_of_write_is_made_once_and_gives_its_recorded_result(world: World, colour: str) -> None:
    """One reference may name an order and a payout and a card: they are different things."""
    with world.gateway(colour) as gw:
        every = writes(world, gw)
        first = {kind: write() for kind, (write, _) in every.items()}
        assert {kind: asked() for kind, (_, asked) in every.items()} == dict.fromkeys(every, 1)
        for _ in range(2):
            assert {kind: write() for kind, (write, _) in every.items()} == first
        assert {kind: asked() for kind, (_, asked) in every.items()} == dict.fromkeys(every, 1)


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        (cart(), cart(price="26 USD"), "price"),
        (cart(), cart(pay_with="USDC@tron"), "pay_with"),
        (cart(), cart(description="another"), "description"),
        (cart(), cart(metadata={"a": "b"}), "metadata"),
        (cart(), cart(provider_options={"aurpay": {"fixed_encrypt_price": True}}), "provider_options"),
    ],
)
def test_another_order_under_the_same_reference_says_what_differs(
    world: World, colour: str, first: Any, second: Any, differs: str
) -> None:
    with world.gateway(colour) as gw:
        made = gw.orders.create(first, account="shop")
        with pytest.raises(IdempotencyConflict, match=differs) as error:
            gw.orders.create(second, account="shop")
        assert (error.value.outcome, error.value.reference) == ("not_sent", "cart-1001")
        assert gw.orders.get("cart-1001", refresh=False) == made
    assert world.creations() == 1


def test_another_request_under_the_same_reference_is_a_conflict_for_every_write(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        every = writes(world, gw)
        for write, _ in every.values():
            write()
        card = gw.cards.list(account="cards", customer="c-42")[0].provider_id
        for other in (
            lambda: gw.withdrawals.create(payout("same", "0.002"), account="shop"),
            lambda: gw.withdrawals.create(top_up(card, "same-card", "60 USD"), account="cards"),
            lambda: gw.refunds.create(RefundRequest(reference="same", order="bought", reason="another")),
            lambda: gw.customers.create(
                CustomerRequest(reference="same", first_name="A", last_name="C"), account="cards"
            ),
            lambda: gw.cards.create(
                CardRequest(reference="same", customer="c-42", name="Travel", initial_balance="26 USD"),
                account="cards",
            ),
            lambda: gw.trades.create(trade(reference="same", side="sell"), account="treasury"),
        ):
            with pytest.raises(IdempotencyConflict, match="another request"):
                other()
        assert [asked() for _, asked in every.values()] == [1] * len(every)


def test_the_same_amount_written_otherwise_is_the_same_request(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        made = gw.orders.create(cart(price="25.00 USD"), account="shop")
        assert gw.orders.create(cart(price="25 USD"), account="shop") == made
        assert gw.orders.create(cart(price="025.0 USD"), account="shop") == made
    assert world.creations() == 1


@ON_BOTH
def test_the_result_outlives_the_gateway(world: World, colour: str) -> None:
    with world.gateway(colour, store=world.store) as gw:
        made = gw.orders.create(cart(), account="shop")
    with world.gateway(colour, store=world.store) as gw:
        assert gw.orders.create(cart(), account="shop") == made
        assert gw.orders.create(cart()) == made
    assert world.creations() == 1


# At once


@ON_BOTH
def test_twenty_twins_in_threads_and_a_hundred_in_tasks_make_one_order(world: World, colour: str) -> None:
    count = 20 if colour == "sync" else 100
    with world.gateway(colour) as gw:
        found = gw.together(count, lambda raw, index: raw.orders.create(cart(), account="shop"))
        assert {getattr(order, "provider_id", order) for order in found} == {world.aurpay.orders()[0].id}
    assert world.creations() == 1


@ON_BOTH
def test_twins_of_a_payout_pay_once(world: World, colour: str) -> None:
    request = payout()
    with world.gateway(colour) as gw:
        found = gw.together(20, lambda raw, index: raw.withdrawals.create(request, account="shop"))
        assert {getattr(one, "status", one) for one in found} == {WithdrawalStatus.PENDING}
    assert len(world.payouts()) == 1


@ON_BOTH
def test_twins_that_differ_are_refused_but_for_one(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        found = gw.together(10, lambda raw, i: raw.orders.create(cart(price=f"{20 + i} USD"), account="shop"))
    conflicts = [one for one in found if isinstance(one, IdempotencyConflict)]
    assert (len(conflicts), world.creations()) == (9, 1)


def test_a_twin_that_takes_too_long_is_not_waited_for_longer_than_the_deadline(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(faults.Delay(seconds=1.5, method="POST"))
    with world.gateway(colour) as gw:

        def one(raw: Any, index: int) -> Any:
            return raw.orders.create(cart(), account="shop", deadline=10 if index == 0 else 0.4)

        # Whoever is first holds it; with the short deadline only the patient one can have the answer.
        found = gw.together(4, one)
        impatient = [error for error in found if isinstance(error, GatewayError)]
        assert impatient
        for error in impatient:
            # On a slow machine the short deadline can be over before anything is sent at all.
            assert isinstance(error, Conflict) or error.outcome in ("not_sent", "unknown")
    assert world.creations() == 1


@ON_BOTH
def test_four_processes_with_one_reference_make_one_order(world: World) -> None:
    world.server.faults("aurpay").add(faults.Delay(seconds=0.3, method="POST"))
    given = json.dumps({"store": world.store, "accounts": world.accounts()})
    twins = [
        subprocess.Popen([sys.executable, str(TWIN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [twin.communicate(given, timeout=60)[0].strip() for twin in twins]
    assert [twin.returncode for twin in twins] == [0] * 4
    assert set(said) == {world.aurpay.orders()[0].id}
    assert world.creations() == 1


# What a refusal means for the reference


@ON_BOTH
def test_a_recorded_rejection_is_repeated_without_a_call(world: World, colour: str) -> None:
    request = payout("too-much", "0.5")
    no = faults.Status(
        method="POST", status=400, body='{"code": 1002, "message": "insufficient balance", "result": false}'
    )
    world.server.faults("aurpay").add(no)
    with world.gateway(colour) as gw:
        for number in range(3):
            with pytest.raises(GatewayError, match="insufficient balance") as error:
                gw.withdrawals.create(request, account="shop")
            assert (error.value.outcome, error.value.retryable, error.value.reference) == (
                "rejected",
                False,
                "too-much",
            )
            assert ("not sent again" in str(error.value)) is (number > 0)
        assert gw.withdrawals.get("too-much").status is WithdrawalStatus.FAILED
        (entry,) = gw.journal.show("too-much")
        assert (entry.state, entry.error["outcome"]) == ("rejected", "rejected")
    assert len(world.calls("aurpay", "POST")) == 1
    assert world.payouts() == []


def test_a_recorded_rejection_keeps_its_class_and_code(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        card = world.customer_with_card(gw)
        for _ in range(2):
            with pytest.raises(InsufficientFunds) as error:
                gw.withdrawals.create(top_up(card, amount="10000 USD"), account="cards")
            assert (error.value.provider_code, error.value.provider, error.value.account) == ("409", "aurex", "cards")
    assert len(world.calls("aurex", "POST")) == 3


def test_a_rejected_order_has_failed_and_can_be_renewed_elsewhere(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(faults.Status(status=422, body='{"code": 7, "message": "no"}', method="POST"))
    with world.gateway(colour) as gw:
        for _ in range(2):
            with pytest.raises(InvalidRequest, match="no"):
                gw.orders.create(cart(), account="shop")
        order = gw.orders.get("cart-1001")
        assert (order.status, order.attempts[0].error["error"]) == (OrderStatus.FAILED, "InvalidRequest")
        renewed = gw.orders.renew("cart-1001", account="backup")
        assert (renewed.status, renewed.account, len(renewed.attempts)) == (OrderStatus.PENDING, "backup", 2)
        assert gw.orders.create(cart(), account="shop").provider_id == renewed.provider_id
    assert world.creations() == 2


def test_a_key_that_was_not_accepted_leaves_the_reference_free(world: World, colour: str) -> None:
    wrong = {"auth": {"kind": "api-key", "api_key": "wrong-key"}}
    request = payout()
    with world.gateway(colour, store=world.store, accounts=world.accounts(shop=wrong)) as gw:
        for _ in range(2):
            with pytest.raises(AuthenticationFailed):
                gw.orders.create(cart(), account="shop")
        with pytest.raises(AuthenticationFailed):
            gw.withdrawals.create(request, account="shop")
        assert gw.orders.get("cart-1001").status is OrderStatus.CREATING
        assert gw.orders.get("cart-1001").exceptions == frozenset()
        with pytest.raises(NotFound):
            gw.withdrawals.get("payout-77")
        assert {entry.state for entry in gw.journal.list()} == {"intended"}
    with world.gateway(colour, store=world.store) as gw:
        made = gw.orders.create(cart(), account="shop")
        assert (made.status, len(made.attempts)) == (OrderStatus.PENDING, 1)
        assert gw.withdrawals.create(request, account="shop").status is WithdrawalStatus.PENDING
    assert len(world.payouts()) == 1


def test_an_order_that_was_not_sent_goes_on_at_the_account_where_it_was_begun(world: World, colour: str) -> None:
    wrong = {"auth": {"kind": "api-key", "api_key": "wrong-key"}}
    with world.gateway(colour, store=world.store, accounts=world.accounts(shop=wrong)) as gw:
        with pytest.raises(AuthenticationFailed):
            gw.orders.create(cart(), account="shop")
        with pytest.raises(AuthenticationFailed):
            gw.orders.create(cart(), account="backup")
        # To go elsewhere is said in so many words.
        renewed = gw.orders.renew("cart-1001", account="backup")
        assert (renewed.account, [attempt.status for attempt in renewed.attempts]) == (
            "backup",
            [OrderStatus.FAILED, OrderStatus.PENDING],
        )
        assert gw.orders.create(cart(), account="shop") == renewed


def test_too_many_requests_leave_the_reference_free(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(faults.Status(status=429, headers={"Retry-After": "900"}, method="POST"))
    with world.gateway(colour) as gw:
        with pytest.raises(RateLimited) as error:
            gw.orders.create(cart(), account="shop")
        assert (error.value.outcome, error.value.retryable, error.value.retry_after) == ("rejected", True, 900)
        (entry,) = gw.journal.show("cart-1001")
        assert entry.state == "intended"
        # The key rests for as long as the provider said; another account has another key.
        with pytest.raises(RateLimited) as error:
            gw.orders.create(cart(), account="shop")
        assert error.value.outcome == "not_sent"
    with world.gateway(colour) as gw:
        assert gw.orders.create(cart(), account="shop").status is OrderStatus.PENDING


def test_an_unavailable_provider_is_asked_again_by_itself(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(faults.Status(status=503, headers={"Retry-After": "0"}, times=2, method="POST"))
    with world.gateway(colour) as gw:
        assert gw.orders.create(cart(), account="shop").status is OrderStatus.PENDING
    assert [record.status for record in world.calls("aurpay", "POST")] == [503, 503, 200]


def test_a_provider_that_cannot_be_reached_leaves_the_reference_free(world: World, colour: str) -> None:
    nowhere = {"base_url": "http://127.0.0.1:9"}
    with world.gateway(colour, store=world.store, accounts=world.accounts(shop=nowhere)) as gw:
        with pytest.raises(ProviderUnavailable) as error:
            gw.withdrawals.create(payout(), account="shop", deadline=0.5)
        assert error.value.outcome == "not_sent"
        assert gw.withdrawals.list() == []
        assert [entry.state for entry in gw.journal.show("payout-77")] == ["intended"]


def test_a_login_that_is_refused_leaves_the_reference_free(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(
        faults.Status(status=422, body='{"code": 7, "message": "locked"}', method="POST", path="/api/plugin")
    )
    request = payout()
    with world.gateway(colour) as gw:
        with pytest.raises(InvalidRequest, match="locked"):
            gw.withdrawals.create(request, account="login")
        assert [entry.state for entry in gw.journal.show("payout-77")] == ["intended"]
        assert gw.withdrawals.list() == []
        assert gw.withdrawals.create(request, account="login").status is WithdrawalStatus.PENDING
    assert len(world.payouts()) == 1


def test_a_bad_request_is_not_recorded(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        world.customer_with_card(gw)
        recorded = gw.journal.list()
        for bad in (
            lambda: gw.orders.create(cart(pay_with="DOGE@dogecoin"), account="shop"),
            lambda: gw.orders.create(
                cart(price="9 EUR", pay_with="USDT", customer="c-42", settles_to="customer"), account="cards"
            ),
            lambda: gw.withdrawals.create(top_up("card_1", amount="9.99 USD"), account="cards"),
            lambda: gw.withdrawals.create(top_up("card_1", amount="10000.01 USD"), account="cards"),
            lambda: gw.cards.create(
                CardRequest(reference="r", customer="c-42", name="T", initial_balance="24.99 USD"), account="cards"
            ),
            lambda: gw.withdrawals.create(
                WithdrawalRequest(reference="r", amount="1 USD", to=CryptoAddress(ADDRESS)), account="shop"
            ),
        ):
            with pytest.raises(InvalidRequest) as error:
                bad()
            assert error.value.outcome == "not_sent"
        assert gw.journal.list() == recorded
        assert gw.orders.list() == gw.withdrawals.list() == []
    assert world.calls("aurpay", "POST") == []
    assert len(world.calls("aurex", "POST")) == 2


def test_a_refund_is_made_under_one_reference_only(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        with pytest.raises(Conflict, match="is pending: there is nothing to refund"):
            gw.refunds.create(RefundRequest(reference="refund-1", order="cart-1001"))
        world.server.pay("aurpay", order.provider_id)
        gw.refunds.create(RefundRequest(reference="refund-1", order="cart-1001"))
        with pytest.raises(Conflict, match="has the refund refund-1"):
            gw.refunds.create(RefundRequest(reference="refund-2", order="cart-1001"))
        with pytest.raises(NotFound, match="no refund refund-2"):
            gw.refunds.get("refund-2")
        with pytest.raises(NotFound, match="no order cart-9"):
            gw.refunds.create(RefundRequest(reference="refund-3", order="cart-9"))
        with pytest.raises(InvalidRequest, match="whole orders only"):
            gw.refunds.create(RefundRequest(reference="refund-4", order="cart-1001", amount=Decimal(1) * order.price))
    assert len(world.aurpay.ledger()["refunds"]) == 1
