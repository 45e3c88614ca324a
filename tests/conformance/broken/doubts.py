"""Adapters that call refused what may have been done, or take for done what was refused."""

from __future__ import annotations

from dataclasses import replace

from conformance.acme import AcmeAdapter
from conformance.broken.fault import fails
from gateway.contracts import NewWithdrawal
from gateway.errors import InvalidRequest, OutcomeUnknown
from gateway.exchange import Failure, Operation, Response
from gateway.models import ProviderWithdrawal

_UNKNOWN = "test_an_error_nobody_knows_is_no_refusal_of_a_payout"
_OPEN = "test_an_answer_that_leaves_a_write_open_is_no_refusal"


@fails(
    _UNKNOWN,
    '"error":{"code":"a-code-nobody-knows","message":"a-code-nobody-knows"}} was told as a refusal',
    within="withdrawals",
)
class KnowsEveryCode(AcmeAdapter):
    """Takes an error whose code it does not know, with HTTP 200, for a payout that was refused."""

    def read_failure(self, response: Response) -> Failure | None:
        found = super().read_failure(response)
        return found and replace(found, recognised=True)


@fails(_OPEN, "the answer HTTP 408", within="withdrawals")
class TakesA408ForRefused(AcmeAdapter):
    """Tells a payout as refused after HTTP 408: somebody on the way gave up waiting."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        try:
            return (yield from super().create_withdrawal(withdrawal))
        except OutcomeUnknown as error:
            if "HTTP 408" not in str(error):
                raise
            raise InvalidRequest("the payout was not made") from None
