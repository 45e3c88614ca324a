"""What need not be kept for ever: payloads. Every row about money stays, with what was made of it.

Only what has ended is touched, and only when it ended before a given time. A payload is what a provider answered
(`raw`), the headers and body of a callback, a delivery that was made, and why an order went where it went.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    and_,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    type_coerce,
    update,
)

from gateway.models.orders import OrderException, OrderStatus
from gateway.models.refunds import RefundStatus
from gateway.models.trades import TradeStatus
from gateway.models.withdrawals import WithdrawalStatus
from gateway.store.tables import (
    attempts,
    callbacks,
    choices,
    customers,
    deliveries,
    journal,
    orders,
    refunds,
    trades,
    watches,
    withdrawals,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["KINDS", "count", "prune"]

# Canonical JSON, so that there is one way to write an object with something in it.
_ANSWER = '%"raw":{"%'

_ENDED_ORDER = [status.value for status in OrderStatus if status.is_final] + [OrderStatus.EXPIRED.value]
_ENDED_TRADE = [TradeStatus.FILLED.value, TradeStatus.CANCELLED.value]


def _has_answer(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return type_coerce(column, Text).like(_ANSWER)


def _watched(kind: str, reference: ColumnElement[str], number: Any = 0) -> ColumnElement[bool]:
    """Whether it is still looked at."""
    return exists().where(watches.c.kind == kind, watches.c.reference == reference, watches.c.number == number)


def _attempts(before: datetime) -> ColumnElement[bool]:
    return and_(
        attempts.c.updated_at < before,
        attempts.c.status.in_(_ENDED_ORDER),
        not_(type_coerce(attempts.c.exceptions, Text).like(f'%"{OrderException.UNCONFIRMED.value}"%')),
        not_(_watched("order", attempts.c.reference, attempts.c.number)),
        _has_answer(attempts.c.snapshot),
    )


def _withdrawals(before: datetime) -> ColumnElement[bool]:
    ended = [status.value for status in WithdrawalStatus if status.is_final]
    return and_(
        withdrawals.c.updated_at < before,
        withdrawals.c.status.in_(ended),
        not_(_watched("withdrawal", withdrawals.c.reference)),
        _has_answer(withdrawals.c.snapshot),
    )


def _refunds(before: datetime) -> ColumnElement[bool]:
    ended = [status.value for status in RefundStatus if status.is_final]
    return and_(
        refunds.c.updated_at < before,
        refunds.c.status.in_(ended),
        not_(_watched("refund", refunds.c.reference)),
        _has_answer(refunds.c.snapshot),
    )


def _trades(before: datetime) -> ColumnElement[bool]:
    return and_(
        trades.c.updated_at < before,
        trades.c.status.in_(_ENDED_TRADE),
        not_(_watched("trade", trades.c.reference)),
        _has_answer(trades.c.snapshot),
    )


def _customers(before: datetime) -> ColumnElement[bool]:
    return and_(customers.c.updated_at < before, _has_answer(customers.c.snapshot))


def _journal(before: datetime) -> ColumnElement[bool]:
    return and_(journal.c.ended_at < before, journal.c.state.in_(["done", "rejected"]), _has_answer(journal.c.result))


def _callbacks(before: datetime) -> ColumnElement[bool]:
    return and_(
        callbacks.c.last_at < before,
        callbacks.c.state.in_(["processed", "rejected"]),
        or_(callbacks.c.headers.is_not(None), callbacks.c.body.is_not(None)),
    )


def _deliveries(before: datetime) -> ColumnElement[bool]:
    return and_(deliveries.c.updated_at < before, deliveries.c.state == "done")


def _choices(before: datetime) -> ColumnElement[bool]:
    ended = exists().where(orders.c.reference == choices.c.reference, orders.c.status.in_(_ENDED_ORDER))
    return and_(choices.c.at < before, ended)


def _without_answer(table: Table, column: str) -> Callable[[Connection, list[int]], None]:
    """Leave of an answer what was made of it."""

    def act(connection: Connection, ids: list[int]) -> None:
        rows = connection.execute(select(table.c.id, table.c[column]).where(table.c.id.in_(ids))).all()
        for number, data in rows:
            values = {column: {**data, "raw": {}}}
            connection.execute(update(table).where(table.c.id == number).values(**values))

    return act


def _without_body(connection: Connection, ids: list[int]) -> None:
    connection.execute(update(callbacks).where(callbacks.c.id.in_(ids)).values(headers=None, body=None))


def _gone(table: Table) -> Callable[[Connection, list[int]], None]:
    def act(connection: Connection, ids: list[int]) -> None:
        connection.execute(delete(table).where(table.c.id.in_(ids)))

    return act


_KINDS: dict[str, tuple[Table, Callable[[datetime], ColumnElement[bool]], Callable[[Connection, list[int]], None]]] = {
    "order answers": (attempts, _attempts, _without_answer(attempts, "snapshot")),
    "withdrawal answers": (withdrawals, _withdrawals, _without_answer(withdrawals, "snapshot")),
    "refund answers": (refunds, _refunds, _without_answer(refunds, "snapshot")),
    "trade answers": (trades, _trades, _without_answer(trades, "snapshot")),
    "customer answers": (customers, _customers, _without_answer(customers, "snapshot")),
    "journal answers": (journal, _journal, _without_answer(journal, "result")),
    "callback bodies": (callbacks, _callbacks, _without_body),
    "deliveries": (deliveries, _deliveries, _gone(deliveries)),
    "choices": (choices, _choices, _gone(choices)),
}

KINDS = tuple(_KINDS)
"""What is pruned, by the words that a person is told."""


def count(connection: Connection, kind: str, before: datetime) -> int:
    """How much of this kind can go."""
    table, condition, _ = _KINDS[kind]
    return int(connection.execute(select(func.count()).select_from(table).where(condition(before))).scalar_one())


def prune(connection: Connection, kind: str, before: datetime, *, after: int, limit: int) -> tuple[int, int | None]:
    """Let at most `limit` of this kind go, of those with a number above `after`. Returns how many, and the number to go
    on after; None when there are no more.
    """
    table, condition, act = _KINDS[kind]
    query = select(table.c.id).where(table.c.id > after, condition(before)).order_by(table.c.id).limit(limit)
    ids: list[int] = [row.id for row in connection.execute(query)]
    if ids:
        act(connection, ids)
    return len(ids), ids[-1] if len(ids) == limit else None
