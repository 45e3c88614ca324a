"""Whatever becomes of callbacks, readings, deliveries and accounts, in whatever order: what happened is told.

Orders that go on at another account when an answer is lost; payers; callbacks that arrive, arrive twice, late, forged
or never; a worker whose handler fails now and then; processes that die between any two effects. In the end, when
providers and handlers work again, the handler was told of everything, in order for each order. About twenty seconds of
computing; `HYPOTHESIS_PROFILE=long` looks for much longer.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from gateway import Event, Gateway, Money, flows
from gateway.errors import GatewayError
from gateway.flows import callbacks, watching
from gateway.models import OrderRequest, OrderStatus
from gateway.store import inbox
from gateway.testing import Payment, SandboxError, faults
from gateway.testing.sandbox import OutgoingCallback
from gateway.worker import runner
from gateway.worker.runner import Pace
from stateful.shop import Shop
from stateful.test_payments import FAULTS, LONG, MEANS

BASE_URL = "https://shop.example/payments"
LOST = {
    "lost before": lambda times: faults.Drop(executed=False, method="POST", times=times),
    "lost after": lambda times: faults.Drop(executed=True, method="POST", times=times),
    "503": FAULTS["503"],
    "401": FAULTS["401"],
}
READING = {name: FAULTS[name] for name in ("500", "503", "429", "drop before executing", "truncated", "foreign")}
HOW = ["arrives", "arrives and is kept", "arrives twice", "wrong token", "wrong proof"]


class NewsShop(Shop):
    """One with three accounts for an order to go to, whose callbacks lie in `mail` until they are brought, and with a
    handler that outlives the processes and fails while it is `broken`.
    """

    def __init__(self) -> None:
        self.mail: list[OutgoingCallback] = []
        self._quick = patch.object(runner, "Pace", lambda: Pace(soonest=0.001, idle=0.05, gap=0))  # real seconds
        self._quick.start()
        self.calls: list[tuple[int, str, str]] = []
        self.broken = False
        super().__init__()
        self.server.callbacks("aurpay").emit = self.mail.append  # type: ignore[method-assign]
        self.aurpay.emit = self.mail.append  # type: ignore[method-assign]

    def open(self, environment: str = "sandbox") -> None:
        self._life = subprocess.Popen(["sleep", "600"])
        aurpay = self.server.account("aurpay")
        self.gateway = Gateway(
            accounts={"shop": aurpay, "backup": aurpay, "spare": aurpay, "cards": self.server.account("aurex")},
            routes=[{"operation": "orders.create", "accounts": ["shop", "backup", "spare"]}],
            store=f"sqlite:///{self.file}",
            public_base_url=BASE_URL,
            callback_key="a key of the tests alone",
            watch={"callback": "10s"},
            reconcile={"scheduled": False},
            clock=self.clock,
            sleep=self.clock.sleep,
            uniform=lambda: 0.5,
        )
        self.gateway._core.database().owner = self._owner  # type: ignore[method-assign]
        self.gateway.on("order.*", name="books", tries=1000)(self._handle)

    def close(self) -> None:
        self._quick.stop()
        super().close()

    def _handle(self, told: Event) -> None:
        self.calls.append((told.id, told.type, str(told.reference)))
        if self.broken:
            raise ConnectionError("no books")


class News(RuleBasedStateMachine):
    orders: Bundle[str] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.shop = NewsShop()
        self.count = 0
        self.statuses: dict[tuple[str, int], OrderStatus] = {}

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.everything_is_told()
        finally:
            self.shop.close()

    # The merchant

    def request(self, reference: str) -> OrderRequest:
        price = Money(Decimal(1000 + int(reference.partition("-")[2])).scaleb(-2), "USD")
        return OrderRequest(reference=reference, price=price, pay_with="USDT@tron")

    def create(self, reference: str, lost: tuple[str, int] | None, cut: int | None) -> None:
        queue = self.shop.server.faults("aurpay")
        if lost is not None:
            queue.add(LOST[lost[0]](lost[1]))
        flow = flows.orders.create(self.shop.gateway._core, self.request(reference), account=None, seconds=None)
        if cut is None:
            with contextlib.suppress(GatewayError):
                self.shop.gateway._run(flow)
        else:
            self.shop.crash(flow, cut)
        queue.clear()

    @rule(
        target=orders,
        lost=st.none() | st.tuples(st.sampled_from(sorted(LOST)), st.integers(1, 3)),
        cut=st.none() | st.integers(0, 24),
    )
    def an_order(self, lost: tuple[str, int] | None, cut: int | None) -> str:
        self.count += 1
        self.create(f"cart-{self.count}", lost, cut)
        return f"cart-{self.count}"

    @initialize(target=orders, paid=st.booleans())
    def the_first_order(self, paid: bool) -> str:
        reference = self.an_order(None, None)
        if paid:
            self.outside(reference, 0, Payment.EXACT)
        return reference

    @rule(
        reference=orders,
        lost=st.none() | st.tuples(st.sampled_from(sorted(LOST)), st.integers(1, 3)),
        cut=st.none() | st.integers(0, 24),
    )
    def the_same_order_again(self, reference: str, lost: tuple[str, int] | None, cut: int | None) -> None:
        self.create(reference, lost, cut)

    @rule()
    def restart(self) -> None:
        self.shop.restart()

    # Payers and time

    @rule(reference=orders, which=st.integers(0, 2), act=st.sampled_from([*Payment, "expire"]))
    def outside(self, reference: str, which: int, act: str) -> None:
        query = "SELECT provider_id FROM attempts WHERE reference = ? AND provider_id IS NOT NULL"
        found = self.shop.rows(query, reference)
        with contextlib.suppress(SandboxError):  # the order is not in a state for it
            if found and act == "expire":
                self.shop.server.expire("aurpay", found[which % len(found)][0])
            elif found:
                self.shop.server.pay("aurpay", found[which % len(found)][0], act)

    @rule(seconds=st.sampled_from([5, 60, 900, 7200]))
    def time_passes(self, seconds: int) -> None:
        self.shop.server.advance(seconds)

    # Callbacks

    @rule(which=st.integers(0, 20), how=st.sampled_from(HOW))
    def a_callback(self, which: int, how: str) -> None:
        if not self.shop.mail:
            return
        place = which % len(self.shop.mail)
        sent = self.shop.mail[place]
        before = len(self.shop.rows("SELECT id FROM callbacks"))
        event(f"callback {how}")
        if how == "wrong token":
            head, _, mac = sent.url.rpartition(".")
            assert self.bring(sent, url=f"{head}.{mac[:-1]}{'0' if mac[-1] != '0' else '1'}") == 404
            assert len(self.shop.rows("SELECT id FROM callbacks")) == before
            return
        if how == "wrong proof":
            sent = self.shop.aurpay.forged(sent)
        elif how == "arrives":
            del self.shop.mail[place]
        for _ in range(2 if how == "arrives twice" else 1):
            assert self.bring(sent) == 200

    def bring(self, sent: OutgoingCallback, url: str | None = None) -> int:
        return self.shop.gateway.callbacks.receive(
            method=sent.method, url=url or sent.url, headers=sent.headers, body=sent.body, client="192.0.2.7"
        )

    # The worker

    @rule(broken=st.booleans(), bad=st.none() | st.tuples(st.sampled_from(sorted(READING)), st.integers(1, 6)))
    def work(self, broken: bool, bad: tuple[str, int] | None) -> None:
        queue = self.shop.server.faults("aurpay")
        if bad is not None:
            queue.add(READING[bad[0]](bad[1]))
        self.shop.broken = broken
        self.shop.gateway.run(until_idle=True)
        self.shop.broken = False
        queue.clear()

    @rule(which=st.integers(0, 10), cut=st.integers(0, 8))
    def a_worker_dies(self, which: int, cut: int) -> None:
        """At a callback or at a reading."""
        core = self.shop.gateway._core
        now, read = core.now(), core.database().read
        jobs: list[Callable[[], Any]] = [
            *(lambda one=one: callbacks.process(core, one.attempt_id) for one in read(lambda c: inbox.due(c, now, 10))),
            *(lambda one=one: watching.look(core, one.key) for one in read(lambda c: watching.due(core, c, now, 10))),
        ]
        if jobs:
            ended, _ = self.shop.crash(jobs[which % len(jobs)](), cut)
            event(f"a worker {'came to the end' if ended else 'was killed'}")

    # What holds at any time

    @invariant()
    def attempts_are_begun_one_after_the_other(self) -> None:
        query = "SELECT count(*) FROM journal WHERE state IN ('intended', 'sent') GROUP BY reference"
        assert all(row[0] == 1 for row in self.shop.rows(query))
        live = "SELECT count(*) FROM attempts WHERE status = 'pending' GROUP BY reference"
        assert all(row[0] == 1 for row in self.shop.rows(live)), "nobody is shown two orders to pay"

    @invariant()
    def attempts_are_the_providers_orders(self) -> None:
        prices = {order.id: order.amount for order in self.shop.server.orders("aurpay")}
        rows = self.shop.rows("SELECT reference, provider_id FROM attempts WHERE provider_id IS NOT NULL")
        assert len({row["provider_id"] for row in rows}) == len(rows), "one order belongs to one attempt"
        for row in rows:
            assert prices[row["provider_id"]] == self.request(row["reference"]).price.amount

    @invariant()
    def statuses_move_as_they_may(self) -> None:
        for row in self.shop.rows("SELECT reference, number, status FROM attempts"):
            attempt, status = (row["reference"], row["number"]), OrderStatus(row["status"])
            assert self.statuses.get(attempt, OrderStatus.CREATING).may_become(status), (attempt, self.statuses, status)
            self.statuses[attempt] = status

    @invariant()
    def events_are_told_in_order(self) -> None:
        happened, told = self.happened(), self.told()
        for reference, calls in told.items():
            assert calls == happened[reference][: len(calls)], "the first ones, in order, and each at least once"
        for reference, events in happened.items():
            kinds = [kind for _, kind in events]
            assert kinds[0] == "order.created", reference
            assert kinds.count("order.created") == 1
            assert kinds.count("order.paid") <= 1

    def happened(self) -> dict[str, list[tuple[int, str]]]:
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for row in self.shop.rows("SELECT id, type, reference FROM events WHERE type LIKE 'order.%' ORDER BY id"):
            found[row["reference"]].append((row["id"], row["type"]))
        return found

    def told(self) -> dict[str, list[tuple[int, str]]]:
        """By order; a call that was made again is the same event."""
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, kind, reference in self.shop.calls:
            if found[reference][-1:] != [(number, kind)]:
                found[reference].append((number, kind))
        return found

    # What holds in the end

    def everything_is_told(self) -> None:
        """Providers and handlers work, time passes, and no callback comes any more."""
        for _ in range(5):
            self.shop.server.advance(3 * 3600)
            self.work(False, None)
        self.statuses_move_as_they_may()
        assert self.told() == self.happened()
        ledger = {order["id"]: order["status"] for order in self.shop.aurpay.ledger()["orders"]}
        known = self.shop.rows("SELECT reference, provider_id, status FROM attempts WHERE provider_id IS NOT NULL")
        for row in known:
            assert row["status"] == MEANS[ledger[row["provider_id"]]], dict(row)
        paid = {row["reference"] for row in known if MEANS[ledger[row["provider_id"]]] is OrderStatus.PAID}
        told = {reference for reference, calls in self.told().items() if "order.paid" in [kind for _, kind in calls]}
        assert told == paid
        assert not self.shop.rows("SELECT * FROM callbacks WHERE state IN ('waiting', 'taken')")


TestNews = News.TestCase
TestNews.settings = settings(max_examples=600 if LONG else 20, stateful_step_count=50 if LONG else 25, print_blob=True)
