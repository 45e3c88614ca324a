"""Models: what a merchant sends (`…Request`) and what is read. All frozen; money exact; times aware UTC;
identifiers text.
"""

from __future__ import annotations

from gateway.models.base import Environment, Fee, Instant, Number, Page
from gateway.models.cards import Card, CardRequest, CardStatus, CardTransaction, CardTransactionStatus, OneTimeCode
from gateway.models.choices import Choice, Verdict
from gateway.models.customers import Customer, CustomerRequest, ProviderCustomer
from gateway.models.events import EVENT_TYPES, Delivery, DeliveryState, Event, HandlerState
from gateway.models.keys import (
    ApiKey,
    GuideStep,
    IssuedKey,
    KeyAction,
    KeyAudit,
    KeyGuide,
    KeyOrigin,
    KeyProof,
    KeyState,
    NewKey,
    Permission,
    Rotation,
)
from gateway.models.markets import BookLevel, Market, OrderBook, PublicTrade, Side, Ticker
from gateway.models.orders import (
    Attempt,
    Order,
    OrderException,
    OrderRequest,
    OrderStatus,
    PaymentInstructions,
    ProviderOrder,
    Settlement,
)
from gateway.models.reconciliations import Finding, FindingKind, NotCompared, Reconciliation
from gateway.models.refunds import ProviderRefund, Refund, RefundRequest, RefundStatus
from gateway.models.trades import Trade, TradeKind, TradeRequest, TradeStatus
from gateway.models.transactions import Currency, CurrencyKind, Transaction
from gateway.models.wallets import Wallet, WalletKind
from gateway.models.withdrawals import (
    CardTopUp,
    CryptoAddress,
    Destination,
    LightningInvoice,
    ProviderWithdrawal,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalStatus,
)

__all__ = [
    "EVENT_TYPES",
    "ApiKey",
    "Attempt",
    "BookLevel",
    "Card",
    "CardRequest",
    "CardStatus",
    "CardTopUp",
    "CardTransaction",
    "CardTransactionStatus",
    "Choice",
    "CryptoAddress",
    "Currency",
    "CurrencyKind",
    "Customer",
    "CustomerRequest",
    "Delivery",
    "DeliveryState",
    "Destination",
    "Environment",
    "Event",
    "Fee",
    "Finding",
    "FindingKind",
    "GuideStep",
    "HandlerState",
    "Instant",
    "IssuedKey",
    "KeyAction",
    "KeyAudit",
    "KeyGuide",
    "KeyOrigin",
    "KeyProof",
    "KeyState",
    "LightningInvoice",
    "Market",
    "NewKey",
    "NotCompared",
    "Number",
    "OneTimeCode",
    "Order",
    "OrderBook",
    "OrderException",
    "OrderRequest",
    "OrderStatus",
    "Page",
    "PaymentInstructions",
    "Permission",
    "ProviderCustomer",
    "ProviderOrder",
    "ProviderRefund",
    "ProviderWithdrawal",
    "PublicTrade",
    "Reconciliation",
    "Refund",
    "RefundRequest",
    "RefundStatus",
    "Rotation",
    "Settlement",
    "Side",
    "Ticker",
    "Trade",
    "TradeKind",
    "TradeRequest",
    "TradeStatus",
    "Transaction",
    "Verdict",
    "Wallet",
    "WalletKind",
    "Withdrawal",
    "WithdrawalRequest",
    "WithdrawalStatus",
]
