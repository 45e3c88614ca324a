"""The provider's books beside ours: every kind of difference, at the sandboxes, and what a repair does to it."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from flows.world import ADDRESS, World, cart, invoice, payout
from gateway.capabilities import supported
from gateway.contracts import Query
from gateway.errors import ConfigurationError, InvalidRequest, OutcomeUnknown, StoreError
from gateway.exchange import Operation, Request, ask
from gateway.flows import comparing
from gateway.flows.listing import NewestFirst
from gateway.flows.reconciling.run import Numbers
from gateway.models import (
    Attempt,
    CryptoAddress,
    CustomerRequest,
    Environment,
    Finding,
    FindingKind,
    OrderException,
    OrderStatus,
    Page,
    PaymentInstructions,
    ProviderOrder,
    ProviderWithdrawal,
    Reconciliation,
    RefundRequest,
    Trade,
    TradeRequest,
    TradeStatus,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.store.tables import events
from gateway.testing import faults
from support.colours import Opened, opened
from support.loopback import Loopback, Seen
from support.toy import CAPABILITIES, Toy, account, answers, good, provider, toy_plugins
from support.virtual import START, VirtualClock

K, S, E = FindingKind, OrderStatus, OrderException
LIST = "/api/v2/order/?page=1&size=100"


def reconciled(gw: Opened, account: str = "shop", **given: Any) -> Reconciliation:
    given.setdefault("since", datetime.now(UTC) - timedelta(hours=1))
    found: Reconciliation = gw.reconcile(account=account, **given)
    return found


def told(gw: Opened) -> list[str]:
    rows = gw.core.database().transaction(lambda c: c.execute(select(events).order_by(events.c.id)).all())
    return [row.type for row in rows]


def only(found: Reconciliation) -> Finding:
    (finding,) = found.findings
    return finding


def shown_as(world: World, gw: Opened, change: Callable[[list[dict[str, Any]]], Any], times: int = 1) -> None:
    """Aurpay's next list of orders is the true one, changed."""
    answer = gw.account("shop").request("GET", "/api/v2/order/", query={"page": "1", "size": "100"}).json()
    rows = answer["data"]["data"]
    answer["data"]["data"] = change(rows) or rows
    body = json.dumps(answer, default=str)
    world.server.faults("aurpay").add(
        faults.Status(status=200, body=body, method="GET", path="/api/v2/order/", times=times)
    )


def is_settled(gw: Opened, account: str = "shop") -> None:
    """Reconciling again finds nothing, and tells nobody anything."""
    before = told(gw)
    again = reconciled(gw, account, repair=True)
    assert (again.findings, again.differs, told(gw)) == ((), False, before)


# Orders


