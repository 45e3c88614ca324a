"""Comparing payouts and exchange orders with the provider's lists of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from gateway.contracts import ListsOpenTrades, ListsTradeHistory, ListsWithdrawals, Query
from gateway.engine.effects import Flow, transact
from gateway.exchange import Operation
from gateway.flows import comparing, trades
from gateway.flows.comparing import Difference
from gateway.flows.reconciling.run import MARGIN, PAGE, Numbers, Run, numbered
from gateway.models.base import Page
from gateway.models.reconciliations import FindingKind, Subject
from gateway.models.trades import Trade
from gateway.models.withdrawals import ProviderWithdrawal, Withdrawal
from gateway.store import reconciliations as store
from gateway.store import trades as trade_store
from gateway.store import withdrawals as withdrawal_store

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["compare_payouts", "compare_trades"]

T = TypeVar("T", Withdrawal, Trade)


def compare_payouts(run: Run) -> Flow[None]:
    """Walk what the provider lists of payouts, and tell what differs."""
    if not run.offers("withdrawals.list", "payouts"):
        return
    account, shown = run.account, Numbers()

    def take(items: Sequence[ProviderWithdrawal], read_at: datetime) -> Flow[None]:
        rows = numbered(items)
        shown.add(rows)
        known = yield from transact(lambda c: store.known_withdrawals(c, account.name, account.environment, rows))
        for number, row in rows.items():
            if number in known:
                yield from _compare_payout(run, known[number], row, read_at)
            elif run.covers(row.created_at):
                run.found(
                    FindingKind.UNKNOWN_HERE,
                    "withdrawal",
                    f"nobody here has paid it out: find out who has, and `gateway freeze {account.name}` meanwhile",
                    provider_id=number,
                    there=f"{row.status} {row.amount}" if row.amount else row.status.value,
                )

    yield from run.walk("withdrawals.list", lambda query: account.able(ListsWithdrawals).list_withdrawals(query), take)
    yield from _absent(
        run,
        "withdrawal",
        shown,
        lambda connection, cursor: withdrawal_store.list_withdrawals(
            connection, account=account.name, environment=account.environment, size=PAGE, cursor=cursor
        ),
    )


def _compare_payout(run: Run, reference: str, row: ProviderWithdrawal, read_at: datetime) -> Flow[None]:
    known = yield from transact(lambda connection: withdrawal_store.load_withdrawal(connection, reference))
    if known is None or not run.covers(row.created_at, known.created_at):
        return
    differences = comparing.of_withdrawal(known, row)
    repaired = run.repair and any(one.follows for one in differences)
    if repaired:
        yield from transact(
            lambda connection: withdrawal_store.save_withdrawal(
                connection, reference, status=row.status, result=row, now=run.core.now()
            )
        )
    for one in differences:
        if one.kind is FindingKind.OPEN_THERE and known.updated_at >= read_at:
            continue  # it has ended since the row was read
        run.found(
            one.kind,
            "withdrawal",
            "let it follow with --repair" if one.follows else "look at the payout at the provider",
            reference=reference,
            provider_id=row.provider_id,
            here=one.here,
            there=one.there,
            repaired=repaired and one.follows,
        )


def compare_trades(run: Run) -> Flow[None]:
    """Walk the open and the finished exchange orders, and tell what differs."""
    account, shown = run.account, Numbers()
    is_open = run.offers("trades.open", "open trades")
    is_over = run.offers("trades.history", "finished trades")

    def walk(operation: str, make: Callable[[Query], Operation[Page[Trade]]]) -> Flow[None]:
        def take(items: Sequence[Trade], read_at: datetime) -> Flow[None]:
            yield from _take_trades(run, items, shown)

        yield from run.walk(operation, make, take)

    if is_open:
        yield from walk("trades.open", lambda query: account.able(ListsOpenTrades).list_open_trades(query))
    if is_over:
        yield from walk("trades.history", lambda query: account.able(ListsTradeHistory).list_trade_history(query))
    if is_open and is_over:
        yield from _absent(
            run,
            "trade",
            shown,
            lambda connection, cursor: trade_store.list_trades(
                connection, account=account.name, environment=account.environment, size=PAGE, cursor=cursor
            ),
        )


def _take_trades(run: Run, items: Sequence[Trade], shown: Numbers) -> Flow[None]:
    account, rows = run.account, numbered(items)
    known = yield from transact(lambda c: store.known_trades(c, account.name, account.environment, rows))
    for number, row in rows.items():
        if number in known:
            yield from _compare_trade(run, known[number], row)
        elif number not in shown and run.covers(row.created_at) and run.keep(run.loose_trades, row):
            run.found(
                FindingKind.UNKNOWN_HERE,
                "trade",
                "another system at this account may have placed it, or a write of unknown outcome, which is told apart",
                provider_id=number,
                there=f"{row.status} {row.market}" if row.market else row.status.value,
            )
    shown.add(rows)


def _compare_trade(run: Run, reference: str, row: Trade) -> Flow[None]:
    known = yield from transact(lambda connection: trade_store.load_trade(connection, reference))
    if known is None or not run.covers(row.created_at, known.created_at):
        return
    differences = comparing.of_trade(known, row)
    left: Sequence[Difference] = differences
    if run.repair and any(one.follows for one in differences):
        left = comparing.of_trade((yield from trades.keep(run.core, reference, known, row)), row)
    for one in differences:
        run.found(
            one.kind,
            "trade",
            f"let it follow with --repair, or read it with `gateway trades get {reference}`"
            if one.follows
            else "look at the exchange order at the provider",
            reference=reference,
            provider_id=row.provider_id,
            here=one.here,
            there=one.there,
            repaired=all(one.kind is not other.kind for other in left),
        )


def _absent(
    run: Run,
    subject: Subject,
    shown: Numbers,
    page_of: Callable[[Connection, str | None], Page[T]],
) -> Flow[None]:
    """What was made here and no list has shown."""
    cursor: str | None = None
    while True:
        page = yield from transact(lambda connection, at=cursor: page_of(connection, at))  # type: ignore[misc]
        for known in page.items:
            assert known.created_at is not None
            if known.provider_id is None or known.provider_id in shown or not run.should_be_shown(known.created_at):
                continue
            run.found(
                FindingKind.NOT_SHOWN,
                subject,
                f"an absence proves nothing: look at the {'payout' if subject == 'withdrawal' else 'exchange order'} "
                "at the provider",
                reference=known.reference,
                provider_id=known.provider_id,
                here=known.status.value,
            )
        cursor, made_at = page.next, page.items[-1].created_at if page.items else None
        if cursor is None or (made_at is not None and made_at < run.since - MARGIN):
            return
