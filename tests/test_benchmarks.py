"""The benchmarks run. How fast anything is, no test says: that depends on the machine and on what else it does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_row_is_measured_and_nothing_is_written() -> None:
    page = ROOT / "docs" / "benchmarks.md"
    before = page.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--no-write"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert page.read_bytes() == before
    head, _, *rows = map(_cells, done.stdout.splitlines())
    assert head == ["what", "gateway", "compared with", "ratio or difference (min–max)", "target", "met"]
    measured = {row[0].partition(",")[0]: row for row in rows}
    assert list(measured) == [
        "Aurpay order through the provider operation",
        "the same with store and journal (SQLite",
        "a payout with store and journal (SQLite",
        "a payout with store and journal (PostgreSQL",
        "a key chosen among 100 with a rate limit",
        "the same",
        "Aurpay order read with a ring of 100 keys",
        "`import gateway`",
        "`from gateway import Gateway",
        "a gateway opened",
        "20 reads at once by `AsyncGateway`",
        "20 reads",
        "callbacks accepted from 64 senders at once (SQLite",
        "callbacks offered 500 a second: 99 % are answered within (SQLite",
        "callbacks accepted from 64 senders at once (PostgreSQL",
        "callbacks offered 500 a second: 99 % are answered within (PostgreSQL",
        "events delivered by one worker (SQLite",
        "events delivered by 1 worker (PostgreSQL",
        "events delivered by 2 workers (PostgreSQL",
        "events delivered by 4 workers (PostgreSQL",
        "polls for 100 open orders by their customers' lists",
    ]
    for what, ours, theirs, compared, target, met in measured.values():
        assert re.fullmatch(r"[\d.,]+ (µs|ms|/s|/h)", ours), what
        if theirs:
            assert (what, ours.split()[-1]) == (what, theirs.split()[-1])  # one unit
        assert compared.endswith(")") == bool(theirs), what
        assert (met in ("yes", "no")) == bool(target), what
    targets = {what: row[4] for what, row in measured.items() if row[4]}
    assert list(targets.values()) == [
        "≤ 1.3 ×",
        "≤ 10 µs",
        "≤ 20 ms",
        "≤ 120 ms",
        "≥ 0.9 ×",
        *("≥ 1,000 /s", "≤ 100 ms") * 2,
    ]


@pytest.mark.parametrize("page", ["docs/benchmarks.md"])
def test_the_page_shows_what_a_full_run_measures(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = [_cells(line) for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row[0].partition(",")[0] for row in rows][:3] == [
        "Aurpay order through the provider operation",
        "the same with store and journal (SQLite",
        "a payout with store and journal (SQLite",
    ]
    for measured in ("`import gateway`", "1,000 reads at once", "callbacks accepted", "events delivered", "polls for"):
        assert any(row[0].startswith(measured) for row in rows), measured
    assert "make bench" in text
