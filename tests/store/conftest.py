"""A store in a file and one on a server, as merchants have them. A test that asks for neither by name runs on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.database import Database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Of each store in turn."""
    found: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres")
    return found


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database.open(url) as opened:
        yield opened


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    with Database.open(sqlite_url) as opened:
        yield opened


@pytest.fixture
def server_database(postgres: str) -> Iterator[Database]:
    with Database.open(postgres) as opened:
        yield opened
