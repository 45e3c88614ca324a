"""References, lists and words; with what is exercised, exactness and outcomes, all that holds for every operation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gateway.errors import (
    IdempotencyConflict,
    MalformedResponse,
)
from gateway.exchange import Request, decode_json
from gateway.models import (
    Page,
)
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.subject import StatusWords, Subject
from gateway.testing.conformance.suites.apart import ApartSuite
from gateway.testing.conformance.suites.coins import CoinsSuite
from gateway.testing.conformance.suites.evidence import LISTS, call_of, raised_by, run_of, said
from gateway.testing.conformance.suites.exactness import ExactMoneySuite
from gateway.testing.conformance.suites.exercised import ExercisedSuite
from gateway.testing.conformance.suites.figures import FiguresSuite
from gateway.testing.conformance.suites.outcomes import OutcomesSuite
from gateway.testing.conformance.suites.rows import RowsSuite
from gateway.testing.conformance.suites.sent import SentSuite
from gateway.testing.conformance.suites.shown import ShownSuite
from gateway.testing.conformance.suites.times import TimesSuite
from gateway.testing.conformance.tap import leaves, replaced, written

__all__ = ["OperationsSuite"]


_USUAL_PAGE, _LARGEST_PAGE = 50, 100


def _words(subject: Subject, call: Call) -> Iterable[tuple[str, StatusWords]]:
    for number, words in enumerate(subject.words, 1):
        if words.operation == call.operation:
            yield str(number), words


def _is_list(call: Call) -> bool:
    return call.operation in LISTS


def _is_growing(call: Call) -> bool:
    return _is_list(call) and call.several is not None


def _page_of(request: Request) -> int:
    """The size of a page that a request asks for; where it names none, one that is usual."""
    given = [*(text for _, text in request.query), *(str(value) for _, value in leaves(request.json))]
    sizes = [int(text) for text in given if text.isdecimal() and 2 < int(text) <= _LARGEST_PAGE]
    return max(sizes, default=_USUAL_PAGE)


def _is_referenced(call: Call) -> bool:
    return call.has_reference


class OperationsSuite(
    ExercisedSuite,
    ExactMoneySuite,
    SentSuite,
    ShownSuite,
    FiguresSuite,
    CoinsSuite,
    RowsSuite,
    TimesSuite,
    ApartSuite,
    OutcomesSuite,
):
    """Every operation of the suite's areas: that it works, how exact it is, how it fails, and how it is repeated."""

    turn = 6

    # References

    @check(over(_is_referenced))
    def test_a_reference_is_carried_out_once(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(case.colour), call_of(case)
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
                found=f"{said(bench.received()[len(before) :])}",
            )
        for name in ("provider_id", "status"):
            if getattr(first, name, None) != getattr(second, name, None):
                fault(
                    f"{call.name}: the second call with one reference gave another {name}",
                    expected=repr(getattr(first, name, None)),
                    found=repr(getattr(second, name, None)),
                )
        if call.changes is not None:
            raised = raised_by(lambda: call.sent(play, asked.model_copy(update=dict(call.changes or {}))))
            if not isinstance(raised, IdempotencyConflict) or bench.received() != before:
                fault(
                    f"{call.name}: another request under a reference that was used was not refused",
                    expected="IdempotencyConflict, nothing sent",
                    found=repr(raised),
                )

    # Pages

    @check(over(_is_list))
    def test_lists_are_read_to_their_end_and_nothing_comes_twice(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(case.colour), call_of(case)
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

    @check(over(_is_growing, colours=[SYNC]))
    def test_a_list_goes_on_after_its_largest_page(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.several is not None
        prepared = call.prepare(play)
        for _ in range(2):
            call.several(play)
        play.watch.page_size = 2
        play.watch.forget()
        rows = len(call.make(play, prepared))
        runs = [run for run in play.watch.runs if run.operation == call.operation]
        if sum(len(run.requests) for run in runs) > 1:
            return  # it keeps to the size that it is asked for: the other check reads its pages
        page = _page_of(runs[0].requests[0])
        for _ in range(page + 1 - rows):
            call.several(play)
        seen = len(call.make(play, prepared))
        if seen < max(page + 1, rows):
            fault(
                f"{call.name} shows {seen} rows; there are {max(page + 1, rows)} at the provider",
                expected="all of them: a further page is asked for, or the provider has none",
                found=f"one request, {runs[0].requests[0]}, whatever Query.size and Query.cursor say",
                look_at="Page.next of the adapter's list",
            )

    # Words

    @check(over(colours=[SYNC], what=_words))
    def test_the_providers_words_mean_what_is_documented(self, bench: Bench, case: Case) -> None:
        play, call, words = bench.play(SYNC), call_of(case), case.what
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
        play, call, words = bench.play(SYNC), call_of(case), case.what
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


Path = tuple[str | int, ...]


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
    result = run_of(play, call).result
    return result.items[0] if isinstance(result, Page) else result


def _has(data: Any, path: Path) -> bool:
    if not path:
        return True
    if isinstance(data, dict):
        return path[0] in data and _has(data[path[0]], path[1:])
    if isinstance(data, list):
        return any(_has(item, path[1:]) for item in data)
    return False
