"""The store in a file, or in memory: all that is particular to SQLite."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from gateway.errors import ConfigurationError, StoreError
from gateway.store import restores, schema
from gateway.store.database import BUSY_SECONDS, Database
from gateway.store.failures import failure
from gateway.store.lanes import FileLanes, Lanes, MemoryLanes
from gateway.store.wal import commits_in_file, commits_in_log
from gateway.store.witness import Seen, Witness

__all__ = ["SqliteDatabase", "open_file"]

T = TypeVar("T")

# What the store knows of itself.
_STORE, _COMMITS = "store", "commits"

_SYNCHRONOUS = {0: "off", 1: "normal", 2: "full", 3: "extra"}


def open_file(url: URL, *, create: bool) -> SqliteDatabase:
    """The file that the URL names, made if it is missing; in memory where it names none."""
    path = _path(url)
    if path is None:
        return SqliteDatabase(_engine(None), ":memory:", MemoryLanes(), None)
    _make_file(path, create)
    witness = Witness(Path(f"{path}-witness"))
    return SqliteDatabase(_engine(path), str(path), FileLanes(Path(f"{path}-lanes")), witness)


class SqliteDatabase(Database):
    """A store in one file. Transactions of one process take turns, and SQLite sees to those of several."""

    _writing = "BEGIN IMMEDIATE"
    _reading = "BEGIN"

    def __init__(self, engine: Engine, name: str, lanes: Lanes, witness: Witness | None) -> None:
        super().__init__(name, lanes)
        self._engine = engine
        self._witness = witness
        self._store: str | None = None
        self._lock = threading.Lock()
        self._quiet = False
        self._file: tuple[int, int] | None = None

    @contextmanager
    def _connected(self, begin: str) -> Iterator[Connection]:
        """A connection in a transaction, the only one of this process."""
        with self._entered():
            if not self._lock.acquire(timeout=BUSY_SECONDS):
                raise StoreError(
                    f"the store {self.name}: another thread's transaction has not ended within {BUSY_SECONDS} s",
                    retryable=True,
                    hint="repeat the call",
                )
            try:
                with self._engine.connect().execution_options(gateway_begin=begin) as connection, connection.begin():
                    self._require_same_file()
                    yield connection
            except (SQLAlchemyError, sqlite3.Error) as error:
                # Without its cause, whose text is a statement.
                raise failure(error, self.name) from None
            finally:
                self._lock.release()

    def _run(self, begin: str, work: Callable[[Connection], T]) -> T:
        if begin == self._reading or self._witness is None:
            with self._connected(begin) as connection:
                return work(connection)
        with self._connected(begin) as connection:
            before = _changes(connection)
            result = work(connection)
            commits = _count_commit(connection) if self._store and _changes(connection) != before else None
        # After the commit, so that the file beside the store never knows of more than there is.
        if self._store and commits is not None:
            self._witness.tell(Seen(self._store, commits))
        return result

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

    def _prepare(self, create: bool) -> None:
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
            self._make_ready()
            self._patiently(lambda: self.transaction(self._make_tables))
        finally:
            self.leave_lane(token)

    def _look(self) -> tuple[str | None, str]:
        with self._connected("BEGIN") as connection:
            return schema.stored_revision(connection, self.name), str(_pragma(connection, "journal_mode")[0])

    def _make_ready(self) -> None:
        self._patiently(self._use_write_ahead_log)

    def _use_write_ahead_log(self) -> None:
        """Kept in the file from then on. Outside a transaction, where alone SQLite changes it."""
        with self._connected("") as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    def _health(self, connection: Connection) -> tuple[bool, dict[str, Any]]:
        integrity = [str(found) for found in _pragma(connection, "integrity_check")]
        dangling = [
            f"{row[0]} row {row[1]} names a row of {row[2]} that is not there"
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
        ]
        return integrity == ["ok"] and not dangling, {
            "integrity": integrity,
            "foreign_keys": dangling,
            "journal_mode": str(_pragma(connection, "journal_mode")[0]),
            "synchronous": _SYNCHRONOUS.get(_pragma(connection, "synchronous")[0], "unknown"),
        }

    def _signs(self, connection: Connection) -> list[str]:
        seen = self._witness.read() if self._witness is not None else None
        if seen is None:
            return []
        here = _seen(connection)
        if here is None or here.store != seen.store:
            return ["the file is another store than the one that was here"]
        if here.commits < seen.commits or self._log_is_foreign(here):
            return ["the file is an older state of the store"]
        return []

    def _log_is_foreign(self, here: Seen) -> bool:
        """Whether the log tells of later changes than can follow on what the file itself has: an older file was put
        beside a log that stayed. Inside a transaction, so that nobody begins the log anew meanwhile.
        """
        assert self._witness is not None
        path = Path(self.name)
        below = commits_in_file(path, _COMMITS)
        if below is None or here.commits - below <= commits_in_log(path):
            return False
        # The log goes into the file when it is closed, and the sign with it: the witness keeps it.
        self._witness.tell(Seen(here.store, here.commits + 1))
        return True

    def _is_remembered(self, connection: Connection) -> bool:
        return self._witness is None or _seen(connection) is not None

    def _remember(self, connection: Connection) -> None:
        if _seen(connection) is None:
            restores.remember(connection, _STORE, {"id": secrets.token_hex(16)})
            connection.exec_driver_sql(f"INSERT INTO facts (name, value) VALUES ('{_COMMITS}', '0')")

    def _look_for_restore(self) -> bool:
        restored = super()._look_for_restore()
        here = self.read(_seen) if self._witness is not None else None
        if self._witness is not None and here is not None:
            self._store = here.store
            self._witness.tell(here, newer_only=not restored)
        return restored

    def _disconnect(self) -> None:
        self._engine.dispose()

    def _patiently(self, act: Callable[[], T]) -> T:
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
        self._quiet = not self._is_inside() and self._lock.acquire(timeout=BUSY_SECONDS)
        if self._quiet and not isinstance(self._lanes, MemoryLanes):
            self._engine.dispose()

    def _after_fork(self, *, child: bool) -> None:
        super()._after_fork(child=child)
        if self._quiet:
            self._lock.release()
        elif child:
            self._refusal = "the process was forked inside one of its transactions"
        if child and isinstance(self._lanes, MemoryLanes):
            self._refusal = "it is in the memory of the process that this one was forked from"


def _path(url: URL) -> Path | None:
    if url.drivername not in ("sqlite", "sqlite+pysqlite") or url.query or url.host:
        raise ConfigurationError(
            "store: a SQLite URL has a path and nothing else",
            hint="write sqlite:///gateway.db, or sqlite:////var/lib/shop/gateway.db",
        )
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


def _changes(connection: Connection) -> int:
    """How many rows this connection has changed since it was opened."""
    driver: Any = connection.connection.driver_connection
    return int(driver.total_changes)


def _count_commit(connection: Connection) -> int | None:
    """Count the transaction that is about to be committed; None in a store that has no count yet."""
    driver: Any = connection.connection.driver_connection
    # Past SQLAlchemy, because every write pays for it.
    row = driver.execute(f"UPDATE facts SET value = value + 1 WHERE name = '{_COMMITS}' RETURNING value").fetchone()
    return int(row[0]) if row else None


def _seen(connection: Connection) -> Seen | None:
    """Which store this is, and how many transactions have changed it; None in one that does not know yet."""
    store, commits = restores.fact(connection, _STORE), restores.fact(connection, _COMMITS)
    return Seen(store["id"], commits) if store is not None and commits is not None else None


def _pragma(connection: Connection, name: str) -> list[Any]:
    return [row[0] for row in connection.exec_driver_sql(f"PRAGMA {name}")]
