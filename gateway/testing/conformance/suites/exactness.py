"""Money is exact: no digit is lost on the way in or out."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from gateway.exchange import decode_json
from gateway.money import Money, plain
from gateway.testing.conformance import scanning
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.evidence import call_of, raised_by, run_of
from gateway.testing.conformance.tap import Exchange, Token, as_number, leaves, replaced, wire_data, written
from gateway.testing.conformance.watching import nothing

__all__ = ["ExactMoneySuite"]


def _has_amounts(call: Call) -> bool:
    return bool(call.amounts)


class ExactMoneySuite(Suite):
    """Amounts keep every digit, in and out."""

    turn = 6

    @check(over(colours=[SYNC]))
    def test_amounts_that_come_in_keep_every_digit(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        seen, result = _once(bench, play, call)
        for at, path, value in _candidates(seen, result):
            moved = Decimal(int(as_number(value) or 0) + 2)
            if not _shows(bench, play, call, at, path, value, moved):
                continue  # this number is not where the result's comes from
            exactly = moved + Decimal("0.123456789012345678")
            found = _played(bench, play, call, at, path, value, exactly)
            if found is not None and exactly not in {number for _, number in found}:
                place = ".".join(map(str, path))
                fault(
                    f"{call.name} loses digits: the answer said {exactly} at {place}, and the result does not",
                    expected=f"{exactly}, every digit kept",
                    found=scanning.closest(exactly, found),
                    look_at="float(), round() or quantize() on the way from the answer to the result",
                )

    @check(over(_has_amounts, colours=[SYNC]))
    def test_amounts_that_go_out_keep_every_digit(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        assert call.sent is not None
        prepared = call.prepare(play)
        asked = call.request(play, prepared, play.new())
        sent = _writes_of(bench, play, call, asked)
        for name in call.amounts:
            amount = getattr(asked, name)
            number = amount.amount if isinstance(amount, Money) else amount
            path = next((path for path, value in leaves(sent) if as_number(value) == number), None)
            if path is None:
                continue  # the amount is in another form, such as that of an invoice
            for tricky in _tricky(amount):
                again = call.request(play, call.prepare(play), play.new()).model_copy(update={name: tricky})
                _arrives_exactly(bench, play, call, again, name, tricky, path)


def _once(bench: Bench, play: Play, call: Call) -> tuple[list[Exchange], Any]:
    prepared = play.prepared(call)
    play.watch.forget()
    before = len(bench.tapped.exchanges)
    call.make(play, prepared)
    return bench.tapped.exchanges[before:], run_of(play, call).result


Path = tuple[str | int, ...]


def _candidates(seen: list[Exchange], result: Any) -> Iterator[tuple[int, Path, Any]]:
    """Places of the answers whose number stands in the result, one for each field."""
    known = {number for _, number in scanning.numbers(result) if number != 0}
    fields: set[tuple[int, tuple[str, ...]]] = set()
    for at, exchange in enumerate(seen):
        try:
            answer = decode_json(exchange.answer)
        except ValueError:
            continue
        for path, value in leaves(answer):
            field = (at, tuple("*" if isinstance(part, int) else part for part in path))
            if as_number(value) in known and field not in fields:
                fields.add(field)
                yield at, path, value


def _played(
    bench: Bench, play: Play, call: Call, at: int, path: Path, was: Any, number: Decimal
) -> list[tuple[str, Decimal]] | None:
    """The numbers of the result when the answer has another one there; None when that is refused."""
    written_as: Any = plain(number) if isinstance(was, str) else number
    prepared = play.prepared(call)
    play.watch.forget()
    count = [0]

    def change(body: bytes) -> bytes:
        count[0] += 1
        if count[0] - 1 != at:
            return body
        try:
            return written(replaced(decode_json(body), path, written_as))
        except ValueError:
            return body

    with bench.rewriting(change):
        raised = raised_by(lambda: call.make(play, prepared))
    if raised is not None:
        return None
    return list(scanning.numbers(run_of(play, call).result))


def _shows(bench: Bench, play: Play, call: Call, at: int, path: Path, was: Any, number: Decimal) -> bool:
    found = _played(bench, play, call, at, path, was, number)
    return found is not None and number in {one for _, one in found}


def _tricky(amount: Any) -> list[Any]:
    """Amounts that do not survive a float or the scientific notation."""
    if isinstance(amount, Money):
        least = Decimal(1).scaleb(-(amount.asset.decimals or 0))
        return [Money(number, amount.asset) for number in (least, 9007199254740993 + least, Decimal("1E+2"))]
    return [Decimal("0.00000001"), Decimal("9007199254740993.00000001"), Decimal("1E+2")]


def _writes_of(bench: Bench, play: Play, call: Call, asked: Any) -> Any:
    """What the first write of this request sent, as data; None when nothing was."""
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
            return exchange.sent() or wire_data(exchange.query.encode())
    assert raised is not None
    return None


def _arrives_exactly(bench: Bench, play: Play, call: Call, asked: Any, name: str, tricky: Any, path: Path) -> None:
    sent = _writes_of(bench, play, call, asked)
    if sent is None:
        return  # refused before anything left
    number = tricky.amount if isinstance(tricky, Money) else tricky
    found = dict(leaves(sent)).get(path)
    place = ".".join(map(str, path))
    exact = None if found is None else as_number(str(found))
    if exact != number or "e" in str(found).lower():
        fault(
            f"{call.name}: {name} = {plain(number)} left as {place} = {found}",
            expected=f"{plain(number)}, every digit and in plain notation",
            look_at="how the body is made: numbers go into Request(json=…) as Decimal, texts through money.plain()",
        )
    if not isinstance(found, (Token, str)):
        fault(f"{call.name}: {name} left as {found!r}", expected=plain(number))
