"""The command as its users start it: in pipes, on a terminal, under signals, completed by a shell."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from gateway.testing import SandboxServer

Process = Callable[..., "subprocess.CompletedProcess[str]"]
TIMEOUT = 60
ESCAPE = "\x1b"


# In a pipe


def test_a_pipe_gets_whole_lines_without_colours(process: Process, shop: Path) -> None:
    done = process("capabilities", env={"FORCE_COLOR": "1", "COLUMNS": "40"})
    assert done.returncode == 0
    assert done.stderr == ""
    assert ESCAPE not in done.stdout
    assert "…" not in done.stdout
    assert {line.count("\t") for line in done.stdout.splitlines()} == {6}


def test_a_pipe_gets_no_qr_code(process: Process, shop: Path) -> None:
    words = ("orders", "create", "--reference", "pipe-qr", "--price", "25.00 USD", "--pay-with", "USDT@tron", "--qr")
    done = process(*words)
    assert done.returncode == 0
    assert "█" not in done.stdout
    assert ESCAPE not in done.stdout


def test_errors_go_to_standard_error(process: Process, shop: Path) -> None:
    told = process("orders", "get", "nobody", env={"FORCE_COLOR": "1"})
    assert (told.returncode, told.stdout) == (1, "")
    assert re.fullmatch(r"error: .*nobody.*\nhint: .*\n", told.stderr)
    as_json = process("--json", "orders", "get", "nobody")
    assert (as_json.returncode, as_json.stderr) == (1, "")
    assert json.loads(as_json.stdout)["error"] == "NotFound"


def test_money_does_not_move_where_nobody_can_be_asked(process: Process, shop: Path) -> None:
    words = ("withdrawals", "create", "--reference", "p-9", "--amount", "1 USDT@tron", "--to-address", "T1")
    done = process(*words, "--account", "aurpay")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("hint: add --yes\n")


def test_a_locale_that_cannot_show_a_text_loses_nothing(process: Process, shop: Path) -> None:
    words = ("orders", "create", "--reference", "locale-1", "--price", "25.00 USD", "--description", "Größe 42")
    told = process(*words, env={"PYTHONIOENCODING": "ascii"})
    assert told.returncode == 0, told.stderr
    assert "Gr\\xf6\\xdfe 42" in told.stdout
    as_json = process("orders", "get", "locale-1", "--no-refresh", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert json.loads(as_json.stdout)["description"] == "Größe 42"


def test_a_closed_pipe_is_no_traceback(folder: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m gateway.cli capabilities --json | head -n 1"],
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    assert done.stdout == "[\n"
    assert done.stderr == ""


def test_the_command_is_installed_under_its_name() -> None:
    from importlib.metadata import entry_points

    [script] = entry_points(group="console_scripts", name="gateway")
    assert script.value == "gateway.cli:main"


def test_saying_that_the_extra_is_missing_takes_nothing_heavy() -> None:
    code = "import sys, gateway.cli; print(sorted({'typer', 'rich', 'pydantic', 'sqlalchemy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "[]\n"


# On a terminal


def test_a_terminal_gets_a_coloured_table(terminal: Any) -> None:
    shown = terminal("capabilities", "--provider", "aurpay")
    assert shown.end() == 0
    assert re.search(r"operation +┃ variant +┃ support", re.sub(r"\x1b\[[0-9;]*m", "", shown.text))
    assert "\x1b[32msupported" in shown.text
    assert "\x1b[2mabsent" in shown.text


def test_every_provider_has_a_table_of_its_own(terminal: Any) -> None:
    shown = terminal("capabilities", env={"NO_COLOR": "1"})
    assert shown.end() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.text).splitlines()
    assert [line.strip() for line in lines if re.fullmatch("aurex|aurpay|emirex", line.strip())] == [
        "aurex",
        "aurpay",
        "emirex",
    ]
    assert sum("orders.renew" in line or "orders.get" in line for line in lines) == 3


def test_no_color_is_honoured(terminal: Any) -> None:
    shown = terminal("capabilities", "--provider", "aurpay", env={"NO_COLOR": "1"})
    assert shown.end() == 0
    assert "┃" in shown.text
    assert re.findall(r"\x1b\[(?:\d+;)*[34]\d", shown.text) == []


def test_json_stays_plain_on_a_terminal(terminal: Any) -> None:
    shown = terminal("providers", "--json")
    assert shown.end() == 0
    assert [row["name"] for row in json.loads(shown.text)] == ["aurex", "aurpay", "emirex"]


def test_an_empty_list_says_so(terminal: Any, shop: Path) -> None:
    shown = terminal("orders", "list")
    assert shown.end() == 0
    assert shown.text == "nothing found\n"


def test_a_terminal_gets_the_order_and_a_qr_code(terminal: Any, shop: Path) -> None:
    words = ("orders", "create", "--reference", "qr-1", "--price", "25.00 USD", "--pay-with", "BTC@lightning", "--qr")
    shown = terminal(*words, env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert shown.end() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.text).splitlines()
    fields = dict(re.split(r"  +", line, maxsplit=1) for line in lines if re.match(r"[a-z ]+[a-z]  ", line))
    assert fields["reference"] == "qr-1"
    assert fields["pay uri"].startswith("lightning:ln")  # in one line, though it is longer than the terminal is wide
    drawn = [line for line in lines if line and set(line) <= set("█▀▄ ")]
    assert len(drawn) > 20
    assert set(drawn[0]) == {"█"}  # the quiet zone is light


def test_a_payout_is_confirmed_on_a_terminal(
    terminal: Any, shop: Path, server: SandboxServer, invoice: Callable[[str], str]
) -> None:
    text = invoice("0.0002")
    words = ("withdrawals", "create", "--reference", "tty-1", "--amount", "0.0002 BTC@lightning", "--to-invoice", text)

    def times_paid() -> int:
        return [paid["destination"] for paid in server.ledger("aurpay")["payouts"]].count(text)

    refused = terminal(*words, "--account", "aurpay")
    assert "from aurpay (aurpay, sandbox) as tty-1?" in refused.read_until("[y/N] ")
    refused.type("n\n")
    assert refused.end() == 1
    assert "not confirmed: nothing was done" in refused.text
    assert times_paid() == 0

    interrupted = terminal(*words, "--account", "aurpay")
    interrupted.read_until("[y/N] ")
    interrupted.child.send_signal(signal.SIGINT)
    assert interrupted.end() == 130
    assert "Traceback" not in interrupted.text
    assert times_paid() == 0

    confirmed = terminal(*words, "--account", "aurpay")
    confirmed.read_until("[y/N] ")
    confirmed.type("y\n")
    assert confirmed.end() == 0
    assert times_paid() == 1


# The sandbox


@pytest.fixture
def serving(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "sandbox", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.terminate()
        child.communicate(timeout=TIMEOUT)


def read_until(child: subprocess.Popen[str], end: str) -> str:
    """What it prints up to the line `end`; it goes on running."""
    assert child.stdout is not None
    text = ""
    for line in child.stdout:
        text += line
        if line == end:
            return text
    raise AssertionError(f"it ended without {end!r}: {text!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sandboxes_are_served_until_a_signal(serving: Callable[..., Any], number: int) -> None:
    child = serving("--json", "--provider", "aurpay")
    found = json.loads(read_until(child, "}\n"))
    assert found["control_url"] == f"{found['url']}/_control"
    assert found["sandboxes"] == {"aurpay": f"{found['url']}/aurpay"}
    assert found["settings"]["accounts"]["aurpay"]["base_url"] == f"{found['url']}/aurpay"
    with urlopen(f"{found['control_url']}/aurpay/orders", timeout=TIMEOUT) as answer:
        assert answer.status == 200
    child.send_signal(number)
    rest, said = child.communicate(timeout=TIMEOUT)
    assert (child.returncode, rest, said) == (0, "", "")


def test_what_the_sandbox_prints_is_a_configuration(
    serving: Callable[..., Any], process: Process, folder: Path
) -> None:
    child = serving("--provider", "emirex", "--provider", "aurpay")
    printed = ""
    while "[accounts.aurpay]" not in printed or not printed.endswith("\n\n"):
        line = child.stdout.readline()
        assert line
        printed += line
    assert printed.startswith("# Sandboxes of emirex, aurpay, until Ctrl-C. Steer them at http://127.0.0.1:")
    assert set(tomllib.loads(printed)["accounts"]) == {"emirex", "aurpay"}
    (folder / "gateway.toml").write_text(printed, encoding="utf-8")
    made = process("orders", "create", "--reference", "s-1", "--price", "9 USD", "--account", "aurpay", "--json")
    assert json.loads(made.stdout)["status"] == "pending"


# A broken plugin, installed as any other


@pytest.fixture
def broken_plugin(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which a distribution is installed whose plugin cannot be imported."""
    info = tmp_path / "site" / "acme_broken-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[gateway]\nbroken = acme_that_is_not_there\n", encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(info.parent), os.environ["PYTHONPATH"]])}


def test_a_broken_plugin_is_listed(process: Process, broken_plugin: dict[str, str]) -> None:
    done = process("providers", "--json", env=broken_plugin)
    assert (done.returncode, done.stderr) == (0, "")
    [broken] = [row for row in json.loads(done.stdout) if row["error"]]
    assert broken["name"] == "broken"
    assert broken["distribution"] == "acme-broken"
    assert "acme_that_is_not_there" in broken["error"]


def test_a_broken_plugin_is_fatal_when_plugins_are_strict(process: Process, broken_plugin: dict[str, str]) -> None:
    strict = {**broken_plugin, "GATEWAY_STRICT_PLUGINS": "1"}
    told = process("--version", env=strict)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("error: the plugin broken of acme-broken 1.2 failed to load")
    as_json = process("--version", "--json", env=strict)
    assert (as_json.returncode, as_json.stderr) == (1, "")
    assert json.loads(as_json.stdout)["error"] == "PluginError"
