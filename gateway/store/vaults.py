"""The vault's bytes, where the vault is kept in the store: one row, whose content only `gateway.keyring` can read."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import LargeBinary, cast, insert, select, update

from gateway.store.tables import vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["create", "read", "replace"]

_ROW = 1


def read(connection: Connection) -> bytes | None:
    """The content; None when there is no vault."""
    # Cast, because SQLite gives a text back for what somebody wrote into the row as a text.
    content: bytes | None = connection.scalar(select(cast(vault.c.content, LargeBinary)).where(vault.c.id == _ROW))
    return content


def create(connection: Connection, content: bytes, now: datetime) -> bool:
    """Write the first content. False when there is one: it stays."""
    if read(connection) is not None:
        return False
    connection.execute(insert(vault).values(id=_ROW, content=content, updated_at=now))
    return True


def replace(connection: Connection, before: bytes, after: bytes, now: datetime) -> bool:
    """Write another content in the place of this one. False when it is no longer this one that is there."""
    if read(connection) != before:
        return False
    connection.execute(update(vault).where(vault.c.id == _ROW).values(content=after, updated_at=now))
    return True
