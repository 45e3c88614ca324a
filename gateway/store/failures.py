"""The database's failures in the gateway's words: what happened and what to do. No SQL and no values."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from gateway.errors import GatewayError, StoreError

__all__ = ["failure"]

# By the name of SQLite's result code, the longest beginning first (https://www.sqlite.org/rescode.html).
_CODES: tuple[tuple[str, str, str, bool], ...] = (
    ("SQLITE_BUSY", "another process holds it", "repeat the call; if it stays so, end the process that holds it", True),
    ("SQLITE_LOCKED", "another connection holds it", "repeat the call", True),
    ("SQLITE_FULL", "the disk is full; nothing was recorded", "make room, then repeat the call", False),
    ("SQLITE_READONLY", "it is read-only", "make the file and its folder writable for this user", False),
    ("SQLITE_PERM", "it may not be opened", "make the file and its folder writable for this user", False),
    ("SQLITE_AUTH", "it may not be opened", "make the file and its folder writable for this user", False),
    (
        "SQLITE_CANTOPEN",
        "the file cannot be opened",
        "check that its folder exists and that this user may write there",
        False,
    ),
    ("SQLITE_CORRUPT", "the file is damaged", "run `gateway store check`, and restore a backup", False),
    ("SQLITE_NOTADB", "the file is no database, or a damaged one", "check the path, or restore a backup", False),
    ("SQLITE_IOERR", "the disk failed", "check the disk, then run `gateway store check`", False),
    ("SQLITE_TOOBIG", "a value is too large", "send less in one request", False),
)


def failure(error: SQLAlchemyError | sqlite3.Error, store: str) -> GatewayError:
    """What to raise for this error of the store called `store` (its path)."""
    if isinstance(error, StatementError) and isinstance(error.orig, GatewayError):
        return error.orig  # a value that the column types refused
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite3.Error):
        return StoreError(
            f"the store {store} could not be used ({type(error).__name__})", hint="run `gateway store check`"
        )
    code = getattr(cause, "sqlite_errorname", "")
    for beginning, what, hint, retryable in _CODES:
        if code.startswith(beginning):
            return StoreError(f"the store {store}: {what}", hint=hint, retryable=retryable)
    if code.startswith("SQLITE_CONSTRAINT"):
        # SQLite names tables, columns and rules here, never values.
        return StoreError(
            f"the store {store} refused a row: {cause}", hint="this is a mistake in the gateway; report it"
        )
    if "no such table" in str(cause) or "no such column" in str(cause):
        return StoreError(
            f"the store {store} lacks a table or column that this version needs",
            hint="run `gateway store check`, then `gateway store upgrade`",
        )
    return StoreError(f"the store {store} failed ({code or type(cause).__name__})", hint="run `gateway store check`")
