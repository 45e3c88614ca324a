"""Lists, newest first. The cursor is the place of the last row, so rows that come meanwhile do not shift a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select, Table

__all__ = ["LARGEST", "one_page"]

LARGEST = 1000


def one_page(
    connection: Connection, query: Select[Any], table: Table, *, size: int, cursor: str | None
) -> tuple[list[Row[Any]], str | None]:
    """The rows of a page and the cursor of the next one, None on the last. Raises InvalidRequest."""
    if not 1 <= size <= LARGEST:
        raise InvalidRequest(f"a page has 1 to {LARGEST} items, not {size}")
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise InvalidRequest("the cursor is none of this list", hint="pass on the `next` of the page before")
        query = query.where(table.c.id < int(cursor))
    rows = list(connection.execute(query.order_by(table.c.id.desc()).limit(size + 1)))
    return rows[:size], str(rows[size - 1].id) if len(rows) > size else None
