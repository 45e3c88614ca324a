"""Acme, a provider that does not exist: a small adapter that conforms, for everything that is broken to start from.

Its API, JSON in an envelope `{"ok": true, "data": …}` or `{"ok": false, "error": {"code": …, "message": …}}`:

    POST /orders                makes one of {"price", "currency", "coin", "callback"}
    GET  /orders/ID, /orders    an order; {"items": […], "next": …} by ?page= and ?size=
    POST /orders/ID/refund      refunds a paid one; GET reads what became of it
    GET  /balances              {"items": [{"coin", "available", "held"}]}
    POST /payouts, GET /payouts/ID
    GET  /me                    checks the key

Every request carries X-Key, X-Time and X-Sign, the hex HMAC-SHA256 over time, method, target and body, joined by line
feeds. A callback is a POST of {"order", "status"} with X-Time and X-Sign, the HMAC over time, address and body.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from gateway.assets import Asset
from gateway.capabilities import Capabilities, absent_rest, manual, supported
from gateway.contracts import (
    CONTRACT_VERSION,
    AccountSettings,
    Adapter,
    Amount,
    Auth,
    BaseUrl,
    Identifier,
    IncomingCallback,
    NewOrder,
    NewRefund,
    NewWithdrawal,
    Notice,
    Proof,
    Provider,
    Query,
    RateLimit,
    Setting,
    Wire,
    shaped,
)
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    RateLimited,
)
from gateway.exchange import Failure, Malformed, Operation, Request, Response, Signing, ask
from gateway.models import (
    CryptoAddress,
    OrderStatus,
    Page,
    PaymentInstructions,
    ProviderOrder,
    ProviderRefund,
    ProviderWithdrawal,
    RefundStatus,
    Wallet,
    WalletKind,
    WithdrawalStatus,
)
from gateway.money import Money, plain
from gateway.secrets import Raw, Secret

__all__ = ["CAPABILITIES", "PROVIDER", "AcmeAdapter", "AcmeSettings", "SignedAuth", "provider", "signature"]

WINDOW = timedelta(minutes=5)
COINS = ("USDT@tron", "BTC@bitcoin")


class Keys(Setting):
    kind: Literal["signed"] = Field(description="how requests are authenticated")
    key: Secret = Field(description="the public part of the key, sent along")
    secret: Secret = Field(description="the secret part, which signs")


class CallbackProof(Setting):
    secret: Secret | None = Field(default=None, description="what callbacks are signed with")
    strict: bool = Field(default=False, description="reject callbacks whose proof does not match")


class AcmeSettings(AccountSettings):
    base_url: BaseUrl = Field(default="https://api.acme.invalid", description="where the API is")
    auth: Keys = Field(description="the account's key")
    callback: CallbackProof = Field(default_factory=CallbackProof, description="the proof in callbacks")


def signature(secret: Secret, *parts: str) -> str:
    return hmac.new(secret.encode(), "\n".join(parts).encode(), "sha256").hexdigest()


class SignedAuth:
    numbered = False

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.key_id = hashlib.sha256(keys.key.encode()).hexdigest()[:16]

    def sign(self, request: Request, signing: Signing) -> Request:
        request = request.encoded()
        time = signing.now.astimezone(UTC).isoformat(timespec="seconds")
        body = (request.body or b"").decode()
        headers = {
            **request.headers,
            "X-Key": self._keys.key.reveal(),
            "X-Time": time,
            "X-Sign": signature(self._keys.secret, time, request.method, request.target(), body),
        }
        return replace(request, headers=headers)

    def secrets(self) -> Iterable[Secret]:
        return (self._keys.key, self._keys.secret)


class OrderWire(Wire):
    id: Identifier
    status: str
    price: Amount
    currency: str
    coin: str
    amount: Amount
    address: str
    received: Amount | None = None
    created: datetime | None = None
    expires: datetime | None = None


class RefundWire(Wire):
    id: Identifier
    status: str
    amount: Amount
    coin: str


class BalanceWire(Wire):
    coin: str
    available: Amount
    held: Amount


class PayoutWire(Wire):
    id: Identifier
    status: str
    amount: Amount
    coin: str


ORDERS = {
    "open": OrderStatus.PENDING,
    "short": OrderStatus.UNDERPAID,
    "paid": OrderStatus.PAID,
    "expired": OrderStatus.EXPIRED,
    "cancelled": OrderStatus.CANCELLED,
    "refunded": OrderStatus.REFUNDED,
}
REFUNDS = {"open": RefundStatus.PENDING, "done": RefundStatus.COMPLETED, "failed": RefundStatus.FAILED}
PAYOUTS = {"open": WithdrawalStatus.PENDING, "done": WithdrawalStatus.COMPLETED, "failed": WithdrawalStatus.FAILED}
ERRORS: dict[str, type[GatewayError]] = {
    "bad-key": AuthenticationFailed,
    "bad-request": InvalidRequest,
    "unknown": NotFound,
    "not-paid": Conflict,
    "no-funds": InsufficientFunds,
    "too-many": RateLimited,
}


def data_of(response: Response) -> dict[str, Any]:
    body = response.json()
    if not isinstance(body, dict) or body.get("ok") is not True or not isinstance(body.get("data"), dict):
        raise Malformed("expected an object under 'data'")
    data: dict[str, Any] = body["data"]
    return data


class AcmeAdapter(Adapter[AcmeSettings]):
    """The steps are methods, so that a broken adapter changes one of them."""

    def make_auth(self, credentials: Any = None) -> Auth:
        return SignedAuth(self.settings.auth if credentials is None else credentials)

    def read_failure(self, response: Response) -> Failure | None:
        try:
            body = response.json()
        except Malformed:
            return None
        error = body.get("error") if isinstance(body, dict) and body.get("ok") is False else None
        if not isinstance(error, dict):
            return None
        code = str(error.get("code"))
        kind = ERRORS.get(code)
        return Failure(kind or InvalidRequest, str(error.get("message")), code, recognised=kind is not None)

    # Orders

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        asked = order.request
        if asked.pay_with is None or asked.pay_with.code not in COINS:
            raise InvalidRequest(f"Acme does not take {asked.pay_with}", hint="one of " + ", ".join(COINS))
        if asked.price.asset.code != "USD":
            raise InvalidRequest("Acme takes prices in USD", hint="state the price in USD")
        return (yield from ask(self.new_order(order), self.read_order))

    def new_order(self, order: NewOrder) -> Request:
        asked = order.request
        body = {"price": asked.price.amount, "currency": "USD", "coin": str(asked.pay_with)}
        if order.callback_url is not None:
            body["callback"] = order.callback_url
        return Request("POST", "/orders", json=body, write=True)

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        return (yield from ask(Request("GET", f"/orders/{provider_id}"), self.read_order))

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = (("page", query.cursor or "1"), ("size", str(query.size)))
        data = yield from ask(Request("GET", "/orders", query=page), data_of)
        return Page[ProviderOrder](items=tuple(map(self.order, data["items"])), next=data.get("next"))

    def read_order(self, response: Response) -> ProviderOrder:
        return self.order(data_of(response))

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        seen = shaped(OrderWire, data)
        status = self.status(seen.status)
        return ProviderOrder(
            provider_id=seen.id,
            status=status,
            provider_status=seen.status,
            price=Money(seen.price, seen.currency),
            pay_with=Asset.incoming(seen.coin),
            pay=PaymentInstructions(address=seen.address, amount=self.money(seen.amount, seen.coin)),
            received=None if seen.received is None else self.money(seen.received, seen.coin),
            created_at=seen.created,
            expires_at=seen.expires,
            warnings=(f"unknown status {seen.status!r}",) if status is OrderStatus.UNRECOGNISED else (),
            raw=Raw(data),
        )

    def status(self, word: str) -> OrderStatus:
        return ORDERS.get(word, OrderStatus.UNRECOGNISED)

    def money(self, amount: Any, coin: str) -> Money:
        return Money(amount, Asset.incoming(coin))

    # Refunds

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        if refund.request.amount is not None:
            raise InvalidRequest("Acme refunds whole orders only", hint="leave the amount out")
        return (yield from ask(Request("POST", f"/orders/{refund.order}/refund", write=True), self.read_refund))

    def get_refund(self, order: str) -> Operation[ProviderRefund]:
        return (yield from ask(Request("GET", f"/orders/{order}/refund"), self.read_refund))

    def read_refund(self, response: Response) -> ProviderRefund:
        data = data_of(response)
        seen = shaped(RefundWire, data)
        status = REFUNDS.get(seen.status)
        return ProviderRefund(
            provider_id=seen.id,
            status=status or RefundStatus.PENDING,
            provider_status=seen.status,
            amount=self.money(seen.amount, seen.coin),
            warnings=() if status else (f"unknown status {seen.status!r}",),
            raw=Raw(data),
        )

    # Wallets

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        data = yield from ask(Request("GET", "/balances"), data_of)
        return Page[Wallet](items=tuple(map(self.wallet, data["items"])))

    def wallet(self, data: dict[str, Any]) -> Wallet:
        seen = shaped(BalanceWire, data)
        available, held = self.money(seen.available, seen.coin), self.money(seen.held, seen.coin)
        return Wallet(
            kind=WalletKind.CUSTODIAL,
            asset=available.asset,
            available=available,
            allocated=held,
            total=available + held,
            raw=Raw(data),
        )

    # Withdrawals

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        if not isinstance(withdrawal.request.to, CryptoAddress):
            raise InvalidRequest("Acme pays out to addresses only", hint="use CryptoAddress")
        if withdrawal.request.to.memo is not None:
            raise InvalidRequest("Acme's payouts have no memo", hint="use an address that needs none")
        return (yield from ask(self.new_payout(withdrawal), self.read_payout))

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        asked = withdrawal.request
        body = {"amount": plain(asked.amount.amount), "coin": str(asked.amount.asset), "address": str(asked.to)}
        return Request("POST", "/payouts", json=body, write=True)

    def get_withdrawal(self, provider_id: str) -> Operation[ProviderWithdrawal]:
        return (yield from ask(Request("GET", f"/payouts/{provider_id}"), self.read_payout))

    def read_payout(self, response: Response) -> ProviderWithdrawal:
        data = data_of(response)
        seen = shaped(PayoutWire, data)
        status = PAYOUTS.get(seen.status)
        return ProviderWithdrawal(
            provider_id=seen.id,
            status=status or WithdrawalStatus.PENDING,
            provider_status=seen.status,
            amount=self.money(seen.amount, seen.coin),
            warnings=() if status else (f"unknown status {seen.status!r}",),
            raw=Raw(data),
        )

    # Keys

    def verify_key(self) -> Operation[None]:
        yield from ask(Request("GET", "/me"), data_of)

    # Callbacks

    @property
    def strict_callbacks(self) -> bool:
        return self.settings.callback.strict

    def read_callback(self, callback: IncomingCallback) -> Notice:
        return Notice(proof=self.proof(callback), provider_id=self.number(callback.body))

    def proof(self, callback: IncomingCallback) -> Proof:
        secret = self.settings.callback.secret
        if secret is None:
            return Proof.ABSENT
        time, given = callback.headers.get("x-time", ""), callback.headers.get("x-sign", "")
        expected = signature(secret, time, callback.url, callback.body.decode("utf-8", "replace"))
        same = hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
        return Proof.MATCHES if same and self.is_timely(time, callback.received_at) else Proof.DIFFERS

    def is_timely(self, time: str, now: datetime) -> bool:
        try:
            return abs(now - datetime.fromisoformat(time)) <= WINDOW
        except (ValueError, TypeError):
            return False

    def number(self, body: bytes) -> str | None:
        try:
            data = Response(200, {}, body).json()
        except Malformed:
            return None
        number = data.get("order") if isinstance(data, dict) else None
        return number if isinstance(number, str) and number else None


CAPABILITIES = Capabilities.of(
    supported("orders.create", "D", "acme: orders", variant="coin"),
    supported("orders.get", "D", "acme: orders"),
    supported("orders.list", "D", "acme: orders"),
    supported("refunds.create", "D", "acme: refunds"),
    supported("refunds.get", "D", "acme: refunds"),
    supported("wallets.list", "D", "acme: balances", variant="custodial"),
    supported("withdrawals.create", "D", "acme: payouts", variant="address"),
    supported("withdrawals.get", "D", "acme: payouts"),
    supported("keys.verify", "D", "acme: keys"),
    supported("callbacks.receive", "D", "acme: callbacks"),
    manual("keys.issue", "D", "acme: keys", "keys are made by hand", instead="make one in the dashboard"),
    rest=absent_rest("acme: overview", "there is no such call"),
)


def provider(**changed: Any) -> Provider:
    """The provider, or one that differs in something."""
    given: dict[str, Any] = {
        "name": "acme",
        "contract": CONTRACT_VERSION,
        "title": "Acme",
        "settings": AcmeSettings,
        "adapter": AcmeAdapter,
        "capabilities": CAPABILITIES,
        "rate_limit": RateLimit(30, 10),
        "documentation": "https://acme.invalid/docs",
    }
    return Provider(**{**given, **changed})


PROVIDER = provider()
