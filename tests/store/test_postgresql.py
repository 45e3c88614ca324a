"""The store on a server: opening, what breaks a transaction off and what is made of it, health."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway.errors import ConfigurationError, Outcome, StoreError
from gateway.store import postgresql as module
from gateway.store import schema
from gateway.store.database import Database
from gateway.store.failures import Trouble, cannot_connect, failure, trouble
from gateway.store.tables import metadata, request_numbers
from store.samples import all_say, begin, children, forked
from support.postgres import PASSWORD, USER, Line, PostgresServer

PATIENCE = 30.0


@pytest.fixture
def database(server_database: Database) -> Database:
    return server_database


@pytest.fixture
def name(postgres: str) -> str:
    return postgres.rpartition("/")[2]


@pytest.fixture
def line(postgres_server: PostgresServer) -> Iterator[Line]:
    made = Line(postgres_server)
    yield made
    made.close()


def count(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM request_numbers")).scalar_one()


def put(connection: Connection, key: str = "a", last: int = 1) -> None:
    connection.execute(insert(request_numbers).values(key=key, last=last))


def grow(connection: Connection, key: str = "a") -> int:
    """Read, then write what was read and one more."""
    row = request_numbers.c.key == key
    last = connection.execute(select(request_numbers.c.last).where(row)).scalar_one()
    connection.execute(update(request_numbers).where(row).values(last=last + 1))
    return int(last) + 1


def end_session(connection: Connection, server: PostgresServer) -> None:
    """The server ends the session that this transaction is in."""
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")


class TestOpening:
    def test_without_psycopg_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(ConfigurationError, match=r"psycopg.*pip install \"crypto-gateway\[postgresql\]\""):
            Database.open("postgresql://db/shop")

    @pytest.mark.parametrize(
        ("wrong", "what"),
        [
            ("postgresql+asyncpg://shop:pass-word@db/shop", r"driver postgresql\+asyncpg is not supported"),
            ("postgresql://shop:pass-word@db", "names a database"),
            ("postgresql://shop:pass-word@db:port/shop", "not a database URL"),
            ("postgresql://shop:pass-word@db/shop?fooo=pass-word", "no connection parameter 'fooo'"),
            ("postgresql://shop:pass-word@db/shop?schema=a&schema=b", "`schema` is the name of one schema"),
            ("postgresql://shop:pass-word@db/shop?schema=a;drop", "`schema` is the name of one schema"),
        ],
    )
    def test_what_is_no_store_is_refused(self, wrong: str, what: str) -> None:
        with pytest.raises(ConfigurationError, match=what) as caught:
            Database.open(wrong)
        assert caught.value.hint
        assert "pass-word" not in f"{caught.value} {caught.value.__context__}"

    def test_its_name_tells_no_password(self, postgres: str, postgres_server: PostgresServer, name: str) -> None:
        place = f"127.0.0.1:{postgres_server.port}/{name}"
        secret = quote(PASSWORD, safe="")
        for url in (postgres, f"postgresql+psycopg://{USER}@{place}?password={secret}"):
            with Database.open(url) as database:
                assert database.name == f"postgresql://{place}"
                assert repr(database) == f"PostgresqlDatabase({database.name!r})"
                assert PASSWORD not in str(database.check())

    def test_an_empty_database_gets_its_tables(self, empty_postgres: str) -> None:
        with pytest.raises(StoreError, match=r"is empty, not a store.*`gateway store upgrade`"):
            Database.open(empty_postgres, create=False)
        with Database.open(empty_postgres) as database:
            database.transaction(put)
        with Database.open(empty_postgres, create=False) as database:
            assert database.transaction(count) == 1
            assert database.check()["ok"]

    def test_upgrading_an_empty_database_makes_the_tables(self, empty_postgres: str) -> None:
        with Database.open(empty_postgres, create=False, any_schema=True) as database:
            assert database.check()["schema"] is None
            assert database.upgrade() == schema.HEAD
            assert database.upgrade() == schema.HEAD
            assert database.check()["ok"]

    def test_an_upgrade_that_fails_leaves_nothing_behind(
        self, empty_postgres: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = schema.upgrade

        def breaks(connection: Connection) -> None:
            whole(connection)
            raise KeyboardInterrupt

        monkeypatch.setattr(schema, "upgrade", breaks)
        with pytest.raises(KeyboardInterrupt):
            Database.open(empty_postgres)
        monkeypatch.undo()
        with Database.open(empty_postgres, any_schema=True) as database:
            assert database.check()["schema"] is None
            assert database.upgrade() == schema.HEAD

    def test_processes_that_open_a_fresh_store_at_once_all_succeed(self, empty_postgres: str) -> None:
        with children(3, "opens", empty_postgres) as started:
            assert all_say(started) == [schema.HEAD] * 3

    @pytest.mark.parametrize("statement", ["CREATE TABLE customers (id int)", "CREATE TABLE alembic_version (x text)"])
    def test_a_schema_with_tables_of_others_is_left_alone(self, empty_postgres: str, statement: str) -> None:
        with psycopg.connect(empty_postgres) as other:
            other.execute(statement)
        with pytest.raises(StoreError, match=r"not one of the gateway's; nothing in it was changed.*\?schema=gateway"):
            Database.open(empty_postgres)
        with psycopg.connect(empty_postgres) as other:
            row = other.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
            assert row == (1,)

    def test_the_queue_of_the_workers_may_be_there_first(self, empty_postgres: str) -> None:
        with psycopg.connect(empty_postgres) as other:
            other.execute("CREATE TABLE procrastinate_jobs (id int)")
        with Database.open(empty_postgres) as database:
            assert database.check()["ok"]

    @pytest.mark.parametrize("query", ["?schema=gateway", "?options=-csearch_path%3Dgateway,public"])
    def test_a_schema_of_its_own_beside_a_shops_tables(self, empty_postgres: str, query: str) -> None:
        with psycopg.connect(empty_postgres) as shop:
            shop.execute("CREATE TABLE orders (id int); CREATE TABLE alembic_version (version_num text)")
            shop.execute("INSERT INTO alembic_version VALUES ('of-the-shop')")
            if "options" in query:
                shop.execute("CREATE SCHEMA gateway")
        with Database.open(empty_postgres + query) as database:
            database.transaction(put)
            assert database.check()["schema"] == schema.HEAD
            assert ("?schema=gateway" in database.name) is ("schema" in query)
        with Database.open(empty_postgres + query, create=False) as again:
            assert again.transaction(count) == 1
        with psycopg.connect(empty_postgres) as shop:
            assert shop.execute("SELECT version_num FROM public.alembic_version").fetchall() == [("of-the-shop",)]
            found = shop.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            assert sorted(found) == [("alembic_version",), ("orders",)]

    def test_two_schemas_are_two_stores(self, empty_postgres: str) -> None:
        with (
            Database.open(f"{empty_postgres}?schema=live") as live,
            Database.open(f"{empty_postgres}?schema=test") as test,
        ):
            live.transaction(put)
            assert test.transaction(count) == 0
            assert live.try_lane("payouts") is not None
            assert test.try_lane("payouts") is not None

    def test_a_schema_that_is_not_there_says_how_to_have_it(self, empty_postgres: str) -> None:
        with pytest.raises(StoreError, match=r"the schema does not exist.*\?schema=NAME"):
            Database.open(f"{empty_postgres}?options=-csearch_path%3Dnowhere")

    def test_rules_and_indexes_are_those_of_the_tables(self, database: Database, empty_postgres: str) -> None:
        """Alembic compares no CHECK constraints."""
        rules = text(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' "
            "UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes "
            "WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2, 3"
        )
        migrated = database.read(lambda connection: connection.execute(rules).all())
        with Database.open(empty_postgres, any_schema=True) as direct:
            direct.transaction(metadata.create_all)
            made = direct.read(lambda connection: connection.execute(rules).all())
        assert migrated == made

    def test_what_the_server_refuses_is_said_without_the_password(
        self, postgres: str, postgres_server: PostgresServer, name: str
    ) -> None:
        wrong = {
            postgres_server.url(name, password="wrong-pass-word"): ("does not let this user in", False),
            postgres_server.url(name, user="stranger"): ("does not let this user in", False),
            postgres_server.url("nowhere"): ("has no such database", False),
            postgres_server.url(name, port=1): ("cannot be reached", True),
            f"{postgres}?sslmode=require": ("no encrypted connection", False),
            f"{postgres}?target_session_attrs=standby": ("none of the servers", True),
        }
        for url, (what, retryable) in wrong.items():
            with pytest.raises(StoreError, match=what) as caught:
                Database.open(url)
            assert caught.value.retryable is retryable
            assert caught.value.hint
            told = f"{caught.value} {caught.value.to_dict()}"
            assert PASSWORD not in told
            assert "wrong-pass-word" not in told

    def test_a_server_without_a_connection_left(self, empty_postgres: str, postgres_server: PostgresServer) -> None:
        name = empty_postgres.rpartition("/")[2]
        postgres_server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        with pytest.raises(StoreError, match=r"no connection left.*fewer processes") as caught:
            Database.open(empty_postgres)
        assert caught.value.retryable

    def test_a_session_is_set_up_for_money(self, empty_postgres: str, postgres_server: PostgresServer) -> None:
        """Nobody's defaults make a commit that is lost with the server, or read whole tables."""
        name = empty_postgres.rpartition("/")[2]
        postgres_server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        with Database.open(empty_postgres) as database:
            shown = database.transaction(
                lambda connection: [
                    connection.execute(text(f"SHOW {setting}")).scalar()
                    for setting in ("synchronous_commit", "enable_seqscan", "transaction_isolation", "lock_timeout")
                ]
            )
            assert shown == ["on", "off", "serializable", "10s"]
            assert database.check()["ok"]


