"""Authentication: an API key (given, or obtained by a login) or a signature.

The recipe of the signature is graded C: two independent clients agree on it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gateway.errors import AuthenticationFailed, Outcome
from gateway.exchange import Operation, Request, Signing, ask
from gateway.models import IssuedKey
from gateway.secrets import Secret
from gateway_aurpay import wire
from gateway_aurpay.settings import CallbackSecrets, LoginCredentials

__all__ = ["ApiKey", "CallbacksOnly", "Login", "Signature", "date_text", "obtain_key", "signature"]

_KEY_HEADER = "API-Key"
_MOST_AHEAD = timedelta(minutes=5)


def _fingerprint(kind: str, text: str) -> str:
    return f"{kind} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


class ApiKey:
    """A key that was given."""

    numbered = False

    def __init__(self, key: Secret) -> None:
        self._key = key
        self.key_id = _fingerprint("api-key", key.reveal())

    def sign(self, request: Request, signing: Signing) -> Request:
        request = request.encoded()
        return replace(request, headers={**request.headers, _KEY_HEADER: self._key.reveal()})

    def secrets(self) -> Iterable[Secret]:
        return (self._key,)


class Signature:
    """A token, and a secret that signs: date, method, path with query, and the MD5 of the body.

    The path is the one below the base URL: what stands before it belongs to whatever forwards to the provider.
    """

    numbered = False

    def __init__(self, token: Secret, secret: Secret) -> None:
        self._token, self._secret = token, secret
        self.key_id = _fingerprint("signature", token.reveal())

    def sign(self, request: Request, signing: Signing) -> Request:
        request = request.encoded()
        date = date_text(signing.now)
        digest = hashlib.md5(request.body, usedforsecurity=False).hexdigest() if request.body else None
        headers = {
            **request.headers,
            "API-Token": self._token.reveal(),
            "Algorithm": "HMAC-SHA256",
            "Date": date,
            "Signature": signature(self._secret, date, request.method, request.target(), digest),
        }
        if digest is not None:
            headers["Body-MD5"] = digest
        return replace(request, headers=headers)

    def secrets(self) -> Iterable[Secret]:
        return (self._token, self._secret)


def date_text(moment: datetime) -> str:
    """`2025-01-02T03:04:05.678Z`: the form that is signed and sent, which is not the usual one of a Date header."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def signature(secret: Secret, date: str, method: str, target: str, body_md5: str | None) -> str:
    """The value of the Signature header."""
    parts = ["HMAC-SHA256", date, f"{method} {target}"]
    if body_md5 is not None:
        parts.append(body_md5)
    return base64.b64encode(hmac.digest(secret.encode(), " | ".join(parts).encode(), "sha256")).decode()


@dataclass(frozen=True, slots=True)
class _Held:
    """A key that was obtained. `renew_at` is some time before it expires, so that it does not do so on its way."""

    key: Secret
    renew_at: datetime | None
    expires_at: datetime | None
    refused: bool = False


class Login:
    """A key obtained with user name and password; renewed before it expires, and once when a call answers 401."""

    numbered = False

    def __init__(self, credentials: LoginCredentials, now: Callable[[], datetime]) -> None:
        self._credentials, self._now = credentials, now
        self._held: _Held | None = None
        self.key_id = _fingerprint("login", credentials.username)

    def login_due(self) -> bool:
        held = self._held
        return held is None or held.refused or (held.renew_at is not None and self._now() >= held.renew_at)

    def login_needed(self) -> bool:
        held = self._held
        return held is None or held.refused or (held.expires_at is not None and self._now() >= held.expires_at)

    @property
    def expires_at(self) -> datetime | None:
        return self._held.expires_at if self._held is not None else None

    def login(self) -> Operation[IssuedKey]:
        asked_at = self._now()
        issued = yield from obtain_key(self._credentials, asked_at)
        renew_at = None
        if issued.expires_at is not None:
            # A short life must not be all margin, or every call would log in.
            renew_at = issued.expires_at - min(_MOST_AHEAD, (issued.expires_at - asked_at) / 10)
        self._held = _Held(issued.secret, renew_at, issued.expires_at)
        return issued

    def refused(self, request: Request) -> None:
        held = self._held
        # The key stays until another is there: a call that is being signed meanwhile learns by its own 401.
        if held is not None and request.headers.get(_KEY_HEADER) == held.key.reveal():
            self._held = replace(held, refused=True)

    def sign(self, request: Request, signing: Signing) -> Request:
        held = self._held
        if held is None:
            raise AuthenticationFailed("no key has been obtained yet", outcome=Outcome.NOT_SENT)
        return ApiKey(held.key).sign(request, signing)

    def secrets(self) -> Iterable[Secret]:
        held = self._held
        return (self._credentials.password,) if held is None else (self._credentials.password, held.key)


class CallbacksOnly:
    """The callback page's token and secret: to be hidden from every report as others are, and never signed with."""

    numbered = False

    def __init__(self, credentials: CallbackSecrets) -> None:
        self._credentials = credentials
        self.key_id = _fingerprint("callback", credentials.token.reveal())

    def sign(self, request: Request, signing: Signing) -> Request:
        raise AuthenticationFailed(
            "these secrets prove callbacks; no request is made with them",
            outcome=Outcome.NOT_SENT,
            hint="add an API key or a signature pair to the ring: `gateway keys create`",
        )

    def secrets(self) -> Iterable[Secret]:
        return (self._credentials.token, self._credentials.secret)


def obtain_key(credentials: LoginCredentials, asked_at: datetime) -> Operation[IssuedKey]:
    """A new key. Not signed: the sample's own API-Key header cannot be meant for the call that obtains the key."""
    request = Request(
        "POST",
        credentials.path,
        json={"username": credentials.username, "password": credentials.password.reveal()},
        signed=False,
        quiet=True,
    )
    raw, key = yield from ask(request, wire.issued_key)
    expires_at = None if key.expire is None else asked_at + timedelta(seconds=key.expire)
    return IssuedKey(secret=Secret(key.access_token), expires_at=expires_at, raw=raw)
