"""Runs all benchmarks: `make bench`, or `python -m benchmarks [--quick] [--no-write]` from the project's folder."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import callbacks, concurrency, events, imports, keys, operation, payouts, watcher
from benchmarks.measuring import Row

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_HEAD = ("what", "gateway", "compared with", "ratio or difference (min–max)", "target", "met")
_INTRODUCTION = """\
# Benchmarks

<!-- Written by `make bench`; do not edit. -->

What the gateway costs, beside the same thing written by hand.

"""
_EXPLANATION = """
- Both sides of a line run in turns within one run, and each turn gives one ratio. The ratio shown is the median of
  them, with the smallest and the largest; the other figures are medians too.
- **An operation** is `POST /api/order/pay-info` of Aurpay over a mock transport, signed, in processor time. By hand it
  is a function on `httpx.Client` with the same signature, exact numbers and pydantic models of the answer. It does not
  classify failures, limit rates, compare the answer with what was asked or check the address, as the gateway does.
- **Store and journal** is all of `orders.create`: the intent is committed before the request leaves and the result
  after the answer, each synced to the disk. The figure is mostly the disk's, in wall time.
- **A payout** is all of `withdrawals.create` at Aurpay over a mock transport, in wall time: the look for the reference,
  the brakes and the intent before the request leaves, the result after the answer. Without is the operation alone.
- **A key chosen** is the choice among keys of one pool, each with 60 calls a minute, and the counting of the call that
  it is for, at as many calls a second as all of them allow; in processor time. Without a limit nothing is counted.
- **A read with a ring** is the operation alone, over a mock transport, in processor time. The ring is read again from
  the store as often as `keys.refresh` says, every 5 s; its secrets were read from the vault before.
- **Imports** are wall time of fresh processes, less that of one that imports nothing. The last line loads all that
  the two before it leave until it is used.
- **Reads at once** are `orders.fetch` on one event loop against a local server in a process of its own, with at most
  100 connections on both sides, 20 of which are kept, in wall time. By hand the answer is decoded and two fields are
  compared. It is slower because its pool looks at all of its connections, and through all calls that wait in it,
  whenever a call begins or ends; the gateway keeps its connections itself, and lets calls wait in its engine. With 20
  at a time nobody waits on either side.
- **Callbacks** come in through the ASGI application in the process, without a web server or a network, each for an
  attempt of its own with a signature that matches; whoever sends them is in that process too. Each is answered when its
  commit is on the disk (SQLite with `synchronous=FULL`, PostgreSQL with `fsync` and `synchronous_commit` on, its server
  on the same machine); those that wait at the same time share one. What is offered is sent on schedule, whether
  answers have come or not, and the time of each counts from the moment that it was due.
- **Events delivered** are events of 500 orders, handed out by a worker and recorded when their handler, a sync function
  that returns at once, has returned; in wall time. On PostgreSQL each worker is a process of its own, on the same
  machine as the server: more workers than processors have nothing more to share.
- **Polls** are counted on a clock that is moved, with the store, the schedule, the engine and its rate limit as they
  are and a provider in the process: Aurex, with 100 open orders a customer, 60 calls a minute, and nothing happening.
  Half of the calls are left to the merchant, so polling never makes more than 1,800 an hour; 10,000 orders are then
  read once in about 3 minutes, 100,000 once in about 33. The other side is what the same schedule wants with a call
  for each order and no limit.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what the gateway costs.")
    parser.add_argument("--quick", action="store_true", help="few repetitions: whether it runs, not how fast")
    parser.add_argument("--no-write", action="store_true", help="print only; docs/benchmarks.md stays as it is")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    for part in (operation, payouts, keys, imports, concurrency, callbacks, events, watcher):
        print(f"{part.__name__} ...", file=sys.stderr, flush=True)  # noqa: T201 - this is a program of its own
        rows += part.rows(quick=given.quick)
    table = _table(rows)
    print(table)  # noqa: T201
    if not given.no_write:
        _PAGE.write_text(f"{_INTRODUCTION}{_machine()}\n\n{table}\n{_EXPLANATION}", encoding="utf-8")
    return 0


def _table(rows: Sequence[Row]) -> str:
    lines = [_HEAD, tuple("---" for _ in _HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _machine() -> str:
    return (
        f"On {platform.system()} {platform.machine()}, {os.cpu_count()} processors ({_processor()}), "
        f"{platform.python_implementation()} {platform.python_version()}."
    )


def _processor() -> str:
    """The model, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "of an unknown model"


if __name__ == "__main__":
    sys.exit(main())
