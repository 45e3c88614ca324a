"""Deliveries against a model: whatever happens in whatever order, each handler gets all that it wants, in order."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.models import Environment
from gateway.store import deliveries, events
from gateway.store.database import Database
from support.virtual import START

WANTED = {"all": ("*",), "paid": ("order.paid", "order.refunded"), "money": ("order.paid", "refund.*")}
TYPES = ("order.created", "order.paid", "order.refunded", "refund.completed")
TRIES = 3


def wants(handler: str, kind: str) -> bool:
    return any(kind == one or one == "*" or (one[-1] == "*" and kind.startswith(one[:-1])) for one in WANTED[handler])


class Deliveries(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.database = Database.open("sqlite://")
        self.now = START
        self.appended: list[tuple[int, str, str]] = []
        self.cursors = dict.fromkeys(WANTED, 0)
        self.waiting: dict[tuple[str, str], dict[int, tuple[int, Any]]] = defaultdict(dict)
        self.dead: dict[tuple[str, str], set[int]] = defaultdict(set)
        self.done: set[tuple[str, int]] = set()

    def teardown(self) -> None:
        self.database.close()

    def run(self, work: Any) -> Any:
        return self.database.transaction(work)

    @rule(kind=st.sampled_from(TYPES), reference=st.sampled_from("abc"))
    def append(self, kind: str, reference: str) -> None:
        number = self.run(
            lambda connection: events.append(
                connection,
                kind,
                subject="order",
                reference=reference,
                account="shop",
                provider="toy",
                environment=Environment.SANDBOX,
                data={},
                now=self.now,
            )
        )
        self.appended.append((number, kind, f"order {reference}"))

    @rule(handler=st.sampled_from(sorted(WANTED)), limit=st.integers(1, 4))
    def hand_out(self, handler: str, limit: int) -> None:
        passed = self.run(
            lambda connection: deliveries.fan_out(
                connection, handler, types=WANTED[handler], since="beginning", limit=limit, now=self.now
            )
        )
        news = [one for one in self.appended if one[0] > self.cursors[handler]][:limit]
        assert passed == len(news)
        for number, kind, subject in news:
            self.cursors[handler] = number
            if wants(handler, kind):
                self.waiting[handler, subject][number] = (0, self.now)

    @rule(data=st.data(), succeeds=st.booleans(), pause=st.integers(0, 100))
    def deliver(self, data: Any, succeeds: bool, pause: int) -> None:
        due = self.run(lambda connection: deliveries.due(connection, self.now, 100, sorted(WANTED)))
        if not due:
            return
        handler, subject = data.draw(st.sampled_from(due))
        waiting = self.run(lambda connection: deliveries.next_delivery(connection, handler, subject, self.now))
        own = self.waiting[handler, subject]
        assert waiting.event.id == min(own), "the first that waits"
        assert waiting.tries == own[waiting.event.id][0]
        tries, _ = own.pop(waiting.event.id)
        if succeeds:
            self.run(lambda connection: deliveries.done(connection, waiting, self.now))
            self.done.add((handler, waiting.event.id))
            return
        state = self.run(
            lambda connection: deliveries.failed(
                connection, waiting, "no", most=TRIES, pause=timedelta(seconds=pause), now=self.now
            )
        )
        if tries + 1 == TRIES:
            assert state == "dead"
            self.dead[handler, subject].add(waiting.event.id)
        else:
            assert state == "waiting"
            own[waiting.event.id] = (tries + 1, self.now + timedelta(seconds=pause))

    @rule(handler=st.sampled_from([None, *sorted(WANTED)]))
    def replay(self, handler: str | None) -> None:
        count = self.run(
            lambda connection: deliveries.replay(
                connection, handler=handler, numbers=None, subject=None, done_too=False, now=self.now
            )
        )
        again = [pair for pair in self.dead if handler in (None, pair[0])]
        assert count == sum(len(self.dead[pair]) for pair in again)
        for pair in again:
            self.waiting[pair] |= dict.fromkeys(self.dead.pop(pair), (0, self.now))

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def what_is_due_is_what_waits_and_whose_time_has_come(self) -> None:
        found = self.run(lambda connection: deliveries.due(connection, self.now, 100, sorted(WANTED)))
        heads = {pair: own[min(own)][1] for pair, own in self.waiting.items() if own}
        assert len(found) == len(set(found))
        never_tried = {pair for pair, own in self.waiting.items() if own and own[min(own)][0] == 0}
        assert set(found) <= set(heads)
        # One that was handed out behind another that waits may wait as long as that one.
        assert {pair for pair, at in heads.items() if at <= self.now} - never_tried <= set(found)
        assert {pair for pair in found if heads[pair] > self.now} == set()

    @invariant()
    def none_is_lost(self) -> None:
        for handler in WANTED:
            handed_out = {
                number for number, kind, _ in self.appended if number <= self.cursors[handler] and wants(handler, kind)
            }
            kept = {number for pair, own in self.waiting.items() if pair[0] == handler for number in own}
            kept |= {number for pair, own in self.dead.items() if pair[0] == handler for number in own}
            assert handed_out == kept | {number for name, number in self.done if name == handler}


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=40, stateful_step_count=40)
