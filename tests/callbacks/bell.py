"""A provider that calls back, `bell`, and its service: everything about its orders can be bent by a test.

    POST /orders        makes one of {"price", "currency", "coin", "callback", "attempt"}; tells its number unless it is
                        `hosted`
    GET  /orders/ID     {"id", "status", "price", "coin", "amount", "created"}, and "attempt" where it `echoes`

A callback is a POST of {"order": ID}, or a GET that says nothing, with the header `Proof` where a secret is agreed.
"""

from __future__ import annotations

import contextlib
import hmac
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway import Money
from gateway.capabilities import Capabilities, supported
from gateway.contracts import Adapter, Auth, IncomingCallback, NewOrder, Notice, Proof
from gateway.exchange import Operation, Request, ask
from gateway.models import Order, OrderRequest, OrderStatus, PaymentInstructions, ProviderOrder
from gateway.secrets import Raw
from gateway.store.inbox import Callback
from support.colours import Opened, opened
from support.loopback import Answer, Hold, Loopback, Play, Seen
from support.toy import KeyAuth, Toy, ToySettings, account, data_of, good, provider, toy_plugins, wrong
from support.virtual import VirtualClock

__all__ = [
    "BASE_URL",
    "KEY",
    "SECRET",
    "Bell",
    "MadeButUnanswered",
    "Shop",
    "cart",
    "inbox",
    "known",
    "suspicions",
    "told",
]

BASE_URL = "https://shop.example/payments"
KEY = "a-callback-key-of-the-tests"
SECRET = "bell-proof-CANARY-5d1e"

_STATUSES = {
    "open": OrderStatus.PENDING,
    "paid": OrderStatus.PAID,
    "refunded": OrderStatus.REFUNDED,
    "expired": OrderStatus.EXPIRED,
    "failed": OrderStatus.FAILED,
}


class BellSettings(ToySettings):
    proofs: tuple[str, ...] = ()
    strict: bool = False


class Bell(Adapter[BellSettings]):
    def make_auth(self, credentials: Any) -> Auth:
        return KeyAuth(credentials.key)

    read_failure = Toy.read_failure

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        asked = order.request
        body = {
            "price": str(asked.price.amount),
            "currency": asked.price.asset.code,
            "coin": asked.pay_with.code if asked.pay_with else None,
            "callback": order.callback_url,
            "attempt": order.attempt,
        }
        data = yield from ask(Request("POST", "/orders", json=body, write=True), data_of)
        return _order(data)

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        data = yield from ask(Request("GET", f"/orders/{provider_id}"), data_of)
        if data.get("broken"):
            raise KeyError("status")
        return _order(data)

    @property
    def strict_callbacks(self) -> bool:
        return self.settings.strict

    def read_callback(self, callback: IncomingCallback) -> Notice:
        if callback.body == b"crash":
            raise RuntimeError("a mistake of the adapter")
        try:
            number = json.loads(callback.body)["order"]
        except (ValueError, KeyError, TypeError):
            number = None
        if not self.settings.proofs:
            return Notice(proof=Proof.ABSENT, provider_id=number)
        given = callback.headers.get("proof", "").encode()
        same = [hmac.compare_digest(proof.encode(), given) for proof in self.settings.proofs]
        if any(same):
            return Notice(proof=Proof.MATCHES, provider_id=number)
        return Notice(proof=Proof.DIFFERS, reason="the Proof header does not match", provider_id=number)


def _order(data: dict[str, Any]) -> ProviderOrder:
    coin = data.get("coin")
    return ProviderOrder(
        provider_id=data.get("id"),
        attempt=data.get("attempt"),
        status=_STATUSES[data["status"]],
        provider_status=data["status"],
        price=Money(data["price"], data["currency"]) if data.get("price") else None,
        pay_with=coin,
        pay=PaymentInstructions(amount=Money(data["amount"], coin) if coin and data.get("amount") else None),
        created_at=data.get("created"),
        raw=Raw(data),
    )


_CAPABILITIES = Capabilities.of(
    *(
        supported("orders.create", "D", "bell", variant=variant)
        for variant in ("payer-choice", "coin", "coin-without-network")
    ),
    supported("orders.get", "D", "bell"),
    supported("callbacks.receive", "D", "bell"),
)


