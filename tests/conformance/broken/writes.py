"""Adapters that do something twice, or let the engine do it."""

from __future__ import annotations

import itertools
from dataclasses import replace

from conformance.acme import AcmeAdapter, data_of
from conformance.broken.fault import fails
from gateway.contracts import NewOrder, NewRefund, NewWithdrawal
from gateway.errors import GatewayError
from gateway.exchange import Operation, Request, ask
from gateway.models import ProviderOrder, ProviderRefund, ProviderWithdrawal, RefundStatus

_MARKS = "test_what_marks_a_write_is_of_its_reference"
_WORKS = "test_it_works_and_gives_what_it_should"


@fails(
    _WORKS,
    "withdrawals.create:address changes something at the provider, and no request",
)
class DeclaresAPayoutARead(AcmeAdapter):
    """Does not say that a payout is a write, so that the engine repeats it after a time-out."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return replace(super().new_payout(withdrawal), write=False)


@fails(
    _WORKS,
    "refunds.create changes something at the provider, and no request",
)
class DeclaresARefundARead(AcmeAdapter):
    """Does not say that a refund is a write."""

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        return (yield from ask(Request("POST", f"/orders/{refund.order}/refund"), self.read_refund))


@fails(_WORKS, "orders.get only reads, and a request of it says write=True")
class DeclaresAReadAWrite(AcmeAdapter):
    """Says that reading an order is a write: a time-out of it leaves an outcome that is unknown."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        return (yield from ask(Request("GET", f"/orders/{provider_id}", write=True), self.read_order))


@fails("test_what_goes_wrong_on_the_way_is_told_as_it_is", "and the write was sent 2 times", within="withdrawals")
class RetriesPayouts(AcmeAdapter):
    """Makes a payout again when it failed."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        try:
            return (yield from super().create_withdrawal(withdrawal))
        except GatewayError:
            return (yield from super().create_withdrawal(withdrawal))


@fails(_WORKS, "orders.create:coin sent one write 2 times")
class OrdersTwice(AcmeAdapter):
    """Makes two orders under one reference, and tells of the second."""

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        yield from super().create_order(order)
        return (yield from super().create_order(order))


@fails(_WORKS, "keys.verify only reads, and there is a new order at the provider")
class OrdersToCheckAKey(AcmeAdapter):
    """Makes an order to see whether its key is good."""

    def verify_key(self) -> Operation[None]:
        body = {"price": 1, "currency": "USD", "coin": "USDT@tron"}
        yield from ask(Request("POST", "/orders", json=body), data_of)


@fails(_MARKS, "two writes that differ in their reference alone have the same idempotency-key")
class MarksPayoutsByAmount(AcmeAdapter):
    """Makes the header by which the provider recognises a repetition of the amount alone."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return replace(super().new_payout(withdrawal), headers={"Idempotency-Key": str(withdrawal.request.amount)})


@fails(_MARKS, "the header idempotency-key differs when one write is sent again under its reference")
class MarksEverySending(AcmeAdapter):
    """Gives every sending of a payout another header for its repetition, so that none is recognised."""

    numbers = itertools.count()

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return replace(super().new_payout(withdrawal), headers={"Idempotency-Key": str(next(self.numbers))})


@fails(_WORKS, "orders.get only reads, and changed something at the provider: payouts")
class PaysOutWhenItReads(AcmeAdapter):
    """Makes a payout when it reads an order, by a request that does not say it is a write."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        body = {"amount": "1", "coin": "USDT@tron", "address": "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"}
        yield from ask(Request("POST", "/payouts", json=body), self.read_payout)
        return (yield from super().get_order(provider_id))


@fails(_WORKS, "refunds.create was done, as the adapter says, and nothing has changed at the provider")
class RefundsOnPaper(AcmeAdapter):
    """Says that a refund is on its way, and has only read the order."""

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        read = yield from ask(Request("GET", f"/orders/{refund.order}", write=True), self.read_order)
        return ProviderRefund(
            provider_id=f"R{refund.order}",
            status=RefundStatus.PENDING,
            provider_status="open",
            amount=read.received,
        )