def test_books_that_agree(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        paid = gw.orders.create(cart("a"), account="shop")
        gw.orders.create(cart("b", pay_with="BTC@lightning"), account="shop")
        gw.orders.create(cart("elsewhere"), account="backup")
        world.server.pay("aurpay", paid.provider_id)
        gw.orders.get("a")
        found = reconciled(gw)
        assert (found.findings, found.differs, found.complete) == ((), False, True)
        assert found.read == {"orders.list": 3, "transactions.list": 1}
        assert (found.account, found.provider, found.environment) == ("shop", "aurpay", Environment.SANDBOX)
        assert {one.what: one.reason for one in found.not_compared} == {
            "payouts": "withdrawals.list is not offered: the provider documents no such call",
            "open trades": "trades.open is not offered: the provider is no exchange",
            "finished trades": "trades.history is not offered: the provider is no exchange",
        }


def test_paid_there_and_open_here(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        gw.orders.create(cart("another"), account="shop")
        world.server.pay("aurpay", order.provider_id)
        found = reconciled(gw)
        assert only(found) == Finding(
            kind=K.PAID_THERE,
            subject="order",
            account="shop",
            reference="cart-1001",
            number=1,
            provider_id=order.provider_id,
            here="pending",
            there="paid",
            todo="let it follow with --repair, or read it with `gateway orders get cart-1001`",
        )
        assert found.differs
        assert gw.orders.get("cart-1001", refresh=False).status is S.PENDING, "without repair nothing changes"
        assert told(gw) == ["order.created", "order.created"]
        repaired = reconciled(gw, repair=True)
        assert (only(repaired).kind, only(repaired).repaired, repaired.differs) == (K.PAID_THERE, True, False)
        order = gw.orders.get("cart-1001", refresh=False)
        assert (order.status, len(order.leading.order.movements)) == (S.PAID, 1)
        assert told(gw) == ["order.created", "order.created", "order.paid"]
        is_settled(gw)


@pytest.mark.parametrize(
    ("how", "there", "kind", "event"),
    [
        ("under", "underpaid (partial)", K.PAID_THERE, "order.underpaid"),
        ("expire", "expired", K.STATUS_DIFFERS, "order.expired"),
        ("fail", "cancelled", K.STATUS_DIFFERS, "order.cancelled"),
    ],
)
def test_whatever_happened_there_meanwhile_is_followed(
    world: World, how: str, there: str, kind: FindingKind, event: str
) -> None:
    with world.gateway() as gw:
        order = gw.orders.create(cart(), account="shop")
        if how == "under":
            world.server.pay("aurpay", order.provider_id, "under")
        else:
            getattr(world.server, how)("aurpay", order.provider_id)
        finding = only(reconciled(gw, repair=True))
        assert (finding.kind, finding.here, finding.there, finding.repaired) == (kind, "pending", there, True)
        assert told(gw) == ["order.created", event]
        is_settled(gw)


def test_what_was_refunded_there_is_followed(world: World) -> None:
    with world.gateway() as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id)
        assert gw.orders.get("cart-1001").status is S.PAID
        gw.refunds.create(RefundRequest(reference="back", order="cart-1001"))
        world.aurpay.complete_refund(order.provider_id)
        finding = only(reconciled(gw, repair=True))
        assert (finding.kind, finding.here, finding.there) == (K.STATUS_DIFFERS, "paid", "refunded")
        assert told(gw)[-1] == "order.refunded"
        is_settled(gw)


def test_open_there_and_final_here(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id)
        gw.orders.get("cart-1001")
        shown_as(world, gw, lambda rows: rows[0].update(status="PENDING"))
        finding = only(reconciled(gw, repair=True))
        assert (finding.kind, finding.here, finding.there) == (K.OPEN_THERE, "paid", "pending")
        assert not finding.repaired
        assert "look at it at the provider" in finding.todo
        assert gw.orders.get("cart-1001", refresh=False).status is S.PAID
        assert told(gw) == ["order.created", "order.paid"]


@pytest.mark.parametrize(
    ("change", "here", "there"),
    [
        ({"vs_price": "24.99"}, "asked for 25.00 USD", "for 24.99 USD"),
        ({"chain": "ETH", "currency": "USDT-ERC20"}, "to be paid in USDT@tron", "paid in USDT@ethereum"),
    ],
)
def test_an_order_that_is_not_what_was_asked_for_is_not_followed(
    world: World, change: dict[str, str], here: str, there: str
) -> None:
    with world.gateway() as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id)
        shown_as(world, gw, lambda rows: rows[0].update(change))
        found = reconciled(gw, repair=True)
        orders = [one for one in found.findings if one.subject == "order"]
        assert [(one.kind, one.here, one.there, one.repaired) for one in orders] == [
            (K.AMOUNT_DIFFERS, here, there, False),
            (K.PAID_THERE, "pending", "paid", False),
        ]
        assert "before anything is delivered" in found.findings[0].todo
        assert gw.orders.get("cart-1001", refresh=False).status is S.PENDING


def foreign_order(gw: Opened, account: str = "shop") -> str:
    """An order that another system of the merchant makes."""
    body = {"chain": "TRX", "currency": "USDT-TRC20", "vs_currency": "USD", "vs_price": 18}
    made = gw.account(account).request("POST", "/api/order/pay-info", json=body).json()
    return str(made["data"]["order_id"])


