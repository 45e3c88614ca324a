"""Handlers called by a real worker: `gw.run()` of both gateways, and the process of `gateway worker --app`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from events.working import happen, numbers, shop
from gateway import Event
from support.colours import Opened, opened

PATIENCE = 30.0


def run(gw: Opened, **given: Any) -> None:
    """`gw.run()` to its end, of either colour."""
    running = gw.raw.run(**given)
    if gw.runner is not None:
        gw.runner.run(running)


def test_sync_and_async_handlers_on_both_gateways(colour: str) -> None:
    seen: list[tuple[str, int]] = []
    with shop(colour) as worker:
        gw = worker.gw.raw

        @gw.on("order.*", name="async")
        async def awaited(event: Event) -> None:
            await asyncio.sleep(0)
            seen.append(("async", event.id))

        @gw.on("order.paid", name="sync")
        def called(event: Event) -> None:
            seen.append(("sync", event.id))

        a1, a2, b1 = happen(worker, "created a", "paid a", "paid b")
        run(worker.gw, until_idle=True)
        assert sorted(seen) == [("async", a1), ("async", a2), ("async", b1), ("sync", a2), ("sync", b1)]
        (more,) = happen(worker, "refunded a")
        run(worker.gw, until_idle=True)
        assert seen[5:] == [("async", more)]


def test_a_hanging_handler_and_a_failing_one_hold_nothing_up(colour: str) -> None:
    gone = threading.Event()
    seen: list[Event] = []

    def hangs(event: Event) -> None:
        assert gone.wait(PATIENCE)

    def fails(event: Event) -> None:
        raise RuntimeError("never")

    try:
        with shop(colour) as worker:
            gw = worker.gw.raw
            gw.on("*", name="hangs", timeout=0.2)(hangs)
            gw.on("*", name="fails")(fails)
            gw.on("*", name="books")(seen.append)
            happened = happen(worker, *(f"created cart-{number}" for number in range(30)))
            run(worker.gw, until_idle=True)
            assert sorted(numbers(seen)) == happened
            states = {state.name: state for state in worker.gw.events.handlers()}
            assert (states["hangs"].waiting, states["fails"].waiting, states["books"].waiting) == (30, 30, 0)
    finally:
        gone.set()


def test_the_next_worker_goes_on_where_one_was_stopped(colour: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'gateway.db'}"
    seen: list[int] = []
    with shop(colour, store=store) as worker:
        happened = happen(worker, *(f"created cart-{number}" for number in range(20)))
        stop = threading.Event()

        def first(event: Event) -> None:
            seen.append(event.id)
            if len(seen) == 5:
                stop.set()

        worker.gw.raw.on("*", name="it")(first)
        run(worker.gw, stop=stop, concurrency=2)
        assert 5 <= len(seen) < 20
    with opened(colour, store=store) as gw:
        gw.raw.on("*", name="it")(lambda event: seen.append(event.id))
        run(gw, until_idle=True)
    assert sorted(seen) == happened, "what was under way was let end, so none is there twice"


APP = """
import os
from gateway import Gateway
gw = Gateway(store={store!r}, accounts={{}})

@gw.on("*", name="it")
def it(event):
    with open({log!r}, "a") as log:
        log.write(f"{{event.id}}\\n")
    if event.type == "order.paid" and os.environ.get("HANG"):
        open({ready!r}, "w").close()
        import time
        time.sleep(300)
"""


@pytest.fixture
def app(tmp_path: Path) -> tuple[Path, str]:
    """A merchant's module, and its store."""
    store = f"sqlite:///{tmp_path / 'gateway.db'}"
    text = APP.format(store=store, log=str(tmp_path / "log"), ready=str(tmp_path / "ready"))
    (tmp_path / "payments.py").write_text(text, encoding="utf-8")
    return tmp_path, store


def command(folder: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "worker", "--app", "payments:gw", *words],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_killed_inside_a_handler(app: tuple[Path, str]) -> None:
    folder, store = app
    with shop(store=store) as worker:
        a1, a2, a3, b1 = happen(worker, "created a", "paid a", "refunded a", "created b")
    with command(folder, HANG="1") as child:
        tick = threading.Event()
        for _ in range(int(PATIENCE / 0.05)):
            if (folder / "ready").exists() or child.poll() is not None:
                break
            tick.wait(0.05)
        assert (folder / "ready").exists()
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE)
    with command(folder, "--until-idle") as child:
        said, _ = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0, said
    seen = list(map(int, (folder / "log").read_text().split()))
    of_a = [number for number in seen if number != b1]
    assert of_a == [a1, a2, a2, a3], "again with what was under way, in order, and nothing lost"
    assert seen.count(b1) in (1, 2)


def test_a_worker_whose_handler_hangs_can_be_stopped(app: tuple[Path, str]) -> None:
    """Its thread does not keep the process from ending."""
    folder, store = app
    with shop(store=store) as worker:
        happen(worker, "paid a")
    with command(folder, HANG="1", GATEWAY_WORKER='{"grace": "1s"}') as child:
        tick = threading.Event()
        for _ in range(int(PATIENCE / 0.05)):
            if (folder / "ready").exists() or child.poll() is not None:
                break
            tick.wait(0.05)
        child.send_signal(signal.SIGTERM)
        said, _ = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0, said
    with shop(store=store) as worker:
        (state,) = worker.gw.events.handlers()
        assert (state.name, state.waiting) == ("it", 1)
