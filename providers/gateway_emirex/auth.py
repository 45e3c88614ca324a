"""Signing of private requests (I: as the sister product does it).

Headers `login-token: <public key>` and `X-Auth-Sign: <hex>`; the body carries a growing `request_id`. The signature is
the SHA-256 of the body's values in the order of their sorted keys, joined without separators, with the secret appended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from gateway.errors import InvalidRequest
from gateway.exchange import Request, Signing
from gateway.money import plain
from gateway.secrets import Secret
from gateway_emirex.settings import SignedKeys

__all__ = ["SignedAuth", "signed_text"]


class SignedAuth:
    numbered = True

    def __init__(self, keys: SignedKeys) -> None:
        self._public_key = keys.public_key
        self._secret = keys.secret
        self.key_id = hashlib.sha256(b"emirex\0" + keys.public_key.encode()).hexdigest()[:16]

    def sign(self, request: Request, signing: Signing) -> Request:
        if not request.signed:
            return request.encoded()
        if request.body is not None or not isinstance(request.json, (Mapping, type(None))):
            raise InvalidRequest("Emirex signs JSON objects only", hint="pass the body as `json`, an object")
        body = {**(request.json or {}), "request_id": str(signing.request_number)}
        signature = hashlib.sha256(signed_text(body).encode() + self._secret.encode()).hexdigest()
        request = replace(request, json=body).encoded()
        headers = {"login-token": self._public_key.reveal(), "X-Auth-Sign": signature}
        return replace(request, headers={**request.headers, **headers})

    def secrets(self) -> Iterable[Secret]:
        return (self._public_key, self._secret)


def signed_text(value: Any) -> str:
    """The values as the text that is signed: each number exactly as it is written in the body."""
    if isinstance(value, Mapping):
        return "".join(signed_text(value[key]) for key in sorted(value))
    if isinstance(value, (list, tuple)):
        return "".join(map(signed_text, value))
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    # How anything else would be written into the text is not known.
    raise InvalidRequest(f"Emirex signs texts and exact numbers, not {type(value).__name__}")
