"""Acme's sandbox, written from its documentation (the docstring of `acme`), not from its adapter."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.exchange import decode_json, encode_json
from gateway.testing.sandbox import OutgoingCallback, Payment, Sandbox, SandboxClock, SandboxError, SandboxOrder

__all__ = ["CALLBACK_SECRET", "KEY", "SECRET", "AcmeSandbox"]

KEY = "acme-sandbox-key-one"
SECRET = "acme-sandbox-secret-one"
CALLBACK_SECRET = "acme-sandbox-callback-secret"
_LIFE = timedelta(minutes=30)


@dataclass(frozen=True)
class _Order:
    id: str
    price: Decimal
    coin: str
    callback: str | None
    created: datetime
    status: str = "open"
    received: Decimal | None = None

    @property
    def amount(self) -> Decimal:
        return self.price * 2

    @property
    def expires(self) -> datetime:
        return self.created + _LIFE


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _sign(secret: str, *parts: str) -> str:
    return hmac.new(secret.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


class AcmeSandbox(Sandbox):
    """`limit` is how many calls a key may make in ten seconds; None: any number."""

    name = "acme"
    window = timedelta(minutes=5)
    """How far the time of a request may be from now."""

    def __init__(
        self,
        clock: SandboxClock | None = None,
        *,
        limit: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self._lock = threading.RLock()
        self._limit, self._monotonic = limit, monotonic
        self._seen: deque[float] = deque()
        self._orders: dict[str, _Order] = {}
        self._refunds: set[str] = set()
        self._payouts: dict[str, dict[str, Any]] = {}
        self._app = Starlette(
            routes=[
                self._route("POST", "/orders", self._create_order),
                self._route("GET", "/orders", self._list_orders),
                self._route("GET", "/orders/{id}", self._get_order),
                self._route("POST", "/orders/{id}/refund", self._refund),
                self._route("GET", "/orders/{id}/refund", self._get_refund),
                self._route("GET", "/balances", self._balances),
                self._route("POST", "/payouts", self._create_payout),
                self._route("GET", "/payouts/{id}", self._get_payout),
                self._route("GET", "/me", lambda request, body: {"key": "accepted"}),
            ]
        )

    @property
    def app(self) -> ASGIApp:
        return self._app

    def account(self, base_url: str) -> dict[str, Any]:
        return {
            "provider": "acme",
            "environment": "sandbox",
            "base_url": base_url,
            "auth": {"kind": "signed", "key": KEY, "secret": SECRET},
            "callback": {"secret": CALLBACK_SECRET},
        }

    # Control

    def orders(self) -> list[SandboxOrder]:
        with self._lock:
            for order in [order for order in self._orders.values() if order.status == "open"]:
                if order.expires <= self.clock.now():
                    self._become(order, "expired")
            return [
                SandboxOrder(order.id, order.status, order.price, "USD", order.expires)
                for order in self._orders.values()
            ]

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        with self._lock:
            found = self._orders[order]
            if found.status not in ("open", "short", "expired"):
                raise SandboxError(f"order {order} is {found.status}")
            share = {Payment.UNDER: Decimal("0.5"), Payment.OVER: Decimal("1.5")}.get(how, Decimal(1))
            received = found.amount * share
            self._become(replace(found, received=received), "short" if how is Payment.UNDER else "paid")

    def expire(self, order: str) -> None:
        with self._lock:
            self._become(self._orders[order], "expired")

    def fail(self, order: str) -> None:
        with self._lock:
            self._become(self._orders[order], "cancelled")

    def ledger(self) -> dict[str, Any]:
        with self._lock:
            return {
                "payouts": list(self._payouts.values()),
                "orders": [order.id for order in self._orders.values()],
                "refunds": sorted(self._refunds),
            }

    def forged(self, callback: OutgoingCallback) -> OutgoingCallback:
        return replace(callback, headers=self._proof("a-guessed-secret", callback.url, callback.body))

    def _become(self, order: _Order, status: str) -> None:
        self._orders[order.id] = replace(order, status=status)
        if order.callback is not None:
            body = json.dumps({"order": order.id, "status": status}).encode()
            headers = self._proof(CALLBACK_SECRET, order.callback, body)
            self.emit(OutgoingCallback("POST", order.callback, headers, body, order.id))

    def _proof(self, secret: str, url: str, body: bytes) -> dict[str, str]:
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        return {"X-Time": moment, "X-Sign": _sign(secret, moment, url, body.decode())}

    # The application

    def _route(self, method: str, path: str, handle: Callable[[Request, Any], object]) -> Route:
        async def endpoint(request: Request) -> Response:
            content = await request.body()
            try:
                with self._lock:
                    self._admit(request, content)
                    data = handle(request, decode_json(content) if content else {})
            except _Refusal as refusal:
                error = {"code": refusal.code, "message": refusal.message}
                return _json(refusal.status, {"ok": False, "error": error})
            return _json(200, {"ok": True, "data": data})

        return Route(path, endpoint, methods=[method])

    def _admit(self, request: Request, content: bytes) -> None:
        moment = request.headers.get("x-time", "")
        path = request.scope["path"]
        target = path + (f"?{request.url.query}" if request.url.query else "")
        expected = _sign(SECRET, moment, request.method, target, content.decode())
        if request.headers.get("x-key") != KEY or not hmac.compare_digest(expected, request.headers.get("x-sign", "")):
            raise _Refusal(401, "bad-key", "the key or its signature is wrong")
        if abs(datetime.now(UTC) - datetime.fromisoformat(moment)) > self.window:
            raise _Refusal(401, "bad-key", "the time is too far from now")
        now = self._monotonic()
        while self._seen and self._seen[0] <= now - 10:
            self._seen.popleft()
        if self._limit is not None and len(self._seen) >= self._limit:
            raise _Refusal(429, "too-many", "too many requests")
        self._seen.append(now)

    def _create_order(self, request: Request, body: Any) -> object:
        price = body.get("price")
        if isinstance(price, (bool, str)) or price is None or price <= 0 or body.get("currency") != "USD":
            raise _Refusal(400, "bad-request", "price must be a number in USD")
        number = f"A{len(self._orders) + 1}"
        order = _Order(number, Decimal(price), body["coin"], body.get("callback"), self.clock.now())
        self._orders[number] = order
        return _shown(order)

    def _list_orders(self, request: Request, body: Any) -> object:
        page, size = int(request.query_params["page"]), int(request.query_params["size"])
        rows = list(reversed(self._orders.values()))
        end = page * size
        return {
            "items": [_shown(row) for row in rows[end - size : end]],
            "next": str(page + 1) if end < len(rows) else None,
        }

    def _find(self, request: Request) -> _Order:
        self.orders()
        found = self._orders.get(request.path_params["id"])
        if found is None:
            raise _Refusal(404, "unknown", "no such order")
        return found

    def _get_order(self, request: Request, body: Any) -> object:
        return _shown(self._find(request))

    def _refund(self, request: Request, body: Any) -> object:
        order = self._find(request)
        if order.status != "paid":
            raise _Refusal(409, "not-paid", "only a paid order is refunded")
        self._refunds.add(order.id)
        return {"id": f"R{order.id}", "status": "open", "amount": order.amount, "coin": order.coin}

    def _get_refund(self, request: Request, body: Any) -> object:
        order = self._find(request)
        if order.id not in self._refunds:
            raise _Refusal(404, "unknown", "no such refund")
        if order.status == "paid":
            self._become(order, "refunded")
        return {"id": f"R{order.id}", "status": "done", "amount": order.amount, "coin": order.coin}

    def _balances(self, request: Request, body: Any) -> object:
        return {
            "items": [
                {"coin": "USDT@tron", "available": "1500.25", "held": "12.5"},
                {"coin": "BTC@bitcoin", "available": "0.12345678", "held": "0"},
            ]
        }

    def _create_payout(self, request: Request, body: Any) -> object:
        amount = Decimal(body["amount"])
        if amount > 1_000_000:
            raise _Refusal(409, "no-funds", "not enough funds")
        number = f"P{len(self._payouts) + 1}"
        self._payouts[number] = {"id": number, "status": "open", "amount": body["amount"], "coin": body["coin"]}
        return self._payouts[number]

    def _get_payout(self, request: Request, body: Any) -> object:
        found = self._payouts.get(request.path_params["id"])
        if found is None:
            raise _Refusal(404, "unknown", "no such payout")
        return found


def _shown(order: _Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "status": order.status,
        "price": order.price,
        "currency": "USD",
        "coin": order.coin,
        "amount": order.amount,
        "address": f"address-of-{order.id}",
        "received": order.received,
        "created": order.created.isoformat(),
        "expires": order.expires.isoformat(),
    }


def _json(status: int, data: object) -> Response:
    return Response(encode_json(data), status, media_type="application/json")
