"""Writes gateway/aio.py from gateway/api.py: the same calls, awaited. `make aio` runs it; a test fails when the
file is stale.

The two differ only in colour, and all rules live in the flows below both, so the second is generated rather than
kept by hand.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = '''"""`AsyncGateway`: `gateway.api` with every call awaited.

Generated from it by `make aio`: change that file instead.
"""
'''
WORDS = (
    (r"\bGateway\b", "AsyncGateway"),
    (r"\bAccountHandle\b", "AsyncAccountHandle"),
    (r"\bSyncDriver\b", "AsyncDriver"),
    (r"\bIterator\b", "AsyncIterator"),
    (r"sleep: Callable\[\[float\], None\] = time\.sleep", "sleep: Callable[[float], Awaitable[None]] = asyncio.sleep"),
    (r"^import time\n", ""),
    (r"^import os\n", "import asyncio\nimport os\n"),
    (
        r"from collections\.abc import Callable, Iterable, AsyncIterator",
        "from collections.abc import AsyncIterator, Awaitable, Callable, Iterable",
    ),
    (r"Use it inside `with`; it is safe for many threads\.", "Use it inside `async with`, in one event loop."),
    (r"  # noqa: UP028 - an async generator has no `yield from`", ""),
    (r"\brun_blocking\b", "run_awaited"),
    (r"__enter__", "__aenter__"),
    (r"__exit__", "__aexit__"),
)


def generated(source: str) -> str:
    """The asynchronous module for this synchronous one."""
    body = source.split('"""\n', 1)[1]
    for pattern, replacement in WORDS:
        body = re.sub(pattern, replacement, body, flags=re.MULTILINE)
    body = re.sub(
        r"(?<!def )(self\.(?:_gateway\.)?_run\(|self\._driver\.(?:run|close)\(|self\.close\(|run_awaited\()",
        r"await \1",
        body,
    )
    # A method is a coroutine when something in it is awaited, or when it opens or closes the gateway.
    parts = re.split(r"(?m)^(?=    def |    @|class |def )", body)
    parts = [
        re.sub(r"^    def ", "    async def ", part) if "await " in part or "__aenter__" in part else part
        for part in parts
    ]
    return HEAD + "".join(parts)


def main() -> int:
    target = ROOT / "gateway" / "aio.py"
    new = generated((ROOT / "gateway" / "api.py").read_text(encoding="utf-8"))
    target.write_text(new, encoding="utf-8")
    for command in (("check", "--select", "I", "--fix", "--quiet"), ("format", "--quiet")):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(target)], check=True, cwd=ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
