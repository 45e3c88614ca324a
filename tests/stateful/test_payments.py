"""Whatever a merchant, payers, providers, networks and power cuts do, in whatever order: the books agree.

Orders, renewals, payouts, top-ups and refunds against the stateful sandboxes, with faults and crashes between any two
effects of a flow. After every step the providers' ledgers are held against the store's file, both read past the
gateway. About forty seconds; `HYPOTHESIS_PROFILE=long` looks for much longer.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway import flows
from gateway.engine.effects import Flow
from gateway.errors import Conflict, GatewayError, NotFound, Outcome
from gateway.models import (
    CardTopUp,
    LightningInvoice,
    OrderRequest,
    OrderStatus,
    RefundRequest,
    RefundStatus,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.testing import Payment, SandboxError, faults
from gateway.testing.lightning import encode_invoice
from stateful.shop import CUSTOMER, PROVIDERS, Shop, Thing

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
PAYEE = ec.derive_private_key(7, ec.SECP256K1())

FAULTS: dict[str, Callable[[int], faults.CallFault]] = {
    "500": lambda times: faults.Status(status=500, times=times),
    "500 after executing": lambda times: faults.Status(status=500, executed=True, times=times),
    "502 after executing": lambda times: faults.Status(status=502, executed=True, times=times),
    "503": lambda times: faults.Status(status=503, times=times),
    "503 with a time": lambda times: faults.Status(status=503, headers={"Retry-After": "3"}, times=times),
    "429": lambda times: faults.Status(status=429, times=times),
    "400": lambda times: faults.Status(status=400, times=times),
    "401": lambda times: faults.Status(status=401, times=times),
    "drop before executing": lambda times: faults.Drop(executed=False, times=times),
    "drop after executing": lambda times: faults.Drop(executed=True, times=times),
    "truncated": lambda times: faults.Truncated(times=times),
    "foreign": lambda times: faults.Foreign(times=times),
    "foreign after executing": lambda times: faults.Foreign(executed=True, times=times),
    "empty after executing": lambda times: faults.Empty(executed=True, times=times),
}

# What the provider's words mean, written down apart from the adapters' own tables.
MEANS = {
    "PENDING": OrderStatus.PENDING,
    "SUCCESS": OrderStatus.PAID,
    "OVERDUE": OrderStatus.EXPIRED,
    "PARTIAL": OrderStatus.UNDERPAID,
    "TERMINATED": OrderStatus.CANCELLED,
    "REFUNDED": OrderStatus.REFUNDED,
    "waiting": OrderStatus.PENDING,
    "confirmed": OrderStatus.PAID,
    "expired": OrderStatus.EXPIRED,
    "failed": OrderStatus.FAILED,
}

Weather = tuple[str, int] | None
"""A fault and how many calls it strikes."""

WEATHER = st.none() | st.tuples(st.sampled_from(sorted(FAULTS)), st.sampled_from([1, 1, 2, 6]))
CUT = st.none() | st.integers(0, 16)

COINS = {"tron": "USDT@tron", "lightning": "BTC@lightning", "payer": None, "deposit": "USDT"}

Key = tuple[str, str, str]
"""A write as the journal knows it: operation, reference, scope."""


@dataclass(frozen=True)
class Asked:
    """A write that was asked for at least once."""

    operation: str
    reference: str
    request: Any
    account: str | None


class Payments(RuleBasedStateMachine):
    orders: Bundle[Asked] = Bundle("orders")
    writes: Bundle[Asked] = Bundle("writes")
    """Payouts, top-ups and refunds."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop()
        self.count = 0
        self.happened: dict[Key, Thing] = {}
        """What each write made happen at its provider, as the ledger showed right after the call."""
        self.statuses: dict[tuple[str, int], OrderStatus] = {}

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # not when a step has failed: that is what is to be told
                self.everything_is_settled()
        finally:
            self.shop.close()

    def new(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count}"

    # What a call may do

    def entry(self, operation: str, reference: str) -> tuple[str, str] | None:
        """Scope and state of the newest journal entry of this write."""
        query = "SELECT scope, state FROM journal WHERE operation = ? AND reference = ? ORDER BY id DESC LIMIT 1"
        found = self.shop.rows(query, operation, reference)
        return (found[0]["scope"], found[0]["state"]) if found else None

    def write(self, asked: Asked, act: Callable[[], tuple[bool, Any]]) -> Any:
        """Make a call that may write, and hold what it says against what has happened."""
        before = self.entry(asked.operation, asked.reference)
        ledger, sent = self.shop.ledger(), self.shop.writes()
        ended, result = act()
        made = list((self.shop.ledger() - ledger).elements())
        after = self.entry(asked.operation, asked.reference)
        assert len(made) <= 1, "one call did several things"
        assert not ledger - self.shop.ledger()
        if before is not None and after == (before[0], after[1] if after else "") and before[1] != "intended":
            assert not made, f"it was {before[1]}, and it was done again"
            assert self.shop.writes() == sent, f"it was {before[1]}, and it was sent again"
        if made:
            assert after is not None, "something was done that no journal knows"
            key = (asked.operation, asked.reference, after[0])
            assert made[0][0] == asked.operation
            assert key not in self.happened, "it happened twice"
            self.happened[key] = made[0]
        how = type(result).__name__ if ended else "cut off"
        event(f"{asked.operation}: {before[1] if before else 'new'} → {after[1] if after else 'nothing'}, {how}")
        if not ended:
            return None
        if isinstance(result, GatewayError):
            assert str(result)
            if result.outcome is Outcome.UNKNOWN:
                assert after is not None
                assert after[1] == "unknown"
                assert not result.retryable
            else:
                assert not made, f"{result} says that nothing was done"
        else:
            assert after is not None
            assert after[1] == "done"
        return result

    def call(self, asked: Asked, work: Callable[[], Any], *, reads: bool = False) -> Any:
        """The result, or the GatewayError; nothing else ever comes out."""

        def act() -> tuple[bool, Any]:
            try:
                return True, work()
            except GatewayError as error:
                return True, error

        if not reads:
            return self.write(asked, act)
        ledger, sent = self.shop.ledger(), self.shop.writes()
        _, result = act()
        assert (self.shop.ledger(), self.shop.writes()) == (ledger, sent), "a read changes nothing"
        assert not isinstance(result, GatewayError) or result.outcome is not Outcome.UNKNOWN
        return result

    def flow(self, asked: Asked) -> Flow[Any]:
        """The call as a flow that can be stopped anywhere."""
        core = self.shop.gateway._core
        match asked.operation:
            case "orders.create":
                return flows.orders.create(core, asked.request, account=asked.account, seconds=None)
            case "withdrawals.create":
                return flows.withdrawals.create(core, asked.request, account=asked.account, seconds=None)
            case _:
                return flows.refunds.create(core, asked.request, seconds=None)

    def make(self, asked: Asked, weather: Weather, cut: int | None, flow: Flow[Any] | None = None) -> Asked:
        """Make the call in this weather, and die after so many of its effects unless `cut` is None."""
        provider = PROVIDERS[asked.account or "shop"]
        if weather is not None:
            self.shop.server.faults(provider).add(FAULTS[weather[0]](weather[1]))
        flow = flow or self.flow(asked)
        if cut is None:
            self.call(asked, lambda: self.shop.gateway._run(flow))
        else:
            self.write(asked, lambda: self.shop.crash(flow, cut))
        if weather is not None:
            self.shop.server.faults(provider).clear()
        return asked

    # What the merchant does

    @rule(target=orders, coin=st.sampled_from(sorted(COINS)), weather=WEATHER, cut=CUT)
    def an_order(self, coin: str, weather: Weather, cut: int | None) -> Asked:
        reference = self.new("cart")
        deposit = coin == "deposit"
        request = OrderRequest(
            reference=reference,
            price=Money(Decimal(1000 + self.count).scaleb(-2), "USD"),
            pay_with=COINS[coin],
            customer=CUSTOMER if deposit else None,
            settles_to="customer" if deposit else None,
        )
        return self.make(Asked("orders.create", reference, request, "cards" if deposit else "shop"), weather, cut)

    @initialize(target=orders, coin=st.sampled_from(sorted(COINS)))
    def the_first_order(self, coin: str) -> Asked:
        return self.an_order(coin, None, None)

    @rule(asked=orders, weather=WEATHER, cut=CUT)
    def renewed(self, asked: Asked, weather: Weather, cut: int | None) -> None:
        core = self.shop.gateway._core
        self.make(asked, weather, cut, flows.orders.renew(core, asked.reference, account=None, seconds=None))

    @rule(target=writes, much=st.integers(0, 5), weather=WEATHER, cut=CUT)
    def a_payout(self, much: int, weather: Weather, cut: int | None) -> Asked:
        reference = self.new("payout")
        amount = Money(Decimal(4_000_000 if much == 5 else 10_000 + self.count).scaleb(-8), "BTC@lightning")
        invoice = encode_invoice(
            PAYEE,
            payment_hash=self.count.to_bytes(32),
            payment_secret=bytes(32),
            created_at=self.shop.clock.now(),
            amount=amount,
            network="testnet",
            description="a payout",
            expiry=timedelta(hours=1),
        )
        request = WithdrawalRequest(reference=reference, amount=amount, to=LightningInvoice(invoice))
        return self.make(Asked("withdrawals.create", reference, request, "shop"), weather, cut)

    @rule(target=writes, much=st.integers(0, 5), weather=WEATHER, cut=CUT)
    def a_top_up(self, much: int, weather: Weather, cut: int | None) -> Asked:
        reference = self.new("topup")
        amount = Money(Decimal((90_000 if much == 5 else 1_000) + self.count).scaleb(-2), "USD")
        request = WithdrawalRequest(reference=reference, amount=amount, to=CardTopUp(CUSTOMER, self.shop.card))
        return self.make(Asked("withdrawals.create", reference, request, "cards"), weather, cut)

    @rule(target=writes, order=orders, weather=WEATHER, cut=CUT)
    def a_refund(self, order: Asked, weather: Weather, cut: int | None) -> Asked:
        reference = self.new("refund")
        request = RefundRequest(reference=reference, order=order.reference)
        return self.make(Asked("refunds.create", reference, request, order.account), weather, cut)

    @rule(asked=orders | writes, weather=WEATHER, cut=CUT)
    def the_same_again(self, asked: Asked, weather: Weather, cut: int | None) -> None:
        self.make(asked, weather, cut)

    @rule(asked=orders | writes, weather=WEATHER)
    def read(self, asked: Asked, weather: Weather) -> None:
        gateway = self.shop.gateway
        parts: dict[str, Any] = {
            "orders.create": gateway.orders,
            "withdrawals.create": gateway.withdrawals,
            "refunds.create": gateway.refunds,
        }
        queue = self.shop.server.faults(PROVIDERS[asked.account or "shop"])
        if weather is not None:
            queue.add(FAULTS[weather[0]](weather[1]))
        found = self.call(asked, lambda: parts[asked.operation].get(asked.reference), reads=True)
        queue.clear()
        if isinstance(found, NotFound):
            # Never begun; begun and nothing was done, so that the reference is free; or an answer made to look so.
            entry = self.entry(asked.operation, asked.reference)
            assert found.outcome is Outcome.REJECTED or entry is None or entry[1] == "intended"
        elif not isinstance(found, GatewayError):
            assert found.reference == asked.reference

    # What payers, time and power do

    @rule(asked=orders, which=st.integers(0, 2), act=st.sampled_from([*Payment, "expire", "fail", "complete refund"]))
    def outside(self, asked: Asked, which: int, act: str) -> None:
        """Something happens to one of the attempts at its provider."""
        query = "SELECT provider, provider_id FROM attempts WHERE reference = ? AND provider_id IS NOT NULL"
        found = self.shop.rows(query, asked.reference)
        if not found:
            return
        provider, number = found[which % len(found)]
        number = number.rpartition("/")[2]
        with contextlib.suppress(SandboxError):  # the order is not in a state for it
            match act:
                case "expire":
                    self.shop.server.expire(provider, number)
                case "fail":
                    self.shop.server.fail(provider, number)
                case "complete refund":
                    self.shop.aurpay.complete_refund(number)
                case _:
                    self.shop.server.pay(provider, number, act)

    @rule(seconds=st.sampled_from([1, 60, 1800, 7200]))
    def time_passes(self, seconds: int) -> None:
        self.shop.server.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.shop.restart()

    # What a person does

    def unknown(self) -> list[Key]:
        query = "SELECT operation, reference, scope FROM journal WHERE state = 'unknown' ORDER BY id"
        return [tuple(row) for row in self.shop.rows(query)]  # type: ignore[misc]

    def settle(self, key: Key) -> None:
        """Look at the provider's ledger, and say so."""
        operation, reference, scope = key
        found = self.happened.get(key)
        sent = self.shop.writes()
        entry = self.shop.gateway.journal.settle(
            reference,
            operation=operation,
            scope=scope,
            outcome="done" if found else "failed",
            provider_id=str(found[1]) if found and operation == "orders.create" else None,
            reason="the provider's ledger",
            by="a person",
        )
        assert entry.state == ("done" if found else "rejected")
        assert self.shop.writes() == sent

    @precondition(lambda self: self.unknown())
    @rule(which=st.integers(0, 20))
    def settled(self, which: int) -> None:
        unknown = self.unknown()
        self.settle(unknown[which % len(unknown)])

    @rule(asked=orders | writes)
    def in_the_other_environment(self, asked: Asked) -> None:
        """The same store under accounts that are live: nothing of the sandbox is taken for theirs."""
        if asked.operation == "refunds.create" or self.entry(asked.operation, asked.reference) is None:
            return
        self.shop.end()
        self.shop.open("live")
        sent = self.shop.writes()
        result = self.call(asked, lambda: self.shop.gateway._run(self.flow(asked)))
        # The invoices of the sandbox's network are refused as such on a live account.
        assert isinstance(result, Conflict | ValueError), result
        assert self.shop.writes() == sent
        self.shop.restart()

    # What holds at any time

    @invariant()
    def what_happened_is_known(self) -> None:
        states = {
            (row["operation"], row["reference"], row["scope"]): row["state"]
            for row in self.shop.rows("SELECT operation, reference, scope, state FROM journal")
            if row["operation"] not in ("customers.create", "cards.create")
        }
        assert sorted(self.shop.ledger().elements(), key=str) == sorted(self.happened.values(), key=str)
        for key in self.happened:
            assert states[key] in ("done", "unknown"), f"{key} happened and is {states[key]}"
        for key, state in states.items():
            assert state != "sent", f"{key} was sent by nobody who is alive"
            assert state != "done" or key in self.happened, f"{key} is done and did not happen"

    @invariant()
    def attempts_are_the_providers_orders(self) -> None:
        prices = {
            f"{self.shop.user}/{order.id}" if provider == "aurex" else order.id: order.amount
            for provider in PROVIDERS.values()
            for order in self.shop.server.orders(provider)
        }
        query = "SELECT a.*, o.request FROM attempts a JOIN orders o ON o.reference = a.reference"
        for row in self.shop.rows(query):
            number = row["provider_id"]
            if number is not None:
                assert self.happened["orders.create", row["reference"], str(row["number"])] == ("orders.create", number)
                assert f'"amount":"{prices[number]}"' in row["request"]

    @invariant()
    def statuses_move_as_they_may(self) -> None:
        for row in self.shop.rows("SELECT * FROM moves"):
            may = OrderStatus(row["from_status"]).may_become(OrderStatus(row["to_status"]))
            assert bool(row["accepted"]) is may, dict(row)
        for row in self.shop.rows("SELECT reference, number, status FROM attempts"):
            attempt, status = (row["reference"], row["number"]), OrderStatus(row["status"])
            assert self.statuses.get(attempt, OrderStatus.CREATING).may_become(status), (attempt, self.statuses, status)
            self.statuses[attempt] = status

    @invariant()
    def everything_is_stamped(self) -> None:
        for table in ("orders", "attempts", "journal", "withdrawals", "refunds", "customers", "cards"):
            assert not self.shop.rows(f"SELECT * FROM {table} WHERE environment != 'sandbox'"), table

    # What holds in the end

    def everything_is_settled(self) -> None:
        """Nothing unknown is left, everything was read again: the store and the ledgers are the same books."""
        self.shop.server.advance(61)  # rates
        while unknown := self.unknown():
            self.settle(unknown[0])
        gateway = self.shop.gateway
        for refund in self.shop.rows("SELECT reference FROM refunds"):
            entry = self.entry("refunds.create", refund["reference"])
            if entry != ("", "intended"):  # such a one the provider has never heard of
                gateway.refunds.get(refund["reference"])
        for order in gateway.orders.list():
            gateway.orders.get(order.reference)
            self.shop.clock.sleep(1)
        self.what_happened_is_known()
        self.statuses_move_as_they_may()
        ledger = {order["id"]: order["status"] for order in self.shop.aurpay.ledger()["orders"]}
        ledger |= {f"{self.shop.user}/{it['id']}": it["status"] for it in self.shop.aurex.ledger()["deposits"]}
        held = self.shop.rows("SELECT provider_id, status FROM attempts WHERE provider_id IS NOT NULL")
        assert {row["provider_id"]: row["status"] for row in held} == {
            number: MEANS[status] for number, status in ledger.items()
        }
        gone = [WithdrawalStatus.FAILED, WithdrawalStatus.CANCELLED]
        out = [payout for payout in gateway.withdrawals.list() if payout.status not in gone]
        out = [payout for payout in out if self.entry("withdrawals.create", payout.reference) != ("", "intended")]
        assert sum((it.amount.amount for it in out if it.account == "shop"), Decimal(0)) == -sum(
            (Decimal(it["amount"]) for it in self.shop.aurpay.ledger()["moves"] if it["kind"] == "withdrawal"),
            Decimal(0),
        )
        assert sum((it.amount.amount for it in out if it.account == "cards"), Decimal(0)) == sum(
            (Decimal(it["card"]) for it in self.shop.aurex.ledger()["movements"] if it["kind"] == "topup"), Decimal(0)
        )
        back = self.shop.rows("SELECT reference, order_reference, status FROM refunds WHERE status != 'failed'")
        back = [row for row in back if self.entry("refunds.create", row["reference"]) != ("", "intended")]
        assert len(back) == len(self.shop.aurpay.ledger()["refunds"])
        completed = sum(refund["done"] for refund in self.shop.aurpay.ledger()["refunds"])
        assert sum(row["status"] == RefundStatus.COMPLETED for row in back) == completed


TestPayments = Payments.TestCase
TestPayments.settings = settings(
    max_examples=1500 if LONG else 50, stateful_step_count=60 if LONG else 30, print_blob=True
)
