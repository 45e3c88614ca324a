"""Adapters that show secrets."""

from __future__ import annotations

import base64
import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import Field

from conformance.acme import AcmeAdapter, AcmeSettings, Keys, SignedAuth, provider
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.contracts import Setting
from gateway.errors import AuthenticationFailed, GatewayError
from gateway.exchange import Operation, Request, Signing
from gateway.models import ProviderOrder
from gateway.secrets import Secret

_CALL = "test_a_call_shows_no_secret"


@fails("test_nothing_shows_its_secrets", "auth.key stands in the repr of the adapter's auth")
class ShowsItselfWhole(SignedAuth):
    """Shows its key when it is printed."""

    def __repr__(self) -> str:
        return f"SignedAuth({self._keys.key.reveal()}, {self._keys.secret.reveal()})"


class PlainKeys(Setting):
    kind: str = Field(description="how requests are authenticated")
    key: str = Field(description="the public part of the key, sent along")
    secret: str = Field(description="the secret part, which signs")


class PlainSettings(AcmeSettings):
    auth: PlainKeys = Field(description="the account's key")  # type: ignore[assignment]


class PlainAuth(SignedAuth):
    def __init__(self, keys: PlainKeys) -> None:
        super().__init__(Keys(kind="signed", key=Secret(keys.key), secret=Secret(keys.secret)))

    def secrets(self) -> Iterable[Secret]:
        return ()


class Plain(AcmeAdapter):
    def make_auth(self, credentials: Any = None) -> PlainAuth:
        return PlainAuth(credentials)


@fails("test_every_secret_that_leaves_is_known_as_one", "the secret auth.key goes out with requests, and nothing")
class KeepsKeysAsText(Acme):
    """Keeps its key as a plain text in the settings, and does not say that it is a secret."""

    provider = provider(adapter=Plain, settings=PlainSettings)


@fails("test_nothing_shows_its_secrets", "stands in the repr of the settings")
class ShowsItsSettings(KeepsKeysAsText):
    """Shows the settings with their key when they are printed."""


@fails("test_an_answer_that_repeats_secrets_does_not_reveal_them", "stands in the error of keys.verify")
class QuotesTheKeyInAnError(AcmeAdapter):
    """Quotes the key in the text of an error."""

    def verify_key(self) -> Operation[None]:
        try:
            yield from super().verify_key()
        except GatewayError as error:
            key = self.settings.auth.secret.reveal()
            raise AuthenticationFailed(f"{key[:4]}… is not accepted", outcome=error.outcome, hint=key) from None


@fails(_CALL, "stands in logs at DEBUG during")
class LogsItsKey(SignedAuth):
    """Writes its key into the log at DEBUG."""

    def sign(self, request: Request, signing: Signing) -> Request:
        logging.getLogger("acme").debug("signing with %s", self._keys.secret.reveal())
        return super().sign(request, signing)


@fails(_CALL, "which proxies write into their logs")
class PutsTheKeyIntoTheAddress(SignedAuth):
    """Sends the key in the query of every address as well."""

    def sign(self, request: Request, signing: Signing) -> Request:
        return super().sign(replace(request, query=(*request.query, ("k", self._keys.key.reveal()))), signing)


@fails(_CALL, "auth.key stands in the result of orders.create:coin (repr, str, JSON)")
class ShowsTheKeyToPayers(AcmeAdapter):
    """Puts the key into the address at which the payer is to pay."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        page = f"https://pay.acme.invalid/{read.provider_id}?k={self.settings.auth.key.reveal()}"
        return read.model_copy(update={"pay": read.pay.model_copy(update={"checkout_url": page})})


@fails("test_no_secret_is_in_the_store", "the store's files hold a secret: auth.key")
class StoresTheKey(AcmeAdapter):
    """Keeps the key in a warning, which is stored with the order."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order(data).model_copy(update={"warnings": (f"read with {self.settings.auth.key.reveal()}",)})


@fails("test_a_call_shows_no_secret", "the repr of the requests of")
class ShowsItsRequests(AcmeAdapter):
    """Sends a secret of the account along in the path of a request."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        secret = self.settings.callback.secret
        assert secret is not None
        # The sandbox takes no such path: what is looked at is what was asked for.
        request = Request("GET", f"/orders/{provider_id}", query=(("as", secret.reveal()),), parse=self.read_order)
        return (yield request)  # type: ignore[no-any-return]


@fails("test_what_identifies_a_key_does_not_reveal_it", "auth.key_id holds the secret auth.secret in Base64")
class NamesItselfInBase64(SignedAuth):
    """Makes the name of its key of the secret, in Base64."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.key_id = base64.b64encode(b"acme:" + keys.secret.encode()).decode()


@fails("test_what_identifies_a_key_does_not_reveal_it", "auth.key_id holds the secret auth.secret backwards")
class NamesItselfBackwards(SignedAuth):
    """Makes the name of its key of the secret, written backwards."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.key_id = keys.secret.reveal()[::-1]


@fails("test_no_secret_is_in_the_store", "the store's files hold a secret: auth.secret in hex")
class StoresTheKeyInHex(AcmeAdapter):
    """Keeps the secret in a warning in hex, which is stored with the order."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        kept = self.settings.auth.secret.encode().hex()
        return super().order(data).model_copy(update={"warnings": (f"read with {kept}",)})


@fails(_CALL, "auth.secret stands in what orders.create:coin prints")
class PrintsItsKey(AcmeAdapter):
    """Writes its key to the standard error."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        sys.stderr.write(f"reading with {self.settings.auth.secret.reveal()}\n")
        return super().order(data)


@fails(_CALL, "the secret auth.secret only signs, and goes out in the header x-debug of orders.create:coin")
class SendsWhatSigns(SignedAuth):
    """Sends the secret that signs along in a header."""

    def sign(self, request: Request, signing: Signing) -> Request:
        signed = super().sign(request, signing)
        return replace(signed, headers={**signed.headers, "X-Debug": self._keys.secret.reveal()})


@fails(_CALL, "the secret auth.secret only signs, and goes out in the header authorization of orders.create:coin")
class SendsWhatSignsAsAPassword(SignedAuth):
    """Sends the secret that signs along as the password of HTTP's basic authentication."""

    def sign(self, request: Request, signing: Signing) -> Request:
        signed = super().sign(request, signing)
        password = base64.b64encode(b"acme:" + self._keys.secret.encode()).decode()
        return replace(signed, headers={**signed.headers, "Authorization": f"Basic {password}"})


@fails(_CALL, "the secret auth.key goes out in the header user-agent of orders.create:coin, where it does not belong")
class NamesTheKeyInTheUserAgent(SignedAuth):
    """Sends the key in a further header, which others write into their logs."""

    def sign(self, request: Request, signing: Signing) -> Request:
        signed = super().sign(request, signing)
        return replace(signed, headers={**signed.headers, "User-Agent": f"acme/{self._keys.key.reveal()}"})
