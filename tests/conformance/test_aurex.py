"""Aurex passes the conformance kit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from gateway.errors import (
    AuthenticationFailed,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from gateway.exchange import Request
from gateway.testing import Sandbox
from gateway.testing.conformance import (
    Conformance,
    DocumentedFailure,
    KitClock,
    Play,
    SignatureVector,
    StatusWords,
    Subject,
)
from gateway_aurex import PROVIDER
from gateway_aurex.sandbox import AurexSandbox

WALLET = Decimal(1_000_000)


def refusal(text: str) -> dict[str, object]:
    return {"success": False, "error": text}


class Aurex(Subject):
    provider = PROVIDER
    orders = {"coin-without-network": {"price": "100.00 USD", "pay_with": "USDT"}}
    withdrawals = {"card": {"amount": "50 USD"}}
    card = {"name": "Travel", "initial_balance": "100 USD"}
    per_customer = frozenset({"orders.create", "orders.list", "wallets.list"})
    # A deposit is in the coin, and its amount in USD; a top-up and a card have a number alone.
    unsent = {
        "orders.create:coin-without-network": frozenset({"price.asset"}),
        "withdrawals.create:card": frozenset({"amount.asset"}),
        "cards.create": frozenset({"initial_balance.asset"}),
    }
    fields = {
        "wallets.list": {
            "available": "data.balance",
            "pending": "data.pendingBalance",
            "allocated": "data.inCardsBalance",
        }
    }
    ends = {"exact": "paid", "expire": "expired", "fail": "failed"}
    words = (
        StatusWords(
            "orders.get",
            "data.*.status",
            {"waiting": "pending", "confirmed": "paid", "failed": "failed", "expired": "expired"},
        ),
        StatusWords(
            "cards.list",
            "data.*.status",
            {"active": "active", "frozen": "frozen", "blocked": "blocked", "expired": "expired"},
        ),
    )
    failures = (
        DocumentedFailure("customers.get", 404, refusal("User not found"), NotFound, "404"),
        DocumentedFailure("customers.create", 400, refusal("firstName is required"), InvalidRequest, "400"),
        DocumentedFailure("orders.create", 401, refusal("Invalid API key"), AuthenticationFailed, "401"),
        DocumentedFailure("orders.create", 429, refusal("Rate limit exceeded"), RateLimited, "429"),
        DocumentedFailure("withdrawals.create", 409, refusal("Insufficient balance"), InsufficientFunds, "409"),
        DocumentedFailure("cards.create", 409, refusal("Insufficient balance"), InsufficientFunds, "409"),
        DocumentedFailure("cards.get", 403, refusal("Forbidden"), PermissionDenied, "403"),
    )
    signatures = (
        SignatureVector(
            Request("GET", "/users/1"),
            {"Authorization": "Bearer example-key"},
            datetime(2025, 1, 2, tzinfo=UTC),
            auth={"kind": "bearer", "api_key": "example-key"},
        ),
    )
    refused_auth = {"kind": "bearer", "api_key": "nobodys-key"}

    def sandbox(self) -> Sandbox:
        return AurexSandbox(rate_limit=False, wallet=WALLET)

    def limited(self, clock: KitClock) -> Sandbox:
        return AurexSandbox(wallet=WALLET, monotonic=clock.monotonic)

    def order_in_sandbox(self, provider_id: str) -> str:
        return provider_id.partition("/")[2]

    def use_card(self, play: Play, card: str) -> None:
        play.sandbox.spend(card, Decimal("9.99"))


class TestAurex(Conformance):
    subject = Aurex
