"""The database as everything above it knows it: opening, transactions, checking, upgrading.

`sqlite.py` and `postgresql.py` hold what is particular to each.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self, TypeVar

from sqlalchemy import URL, Connection, func, insert, make_url, select
from sqlalchemy.exc import ArgumentError

from gateway.errors import ConfigurationError, StoreError
from gateway.store import schema
from gateway.store.lanes import Lanes, LaneToken, enter
from gateway.store.owner import Owner, this_process
from gateway.store.tables import journal, request_numbers
from gateway.store.together import Together

__all__ = ["BUSY_SECONDS", "Database", "LaneToken"]

log = logging.getLogger("gateway")

T = TypeVar("T")

BUSY_SECONDS = 10
"""How long a transaction waits for another one, in this process or elsewhere."""

_EXAMPLES = "write sqlite:///gateway.db, sqlite:////var/lib/shop/gateway.db or postgresql://user:password@host/database"


class Database(ABC):
    """One store, safe for many threads. Close it when done."""

    parallel: ClassVar[int] = 1
    """How many transactions of one process can run at the same time."""

    _writing: ClassVar[str]
    _reading: ClassVar[str]

    def __init__(self, name: str, lanes: Lanes) -> None:
        self.name = name
        """Where it is, without user and password; for messages."""
        self._lanes = lanes
        self._refusal: str | None = None
        self._thread = threading.local()
        self._together = Together(self.transaction)
        _open.add(self)

    @staticmethod
    def open(url: str, *, create: bool = True, any_schema: bool = False) -> Database:
        """The store at `sqlite:///PATH`, one in memory at `sqlite://`, or that of a PostgreSQL server at
        `postgresql://USER:PASSWORD@HOST/DATABASE`, where `?schema=NAME` gives it a schema of its own.

        A file that is missing is made (not with `create=False`) and an empty database gets its tables. Raises
        ConfigurationError for what is no such URL and StoreError for a database that cannot be used, such as one
        of an older or newer schema. With `any_schema` nothing is made or compared: for `check` and `upgrade`.
        """
        if sys.platform == "win32":
            raise StoreError("the store needs a POSIX system, for locks between processes", hint="use Linux or macOS")
        parsed = _parsed(url)
        match parsed.get_backend_name():
            case "sqlite":
                from gateway.store.sqlite import open_file

                database: Database = open_file(parsed, create=create)
            case "postgresql":
                from gateway.store.postgresql import open_server

                database = open_server(parsed)
            case other:
                raise ConfigurationError(
                    f"store: {other} is not supported", hint="use SQLite or PostgreSQL: " + _EXAMPLES
                )
        try:
            if not any_schema:
                database._prepare(create)
                database._look_for_restore()
        except BaseException:
            database.close()
            raise
        return database

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run `work` as if alone: nobody else writes between its reads and its writes. Committed when it returns.

        It may be run several times until it is committed, so it keeps nothing outside the store. When it raises,
        everything is rolled back and the exception comes out. The database's own failures are StoreErrors;
        `retryable` ones may be repeated.
        """
        return self._run(self._writing, work)

    def together(self, work: Callable[[Connection], T]) -> Future[T]:
        """As `transaction`, sharing it with others that come at the same time; the result is there when it is durable.

        The work may be run twice.
        """
        self._require_usable()
        self._require_outside()
        return self._together.submit(work)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, on one state of the store; others may go on writing meanwhile."""
        return self._run(self._reading, work)

    def require_writable(self) -> None:
        """Write, and take it back. Raises StoreError, with what to do, when the store cannot be written."""

        def write(connection: Connection) -> NoReturn:
            connection.execute(insert(request_numbers).values(key="is it writable?", last=0))
            raise _TakenBack

        with suppress(_TakenBack):
            self.transaction(write)

    def check(self) -> dict[str, Any]:
        """The health of the store as JSON-able data; `ok` sums it up. Changes nothing.

        `restored` are the restores that nobody has accepted; with one, `open_entries` are the journal entries that
        have not ended.
        """
        with self._connected(self._reading) as connection:
            revision = schema.stored_revision(connection, self.name)
            sound, found = self._health(connection)
            states: dict[str, int] = {}
            restored: list[str] = []
            entries: list[str] = []
            if revision is not None:
                counted = connection.execute(select(journal.c.state, func.count()).group_by(journal.c.state))
                states = {row[0]: row[1] for row in counted}
            if revision == schema.HEAD:
                restored, entries = self._restored(connection)
            return {
                "store": self.name,
                "ok": revision == schema.HEAD and sound and not restored,
                "schema": revision,
                "head": schema.HEAD,
                "journal": states,
                "restored": restored,
                "open_entries": entries,
                **found,
            }

    def upgrade(self) -> str:
        """Bring the schema up to date and return its revision. All or nothing; doing it again changes nothing."""
        token = self.enter_lane("schema", BUSY_SECONDS)
        try:
            self._make_ready()
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

    def holds_lane(self, token: LaneToken) -> bool:
        """Whether it is still held: a server that was restarted has taken it back."""
        return self._lanes.holds(token)

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
        self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @abstractmethod
    def _connected(self, begin: str) -> AbstractContextManager[Connection]:
        """A connection in a transaction that begins with this statement, committed at the end."""

    @abstractmethod
    def _run(self, begin: str, work: Callable[[Connection], T]) -> T:
        """Run `work` in such a transaction, again where the database asks for it."""

    @abstractmethod
    def _prepare(self, create: bool) -> None:
        """Give an empty database its tables; refuse one of another schema."""

    @abstractmethod
    def _make_ready(self) -> None:
        """What has to be so before there can be tables."""

    @abstractmethod
    def _health(self, connection: Connection) -> tuple[bool, dict[str, Any]]:
        """Whether the database is sound, and what it says of itself."""

    @abstractmethod
    def _signs(self, connection: Connection) -> list[str]:
        """What says that this is not the state that was last left here."""

    @abstractmethod
    def _is_remembered(self, connection: Connection) -> bool:
        """Whether the store knows what it is and where."""

    @abstractmethod
    def _remember(self, connection: Connection) -> None:
        """From now on, this is the state that was last left here."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the connections that nobody is using."""

    @abstractmethod
    def _patiently(self, act: Callable[[], T]) -> T:
        """Repeat what the database refuses at once while another process changes the schema."""

    def _is_inside(self) -> bool:
        """Whether this thread is in a transaction."""
        return getattr(self._thread, "inside", False)

    def _require_usable(self) -> None:
        if self._refusal:
            raise StoreError(f"the store {self.name} cannot be used: {self._refusal}", hint="open it again")

    def _require_outside(self) -> None:
        if self._is_inside():
            raise StoreError("a transaction was begun inside a transaction", hint="pass the connection on instead")

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Around every transaction."""
        self._require_usable()
        self._require_outside()
        self._thread.inside = True
        try:
            yield
        finally:
            self._thread.inside = False

    def _restored(self, connection: Connection) -> tuple[list[str], list[str]]:
        """The restores that nobody has accepted, noticed before or just now; with one, the open journal entries."""
        from gateway.store import restores

        found = [restore.reason for restore in restores.unaccepted(connection)] + self._signs(connection)
        entries = restores.open_entries(connection) if found else []
        return found, [f"{entry.name} at {entry.account}: {entry.state}" for entry in entries]

    def _look_for_restore(self) -> bool:
        """Note it when the store was restored from an older state since it was last used. Returns whether it was."""
        if self.read(lambda connection: self._is_remembered(connection) and not self._signs(connection)):
            return False
        signs = self.transaction(self._note_restore)
        self._tell(signs)
        return bool(signs)

    def _tell(self, signs: list[str]) -> None:
        for sign in signs:
            log.warning("the store %s was restored: %s; no money leaves until that is accepted", self.name, sign)

    def _note_restore(self, connection: Connection) -> list[str]:
        from gateway.store import restores

        signs = self._signs(connection)
        for sign in signs:
            restores.note(connection, sign, datetime.now(UTC))
        self._remember(connection)
        return signs

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

    @abstractmethod
    def _before_fork(self) -> None:
        """In the parent, by the thread that forks."""

    def _after_fork(self, *, child: bool) -> None:
        """In the parent and in the child."""
        if child:
            if self._is_inside():
                self._refusal = "the process was forked inside one of its transactions"
            self._together.after_fork()
            self._lanes.after_fork()


class _TakenBack(Exception):
    """What was written on trial."""


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
        return make_url(url)
    except (ArgumentError, ValueError):  # whose text can be a part of the URL, and that of the password
        raise ConfigurationError("store: not a database URL", hint=_EXAMPLES) from None
