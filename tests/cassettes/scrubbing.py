"""What is taken out of an exchange before it becomes a cassette: keys, signatures, credentials, cards and addresses of
this machine.

Request headers are dropped but for two that say nothing; fields that hold a secret get a placeholder, in requests and
in answers.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

__all__ = ["HARMLESS_HEADERS", "PLACEHOLDERS", "SITE", "Scrubber"]

SITE = "https://sandbox.invalid"
"""Where the sandboxes seem to be, whatever port they had."""

HARMLESS_HEADERS = ("accept", "content-type")
PLACEHOLDERS = {
    "username": "scrubbed-username",
    "password": "scrubbed-password",
    "access_token": "scrubbed-access-token",
    "cardnumber": "4000 1234 5678 9010",
    "cvv": "000",
    "otp": "000000",
    "request_id": "1700000000000000",
    "email": "scrubbed@example.invalid",
    "ip": "192.0.2.1",
}
"""By field, in lower case. The card's number fails the check of card numbers."""

_FIELD = re.compile(r'"([A-Za-z_]+)"(\s*:\s*)"((?:[^"\\]|\\.)*)"')


class Scrubber:
    """For one recording. `secrets` are texts that must not be anywhere; `base_url` becomes `shown`."""

    def __init__(self, base_url: str, shown: str, secrets: list[str]) -> None:
        self._origin = f"{urlsplit(base_url).scheme}://{urlsplit(base_url).netloc}"
        self._shown = f"{urlsplit(shown).scheme}://{urlsplit(shown).netloc}"
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def text(self, text: str) -> str:
        text = text.replace(self._origin, self._shown)
        text = _FIELD.sub(self._field, text)
        for secret in self._secrets:
            text = text.replace(secret, "scrubbed-secret")
        return text

    def _field(self, match: re.Match[str]) -> str:
        value = PLACEHOLDERS.get(match[1].lower(), match[3])
        return f'"{match[1]}"{match[2]}{json.dumps(value) if value != match[3] else chr(34) + match[3] + chr(34)}'

    def request(self, request: Any) -> Any:
        request.uri = self.text(request.uri)
        if request.body:
            request.body = self.text(request.body.decode()).encode()
        kept = {name: value for name, value in request.headers.items() if name.lower() in HARMLESS_HEADERS}
        request.headers = kept
        return request

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        body = self.text(response["body"]["string"].decode()).encode()
        headers = {"content-type": response["headers"].get("content-type", ["application/json"])}
        return {**response, "headers": headers, "body": {"string": body}}
