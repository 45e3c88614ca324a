"""Writes whose answer is lost: never sent again, shown as what they are, and settled by evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flows.world import ON_BOTH, World, cart, payout, top_up
from gateway.errors import (
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    StoreError,
)
from gateway.models import (
    CardRequest,
    CardStatus,
    CustomerRequest,
    OrderException,
    OrderStatus,
    RefundRequest,
    RefundStatus,
    TradeRequest,
    TradeStatus,
    WithdrawalStatus,
)
from gateway.testing import faults
from support.colours import Opened

TRADE = TradeRequest(reference="it", market="BTC/USDC", side="buy", volume="0.01", rate="100.5")
UNCONFIRMED = frozenset({OrderException.UNCONFIRMED})
LOSSES: dict[str, Callable[[], faults.CallFault]] = {
    "dropped": lambda: faults.Drop(executed=True, method="POST"),
    "500": lambda: faults.Status(status=500, executed=True, method="POST"),
    "502": lambda: faults.Status(status=502, executed=True, method="POST"),
    "504": lambda: faults.Status(status=504, executed=True, method="POST"),
    "redirect": lambda: faults.Status(status=302, headers={"Location": "/"}, executed=True, method="POST"),
    "truncated": lambda: faults.Truncated(method="POST"),
    "foreign": lambda: faults.Foreign(executed=True, method="POST"),
    "empty": lambda: faults.Empty(executed=True, method="POST"),
    "late": lambda: faults.Delay(seconds=30, executed=True, method="POST"),
}


def lost(write: Callable[[], Any]) -> OutcomeUnknown:
    """The write's answer was lost, and asking again is not sending again."""
    with pytest.raises(OutcomeUnknown) as error:
        write()
    assert error.value.outcome == "unknown"
    assert not error.value.retryable
    assert "journal settle" in error.value.hint
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="not sent again") as again:
            write()
        assert (again.value.account, again.value.reference) == (error.value.account, error.value.reference)
    return error.value


@pytest.mark.parametrize("how", LOSSES)
def test_an_order_whose_answer_is_lost_is_not_made_again(world: World, colour: str, how: str) -> None:
    world.server.faults("aurpay").add(LOSSES[how]())
    with world.gateway(colour) as gw:
        deadline = {"deadline": 0.5} if how == "late" else {}
        lost(lambda: gw.orders.create(cart(), account="shop", **deadline))
        order = gw.orders.get("cart-1001")
        assert (order.status, order.exceptions, order.provider_id) == (OrderStatus.CREATING, UNCONFIRMED, None)
        assert order.attempts[0].error["error"] == "OutcomeUnknown"
        (entry,) = gw.journal.list(states=["unknown"])
        assert (entry.reference, entry.operation, entry.account) == ("cart-1001", "orders.create", "shop")
    assert world.creations() == 1


@ON_BOTH
def test_a_payout_whose_answer_is_lost_is_not_paid_again(world: World, colour: str) -> None:
    request = payout()
    world.lose_answer()
    with world.gateway(colour, store=world.store) as gw:
        lost(lambda: gw.withdrawals.create(request, account="shop"))
        assert gw.withdrawals.get("payout-77").status is WithdrawalStatus.UNCONFIRMED
        assert [one.reference for one in gw.withdrawals.list(status="unconfirmed")] == ["payout-77"]
    with world.gateway(colour, store=world.store) as gw:
        with pytest.raises(OutcomeUnknown):
            gw.withdrawals.create(request, account="shop")
        with pytest.raises(Conflict, match="a payout from shop, not from backup"):
            gw.withdrawals.create(request, account="backup")
        gw.journal.settle("payout-77", outcome="done", reason="it is in the dashboard", provider_id="tx-1", by="ops")
        paid = gw.withdrawals.create(request, account="shop")
        assert (paid.status, paid.provider_id) == (WithdrawalStatus.COMPLETED, "tx-1")
    assert len(world.payouts()) == len(world.calls("aurpay", "POST")) == 1


