"""Money that leaves without being a withdrawal: what new cards are loaded with, and refunds."""

from __future__ import annotations

from typing import Any

import pytest

from flows.world import World, cart, top_up, usd
from gateway.errors import LimitExceeded, OutcomeUnknown
from gateway.models import CardRequest, CustomerRequest, RefundRequest, TradeRequest
from gateway.testing import faults
from support.colours import Opened


def card(reference: str, amount: str) -> Any:
    return CardRequest(reference=reference, customer="c-42", name="Travel", initial_balance=usd(amount))


def known(gw: Opened) -> None:
    gw.customers.create(CustomerRequest(reference="c-42", first_name="Ada", last_name="Example"), account="cards")


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ({"frozen": True}, "frozen in the settings"),
        ({"per_withdrawal": "99 USD"}, "more than one payout may be"),
        ({"destinations": ["card_of_somebody"]}, "not one of the destinations"),
    ],
)
def test_a_new_card_is_within_the_limits(world: World, colour: str, limits: dict[str, Any], match: str) -> None:
    with world.gateway(colour, accounts=world.accounts(cards={"limits": limits})) as gw:
        known(gw)
        with pytest.raises(LimitExceeded, match=match) as error:
            gw.cards.create(card("card-1", "100"), account="cards")
        assert (error.value.operation, error.value.reference) == ("cards.create", "card-1")
        assert not [call for call in world.calls("aurex", "POST") if call.path.endswith("/cards")]


def test_a_day_counts_new_cards_and_top_ups_together(world: World, colour: str) -> None:
    with world.gateway(colour, accounts=world.accounts(cards={"limits": {"per_day": "150 USD"}})) as gw:
        known(gw)
        issued = gw.cards.create(card("card-1", "100"), account="cards")
        with pytest.raises(LimitExceeded, match=r"with 100\S* USD in the last 24 hours"):
            gw.cards.create(card("card-2", "60"), account="cards")
        assert gw.cards.create(card("card-1", "100"), account="cards").provider_id == issued.provider_id
        gw.withdrawals.create(top_up(issued.provider_id, "top-1", "50 USD"), account="cards")
        with pytest.raises(LimitExceeded, match=r"with 150\S* USD in the last 24 hours"):
            gw.withdrawals.create(top_up(issued.provider_id, "top-2", "10 USD"), account="cards")


def test_a_card_whose_answer_was_lost_counts_too(world: World, colour: str) -> None:
    with world.gateway(colour, accounts=world.accounts(cards={"limits": {"per_day": "150 USD"}})) as gw:
        known(gw)
        world.server.faults("aurex").add(faults.Drop(executed=True, method="POST"))
        with pytest.raises(OutcomeUnknown):
            gw.cards.create(card("card-1", "100"), account="cards")
        with pytest.raises(LimitExceeded, match=r"with 100\S* USD"):
            gw.cards.create(card("card-2", "60"), account="cards")


def test_nothing_is_refunded_from_a_frozen_account(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id)
        gw.freeze("shop", reason="the books are looked at")
        with pytest.raises(LimitExceeded, match="the books are looked at"):
            gw.refunds.create(RefundRequest(reference="refund-1", order="cart-1001"))
        assert world.calls("aurpay", "POST", "/api/v2/order/refund") == []
        gw.unfreeze("shop")
        assert gw.refunds.create(RefundRequest(reference="refund-1", order="cart-1001")).order == "cart-1001"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_inside_a_success_is_no_refusal(world: World, colour: str, status: int) -> None:
    body = f'{{"name": "Server Error", "message": "boom", "code": 0, "status": {status}}}'
    with world.gateway(colour) as gw:
        struck = faults.Status(status=200, body=body, executed=True, path="/private/create-order")
        world.server.faults("emirex").add(struck)
        trade = TradeRequest(reference="t-1", market="BTC/USDC", side="buy", volume="0.01", rate="100")
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="boom"):
                gw.trades.create(trade, account="treasury")
        assert len(world.calls("emirex", "POST", "/private/create-order")) == 1
        assert [found.volume for found in gw.trades.open(account="treasury")] == [trade.volume]
