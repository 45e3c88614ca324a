"""A store that was put back to an older state is noticed, and says so until a person accepts it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, delete, text, update

from gateway.errors import InvalidRequest, NotFound, StoreError
from gateway.models import WithdrawalStatus
from gateway.store import journal, restores, withdrawals
from gateway.store.database import Database
from gateway.store.journal import Begun, JournalState
from gateway.store.numbers import next_number
from gateway.store.tables import facts
from gateway.store.witness import Seen, Witness
from store.samples import LATER, NOW, all_say, begin, children, make_payout, payout
from support.postgres import PASSWORD, USER, PostgresServer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "gateway.db-witness")


def grow(database: Database, times: int = 1) -> None:
    for _ in range(times):
        database.transaction(lambda connection: next_number(connection, "key", 1))


def signs(url: str) -> list[str]:
    """What `check` says, without the store having been opened."""
    with Database.open(url, create=False, any_schema=True) as database:
        found = database.check()
    assert found["ok"] is not bool(found["restored"])
    restored: list[str] = found["restored"]
    return restored


def passes(connection: Connection, operation: str = "withdrawals.create") -> None:
    """A write that was just begun."""
    entry, _ = begin("us", reference="asked", operation=operation)(connection)
    restores.require_none(connection, entry)
    connection.execute(delete(journal.journal).where(journal.journal.c.id == entry.id))


def replace(file: Path, by: Path) -> None:
    for part in ("-wal", "-shm"):
        file.with_name(file.name + part).unlink(missing_ok=True)
    shutil.copy(by, file)


LEFT_BEHIND = """
import os, shutil, sqlite3, sys
from gateway.store.database import Database
from gateway.store.numbers import next_number

url, file, copy = sys.argv[1:]
def grow(database, times):
    for _ in range(times):
        database.transaction(lambda connection: next_number(connection, "key", 1))
with Database.open(url) as database:
    grow(database, 3)
