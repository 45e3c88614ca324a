"""One page read as its reader would follow it: in an empty folder, from the first block to the last.

- A `toml` block that begins with `# gateway.toml` is the configuration; a later one without a name changes it. Each is
  loaded as it is written; then its accounts are led to sandboxes on loopback, and everything below uses that.
- A `python` block runs in the page's one namespace. One that begins with a file's name is that file: it is imported
  when something needs it, run by pytest when it is a test, and no later than at the end.
- A `diff` block changes files that are there, as `git apply` does.
- `sh` and `console` blocks run: `gateway` in this process through the whole command line, or as a process of its own
  where it serves until it is stopped. Somebody is there, who answers every question with yes; what else is entered
  stands above the block: `<!-- entered: one | two -->`.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from packaging.requirements import Requirement
from typer.testing import CliRunner

from docs.blocks import ROOT, Block
from docs.shell import Command, agrees, commands
from gateway import Gateway, Money, plugins
from gateway.cli import session as cli_session
from gateway.cli.app import build
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer, accounts_toml
from gateway.testing.lightning import encode_invoice

__all__ = ["PATIENCE", "Session"]

PATIENCE = 60.0
_FROM_SANDBOX = ("base_url", "environment", "allow_inferred", "auth", "callback")
_SERVES = (("sandbox",), ("worker",), ("events", "tail"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))


class Session:
    """A folder, the sandboxes, and what the blocks so far have made of them."""

    def __init__(
        self, folder: Path, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, postgres: Callable[[], str]
    ) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.names: dict[str, Any] = {"__name__": "page"}
        self.counts: dict[str, int] = {}
        self._entered: list[str] = []
        self._monkeypatch = monkeypatch
        self._postgres = postgres
        self._written: dict[str, Any] = {}
        self._files: dict[str, bool] = {}
        self._gateways: dict[int, Gateway] = {}
        self._serving: list[tuple[Command, subprocess.Popen[bytes]]] = []
        self._modules = set(sys.modules)
        self._port = str(_free_port())
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr(cli_session, "interactive", lambda: True)
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings")
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)

    # Blocks

    def run(self, block: Block) -> None:
        how = getattr(self, f"_run_{block.language}", None)
        assert how is not None, f"{block}: nothing runs a block of {block.language or 'no language'}"
        try:
            how(block, self._adapted(block.text))
        except SystemExit as ended:
            raise AssertionError(f"{block} ended with {ended.code}") from ended
        except Exception as error:
            error.add_note(f"in {block}")
            raise
        self.counts[block.language] = self.counts.get(block.language, 0) + 1

    def _adapted(self, text: str) -> str:
        """What cannot be the same everywhere: a port that is free, an invoice that has not expired."""
        text = re.sub(r"(--port |127\.0\.0\.1:)8080\b", rf"\g<1>{self._port}", text)
        while "lnbc1m1..." in text:
            text = text.replace("lnbc1m1...", _invoice(), 1)
        return text

    def _run_toml(self, block: Block, text: str) -> None:
        data = tomllib.loads(text)
        if block.file not in (None, "gateway.toml"):
            self.write(block.file, text)
            return
        self._written = data if block.file else _merged(self._written, data)
        for name in re.findall(r'"env:(\w+)"', text):
            self._monkeypatch.setenv(name, f"made-up-{name}-0123456789abcdef")
        # As it is written, but for a database that is nowhere.
        whole = {**copy.deepcopy(self._written), "store": "sqlite:///as-written.db"}
        Path("as-written.toml").write_text(_toml(whole), encoding="utf-8")
        with Gateway.from_file("as-written.toml") as gw:
            assert set(gw.accounts) == set(self._written.get("accounts", {}))
        self.configure(self._written)

    def configure(self, written: dict[str, Any]) -> None:
        """Write gateway.toml from this, with its accounts at the sandboxes."""
        data = copy.deepcopy(written)
        accounts = data.setdefault("accounts", {})
        if not accounts:  # a page about something else than accounts
            accounts["shop"] = {"provider": "aurpay"}
        for account in accounts.values():
            there = self.sandbox.account(account["provider"])
            if account.get("auth") == {"kind": "ring"}:  # its keys are put in by the page
                del there["auth"]
            account.update({key: there[key] for key in _FROM_SANDBOX if there.get(key) is not None})
        if data.get("store", "").startswith("postgresql:"):
            data["store"] = self._postgres() + "?schema=gateway"
        Path("gateway.toml").write_text(_toml(data), encoding="utf-8")
        self._written = written

    def _run_python(self, block: Block, text: str) -> None:
        compiled = compile(text, str(block), "exec", dont_inherit=True)
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self._files[block.file] = False
            return
        self._import_files()
        exec(compiled, self.names)
        self._keep(self.names)

    def _run_diff(self, block: Block, text: str) -> None:
        # Were there a repository above the folder, git would apply it there.
        env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        done = subprocess.run(
            ["git", "apply", "-"], input=text, cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        self._forget_modules()  # the next command sees what is there now
        plugins._load.cache_clear()

    def _run_json(self, block: Block, text: str) -> None:
        json.loads(text)

    def _run_yaml(self, block: Block, text: str) -> None:
        yaml.safe_load(text)

    def _run_http(self, block: Block, text: str) -> None:
        """A request line or a status line, headers, and a body of JSON where there is one."""
        head, _, body = text.partition("\n\n")
        first, *headers = head.strip().splitlines()
        assert re.fullmatch(r"(GET|POST|PUT|DELETE|HEAD) /\S*|HTTP/1\.1 \d{3} [\w ]+", first), first
        assert all(re.fullmatch(r"[\w-]+: .+", line) for line in headers), headers
        if body.strip():
            json.loads(body)

    def _run_sh(self, block: Block, text: str) -> None:
        self._entered = block.note.removeprefix("entered: ").split(" | ") if block.note.startswith("entered: ") else []
        expected = int(block.note.removeprefix("exit status ")) if block.note.startswith("exit status ") else 0
        found = list(commands(block.language, text))
        assert found, "there is no command in it"
        for command in found:
            status, printed = self.command(command)
            assert status == expected, f"{command.words} ended with {status}: {printed}"
            if command.shown is not None:
                assert agrees(command.shown, printed), f"shown:\n{command.shown}\nprinted:\n{printed}"

    _run_console = _run_sh

    # Commands

    def command(self, command: Command) -> tuple[int, str]:
        """Run it; its exit status and what it printed."""
        name, *words = command.words
        how = getattr(self, f"_{name}", None)
        assert how is not None, f"nothing runs `{name}`"
        with pytest.MonkeyPatch.context() as patch:
            for key, value in command.variables:
                patch.setenv(key, value)
            status, printed = how(command, words)
        if command.output is not None:
            (self.folder / command.output).write_text(printed, encoding="utf-8") if name != "gateway" else None
        return status, printed

    def _gateway(self, command: Command, words: list[str]) -> tuple[int, str]:
        if self._serves(words):
            self._serve(command, words)
            return 0, ""
        application = build(load_plugins())
        done = CliRunner().invoke(
            application, words, prog_name="gateway", input="\n".join([*self._entered, *"yyy", ""])
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        if command.output is not None:
            (self.folder / command.output).write_text(done.stdout, encoding="utf-8")
        return done.exit_code, done.stdout if done.exit_code == 0 else done.output

    def _serves(self, words: list[str]) -> bool:
        """Whether this runs until somebody ends it."""
        if "--until-idle" in words or (words[:2] == ["events", "tail"] and "--follow" not in words):
            return False
        return any(tuple(words[: len(names)]) == names for names in _SERVES)

    def _serve(self, command: Command, words: list[str]) -> None:
        self._import_files()
        printed = self.folder / (command.output or f"printed-{len(self._serving)}.txt")
        with printed.open("wb") as file:
            child = subprocess.Popen(
                [sys.executable, "-u", "-m", "gateway.cli", *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self._serving.append((command, child))
        if words[0] != "events":  # what follows the events says nothing before there is one
            _wait_for(lambda: b"\n" in printed.read_bytes() or child.poll() is not None, f"{words} to be up")
        assert child.poll() is None, f"{words} ended: {printed.read_text(encoding='utf-8')}"

    def _curl(self, command: Command, words: list[str]) -> tuple[int, str]:
        """A call of what the page serves: of an address alone, or with `--json BODY`."""
        *options, address = words
        assert options == [] or (len(options) == 2 and options[0] == "--json"), words
        assert address.startswith(f"http://127.0.0.1:{self._port}/"), address
        body = options[1].encode() if options else None
        request = Request(address, body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=PATIENCE) as answer:
            return 0, answer.read().decode("utf-8")

    def _python(self, command: Command, words: list[str]) -> tuple[int, str]:
        if words[:2] == ["-m", "pytest"]:
            self._files.update(dict.fromkeys(words[2:], True))
            return self._pytest(command, words[2:])
        (file,) = words
        self._files[file] = True
        names = runpy.run_path(file, run_name="__main__")
        self._keep(names)
        return 0, ""

    def _pytest(self, command: Command, words: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(word for word in words if word != "-q")],
            cwd=self.folder,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _pip(self, command: Command, words: list[str]) -> tuple[int, str]:
        """Nothing is installed: what is named has to be what the project offers, or what its tests have."""
        assert words.pop(0) == "install"
        if words[:1] == ["--editable"]:
            assert words[1:] in (["."], [".[dev]"]), words
            self._install()
            return 0, ""
        for word in words:
            # Not on an index yet: the checkout itself.
            wanted = Requirement(f"{PROJECT['name']}{word[1:]}" if word.startswith(".[") else word)
            if wanted.name == PROJECT["name"]:
                assert wanted.extras <= set(PROJECT["optional-dependencies"]), word
            else:
                assert wanted.name in {Requirement(each).name for each in PROJECT["optional-dependencies"]["dev"]}, word
        return 0, ""

    def _install(self) -> None:
        """The distribution that the page has written, as an installer would make it known."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        packages = self.folder / "src" if (self.folder / "src").is_dir() else self.folder
        about = str(packages / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info")
        self.write(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = project["entry-points"]["gateway"]
        lines = "".join(f"{name} = {module}\n" for name, module in points.items())
        self.write(f"{about}/entry_points.txt", f"[gateway]\n{lines}")
        (extra,) = project["optional-dependencies"].values()
        for requirement in (*project["dependencies"], *extra):
            self._pip(Command(()), ["install", requirement])
        # Plugins are loaded once for what is allowed: this is a set that nobody else has.
        self._monkeypatch.setenv("GATEWAY_PLUGINS", ",".join([*sorted(load_plugins().providers), *points]))
        self._monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")]))
        self._monkeypatch.syspath_prepend(str(packages))
        importlib.invalidate_caches()

    def _make(self, command: Command, words: list[str]) -> tuple[int, str]:
        assert set(words) <= TARGETS, words
        return 0, ""

    # Files of the page

    def write(self, name: str, text: str) -> None:
        """A file that the page takes for granted."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _import_files(self) -> None:
        for file, used in list(self._files.items()):
            if not used and not Path(file).name.startswith("test_"):
                self._files[file] = True
                importlib.invalidate_caches()
                module = importlib.import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
                self.names.update({name: value for name, value in vars(module).items() if not name.startswith("__")})
                self._keep(vars(module))

    def _keep(self, names: dict[str, Any]) -> None:
        for value in names.values():
            if isinstance(value, Gateway):
                self._gateways[id(value)] = value

    def end(self) -> None:
        """Import what nothing has needed, run the tests that the page has, and end what still serves."""
        self._import_files()
        tests = [file for file, used in self._files.items() if not used and Path(file).name.startswith("test_")]
        if tests:
            status, printed = self._pytest(Command(()), tests)
            assert status == 0, printed
            assert re.search(r"\d+ passed", printed), printed
        for command, child in self._serving:
            child.send_signal(signal.SIGINT if "--follow" in command.words else signal.SIGTERM)
            status = child.wait(PATIENCE)
            assert status in ((130,) if "--follow" in command.words else (0,)), (command.words, status)

    def _forget_modules(self) -> None:
        for name in set(sys.modules) - self._modules:
            module = sys.modules[name]
            if str(getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                self._keep(vars(module))
                del sys.modules[name]

    def close(self) -> None:
        for _, child in self._serving:
            if child.poll() is None:
                child.kill()
                child.wait(PATIENCE)
        self._forget_modules()
        sys.modules.pop("shop", None)
        for gateway in self._gateways.values():
            with contextlib.suppress(Exception):
                gateway.close()


def _merged(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged, everything else is replaced."""
    both = dict(before)
    for key, value in change.items():
        both[key] = _merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


def _toml(data: dict[str, Any]) -> str:
    """The lines of one table, each value written where it stands."""
    _, _, lines = accounts_toml({"all": data}).partition("\n")
    return lines


def _invoice() -> str:
    return encode_invoice(
        ec.generate_private_key(ec.SECP256K1()),
        payment_hash=os.urandom(32),
        payment_secret=os.urandom(32),
        created_at=datetime.now(UTC),
        amount=Money("0.001", "BTC@lightning"),
        network="testnet",
        description="a supplier",
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
    return port


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


def running(
    folder: Path, monkeypatch: pytest.MonkeyPatch, postgres: Callable[[], str], sandbox: SandboxServer
) -> Iterator[Session]:
    session = Session(folder, sandbox, monkeypatch, postgres)
    try:
        yield session
    finally:
        session.close()
