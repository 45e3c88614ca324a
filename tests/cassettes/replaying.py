"""Playing cassettes to the real engine: requests are compared whole, and every recorded one must be made.

What differs from call to call is left out of the comparison: the growing `request_id` in a body, and all headers, which
carry keys, signatures and the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import vcr

from gateway.exchange import decode_json

__all__ = ["CASSETTES", "GROWING", "NOW", "comparing", "names", "playing", "same_body"]

CASSETTES = Path(__file__).parent.parent.parent / "cassettes"
NOW = datetime(2024, 4, 26, 10, 39, 47, tzinfo=UTC)
"""When the documented invoices are young."""

GROWING = "request_id"


def _comparable(body: bytes | str | None) -> Any:
    if not body:
        return None
    data = decode_json(body if isinstance(body, bytes) else body.encode())
    return {name: value for name, value in data.items() if name != GROWING} if isinstance(data, dict) else data


def same_body(one: Any, other: Any) -> None:
    assert _comparable(one.body) == _comparable(other.body), "another body"


def comparing(**given: Any) -> vcr.VCR:
    """A vcr that compares method, address, query and body."""
    player = vcr.VCR(match_on=("method", "scheme", "host", "port", "path", "query", "json"), **given)
    player.register_matcher("json", same_body)
    return player


@contextmanager
def playing(provider: str, kind: str, name: str) -> Iterator[Any]:
    """Answer from this cassette; nothing is recorded, and what was not asked for is a failure."""
    path = CASSETTES / provider / kind / f"{name}.yaml"
    with comparing(record_mode="none").use_cassette(str(path)) as cassette:
        yield cassette
    assert cassette.play_count == len(cassette), f"{len(cassette) - cassette.play_count} answers were never asked for"


def names(kind: str) -> set[tuple[str, str]]:
    """Every cassette of this kind that is there: provider and name."""
    return {(path.parent.parent.name, path.stem) for path in CASSETTES.glob(f"*/{kind}/*.yaml")}
