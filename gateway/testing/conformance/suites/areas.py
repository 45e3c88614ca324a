"""One suite for each area of the table. Subclass those that the adapter declares, or `Conformance` for all of them."""

from __future__ import annotations

from typing import Any

from gateway.errors import GatewayError
from gateway.models import OrderException, OrderStatus, ProviderOrder
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check
from gateway.testing.conformance.colours import COLOURS, SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.authentication import AuthenticationSuite
from gateway.testing.conformance.suites.callbacks import CallbacksSuite
from gateway.testing.conformance.suites.evidence import run_of
from gateway.testing.conformance.suites.exercised import ExercisedSuite
from gateway.testing.conformance.suites.operations import OperationsSuite
from gateway.testing.conformance.suites.rates import RateLimitSuite
from gateway.testing.conformance.suites.redaction import RedactionSuite
from gateway.testing.conformance.suites.settings import SettingsSuite
from gateway.testing.conformance.suites.table import CapabilitiesSuite, supports

__all__ = [
    "CardsSuite",
    "Conformance",
    "CustomersSuite",
    "FlavourConformance",
    "KeysSuite",
    "MarketsSuite",
    "OrdersSuite",
    "RefundsSuite",
    "TradesSuite",
    "TransactionsSuite",
    "WalletsSuite",
    "WithdrawalsSuite",
]


_UNUSUAL = {"under": OrderException.PARTIAL, "over": OrderException.OVER}


def _ends(suite: Suite) -> Any:
    subject = suite.examined()
    if supports(subject, "orders.create") and supports(subject, "orders.get"):
        for how, status in subject.ends.items():
            for colour in COLOURS:
                yield Case(
                    area="orders", operation="orders.get", colour=colour, what=(how, status), label=f"{how}-is-{status}"
                )


class OrdersSuite(OperationsSuite):
    """Taking payments."""

    turn = 5
    areas = frozenset({"orders"})

    @check(_ends)
    def test_an_order_follows_what_the_payer_does(self, bench: Bench, case: Case) -> None:
        play = bench.play(case.colour)
        how, wanted = case.what
        calls = {(call.operation, call.variant): call for call in bench.subject.calls()}
        made = calls["orders.get", ""].prepare(play)
        number = bench.subject.order_in_sandbox(made.provider_id)
        if how == "late":
            bench.server.expire(bench.name, number)
            play.gw.orders.get(made.reference)
        if how in ("expire", "fail"):
            getattr(bench.server, how)(bench.name, number)
        else:
            play.pay(made.provider_id, how)
        try:
            seen = play.gw.orders.get(made.reference)
        except GatewayError as error:
            fault(f"an order could not be read after {how} in the sandbox", expected=wanted, found=str(error))
        if str(seen.status) != wanted:
            fault(
                f"after {how} in the sandbox the order is {seen.status}",
                expected=wanted,
                found=f"{seen.status}; {'; '.join(seen.warnings)}",
                look_at="the adapter's table of status words, and its get_order",
            )
        if case.colour == SYNC and how in _UNUSUAL and wanted == OrderStatus.PAID and "exact" in bench.subject.ends:
            _is_called_unusual(play, how, calls["orders.get", ""])


def _is_called_unusual(play: Play, how: str, call: Call) -> None:
    """Where the provider has a word of its own for it, the adapter says so too, and not only that it is paid."""
    shown: ProviderOrder = run_of(play, call).result
    if _UNUSUAL[how] in shown.exceptions:
        return
    usual = call.prepare(play)
    play.pay(usual.provider_id)
    word = play.gw.orders.fetch(account=play.account, provider_id=usual.provider_id).provider_status
    if shown.provider_status != word:
        fault(
            f"after {how} in the sandbox the provider says {shown.provider_status!r}, and {word!r} when an order is "
            "paid exactly; the adapter shows both alike",
            expected=f"OrderException.{_UNUSUAL[how].name} in `exceptions`",
            found=", ".join(sorted(shown.exceptions)) or "no exception",
            look_at="the adapter's table of status words",
        )


class RefundsSuite(OperationsSuite):
    """Money going back."""

    areas = frozenset({"refunds"})


class WalletsSuite(OperationsSuite):
    """Balances."""

    areas = frozenset({"wallets"})


class WithdrawalsSuite(OperationsSuite):
    """Money that leaves."""

    areas = frozenset({"withdrawals"})


class KeysSuite(OperationsSuite):
    """Checking and issuing keys."""

    areas = frozenset({"keys"})


class CardsSuite(OperationsSuite):
    """Cards of customers."""

    areas = frozenset({"cards"})


class CustomersSuite(OperationsSuite):
    """Customers at the provider."""

    areas = frozenset({"customers"})


class MarketsSuite(OperationsSuite):
    """Public market data."""

    areas = frozenset({"markets"})


class TradesSuite(OperationsSuite):
    """Exchange orders."""

    areas = frozenset({"trades", "swaps"})


class TransactionsSuite(OperationsSuite):
    """Money movements, and what a provider deals in."""

    areas = frozenset({"transactions", "currencies"})


_EVERYTHING = frozenset(
    "orders refunds wallets withdrawals keys cards customers markets trades swaps transactions currencies".split()
)


class Conformance(
    CapabilitiesSuite,
    SettingsSuite,
    AuthenticationSuite,
    RedactionSuite,
    RateLimitSuite,
    CallbacksSuite,
    OrdersSuite,
    RefundsSuite,
    WalletsSuite,
    WithdrawalsSuite,
    KeysSuite,
    CardsSuite,
    CustomersSuite,
    MarketsSuite,
    TradesSuite,
    TransactionsSuite,
):
    """All suites in one: what the adapter does not declare has no cases."""

    areas = _EVERYTHING


class FlavourConformance(
    CapabilitiesSuite,
    SettingsSuite,
    AuthenticationSuite,
    RedactionSuite,
    RateLimitSuite,
    CallbacksSuite,
    ExercisedSuite,
):
    """What differs between the flavours of an adapter's accounts: keys, settings, and the table that follows from
    them. For further subjects of an adapter, one of whose subjects is examined by `Conformance`.
    """

    areas = _EVERYTHING
