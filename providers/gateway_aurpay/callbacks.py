"""Aurpay's callbacks: its proof, and the order's number in the body.

The signature's recipe comes from one client (C): Base64 of HMAC-SHA256, with the callback secret, over the date and the
address that was registered. It does not cover the body, which is a hint and never proof.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.contracts import IncomingCallback, Notice, Proof
from gateway.exchange import decode_json
from gateway.secrets import Secret
from gateway_aurpay.settings import ApiKeyAuth, AurpaySettings, CallbackSecrets, LoginCredentials

__all__ = ["read"]

_NUMBER_LENGTH = 64


def read(callback: IncomingCallback, settings: AurpaySettings, ring: Sequence[Any] = ()) -> Notice:
    """The proof against every secret in force, and the number of the order where the body has one.

    `ring` are the credentials of the account's ring that are valid now: while a secret replaces another, both are.
    """
    checked = list(_checks(callback, settings, ring))
    wrong = [reason for reason in checked if reason]
    proof = Proof.ABSENT if not checked else Proof.DIFFERS if wrong else Proof.MATCHES
    return Notice(proof=proof, reason="; ".join(wrong), provider_id=_number(callback.body))


def _checks(callback: IncomingCallback, settings: AurpaySettings, ring: Sequence[Any]) -> Iterator[str]:
    """What is wrong with each proof that can be checked; an empty text when it is right."""
    expected, headers = settings.callback, callback.headers
    kept = [credentials for credentials in ring if isinstance(credentials, CallbackSecrets)]
    secrets = (*expected.secret, *(credentials.secret for credentials in kept))
    if secrets:
        yield _signature(callback, secrets, timedelta(seconds=expected.window))
    tokens = (*expected.token, *(credentials.token for credentials in kept))
    if tokens:
        yield _compared("Callback-Token", headers.get("callback-token"), tokens, Secret.encode)
    # In the API-key flavour the merchant's own key comes along (D); it is compared where it does.
    signs = (settings.auth, *ring)
    keys = tuple(credentials.api_key for credentials in signs if isinstance(credentials, ApiKeyAuth))
    if keys and "api-key" in headers:
        wrong = _compared("Api-Key", headers["api-key"], keys, Secret.encode)
        # Where keys come from a login too, it may be one of those, and which of them is sent is not documented.
        if not wrong or not any(isinstance(credentials, LoginCredentials) for credentials in signs):
            yield wrong


def _signature(callback: IncomingCallback, secrets: tuple[Secret, ...], window: timedelta) -> str:
    date = callback.headers.get("date")
    if date is None:
        return "the Date header is missing"

    def signed(secret: Secret) -> bytes:
        text = f"{date} | {callback.url}"
        return base64.b64encode(hmac.new(secret.encode(), text.encode("utf-8", "surrogateescape"), "sha256").digest())

    wrong = _compared("Signature", callback.headers.get("signature"), secrets, signed)
    if wrong:
        return wrong
    moment = _moment(date)
    if moment is None:
        return "the Date header is no time"
    # Both ways: one from the future could be kept and sent when its time has come.
    if abs(callback.received_at - moment) > window:
        return f"the Date header is more than {window.total_seconds():.0f} s from the time it came"
    return ""


def _compared(header: str, found: str | None, secrets: tuple[Secret, ...], expected: Callable[[Secret], bytes]) -> str:
    """All are compared, whichever matches, so that the time taken says nothing of which one it was."""
    if found is None:
        return f"the {header} header is missing"
    given = found.encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(expected(secret), given) for secret in secrets]
    return "" if any(matches) else f"the {header} header does not match"


def _moment(date: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return None
    # The provider's times carry no zone elsewhere; here the documented sample has one.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(body: bytes) -> str | None:
    try:
        data = decode_json(body)
    except (ValueError, RecursionError):
        return None
    number = data.get("order_id") if isinstance(data, dict) else None
    return number if isinstance(number, str) and 0 < len(number) <= _NUMBER_LENGTH and number.isalnum() else None
