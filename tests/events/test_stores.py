"""The same on both stores, with several processes' worth of connections at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from events.working import Worker, happen, numbers, shop
from gateway import Event
from gateway.flows import delivering
from gateway.store import events
from gateway.store.database import Database
from support.virtual import START, VirtualClock

PATIENCE = 60.0


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    found: str = request.getfixturevalue("postgres")
    return found


def together(*calls: Callable[[], None]) -> None:
    """All of them at once; raises what one of them raises."""
    raised: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if raised:
        raise raised[0]


def test_the_whole_life_of_deliveries(store: str) -> None:
    clock = VirtualClock()
    seen: list[int] = []
    broken = [True]

    def mail(event: Event) -> None:
        if broken[0] and event.reference == "a":
            raise ValueError("no address")
        seen.append(event.id)

    with shop(store=store, clock=clock, uniform=lambda: 1.0) as worker:
        worker.gw.raw.on("order.*", name="mail", tries=2)(mail)
        worker.gw.raw.on("*", name="later", since=START + timedelta(hours=1))(lambda event: None)
        a1, a2, b1, r1 = happen(worker, "created a", "paid a", "created b", "refund.created r")
        worker.work()
        assert seen == [b1]
        states = {state.name: state for state in worker.gw.events.handlers()}
        assert (states["mail"].waiting, states["mail"].cursor, states["mail"].behind) == (2, r1, 0)
        assert (states["later"].waiting, states["later"].cursor) == (0, r1)
        clock.advance(90)
        worker.work()
        assert [dead.event.id for dead in worker.gw.events.dead()] == [a1]
        assert [state.dead for state in worker.gw.events.handlers() if state.name == "mail"] == [1]
        broken[0] = False
        assert worker.gw.events.replay(handler="mail", events=[a1]) == 1
        clock.advance(90)
        worker.work()
        assert seen == [b1, a1, a2]
        assert numbers(worker.gw.events.since(types=["order.*"], limit=2)) == [a1, a2]
        assert numbers(worker.gw.events.latest(2)) == [b1, r1]


def test_a_cursor_never_passes_an_event_that_comes_later(store: str) -> None:
    """A number is given before the commit: a reader that sees 8 must not find 7 afterwards."""
    many, writers = 40, 4
    ended = threading.Event()
    seen: list[int] = []

    def write() -> None:
        with shop(store=store) as worker:
            for number in range(many):
                happen(worker, f"created cart-{number}", f"paid cart-{number}")

    def read() -> None:
        with Database.open(store) as database:
            while True:
                last = ended.is_set()
                cursor = seen[-1] if seen else 0
                found = database.read(lambda connection, at=cursor: events.since(connection, at, 1000))
                seen.extend(numbers(found))
                if last:
                    return

    def write_all() -> None:
        together(*[write] * writers)
        ended.set()

    with shop(store=store):
        together(write_all, read)
    with Database.open(store) as database:
        everything = numbers(database.read(lambda connection: events.since(connection, 0, 1000)))
    assert len(everything) == 2 * many * writers
    assert seen == everything


def test_workers_at_once_hand_out_each_event_once(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "FAN_OUT", 5)
    called: Counter[tuple[str, int]] = Counter()
    lock = threading.Lock()

    def handler(name: str) -> Callable[[Event], None]:
        def handle(event: Event) -> None:
            with lock:
                called[name, event.id] += 1

        return handle

    def hand_out(worker: Worker) -> None:
        while worker.runner.run(worker.driver.run(delivering.fan_out(worker.core))):
            pass

    with shop(store=store) as one, shop(store=store) as other, shop(store=store) as third:
        for worker in (one, other, third):
            for name in ("books", "mail"):
                worker.gw.raw.on("*", name=name)(handler(name))
        happened = happen(one, *(f"processing cart-{number % 7}" for number in range(60)))
        together(*(lambda worker=worker: hand_out(worker) for worker in (one, other, third)))  # type: ignore[misc]
        assert one.work() == 120
        assert other.work() == third.work() == 0
    assert called == Counter({(name, number): 1 for name in ("books", "mail") for number in happened})
