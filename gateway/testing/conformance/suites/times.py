"""Times are the provider's own, in their own zone, wherever it states them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gateway.exchange import decode_json
from gateway.testing.conformance.bench import Bench
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.evidence import call_of, raised_by, run_of
from gateway.testing.conformance.suites.exercised import LONG_AGO
from gateway.testing.conformance.tap import leaves, replaced, written

__all__ = ["TimesSuite", "is_the_time", "was_made"]

_WHAT = "(?:date|time|order|payment|invoice|deposit|trade|withdrawal|withdraw|payout|charge|transaction|tx)*"
_WHEN = "(?:at|on|time|date|timestamp|ts|utc|ms|unix)*"
_STATED = {
    "created_at": re.compile(f"{_WHAT}creat(?:e|ed|ion){_WHEN}"),
    "expires_at": re.compile(f"{_WHAT}expir(?:e|es|ed|y|ation){_WHEN}"),
}
"""Of each field, what a provider's own field for it is called, letters alone."""
_TEXT = re.compile(r"(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d(?::\d\d)?)(.*)", re.DOTALL)
_UNITS = tuple((Decimal(10) ** (9 + digits), 10**digits) for digits in (9, 6, 3, 0))
_MOVED = {"created_at": timedelta(hours=-2), "expires_at": timedelta(hours=3)}
_OPERATIONS = ("orders.create", "orders.get", "withdrawals.create", "withdrawals.get", "trades.create", "trades.get")
# A refund is often shown as its order, whose times are not its own.


def _has_times(call: Call) -> bool:
    return call.operation in _OPERATIONS


class TimesSuite(Suite):
    """When something was made, and until when it can be paid."""

    turn = 6

    @check(over(_has_times, colours=[SYNC]))
    def test_times_are_those_that_the_provider_states(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        prepared = play.prepared(call)
        play.watch.forget()
        before = len(bench.tapped.exchanges)
        if raised_by(lambda: call.make(play, prepared)) is not None:
            return  # told by the check that carries it out
        shown = run_of(play, call).result
        names = [name for name in _STATED if hasattr(shown, name)]
        answers = [answer for one in bench.tapped.exchanges[before:] if (answer := _decoded(one.answer)) is not None]
        numbers = _numbers(bench, call, shown)
        stated = {name: [place for answer in answers for place in _places(answer, numbers, name)] for name in names}
        for name, places in stated.items():
            if places and getattr(shown, name) is None:
                fault(
                    f"{call.name} shows no {name}, and the provider states it",
                    expected=f"what stands at {'.'.join(map(str, places[0][0]))}: {places[0][1]}",
                    found="None",
                    look_at="how the answer is read",
                )
        if call.is_write:
            return

        def moving(body: bytes) -> bytes:
            data = _decoded(body)
            for name in names if data is not None else ():
                for path, value in list(_places(data, numbers, name)):
                    data = replaced(data, path, _moved(value, _MOVED[name]))
            return body if data is None else written(data)

        again = _read(bench, call, prepared, lambda body: body)
        moved = _read(bench, call, prepared, moving) if any(stated.values()) else None
        for name in names:
            was, now = getattr(shown, name), getattr(again, name, None)
            if again is not None and was != now:
                fault(
                    f"{call.name} shows another {name} each time it is read",
                    expected=str(was),
                    found=str(now),
                    look_at="clocks of the adapter's own: a time of the provider stands in its answer",
                )
            if moved is not None and stated[name] and not _is_near(getattr(moved, name), was + _MOVED[name]):
                path, value = stated[name][0]
                hours = int(_MOVED[name].total_seconds()) // 3600
                fault(
                    f"{call.name}: {name} is not what the provider states",
                    expected=f"the time at {'.'.join(map(str, path))}, which was {value}, and then {hours:+} hours",
                    found=f"{was}, and then {getattr(moved, name)}",
                    look_at="which field of the answer it is read from, and clocks of the adapter's own",
                )


def was_made(name: str, order: Any, before: datetime, after: datetime) -> None:
    """What was made between these two moments says so, where it says anything."""
    made = order.created_at
    if made is not None and not before - LONG_AGO <= made <= after + LONG_AGO:
        is_the_time(name, "created_at", made, after)


def is_the_time(name: str, field: str, shown: datetime | None, truth: datetime) -> None:
    """The time that is shown is the one at the provider, but for minutes."""
    if shown is None or abs(shown - truth) <= LONG_AGO:
        return
    hours = Decimal(round((shown - truth).total_seconds() / 360)) / 10
    fault(
        f"{name}: {field} is {hours} hours away from what it is at the provider",
        expected=truth.isoformat(timespec="seconds"),
        found=shown.isoformat(timespec="seconds"),
        look_at="the zone of the provider's times: where it names none, a local time was taken for UTC",
    )


def _is_near(shown: datetime | None, expected: datetime) -> bool:
    """But for an hour that a local time may have gained or lost."""
    return shown is not None and abs(shown - expected) <= timedelta(hours=1)


def _decoded(body: bytes) -> Any:
    try:
        return decode_json(body)
    except ValueError:
        return None


def _numbers(bench: Bench, call: Call, result: Any) -> set[str]:
    """What the answer may call the thing that is read."""
    number = getattr(result, "provider_id", None)
    if number is None:
        return set()
    return {number, bench.subject.order_in_sandbox(number)} if call.operation.startswith("orders.") else {number}


def _read(bench: Bench, call: Call, prepared: Any, change: Any) -> Any:
    """The adapter's own result once more; None when there is none, such as of a payout that is done by now."""
    play = bench.play(SYNC)
    with bench.rewriting(change):
        raised_by(lambda: call.make(play, prepared))
    runs = [run for run in play.watch.runs if run.operation == call.operation and run.done]
    return runs[-1].result if runs else None


Path = tuple[str | int, ...]


def _places(answer: Any, numbers: Iterable[str], name: str) -> Iterator[tuple[Path, Any]]:
    """Where the answer states this time: beside the number of the thing itself, in a field that is called so."""
    found = leaves(answer)
    own = {path[:-1] for path, value in found if str(value) in numbers}
    for path, value in found:
        called = re.sub("[^a-z]", "", str(path[-1]).lower())
        if path[:-1] in own and _STATED[name].fullmatch(called) and _moved(value, timedelta()) is not None:
            yield path, value


def _moved(value: Any, by: timedelta) -> Any:
    """The time that much later, written in the same way; None for what is no time as most providers write it."""
    if isinstance(value, str) and (parts := _TEXT.fullmatch(value)):
        day, between, clock, rest = parts.groups()
        try:
            moved = datetime.fromisoformat(f"{day}T{clock}") + by
        except ValueError:
            return None
        text = moved.isoformat(timespec="minutes" if len(clock) == 5 else "seconds")
        return text.replace("T", between) + rest
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        return None
    if isinstance(value, str) and not value.isdecimal():
        return None
    number = Decimal(value)
    for least, unit in _UNITS:
        if least <= number < 4 * least:
            later = number + unit * int(by.total_seconds())
            return str(later) if isinstance(value, str) else type(value)(later)
    return None
