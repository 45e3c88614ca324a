"""Following one order. Time is the test's own: nothing here waits."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gateway.api import Orders
from gateway.cli import watching
from gateway.models.orders import Order
from gateway.testing import SandboxServer, faults
from support.printed import failure, fields

Run = Callable[..., Result]


class Time:
    """A clock that only sleeping moves on; what is `planned` happens during the pauses, one thing in each."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.planned: Iterator[Callable[[], object]] = iter(())

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
        next(self.planned, lambda: None)()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(watching, "monotonic", lambda: made.seconds)
    monkeypatch.setattr(watching, "sleep", made.sleep)
    return made


@pytest.fixture
def order(cli: Run, shop: Path) -> Callable[[str], str]:
    """Makes an order; the provider's number of it."""

    def make(reference: str) -> str:
        words = ("--price", "25.00 USD", "--pay-with", "USDT@tron", "--account", "aurpay")
        return fields(cli("orders", "create", "--reference", reference, *words))["provider id"]

    return make


def lines(result: Result) -> list[dict[str, str]]:
    titles, *found = [line.split("\t") for line in result.stdout.splitlines()]
    return [dict(zip(titles, line, strict=True)) for line in found]


def test_a_line_for_every_change_until_it_is_final(
    cli: Run, order: Callable[[str], str], server: SandboxServer, time: Time
) -> None:
    number = order("watch-1")
    time.planned = iter([lambda: None, lambda: server.expire("aurpay", number), lambda: server.pay("aurpay", number)])
    result = cli("orders", "watch", "watch-1", "--every", "7")
    assert result.exit_code == 0, result.output
    assert [line["status"] for line in lines(result)] == ["pending", "expired", "paid"]
    assert [line["exceptions"] for line in lines(result)] == ["", "", "late"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["seen at"]) for line in lines(result))
    assert time.pauses == [7, 7, 7]
    assert result.stderr == ""


def test_one_document_at_the_end(cli: Run, order: Callable[[str], str], server: SandboxServer, time: Time) -> None:
    number = order("watch-2")
    time.planned = iter([lambda: server.pay("aurpay", number)])
    result = cli("orders", "watch", "watch-2", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["status"] == "paid"
    assert time.pauses == [5]


def test_the_time_is_over(cli: Run, order: Callable[[str], str], time: Time) -> None:
    order("watch-3")
    result = cli("orders", "watch", "watch-3", "--timeout", "12")
    assert result.exit_code == 1
    assert [line["status"] for line in lines(result)] == ["pending"]
    assert result.stderr == (
        "error: the order watch-3 is still pending after 12 s\nhint: watch it again, or give it a longer --timeout\n"
    )
    assert time.pauses == [5, 5, 2]
    as_json = cli("orders", "watch", "watch-3", "--timeout", "12", "--json")
    assert (as_json.exit_code, as_json.stderr) == (1, "")
    assert json.loads(as_json.stdout)["status"] == "pending"


def test_a_failure_of_a_moment_is_told_and_got_over(
    cli: Run, order: Callable[[str], str], server: SandboxServer, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = order("watch-4")
    monkeypatch.setattr("gateway.engine.perform._MOST_SENDINGS", 1)
    server.faults("aurpay").add(faults.Drop(executed=False, method="GET"))
    time.planned = iter([lambda: server.pay("aurpay", number)])
    result = cli("orders", "watch", "watch-4")
    assert result.exit_code == 0, result.output
    assert [line["status"] for line in lines(result)] == ["pending", "paid"]
    assert re.fullmatch(r"warning: .*nothing was changed\n", result.stderr)

    again = order("watch-5")
    server.faults("aurpay").add(faults.Drop(executed=False, method="GET"))
    time.planned = iter([lambda: server.pay("aurpay", again)])
    as_json = cli("orders", "watch", "watch-5", "--json")
    assert (as_json.exit_code, as_json.stderr) == (0, "")
    assert json.loads(as_json.stdout)["status"] == "paid"


def test_a_failure_that_stays_ends_it(cli: Run, order: Callable[[str], str], server: SandboxServer, time: Time) -> None:
    order("watch-6")
    server.faults("aurpay").add(faults.Status(status=403, method="GET", times=9))
    error = failure(cli("orders", "watch", "watch-6", "--json"))
    server.faults("aurpay").clear()
    assert error["error"] == "PermissionDenied"
    assert failure(cli("orders", "watch", "nobody", "--json"))["error"] == "NotFound"
    assert time.pauses == []


def test_a_read_takes_half_a_minute_or_what_is_left(
    cli: Run, order: Callable[[str], str], time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    order("watch-a")
    given: list[float | None] = []
    real = Orders.get

    def get(self: Orders, reference: str, *, refresh: bool = True, deadline: float | None = None) -> Order:
        given.append(deadline)
        return real(self, reference, refresh=refresh, deadline=deadline)

    monkeypatch.setattr(Orders, "get", get)
    assert cli("orders", "watch", "watch-a", "--timeout", "100000", "--every", "99990").exit_code == 1
    assert given == [None, 30, 10, 1]


@pytest.mark.parametrize("option", ["--timeout", "--every"])
def test_seconds_are_above_zero(cli: Run, shop: Path, option: str) -> None:
    assert cli("orders", "watch", "watch-7", option, "0").exit_code == 2


def test_it_is_followed_on_a_terminal(terminal: Any, order: Callable[[str], str], server: SandboxServer) -> None:
    number = order("watch-8")
    shown = terminal("orders", "watch", "watch-8", "--every", "1")
    shown.read_until("watch-8 is pending")
    server.pay("aurpay", number)
    assert shown.end() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.text)
    assert re.search(rf"\d\dZ  pending  aurpay  {number}\n", text)
    assert re.search(rf"\d\dZ  paid  aurpay  {number}\n", text)
    assert "seen at" not in text


def test_it_is_interrupted(terminal: Any, order: Callable[[str], str]) -> None:
    order("watch-9")
    shown = terminal("orders", "watch", "watch-9")
    shown.read_until("watch-9 is pending")
    shown.child.send_signal(signal.SIGINT)
    assert shown.end() == 130
    assert "Traceback" not in shown.text
