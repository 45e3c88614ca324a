from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.world import World
from support.colours import COLOURS


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over `Gateway` and over `AsyncGateway`."""
    return str(request.param)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Fresh sandboxes of the three providers, over real HTTP, and a place for a store: a file, but see `ON_BOTH`."""
    server = getattr(request, "param", "sqlite") == "postgresql"
    with World(tmp_path, server=request.getfixturevalue("postgres") if server else None) as made:
        yield made
