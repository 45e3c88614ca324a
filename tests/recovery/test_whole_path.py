"""From the callback or the reading to the event handler, while clocks, stores, providers and networks behave badly.

What is checked is what the merchant's handler was told: every order is paid once, after it was created.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from callbacks.bell import Shop, cart, inbox, known
from callbacks.doors import Request, knock
from gateway import Event
from gateway.models import OrderStatus
from gateway.store import sqlite
from support.colours import COLOURS, Opened

MINUTE, HOUR = 60, 3600
PREFIX = "https://shop.example/payments"
WATCH = {"callback": "10s"}
MOMENTS = ("before the callback", "before it is processed", "before the reading", "before the delivery")

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as made:
        yield made


class Books:
    """What the handler was called with, by order."""

    def __init__(self, gw: Opened) -> None:
        self.told: dict[str, list[str]] = defaultdict(list)
        self._last = dict[str, int]()
        gw.raw.on("*", name="books")(self._note)

    def _note(self, event: Event) -> None:
        reference = str(event.reference)
        assert self._last.get(reference, 0) < event.id, "in order, and none twice"
        self._last[reference] = event.id
        self.told[reference].append(event.type.removeprefix("order."))


def work(gw: Opened) -> None:
    """All that is due now."""
    gw._to_its_end(gw.raw.run(until_idle=True))


def passes(shop: Shop, gw: Opened, seconds: int, step: int = 5 * MINUTE) -> None:
    """So much time, with a worker at work."""
    for _ in range(0, seconds, step):
        shop.clock.advance(step)
        work(gw)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_clock_is_set_back_an_hour(shop: Shop, colour: str, moment: str) -> None:
    """It may come later by as much, and is neither lost nor told twice nor out of order."""

    def now(here: str) -> None:
        if here == moment:
            shop.clock.set_back(HOUR)

    with shop.gateway(colour, watch=WATCH) as gw:
        for reference in ("called", "polled"):
            gw.orders.create(cart(reference), account="shop")
        shop.clock.advance(5 * MINUTE)
        for order in shop.service.orders.values():
            order["status"] = "paid"
        now("before the callback")
        assert shop.calls_back(gw, "n1") == 200
        now("before it is processed")
        assert gw.callbacks.process() == 1
        assert known(gw, "called").status is OrderStatus.PAID, "at once"
        now("before the reading")
        work(gw)
        now("before the delivery")
        books = Books(gw)
        work(gw)
        passes(shop, gw, HOUR + 5 * MINUTE)
        assert books.told == {"called": ["created", "paid"], "polled": ["created", "paid"]}
        reads = shop.service.reads
        work(gw)
        assert shop.service.reads == reads, "it is not read without end"


@contextlib.contextmanager
def held(file: Path) -> Iterator[None]:
    """Another process is in the middle of a transaction on this file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield
        finally:
            other.communicate("go\n", timeout=30)


@pytest.mark.parametrize("door", ["wsgi sync", "asgi async"])
def test_the_store_is_held_by_another_process_while_a_callback_comes(
    shop: Shop, door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider is told that it was not taken, and makes it again."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.3)
    file = tmp_path / "gateway.db"
    with shop.gateway(door.split()[1], store=f"sqlite:///{file}") as gw:
        books = Books(gw)
        gw.orders.create(cart(), account="shop")
        shop.service.orders["n1"]["status"] = "paid"
        call = knock(gw, door)
        callback = Request("POST", shop.callback_of("n1").removeprefix(PREFIX), parts=(b'{"order": "n1"}',))
        with held(file):
            answer = call(callback)
            assert (answer.status, answer.body) == (503, b"")
        assert inbox(gw) == [], "what was not answered with 200 was not half taken"
        assert call(callback).status == 200
        work(gw)
        assert books.told == {"cart-1": ["created", "paid"]}


def test_the_provider_is_down_for_an_hour(shop: Shop, colour: str) -> None:
    with shop.gateway(colour, watch=WATCH) as gw:
        books = Books(gw)
        for reference in ("called", "polled"):
            gw.orders.create(cart(reference), account="shop")
        shop.service.down = True
        for order in shop.service.orders.values():
            order["status"] = "paid"
        assert shop.calls_back(gw, "n1") == 200
        work(gw)
        passes(shop, gw, HOUR)
        assert books.told == {"called": ["created"], "polled": ["created"]}
        shop.service.down = False
        passes(shop, gw, 20 * MINUTE)
        assert books.told == {"called": ["created", "paid"], "polled": ["created", "paid"]}
        assert {row.state.value for row in inbox(gw)} == {"processed"}


def test_a_thousand_callbacks_shuffled_and_replayed_are_one_event_each(shop: Shop, colour: str) -> None:
    chance = random.Random(4)
    names = [f"cart-{number}" for number in range(20)]
    with shop.gateway(colour, watch=WATCH) as gw:
        books = Books(gw)
        for name in names:
            gw.orders.create(cart(name), account="shop")
        numbers = list(shop.service.orders)
        calls = numbers * 50
        chance.shuffle(calls)
        for index, number in enumerate(calls):
            if index == 300:
                for order in shop.service.orders.values():
                    order["status"] = "paid"
            assert shop.calls_back(gw, number) == 200
            if index % 250 == 100:
                work(gw)
        work(gw)
        expected = {name: ["created", "paid"] for name in names}
        assert books.told == expected
        # Once more, long after.
        shop.clock.advance(3 * HOUR)
        for number in numbers:
            assert shop.calls_back(gw, number) == 200
        work(gw)
        assert books.told == expected
        rows = inbox(gw)
        assert sum(row.times for row in rows) == 1020
        assert {row.state.value for row in rows} == {"processed"}
