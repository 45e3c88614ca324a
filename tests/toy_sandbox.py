"""A provider small enough to test the harness with: orders that are created, paid and called back."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.testing.sandbox import OutgoingCallback, Payment, Sandbox, SandboxClock, SandboxError, SandboxOrder


class ToySandbox(Sandbox):
    name = "toy"

    def __init__(self, clock: SandboxClock | None = None) -> None:
        super().__init__(clock)
        self._lock = threading.Lock()
        self._orders: dict[str, SandboxOrder] = {}
        self._ends: dict[str, datetime] = {}
        self._callback_urls: dict[str, str] = {}
        self.hanging = threading.Event()
        self._app = Starlette(
            routes=[
                Route("/orders", self._create, methods=["POST"]),
                Route("/orders", self._list, methods=["GET"]),
                Route("/seen/{rest:path}", self._seen),
                Route("/hang", self._hang),
            ]
        )

    @property
    def app(self) -> ASGIApp:
        return self._app

    def account(self, base_url: str) -> dict[str, Any]:
        return {"auth": {"kind": "bearer", "api_key": f"toy-key-for-{base_url}"}}

    async def _create(self, request: Request) -> Response:
        data = await request.json()
        with self._lock:
            order = SandboxOrder(str(len(self._orders) + 1), "new", Decimal(data["amount"]), "USD")
            self._orders[order.id] = order
            self._ends[order.id] = self.clock.now() + timedelta(minutes=30)
            if "callback_url" in data:
                self._callback_urls[order.id] = data["callback_url"]
        return JSONResponse({"id": order.id, "status": order.status})

    async def _list(self, request: Request) -> Response:
        return JSONResponse([order.id for order in self.orders()])

    async def _seen(self, request: Request) -> Response:
        scope = request.scope
        return JSONResponse(
            {"path": scope["path"], "raw_path": scope["raw_path"].decode(), "query": scope["query_string"].decode()}
        )

    async def _hang(self, request: Request) -> Response:
        self.hanging.set()
        await asyncio.Event().wait()
        raise AssertionError("never set")

    def orders(self) -> list[SandboxOrder]:
        with self._lock:
            now = self.clock.now()
            for order in [order for order in self._orders.values() if order.status == "new"]:
                if self._ends[order.id] <= now:
                    self._become(order.id, "expired")
            return list(self._orders.values())

    def _become(self, order: str, status: str) -> None:
        self._orders[order] = replace(self._orders[order], status=status)
        if order in self._callback_urls:
            body = f"{order} {status}".encode()
            self.emit(OutgoingCallback("POST", self._callback_urls[order], {"X-Proof": "genuine"}, body, order))

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        with self._lock:
            if self._orders[order].status != ("expired" if how is Payment.LATE else "new"):
                raise SandboxError(f"order {order} is {self._orders[order].status}")
            self._become(order, f"paid-{how}")

    def expire(self, order: str) -> None:
        with self._lock:
            self._become(order, "expired")

    def fail(self, order: str) -> None:
        with self._lock:
            self._become(order, "failed")

    def ledger(self) -> dict[str, Any]:
        paid = sum((order.amount for order in self.orders() if order.status.startswith("paid")), Decimal(0))
        return {"received": str(paid)}

    def forged(self, callback: OutgoingCallback) -> OutgoingCallback:
        with self._lock:  # as a real one looks up its keys; it must not be called with the lock held
            return replace(callback, headers={"X-Proof": "forged"})
