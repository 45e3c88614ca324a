"""Adapters that misread the provider's words for a status."""

from __future__ import annotations

from conformance.acme import ORDERS, AcmeAdapter
from conformance.broken.fault import fails
from gateway.exchange import Response
from gateway.models import (
    OrderStatus,
    ProviderOrder,
    ProviderRefund,
    ProviderWithdrawal,
    RefundStatus,
    WithdrawalStatus,
)

_UNKNOWN = "test_a_word_nobody_knows_is_kept_and_warned_about"


@fails(_UNKNOWN, "a status word that nobody knows ('a-word-nobody-knows' at data.status) became 'failed'")
class TakesTheUnknownForFailed(AcmeAdapter):
    """Takes a word that it does not know for a failure: an order that may be paid ends."""

    def status(self, word: str) -> OrderStatus:
        return ORDERS.get(word, OrderStatus.FAILED)


@fails(_UNKNOWN, "a status word that nobody knows ('a-word-nobody-knows' at data.status) became 'completed'")
class TakesTheUnknownForDone(AcmeAdapter):
    """Takes a payout's word that it does not know for completed."""

    def read_payout(self, response: Response) -> ProviderWithdrawal:
        read = super().read_payout(response)
        return read.model_copy(update={"status": WithdrawalStatus.COMPLETED}) if read.warnings else read


@fails(_UNKNOWN, "a status word that nobody knows ('a-word-nobody-knows' at data.status) became a failure")
class FailsAtTheUnknown(AcmeAdapter):
    """Cannot read an order at all whose word it does not know."""

    def status(self, word: str) -> OrderStatus:
        return ORDERS[word]


@fails(_UNKNOWN, "a status word that nobody knows ('a-word-nobody-knows' at data.status) was taken without a warning")
class SaysNothingOfTheUnknown(AcmeAdapter):
    """Takes a word that it does not know without saying so."""

    def read_order(self, response: Response) -> ProviderOrder:
        return super().read_order(response).model_copy(update={"warnings": ()})


@fails("test_the_providers_words_mean_what_is_documented", "the provider's word 'short' became 'paid'")
class TakesTooLittleForPaid(AcmeAdapter):
    """Takes the word for an order that was paid too little for the word of one that is paid."""

    def status(self, word: str) -> OrderStatus:
        return OrderStatus.PAID if word == "short" else super().status(word)


@fails(
    "test_an_order_follows_what_the_payer_does",
    "after expire in the sandbox the order is cancelled",
    ends={"exact": "paid", "expire": "expired"},
)
class ConfusesTwoEnds(AcmeAdapter):
    """Takes an order that nobody paid in time for one that was cancelled."""

    def status(self, word: str) -> OrderStatus:
        return OrderStatus.CANCELLED if word == "expired" else super().status(word)


@fails(
    "test_the_providers_words_mean_what_is_documented", "refunds.get: the provider's word 'failed' became 'completed'"
)
class TakesFailedRefundsForDone(AcmeAdapter):
    """Takes a refund that failed for one that is done."""

    def read_refund(self, response: Response) -> ProviderRefund:
        read = super().read_refund(response)
        done = read.status is RefundStatus.FAILED
        return read.model_copy(update={"status": RefundStatus.COMPLETED}) if done else read


@fails(
    _UNKNOWN, "refunds.get: a status word that nobody knows ('a-word-nobody-knows' at data.status) became 'completed'"
)
class TakesUnknownRefundsForDone(AcmeAdapter):
    """Takes a refund's word that it does not know for completed."""

    def read_refund(self, response: Response) -> ProviderRefund:
        read = super().read_refund(response)
        return read.model_copy(update={"status": RefundStatus.COMPLETED}) if read.warnings else read
