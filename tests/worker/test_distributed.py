"""Many workers on one PostgreSQL: who does what, who dies, and what the server may do meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from gateway import Gateway
from gateway.config import WorkerSettings
from gateway.engine.drivers import AsyncDriver
from gateway.errors import ConfigurationError
from gateway.store.database import Database
from gateway.store.tables import facts
from gateway.worker import procrastinate as module
from gateway.worker import running
from gateway.worker.distributed import Distributed
from gateway.worker.jobs import Context, Kinds
from gateway.worker.procrastinate import LONGEST_NAME, make_tables, places_of, queue_name
from gateway.worker.runner import Pace
from gateway.worker.stopping import Stop
from support.postgres import PostgresServer
from worker.processes import until, workers
from worker.toys import Toys, add, log, overlaps, toy_kinds
from worker.toys import make_tables as make_toys

QUICK: dict[str, Any] = {"stalled_after": "3s", "concurrency": 4}


@contextmanager
def opened(url: str, **given: Any) -> Iterator[Gateway]:
    with Gateway(store=url, **given) as gateway:
        make_toys(gateway._core.database())
        yield gateway


@pytest.fixture
def gateway(postgres: str) -> Iterator[Gateway]:
    with opened(postgres) as made:
        yield made


@pytest.fixture
def database(gateway: Gateway) -> Database:
    return gateway._core.database()


def names(database: Database, what: str = "end") -> list[str]:
    return [name for name, _, happened, _ in log(database) if happened == what]


def exhaust(gateway: Gateway, kinds: Kinds | None = None, **given: Any) -> Toys:
    """Do what is due, as `run(until_idle=True)` does."""
    toys = Toys()

    async def once() -> None:
        core = gateway._core
        driver = AsyncDriver(core.connection, core.database, committed=core.committed)
        options = {"concurrency": 4, "grace": 5.0, "pace": Pace(soonest=0.01, idle=0.05), **given}
        try:
            async with asyncio.timeout(90):
                context = Context(core, driver)
                await Distributed(context, kinds or toy_kinds(toys), Stop(), until_idle=True, **options).run()
        finally:
            await driver.close()

    asyncio.run(once())
    return toys


class TestUntilIdle:
    def test_everything_is_done_once_by_lock_and_in_order(self, gateway: Gateway, database: Database) -> None:
        for number in range(10):
            add(database, [f"ok-{number}-{place}" for place in range(5)], lock=f"order {number}")
        toys = exhaust(gateway)
        entries = log(database)
        assert len(names(database)) == len(set(names(database))) == 50
        assert overlaps(entries) == 0
        assert toys.most > 1
        for number in range(10):
            of_lock = [name for name, lock, what, _ in entries if what == "end" and lock == f"order {number}"]
            assert of_lock == [f"ok-{number}-{place}" for place in range(5)]

    def test_what_fails_rests_and_holds_nobody_up(self, gateway: Gateway, database: Database) -> None:
        add(database, ["fail-1", "idle-1", "ok-1"], lock="order A")
        exhaust(gateway)
        assert names(database) == ["ok-1"]
        rows = database.read(
            lambda connection: connection.execute(
                text("SELECT lock, args->>'failures', scheduled_at > now() FROM procrastinate_jobs")
            ).all()
        )
        assert [tuple(row) for row in rows] == [(None, "1", True)] * 2

    def test_what_has_rested_is_done_again_and_rests_longer(self, gateway: Gateway, database: Database) -> None:
        add(database, ["fail-1"])
        pauses = []
        for times in range(1, 4):
            exhaust(gateway)
            assert len(names(database, "begin")) == times
            (row,) = database.transaction(
                lambda connection: connection.execute(
                    text("SELECT extract(epoch FROM scheduled_at - now()), args->>'failures' FROM procrastinate_jobs")
                ).all()
            )
            pauses.append(float(row[0]))
            assert row[1] == str(times)
            database.transaction(
                lambda connection: connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now()"))
            )
        assert 0 < pauses[0] <= 1 < pauses[2] <= 4

    def test_jobs_that_have_ended_leave_nothing(self, gateway: Gateway, database: Database) -> None:
        add(database, [f"ok-{number}" for number in range(10)])
        exhaust(gateway)
        for table in ("procrastinate_jobs", "procrastinate_events", "procrastinate_workers"):
            count = text(f"SELECT count(*) FROM {table}")
            assert database.read(lambda connection, count=count: connection.execute(count).scalar_one()) == 0  # type: ignore[misc]

    def test_what_hangs_together_has_its_turn_too(self, gateway: Gateway, database: Database) -> None:
        """More than its group may have at once: the others wait, and are done."""
        add(database, [f"sleep-{number}" for number in range(4)], crowd="slow")
        add(database, ["ok-1"], crowd="quick")
        toys = exhaust(gateway, concurrency=4)
        assert sorted(names(database)) == ["ok-1", "sleep-0", "sleep-1", "sleep-2", "sleep-3"]
        assert toys.most <= 3

    def test_a_job_of_another_version_is_left_alone(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(database, ["ok-1"])
        exhaust(gateway)
        database.transaction(
            lambda connection: connection.execute(
                text(
                    "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES ('gateway', 'gateway', "
                    """'{"kind": "tomorrow", "key": "k", "lock": "l", "group": "", "failures": 0, "rests": false}')"""
                )
            )
        )
        exhaust(gateway)
        assert "tomorrow k is a job of another version" in caplog.text


class TestTables:
    def test_they_are_in_the_store_s_own_schema(self, postgres: str, postgres_server: PostgresServer) -> None:
        with opened(f"{postgres}?schema=shop") as gateway:
            database = gateway._core.database()
            add(database, ["ok-1"])
            exhaust(gateway)
            assert names(database) == ["ok-1"]
            where = text("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'procrastinate%'")
            assert database.read(lambda connection: connection.execute(where).scalars().all()) == ["shop"]

    def test_two_gateways_in_one_database_do_not_touch(self, postgres: str) -> None:
        with opened(f"{postgres}?schema=one") as one, opened(f"{postgres}?schema=two") as two:
            add(one._core.database(), ["ok-1"])
            add(two._core.database(), ["ok-2"])
            exhaust(one)
            assert names(one._core.database()) == ["ok-1"]
            assert names(two._core.database()) == []
            exhaust(two)
            assert names(two._core.database()) == ["ok-2"]

    def test_making_them_again_changes_nothing(self, database: Database) -> None:
        for _ in range(3):
            make_tables(database)
        assert _migration(database) == "03.04.00_50_post_add_retry_failed_job_procedure.sql"

    def test_many_at_once_make_them_once(self, postgres: str) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with Database.open(postgres):
            pass

        def make(_: int) -> str:
            with Database.open(postgres) as mine:
                make_tables(mine)
                return _migration(mine)

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(make, range(4)))) == 1

    def test_a_newer_version_of_the_library_brings_them_up_to_date(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        make_tables(database)
        for name, script in {
            "03.00.00_01_old.sql": "SELECT nonsense",
            "99.01.00_01_pre.sql": "CREATE TABLE newer (n INTEGER); INSERT INTO newer VALUES (1);",
            "99.01.00_50_post.sql": "UPDATE newer SET n = n + 1;",
            "__init__.py": "",
        }.items():
            (tmp_path / name).write_text(script)
        monkeypatch.setattr(module, "MIGRATIONS", tmp_path)
        for _ in range(2):
            make_tables(database)
        assert database.read(lambda connection: connection.execute(text("SELECT n FROM newer")).scalars().all()) == [2]
        assert _migration(database) == "99.01.00_50_post.sql"

    def test_those_of_another_application_are_left_alone(self, database: Database) -> None:
        make_tables(database)
        database.transaction(lambda connection: connection.execute(facts.delete()))
        with pytest.raises(ConfigurationError, match=r"queue of another application.*schema=gateway"):
            make_tables(database)


def _migration(database: Database) -> str:
    found = text("SELECT value FROM facts WHERE name = 'procrastinate'")
    value: Any = database.read(lambda connection: connection.execute(found).scalar_one())
    return str((json.loads(value) if isinstance(value, str) else value)["migration"])


def test_queues_by_handler() -> None:
    assert places_of(["b", "a"]) == ["gateway", "gateway:a", "gateway:b"]
    long = [queue_name("x" * 200), queue_name("x" * 199 + "y")]
    assert len(set(long)) == 2
    assert all(len(name) <= LONGEST_NAME for name in long)


class TestProcesses:
    def test_two_share_the_work(self, database: Database, postgres: str) -> None:
        with workers(2, postgres, **QUICK) as both:
            for each in both:
                each.says("together with others")
            for number in range(20):
                add(database, [f"ok-{number}-{place}" for place in range(5)], lock=f"order {number}")
            until(lambda: len(names(database)) == 100)
            for each in both:
                assert each.stop() == 0
        entries = log(database)
        assert len(set(names(database))) == 100
        assert overlaps(entries) == 0
        assert set(Counter(who for *_, who in entries)) == {each.pid for each in both}

    def test_what_a_killed_one_was_at_is_done_by_the_other_in_order(self, database: Database, postgres: str) -> None:
        add(database, ["first-1", *(f"ok-{number}" for number in range(5))], lock="order A")
        with workers(1, postgres, **QUICK) as (victim,):
            until(lambda: names(database, "begin") == ["first-1"])
            with workers(1, postgres, **QUICK) as (other,):
                other.says("together with others")
                add(database, ["ok-other"], lock="order B")
                until(lambda: names(database) == ["ok-other"])
                victim.kill()  # which was the one to look for what is due
                add(database, ["ok-later"], lock="order C")
                until(lambda: len(names(database)) == 8)
                other.says("has ended without a word: it is done again")
                assert other.stop() == 0
        entries = log(database)
        assert [name for name, lock, what, _ in entries if what == "end" and lock == "order A"] == [
            "first-1",
            *(f"ok-{number}" for number in range(5)),
        ]
        assert [who for name, _, what, who in entries if name == "first-1"] == [victim.pid, other.pid, other.pid]
        assert overlaps(entries) == 0

    def test_a_schedule_is_done_once_by_three(self, database: Database, postgres: str) -> None:
        with workers(3, postgres, **QUICK, ticks=True) as all_three:
            for each in all_three:
                each.says("together with others")
            until(lambda: names(database))
            began, before = time.monotonic(), len(names(database))
            until(lambda: len(names(database)) - before >= 3)
            # Done by each of them, it would have taken a third of the time.
            assert time.monotonic() - began > 1.5
            for each in all_three:
                assert each.stop() == 0

    def test_a_signal_lets_what_is_under_way_end_within_the_grace_time(self, database: Database, postgres: str) -> None:
        add(database, ["sleep-1", "first-1"])
        with workers(1, postgres, **QUICK, grace="2s") as (one,):
            until(lambda: len(names(database, "begin")) == 2)
            add(database, [f"ok-{place}" for place in range(9)], lock="lock sleep-1")
            assert one.stop() == 0
            assert names(database) == ["sleep-1"]
            assert "toy first-1 was cut short; it is still due" in one.said
        with workers(1, postgres, **QUICK) as (two,):
            until(lambda: len(names(database)) == 11)
            assert two.stop() == 0
        assert len(set(names(database))) == 11


class TestTheServer:
    @pytest.mark.parametrize("how", ["restart", "kill"])
    def test_it_is_restarted_in_mid_run(self, other_postgres: PostgresServer, how: str) -> None:
        url = other_postgres.url(other_postgres.create())
        with opened(url) as gateway:
            database = gateway._core.database()
            for number in range(20):
                add(database, [f"ok-{number}-{place}" for place in range(10)], lock=f"order {number}")
            add(database, ["sleep-1"])
            with workers(2, url, **QUICK) as both:
                until(lambda: len(names(database)) > 20)
                if how == "kill":
                    other_postgres.kill()
                    other_postgres.start()
                else:
                    other_postgres.restart()
                until(lambda: len(set(names(database))) == 201)
                for each in both:
                    assert each.stop() == 0
            entries = log(database)
        for number in range(20):
            ends = [name for name, lock, what, _ in entries if what == "end" and lock == f"order {number}"]
            # What was done and could not be acknowledged may be done twice; never out of order.
            assert list(dict.fromkeys(ends)) == [f"ok-{number}-{place}" for place in range(10)]

    def test_it_comes_up_later_than_the_worker(self, other_postgres: PostgresServer) -> None:
        url = other_postgres.url(other_postgres.create())
        with opened(url) as gateway:
            add(gateway._core.database(), ["ok-1"])
        other_postgres.stop()
        with workers(1, url, **QUICK) as (only,):
            only.says("nothing can be done while the store fails")
            other_postgres.start()
            with Database.open(url) as database:
                until(lambda: names(database) == ["ok-1"])
            assert only.stop() == 0

    def test_the_password_is_in_no_log(
        self, gateway: Gateway, database: Database, caplog: pytest.LogCaptureFixture, postgres: str
    ) -> None:
        add(database, ["ok-1"])
        with caplog.at_level(logging.DEBUG):
            exhaust(gateway)
        password = psycopg.conninfo.conninfo_to_dict(postgres)["password"]
        assert names(database) == ["ok-1"]
        assert str(password) not in caplog.text


class TestEmbedded:
    """Without the queue: one works, the others stand by, also where the store is on a server."""

    def test_the_turn_goes_to_the_next_when_the_server_is_restarted(self, other_postgres: PostgresServer) -> None:
        url = other_postgres.url(other_postgres.create())
        with opened(url) as gateway:
            database = gateway._core.database()
            with workers(1, url, backend="embedded", grace="1s") as (first,):
                first.says("at work on")
                with workers(1, url, backend="embedded", grace="1s") as (second,):
                    second.says("standing by")
                    add(database, ["hang-1"])
                    until(lambda: names(database, "begin") == ["hang-1"])
                    other_postgres.restart()
                    first.says("the store's server was lost, and with it the turn of this worker")
                    first.says("toy hang-1 was cut short; it is still due")
                    until(lambda: len(names(database, "begin")) == 2)
                    for number in range(5):
                        add(database, [f"ok-{number}-{place}" for place in range(10)], lock=f"order {number}")
                    until(lambda: len(set(names(database))) == 50)
                    entries = log(database)
                    assert len({who for name, *_, who in entries if name != "hang-1"}) == 1
                    assert overlaps([entry for entry in entries if entry[0] != "hang-1"]) == 0
                    for each in (first, second):
                        assert each.stop() == 0

    def test_it_runs_until_idle(self, gateway: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "all_kinds", lambda core, shared: toy_kinds())
        settings = gateway._core.settings.model_copy(update={"worker": WorkerSettings(backend="embedded")})
        monkeypatch.setattr(gateway._core, "settings", settings)
        add(database, ["ok-1", "ok-2"])
        gateway.run(until_idle=True)
        assert sorted(names(database)) == ["ok-1", "ok-2"]
        there = text("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'procrastinate%'")
        assert database.read(lambda connection: connection.execute(there).scalar_one()) == 0
