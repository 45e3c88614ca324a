"""Callbacks as the provider makes and signs them ("Callbacks")."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gateway.exchange import encode_json
from gateway.testing.sandbox import OutgoingCallback
from gateway_aurpay.sandbox.access import iso_date, sign
from gateway_aurpay.sandbox.orders import Order, shown_order
from gateway_aurpay.sandbox.variants import Variants

__all__ = ["CALLBACK_TOKEN", "CallbackWriter"]

CALLBACK_TOKEN = "sandbox-aurpay-callback-token"


class CallbackWriter:
    """Writes callbacks with the token and the secret of the dashboard's callback page."""

    def __init__(self, secret: str, variants: Variants) -> None:
        self.token = CALLBACK_TOKEN
        self.secret = secret
        self._variants = variants

    def write(self, order: Order, timed_out: bool, api_key: str | None) -> OutgoingCallback | None:
        """The callback of an order that completed or timed out, if the merchant gave an address for it.

        `api_key` is the merchant's key in the API-key flavour, None in the signature flavour.
        """
        url = order.terms.timeout_callback if timed_out else order.terms.callback_url
        if not url:
            return None
        headers = {"Api-Key": api_key} if api_key is not None else {}
        headers |= self._proof(url, self.token, self.secret)
        if not order.terms.post:
            return OutgoingCallback("GET", url, headers, order=order.id)
        headers["Content-Type"] = "application/json"
        body = encode_json(shown_order(order, self._variants))
        return OutgoingCallback("POST", url, headers, body, order.id)

    def forge(self, callback: OutgoingCallback) -> OutgoingCallback:
        """As somebody would write it who has seen the address, but knows neither key nor token nor secret."""
        headers = dict(callback.headers) | self._proof(callback.url, "a-guessed-token", "a-guessed-secret")
        if "Api-Key" in headers:
            headers["Api-Key"] = "a-guessed-key"
        return replace(callback, headers=headers)

    @staticmethod
    def _proof(url: str, token: str, secret: str) -> dict[str, str]:
        date = iso_date(datetime.now(UTC))
        # The recipe is one client's (C). It covers the URL with its query, and not the body.
        return {"Callback-Token": token, "Date": date, "Signature": sign(secret, f"{date} | {url}")}
