"""Acme with a login, and adapters that log in too often."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from conformance.acme import AcmeAdapter, SignedAuth, data_of, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.exchange import Operation, Request, Signing, ask
from gateway.models import IssuedKey
from gateway.secrets import Secret


class LoginSandbox(AcmeSandbox):
    """Gives a token for a signed call, and takes any."""

    def __init__(self) -> None:
        super().__init__()
        self._app.router.routes.append(self._route("POST", "/login", lambda request, body: {"token": "token-of-a-day"}))


class HalfALogin(SignedAuth):
    """Asks for a token once, and sends it along; does not say when one is needed."""

    token: Secret | None = None
    expires_at: datetime | None = None

    def login_due(self) -> bool:
        return self.token is None

    def login(self) -> Operation[IssuedKey]:
        asked = super().sign(Request("POST", "/login"), Signing(datetime.now().astimezone()))
        data = yield from ask(replace(asked, signed=False, quiet=True), data_of)
        self.token = Secret(data["token"])
        return IssuedKey(secret=self.token)

    def sign(self, request: Request, signing: Signing) -> Request:
        token = self.token.reveal() if self.token is not None else ""
        return super().sign(replace(request, headers={**request.headers, "X-Token": token}), signing)

    def refused(self, request: Request) -> None:
        self.token = None

    def secrets(self) -> Any:
        return (*super().secrets(), *(() if self.token is None else (self.token,)))


class LoggedIn(HalfALogin):
    def login_needed(self) -> bool:
        return self.token is None


class AcmeWithLogin(Acme):
    provider = provider(adapter=type("Login", (AcmeAdapter,), {"make_auth": lambda self, keys=None: LoggedIn(keys)}))

    def sandbox(self) -> LoginSandbox:
        return LoginSandbox()


class Forgetful(LoggedIn):
    def login_due(self) -> bool:
        return True


@fails("test_one_login_serves_many_calls", "a login is due right after one: every call would begin with it")
class LogsInForEveryCall(AcmeWithLogin):
    """Logs in again for every call."""

    provider = provider(adapter=type("Again", (AcmeAdapter,), {"make_auth": lambda self, keys=None: Forgetful(keys)}))


class Needy(LoggedIn):
    def login_needed(self) -> bool:
        return True


@fails("test_one_login_serves_many_calls", "a login is needed right after one, while none is due")
class NeedsALoginThatIsNotDue(AcmeWithLogin):
    """Says that a key is needed while none is due."""

    provider = provider(adapter=type("Needy", (AcmeAdapter,), {"make_auth": lambda self, keys=None: Needy(keys)}))


@fails("test_one_login_serves_many_calls", "the auth logs in, but not as the engine asks it to")
class LogsInByHalf(AcmeWithLogin):
    """Does not say when a key is needed."""

    provider = provider(adapter=type("Half", (AcmeAdapter,), {"make_auth": lambda self, keys=None: HalfALogin(keys)}))
