"""The Aurpay sandbox with several keys: API keys, signature pairs and callback secrets, added, changed and ended."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from gateway.contracts import Account, IncomingCallback, Proof
from gateway.models import Environment
from gateway.testing.sandbox import OutgoingCallback, SandboxError
from gateway_aurpay.adapter import Aurpay as AurpayAdapter
from gateway_aurpay.sandbox import AurpaySandbox
from gateway_aurpay.settings import AurpaySettings, CallbackSecrets
from sandboxes.asgi_client import AsgiClient
from sandboxes.aurpay_client import KEY, LOGIN, Aurpay, data, refused

BASE = "http://127.0.0.1:8000/aurpay"
URL = "https://shop.example/cb?orderNo=1"
TOKEN = "sandbox-aurpay-api-token"


def with_key(aurpay: Aurpay, key: str) -> object:
    return aurpay.get("/api/v2/order/", headers={"API-Key": key})


def signed(client: AsgiClient, token: str, secret: str) -> object:
    """Written out from the recipe, not with the sandbox's own function."""
    now = datetime.now(UTC)
    date = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
    digest = hmac.new(secret.encode(), f"HMAC-SHA256 | {date} | GET /api/v2/tx".encode(), hashlib.sha256).digest()
    headers = {"API-Token": token, "Algorithm": "HMAC-SHA256", "Date": date}
    return client.get("/api/v2/tx", headers={**headers, "Signature": base64.b64encode(digest).decode()})


def test_api_keys_work_side_by_side_until_one_is_ended() -> None:
    aurpay = Aurpay()
    refused(with_key(aurpay, "second"), 401, "API-Key")
    aurpay.sandbox.add_api_key("second")
    order = aurpay.usdt()["order_id"]
    for key in (KEY, "second"):
        assert [row["order_id"] for row in data(with_key(aurpay, key))["data"]] == [order]
    assert aurpay.sandbox.account(BASE)["auth"]["api_key"] == KEY
    aurpay.sandbox.end_key(KEY)
    refused(with_key(aurpay, KEY), 401, "API-Key")
    data(with_key(aurpay, "second"))
    assert aurpay.sandbox.account(BASE)["auth"]["api_key"] == "second"
    aurpay.sandbox.end_key("second")
    refused(with_key(aurpay, "second"), 401, "API-Key")
    with pytest.raises(SandboxError, match="every API key is ended"):
        aurpay.sandbox.account(BASE)


def test_signature_pairs_work_side_by_side_until_one_is_ended() -> None:
    sandbox = AurpaySandbox(auth="signature", api_secret="test-secret")
    client = AsgiClient(sandbox.app)
    sandbox.add_signature_pair("second", "second-secret")
    for token, secret in ((TOKEN, "test-secret"), ("second", "second-secret")):
        data(signed(client, token, secret))
    refused(signed(client, "second", "test-secret"), 401, "Signature")
    sandbox.end_key(TOKEN)
    refused(signed(client, TOKEN, "test-secret"), 401, "API-Token")
    data(signed(client, "second", "second-secret"))
    assert sandbox.account(BASE)["auth"] == {
        "kind": "signature",
        "api_token": "second",
        "api_secret": "second-secret",
    }
    sandbox.end_key("second")
    with pytest.raises(SandboxError, match="every signature pair is ended"):
        sandbox.account(BASE)


def test_a_login_goes_on_when_the_given_keys_are_ended() -> None:
    aurpay = Aurpay(auth="login", callback_secret="test-secret")
    aurpay.sandbox.end_key(KEY)
    aurpay.sandbox.end_key(TOKEN)
    assert aurpay.sandbox.account(BASE)["auth"] == {"kind": "login", **LOGIN}
    token = data(aurpay.post("/api/plugin/key/aurpay", LOGIN))["access_token"]
    data(with_key(aurpay, token))
    with pytest.raises(SandboxError, match="no such"):
        aurpay.sandbox.end_key(token)


def test_the_newest_key_is_shown_in_callbacks() -> None:
    aurpay = Aurpay()
    orders = [aurpay.usdt(callback_url=URL)["order_id"] for _ in range(3)]
    aurpay.sandbox.pay(orders[0])
    aurpay.sandbox.add_api_key("second")
    aurpay.sandbox.pay(orders[1])
    aurpay.sandbox.end_key(KEY)
    aurpay.sandbox.end_key("second")
    aurpay.sandbox.pay(orders[2])
    assert [callback.headers.get("Api-Key") for callback in aurpay.callbacks] == [KEY, "second", None]


def test_control_refuses_nonsense() -> None:
    sandbox = AurpaySandbox()
    with pytest.raises(SandboxError, match="key exists"):
        sandbox.add_api_key(KEY)
    with pytest.raises(SandboxError, match="token exists"):
        sandbox.add_signature_pair(TOKEN, "another")
    with pytest.raises(SandboxError, match="no such API key or API token"):
        sandbox.end_key("never")


def test_a_change_of_callback_secrets_loses_no_callback() -> None:
    """One from before the change and one from after it, read by an account that has both in its ring."""
    aurpay = Aurpay(auth="signature")
    old = dict(aurpay.sandbox.account(BASE)["callback"])
    orders = [aurpay.usdt(callback_url=URL, enable_post_callback=True)["order_id"] for _ in range(2)]
    aurpay.sandbox.pay(orders[0])
    aurpay.sandbox.change_callback_secrets("new-token", "new-secret")
    new = {"token": "new-token", "secret": "new-secret"}
    assert aurpay.sandbox.account(BASE)["callback"] == new
    aurpay.sandbox.pay(orders[1])
    before, after = aurpay.callbacks
    assert [before.order, after.order] == orders

    ring = [CallbackSecrets.model_validate({"kind": "callback", **parts}) for parts in (old, new)]
    settings = AurpaySettings.model_validate({"provider": "aurpay", "auth": {"kind": "ring"}})
    account = AurpayAdapter(
        Account("shop", Environment.SANDBOX, settings, lambda: datetime.now(UTC), lambda: tuple(ring))
    )
    assert [read(account, callback) for callback in (before, after)] == [Proof.MATCHES, Proof.MATCHES]
    forged = aurpay.sandbox.forged(after)
    assert read(account, forged) is Proof.DIFFERS
    del ring[0]
    assert [read(account, callback) for callback in (before, after)] == [Proof.DIFFERS, Proof.MATCHES]


def read(account: AurpayAdapter, callback: OutgoingCallback) -> Proof:
    headers = {name.lower(): value for name, value in callback.headers.items()}
    return account.read_callback(
        IncomingCallback(
            method=callback.method,
            url=callback.url,
            headers=headers,
            body=callback.body,
            received_at=datetime.now(UTC),
        )
    ).proof
