"""A payout says nothing that was not asked for: a field that always has one value is one that the Subject names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.money import Money
from gateway.testing.conformance.bench import BASE_URL, Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.places import Place, asked_places, where
from gateway.testing.conformance.suites.denominated import is_the_network
from gateway.testing.conformance.suites.evidence import call_of, raised_by
from gateway.testing.conformance.tap import as_number, leaves, wire_data
from gateway.testing.conformance.units import on_wire

__all__ = ["UnaskedSuite"]

_TELLING = 6
"""From this length on a text of an earlier answer, such as a number of a customer, is no accident."""


def _pays_out(call: Call) -> bool:
    return call.operation == "withdrawals.create" and call.has_reference


class UnaskedSuite(Suite):
    """What nobody asked for does not leave."""

    turn = 6

    @check(over(_pays_out, colours=[SYNC]))
    def test_a_payout_says_nothing_that_was_not_asked_for(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        asked, another = (call.request(play, call.prepare(play), play.new()) for _ in range(2))
        first, second = _asked(play, call, asked), _asked(play, call, another)
        said = dict(bench.subject.constants.get(call.name, {}))
        constants = {place: value for place, value in first.items() if second.get(place, value) == value}
        explained = {text.lower() for text in _explained(bench, asked)}
        for place, value in constants.items():
            name = where(place).removeprefix("?.")
            if name in said and str(said[name]) == str(value):
                continue
            if (
                value is None
                or str(value) == ""
                or str(value).startswith(BASE_URL)
                or str(value).lower() in explained
                or _is_asked(bench, call, asked, value)
            ):
                continue
            wanted = repr(value) if isinstance(value, bool) else f'"{value}"'
            fault(
                f"{call.name}: {name} = {value} leaves with every payout, and nobody asked for it",
                expected="what was asked for, or in the Subject that the documentation has it so",
                found=", ".join(f"{where(other)} = {text}" for other, text in first.items())[:400],
                look_at=f'constants = {{"{call.name}": {{"{name}": {wanted}}}}} of the Subject, if the documentation '
                "asks for it: a payout that says who bears its fee, or how fast it is, costs money",
            )


def _asked(play: Play, call: Call, asked: Any) -> dict[Place, Any]:
    """What the first write of this payout asked for in its body and query."""
    play.watch.forget()
    raised_by(lambda: call.sent and call.sent(play, asked))
    runs = [run for run in play.watch.runs if run.operation == call.operation]
    request = next((one for run in runs for one in run.requests if one.write), None)
    return {} if request is None else {p: v for p, v in asked_places(request).items() if p[0] != "header"}


def _explained(bench: Bench, asked: Any) -> Iterator[str]:
    """Every text of the request and of the account's settings, what the coin is called, and what the provider said."""
    yield from (str(value) for _, value in leaves(asked.model_dump(mode="json")))
    yield from (str(value) for _, value in leaves(bench.settings))
    asset = asked.amount.asset
    yield from (*bench.subject.coins.get(asset.code, ()), asset.symbol, asset.code, asset.network or "")
    for exchange in bench.tapped.exchanges:
        yield from (str(value) for _, value in leaves(wire_data(exchange.answer)) if len(str(value)) >= _TELLING)


def _is_asked(bench: Bench, call: Call, asked: Any, value: Any) -> bool:
    """Whether it is the amount, or the network's name."""
    amount: Money = asked.amount
    number = as_number(value)
    if number is not None:
        return number in (amount.amount, on_wire(bench, amount, call.name))
    return isinstance(value, str) and is_the_network(amount.asset, value)