def test_a_payout_that_never_reached_the_provider_is_settled_as_failed(world: World, colour: str) -> None:
    request = payout()
    world.server.faults("aurpay").add(faults.Drop(executed=False, method="POST"))
    with world.gateway(colour) as gw:
        lost(lambda: gw.withdrawals.create(request, account="shop"))
        entry = gw.journal.settle("payout-77", outcome="failed", reason="not in the dashboard after a day", by="ops")
        assert (entry.state, entry.settled_by, entry.settled_reason) == (
            "rejected",
            "ops",
            "not in the dashboard after a day",
        )
        assert gw.withdrawals.get("payout-77").status is WithdrawalStatus.FAILED
        with pytest.raises(GatewayError, match="settled by hand as failed by ops"):
            gw.withdrawals.create(request, account="shop")
        assert gw.withdrawals.create(payout("payout-78"), account="shop").status is WithdrawalStatus.PENDING
    assert len(world.payouts()) == 1


@ON_BOTH
def test_an_order_is_settled_with_its_providers_number_and_followed_from_then_on(world: World, colour: str) -> None:
    world.lose_answer()
    with world.gateway(colour) as gw:
        lost(lambda: gw.orders.create(cart(), account="shop"))
        (made,) = world.aurpay.orders()
        with pytest.raises(InvalidRequest, match="only with the provider's number"):
            gw.journal.settle("cart-1001", outcome="done", reason="seen")
        assert gw.orders.get("cart-1001").exceptions == UNCONFIRMED
        gw.journal.settle("cart-1001", outcome="done", reason="seen", provider_id=made.id)
        assert gw.orders.get("cart-1001", refresh=False).exceptions == frozenset()
        assert gw.orders.create(cart(), account="shop").provider_id == made.id
        world.server.pay("aurpay", made.id)
        order = gw.orders.get("cart-1001")
        assert (order.status, order.exceptions, order.price) == (OrderStatus.PAID, frozenset(), cart().price)
        assert order.attempts[0].error is None
    assert world.creations() == 1