shutil.copy(file, copy)
database = Database.open(url)
grow(database, 20)
keeper = sqlite3.connect(file)
keeper.execute("PRAGMA wal_checkpoint(TRUNCATE)")
grow(database, 2)
os._exit(0)
"""


class TestAFile:
    @pytest.mark.parametrize("check_first", [False, True])
    def test_an_older_file_beside_a_log_that_stayed(
        self, sqlite_url: str, file: Path, tmp_path: Path, check_first: bool
    ) -> None:
        """A process ended without closing the store, so its log is there; the back-up is put over the file alone."""
        subprocess.run([sys.executable, "-c", LEFT_BEHIND, sqlite_url, str(file), str(tmp_path / "backup")], check=True)
        assert (tmp_path / "gateway.db-wal").stat().st_size > 0
        shutil.copy(tmp_path / "backup", file)
        if check_first:
            assert signs(sqlite_url) == ["the file is an older state of the store"]
        with Database.open(sqlite_url) as database:
            assert len(database.read(restores.unaccepted)) == 1
        with Database.open(sqlite_url) as database:
            assert len(database.read(restores.list_restores)) == 1

    def test_a_log_that_a_killed_process_left_is_no_sign(self, sqlite_url: str, file: Path, tmp_path: Path) -> None:
        subprocess.run([sys.executable, "-c", LEFT_BEHIND, sqlite_url, str(file), str(tmp_path / "backup")], check=True)
        assert (tmp_path / "gateway.db-wal").stat().st_size > 0
        with Database.open(sqlite_url) as database:
            assert database.read(restores.list_restores) == []

    def test_an_older_state_that_is_put_back(self, sqlite_url: str, file: Path, tmp_path: Path) -> None:
        with Database.open(sqlite_url) as database:
            grow(database)
        shutil.copy(file, tmp_path / "backup")
        with Database.open(sqlite_url) as database:
            grow(database)
        assert signs(sqlite_url) == []
        replace(file, tmp_path / "backup")
        assert signs(sqlite_url) == ["the file is an older state of the store"]
        with Database.open(sqlite_url) as database:
            assert database.check()["restored"] == ["the file is an older state of the store"]
        # It stays so, and is said once.
        with Database.open(sqlite_url) as database:
            grow(database, 5)
            (found,) = database.read(restores.unaccepted)
            database.transaction(lambda connection: restores.accept(connection, by="ann", reason="looked", now=NOW))
            assert database.check()["ok"]
            assert found.reason == "the file is an older state of the store"
        assert signs(sqlite_url) == []

    def test_one_that_differs_by_a_single_change_of_a_row(self, sqlite_url: str, file: Path, tmp_path: Path) -> None:
        """No row is missing: only, a payout that was sent is about to be sent."""
        with Database.open(sqlite_url) as database:
            entry, _ = database.transaction(begin("us"))
        shutil.copy(file, tmp_path / "backup")
        with Database.open(sqlite_url) as database:
            database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW))
        replace(file, tmp_path / "backup")
        assert signs(sqlite_url) == ["the file is an older state of the store"]

    def test_another_store_in_its_place(self, sqlite_url: str, file: Path) -> None:
        Database.open(sqlite_url).close()
        file.unlink()
        with Database.open(sqlite_url) as database:
            assert database.check()["restored"] == ["the file is another store than the one that was here"]

    def test_a_dump_that_is_read_back(self, sqlite_url: str, file: Path) -> None:
        with Database.open(sqlite_url) as database:
            grow(database, 3)
        with closing(sqlite3.connect(file)) as old:
            statements = list(old.iterdump())
        with Database.open(sqlite_url) as database:
            grow(database)
        file.unlink()
        with closing(sqlite3.connect(file)) as new:
            new.executescript("\n".join(statements))
        assert signs(sqlite_url) == ["the file is an older state of the store"]

    def test_a_copy_elsewhere_is_none(self, sqlite_url: str, file: Path, tmp_path: Path) -> None:
        with Database.open(sqlite_url) as database:
            grow(database)
        shutil.copy(file, tmp_path / "copy.db")
        with Database.open(f"sqlite:///{tmp_path / 'copy.db'}") as database:
            grow(database)
            assert database.check()["ok"]

    @pytest.mark.parametrize("left", [None, b"", b"what is this", b"0" * 32 + b" 1\n"])
    def test_without_its_witness_nothing_is_known(self, sqlite_url: str, witness: Witness, left: bytes | None) -> None:
        Database.open(sqlite_url).close()
        witness.path.unlink()
        if left is not None:
            witness.path.write_bytes(left)
        with Database.open(sqlite_url) as database:
            grow(database)
            assert database.check()["ok"]
        assert witness.read() is not None

    def test_a_witness_that_cannot_be_written_stops_nothing(self, sqlite_url: str, witness: Witness) -> None:
        witness.path.mkdir()
        with Database.open(sqlite_url) as database:
            grow(database)
            assert database.check()["ok"]

    def test_it_counts_what_was_committed_and_nothing_else(self, sqlite_url: str, witness: Witness) -> None:
        with Database.open(sqlite_url) as database:
            before = witness.read()
            assert before is not None
            grow(database, 3)
            database.transaction(lambda connection: connection.execute(text("SELECT 1")))
            database.read(restores.unaccepted)
            with pytest.raises(ZeroDivisionError):
                database.transaction(lambda connection: next_number(connection, "key", 1) / 0)
            assert witness.read() == Seen(before.store, before.commits + 3)
        assert witness.path.stat().st_mode & 0o777 == 0o600
        assert signs(sqlite_url) == []

    def test_a_killed_process_and_many_at_once_are_no_restore(self, sqlite_url: str, witness: Witness) -> None:
        Database.open(sqlite_url).close()
        with children(2, "numbers", sqlite_url, "20") as started, children(1, "begins", sqlite_url) as (victim,):
            victim.go()
            assert victim.says() == "fresh"
            victim.kill()
            all_say(started)
        with Database.open(sqlite_url) as database:
            assert database.check()["ok"]
            counted = database.read(lambda connection: restores.fact(connection, "commits"))
        seen = witness.read()
        assert seen is not None
        assert seen.commits == counted >= 41

    def test_a_store_in_memory_has_no_past(self) -> None:
        with Database.open("sqlite://") as database:
            grow(database)
            assert database.check()["ok"]


class TestAServer:
    def test_the_same_database_is_no_restore(self, postgres: str, postgres_server: PostgresServer) -> None:
        with Database.open(postgres) as database:
            grow(database)
            postgres_server.kill()
            postgres_server.start()
            grow(database)
            assert database.check()["ok"]
        assert signs(postgres) == []

    def test_a_copy_in_another_database(self, empty_postgres: str, postgres_server: PostgresServer) -> None:
        Database.open(empty_postgres).close()
        name = empty_postgres.rpartition("/")[2]
        postgres_server.execute(f"CREATE DATABASE copied OWNER {USER} TEMPLATE {name}")
        try:
            with Database.open(postgres_server.url("copied")) as database:
                assert database.check()["restored"] == ["it is in another database than before"]
            assert signs(empty_postgres) == []
        finally:
            postgres_server.drop("copied")

    def test_tables_that_were_made_anew(self, empty_postgres: str) -> None:
        """As `pg_restore --clean` does."""
        with Database.open(empty_postgres) as database:
            grow(database)
            database.transaction(
                lambda connection: connection.exec_driver_sql(
                    "CREATE TABLE other (LIKE journal); DROP TABLE journal; ALTER TABLE other RENAME TO journal"
                )
            )
        with Database.open(empty_postgres) as database:
            assert database.check()["restored"] == ["its tables were made anew, as from a dump"]

    @pytest.mark.parametrize(
        ("what", "sign"),
        [
            ("system", "it is on another PostgreSQL server than before"),
            ("timeline", "its server was restored to a moment of the past, or a standby was promoted"),
        ],
    )
    def test_what_it_remembers_of_another_place(self, postgres: str, what: str, sign: str) -> None:
        def forge(connection: Connection) -> None:
            known = restores.fact(connection, "server")
            assert known[what]
            connection.execute(update(facts).values(value={**known, what: "another"}))

        with Database.open(postgres) as database:
            database.transaction(forge)
        assert signs(postgres) == [sign]
        with Database.open(postgres) as database, Database.open(postgres) as again:
            assert database.check()["restored"] == again.check()["restored"] == [sign]

    def test_several_that_notice_it_at_once_say_it_once(self, postgres: str) -> None:
        def forge(connection: Connection) -> None:
            known = restores.fact(connection, "server")
            connection.execute(update(facts).values(value={**known, "system": "another"}))

        with Database.open(postgres) as database:
            database.transaction(forge)
            meet = threading.Barrier(4, timeout=30)

            def opens() -> None:
                meet.wait()
                Database.open(postgres).close()

            threads = [threading.Thread(target=opens) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(database.read(restores.list_restores)) == 1

    def test_a_fail_over_is_noticed_by_a_running_process(self, other_postgres: PostgresServer) -> None:
        name = other_postgres.create()
        Database.open(other_postgres.url(name)).close()
        standby = PostgresServer(like=other_postgres)
        try:
            hosts = f"host=127.0.0.1:{other_postgres.port}&host=127.0.0.1:{standby.port}"
            user = f"{USER}:{quote(PASSWORD, safe='')}"
            with Database.open(f"postgresql://{user}@/{name}?{hosts}&target_session_attrs=read-write") as database:
                grow(database)
                other_postgres.stop()
                standby.promote()
                with pytest.raises(StoreError, match=r"a standby was promoted.*no money leaves"):
                    database.transaction(passes)
                assert not database.check()["ok"]
        finally:
            standby.remove()

    def test_a_user_who_may_not_ask_still_notices_the_rest(
        self, empty_postgres: str, postgres_server: PostgresServer
    ) -> None:
        name = empty_postgres.rpartition("/")[2]
        postgres_server.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", name)
        with Database.open(empty_postgres) as database:
            grow(database)
            known = database.read(lambda connection: restores.fact(connection, "server"))
            assert set(known) == {"journal", "database"}
            assert database.check()["ok"]


class TestNoted:
    @pytest.fixture
    def run(self, database: Database) -> Callable[..., Any]:
        return lambda function, *args, **fields: database.transaction(
            lambda connection: function(connection, *args, **fields)
        )

    def test_while_it_is_not_accepted_nobody_passes(self, database: Database, run: Callable[..., Any]) -> None:
        run(passes)
        run(make_payout, payout())
        database.transaction(begin("us"))
        noted = run(restores.note, "volume put back", NOW)
        assert noted.to_dict() == {
            "id": noted.id,
            "reason": "volume put back",
            "found_at": NOW.isoformat(),
            "accepted_by": None,
            "accepted_reason": None,
            "accepted_at": None,
        }
        with pytest.raises(StoreError) as caught:
            run(passes)
        assert not caught.value.retryable
        told = str(caught.value)
        for part in ("volume put back", "open journal entries: 1", "nothing was sent", "accept-restore", "store check"):
            assert part in told
        run(passes, "orders.create")
        found = database.check()
        assert (found["ok"], found["restored"]) == (False, ["volume put back"])
        assert found["open_entries"] == ["withdrawals.create payout-1 at shop: unknown"]

        (accepted,) = run(restores.accept, by="ann", reason="compared", now=LATER)
        assert (accepted.accepted_by, accepted.accepted_reason, accepted.accepted_at) == ("ann", "compared", LATER)
        run(passes)
        assert run(restores.list_restores) == [accepted]
        assert database.check()["ok"]

    def test_what_was_about_to_be_sent_may_have_been(self, database: Database, run: Callable[..., Any]) -> None:
        """So it is not sent again, and whoever was about to send it is stopped."""

        def intend(connection: Connection) -> Any:
            make_payout(connection, payout())
            return begin("us")(connection)

        entry, _ = database.transaction(intend)
        sent, _ = database.transaction(begin("us", reference="payout-2"))
        run(journal.mark_sent, sent.id, NOW)
        run(restores.note, "a backup", NOW)
        with pytest.raises(StoreError):
            run(journal.mark_sent, entry.id, NOW, owner=entry.owner)
        assert database.transaction(begin("us"))[1] is Begun.UNKNOWN
        states = [found.state for found in run(restores.open_entries)]
        assert states == [JournalState.UNKNOWN, JournalState.SENT]
        found = run(withdrawals.load_withdrawal, "payout-1")
        assert found.status is WithdrawalStatus.UNCONFIRMED

    def test_there_has_to_be_something_to_accept(self, run: Callable[..., Any]) -> None:
        with pytest.raises(NotFound, match="no restore to accept"):
            run(restores.accept, by="ann", reason="x", now=NOW)
        run(restores.note, "a backup", NOW)
        for by, reason in ((" ", "x"), ("ann", "")):
            with pytest.raises(InvalidRequest, match="who it is and why"):
                run(restores.accept, by=by, reason=reason, now=NOW)
        with pytest.raises(InvalidRequest, match="how it is known"):
            run(restores.note, " ", NOW)
