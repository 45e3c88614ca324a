"""The embedded runner: what it does at once, what it never does at once, and what does not end it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway import Gateway
from gateway.engine.drivers import AsyncDriver
from gateway.engine.effects import transact
from gateway.errors import Conflict, StoreError
from gateway.observation import Record
from gateway.store.database import Database
from gateway.worker.jobs import Context, Due, Kind, Kinds
from gateway.worker.runner import LANE, Looks, Pace, Runner
from gateway.worker.stopping import Stop
from worker.toys import Toys, add, log, overlaps, toy_kinds

QUICK = Pace(soonest=0.01, idle=0.05, standby=0.02, trouble=0.1, patience=0.2, cancelling=0.2)
PATIENCE = 60

Body = Callable[["Running"], Awaitable[None]]


class Running:
    """A runner under way in this loop, and what the test does beside it."""

    def __init__(self, gateway: Gateway, kinds: Kinds, toys: Toys, **given: Any) -> None:
        core = gateway._core
        self.database = core.database()
        self.toys = toys
        self.stop = Stop()
        self.driver = AsyncDriver(core.connection, core.database, committed=core.committed)
        options = {"concurrency": 4, "grace": 5.0, "pace": QUICK, **given}
        self.runner = Runner(Context(core, self.driver), kinds, self.stop, **options)

    async def until(self, condition: Callable[[list[tuple[str, str, str, str]]], bool]) -> None:
        """Until the log is so."""
        async with asyncio.timeout(PATIENCE):
            while not condition(await asyncio.to_thread(log, self.database)):  # noqa: ASYNC110 - it is a table
                await asyncio.sleep(0.005)


def run(gateway: Gateway, body: Body, *, kinds: Kinds | None = None, **given: Any) -> Running:
    """Have a runner work while `body` runs; then stop it."""

    async def both() -> Running:
        toys = Toys()
        running = Running(gateway, kinds or toy_kinds(toys), toys, **given)
        task = asyncio.create_task(running.runner.run())
        try:
            await body(running)
        finally:
            running.stop.ask()
            async with asyncio.timeout(PATIENCE):
                await task
            await running.driver.close()
        return running

    return asyncio.run(both())


def run_until_idle(gateway: Gateway, kinds: Kinds | None = None, **given: Any) -> Running:
    async def once() -> Running:
        toys = Toys()
        running = Running(gateway, kinds or toy_kinds(toys), toys, until_idle=True, **given)
        try:
            async with asyncio.timeout(PATIENCE):
                await running.runner.run()
        finally:
            await running.driver.close()
        return running

    return asyncio.run(once())


def names(entries: list[tuple[str, str, str, str]], what: str = "end") -> list[str]:
    return [name for name, _, happened, _ in entries if happened == what]


@contextmanager
def observed(gateway: Gateway) -> Iterator[list[Record]]:
    records: list[Record] = []
    gateway.observe(records.append)
    yield records


class TestUntilIdle:
    def test_everything_that_is_due_is_done_once(self, gateway: Gateway, database: Database) -> None:
        add(database, [f"ok-{number}" for number in range(250)])
        running = run_until_idle(gateway)
        done = names(log(database))
        assert sorted(done) == sorted({f"ok-{number}" for number in range(250)})
        assert 1 < running.toys.most <= 4

    def test_what_the_jobs_make_due_is_done_too(self, gateway: Gateway, database: Database) -> None:
        kinds = toy_kinds()

        async def begets(context: Context, name: str) -> object:
            await kinds["toy"].run(context, name)
            number = int(name.removeprefix("ok-"))
            if number < 5:
                await asyncio.to_thread(add, context.core.database(), [f"ok-{number + 1}"])
            return True

        add(database, ["ok-0"])
        run_until_idle(gateway, {"toy": Kind("toy", kinds["toy"].due, begets)})
        assert names(log(database)) == [f"ok-{number}" for number in range(6)]

    def test_nothing_due_ends_at_once(self, gateway: Gateway, database: Database) -> None:
        run_until_idle(gateway)
        assert log(database) == []

    def test_what_fails_is_not_waited_for(self, gateway: Gateway, database: Database) -> None:
        add(database, ["fail-1", "crash-1", "idle-1", "ok-1"])
        with observed(gateway) as records:
            run_until_idle(gateway)
        # What finds nothing to do is looked at twice: somebody else may just have done it.
        assert sorted(names(log(database), "begin")) == ["crash-1", "fail-1", "idle-1", "idle-1", "ok-1"]
        assert names(log(database)) == ["ok-1"]
        told = {record.subject: (record.kind, record.operation, record.outcome, record.error) for record in records}
        assert told == {
            "ok-1": ("job", "toy", "done", None),
            "fail-1": ("job", "toy", "failed", "InvalidRequest"),
            "crash-1": ("job", "toy", "failed", "ZeroDivisionError"),
        }

    def test_many_that_fail_do_not_hide_what_can_be_done(self, gateway: Gateway, database: Database) -> None:
        add(database, [f"fail-{number}" for number in range(3 * Looks.BATCH)])
        add(database, ["ok-1"])
        run_until_idle(gateway)
        assert names(log(database)) == ["ok-1"]

    def test_another_worker_is_at_it(self, gateway: Gateway, database: Database) -> None:
        add(database, ["ok-1"])
        token = database.enter_lane(LANE, 0)
        with pytest.raises(Conflict, match="another worker is at work on this store") as caught:
            run_until_idle(gateway)
        assert caught.value.retryable
        assert log(database) == []
        database.leave_lane(token)
        run_until_idle(gateway)
        assert names(log(database)) == ["ok-1"]

    def test_the_lane_is_left_at_the_end(self, gateway: Gateway, database: Database) -> None:
        run_until_idle(gateway)
        token = database.try_lane(LANE)
        assert token is not None


class TestLocks:
    def test_one_at_a_time_and_in_order_of_a_lock(self, gateway: Gateway, database: Database) -> None:
        for number in range(20):
            add(database, [f"ok-{number:02}-{place}" for place in range(5)], lock=f"order {number}")
        running = run_until_idle(gateway)
        entries = log(database)
        assert overlaps(entries) == 0
        assert running.toys.most > 1
        for number in range(20):
            of_lock = [name for name, lock, what, _ in entries if what == "end" and lock == f"order {number}"]
            assert of_lock == [f"ok-{number:02}-{place}" for place in range(5)]

    def test_a_lock_that_is_held_holds_no_other_back(self, gateway: Gateway, database: Database) -> None:
        add(database, ["gate-1", "ok-1", "ok-2"], lock="order A")
        add(database, ["ok-3"], lock="order B")

        async def body(running: Running) -> None:
            await running.until(lambda entries: "ok-3" in names(entries))
            assert names(log(database), "begin") == ["gate-1", "ok-3"]
            running.toys.gate.set()
            await running.until(lambda entries: len(names(entries)) == 4)

        run(gateway, body)
        assert names(log(database)) == ["ok-3", "gate-1", "ok-1", "ok-2"]


class TestPlaces:
    @pytest.mark.parametrize("places", [1, 3])
    def test_no_more_at_once_than_there_are_places(self, gateway: Gateway, database: Database, places: int) -> None:
        add(database, [f"ok-{number}" for number in range(30)])
        for number in range(30, 60):
            add(database, [f"ok-{number}"], crowd=f"{number}")
        assert run_until_idle(gateway, concurrency=places).toys.most == places

    def test_what_hangs_together_never_takes_all_places(self, gateway: Gateway, database: Database) -> None:
        add(database, [f"gate-{number}" for number in range(200)], crowd="a handler that hangs")
        add(database, ["ok-1", "ok-2"], crowd="another")

        async def body(running: Running) -> None:
            await running.until(lambda entries: len(names(entries)) == 2)
            assert len([name for name in names(log(database), "begin") if name.startswith("gate")]) == 2
            running.toys.gate.set()

        run(gateway, body)


class TestRunningOn:
    def test_it_wakes_when_this_process_commits(self, gateway: Gateway, database: Database) -> None:
        """The pace is far slower than the test's patience, so only the signal can have woken it."""

        async def body(running: Running) -> None:
            await asyncio.sleep(0.05)
            for number in range(3):
                await asyncio.to_thread(
                    gateway._run,
                    transact(lambda connection, n=number: _insert(connection, f"ok-{n}")),  # type: ignore[misc]
                )
                await running.until(lambda entries, n=number: f"ok-{n}" in names(entries))  # type: ignore[misc]

        run(gateway, body, pace=Pace(soonest=1000, idle=1000))

    def test_it_finds_what_others_commit(self, gateway: Gateway, database: Database, url: str) -> None:
        async def body(running: Running) -> None:
            await asyncio.sleep(0.05)
            with Database.open(url) as other:
                await asyncio.to_thread(add, other, ["ok-1"])
            await running.until(lambda entries: names(entries) == ["ok-1"])

        run(gateway, body)

    def test_idle_it_looks_less_and_less_often(self, gateway: Gateway, database: Database) -> None:
        looks: list[float] = []

        def due(core: Any, connection: Connection, now: Any, limit: int) -> list[Due]:
            looks.append(core.clock.monotonic())
            return []

        async def never(context: Context, key: str) -> None:
            raise AssertionError

        async def body(running: Running) -> None:
            async with asyncio.timeout(PATIENCE):
                while len(looks) < 20:  # noqa: ASYNC110 - a thread looks
                    await asyncio.sleep(0.01)

        run(gateway, body, kinds={"none": Kind("none", due, never)}, pace=Pace(soonest=0.005, idle=0.3))
        assert looks[19] - looks[18] >= 0.29
        assert looks[5] - looks[0] < 5 * 0.3

    def test_a_failing_job_rests_longer_every_time(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(database, ["fail-1"])

        async def body(running: Running) -> None:
            rests = running.runner._rests
            for times in (1, 2, 3):
                await running.until(lambda entries, n=times: len(names(entries, "begin")) == n)  # type: ignore[misc]
                async with asyncio.timeout(PATIENCE):
                    while not rests.rests("toy", "fail-1"):  # noqa: ASYNC110
                        await asyncio.sleep(0.002)
                rest = rests._kinds["toy"]["fail-1"]
                assert rest.times == times
                rest.until = 0
                running.runner._wake.set()

        with caplog.at_level(logging.WARNING):
            run(gateway, body)
        assert "toy fail-1 failed and is done again later: it is a toy that fails" in caplog.text

    def test_a_mistake_in_finding_what_is_due_keeps_nobody_from_the_rest(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        def mistaken(core: Any, connection: Connection, now: Any, limit: int) -> list[Due]:
            raise ZeroDivisionError

        async def never(context: Context, key: str) -> None:
            raise AssertionError

        add(database, [f"ok-{number}" for number in range(20)])
        run_until_idle(gateway, {"wrong": Kind("wrong", mistaken, never), **toy_kinds()})
        assert len(names(log(database))) == 20
        assert 0 < caplog.text.count("what is due of wrong cannot be told") < 6

    def test_a_mistake_in_a_job_is_logged_with_its_place(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(database, ["crash-1", "ok-1"])
        run_until_idle(gateway)
        assert names(log(database)) == ["ok-1"]
        (record,) = [record for record in caplog.records if record.exc_info]
        assert record.getMessage() == "toy crash-1 failed and is done again later"


class TestStopping:
    def test_what_is_under_way_may_end(self, gateway: Gateway, database: Database) -> None:
        add(database, ["sleep-1", "sleep-2"])
        add(database, [f"ok-{number}" for number in range(20)], lock="lock sleep-1")

        async def body(running: Running) -> None:
            await running.until(lambda entries: len(names(entries, "begin")) == 2)

        run(gateway, body)
        assert sorted(names(log(database))) == ["sleep-1", "sleep-2"]

    def test_after_the_grace_time_it_is_cut_short_and_stays_due(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(database, ["gate-1"])

        async def body(running: Running) -> None:
            await running.until(lambda entries: names(entries, "begin") == ["gate-1"])

        running = run(gateway, body, grace=0.05)
        assert running.toys.cancelled == ["gate-1"]
        assert names(log(database)) == []
        assert "1 could not be finished in time and are still due" in caplog.text
        token = database.try_lane(LANE)
        assert token is not None
        database.leave_lane(token)
        database.transaction(lambda connection: connection.exec_driver_sql("UPDATE toys SET name = 'ok-1'"))
        run_until_idle(gateway)
        assert names(log(database)) == ["ok-1"]

    def test_what_cannot_be_cut_short_is_named(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(database, ["stubborn-1"])

        async def body(running: Running) -> None:
            await running.until(lambda entries: names(entries, "begin") == ["stubborn-1"])

        run(gateway, body, grace=0.05)
        assert "toy stubborn-1 hangs" in caplog.text

    def test_asked_twice_it_hurries(self, gateway: Gateway, database: Database) -> None:
        add(database, ["hang-1"])

        async def body(running: Running) -> None:
            await running.until(lambda entries: names(entries, "begin") == ["hang-1"])
            running.stop.ask()
            await asyncio.sleep(0.05)
            assert running.toys.cancelled == []
            running.stop.ask()

        assert run(gateway, body, grace=1000).toys.cancelled == ["hang-1"]

    def test_a_cancelled_task_ends_it_in_the_same_way(self, gateway: Gateway, database: Database) -> None:
        add(database, ["sleep-1"])

        async def cancelled() -> None:
            toys = Toys()
            running = Running(gateway, toy_kinds(toys), toys)
            task = asyncio.create_task(running.runner.run())
            await running.until(lambda entries: names(entries, "begin") == ["sleep-1"])
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await running.driver.close()

        asyncio.run(cancelled())
        assert names(log(database)) == ["sleep-1"]
        assert database.try_lane(LANE) is not None

    def test_while_standing_by(self, gateway: Gateway, database: Database) -> None:
        add(database, ["ok-1"])
        token = database.enter_lane(LANE, 0)

        async def body(running: Running) -> None:
            await asyncio.sleep(0.1)

        run(gateway, body)
        assert log(database) == []
        database.leave_lane(token)


class TestTheStore:
    def test_a_second_worker_takes_over_when_the_first_has_left(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(database, ["ok-1"])
        token = database.enter_lane(LANE, 0)

        async def body(running: Running) -> None:
            await asyncio.sleep(0.1)
            assert log(database) == []
            database.leave_lane(token)
            await running.until(lambda entries: names(entries) == ["ok-1"])

        with caplog.at_level(logging.INFO, "gateway.worker"):
            run(gateway, body)
        told = [record.getMessage() for record in caplog.records if record.name == "gateway.worker"]
        assert told == [
            "another worker is at work on this store: standing by until it ends",
            "the other worker has ended: taking over",
            f"at work on {database.name}, 4 jobs at once",
        ]

    def test_a_store_that_fails_for_a_while_is_survived(
        self, gateway: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        read, failures = database.read, 5

        def failing(work: Any) -> Any:
            nonlocal failures
            if failures and "find" in work.__qualname__:
                failures -= 1
                raise StoreError("another process holds it", retryable=True)
            return read(work)

        monkeypatch.setattr(database, "read", failing)
        add(database, ["ok-1"])

        async def body(running: Running) -> None:
            await running.until(lambda entries: names(entries) == ["ok-1"])

        run(gateway, body)
        told = [record.getMessage() for record in caplog.records if record.name == "gateway.worker"]
        expected = "nothing can be done while the store fails, trying again: another process holds it"
        assert told == [expected] * 3 + ["the store can be used again"]

    def test_a_store_that_stays_broken_ends_the_worker(
        self, gateway: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(work: Any) -> Any:
            raise StoreError("the file was deleted while it was open")

        monkeypatch.setattr(database, "read", broken)

        async def waits() -> None:
            toys = Toys()
            running = Running(gateway, toy_kinds(toys), toys)
            async with asyncio.timeout(PATIENCE):
                await running.runner.run()

        with pytest.raises(StoreError, match="deleted"):
            asyncio.run(waits())
        assert database.try_lane(LANE) is not None

    def test_a_transaction_of_another_process_is_waited_for(self, gateway: Gateway, database: Database) -> None:
        add(database, ["ok-1"])
        other = sqlite3.connect(database.name, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")

        async def body(running: Running) -> None:
            await asyncio.sleep(0.2)
            assert running.toys.now == 1
            assert other.execute("SELECT count(*) FROM toy_log").fetchone() == (0,)
            other.execute("ROLLBACK")
            await running.until(lambda entries: names(entries) == ["ok-1"])

        run(gateway, body)
        other.close()

    def test_a_clock_that_is_set_back_makes_nothing_wait(self, gateway: Gateway) -> None:
        class Clock:
            hours, ticks = 0, 0.0

            def now(self) -> Any:
                from datetime import UTC, datetime, timedelta

                return datetime(2025, 6, 1, 12, tzinfo=UTC) + timedelta(hours=self.hours, seconds=self.ticks)

            def monotonic(self) -> float:
                return self.ticks

        clock = Clock()
        gateway._core.clock = clock
        looks = Looks(gateway._core, {})
        first = looks._now()
        clock.hours, clock.ticks = -1, 10.0
        assert (looks._now() - first).total_seconds() == 10
        clock.hours = 2
        assert (looks._now() - first).total_seconds() == 2 * 3600 + 10
        looks.close()


def _insert(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(f"INSERT INTO toys VALUES ('{name}', '{name}', '', 1, 0)")
