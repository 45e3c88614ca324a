"""The database: opening, transactions, checking, upgrading. All that is particular to SQLite stands here."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from gateway.errors import ConfigurationError, StoreError
from gateway.store import schema
from gateway.store.failures import failure
from gateway.store.lanes import FileLanes, Lanes, LaneToken, MemoryLanes, enter
from gateway.store.owner import Owner, this_process
from gateway.store.tables import journal
from gateway.store.together import Together

__all__ = ["Database", "LaneToken"]

T = TypeVar("T")

BUSY_SECONDS = 10
"""How long a transaction waits for another one, in this process or elsewhere."""

_SYNCHRONOUS = {0: "off", 1: "normal", 2: "full", 3: "extra"}


class Database:
    """One store, safe for many threads; transactions of one process take turns. Close it when done."""

    def __init__(self, engine: Engine, name: str, lanes: Lanes) -> None:
        self._engine = engine
        self._lanes = lanes
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._refusal: str | None = None
        self._quiet = False
        self._file: tuple[int, int] | None = None
        self._together = Together(self.transaction)
        self.name = name
        """The path of the file, or `:memory:`; for messages."""
        _open.add(self)

    @classmethod
    def open(cls, url: str, *, create: bool = True, any_schema: bool = False) -> Database:
        """The store at `sqlite:///PATH`, or one in memory at `sqlite://`.

        A file that is missing is made (not with `create=False`) and an empty database gets its tables. Raises
        ConfigurationError for what is no such URL and StoreError for a database that cannot be used, such as one
        of an older or newer schema. With `any_schema` nothing is made or compared: for `check` and `upgrade`.
        """
        if sys.platform == "win32":
            raise StoreError("the store needs a POSIX system, for locks between processes", hint="use Linux or macOS")
        path = _path(_parsed(url))
        if path is None:
            database = cls(_engine(None), ":memory:", MemoryLanes())
        else:
            _make_file(path, create)
            database = cls(_engine(path), str(path), FileLanes(Path(f"{path}-lanes")))
        try:
            if not any_schema:
                database._prepare(create)
        except BaseException:
            database.close()
            raise
        return database

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run `work` alone: nobody else writes between its reads and its writes. Committed when it returns.

        When it raises, everything is rolled back and the exception comes out. The database's own failures are
        StoreErrors; `retryable` ones may be repeated.
        """
        with self._connected("BEGIN IMMEDIATE") as connection:
            return work(connection)

    def together(self, work: Callable[[Connection], T]) -> Future[T]:
        """As `transaction`, sharing it with others that come at the same time; the result is there when it is durable.

        The work may be run twice.
        """
        self._require_usable()
        if self._holder == threading.get_ident():
            raise StoreError("a transaction was begun inside a transaction", hint="pass the connection on instead")
        return self._together.submit(work)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, on one state of the store; others may go on writing meanwhile."""
        with self._connected("BEGIN") as connection:
            return work(connection)

    def require_writable(self) -> None:
        """Write, and take it back. Raises StoreError, with what to do, when the store cannot be written."""
        with self._connected("BEGIN IMMEDIATE") as connection:
            connection.exec_driver_sql("CREATE TABLE write_probe (n INTEGER)")
            connection.rollback()

    def check(self) -> dict[str, Any]:
        """The health of the store as JSON-able data; `ok` sums it up. Changes nothing."""
        with self._connected("BEGIN") as connection:
            revision = schema.stored_revision(connection, self.name)
            integrity = [str(found) for found in _pragma(connection, "integrity_check")]
            dangling = [
                f"{row[0]} row {row[1]} names a row of {row[2]} that is not there"
                for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
            ]
            states: dict[str, int] = {}
            if revision is not None:
                counted = connection.execute(select(journal.c.state, func.count()).group_by(journal.c.state))
                states = {row[0]: row[1] for row in counted}
            return {
                "store": self.name,
                "ok": revision == schema.HEAD and integrity == ["ok"] and not dangling,
                "schema": revision,
                "head": schema.HEAD,
                "integrity": integrity,
                "foreign_keys": dangling,
                "journal": states,
                "journal_mode": str(_pragma(connection, "journal_mode")[0]),
                "synchronous": _SYNCHRONOUS.get(_pragma(connection, "synchronous")[0], "unknown"),
            }

    def upgrade(self) -> str:
        """Bring the schema up to date and return its revision. All or nothing; doing it again changes nothing."""
        token = self.enter_lane("schema", BUSY_SECONDS)
        try:
            self._patiently(self._use_write_ahead_log)
            return self._patiently(lambda: self.transaction(self._upgrade))
        finally:
            self.leave_lane(token)

    def enter_lane(self, name: str, timeout: float) -> LaneToken:
        """Wait up to `timeout` seconds to be the only one in this lane, over all processes that use this store.

        A lane is not part of a transaction. It is left with `leave_lane`, or when the process ends. Raises
        StoreError when the lane stays taken.
        """
        self._require_usable()
        return enter(self._lanes, name, timeout)

    def try_lane(self, name: str) -> LaneToken | None:
        """As `enter_lane`, without waiting: None when the lane is taken."""
        self._require_usable()
        return self._lanes.try_enter(name)

    def leave_lane(self, token: LaneToken) -> None:
        """Give the lane back. Leaving twice does nothing."""
        token.leave()

    def owner(self) -> Owner:
        """A new claim by this process, for `journal.begin`: one for each write."""
        return this_process()

    def close(self) -> None:
        """Close the connections and leave the lanes. What is under way has to end first."""
        self._together.close()
        self._refusal = "it is closed"
        _open.discard(self)
        self._lanes.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    def _require_usable(self) -> None:
        if self._refusal:
            raise StoreError(f"the store {self.name} cannot be used: {self._refusal}", hint="open it again")

    def _require_same_file(self) -> None:
        """A file that was deleted or replaced while it was open would still be written to, and nobody would ever
        read that again: what left would be forgotten, and could leave once more.
        """
        if isinstance(self._lanes, MemoryLanes):
            return
        try:
            found = os.stat(self.name)
        except FileNotFoundError:
            there = None
        except OSError:
            return  # it cannot be looked at any more, which SQLite does not need
        else:
            there = (found.st_dev, found.st_ino)
        self._file = self._file or there
        if there != self._file:
            raise StoreError(
                f"the store {self.name}: the file was {'replaced' if there else 'deleted'} while it was open",
                hint="put the right file there, and open the gateway again",
            )

    @contextmanager
    def _connected(self, begin: str) -> Iterator[Connection]:
        """A connection in a transaction, the only one of this process."""
        self._require_usable()
        if self._holder == threading.get_ident():
            raise StoreError("a transaction was begun inside a transaction", hint="pass the connection on instead")
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise StoreError(
                f"the store {self.name}: another thread's transaction has not ended within {BUSY_SECONDS} s",
                retryable=True,
                hint="repeat the call",
            )
        try:
            self._holder = threading.get_ident()
            with self._engine.connect().execution_options(gateway_begin=begin) as connection, connection.begin():
                self._require_same_file()
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            # Without its cause, whose text is a statement.
            raise failure(error, self.name) from None
        finally:
            self._holder = None
            self._lock.release()

    def _prepare(self, create: bool) -> None:
        """Give an empty database its tables; refuse one of another schema."""
        try:
            revision, mode = self._look()
            if revision is not None:
                schema.require_current(revision, self.name)
                if mode in ("wal", "memory"):
                    return
            elif not create:
                raise StoreError(f"{self.name} is an empty file, not a store", hint="check the path in `store`")
        except StoreError as error:
            if not error.retryable:
                raise
            # Another process is making it just now: its turn ends with the lane.
        token = self.enter_lane("schema", BUSY_SECONDS)
        try:
            self._patiently(self._use_write_ahead_log)
            self._patiently(lambda: self.transaction(self._make_tables))
        finally:
            self.leave_lane(token)

    def _look(self) -> tuple[str | None, str]:
        with self._connected("BEGIN") as connection:
            return schema.stored_revision(connection, self.name), str(_pragma(connection, "journal_mode")[0])

    def _make_tables(self, connection: Connection) -> None:
        revision = schema.stored_revision(connection, self.name)
        if revision is None:
            schema.upgrade(connection)
        else:
            schema.require_current(revision, self.name)

    def _upgrade(self, connection: Connection) -> str:
        revision = schema.stored_revision(connection, self.name)
        if revision is not None and revision not in schema.REVISIONS:
            schema.require_current(revision, self.name)
        if revision != schema.HEAD:
            schema.upgrade(connection)
        return schema.HEAD

    def _use_write_ahead_log(self) -> None:
        """Kept in the file from then on. Outside a transaction, where alone SQLite changes it."""
        with self._connected("") as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    def _patiently(self, act: Callable[[], T]) -> T:
        """Repeat what SQLite refuses at once, without waiting, while another process changes the same file."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return act()
            except StoreError as error:
                if not error.retryable or time.monotonic() >= until:
                    raise
            time.sleep(0.01)

    # SQLite connections must not cross a fork (https://www.sqlite.org/howtocorrupt.html, 2.6): none is open during one.
    def _before_fork(self) -> None:
        self._quiet = self._holder != threading.get_ident() and self._lock.acquire(timeout=BUSY_SECONDS)
        if self._quiet and not isinstance(self._lanes, MemoryLanes):
            self._engine.dispose()

    def _after_fork(self, *, child: bool) -> None:
        if self._quiet:
            self._lock.release()
        elif child:
            self._refusal = "the process was forked inside one of its transactions"
        if child:
            self._together.after_fork()
            self._lanes.after_fork()
            if isinstance(self._lanes, MemoryLanes):
                self._refusal = "it is in the memory of the process that this one was forked from"


