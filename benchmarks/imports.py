"""How long an import takes, over an interpreter that imports nothing; in fresh processes, wall time."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.measuring import Row, interleaved

__all__ = ["rows"]

_ACCOUNTS = {
    "shop": {"provider": "aurpay", "environment": "sandbox", "auth": {"kind": "api-key", "api_key": "benchmark-key"}},
}
_READY = f"from gateway import Gateway, Money, OrderRequest; Gateway(accounts={_ACCOUNTS!r}, store='sqlite://').close()"


def rows(*, quick: bool = False) -> list[Row]:
    rounds = 1 if quick else 21
    found = []
    for name, code, target in (
        ("`import gateway`, over a bare interpreter", "import gateway", ("<=", 20.0)),
        (
            "`from gateway import Gateway, Money`, over a bare interpreter",
            "from gateway import Gateway, Money",
            ("<=", 120.0),
        ),
        ("a gateway opened, all providers loaded and one configured, over a bare interpreter", _READY, None),
    ):
        both = interleaved(lambda code=code: _milliseconds(code), lambda: _milliseconds("pass"), rounds)
        found.append(Row(name, "ms", *both, difference=True, target=target))
    return found


def _milliseconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3
