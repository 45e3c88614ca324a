"""Money is exact: no digit is lost on the way in or out, and none is moved to another place."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import BaseModel

from gateway.assets import Asset
from gateway.exchange import decode_json
from gateway.money import Money, plain
from gateway.testing.conformance import scanning
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.places import Place, sent_places, where
from gateway.testing.conformance.suites.evidence import call_of, raised_by, run_of
from gateway.testing.conformance.tap import Exchange, as_number, leaves, replaced, written
from gateway.testing.conformance.units import on_wire, places_of
from gateway.testing.conformance.watching import nothing

__all__ = ["ExactMoneySuite"]

# Whole numbers that a float does not hold: one as large as 18-decimal coins in their smallest unit, and one that fits
# into 64 bits, for providers whose numbers have no more.
_WHOLE = (Decimal(1234567890123456789012345), Decimal(9007199254740993))
_FRACTION = Decimal("0.123456789012345678")
_FARTHEST = 30


def _has_amounts(call: Call) -> bool:
    return bool(call.amounts)


class ExactMoneySuite(Suite):
    """Amounts keep every digit, in and out."""

    turn = 6

    @check(over(colours=[SYNC]))
    def test_amounts_that_come_in_keep_every_digit(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        seen, result = _once(bench, play, call)
        for source in _candidates(bench, seen, result):
            small = _small(source, result)
            shown = _played(bench, play, call, source, small)
            if shown is None or not _is_shown(bench, call, source, small, shown):
                continue  # this number is not where the result's comes from
            for number in _WHOLE:
                found = _played(bench, play, call, source, number)
                if found is not None:
                    if not _is_shown(bench, call, source, number, found):
                        _loses_digits(call, source, number, found)
                    break
            if not any(one.number == small for one in shown):
                continue  # it is a whole number of smallest units
            exactly = small + _FRACTION
            found = _played(bench, play, call, source, exactly)
            if found is not None and exactly not in {one.number for one in found}:
                _loses_digits(call, source, exactly, found)

    @check(over(_has_amounts, colours=[SYNC]))
    def test_amounts_that_go_out_keep_every_digit(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        assert call.sent is not None
        prepared = call.prepare(play)
        asked = call.request(play, prepared, play.new())
        sent = _writes_of(bench, play, call, asked)
        for name in call.amounts:
            if sent is None or name in bench.subject.unsent.get(call.name, ()):
                continue  # told by the check that carries it out; the provider takes no such amount
            amount = getattr(asked, name)
            places = _places_with(bench, call, sent, amount)
            if not places:
                _is_nowhere(bench, call, name, amount, sent)
            for tricky in _tricky(bench, call, amount):
                again = call.request(play, call.prepare(play), play.new()).model_copy(update={name: tricky})
                _arrives_exactly(bench, play, call, again, name, tricky, {place: sent[place] for place in places})


# What comes in


class _Number(NamedTuple):
    """A number of a result."""

    place: str
    number: Decimal
    asset: Asset | None


class _Source(NamedTuple):
    """A number of an answer that may be where one of the result's comes from."""

    at: int
    path: Place
    value: Any


