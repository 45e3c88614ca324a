"""Aurpay's callbacks: the proof against the account's secrets, and the order's number in the body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import Account, IncomingCallback, Notice, Proof, ReadsCallbacks
from gateway.models import Environment
from gateway_aurpay.adapter import Aurpay
from gateway_aurpay.sandbox import AurpaySandbox
from gateway_aurpay.settings import ApiKeyAuth, AurpaySettings, CallbackSecrets, LoginCredentials, SignatureAuth

# The check value of the published recipe: secret, date and address give this signature.
SECRET = "test-secret"
DATE = "2025-01-02T03:04:05.678Z"
URL = "https://shop.example/cb?orderNo=1"
SIGNATURE = "wUZTkcl2tutQ47Jeeam4HnIUWnU9SS/5+MrpgnE5v/A="
MOMENT = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def adapter(**callback: Any) -> Aurpay:
    settings = AurpaySettings.model_validate(
        {
            "provider": "aurpay",
            "environment": "sandbox",
            "auth": {"kind": "api-key", "api_key": "own-key"},
            "callback": callback,
        },
        context={"resolve_secret": lambda text: text},
    )
    return Aurpay(Account("shop", Environment.SANDBOX, settings, lambda: MOMENT))


def callback(
    body: bytes = b"", *, at: datetime = MOMENT, method: str = "POST", url: str = URL, **headers: str | None
) -> IncomingCallback:
    given_headers = {"date": DATE, "signature": SIGNATURE} | {name.replace("_", "-"): v for name, v in headers.items()}
    kept = {name: value for name, value in given_headers.items() if value is not None}
    return IncomingCallback(method=method, url=url, headers=kept, body=body, received_at=at)


def read(incoming: IncomingCallback, **settings: Any) -> Notice:
    return adapter(**settings).read_callback(incoming)


def test_the_adapter_reads_callbacks() -> None:
    assert isinstance(adapter(), ReadsCallbacks)
    assert adapter().strict_callbacks is False
    assert adapter(strict=True).strict_callbacks is True


def test_the_check_value_matches() -> None:
    assert read(callback(), secret=SECRET).proof is Proof.MATCHES


def test_any_of_several_secrets_matches() -> None:
    assert read(callback(), secret=["another-secret", SECRET, "a-third"]).proof is Proof.MATCHES
    assert read(callback(callback_token="new"), token=["old", "new"]).proof is Proof.MATCHES


def test_without_secrets_there_is_no_proof() -> None:
    assert read(callback()) == Notice(proof=Proof.ABSENT)


@pytest.mark.parametrize(
    ("incoming", "reason"),
    [
        (callback(signature="AAAA"), "the Signature header does not match"),
        (callback(signature="café-☕"), "the Signature header does not match"),
        (callback(signature=None), "the Signature header is missing"),
        (callback(date=None), "the Date header is missing"),
        (callback(url=URL + "&x=1"), "the Signature header does not match"),
        (callback(date="2025-01-02T03:04:06.678Z"), "the Signature header does not match"),
    ],
)
def test_a_wrong_signature_differs(incoming: IncomingCallback, reason: str) -> None:
    notice = read(incoming, secret=SECRET)
    assert (notice.proof, notice.reason) == (Proof.DIFFERS, reason)


@pytest.mark.parametrize("away", [timedelta(seconds=301), timedelta(seconds=-301), timedelta(days=400)])
def test_the_window_holds_both_ways(away: timedelta) -> None:
    notice = read(callback(at=MOMENT + away), secret=SECRET)
    assert notice.proof is Proof.DIFFERS
    assert "more than 300 s" in notice.reason
    assert read(callback(at=MOMENT + timedelta(seconds=300)), secret=SECRET).proof is Proof.MATCHES
    assert read(callback(at=MOMENT - timedelta(seconds=300)), secret=SECRET).proof is Proof.MATCHES


def test_a_signed_date_that_is_no_time_differs() -> None:
    # Signed with the right secret, so only the date is wrong.
    from gateway_aurpay.sandbox.access import sign

    incoming = callback(date="soon", signature=sign(SECRET, f"soon | {URL}"))
    assert read(incoming, secret=SECRET).reason == "the Date header is no time"


def test_every_configured_proof_has_to_match() -> None:
    both = {"secret": SECRET, "token": "the-token"}
    assert read(callback(callback_token="the-token"), **both).proof is Proof.MATCHES
    assert read(callback(), **both).reason == "the Callback-Token header is missing"
    wrong = read(callback(callback_token="a-guess", signature="AAAA"), **both)
    assert wrong.reason == "the Signature header does not match; the Callback-Token header does not match"


def test_the_merchants_key_is_compared_where_it_comes_along() -> None:
    assert read(callback(api_key="own-key")).proof is Proof.MATCHES
    differs = read(callback(api_key="a-guess"))
    assert differs.proof is Proof.DIFFERS
    assert "a-guess" not in differs.reason
    assert "own-key" not in differs.reason


# The ring: its credentials prove callbacks beside those of the settings.

OLD = CallbackSecrets(kind="callback", token="old-token", secret="old-secret")
NEW = CallbackSecrets(kind="callback", token="new-token", secret="new-secret")
PAIR = SignatureAuth(kind="signature", api_token="a-token", api_secret=SECRET)
LOGIN = LoginCredentials(kind="login", username="u", password="p")


def signed_with(credentials: CallbackSecrets, **headers: str) -> IncomingCallback:
    """Written out from the recipe, not with the sandbox's own function."""
    digest = hmac.new(credentials.secret.encode(), f"{DATE} | {URL}".encode(), hashlib.sha256).digest()
    proof = {"signature": base64.b64encode(digest).decode(), "callback_token": credentials.token.reveal()}
    return callback(**(proof | headers))


