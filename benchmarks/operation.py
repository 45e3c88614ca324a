"""What one operation costs with the network taken out: creating an Aurpay order, against the same call by hand.

Both sides send through `httpx.MockTransport` and get the same answer. By hand is what a competent developer writes
for this one call: the signature, exact numbers, and pydantic models of the envelope and the order. It neither
classifies failures, nor limits rates, nor compares the answer with what was asked, nor takes secrets out of reports.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
from pydantic import BaseModel

from benchmarks.measuring import Row, interleaved
from gateway import Money, OrderRequest, flows
from gateway.config import load_settings
from gateway.contracts import CreatesOrders, NewOrder
from gateway.core import Core
from gateway.engine.drivers import SyncDriver
from gateway.engine.http import Connection, SyncTransport
from gateway.engine.perform import Begun, Performance, perform
from gateway.models import Order, ProviderOrder
from gateway.plugins import load_plugins

__all__ = ["rows"]

_BASE_URL = "http://127.0.0.1:9"  # nothing listens there, and nothing is sent
_TOKEN, _SECRET = "benchmark-token", "benchmark-secret-1234"
_ADDRESS = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
_ANSWER: dict[str, Any] = {
    "code": 0,
    "message": "ok",
    "data": {
        "order_id": "2023111400000001",
        "status": "PENDING",
        "amount": Decimal("25.01"),
        "create_time": "2023-11-14 22:13:20",
        "vs_currency": "USD",
        "vs_price": Decimal("25.00"),
        "chain": "TRX",
        "currency": "USDT-TRC20",
        "address": _ADDRESS,
        "contract_addr": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
        "pay_url": "https://example.com/pay/2023111400000001",
    },
    "result": True,
}
# Writes a Decimal as a number with all its digits.
_encoder = msgspec.json.Encoder(decimal_format="number")


def _answering() -> Callable[[httpx.Request], httpx.Response]:
    """The provider: every order gets a number of its own, as the store expects of one."""
    numbers = count(1)
    template = _encoder.encode(_ANSWER)
    headers = {"Content-Type": "application/json"}

    def answer(request: httpx.Request) -> httpx.Response:
        content = template.replace(b"2023111400000001", b"%016d" % next(numbers))
        return httpx.Response(200, headers=headers, content=content)

    return answer


# By hand


class HandOrder(BaseModel):
    order_id: str
    status: str
    amount: Decimal
    create_time: datetime
    vs_currency: str
    vs_price: Decimal
    chain: str
    currency: str
    address: str
    contract_addr: str | None = None
    pay_url: str | None = None


class HandEnvelope(BaseModel):
    code: int
    message: str
    data: HandOrder | None = None
    result: bool = True


class ByHand:
    """The call on a bare `httpx.Client`."""

    def __init__(self) -> None:
        self._client = httpx.Client(base_url=_BASE_URL, transport=httpx.MockTransport(_answering()), trust_env=False)

    def create_order(self, price: Decimal, vs_currency: str, chain: str, currency: str) -> HandOrder:
        body = _encoder.encode({"chain": chain, "currency": currency, "vs_currency": vs_currency, "vs_price": price})
        path = "/api/order/pay-info"
        date = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        covered = f"HMAC-SHA256 | {date} | POST {path} | {digest}"
        signature = hmac.digest(_SECRET.encode(), covered.encode(), "sha256")
        response = self._client.post(
            path,
            content=body,
            headers={
                "Content-Type": "application/json",
                "API-Token": _TOKEN,
                "Algorithm": "HMAC-SHA256",
                "Date": date,
                "Body-MD5": digest,
                "Signature": base64.b64encode(signature).decode(),
            },
        )
        response.raise_for_status()
        envelope = HandEnvelope.model_validate(json.loads(response.content, parse_float=Decimal))
        if envelope.code != 0 or envelope.data is None:
            raise RuntimeError(f"refused: {envelope.message}")
        return envelope.data

    def close(self) -> None:
        self._client.close()


# Through the gateway


class Through:
    """The same call through the provider operation, on the engine; and through the flow, on the store too."""

    def __init__(self, store: str) -> None:
        account = {
            "provider": "aurpay",
            "environment": "live",
            "base_url": _BASE_URL,
            "auth": {"kind": "signature", "api_token": _TOKEN, "api_secret": _SECRET},
        }
        self._core = Core(load_settings(accounts={"shop": account}, store=store), load_plugins())
        self._driver = SyncDriver(self._core.connection, self._core.database, transport=_mocked)

    def operation(self, request: OrderRequest, attempt: str) -> ProviderOrder:
        """As `orders.create` does it once the account is chosen and the intent recorded."""
        account = self._core.account("shop")
        account.require("orders.create", "coin")
        new = NewOrder(request=request, attempt=attempt, requested_at=self._core.now())
        begun = Begun(account.able(CreatesOrders).create_order(new))
        return self._driver.run(
            perform(Performance(account, "orders.create", self._core.deadline(None, account)), begun)
        )

    def orders_create(self, request: OrderRequest) -> Order:
        """All that `Gateway.orders.create` does."""
        return self._driver.run(flows.orders.create(self._core, request, account=None, seconds=None))

    def close(self) -> None:
        self._driver.close()
        self._core.close()


def _mocked(connection: Connection) -> SyncTransport:
    return SyncTransport(connection, httpx.MockTransport(_answering()))


def _request(reference: str) -> OrderRequest:
    return OrderRequest(reference=reference, price=Money("25.00", "USD"), pay_with="USDT@tron")


def rows(*, quick: bool = False) -> list[Row]:
    rounds, calls, stored = (2, 5, 2) if quick else (15, 400, 40)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        through, hand = Through(f"sqlite:///{Path(folder, 'bench.db')}"), ByHand()
        try:
            made, made_by_hand = _make(through, "check"), _make_by_hand(hand)
            if made.pay.address != made_by_hand.address or made.pay.amount != Money(made_by_hand.amount, "USDT@tron"):
                raise RuntimeError("the two sides do not make the same order")
            numbers = count(1)
            both = interleaved(
                lambda: _microseconds(lambda: _make(through, "attempt"), calls),
                lambda: _microseconds(lambda: _make_by_hand(hand), calls),
                rounds,
            )
            with_store = interleaved(
                lambda: _microseconds(
                    lambda: through.orders_create(_request(f"cart-{next(numbers)}")), stored, time.perf_counter
                ),
                lambda: _microseconds(lambda: _make(through, "attempt"), stored, time.perf_counter),
                rounds,
            )
        finally:
            through.close()
            hand.close()
    return [
        Row("Aurpay order through the provider operation, against by hand", "µs", *both, target=("<=", 1.3)),
        Row("the same with store and journal (SQLite, synced to disk), against without", "µs", *with_store),
    ]


def _make(through: Through, attempt: str) -> ProviderOrder:
    return through.operation(_request("cart"), attempt)


def _make_by_hand(hand: ByHand) -> HandOrder:
    return hand.create_order(Decimal("25.00"), "USD", "TRX", "USDT-TRC20")


def _microseconds(call: Callable[[], object], calls: int, clock: Callable[[], float] = time.process_time) -> float:
    """For one call, on average: of the processor, where nothing is waited for, so that other programs do not count."""
    start = clock()
    for _ in range(calls):
        call()
    return (clock() - start) / calls * 1e6
