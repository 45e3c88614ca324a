"""By what a provider recognises a repetition: marks of a write are made of the whole of its reference, and of nothing
else; a renewed order has new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from gateway.exchange import Request
from gateway.money import Money
from gateway.testing import faults
from gateway.testing.conformance import scanning
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.places import Place, asked_places, where
from gateway.testing.conformance.suites.evidence import call_of, raised_by
from gateway.testing.conformance.suites.table import supports
from gateway.testing.conformance.tap import as_number, leaves, wire_data
from gateway.testing.conformance.units import on_wire
from gateway.testing.conformance.watching import nothing
from gateway.testing.sandbox import SandboxError

__all__ = ["RepetitionSuite"]

_LENGTHS = (128, 64, 40, 32, 20)
"""Of references: as long as the gateway takes them, and shorter ones for adapters that refuse those."""
_ATTEMPT = 32
_TELLING = 6
"""From this length on a text of an answer, such as a number of a customer, is no accident."""
# Names under which providers take a number of the merchant's: the first always mark one write, the others may also be
# those of what a write is about, such as the order of a refund.
_MARK = re.compile(r"idempot|dedup")
_NUMBER = re.compile(
    r"clientref|clientrequest|clientorder|externalid|externalref|merchantref|merchantorder|requestid|uniqueid"
)


def _has_reference(call: Call) -> bool:
    return call.has_reference


def _makes_an_order(call: Call) -> bool:
    return call.operation == "orders.create" and call.has_reference


class RepetitionSuite(Suite):
    """What marks a write is of its reference."""

    turn = 6

    @check(over(_has_reference, colours=[SYNC]))
    def test_what_marks_a_write_is_of_its_reference(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        prepared = call.prepare(play)
        asked = call.request(play, prepared, play.new())
        for length in _LENGTHS:
            one, near, nearest, far = _references(bench, length)
            first = _sent(bench, play, call, asked, one)
            if first is not None:
                break
        else:
            return  # it sends nothing: told by the check that carries it out
        repeated = _sent(bench, play, call, asked, one)
        if repeated is not None:
            _is_repeated(call, first, repeated)
        close, other = _sent(bench, play, call, asked, near), _sent(bench, play, call, asked, far)
        if close is None or other is None:
            return
        same = {place: value for place, value in first.items() if close.get(place) == value}
        if any(other.get(place) != value for place, value in same.items()):
            # A time would be another one by now; what is made of the beginning of a reference is the same.
            third = _sent(bench, play, call, asked, nearest) or {}
            _is_not_cut(call, length, {place: same[place] for place in same if same[place] == third.get(place)}, other)
        always = {place: same[place] for place in same if same[place] == other.get(place)}
        _is_no_constant(call, always, _known(bench, call, asked) if prepared is None else None)

    @check(over(_makes_an_order, colours=[SYNC]))
    def test_an_order_that_expired_is_made_anew(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        assert call.sent is not None
        if "expire" not in bench.subject.ends or not supports(bench.subject, "orders.get"):
            return
        play.watch.forget()
        made = call.sent(play, call.request(play, call.prepare(play), play.new()))
        first = _writes(play, call)
        if made.provider_id is None:
            return
        try:
            bench.server.expire(bench.name, bench.subject.order_in_sandbox(made.provider_id))
        except SandboxError:
            return  # there is no such order yet: the payer has not chosen a coin
        if str(play.gw.orders.get(made.reference).status) != "expired":
            return  # told by the check of how orders end
        play.watch.forget()
        raised = raised_by(lambda: play.gw.orders.renew(made.reference))
        again = _writes(play, call)
        mended = "marks are made of NewOrder.attempt, which every attempt has of its own: the reference stays the same"
        if raised is not None:
            fault(
                f"{call.name}: an order that expired is not made anew: {type(raised).__name__}: {raised}",
                expected="a new order at the provider for the same purchase",
                look_at=mended,
            )
        for place, value in asked_places(first[0]).items() if first and again else ():
            if _is(_MARK, place) and asked_places(again[0]).get(place) == value:
                fault(
                    f"{call.name}: {_the(place)} of an order that is made anew is that of the one which expired",
                    expected="one of its own: the provider would give the expired order back otherwise",
                    found=str(value),
                    look_at=mended,
                )


def _is_repeated(call: Call, first: dict[Place, Any], repeated: dict[Place, Any]) -> None:
    for place in sorted({*first, *repeated}, key=where):
        if first.get(place) == repeated.get(place):
            continue
        if (
            (place[0] == "header" and call.operation == "withdrawals.create")
            or _is(_MARK, place)
            or _is(_NUMBER, place)
        ):
            fault(
                f"{call.name}: {_the(place)} differs when one write is sent again under its reference",
                expected=f"{first.get(place)}, made of the reference: the provider recognises the repetition",
                found=str(repeated.get(place)),
                look_at="what in the adapter's request is random, or made of the time",
            )


def _is_not_cut(call: Call, length: int, same: dict[Place, Any], other: dict[Place, Any]) -> None:
    for place, value in same.items():
        if other.get(place) != value:
            fault(
                f"{call.name}: {_the(place)} is the same for references that differ in their last character alone",
                expected="all of the reference, or a digest of all of it: the second write is never made otherwise",
                found=f"{value}, of references with {length} characters",
                look_at="where the adapter cuts the reference off; one that is too long is refused (InvalidRequest), "
                "or hashed",
            )


def _is_no_constant(call: Call, same: dict[Place, Any], known: set[str] | None) -> None:
    """`known` is what other things are called; None where the write is about something that has a number itself."""
    for place, value in same.items():
        numbers_it = known is not None and _is(_NUMBER, place) and str(value) not in known
        if value not in (None, "") and (_is(_MARK, place) or numbers_it):
            fault(
                f"{call.name}: two writes that differ in their reference alone have the same {_name(place)}",
                expected="one of its own for every reference: the second write is never made otherwise",
                found=str(value),
                look_at="what the adapter makes it of",
            )


def _known(bench: Bench, call: Call, asked: Any) -> set[str]:
    """The texts of a request but its amounts, of the account's settings, and of what the provider has said."""
    data = {name: value for name, value in asked if not isinstance(value, Money)}
    texts = {str(value) for _, value in leaves(asked.model_dump(mode="json", include=set(data)))}
    texts |= {text for _, text in scanning.texts_of(bench.settings)}
    for exchange in bench.tapped.exchanges:
        texts |= {text for _, value in leaves(wire_data(exchange.answer)) if len(text := str(value)) >= _TELLING}
    amounts = [value for _, value in asked if isinstance(value, Money)]
    numbers = {number for money in amounts for number in (money.amount, on_wire(bench, money, call.name))}
    return {text for text in texts if as_number(text) not in numbers}