def test_an_order_that_was_not_made_is_settled_as_failed_and_may_be_renewed(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(faults.Drop(executed=False, method="POST"))
    with world.gateway(colour) as gw:
        lost(lambda: gw.orders.create(cart(), account="shop"))
        gw.journal.settle("cart-1001", outcome="failed", reason="no such order in the dashboard")
        order = gw.orders.get("cart-1001")
        assert (order.status, order.exceptions) == (OrderStatus.FAILED, frozenset())
        assert gw.orders.renew("cart-1001").status is OrderStatus.PENDING


def test_a_refund_whose_answer_is_lost_is_confirmed_by_the_order(world: World, colour: str) -> None:
    request = RefundRequest(reference="it", order="cart-1001")
    with world.gateway(colour) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        world.server.pay("aurpay", number)
        world.lose_answer()
        lost(lambda: gw.refunds.create(request))
        assert gw.refunds.get("it").status is RefundStatus.UNCONFIRMED
        with pytest.raises(Conflict, match="has the refund it"):
            gw.refunds.create(RefundRequest(reference="another", order="cart-1001"))
        world.aurpay.complete_refund(number)
        assert gw.refunds.get("it").status is RefundStatus.COMPLETED
        assert gw.orders.get("cart-1001").status is OrderStatus.REFUNDED
    assert len(world.aurpay.ledger()["refunds"]) == 1


@pytest.mark.parametrize(("outcome", "then"), [("done", RefundStatus.PROCESSING), ("failed", RefundStatus.FAILED)])
def test_a_refund_is_settled(world: World, outcome: str, then: RefundStatus) -> None:
    with world.gateway() as gw:
        world.server.pay("aurpay", gw.orders.create(cart(), account="shop").provider_id)
        world.server.faults("aurpay").add(faults.Drop(executed=outcome == "done", method="POST"))
        lost(lambda: gw.refunds.create(RefundRequest(reference="it", order="cart-1001")))
        gw.journal.settle("it", outcome=outcome, reason="seen")
        assert gw.refunds.get("it", refresh=False).status is then
        if outcome == "failed":
            assert gw.refunds.create(RefundRequest(reference="again", order="cart-1001")).status != then
    assert len(world.aurpay.ledger()["refunds"]) == 1


def test_a_customer_whose_answer_is_lost(world: World, colour: str) -> None:
    request = CustomerRequest(reference="it", first_name="Ada", last_name="Example")
    world.lose_answer("aurex")
    with world.gateway(colour) as gw:
        lost(lambda: gw.customers.create(request, account="cards"))
        with pytest.raises(NotFound):
            gw.customers.get("it", account="cards")
        (user,) = world.aurex.ledger()["users"]
        gw.journal.settle("it", outcome="done", reason="seen", provider_id=user["userId"])
        assert gw.customers.create(request, account="cards").provider_id == user["userId"]
        assert gw.customers.get("it", account="cards").first_name == "Ada"
    assert len(world.aurex.ledger()["users"]) == 1


def test_a_card_whose_answer_is_lost(world: World, colour: str) -> None:
    request = CardRequest(reference="it", customer="c-42", name="Office", initial_balance="25 USD")
    with world.gateway(colour) as gw:
        world.customer_with_card(gw)
        world.lose_answer("aurex")
        lost(lambda: gw.cards.create(request, account="cards"))
        card = world.aurex.ledger()["cards"][1]["id"]
        gw.journal.settle("it", outcome="done", reason="seen in the list of cards", provider_id=card)
        found = gw.cards.create(request, account="cards")
        assert (found.provider_id, found.status, found.number) == (card, CardStatus.UNRECOGNISED, None)
        assert gw.cards.reveal(account="cards", customer="c-42", card=card).status is CardStatus.ACTIVE
    assert len(world.aurex.ledger()["cards"]) == 2


def test_a_top_up_whose_answer_is_lost(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        card = world.customer_with_card(gw)
        world.lose_answer("aurex")
        lost(lambda: gw.withdrawals.create(top_up(card), account="cards"))
        gw.journal.settle("load-1", outcome="done", reason="the card's balance shows it")
        done = gw.withdrawals.create(top_up(card), account="cards")
        assert (done.status, done.provider_id) == (WithdrawalStatus.COMPLETED, None)
    assert [one["kind"] for one in world.aurex.ledger()["movements"]].count("topup") == 1


@ON_BOTH
@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_a_trade_whose_answer_is_lost(world: World, colour: str, outcome: str) -> None:
    world.server.faults("emirex").add(faults.Drop(executed=outcome == "done", method="POST"))
    with world.gateway(colour) as gw:
        lost(lambda: gw.trades.create(TRADE, account="treasury"))
        assert gw.trades.get("it").status is TradeStatus.UNCONFIRMED
        with pytest.raises(Conflict, match="whether it was placed is not known"):
            gw.trades.cancel("it")
        if outcome == "failed":
            gw.journal.settle("it", outcome="failed", reason="it is not in the book")
            with pytest.raises(NotFound):
                gw.trades.get("it")
            with pytest.raises(GatewayError, match="settled by hand"):
                gw.trades.create(TRADE, account="treasury")
        else:
            (number,) = [trade["id"] for trade in world.emirex.ledger()["trades"]]
            gw.journal.settle("it", outcome="done", reason="it is in the book", provider_id=number)
            assert gw.trades.get("it").status is TradeStatus.OPEN
            assert gw.trades.cancel("it").status is TradeStatus.CANCELLED
    assert len(world.calls("emirex", "POST", "/private/create-order")) == 1


def test_a_cancellation_whose_answer_is_lost_may_be_repeated(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        gw.trades.create(TRADE, account="treasury")
        world.lose_answer("emirex", "/private/delete-order")
        with pytest.raises(OutcomeUnknown):
            gw.trades.cancel("it")
        assert gw.trades.get("it").status is TradeStatus.CANCELLED
        assert gw.trades.cancel("it").status is TradeStatus.CANCELLED


# The journal


@ON_BOTH
def test_the_journal_shows_what_was_sent_and_how_it_ended(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        gw.orders.create(cart(), account="shop")
        world.lose_answer()
        with pytest.raises(OutcomeUnknown):
            gw.withdrawals.create(payout(), account="backup")
        assert [(entry.reference, entry.state) for entry in gw.journal.list()] == [
            ("payout-77", "unknown"),
            ("cart-1001", "done"),
        ]
        assert [entry.reference for entry in gw.journal.list(account="shop")] == ["cart-1001"]
        assert [entry.reference for entry in gw.journal.list(states=["done", "rejected"])] == ["cart-1001"]
        assert len(gw.journal.list(limit=1)) == 1
        (entry,) = gw.journal.show("cart-1001")
        assert (entry.operation, entry.scope, entry.provider, entry.environment) == (
            "orders.create",
            "1",
            "aurpay",
            "sandbox",
        )
        assert entry.provider_id == gw.orders.get("cart-1001").provider_id
        assert entry.request["price"] == {"amount": "25", "asset": "USD"}
        assert entry.to_dict()["state"] == "done"
        assert gw.journal.show("nothing") == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"reference": "payout-78", "reason": "seen"}, NotFound),
        ({"reference": "cart-1001", "reason": "seen"}, Conflict),
        ({"reference": "payout-77", "reason": " "}, InvalidRequest),
        ({"reference": "payout-77", "reason": "seen", "operation": "orders.create"}, NotFound),
        ({"reference": "payout-77", "reason": "seen", "scope": "2"}, NotFound),
        ({"reference": "payout-77", "reason": "seen", "outcome": "perhaps"}, InvalidRequest),
        ({"reference": "payout-77", "reason": "seen", "by": ""}, None),
    ],
)
def test_what_cannot_be_settled_is_refused_and_changes_nothing(
    world: World, colour: str, given: dict[str, Any], error: type[GatewayError] | None
) -> None:
    with world.gateway(colour) as gw:
        gw.orders.create(cart(), account="shop")
        world.lose_answer()
        with pytest.raises(OutcomeUnknown):
            gw.withdrawals.create(payout(), account="shop")
        before = gw.journal.list()
        settle = {"outcome": "done", **given}
        if error is None:  # nobody named: whoever runs this process
            assert gw.journal.settle(settle.pop("reference"), **settle).settled_by
            return
        with pytest.raises(error):
            gw.journal.settle(settle.pop("reference"), **settle)
        assert gw.journal.list() == before


