"""Aurpay passes the conformance kit, with an account of every flavour of authentication."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from gateway.contracts import Proof
from gateway.errors import AuthenticationFailed, Conflict, InvalidRequest, NotFound, PermissionDenied
from gateway.exchange import Request
from gateway.testing import Sandbox
from gateway.testing.conformance import (
    CallbackSample,
    Conformance,
    DocumentedFailure,
    FlavourConformance,
    KeysSuite,
    SignatureVector,
    StatusWords,
    Subject,
)
from gateway_aurpay import AURPAY
from gateway_aurpay.sandbox import AurpaySandbox, WithdrawCall

ADDRESS = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"
SIGNED_AT = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
SIGNATURE = {"kind": "signature", "api_token": "example-token", "api_secret": "test-secret"}
# The published recipe of callbacks: this secret, date and address give this signature.
CALLBACK_URL = "https://shop.example/cb?orderNo=1"
CALLBACK_HEADERS = {"Date": "2025-01-02T03:04:05.678Z", "Signature": "wUZTkcl2tutQ47Jeeam4HnIUWnU9SS/5+MrpgnE5v/A="}
CALLBACK_SETTINGS = {"callback": {"secret": "test-secret"}}


def refusal(code: int, text: str = "refused") -> dict[str, object]:
    return {"code": code, "message": text, "result": False}


class Aurpay(Subject):
    provider = AURPAY
    orders = {
        "coin": {"price": "25.00 USD", "pay_with": "USDT@tron"},
        "payer-choice": {"price": "25.00 USD"},
        "lightning": {"price": "25.00 USD", "pay_with": "BTC@lightning"},
    }
    withdrawals = {
        "lightning": {"amount": "0.0001 BTC@lightning"},
        "address": {"amount": "1.5 USDT@tron", "to": ADDRESS},
    }
    coins = {"USDT@tron": ("USDT-TRC20", "TRX")}
    unsent = {"orders.create:lightning": frozenset({"pay_with"})}  # a call of its own
    ends = {
        "exact": "paid",
        "under": "underpaid",
        "over": "paid",
        "expire": "expired",
        "late": "paid",
        "fail": "cancelled",
    }
    words = (
        StatusWords(
            "orders.get",
            "data.status",
            {
                "PENDING": "pending",
                "SUCCESS": "paid",
                "SUCCEED": "paid",
                "succeed": "paid",
                "OVERDUE": "expired",
                "RESOLVED": "paid",
                "PARTIAL": "underpaid",
                "TERMINATED": "cancelled",
                "REFUNDED": "refunded",
            },
        ),
        # A refund has no word of its own: it is done when the order is REFUNDED, which is seen as the order is read.
        StatusWords("refunds.get", "data.status", {"SUCCESS": "pending"}),
    )
    failures = (
        DocumentedFailure("orders.create", 200, refusal(401), AuthenticationFailed, "401"),
        DocumentedFailure("orders.create", 400, refusal(1001, "unsupported currency"), InvalidRequest, "1001"),
        DocumentedFailure("orders.get", 404, refusal(404, "no such order"), NotFound, "404"),
        DocumentedFailure("orders.list", 403, refusal(403), PermissionDenied, "403"),
        DocumentedFailure("refunds.create", 409, refusal(409), Conflict, "409"),
        DocumentedFailure("withdrawals.create", 400, refusal(1002), InvalidRequest, "1002"),
    )
    signatures = (
        SignatureVector(
            Request("GET", "/api/v2/tx"),
            {"API-Key": "example-key"},
            SIGNED_AT,
            auth={"kind": "api-key", "api_key": "example-key"},
        ),
    )
    callbacks = (
        CallbackSample(
            CALLBACK_URL,
            CALLBACK_HEADERS,
            SIGNED_AT,
            Proof.MATCHES,
            body=b'{"order_id": "20240426103947614609"}',
            provider_id="20240426103947614609",
            settings=CALLBACK_SETTINGS,
        ),
        CallbackSample(CALLBACK_URL + "&x=1", CALLBACK_HEADERS, SIGNED_AT, Proof.DIFFERS, settings=CALLBACK_SETTINGS),
        CallbackSample(
            CALLBACK_URL,
            CALLBACK_HEADERS,
            SIGNED_AT + timedelta(minutes=6),
            Proof.DIFFERS,
            settings=CALLBACK_SETTINGS,
        ),
        CallbackSample(CALLBACK_URL, CALLBACK_HEADERS, SIGNED_AT, Proof.ABSENT, settings={"callback": {}}),
    )
    callbacks_expire = True
    refused_auth = {"kind": "api-key", "api_key": "nobodys-key"}
    flavour: Literal["api-key", "login", "signature"] = "api-key"

    def sandbox(self) -> Sandbox:
        return AurpaySandbox(
            auth=self.flavour,
            withdraw=WithdrawCall(path="/api/v2/withdraw"),
            balances={"USDT-TRC20": Decimal(10**7), "BTC-LN": Decimal(100)},
        )


class TestAurpay(Conformance):
    subject = Aurpay


class AurpaySignature(Aurpay):
    name = "aurpay (signature)"
    flavour = "signature"
    signatures = (
        SignatureVector(
            Request("GET", "/api/v2/order/", query=(("page", "1"), ("size", "10"))),
            {
                "API-Token": "example-token",
                "Algorithm": "HMAC-SHA256",
                "Date": "2025-01-02T03:04:05.678Z",
                "Signature": "Fl78Dtc3Bwg7dEnGIJ03r5allO4Tqz5o9Cp5wBI3gVA=",
            },
            SIGNED_AT,
            auth=SIGNATURE,
        ),
        SignatureVector(
            Request("POST", "/api/order/pay-url", json={"price": Decimal(20), "currency": "USD"}, write=True),
            {
                "Body-MD5": "b52cb7f16470cec0fa014afd926973a7",
                "Signature": "jKoPZKUm0KnBESuamHFhHXDM8g0bKWDJL313rbhmLUM=",
            },
            SIGNED_AT,
            auth=SIGNATURE,
            body=b'{"price":20,"currency":"USD"}',
        ),
    )
    refused_auth = {"kind": "signature", "api_token": "nobodys-token", "api_secret": "nobodys-secret"}


class TestAurpaySignature(FlavourConformance):
    subject = AurpaySignature


class AurpayLogin(Aurpay):
    name = "aurpay (login)"
    flavour = "login"
    public = frozenset({"auth.username"})
    refused_auth = {"kind": "login", "username": "nobody", "password": "nobodys-password"}


class TestAurpayLogin(FlavourConformance):
    subject = AurpayLogin


class TestAurpayLoginKeys(KeysSuite):
    """A key is issued to this flavour of account alone."""

    subject = AurpayLogin
