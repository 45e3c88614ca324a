"""A key's budget, shared: places in a sliding window, kept free for others, through clocks that jump."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.adapter import RateLimit
from gateway.store import rates
from gateway.store.database import Database
from store.samples import NOW

LIMIT = RateLimit(3, 60)
WINDOW = 61.0
"""Seconds: a second longer than the provider's."""


@pytest.fixture
def run(database: Database) -> Callable[..., Any]:
    """`run(function, seconds, …)`: the function of the module on `LIMIT`, so many seconds after the start."""
    return lambda function, seconds, *args, key="key": database.transaction(
        lambda connection: function(connection, key, LIMIT, NOW + timedelta(seconds=seconds), *args)
    )


class TestReserve:
    def test_so_many_at_once_and_the_next_when_the_first_is_over(self, run: Callable[..., Any]) -> None:
        assert [run(rates.reserve, n, 300.0) for n in range(5)] == [
            (True, 0.0),
            (True, 0.0),
            (True, 0.0),
            (True, WINDOW - 3),
            (True, WINDOW - 3),
        ]
        assert run(rates.reserve, 5, 300.0) == (True, WINDOW - 3)
        assert run(rates.reserve, 6, 300.0) == (True, 2 * WINDOW - 6)

    def test_no_place_is_taken_by_whoever_cannot_wait(self, run: Callable[..., Any]) -> None:
        for _ in range(3):
            run(rates.reserve, 0, 1.0)
        assert run(rates.reserve, 11, 50.0) == (False, 50.0)
        assert run(rates.reserve, WINDOW, 1.0) == (True, 0.0)

    def test_each_key_has_its_own(self, run: Callable[..., Any]) -> None:
        for _ in range(3):
            run(rates.reserve, 0, 1.0)
        assert run(rates.reserve, 0, 1.0, key="other") == (True, 0.0)

    def test_what_is_kept_free_is_left_to_others(self, run: Callable[..., Any]) -> None:
        """And nobody queues for what is not free: the merchant's own calls would have to wait behind."""
        assert run(rates.reserve, 0, 300.0, 2) == (True, 0.0)
        assert run(rates.reserve, 1, 300.0, 2) == (False, WINDOW - 1)
        assert [run(rates.reserve, 1, 300.0) for _ in range(2)] == [(True, 0.0)] * 2
        assert run(rates.reserve, WINDOW, 300.0, 2) == (False, 1.0)
        assert run(rates.reserve, WINDOW + 1, 300.0, 2) == (True, 0.0)

    def test_headroom(self, run: Callable[..., Any]) -> None:
        assert run(rates.headroom, 0) == 3
        run(rates.reserve, 0, 1.0)
        run(rates.reserve, 10, 1.0)
        assert [run(rates.headroom, n) for n in (10, WINDOW, WINDOW + 10)] == [1, 2, 3]


class TestClosed:
    def test_nobody_comes_before_the_provider_said(self, run: Callable[..., Any]) -> None:
        run(rates.close, 0, 30.0)
        run(rates.close, 0, 10.0)
        assert run(rates.headroom, 5) == 0
        assert run(rates.reserve, 5, 10.0) == (False, 25.0)
        assert run(rates.reserve, 5, 60.0, 1) == (False, 25.0)
        assert run(rates.reserve, 5, 60.0) == (True, 25.0)
        assert run(rates.headroom, 30) == 2
        assert run(rates.reserve, 30, 1.0) == (True, 0.0)


class TestClocks:
    def test_a_clock_that_was_set_back_an_hour(self, run: Callable[..., Any]) -> None:
        for _ in range(3):
            run(rates.reserve, 3600, 1.0)
        run(rates.close, 3600, 5.0)
        assert run(rates.reserve, 0, 1.0) == (False, WINDOW)
        assert run(rates.reserve, 2, 1.0) == (False, WINDOW - 2)
        assert run(rates.reserve, WINDOW, 1.0) == (True, 0.0)

    def test_a_clock_that_is_a_little_behind_anothers_is_not_one_that_was_set_back(
        self, run: Callable[..., Any]
    ) -> None:
        for _ in range(3):
            run(rates.reserve, 10, 1.0)
        assert run(rates.reserve, 7, 1.0) == (False, WINDOW + 3)
        assert run(rates.reserve, 10 + WINDOW, 1.0) == (True, 0.0)

    def test_a_server_tells_the_time_for_all(self, server_database: Database, sqlite_database: Database) -> None:
        found = server_database.transaction(rates.server_time)
        assert found is not None
        assert found.utcoffset() == timedelta(0)
        assert sqlite_database.transaction(rates.server_time) is None


@given(
    st.integers(1, 5),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 40), st.sampled_from("own background close".split()))),
)
def test_whatever_happens_the_limit_holds(requests: int, seconds: int, calls: list[tuple[int, int, str]]) -> None:
    limit, now, closed = RateLimit(requests, seconds), NOW, NOW
    starts = []
    with Database.open("sqlite://", any_schema=True) as database:
        database.transaction(rates.rate_budgets.metadata.create_all)
        for step, patience, what in calls:
            now += timedelta(seconds=step)
            if what == "close":
                database.transaction(lambda c, now=now: rates.close(c, "key", limit, now, 5))  # type: ignore[misc]
                closed = max(closed, now + timedelta(seconds=5))
                continue
            keep_free = requests // 2 if what == "background" else 0

            def work(connection: Any, now: Any = now, patience: int = patience, kept: int = keep_free) -> Any:
                return rates.reserve(connection, "key", limit, now, patience, kept)

            free, wait = database.transaction(work)
            assert free or wait > 0
            if free:
                assert wait == 0 or wait < patience
                assert keep_free == 0 or wait == 0
                starts.append(now + timedelta(seconds=wait))
                assert starts[-1] >= closed
    assert starts == sorted(starts)
    for earlier, later in zip(starts, starts[requests:], strict=False):
        assert later - earlier >= timedelta(seconds=seconds)


_TAKES = """
import json, sys, time
from datetime import UTC, datetime
from gateway.contracts.adapter import RateLimit
from gateway.store import rates
from gateway.store.database import Database

taken = []
with Database.open(sys.argv[1]) as database:
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + 30
    while len(taken) < 15 and time.monotonic() < until:
        free, wait = database.transaction(
            lambda c: rates.reserve(c, "key", RateLimit(10, 0), datetime.now(UTC), 10.0)
        )
        if free:
            time.sleep(wait)
            taken.append(time.time())
print(json.dumps(taken), flush=True)
"""


def test_two_processes_together_keep_to_it(url: str, database: Database, tmp_path: Path) -> None:
    """A window of no time and a margin of a second: ten within any second, whoever sends them."""
    script = tmp_path / "takes.py"
    script.write_text(_TAKES)
    started = [
        subprocess.Popen([sys.executable, str(script), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        told = [process.communicate("go\n", timeout=60)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    sent = sorted(moment for line in told for moment in json.loads(line))
    assert len(sent) == 30
    # Waking up is late by as much as the machine is busy; what counts is that nobody is early.
    assert all(later - earlier > 0.9 for earlier, later in zip(sent, sent[10:], strict=False))
