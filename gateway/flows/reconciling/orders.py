"""Comparing orders: the provider's list, or one list for each customer, with the attempts made here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.contracts import ListsOrders, ReadsOrders
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import GatewayError, StoreError
from gateway.flows import comparing, orders
from gateway.flows.comparing import Difference
from gateway.flows.reconciling.run import BATCH, MOST_FINDINGS, PAGE, Numbers, Run, numbered
from gateway.models.orders import OrderStatus, ProviderOrder
from gateway.models.reconciliations import FindingKind
from gateway.secrets import Raw
from gateway.store import customers
from gateway.store import orders as order_store
from gateway.store import reconciliations as store
from gateway.store.reconciliations import Known

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["MONEY_IS_THERE", "compare"]

MONEY_IS_THERE = (OrderStatus.PAID, OrderStatus.UNDERPAID, OrderStatus.REFUNDED, OrderStatus.PROCESSING)


def compare(run: Run) -> Flow[None]:
    """Walk what the provider lists of orders, and tell what differs."""
    if not run.offers("orders.list", "orders"):
        return
    account, shown = run.account, Numbers()
    walked: set[str] | None = None
    if account.adapter.reads_orders_from_lists:
        run.left_out("orders of customers that are not known here", "the provider lists orders customer by customer")
        walked = yield from _customers(run, shown)
    else:
        yield from _walk(run, None, shown)
    yield from _strangers(run)
    yield from _absent(run, shown, walked)
    numberless = yield from transact(
        lambda connection: store.without_number(
            connection, account.name, account.environment, since=run.since, until=run.until
        )
    )
    if numberless:
        run.left_out(
            f"orders without a number at the provider: {numberless}",
            "the payer has not chosen how to pay, or nobody has told the number",
        )


def _customers(run: Run, shown: Numbers) -> Flow[set[str]]:
    """Walk the list of every customer that is known here; those whose list could be read to its end."""
    account, walked = run.account, set()
    cursor: str | None = None
    while True:
        page = yield from transact(
            lambda c, at=cursor: customers.list_customers(  # type: ignore[misc]
                c, account=account.name, environment=account.environment, size=PAGE, cursor=at
            )
        )
        for customer in page.items:
            try:
                yield from _walk(run, customer.provider_id, shown)
                walked.add(customer.reference)
            except StoreError:
                raise
            except GatewayError as error:
                run.broke(f"orders of the customer {customer.reference}", error)
        cursor = page.next
        if cursor is None:
            return walked


def _walk(run: Run, customer: str | None, shown: Numbers) -> Flow[None]:
    account = run.account
    # Of one merchant there can be several accounts: what is known at another one is no stranger.
    siblings = [
        other.name
        for other in run.core.accounts.values()
        if other.provider.name == account.provider.name and other.environment is account.environment
    ]

    def take(items: Sequence[ProviderOrder], read_at: datetime) -> Flow[None]:
        rows = numbered(items)
        shown.add(rows)
        known = yield from transact(
            lambda c: store.known_attempts(c, account.provider.name, account.environment, rows, siblings)
        )
        for number, row in rows.items():
            for one in known.get(number, ()):
                if one.attempt.account == account.name and run.covers(row.created_at, one.attempt.created_at):
                    yield from _compare(run, one, row, read_at)
            if number not in known and run.covers(row.created_at):
                run.keep(run.loose_orders, row)
            paid_here = any(one.attempt.status in MONEY_IS_THERE for one in known.get(number, ()))
            if row.status in MONEY_IS_THERE and not paid_here and len(run.paid_there) < MOST_FINDINGS:
                run.paid_there.append(row.model_copy(update={"raw": Raw()}))

    yield from run.walk(
        "orders.list", lambda query: account.able(ListsOrders).list_orders(query), take, customer=customer
    )


def _compare(run: Run, known: Known, row: ProviderOrder, read_at: datetime) -> Flow[None]:
    attempt, tolerance = known.attempt, run.account.settings.underpayment_tolerance
    differences = comparing.of_order(attempt, known.request, row, tolerance, read_at=read_at)
    left: Sequence[Difference] = differences
    if run.repair and any(one.follows for one in differences):
        try:
            left = yield from _follow(run, known, row, read_at)
        except StoreError:
            raise
        except GatewayError as error:
            run.broke(f"order {known.reference}, to be repaired", error)
    for one in differences:
        run.found(
            one.kind,
            "order",
            _todo(one, known.reference),
            reference=known.reference,
            number=attempt.number,
            provider_id=attempt.provider_id,
            here=one.here,
            there=one.there,
            repaired=all(one.kind is not other.kind for other in left),
        )


def _follow(run: Run, known: Known, row: ProviderOrder, read_at: datetime) -> Flow[list[Difference]]:
    """Let the attempt follow what the provider shows, and give what differs still. The order itself says more than a
    row of the list, where the provider shows it.
    """
    account, core, seen, number = run.account, run.core, row, known.attempt.provider_id
    assert number is not None
    if not account.adapter.reads_orders_from_lists and account.capabilities.variants("orders.get"):
        account.require("orders.get")
        read_at = core.now()
        reading = Performance(account, "orders.get", core.deadline(run.seconds, account), background=run.background)
        seen = yield from perform(reading, Begun(account.able(ReadsOrders).get_order(number)))

    def follow(connection: Connection) -> list[Difference]:
        orders.take_over(core, connection, known.reference, known.attempt.number, seen, read_at=read_at)
        order = order_store.load_order(connection, known.reference)
        assert order is not None
        attempt = order.attempts[known.attempt.number - 1]
        tolerance = account.settings.underpayment_tolerance
        return comparing.of_order(attempt, known.request, seen, tolerance, read_at=read_at)

    return (yield from transact(follow))


def _todo(found: Difference, reference: str) -> str:
    if found.follows:
        return f"let it follow with --repair, or read it with `gateway orders get {reference}`"
    if found.kind is FindingKind.AMOUNT_DIFFERS:
        return "it is not what was asked for: look at both before anything is delivered"
    if found.kind is FindingKind.OPEN_THERE:
        return "what has ended here does not begin again: look at it at the provider"
    return f"it cannot follow by itself: compare `gateway orders get {reference}` with the provider"


def _strangers(run: Run) -> Flow[None]:
    """What the list shows and nobody here has made. Looked up again: it may have been on its way meanwhile."""
    account, loose = run.account, run.loose_orders
    run.loose_orders = []
    for start in range(0, len(loose), BATCH):
        rows = numbered(loose[start : start + BATCH])
        known = yield from transact(
            lambda c, rows=rows: store.known_attempts(  # type: ignore[misc]
                c, account.provider.name, account.environment, rows
            )
        )
        run.loose_orders += [row for number, row in rows.items() if number not in known]
    for row in run.loose_orders:
        run.found(
            FindingKind.UNKNOWN_HERE,
            "order",
            "another system at this account may have made it, or a write of unknown outcome, which is told apart",
            provider_id=row.provider_id,
            there=f"{row.status} {row.price}" if row.price else row.status.value,
        )


def _absent(run: Run, shown: Numbers, walked: set[str] | None) -> Flow[None]:
    """What was made here and no list has shown."""
    account, after = run.account, 0
    while True:
        batch = yield from transact(
            lambda c, at=after: store.made_attempts(  # type: ignore[misc]
                c, account.name, account.environment, since=run.since, after=at, limit=BATCH
            )
        )
        for known in batch:
            attempt, number = known.attempt, known.attempt.provider_id
            if number is None or number in shown or not run.should_be_shown(attempt.created_at):
                continue
            if walked is None:
                todo = f"read it by its number with `gateway orders get {known.reference}`"
            elif known.request.customer in walked:
                todo = "look at it at the provider"
            else:
                continue
            run.found(
                FindingKind.NOT_SHOWN,
                "order",
                f"an absence proves nothing: {todo}",
                reference=known.reference,
                number=attempt.number,
                provider_id=number,
                here=attempt.status.value,
            )
        if len(batch) < BATCH:
            return
        after = batch[-1].id
