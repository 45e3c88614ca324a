"""Delivering: at least once, in order for each subject, and what fails or hangs holds nothing else up."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest

from events.working import Worker, happen, numbers, shop
from gateway import Event
from gateway.errors import InvalidRequest, NotFound
from gateway.events import calling
from gateway.flows import delivering
from gateway.observation import Record
from gateway.secrets import Secret
from support.toy import KEY, account
from support.virtual import START, VirtualClock

PATIENCE = 10.0
A_MOMENT = 0.05


def virtual(colour: str, clock: VirtualClock, **given: Any) -> Any:
    """With the longest pauses that there can be, so that they are known."""
    return shop(colour, clock=clock, uniform=lambda: 1.0, **given)


# What a handler begins with


def test_what_happened_before_the_first_worker_ran_is_not_lost(colour: str, tmp_path: Any) -> None:
    seen: list[Event] = []
    store = f"sqlite:///{tmp_path / 'gateway.db'}"
    with shop(colour, store=store) as worker:
        happened = happen(worker, "created a", "paid a")
    with shop(colour, store=store) as worker:
        worker.gw.raw.on("*", name="mail")(seen.append)
        assert worker.work() == 2
        assert numbers(seen) == happened
        assert worker.work() == 0
    with shop(colour, store=store) as worker:
        worker.gw.raw.on("*", name="mail")(seen.append)
        assert worker.work() == 0, "what was done is not done again"
        worker.gw.raw.on("*", name="renamed")(seen.append)
        assert worker.work() == 2, "another name is another handler"


def test_a_handler_that_comes_later_may_leave_out_what_was_before(colour: str) -> None:
    clock = VirtualClock()
    seen: dict[str, list[Event]] = {"beginning": [], "now": [], "noon": [], "later": []}
    with virtual(colour, clock) as worker:
        (first,) = happen(worker, "created a")
        clock.advance(3600)
        (second,) = happen(worker, "paid a")
        gw = worker.gw.raw
        gw.on("*", name="beginning")(seen["beginning"].append)
        gw.on("*", name="now", since="now")(seen["now"].append)
        gw.on("*", name="noon", since=START + timedelta(minutes=1))(seen["noon"].append)
        gw.on("*", name="later", since=START + timedelta(hours=2))(seen["later"].append)
        worker.work()
        (third,) = happen(worker, "refunded a")
        worker.work()
    assert {name: numbers(events) for name, events in seen.items()} == {
        "beginning": [first, second, third],
        "now": [third],
        "noon": [second, third],
        "later": [third],
    }


def test_more_events_than_are_handed_out_at_once(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "FAN_OUT", 7)
    monkeypatch.setattr(delivering, "IN_A_ROW", 3)
    seen: list[Event] = []
    with shop(colour) as worker:
        worker.gw.raw.on("*", name="all")(seen.append)
        happened = happen(worker, *(f"processing cart-{number % 5}" for number in range(50)))
        assert worker.work() == 50
    assert sorted(numbers(seen)) == happened


# Order


def test_events_of_one_order_come_in_order_whatever_fails(colour: str) -> None:
    """Every handler fails at a third of its calls; still each sees each order's events in order, none left out."""
    chance = random.Random(4)
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    clock = VirtualClock()

    def handle(name: str, event: Event) -> None:
        assert not seen[name, event.subject] or seen[name, event.subject][-1] < event.id
        if chance.random() < 0.33:
            raise RuntimeError("not now")
        seen[name, event.subject].append(event.id)

    with virtual(colour, clock) as worker:

        async def awaited(event: Event) -> None:
            await asyncio.sleep(0)
            handle("async", event)

        worker.gw.raw.on("*", name="async", tries=1000)(awaited)
        worker.gw.raw.on("*", name="sync", tries=1000)(lambda event: handle("sync", event))
        happened = happen(worker, *(f"processing cart-{chance.randrange(8)}" for _ in range(60)))
        expected = defaultdict(list)
        for event in worker.gw.events.since():
            for name in ("async", "sync"):
                expected[name, event.subject].append(event.id)
        assert sum(map(len, expected.values())) == 2 * len(happened)
        for _ in range(200):
            worker.work()
            if seen == expected:
                break
            clock.advance(86_400)
    assert seen == expected


