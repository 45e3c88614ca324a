"""Adapters that call refused what may have been done, or take for done what was refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.acme import AcmeAdapter
from conformance.broken.fault import fails
from gateway.contracts import NewWithdrawal, Query
from gateway.errors import InvalidRequest, OutcomeUnknown
from gateway.exchange import Failure, Operation, Request, Response, ask
from gateway.models import Page, ProviderWithdrawal, Wallet

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


@fails("test_an_answer_that_says_it_failed_is_no_success", "(ok: false, as documented errors have it) was taken for a")
class LooksAtTheDataAlone(AcmeAdapter):
    """Takes whatever has data for a success, though the answer says that it failed."""

    def read_balances(self, response: Response) -> dict[str, Any]:
        data: dict[str, Any] = response.json()["data"]
        return data

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        data = yield from ask(Request("GET", "/balances"), self.read_balances)
        return Page[Wallet](items=tuple(map(self.wallet, data["items"])))
