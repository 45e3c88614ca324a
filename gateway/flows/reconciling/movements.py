"""Comparing money movements with everything here that accounts for money, and naming what may have come of writes whose
outcome is unknown.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.contracts import ListsTransactions
from gateway.engine.effects import Flow, transact
from gateway.flows import matching
from gateway.flows.reconciling.orders import MONEY_IS_THERE
from gateway.flows.reconciling.run import BATCH, PAGE, Movement, Run, numbered
from gateway.models.orders import OrderRequest, OrderStatus, ProviderOrder
from gateway.models.reconciliations import FindingKind, Subject
from gateway.models.refunds import RefundStatus
from gateway.models.transactions import Transaction
from gateway.models.withdrawals import WithdrawalRequest, WithdrawalStatus
from gateway.money import Money
from gateway.store import journal
from gateway.store import orders as order_store
from gateway.store import reconciliations as store
from gateway.store import refunds as refund_store
from gateway.store import trades as trade_store
from gateway.store import withdrawals as withdrawal_store
from gateway.store.journal import JournalEntry, JournalState

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["compare", "unconfirmed"]

_LEFT = (WithdrawalStatus.PENDING, WithdrawalStatus.PROCESSING, WithdrawalStatus.COMPLETED)
_MOST_MATCHES = 20

_SUBJECTS: dict[str, Subject] = {
    "orders.create": "order",
    "withdrawals.create": "withdrawal",
    "refunds.create": "refund",
    "trades.create": "trade",
    "customers.create": "customer",
    "cards.create": "card",
}


class _Pending:
    """The movements that nothing has accounted for yet. By the provider's number, by a hash, and last by the amount: a
    provider that names neither leaves nothing else.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Movement] = {}
        self._by_hash: dict[str, str] = {}
        self.amounts: Counter[Money] = Counter()

    def add(self, row: Movement) -> None:
        self.rows[row.provider_id] = row
        self._by_hash.update(dict.fromkeys(row.hashes, row.provider_id))

    def take(self, numbers: Iterable[str], hashes: Iterable[str]) -> bool:
        """Whether any of them is one of these; those are accounted for."""
        found = {number for number in numbers if number in self.rows}
        found |= {self._by_hash[one] for one in hashes if self._by_hash.get(one) in self.rows}
        for number in found:
            del self.rows[number]
        return bool(found)

    def expect(self, amount: Money | None) -> None:
        """A movement of this amount is accounted for by something that does not name it."""
        if amount is not None:
            self.amounts[amount] += 1

    def settle(self) -> None:
        """Take the movements of the amounts that are expected."""
        for number, row in list(self.rows.items()):
            if row.amount is not None and self.amounts[row.amount] > 0:
                self.amounts[row.amount] -= 1
                del self.rows[number]


def compare(run: Run) -> Flow[None]:
    """Walk the movements, and tell those that no order, payout or refund here accounts for."""
    if not run.offers("transactions.list", "money movements"):
        return
    account, pending = run.account, _Pending()

    def take(items: Sequence[Transaction], read_at: datetime) -> Flow[None]:
        rows = numbered(items)
        orders = {row.order_id for row in rows.values() if row.order_id is not None}
        known = (
            (
                yield from transact(
                    lambda c: store.known_attempts(
                        c, account.provider.name, account.environment, orders, _siblings(run)
                    )
                )
            )
            if orders
            else {}
        )
        for number, row in rows.items():
            if run.covers(row.created_at) and row.order_id not in known:
                kind, status = (sys.intern(word) if word else None for word in (row.kind, row.status))
                pending.add(Movement(number, kind, status, row.amount, row.created_at, row.hashes))

    yield from run.walk(
        "transactions.list", lambda query: account.able(ListsTransactions).list_transactions(query), take
    )
    # Movements that tell no time can be of any order ever made.
    since = run.since if all(row.created_at is not None for row in pending.rows.values()) else None
    yield from _paid_there(run, pending)
    for name in _siblings(run):
        if pending.rows:
            yield from _orders(run, name, pending, since)
            yield from _payouts(run, name, pending, since)
            yield from _refunds(run, name, pending, since)
    pending.settle()
    for number, row in pending.rows.items():
        run.loose_movements.append(row)
        run.found(
            FindingKind.OUTSIDE,
            "transaction",
            "look at it at the provider: money that came without an order, or that was sent or refunded by hand there",
            provider_id=number,
            there=" ".join(filter(None, (row.kind, row.status, str(row.amount) if row.amount else None))) or None,
        )


def _siblings(run: Run) -> list[str]:
    """The accounts that may be of the same merchant: a movement can belong to any of them."""
    return [
        other.name
        for other in run.core.accounts.values()
        if other.provider.name == run.account.provider.name and other.environment is run.account.environment
    ]


def _paid_there(run: Run, pending: _Pending) -> Flow[None]:
    """Orders of the provider's list with money in them, of which that is not known here, not even by now."""
    account = run.account
    for start in range(0, len(run.paid_there), BATCH):
        rows = numbered(run.paid_there[start : start + BATCH])
        known = yield from transact(
            lambda c, rows=rows: store.known_attempts(  # type: ignore[misc]
                c, account.provider.name, account.environment, rows
            )
        )
        for number, row in rows.items():
            paid_here = any(one.attempt.status in MONEY_IS_THERE for one in known.get(number, ()))
            if not paid_here and not pending.take(row.movements, row.transactions):
                pending.expect(_amount(row))