def test_orders_that_nobody_here_made(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        number = foreign_order(gw)
        world.server.pay("aurpay", number)
        finding = only(reconciled(gw, repair=True))
        assert (finding.kind, finding.provider_id, finding.reference) == (K.UNKNOWN_HERE, number, None)
        assert (finding.here, finding.there) == (None, "paid 18 USD")
        assert gw.orders.list() == []


def test_orders_that_the_list_does_not_show(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        gone = gw.orders.create(cart("gone"), account="shop")
        gw.orders.create(cart("there"), account="shop")
        shown_as(world, gw, lambda rows: [row for row in rows if row["order_id"] != gone.provider_id])
        finding = only(reconciled(gw, repair=True))
        assert (finding.kind, finding.reference, finding.here) == (K.NOT_SHOWN, "gone", "pending")
        assert "an absence proves nothing" in finding.todo
        assert gw.orders.get("gone", refresh=False).status is S.PENDING


def test_only_what_was_made_in_the_time_is_compared(world: World) -> None:
    with world.gateway() as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id)
        now = datetime.now(UTC)
        later = reconciled(gw, since=now + timedelta(minutes=10), until=now + timedelta(minutes=20))
        assert later.findings == ()
        earlier = reconciled(gw, since=now - timedelta(days=9), until=now - timedelta(days=1))
        assert [one.kind for one in earlier.findings if one.subject == "order"] == []
        assert [one.kind for one in reconciled(gw, until=now + timedelta(minutes=1)).findings] == [K.PAID_THERE]


def test_orders_without_a_number_are_counted(tmp_path: Path) -> None:
    from gateway.testing import SandboxServer
    from gateway_aurpay.sandbox import AurpaySandbox

    world = World(tmp_path)
    world.aurpay = AurpaySandbox(pay_url_has_order_id=False)
    world.server = SandboxServer([world.aurex, world.aurpay, world.emirex])
    with world, world.gateway() as gw:
        gw.orders.create(cart(pay_with=None), account="shop")
        found = reconciled(gw)
        assert found.findings == ()
        assert "orders without a number at the provider: 1" in [one.what for one in found.not_compared]


@pytest.mark.parametrize(
    "given",
    [
        {"since": datetime(2025, 6, 1)},  # noqa: DTZ001 - that it lacks a zone is the point
        {"since": datetime.now(UTC) + timedelta(days=1)},
        {"until": datetime(2020, 1, 1, tzinfo=UTC)},
        {"deadline": 0},
    ],
)
def test_times_that_cannot_be_are_refused(world: World, colour: str, given: dict[str, Any]) -> None:
    with world.gateway(colour) as gw:
        with pytest.raises(InvalidRequest):
            reconciled(gw, **given)
        with pytest.raises(ConfigurationError):
            gw.reconciled(account="nobody")
        assert gw.reconciled(account="shop") is None
    assert world.server.requests["aurpay"] == []


def test_the_last_run_is_kept(world: World, colour: str) -> None:
    with world.gateway(colour, store=world.store) as gw:
        first = reconciled(gw)
        foreign_order(gw)
        second = reconciled(gw)
        assert first.findings == () != second.findings
    with world.gateway(colour, store=world.store) as gw:
        assert gw.reconciled(account="shop") == second
        assert gw.reconciled(account="backup") is None


# Writes of unknown outcome


def lost(gw: Opened, write: Callable[[], Any]) -> None:
    with pytest.raises(OutcomeUnknown):
        write()


def test_an_unknown_order_is_named_with_what_it_may_be(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        world.lose_answer()
        lost(gw, lambda: gw.orders.create(cart(), account="shop"))
        (made,) = world.aurpay.orders()
        foreign_order(gw)
        for repair in (False, True):
            found = reconciled(gw, repair=repair)
            finding = next(one for one in found.findings if one.kind is K.UNCONFIRMED)
            assert (finding.subject, finding.reference, finding.number) == ("order", "cart-1001", 1)
            assert [match["provider_id"] for match in finding.matches] == [made.id]
            assert "gateway journal settle cart-1001 --operation orders.create --scope 1 --as done" in finding.todo
            assert {one.provider_id for one in found.findings if one.kind is K.UNKNOWN_HERE} >= {made.id}
        # However likely it is, nothing is settled by it.
        assert gw.orders.get("cart-1001").exceptions == {E.UNCONFIRMED}
        assert [entry.state for entry in gw.journal.show("cart-1001")] == ["unknown"]
        gw.journal.settle("cart-1001", outcome="done", reason="it is this one", provider_id=made.id)
        assert [one.kind for one in reconciled(gw).findings] == [K.UNKNOWN_HERE]


def test_an_unknown_order_that_nothing_may_be(world: World) -> None:
    with world.gateway() as gw:
        world.server.faults("aurpay").add(faults.Drop(executed=False, method="POST"))
        lost(gw, lambda: gw.orders.create(cart(), account="shop"))
        finding = only(reconciled(gw))
        assert (finding.kind, finding.matches) == (K.UNCONFIRMED, ())
        assert finding.there == "nothing that may have come of it"
        assert "--as done|failed" in finding.todo


def test_an_unknown_payout_is_named_with_the_movement_it_may_be(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        gw.withdrawals.create(payout("other", "0.0005"), account="shop")
        world.lose_answer()
        lost(gw, lambda: gw.withdrawals.create(payout(), account="shop"))
        found = reconciled(gw, repair=True)
        outside, unknown = found.findings
        assert (outside.kind, outside.there) == (K.OUTSIDE, "WITHDRAW SUCCESS 0.001 BTC@lightning")
        assert (unknown.kind, unknown.subject, unknown.reference) == (K.UNCONFIRMED, "withdrawal", "payout-77")
        assert [match["provider_id"] for match in unknown.matches] == [outside.provider_id]
        assert gw.withdrawals.get("payout-77").status is WithdrawalStatus.UNCONFIRMED


def test_what_a_dead_process_left_is_found(world: World) -> None:
    """Recorded as sent by a process that is no more: unknown, and named."""
    import subprocess
    import sys

    from gateway.store import journal
    from gateway.store.owner import Owner, this_process

    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    ours = this_process()
    dead = Owner(ours.host, ours.machine, child.pid, ours.started, "claim")
    with world.gateway() as gw:
        gw.core.database()

        def leave(connection: Any) -> None:
            entry, _ = journal.begin(
                connection,
                operation="customers.create",
                reference="c-1",
                account="shop",
                provider="aurpay",
                environment=Environment.SANDBOX,
                fingerprint=journal.fingerprint({}),
                request={},
                owner=dead,
                now=gw.core.now(),
                lease=timedelta(minutes=10),
            )
            journal.mark_sent(connection, entry.id, gw.core.now())

        gw.core.database().transaction(leave)
        finding = only(reconciled(gw))
        assert (finding.kind, finding.subject, finding.reference) == (K.UNCONFIRMED, "customer", "c-1")


# Money movements


def test_money_that_moved_without_anything_here(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id)
        gw.orders.get("cart-1001")
        gw.withdrawals.create(payout(), account="shop")
        by_hand = {"ln_invoices": invoice("0.0002")}
        assert gw.account("shop").request("POST", "/api/bln/withdraw", json=by_hand).is_success
        finding = only(reconciled(gw))
        assert (finding.kind, finding.subject) == (K.OUTSIDE, "transaction")
        assert finding.there == "WITHDRAW SUCCESS 0.0002 BTC@lightning"


def test_two_payments_of_one_amount_and_one_order(world: World) -> None:
    """One of them is the order's; which, nobody needs to know to see that there is one too many."""
    with world.gateway() as gw:
        first = gw.orders.create(cart("a", pay_with="BTC@lightning"), account="shop")
        world.server.pay("aurpay", first.provider_id)
        rows = gw.account("shop").request("GET", "/api/v2/tx", query={"page": "1", "size": "100"}).json()
        stranger = {**rows["data"]["data"][0], "tx_id": "stranger"}
        rows["data"]["data"].append(stranger)
        body = json.dumps(rows, default=str)
        for known in (False, True):
            if known:
                gw.orders.get("a")
            world.server.faults("aurpay").add(faults.Status(status=200, body=body, method="GET", path="/api/v2/tx"))
            outside = [one for one in reconciled(gw).findings if one.kind is K.OUTSIDE]
            assert len(outside) == 1
            if known:  # its number tells which
                assert outside[0].provider_id == "stranger"


def test_a_movement_that_names_its_order(world: World) -> None:
    with world.gateway() as gw:
        order = gw.orders.create(cart(), account="backup")
        rows = gw.account("shop").request("GET", "/api/v2/tx", query={"page": "1", "size": "100"}).json()
        base = {"user_id": "mct-1", "tx_type": "ORDER", "status": "SUCCESS", "chain": "TRX", "currency": "USDT-TRC20"}
        base |= {"amount": "7", "obtained": "7", "fee": "0"}
        rows["data"]["data"] = [
            {**base, "tx_id": "ours", "order_id": order.provider_id},
            {**base, "tx_id": "theirs", "order_id": "20200101000000000000"},
            {**base, "tx_id": "old", "create_time": "2020-01-01T00:00:00"},
            {**base, "tx_id": "new", "create_time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"},
        ]
        body = json.dumps(rows, default=str)
        world.server.faults("aurpay").add(faults.Status(status=200, body=body, method="GET", path="/api/v2/tx"))
        assert [one.provider_id for one in reconciled(gw).findings] == ["theirs", "new"]


# One list for each customer


def deposit(gw: Opened, reference: str, price: str = "100 USD", customer: str = "c-42") -> Any:
    request = cart(reference, price, "USDT", customer=customer, settles_to="customer")
    return gw.orders.create(request, account="cards")


def test_orders_that_are_listed_customer_by_customer(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        for name in ("c-42", "c-43"):
            gw.customers.create(CustomerRequest(reference=name, first_name="A", last_name="B"), account="cards")
        paid = deposit(gw, "paid")
        deposit(gw, "open", customer="c-43")
        world.server.pay("aurex", paid.provider_id.partition("/")[2])
        found = reconciled(gw, "cards", repair=True)
        assert [(one.kind, one.reference, one.repaired) for one in found.findings] == [(K.PAID_THERE, "paid", True)]
        assert found.read == {"orders.list": 2}
        assert told(gw) == ["order.created", "order.created", "order.paid"]
        left_out = [one.what for one in found.not_compared]
        assert left_out[0] == "orders of customers that are not known here"
        assert "money movements" in left_out
        is_settled(gw, "cards")


def test_a_customer_whose_list_cannot_be_read_leaves_the_others(world: World) -> None:
    with world.gateway() as gw:
        for name in ("c-42", "c-43"):
            gw.customers.create(CustomerRequest(reference=name, first_name="A", last_name="B"), account="cards")
            deposit(gw, f"of-{name}", customer=name)
        user = gw.customers.get("c-42", account="cards", refresh=False).provider_id
        path = f"/users/{user}/deposits"
        world.server.faults("aurex").add(faults.Status(status=404, method="GET", path=path))
        found = reconciled(gw, "cards")
        (failed,) = [one for one in found.not_compared if one.failed]
        assert failed.what == "orders of the customer c-42"
        assert (found.complete, found.findings) == (False, ()), "what was not read is not said to be absent"


def test_a_list_that_is_longer_than_the_keys_calls_is_waited_for(tmp_path: Path, colour: str) -> None:
    clock = VirtualClock(datetime.now(UTC))
    with World(tmp_path, rate_limit=False) as world, world.gateway(colour, clock=clock) as gw:
        for number in range(31):
            request = CustomerRequest(reference=f"c-{number}", first_name="A", last_name="B")
            gw.customers.create(request, account="cards")
        found = reconciled(gw, "cards", since=clock.now() - timedelta(hours=1))
        assert found.complete
        assert len(world.calls("aurex", "GET", "/users/")) == 31
        assert sum(clock.slept) >= 58


# Exchange orders


def trade(reference: str, volume: str = "0.5") -> TradeRequest:
    return TradeRequest(reference=reference, market="BTC/USDC", side="sell", volume=volume, rate="70000")


def test_exchange_orders(world: World, colour: str) -> None:
    world.emirex.credit("BTC", Decimal(5))
    with world.gateway(colour) as gw:
        filled = gw.trades.create(trade("filled"), account="treasury")
        gw.trades.create(trade("open"), account="treasury")
        world.emirex.fill(filled.provider_id)
        world.lose_answer("emirex")
        lost(gw, lambda: gw.trades.create(trade("lost", "0.25"), account="treasury"))
        found = reconciled(gw, "treasury")
        assert [(one.kind, one.subject, one.reference, one.here, one.there) for one in found.findings] == [
            (K.UNKNOWN_HERE, "trade", None, None, "open BTCUSDC"),
            (K.STATUS_DIFFERS, "trade", "filled", "pending", "filled"),
            (K.UNCONFIRMED, "trade", "lost", found.findings[2].here, "1 that may have come of it"),
        ]
        assert found.findings[2].matches[0]["provider_id"] == found.findings[0].provider_id
        assert gw.trades.get("filled", refresh=False).status is TradeStatus.PENDING
        repaired = reconciled(gw, "treasury", repair=True)
        assert [one.reference for one in repaired.findings if one.repaired] == ["filled"]
        assert gw.trades.get("filled", refresh=False).status is TradeStatus.FILLED
        assert gw.trades.get("lost", refresh=False).status is TradeStatus.UNCONFIRMED
        assert told(gw).count("trade.filled") == 1
        again = reconciled(gw, "treasury", repair=True)
        assert [one.kind for one in again.findings] == [K.UNKNOWN_HERE, K.UNCONFIRMED]
        assert told(gw).count("trade.filled") == 1


def test_an_exchange_order_that_no_list_shows(world: World) -> None:
    world.emirex.credit("BTC", Decimal(5))
    with world.gateway() as gw:
        gw.trades.create(trade("gone"), account="treasury")
        body = json.dumps({"status": True, "data": {"list": []}})
        world.server.faults("emirex").add(faults.Status(status=200, body=body, method="POST", path="/private/orders"))
        finding = only(reconciled(gw, "treasury"))
        assert (finding.kind, finding.subject, finding.reference) == (K.NOT_SHOWN, "trade", "gone")


def test_what_the_account_may_not_read_is_not_compared(world: World) -> None:
    accounts = world.accounts(treasury={"allow_inferred": ["trades.create"]})
    with world.gateway(accounts=accounts) as gw:
        found = reconciled(gw, "treasury")
        reasons = {one.what: one.reason for one in found.not_compared}
        assert "nobody has been seen" in reasons["open trades"] or "allow_inferred" in reasons["open trades"]
        assert (found.complete, found.read) == (True, {})
    assert world.server.requests["emirex"] == []


# A provider with a list of payouts


class Lister(Toy):
    """Toy with a list of payouts, in pages of two."""

    def list_withdrawals(self, query: Query) -> Operation[Page[ProviderWithdrawal]]:
        page = int(query.cursor or "1")
        request = Request("GET", f"/withdrawals/page-{page}")
        data = yield from ask(request, lambda response: response.json()["data"])
        items = tuple(
            ProviderWithdrawal(
                provider_id=row["id"],
                status=WithdrawalStatus(row["status"]),
                amount=Money(row["amount"], "USDT@tron"),
                created_at=datetime.fromisoformat(row["at"]) if "at" in row else None,
            )
            for row in data["rows"]
        )
        return Page[ProviderWithdrawal](items=items, next=str(page + 1) if data["more"] else None)


TABLE = CAPABILITIES.replaced(supported("withdrawals.list", "D", "toy"))


def test_payouts() -> None:
    numbers = itertools.count(1)
    rows: list[dict[str, Any]] = []

    def app(seen: Seen) -> Any:
        if seen.method == "POST" and seen.path == "/withdrawals":
            return good({"id": f"w-{next(numbers)}", "status": "open"})
        if seen.path.startswith("/withdrawals/page-"):
            page = int(seen.path.rpartition("-")[2])
            return good({"rows": rows[2 * page - 2 : 2 * page], "more": 2 * page < len(rows)})
        return answers(seen)

    plugins = toy_plugins(provider(adapter=Lister, capabilities=TABLE))
    with Loopback(app=app) as service:
        given = {"plugins": plugins, "accounts": {"shop": account(service.url)}}
        with opened("sync", **given) as gw:
            for name in ("completed", "failed", "same", "absent", "wrong"):
                to = CryptoAddress(ADDRESS)
                gw.withdrawals.create(WithdrawalRequest(reference=name, amount="5 USDT@tron", to=to))
            rows[:] = [
                {"id": "w-1", "status": "completed", "amount": "5"},
                {"id": "w-2", "status": "failed", "amount": "5"},
                {"id": "w-3", "status": "pending", "amount": "5"},
                {"id": "w-5", "status": "completed", "amount": "50"},
                {"id": "w-9", "status": "completed", "amount": "1000"},
                {"id": "w-0", "status": "completed", "amount": "1", "at": "2020-01-01T00:00:00+00:00"},
            ]
            expected = [
                (K.PAID_THERE, "completed", "pending", "completed"),
                (K.STATUS_DIFFERS, "failed", "pending", "failed"),
                (K.AMOUNT_DIFFERS, "wrong", "5 USDT@tron", "50 USDT@tron"),
                (K.PAID_THERE, "wrong", "pending", "completed"),
                (K.UNKNOWN_HERE, None, None, "completed 1000 USDT@tron"),
                (K.NOT_SHOWN, "absent", "pending", None),
            ]
            for repair in (False, True):
                found = [one for one in reconciled(gw, repair=repair).findings if one.subject == "withdrawal"]
                assert [(one.kind, one.reference, one.here, one.there) for one in found] == expected
                assert [one.repaired for one in found] == [repair, repair, False, False, False, False]
            assert "gateway freeze shop" in found[4].todo
            assert gw.withdrawals.get("completed", refresh=False).status is WithdrawalStatus.COMPLETED
            assert gw.withdrawals.get("wrong", refresh=False).status is WithdrawalStatus.PENDING
            assert sorted(told(gw)).count("withdrawal.completed") == 1
            after = [one.reference for one in reconciled(gw, repair=True).findings if one.subject == "withdrawal"]
            assert after == ["wrong", "wrong", None, "absent"]
            assert sorted(told(gw)).count("withdrawal.completed") == 1


# Trouble on the way


def test_a_list_that_cannot_be_read_is_told_and_the_others_go_on(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        gw.orders.create(cart(), account="shop")
        world.server.faults("aurpay").add(faults.Status(status=403, method="GET", path="/api/v2/order/"))
        found = reconciled(gw)
        (failed,) = [one for one in found.not_compared if one.failed]
        assert (failed.what, failed.reason.partition(":")[0]) == ("orders", "PermissionDenied")
        assert (found.complete, found.findings, found.read) == (False, (), {"transactions.list": 0})
        assert gw.reconciled(account="shop") == found


def test_a_repair_that_fails_is_told(world: World) -> None:
    with world.gateway() as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id)
        world.server.faults("aurpay").add(faults.Status(status=403, method="GET", path="/api/v2/order/detail"))
        found = reconciled(gw, repair=True)
        assert (only(found).repaired, found.complete) == (False, False)
        assert gw.orders.get("cart-1001", refresh=False).status is S.PENDING


def test_a_store_that_fails_ends_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any, **named: Any) -> None:
        raise StoreError("the disk is full")

    with world.gateway() as gw:
        gw.orders.create(cart(), account="shop")
        monkeypatch.setattr("gateway.store.reconciliations.known_attempts", broken)
        with pytest.raises(StoreError, match="the disk is full"):
            reconciled(gw)


# Long lists


class Books:
    """A toy provider with `total` orders, newest first, a minute apart."""

    def __init__(self, total: int) -> None:
        self.total = total

    def __call__(self, seen: Seen) -> Any:
        if seen.path != "/orders":
            return answers(seen)
        first = int(dict(pair.split("=") for pair in seen.target.partition("?")[2].split("&")).get("cursor", "0"))
        rows = [{"id": f"{number:08}", "status": "open"} for number in range(first, min(first + 100, self.total))]
        return good({"orders": rows, "next": str(first + 100) if first + 100 < self.total else None})


class Dated(Toy):
    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        rows = (
            row.model_copy(update={"created_at": START - timedelta(minutes=int(row.provider_id or "0"))})
            for row in page.items
        )
        return Page[ProviderOrder](items=tuple(rows), next=page.next)


def at_books(total: int, adapter: type[Toy]) -> Iterator[tuple[Opened, Loopback]]:
    with Loopback(app=Books(total)) as service:
        plugins = toy_plugins(provider(adapter=adapter))
        clock = VirtualClock()
        with opened("sync", plugins=plugins, accounts={"shop": account(service.url)}, clock=clock) as gw:
            yield gw, service


def test_a_list_is_read_to_its_end_and_told_on_the_way() -> None:
    for gw, service in at_books(450, Toy):
        progress: list[tuple[str, int]] = []
        tell = progress.append
        found = reconciled(gw, since=START - timedelta(days=1), progress=lambda *told, tell=tell: tell(told))
        assert progress == [("orders.list", rows) for rows in (100, 200, 300, 400, 450)]
        assert len(found.findings) == 450
        assert len(service.requests) == 5


def test_a_list_that_is_newest_first_is_read_as_far_back_as_is_needed() -> None:
    for gw, service in at_books(100_000, Dated):
        found = reconciled(gw, since=START - timedelta(hours=1))
        # An hour and two minutes of orders are compared; the list is read a day further back, for a zone set wrong.
        assert len(found.findings) == 62
        assert len(service.requests) == 16


def test_of_very_many_differences_some_are_listed_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.flows.reconciling.run.MOST_FINDINGS", 50)
    for gw, _ in at_books(450, Toy):
        found = reconciled(gw, since=START - timedelta(days=1))
        assert (len(found.findings), found.unlisted, found.differs) == (50, 400, True)


def test_memory_does_not_grow_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.flows.reconciling.run.MOST_FINDINGS", 10)
    peaks = []
    for total in (1_000, 5_000):
        for gw, _ in at_books(total, Toy):
            reconciled(gw, since=START - timedelta(minutes=1))  # warm
            tracemalloc.start()
            reconciled(gw, since=START - timedelta(minutes=1))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    # A row of the list is more than a thousand bytes; what is kept of it is eight, and once more while they are sorted.
    assert peaks[1] - peaks[0] < 4_000 * 100


def test_numbers_are_remembered_in_eight_bytes() -> None:
    numbers = Numbers()
    numbers.add(str(number) for number in range(0, 1000, 2))
    assert all((str(number) in numbers) is (number % 2 == 0) for number in range(1000))
    numbers.add(["999"])
    assert "999" in numbers
    assert "nothing" not in Numbers()


def test_whether_a_list_is_newest_first_is_found_out() -> None:
    def after(*pages: list[int | None]) -> datetime | None:
        order = NewestFirst()
        for page in pages:
            oldest = order.oldest(START + timedelta(minutes=minute) if minute is not None else None for minute in page)
        return oldest

    assert after([5, 4, 4], [3]) == START + timedelta(minutes=3)
    assert after([5, 5]) is None, "of one age, nothing is known"
    assert after([1, 2]) is None
    assert after([5, 4], [6], [1]) is None
    assert after([5, None, 3]) is None
    assert after([]) is None


# The rules, without anything around them


def attempt(status: OrderStatus, *exceptions: OrderException, order: ProviderOrder | None = None) -> Attempt:
    return Attempt(
        number=1,
        account="shop",
        provider="aurpay",
        environment=Environment.SANDBOX,
        status=status,
        exceptions=frozenset(exceptions),
        created_at=START,
        updated_at=START,
        order=order,
    )


def seen(status: OrderStatus, **more: Any) -> ProviderOrder:
    return ProviderOrder(provider_id="1", status=status, price=Money("25", "USD"), **more)


def compared(known: Attempt, row: ProviderOrder, *, later: bool = True) -> list[tuple[FindingKind, str, str, bool]]:
    read_at = START + timedelta(seconds=1) if later else START
    found = comparing.of_order(known, cart(), row, Decimal(0), read_at=read_at)
    return [(one.kind, one.here, one.there, one.follows) for one in found]


@pytest.mark.parametrize("status", [status for status in S if status is not S.CREATING])
def test_the_same_status_is_no_difference(status: OrderStatus) -> None:
    exceptions = {E.PARTIAL} if status is S.UNDERPAID else set()
    assert compared(attempt(status, *exceptions), seen(status)) == []


@pytest.mark.parametrize(
    ("here", "there", "kind", "follows"),
    [
        (S.PENDING, S.PAID, K.PAID_THERE, True),
        (S.EXPIRED, S.PAID, K.PAID_THERE, True),
        (S.PENDING, S.REFUNDED, K.PAID_THERE, True),
        (S.UNDERPAID, S.PAID, K.PAID_THERE, True),
        (S.PENDING, S.PROCESSING, K.STATUS_DIFFERS, True),
        (S.PENDING, S.EXPIRED, K.STATUS_DIFFERS, True),
        (S.PAID, S.REFUNDED, K.STATUS_DIFFERS, True),
        (S.PAID, S.PENDING, K.OPEN_THERE, False),
        (S.CANCELLED, S.PENDING, K.OPEN_THERE, False),
        (S.FAILED, S.UNDERPAID, K.OPEN_THERE, False),
        (S.CANCELLED, S.PAID, K.STATUS_DIFFERS, False),
        (S.EXPIRED, S.PENDING, K.STATUS_DIFFERS, False),
    ],
)
def test_every_way_to_differ(here: OrderStatus, there: OrderStatus, kind: FindingKind, follows: bool) -> None:
    ((found, _, _, may_follow),) = compared(attempt(here), seen(there))
    assert (found, may_follow) == (kind, follows)


def test_a_row_that_was_read_before_the_attempt_changed_contradicts_nothing() -> None:
    assert compared(attempt(S.PAID), seen(S.PENDING), later=False) == []
    assert compared(attempt(S.PENDING), seen(S.PAID), later=False) != []


def test_amounts_that_arrived_are_compared_in_one_asset() -> None:
    pay = PaymentInstructions(amount=Money("10", "USDT@tron"))
    known = attempt(S.PAID, order=seen(S.PAID, received=Money("10", "USDT@tron"), net=Money("9", "USDT@tron"), pay=pay))
    assert compared(known, seen(S.PAID, received=Money("10.0", "USDT@tron"), pay=pay)) == []
    assert compared(known, seen(S.PAID, net=Money("8", "USDT@tron"), pay=pay)) == [
        (K.AMOUNT_DIFFERS, "net 9 USDT@tron", "net 8 USDT@tron", True)
    ]
    ((kind, here, there, _),) = compared(known, seen(S.PAID, received=Money("11", "USDT@tron"), pay=pay))
    assert (kind, here, there) == (K.STATUS_DIFFERS, "paid", "paid (over)")


def test_a_payout_of_unknown_outcome_does_not_follow() -> None:
    known = Withdrawal(
        reference="w",
        account="shop",
        provider="toy",
        environment=Environment.SANDBOX,
        status=WithdrawalStatus.UNCONFIRMED,
        amount=Money("5", "USDT@tron"),
        to=CryptoAddress(ADDRESS),
        created_at=START,
        updated_at=START,
    )
    row = ProviderWithdrawal(provider_id="1", status=WithdrawalStatus.COMPLETED)
    (found,) = comparing.of_withdrawal(known, row)
    assert (found.kind, found.follows) == (K.PAID_THERE, False)
    ended = known.model_copy(update={"status": WithdrawalStatus.COMPLETED})
    pending = row.model_copy(update={"status": WithdrawalStatus.PENDING})
    assert [one.kind for one in comparing.of_withdrawal(ended, pending)] == [K.OPEN_THERE]


@pytest.mark.parametrize(
    ("known", "row", "expected"),
    [
        ({"status": "pending"}, {"status": "open"}, []),
        ({"status": "open"}, {"status": "cancelled"}, [(K.STATUS_DIFFERS, True)]),
        ({"status": "filled"}, {"status": "open"}, [(K.OPEN_THERE, False)]),
        ({"status": "open", "filled": "0"}, {"status": "open", "filled": "0.5"}, [(K.AMOUNT_DIFFERS, True)]),
        (
            {"status": "open", "volume": "1"},
            {"status": "filled", "volume": "2"},
            [(K.AMOUNT_DIFFERS, False), (K.STATUS_DIFFERS, False)],
        ),
        ({"status": "unconfirmed"}, {"status": "open"}, [(K.STATUS_DIFFERS, False)]),
    ],
)
def test_exchange_orders_are_compared(known: dict[str, str], row: dict[str, str], expected: list[Any]) -> None:
    found = comparing.of_trade(Trade(provider_id="1", **known), Trade(provider_id="1", **row))
    assert [(one.kind, one.follows) for one in found] == expected


# In the worker


def test_the_worker_reconciles_every_account(world: World, caplog: pytest.LogCaptureFixture) -> None:
    accounts = {"shop": world.accounts()["shop"]}
    clock = VirtualClock(datetime.now(UTC))
    given = {"accounts": accounts, "clock": clock}
    with world.gateway(store=world.store, **given) as gw:
        foreign_order(gw)
        gw.raw.run(until_idle=True)
        assert gw.reconciled(account="shop") is None, "after a day, not at once"
        clock.advance(86_401)
        gw.raw.run(until_idle=True)
        found = gw.reconciled(account="shop")
        assert [one.kind for one in found.findings] == [K.UNKNOWN_HERE]
        assert found.until - found.since == timedelta(days=7)
        assert "the books of shop differ from the provider's in 1 places since" in caplog.text
        clock.advance(3600)
        gw.raw.run(until_idle=True)
        assert gw.reconciled(account="shop") == found, "once a day"
    with world.gateway(reconcile={"scheduled": False}, **given) as gw:
        for _ in range(2):
            gw.raw.run(until_idle=True)
            clock.advance(86_401)
        assert gw.reconciled(account="shop") is None
