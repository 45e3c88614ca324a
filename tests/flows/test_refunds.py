"""Refunds of orders with one payment, and with several: each payment goes back once."""

from __future__ import annotations

from typing import Any

import pytest

from flows.world import World, cart
from gateway.errors import Conflict, IdempotencyConflict, InvalidRequest, NotFound
from gateway.models import OrderStatus, RefundRequest, RefundStatus
from gateway.testing import faults
from support.colours import Opened


def refund(reference: str, attempt: int | None = None) -> Any:
    return RefundRequest(reference=reference, order="cart-1001", attempt=attempt)


def two_attempts(world: World, gw: Opened, *, first: str = "exact", second: str = "exact") -> tuple[str, str]:
    """An order whose first attempt expired and was paid all the same, as was its second; the provider's numbers."""
    one = gw.orders.create(cart(), account="shop").provider_id
    world.server.expire("aurpay", one)
    two = gw.orders.renew("cart-1001").provider_id
    world.server.pay("aurpay", one, "late" if first == "exact" else first)
    world.server.pay("aurpay", two, second)
    return one, two


def refunded(world: World) -> list[str]:
    """The provider's numbers of the orders that it was asked to refund."""
    return [call.path.rpartition("/")[2] for call in world.calls("aurpay", "POST", "/api/v2/order/refund")]


def test_each_of_two_payments_goes_back_once(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        one, two = two_attempts(world, gw)
        first = gw.refunds.create(refund("ref1"))
        assert (first.attempt, first.provider_id) == (2, two)
        world.aurpay.complete_refund(two)
        assert gw.refunds.get("ref1").status is RefundStatus.COMPLETED
        assert gw.orders.get("cart-1001").status is OrderStatus.PAID

        second = gw.refunds.create(refund("ref2"))
        assert (second.attempt, second.provider_id) == (1, one)
        assert not gw.refunds.get("ref2").status.is_final
        world.aurpay.complete_refund(one)
        assert gw.refunds.get("ref2").status is RefundStatus.COMPLETED
        assert gw.orders.get("cart-1001").status is OrderStatus.REFUNDED

        for reference in ("ref3", "ref4"):
            with pytest.raises(Conflict, match="the order cart-1001 is refunded: there is nothing to refund"):
                gw.refunds.create(refund(reference))
        assert gw.refunds.create(refund("ref1")) == gw.refunds.get("ref1")
        assert gw.refunds.create(refund("ref2")).attempt == 1
    assert refunded(world) == [two, one]


def test_the_second_goes_to_the_other_payment_also_while_the_first_is_on_its_way(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        one, two = two_attempts(world, gw)
        assert gw.refunds.create(refund("ref1")).attempt == 2
        assert gw.refunds.create(refund("ref2")).attempt == 1
        with pytest.raises(Conflict, match=r"has the refund ref1 of attempt 2 \(unconfirmed\); nothing was sent"):
            gw.refunds.create(refund("ref3"))
        world.aurpay.complete_refund(one)
        assert not gw.refunds.get("ref1").status.is_final
        assert gw.refunds.get("ref2").status is RefundStatus.COMPLETED
    assert refunded(world) == [two, one]


def test_the_payment_of_an_attempt_that_is_named(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        one, two = two_attempts(world, gw)
        assert gw.refunds.create(refund("ref1", 1)).attempt == 1
        with pytest.raises(Conflict, match="has the refund ref1 of attempt 1"):
            gw.refunds.create(refund("ref2", 1))
        with pytest.raises(NotFound, match="the order cart-1001 has no attempt 3; nothing was sent") as error:
            gw.refunds.create(refund("ref2", 3))
        assert error.value.hint == "it has 2, counted from 1"
        with pytest.raises(InvalidRequest, match="attempt"):
            refund("ref2", 0)
        with pytest.raises(IdempotencyConflict, match="another request"):
            gw.refunds.create(refund("ref1", 2))
        assert gw.refunds.create(refund("ref1", 1)) == gw.refunds.get("ref1", refresh=False)
        assert gw.refunds.create(refund("ref2", 2)).provider_id == two
    assert refunded(world) == [one, two]


def test_an_attempt_without_a_payment_has_nothing_to_refund(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        one = gw.orders.create(cart(), account="shop").provider_id
        world.server.expire("aurpay", one)
        world.server.pay("aurpay", gw.orders.renew("cart-1001").provider_id)
        with pytest.raises(Conflict, match="attempt 1 of cart-1001 is expired: there is nothing to refund"):
            gw.refunds.create(refund("ref1", 1))
        assert refunded(world) == []
        assert gw.refunds.create(refund("ref2")).attempt == 2


def test_what_was_paid_in_full_goes_back_before_what_was_paid_in_part(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        two_attempts(world, gw, second="under")
        assert [attempt.status for attempt in gw.orders.get("cart-1001").attempts] == ["paid", "underpaid"]
        assert gw.refunds.create(refund("ref1")).attempt == 1
        assert gw.refunds.create(refund("ref2")).attempt == 2


def test_a_refund_that_was_refused_leaves_the_payment_to_another(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        _, two = two_attempts(world, gw)
        world.server.faults("aurpay").add(faults.Status(status=400, method="POST"))
        with pytest.raises(InvalidRequest):
            gw.refunds.create(refund("ref1"))
        assert (gw.refunds.get("ref1").status, gw.refunds.get("ref1").attempt) == (RefundStatus.FAILED, 2)
        assert gw.refunds.create(refund("ref2")).provider_id == two