@dataclass
class Service:
    """Bell's orders by their numbers, as it shows them, and the callback address of each."""

    clock: VirtualClock
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    callbacks: dict[str, str | None] = field(default_factory=dict)
    reads: int = 0
    hosted: bool = False
    """Its answers to a creation tell no number."""
    echoes: bool = False
    """It shows again which attempt an order was made for."""
    down: bool = False
    made: threading.Event = field(default_factory=threading.Event)
    """Whether there was an order made."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __call__(self, seen: Seen) -> Answer:
        if seen.method == "POST":
            asked = seen.json
            number = f"n{next(self._numbers)}"
            order = {name: asked[name] for name in ("price", "currency", "coin")}
            order |= {"id": number, "status": "open", "amount": asked["price"]}
            order |= {"attempt": asked["attempt"]} if self.echoes else {}
            self.orders[number] = {**order, "created": self.clock.now().isoformat(timespec="seconds")}
            self.callbacks[number] = asked["callback"]
            self.made.set()
            return good({**order, "id": None if self.hosted else number})
        if self.down:
            return Answer(503, {})
        self.reads += 1
        number = seen.path.rsplit("/", 1)[-1]
        return good(self.orders[number]) if number in self.orders else wrong("gone", "no such order")


class Shop:
    """A shop with accounts at one bell: `shop` without a proof, `proved` with one, `strict` which insists on it, and
    `twin`, the same merchant as `shop` once more. Use it inside `with`.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.service = Service(self.clock)
        self.line = Loopback(app=self.service)

    def __enter__(self) -> Shop:
        self.line.__enter__()
        return self

    def __exit__(self, *about: Any) -> None:
        self.line.__exit__(*about)

    def accounts(self) -> dict[str, dict[str, Any]]:
        plain = account(self.line.url, provider="bell")
        proofs = [SECRET, "bell-proof-that-comes-next"]
        return {
            "shop": plain,
            "proved": plain | {"proofs": proofs},
            "strict": plain | {"proofs": proofs, "strict": True},
            "twin": plain,
        }

    @contextlib.contextmanager
    def gateway(self, colour: str = "sync", **given: Any) -> Iterator[Opened]:
        bell = provider("bell", settings=BellSettings, adapter=Bell, capabilities=_CAPABILITIES)
        settings = {"accounts": self.accounts(), "public_base_url": BASE_URL, "callback_key": KEY, **given}
        with opened(colour, plugins=toy_plugins(bell), clock=self.clock, **settings) as gw:
            yield gw

    def callback_of(self, number: str) -> str:
        url = self.service.callbacks[number]
        assert url is not None
        return url

    def calls_back(
        self, gw: Opened, number: str, *, method: str = "POST", body: bytes | None = None, proof: str | None = None
    ) -> int:
        """Bell calls back about this order; the status it is answered with."""
        said = json.dumps({"order": number}).encode() if body is None and method == "POST" else body or b""
        headers = {"Content-Type": "application/json"} | ({"Proof": proof} if proof else {})
        return gw.callbacks.receive(
            method=method, url=self.callback_of(number), headers=headers, body=said, client="192.0.2.7"
        )


def cart(reference: str = "cart-1", price: str = "25.00 USD", pay_with: str | None = "USDT@tron") -> OrderRequest:
    return OrderRequest(reference=reference, price=price, pay_with=pay_with)


def known(gw: Opened, reference: str = "cart-1") -> Order:
    """The order as it is known, without asking anybody."""
    return gw.orders.get(reference, refresh=False)


def inbox(gw: Opened) -> list[Callback]:
    """Oldest first."""
    return list(reversed(gw.callbacks.list(limit=20_000)))


def told(gw: Opened, reference: str = "cart-1") -> list[str]:
    """The types of the events about this, oldest first."""
    return [event.type for event in gw.events.since(0) if event.reference == reference]


def suspicions(gw: Opened) -> list[str]:
    return [event.data["reason"] for event in gw.events.since(0) if event.type == "callback.suspicious"]


@dataclass(frozen=True)
class MadeButUnanswered(Play):
    """The order is made; the answer comes after `release()`, or never."""

    service: Service
    answered: bool = True

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        assert seen is not None
        answer = self.service(seen)
        return Hold(then=answer).perform(server, line, seen) if self.answered else False
