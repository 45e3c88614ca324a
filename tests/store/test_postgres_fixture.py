"""The server that the tests run on."""

from __future__ import annotations

import os

import psycopg
import pytest

from support.postgres import PostgresServer


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize("time", [1, 2])
def test_every_test_gets_an_empty_database(empty_postgres: str, time: int) -> None:
    assert count(empty_postgres) == 0
    with psycopg.connect(empty_postgres) as connection:
        connection.execute("CREATE TABLE left_over (n integer)")
    assert count(empty_postgres) == 1


def test_a_killed_server_comes_back_with_what_was_committed(
    empty_postgres: str, postgres_server: PostgresServer
) -> None:
    with psycopg.connect(empty_postgres) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
    postgres_server.kill()
    with pytest.raises(psycopg.OperationalError):
        count(empty_postgres)
    postgres_server.start()
    assert count(empty_postgres) == 1


def test_a_standby_becomes_the_primary(other_postgres: PostgresServer) -> None:
    standby = PostgresServer(like=other_postgres)
    try:
        assert standby.execute("SELECT pg_is_in_recovery()") == [(True,)]
        other_postgres.stop()
        standby.promote()
        assert standby.execute("SELECT pg_is_in_recovery()") == [(False,)]
    finally:
        standby.remove()


def test_its_folder_is_removed() -> None:
    server = PostgresServer()
    process = server._process
    server.remove()
    assert not os.path.exists(server.folder)
    assert process is not None
    assert process.poll() is not None
