"""One call is not another: what is read is what was asked for, and calls that run at one time do not mix."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import GatewayError
from gateway.exchange import Request, decode_json
from gateway.money import Money
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.evidence import call_of, raised_by, run_of
from gateway.testing.conformance.tap import Exchange, leaves, replaced, written
from gateway.testing.conformance.watching import Run, nothing

__all__ = ["ApartSuite"]

_READS_ONE = ("orders.get", "refunds.get", "withdrawals.get", "trades.get", "customers.get")
_AMOUNTS = ("amount", "price")
_MOST_MEETINGS = 3


def _reads_one(call: Call) -> bool:
    return call.operation in _READS_ONE


def _can_meet_itself(call: Call) -> bool:
    return _reads_one(call) or (call.is_write and call.has_reference)


class ApartSuite(Suite):
    """Two orders, two payouts and two calls are kept apart."""

    turn = 6

    @check(over(_reads_one, colours=[SYNC]))
    def test_what_is_read_is_what_was_asked_for(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        one, two = _known(play, call, call.prepare(play)), _known(play, call, call.prepare(_another(play, call)))
        if one.provider_id is None or one.provider_id == two.provider_id:
            fault(
                f"{call.name} shows no number by which two of them could be told apart: {one.provider_id}",
                expected="`provider_id`, the provider's own number of what was read",
                look_at="`prepare` of the Call, or how the answer is read",
            )
        seen = _read(play, call, one.made)
        for name in ("provider_id", *_AMOUNTS):
            known, shown = getattr(one.shown, name, None), getattr(seen, name, None)
            if known is not None and shown is not None and known != shown:
                fault(
                    f"{call.name} shows another one than was asked for, once there is a newer one: {name} is {shown}",
                    expected=str(known),
                    found=f"{shown}; the newer one has {getattr(two.shown, name, None)}",
                    look_at="how the number that is asked for gets into the request, and what the adapter keeps",
                )
        _is_about(bench, play, call, two.made, (two.provider_id, one.provider_id))

    @check(over(_can_meet_itself, colours=[SYNC]))
    def test_two_calls_at_one_time_do_not_mix(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        asked, carry_out = _work(play, call, differs=False)
        expected = _known(play, call, asked).provider_id if _reads_one(call) else None
        met: list[tuple[Any, Run, list[Exchange]]] = []
        inside = [False]

        def meet(operation: str, request: Request) -> None:
            if inside[0] or operation != call.operation or len(met) == _MOST_MEETINGS:
                return
            inside[0] = True
            met.append(_met(bench, play, call))
            inside[0] = False

        play.watch.forget()
        before = len(bench.tapped.exchanges)
        play.watch.strike = meet
        try:
            with contextlib.suppress(GatewayError):
                carry_out()
        finally:
            play.watch.strike = nothing
        runs = [run for run in play.watch.runs if run.operation == call.operation]
        if not met or not runs[0].done:
            why = "; ".join(str(error) for error in runs[0].failures) if runs else "nothing was sent"
            fault(
                f"{call.name} fails when another one runs at the same time",
                expected="the same result as by itself",
                found=why,
                look_at="what the adapter keeps on itself or its class between two requests: use local variables",
            )
        theirs = [exchange for _, _, seen in met for exchange in seen]
        own = [one for one in bench.tapped.exchanges[before:] if one not in theirs]
        _is_its_own(call, runs[0].result, asked, expected, met)
        for other, _, seen in met:
            _left_differently(call, own, seen, asked, other)


# Reading one


@dataclass(frozen=True)
class _Known:
    """What was made before it is read, and what the gateway shows of it."""

    made: Any
    shown: Any

    @property
    def provider_id(self) -> Any:
        return self.shown.provider_id


def _known(play: Play, call: Call, made: Any) -> _Known:
    """A sample that gives no more than a reference is read once for the rest."""
    return _Known(made, made if hasattr(made, "provider_id") else _read(play, call, made))


def _another(play: Play, call: Call) -> Play:
    """Where another one is made: a gateway has one customer for most of its samples."""
    return replace(play, _customer=None, _card=None, _kept={}) if call.operation.startswith("customers.") else play


def _read(play: Play, call: Call, made: Any) -> Any:
    """The adapter's own result, whatever the gateway makes of it."""
    play.watch.forget()
    raised = raised_by(lambda: call.make(play, made))
    run = run_of(play, call)
    if raised is not None and not run.done:
        raise raised
    return run.result