class TestConflicts:
    @pytest.fixture
    def other(self, postgres: str) -> Iterator[Database]:
        with Database.open(postgres) as opened:
            yield opened

    def test_what_somebody_else_changed_meanwhile_is_read_again(self, database: Database, other: Database) -> None:
        database.transaction(put)
        runs: list[int] = []

        def work(connection: Connection) -> int:
            grown = grow(connection)
            runs.append(grown)
            return grown

        def overtaken(connection: Connection) -> int:
            count(connection)  # from here on, this transaction sees the store as it is now
            if not runs:
                thread = threading.Thread(target=lambda: other.transaction(grow))
                thread.start()
                thread.join()
                runs.append(0)
            return work(connection)

        assert database.transaction(overtaken) == 3
        assert runs == [0, 3]

    def test_two_that_each_leave_the_other_no_room(self, database: Database, other: Database) -> None:
        """Each reads all and writes a row of its own: only one may have seen the store without the other's."""
        meet = threading.Barrier(2, timeout=PATIENCE)
        seen: list[int] = []

        def work(mine: Database, key: str) -> None:
            first = iter([True])

            def inner(connection: Connection) -> int:
                found = count(connection)
                if next(first, False):
                    meet.wait()
                put(connection, key)
                return found

            seen.append(mine.transaction(inner))

        threads = [threading.Thread(target=work, args=arguments) for arguments in ((database, "one"), (other, "two"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == [0, 1]

    def test_a_deadlock_is_run_again(self, database: Database, other: Database) -> None:
        database.transaction(lambda connection: put(connection, "a"))
        database.transaction(lambda connection: put(connection, "b"))
        meet = threading.Barrier(2, timeout=PATIENCE)

        def work(mine: Database, keys: tuple[str, str]) -> None:
            first = iter([True])

            def inner(connection: Connection) -> None:
                connection.execute(text("SELECT 1 FROM request_numbers WHERE key = :key FOR UPDATE"), {"key": keys[0]})
                if next(first, False):
                    meet.wait()
                for key in keys:
                    grow(connection, key)

            mine.transaction(inner)

        threads = [
            threading.Thread(target=work, args=arguments) for arguments in ((database, ("a", "b")), (other, ("b", "a")))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        query = select(request_numbers.c.last)
        assert database.read(lambda connection: connection.execute(query).scalars().all()) == [3, 3]

    def test_a_row_that_came_meanwhile_is_found(self, database: Database, other: Database) -> None:
        """The conflict is one of the rows' key this time."""
        looks: list[object] = []

        def work(connection: Connection) -> str:
            query = text("SELECT last FROM request_numbers WHERE key = 'a'")
            found = connection.execute(query).scalar()
            looks.append(found)
            if found is not None:
                return "found"
            if len(looks) == 1:
                thread = threading.Thread(target=lambda: other.transaction(put))
                thread.start()
                thread.join()
            put(connection)
            return "made"

        assert database.transaction(work) == "found"
        assert looks == [None, 1]

    def test_conflicts_without_end_are_given_up_and_may_be_repeated(
        self, database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.3)
        database.transaction(put)
        turns: list[int] = []

        def work(connection: Connection) -> None:
            count(connection)
            thread = threading.Thread(target=lambda: other.transaction(grow))
            thread.start()
            thread.join()
            held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            turns.append(connection.execute(held).scalar_one())
            grow(connection)

        with pytest.raises(StoreError, match=r"kept changing the same rows; nothing was recorded") as caught:
            database.transaction(work)
        assert caught.value.retryable
        assert caught.value.outcome is Outcome.NOT_SENT
        assert turns[:5] == [0, 0, 0, 1, 1]  # then, those that were broken off often go one at a time
        held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert database.read(lambda connection: connection.execute(held).scalar_one()) == 0

    def test_many_that_all_want_the_same_row(self, database: Database) -> None:
        database.transaction(put)
        threads = [threading.Thread(target=lambda: [database.transaction(grow) for _ in range(10)]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert database.transaction(grow) == 62

    def test_works_that_share_a_transaction_are_run_again_together(self, database: Database, other: Database) -> None:
        """And none of them alone, as after a mistake of one."""
        database.transaction(put)
        runs: list[str] = []

        def work(name: str) -> Callable[[Connection], int]:
            def inner(connection: Connection) -> int:
                if not runs:
                    count(connection)
                    thread = threading.Thread(target=lambda: other.transaction(grow))
                    thread.start()
                    thread.join()
                runs.append(name)
                return grow(connection)

            return inner

        database.transaction(count)
        database._together._committing = True  # nothing is begun before both have come
        futures = [database.together(work(name)) for name in ("one", "two")]
        database._together._commit_all()
        assert [future.result(PATIENCE) for future in futures] == [3, 4]
        assert runs == ["one", "one", "two"]

    def test_somebody_who_holds_a_row_for_long(
        self, postgres: str, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database.transaction(put)
        with psycopg.connect(postgres) as other:
            other.execute("UPDATE request_numbers SET last = 5")

            def work(connection: Connection) -> None:
                connection.execute(text("SET LOCAL lock_timeout = '20ms'"))
                grow(connection)

            with pytest.raises(StoreError, match="somebody else holds what is needed") as caught:
                database.transaction(work)
        assert caught.value.retryable

    def test_all_connections_in_use(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database._engine.pool, "_timeout", 0.01)  # type: ignore[attr-defined]
        inside, leave = threading.Barrier(module.CONNECTIONS + 1, timeout=PATIENCE), threading.Event()

        def work(connection: Connection) -> None:
            inside.wait()
            leave.wait(PATIENCE)

        threads = [threading.Thread(target=database.transaction, args=(work,)) for _ in range(module.CONNECTIONS)]
        for thread in threads:
            thread.start()
        inside.wait()
        try:
            with pytest.raises(StoreError, match="all connections of this process are in use") as caught:
                database.transaction(count)
            assert caught.value.retryable
        finally:
            leave.set()
            for thread in threads:
                thread.join()
        assert database.transaction(count) == 0

    def test_what_a_failed_part_took_with_it_is_not_taken_for_recorded(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            put(connection)
            with pytest.raises(IntegrityError):
                put(connection)

        with pytest.raises(StoreError, match="was not recorded, because a part of it had failed"):
            database.transaction(work)
        assert database.transaction(count) == 0

    def test_reading_writes_nothing(self, database: Database) -> None:
        with pytest.raises(StoreError, match="it is read-only"):
            database.read(put)


class TestLostConnections:
    def test_before_the_commit_it_is_done_again(self, database: Database, postgres_server: PostgresServer) -> None:
        runs: list[int] = []

        def work(connection: Connection) -> None:
            put(connection)
            runs.append(1)
            if len(runs) == 1:
                end_session(connection, postgres_server)
                count(connection)

        database.transaction(work)
        assert len(runs) == 2
        assert database.transaction(count) == 1

    def test_lost_twice_it_says_that_nothing_was_recorded(
        self, database: Database, postgres_server: PostgresServer
    ) -> None:
        def work(connection: Connection) -> None:
            put(connection)
            end_session(connection, postgres_server)
            count(connection)

        with pytest.raises(StoreError, match=r"nothing was recorded") as caught:
            database.transaction(work)
        assert caught.value.retryable
        assert caught.value.outcome is Outcome.NOT_SENT
        assert database.transaction(count) == 0

    @pytest.mark.parametrize(("cut", "recorded"), [("before", 0), ("after", 1)])
    def test_at_the_commit_nobody_knows(
        self, line: Line, name: str, database: Database, cut: str, recorded: int
    ) -> None:
        with Database.open(line.url(name)) as far:
            far.transaction(count)
            line.cut = cut
            runs: list[int] = []

            def work(connection: Connection) -> None:
                runs.append(1)
                put(connection)

            with pytest.raises(StoreError, match="may or may not have been recorded") as caught:
                far.transaction(work)
            assert not caught.value.retryable
            assert caught.value.outcome is Outcome.UNKNOWN
            assert caught.value.hint
            assert (len(runs), line.cuts) == (1, 1)
            assert far.transaction(count) == recorded
        assert database.transaction(count) == recorded

    def test_a_restarted_server_goes_unnoticed(self, database: Database, postgres_server: PostgresServer) -> None:
        """Also where several connections wait in the pool, all of them dead."""
        meet = threading.Barrier(4, timeout=PATIENCE)

        def work(connection: Connection) -> None:
            meet.wait()

        threads = [threading.Thread(target=database.transaction, args=(work,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        postgres_server.restart()
        database.transaction(put)
        assert database.transaction(count) == 1
        assert database.check()["ok"]

    def test_a_connection_that_is_lost_as_soon_as_it_is_made(
        self, database: Database, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While it is being found out whether it is to the same store."""
        look, looks = type(database)._signs, []

        def signs(self: Database, connection: Connection) -> list[str]:
            looks.append(1)
            if len(looks) == 1:
                end_session(connection, postgres_server)
            return look(self, connection)

        monkeypatch.setattr(type(database), "_signs", signs)
        database._engine.dispose()  # type: ignore[attr-defined]
        database.transaction(put)
        assert len(looks) == 2
        assert database.transaction(count) == 1

    def test_settings_of_the_url_that_the_server_refuses(self, postgres: str) -> None:
        with pytest.raises(StoreError, match="does not know a setting"):
            Database.open(f"{postgres}?options=-csearch_path%3Dpublic%20-cno_such_setting%3D1")

    def test_a_server_that_is_down(self, database: Database, postgres_server: PostgresServer) -> None:
        database.transaction(put)
        postgres_server.stop()
        with pytest.raises(StoreError, match="the server cannot be reached") as caught:
            database.transaction(put)
        assert caught.value.retryable
        with pytest.raises(StoreError, match="the server cannot be reached"):
            database.enter_lane("a", 0)
        postgres_server.start()
        assert database.transaction(count) == 1

    def test_a_session_that_the_server_ended_while_the_process_hung(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that stands still in a transaction holds everybody else back only for a while."""
        runs: list[int] = []

        def work(connection: Connection) -> None:
            runs.append(1)
            put(connection)
            if len(runs) == 1:
                shown = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar()
                assert shown == "1min"
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1ms'"))
                time.sleep(0.05)

        database.transaction(work)
        assert (len(runs), database.transaction(count)) == (2, 1)


class TestFailover:
    def test_in_the_middle_of_a_transaction(self, other_postgres: PostgresServer) -> None:
        name = other_postgres.create()
        with Database.open(other_postgres.url(name)) as first:
            first.transaction(lambda connection: put(connection, "before"))
        standby = PostgresServer(like=other_postgres)
        try:
            ports = f"host=127.0.0.1:{other_postgres.port}&host=127.0.0.1:{standby.port}"
            user = f"{USER}:{quote(PASSWORD, safe='')}"
            url = f"postgresql://{user}@/{name}?{ports}&target_session_attrs=read-write"
            runs: list[int] = []

            def work(connection: Connection) -> None:
                put(connection, "during")
                runs.append(1)
                if len(runs) == 1:
                    other_postgres.stop()
                count(connection)

            with Database.open(url) as database:
                with pytest.raises(StoreError, match=r"nothing was recorded|cannot be|none of the servers") as caught:
                    database.transaction(work)
                assert caught.value.retryable
                standby.promote()
                assert database.transaction(count) == 1
                database.transaction(work)
                assert database.transaction(count) == 2
                assert database.enter_lane("a", 5).name == "a"
        finally:
            standby.remove()

    def test_a_standby_is_read_and_not_written(self, other_postgres: PostgresServer) -> None:
        name = other_postgres.create()
        Database.open(other_postgres.url(name)).close()
        standby = PostgresServer(like=other_postgres)
        try:
            with Database.open(standby.url(name), create=False, any_schema=True) as database:
                assert database.read(count) == 0
                with pytest.raises(StoreError, match=r"it is a standby.*target_session_attrs=read-write"):
                    database.transaction(put)
                found = database.check()
                assert (found["ok"], found["writable"]) == (False, "no: a standby")
        finally:
            standby.remove()

    def test_a_server_that_becomes_read_only_is_left(
        self, empty_postgres: str, postgres_server: PostgresServer
    ) -> None:
        """As after a fail-over that leaves the old server running: the next connection may be to the new one."""
        name = empty_postgres.rpartition("/")[2]
        with Database.open(empty_postgres) as database:
            postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

            def demoted(connection: Connection) -> None:
                connection.execute(text("SET TRANSACTION READ ONLY"))
                put(connection)

            with pytest.raises(StoreError, match="it is read-only; nothing was recorded"):
                database.transaction(demoted)
            assert database.check()["writable"] == "no: read-only"
            postgres_server.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            with pytest.raises(StoreError, match="it is read-only"):
                database.transaction(demoted)
            database.transaction(put)
            assert database.check()["ok"]


class TestLanes:
    def test_a_lost_connection_loses_its_lanes(
        self, postgres: str, database: Database, postgres_server: PostgresServer, name: str
    ) -> None:
        token = database.enter_lane("payouts", 0)
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )
        with Database.open(postgres) as other:
            theirs = other.enter_lane("payouts", 5)
            mine = database.enter_lane("others", 5)
            assert database.try_lane("payouts") is None  # the first holder in this process has not left it yet
            database.leave_lane(token)
            assert database.try_lane("payouts") is None
            other.leave_lane(theirs)
            assert database.try_lane("payouts") is not None
            database.leave_lane(mine)

    def test_one_is_given_back_when_the_connection_is_gone(
        self, database: Database, postgres_server: PostgresServer
    ) -> None:
        token = database.enter_lane("payouts", 0)
        postgres_server.restart()
        database.leave_lane(token)
        assert database.enter_lane("payouts", 5).name == "payouts"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestForks:
    def test_a_child_has_connections_of_its_own(self, database: Database) -> None:
        def session(connection: Connection) -> int:
            return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

        mine = database.transaction(session)
        assert int(forked(lambda: database.transaction(session))) != mine
        assert database.transaction(session) == mine

    def test_beside_a_transaction_of_another_thread(self, database: Database) -> None:
        inside, leave = threading.Event(), threading.Event()

        def work(connection: Connection) -> None:
            put(connection)
            inside.set()
            leave.wait(PATIENCE)

        thread = threading.Thread(target=database.transaction, args=(work,))
        thread.start()
        inside.wait(PATIENCE)
        try:
            assert forked(lambda: database.transaction(lambda connection: put(connection, "child"))) == "None"
        finally:
            leave.set()
            thread.join()
        assert database.transaction(count) == 2


class TestFailures:
    """By the server's codes, in words of the gateway's own."""

    @pytest.mark.parametrize(
        ("state", "what", "retryable", "kind"),
        [
            ("40001", "kept changing the same rows", True, Trouble.CONFLICT),
            ("40P01", "kept waiting for the same rows", True, Trouble.CONFLICT),
            ("55P03", "somebody else holds", True, Trouble.OTHER),
            ("57014", "took too long", True, Trouble.OTHER),
            ("57P01", "the server ended the connection", True, Trouble.LOST),
            ("57P03", "the server ended the connection", True, Trouble.LOST),
            ("25P03", "the server ended the connection", True, Trouble.LOST),
            ("08006", "the connection was lost", True, Trouble.LOST),
            ("53100", "disk is full", False, Trouble.OTHER),
            ("53300", "short of resources", True, Trouble.OTHER),
            ("25006", "it is read-only", False, Trouble.READ_ONLY),
            ("0A000", "it is a standby", False, Trouble.READ_ONLY),
            ("42P01", "lacks a table", False, Trouble.OTHER),
            ("42703", "lacks a table or column", False, Trouble.OTHER),
            ("42501", "this user may not", False, Trouble.OTHER),
            ("3F000", "the schema does not exist", False, Trouble.OTHER),
            ("28P01", "does not let this user in", False, Trouble.OTHER),
            ("22021", "a value cannot be kept", False, Trouble.OTHER),
            ("XX001", "reports damage", False, Trouble.OTHER),
            ("58030", "the server's disk failed", False, Trouble.OTHER),
            ("42601", r"failed \(42601\)", False, Trouble.OTHER),
        ],
    )
    def test_every_kind(self, state: str, what: str, retryable: bool, kind: Trouble) -> None:
        cause = psycopg.errors.lookup(state)("its own words: secret-value")
        wrapped = DBAPIError("SELECT secret-statement", {}, cause)
        for error in (cause, wrapped):
            found = failure(error, "the-store")
            assert isinstance(found, StoreError)
            assert found.retryable is retryable
            assert found.hint
            assert "secret" not in str(found)
            with pytest.raises(StoreError, match=what):
                raise found
            assert trouble(error) is kind

    @pytest.mark.parametrize("words", ["FATAL:  the database system is starting up", "FATAL: sorry, too many clients"])
    def test_connections_that_may_be_tried_again(self, words: str) -> None:
        assert cannot_connect(psycopg.OperationalError(words), "the-store").retryable

    def test_what_is_nobodys_failure(self) -> None:
        assert trouble(ValueError("no")) is Trouble.OTHER
        assert trouble(psycopg.ProgrammingError("no")) is Trouble.OTHER
        assert "ProgrammingError" in str(failure(psycopg.ProgrammingError("secret"), "the-store"))


class TestCheck:
    def test_a_sound_store(self, database: Database, postgres_server: PostgresServer) -> None:
        database.transaction(begin("somebody"))
        assert database.check() == {
            "store": database.name,
            "ok": True,
            "schema": schema.HEAD,
            "head": schema.HEAD,
            "journal": {"intended": 1},
            "restored": [],
            "open_entries": [],
            "server": "PostgreSQL " + str(postgres_server.execute("SHOW server_version")[0][0]),
            "writable": "yes",
            "synchronous_commit": "on",
            "fsync": "off",
        }


def test_a_password_file_of_the_system_works(
    postgres: str, postgres_server: PostgresServer, name: str, tmp_path: Path
) -> None:
    """The URL needs no password where libpq finds one."""
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:{postgres_server.port}:*:{USER}:{PASSWORD.replace(':', chr(92) + ':')}\n")
    file.chmod(0o600)
    place = f"127.0.0.1:{postgres_server.port}/{name}"
    with Database.open(f"postgresql://{USER}@{place}?passfile={quote(str(file), safe='')}") as database:
        assert database.transaction(count) == 0