def _numbers(value: Any, place: str = "result") -> Iterator[_Number]:
    if isinstance(value, Decimal):
        yield _Number(place, value, None)
    elif isinstance(value, Money):
        yield _Number(place, value.amount, value.asset)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _numbers(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{place}[{index}]")


def _once(bench: Bench, play: Play, call: Call) -> tuple[list[Exchange], Any]:
    prepared = play.prepared(call)
    play.watch.forget()
    before = len(bench.tapped.exchanges)
    call.make(play, prepared)
    return bench.tapped.exchanges[before:], run_of(play, call).result


def _candidates(bench: Bench, seen: list[Exchange], result: Any) -> Iterator[_Source]:
    """Places of the answers whose digits stand in the result, one for each field; where the provider counts in smallest
    units, one for each field and asset.
    """
    known: dict[str, list[_Number]] = {}
    for one in _numbers(result):
        if one.number != 0:
            known.setdefault(_digits(one.number), []).append(one)
    fields: set[tuple[int, Place, str]] = set()
    for at, exchange in enumerate(seen):
        try:
            answer = decode_json(exchange.answer)
        except ValueError:
            continue
        for path, value in leaves(answer):
            number = as_number(value)
            shown = known.get(_digits(number), ()) if number else ()
            if not shown or number is None:
                continue
            moved = [one.asset for one in shown if one.number != number]
            if len(moved) == len(shown) and not any(moved):
                continue  # only amounts stand in another place than in the answer
            units = next((one.code for one in moved if one is not None), "") if len(moved) == len(shown) else ""
            field = (at, tuple("*" if isinstance(part, int) else part for part in path), units)
            if field not in fields:
                fields.add(field)
                yield _Source(at, path, value)


def _digits(number: Decimal) -> str:
    """The digits of a number without the zeros around them, which are the same in every unit."""
    return "".join(map(str, number.as_tuple().digits)).strip("0")


def _small(source: _Source, result: Any) -> Decimal:
    """A number near the answer's whose digits the result has nowhere: a large one could be that of the pages."""
    known = {_digits(one.number) for one in _numbers(result)}
    number = Decimal(int(as_number(source.value) or 0) + 2)
    while len(_digits(number)) < 2 or _digits(number) in known:
        number += 1
    return number


def _played(bench: Bench, play: Play, call: Call, source: _Source, number: Decimal) -> list[_Number] | None:
    """The numbers of the result when the answer has another one there; None when that is refused."""
    written_as: Any = plain(number) if isinstance(source.value, str) else number
    prepared = play.prepared(call)
    play.watch.forget()
    count = [0]

    def change(body: bytes) -> bytes:
        count[0] += 1
        if count[0] - 1 != source.at:
            return body
        try:
            return written(replaced(decode_json(body), source.path, written_as))
        except ValueError:
            return body

    with bench.rewriting(change):
        raised = raised_by(lambda: call.make(play, prepared))
    if raised is not None:
        return None
    return list(_numbers(run_of(play, call).result))


def _is_shown(bench: Bench, call: Call, source: _Source, number: Decimal, found: list[_Number]) -> bool:
    """Whether the result shows this number of the answer; a fault where it does in another unit than is said."""
    shown = [one for one in found if _digits(one.number) == _digits(number)]
    if not any(one.number == number and one.asset is None for one in shown):
        _is_scaled_as_said(bench, call, source, number, shown)
    return bool(shown)


def _is_scaled_as_said(bench: Bench, call: Call, source: _Source, number: Decimal, shown: list[_Number]) -> None:
    money = [(one, one.asset, number.adjusted() - one.number.adjusted()) for one in shown if one.asset is not None]
    if any(places == (places_of(bench, asset, call.name) or 0) for _, asset, places in money):
        return
    for one, asset, places in money:
        said = places_of(bench, asset, call.name)
        key = asset if said is None else f"{call.name} {asset}"
        fault(
            f"{call.name} shows the answer's {plain(number)} at {where(source.path)} as {plain(one.number)} {asset}",
            expected=plain(number) if said is None else f"{plain(number.scaleb(-said))}: the unit has {said} places",
            look_at="how many decimal places stand behind the provider's whole numbers, which need not be "
            f'Asset.decimals: Money.of_units(); where the adapter is right, units = {{"{key}": {places or None}}} of '
            "the Subject says so",
        )


def _loses_digits(call: Call, source: _Source, number: Decimal, found: list[_Number]) -> None:
    fault(
        f"{call.name} loses digits: the answer said {plain(number)} at {where(source.path)}, and the result does not",
        expected=f"{plain(number)}, every digit kept",
        found=scanning.closest(number, [(one.place, one.number) for one in found]),
        look_at="float(), round() or quantize() on the way from the answer to the result",
    )


# What goes out


def _of(amount: Any) -> Decimal:
    return amount.amount if isinstance(amount, Money) else Decimal(amount)


def _wired(bench: Bench, call: Call, amount: Any) -> Decimal:
    """The number that must leave for this amount."""
    return on_wire(bench, amount, call.name) if isinstance(amount, Money) else Decimal(amount)


def _tricky(bench: Bench, call: Call, amount: Any) -> list[Any]:
    """Amounts that do not survive a float, a unit or the scientific notation; some are near the sample's, since others
    may be refused as too small or too large.
    """
    if not isinstance(amount, Money):
        return [Decimal("0.00000001"), Decimal("9007199254740993.00000001"), Decimal("1E+2")]
    decimals = 8 if amount.asset.decimals is None else amount.asset.decimals
    places = places_of(bench, amount.asset, call.name)
    finest = decimals if places is None else min(decimals, places)
    least = Decimal(1).scaleb(-finest)
    numbers = [least, 9007199254740993 + least, Decimal("1E+2"), _unsound(amount.amount, finest)]
    if finest < decimals:
        numbers.append(amount.amount + Decimal(1).scaleb(-decimals))  # no whole number of units: refused
    return [Money(number, amount.asset) for number in numbers]


def _unsound(near: Decimal, places: int) -> Decimal:
    """The first number from this one on that becomes another when it is counted in units by way of a float."""
    whole = int(near.scaleb(places))
    for units in range(whole + 1, whole + 10_000):
        number = Decimal(units).scaleb(-places)
        if int(float(number) * 10**places) != units:
            return number
    return Decimal(whole + 1).scaleb(-places)


def _places_with(bench: Bench, call: Call, sent: dict[Place, Any], amount: Any) -> list[Place]:
    return [place for place, value in sent.items() if as_number(value) == _wired(bench, call, amount)]


def _is_nowhere(bench: Bench, call: Call, name: str, amount: Any, sent: dict[Place, Any]) -> None:
    """Fault: what leaves has no such amount, so that nothing could be looked at."""
    wanted = _of(amount)
    for place, value in sent.items():
        number = as_number(value)
        if not number or _digits(number) != _digits(wanted) or not isinstance(amount, Money):
            continue
        places = number.adjusted() - wanted.adjusted()
        if 0 < places <= _FARTHEST:
            fault(
                f"{call.name}: {name} = {amount} left as {where(place)} = {value}",
                expected=f"{plain(wanted)}, or in the Subject how the provider counts it",
                look_at=f'where the provider documents a smallest unit, units = {{"{amount.asset}": {places}}} of the '
                "Subject says how many places it has; nothing can be looked at without",
            )
    fault(
        f"{call.name}: {name} = {plain(wanted)} is nowhere in what left, so that its digits cannot be looked at",
        expected=f"{plain(_wired(bench, call, amount))} in the body, the query or the path",
        found=", ".join(f"{where(place)} = {value}" for place, value in sent.items())[:400],
        look_at="`units` of the Subject where the provider counts in a smallest unit, and `unsent` where it takes no "
        "such amount",
    )


def _writes_of(bench: Bench, play: Play, call: Call, asked: Any) -> dict[Place, Any] | None:
    """What the first write of this request sent, place by place; None when nothing was."""
    assert call.sent is not None
    before = len(bench.tapped.exchanges)
    play.watch.forget()
    struck = bench.strike(play, call.operation, None, lambda request: request.write)
    raised = raised_by(lambda: call.sent(play, asked))
    play.watch.strike = nothing
    if not struck:
        return None
    for exchange in bench.tapped.exchanges[before:]:
        if (exchange.method, exchange.path) == (struck[0].method, bench.path_of(struck[0])):
            return sent_places(exchange)
    assert raised is not None
    return None


def _arrives_exactly(
    bench: Bench, play: Play, call: Call, asked: Any, name: str, tricky: Any, before: dict[Place, Any]
) -> None:
    """`before` is where the sample's amount stood. One that stays as it was is something else."""
    sent = _writes_of(bench, play, call, asked)
    if sent is None:
        return  # refused before anything left
    wanted, number = _wired(bench, call, tricky), plain(_of(tricky))
    found = {place: sent.get(place) for place in before}
    moved = {place: value for place, value in found.items() if value != before[place]} or found
    if any(as_number(value) == wanted and "e" not in str(value).lower() for value in moved.values()):
        return
    place, value = next(iter(moved.items()))
    fault(
        f"{call.name}: {name} = {number} left as {where(place)} = {value}",
        expected=f"{plain(wanted)}, every digit and in plain notation"
        + ("" if wanted == wanted.to_integral_value() or plain(wanted) == number else "; or InvalidRequest"),
        look_at="how the body is made: numbers go into Request(json=…) as Decimal, texts through money.plain(), "
        "smallest units through Money.in_units()",
    )
