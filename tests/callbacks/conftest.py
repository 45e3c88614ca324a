from __future__ import annotations

from collections.abc import Iterator

import pytest

from callbacks.bell import Shop
from support.colours import COLOURS


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over `Gateway` and over `AsyncGateway`."""
    return str(request.param)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as made:
        yield made
