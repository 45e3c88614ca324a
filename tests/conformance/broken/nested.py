"""Acme whose requests hold their data as a text, and adapters that change it in there."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from starlette.requests import Request as Received
from starlette.routing import Route

from conformance.acme import AcmeAdapter, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.contracts import NewOrder, NewWithdrawal
from gateway.exchange import Request, decode_json, encode_json
from gateway.money import plain


class WrappedSandbox(AcmeSandbox):
    """Takes the data of a request as JSON in Base64, under `payload`."""

    def _route(self, method: str, path: str, handle: Callable[[Received, Any], object]) -> Route:
        def unwrapped(request: Received, body: Any) -> object:
            return handle(request, decode_json(base64.b64decode(body["payload"])) if body else body)

        return super()._route(method, path, unwrapped)


class Wraps(AcmeAdapter):
    def new_order(self, order: NewOrder) -> Request:
        return _wrapped(super().new_order(order))

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _wrapped(self.payout(withdrawal))

    def payout(self, withdrawal: NewWithdrawal) -> Request:
        return super().new_payout(withdrawal)


class AcmeWrapped(Acme):
    provider = provider(adapter=Wraps)

    def sandbox(self) -> WrappedSandbox:
        return WrappedSandbox()


def _wrapped(request: Request) -> Request:
    return replace(request, json={"payload": base64.b64encode(encode_json(request.json)).decode()})


class _Rounds(Wraps):
    def payout(self, withdrawal: NewWithdrawal) -> Request:
        made = super().payout(withdrawal)
        return replace(made, json={**made.json, "amount": plain(round(Decimal(made.json["amount"]), 2))})


@fails(
    "test_amounts_that_go_out_keep_every_digit",
    "withdrawals.create:address: amount = 0.000001 left as payload.amount = 0.00",
)
class RoundsInsideOfAText(AcmeWrapped):
    """Rounds the amount of a payout to two digits, in data that leaves as a text within the body."""

    provider = provider(adapter=_Rounds)


class _Elsewhere(Wraps):
    def payout(self, withdrawal: NewWithdrawal) -> Request:
        made = super().payout(withdrawal)
        return replace(made, json={**made.json, "address": "TLa2f6VPqDgRE67v1736s7bJ8Ray5wYjU7"})


@fails("test_what_is_asked_for_is_what_leaves", "withdrawals.create:address: to.address was asked to be")
class PaysElsewhereInsideOfAText(AcmeWrapped):
    """Sends every payout to one address, in data that leaves as a text within the body."""

    provider = provider(adapter=_Elsewhere)
