"""What was seen of a call: by the adapter's watch, and at the sandbox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.errors import (
    GatewayError,
)
from gateway.exchange import Request
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case
from gateway.testing.conformance.faults import fault

__all__ = ["LISTS", "WITH_STATUS", "arrivals", "call_of", "is_the_call", "raised_by", "run_of", "said"]

LISTS = frozenset(
    "orders.list transactions.list currencies.list wallets.list withdrawals.list cards.list cards.transactions "
    "markets.list markets.trades trades.open trades.history".split()
)
WITH_STATUS = ("orders.get", "refunds.get", "withdrawals.get", "trades.get", "cards.list")


def call_of(case: Case) -> Call:
    assert case.call is not None
    return case.call


def run_of(play: Play, call: Call) -> Any:
    found = [run for run in play.watch.runs if run.operation == call.operation]
    if not found:
        fault(f"{call.name} was not carried out by the adapter", look_at="the sample of this row")
    return found[-1]


def raised_by(work: Any) -> BaseException | None:
    try:
        work()
    except GatewayError as error:
        return error
    return None


def arrivals(bench: Bench, request: Request, before: int) -> int:
    wanted = (request.method, bench.path_of(request))
    return sum((record.method, record.path) == wanted for record in bench.received()[before:])


def said(records: Iterable[Any]) -> str:
    return ", ".join(f"{record.method} {record.path}" for record in records) or "nothing"


def is_the_call(call: Call, request: Request) -> bool:
    """Whether this request is what a fault is about: the write of a write, the first request of a read."""
    if not call.is_write or call.operation.startswith("keys."):
        return True
    return request.write or request.method not in ("GET", "HEAD")
