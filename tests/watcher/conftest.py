from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.colours import COLOURS
from watcher.days import Days


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over `Gateway` and over `AsyncGateway`."""
    return str(request.param)


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    with Days(tmp_path) as made:
        yield made
