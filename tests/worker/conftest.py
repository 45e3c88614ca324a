"""A gateway without accounts on a store in a file, with the tables of the toy jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import Gateway
from gateway.store.database import Database
from worker.toys import make_tables


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture
def gateway(url: str) -> Iterator[Gateway]:
    with Gateway(store=url) as opened:
        make_tables(opened._core.database())
        yield opened


@pytest.fixture
def database(gateway: Gateway) -> Database:
    return gateway._core.database()
