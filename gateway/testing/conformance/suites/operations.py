"""What holds for every operation of every area: results, exactness, outcomes, errors, references, pages, words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gateway.capabilities import OPERATIONS
from gateway.errors import (
    GatewayError,
    IdempotencyConflict,
    MalformedResponse,
    Outcome,
    OutcomeUnknown,
    ProviderUnavailable,
)
from gateway.exchange import Request, decode_json
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
from gateway.money import Money, plain
from gateway.testing import faults
from gateway.testing.conformance import scanning
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.subject import DocumentedFailure, StatusWords, Subject
from gateway.testing.conformance.tap import Exchange, Token, as_number, leaves, replaced, wire_data, written
from gateway.testing.conformance.watching import nothing

__all__ = ["FAULTS", "WITH_STATUS", "ExercisedSuite", "OperationsSuite", "Weather"]

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
LISTS = frozenset(
    "orders.list transactions.list currencies.list wallets.list withdrawals.list cards.list cards.transactions "
    "markets.list markets.trades trades.open trades.history".split()
)
WITH_STATUS = ("orders.get", "withdrawals.get", "trades.get", "cards.list")
_RETRY_AFTER = 7
_LONG_AGO = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Weather:
    """One thing that goes wrong on the way, and what the engine makes of it.

    `write` and `read` say what the caller then has: `repeated` (it is sent once more and works), `unknown`,
    `unavailable`, `malformed`, or `refused`. None: it is not tried. What an answer means is worked out by code that
    both colours share, so only one of each kind is tried with both (`in_both`).
    """

    name: str
    strikes: faults.CallFault | None
    write: str | None
    read: str | None
    words: str
    in_both: bool = False


FAULTS = (
    Weather("refused", None, "not-sent", "not-sent", "connections are refused", in_both=True),
    Weather(
        "dropped-before",
        faults.Drop(executed=False),
        "unknown",
        "repeated",
        "the connection broke off before the provider had carried it out",
    ),
    Weather(
        "dropped-after",
        faults.Drop(executed=True),
        "unknown",
        "repeated",
        "the connection broke off after the provider had carried it out",
        in_both=True,
    ),
    Weather("truncated", faults.Truncated(), "unknown", "repeated", "the answer was cut off half-way"),
    Weather(
        "html",
        faults.Foreign(),
        "unknown",
        "repeated",
        "the answer was somebody else's HTML page with HTTP 200",
        in_both=True,
    ),
    Weather("html-always", faults.Foreign(times=20), None, "malformed", "every answer was an HTML page with HTTP 200"),
    Weather("empty", faults.Empty(), "unknown", "repeated", "the answer was HTTP 200 without a body"),
    Weather("500", faults.Status(status=500), "unknown", "repeated", "the answer was HTTP 500"),
    Weather("500-always", faults.Status(status=500, times=20), None, "unavailable", "every answer was HTTP 500"),
    Weather("503", faults.Status(status=503), "repeated", "repeated", "the answer was HTTP 503"),
    Weather(
        "429",
        faults.Status(status=429, headers={"Retry-After": str(_RETRY_AFTER)}),
        "repeated",
        "repeated",
        f"the answer was HTTP 429 with Retry-After: {_RETRY_AFTER}",
        in_both=True,
    ),
    Weather("400", faults.Status(status=400, times=20), "refused", "refused", "the answer was HTTP 400, no body"),
    Weather(
        "404",
        faults.Status(status=404, times=20),
        "refused",
        "refused",
        "the answer was HTTP 404, no body",
        in_both=True,
    ),
)
"""The outcomes of docs/architecture.md, "What an answer means"."""


def _weathers(subject: Subject, call: Call) -> Iterable[tuple[str, Weather]]:
    for weather in FAULTS:
        if (weather.write if call.is_write else weather.read) is not None:
            yield weather.name, weather


def _is_tried(case: Case) -> bool:
    return case.colour == SYNC or case.what.in_both


def _failures(subject: Subject, call: Call) -> Iterable[tuple[str, DocumentedFailure]]:
    for number, failure in enumerate(subject.failures, 1):
        if failure.operation == call.operation:
            yield f"{failure.status}-{failure.raises.__name__}-{number}", failure


def _words(subject: Subject, call: Call) -> Iterable[tuple[str, StatusWords]]:
    for number, words in enumerate(subject.words, 1):
        if words.operation == call.operation:
            yield str(number), words


def _is_list(call: Call) -> bool:
    return call.operation in LISTS


def _is_referenced(call: Call) -> bool:
    return call.has_reference


def _has_amounts(call: Call) -> bool:
    return bool(call.amounts)


class ExercisedSuite(Suite):
    """Every operation of the suite's areas is carried out once in each colour, and gives what it should."""

    turn = 3

    # It works

    @check(over())
    def test_it_works_and_gives_what_it_should(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(case.colour), _call(case)
        prepared = call.prepare(play)
        play.watch.forget()
        before = len(bench.received())
        try:
            raised = _raised(lambda: call.make(play, prepared))
        except (AttributeError, TypeError):
            if (run := _run(play, call)).done:
                _is_a_result(call, run.result)  # the gateway could do nothing with what it got
            raise
        for run in play.watch.runs:
            if run.operation == call.operation and run.requests:
                _marks_writes(call, run.requests)
        if raised is not None:
            fault(
                f"{call.name} failed although nothing went wrong: {type(raised).__name__}: {raised}",
                expected="a result",
                found=f"sent {_said(bench.received()[before:])}",
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
        run = _run(play, call)
        _is_a_result(call, run.result)
        for place in scanning.floats(run.result):
            fault(
                f"{call.name} returned a float: {place}",
                expected="Decimal or Money; a float cannot hold an amount exactly",
                look_at="how the answer is decoded: Response.json() gives exact numbers, json.loads() gives floats",
            )
        if call.is_write:
            _was_made_now(bench, call, run.result)


class OperationsSuite(ExercisedSuite):
    """Every operation of the suite's areas, sync and async: how exact it is, and how it fails."""

    turn = 7

    # Exact money

    @check(over(colours=[SYNC]))
    def test_amounts_that_come_in_keep_every_digit(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), _call(case)
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
        play, call = bench.play(SYNC), _call(case)
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

    # Documented failures

    @check(over(what=_failures))
    def test_a_documented_failure_is_the_error_it_should_be(self, bench: Bench, case: Case) -> None:
        call, failure = _call(case), case.what
        play = bench.play(case.colour)
        prepared = play.prepared(call)
        body = failure.body if isinstance(failure.body, str) else written(failure.body).decode()
        answer = faults.Status(
            status=failure.status,
            body=body,
            times=20,
            headers={"Content-Type": "application/json", **failure.headers},
        )
        struck = bench.strike(play, call.operation, answer, lambda request: _is_the_call(call, request))
        before = len(bench.received())
        raised = _raised(lambda: call.make(play, prepared))
        bench.server.faults(bench.name).clear()
        answered = f"the documented answer HTTP {failure.status} {body[:200]}"
        if raised is None:
            fault(
                f"{call.name} swallowed an error: after {answered} it returned a result",
                expected=failure.raises.__name__,
                look_at="read_failure of the adapter, and except clauses in its operations",
            )
        if type(raised) is not failure.raises:
            fault(
                f"{call.name}: {answered} became another error",
                expected=failure.raises.__name__,
                found=f"{type(raised).__name__}: {raised}",
                look_at="read_failure of the adapter",
            )
        assert isinstance(raised, GatewayError)
        if failure.code is not None and raised.provider_code != failure.code:
            fault(
                f"{call.name}: the provider's own code of an error was lost ({answered})",
                expected=f"provider_code {failure.code!r}",
                found=repr(raised.provider_code),
                look_at="the code of the Failure that read_failure returns",
            )
        if raised.outcome is not Outcome.REJECTED and not isinstance(raised, OutcomeUnknown):
            fault(
                f"{call.name}: after {answered} the outcome is {raised.outcome.value}",
                expected="rejected: nothing was done",
            )
        arrived = _arrivals(bench, struck[0], before)
        if struck[0].write and not raised.retryable and arrived != 1:
            fault(f"{call.name} was sent {arrived} times after {answered}", expected="once")

    # References

    @check(over(_is_referenced))
    def test_a_reference_is_carried_out_once(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(case.colour), _call(case)
        assert call.request is not None
        assert call.sent is not None
        asked = call.request(play, call.prepare(play), play.new())
        first = call.sent(play, asked)
        before = bench.received()
        second = call.sent(play, asked)
        if bench.received() != before:
            fault(
                f"{call.name}: the second call with one reference sent something",
                expected="the first one's result and no request",
                found=f"{_said(bench.received()[len(before) :])}",
            )
        for name in ("provider_id", "status"):
            if getattr(first, name, None) != getattr(second, name, None):
                fault(
                    f"{call.name}: the second call with one reference gave another {name}",
                    expected=repr(getattr(first, name, None)),
                    found=repr(getattr(second, name, None)),
                )
        if call.changes is not None:
            raised = _raised(lambda: call.sent(play, asked.model_copy(update=dict(call.changes or {}))))
            if not isinstance(raised, IdempotencyConflict) or bench.received() != before:
                fault(
                    f"{call.name}: another request under a reference that was used was not refused",
                    expected="IdempotencyConflict, nothing sent",
                    found=repr(raised),
                )

    # Pages

    @check(over(_is_list))
    def test_lists_are_read_to_their_end_and_nothing_comes_twice(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(case.colour), _call(case)
        prepared = call.prepare(play)
        if call.several is not None:
            for _ in range(3):
                call.several(play)
        play.watch.page_size = None
        whole = list(map(_identity, call.make(play, prepared)))
        play.watch.page_size = 2
        paged = list(map(_identity, call.make(play, prepared)))
        if twice := sorted({one for one in paged if paged.count(one) > max(1, whole.count(one))}):
            fault(
                f"{call.name}, read two at a time, shows some rows twice",
                expected="every row once",
                found=", ".join(twice)[:300],
                look_at="the cursor: Page.next, and how it becomes the next request",
            )
        if sorted(paged) != sorted(whole):
            missing = sorted(set(whole) - set(paged)) or sorted(set(paged) - set(whole))
            fault(
                f"{call.name}, read two at a time, shows {len(paged)} rows; read at once {len(whole)}",
                expected="the same rows, however long the pages are",
                found="the difference: " + ", ".join(missing)[:300],
                look_at="Page.next of the adapter's list: None ends it",
            )
        if call.several is not None and len(paged) < 3:
            fault(
                f"{call.name} shows {len(paged)} rows after 3 were made", look_at="the adapter's list, and its filters"
            )

    # Words

    @check(over(colours=[SYNC], what=_words))
    def test_the_providers_words_mean_what_is_documented(self, bench: Bench, case: Case) -> None:
        play, call, words = bench.play(SYNC), _call(case), case.what
        for word, meaning in words.words.items():
            result = _status_read(bench, play, call, words, word)
            if str(result.status) != str(meaning):
                fault(
                    f"{call.name}: the provider's word {word!r} became {str(result.status)!r}",
                    expected=repr(str(meaning)),
                    look_at="the adapter's table of status words",
                )

    @check(over(colours=[SYNC], what=_words))
    def test_a_word_nobody_knows_is_kept_and_warned_about(self, bench: Bench, case: Case) -> None:
        play, call, words = bench.play(SYNC), _call(case), case.what
        word = f"a status word that nobody knows ({words.unknown!r} at {words.at})"
        try:
            result = _status_read(bench, play, call, words, words.unknown)
        except MalformedResponse as error:
            if call.operation.startswith("withdrawals."):
                return  # a payout has no status for it: not reading it is as careful
            fault(
                f"{call.name}: {word} became a failure",
                expected="the result, with the word in provider_status and a warning: a provider may add words",
                found=str(error),
                look_at="the adapter's table of status words: it has a default",
            )
        kind: Any = type(result.status)
        wanted = "unrecognised" if "unrecognised" in {str(one) for one in kind} else None
        if (wanted is not None and str(result.status) != wanted) or getattr(result.status, "is_final", False):
            fault(
                f"{call.name}: {word} became {str(result.status)!r}",
                expected=repr(wanted or "a status that is not final") + ": it says nothing about the money",
                look_at="the default of the adapter's table of status words",
            )
        if not result.warnings:
            fault(
                f"{call.name}: {word} was taken without a warning", expected="a text in `warnings` that names the word"
            )

    # Outcomes

    @check(over(what=_weathers, only=_is_tried))
    def test_what_goes_wrong_on_the_way_is_told_as_it_is(self, bench: Bench, case: Case) -> None:
        call, weather = _call(case), case.what
        play = bench.play(case.colour)
        prepared = play.prepared(call)
        if weather.strikes is None:
            _refused_connection(bench, call, prepared, case.colour)
            return
        reference, ask = _asking(play, call, prepared)
        play.watch.forget()
        struck = bench.strike(play, call.operation, weather.strikes, lambda request: _is_the_call(call, request))
        before, slept = len(bench.received()), len(bench.clock.slept)
        raised = _raised(lambda: ask(reference))
        play.watch.strike = nothing
        bench.server.faults(bench.name).clear()
        if not struck:
            fault(f"{call.name} sent no request that could be struck by a fault", look_at="the sample of this row")
        arrived = _arrivals(bench, struck[0], before)
        asked = play.watch.asked(struck[0])
        wanted = weather.write if struck[0].write else weather.read or weather.write
        _judged(call, weather, wanted, raised, (asked, arrived), struck[0])
        if weather.name == "429" and _RETRY_AFTER not in bench.clock.slept[slept:]:
            fault(
                f"{call.name}: Retry-After was not heeded",
                expected=f"a pause of {_RETRY_AFTER} s",
                found=f"pauses of {bench.clock.slept[slept:]}",
            )
        if wanted == "unknown" and call.has_reference:
            _is_not_sent_again(bench, call, weather, lambda: ask(reference), struck[0])


def _call(case: Case) -> Call:
    assert case.call is not None
    return case.call


def _run(play: Play, call: Call) -> Any:
    found = [run for run in play.watch.runs if run.operation == call.operation]
    if not found:
        fault(f"{call.name} was not carried out by the adapter", look_at="the sample of this row")
    return found[-1]


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


def _writes_once(play: Play, call: Call) -> None:
    sent = [(one.method, one.path) for run in play.watch.runs for one in run.requests if one.write]
    for method, path in sent:
        if (times := sent.count((method, path))) > 1:
            fault(
                f"{call.name} sent one write {times} times: {method} {path}",
                expected="once: one reference is one order, one payout, one refund",
                look_at=f"{OPERATIONS[call.operation].method} of the adapter",
            )


def _was_made_now(bench: Bench, call: Call, result: Any) -> None:
    made = getattr(result, "created_at", None)
    if made is not None and (away := abs(made - bench.clock.now())) > _LONG_AGO:
        fault(
            f"{call.name}: created_at is {timedelta(seconds=round(away.total_seconds()))} away from the moment at "
            "which it was made",
            expected=bench.clock.now().isoformat(timespec="seconds"),
            found=made.isoformat(timespec="seconds"),
            look_at="the zone of the provider's times: where it names none, a local time was taken for UTC",
        )


# Exact money


def _once(bench: Bench, play: Play, call: Call) -> tuple[list[Exchange], Any]:
    prepared = play.prepared(call)
    play.watch.forget()
    before = len(bench.tapped.exchanges)
    call.make(play, prepared)
    return bench.tapped.exchanges[before:], _run(play, call).result


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
        raised = _raised(lambda: call.make(play, prepared))
    if raised is not None:
        return None
    return list(scanning.numbers(_run(play, call).result))


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
    raised = _raised(lambda: call.sent(play, asked))
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


# Outcomes


def _asking(play: Play, call: Call, prepared: Any) -> tuple[str, Any]:
    """A reference, and how the call is made with it, again and again in the same way."""
    reference = play.new()
    if call.request is None or call.sent is None:
        return reference, lambda name: call.make(play, prepared)
    asked = call.request(play, prepared, reference)
    sent = call.sent
    return reference, lambda name: sent(play, asked)


def _is_the_call(call: Call, request: Request) -> bool:
    """Whether this request is what a fault is about: the write of a write, the first request of a read."""
    if not call.is_write or call.operation.startswith("keys."):
        return True
    return request.write or request.method not in ("GET", "HEAD")


def _raised(work: Any) -> BaseException | None:
    try:
        work()
    except GatewayError as error:
        return error
    return None


def _arrivals(bench: Bench, request: Request, before: int) -> int:
    wanted = (request.method, bench.path_of(request))
    return sum((record.method, record.path) == wanted for record in bench.received()[before:])


def _said(records: Iterable[Any]) -> str:
    return ", ".join(f"{record.method} {record.path}" for record in records) or "nothing"


def _refused_connection(bench: Bench, call: Call, prepared: Any, colour: str) -> None:
    play = bench.unreachable(colour)
    before = bench.received()
    raised = _raised(lambda: call.make(play, prepared))
    if raised is None:
        fault(
            f"{call.name} swallowed an error: nobody listens at the provider's address, and it returned a result",
            expected="ProviderUnavailable, outcome not_sent",
            look_at="except clauses in the adapter's operations",
        )
    if not isinstance(raised, ProviderUnavailable) or raised.outcome is not Outcome.NOT_SENT:
        fault(
            f"{call.name}: a refused connection was told as something else",
            expected="ProviderUnavailable, outcome not_sent",
            found=f"{type(raised).__name__}, outcome {getattr(raised, 'outcome', None)}: {raised}",
            look_at="except clauses in the adapter's operations",
        )
    if bench.received() != before:
        fault(f"{call.name} sent something although nobody listens", found=_said(bench.received()[len(before) :]))


def _judged(
    call: Call,
    weather: Weather,
    wanted: str | None,
    raised: BaseException | None,
    counts: tuple[int, int],
    request: Request,
) -> None:
    """`counts`: how often the adapter asked for this request, and how often it reached the provider."""
    asked, arrived = counts
    what = f"{call.name} ({request}): {weather.words}"
    is_write = request.write
    if is_write and wanted == "unknown" and arrived != 1:
        fault(
            f"{what}, and the write was sent {arrived} times",
            expected="once: it may have been carried out, so it is never repeated",
            look_at="write=True of the request, and loops around `yield` in the adapter",
        )
    if wanted == "repeated":
        if raised is not None:
            fault(f"{what}; it is repeated once, and that works", expected="a result", found=f"{raised!r}")
        if arrived <= asked:
            fault(
                f"{call.name} swallowed an error: {weather.words}, and it returned a result",
                expected="the request repeated, and its good answer",
                look_at="answers that are not looked at, and except clauses in the adapter's operations",
            )
        if arrived != asked + 1 or (is_write and arrived != 2):
            fault(
                f"{what}, and the provider received it {arrived} times; the adapter had asked for it {asked} times",
                expected="once more than asked: the failed one and its repetition",
                look_at="loops around `yield` in the adapter: repeating is the engine's",
            )
        return
    if raised is None:
        fault(
            f"{call.name} swallowed an error: {weather.words}, and it returned a result",
            expected={
                "unknown": "OutcomeUnknown",
                "malformed": "MalformedResponse",
                "unavailable": "ProviderUnavailable",
            }.get(wanted or "", "an error"),
            look_at="except clauses in the adapter's operations, and answers that are not looked at",
        )
    assert isinstance(raised, GatewayError)
    kinds: dict[str, type[GatewayError]] = {
        "unknown": OutcomeUnknown,
        "malformed": MalformedResponse,
        "unavailable": ProviderUnavailable,
    }
    kind = kinds.get(wanted or "")
    if kind is not None and type(raised) is not kind:
        fault(f"{what}, and it was told as something else", expected=kind.__name__, found=f"{raised!r}")
    if wanted == "refused" and raised.outcome is not Outcome.REJECTED:
        fault(
            f"{what}, and the outcome is {raised.outcome.value}",
            expected="rejected: nothing was done",
            found=repr(raised),
        )
    if wanted == "refused" and is_write and arrived != 1:
        fault(f"{what}, and the write was sent {arrived} times", expected="once: it was refused")


def _is_not_sent_again(bench: Bench, call: Call, weather: Weather, ask: Any, request: Request) -> None:
    before = bench.received()
    raised = _raised(ask)
    if bench.received() != before:
        fault(
            f"{call.name} ({request}): {weather.words}; the same call was then sent again",
            expected="OutcomeUnknown and nothing sent, until a person has settled it",
            found=_said(bench.received()[len(before) :]),
        )
    if not isinstance(raised, OutcomeUnknown):
        fault(
            f"{call.name}: {weather.words}; the same call, made again, no longer says that its outcome is unknown",
            expected="OutcomeUnknown",
            found=repr(raised),
        )


# Pages and words


def _identity(item: Any) -> str:
    """What tells one row of a list from another."""
    number = getattr(item, "provider_id", None)
    if number is not None:
        return str(number)
    raw = getattr(item, "raw", None)
    data = dict(raw) if raw is not None else item
    return json.dumps(data, default=str, sort_keys=True)


def _status_read(bench: Bench, play: Play, call: Call, words: StatusWords, word: Any) -> Any:
    """The adapter's own result when the answer has this word."""
    path = tuple("*" if part == "*" else part for part in words.at.split("."))
    prepared = play.prepared(call)
    play.watch.forget()
    found = [False]

    def change(body: bytes) -> bytes:
        try:
            data = decode_json(body)
        except ValueError:
            return body
        new = replaced(data, path, word)
        found[0] = found[0] or _has(data, path)
        return written(new)

    with bench.rewriting(change):
        call.make(play, prepared)
    if not found[0]:
        fault(
            f"{call.name}: no answer has anything at {words.at}",
            look_at="`at` of the StatusWords in the Subject: names joined by dots, * for every item of a list",
        )
    result = _run(play, call).result
    return result.items[0] if isinstance(result, Page) else result


def _has(data: Any, path: Path) -> bool:
    if not path:
        return True
    if isinstance(data, dict):
        return path[0] in data and _has(data[path[0]], path[1:])
    if isinstance(data, list):
        return any(_has(item, path[1:]) for item in data)
    return False
