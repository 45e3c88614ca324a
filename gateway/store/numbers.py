"""Request numbers that only grow, for providers that refuse one they have seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from gateway.store.tables import request_numbers

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["next_number"]


def next_number(connection: Connection, key: str, now_microseconds: int) -> int:
    """The next number of this key: the time, or one more than the last where the clock stands still or went back."""
    last = connection.execute(
        select(request_numbers.c.last).where(request_numbers.c.key == key).with_for_update()
    ).scalar()
    if last is None:
        connection.execute(insert(request_numbers).values(key=key, last=now_microseconds))
        return now_microseconds
    number = max(int(last) + 1, now_microseconds)
    connection.execute(update(request_numbers).where(request_numbers.c.key == key).values(last=number))
    return number
