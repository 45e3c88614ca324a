"""A merchant's client of the Aurpay sandbox, and how its answers are checked."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gateway.testing.sandbox import OutgoingCallback
from gateway_aurpay.sandbox import AurpaySandbox
from sandboxes.asgi_client import AsgiClient, decoded

KEY = "sandbox-aurpay-api-key"
LOGIN = {"username": "merchant@shop.example", "password": "sandbox-aurpay-password"}
# The moment of the check values.
THEN = datetime(2025, 1, 2, 3, 4, 5, 678000, UTC)
DATE = "2025-01-02T03:04:05.678Z"
USDT = {"chain": "TRX", "currency": "USDT-TRC20", "vs_currency": "USD", "vs_price": 18}


class Aurpay(AsgiClient):
    """A client with the API key, and the callbacks that the sandbox made."""

    def __init__(self, **switches: Any) -> None:
        self.sandbox = AurpaySandbox(**switches)
        super().__init__(self.sandbox.app, {"API-Key": KEY})
        self.callbacks: list[OutgoingCallback] = []
        self.sandbox.emit = self.callbacks.append

    def details(self, order: str) -> Any:
        return data(self.get(f"/api/v2/order/detail/{order}"))

    def usdt(self, **more: Any) -> Any:
        return data(self.post("/api/order/pay-info", USDT | more))

    def lightning(self, **more: Any) -> Any:
        return data(self.post("/api/bln/order", {"price": 20, "currency": "USD", **more}))

    def withdraw(self, invoice: str, **more: Any) -> Any:
        return self.post("/api/bln/withdraw", {"ln_invoices": invoice, **more})

    def balances(self) -> dict[str, Decimal]:
        """As the API tells them."""
        wallets = data(self.get("/api/v2/wallet/"))
        lightning = data(self.get("/api/bln/balance"))
        return {row["currency"]: Decimal(row["balance"]) for row in wallets} | {"BTC-LN": Decimal(lightning["balance"])}


def data(response: Any) -> Any:
    body = decoded(response)
    assert response.status_code == 200, body
    assert response.headers["content-type"] == "application/json"
    assert body == {"code": 0, "message": "ok", "data": body["data"], "result": True}
    return body["data"]


def refused(response: Any, code: int, says: str) -> None:
    """Every error is inside an HTTP 200."""
    body = decoded(response)
    assert response.status_code == 200, body
    assert body == {"code": code, "message": body.get("message"), "data": None, "result": False}
    assert says in body["message"]


def status(aurpay: Aurpay, order: str) -> str:
    return str(aurpay.details(order)["status"])
