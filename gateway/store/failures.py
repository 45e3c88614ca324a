"""The database's failures in the gateway's words: what happened and what to do. No SQL and no values."""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import GatewayError, StoreError

__all__ = ["Trouble", "cannot_connect", "failure", "trouble"]

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

# By SQLSTATE, the longest beginning first (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_STATES: tuple[tuple[str, str, str, bool], ...] = (
    ("40001", "others kept changing the same rows; nothing was recorded", "repeat the call", True),
    ("40P01", "others kept waiting for the same rows; nothing was recorded", "repeat the call", True),
    ("55P03", "somebody else holds what is needed; nothing was recorded", "repeat the call", True),
    ("57014", "the server took too long; nothing was recorded", "repeat the call; see the server's log", True),
    ("57P", "the server ended the connection; nothing was recorded", "repeat the call", True),
    ("25P03", "the server ended the connection; nothing was recorded", "repeat the call", True),
    ("08", "the connection was lost; nothing was recorded", "repeat the call", True),
    ("53100", "the server's disk is full; nothing was recorded", "make room, then repeat the call", False),
    ("53", "the server is short of resources; nothing was recorded", "repeat the call; see the server's log", True),
    (
        "25006",
        "it is read-only; nothing was recorded",
        "point `store` to the primary; with several hosts, add target_session_attrs=read-write",
        False,
    ),
    (
        "0A000",
        "it is a standby, which can only be read; nothing was recorded",
        "point `store` to the primary; with several hosts, add target_session_attrs=read-write",
        False,
    ),
    (
        "42P01",
        "it lacks a table or column that this version needs",
        "run `gateway store check`, then `gateway store upgrade`",
        False,
    ),
    (
        "42703",
        "it lacks a table or column that this version needs",
        "run `gateway store check`, then `gateway store upgrade`",
        False,
    ),
    ("42501", "this user may not do that", "let the user of `store` own the gateway's schema and tables", False),
    ("3F000", "the schema does not exist", "name it with ?schema=NAME in `store`: then it is made", False),
    ("28", "the server does not let this user in", "check user and password in `store`", False),
    ("22", "a value cannot be kept", "this is a mistake in the gateway; report it", False),
    ("XX", "the server reports damage", "see the server's log, and restore a backup", False),
    ("58", "the server's disk failed", "see the server's log", False),
)

# What the message of a connection that was refused holds, in lower case: there is no code then.
_REFUSALS: tuple[tuple[tuple[str, ...], str, str, bool], ...] = (
    (
        ("authentication failed", "no password supplied", "pg_hba.conf", 'role "'),
        "the server does not let this user in",
        "check user and password in `store`",
        False,
    ),
    (
        ("configuration parameter", "invalid value for parameter"),
        "the server does not know a setting that it is to be opened with",
        "correct `options` in `store`",
        False,
    ),
    (
        ("too many", "remaining connection slots"),
        "the server has no connection left",
        "repeat the call; raise the server's max_connections, or run fewer processes",
        True,
    ),
    (("does not exist",), "the server has no such database", "make it with `createdb`, or correct `store`", False),
    (
        ("starting up", "shutting down", "not yet accepting", "recovery"),
        "the server is starting or stopping",
        "repeat the call",
        True,
    ),
    (("resolve host", "translate host"), "the name of the server is not known", "check the host in `store`", True),
    (
        ("ssl", "certificate"),
        "no encrypted connection could be made",
        "check sslmode in `store`, and the server's certificate",
        False,
    ),
    (
        ("read-only", "read-write", "standby"),
        "none of the servers can be written",
        "repeat the call when one of them is the primary",
        True,
    ),
)


class Trouble(StrEnum):
    """What PostgreSQL's failure means for the transaction; nothing of it was kept."""

    CONFLICT = "conflict"
    """It could not be as if it had run alone: run it again."""
    DUPLICATE = "duplicate"
    """A row of that key is there. It may have come meanwhile; whoever looks again sees it."""
    LOST = "lost"
    """The connection is gone."""
    READ_ONLY = "read-only"
    """The server is no primary (any more); another connection may find it."""
    OTHER = "other"


def trouble(error: BaseException) -> Trouble:
    """What this exception of SQLAlchemy or psycopg means; OTHER for what is none of theirs."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if not hasattr(cause, "sqlstate"):
        return Trouble.OTHER
    match cause.sqlstate or "":
        case "40001" | "40P01":
            return Trouble.CONFLICT
        case "23505":
            return Trouble.DUPLICATE
        case "25006" | "0A000":
            return Trouble.READ_ONLY
        case "57014" | "57P04":
            return Trouble.OTHER  # a statement was cancelled, the database was dropped
        case state if state.startswith(("08", "57P")) or state in ("25P03", "40003"):
            return Trouble.LOST
        case "" if {"OperationalError", "InterfaceError"} & {kind.__name__ for kind in type(cause).__mro__}:
            return Trouble.LOST
        case _:
            return Trouble.OTHER


def failure(error: Exception, store: str) -> GatewayError:
    """What to raise for this exception of SQLAlchemy, sqlite3 or psycopg; `store` is the store's name."""
    if isinstance(error, StatementError) and isinstance(error.orig, GatewayError):
        return error.orig  # a value that the column types refused
    if isinstance(error, PoolTimeout):
        return StoreError(
            f"the store {store}: all connections of this process are in use; nothing was recorded",
            retryable=True,
            hint="repeat the call",
        )
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, store)
    if hasattr(cause, "sqlstate"):
        return _of_server(cause, store)
    return StoreError(f"the store {store} could not be used ({type(error).__name__})", hint="run `gateway store check`")


def _of_sqlite(cause: sqlite3.Error, store: str) -> StoreError:
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


def _of_server(cause: Any, store: str) -> StoreError:
    if trouble(cause) is Trouble.LOST and not cause.sqlstate:
        return StoreError(
            f"the store {store}: the connection was lost; nothing was recorded", retryable=True, hint="repeat the call"
        )
    state = cause.sqlstate or ""
    for beginning, what, hint, retryable in _STATES:
        if state.startswith(beginning):
            return StoreError(f"the store {store}: {what}", hint=hint, retryable=retryable)
    if state.startswith("23"):
        # The rule's name; the server's own words hold values.
        return StoreError(
            f"the store {store} refused a row: {cause.diag.table_name}, {cause.diag.constraint_name}",
            hint="this is a mistake in the gateway; report it",
        )
    return StoreError(f"the store {store} failed ({state or type(cause).__name__})", hint="run `gateway store check`")


def cannot_connect(error: Exception, store: str) -> StoreError:
    """What to raise when no connection could be made: nothing was recorded."""
    if getattr(error, "sqlstate", None):
        return _of_server(error, store)
    words = str(error).lower()
    for signs, what, hint, retryable in _REFUSALS:
        if any(sign in words for sign in signs):
            return StoreError(f"the store {store}: {what}", hint=hint, retryable=retryable)
    return StoreError(
        f"the store {store}: the server cannot be reached",
        retryable=True,
        hint="check that it runs, and host and port in `store`; then repeat the call",
    )
