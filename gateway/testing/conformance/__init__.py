"""The kit that an adapter must pass, shipped so that every provider's package can examine itself with it.

    from gateway.testing.conformance import Conformance, StatusWords, Subject

    class Acme(Subject):
        provider = PROVIDER
        orders = {"coin": {"price": "25.00 USD", "pay_with": "USDT@tron"}}
        words = (StatusWords("orders.get", "data.status", {"open": "pending", "done": "paid"}),)

    class TestAcme(Conformance):
        subject = Acme

docs/conformance.md says what is examined and how. `examine(Acme)` does the same without pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.testing.conformance.bench import Bench, Play
    from gateway.testing.conformance.calls import Call
    from gateway.testing.conformance.cases import Case, Suite
    from gateway.testing.conformance.clock import KitClock
    from gateway.testing.conformance.faults import Nonconforming
    from gateway.testing.conformance.recorded import RecordedSandbox
    from gateway.testing.conformance.report import Report
    from gateway.testing.conformance.runner import examine
    from gateway.testing.conformance.subject import (
        CallbackSample,
        DocumentedFailure,
        SignatureVector,
        StatusWords,
        Subject,
    )
    from gateway.testing.conformance.suites import (
        AuthenticationSuite,
        CallbacksSuite,
        CapabilitiesSuite,
        CardsSuite,
        Conformance,
        CustomersSuite,
        FlavourConformance,
        KeysSuite,
        MarketsSuite,
        OrdersSuite,
        RateLimitSuite,
        RedactionSuite,
        RefundsSuite,
        SettingsSuite,
        TradesSuite,
        TransactionsSuite,
        WalletsSuite,
        WithdrawalsSuite,
    )

__all__ = [
    "AuthenticationSuite",
    "Bench",
    "Call",
    "CallbackSample",
    "CallbacksSuite",
    "CapabilitiesSuite",
    "CardsSuite",
    "Case",
    "Conformance",
    "CustomersSuite",
    "DocumentedFailure",
    "FlavourConformance",
    "KeysSuite",
    "KitClock",
    "MarketsSuite",
    "Nonconforming",
    "OrdersSuite",
    "Play",
    "RateLimitSuite",
    "RecordedSandbox",
    "RedactionSuite",
    "RefundsSuite",
    "Report",
    "SettingsSuite",
    "SignatureVector",
    "StatusWords",
    "Subject",
    "Suite",
    "TradesSuite",
    "TransactionsSuite",
    "WalletsSuite",
    "WithdrawalsSuite",
    "examine",
]

_HOMES = {
    "Bench": "bench",
    "Play": "bench",
    "Call": "calls",
    "Case": "cases",
    "Suite": "cases",
    "KitClock": "clock",
    "Nonconforming": "faults",
    "RecordedSandbox": "recorded",
    "Report": "report",
    "examine": "runner",
    "CallbackSample": "subject",
    "DocumentedFailure": "subject",
    "SignatureVector": "subject",
    "StatusWords": "subject",
    "Subject": "subject",
}


def __getattr__(name: str) -> Any:
    """Imported when it is used: reading a report needs nothing of what made it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'suites')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
