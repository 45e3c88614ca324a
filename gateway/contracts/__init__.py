"""What an adapter implements: the base, the settings, and one small Protocol a capability.

Everything that a provider's package needs from the gateway is here, in `gateway.exchange`, `gateway.capabilities`,
`gateway.errors`, `gateway.models`, `gateway.money`, `gateway.assets`, `gateway.secrets` and `gateway.hookspecs`;
nothing else is promised to it.
"""

from __future__ import annotations

from gateway.contracts.adapter import CONTRACT_VERSION, Account, Adapter, Auth, LoginAuth, NoAuth, Provider, RateLimit
from gateway.contracts.callbacks import IncomingCallback, Notice, Proof, ReadsCallbacks
from gateway.contracts.cards import (
    CreatesCards,
    GivesOneTimeCodes,
    ListsCards,
    ListsCardTransactions,
    NewCard,
    ReadsCards,
)
from gateway.contracts.customers import CreatesCustomers, ReadsCustomers
from gateway.contracts.keys import (
    GuideRequest,
    IssuesKeys,
    KeyKind,
    KeyPart,
    KeyRules,
    RevokesKeys,
    VerifiesKeys,
)
from gateway.contracts.lists import Query
from gateway.contracts.markets import ListsMarkets, ListsPublicTrades, ReadsBooks, ReadsTickers
from gateway.contracts.orders import CancelsOrders, CreatesOrders, ListsOrders, NewOrder, ReadsOrders
from gateway.contracts.refunds import CreatesRefunds, NewRefund, ReadsRefunds
from gateway.contracts.settings import AccountSettings, BaseUrl, Limits, RingAuth, Setting
from gateway.contracts.trades import (
    CancelsTrades,
    CreatesTrades,
    ListsOpenTrades,
    ListsTradeHistory,
    NewTrade,
    ReadsTrades,
)
from gateway.contracts.wallets import ListsCurrencies, ListsTransactions, ListsWallets
from gateway.contracts.wire import Amount, Identifier, Wire, parser, shaped
from gateway.contracts.withdrawals import CreatesWithdrawals, ListsWithdrawals, NewWithdrawal, ReadsWithdrawals

__all__ = [
    "CONTRACT_VERSION",
    "Account",
    "AccountSettings",
    "Adapter",
    "Amount",
    "Auth",
    "BaseUrl",
    "CancelsOrders",
    "CancelsTrades",
    "CreatesCards",
    "CreatesCustomers",
    "CreatesOrders",
    "CreatesRefunds",
    "CreatesTrades",
    "CreatesWithdrawals",
    "GivesOneTimeCodes",
    "GuideRequest",
    "Identifier",
    "IncomingCallback",
    "IssuesKeys",
    "KeyKind",
    "KeyPart",
    "KeyRules",
    "Limits",
    "ListsCardTransactions",
    "ListsCards",
    "ListsCurrencies",
    "ListsMarkets",
    "ListsOpenTrades",
    "ListsOrders",
    "ListsPublicTrades",
    "ListsTradeHistory",
    "ListsTransactions",
    "ListsWallets",
    "ListsWithdrawals",
    "LoginAuth",
    "NewCard",
    "NewOrder",
    "NewRefund",
    "NewTrade",
    "NewWithdrawal",
    "NoAuth",
    "Notice",
    "Proof",
    "Provider",
    "Query",
    "RateLimit",
    "ReadsBooks",
    "ReadsCallbacks",
    "ReadsCards",
    "ReadsCustomers",
    "ReadsOrders",
    "ReadsRefunds",
    "ReadsTickers",
    "ReadsTrades",
    "ReadsWithdrawals",
    "RevokesKeys",
    "RingAuth",
    "Setting",
    "VerifiesKeys",
    "Wire",
    "parser",
    "shaped",
]
