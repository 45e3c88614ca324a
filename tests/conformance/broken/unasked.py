"""Payouts that say what nobody asked for."""

from __future__ import annotations

from dataclasses import replace

from conformance.acme import AcmeAdapter, provider
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.contracts import NewWithdrawal
from gateway.exchange import Request

_UNASKED = "test_a_payout_says_nothing_that_was_not_asked_for"


class Typed(AcmeAdapter):
    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        made = super().new_payout(withdrawal)
        return replace(made, json={**made.json, "options": {"kind": "external", "instant": False}})


class AcmeWithConstants(Acme):
    """What every payout says beside what is asked for is documented."""

    provider = provider(adapter=Typed)
    constants = {"withdrawals.create:address": {"options.kind": "external", "options.instant": False}}


@fails(_UNASKED, "withdrawals.create:address: fee_from_amount = True leaves with every payout, and nobody asked for it")
class TakesTheFeeFromTheAmount(AcmeAdapter):
    """Asks with every payout for its fee to be taken from the amount, and for the dearest speed."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        made = super().new_payout(withdrawal)
        return replace(made, json={**made.json, "fee_from_amount": True, "priority": "max"})


@fails(_UNASKED, "withdrawals.create:address: options.kind = external leaves with every payout")
class SendsAnotherConstant(AcmeWithConstants):
    """Sends another constant than the Subject says that the documentation has."""

    constants = {"withdrawals.create:address": {"options.kind": "internal", "options.instant": False}}
