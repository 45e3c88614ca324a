"""Models: what a merchant may ask for, and what an order is when its attempts are put together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway import (
    Asset,
    CardRequest,
    CardTopUp,
    CryptoAddress,
    CustomerRequest,
    LightningInvoice,
    Money,
    Order,
    OrderRequest,
    OrderStatus,
    RefundRequest,
    TradeRequest,
    WithdrawalRequest,
)
from gateway import models as everything
from gateway.contracts import Amount, Identifier, Wire, parser, shaped
from gateway.errors import InvalidRequest
from gateway.exchange import Malformed, Response
from gateway.models import (
    Attempt,
    Environment,
    OrderException,
    Page,
    PaymentInstructions,
    ProviderOrder,
    RefundStatus,
    Settlement,
    Side,
    TradeKind,
    TradeStatus,
    WithdrawalStatus,
)
from gateway.models.base import Input

NOW = datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
USD = Money("25.00", "USD")
CANARY = "model-CANARY-77"


def order_request(**given: Any) -> OrderRequest:
    return OrderRequest(**{"reference": "cart-1", "price": USD, **given})


class TestRequests:
    @pytest.mark.parametrize(
        "given, words",
        [
            ({"reference": ""}, "reference"),
            ({"reference": "a b"}, "reference"),
            ({"reference": "a\n"}, "reference"),
            ({"reference": "é"}, "reference"),
            ({"reference": "x" * 129}, "reference"),
            ({"reference": 5}, "reference"),
            ({"price": Money(0, "USD")}, "above zero"),
            ({"price": Money(-1, "USD")}, "above zero"),
            ({"price": Money("0.001", "USD")}, "decimals"),
            ({"price": Money("0.001", Asset("USD"))}, "decimals"),
            ({"price": Money(1, Asset("USDT", "tronn"))}, "unknown asset"),
            ({"price": 25.0}, "price"),
            ({"price": {"amount": 25.0, "asset": "USD"}}, "float"),
            ({"price": "25 NOSUCH"}, "unknown asset"),
            ({"pay_with": "USDT@trom"}, "USDT@tron"),
            ({"pay_with": Asset("USDT", "trom")}, "USDT@tron"),
            ({"pay_with": 5}, "pay_with"),
            ({"return_url": "javascript:alert(1)"}, "return_url"),
            ({"return_url": "shop"}, "return_url"),
            ({"description": "x" * 1001}, "description"),
            ({"metadata": {"a": 1}}, "metadata"),
            ({"colour": "red"}, "colour"),
            ({"provider_options": {"toy": 5}}, "provider_options"),
            ({"settles_to": "nobody"}, "settles_to"),
        ],
    )
    def test_what_is_wrong_is_named(self, given: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidRequest, match="OrderRequest") as caught:
            order_request(**given)
        assert words in str(caught.value)
        assert caught.value.outcome == "not_sent"

    def test_a_value_that_is_refused_is_not_shown(self) -> None:
        for given in ({"reference": f"{CANARY} "}, {"return_url": CANARY}, {"colour": CANARY}):
            with pytest.raises(InvalidRequest) as caught:
                order_request(**given)
            assert CANARY not in str(caught.value)
            assert caught.value.__cause__ is None

    def test_what_is_missing_is_named(self) -> None:
        for kind in (OrderRequest, WithdrawalRequest, RefundRequest, CustomerRequest, CardRequest, TradeRequest):
            with pytest.raises(InvalidRequest, match="reference"):
                kind()

    def test_requests_are_frozen_and_come_back_from_json(self) -> None:
        request = order_request(
            pay_with="USDT@tron",
            customer="c-1",
            settles_to="customer",
            return_url="https://shop.example/x?y=z",
            metadata={"a": "b"},
            provider_options={"toy": {"fast": True}},
        )
        assert request.pay_with == Asset.of("USDT@tron")
        with pytest.raises(ValidationError):
            request.reference = "other"  # type: ignore[misc]
        again = OrderRequest.model_validate(request.model_dump(mode="json"))
        assert again == request
        assert again.price.asset.decimals == 2

    @pytest.mark.parametrize("to", [LightningInvoice("lnbc1"), CryptoAddress("T1", memo="m"), CardTopUp("c-1", "9")])
    def test_a_destination_survives_json(self, to: Any) -> None:
        request = WithdrawalRequest(reference="p-1", amount=Money("0.001", "BTC@lightning"), to=to)
        again = WithdrawalRequest.model_validate(request.model_dump(mode="json"))
        assert again == request
        assert type(again.to) is type(to)
        assert str(again.to) == str(to)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: LightningInvoice(""),
            lambda: LightningInvoice("x" * 4097),
            lambda: CryptoAddress(5),  # type: ignore[arg-type]
            lambda: CryptoAddress(""),
            lambda: CardTopUp("c-1", ""),
            lambda: CardTopUp(customer="", card="1"),
        ],
    )
    def test_a_destination_that_is_none_is_an_invalid_request(self, make: Any) -> None:
        with pytest.raises(InvalidRequest):
            make()

    def test_a_destination_needs_its_kind(self) -> None:
        for to in ("lnbc1", {"address": "x"}, {"kind": "cash"}, None):
            with pytest.raises(InvalidRequest, match="to"):
                WithdrawalRequest(reference="p-1", amount=Money(1, "USDT@tron"), to=to)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "given, words",
        [
            ({"rate": None}, "needs a rate"),
            ({"kind": "market"}, "takes no rate"),
            ({"kind": "quick-market"}, "takes no rate"),
            ({"kind": "stop-limit", "rate": None}, "needs a rate"),
            ({"volume": 0}, "above zero"),
            ({"volume": 0.5}, "float"),
            ({"rate": "-1"}, "above zero"),
            ({"market": "btc/usd"}, "market"),
            ({"market": "BTCUSD"}, "market"),
            ({"side": "hold"}, "side"),
        ],
    )
    def test_a_trades_rate_fits_its_kind(self, given: dict[str, Any], words: str) -> None:
        good = {"reference": "t-1", "market": "BTC/USD", "side": "buy", "volume": "0.1", "rate": Decimal("1E+4")}
        request = TradeRequest(**good)  # type: ignore[arg-type]
        assert (request.side, request.kind) == (Side.BUY, TradeKind.LIMIT)
        assert request.model_dump(mode="json")["rate"] == "10000"
        with pytest.raises(InvalidRequest, match=words):
            TradeRequest(**{**good, **given})  # type: ignore[arg-type]


def attempt(number: int, status: OrderStatus, **given: Any) -> Attempt:
    shown = ProviderOrder(
        provider_id=f"id-{number}",
        status=status,
        pay=PaymentInstructions(address=f"address-{number}"),
        warnings=(f"warning {number}", "shared"),
    )
    return Attempt(
        **{
            "number": number,
            "account": f"account-{number}",
            "provider": "toy",
            "environment": Environment.SANDBOX,
            "status": status,
            "provider_id": f"id-{number}",
            "created_at": NOW,
            "updated_at": NOW + timedelta(seconds=number),
            "order": shown,
            **given,
        }
    )


def order(*attempts: Attempt) -> Order:
    return Order(
        reference="cart-1",
        environment=Environment.SANDBOX,
        price=USD,
        settles_to=Settlement.MERCHANT,
        created_at=NOW,
        attempts=attempts,
    )


S = OrderStatus


class TestAnOrderAndItsAttempts:
    @pytest.mark.parametrize(
        "statuses, leading",
        [
            ([S.PENDING], 1),
            ([S.EXPIRED, S.PENDING], 2),
            ([S.PAID, S.PENDING], 1),
            ([S.PENDING, S.PENDING], 2),
            ([S.PAID, S.PAID], 2),
            ([S.UNDERPAID, S.PENDING], 1),
            ([S.PROCESSING, S.UNDERPAID], 1),
            ([S.EXPIRED, S.FAILED, S.CANCELLED], 1),
            ([S.FAILED, S.CREATING], 2),
            ([S.REFUNDED, S.PROCESSING], 1),
            ([S.UNRECOGNISED, S.EXPIRED], 1),
        ],
    )
    def test_the_one_that_is_furthest_along_leads(self, statuses: list[OrderStatus], leading: int) -> None:
        whole = order(*(attempt(number, status) for number, status in enumerate(statuses, 1)))
        assert (whole.account, whole.provider_id) == (f"account-{leading}", f"id-{leading}")
        assert whole.status is statuses[leading - 1]
        assert whole.pay.address == f"address-{leading}"
        assert whole.updated_at == NOW + timedelta(seconds=len(statuses))

    def test_two_paid_ones_are_paid_and_over(self) -> None:
        assert order(attempt(1, S.PAID)).exceptions == frozenset()
        whole = order(attempt(1, S.PAID), attempt(2, S.PAID))
        assert (whole.status, whole.exceptions) == (S.PAID, {OrderException.OVER})

    def test_an_unconfirmed_one_is_told_of_whoever_leads(self) -> None:
        unconfirmed = attempt(1, S.CREATING, order=None, provider_id=None, exceptions=frozenset({"unconfirmed"}))
        late = attempt(2, S.PAID, exceptions=frozenset({OrderException.LATE}))
        assert order(unconfirmed, late).exceptions == {OrderException.UNCONFIRMED, OrderException.LATE}
        alone = order(unconfirmed)
        assert (alone.pay, alone.received, alone.fees, alone.raw, alone.provider_id) == (
            (PaymentInstructions(), None, (), {}, None)
        )

    def test_warnings_are_those_of_all_once(self) -> None:
        assert order(attempt(1, S.PENDING), attempt(2, S.PENDING)).warnings == ("warning 1", "shared", "warning 2")

    def test_it_comes_back_from_json(self) -> None:
        whole = order(attempt(1, S.EXPIRED), attempt(2, S.PAID))
        dumped = whole.model_dump(mode="json")
        assert (dumped["status"], dumped["account"], dumped["price"]["amount"]) == ("paid", "account-2", "25.00")
        assert Order.model_validate(dumped) == whole

    def test_it_has_an_attempt(self) -> None:
        with pytest.raises(ValidationError):
            order()

    def test_moves_are_those_of_the_plan(self) -> None:
        backwards = {
            (S.EXPIRED, S.PAID),
            (S.EXPIRED, S.UNDERPAID),
            (S.UNDERPAID, S.PAID),
            (S.UNDERPAID, S.EXPIRED),
            (S.UNDERPAID, S.REFUNDED),
            (S.PAID, S.REFUNDED),
        }
        assert all(one.may_become(other) for one, other in backwards)
        assert all(status.may_become(status) for status in S)
        final = {status for status in S if status.is_final}
        assert final == {S.PAID, S.FAILED, S.CANCELLED, S.REFUNDED}
        allowed = {(one, other) for one in (*final, S.EXPIRED, S.UNDERPAID) for other in S if one.may_become(other)}
        assert {(one, other) for one, other in allowed if one is not other} == backwards
        assert not any(status.may_become(S.CREATING) for status in S if status is not S.CREATING)
        assert not S.PROCESSING.may_become(S.PENDING)

    def test_final_statuses_of_other_things(self) -> None:
        assert {status.value for status in WithdrawalStatus if status.is_final} == {"completed", "failed", "cancelled"}
        assert {status.value for status in RefundStatus if status.is_final} == {"completed", "failed"}
        assert {status.value for status in TradeStatus if status.is_final} == {"filled", "cancelled"}


class TestWhatComesFromElsewhere:
    def test_times_are_aware_and_kept_in_utc(self) -> None:
        tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
        seen = ProviderOrder(provider_id="1", status=S.PAID, created_at=tokyo)
        assert seen.created_at == NOW
        assert seen.created_at is not None
        assert seen.created_at.tzinfo is UTC
        with pytest.raises(ValidationError, match="zone"):
            ProviderOrder(provider_id="1", status=S.PAID, created_at=datetime(2025, 1, 2))  # noqa: DTZ001 - the point

    def test_a_wire_shape_reads_what_it_needs_and_ignores_the_rest(self) -> None:
        class Shape(Wire):
            id: Identifier
            amount: Amount
            note: str | None = None

        for amount in ("0.10", Decimal("0.10"), 1, "1e-8"):
            read = shaped(Shape, {"id": 7, "amount": amount, "extra": [1]})
            assert (read.id, read.amount) == ("7", Decimal(amount))
        assert str(shaped(Shape, {"id": "x", "amount": "0.10"}).amount) == "0.10"
        assert parser(Shape)(Response(200, {}, b'{"id":1,"amount":0.10}')).id == "1"
        for wrong in ([], "text", None, 5):
            with pytest.raises(Malformed, match="expected an object"):
                shaped(Shape, wrong)
        for identifier in ("", None, True, 1.5, [], Decimal(1)):
            with pytest.raises(ValidationError, match="identifier"):
                shaped(Shape, {"id": identifier, "amount": "1"})
        for amount in ("", CANARY, 0.1, None, [], True, "NaN"):
            with pytest.raises(ValidationError) as caught:
                shaped(Shape, {"id": "1", "amount": amount})
            assert CANARY not in str(caught.value)

    def test_a_page_is_what_it_holds(self) -> None:
        page = Page[ProviderOrder](items=(ProviderOrder(provider_id="1", status=S.PAID),), next="2")
        assert Page[ProviderOrder].model_validate(page.model_dump(mode="json")) == page
        assert Page[ProviderOrder]().next is None


def test_every_model_is_frozen_and_hides_what_it_refuses() -> None:
    models = [value for value in vars(everything).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    assert len(models) > 20
    for model in models:
        assert model.model_config.get("frozen") is True, model
        assert model.model_config.get("hide_input_in_errors") is True, model
        # What the merchant says is strict, what is read is lenient.
        assert model.model_config.get("extra") == ("forbid" if issubclass(model, Input) else "ignore"), model
        assert issubclass(model, Input) or not model.__name__.endswith("Request"), model


def test_all_of_models_is_there() -> None:
    assert len(set(everything.__all__)) == len(everything.__all__)
    assert all(hasattr(everything, name) for name in everything.__all__)
