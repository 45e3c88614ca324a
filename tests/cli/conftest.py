"""A shop's folder with a configuration of running sandboxes, and the command in it: in this process or as its own."""

from __future__ import annotations

import hashlib
import os
import pty
import secrets
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner, Result

from gateway import Money
from gateway.cli import session
from gateway.cli.app import build
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer, accounts_toml, installed_sandboxes
from gateway.testing.lightning import encode_invoice

TIMEOUT = 60
COMMAND = [sys.executable, "-m", "gateway.cli"]
COLOURS = {"NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TTY_COMPATIBLE"}

Run = Callable[..., Result]
Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    """One for a module: tests in it use references of their own."""
    with SandboxServer(installed_sandboxes()) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the process in it."""
    monkeypatch.chdir(tmp_path)
    for name in COLOURS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def shop(folder: Path, server: SandboxServer) -> Path:
    """A folder with a gateway.toml: an account at every sandbox, named after it, and the store beside."""
    accounts = server.accounts()
    accounts["aurpay"] |= {"limits": {"per_withdrawal": "0.001 BTC"}}
    route = '\n[[routes]]\noperation = "orders.create"\naccounts = ["aurpay"]\n'
    (folder / "gateway.toml").write_text(accounts_toml(accounts) + route, encoding="utf-8")
    return folder


@pytest.fixture
def cli(folder: Path) -> Run:
    """`cli("orders", "list")` in this process, its output no terminal."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(build(load_plugins()), list(words), env=env, prog_name="gateway")

    return run


@pytest.fixture
def asked(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command with somebody there, who types `answer`."""
    monkeypatch.setattr(session, "interactive", lambda: True)

    def run(*words: str, answer: str) -> Result:
        return CliRunner().invoke(build(load_plugins()), list(words), input=answer)

    return run


@pytest.fixture
def process(folder: Path) -> Process:
    """The same as a process of its own, in pipes."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )

    return run


@dataclass
class Terminal:
    """A command on a pseudo-terminal: what it showed so far."""

    child: subprocess.Popen[bytes]
    master: int
    text: str = ""

    def read_until(self, expected: str | None) -> str:
        """Everything shown, once `expected` is there; None reads to the end. Fails after a time."""
        end = time.monotonic() + TIMEOUT
        while expected is None or expected not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"the terminal never showed {expected!r}, only {self.text!r}")
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # Linux' end of file, when the other side is closed
                piece = b""
            if not piece:
                assert expected is None, f"the command ended without showing {expected!r}: {self.text!r}"
                break
            self.text += piece.decode("utf-8", "replace").replace("\r\n", "\n")
        return self.text

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode("utf-8", "surrogateescape"))

    def end(self) -> int:
        """Read the rest, and give the exit status."""
        self.read_until(None)
        return self.child.wait(TIMEOUT)


@pytest.fixture
def terminal(folder: Path) -> Iterator[Callable[..., Terminal]]:
    """The command as a process of its own on a pseudo-terminal of 200 columns."""
    opened: list[Terminal] = []

    def run(*words: str, env: Mapping[str, str] | None = None) -> Terminal:
        master, slave = pty.openpty()
        child = subprocess.Popen(
            [*COMMAND, *words],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", **(env or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        opened.append(Terminal(child, master))
        return opened[-1]

    yield run
    for each in opened:
        if each.child.poll() is None:
            each.child.kill()
            each.child.wait(TIMEOUT)
        os.close(each.master)


@pytest.fixture
def invoice() -> Callable[[str], str]:
    """`invoice("0.0002")`: somebody's testnet invoice over that many bitcoin."""

    def make(amount: str) -> str:
        return encode_invoice(
            ec.generate_private_key(ec.SECP256K1()),
            payment_hash=hashlib.sha256(secrets.token_bytes(32)).digest(),
            payment_secret=secrets.token_bytes(32),
            created_at=datetime.now(UTC),
            amount=Money(amount, "BTC@lightning"),
            network="testnet",
            description="for a test",
        )

    return make
