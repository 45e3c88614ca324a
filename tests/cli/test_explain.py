"""`gateway orders explain`: why an order went where it went, for a person and for a script."""

from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Run
from gateway.testing import SandboxServer, faults

CREATE = ("--price", "25.00 USD", "--pay-with", "USDT@tron")


def two_accounts(shop: Path, server: SandboxServer) -> None:
    """`aurpay` first and `backup` next, with a key of its own."""
    file = shop / "gateway.toml"
    text = file.read_text(encoding="utf-8").replace('accounts = ["aurpay"]', 'accounts = ["aurpay", "backup"]')
    backup = (
        f'\n[accounts.backup]\nprovider = "aurpay"\nenvironment = "sandbox"\nbase_url = "{server.base_url("aurpay")}"\n'
        'auth = { kind = "signature", api_token = "sandbox-aurpay-api-token", '
        'api_secret = "sandbox-aurpay-api-secret" }\n'
    )
    file.write_text(text + backup, encoding="utf-8")


def test_an_order_that_went_on_elsewhere_is_explained(shop: Path, server: SandboxServer, cli: Run) -> None:
    two_accounts(shop, server)
    server.faults("aurpay").add(faults.Status(status=403, method="POST"))
    made = cli("orders", "create", "--reference", "explained", *CREATE, "--json")
    assert json.loads(made.stdout)["account"] == "backup"

    table = cli("orders", "explain", "explained")
    header, *lines = table.stdout.splitlines()
    assert header.split("\t") == ["at", "attempt", "account", "verdict", "reason", "status", "error"]
    assert [line.split("\t")[1:4] for line in lines] == [
        ["1", "aurpay", "chosen"],
        ["1", "aurpay", "moved-on"],
        ["2", "backup", "chosen"],
    ]
    assert "account 1 of 2 in route 1\tfailed\tPermissionDenied: refused (HTTP 403" in lines[0]
    assert lines[2].split("\t")[4:] == ["account 2 of 2 in route 1", "pending", ""]

    document = json.loads(cli("orders", "explain", "explained", "--json").stdout)
    assert [(one["number"], one["account"], one["verdict"], one["status"]) for one in document] == [
        (1, "aurpay", "chosen", "failed"),
        (1, "aurpay", "moved-on", None),
        (2, "backup", "chosen", "pending"),
    ]
    assert document[0]["error"]["error"] == "PermissionDenied"


def test_an_order_that_is_not_there_cannot_be_explained(shop: Path, cli: Run) -> None:
    result = cli("orders", "explain", "nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no order nothing" in result.stderr
