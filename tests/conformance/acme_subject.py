"""Acme as the kit examines it; a broken adapter's subject is `broken(provider(adapter=…))`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from conformance.acme import PROVIDER
from conformance.acme_sandbox import AcmeSandbox
from gateway.contracts import Proof, Provider
from gateway.errors import AuthenticationFailed, InsufficientFunds, InvalidRequest, NotFound
from gateway.exchange import Request
from gateway.testing import Sandbox
from gateway.testing.conformance import (
    CallbackSample,
    DocumentedFailure,
    KitClock,
    SignatureVector,
    StatusWords,
    Subject,
)

__all__ = ["Acme", "broken"]

# Computed by hand from the recipe.
ORDER_SIGNATURE = "5c545a9f0fee08aedc820b230190270f467db5d9a670d8aac8cf6263680b1a01"
LIST_SIGNATURE = "99bfdd3a3e18879a9c4c7f97362fc4c5f20511ccdfe6f89f97cafc322e7e46da"
CALLBACK_SIGNATURE = "6e3edb0edfe5fe8aad2eacdcfb028018de239df7cc6a3d874b1ec9db2d987638"
MOMENT = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = {"kind": "signed", "key": "example-key", "secret": "example-secret"}


def refusal(code: str) -> dict[str, object]:
    return {"ok": False, "error": {"code": code, "message": "no"}}


class Acme(Subject):
    provider = PROVIDER
    orders = {"coin": {"price": "25.00 USD", "pay_with": "USDT@tron"}}
    withdrawals = {"address": {"amount": "1.5 USDT@tron", "to": "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"}}
    coins = {"USDT@tron": ("USDT@tron",)}
    fields = {
        "orders.get": {"pay.amount": "data.amount", "received": "data.received"},
        "wallets.list": {"available": "data.items.*.available", "allocated": "data.items.*.held"},
    }
    ends = {
        "exact": "paid",
        "under": "underpaid",
        "over": "paid",
        "late": "paid",
        "expire": "expired",
        "fail": "cancelled",
    }
    words = (
        StatusWords(
            "orders.get",
            "data.status",
            {
                "open": "pending",
                "short": "underpaid",
                "paid": "paid",
                "expired": "expired",
                "cancelled": "cancelled",
                "refunded": "refunded",
            },
        ),
        StatusWords("refunds.get", "data.status", {"open": "pending", "done": "completed", "failed": "failed"}),
        StatusWords("withdrawals.get", "data.status", {"open": "pending", "done": "completed", "failed": "failed"}),
    )
    failures = (
        DocumentedFailure("orders.create", 400, refusal("bad-request"), InvalidRequest, "bad-request"),
        DocumentedFailure("orders.get", 404, refusal("unknown"), NotFound, "unknown"),
        DocumentedFailure("withdrawals.create", 409, refusal("no-funds"), InsufficientFunds, "no-funds"),
        DocumentedFailure("wallets.list", 401, refusal("bad-key"), AuthenticationFailed, "bad-key"),
    )
    signatures = (
        SignatureVector(
            Request("POST", "/orders", json={"price": 25, "currency": "USD"}, write=True),
            {
                "X-Key": "example-key",
                "X-Time": "2025-01-02T03:04:05+00:00",
                "X-Sign": ORDER_SIGNATURE,
            },
            MOMENT,
            auth=KEYS,
            body=b'{"price":25,"currency":"USD"}',
        ),
        SignatureVector(
            Request("GET", "/orders", query=(("page", "1"),)),
            {"X-Sign": LIST_SIGNATURE},
            MOMENT,
            auth=KEYS,
        ),
    )
    callbacks = (
        CallbackSample(
            "https://shop.example/cb",
            {
                "X-Time": "2025-01-02T03:04:05+00:00",
                "X-Sign": CALLBACK_SIGNATURE,
            },
            MOMENT,
            Proof.MATCHES,
            body=b'{"order": "A1", "status": "paid"}',
            provider_id="A1",
            settings={"callback": {"secret": "example-callback-secret"}},
        ),
    )
    callbacks_expire = True
    refused_auth = {"kind": "signed", "key": "nobodys-key", "secret": "nobodys-secret"}

    def sandbox(self) -> Sandbox:
        return AcmeSandbox()

    def limited(self, clock: KitClock) -> Sandbox:
        return AcmeSandbox(limit=30, monotonic=clock.monotonic)


def broken(provider: Provider, **changed: Any) -> type[Acme]:
    """Acme's subject with another provider, and anything else of it that differs."""
    return type("Broken", (Acme,), {"provider": provider, **changed})
