"""Lists: every row that there is, each as reading it alone shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from gateway.errors import GatewayError, MalformedResponse
from gateway.exchange import decode_json
from gateway.models import Page
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.evidence import call_of
from gateway.testing.conformance.suites.table import supports
from gateway.testing.conformance.suites.times import was_made
from gateway.testing.conformance.tap import leaves, replaced, written
from gateway.testing.sandbox import SandboxError

__all__ = ["RowsSuite"]

_MADE_BY: Mapping[str, str] = {
    "orders.list": "orders.create",
    "withdrawals.list": "withdrawals.create",
    "cards.list": "cards.create",
}
_MANY = 121
"""So many orders are there when a list of them is read to its end."""
_MANY_OF_ONE_CUSTOMER = 61
_USUAL_PAGE = 50
_SHORT_PAGE = 20
_SEEN = ("provider_id", "status", "provider_status", "price", "pay_with", "received")
_NOBODYS_WORD = "a-word-nobody-knows"


def _is_orders_list(call: Call) -> bool:
    return call.operation == "orders.list"


def _can_be_counted(call: Call) -> bool:
    return call.operation in _MADE_BY and call.several is not None


def _has_statuses(call: Call) -> bool:
    return call.operation in ("orders.list", "withdrawals.list", "trades.open", "trades.history", "cards.list")


class RowsSuite(Suite):
    """The rows of lists."""

    turn = 7

    @check(over(_is_orders_list, colours=[SYNC]))
    def test_a_row_of_a_list_is_what_reading_it_alone_shows(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        before = bench.clock.now()
        made = list(_orders_of_every_kind(bench, play, call))
        rows = _rows(play, call, call.prepare(play))
        for kind, order in made:
            row = rows.get(order.provider_id)
            if row is None:
                fault(
                    f"{call.name} leaves an order out that is at the provider: {order.provider_id}, which is {kind}",
                    expected="every order, whatever its status is",
                    found=f"{len(rows)} rows: " + ", ".join(map(str, rows))[:200],
                    look_at="filters in the adapter's list",
                )
            was_made(call.name, row, before, bench.clock.now())
            if not supports(bench.subject, "orders.get"):
                continue
            alone = _alone(play, order)
            was_made("orders.get", alone, before, bench.clock.now())
            differing = _difference(row, alone)
            if differing and (row := _rows(play, call, call.prepare(play)).get(order.provider_id)) is not None:
                differing = _difference(row, alone)  # reading it may have moved it on at the provider
            for name, listed, read in differing:
                fault(
                    f"{call.name} shows order {order.provider_id} with {name} {listed}; orders.get says {read}",
                    expected="the same of one order at one moment",
                    look_at="how a row of the list is read",
                )

    @check(over(_can_be_counted, colours=[SYNC]))
    def test_no_row_of_a_list_is_left_out(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.several is not None
        known = play.watch.made_by[_MADE_BY[call.operation]]
        prepared = call.prepare(play)
        call.several(play)
        rows = _rows(play, call, prepared)
        if _is_orders_list(call) and not _comes_at_once(play, call, rows):
            most = _MANY_OF_ONE_CUSTOMER if call.operation in bench.subject.per_customer else _MANY
            for _ in range(most - len(known)):
                call.several(play)
            play.watch.page_size = _SHORT_PAGE  # more pages, for what counts them
            rows = _rows(play, call, prepared)
        there = {order.id for order in bench.tapped.orders()}
        for number in known:
            if number in rows or (_is_orders_list(call) and bench.subject.order_in_sandbox(number) not in there):
                continue
            last = list(rows)[-1] if rows else "none"
            fault(
                f"{call.name} leaves out {number}, which was made here",
                expected=f"every row: {len(known)} were made",
                found=f"{len(rows)} rows, the last one {last}",
                look_at="the adapter's list: filters, the end of a page, and when Page.next is None",
            )

    @check(over(_has_statuses, colours=[SYNC]))
    def test_a_word_nobody_knows_is_no_status_of_a_row(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        prepared = call.prepare(play)
        before = len(bench.tapped.exchanges)
        rows = _rows(play, call, prepared)
        words = {str(row.provider_status) for row in rows.values() if getattr(row, "provider_status", None)}
        places = dict.fromkeys(_places_of(bench, before, words))
        if not places:
            return  # the status is not a word of the answer, or the result does not show it
        for path, unknown in _closest(bench, call, list(places)):
            with bench.rewriting(partial(_set, path, unknown)):
                try:
                    seen = _rows(play, call, prepared)
                except MalformedResponse:
                    continue  # not reading it is as careful
            for row in seen.values():
                if row.provider_status != str(unknown):
                    continue
                kind: Any = type(row.status)
                wanted = "unrecognised" if "unrecognised" in {str(one) for one in kind} else None
                if getattr(row.status, "is_final", False) or (wanted is not None and str(row.status) != wanted):
                    fault(
                        f"{call.name}: a status word that nobody knows ({unknown!r} at {'.'.join(path)}) became "
                        f"{str(row.status)!r} in a row of the list",
                        expected=repr(wanted or "a status that is not final") + ": it says nothing about the money",
                        look_at="how a row of the list is read: by the same table of words as one that is read alone",
                    )


def _orders_of_every_kind(bench: Bench, play: Play, call: Call) -> Iterator[tuple[str, Any]]:
    """One that is open, one for each way in which an order ends, and one that was refunded."""
    assert call.several is not None
    yield "open", call.several(play)
    for how in bench.subject.ends:
        if how == "late":
            continue
        order = call.several(play)
        number = bench.subject.order_in_sandbox(order.provider_id)
        with contextlib.suppress(SandboxError):  # such an order cannot be paid so: a Lightning invoice is paid whole
            if how in ("expire", "fail"):
                getattr(bench.server, how)(bench.name, number)
            else:
                play.pay(order.provider_id, how)
            yield f"told `{how}` in the sandbox", order
    refund = next((one for one in bench.subject.calls() if one.operation == "refunds.create"), None)
    if refund is not None and refund.request and refund.sent and supports(bench.subject, "refunds.create"):
        order = refund.prepare(play)
        made = refund.sent(play, refund.request(play, order, play.new("refund")))
        with contextlib.suppress(GatewayError):
            play.gw.refunds.get(made.reference)
        yield "refunded", order


def _comes_at_once(play: Play, call: Call, rows: Mapping[str, Any]) -> bool:
    """Whether the provider's list has no pages: more rows than a page usually has came with one request."""
    asked = sum(len(run.requests) for run in play.watch.runs if run.operation == call.operation)
    return asked == 1 and len(rows) > _USUAL_PAGE


