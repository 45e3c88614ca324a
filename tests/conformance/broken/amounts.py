"""Adapters that do not keep amounts as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from conformance.acme import AcmeAdapter
from conformance.broken.fault import fails
from gateway.contracts import NewOrder, NewWithdrawal
from gateway.exchange import Request, encode_json
from gateway.models import ProviderOrder
from gateway.money import Money, plain
from gateway.secrets import Raw


def _changed(request: Request, name: str, value: Any) -> Request:
    return replace(request, json={**request.json, name: value})


@fails("test_it_works_and_gives_what_it_should", "a float does not go out: use Decimal")
class SendsAFloat(AcmeAdapter):
    """Puts the price into the body as a float."""

    def new_order(self, order: NewOrder) -> Request:
        return _changed(super().new_order(order), "price", float(order.request.price.amount))


@fails("test_amounts_that_go_out_keep_every_digit", "amount = 0.000001 left as amount = 0.00000099999999999999995")
class SendsWhatAFloatHolds(AcmeAdapter):
    """Sends the amount of a payout by way of a float."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        number = Decimal(float(withdrawal.request.amount.amount))
        return _changed(super().new_payout(withdrawal), "amount", plain(number))


@fails("test_amounts_that_go_out_keep_every_digit", "amount = 100 left as amount = 1E+2")
class SendsInScience(AcmeAdapter):
    """Writes amounts as `str` does, which is scientific notation at times."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _changed(super().new_payout(withdrawal), "amount", str(withdrawal.request.amount.amount))


@fails("test_amounts_that_go_out_keep_every_digit", "amount = 0.000001 left as amount = 0.00")
class RoundsWhatGoesOut(AcmeAdapter):
    """Rounds the amount of a payout to two digits."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        rounded = withdrawal.request.amount.amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        return _changed(super().new_payout(withdrawal), "amount", plain(rounded))


@fails("test_it_works_and_gives_what_it_should", "price must be a number in USD")
class SendsTextForANumber(AcmeAdapter):
    """Sends the price as a text, where the provider documents a number."""

    def new_order(self, order: NewOrder) -> Request:
        return _changed(super().new_order(order), "price", plain(order.request.price.amount))


@fails("test_amounts_that_come_in_keep_every_digit", "loses digits")
class ReadsThroughAFloat(AcmeAdapter):
    """Reads amounts by way of a float."""

    def money(self, amount: Any, coin: str) -> Money:
        return Money(str(float(amount)), coin)


@fails("test_amounts_that_come_in_keep_every_digit", "look at: float(), round() or quantize() on the way")
class RoundsWhatComesIn(AcmeAdapter):
    """Rounds what it reads to eight digits."""

    def money(self, amount: Any, coin: str) -> Money:
        return Money(round(amount, 8), coin)


@fails("test_it_works_and_gives_what_it_should", "orders.create:coin returned a float: result.raw['price'] = 25.0")
class KeepsFloats(AcmeAdapter):
    """Decodes the answer that it keeps with `json.loads`, whose numbers are floats."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order(data).model_copy(update={"raw": Raw(json.loads(encode_json(data)))})
