"""Adapters that refund something else, or show refunds otherwise than they are."""

from __future__ import annotations

from dataclasses import replace

from conformance.acme import AcmeAdapter, data_of
from conformance.broken.fault import fails
from gateway.contracts import NewRefund
from gateway.exchange import Operation, Request, Response, ask
from gateway.models import ProviderRefund
from gateway.money import Money

_OWN = "test_a_refund_is_of_its_own_order"
_PART = "test_a_part_that_is_refunded_is_the_part_that_was_asked_for"


@fails(_PART, "refunds.create: 12.5 USD of an order was to be refunded, and no such number left")
class RefundsTheWholeOrder(AcmeAdapter):
    """Refunds the whole order, whatever amount is asked for."""

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        whole = replace(refund, request=refund.request.model_copy(update={"amount": None}))
        return (yield from super().create_refund(whole))


@fails(_PART, "refunds.create: 12.5 USD of an order was to be refunded, and USD did not leave")
class RefundsDollarsAsCoins(AcmeAdapter):
    """Sends the amount of a refund without its currency, which the provider takes for coins."""

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        asked = refund.request.amount
        body = None if asked is None else {"amount": asked.amount}
        made = Request("POST", f"/orders/{refund.order}/refund", json=body, write=True)
        return (yield from ask(made, self.read_refund))


@fails(_OWN, "refunds.create of order A1 asked for the order A2")
class RefundsTheNewest(AcmeAdapter):
    """Refunds the order that was paid last, not the one that is asked for."""

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        query = (("page", "1"), ("size", "50"))
        data = yield from ask(Request("GET", "/orders", query=query), data_of)
        order = next(row["id"] for row in data["items"] if row["status"] == "paid")
        return (yield from super().create_refund(replace(refund, order=order)))


@fails(_OWN, "refunds.create shows 100.00 USDT@tron, and the provider never said that number")
class ShowsRefundsTwice(AcmeAdapter):
    """Shows twice what is refunded."""

    def read_refund(self, response: Response) -> ProviderRefund:
        read = super().read_refund(response)
        assert read.amount is not None
        return read.model_copy(update={"amount": read.amount + read.amount})


@fails(_OWN, "refunds.create: the refunds of two orders have one number")
class NumbersRefundsAlike(AcmeAdapter):
    """Gives all refunds one number."""

    def read_refund(self, response: Response) -> ProviderRefund:
        return super().read_refund(response).model_copy(update={"provider_id": "R"})


@fails(_OWN, "refunds.create shows 50.00 BTC@bitcoin, and neither the order nor the answer is in BTC@bitcoin")
class ShowsRefundsInAnotherCoin(AcmeAdapter):
    """Shows a refund in a coin that it is not in."""

    def read_refund(self, response: Response) -> ProviderRefund:
        read = super().read_refund(response)
        assert read.amount is not None
        return read.model_copy(update={"amount": Money(read.amount.amount, "BTC@bitcoin")})