def _rows(play: Play, call: Call, prepared: Any) -> dict[str, Any]:
    """What the adapter's list has, page by page, by the provider's numbers."""
    play.watch.forget()
    call.make(play, prepared)
    runs = [run for run in play.watch.runs if run.operation == call.operation]
    return {row.provider_id: row for run in runs if isinstance(run.result, Page) for row in run.result.items}


def _alone(play: Play, order: Any) -> Any:
    play.watch.forget()
    play.gw.orders.fetch(account=play.account, provider_id=order.provider_id)
    return next(run.result for run in play.watch.runs if run.operation == "orders.get")


def _difference(row: Any, alone: Any) -> list[tuple[str, Any, Any]]:
    """What both show, and show differently. A list may carry less."""
    pairs = [(name, getattr(row, name), getattr(alone, name)) for name in _SEEN]
    pairs += [(f"pay.{name}", getattr(row.pay, name), getattr(alone.pay, name)) for name in ("amount", "address")]
    return [(name, one, other) for name, one, other in pairs if one != other and None not in (one, other)]


Path = tuple[str, ...]


def _places_of(bench: Bench, before: int, words: set[str]) -> Iterator[tuple[Path, Any]]:
    """Where such words stand in the answers since then, `*` for every item of a list, with one that stands there."""
    for exchange in bench.tapped.exchanges[before:]:
        try:
            answer = decode_json(exchange.answer)
        except ValueError:
            continue
        seen: set[Path] = set()
        for path, value in leaves(answer):
            field = tuple("*" if isinstance(part, int) else part for part in path)
            if str(value) in words and not isinstance(value, bool) and field not in seen and "*" in field:
                seen.add(field)
                yield field, type(value)


def _closest(bench: Bench, call: Call, places: list[tuple[Path, Any]]) -> Iterator[tuple[Path, Any]]:
    """The places that hold a status, with a word of their kind that nobody knows."""
    area = call.operation.partition(".")[0]
    told = [words for words in bench.subject.words if words.operation.partition(".")[0] == area]
    names = {words.at.rpartition(".")[2] for words in told}
    for path, kind in places:
        if names and path[-1] not in names:
            continue
        unknown = next((words.unknown for words in told if isinstance(words.unknown, kind)), None)
        if unknown is not None or kind is str:
            yield path, unknown if unknown is not None else _NOBODYS_WORD


def _set(path: Path, word: Any, body: bytes) -> bytes:
    try:
        return written(replaced(decode_json(body), path, word))
    except ValueError:
        return body
