"""Adapters whose writes are not told apart, or not recognised, by what marks them at the provider."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from starlette.requests import Request as Received

from conformance.acme import AcmeAdapter, provider
from conformance.acme_sandbox import AcmeSandbox, _Refusal
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.contracts import NewOrder, NewRefund, NewWithdrawal
from gateway.exchange import Operation, Request, ask
from gateway.models import ProviderRefund

_MARKS = "test_what_marks_a_write_is_of_its_reference"
_ANEW = "test_an_order_that_expired_is_made_anew"


def _with(request: Request, **values: Any) -> Request:
    return replace(request, json={**request.json, **values})


@fails(_MARKS, "withdrawals.create:address: two writes that differ in their reference alone have the same client_ref")
class NumbersPayoutsByAmount(AcmeAdapter):
    """Makes the number in the body, by which the provider knows a payout again, of the amount alone."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _with(super().new_payout(withdrawal), client_ref=str(withdrawal.request.amount))


@fails(
    _MARKS,
    "withdrawals.create:address: the field client_ref differs when one write is sent again",
    within="withdrawals",
)
class NumbersEverySending(AcmeAdapter):
    """Gives every sending of a payout another number in the body."""

    numbers = itertools.count()

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _with(super().new_payout(withdrawal), client_ref=f"payout-{next(self.numbers)}")


@fails(_MARKS, "the field code is the same for references that differ in their last character alone")
class CutsReferencesToTwo(AcmeAdapter):
    """Puts the first two characters of the reference into the body of a payout, under any name."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _with(super().new_payout(withdrawal), code=withdrawal.request.reference[:2])


@fails(_MARKS, "of references with 128 characters")
class CutsLongReferences(AcmeAdapter):
    """Cuts references of payouts off at forty characters, as long as the provider takes them."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _with(super().new_payout(withdrawal), ref=withdrawal.request.reference[:40])


@fails(_MARKS, "the header idempotency-key is the same for references that differ in their last character alone")
class CutsReferencesInAHeader(AcmeAdapter):
    """Cuts the reference of a payout off in a header."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return replace(super().new_payout(withdrawal), headers={"Idempotency-Key": withdrawal.request.reference[:16]})


@fails(_MARKS, "two writes that differ in their reference alone have the same x-client-reference")
class NumbersPayoutsByAmountInAHeader(AcmeAdapter):
    """Makes a header by which the provider knows a payout again of the amount alone."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return replace(super().new_payout(withdrawal), headers={"X-Client-Reference": str(withdrawal.request.amount)})


@fails(_MARKS, "orders.create:coin: two writes that differ in their reference alone have the same idempotency-key")
class MarksOrdersByPrice(AcmeAdapter):
    """Makes the mark of an order of its price alone."""

    def new_order(self, order: NewOrder) -> Request:
        return replace(super().new_order(order), headers={"Idempotency-Key": str(order.request.price.amount)})


@fails(_MARKS, "orders.create:coin: the field number is the same for references that differ in their last character")
class CutsAttempts(AcmeAdapter):
    """Cuts the number of an order's attempt off."""

    def new_order(self, order: NewOrder) -> Request:
        return _with(super().new_order(order), number=order.attempt[:8])


@fails(_MARKS, "refunds.create: two writes that differ in their reference alone have the same idempotency-key")
class MarksRefundsAlike(AcmeAdapter):
    """Gives every refund the same mark."""

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        headers = {"Idempotency-Key": "refund"}
        made = Request("POST", f"/orders/{refund.order}/refund", headers=headers, write=True)
        return (yield from ask(made, self.read_refund))


class _Numbered(AcmeSandbox):
    """Refuses a second order under one number."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: set[str] = set()

    def _create_order(self, request: Received, body: Any) -> object:
        number = str(body.get("number"))
        if number in self._numbers:
            raise _Refusal(409, "bad-request", "there is an order with this number")
        self._numbers.add(number)
        return super()._create_order(request, body)


@fails(_ANEW, "orders.create:coin: an order that expired is not made anew: InvalidRequest")
class NumbersOrdersByReference(Acme):
    """Numbers an order by the merchant's reference, under which a further one is refused once it has expired."""

    class Numbers(AcmeAdapter):
        def new_order(self, order: NewOrder) -> Request:
            return _with(super().new_order(order), number=order.request.reference)

    provider = provider(adapter=Numbers)

    def sandbox(self) -> AcmeSandbox:
        return _Numbered()


@fails(_ANEW, "the header idempotency-key of an order that is made anew is that of the one which expired")
class MarksOrdersByReference(AcmeAdapter):
    """Marks an order by the merchant's reference, so that a further one is the expired one again."""

    def new_order(self, order: NewOrder) -> Request:
        return replace(super().new_order(order), headers={"Idempotency-Key": order.request.reference})
