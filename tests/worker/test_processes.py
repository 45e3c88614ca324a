"""Embedded workers as processes on one SQLite file: one works, and dies in every way."""

from __future__ import annotations

import signal

import pytest

from gateway.store.database import Database
from worker.processes import until, workers
from worker.toys import add, log, overlaps


def names(database: Database, what: str = "end") -> list[str]:
    return [name for name, _, happened, _ in log(database) if happened == what]


def test_the_second_takes_over_when_the_first_is_killed(database: Database, url: str) -> None:
    add(database, [f"ok-{number}" for number in range(20)], lock="order A")
    add(database, ["first-1", "ok-last"], lock="order B")
    with workers(1, url) as (first,):
        first.says("at work on")
        with workers(1, url) as (second,):
            second.says("standing by until it ends")
            until(lambda: len(names(database)) == 20)
            assert {who for *_, who in log(database)} == {first.pid}
            first.kill()
            second.says("taking over")
            until(lambda: names(database)[-1] == "ok-last")
            entries = log(database)
            assert [name for name, _, what, who in entries if what == "end" and who == second.pid] == [
                "first-1",
                "ok-last",
            ]
            assert len(set(names(database))) == 22
            assert overlaps(entries) == 0
            assert second.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_under_way_end(database: Database, url: str, number: int) -> None:
    add(database, ["sleep-1", "sleep-2"])
    with workers(1, url) as (only,):
        until(lambda: len(names(database, "begin")) == 2)
        add(database, [f"ok-{place}" for place in range(9)], lock="lock sleep-1")
        assert only.stop(number) == 0
        assert sorted(names(database)) == ["sleep-1", "sleep-2"]
        assert "stopping: 2 under way" in only.said


def test_a_second_signal_means_at_once(database: Database, url: str) -> None:
    add(database, ["hang-1"])
    with workers(1, url, grace="1h") as (only,):
        until(lambda: names(database, "begin") == ["hang-1"])
        only.process.send_signal(signal.SIGTERM)
        only.says("stopping: 1 under way")
        assert only.stop() == 0
        assert names(database) == []
        assert "toy hang-1 was cut short; it is still due" in only.said
