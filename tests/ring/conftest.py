from __future__ import annotations

from pathlib import Path

import pytest

from ring.ringed import Place
from support.colours import COLOURS


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over `Gateway` and over `AsyncGateway`."""
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A store in a file, with an empty vault beside it."""
    return Place.made(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The same over both kinds of store."""
    if request.param == "sqlite":
        return Place.made(tmp_path)
    return Place.made(tmp_path, str(request.getfixturevalue("postgres")))