def _the(place: Place) -> str:
    return f"the {'header' if place[0] == 'header' else 'field'} {_name(place)}"


def _name(place: Place) -> str:
    return where(place).removeprefix("header.").removeprefix("?.")


def _is(names: re.Pattern[str], place: Place) -> bool:
    return bool(names.search(re.sub(r"[^a-z]", "", where(place).lower())))


def _references(bench: Bench, length: int) -> tuple[str, str, str, str]:
    """Three references that differ in their last character alone, and one that is another throughout."""
    number = next(bench.numbers)
    stem, far = (hashlib.sha512(f"{which} {number}".encode()).hexdigest()[:length] for which in ("near", "far"))
    return f"{stem[:-1]}a", f"{stem[:-1]}b", f"{stem[:-1]}c", far


def _sent(bench: Bench, play: Play, call: Call, asked: Any, reference: str) -> dict[Place, Any] | None:
    """What the adapter asked for while the provider was not available, place by place; None when nothing left."""
    play.watch.forget()
    bench.strike(play, call.operation, faults.Status(status=503, times=20), lambda request: request.write)
    with _attempt(play, reference):
        raised_by(lambda: call.sent and call.sent(play, asked.model_copy(update={"reference": reference})))
    play.watch.strike = nothing
    bench.server.faults(bench.name).clear()
    request = next(iter(_writes(play, call)), None)
    return None if request is None else asked_places(request)


@contextlib.contextmanager
def _attempt(play: Play, reference: str) -> Iterator[None]:
    """An order's attempt has a number of the gateway's own, which takes the place of the reference here."""
    adapter: Any = play.watch.made
    create: Callable[..., Any] | None = getattr(adapter, "create_order", None)
    if create is None:
        yield
        return
    attempt = reference[: _ATTEMPT - 1] + reference[-1]
    adapter.create_order = lambda order: create(replace(order, attempt=attempt))
    try:
        yield
    finally:
        adapter.create_order = create


def _writes(play: Play, call: Call) -> list[Request]:
    runs = [run for run in play.watch.runs if run.operation == call.operation]
    return [one for run in runs for one in run.requests if one.write]
