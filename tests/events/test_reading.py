"""`gw.events.since`: for programs that poll and keep a cursor of their own."""

from __future__ import annotations

from typing import Any

import pytest

from events.working import happen, numbers, shop
from gateway import Event
from gateway.errors import InvalidRequest
from support.virtual import START, VirtualClock


def test_all_that_there_is_in_order(colour: str) -> None:
    with shop(colour, clock=VirtualClock()) as worker:
        assert worker.gw.events.since() == []
        assert worker.gw.events.latest() == []
        happened = happen(worker, *(f"processing cart-{number}" for number in range(250)))
        found = worker.gw.events.since()
        assert numbers(found) == happened == list(range(1, 251))
        assert numbers(worker.gw.events.latest(1)) == [250]
        assert numbers(worker.gw.events.latest()) == happened[-20:]
        assert found[7] == Event(
            id=8,
            type="order.processing",
            subject="order cart-7",
            reference="cart-7",
            account="shop",
            provider="toy",
            environment="sandbox",
            at=START,
            data={"n": 7},
        )


def test_a_cursor_goes_on_where_it_was(colour: str) -> None:
    with shop(colour) as worker:
        happened = happen(worker, "created a", "created b", "paid a")
        seen: list[int] = []
        cursor = 0
        while found := worker.gw.events.since(cursor, limit=2):
            assert len(found) <= 2
            seen += numbers(found)
            cursor = seen[-1]
        assert seen == happened
        (later,) = happen(worker, "paid b")
        assert numbers(worker.gw.events.since(cursor)) == [later]
        assert worker.gw.events.since(later) == worker.gw.events.since(10**18) == []


def test_types_subjects_and_limits(colour: str) -> None:
    with shop(colour) as worker:
        a1, b1, r1, a2, w1 = happen(
            worker, "created a", "created b", "refund.created r", "paid a", "withdrawal.completed w"
        )
        since = worker.gw.events.since
        assert numbers(since(types=["order.paid"])) == [a2]
        assert numbers(since(types=["order.*"])) == [a1, b1, a2]
        assert numbers(since(types=["refund.*", "order.paid"])) == [r1, a2]
        assert numbers(since(types=["*", "order.paid"])) == [a1, b1, r1, a2, w1]
        assert numbers(since(types=[])) == []
        assert numbers(since(subject="order a")) == [a1, a2]
        assert numbers(since(a1, subject="order a")) == [a2]
        assert numbers(since(types=["order.*"], limit=2)) == [a1, b1]
        assert since(limit=0) == []
        latest = worker.gw.events.latest
        assert numbers(latest(2, types=["order.*"])) == [b1, a2]
        assert numbers(latest(1, subject="order a")) == [a2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cursor": -1}, "the cursor is the number of an event"),
        ({"cursor": 2**63}, "the cursor is the number of an event"),
        ({"types": ["order.payed"]}, "there is no event 'order.payed'"),
    ],
)
def test_what_cannot_be_read(colour: str, given: dict[str, Any], words: str) -> None:
    with shop(colour) as worker, pytest.raises(InvalidRequest, match=words):
        worker.gw.events.since(**given)


def test_lists_have_their_limits(colour: str) -> None:
    with shop(colour) as worker:
        for limit in (0, 1001):
            with pytest.raises(InvalidRequest, match="1 to 1000"):
                worker.gw.events.dead(limit=limit)