def test_a_settled_write_is_not_settled_again(world: World, colour: str) -> None:
    world.lose_answer()
    with world.gateway(colour) as gw:
        with pytest.raises(OutcomeUnknown):
            gw.withdrawals.create(payout(), account="shop")
        gw.journal.settle("payout-77", outcome="done", reason="seen")
        with pytest.raises(Conflict, match="is done"):
            gw.journal.settle("payout-77", outcome="failed", reason="changed my mind")


def test_which_of_several_unknown_writes_is_said_by_operation_and_scope(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        for _ in range(2):
            world.lose_answer()
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart("it"), account="shop")
        with pytest.raises(OutcomeUnknown):
            gw.orders.renew("it")
        first, second = (order.id for order in world.aurpay.orders())
        with pytest.raises(InvalidRequest, match="several entries are unknown"):
            gw.journal.settle("it", outcome="done", reason="seen", provider_id=first)
        with pytest.raises(InvalidRequest, match="several entries are unknown"):
            gw.journal.settle("it", outcome="done", reason="seen", operation="orders.create", provider_id=first)
        gw.journal.settle("it", outcome="done", reason="seen", scope="1", provider_id=first)
        gw.journal.settle("it", outcome="done", reason="seen", provider_id=second)
        assert [attempt.provider_id for attempt in gw.orders.get("it").attempts] == [first, second]


# Attempts after an unknown one


def test_after_an_unknown_attempt_another_is_made_and_both_are_watched(world: World, colour: str) -> None:
    world.lose_answer()
    with world.gateway(colour) as gw:
        lost(lambda: gw.orders.create(cart(), account="shop"))
        renewed = gw.orders.renew("cart-1001", account="backup")
        assert (renewed.status, renewed.account, renewed.exceptions) == (OrderStatus.PENDING, "backup", UNCONFIRMED)
        first, second = (order.id for order in world.aurpay.orders())
        assert [attempt.provider_id for attempt in renewed.attempts] == [None, second]
        gw.journal.settle("cart-1001", outcome="done", reason="found in the dashboard", provider_id=first)
        world.server.pay("aurpay", first, "late")
        order = gw.orders.get("cart-1001")
        assert (order.status, order.account, order.exceptions) == (OrderStatus.PAID, "shop", frozenset())
        world.server.pay("aurpay", second)
        order = gw.orders.get("cart-1001")
        assert (order.status, order.exceptions) == (OrderStatus.PAID, frozenset({OrderException.OVER}))
        assert [attempt.status for attempt in order.attempts] == [OrderStatus.PAID, OrderStatus.PAID]


