"""Which of a provider's orders may be the one whose number is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.assets import Asset
from gateway.flows.matching import Wanted, likely, may_be
from gateway.models.orders import OrderRequest, OrderStatus, ProviderOrder
from gateway.money import Money

ASKED_AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
WANTED = Wanted("cart-1", 1, "a1b2", OrderRequest(reference="cart-1", price="25.00 USD", pay_with="USDT"), ASKED_AT)


def order(number: str = "n1", **said: Any) -> ProviderOrder:
    known = {"price": Money("25.00", "USD"), "pay_with": Asset.of("USDT"), "created_at": ASKED_AT}
    return ProviderOrder(provider_id=number, status=OrderStatus.PENDING, **{**known, **said})


@pytest.mark.parametrize(
    ("said", "may"),
    [
        ({}, True),
        ({"pay_with": "USDT@tron"}, True),
        ({"pay_with": None}, True),
        ({"pay_with": "USDC@tron"}, False),
        ({"price": Money("24.99", "USD")}, False),
        ({"price": None}, False),
        ({"created_at": ASKED_AT - timedelta(minutes=2)}, True),
        ({"created_at": ASKED_AT - timedelta(minutes=2, seconds=1)}, False),
        ({"created_at": None}, True),
        ({"attempt": "a1b2"}, True),
        ({"attempt": "a1b2", "price": None, "created_at": None}, True),
        ({"attempt": "c3d4"}, False),
    ],
)
def test_what_may_be_the_order(said: dict[str, Any], may: bool) -> None:
    assert may_be(WANTED, order(**said)) is may
    assert may_be(WANTED, order(None, **said)) is False, "one without a number is none"  # type: ignore[arg-type]


def test_of_two_orders_of_one_price_the_one_that_shows_its_attempt_is_found() -> None:
    orders = [order("n1", attempt="c3d4"), order("n2", attempt="a1b2"), order("n3", attempt="e5f6")]
    assert [seen.provider_id for seen in likely(WANTED, orders)] == ["n2"]
    assert [seen.provider_id for seen in likely(WANTED, orders, linked={"n2"})] == []


@pytest.mark.parametrize(
    ("asset", "asked", "does"),
    [
        ("USDT@tron", "USDT@tron", True),
        ("USDT@tron", "USDT", True),
        ("USDT", "USDT", True),
        ("USDT", "USDT@tron", False),
        ("USDT@ethereum", "USDT@tron", False),
        ("USDC@tron", "USDT", False),
    ],
)
def test_an_asset_satisfies_what_was_asked_for(asset: str, asked: str, does: bool) -> None:
    assert Asset.of(asset).satisfies(Asset.of(asked)) is does
