"""Take crypto payments through any of several providers, and switch between them, without changing your code.

    from gateway import Gateway, Money, OrderRequest

    with Gateway.from_file("gateway.toml") as gw:
        order = gw.orders.create(OrderRequest(reference="cart-1001", price=Money("25.00", "USD"), pay_with="USDT@tron"))

The names below are the public ones; each is imported when it is first used. `gateway.errors` holds the errors,
`gateway.models` all models, `gateway.contracts` what a provider's adapter implements.
"""

from __future__ import annotations

import importlib

from gateway._version import __version__

# Type checkers take the name for true; importing it from `typing` would be most of what `import gateway` costs.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from gateway.aio import AsyncGateway
    from gateway.api import Gateway
    from gateway.assets import Asset
    from gateway.errors import GatewayError
    from gateway.models.cards import CardRequest
    from gateway.models.customers import CustomerRequest
    from gateway.models.events import Event
    from gateway.models.orders import Order, OrderException, OrderRequest, OrderStatus, Settlement
    from gateway.models.refunds import RefundRequest
    from gateway.models.trades import TradeRequest
    from gateway.models.withdrawals import (
        CardTopUp,
        CryptoAddress,
        LightningInvoice,
        Withdrawal,
        WithdrawalRequest,
        WithdrawalStatus,
    )
    from gateway.money import Money

_HOMES = {
    "Asset": "gateway.assets",
    "AsyncGateway": "gateway.aio",
    "CardRequest": "gateway.models.cards",
    "CardTopUp": "gateway.models.withdrawals",
    "CryptoAddress": "gateway.models.withdrawals",
    "CustomerRequest": "gateway.models.customers",
    "Event": "gateway.models.events",
    "Gateway": "gateway.api",
    "GatewayError": "gateway.errors",
    "LightningInvoice": "gateway.models.withdrawals",
    "Money": "gateway.money",
    "Order": "gateway.models.orders",
    "OrderException": "gateway.models.orders",
    "OrderRequest": "gateway.models.orders",
    "OrderStatus": "gateway.models.orders",
    "RefundRequest": "gateway.models.refunds",
    "Settlement": "gateway.models.orders",
    "TradeRequest": "gateway.models.trades",
    "Withdrawal": "gateway.models.withdrawals",
    "WithdrawalRequest": "gateway.models.withdrawals",
    "WithdrawalStatus": "gateway.models.withdrawals",
}

__all__ = [
    "Asset",
    "AsyncGateway",
    "CardRequest",
    "CardTopUp",
    "CryptoAddress",
    "CustomerRequest",
    "Event",
    "Gateway",
    "GatewayError",
    "LightningInvoice",
    "Money",
    "Order",
    "OrderException",
    "OrderRequest",
    "OrderStatus",
    "RefundRequest",
    "Settlement",
    "TradeRequest",
    "Withdrawal",
    "WithdrawalRequest",
    "WithdrawalStatus",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gateway' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
