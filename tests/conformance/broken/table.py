"""Capability tables that are not complete or not true."""

from __future__ import annotations

from conformance.acme import CAPABILITIES, AcmeAdapter, provider
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.capabilities import Capabilities, Capability, Grade, Support, supported
from gateway.contracts import NewWithdrawal
from gateway.exchange import Operation, Request, ask
from gateway.models import ProviderOrder, ProviderWithdrawal

_EVIDENCE = "test_every_row_says_on_what_evidence"
_SAMPLE = "test_what_is_declared_has_a_sample"


def _with(*rows: Capability) -> Capabilities:
    return CAPABILITIES.replaced(*rows)


@fails("test_what_is_declared_is_implemented", "the table lies: orders.cancel is declared as supported")
class DeclaresWhatItCannot(Acme):
    """Declares that it cancels orders, and cannot."""

    provider = provider(capabilities=_with(supported("orders.cancel", "D", "acme: orders")))


@fails("test_what_is_implemented_is_declared", "the adapter has cancel_order(), and orders.cancel is not declared")
class HidesWhatItCan(AcmeAdapter):
    """Can cancel orders, and does not declare it."""

    def cancel_order(self, provider_id: str) -> Operation[ProviderOrder]:
        return (yield from ask(Request("POST", f"/orders/{provider_id}/cancel", write=True), self.read_order))


@fails("test_a_variant_that_is_not_declared_is_refused", "withdrawals.create:card is not declared as supported")
class PaysOutToAnything(AcmeAdapter):
    """Makes payouts of a kind that it does not declare."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        return (yield from ask(self.new_payout(withdrawal), self.read_payout))


@fails("test_nothing_is_sampled_that_is_not_declared", "orders.create:payer-choice has a sample and is not declared")
class SamplesWhatIsNotDeclared(Acme):
    """Has a sample of orders of a kind that its table does not declare."""

    orders = {**Acme.orders, "payer-choice": {"price": "25.00 USD"}}


@fails(_SAMPLE, "withdrawals.create:address is declared as supported, and nothing exercises it")
class ExercisesNoPayout(Acme):
    """Declares payouts, and has no sample of one."""

    withdrawals = {}


@fails(
    "test_it_works_and_gives_what_it_should",
    "orders.create:payer-choice is declared, and its sample does not carry it out",
)
class ExercisesAnotherVariant(Acme):
    """Declares orders whose payer chooses the coin, and its sample names a coin."""

    provider = provider(capabilities=_with(supported("orders.create", "D", "acme: orders", variant="payer-choice")))
    orders = {**Acme.orders, "payer-choice": Acme.orders["coin"]}


@fails(_SAMPLE, "orders.get reads a status, and nothing says what the provider's words mean")
class DocumentsNoWords(Acme):
    """Reads the status of orders, and says nowhere what the provider's words mean."""

    words = ()


@fails("test_there_are_check_values", "requests are authenticated, and no check value says how")
class DocumentsNoSignature(Acme):
    """Signs its requests, and has no check value of a signature."""

    signatures = ()


@fails(_EVIDENCE, "orders.get names no source")
class NamesNoSource(Acme):
    """Declares a row without its source."""

    provider = provider(capabilities=_with(supported("orders.get", "D", " ")))


@fails(_EVIDENCE, "swaps.create is absent and gives no reason")
class GivesNoReason(Acme):
    """Declares that something is absent without a reason."""

    provider = provider(
        capabilities=_with(Capability("swaps.create", "", Support.ABSENT, Grade.ABSENT, "acme: overview"))
    )


@fails(_EVIDENCE, "orders.get is supported with grade X: X is for what is absent")
class GradesWrongly(Acme):
    """Grades a row as absent that it declares as supported."""

    provider = provider(capabilities=_with(supported("orders.get", "X", "acme: orders")))


@fails(_EVIDENCE, "keys.issue is manual and does not say what a person does")
class DoesNotSayWhatToDo(Acme):
    """Declares that something is done by hand, and not how."""

    provider = provider(
        capabilities=_with(Capability("keys.issue", "", Support.MANUAL, Grade.DOCUMENTED, "acme: keys", "by hand"))
    )


@fails(_EVIDENCE, "cards.freeze is not declared at all")
class LeavesARowOut(Acme):
    """Leaves a row of the table out."""

    provider = provider(
        capabilities=Capabilities.of(*(row for row in CAPABILITIES.rows if row.operation != "cards.freeze"))
    )
