"""A copy of the rows about money, for other programs: whole, of one moment, and without what is nobody's business.

What a provider answered (`raw`) is left out, and whatever stands under a telling name is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Table, func, select

from gateway.money import plain
from gateway.secrets import Redactor
from gateway.store.tables import attempts, journal, orders, refunds, withdrawals

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["TABLES", "columns", "count", "rows"]

TABLES: dict[str, Table] = {table.name: table for table in (orders, attempts, withdrawals, refunds, journal)}
"""What is exported, in an order in which every row comes after the one that it names."""

# Of no meaning outside: who holds a write just now, and what the gateway compares requests by.
_LEFT_OUT = {"id", "owner", "lease_until", "fingerprint"}
_AT_ONCE = 500


def columns(table: str) -> list[str]:
    """The names of a table's exported columns."""
    return [column.name for column in _columns(table)]


def count(connection: Connection, table: str) -> int:
    """How many rows a table has."""
    return int(connection.execute(select(func.count()).select_from(TABLES[table])).scalar_one())


def rows(connection: Connection, table: str) -> Iterator[dict[str, Any]]:
    """A table's rows as JSON-able data, oldest first: exact numbers as text, times in ISO 8601. Read as they are
    taken.
    """
    query = select(*_columns(table)).order_by(TABLES[table].c.id)
    for row in connection.execute(query.execution_options(yield_per=_AT_ONCE)):
        yield {name: _cleaned(value) for name, value in row._mapping.items()}


def _columns(table: str) -> list[Column[Any]]:
    return [column for column in TABLES[table].columns if column.name not in _LEFT_OUT]


def _cleaned(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, dict):
        return Redactor().data({key: item for key, item in value.items() if key != "raw"})
    return value
