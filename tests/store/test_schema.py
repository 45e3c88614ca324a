"""The migrations make what `tables.py` says, and each database is at a revision that this version can read."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from gateway.errors import StoreError
from gateway.store import schema
from gateway.store.database import Database
from gateway.store.tables import metadata
from store.samples import all_say, children


def statements(path: Path) -> dict[str, str]:
    """Each table and index as the file has it, without spaces."""
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    finally:
        connection.close()
    return {name: re.sub(r"[\s\"]", "", sql) for name, sql in found if name != "alembic_version"}


def set_revision(path: Path, revision: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.close()


def test_metadata_and_migrations_agree(database: Database) -> None:
    found = database.transaction(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))
    assert found == []


def test_rules_and_indexes_agree_too(sqlite_database: Database, tmp_path: Path) -> None:
    """Alembic does not compare CHECK constraints."""
    engine = create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert statements(tmp_path / "gateway.db") == statements(tmp_path / "direct.db")


def test_the_revisions_are_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == schema.REVISIONS
    assert scripts.get_current_head() == schema.HEAD


def test_the_tables_are_ready_for_postgresql() -> None:
    made = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in metadata.sorted_tables]
    made += [
        str(CreateIndex(index).compile(dialect=postgresql.dialect()))
        for table in metadata.sorted_tables
        for index in table.indexes
    ]
    assert sum("id BIGSERIAL NOT NULL" in statement for statement in made) >= 10
    assert len(made) == len(metadata.tables) + sum(len(table.indexes) for table in metadata.tables.values())


def test_every_row_of_an_account_says_live_or_sandbox() -> None:
    with_account = {name for name, table in metadata.tables.items() if "account" in table.c}
    with_environment = {name for name, table in metadata.tables.items() if "environment" in table.c}
    assert with_account - with_environment == {
        "freezes",
        "account_health",
        "rests",
    }  # they are about the account in either


def test_no_column_is_for_a_card_number_or_code() -> None:
    assert set(metadata.tables["cards"].c.keys()) == {
        "id",
        "reference",
        "account",
        "provider",
        "environment",
        "customer",
        "provider_id",
        "name",
        "status",
        "created_at",
        "updated_at",
    }


def test_opening_a_current_store_does_not_load_alembic(database: Database, url: str) -> None:
    script = (
        "import sys; from gateway.store.database import Database\n"
        f"with Database.open({url!r}) as database: database.transaction(lambda connection: None)\n"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


class TestRevisions:
    def test_an_older_schema_is_upgraded_only_when_asked(
        self, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Database.open(sqlite_url).close()
        head = schema.HEAD
        monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "9999"))
        monkeypatch.setattr(schema, "HEAD", "9999")
        with pytest.raises(StoreError, match=rf"has the schema {head}.*needs 9999.*`gateway store upgrade`"):
            Database.open(sqlite_url)
        with Database.open(sqlite_url, any_schema=True) as database:
            found = database.check()
        assert (found["schema"], found["head"], found["ok"]) == (head, "9999", False)

    def test_upgrading_brings_it_to_the_head(self, sqlite_url: str, tmp_path: Path) -> None:
        with Database.open(sqlite_url, any_schema=True) as database:
            assert database.check()["schema"] is None
            assert database.upgrade() == schema.HEAD
            assert database.upgrade() == schema.HEAD
        with Database.open(sqlite_url, create=False) as database:
            assert database.check()["ok"]

    @pytest.mark.parametrize("revision", ["0999", "from-the-future"])
    def test_a_newer_schema_is_neither_opened_nor_changed(self, sqlite_url: str, tmp_path: Path, revision: str) -> None:
        Database.open(sqlite_url).close()
        set_revision(tmp_path / "gateway.db", revision)
        with pytest.raises(StoreError, match=r"does not know.*newer version"):
            Database.open(sqlite_url)
        with Database.open(sqlite_url, any_schema=True) as database:
            with pytest.raises(StoreError, match="newer version"):
                database.upgrade()
            assert database.check()["schema"] == revision

    @pytest.mark.parametrize("table", ["CREATE TABLE customers (id)", "CREATE TABLE alembic_version (version_num)"])
    def test_somebody_elses_database_is_left_alone(self, sqlite_url: str, tmp_path: Path, table: str) -> None:
        other = sqlite3.connect(tmp_path / "gateway.db")
        other.execute(table)
        other.commit()
        other.close()
        before = statements(tmp_path / "gateway.db")
        with pytest.raises(StoreError, match="not one of the gateway's"):
            Database.open(sqlite_url)
        with (
            Database.open(sqlite_url, any_schema=True) as database,
            pytest.raises(StoreError, match="not one of the gateway"),
        ):
            database.upgrade()
        assert statements(tmp_path / "gateway.db") == before

    def test_an_upgrade_that_fails_leaves_nothing_behind(
        self, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = schema.upgrade

        def breaks(connection: object) -> None:
            whole(connection)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        monkeypatch.setattr(schema, "upgrade", breaks)
        with pytest.raises(KeyboardInterrupt):
            Database.open(sqlite_url)
        assert statements(tmp_path / "gateway.db") == {}
        monkeypatch.undo()
        with Database.open(sqlite_url) as database:
            assert database.check()["ok"]


@pytest.mark.parametrize("present", [False, True], ids=["no file", "empty file"])
def test_processes_that_open_a_fresh_store_at_once_all_succeed(sqlite_url: str, tmp_path: Path, present: bool) -> None:
    if present:
        (tmp_path / "gateway.db").touch()
    with children(4, "opens", sqlite_url) as started:
        assert all_say(started) == [schema.HEAD] * 4
