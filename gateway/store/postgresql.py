"""The store on a PostgreSQL server: all that is particular to it.

Everything above is written as if each transaction ran alone, which SERIALIZABLE guarantees here. A transaction that the
server had to break off for the sake of that is run again, as its documentation asks for
(https://www.postgresql.org/docs/current/transaction-iso.html#XACT-SERIALIZABLE).
"""

from __future__ import annotations

import random
import re
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from gateway.errors import ConfigurationError, GatewayError, Outcome, StoreError
from gateway.store import restores, schema
from gateway.store.database import BUSY_SECONDS, Database
from gateway.store.failures import Trouble, cannot_connect, failure, trouble
from gateway.store.lanes import ServerLanes

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresqlDatabase", "open_server"]

T = TypeVar("T")

CONNECTIONS = 8
"""How many transactions one process can have under way; a further connection holds its lanes."""

# Any number that nothing else locks by.
_TURN = 0x6761_7465_7761_7932

# As PostgreSQL takes it without quotes, and no longer than it keeps.
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_WROTE = "gateway wrote"
"""Whether a session's present transaction has changed anything."""

_COMPARED = "gateway compared"
"""Whether a session is known to be with the store that this process has opened."""

# What the store remembers of where it is.
_SERVER = "server"
_SIGNS = {
    "journal": "its tables were made anew, as from a dump",
    "database": "it is in another database than before",
    "system": "it is on another PostgreSQL server than before",
    "timeline": "its server was restored to a moment of the past, or a standby was promoted",
}
_PLACE = text(
    "SELECT to_regclass('journal')::oid::text AS journal, "
    "(SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database"
)
# A new timeline begins with every promotion and every recovery that ends before its log does
# (https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES). The control file learns of it
# with the next checkpoint, the names of log files at once.
_IDENTITY = text(
    f"{_PLACE.text}, (SELECT system_identifier::text FROM pg_control_system()) AS system, "
    "CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline"
)
_MAY_LOOK = text(
    "SELECT bool_and(has_function_privilege(name, 'EXECUTE')) FROM unnest(ARRAY["
    "'pg_control_system()', 'pg_is_in_recovery()', 'pg_walfile_name(pg_lsn)', 'pg_current_wal_lsn()']) AS name"
)

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5
_CONFLICTS_BEFORE_TURNS = 3
_DUPLICATES = 2

# A process that hangs in the middle of a transaction must not hold everybody else back for long.
_LONGEST_IDLE = 60

# What the gateway asks of every connection unless the URL says otherwise: a server that is gone is noticed.
_DEFAULTS = {
    "connect_timeout": str(BUSY_SECONDS),
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "fallback_application_name": "gateway",
}

_SESSION = "; ".join(
    (
        # The server notes what a serializable transaction has read: with an index, the rows and their place in it;
        # without, the whole table, and then every other writer of the table is in conflict with it. While a table is
        # small the planner prefers to read it whole.
        "SET enable_seqscan = off",
        f"SET lock_timeout = {BUSY_SECONDS * 1000}",
        # What was committed is gone with the server otherwise, and what had left could leave once more.
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
    )
)


def open_server(url: URL) -> PostgresqlDatabase:
    """The store that the URL names; nothing is asked of the server yet. Raises ConfigurationError."""
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "store: PostgreSQL needs the package psycopg, which is not installed",
            hint='pip install "crypto-gateway[postgresql]"',
        ) from None
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise ConfigurationError(
            f"store: the driver {url.drivername} is not supported",
            hint="write postgresql://user:password@host/database; psycopg 3 is what is used",
        )
    if not url.database:
        raise ConfigurationError(
            "store: a PostgreSQL URL names a database", hint="write postgresql://user:password@host/database"
        )
    own_schema = url.query.get("schema")
    if own_schema is not None and not (isinstance(own_schema, str) and _SCHEMA.fullmatch(own_schema)):
        raise ConfigurationError(
            "store: `schema` is the name of one schema: letters (a-z), digits and '_'", hint="write ?schema=gateway"
        )
    url = url.difference_update_query(["schema"])
    for option, value in url.query.items():
        try:
            psycopg.conninfo.make_conninfo("", **{option: str(value)})
        except psycopg.Error:
            raise ConfigurationError(
                f"store: PostgreSQL knows no connection parameter {option!r}",
                hint="see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS",
            ) from None
    return PostgresqlDatabase(url.set(drivername="postgresql+psycopg"), own_schema)