def in_ring(incoming: IncomingCallback, *ring: Any, auth: Any = None, **proof: Any) -> Notice:
    settings = AurpaySettings.model_validate(
        {"provider": "aurpay", "environment": "sandbox", "auth": auth or {"kind": "ring"}, "callback": proof}
    )
    account = Account("shop", Environment.SANDBOX, settings, lambda: MOMENT, lambda: ring)
    return Aurpay(account).read_callback(incoming)


def test_a_rotation_of_callback_secrets_admits_both_then_only_the_new_one() -> None:
    keys = [OLD]
    settings = AurpaySettings.model_validate({"provider": "aurpay", "auth": {"kind": "ring"}})
    account = Aurpay(Account("shop", Environment.LIVE, settings, lambda: MOMENT, lambda: tuple(keys)))

    def proofs() -> tuple[Proof, Proof]:
        return account.read_callback(signed_with(OLD)).proof, account.read_callback(signed_with(NEW)).proof

    assert proofs() == (Proof.MATCHES, Proof.DIFFERS)
    keys.append(NEW)
    assert proofs() == (Proof.MATCHES, Proof.MATCHES)
    keys.remove(OLD)
    assert proofs() == (Proof.DIFFERS, Proof.MATCHES)
    keys.clear()
    assert proofs() == (Proof.ABSENT, Proof.ABSENT)


def test_secrets_of_the_settings_and_of_the_ring_hold_side_by_side() -> None:
    settings = {"token": "old-token", "secret": "old-secret"}
    assert in_ring(signed_with(OLD), NEW, **settings).proof is Proof.MATCHES
    assert in_ring(signed_with(NEW), NEW, **settings).proof is Proof.MATCHES
    assert in_ring(signed_with(NEW), **settings).proof is Proof.DIFFERS
    both = signed_with(NEW, callback_token="a-guess")
    assert in_ring(both, NEW, **settings).reason == "the Callback-Token header does not match"
    with_key = {"kind": "api-key", "api_key": "own-key"}
    assert in_ring(signed_with(NEW, api_key="own-key"), NEW, auth=with_key).proof is Proof.MATCHES


