"""The capability table is complete and true."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from gateway.capabilities import OPERATIONS, Grade, Support
from gateway.contracts import NewOrder, NewTrade, NewWithdrawal
from gateway.contracts.adapter import Provider
from gateway.errors import GatewayError
from gateway.exchange import Request
from gateway.models import (
    CardTopUp,
    CryptoAddress,
    LightningInvoice,
    OrderRequest,
    TradeKind,
    TradeRequest,
    WithdrawalRequest,
)
from gateway.money import Money
from gateway.testing.conformance.bench import Bench, adapter_of, supported, table_of
from gateway.testing.conformance.calls import fresh_invoice
from gateway.testing.conformance.cases import Case, Suite, area_of, check
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.subject import Subject
from gateway.testing.conformance.suites.evidence import WITH_STATUS

__all__ = ["CapabilitiesSuite", "supports"]

_AREA = "capabilities"
_SAMPLED = {"orders.create": "orders", "withdrawals.create": "withdrawals", "trades.create": "trades"}
_RATE = "100"
_TRON = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"


def supports(subject: Subject, operation: str) -> bool:
    return bool(table_of(subject).variants(operation))


def _once(suite: Suite) -> Iterator[Case]:
    yield Case(area=_AREA, colour="")


def _every_supported(suite: Suite) -> Iterator[Case]:
    for row in supported(suite.examined()):
        yield Case(area=area_of(row.operation), operation=row.operation, variant=row.variant, colour="")


def _undeclared(suite: Suite) -> Iterator[Case]:
    table = table_of(suite.examined())
    for operation in _SAMPLED:
        if table.variants(operation):
            for variant in sorted(set(OPERATIONS[operation].variants) - set(table.variants(operation))):
                yield Case(area=area_of(operation), operation=operation, variant=variant, colour="")


class CapabilitiesSuite(Suite):
    """Every operation and variant is declared with grade, source and reason; what is declared is there, and only
    that.
    """

    turn = 0

    @check(_once)
    def test_every_row_says_on_what_evidence(self, bench: Bench, case: Case) -> None:
        provider: Provider = bench.subject.provider
        declared = {(row.operation, row.variant): row for row in provider.capabilities.rows}
        wrong = []
        for operation in OPERATIONS.values():
            for variant in operation.variants:
                name = f"{operation.name}:{variant}" if variant else operation.name
                row = declared.get((operation.name, variant))
                if row is None:
                    wrong.append(f"{name} is not declared at all: state it as supported, manual or absent")
                elif not row.source.strip():
                    wrong.append(f"{name} names no source")
                elif (row.support is Support.ABSENT) is not (row.grade is Grade.ABSENT):
                    wrong.append(
                        f"{name} is {row.support} with grade {row.grade}: X is for what is absent, and only that"
                    )
                elif row.support is not Support.SUPPORTED and not row.reason.strip():
                    wrong.append(f"{name} is {row.support} and gives no reason")
                elif row.support is Support.MANUAL and not row.instead.strip():
                    wrong.append(f"{name} is manual and does not say what a person does (`instead`)")
        if wrong:
            fault(
                "the capability table is not complete:\n    " + "\n    ".join(wrong),
                look_at="the adapter's Capabilities",
            )

    @check(_once)
    def test_what_is_declared_is_implemented(self, bench: Bench, case: Case) -> None:
        adapter = adapter_of(bench.subject, _settings(bench))
        for row in supported(bench.subject):
            method = OPERATIONS[row.operation].method
            if not callable(getattr(adapter, method, None)):
                fault(
                    f"the table lies: {row.operation} is declared as supported, and the adapter has no {method}()",
                    expected=f"{method}(), or the row declared as manual or absent",
                    look_at="the adapter's Capabilities",
                )

    @check(_once)
    def test_what_is_implemented_is_declared(self, bench: Bench, case: Case) -> None:
        kind = type(adapter_of(bench.subject, _settings(bench)))
        everywhere = {
            row.operation for row in bench.subject.provider.capabilities.rows if row.support is Support.SUPPORTED
        }
        everywhere |= {row.operation for row in supported(bench.subject)}
        for operation in OPERATIONS.values():
            if callable(inspect.getattr_static(kind, operation.method, None)) and operation.name not in everywhere:
                fault(
                    f"the adapter has {operation.method}(), and {operation.name} is not declared as supported",
                    expected="a row with its grade and source, or no such method",
                    look_at="the adapter's Capabilities",
                )

    @check(_every_supported)
    def test_what_is_declared_has_a_sample(self, bench: Bench, case: Case) -> None:
        row = (case.operation, case.variant)
        name = f"{case.operation}:{case.variant}" if case.variant else case.operation
        if case.operation == "callbacks.receive":
            return  # CallbacksSuite has its own
        if row not in {(call.operation, call.variant) for call in bench.subject.calls()}:
            sample = _SAMPLED.get(case.operation)
            where = f"`{sample}[{case.variant!r}]`" if sample else "a Call"
            fault(
                f"{name} is declared as supported, and nothing exercises it",
                expected=f"a sample of it in the Subject: {where}",
                look_at="the Subject: orders, withdrawals, trades, customer, card, or `calls()`",
            )
        if case.operation in WITH_STATUS and not [w for w in bench.subject.words if w.operation == case.operation]:
            fault(
                f"{name} reads a status, and nothing says what the provider's words mean",
                expected=f"StatusWords({case.operation!r}, …) in `words` of the Subject",
            )

    @check(_once)
    def test_nothing_is_sampled_that_is_not_declared(self, bench: Bench, case: Case) -> None:
        table = table_of(bench.subject)
        for operation, name in _SAMPLED.items():
            for variant in getattr(bench.subject, name):
                if variant not in table.variants(operation):
                    fault(
                        f"{operation}:{variant} has a sample and is not declared as supported",
                        expected="a row with its grade and source, or no sample",
                        look_at=f"`{name}` of the Subject, and the adapter's Capabilities",
                    )

    @check(_undeclared)
    def test_a_variant_that_is_not_declared_is_refused(self, bench: Bench, case: Case) -> None:
        adapter = adapter_of(bench.subject, _settings(bench))
        name = f"{case.operation}:{case.variant}"
        method = OPERATIONS[case.operation].method
        try:
            request = next(getattr(adapter, method)(_generic(bench, case.operation, case.variant)))
        except (GatewayError, StopIteration):
            return
        if isinstance(request, Request):
            fault(
                f"{name} is not declared as supported, and {method}() makes a request of it: {request}",
                expected="a refusal (InvalidRequest, UnsupportedOperation) before the first request, or a row for it",
                look_at=f"{method} of the adapter",
            )


def _settings(bench: Bench) -> dict[str, Any]:
    bench.start()
    return bench.settings


def _generic(bench: Bench, operation: str, variant: str) -> Any:
    """A request of this variant that any provider would understand."""
    bench.start()
    now = bench.clock.now()
    if operation == "orders.create":
        coin = {"payer-choice": None, "coin": "USDT@tron", "coin-without-network": "USDT", "lightning": "BTC@lightning"}
        order = OrderRequest(reference="undeclared", price=Money("25.00", "USD"), pay_with=coin[variant])
        return NewOrder(request=order, attempt="undeclared", requested_at=now, customer="1")
    if operation == "trades.create":
        kind = TradeKind(variant)
        rate = _RATE if kind in (TradeKind.LIMIT, TradeKind.STOP_LIMIT, TradeKind.HIDDEN_LIMIT) else None
        trade = TradeRequest(
            reference="undeclared", market=bench.subject.market, side="buy", kind=kind, volume="1", rate=rate
        )
        return NewTrade(request=trade)
    amount = Money("0.001", "BTC@lightning") if variant == "lightning" else Money("25", "USDT@tron")
    to: LightningInvoice | CryptoAddress | CardTopUp = CryptoAddress(_TRON)
    if variant == "lightning":
        to = LightningInvoice(fresh_invoice(bench.play(), amount))
    elif variant == "card":
        amount, to = Money("25", "USD"), CardTopUp("1", "1")
    asked = WithdrawalRequest(reference="undeclared", amount=amount, to=to)
    return NewWithdrawal(request=asked, requested_at=now, customer="1")
