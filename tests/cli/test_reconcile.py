"""`gateway reconcile`: for a person, for a script, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import Run, Terminal
from gateway.testing import SandboxServer, faults

CREATE = ("--price", "25.00 USD", "--pay-with", "USDT@tron")


@pytest.fixture
def server() -> SandboxServer:
    """Books of its own for every test."""
    from gateway.testing import installed_sandboxes

    return SandboxServer(installed_sandboxes())


@pytest.fixture(autouse=True)
def running(server: SandboxServer) -> object:
    with server:
        yield


def made(cli: Run, reference: str) -> str:
    document = json.loads(cli("orders", "create", "--reference", reference, *CREATE, "--json").stdout)
    return str(document["provider_id"])


def test_books_that_agree_end_with_0(shop: Path, cli: Run) -> None:
    made(cli, "a")
    result = cli("reconcile", "--account", "aurpay")
    assert (result.exit_code, result.stderr) == (0, "")
    titles, *lines = result.stdout.splitlines()
    assert titles.split("\t")[:4] == ["kind", "subject", "reference", "attempt"]
    assert lines[:-1] == [
        "not compared: payouts: withdrawals.list is not offered: the provider documents no such call",
        "not compared: open trades: trades.open is not offered: the provider is no exchange",
        "not compared: finished trades: trades.history is not offered: the provider is no exchange",
    ]
    assert lines[-1].startswith("aurpay, 20")
    assert lines[-1].endswith(": read orders.list 1, transactions.list 0; repaired 0")


def test_what_differs_ends_with_1_until_it_is_repaired(shop: Path, server: SandboxServer, cli: Run) -> None:
    server.pay("aurpay", made(cli, "a"))
    result = cli("reconcile", "--account", "aurpay", "--since", "12h")
    assert result.exit_code == 1
    assert result.stderr == "error: 1 difference at aurpay to be looked at\nhint: each says what to do\n"
    row = result.stdout.splitlines()[1].split("\t")
    assert row[:4] == ["paid-there", "order", "a", "1"]
    assert row[5:] == [
        "pending",
        "paid",
        "no",
        "let it follow with --repair, or read it with `gateway orders get a`",
    ]
    repaired = cli("reconcile", "--account", "aurpay", "--repair")
    assert (repaired.exit_code, repaired.stderr) == (0, "")
    assert repaired.stdout.splitlines()[1].split("\t")[7:] == ["yes", ""]
    assert "repaired 1" in repaired.stdout
    assert cli("reconcile", "--account", "aurpay").exit_code == 0


def test_the_document_holds_everything(shop: Path, server: SandboxServer, cli: Run) -> None:
    number = made(cli, "a")
    server.pay("aurpay", number)
    result = cli("reconcile", "--account", "aurpay", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    document = json.loads(result.stdout)
    assert (document["differs"], document["complete"], document["unlisted"]) == (True, True, 0)
    assert document["read"] == {"orders.list": 1, "transactions.list": 1}
    (finding,) = document["findings"]
    assert (finding["kind"], finding["provider_id"], finding["repaired"]) == ("paid-there", number, False)
    last = cli("reconcile", "--account", "aurpay", "--last", "--json")
    assert (last.exit_code, json.loads(last.stdout)) == (1, document)


def test_a_list_that_cannot_be_read_ends_with_1(shop: Path, server: SandboxServer, cli: Run) -> None:
    server.faults("aurpay").add(faults.Status(status=403, method="GET", path="/api/v2/order/"))
    result = cli("reconcile", "--account", "aurpay")
    assert result.exit_code == 1
    assert "not compared: orders: PermissionDenied: " in result.stdout
    assert result.stderr.startswith("error: not everything could be compared at aurpay\n")


def test_nothing_to_show_yet(shop: Path, cli: Run) -> None:
    result = cli("reconcile", "--account", "aurpay", "--last")
    assert result.exit_code == 1
    assert "aurpay was not reconciled yet" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "soon"), "--since is no time: 'soon'"),
        (("--until", "7y"), "--until is no time: '7y'"),
        (("--last", "--repair"), "--last reads nothing"),
        (("--last", "--until", "1d"), "--last reads nothing"),
    ],
)
def test_misuse(shop: Path, cli: Run, words: tuple[str, ...], said: str) -> None:
    result = cli("reconcile", "--account", "aurpay", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.mark.parametrize("since", ["2020-01-01", "2020-01-01T12:00:00+02:00", "90m", "30d"])
def test_ways_to_write_a_time(shop: Path, cli: Run, since: str) -> None:
    assert cli("reconcile", "--account", "aurpay", "--since", since).exit_code == 0


def test_an_account_has_to_be_named_where_there_are_several(shop: Path, cli: Run) -> None:
    result = cli("reconcile")
    assert result.exit_code == 1
    assert "an account has to be named" in result.stderr


def test_on_a_terminal_a_bar_and_what_to_do(
    shop: Path, server: SandboxServer, cli: Run, terminal: Callable[..., Terminal]
) -> None:
    server.pay("aurpay", made(cli, "a"))
    running = terminal("reconcile", "--account", "aurpay")
    assert running.end() == 1
    assert "reconciling aurpay" in running.text
    assert "what to do" in running.text
    assert "paid-there" in running.text