def test_late_money_on_an_expired_attempt_counts_beside_the_renewed_one(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        first = gw.orders.create(cart(), account="shop").provider_id
        world.server.expire("aurpay", first)
        second = gw.orders.renew("cart-1001").provider_id
        world.server.pay("aurpay", second)
        world.server.pay("aurpay", first, "late")
        order = gw.orders.get("cart-1001")
        # Of two that are paid the latest leads; what is unusual about the other one stays on its attempt.
        assert (order.status, order.provider_id) == (OrderStatus.PAID, second)
        assert order.exceptions == {OrderException.OVER}
        assert order.attempts[0].exceptions == {OrderException.LATE}


def test_an_attempt_that_is_on_its_way_is_not_doubled(world: World, colour: str) -> None:
    """`creating` alone does not say that an attempt is lost: its answer may be coming."""
    world.server.faults("aurpay").add(faults.Delay(seconds=1, method="POST"))
    with world.gateway(colour) as gw:
        seen: list[Any] = []

        def renew_meanwhile(gw: Opened) -> Callable[[Any, int], Any]:
            if colour == "sync":

                def threaded(raw: Any, index: int) -> Any:
                    if index == 0:
                        return raw.orders.create(cart(), account="shop")
                    while not raw.journal.show("cart-1001") or raw.journal.show("cart-1001")[0].state != "sent":
                        pass
                    return raw.orders.renew("cart-1001")

                return threaded

            async def tasked(raw: Any, index: int) -> Any:
                if index == 0:
                    return await raw.orders.create(cart(), account="shop")
                while not (found := await raw.journal.show("cart-1001")) or found[0].state != "sent":
                    pass
                return await raw.orders.renew("cart-1001")

            return tasked

        seen = gw.together(2, renew_meanwhile(gw))
        assert seen[0].status is OrderStatus.PENDING
        assert isinstance(seen[1], Conflict)
        assert seen[1].retryable
        assert len(gw.orders.get("cart-1001").attempts) == 1
    assert world.creations() == 1


# Answers that are not what was asked for


def answer(**changes: str) -> str:
    fields = {
        "order_id": '"20240426103947614609"',
        "status": '"PENDING"',
        "amount": "25.01",
        "vs_currency": '"USD"',
        "vs_price": "25",
        "address": '"TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"',
    } | changes
    return '{"code": 0, "data": {' + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}}"


@pytest.mark.parametrize(
    "changes", [{"vs_price": "250"}, {"vs_currency": '"EUR"'}, {"chain": '"ETH"'}, {"currency": '"USDC-TRC20"'}]
)
def test_an_order_for_another_price_or_coin_is_not_taken_over(
    world: World, colour: str, changes: dict[str, str]
) -> None:
    world.server.faults("aurpay").add(faults.Status(status=200, body=answer(**changes), executed=True, method="POST"))
    with world.gateway(colour) as gw:
        lost(lambda: gw.orders.create(cart(), account="shop"))
        assert gw.orders.get("cart-1001").exceptions == UNCONFIRMED


def deposit(amount: int, coin: str) -> str:
    fields = (
        f'"depositId": "dep_1", "amount": {amount}, "currency": "{coin}", "depositAddress": "x", "status": "waiting"'
    )
    return f'{{"success": true, "data": {{{fields}}}}}'


def test_a_deposit_for_another_price_is_not_taken_over(world: World, colour: str) -> None:
    body = deposit(90, "USDT")
    with world.gateway(colour) as gw:
        world.customer_with_card(gw)
        world.server.faults("aurex").add(faults.Status(status=200, body=body, method="POST"))
        request = cart(price="100 USD", pay_with="USDT", customer="c-42", settles_to="customer")
        with pytest.raises(OutcomeUnknown, match=r"asked for 100 USD, the order .*dep_1 is for 90 USD"):
            gw.orders.create(request, account="cards")
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            gw.orders.create(request, account="cards")


