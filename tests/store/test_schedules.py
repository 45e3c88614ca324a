"""What is done at fixed intervals is done once, whoever is first; a clock that jumps leaves nothing out for long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from gateway.store import schedules
from gateway.store.database import Database
from store.samples import NOW

HOUR = timedelta(hours=1)
EVERY = {"reconcile shop": HOUR, "prune": timedelta(days=1)}


def due(database: Database, hours: float = 0, limit: int = 10) -> list[str]:
    now = NOW + timedelta(hours=hours)
    return database.read(lambda connection: schedules.due(connection, EVERY, now, limit))


def take(database: Database, hours: float = 0, name: str = "reconcile shop") -> bool:
    now = NOW + timedelta(hours=hours)
    return database.transaction(lambda connection: schedules.take(connection, name, EVERY[name], now))


def test_the_first_time_is_at_once(database: Database) -> None:
    assert due(database) == ["reconcile shop", "prune"]
    assert due(database, limit=1) == ["reconcile shop"]
    assert take(database)
    assert due(database) == ["prune"]
    assert not take(database)


def test_the_first_time_after_the_interval(database: Database) -> None:
    for hours, taken in ((0, False), (0.5, False), (1, True), (1.5, False)):
        now = NOW + timedelta(hours=hours)
        assert taken is database.transaction(
            lambda connection, now=now: schedules.take(connection, "reconcile shop", HOUR, now, at_once=False)  # type: ignore[misc]
        )


def test_again_after_the_interval(database: Database) -> None:
    assert take(database)
    assert not take(database, 0.99)
    assert "reconcile shop" not in due(database, 0.99)
    assert "reconcile shop" in due(database, 1)
    assert take(database, 1)


def test_the_phase_is_kept_and_what_was_missed_is_not_made_up_for(database: Database) -> None:
    assert take(database)
    assert take(database, 5.5)
    assert not take(database, 5.9)
    assert take(database, 6)


def test_what_waits_longest_comes_first(database: Database) -> None:
    assert take(database)
    assert take(database, name="prune")
    assert due(database, 30) == ["reconcile shop", "prune"]
    assert take(database, 24.5)
    assert due(database, 30) == ["prune", "reconcile shop"]


def test_a_clock_that_is_set_back_or_a_shorter_interval_puts_nothing_off_for_long(database: Database) -> None:
    assert take(database, 10)
    assert "reconcile shop" in due(database, 9)
    assert take(database, 9)
    assert not take(database, 9.5)
    assert take(database, 10)


def test_what_is_not_done_any_more_is_not_due(database: Database) -> None:
    assert database.read(lambda connection: schedules.due(connection, {}, NOW, 10)) == []


def test_of_many_one_takes_it(database: Database) -> None:
    for hours in (0, 1, 2):
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lambda _, hours=hours: take(database, hours), range(8))) == 1  # type: ignore[misc]