def test_a_failure_holds_back_its_order_and_nothing_else(colour: str) -> None:
    seen: list[tuple[str, int]] = []
    clock = VirtualClock()
    broken = [True]

    def mail(event: Event) -> None:
        if broken[0] and event.reference == "a":
            raise ConnectionError("no mail server")
        seen.append(("mail", event.id))

    with virtual(colour, clock) as worker:
        worker.gw.raw.on("*", name="mail")(mail)
        worker.gw.raw.on("*", name="books")(lambda event: seen.append(("books", event.id)))
        a1, b1, a2 = happen(worker, "created a", "created b", "paid a")
        assert worker.work() == 1 + 1 + 3
        assert sorted(seen) == [("books", a1), ("books", b1), ("books", a2), ("mail", b1)]
        broken[0] = False
        (a3,) = happen(worker, "refunded a")
        assert worker.work() == 1, "the books; the mail waits"
        clock.advance(89)
        assert worker.work() == 0
        clock.advance(2)
        assert worker.work() == 3
        assert [number for name, number in seen if name == "mail"] == [b1, a1, a2, a3]


def test_pauses_grow_to_half_a_day(colour: str) -> None:
    clock = VirtualClock()
    with virtual(colour, clock) as worker:
        worker.gw.raw.on("*", name="broken")(fails)
        happen(worker, "paid a")
        assert worker.work() == 1
        for pause in [90.0 * 2**number for number in range(9)] + [43_200.0, 43_200.0]:
            clock.advance(pause - 1)
            assert worker.work() == 0
            clock.advance(1)
            assert worker.work() == 1
        assert [dead.tries for dead in worker.gw.events.dead()] == [12]


def test_full_jitter(colour: str) -> None:
    clock = VirtualClock()
    with shop(colour, clock=clock, uniform=lambda: 0.5) as worker:
        worker.gw.raw.on("*", name="broken")(fails)
        happen(worker, "paid a")
        worker.work()
        clock.advance(44)
        assert worker.work() == 0
        clock.advance(1)
        assert worker.work() == 1


def fails(event: Event) -> None:
    raise RuntimeError("never")


# What fails for good


