"""A small provider, `toy`: what an adapter needs at least, with every kind of authentication the engine knows.

Its API, JSON in an envelope `{"ok": true, "data": …}` or `{"ok": false, "error": {"code": …, "message": …}}`:

    GET  /ticker/BTC-USD        {"last": "…"}
    GET  /orders/ID, /orders    an order {"id", "status", "amount"}; {"orders": […], "next": …} by ?cursor=
    POST /orders                makes one
    POST /withdrawals, GET /withdrawals/ID
    GET  /wallets               {"wallets": [{"coin", "available"}]}
    POST /customers, GET /customers/ID
    GET  /me                    checks the key
    POST /keys                  {"token": …}, with user and password; what `kind = "login"` calls

`answers(seen)` is such a service, without state, for `Loopback(app=answers)`.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

import pluggy
from pydantic import Field

from gateway import Money, hookspecs
from gateway.assets import Asset
from gateway.capabilities import Capabilities, manual, supported
from gateway.contracts import (
    CONTRACT_VERSION,
    AccountSettings,
    Adapter,
    Amount,
    Auth,
    BaseUrl,
    GuideRequest,
    Identifier,
    KeyKind,
    KeyPart,
    KeyRules,
    NewOrder,
    NewWithdrawal,
    NoAuth,
    Provider,
    Query,
    RateLimit,
    RingAuth,
    Setting,
    Wire,
    shaped,
)
from gateway.errors import (
    AuthenticationFailed,
    GatewayError,
    InsufficientFunds,
    InvalidRequest,
    NotFound,
    Outcome,
    RateLimited,
)
from gateway.exchange import Failure, Malformed, Operation, Request, Response, Signing, ask
from gateway.models import (
    CustomerRequest,
    GuideStep,
    IssuedKey,
    KeyAction,
    KeyProof,
    OrderStatus,
    Page,
    PaymentInstructions,
    Permission,
    ProviderCustomer,
    ProviderOrder,
    ProviderWithdrawal,
    Settlement,
    Ticker,
    Wallet,
    WalletKind,
    WithdrawalStatus,
)
from gateway.plugins import Plugin, Plugins
from gateway.secrets import Raw, Secret
from support.loopback import Answer, Seen

__all__ = [
    "CAPABILITIES",
    "KEY",
    "TICKER",
    "Toy",
    "ToySettings",
    "account",
    "answers",
    "good",
    "provider",
    "toy_plugins",
    "wrong",
]

KEY = "toy-key-CANARY-7f3a9c"
"""The key of `account()`: no report may ever show it."""


class GivenKey(Setting):
    kind: Literal["key"]
    key: Secret


class Credentials(Setting):
    kind: Literal["login"]
    user: str
    password: Secret


class Numbered(Setting):
    kind: Literal["numbered"]
    key: Secret


class Nothing(Setting):
    kind: Literal["none"]


class ToySettings(AccountSettings):
    base_url: BaseUrl = "https://api.toy.invalid"
    auth: Annotated[GivenKey | Credentials | Numbered | Nothing | RingAuth, Field(discriminator="kind")]


def _key_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class KeyAuth:
    """Sends the key; with `numbered` a growing number and a signature over it too."""

    def __init__(self, key: Secret, *, numbered: bool = False) -> None:
        self._key = key
        self.numbered = numbered
        self.key_id = _key_id(key.reveal())

    def sign(self, request: Request, signing: Signing) -> Request:
        request = request.encoded()
        headers = {**request.headers, "X-Key": self._key.reveal()}
        if self.numbered:
            number = str(signing.request_number)
            covered = f"{number} {request.method} {request.target()}".encode() + (request.body or b"")
            headers |= {
                "X-Number": number,
                "Signature": hmac.new(self._key.encode(), covered, "sha256").hexdigest(),
            }
        return replace(request, headers=headers)

    def secrets(self) -> Iterable[Secret]:
        return (self._key,)


class LoginKey:
    """Obtains its key with user name and password, and again once it was refused."""

    numbered = False

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._held: Secret | None = None
        self._needed, self._soon = True, False
        self._lock = threading.Lock()
        self.key_id = _key_id(credentials.user)

    def login_due(self) -> bool:
        return self._needed or self._soon

    def login_needed(self) -> bool:
        return self._needed

    def expires_soon(self) -> None:
        """Time has passed: it is good for a little while."""
        self._soon = True

    expires_at = None

    def login(self) -> Operation[IssuedKey]:
        issued = yield from issue(self._credentials.user, self._credentials.password)
        with self._lock:
            self._held, self._needed, self._soon = issued.secret, False, False
        return issued

    def refused(self, request: Request) -> None:
        with self._lock:
            if self._held is not None and request.headers.get("X-Key") == self._held.reveal():
                self._needed, self._soon = True, False

    def sign(self, request: Request, signing: Signing) -> Request:
        if self._held is None:
            raise AuthenticationFailed("no key was obtained yet", outcome=Outcome.NOT_SENT)
        return KeyAuth(self._held).sign(request, signing)

    def secrets(self) -> Iterable[Secret]:
        return tuple(secret for secret in (self._credentials.password, self._held) if secret is not None)


def issue(user: str, password: Secret) -> Operation[IssuedKey]:
    request = Request("POST", "/keys", json={"user": user, "password": password.reveal()}, signed=False, quiet=True)
    issued = yield from ask(request, lambda response: shaped(KeyWire, data_of(response)))
    return IssuedKey(secret=Secret(issued.token))


class KeyWire(Wire):
    token: str


class TickerWire(Wire):
    last: Amount


class OrderWire(Wire):
    id: Identifier
    status: str
    amount: Amount | None = None
    received: Amount | None = None


class WithdrawalWire(Wire):
    id: Identifier
    status: str


def data_of(response: Response) -> dict[str, Any]:
    """What stands under `data`."""
    body = response.json()
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
        raise Malformed("expected an object under 'data'")
    data: dict[str, Any] = body["data"]
    return data


_FAILURES: dict[str, type[GatewayError]] = {
    "bad-key": AuthenticationFailed,
    "bad-request": InvalidRequest,
    "gone": NotFound,
    "low-balance": InsufficientFunds,
    "slow-down": RateLimited,
}
_STATUSES = {
    "open": OrderStatus.PENDING,
    "processing": OrderStatus.PROCESSING,
    "underpaid": OrderStatus.UNDERPAID,
    "paid": OrderStatus.PAID,
    "expired": OrderStatus.EXPIRED,
    "failed": OrderStatus.FAILED,
    "cancelled": OrderStatus.CANCELLED,
    "refunded": OrderStatus.REFUNDED,
}
_PAYOUTS = {
    "open": WithdrawalStatus.PENDING,
    "processing": WithdrawalStatus.PROCESSING,
    "done": WithdrawalStatus.COMPLETED,
    "failed": WithdrawalStatus.FAILED,
    "cancelled": WithdrawalStatus.CANCELLED,
}


class Toy(Adapter[ToySettings]):
    def make_auth(self, credentials: Any) -> Auth:
        if isinstance(credentials, Credentials):
            return LoginKey(credentials)
        if isinstance(credentials, Nothing):
            return NoAuth()
        return KeyAuth(credentials.key, numbered=isinstance(credentials, Numbered))

    def read_failure(self, response: Response) -> Failure | None:
        try:
            body = response.json()
        except Malformed:
            return None
        if not isinstance(body, dict) or body.get("ok") is not False:
            return None
        error = body.get("error")
        if not isinstance(error, dict):
            return None
        code = str(error.get("code"))
        kind = _FAILURES.get(code)
        return Failure(kind or InvalidRequest, str(error.get("message")), code, recognised=kind is not None)

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        if order.request.price.asset.code not in ("USD", "EUR"):
            raise InvalidRequest("toy takes prices in USD and EUR", hint="state the price in one of them")
        asked = order.request
        body = {"price": asked.price.amount, "currency": asked.price.asset.code, "note": asked.description}
        data = yield from ask(Request("POST", "/orders", json=body, write=True), data_of_order)
        return _order(data)

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        data = yield from ask(Request("GET", f"/orders/{provider_id}"), data_of_order)
        return _order(data)

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        pairs = (("size", str(query.size)), *((("cursor", query.cursor),) if query.cursor else ()))
        data = yield from ask(Request("GET", "/orders", query=pairs), data_of)
        items = tuple(_order((item, shaped(OrderWire, item))) for item in data["orders"])
        return Page[ProviderOrder](items=items, next=data.get("next"))

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        body = {"amount": withdrawal.request.amount.amount, "to": str(withdrawal.request.to)}
        data = yield from ask(Request("POST", "/withdrawals", json=body, write=True), data_of)
        return _payout(data)

    def get_withdrawal(self, provider_id: str) -> Operation[ProviderWithdrawal]:
        data = yield from ask(Request("GET", f"/withdrawals/{provider_id}"), data_of)
        return _payout(data)

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        data = yield from ask(Request("GET", "/wallets"), data_of)
        wallets = tuple(
            Wallet(
                kind=WalletKind.CUSTODIAL,
                asset=Asset.incoming(item["coin"]),
                available=Money(item["available"], Asset.incoming(item["coin"])),
                raw=Raw(item),
            )
            for item in data["wallets"]
        )
        return Page[Wallet](items=wallets)

    def create_customer(self, request: CustomerRequest) -> Operation[ProviderCustomer]:
        body = {"first": request.first_name, "last": request.last_name}
        data = yield from ask(Request("POST", "/customers", json=body, write=True), data_of)
        return ProviderCustomer(provider_id=str(data["id"]), raw=Raw(data))

    def get_customer(self, provider_id: str) -> Operation[ProviderCustomer]:
        data = yield from ask(Request("GET", f"/customers/{provider_id}"), data_of)
        return ProviderCustomer(provider_id=str(data["id"]), raw=Raw(data))

    def get_ticker(self, market: str) -> Operation[Ticker]:
        path = f"/ticker/{market.replace('/', '-')}"
        raw, seen = yield from ask(Request("GET", path), lambda response: _with_raw(TickerWire, response))
        return Ticker(market=market, last=seen.last, raw=raw)

    def verify_key(self) -> Operation[None]:
        yield from ask(Request("GET", "/me"), data_of)

    def issue_key(self, credentials: Any = None) -> Operation[IssuedKey]:
        if credentials is not None:
            return (yield from issue(credentials.user, credentials.password))
        # Of this account, so signed; a write, because each call makes another key.
        data = yield from ask(Request("POST", "/keys", json={"label": "new"}, write=True), data_of)
        return IssuedKey(secret=Secret(shaped(KeyWire, data).token), raw=Raw(data))


def _with_raw(shape: type[TickerWire], response: Response) -> tuple[Raw, TickerWire]:
    data = data_of(response)
    return Raw(data), shaped(shape, data)


def data_of_order(response: Response) -> tuple[dict[str, Any], OrderWire]:
    data = data_of(response)
    return data, shaped(OrderWire, data)


def _order(data: tuple[dict[str, Any], OrderWire]) -> ProviderOrder:
    raw, seen = data
    status = _STATUSES.get(seen.status, OrderStatus.UNRECOGNISED)
    warnings = (f"unknown status {seen.status!r}",) if status is OrderStatus.UNRECOGNISED else ()
    asked = None if seen.received is None or seen.amount is None else Money(seen.amount, "USDT@tron")
    return ProviderOrder(
        provider_id=seen.id,
        status=status,
        provider_status=seen.status,
        pay=PaymentInstructions(checkout_url=f"https://toy.invalid/pay/{seen.id}", amount=asked),
        received=None if seen.received is None else Money(seen.received, "USDT@tron"),
        warnings=warnings,
        raw=Raw(raw),
    )


def _payout(data: dict[str, Any]) -> ProviderWithdrawal:
    seen = shaped(WithdrawalWire, data)
    return ProviderWithdrawal(
        provider_id=seen.id,
        status=_PAYOUTS[seen.status],
        provider_status=seen.status,
        raw=Raw(data),
    )


CAPABILITIES = Capabilities.of(
    *(supported("orders.create", "D", "toy", variant=variant) for variant in ("payer-choice", "coin", "lightning")),
    supported("orders.get", "D", "toy"),
    supported("orders.list", "D", "toy"),
    manual("refunds.create", "D", "toy", "a person does it", instead="refund it in the web interface"),
    *(supported("withdrawals.create", "D", "toy", variant=variant) for variant in ("lightning", "address")),
    supported("withdrawals.get", "D", "toy"),
    supported("wallets.list", "D", "toy", variant="custodial"),
    supported("wallets.list", "I", "toy", variant="lightning"),
    supported("customers.create", "D", "toy"),
    supported("customers.get", "D", "toy"),
    supported("markets.ticker", "D", "toy"),
    supported("keys.verify", "D", "toy"),
    supported("keys.issue", "D", "toy"),
)


def _label(label: str) -> str | None:
    return None if any(character.isdigit() for character in label) else "it has no digit"


def _guide(asked: GuideRequest) -> tuple[GuideStep, ...]:
    if asked.action is KeyAction.CREATE:
        return (
            GuideStep(text="open the page of keys", covers=(1,), page="https://toy.invalid/keys"),
            GuideStep(
                text="enter the label and press Add",
                covers=(2,),
                enter={"Label": asked.label or ""},
                tick=tuple(sorted(asked.permissions)),
                asks=(KeyProof.PASSWORD,),
                shows=tuple(part.name for part in asked.kind.parts),
            ),
        )
    if asked.action is KeyAction.REVOKE:
        return (GuideStep(text=f"press End at {asked.label}", covers=(3,)),)
    return ()


KEY_RULES = KeyRules(
    kinds=(
        KeyKind("key", GivenKey, (KeyPart("key", "key"),)),
        KeyKind(
            "login",
            Credentials,
            (KeyPart("user", "user name", public=True), KeyPart("password", "password")),
            issues=True,
        ),
        KeyKind("numbered", Numbered, (KeyPart("key", "key"),)),
    ),
    permissions=frozenset(Permission),
    restricts_addresses=True,
    label=_label,
    label_rule="at least one digit",
    differ_by="their fee",
    proofs={KeyAction.CREATE: (KeyProof.PASSWORD,), KeyAction.REVOKE: (KeyProof.PERSON,)},
    guide=_guide,
    source="the toy's own rules",
    grade="D",
)


def provider(name: str = "toy", *, rate_limit: RateLimit | None = None, **changed: Any) -> Provider:
    """The provider, or one like it under another name."""
    given: dict[str, Any] = {
        "contract": CONTRACT_VERSION,
        "title": name.capitalize(),
        "settings": ToySettings,
        "adapter": Toy,
        "capabilities": CAPABILITIES,
        "settles_to": Settlement.MERCHANT,
        "rate_limit": rate_limit,
        "keys": KEY_RULES,
    }
    return Provider(name=name, **{**given, **changed})


def toy_plugins(*providers: Provider) -> Plugins:
    """What is installed, when only these providers are (none given: `toy`), without any entry point."""
    manager = pluggy.PluginManager("gateway")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    origin = Plugin("toy", "toy-plugin", "1.0", "support.toy", tuple(item.name for item in providers))
    for item in providers or (provider(),):
        plugins.providers[item.name] = item
        plugins.origins[item.name] = origin
    plugins.loaded.append(origin)
    return plugins


def account(base_url: str, *, kind: str = "key", key: str = KEY, provider: str = "toy", **more: Any) -> dict[str, Any]:
    """The settings of an account at `base_url`; `kind` is how it authenticates: key, login, numbered or none."""
    auth: dict[str, Any] = {"kind": kind}
    if kind in ("key", "numbered"):
        auth["key"] = key
    elif kind == "login":
        auth |= {"user": "merchant", "password": key}
    return {"provider": provider, "environment": "sandbox", "base_url": base_url, "auth": auth, **more}


def good(data: dict[str, Any], status: int = 200) -> Answer:
    """A good answer of toy's API."""
    return Answer(status, {"ok": True, "data": data})


