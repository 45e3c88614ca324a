"""What goes wrong on the way, what the provider refuses, and what the caller is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.capabilities import OPERATIONS
from gateway.errors import (
    GatewayError,
    MalformedResponse,
    Outcome,
    OutcomeUnknown,
    ProviderUnavailable,
)
from gateway.exchange import Request, Response, decode_json
from gateway.models.keys import Permission
from gateway.testing import faults
from gateway.testing.conformance.bench import Bench, Play, adapter_of
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.places import where
from gateway.testing.conformance.subject import DocumentedFailure, Subject
from gateway.testing.conformance.suites.evidence import arrivals, call_of, is_the_call, raised_by, said
from gateway.testing.conformance.tap import leaves, replaced, written
from gateway.testing.conformance.watching import nothing

__all__ = ["FAULTS", "OutcomesSuite", "Weather"]

_RETRY_AFTER = 7


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
    Weather("504", faults.Status(status=504), "unknown", "repeated", "the answer was HTTP 504"),
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


_OPEN = (302, 408, 425, 499)
"""After these a write may have been carried out, whatever the body says."""
_TELLS_NOTHING = (200, 402)
"""Statuses that do not say by themselves that a payout was refused; an error that nobody knows does not either."""
_NOBODY_KNOWS = "a-code-nobody-knows"
_NUMBER_NOBODY_KNOWS = 987654


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


_PROVIDERS_WORDS = "words that only the provider has"


def _words(failure: DocumentedFailure) -> list[tuple[tuple[str | int, ...], str]]:
    """The texts of an error that are not its code."""
    if isinstance(failure.body, str):
        return []
    return [
        (path, value)
        for path, value in leaves(failure.body)
        if isinstance(value, str) and value not in (failure.code, str(failure.status))
    ]


Flags = Mapping[tuple[str | int, ...], Any]


def _flags(subject: Subject, call: Call) -> Iterable[tuple[str, Flags]]:
    """Where all documented errors that have such a place say that something failed: `"ok": false`, or a code that is
    not 0. No case where they have none.
    """
    found: dict[tuple[str | int, ...], list[Any]] = {}
    for failure in subject.failures:
        for path, value in leaves(failure.body) if isinstance(failure.body, dict) else ():
            if isinstance(value, int):  # True and False too
                found.setdefault(path, []).append(value)
    flags = {
        path: values[0]
        for path, values in found.items()
        if all(type(value) is type(values[0]) and _may_be_flags(value, values[0]) for value in values)
    }
    return [("", flags)] if flags else []


def _may_be_flags(value: Any, other: Any) -> bool:
    return value is other if isinstance(value, bool) else value not in _ALL_WELL


def _says_otherwise(value: Any, failed: Any) -> bool:
    """Whether this place of a good answer says the contrary of what it says in errors."""
    return type(value) is type(failed) and (value is not failed if isinstance(value, bool) else value in _ALL_WELL)


_ALL_WELL = (0, 200)
"""Codes of answers that say that nothing failed."""


def _is_write(call: Call) -> bool:
    return call.is_write and not call.operation.startswith("keys.")


def _pays_out(call: Call) -> bool:
    return call.is_write and OPERATIONS[call.operation].permission is Permission.WITHDRAW


def _errors(subject: Subject, call: Call) -> list[DocumentedFailure]:
    """Documented errors to answer this call with: its own first, then what other calls have."""
    own = [failure for failure in subject.failures if failure.operation == call.operation]
    return [*own, *(failure for failure in subject.failures if failure.operation != call.operation)]


def _strange(bench: Bench, call: Call) -> Iterator[str]:
    """Errors as the provider writes them, with codes and words that it does not have. What stands in all of them alike,
    such as `"status": "error"`, is left as it is where the adapter sees no error without it.
    """
    adapter = adapter_of(bench.subject, bench.settings)

    def is_error(body: Any) -> bool:
        try:
            return adapter.read_failure(Response(200, {}, written(body))) is not None
        except Exception:  # the engine makes an answer that cannot be read of it
            return False

    bodies = [failure.body for failure in _errors(bench.subject, call) if not isinstance(failure.body, str)]
    found = [{(path, str(value)) for path, value in leaves(body)} for body in bodies]
    alike = set.intersection(*found) if len(found) > 1 else set()
    for body in bodies:
        places = [
            (path, value)
            for path, value in leaves(body)
            if isinstance(value, (str, int)) and not isinstance(value, bool)
        ]
        strange = _with(body, map(_unknown, places))
        kept = _with(body, map(_unknown, (place for place in places if (place[0], str(place[1])) not in alike)))
        yield written(kept if not is_error(strange) and is_error(kept) else strange).decode()


def _unknown(place: tuple[tuple[str | int, ...], Any]) -> tuple[tuple[str | int, ...], Any]:
    path, value = place
    return path, _NOBODY_KNOWS if isinstance(value, str) else _NUMBER_NOBODY_KNOWS


def _with(body: Any, changes: Iterable[tuple[tuple[str | int, ...], Any]]) -> Any:
    for path, value in changes:
        body = replaced(body, path, value)
    return body


class OutcomesSuite(Suite):
    """Every failure says what became of the request, and a write that may have been done is never sent again."""

    turn = 7

    @check(over(what=_failures))
    def test_a_documented_failure_is_the_error_it_should_be(self, bench: Bench, case: Case) -> None:
        call, failure = call_of(case), case.what
        play = bench.play(case.colour)
        prepared = play.prepared(call)
        body = failure.body if isinstance(failure.body, str) else written(failure.body).decode()
        answer = faults.Status(
            status=failure.status,
            body=body,
            times=20,
            headers={"Content-Type": "application/json", **failure.headers},
        )
        struck = bench.strike(play, call.operation, answer, lambda request: is_the_call(call, request))
        before = len(bench.received())
        raised = raised_by(lambda: call.make(play, prepared))
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
        arrived = arrivals(bench, struck[0], before)
        if struck[0].write and not raised.retryable and arrived != 1:
            fault(f"{call.name} was sent {arrived} times after {answered}", expected="once")

    @check(over(what=_failures, colours=[SYNC], only=lambda case: any(_words(case.what))))
    def test_an_error_keeps_the_providers_words(self, bench: Bench, case: Case) -> None:
        call, failure = call_of(case), case.what
        said_so = ""
        for path, _ in _words(failure):
            play = bench.play(case.colour)
            prepared = play.prepared(call)
            answer = faults.Status(
                status=failure.status,
                body=written(replaced(failure.body, path, _PROVIDERS_WORDS)).decode(),
                times=20,
                headers={"Content-Type": "application/json", **failure.headers},
            )
            bench.strike(play, call.operation, answer, lambda request: is_the_call(call, request))
            raised = raised_by(lambda: call.make(play, prepared))  # noqa: B023
            play.watch.strike = nothing
            bench.server.faults(bench.name).clear()
            if raised is None or _PROVIDERS_WORDS in str(raised):
                return  # a result is a fault that another check tells
            said_so = said_so or str(raised)
        fault(
            f"{call.name}: the provider's own words for an error are lost ({failure.status} "
            f"{written(failure.body).decode()[:200]})",
            expected="them in the error's text, besides its code: they say what is wrong",
            found=said_so[:300],
            look_at="the message of the Failure that read_failure returns",
        )

    @check(over(what=_flags, colours=[SYNC]))
    def test_an_answer_that_says_it_failed_is_no_success(self, bench: Bench, case: Case) -> None:
        call, flags = call_of(case), case.what
        play = bench.play(case.colour)
        prepared = play.prepared(call)
        changed: dict[str, None] = {}

        def failed(body: bytes) -> bytes:
            try:
                answer = decode_json(body)
            except ValueError:
                return body
            for path, value in leaves(answer):
                if path in flags and _says_otherwise(value, flags[path]):
                    answer = replaced(answer, path, flags[path])
                    changed[f"{where(path)}: {json.dumps(flags[path])}"] = None
            return written(answer)

        with bench.rewriting(failed):
            raised = raised_by(lambda: call.make(play, prepared))
        if changed and raised is None:
            fault(
                f"{call.name}: an answer with HTTP 200 that says that it failed ({', '.join(changed)}, as documented "
                "errors have it) was taken for a success",
                expected="an error, whatever else stands in the answer",
                look_at="read_failure of the adapter, and how it reads the provider's envelope",
            )

    @check(over(_is_write, colours=[SYNC]))
    def test_an_answer_that_leaves_a_write_open_is_no_refusal(self, bench: Bench, case: Case) -> None:
        call = call_of(case)
        errors = _errors(bench.subject, call)[:1]
        for status in _OPEN:
            for failure in errors:
                body = failure.body if isinstance(failure.body, str) else written(failure.body).decode()
                _is_left_open(
                    bench, call, status, body, "whatever its body says: it may have been carried out all the same"
                )

    @check(over(_pays_out, colours=[SYNC]))
    def test_an_error_nobody_knows_is_no_refusal_of_a_payout(self, bench: Bench, case: Case) -> None:
        call = call_of(case)
        bench.start()
        bodies = list(dict.fromkeys(_strange(bench, call)))
        if not bodies and not bench.subject.nothing_documented.get("failures"):
            fault(
                f"{call.name}: there is no error to answer it with that nobody knows",
                expected="a DocumentedFailure in `failures` of the Subject with a code or words in its body",
                look_at="the provider's documentation; where it names no error, nothing_documented says so",
            )
        for body in bodies[:4]:
            for status in _TELLS_NOTHING:
                _is_left_open(
                    bench,
                    call,
                    status,
                    body,
                    "a code or words that nobody knows do not say that nothing was done, and it would be made a second "
                    "time",
                )

    @check(over(what=_weathers, only=_is_tried))
    def test_what_goes_wrong_on_the_way_is_told_as_it_is(self, bench: Bench, case: Case) -> None:
        call, weather = call_of(case), case.what
        play = bench.play(case.colour)
        prepared = play.prepared(call)
        if weather.strikes is None:
            _refused_connection(bench, call, prepared, case.colour)
            return
        reference, ask = _asking(play, call, prepared)
        play.watch.forget()
        struck = bench.strike(play, call.operation, weather.strikes, lambda request: is_the_call(call, request))
        before, slept = len(bench.received()), len(bench.clock.slept)
        raised = raised_by(lambda: ask(reference))
        play.watch.strike = nothing
        bench.server.faults(bench.name).clear()
        if not struck:
            fault(f"{call.name} sent no request that could be struck by a fault", look_at="the sample of this row")
        arrived = arrivals(bench, struck[0], before)
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


def _is_left_open(bench: Bench, call: Call, status: int, body: str, why: str) -> None:
    play = bench.play(SYNC)
    prepared = call.prepare(play)
    answer = faults.Status(status=status, body=body, times=1, headers={"Content-Type": "application/json"})
    struck = bench.strike(play, call.operation, answer, lambda request: is_the_call(call, request))
    before = len(bench.received())
    raised = raised_by(lambda: call.make(play, prepared))
    play.watch.strike = nothing
    bench.server.faults(bench.name).clear()
    if not struck or not struck[0].write:
        return  # other checks are about a write that is none
    if not isinstance(raised, OutcomeUnknown):
        fault(
            f"{call.name}: the answer HTTP {status} {body[:200]} was told as "
            + ("a result" if raised is None else "a refusal"),
            expected=f"OutcomeUnknown, {why}",
            found=repr(raised),
            look_at="read_failure of the adapter: `recognised=False` in the Failure for what its table does not know; "
            "and except clauses in its operations",
        )
    arrived = arrivals(bench, struck[0], before)
    if arrived != 1:
        fault(f"{call.name} was sent {arrived} times after HTTP {status} {body[:200]}", expected="once")


def _asking(play: Play, call: Call, prepared: Any) -> tuple[str, Any]:
    """A reference, and how the call is made with it, again and again in the same way."""
    reference = play.new()
    if call.request is None or call.sent is None:
        return reference, lambda name: call.make(play, prepared)
    asked = call.request(play, prepared, reference)
    sent = call.sent
    return reference, lambda name: sent(play, asked)


def _refused_connection(bench: Bench, call: Call, prepared: Any, colour: str) -> None:
    play = bench.unreachable(colour)
    before = bench.received()
    raised = raised_by(lambda: call.make(play, prepared))
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
        fault(f"{call.name} sent something although nobody listens", found=said(bench.received()[len(before) :]))


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
    raised = raised_by(ask)
    if bench.received() != before:
        fault(
            f"{call.name} ({request}): {weather.words}; the same call was then sent again",
            expected="OutcomeUnknown and nothing sent, until a person has settled it",
            found=said(bench.received()[len(before) :]),
        )
    if not isinstance(raised, OutcomeUnknown):
        fault(
            f"{call.name}: {weather.words}; the same call, made again, no longer says that its outcome is unknown",
            expected="OutcomeUnknown",
            found=repr(raised),
        )