def test_a_deposit_in_another_coin_is_not_taken_over(world: World) -> None:
    body = deposit(100, "SOL")
    with world.gateway() as gw:
        world.customer_with_card(gw)
        world.server.faults("aurex").add(faults.Status(status=200, body=body, method="POST"))
        with pytest.raises(OutcomeUnknown, match="asked to be paid in USDT"):
            gw.orders.create(
                cart(price="100 USD", pay_with="USDT", customer="c-42", settles_to="customer"), account="cards"
            )


def test_a_top_up_of_another_amount_is_not_taken_for_the_one_asked_for(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        card = world.customer_with_card(gw)
        body = (
            f'{{"success": true, "data": {{"cardId": "{card}", "newBalance": 600, "rechargeAmount": 500, "fees": 15}}}}'
        )
        world.server.faults("aurex").add(faults.Status(status=200, body=body, method="POST"))
        with pytest.raises(OutcomeUnknown, match="asked for 50 USD, the provider paid 500 USD"):
            gw.withdrawals.create(top_up(card), account="cards")
        assert gw.withdrawals.get("load-1").status is WithdrawalStatus.UNCONFIRMED


def test_one_number_of_the_provider_for_two_purchases_is_never_taken_silently(world: World, colour: str) -> None:
    body = answer()
    world.server.faults("aurpay").add(faults.Status(status=200, body=body, times=2, method="POST"))
    with world.gateway(colour) as gw:
        gw.orders.create(cart("first"), account="shop")
        with pytest.raises(OutcomeUnknown, match="belongs to first"):
            gw.orders.create(cart("second"), account="shop")
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            gw.orders.create(cart("second"), account="shop")
        assert gw.orders.get("second", refresh=False).exceptions == UNCONFIRMED
        with pytest.raises(Conflict, match="belongs to first"):
            gw.journal.settle("second", outcome="done", reason="seen", provider_id="20240426103947614609")
        assert gw.journal.show("second")[0].state == "unknown"
        assert gw.orders.get("first", refresh=False).provider_id == "20240426103947614609"


def test_a_store_that_fails_after_the_provider_acted_says_so(
    world: World, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store import withdrawals as store

    request = payout()
    save = store.save_withdrawal
    broken = True

    def failing(*given: Any, **named: Any) -> None:
        if broken:
            raise StoreError("the disk is full")
        save(*given, **named)

    with world.gateway(colour) as gw:
        monkeypatch.setattr("gateway.flows.withdrawals.store.save_withdrawal", failing)
        with pytest.raises(OutcomeUnknown, match=r"carried it out .*the disk is full") as error:
            gw.withdrawals.create(request, account="shop")
        assert "mend the store" in error.value.hint
        broken = False
        with pytest.raises((OutcomeUnknown, Conflict)):
            gw.withdrawals.create(request, account="shop", deadline=1)
    assert len(world.payouts()) == 1


def test_a_reference_of_the_sandbox_is_not_that_of_the_live_account(world: World, colour: str) -> None:
    with world.gateway(colour, store=world.store) as gw:
        gw.orders.create(cart(), account="shop")
        gw.trades.create(TRADE, account="treasury")
    live = {"environment": "live"}
    accounts = world.accounts(shop=live, treasury=live)
    with world.gateway(colour, store=world.store, accounts=accounts) as gw:
        with pytest.raises(InvalidRequest, match="belongs to the sandbox environment"):
            gw.orders.create(cart(), account="shop")
        with pytest.raises(IdempotencyConflict, match="in the sandbox environment, and this call is live"):
            gw.orders.create(cart())
        with pytest.raises(IdempotencyConflict, match="in the sandbox environment, and this call is live"):
            gw.trades.create(TRADE, account="treasury")
        with pytest.raises(InvalidRequest, match="belongs to the sandbox environment"):
            gw.orders.get("cart-1001")
    assert world.creations() == 1
