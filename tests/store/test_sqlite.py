"""The store in a file: opening, failures, health and forks."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import InvalidRequestError

from gateway.errors import ConfigurationError, StoreError
from gateway.store import freezes, journal, schema
from gateway.store import sqlite as module
from gateway.store.database import Database
from gateway.store.failures import failure
from gateway.store.sqlite import SqliteDatabase
from gateway.store.tables import orders, request_numbers
from store.samples import LATER, NOW, begin, forked, make_order, open_files


@pytest.fixture
def url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def database(sqlite_database: SqliteDatabase) -> SqliteDatabase:
    return sqlite_database


def count(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM request_numbers")).scalar_one()


def put(connection: Connection, key: str = "a") -> None:
    connection.execute(insert(request_numbers).values(key=key, last=1))


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Somebody else has begun to write."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


class TestOpening:
    def test_a_file_is_made_for_its_owner_only(self, url: str, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            with Database.open(url) as database:
                database.transaction(put)
                modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        finally:
            os.umask(before)
        assert modes == {
            "gateway.db": 0o600,
            "gateway.db-wal": 0o600,
            "gateway.db-shm": 0o600,
            "gateway.db-lanes": 0o700,
            "gateway.db-witness": 0o600,
        }

    def test_it_is_written_through_and_checked(self, database: Database) -> None:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = database.transaction(
            lambda connection: [connection.execute(text(f"PRAGMA {name}")).scalar() for name in pragmas]
        )
        assert found == ["wal", 2, 1, 10_000]

    def test_it_keeps_what_was_committed(self, url: str) -> None:
        with Database.open(url) as database:
            database.transaction(put)
        with Database.open(url, create=False) as database:
            assert database.transaction(count) == 1

    def test_a_store_in_memory_is_one_for_all_threads(self) -> None:
        with Database.open("sqlite://") as database:
            database.transaction(put)
            found: list[int] = []
            thread = threading.Thread(target=lambda: found.append(database.transaction(count)))
            thread.start()
            thread.join()
            assert found == [1]
            assert database.check()["ok"]

    def test_two_in_memory_are_apart(self) -> None:
        with Database.open("sqlite://") as one, Database.open("sqlite:///:memory:") as other:
            one.transaction(put)
            assert other.transaction(count) == 0

    def test_a_later_change_of_folder_does_not_matter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        with Database.open("sqlite:///here.db") as database:
            monkeypatch.chdir(tmp_path / "elsewhere")
            database.transaction(put)
            database.leave_lane(database.enter_lane("a", 0))
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_a_copy_without_write_ahead_log_gets_it_again(self, url: str, tmp_path: Path) -> None:
        Database.open(url).close()
        plain = sqlite3.connect(tmp_path / "gateway.db")
        assert plain.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
        plain.close()
        with Database.open(url) as database:
            assert database.check()["journal_mode"] == "wal"

    @pytest.mark.parametrize(
        ("wrong", "what"),
        [
            ("gateway.db", "not a database URL"),
            ("mysql://shop:pass-word@db/shop", "mysql is not supported"),
            ("mysql://shop:pass-word@db:port/shop", "not a database URL"),
            ("sqlite+aiosqlite:///a.db", "a path and nothing else"),
            ("sqlite:///a.db?mode=ro", "a path and nothing else"),
            ("sqlite://host/a.db", "a path and nothing else"),
        ],
    )
    def test_what_is_no_store_is_refused(self, wrong: str, what: str) -> None:
        with pytest.raises(ConfigurationError, match=what) as caught:
            Database.open(wrong)
        assert caught.value.hint
        assert "pass-word" not in str(caught.value)

    def test_a_system_without_the_locks_it_needs(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        with pytest.raises(StoreError, match="needs a POSIX system"):
            Database.open(url)

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"nowhere does not exist.*make it"):
            Database.open(f"sqlite:///{tmp_path / 'nowhere' / 'a.db'}")
        assert not (tmp_path / "nowhere").exists()

    def test_a_folder_is_no_store(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="is a folder"):
            Database.open(f"sqlite:///{tmp_path}")

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="cannot be made: Not a directory"):
            Database.open(f"sqlite:///{tmp_path / 'file' / 'a.db'}")

    def test_a_missing_file_is_not_made_unless_asked(self, url: str, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="there is no store at"):
            Database.open(url, create=False)
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_file_is_no_store_unless_asked(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "gateway.db").touch()
        with pytest.raises(StoreError, match="is an empty file"):
            Database.open(url, create=False)
        assert (tmp_path / "gateway.db").read_bytes() == b""

    def test_a_file_of_something_else(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "gateway.db").write_text("not a database, and longer than the header of one" * 100)
        with pytest.raises(StoreError, match=r"is no database.*restore a backup"):
            Database.open(url)

    def test_waiting_for_whoever_is_just_making_it(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first look finds the file locked, and so does the first try in the lane."""
        looks = iter([StoreError("busy", retryable=True)])
        look, use_log = SqliteDatabase._look, SqliteDatabase._use_write_ahead_log
        refusals = iter([StoreError("busy", retryable=True), StoreError("busy", retryable=True)])

        def refusing(error: Any, act: Any) -> Any:
            def called(self: Database) -> Any:
                found = next(error, None)
                if found is not None:
                    raise found
                return act(self)

            return called

        monkeypatch.setattr(SqliteDatabase, "_look", refusing(looks, look))
        monkeypatch.setattr(SqliteDatabase, "_use_write_ahead_log", refusing(refusals, use_log))
        with Database.open(url) as database:
            assert database.check()["ok"]

    def test_not_waiting_for_ever(self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BUSY_SECONDS", 0)
        (tmp_path / "gateway.db").touch()
        with holding(tmp_path / "gateway.db"), pytest.raises(StoreError, match="another process holds it") as caught:
            Database.open(url)
        assert caught.value.retryable


class TestTransactions:
    def test_a_thread_that_holds_it_too_long(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
        inside, leave = threading.Event(), threading.Event()

        def work(connection: Connection) -> None:
            inside.set()
            leave.wait(30)

        thread = threading.Thread(target=lambda: database.transaction(work))
        thread.start()
        inside.wait(30)
        try:
            with pytest.raises(StoreError, match="another thread's transaction") as caught:
                database.transaction(count)
            assert caught.value.retryable
        finally:
            leave.set()
            thread.join()
        assert database.transaction(count) == 0


class TestFailures:
    """Each is said in words, with what to do, without the statement and its values."""

    def test_a_busy_store(self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        database.transaction(lambda connection: connection.execute(text("PRAGMA busy_timeout=0")))
        with holding(tmp_path / "gateway.db"), pytest.raises(StoreError, match="another process holds it") as caught:
            database.transaction(put)
        assert caught.value.retryable
        database.transaction(put)

    def test_a_full_disk(self, database: Database) -> None:
        def fill(connection: Connection) -> None:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            for number in range(10_000):
                put(connection, f"key {number}")

        with pytest.raises(StoreError, match=r"the disk is full; nothing was recorded.*make room"):
            database.transaction(fill)
        database.transaction(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=100000"))
        assert database.transaction(count) == 0

    def test_a_read_only_store(self, database: Database) -> None:
        database.transaction(lambda connection: connection.exec_driver_sql("PRAGMA query_only=ON"))
        with pytest.raises(StoreError, match="it is read-only"):
            database.transaction(put)

    def test_a_damaged_store(self, url: str, tmp_path: Path) -> None:
        with Database.open(url) as database:
            for number in range(50):
                database.transaction(lambda connection, n=number: make_order(connection, f"cart-{n}"))  # type: ignore[misc]
        path = tmp_path / "gateway.db"
        content = bytearray(path.read_bytes())
        for page in range(1, len(content) // 4096):
            content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"the file is damaged.*restore a backup"):
            Database.open(url)

    @pytest.mark.parametrize(
        ("code", "what", "retryable"),
        [
            ("SQLITE_BUSY_SNAPSHOT", "another process holds it", True),
            ("SQLITE_LOCKED_SHAREDCACHE", "another connection holds it", True),
            ("SQLITE_FULL", "the disk is full", False),
            ("SQLITE_READONLY_DIRECTORY", "it is read-only", False),
            ("SQLITE_PERM", "it may not be opened", False),
            ("SQLITE_AUTH", "it may not be opened", False),
            ("SQLITE_CANTOPEN_ISDIR", "cannot be opened", False),
            ("SQLITE_CORRUPT_INDEX", "the file is damaged", False),
            ("SQLITE_NOTADB", "no database", False),
            ("SQLITE_IOERR_FSYNC", "the disk failed", False),
            ("SQLITE_TOOBIG", "a value is too large", False),
            ("SQLITE_MISUSE", r"failed \(SQLITE_MISUSE\)", False),
            ("", r"failed \(OperationalError\)", False),
        ],
    )
    def test_every_kind(self, code: str, what: str, retryable: bool) -> None:
        error = sqlite3.OperationalError("its own words")
        if code:
            error.sqlite_errorname = code
        found = failure(error, "gateway.db")
        assert isinstance(found, StoreError)
        assert found.retryable is retryable
        assert found.hint
        assert "its own words" not in str(found)
        with pytest.raises(StoreError, match=what):
            raise found

    def test_a_failure_that_is_not_sqlites(self) -> None:
        found = failure(InvalidRequestError("SELECT secret"), "gateway.db")
        assert "InvalidRequestError" in str(found)
        assert "secret" not in str(found)


class TestCheck:
    def test_a_sound_store(self, database: Database, tmp_path: Path) -> None:
        entry, _ = database.transaction(begin("somebody"))
        database.transaction(begin("somebody", reference="payout-2"))
        database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW))
        assert database.check() == {
            "store": str(tmp_path / "gateway.db"),
            "ok": True,
            "schema": schema.HEAD,
            "head": schema.HEAD,
            "integrity": ["ok"],
            "foreign_keys": [],
            "journal": {"intended": 1, "sent": 1},
            "restored": [],
            "open_entries": [],
            "journal_mode": "wal",
            "synchronous": "full",
        }

    def test_a_row_that_hangs_in_the_air(self, database: Database, tmp_path: Path) -> None:
        database.transaction(make_order)
        other = sqlite3.connect(tmp_path / "gateway.db")
        other.execute("DELETE FROM orders")
        other.commit()
        other.close()
        found = database.check()
        assert not found["ok"]
        assert found["foreign_keys"] == ["attempts row 1 names a row of orders that is not there"]

    def test_an_index_that_lies(self, database: Database) -> None:
        database.transaction(make_order)

        def lie(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA writable_schema=ON")
            connection.exec_driver_sql(
                "UPDATE sqlite_master SET sql = replace(sql, '(status, id)', '(reference, id)') "
                "WHERE name = 'ix_orders_status'"
            )

        database.transaction(lie)
        database._engine.dispose()
        found = database.check()
        assert not found["ok"]
        assert any("ix_orders_status" in problem for problem in found["integrity"])

    def test_it_changes_nothing(self, database: Database) -> None:
        database.transaction(lambda connection: freezes.freeze(connection, "shop", by="ann", reason="x", now=NOW))
        before = database.transaction(lambda connection: connection.execute(orders.select()).all())
        database.check()
        assert database.transaction(lambda connection: connection.execute(orders.select()).all()) == before
        assert database.transaction(freezes.frozen)["shop"]["since"] == NOW < LATER


def test_its_name_is_its_path(database: Database, tmp_path: Path) -> None:
    assert database.name == str(tmp_path / "gateway.db")
    assert repr(database) == f"SqliteDatabase({database.name!r})"


# Python 3.12 and later warn of a fork beside other threads; a test worker has some, and the child ends at once.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestForks:
    """SQLite's connections must not cross a fork, so none is open during one."""

    def test_no_connection_crosses(self, database: Database, tmp_path: Path) -> None:
        database.transaction(put)
        assert database.name in open_files(tmp_path)
        assert forked(lambda: open_files(tmp_path)) == "{}"

    def test_a_store_in_memory_stays_with_the_parent(self) -> None:
        with Database.open("sqlite://") as database:
            held = database.enter_lane("a", 0)
            assert "memory of the process" in forked(lambda: database.transaction(count))
            assert database.transaction(count) == 0
            database.leave_lane(held)