class PostgresqlDatabase(Database):
    """A store on a server, for any number of processes on any number of machines."""

    parallel = CONNECTIONS

    _writing = f"BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL idle_in_transaction_session_timeout = '{_LONGEST_IDLE}s'"
    # One state of the store, and never a conflict with those that write.
    _reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, url: URL, own_schema: str | None) -> None:
        super().__init__(_name(url, own_schema), ServerLanes(self._lane_connection))
        self._url = url
        self._schema = own_schema
        self._inherited: list[object] = []
        self._may_look: bool | None = None
        self._watching = False
        self._engine: Engine = create_engine(
            url,
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=CONNECTIONS // 2,
            max_overflow=CONNECTIONS - CONNECTIONS // 2,
            pool_timeout=BUSY_SECONDS,
            # SQLAlchemy begins and ends nothing: `_once` does, and so knows what became of a commit.
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
        )
        event.listen(self._engine, "before_cursor_execute", _note_writing)

    def _connect(self) -> psycopg.Connection[Any]:
        """A new session, set up as the gateway needs it."""
        import psycopg
        from psycopg import sql

        _, given = self._engine.dialect.create_connect_args(self._url)
        try:
            connection = psycopg.connect(**{**_DEFAULTS, **given}, autocommit=True)
        except psycopg.Error as error:
            raise cannot_connect(error, self.name) from None
        try:
            connection.execute(_SESSION)
            if self._schema is not None:
                connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(self._schema)))
        except BaseException as error:
            connection.close()
            if isinstance(error, psycopg.Error):
                raise failure(error, self.name) from None
            raise
        return connection

    def connection_arguments(self) -> tuple[dict[str, Any], str | None]:
        """What a further connection is opened with, and the schema that it has to use, if not the user's own."""
        _, given = self._engine.dialect.create_connect_args(self._url)
        return {**_DEFAULTS, **given}, self._schema

    def _lane_connection(self) -> tuple[psycopg.Connection[Any], str]:
        connection = self._connect()
        row = connection.execute("SELECT current_schema()").fetchone()
        return connection, self._schema or str(row and row[0])

    @contextmanager
    def _connected(self, begin: str) -> Iterator[Connection]:
        raised: GatewayError | None = None
        with self._entered():
            try:
                with self._once(begin, in_turn=False) as connection:
                    yield connection
            except self._failures() as error:
                raised = failure(error, self.name)
        if raised is not None:
            raise raised  # here, because the server's own words, which hold values, would be its context there

    def _run(self, begin: str, work: Callable[[Connection], T]) -> T:
        """`work` in a transaction, again after a conflict, and once more after a connection was lost before its commit
        was sent: nothing of it was kept then.
        """
        until = time.monotonic() + BUSY_SECONDS
        conflicts, duplicates, was_lost = 0, 0, False
        raised: GatewayError | None = None
        with self._entered():
            while True:
                try:
                    with self._once(begin, in_turn=conflicts >= _CONFLICTS_BEFORE_TURNS) as connection:
                        return work(connection)
                except self._failures() as error:
                    found = trouble(error)
                    if found in (Trouble.LOST, Trouble.READ_ONLY) and not was_lost:
                        was_lost = True
                        continue
                    # What was not there when it was looked for can have come before it was inserted.
                    duplicates += found is Trouble.DUPLICATE
                    again = found is Trouble.CONFLICT or (found is Trouble.DUPLICATE and duplicates <= _DUPLICATES)
                    if not again or time.monotonic() >= until:
                        raised = failure(error, self.name)
                        break
                    conflicts += 1
                time.sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**conflicts)))
        raise raised  # here, because the server's own words, which hold values, would be its context above

    @contextmanager
    def _once(self, begin: str, *, in_turn: bool) -> Iterator[Connection]:
        """A connection in one transaction. `in_turn`: only one of those that ask for it at a time, so that they do not
        break each other off for ever.
        """
        with self._begun(begin, in_turn) as (connection, session):
            try:
                connection.info[_WROTE] = False
                yield connection
                self._commit(session, wrote=connection.info[_WROTE])
            except self._failures() as error:
                if trouble(error) is Trouble.READ_ONLY:
                    session.close()  # the next connection may find the primary
                raise
            finally:
                self._end(connection, session, in_turn)

    @contextmanager
    def _begun(self, begin: str, in_turn: bool) -> Iterator[tuple[Connection, psycopg.Connection[Any]]]:
        with self._engine.connect() as connection:
            # Those that waited in the pool while the server was restarted are all lost, one after another.
            for left in reversed(range(CONNECTIONS + 1)):
                session: Any = connection.connection.driver_connection
                try:
                    self._compare(connection, session)
                    if in_turn:
                        session.execute("SELECT pg_advisory_lock(%s)", [_TURN])
                    session.execute(begin, prepare=False)
                    break
                except self._failures() as error:
                    if trouble(error) is Trouble.READ_ONLY:
                        session.close()
                    if trouble(error) is not Trouble.LOST or not left:
                        self._end(connection, session, in_turn)
                        raise
                    connection.invalidate()
                    connection.rollback()  # of SQLAlchemy's own, which would keep it from connecting anew
            yield connection, session

    def _compare(self, connection: Connection, session: psycopg.Connection[Any]) -> None:
        """Before a new connection is used: a store that was moved to a standby, or put back, while this process ran is
        noticed here.
        """
        if not self._watching or connection.info.get(_COMPARED):
            return
        session.execute(self._reading, prepare=False)
        signs = self._signs(connection)
        session.rollback()
        if signs:
            session.execute(self._writing, prepare=False)
            noted = self._note_restore(connection)
            self._commit(session, wrote=True)
            self._tell(noted)
        connection.info[_COMPARED] = True

    def _commit(self, session: psycopg.Connection[Any], *, wrote: bool) -> None:
        if _has_news(session):
            session.execute("SELECT 1")  # raises when the news is that the session has ended: before the commit, then
        try:
            ended = session.execute("COMMIT", prepare=False).statusmessage
        except self._failures() as error:
            if trouble(error) is not Trouble.LOST or not wrote:
                raise  # refused, or without anything to keep: it can be run again
            raise StoreError(
                f"the store {self.name}: the connection was lost while a change was being committed; the change may or "
                "may not have been recorded",
                outcome=Outcome.UNKNOWN,
                hint="look whether it is there before repeating the call",
            ) from None
        if ended != "COMMIT":
            # A statement had failed, and whoever made it went on: the server then takes everything back in silence.
            raise StoreError(
                f"the store {self.name}: a change was not recorded, because a part of it had failed",
                hint="this is a mistake in the gateway; report it",
            )

    def _end(self, connection: Connection, session: psycopg.Connection[Any], in_turn: bool) -> None:
        """Leave the session as it was found; one that does not let itself be is closed."""
        with suppress(*self._failures()):
            if not session.closed:
                session.rollback()
                if in_turn:
                    session.execute("SELECT pg_advisory_unlock(%s)", [_TURN])
                return
        connection.invalidate()

    @staticmethod
    def _failures() -> tuple[type[Exception], ...]:
        import psycopg

        return SQLAlchemyError, psycopg.Error

    def _prepare(self, create: bool) -> None:
        revision = self.read(lambda connection: schema.stored_revision(connection, self.name))
        if revision is not None:
            schema.require_current(revision, self.name)
            return
        if not create:
            raise StoreError(
                f"{self.name} is empty, not a store",
                hint="check `store`, or make the tables with `gateway store upgrade`",
            )
        token = self.enter_lane("schema", BUSY_SECONDS)
        try:
            self._make_ready()
            self.transaction(self._make_tables)
        finally:
            self.leave_lane(token)

    def _make_ready(self) -> None:
        from psycopg import sql

        if self._schema is None:
            return
        statement = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)).as_string()
        there = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")

        def make(connection: Connection) -> None:
            # Asked first: to make one takes a right that many users do not have.
            if connection.execute(there, {"name": self._schema}).scalar() is None:
                connection.exec_driver_sql(statement)

        self.transaction(make)

    def _health(self, connection: Connection) -> tuple[bool, dict[str, Any]]:
        row = connection.execute(
            text(
                "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby, "
                "current_setting('default_transaction_read_only') AS read_only, "
                "current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync"
            )
        ).one()
        writable = not row.standby and row.read_only == "off"
        return writable and row.synchronous_commit != "off", {
            "server": f"PostgreSQL {row.version}",
            "writable": "yes" if writable else "no: a standby" if row.standby else "no: read-only",
            "synchronous_commit": row.synchronous_commit,
            "fsync": row.fsync,
        }

    def _signs(self, connection: Connection) -> list[str]:
        known = restores.fact(connection, _SERVER) or {}
        here = self._identity(connection)
        changed = [name for name, now in here.items() if None not in (now, known.get(name)) and now != known[name]]
        # One restore shows in several of them; the first says most.
        return [_SIGNS[name] for name in _SIGNS if name in changed][:1]

    def _identity(self, connection: Connection) -> dict[str, str | None]:
        """What is not the same any more after a restore; None for what cannot be told here."""
        if self._may_look is None:
            self._may_look = bool(connection.execute(_MAY_LOOK).scalar_one())
        found = connection.execute(_IDENTITY if self._may_look else _PLACE).one()
        return dict(found._mapping)

    def _is_remembered(self, connection: Connection) -> bool:
        return bool(restores.fact(connection, _SERVER))

    def _look_for_restore(self) -> bool:
        restored = super()._look_for_restore()
        self._watching = True
        return restored

    def _remember(self, connection: Connection) -> None:
        restores.remember(connection, _SERVER, self._identity(connection))

    def _disconnect(self) -> None:
        self._engine.dispose()

    def _patiently(self, act: Callable[[], T]) -> T:
        return act()  # the server makes whoever comes second wait

    def _before_fork(self) -> None:
        return  # connections may be open: the child leaves them alone

    def _after_fork(self, *, child: bool) -> None:
        super()._after_fork(child=child)
        if child:
            self._inherited.append(self._engine.pool)  # kept, so that none is closed as garbage
            self._engine.dispose(close=False)


def _note_writing(connection: Connection, cursor: object, statement: str, *rest: object) -> None:
    if not statement.lstrip().upper().startswith(("SELECT", "SHOW")):
        connection.info[_WROTE] = True


def _has_news(session: psycopg.Connection[Any]) -> bool:
    """Whether the server has said something unasked, such as that it ends the session."""
    look = select.poll()
    look.register(session.pgconn.socket, select.POLLIN)
    return bool(look.poll(0))


def _name(url: URL, own_schema: str | None) -> str:
    hosts = url.host or url.query.get("host") or "localhost"
    place = hosts if isinstance(hosts, str) else ",".join(hosts)
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{place}{port}/{url.database}" + (f"?schema={own_schema}" if own_schema else "")
