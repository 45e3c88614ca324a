"""A standard output that takes nothing: one line, exit status 1, and what became of the write."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import COMMAND, TIMEOUT, Run
from support.printed import document

FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is always full")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("gateway", shlex.join(COMMAND), 1)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
        env={**os.environ},
    )


@pytest.mark.parametrize("as_json", ["", " --json"])
def test_a_payout_that_cannot_be_shown_was_made(
    shop: Path, cli: Run, invoice: Callable[[str], str], as_json: str
) -> None:
    reference = "full-json" if as_json else "full-text"
    words = f"--reference {reference} --amount '0.0002 BTC@lightning' --to-invoice {invoice('0.0002')}"
    done = shell(f"gateway withdrawals create {words} --account aurpay --yes{as_json} > /dev/full")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("error: the result could not be written: No space left on device; ")
    assert f"the payout {reference} was carried out (" in first
    assert second == f"hint: `gateway withdrawals get {reference}` shows it"
    assert document(cli("withdrawals", "get", reference, "--json"))["reference"] == reference


@pytest.mark.parametrize("line", ["orders list", "orders list --json", "--help", "orders create --help", "--version"])
def test_nothing_to_tell_of_a_read(shop: Path, line: str) -> None:
    done = shell(f"gateway {line} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: the result could not be written: No space left on device\n"


def test_an_error_whose_document_has_no_room_is_told(shop: Path) -> None:
    done = shell("gateway orders get nobody --json > /dev/full")
    assert done.returncode == 1
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_standard_output_is_noticed_before_anything_is_done(shop: Path) -> None:
    done = shell("gateway orders create --reference closed-1 --price '25.00 USD' >&-")
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output is closed, so nothing was done\nhint: ")
    assert len(done.stderr.splitlines()) == 2
    assert not (shop / "gateway.db").exists()
