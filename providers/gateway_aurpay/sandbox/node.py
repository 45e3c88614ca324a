"""The merchant's Lightning node at the provider: on testnet, like the documentation's sample invoice (14, 15)."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import InvalidRequest
from gateway.lightning import decode_invoice
from gateway.money import Money
from gateway.testing.lightning import encode_invoice
from gateway_aurpay.sandbox.wire import Refusal

__all__ = ["LightningNode"]

_NETWORK = "testnet"


class LightningNode:
    """Issues invoices, and judges which of other nodes' it would pay."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256K1())
        self._issued: set[str] = set()

    def issue(self, amount: Decimal, created_at: datetime, expiry: timedelta, order_id: str) -> tuple[str, str]:
        """A signed invoice over this many bitcoins, and its payment hash in hex."""
        payment_hash = hashlib.sha256(secrets.token_bytes(32)).digest()
        invoice = encode_invoice(
            self._key,
            payment_hash=payment_hash,
            payment_secret=secrets.token_bytes(32),
            created_at=created_at,
            amount=Money(amount, "BTC@lightning"),
            network=_NETWORK,
            description=f"Order {order_id}",
            expiry=expiry,
        )
        self._issued.add(payment_hash.hex())
        return invoice, payment_hash.hex()

    def check(self, text: str, amount: Decimal | None, now: datetime) -> tuple[str, Decimal]:
        """The payment hash and the bitcoins due, of an invoice that can be paid now. Raises Refusal.

        `amount` is optional when the invoice carries one. Its unit is unknown: here bitcoins, and the invoice's amount
        if that has one.
        """
        try:
            invoice = decode_invoice(text)
        except InvalidRequest:
            raise Refusal(400, "invalid invoice") from None
        if invoice.network != _NETWORK:
            raise Refusal(400, "the invoice is of another network")
        if invoice.payment_hash in self._issued:
            raise Refusal(400, "a node does not pay its own invoice")
        if invoice.expires_at <= now:
            raise Refusal(400, "invoice expired")
        if invoice.amount is None:
            if amount is None:
                raise Refusal(400, "amount is required for an invoice without one")
            return invoice.payment_hash, amount
        if amount not in (None, invoice.amount.amount):
            raise Refusal(400, "amount is not the invoice's")
        return invoice.payment_hash, invoice.amount.amount
