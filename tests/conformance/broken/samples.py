"""Acme that takes prices in its coins too, and an adapter that fails with the second sample alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request as Received

from conformance.acme import COINS, AcmeAdapter, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.contracts import NewOrder
from gateway.errors import InvalidRequest
from gateway.exchange import Operation, Request, ask
from gateway.models import ProviderOrder


class CoinSandbox(AcmeSandbox):
    """Takes a price in the coin that it is paid with."""

    def _create_order(self, request: Received, body: Any) -> object:
        shown: Any = super()._create_order(request, {**body, "currency": "USD"})
        return self._in(shown, body["currency"])

    def _get_order(self, request: Received, body: Any) -> object:
        return self._in(super()._get_order(request, body), None)

    def _list_orders(self, request: Received, body: Any) -> object:
        shown: Any = super()._list_orders(request, body)
        return {**shown, "items": [self._in(row, None) for row in shown["items"]]}

    def _in(self, shown: Any, currency: str | None) -> Any:
        known: dict[str, str] = self.__dict__.setdefault("_currencies", {})
        if currency is not None:
            known[shown["id"]] = currency
        return {**shown, "currency": known[shown["id"]]}


class TakesCoins(AcmeAdapter):
    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        asked = order.request
        if asked.pay_with is None or asked.pay_with.code not in COINS:
            raise InvalidRequest(f"Acme does not take {asked.pay_with}", hint="one of " + ", ".join(COINS))
        if asked.price.asset.code not in ("USD", str(asked.pay_with)):
            raise InvalidRequest("Acme takes prices in USD, or in the coin", hint="state the price in one of them")
        return (yield from ask(self.new_order(order), self.read_order))

    def new_order(self, order: NewOrder) -> Request:
        made = super().new_order(order)
        return replace(made, json={**made.json, "currency": order.request.price.asset.code})


class AcmeWithTwoPrices(Acme):
    provider = provider(adapter=TakesCoins)
    orders = {
        "coin": [
            {"price": "25.00 USD", "pay_with": "USDT@tron"},
            {"price": "25.00 USDT@tron", "pay_with": "USDT@tron"},
        ]
    }

    def sandbox(self) -> AcmeSandbox:
        return CoinSandbox()


@fails("test_it_works_and_gives_what_it_should", "Acme takes prices in USD")
class RefusesTheSecondPrice(AcmeWithTwoPrices):
    """Refuses every price in a coin, which it says that it takes; that in a currency, the first sample, it takes."""

    provider = provider(adapter=AcmeAdapter)
