"""Adapters that do not say what the provider calls unusual about an order."""

from __future__ import annotations

from dataclasses import replace

from conformance.acme import AcmeAdapter, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.models import OrderStatus
from gateway.testing import Sandbox
from gateway.testing.sandbox import Payment


class PreciseSandbox(AcmeSandbox):
    """Has words of its own for an order that was paid with too much or too little, and takes it all the same."""

    words = {Payment.OVER: "paid-over", Payment.UNDER: "paid-under"}

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        super().pay(order, how)
        found = self._orders[order]
        self._orders[order] = replace(found, status=self.words.get(how, found.status))


class Lenient(AcmeAdapter):
    def status(self, word: str) -> OrderStatus:
        return OrderStatus.PAID if word.startswith("paid-") else super().status(word)


class Precise(Acme):
    provider = provider(adapter=Lenient)
    ends = {"exact": "paid", "over": "paid"}

    def sandbox(self) -> Sandbox:
        return PreciseSandbox()


_FOLLOWS = "test_an_order_follows_what_the_payer_does"


@fails(_FOLLOWS, "after over in the sandbox the provider says 'paid-over', and 'paid' when an order is paid exactly")
class SaysNothingOfTooMuch(Precise):
    """Shows an order as paid that the provider calls overpaid, and nothing else."""


@fails(_FOLLOWS, "expected: OrderException.PARTIAL in `exceptions`", ends={"exact": "paid", "under": "paid"})
class SaysNothingOfTooLittle(Precise):
    """Shows an order as paid of which the provider says that a part is missing, and nothing else."""
