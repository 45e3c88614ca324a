"""`run()` of both gateways: what it is told with, what it gives back, and what it leaves alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import AsyncGateway, Gateway
from gateway.config import load_settings
from gateway.core import Core
from gateway.errors import ConfigurationError, Conflict, InvalidRequest
from gateway.store.database import Database
from gateway.worker import running
from gateway.worker.jobs import Kinds
from gateway.worker.runner import LANE
from support.colours import COLOURS, Opened, opened
from worker.processes import until
from worker.toys import Toys, add, log, make_tables, toy_kinds


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Toys:
    """The toys are all the jobs that there are."""
    made = Toys()

    def kinds(core: Core, *, shared: bool) -> Kinds:
        return toy_kinds(made)

    monkeypatch.setattr(running, "all_kinds", kinds)
    return made


@pytest.fixture(params=COLOURS)
def gw(request: pytest.FixtureRequest, url: str, toys: Toys) -> Iterator[Opened]:
    with opened(request.param, store=url) as gateway:
        make_tables(gateway.core.database())
        yield gateway


def done(database: Database) -> list[str]:
    return [name for name, _, what, _ in log(database) if what == "end"]


class TestBothColours:
    def test_until_idle(self, gw: Opened) -> None:
        database = gw.core.database()
        add(database, [f"ok-{number}" for number in range(5)])
        gw_run(gw, until_idle=True)
        assert sorted(done(database)) == [f"ok-{number}" for number in range(5)]

    def test_an_event_that_is_set_stops_it(self, gw: Opened) -> None:
        stop = threading.Event()
        database = gw.core.database()
        add(database, ["ok-1"])

        def stopping() -> None:
            until(lambda: done(database) == ["ok-1"])
            stop.set()

        other = threading.Thread(target=stopping)
        other.start()
        gw_run(gw, stop=stop)
        other.join()
        assert done(database) == ["ok-1"]

    def test_it_can_be_run_again(self, gw: Opened) -> None:
        database = gw.core.database()
        for name in ("ok-1", "ok-2"):
            add(database, [name])
            gw_run(gw, until_idle=True)
        assert done(database) == ["ok-1", "ok-2"]

    def test_concurrency_wins_over_the_settings(self, gw: Opened, toys: Toys) -> None:
        add(gw.core.database(), [f"ok-{number}" for number in range(10)])
        gw_run(gw, until_idle=True, concurrency=1)
        assert toys.most == 1

    @pytest.mark.parametrize("wrong", [0, -1])
    def test_no_places_are_refused(self, gw: Opened, wrong: int) -> None:
        with pytest.raises(InvalidRequest, match="concurrency is a whole number above zero"):
            gw_run(gw, until_idle=True, concurrency=wrong)

    def test_another_worker(self, gw: Opened) -> None:
        gw.core.database().enter_lane(LANE, 0)
        with pytest.raises(Conflict, match="another worker"):
            gw_run(gw, until_idle=True)

    def test_a_backend_that_the_store_has_not(self, gw: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load_settings(store="sqlite://", worker={"backend": "procrastinate"})
        monkeypatch.setattr(gw.core, "settings", settings)
        with pytest.raises(ConfigurationError, match="procrastinate needs a store on PostgreSQL"):
            gw_run(gw, until_idle=True)


def gw_run(gw: Opened, **given: Any) -> None:
    """`run` of the gateway itself: `Opened.run` is another one."""
    if gw.runner is None:
        gw.raw.run(**given)
    else:
        gw.runner.run(gw.raw.run(**given))


class TestBlocking:
    def test_sigterm_stops_it_and_the_handler_from_before_is_back(self, url: str, toys: Toys) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with Gateway(store=url) as gateway:
            database = gateway._core.database()
            make_tables(database)
            add(database, ["ok-1"])

            def kill() -> None:
                until(lambda: done(database) == ["ok-1"])
                os.kill(os.getpid(), signal.SIGTERM)

            other = threading.Thread(target=kill)
            other.start()
            gateway.run()
            other.join()
        assert signal.getsignal(signal.SIGTERM) is before

    def test_in_a_thread_signals_are_left_alone(self, url: str, toys: Toys) -> None:
        before = signal.getsignal(signal.SIGTERM)
        stop = threading.Event()
        with Gateway(store=url) as gateway:
            make_tables(gateway._core.database())
            add(gateway._core.database(), ["ok-1"])
            thread = threading.Thread(target=gateway.run, kwargs={"stop": stop})
            thread.start()
            until(lambda: done(gateway._core.database()) == ["ok-1"])
            assert signal.getsignal(signal.SIGTERM) is before
            stop.set()
            thread.join(60)
            assert not thread.is_alive()

    def test_not_inside_an_event_loop(self, url: str, toys: Toys) -> None:
        async def inside() -> None:
            with Gateway(store=url) as gateway, pytest.raises(InvalidRequest, match="use AsyncGateway here"):
                gateway.run(until_idle=True)

        asyncio.run(inside())

    def test_calls_go_on_beside_it(self, url: str, toys: Toys) -> None:
        stop = threading.Event()
        with Gateway(store=url) as gateway:
            make_tables(gateway._core.database())
            thread = threading.Thread(target=gateway.run, kwargs={"stop": stop})
            thread.start()
            for _ in range(20):
                assert list(gateway.orders.list()) == []
            stop.set()
            thread.join(60)
            assert not thread.is_alive()


class TestAwaited:
    def test_as_a_task_of_a_web_application(self, url: str, toys: Toys) -> None:
        async def application() -> None:
            async with AsyncGateway(store=url) as gateway:
                database = gateway._core.database()
                make_tables(database)
                worker = asyncio.create_task(gateway.run())
                add(database, ["sleep-1"])
                async with asyncio.timeout(60):
                    while not log(database):  # noqa: ASYNC110 - it is a table
                        await asyncio.sleep(0.01)
                worker.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await worker
                assert done(database) == ["sleep-1"]

        asyncio.run(application())

    def test_an_event_of_the_loop_stops_it(self, url: str, toys: Toys) -> None:
        async def application() -> None:
            stop = asyncio.Event()
            async with AsyncGateway(store=url) as gateway, asyncio.timeout(60):
                make_tables(gateway._core.database())
                worker = asyncio.create_task(gateway.run(stop=stop))
                await asyncio.sleep(0.05)
                assert not worker.done()
                stop.set()
                await worker

        asyncio.run(application())


class TestBackend:
    @pytest.mark.parametrize(
        ("store", "backend", "expected"),
        [
            ("sqlite:///gateway.db", "auto", "embedded"),
            ("sqlite://", "embedded", "embedded"),
            ("postgresql://db/shop", "embedded", "embedded"),
            ("postgresql://db/shop", "auto", "procrastinate"),
            ("postgresql+psycopg://db/shop", "procrastinate", "procrastinate"),
        ],
    )
    def test_it_follows_from_the_store(self, store: str, backend: str, expected: str) -> None:
        assert running.chosen_backend(_core(store, backend)) == expected

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setitem(sys.modules, "procrastinate", None)
        assert running.chosen_backend(_core("postgresql://db/shop", "auto")) == "embedded"
        assert "pip install 'crypto-gateway[worker]'" in caplog.text
        with pytest.raises(ConfigurationError, match=r"not installed — pip install 'crypto-gateway\[worker\]'"):
            running.chosen_backend(_core("postgresql://db/shop", "procrastinate"))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"backend": "celery"},
            {"concurrency": 0},
            {"grace": 30},
            {"stalled_after": "1s"},
            {"threads": 3},
        ],
    )
    def test_settings_that_cannot_be(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match=f"worker.{next(iter(wrong))}"):
            load_settings(worker=wrong)


def _core(store: str, backend: str) -> Any:
    return SimpleNamespace(settings=load_settings(store=store, worker={"backend": backend}))


def test_a_worker_is_not_what_an_import_pays_for() -> None:
    code = "import sys, gateway.api; print(sorted(m for m in sys.modules if m.startswith('gateway.worker')))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert ended.stdout == "[]\n"
