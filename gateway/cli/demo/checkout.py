"""A shop's checkout: the one function that takes every payment of the demo. It names no provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway import Gateway, Money, Order, OrderRequest, Settlement
from gateway.errors import UnsupportedOperation

__all__ = ["Purchase", "check_out"]

_PATIENCE_SECONDS = 5.0
_BETWEEN_LOOKS_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """What somebody buys. `coins` are those that the shop takes, the preferred one first: data, as the accounts are."""

    reference: str
    price: Money
    coins: Sequence[str]
    customer: str | None = None
    settles_to: Settlement | None = None


def check_out(
    gateway: Gateway, purchase: Purchase, show_payer: Callable[[Order], None], *, account: str | None = None
) -> Order:
    """Ask for a payment, show the payer how to make it, and wait until it has been made.

    `account` None leaves the choice to the routes of the configuration. The order is returned as it stands when it is
    final or patience ends.
    """
    order = _ask(gateway, purchase, account)
    show_payer(order)
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        order = gateway.orders.get(purchase.reference)
        if order.status.is_final or time.monotonic() >= until:
            return order
        time.sleep(_BETWEEN_LOOKS_SECONDS)


def _ask(gateway: Gateway, purchase: Purchase, account: str | None) -> Order:
    """An order in the first of the shop's coins that the account takes."""
    refusal: UnsupportedOperation | None = None
    for coin in purchase.coins:
        request = OrderRequest(
            reference=purchase.reference,
            price=purchase.price,
            pay_with=coin,
            customer=purchase.customer,
            settles_to=purchase.settles_to,
        )
        try:
            return gateway.orders.create(request, account=account)
        except UnsupportedOperation as error:  # known before anything was sent or recorded: the next coin may do
            refusal = error
    raise refusal or UnsupportedOperation("this shop takes no coins")
