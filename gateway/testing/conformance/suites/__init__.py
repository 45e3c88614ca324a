"""The suites, one for each area of the table, and `Conformance`, which is all of them."""

from __future__ import annotations

from gateway.testing.conformance.suites.areas import (
    CardsSuite,
    Conformance,
    CustomersSuite,
    FlavourConformance,
    KeysSuite,
    MarketsSuite,
    OrdersSuite,
    RefundsSuite,
    TradesSuite,
    TransactionsSuite,
    WalletsSuite,
    WithdrawalsSuite,
)
from gateway.testing.conformance.suites.authentication import AuthenticationSuite
from gateway.testing.conformance.suites.callbacks import CallbacksSuite
from gateway.testing.conformance.suites.operations import OperationsSuite
from gateway.testing.conformance.suites.rates import RateLimitSuite
from gateway.testing.conformance.suites.redaction import RedactionSuite
from gateway.testing.conformance.suites.settings import SettingsSuite
from gateway.testing.conformance.suites.table import CapabilitiesSuite

__all__ = [
    "AuthenticationSuite",
    "CallbacksSuite",
    "CapabilitiesSuite",
    "CardsSuite",
    "Conformance",
    "CustomersSuite",
    "FlavourConformance",
    "KeysSuite",
    "MarketsSuite",
    "OperationsSuite",
    "OrdersSuite",
    "RateLimitSuite",
    "RedactionSuite",
    "RefundsSuite",
    "SettingsSuite",
    "TradesSuite",
    "TransactionsSuite",
    "WalletsSuite",
    "WithdrawalsSuite",
]
