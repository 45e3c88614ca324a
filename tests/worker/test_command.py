"""`gateway worker`: finding the merchant's gateway, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import COMMAND, Process, Run, Terminal, cli, folder, process, terminal
from gateway.errors import ConfigurationError
from gateway.worker import running as runs
from gateway.worker.apps import find_app
from worker.processes import PATIENCE

__all__ = ["cli", "folder", "process", "terminal"]

APP = """
from gateway import AsyncGateway, Gateway
from gateway.worker import running
from worker.toys import add, make_tables, toy_kinds

running.all_kinds = lambda core, shared: toy_kinds()
NAMES = ["ok-1", "ok-2"]

def filled(made):
    database = made._core.database()
    make_tables(database)
    add(database, NAMES)
    return made

def make():
    return filled(Gateway(store="sqlite:///gateway.db"))

def make_async():
    return filled(AsyncGateway(store="sqlite:///gateway.db"))

def make_failing():
    NAMES.append("fail-1")
    return make()

def make_slow():
    NAMES[:] = ["sleep-1"]
    return make()

async def coroutine():
    pass

class Holder:
    pass

number = 7
"""


@pytest.fixture
def shop(folder: Path) -> Path:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").write_text("")
    (folder / "shop" / "payments.py").write_text(APP)
    (folder / "shop" / "more.py").write_text("from shop.payments import Holder, make\n\nHolder.gw = make()\n")
    (folder / "shop" / "broken.py").write_text(
        "import json\n\n\ndef up():\n    raise RuntimeError('no such key')\n\n\nup()\n"
    )
    (folder / "shop" / "ends.py").write_text("import sys\n\nsys.exit('not today')\n")
    (folder / "shop" / "wrong.py").write_text("gw = (\n")
    (folder / "shop" / "needs.py").write_text("import not_installed_here\n")
    return folder


# Finding it


@pytest.mark.parametrize("path", ["shop.payments:make", "shop.payments:make_async", "shop.more:Holder.gw"])
def test_a_gateway_or_what_makes_one_is_found(shop: Path, process: Process, path: str) -> None:
    done = process("worker", "--app", path, "--until-idle")
    assert (done.returncode, done.stderr) == (0, "")
    *jobs, last = done.stdout.splitlines()
    assert sorted(line.split("\t")[1:4] for line in jobs) == [["toy", "ok-1", "done"], ["toy", "ok-2", "done"]]
    assert last == "2 done, 0 failed: nothing more is due"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("shop.payments", "'shop.payments' does not name a gateway in a module — write MODULE:NAME"),
        ("shop/payments.py:gw", "does not name a gateway in a module"),
        ("shop.payments:", "does not name a gateway in a module"),
        ("", "'' does not name a gateway in a module"),
        ("nowhere:gw", r"there is no module 'nowhere', neither in .* nor installed — start the worker in the folder"),
        ("shop.nowhere:gw", r"there is no module 'shop.nowhere', neither in"),
        ("shop.payments:gw", "shop.payments has no 'gw' — its gateways: none at the top of the module"),
        ("shop.payments:Holder.it", "shop.payments has no 'Holder.it'"),
        ("shop.payments:number", "shop.payments:number is no Gateway or AsyncGateway, .*: it is of type int"),
        ("shop.payments:Holder", "is no Gateway or AsyncGateway, .*: it is the class Holder"),
        ("shop.payments:coroutine", r"shop.payments:coroutine is an async function — make the gateway in a plain one"),
        ("shop.broken:gw", r"shop.broken cannot be imported: RuntimeError: no such key \(.*shop/broken.py, line 5\)"),
        ("shop.ends:gw", r"shop.ends cannot be imported: SystemExit: not today \(.*shop/ends.py, line 3\)"),
        ("shop.wrong:gw", r"shop.wrong cannot be imported: SyntaxError: .* \(.*shop/wrong.py, line 1\)"),
        (
            "shop.needs:gw",
            r"shop.needs cannot be imported: ModuleNotFoundError: .*'not_installed_here' \(.*needs.py, line 1",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said(shop: Path, monkeypatch: pytest.MonkeyPatch, path: str, says: str) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("shop", "shop.payments", "shop.broken", "shop.ends", "shop.wrong", "shop.needs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(runs, "all_kinds", runs.all_kinds)
    with pytest.raises(ConfigurationError, match=says):
        find_app(path)


def test_a_mistake_is_one_line_and_exit_status_1(shop: Path, process: Process) -> None:
    done = process("worker", "--app", "shop.broken:gw")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("error: shop.broken cannot be imported: [^\n]+\nhint: [^\n]+\n", done.stderr)
    as_json = process("worker", "--app", "shop.broken:gw", "--json")
    assert (as_json.returncode, as_json.stderr) == (1, "")
    assert json.loads(as_json.stdout)["error"] == "ConfigurationError"


def test_a_configuration_beside_an_app_is_misuse(shop: Path, cli: Run) -> None:
    done = cli("worker", "--app", "shop.payments:make", "--config", "gateway.toml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--app and --config exclude each other" in done.stderr


def test_without_an_app_it_is_the_configured_gateway(folder: Path, process: Process) -> None:
    done = process("worker", "--until-idle", env={"GATEWAY_STORE": "sqlite:///gateway.db"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" failed: nothing more is due\n")
    none = process("worker", "--until-idle")
    assert none.returncode == 1
    assert "there is no configuration" in none.stderr


# What it prints, how it ends


def test_what_failed_is_told_and_the_exit_status_is_1(shop: Path, process: Process) -> None:
    done = process("worker", "--app", "shop.payments:make_failing", "--until-idle")
    assert done.returncode == 1
    assert done.stderr == "warning: toy fail-1 failed and is done again later: it is a toy that fails\n"
    assert done.stdout.endswith("2 done, 1 failed: nothing more is due\n")


def test_until_idle_as_json_is_one_document(shop: Path, process: Process) -> None:
    done = process("worker", "--app", "shop.payments:make_failing", "--until-idle", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout) == {"done": {"toy": 2}, "failed": {"toy": 1}}


def running(folder: Path, *words: str, ready: str) -> tuple[subprocess.Popen[str], list[str]]:
    child = subprocess.Popen(
        [*COMMAND, "worker", *words],
        cwd=folder,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert child.stdout is not None
    said = []
    for line in child.stdout:
        said.append(line)
        if ready in line:
            break
    return child, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("app", ["make", "make_async"])
def test_a_signal_ends_it_well(shop: Path, number: int, app: str) -> None:
    child, said = running(shop, "--app", f"shop.payments:{app}", ready="ok-2")
    child.send_signal(number)
    rest, told = child.communicate(timeout=PATIENCE)
    assert (child.returncode, rest, told) == (0, "", "")
    assert re.fullmatch(r"at work on .*gateway\.db, 10 jobs at once\n", said[0])


def test_json_lines(shop: Path) -> None:
    child, said = running(shop, "--app", "shop.payments:make", "--json", ready="ok-2")
    child.send_signal(signal.SIGTERM)
    rest, told = child.communicate(timeout=PATIENCE)
    assert (child.returncode, rest, told) == (0, "", "")
    first, *jobs = (json.loads(line) for line in said)
    assert set(first) == {"at", "level", "message"}
    assert [(job["job"], job["subject"], job["outcome"], job["error"]) for job in jobs] == [
        ("toy", "ok-1", "done", None),
        ("toy", "ok-2", "done", None),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", job["at"]) for job in jobs)


def test_what_is_under_way_may_end(shop: Path) -> None:
    child, _ = running(shop, "--app", "shop.payments:make_slow", ready="at work on")
    child.send_signal(signal.SIGTERM)
    rest, told = child.communicate(timeout=PATIENCE)
    assert (child.returncode, told) == (0, "")
    assert ("sleep-1" in rest) == ("under way" in rest)


def test_a_terminal_gets_colours(shop: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal("worker", "--app", "shop.payments:make")
    shown.read_until("ok-2")
    shown.child.send_signal(signal.SIGINT)
    assert shown.end() == 0
    assert "\x1b[32mdone" in shown.text
    assert "Traceback" not in shown.text


def test_concurrency_is_checked(shop: Path, cli: Run) -> None:
    done: Any = cli("worker", "--concurrency", "0")
    assert done.exit_code == 2
