"""Every operation is carried out, and gives what the contract says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from gateway.capabilities import OPERATIONS
from gateway.exchange import Request
from gateway.models import (
    Card,
    CardTransaction,
    Currency,
    IssuedKey,
    Market,
    OneTimeCode,
    OrderBook,
    Page,
    ProviderCustomer,
    ProviderOrder,
    ProviderRefund,
    ProviderWithdrawal,
    PublicTrade,
    Ticker,
    Trade,
    Transaction,
    Wallet,
)
from gateway.testing.conformance import scanning
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.evidence import LISTS, call_of, raised_by, run_of, said
from gateway.testing.conformance.suites.ledger import changes_what_it_should

__all__ = ["LONG_AGO", "ExercisedSuite"]

# What an adapter's method returns. A list is a Page of these.
RESULTS: Mapping[str, type | None] = {
    "orders.create": ProviderOrder,
    "orders.get": ProviderOrder,
    "orders.list": ProviderOrder,
    "orders.cancel": ProviderOrder,
    "refunds.create": ProviderRefund,
    "refunds.get": ProviderRefund,
    "transactions.list": Transaction,
    "currencies.list": Currency,
    "wallets.list": Wallet,
    "withdrawals.create": ProviderWithdrawal,
    "withdrawals.get": ProviderWithdrawal,
    "withdrawals.list": ProviderWithdrawal,
    "customers.create": ProviderCustomer,
    "customers.get": ProviderCustomer,
    "cards.create": Card,
    "cards.list": Card,
    "cards.get": Card,
    "cards.transactions": CardTransaction,
    "cards.one-time-code": OneTimeCode,
    "cards.freeze": Card,
    "markets.list": Market,
    "markets.ticker": Ticker,
    "markets.book": OrderBook,
    "markets.trades": PublicTrade,
    "trades.create": Trade,
    "trades.cancel": Trade,
    "trades.get": Trade,
    "trades.open": Trade,
    "trades.history": Trade,
    "keys.issue": IssuedKey,
    "keys.verify": None,
}
LONG_AGO = timedelta(minutes=10)


class ExercisedSuite(Suite):
    """Every operation of the suite's areas is carried out once in each colour, and gives what it should."""

    turn = 3

    # It works

    @check(over())
    def test_it_works_and_gives_what_it_should(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(case.colour), call_of(case)
        prepared = call.prepare(play)
        play.watch.forget()
        books = bench.tapped.ledger()
        before, orders = len(bench.received()), _orders_of(bench)
        try:
            raised = raised_by(lambda: call.make(play, prepared))
        except (AttributeError, TypeError):
            if (run := run_of(play, call)).done:
                _is_a_result(call, run.result)  # the gateway could do nothing with what it got
            raise
        for run in play.watch.runs:
            if run.operation == call.operation and run.requests:
                _marks_writes(call, run.requests)
        if raised is not None:
            fault(
                f"{call.name} failed although nothing went wrong: {type(raised).__name__}: {raised}",
                expected="a result",
                found=f"sent {said(bench.received()[before:])}",
                look_at="the adapter, and the sample of this row in the Subject",
            )
        _was_exercised(play, call)
        if len(bench.received()) == before:
            fault(
                f"{call.name} sent nothing to the provider",
                expected="at least one request",
                look_at="the sample of this row: what it asks for may be known already",
            )
        _writes_once(play, call)
        if not call.is_write and (made := _orders_of(bench) - orders):
            fault(
                f"{call.name} only reads, and there is a new order at the provider: {', '.join(sorted(made))}",
                expected="a read changes nothing",
                found=f"sent {said(bench.received()[before:])}",
                look_at=f"{OPERATIONS[call.operation].method} of the adapter",
            )
        run = run_of(play, call)
        _is_a_result(call, run.result)
        for place in scanning.floats(run.result):
            fault(
                f"{call.name} returned a float: {place}",
                expected="Decimal or Money; a float cannot hold an amount exactly",
                look_at="how the answer is decoded: Response.json() gives exact numbers, json.loads() gives floats",
            )
        changes_what_it_should(bench, call, books)
        if call.is_write:
            _was_made_now(bench, call, run.result)


def _was_exercised(play: Play, call: Call) -> None:
    done = play.watch.done()
    if (call.operation, call.variant) not in done:
        others = ", ".join(sorted(f"{name}:{variant}" if variant else name for name, variant in done)) or "nothing"
        fault(
            f"{call.name} is declared, and its sample does not carry it out",
            expected=call.name,
            found=others,
            look_at="the sample of this row in the Subject",
        )


def _is_a_result(call: Call, result: Any) -> None:
    wanted = RESULTS.get(call.operation)
    method = OPERATIONS[call.operation].method
    if call.operation not in RESULTS:
        return
    if call.operation in LISTS:
        if not isinstance(result, Page):
            fault(f"{method}() returned {type(result).__name__}", expected="gateway.models.Page", look_at=call.name)
        items: Iterable[Any] = result.items
    else:
        items = [result]
    for item in items:
        if not isinstance(item, wanted or type(None)):
            name = wanted.__name__ if wanted else "None"
            fault(f"{method}() returned {type(item).__name__}", expected=f"gateway.models.{name}", look_at=call.name)


def _marks_writes(call: Call, requests: list[Request]) -> None:
    marked = [request for request in requests if request.write]
    if call.is_write and not marked and not call.operation.startswith("keys."):
        fault(
            f"{call.name} changes something at the provider, and no request of it says write=True: "
            f"{', '.join(map(str, requests))}",
            expected="Request(…, write=True); the engine repeats everything else as a read, so it may be done twice",
            look_at=f"{OPERATIONS[call.operation].method} of the adapter",
        )
    if not call.is_write and marked:
        fault(
            f"{call.name} only reads, and a request of it says write=True: {marked[0]}",
            expected="a read, which the engine may repeat",
        )


def _orders_of(bench: Bench) -> set[str]:
    return {order.id for order in bench.tapped.orders()}


def _writes_once(play: Play, call: Call) -> None:
    asked = [one for run in play.watch.runs for one in run.requests]
    sent = [(one.method, one.path) for one in asked]
    for method, path in dict.fromkeys((one.method, one.path) for one in asked if one.write):
        if (times := sent.count((method, path))) > 1:
            fault(
                f"{call.name} sent one write {times} times: {method} {path}",
                expected="once: one reference is one order, one payout, one refund",
                look_at=f"{OPERATIONS[call.operation].method} of the adapter",
            )


def _was_made_now(bench: Bench, call: Call, result: Any) -> None:
    made = getattr(result, "created_at", None)
    if made is not None and (away := abs(made - bench.clock.now())) > LONG_AGO:
        fault(
            f"{call.name}: created_at is {timedelta(seconds=round(away.total_seconds()))} away from the moment at "
            "which it was made",
            expected=bench.clock.now().isoformat(timespec="seconds"),
            found=made.isoformat(timespec="seconds"),
            look_at="the zone of the provider's times: where it names none, a local time was taken for UTC",
        )
