"""Authentication: `Authorization: Bearer <API key>` on every call; nothing is signed (D, page auth)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from gateway.exchange import Request, Signing
from gateway.secrets import Secret

__all__ = ["BearerAuth"]


class BearerAuth:
    numbered = False

    def __init__(self, api_key: Secret) -> None:
        self._api_key = api_key
        # Rate limits are per key (D, page auth), so two accounts with one key share them.
        self.key_id = hashlib.sha256(b"aurex\0" + api_key.encode()).hexdigest()[:16]

    def sign(self, request: Request, signing: Signing) -> Request:
        request = request.encoded()
        if not request.signed:
            return request
        return replace(request, headers={**request.headers, "Authorization": f"Bearer {self._api_key.reveal()}"})

    def secrets(self) -> Iterable[Secret]:
        return (self._api_key,)
