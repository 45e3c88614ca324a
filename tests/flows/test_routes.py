"""Which account serves a call: named, routed, or chosen by a plugin; and whose money an order becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from flows.world import World, cart, payout, top_up
from gateway.errors import ConfigurationError, InvalidRequest, UnsupportedOperation, UnverifiedOperation
from gateway.hookspecs import hookimpl
from gateway.models import CustomerRequest, TradeRequest
from gateway.plugins import load_plugins
from support.colours import opened


def route(*accounts: str, operation: str = "orders.create", **conditions: Any) -> dict[str, Any]:
    return {"operation": operation, "accounts": list(accounts), **conditions}


def test_the_first_account_of_the_route_that_offers_the_call_serves_it(world: World, colour: str) -> None:
    with world.gateway(colour, routes=[route("treasury", "backup", "shop")]) as gw:
        assert gw.orders.create(cart()).account == "backup"


def test_an_account_that_is_named_needs_no_route(world: World, colour: str) -> None:
    with world.gateway(colour, routes=[route("backup")]) as gw:
        assert gw.orders.create(cart(), account="shop").account == "shop"


def test_one_account_needs_no_route(world: World, colour: str) -> None:
    with world.gateway(colour, accounts={"shop": world.accounts()["shop"]}) as gw:
        assert gw.orders.create(cart()).account == "shop"


def test_several_accounts_need_one(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        with pytest.raises(ConfigurationError, match=r"no route for orders\.create fits") as error:
            gw.orders.create(cart())
        assert "name an account in the call" in error.value.hint
        assert gw.journal.list() == []


@pytest.mark.parametrize(
    ("conditions", "fitting", "others"),
    [
        ({"currency": "EUR"}, {"price": "10 EUR"}, [{"price": "10 USD"}]),
        ({"currency": ["EUR", "GBP"]}, {"price": "10 GBP"}, [{"price": "10 USD"}]),
        ({"pay_with": "BTC@lightning"}, {"pay_with": "BTC@lightning"}, [{"pay_with": "USDT@tron"}, {"pay_with": None}]),
        ({"min": "100 USD"}, {"price": "100 USD"}, [{"price": "99.99 USD"}, {"price": "500 EUR"}]),
        ({"max": "100 USD"}, {"price": "100 USD"}, [{"price": "100.01 USD"}, {"price": "5 EUR"}]),
        (
            {"min": "10 USD", "max": "20 USD", "currency": "USD"},
            {"price": "15 USD"},
            [{"price": "9 USD"}, {"price": "21 USD"}],
        ),
    ],
)
def test_all_conditions_of_a_route_must_hold(
    world: World, colour: str, conditions: dict[str, Any], fitting: dict[str, Any], others: list[dict[str, Any]]
) -> None:
    with world.gateway(colour, routes=[route("backup", **conditions), route("shop")]) as gw:
        assert gw.orders.create(cart("fits", **fitting)).account == "backup"
        for number, other in enumerate(others):
            assert gw.orders.create(cart(f"other-{number}", **other)).account == "shop"


def test_payouts_are_routed_by_amount_and_currency(world: World, colour: str) -> None:
    routes = [
        route("backup", operation="withdrawals.create", max="0.0005 BTC@lightning"),
        route("shop", operation="withdrawals.create", currency="BTC@lightning", min="0.0005 BTC@lightning"),
    ]
    with world.gateway(colour, routes=routes) as gw:
        assert gw.withdrawals.create(payout("small", "0.0001")).account == "backup"
        assert gw.withdrawals.create(payout("large", "0.001")).account == "shop"
        with pytest.raises(ConfigurationError, match="no route for withdrawals"):
            gw.withdrawals.create(top_up("card_1"))


def test_other_writes_are_routed_too(world: World, colour: str) -> None:
    routes = [route("cards", operation="customers.create"), route("treasury", operation="trades.create")]
    with world.gateway(colour, routes=routes) as gw:
        assert gw.customers.create(CustomerRequest(reference="c", first_name="A", last_name="B")).account == "cards"
        trade = TradeRequest(reference="t", market="BTC/USDC", side="buy", volume="0.01", rate="100")
        assert gw.trades.create(trade).account == "treasury"


def test_when_no_account_can_do_it_all_reasons_are_told(world: World, colour: str) -> None:
    with world.gateway(colour, routes=[route("shop", "treasury"), route("cards", settles_to="customer")]) as gw:
        with pytest.raises(UnsupportedOperation, match="none of the accounts shop, treasury") as error:
            gw.orders.create(cart(pay_with="USDT", settles_to="merchant"))
        assert "takes payments" in error.value.message
    with (
        world.gateway(colour, routes=[route("treasury")]) as gw,
        pytest.raises(UnsupportedOperation, match="takes payments"),
    ):
        gw.orders.create(cart())
    nothing = world.accounts(treasury={"allow_inferred": []})
    routes = [route("treasury", operation="trades.create")]
    with world.gateway(colour, accounts=nothing, routes=routes) as gw, pytest.raises(UnverifiedOperation):
        gw.trades.create(TradeRequest(reference="t", market="BTC/USDC", side="buy", volume="0.01", rate="100"))
    assert all(calls == [] for calls in world.server.requests.values())


# Whose money it becomes

DEPOSIT = {"price": "100 USD", "pay_with": "USDT", "customer": "c-42"}


def test_nothing_becomes_a_customers_money_unless_it_is_asked_for(world: World, colour: str) -> None:
    with world.gateway(colour, routes=[route("cards", "shop")]) as gw:
        world.customer_with_card(gw)
        # The route says nothing, so it asks for the merchant; the account that settles to customers is passed over.
        assert gw.orders.create(cart()).account == "shop"
        with pytest.raises(UnsupportedOperation):
            gw.orders.create(cart("deposit", **DEPOSIT))
        with pytest.raises(InvalidRequest, match="becomes the customer's money, not the merchant's") as error:
            gw.orders.create(cart("deposit", **DEPOSIT), account="cards")
        assert "settles_to='customer'" in error.value.hint
        with pytest.raises(InvalidRequest, match="becomes the merchant's money, not the customer's"):
            gw.orders.create(cart("deposit", settles_to="customer"), account="shop")
        with pytest.raises(ConfigurationError, match="no route"):
            gw.orders.create(cart("deposit", **DEPOSIT, settles_to="customer"))
        assert [order.reference for order in gw.orders.list()] == ["cart-1001"]
    assert world.aurex.ledger()["deposits"] == []


def test_a_single_account_that_settles_to_customers_is_not_used_implicitly(world: World, colour: str) -> None:
    with (
        world.gateway(colour, accounts={"cards": world.accounts()["cards"]}) as gw,
        pytest.raises(InvalidRequest, match="becomes the customer's money"),
    ):
        gw.orders.create(cart("deposit", **DEPOSIT))


def test_a_route_may_ask_for_settlement_to_the_customer(world: World, colour: str) -> None:
    with world.gateway(colour, routes=[route("shop"), route("cards", settles_to="customer")]) as gw:
        world.customer_with_card(gw)
        order = gw.orders.create(cart("deposit", **DEPOSIT, settles_to="customer"))
        assert (order.account, order.settles_to) == ("cards", "customer")
        assert gw.orders.create(cart("merchant", settles_to="merchant")).account == "shop"
        deposit = order.provider_id.partition("/")[2]
        world.server.expire("aurex", deposit)
        # A renewal keeps to whose money it is: never the merchant's account, whatever the routes' order.
        assert gw.orders.renew("deposit").account == "cards"


def test_a_route_alone_says_whose_money_it_becomes(world: World, colour: str) -> None:
    with world.gateway(colour, routes=[route("cards", settles_to="customer", pay_with="USDT")]) as gw:
        world.customer_with_card(gw)
        order = gw.orders.create(cart("deposit", **DEPOSIT))
        assert (order.account, order.settles_to) == ("cards", "customer")


def test_a_renewal_never_turns_the_merchants_money_into_a_customers(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        world.customer_with_card(gw)
        world.server.expire("aurpay", gw.orders.create(cart(customer="c-42"), account="shop").provider_id)
        with pytest.raises((InvalidRequest, UnsupportedOperation)):
            gw.orders.renew("cart-1001", account="cards")
        assert len(gw.orders.get("cart-1001").attempts) == 1


def test_a_customer_that_is_not_known_there_yet_is_missed_before_anything_is_sent(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        with pytest.raises(InvalidRequest, match="a customer is needed"):
            gw.orders.create(cart("deposit", **DEPOSIT, settles_to="customer"), account="cards")
        assert gw.journal.list() == []
    assert world.server.requests["aurex"] == []


# The plugins' say


class Chooser:
    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, tuple[str, ...]]] = []

    @hookimpl
    def gateway_choose_account(self, request: Any, candidates: Sequence[str]) -> str | None:
        self.asked.append((request, tuple(candidates)))
        return self.answer


def choosing(world: World, colour: str, chooser: Chooser, **given: Any) -> Any:
    plugins = load_plugins()
    plugins.manager.register(chooser)
    return opened(
        colour,
        plugins=plugins,
        accounts=world.accounts(),
        routes=[route("treasury", "shop", "backup"), route("login", min="1000 USD")],
        **given,
    )


@pytest.mark.parametrize(("answer", "account"), [("backup", "backup"), (None, "shop")])
def test_a_plugin_may_choose_among_the_candidates(world: World, colour: str, answer: str | None, account: str) -> None:
    chooser = Chooser(answer)
    try:
        with choosing(world, colour, chooser) as gw:
            assert gw.orders.create(cart()).account == account
            assert gw.orders.create(cart("named"), account="login").account == "login"
    finally:
        load_plugins().manager.unregister(chooser)
    assert chooser.asked == [(cart(), ("shop", "backup"))]


def test_a_plugin_may_not_choose_anything_else(world: World, colour: str) -> None:
    chooser = Chooser("login")
    try:
        with choosing(world, colour, chooser) as gw:
            with pytest.raises(
                ConfigurationError, match=r"the plugin .+ chose the account 'login', which is not among"
            ):
                gw.orders.create(cart())
            assert gw.orders.list() == []
    finally:
        load_plugins().manager.unregister(chooser)
    assert world.creations() == 0