def _is_about(bench: Bench, play: Play, call: Call, made: Any, numbers: tuple[str, str]) -> None:
    """An answer about the other one is not shown as this one."""
    own, other = map(bench.subject.order_in_sandbox, numbers) if call.operation == "orders.get" else numbers
    found = [False]

    def change(body: bytes) -> bytes:
        try:
            data = decode_json(body)
        except ValueError:
            return body
        for path, value in leaves(data):
            if str(value) == own and not isinstance(value, bool):
                found[0] = True
                data = replaced(data, path, other if isinstance(value, str) else decode_json(other.encode()))
        return written(data)

    play.watch.forget()
    with bench.rewriting(change):
        raised = raised_by(lambda: call.make(play, made))
    runs = [run for run in play.watch.runs if run.operation == call.operation and run.done]
    if not found[0] or not runs:
        return
    if runs[-1].result.provider_id == numbers[0]:
        fault(
            f"{call.name} shows an answer about {numbers[1]} as {numbers[0]}",
            expected=f"Malformed, or a result whose provider_id is {numbers[1]}: the gateway refuses that",
            found=f"provider_id {numbers[0]}{'' if raised is None else f', and then {raised}'}",
            look_at="provider_id of the result: it is read from the answer, not taken from the call",
        )


# Two at one time


def _work(play: Play, call: Call, *, differs: bool) -> tuple[Any, Any]:
    """What is asked for, and how: of a write its request, with other amounts where it shall differ."""
    prepared = call.prepare(play)
    if call.request is None or call.sent is None:
        return prepared, lambda: call.make(play, prepared)
    request, sent = call.request(play, prepared, play.new()), call.sent
    if differs:
        doubled = {name: getattr(request, name) * 2 for name in call.amounts if name != "rate"}
        request = request.model_copy(update=doubled)
    return request, lambda: sent(play, request)


def _met(bench: Bench, play: Play, call: Call) -> tuple[Any, Run, list[Exchange]]:
    """Another call from beginning to end; with other amounts, unless the provider does not take those."""
    for differs in (True, False):
        asked, carry_out = _work(_another(play, call), call, differs=differs)
        before, known = len(bench.tapped.exchanges), len(play.watch.runs)
        raised = raised_by(carry_out)
        runs = [run for run in play.watch.runs[known:] if run.operation == call.operation]
        if raised is None and runs:
            break
    return asked, runs[-1] if runs else Run(call.operation), bench.tapped.exchanges[before:]


def _amounts(call: Call, asked: Any) -> Iterator[tuple[str, Money]]:
    for name in call.amounts:
        if isinstance(amount := getattr(asked, name, None), Money):
            yield name, amount


def _is_its_own(call: Call, result: Any, asked: Any, number: str | None, met: list[Any]) -> None:
    look_at = "what the adapter keeps on itself or its class between two requests: use local variables"
    for other, run, _ in met:
        same = result.provider_id is not None and result.provider_id == getattr(run.result, "provider_id", None)
        if same or (number is not None and result.provider_id != number):
            fault(
                f"two of {call.name} at one time become one: both show {run.result.provider_id}",
                expected=number or "a number of its own for each",
                look_at=look_at,
            )
        for name, amount in _amounts(call, asked):
            shown, others = getattr(result, name, None), getattr(other, name)
            if isinstance(shown, Money) and shown == others != amount:
                fault(
                    f"two of {call.name} at one time mix: the one with {name} {amount} became {shown}",
                    expected=str(amount),
                    found=f"{shown}, which the other one was asked for",
                    look_at=look_at,
                )


def _left_differently(call: Call, own: list[Exchange], theirs: list[Exchange], asked: Any, other: Any) -> None:
    if not call.is_write or dict(_amounts(call, asked)) == dict(_amounts(call, other)):
        return
    for one in own:
        for its in theirs:
            if one.body and (one.method, one.path, one.query, one.body) == (its.method, its.path, its.query, its.body):
                amounts = " and ".join(
                    ", ".join(f"{name} {amount}" for name, amount in _amounts(call, each)) for each in (asked, other)
                )
                fault(
                    f"two of {call.name} at one time mix: those with {amounts} left alike",
                    expected="each with its own amount",
                    found=str(one),
                    look_at="what the adapter keeps on itself or its class between two requests: use local variables",
                )