def wrong(code: str, message: str = "no", status: int = 200) -> Answer:
    """An error in toy's envelope."""
    return Answer(status, {"ok": False, "error": {"code": code, "message": message}})


TICKER = good({"last": "60000.5"})


def answers(seen: Seen) -> Answer:
    """The service: every call succeeds; numbers of orders and payouts are those that were asked for, or `1`."""
    last = seen.path.rsplit("/", 1)[-1]
    match seen.method, seen.path.split("/")[1]:
        case "GET", "ticker":
            return TICKER
        case "POST", "orders":
            return good({"id": "1", "status": "open", "amount": seen.json["price"]})
        case "GET", "orders" if seen.path != "/orders":
            return good({"id": last, "status": "open"})
        case "GET", "orders":
            return good({"orders": [{"id": "1", "status": "open"}], "next": None})
        case "POST", "withdrawals":
            return good({"id": "1", "status": "open"})
        case "GET", "withdrawals":
            return good({"id": last, "status": "done"})
        case "GET", "wallets":
            return good({"wallets": [{"coin": "BTC@lightning", "available": "0.5"}]})
        case "POST", "customers":
            return good({"id": "c1"})
        case "GET", "customers":
            return good({"id": last})
        case "GET", "me":
            return good({})
        case "POST", "keys":
            return good({"token": "issued-CANARY-b81e"})
    return wrong("gone", "no such path", 404)
