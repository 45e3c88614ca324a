"""Who may call: by an API key, given or from a login, or by a signature ("Authentication: two flavours")."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from gateway.exchange import encode_json
from gateway.testing.sandbox import SandboxClock
from gateway_aurpay.sandbox.wire import Refusal

__all__ = ["ALGORITHM", "API_KEY", "API_TOKEN", "PASSWORD", "USERNAME", "USER_ID", "Access", "iso_date", "sign"]

ALGORITHM = "HMAC-SHA256"
# Made up, all of them.
USER_ID = "mct-5a4d80c0ffee"
API_KEY = "sandbox-aurpay-api-key"
API_TOKEN = "sandbox-aurpay-api-token"
USERNAME = "merchant@shop.example"
PASSWORD = "sandbox-aurpay-password"

_KEY_LIFE = 86400  # seconds; the sample's `expire` (D), read as seconds (I)
_DATE_WINDOW = timedelta(minutes=5)  # not documented
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def iso_date(moment: datetime) -> str:
    """`2025-01-02T03:04:05.678Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def sign(secret: str, text: str) -> str:
    """Base64 of HMAC-SHA256, of requests and of callbacks."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


class Access:
    """The merchant's keys. All flavours work side by side; keys from a login live by the sandbox's clock.

    `api_keys` and `pairs` (of a token and its secret) are the dashboard's, the oldest first. That it keeps several, and
    that one can be ended, is not documented.
    """

    def __init__(self, clock: SandboxClock, api_secret: str) -> None:
        self._clock = clock
        self.api_keys: list[str] = [API_KEY]
        self.pairs: dict[str, str] = {API_TOKEN: api_secret}
        self._tokens: dict[str, datetime] = {}
        self._logins = 0

    @property
    def newest_api_key(self) -> str | None:
        return self.api_keys[-1] if self.api_keys else None

    @property
    def newest_key(self) -> str | None:
        """The key of the last login, or else the dashboard's."""
        return next(reversed(self._tokens), self.newest_api_key)

    def login(self, username: str, password: str) -> tuple[str, int]:
        """A new key and its life in seconds (16). Earlier keys keep their own life: not documented."""
        if not (_same(username, USERNAME) and _same(password, PASSWORD)):
            raise Refusal(401, "wrong username or password")
        now = self._clock.now()
        self._logins += 1
        # As in the sample, the token's own `exp` lies far later than `expire`, which is what counts.
        claims = {"sub": USER_ID, "iat": int(now.timestamp()), "exp": int(now.timestamp()) + 2_592_000 + self._logins}
        unsigned = f"{_base64url(encode_json({'alg': 'HS256', 'typ': 'JWT'}))}.{_base64url(encode_json(claims))}"
        token = f"{unsigned}.{_base64url(hmac.digest(b'sandbox-token-key', unsigned.encode(), 'sha256'))}"
        self._tokens[token] = now + timedelta(seconds=_KEY_LIFE)
        return token, _KEY_LIFE

    def forget_logins(self) -> None:
        self._tokens.clear()

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Raise Refusal 401 unless the call carries a good key or a good signature. Header names are in lower case."""
        if "api-token" in headers:
            self._check_signature(method, target, headers, body)
        elif "api-key" in headers:
            self._check_key(headers["api-key"])
        else:
            raise Refusal(401, "API-Key is missing")

    def _check_key(self, key: str) -> None:
        expires_at = self._tokens.get(key)
        given = any(_same(key, known) for known in self.api_keys)
        if not given and (expires_at is None or expires_at <= self._clock.now()):
            raise Refusal(401, "API-Key is wrong or has expired")

    def _check_signature(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        secret = self.pairs.get(headers["api-token"])
        if secret is None:
            raise Refusal(401, "API-Token is wrong")
        if headers.get("algorithm") != ALGORITHM:
            raise Refusal(401, f"Algorithm must be {ALGORITHM}")
        date = headers.get("date", "")
        # Against real time, as the contract of sandboxes says: the sandbox's clock moves orders only.
        if abs(datetime.now(UTC) - _read_date(date)) > _DATE_WINDOW:
            raise Refusal(401, "Date is too far from now")
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest() if body else ""
        # Without a body the header is left out, or sent empty (C).
        if headers.get("body-md5", "") != digest:
            raise Refusal(401, "Body-MD5 is not that of the body")
        text = " | ".join([ALGORITHM, date, f"{method} {target}", *([digest] if digest else [])])
        if not _same(headers.get("signature", ""), sign(secret, text)):
            raise Refusal(401, "Signature is wrong")


def _read_date(date: str) -> datetime:
    try:
        if _DATE.fullmatch(date):
            return datetime.fromisoformat(date)
    except ValueError:
        pass
    raise Refusal(401, "Date must be like 2025-01-02T03:04:05.678Z")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
