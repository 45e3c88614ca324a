"""An order whose number at the provider was not told when it was made, named later by a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.world import World, cart
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.models import OrderStatus
from gateway.testing import SandboxServer
from gateway_aurpay.sandbox import AurpaySandbox
from support.virtual import VirtualClock


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[World]:
    """A world whose Aurpay tells no number before the payer has chosen a coin."""
    world = World(tmp_path)
    world.aurpay = AurpaySandbox(pay_url_has_order_id=False)
    world.server = SandboxServer([world.aurex, world.aurpay, world.emirex])
    with world:
        yield world


def chosen(world: World, which: int = -1) -> str:
    """The payer of one of the hosted pages chooses a coin; the number of the order that is made then."""
    pages = [order.id for order in world.server.orders("aurpay") if order.id.startswith("checkout-")]
    before = {order.id for order in world.server.orders("aurpay")}
    world.aurpay.choose(pages[which], "USDT-TRC20")
    (number,) = {order.id for order in world.server.orders("aurpay")} - before
    return number


def test_a_linked_order_is_followed(hosted: World, colour: str) -> None:
    with hosted.gateway(colour) as gw:
        order = gw.orders.create(cart(pay_with=None), account="shop")
        assert (order.provider_id, order.status) == (None, OrderStatus.PENDING)
        number = chosen(hosted)
        hosted.server.pay("aurpay", number)
        assert gw.orders.get("cart-1001").status is OrderStatus.PENDING
        linked = gw.orders.link("cart-1001", number)
        assert (linked.provider_id, linked.status) == (number, OrderStatus.PAID)
        assert gw.orders.get("cart-1001").status is OrderStatus.PAID
        with pytest.raises(Conflict, match="has its number at the provider already"):
            gw.orders.link("cart-1001", number)


def test_another_order_is_not_taken_for_it(hosted: World, colour: str) -> None:
    with hosted.gateway(colour) as gw:
        old = gw.orders.create(cart("cart-0", "25.00 USD"), account="shop").provider_id
        gw.orders.create(cart("cart-1", "25.00 USD", pay_with=None), account="shop")
        first = chosen(hosted)
        gw.orders.create(cart("cart-2", "26.00 USD", pay_with=None), account="shop")
        with pytest.raises(Conflict, match=r"asked for 26\.00 USD, the order \d+ is for 25"):
            gw.orders.link("cart-2", first)
        with pytest.raises(InvalidRequest, match="order not found"):
            gw.orders.link("cart-2", "20240426103947614609")
        with pytest.raises(NotFound, match="there is no order cart-9"):
            gw.orders.link("cart-9", first)
        assert old is not None
        with pytest.raises(Conflict, match="belongs to cart-0"):
            gw.orders.link("cart-1", old)
        gw.orders.link("cart-1", first)
        gw.orders.create(cart("cart-3", "25.00 USD", pay_with=None), account="shop")
        with pytest.raises(Conflict, match="belongs to cart-1"):
            gw.orders.link("cart-3", first)
        assert gw.orders.get("cart-2").provider_id is None


def test_an_order_from_before_is_not_taken_for_it(hosted: World, colour: str) -> None:
    with hosted.gateway(colour) as gw:
        gw.orders.create(cart("cart-1", pay_with=None), account="shop")
        early = chosen(hosted)
    with hosted.gateway(colour, clock=VirtualClock(datetime.now(UTC) + timedelta(minutes=10))) as gw:
        gw.orders.create(cart("cart-2", pay_with=None), account="shop")
        with pytest.raises(Conflict, match="before it was asked for"):
            gw.orders.link("cart-2", early)
