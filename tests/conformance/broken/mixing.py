"""Adapters that take one order, call or account for another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.acme import AcmeAdapter, SignedAuth, data_of, provider
from conformance.broken.fault import fails
from conformance.broken.logins import AcmeWithLogin, LoggedIn
from gateway.contracts import NewWithdrawal
from gateway.exchange import Operation, Request, Response, Signing, ask
from gateway.models import IssuedKey, ProviderOrder, ProviderWithdrawal

_OWN = "test_what_is_read_is_what_was_asked_for"
_MEET = "test_two_calls_at_one_time_do_not_mix"


@fails(_OWN, "withdrawals.get shows another one than was asked for, once there is a newer one: provider_id is P2")
class ReadsTheLastPayout(AcmeAdapter):
    """Reads the payout that was seen last, whichever is asked for."""

    last = ""

    def read_payout(self, response: Response) -> ProviderWithdrawal:
        read = super().read_payout(response)
        self.last = read.provider_id or ""
        return read

    def get_withdrawal(self, provider_id: str) -> Operation[ProviderWithdrawal]:
        return (yield from super().get_withdrawal(self.last))


@fails(_OWN, "orders.get shows another one than was asked for, once there is a newer one: provider_id is A2")
class ReadsTheNewestOrder(AcmeAdapter):
    """Reads the newest order of the list, whichever is asked for."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        data = yield from ask(Request("GET", "/orders", query=(("page", "1"), ("size", "1"))), data_of)
        return self.order(data["items"][0])


@fails(_OWN, "orders.get shows an answer about A1 as A2")
class ClaimsEveryAnswer(AcmeAdapter):
    """Takes an answer for one about the order that was asked for, whichever it names."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        read = yield from super().get_order(provider_id)
        return read.model_copy(update={"provider_id": provider_id})


@fails(_OWN, "withdrawals.get shows an answer about P1 as P2")
class ClaimsEveryPayout(AcmeAdapter):
    """Takes an answer for one about the payout that was asked for, whichever it names."""

    def get_withdrawal(self, provider_id: str) -> Operation[ProviderWithdrawal]:
        read = yield from super().get_withdrawal(provider_id)
        return read.model_copy(update={"provider_id": provider_id})


@fails(_MEET, "two of withdrawals.create:address at one time mix: the one with amount 1.5 USDT@tron became 3.0")
class KeepsThePayout(AcmeAdapter):
    """Looks at the balances before a payout, and keeps what is to be paid on itself meanwhile."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        self.pending = withdrawal
        yield from ask(Request("GET", "/balances"), data_of)
        return (yield from super().create_withdrawal(self.pending))


@fails(_MEET, "two of withdrawals.create:address at one time mix: those with amount 1.5 USDT@tron and amount 3.0")
class KeepsThePayoutQuietly(KeepsThePayout):
    """Keeps what is to be paid on itself between two requests, and shows no amount of what it paid."""

    def read_payout(self, response: Response) -> ProviderWithdrawal:
        return super().read_payout(response).model_copy(update={"amount": None})


@fails(_MEET, "two of orders.get at one time become one: both show A")
class KeepsTheNumber(AcmeAdapter):
    """Keeps on itself which order is being read, and shows that number."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        self.number = provider_id
        read = yield from super().get_order(provider_id)
        return read.model_copy(update={"provider_id": self.number})


class OnTheClass(LoggedIn):
    def login(self) -> Operation[IssuedKey]:
        issued = yield from super().login()
        OnTheClass.token = self.token
        return issued


@fails("test_two_accounts_share_no_key", "after one account has logged in, another one that never did needs no login")
class SharesItsLogin(AcmeWithLogin):
    """Keeps the token of a login where all accounts have it."""

    provider = provider(adapter=type("Shared", (AcmeAdapter,), {"make_auth": lambda self, keys=None: OnTheClass(keys)}))


class Anothers(LoggedIn):
    known: str = ""

    def login(self) -> Operation[IssuedKey]:
        issued = yield from super().login()
        Anothers.known = self.token.reveal() if self.token is not None else ""
        return issued

    def sign(self, request: Request, signing: Signing) -> Request:
        return super().sign(replace(request, headers={**request.headers, "X-Last": self.known}), signing)


@fails("test_two_accounts_share_no_key", "a request of one account is signed with the key of another one")
class SendsAnothersToken(AcmeWithLogin):
    """Sends along the token that any account obtained last."""

    provider = provider(adapter=type("Last", (AcmeAdapter,), {"make_auth": lambda self, keys=None: Anothers(keys)}))


@fails("test_two_accounts_share_no_key", "one account's auth holds a secret of another account")
class SharesItsAuth(AcmeAdapter):
    """Makes one auth for every account at an address."""

    def make_auth(self, credentials: Any = None) -> SignedAuth:
        if not hasattr(type(self), "made"):
            type(self).made = SignedAuth(self.settings.auth)
        return type(self).made
