"""Adapters that sign wrongly, or tell secrets of their key by the way they name it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import Field

from conformance.acme import AcmeSettings, SignedAuth, signature
from conformance.broken.fault import fails
from gateway.contracts import BaseUrl
from gateway.exchange import Request, Signing


class Steps(SignedAuth):
    """The sound auth in steps, so that a broken one changes one of them."""

    def time(self, signing: Signing) -> str:
        return signing.now.astimezone(UTC).isoformat(timespec="seconds")

    def parts(self, time: str, request: Request, body: str) -> tuple[str, ...]:
        return time, request.method, request.target(), body

    def sent(self, request: Request) -> Request:
        return request

    def sign(self, request: Request, signing: Signing) -> Request:
        request = request.encoded()
        time = self.time(signing)
        signed = signature(self._keys.secret, *self.parts(time, request, (request.body or b"").decode()))
        headers = {**request.headers, "X-Key": self._keys.key.reveal(), "X-Time": time, "X-Sign": signed}
        return self.sent(replace(request, headers=headers))


@fails("test_the_check_values_hold", "the header X-Sign of Request(POST /orders) is not the one of the check value")
class SignsInAnotherOrder(Steps):
    """Signs the method before the time."""

    def parts(self, time: str, request: Request, body: str) -> tuple[str, ...]:
        return request.method, time, request.target(), body


@fails("test_the_check_values_hold", "the header X-Sign of Request(GET /orders?page=1) is not the one")
class SignsWithoutTheQuery(Steps):
    """Signs the path without its query."""

    def parts(self, time: str, request: Request, body: str) -> tuple[str, ...]:
        return time, request.method, request.path, body


@fails("test_the_check_values_hold", "the body of Request(POST /orders) is not the one of the check value")
class SendsAnotherBody(Steps):
    """Signs one body and sends another: the same data, written with spaces."""

    def sent(self, request: Request) -> Request:
        return replace(request, body=json.dumps(request.json).encode()) if request.json is not None else request


@fails("test_it_works_and_gives_what_it_should", "the key or its signature is wrong")
class SignsAnotherBody(Steps):
    """Signs a body that is not the one which is sent, for all requests but that of its check value."""

    def parts(self, time: str, request: Request, body: str) -> tuple[str, ...]:
        is_sample = request.json == {"price": 25, "currency": "USD"}
        return time, request.method, request.target(), body if is_sample or not body else "{}"


@fails("test_the_check_values_hold", "the header X-Time of Request(POST /orders) is not the one of the check value")
class SignsNoTime(Steps):
    """Leaves the time of the request out."""

    def sent(self, request: Request) -> Request:
        return replace(request, headers={name: text for name, text in request.headers.items() if name != "X-Time"})


@fails("test_the_check_values_hold", "expected: 2025-01-02T03:04:05+00:00")
class SendsAnotherTime(Steps):
    """Sends another time than the one that was signed: the local one."""

    def sent(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "X-Time": "2025-01-02T07:04:05+04:00"})


@fails("test_signing_changes_nothing_else", "twice at one moment gives two results")
class ReadsAClock(Steps):
    """Reads a clock of its own when it signs, instead of the moment that it is given."""

    def time(self, signing: Signing) -> str:
        return datetime.now(UTC).isoformat(timespec="microseconds")


@fails("test_signing_changes_nothing_else", "signing changed the write of Request(POST /conformance)")
class ForgetsTheWrite(Steps):
    """Builds a new request when it signs, which has forgotten that it is a write."""

    def sent(self, request: Request) -> Request:
        return Request(request.method, request.path, request.query, request.headers, body=request.body)


@fails(
    "test_a_signature_covers_the_path_of_the_address",
    "leaves out that of base_url (/v2): the provider sees /v2/orders where /orders was signed",
)
class SignsBelowTheVersion(AcmeSettings):
    """Signs the path below the address of the API, whose version the provider signs too."""

    base_url: BaseUrl = Field(default="https://api.acme.invalid/v2", description="where the API is")


@fails("test_what_identifies_a_key_does_not_reveal_it", "auth.key_id holds the secret auth.key")
class NamesTheKeyByItself(SignedAuth):
    """Uses the key itself as its name, which is written into the store."""

    @property  # type: ignore[override]
    def key_id(self) -> str:
        return self._keys.key.reveal()

    @key_id.setter
    def key_id(self, value: str) -> None:
        pass


@fails("test_every_key_has_a_name_of_its_own", "two keys have one auth.key_id")
class NamesAllKeysAlike(SignedAuth):
    """Names all keys alike, so that they share one limit of calls."""

    @property  # type: ignore[override]
    def key_id(self) -> str:
        return "acme"

    @key_id.setter
    def key_id(self, value: str) -> None:
        pass


@fails("test_every_key_has_a_name_of_its_own", "auth.key_id of one key is another one each time")
class NamesAKeyAnew(SignedAuth):
    """Names the key by something that changes each time, so that no limit of calls is ever reached."""

    def __init__(self, keys: object) -> None:
        super().__init__(keys)  # type: ignore[arg-type]
        self.key_id = f"{id(self):x}"


@fails("test_many_keys_have_many_names", "keys two have one auth.key_id")
class NamesKeysByTwoDigits(SignedAuth):
    """Names keys by the first two hex digits of a hash: of a few dozen some share one limit of calls."""

    def __init__(self, keys: object) -> None:
        super().__init__(keys)  # type: ignore[arg-type]
        self.key_id = self.key_id[:2]


@fails("test_many_keys_have_many_names", "keys two have one auth.key_id")
class NamesKeysByFourDigits(SignedAuth):
    """Names keys by four hex digits of a hash."""

    def __init__(self, keys: object) -> None:
        super().__init__(keys)  # type: ignore[arg-type]
        self.key_id = self.key_id[:4]