def _orders(run: Run, name: str, pending: _Pending, since: datetime | None) -> Flow[None]:
    after = 0
    while True:
        batch = yield from transact(
            lambda c, at=after: store.made_attempts(  # type: ignore[misc]
                c, name, run.account.environment, since=since, after=at, limit=BATCH
            )
        )
        for known in batch:
            seen, status = known.attempt.order, known.attempt.status
            if seen is None:
                continue
            if not pending.take(seen.movements, seen.transactions) and status in MONEY_IS_THERE:
                pending.expect(_amount(seen))
            if status is OrderStatus.REFUNDED:
                pending.expect(_amount(seen))  # it came, and it went back
        if len(batch) < BATCH:
            return
        after = batch[-1].id


def _payouts(run: Run, name: str, pending: _Pending, since: datetime | None) -> Flow[None]:
    cursor: str | None = None
    while True:
        page = yield from transact(
            lambda c, at=cursor: withdrawal_store.list_withdrawals(  # type: ignore[misc]
                c, account=name, environment=run.account.environment, size=PAGE, cursor=at
            )
        )
        for known in page.items:
            numbers = () if known.provider_id is None else (known.provider_id,)
            if not pending.take(numbers, ()) and known.status in _LEFT:
                pending.expect(known.amount)
        cursor = page.next
        if cursor is None or (since is not None and page.items[-1].updated_at < since):
            return


def _refunds(run: Run, name: str, pending: _Pending, since: datetime | None) -> Flow[None]:
    cursor: str | None = None
    while True:

        def look(connection: Connection, at: str | None = cursor) -> tuple[list[Money | None], str | None, bool]:
            page = refund_store.list_refunds(
                connection, account=name, environment=run.account.environment, size=PAGE, cursor=at
            )
            amounts: list[Money | None] = []
            for refund in page.items:
                order = order_store.load_order(connection, refund.order)
                attempt = order.attempts[refund.attempt - 1] if order else None
                if refund.status is RefundStatus.FAILED or attempt is None or attempt.status is OrderStatus.REFUNDED:
                    continue
                amounts.append(refund.amount or (_amount(attempt.order) if attempt.order else None))
            old = since is not None and bool(page.items) and page.items[-1].updated_at < since
            return amounts, page.next, old

        amounts, cursor, old = yield from transact(look)
        for amount in amounts:
            pending.expect(amount)
        if cursor is None or old:
            return


def _amount(seen: ProviderOrder) -> Money | None:
    return seen.received or seen.pay.amount


# Writes of unknown outcome


def unconfirmed(run: Run) -> Flow[None]:
    """Name the account's writes of unknown outcome, however old, each with what may have come of it."""
    before: int | None = None
    while True:
        entries = yield from transact(
            lambda c, at=before: journal.list_entries(  # type: ignore[misc]
                c, states=[JournalState.UNKNOWN], account=run.account.name, limit=PAGE, before_id=at
            )
        )
        for entry in entries:
            if entry.environment is run.account.environment and entry.operation in _SUBJECTS:
                yield from _name(run, entry)
        if len(entries) < PAGE:
            return
        before = entries[-1].id


def _name(run: Run, entry: JournalEntry) -> Flow[None]:
    asked_at = entry.sent_at or entry.created_at
    matches = (yield from transact(lambda connection: _matches(connection, run, entry, asked_at)))[:_MOST_MATCHES]
    settle = f"`gateway journal settle {entry.reference} --operation {entry.operation}"
    if entry.scope:
        settle += f" --scope {entry.scope}"
    run.found(
        FindingKind.UNCONFIRMED,
        _SUBJECTS[entry.operation],
        f"compare them with what was asked, then {settle} --as done --provider-id … --reason …`"
        if matches
        else f"look at the provider, then {settle} --as done|failed --reason …`",
        reference=entry.reference,
        number=int(entry.scope) if entry.operation == "orders.create" else None,
        here=f"sent at {asked_at:%Y-%m-%d %H:%M:%S} UTC, outcome unknown",
        there=f"{len(matches)} that may have come of it" if matches else "nothing that may have come of it",
        matches=tuple(matches),
    )


def _matches(connection: Connection, run: Run, entry: JournalEntry, asked_at: datetime) -> list[dict[str, Any]]:
    if entry.operation == "orders.create":
        request = OrderRequest.model_validate(entry.request)
        number = int(entry.scope)
        attempt = order_store.attempt_id_of(connection, entry.reference, number)
        wanted = matching.Wanted(entry.reference, number, attempt, request, asked_at)
        return [matching.told(seen) for seen in matching.likely(wanted, run.loose_orders)]
    if entry.operation == "trades.create":
        asked = trade_store.load_trade(connection, entry.reference)
        found = [] if asked is None else matching.likely_trades(asked, asked_at, run.loose_trades)
        return [matching.told(seen) for seen in found]
    if entry.operation == "withdrawals.create":
        amount = WithdrawalRequest.model_validate(entry.request).amount
        return [
            {
                "provider_id": row.provider_id,
                "status": row.status,
                "created_at": row.created_at.isoformat() if row.created_at else None,
                "amount": str(row.amount),
            }
            for row in run.loose_movements
            if row.amount == amount and (row.created_at is None or row.created_at >= asked_at - matching.CLOCKS_DIFFER)
        ]
    return []
