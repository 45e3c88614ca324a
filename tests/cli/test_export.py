"""`gateway store export`: whole, exact, without secrets, and never half a file."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gateway.cli.export import Rows
from gateway.store import export
from gateway.store.database import Database
from gateway.testing import SandboxServer
from support.printed import document, failure, fields

Run = Callable[..., Result]
TABLES = ["orders", "attempts", "withdrawals", "refunds", "journal"]


@pytest.fixture
def money(cli: Run, shop: Path, server: SandboxServer, invoice: Callable[[str], str]) -> Path:
    """A store with two orders, one of them refunded, and a payout."""
    for reference in ("e-1", "e-2"):
        words = ("--price", "25.10 USD", "--pay-with", "USDT@tron", "--account", "aurpay")
        more = ("--metadata", "raw=kept", "--metadata", "token=hush-hush", "--description", 'a "b", Größe')
        made = fields(cli("orders", "create", "--reference", reference, *words, *more))
    server.pay("aurpay", made["provider id"])
    assert cli("refunds", "create", "--reference", "e-r", "--order", "e-2", "--yes").exit_code == 0
    words = ("withdrawals", "create", "--reference", "e-p", "--amount", "0.00020000 BTC@lightning", "--yes")
    assert cli(*words, "--to-invoice", invoice("0.0002"), "--account", "aurpay").exit_code == 0
    return shop


def by_table(text: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for line in text.splitlines():
        row = json.loads(line)
        found[row.pop("table")].append(row)
    return found


def test_the_names_are_those_of_the_store() -> None:
    assert [each.value for each in Rows] == list(export.TABLES) == TABLES


def test_json_lines(cli: Run, money: Path) -> None:
    result = cli("store", "export")
    assert (result.exit_code, result.stderr) == (0, "")
    found = by_table(result.stdout)
    assert {name: len(rows) for name, rows in found.items()} == {
        "orders": 2,
        "attempts": 2,
        "withdrawals": 1,
        "refunds": 1,
        "journal": 4,
    }
    assert [order["reference"] for order in found["orders"]] == ["e-1", "e-2"]
    assert found["orders"][0]["request"]["price"] == {"amount": "25.10", "asset": "USD"}
    [payout] = found["withdrawals"]
    assert (payout["amount"], payout["asset"]) == ("0.00020000", "BTC@lightning")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", payout["created_at"])
    assert {entry["operation"] for entry in found["journal"]} == {
        "orders.create",
        "refunds.create",
        "withdrawals.create",
    }


def test_nothing_secret_and_no_answers(cli: Run, money: Path, server: SandboxServer) -> None:
    result = cli("store", "export")
    found = by_table(result.stdout)
    assert "raw" not in found["attempts"][0]["snapshot"]
    assert not any("raw" in (entry["result"] or {}) for entry in found["journal"])
    assert found["orders"][0]["request"]["metadata"] == {"raw": "kept", "token": "•••"}
    assert "hush-hush" not in result.stdout
    for setting in server.account("aurpay")["auth"].values():
        assert setting == "api-key" or setting not in result.stdout
    for name, rows in found.items():
        assert {"id", "owner", "lease_until", "fingerprint"}.isdisjoint(rows[0]), name


def test_csv(cli: Run, money: Path) -> None:
    result = cli("store", "export", "--format", "csv")
    assert (result.exit_code, result.stderr) == (0, "")
    found = list(csv.DictReader(io.StringIO(result.stdout)))
    assert Counter(row["table"] for row in found) == {
        "orders": 2,
        "attempts": 2,
        "withdrawals": 1,
        "refunds": 1,
        "journal": 4,
    }
    lines = by_table(cli("store", "export").stdout)
    [payout] = [row for row in found if row["table"] == "withdrawals"]
    assert payout["amount"] == "0.00020000"
    assert json.loads(payout["request"]) == lines["withdrawals"][0]["request"]
    assert payout["settles_to"] == ""
    assert json.loads(found[0]["request"])["description"] == 'a "b", Größe'


FORMULAS = [
    "=1+1",
    "+41 44 555",
    "-",
    "-1+1",
    "--1",
    "-1,5",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1+1",
    "=cmd|' /C calc'!A0",
    "\uff1d1",
]
TEXTS = ["-0.5", "-12", "12.50", "a=b", "1+1", "x;=1+1", "'=1", "", "{}", "lnbc=1"]


def test_no_text_is_a_formula_in_a_spreadsheet(cli: Run, money: Path) -> None:
    """What payers, customers and providers say stands in cells."""
    with sqlite3.connect(money / "gateway.db") as connection:
        for text in (*FORMULAS, *TEXTS):
            connection.execute(
                "INSERT INTO refunds (reference, order_reference, attempt, environment, account, provider, status,"
                " request, created_at, updated_at)"
                " SELECT ?, order_reference, attempt, environment, account, provider, status, request, created_at,"
                " updated_at FROM refunds LIMIT 1",
                (text,),
            )
    connection.close()
    written = cli("store", "export", "--format", "csv", "--table", "refunds").stdout
    found = [row["reference"] for row in csv.DictReader(io.StringIO(written, newline=""))]
    assert found == ["e-r", *(f"'{text}" for text in FORMULAS), *TEXTS]
    # Whatever a spreadsheet separates cells by, a cell is one cell.
    assert '"x;=1+1"' in written
    as_lines = by_table(cli("store", "export", "--table", "refunds").stdout)["refunds"]
    assert [row["reference"] for row in as_lines] == ["e-r", *FORMULAS, *TEXTS]


def test_the_columns_are_those_of_the_chosen_tables(cli: Run, money: Path) -> None:
    words = ("store", "export", "--format", "csv", "--table", "refunds", "--table", "refunds")
    found = list(csv.DictReader(io.StringIO(cli(*words).stdout)))
    assert [row["reference"] for row in found] == ["e-r"]
    assert list(found[0]) == ["table", *export.columns("refunds")]
    assert cli("store", "export", "--table", "cards").exit_code == 2


def test_one_document(cli: Run, money: Path) -> None:
    found = document(cli("store", "export", "--json"))
    assert list(found) == TABLES
    assert found == by_table(cli("store", "export").stdout)
    assert list(document(cli("store", "export", "--table", "orders", "--json"))) == ["orders"]
    result = cli("store", "export", "--format", "csv", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--json prints JSON" in result.stderr


def test_a_file(cli: Run, money: Path) -> None:
    done = fields(cli("store", "export", "--output", "money.jsonl"))
    assert {"file": "money.jsonl", "format": "jsonl", "orders": "2", "journal": "4"}.items() <= done.items()
    written = money / "money.jsonl"
    assert written.read_text(encoding="utf-8") == cli("store", "export").stdout
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    as_json = document(cli("store", "export", "-o", "money.csv", "--format", "csv", "--table", "refunds", "--json"))
    assert as_json == {"store": str(money / "gateway.db"), "file": "money.csv", "format": "csv", "refunds": 1}
    assert (money / "money.csv").read_bytes().count(b"\n") == 2


def test_a_file_that_is_there_stays(cli: Run, money: Path) -> None:
    (money / "money.jsonl").write_text("mine", encoding="utf-8")
    error = failure(cli("store", "export", "-o", "money.jsonl", "--json"))
    assert (error["error"], error["hint"]) == ("InvalidRequest", "name another one, or remove it")
    assert (money / "money.jsonl").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_not_there(cli: Run, money: Path) -> None:
    error = failure(cli("store", "export", "-o", "nowhere/money.jsonl", "--json"))
    assert "nowhere/money.jsonl cannot be written: No such file or directory" in error["message"]


@pytest.mark.parametrize(
    ("raised", "said"), [(OSError(28, "No space left on device"), "No space left"), (RuntimeError("ours"), None)]
)
def test_half_a_file_is_none(
    cli: Run, money: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, said: str | None
) -> None:
    def fail(connection: object, table: str) -> Any:
        raise raised

    before = sorted(os.listdir(money))
    monkeypatch.setattr(export, "rows", fail)
    result = cli("store", "export", "-o", "money.jsonl")
    assert sorted(os.listdir(money)) == before
    assert result.exit_code == 1
    if said:
        assert result.stderr.startswith("error: money.jsonl cannot be written: " + said)
    else:
        assert result.exception is raised


def test_a_store_that_is_not_there(cli: Run, shop: Path) -> None:
    assert failure(cli("store", "export", "-o", "money.jsonl", "--json"))["error"] == "StoreError"
    assert not (shop / "gateway.db").exists()
    assert not (shop / "money.jsonl").exists()


def test_it_is_of_one_moment_while_others_write(money: Path) -> None:
    """What is written during the export is not in it, and does not wait for it."""
    url = f"sqlite:///{money / 'gateway.db'}"

    with Database.open(url, create=False) as database:

        def work(connection: Any) -> tuple[int, list[dict[str, Any]]]:
            before = export.count(connection, "orders")
            other = sqlite3.connect(money / "gateway.db", timeout=5)
            with other:
                other.execute(
                    "INSERT INTO orders (reference, environment, settles_to, status, request, created_at, updated_at)"
                    " SELECT 'later', environment, settles_to, status, request, created_at, updated_at"
                    " FROM orders LIMIT 1"
                )
            other.close()
            return before, list(export.rows(connection, "orders"))

        counted, rows = database.read(work)
        assert counted == len(rows) == 2
        assert database.read(lambda connection: export.count(connection, "orders")) == 3


# As a process


def test_a_pipe_that_closes_is_no_traceback(money: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m gateway.cli store export | head -n 1"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout)["reference"] == "e-1"
    assert done.stderr == ""


def test_a_bar_on_a_terminal_and_only_there(terminal: Any, process: Any, money: Path) -> None:
    shown = terminal("store", "export", "-o", "money.jsonl")
    assert shown.end() == 0
    assert "exporting" in shown.text
    assert "100%" in shown.text
    assert len((money / "money.jsonl").read_text(encoding="utf-8").splitlines()) == 10
    lines = terminal("store", "export")
    assert lines.end() == 0
    assert len(by_table(lines.text)["journal"]) == 4  # nothing else among them
    assert process("store", "export", "-o", "again.jsonl").stderr == ""
