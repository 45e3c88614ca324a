"""A PostgreSQL server, that of the tests: started when it is first asked for, ended and removed with this process.

Here it syncs what it commits to the disk, as in production.
"""

from __future__ import annotations

import atexit
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["fresh"]

_TESTS = str(Path(__file__).resolve().parent.parent / "tests")


def fresh() -> str:
    """The URL of a new, empty database."""
    server = _server()
    return str(server.url(server.create()))


@cache
def _server() -> Any:
    if _TESTS not in sys.path:
        sys.path.append(_TESTS)
    from support.postgres import PostgresServer

    server = PostgresServer(durable=True)
    atexit.register(server.remove)
    return server