_open: weakref.WeakSet[Database] = weakref.WeakSet()
_forking: list[Database] = []


def _before_fork() -> None:
    _forking[:] = sorted(_open, key=id)
    for database in _forking:
        database._before_fork()


def _after_fork(child: bool) -> None:
    for database in _forking:
        database._after_fork(child=child)
    _forking.clear()


# Where there is no fork, there is nothing to register.
getattr(os, "register_at_fork", dict)(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(False),
    after_in_child=lambda: _after_fork(True),
)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "store: not a database URL", hint="write sqlite:///gateway.db, or sqlite:////var/lib/shop/gateway.db"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(
            f"store: {parsed.get_backend_name()} is not supported by this version",
            hint="use SQLite: sqlite:///gateway.db",
        )
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or parsed.query or parsed.host:
        raise ConfigurationError(
            "store: a SQLite URL has a path and nothing else",
            hint="write sqlite:///gateway.db, or sqlite:////var/lib/shop/gateway.db",
        )
    return parsed


def _path(url: URL) -> Path | None:
    if url.database in (None, "", ":memory:"):
        return None
    # Absolute, so that a later change of folder does not lead to another file.
    return Path(str(url.database)).absolute()


def _make_file(path: Path, create: bool) -> None:
    """The empty file, for its owner only; SQLite gives its other files the same mode. One that is there stays."""
    if not create and not path.exists():
        raise StoreError(f"there is no store at {path}", hint="check the path in `store`")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise StoreError(f"{path} is a folder", hint="name a file in it") from None
    except FileNotFoundError:
        raise StoreError(f"the folder {path.parent} does not exist", hint="make it, or correct `store`") from None
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be made: {error.strerror}", hint="check that this user may write in its folder"
        ) from None


def _engine(path: Path | None) -> Engine:
    url = URL.create("sqlite+pysqlite", database=None if path is None else str(path))
    arguments = {"check_same_thread": False, "timeout": BUSY_SECONDS}
    if path is None:
        engine = create_engine(url, poolclass=StaticPool, connect_args=arguments, hide_parameters=True)
    else:
        engine = create_engine(
            url, poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args=arguments, hide_parameters=True
        )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # no BEGIN by the driver: `_begin` says which
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options()["gateway_begin"]
    if statement:
        connection.exec_driver_sql(statement)


def _pragma(connection: Connection, name: str) -> list[Any]:
    return [row[0] for row in connection.exec_driver_sql(f"PRAGMA {name}")]