def test_what_fails_for_good_is_put_aside_and_made_again(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    seen: list[int] = []
    broken = [True]

    def mail(event: Event) -> None:
        if broken[0] and event.type == "order.created":
            raise ValueError("no address")
        seen.append(event.id)

    with virtual(colour, clock) as worker, caplog.at_level(logging.WARNING, logger="gateway"):
        worker.gw.raw.on("*", name="mail", tries=3)(mail)
        first, second = happen(worker, "created a", "paid a")
        for _ in range(3):
            worker.work()
            clock.advance(86_400)
        assert worker.work() == 0
        assert seen == [second], "what comes after a dead one goes on"
        (dead,) = worker.gw.events.dead()
        assert (dead.handler, dead.event.id, dead.state, dead.tries) == ("mail", first, "dead", 3)
        assert dead.error == "ValueError: no address"
        assert worker.gw.events.dead(handler="other") == []
        levels = [record.levelno for record in caplog.records]
        assert levels == [logging.WARNING, logging.WARNING, logging.ERROR]
        words = caplog.records[-1].getMessage()
        assert f"gateway events replay mail --event {first}" in words
        assert "try 3 of 3" in words
        assert words.endswith('raise ValueError("no address")\nValueError: no address')
        assert words.count(", in ") == 1, "its own frames alone"
        (state,) = worker.gw.events.handlers()
        assert (state.waiting, state.dead, state.behind) == (0, 1, 0)

        broken[0] = False
        assert worker.gw.events.replay(handler="mail") == 1
        assert worker.gw.events.replay() == 0
        assert worker.work() == 1
        assert seen == [second, first]
        assert worker.gw.events.dead() == []


def test_what_was_done_is_made_again_only_by_name(colour: str) -> None:
    seen: list[int] = []
    with shop(colour) as worker:
        worker.gw.raw.on("*", name="mail")(lambda event: seen.append(event.id))
        a1, a2, b1 = happen(worker, "created a", "paid a", "created b")
        worker.work()
        seen.clear()
        replay = worker.gw.events.replay
        for given in ({}, {"handler": "mail"}, {"events": [a1]}):
            with pytest.raises(InvalidRequest, match="only to one handler"):
                replay(done=True, **given)
        with pytest.raises(NotFound, match="no event handler is called 'nobody'") as error:
            replay(handler="nobody")
        assert "mail" in error.value.hint
        assert replay(handler="mail", events=[b1, 999], done=True) == 1
        assert replay(handler="mail", subject="order a", done=True) == 2
        worker.work()
        assert sorted(seen) == [a1, a2, b1]
        assert seen.index(a1) < seen.index(a2)
        assert replay(handler="mail", events=[b1]) == 0, "nothing of it is dead"


# What a failure says


def test_no_report_shows_a_secret(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    key = "callback-key-CANARY-0123456789abcdef"

    def leaks(event: Event) -> None:
        raise RuntimeError(f"sent\n{KEY} and {key} and {Secret('x' * 9)} 4111 1111 1111 1111" + "!" * 9999)

    records: list[Record] = []
    with (
        shop(colour, accounts={"shop": account("https://toy.invalid")}, callback_key=key) as worker,
        caplog.at_level(logging.DEBUG),
    ):
        worker.gw.raw.observe(records.append)
        worker.gw.raw.on("*", name="leaks", tries=1)(leaks)
        happen(worker, "paid a")
        worker.work()
        (dead,) = worker.gw.events.dead()
        assert dead.error.startswith("RuntimeError: sent ••• and ••• and ••• •••!!!")
        assert len(dead.error) == 500
        shown = [dead.error, repr(records), caplog.text]
    for text in shown:
        assert "CANARY" not in text
        assert "4111 1111" not in text
    assert "Traceback" in caplog.text


def test_every_call_is_told_to_observers(colour: str) -> None:
    records: list[Record] = []
    clock = VirtualClock()
    with virtual(colour, clock) as worker:
        worker.gw.raw.observe(records.append)
        worker.gw.raw.on("*", name="broken", tries=2)(fails)
        worker.gw.raw.on("*", name="fine")(lambda event: clock.advance(2))
        happen(worker, "paid a")
        worker.work()
        clock.advance(86_400)
        worker.work()
    told = [record for record in records if record.kind == "delivery"]
    assert {(record.handler, record.outcome, record.attempt, record.error) for record in told} == {
        ("broken", "failed", 1, "RuntimeError"),
        ("broken", "dead", 2, "RuntimeError"),
        ("fine", "done", 1, None),
    }
    assert len(told) == 3
    for record in told:
        assert (record.operation, record.subject, record.account, record.provider) == (
            "order.paid",
            "order a",
            "shop",
            "toy",
        )
    assert [record.seconds for record in told if record.handler == "fine"] == [2.0]


@pytest.mark.parametrize("raised", [SystemExit(3), asyncio.CancelledError(), BaseException("odd")], ids=repr)
def test_nothing_that_a_handler_raises_ends_the_worker(colour: str, raised: BaseException) -> None:
    def quits(event: Event) -> None:
        raise raised

    async def quits_too(event: Event) -> None:
        raise raised

    with shop(colour) as worker:
        worker.gw.raw.on("*", name="sync", tries=1)(quits)
        worker.gw.raw.on("*", name="async", tries=1)(quits_too)
        happen(worker, "paid a")
        worker.work()
        dead = worker.gw.events.dead()
        assert [one.handler for one in dead] == ["async", "sync"]
        for one in dead:
            assert type(raised).__name__ in one.error


def test_what_nobody_awaits_has_failed(colour: str) -> None:
    """A sync function that returns a coroutine has done nothing."""

    async def work(event: Event) -> None:
        raise AssertionError("never awaited")

    with shop(colour) as worker:
        worker.gw.raw.on("*", name="wrapped", tries=1)(lambda event: work(event))
        happen(worker, "paid a")
        worker.work()
        (dead,) = worker.gw.events.dead()
        assert "write it as `async def`" in dead.error


# What hangs


class Hang:
    """Handlers that hang at one reference until they are let go."""

    def __init__(self, reference: str = "a") -> None:
        self.reference = reference
        self.gone = threading.Event()
        self.began: list[int] = []
        self.ended: list[int] = []

    def __call__(self, event: Event) -> None:
        self.began.append(event.id)
        if event.reference.startswith(self.reference):
            assert self.gone.wait(PATIENCE)
        self.ended.append(event.id)


@pytest.fixture
def hang() -> Any:
    made = Hang()
    yield made
    made.gone.set()


def until(condition: Any) -> None:
    """Wait for what a thread does."""
    tick = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        tick.wait(0.01)
    pytest.fail("it did not happen")


def test_a_sync_handler_that_hangs_is_left_behind(colour: str, hang: Hang) -> None:
    clock = VirtualClock()
    books: list[int] = []
    with virtual(colour, clock) as worker:
        worker.gw.raw.on("*", name="hangs", timeout=A_MOMENT, tries=2)(hang)
        worker.gw.raw.on("*", name="books")(lambda event: books.append(event.id))
        a1, b1, a2, b2 = happen(worker, "created a", "created b", "paid a", "paid b")
        worker.work()
        assert hang.ended == [b1, b2], "another order goes on"
        assert sorted(books) == [a1, b1, a2, b2], "another handler goes on"
        (state,) = [state for state in worker.gw.events.handlers() if state.name == "hangs"]
        assert (state.waiting, state.dead, state.paused) == (2, 0, None)

        clock.advance(86_400)
        assert worker.work() == 0, "not called for an order whose last call still hangs"
        assert worker.runner.run(worker.deliver("hangs", "order a")) == 0
        assert hang.began.count(a1) == 1

        hang.gone.set()
        until(lambda: a1 in hang.ended)
        until(lambda: worker.due() == [("hangs", "order a")])
        assert worker.work() == 2, "again with the first, because its end was not waited for"
        assert hang.ended == [b1, b2, a1, a1, a2]


def test_the_end_of_a_call_that_was_left_behind_counts_for_nothing(colour: str, hang: Hang) -> None:
    with shop(colour) as worker:
        worker.gw.raw.on("*", name="hangs", timeout=A_MOMENT, tries=1)(hang)
        (number,) = happen(worker, "created a")
        worker.work()
        (dead,) = worker.gw.events.dead()
        assert dead.error == "TimedOut: it has not returned within 0.05 s"
        hang.gone.set()
        until(lambda: hang.ended == [number])
        assert worker.gw.events.dead() == [dead]


def test_a_handler_that_left_too_many_behind_pauses_is_reported_and_goes_on(
    colour: str, hang: Hang, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calling, "MOST_LEFT_BEHIND", 3)
    monkeypatch.setattr(calling, "AT_ONCE", 2)
    clock = VirtualClock()
    books: list[int] = []
    with virtual(colour, clock) as worker, caplog.at_level(logging.WARNING, logger="gateway"):
        worker.gw.raw.on("*", name="hangs", timeout=A_MOMENT)(hang)
        worker.gw.raw.on("*", name="books")(lambda event: books.append(event.id))
        happened = happen(worker, *(f"created a{number}" for number in range(10)), "created b")
        worker.work()
        assert 3 <= len(hang.began) <= 4
        assert sorted(books) == happened
        paused = [record for record in caplog.records if "is paused" in record.getMessage()]
        assert [record.levelno for record in paused] == [logging.ERROR]
        (state,) = [state for state in worker.gw.events.handlers() if state.name == "hangs"]
        assert "hang and have not ended" in state.paused
        clock.advance(86_400)
        assert worker.work() == 0
        hang.gone.set()
        until(lambda: worker.core.calls.paused("hangs") is None)
        until(lambda: worker.core.calls.under_way() == 0)
        assert "is called again" in caplog.text
        worker.work()
        assert sorted(set(hang.ended)) == happened


def test_only_so_many_calls_of_a_handler_are_under_way(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "AT_ONCE", 3)
    lock, now, most = threading.Lock(), [0], [0]

    def counts(event: Event) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.01)
        with lock:
            now[0] -= 1

    with shop(colour) as worker:
        worker.gw.raw.on("*", name="counts")(counts)
        happen(worker, *(f"created cart-{number}" for number in range(20)))
        assert worker.work() == 20
    assert 1 < most[0] <= 3


def test_an_async_handler_that_hangs_is_cancelled(colour: str) -> None:
    clock = VirtualClock()
    ended: list[str] = []
    with virtual(colour, clock) as worker:

        async def hangs(event: Event) -> None:
            if event.reference != "a":
                ended.append(event.subject)
                return
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        worker.gw.raw.on("*", name="hangs", timeout=A_MOMENT, tries=2)(hangs)
        happen(worker, "created a", "created b")
        worker.work()
        assert sorted(ended) == ["cancelled", "order b"]
        clock.advance(86_400)
        assert worker.work() == 1, "a cancelled call has ended, so it is called again"
        (dead,) = worker.gw.events.dead()
        assert "TimedOut" in dead.error


def test_an_async_handler_that_cannot_be_cancelled_is_left_behind(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "CANCELLING", A_MOMENT)
    clock = VirtualClock()
    with virtual(colour, clock) as worker:
        let_go: list[asyncio.Event] = []
        began: list[int] = []

        async def stubborn(event: Event) -> None:
            began.append(event.id)
            gone = asyncio.Event()
            let_go.append(gone)
            while not gone.is_set():
                try:
                    await gone.wait()
                except asyncio.CancelledError:
                    continue

        worker.gw.raw.on("*", name="stubborn", timeout=A_MOMENT)(stubborn)
        (number,) = happen(worker, "created a")
        worker.work()
        clock.advance(86_400)
        assert worker.work() == 0
        assert began == [number]

        async def release() -> None:
            let_go[0].set()
            for _ in range(1000):
                if not worker.core.calls.is_taken("stubborn", "order a"):
                    return
                await asyncio.sleep(0)

        worker.runner.run(release())
        assert worker.due() == [("stubborn", "order a")]
        let_go.clear()

        async def again() -> int:
            delivery = asyncio.create_task(worker.deliver("stubborn", "order a"))
            for _ in range(1000):
                await asyncio.sleep(0 if let_go else 0.01)
                if let_go:
                    break
            let_go[0].set()
            return await delivery

        assert worker.runner.run(again()) == 1
        assert began == [number, number]
        assert worker.work() == 0


# The worker stops


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_was_cut_short_is_delivered_again(colour: str, kind: str, hang: Hang) -> None:
    began = threading.Event()
    with shop(colour) as worker:

        def sync(event: Event) -> None:
            began.set()
            hang(event)

        async def awaited(event: Event) -> None:
            began.set()
            await asyncio.to_thread(hang.gone.wait, PATIENCE)
            hang.ended.append(event.id)

        worker.gw.raw.on("*", name="it")(sync if kind == "sync" else awaited)
        (number,) = happen(worker, "created a")

        async def cut_short() -> None:
            working = asyncio.create_task(worker.working())
            assert await asyncio.to_thread(began.wait, PATIENCE)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working

        worker.runner.run(cut_short())
        (state,) = worker.gw.events.handlers()
        assert (state.waiting, state.dead) == (1, 0)
        hang.gone.set()
        if kind == "sync":
            until(lambda: hang.ended == [number])
        until(lambda: worker.due() == [("it", "order a")])
        assert worker.work() == 1
        assert hang.ended[-1] == number


# Handlers that use the gateway


def test_a_handler_may_use_its_gateway(colour: str) -> None:
    """A sync one in its thread, an async one in the worker's own event loop."""
    seen: list[Any] = []
    with shop(colour) as worker:
        gw = worker.gw.raw
        if colour == "sync":

            def handle(event: Event) -> None:
                seen.append([found.id for found in gw.events.since(subject=event.subject)])

            gw.on("*", name="it")(handle)
        else:

            async def awaited(event: Event) -> None:
                seen.append([found.id async for found in gw.events.since(subject=event.subject)])

            gw.on("*", name="it")(awaited)
        happened = happen(worker, "created a", "paid a")
        assert worker.work() == 2
        assert seen == [happened, happened]


# Several at once


def test_two_workers_at_once_hand_out_and_deliver_each_event_once(tmp_path: Any) -> None:
    store = f"sqlite:///{tmp_path / 'gateway.db'}"
    lock = threading.Lock()
    seen: list[int] = []

    def handle(event: Event) -> None:
        with lock:
            seen.append(event.id)

    def work(worker: Worker, mine: int) -> None:
        """Each takes the orders that are its own, as jobs with a lock are shared."""

        async def working() -> None:
            while await worker.driver.run(delivering.fan_out(worker.core)):
                pass
            while pairs := [pair for pair in worker.due() if int(pair[1][-1]) % 2 == mine]:
                await asyncio.gather(*(worker.deliver(*pair) for pair in pairs))

        worker.runner.run(working())

    with shop(store=store) as one, shop(store=store) as other:
        for worker in (one, other):
            worker.gw.raw.on("*", name="it")(handle)
        happened = happen(one, *(f"processing cart-{number % 10}" for number in range(40)))
        threads = [threading.Thread(target=work, args=(worker, mine)) for mine, worker in enumerate((one, other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert one.work() + other.work() == 0
    assert sorted(seen) == happened


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_what_is_under_way_in_the_parent_is_not_in_a_fork(hang: Hang, tmp_path: Any) -> None:
    with shop(store=f"sqlite:///{tmp_path / 'gateway.db'}") as worker:
        worker.gw.raw.on("*", name="hangs", timeout=A_MOMENT)(hang)
        happen(worker, "created a")
        worker.work()
        calls = worker.core.calls
        assert calls.is_taken("hangs", "order a")
        child = os.fork()
        if child == 0:
            free = not calls.is_taken("hangs", "order a") and calls.room("hangs") == calling.AT_ONCE
            os._exit(0 if free else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert calls.is_taken("hangs", "order a")


def test_a_handler_of_another_process_is_left_to_it(tmp_path: Any) -> None:
    store = f"sqlite:///{tmp_path / 'gateway.db'}"
    seen: list[int] = []
    with shop(store=store) as one, shop(store=store) as other:
        one.gw.raw.on("*", name="one")(fails)
        happened = happen(one, "paid a", "paid b")
        one.work()
        other.gw.raw.on("*", name="other")(lambda event: seen.append(event.id))
        assert other.work() == 2
        assert other.runner.run(other.deliver("one", "order a")) == 0
        assert sorted(seen) == happened
        states = {state.name: state for state in other.gw.events.handlers()}
        assert (states["one"].registered, states["one"].waiting, states["one"].types) == (False, 2, ())
        assert (states["other"].registered, states["other"].waiting) == (True, 0)
