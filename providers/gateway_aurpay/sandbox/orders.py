"""Orders, and what the provider shows of them (2, 3, 4 and the callbacks' body)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gateway_aurpay.sandbox.access import USER_ID
from gateway_aurpay.sandbox.coins import LIGHTNING, Coin, text
from gateway_aurpay.sandbox.variants import Variants

__all__ = ["FEE_RATE", "LIST_FIELDS", "Checkout", "Order", "Refund", "Status", "Terms", "shown_order", "shown_time"]

LIFETIME = timedelta(minutes=30)  # of an unpaid order (D, product guide)
FEE_RATE = Decimal("0.008")  # a sample value: what the documented callback's fee is of its amount


class Status(StrEnum):
    """The documentation's words."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    OVERDUE = "OVERDUE"
    RESOLVED = "RESOLVED"
    PARTIAL = "PARTIAL"
    TERMINATED = "TERMINATED"
    REFUNDED = "REFUNDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the merchant asked for."""

    price: Decimal
    fiat: str
    callback_url: str = ""
    timeout_callback: str = ""
    fixed: bool = False
    post: bool = False


@dataclass(slots=True)
class Refund:
    """Asked for at `asked_at`; the money has left the wallet, and arrives when `done`."""

    amount: Decimal
    asked_at: datetime
    done: bool = False


@dataclass(slots=True)
class Order:
    """`coin` and `amount` are None until the payer has chosen a coin; `obtained` is what was paid, before the fee."""

    id: str
    terms: Terms
    created_at: datetime
    updated_at: datetime
    coin: Coin | None = None
    amount: Decimal | None = None
    address: str = ""
    payment_request: str = ""
    payment_hash: str = ""
    status: Status = Status.PENDING
    obtained: Decimal = Decimal(0)
    sender: str = ""
    hashes: list[str] = field(default_factory=list)
    refund: Refund | None = None
    tx_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def expires_at(self) -> datetime:
        return self.created_at + LIFETIME

    @property
    def is_lightning(self) -> bool:
        return self.coin is LIGHTNING

    @property
    def fee(self) -> Decimal:
        """Of what was paid; before, of what is to be paid, as in the sample, whose order is PENDING."""
        return FEE_RATE * (self.obtained or self.amount or Decimal(0))

    @property
    def is_refundable(self) -> bool:
        """Which orders are eligible is not documented: paid ones, but on Lightning there is nowhere to send it to."""
        paid = self.status in (Status.SUCCESS, Status.PARTIAL, Status.RESOLVED)
        return paid and self.refund is None and not self.is_lightning


@dataclass(slots=True)
class Checkout:
    """A hosted page whose order does not exist before the payer chooses a coin. `id` is the sandbox's own."""

    id: str
    terms: Terms
    order: Order | None = None


LIST_FIELDS = (
    "user_id order_id order_type platform status chain chain_name currency amount vs_price vs_currency remark refund "
    "create_time update_time"
).split()


def shown_time(moment: datetime, variants: Variants) -> str:
    """`2024-04-26T10:39:47`, without a zone."""
    return moment.astimezone(variants.zone).strftime("%Y-%m-%dT%H:%M:%S")


def shown_status(status: Status, variants: Variants) -> str:
    return variants.success_word if status is Status.SUCCESS else status.value


def shown_order(order: Order, variants: Variants) -> dict[str, Any]:
    """All fields of a callback's body, in its order. What stands in those that are not known yet is not documented."""
    coin = order.coin
    return {
        "user_id": USER_ID,
        "order_id": order.id,
        "order_type": "ORDER",
        "platform": "API",  # not documented
        "status": shown_status(order.status, variants),
        "chain": coin and coin.chain,
        "chain_name": coin and coin.chain_name,
        "currency": coin and coin.currency,
        "amount": None if order.amount is None else text(order.amount),
        "vs_price": text(order.terms.price),
        "vs_currency": order.terms.fiat,
        "remark": "",
        "refund": order.is_refundable,
        "bind_id": None,
        "create_time": shown_time(order.created_at, variants),
        "update_time": shown_time(order.updated_at, variants),
        "tx_id": order.tx_id,
        "tx_type": "ORDER",  # its values are not documented
        "obtained": text(order.obtained) if order.obtained else None,
        "fee": text(order.fee),
        "from_addr": order.sender,
        "to_addr": order.address,
        "tx_hash": order.hashes[-1] if order.hashes else None,
        "tx_hash_list": list(order.hashes),
        "contract_id": coin.contract if coin else "",
        "website": "",
    }
