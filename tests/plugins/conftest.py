from __future__ import annotations

import pytest

from support.colours import COLOURS


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over `Gateway` and over `AsyncGateway`."""
    return str(request.param)