def test_keys_that_sign_requests_prove_no_callback() -> None:
    # The pair's secret is the one that this callback is signed with; it is not a callback secret.
    assert in_ring(callback(), PAIR, LOGIN) == Notice(proof=Proof.ABSENT)


def test_the_merchants_key_may_be_any_in_the_ring() -> None:
    keys = [ApiKeyAuth(kind="api-key", api_key=text) for text in ("key-one", "key-two")]
    for text in ("key-one", "key-two"):
        assert in_ring(callback(api_key=text), *keys).proof is Proof.MATCHES
    differs = in_ring(callback(api_key="key-three"), *keys)
    assert (differs.proof, differs.reason) == (Proof.DIFFERS, "the Api-Key header does not match")
    assert in_ring(callback(), *keys).proof is Proof.ABSENT
    assert in_ring(callback(api_key="key-three"), PAIR).proof is Proof.ABSENT


def test_a_key_from_a_login_is_not_compared() -> None:
    key = ApiKeyAuth(kind="api-key", api_key="key-one")
    assert in_ring(callback(api_key="issued"), LOGIN).proof is Proof.ABSENT
    assert in_ring(callback(api_key="issued"), LOGIN, key).proof is Proof.ABSENT
    assert in_ring(callback(api_key="key-one"), LOGIN, key).proof is Proof.MATCHES
    wrong = in_ring(signed_with(OLD, api_key="issued", signature="AAAA"), LOGIN, key, OLD)
    assert wrong.reason == "the Signature header does not match"


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b'{"order_id": "20240426103947614609", "status": "SUCCESS"}', "20240426103947614609"),
        (b"", None),
        (b"<html>", None),
        (b"[1, 2]", None),
        (b'{"order_id": 5}', None),
        (b'{"order_id": ""}', None),
        (b'{"order_id": "../../1"}', None),
        (b'{"order_id": "' + b"1" * 65 + b'"}', None),
        (b"[" * 100_000, None),
        (b'{"order_id": "\xff"}', None),
    ],
)
def test_the_number_is_a_hint_that_may_be_missing(body: bytes, number: str | None) -> None:
    assert read(callback(body), secret=SECRET) == Notice(proof=Proof.MATCHES, provider_id=number)


@given(st.binary(max_size=400), st.dictionaries(st.sampled_from(["date", "signature", "api-key"]), st.text()))
def test_nothing_makes_it_raise(body: bytes, headers: dict[str, str]) -> None:
    incoming = IncomingCallback(method="GET", url=URL, headers=headers, body=body, received_at=MOMENT)
    assert read(incoming, secret=SECRET, token="t").proof is Proof.DIFFERS


def test_the_sandboxs_own_callbacks_match_and_its_forgeries_do_not() -> None:
    sandbox = AurpaySandbox()
    settings = AurpaySettings.model_validate(
        sandbox.account("http://127.0.0.1:1/aurpay"), context={"resolve_secret": lambda text: text}
    )
    real = Aurpay(Account("shop", Environment.SANDBOX, settings, lambda: datetime.now(UTC)))
    from gateway.testing.sandbox import OutgoingCallback
    from gateway_aurpay.sandbox.callbacks import CALLBACK_TOKEN, CallbackWriter

    proof = CallbackWriter._proof(URL, CALLBACK_TOKEN, "sandbox-aurpay-callback-secret")
    body = json.dumps({"order_id": "20240426103947614609"}).encode()
    sent = OutgoingCallback("POST", URL, proof, body, "20240426103947614609")

    def received(outgoing: OutgoingCallback) -> Notice:
        headers = {name.lower(): value for name, value in outgoing.headers.items()}
        return real.read_callback(
            IncomingCallback(
                method="POST", url=outgoing.url, headers=headers, body=outgoing.body, received_at=datetime.now(UTC)
            )
        )

    assert received(sent) == Notice(proof=Proof.MATCHES, provider_id="20240426103947614609")
    assert received(sandbox.forged(sent)).proof is Proof.DIFFERS
