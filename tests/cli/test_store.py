"""`gateway store` and `gateway doctor` on both stores: restores, pruning, and passwords that nobody sees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from cli.conftest import Run
from support.postgres import PASSWORD


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, shop: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The shop's store is this one."""
    url = "sqlite:///gateway.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))
    file = shop / "gateway.toml"
    file.write_text('store = "env:SHOP_STORE"\n' + file.read_text())
    monkeypatch.setenv("SHOP_STORE", url)
    return url


def told(result: Result, status: int = 0) -> Any:
    assert result.exit_code == status, result.output
    assert PASSWORD not in result.output
    return json.loads(result.stdout)


def test_a_restore_from_beginning_to_end(
    store: str, cli: Run, asked: Callable[..., Result], invoice: Callable[[str], str]
) -> None:
    cli("orders", "list")
    told(cli("store", "upgrade", "--json"))
    assert told(cli("store", "check", "--json"))["ok"]
    noted = told(cli("store", "restored", "--reason", "volume put back", "--json"))
    assert noted["reason"].startswith("volume put back [")
    found = told(cli("store", "check", "--json"), 1)
    assert (found["ok"], found["restored"], found["open_entries"]) == (False, [noted["reason"]], [])
    checks = json.loads(cli("doctor", "--json").stdout)["checks"]
    (problem,) = [check for check in checks if check["check"] == "restore"]
    assert problem["level"] == "problem"
    assert "no money leaves" in problem["found"]
    assert "accept-restore" in problem["todo"]

    payout = ("--reference", "p-1", "--amount", "0.0002 BTC@lightning", "--to-invoice", invoice("0.0002"))
    refused = cli("withdrawals", "create", *payout, "--account", "aurpay", "--yes")
    assert refused.exit_code == 1
    assert "accept-restore" in refused.stderr
    declined = asked("store", "accept-restore", "--reason", "compared", answer="n\n")
    assert declined.exit_code == 1
    assert "Open journal entries: 0. Let money leave again?" in declined.output
    assert told(cli("store", "accept-restore", "--reason", "compared", "--yes", "--json")) == {
        "accepted": [noted["reason"]],
        "open_entries": 0,
    }
    assert told(cli("store", "check", "--json"))["ok"]
    again = cli("store", "accept-restore", "--reason", "compared", "--yes")
    assert (again.exit_code, "no restore to accept" in again.stderr) == (1, True)


def test_check_notices_a_restored_file_before_anything_opens_it(shop: Path, cli: Run) -> None:
    cli("orders", "list")
    shutil.copy(shop / "gateway.db", shop / "backup")
    cli("orders", "create", "--reference", "r-1", "--price", "9 USD", "--account", "aurpay")
    shutil.copy(shop / "backup", shop / "gateway.db")
    result = cli("store", "check")
    assert result.exit_code == 1
    assert "the file is an older state of the store" in result.stdout
    assert "accept-restore" in result.stderr


def test_pruning_tells_how_much_of_what(store: str, cli: Run) -> None:
    cli("orders", "create", "--reference", "s-1", "--price", "9 USD", "--account", "aurpay")
    found = told(cli("store", "prune", "--older-than", "90d", "--dry-run", "--json"))
    assert found == {
        "dry_run": True,
        "order_answers": 0,
        "withdrawal_answers": 0,
        "refund_answers": 0,
        "trade_answers": 0,
        "customer_answers": 0,
        "journal_answers": 0,
        "callback_bodies": 0,
        "deliveries": 0,
        "choices": 0,
    }
    assert told(cli("store", "prune", "--older-than", "4w", "--json")) == {**found, "dry_run": False}
    for wrong in ("90", "x", "-1d", "9999999999d"):
        refused = cli("store", "prune", "--older-than", wrong)
        assert refused.exit_code == 2, refused.output
    assert "younger than a day" in cli("store", "prune", "--older-than", "0d").stderr


def test_its_rows_are_exported(store: str, cli: Run) -> None:
    cli("orders", "create", "--reference", "t-1", "--price", "9 USD", "--account", "aurpay")
    rows = [json.loads(line) for line in cli("store", "export").stdout.splitlines()]
    assert {row["reference"] for row in rows} == {"t-1"}


def test_a_password_in_the_file_is_a_risk(shop: Path, cli: Run) -> None:
    file = shop / "gateway.toml"
    file.write_text('store = "postgresql://shop:pass-word@127.0.0.1:1/shop"\n' + file.read_text())
    result = cli("doctor", "--json")
    assert "pass-word" not in result.output
    (found,) = [
        check
        for check in json.loads(result.stdout)["checks"]
        if check["check"] == "settings at risk" and check["account"] is None
    ]
    assert (found["level"], found["found"]) == ("warning", "a secret stands in the file: store")


def test_a_store_that_is_named_by_a_variable_that_is_not_set(shop: Path, cli: Run) -> None:
    file = shop / "gateway.toml"
    file.write_text('store = "env:NOT_SET_HERE"\n' + file.read_text())
    result = cli("store", "check")
    assert result.exit_code == 1
    assert "store: the environment variable NOT_SET_HERE is not set" in result.stderr
