"""Adapters that do not tell a failure as what it is."""

from __future__ import annotations

from typing import Any

from conformance.acme import AcmeAdapter, data_of
from conformance.acme_subject import Acme, refusal
from conformance.broken.fault import fails
from gateway.contracts import NewWithdrawal, Query
from gateway.errors import (
    GatewayError,
    InsufficientFunds,
    InvalidRequest,
    OutcomeUnknown,
    ProviderUnavailable,
    RateLimited,
)
from gateway.exchange import Failure, Malformed, Operation, Request, Response, ask
from gateway.models import Page, ProviderOrder, ProviderWithdrawal, Wallet, WithdrawalStatus
from gateway.testing.conformance import DocumentedFailure

_DOCUMENTED = "test_a_documented_failure_is_the_error_it_should_be"
_ON_THE_WAY = "test_what_goes_wrong_on_the_way_is_told_as_it_is"


@fails(_DOCUMENTED, "wallets.list:custodial swallowed an error")
class SwallowsErrors(AcmeAdapter):
    """Answers with no wallets when they cannot be read."""

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        try:
            return (yield from super().list_wallets(query))
        except GatewayError:
            return Page[Wallet](items=())


@fails(_DOCUMENTED, "expected: NotFound\n  found: InvalidRequest")
class KnowsOneError(AcmeAdapter):
    """Makes one kind of error of everything that the provider refuses."""

    def read_failure(self, response: Response) -> Failure | None:
        found = super().read_failure(response)
        return found and Failure(InvalidRequest, found.message, found.code)


@fails(_DOCUMENTED, "expected: InsufficientFunds\n  found: InvalidRequest")
class TellsNoFundsAsInvalid(AcmeAdapter):
    """Tells that there are not enough funds as a mistake in the request."""

    def read_failure(self, response: Response) -> Failure | None:
        found = super().read_failure(response)
        if found is not None and found.kind is InsufficientFunds:
            return Failure(InvalidRequest, found.message, found.code)
        return found


@fails(_DOCUMENTED, "the provider's own code of an error was lost")
class LosesTheCode(AcmeAdapter):
    """Keeps the words of an error and loses its code."""

    def read_failure(self, response: Response) -> Failure | None:
        found = super().read_failure(response)
        return found and Failure(found.kind, found.message)


@fails("test_an_error_keeps_the_providers_words", "the provider's own words for an error are lost")
class LosesTheWords(AcmeAdapter):
    """Keeps the code of an error and says words of its own instead of the provider's."""

    def read_failure(self, response: Response) -> Failure | None:
        found = super().read_failure(response)
        return found and Failure(found.kind, "Acme has refused", found.code)


@fails(
    _DOCUMENTED,
    "expected: RateLimited\n  found: InvalidRequest",
    failures=(*Acme.failures, DocumentedFailure("wallets.list", 400, refusal("too-many"), RateLimited, "too-many")),
)
class TellsTooManyAsFinal(AcmeAdapter):
    """Takes the provider's words for too many requests for a refusal that is final, so that nobody waits and tries
    again.
    """

    def read_failure(self, response: Response) -> Failure | None:
        found = super().read_failure(response)
        return found and Failure(InvalidRequest if found.kind is RateLimited else found.kind, found.message, found.code)


@fails(
    _ON_THE_WAY,
    "somebody else's HTML page with HTTP 200, and it returned a result",
    within="wallets",
)
class TakesNonsenseForNothing(AcmeAdapter):
    """Takes what it cannot decode for an empty list."""

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        data = yield from ask(Request("GET", "/balances"), self.tolerant)
        return Page[Wallet](items=tuple(map(self.wallet, data["items"])))

    def tolerant(self, response: Response) -> dict[str, Any]:
        try:
            return data_of(response)
        except Malformed:
            return {"items": []}


@fails(_ON_THE_WAY, "somebody else's HTML page with HTTP 200, and it returned a result", within="keys")
class TakesAnyPage(AcmeAdapter):
    """Takes any answer with HTTP 200 for the provider's: a key is good when a proxy shows its login page."""

    def verify_key(self) -> Operation[None]:
        yield Request("GET", "/me")


@fails(_ON_THE_WAY, "withdrawals.create:address swallowed an error", within="withdrawals")
class TakesNothingForDone(AcmeAdapter):
    """Takes a payout whose answer it does not understand for a payout that is on its way."""

    def read_payout(self, response: Response) -> ProviderWithdrawal:
        try:
            return super().read_payout(response)
        except Malformed:
            return ProviderWithdrawal(provider_id="?", status=WithdrawalStatus.PENDING, provider_status="")


@fails(_ON_THE_WAY, "and it was told as something else\n  expected: OutcomeUnknown", within="withdrawals")
class TellsUnknownAsRefused(AcmeAdapter):
    """Tells a payout of which nobody knows what became as one that was refused: the merchant makes it again."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        try:
            return (yield from super().create_withdrawal(withdrawal))
        except OutcomeUnknown:
            raise InvalidRequest("the payout failed") from None


@fails(_ON_THE_WAY, "a refused connection was told as something else")
class TellsNobodyThereAsInvalid(AcmeAdapter):
    """Tells a provider that cannot be reached as a mistake in the request."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        try:
            return (yield from super().get_order(provider_id))
        except ProviderUnavailable:
            raise InvalidRequest("no such order") from None


@fails(_ON_THE_WAY, "withdrawals.create:address swallowed an error", within="withdrawals")
class TakesATimeoutForRefused(AcmeAdapter):
    """Tells a payout as failed after HTTP 504, the time-out of something between: it may have been made."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        try:
            return (yield from super().create_withdrawal(withdrawal))
        except OutcomeUnknown as error:
            if "HTTP 504" not in str(error):
                raise
            return ProviderWithdrawal(status=WithdrawalStatus.FAILED)
