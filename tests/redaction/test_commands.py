"""What the commands print, plain and as JSON, for a shop whose keys are in its configuration and in its ring."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.app import build
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer, accounts_toml
from gateway_aurpay.sandbox import AurpaySandbox
from gateway_emirex.sandbox import EmirexSandbox
from redaction.echo import Front
from redaction.net import Net

VAULT_KEY = "c0de" * 16
_numbers = itertools.count(1)

AT_PROVIDERS = (
    "doctor",
    "keys verify --account ring --label Main1",
    "keys verify --account shop",
    "keys issue --account shop --yes",
    "orders create --reference cart-{number} --price '9 USD' --pay-with USDT@tron --account shop",
    "orders fetch --account shop",
    "wallets list --account ring",
    "trades create --reference t-{number} --market BTC/USDC --side buy --volume 0.01 --rate 100 --account ring --yes",
    "request GET /nothing --account shop",
    "reconcile --account shop",
)
HERE = (
    "keys list",
    "keys show Main1 --account ring",
    "keys audit",
    "keys reveal Main1 --account ring",  # nobody is there to confirm it
    "orders list",
    "journal list",
    "events tail",
    "vault check",
    "store check",
    "store export",
)
ALONE = (
    "capabilities --account ring",
    "keys guide create --account ring --label Next1 --permission read",
    "keys edit Main1 --account ring --expires 2099-01-01",
    "keys show Nobody1 --account ring",
    "no-such-command",
)


class Shop:
    """A folder with a configuration that holds secrets itself; the command, whose words fall into the net."""

    def __init__(self, folder: Path, net: Net) -> None:
        self.folder, self.net = folder, net
        emirex, aurpay = EmirexSandbox(), AurpaySandbox()
        self.secret = net.new("secret in the ring")
        emirex.add_key("public-key-of-nobody", self.secret, permissions=("read", "trade", "withdraw"))
        aurpay.change_callback_secrets(net.new("callback token"), net.new("callback secret"))
        self.api_key = net.new("configured key")
        aurpay.add_api_key(self.api_key)
        self.wrong = net.new("wrong secret")
        callbacks = [net.canaries["callback token"], net.canaries["callback secret"]]
        # Each provider knows its own account's.
        self.fronts = [
            Front(emirex._app, lambda: [self.secret]),
            Front(aurpay._app, lambda: [self.api_key, *callbacks]),
        ]
        emirex._app, aurpay._app = self.fronts  # type: ignore[assignment]
        self.server = SandboxServer([emirex, aurpay])

    def configure(self) -> None:
        self.net.canaries["vault key"] = VAULT_KEY
        ring = self.server.account("emirex") | {"auth": {"kind": "ring"}, "timeout": 1}
        shop = self.server.account("aurpay") | {"auth": {"kind": "api-key", "api_key": self.api_key}, "timeout": 1}
        head = f'callback_key = "{self.net.new("callback key")}"\n[vault]\nkey = "{VAULT_KEY}"\n'
        (self.folder / "gateway.toml").write_text(head + accounts_toml({"ring": ring, "shop": shop}), encoding="utf-8")

    def run(self, line: str, *, typed: str | None = None) -> Result:
        import shlex

        words = shlex.split(line.format(number=next(_numbers)))
        result = CliRunner().invoke(build(load_plugins()), words, input=typed, prog_name="gateway")
        self.net.take(f"the output of `{line}`", result.output)
        if result.exception is not None:
            assert isinstance(result.exception, SystemExit), (line, result.exception)
            self.net.error(f"`{line}`", result.exception)
        return result

    def mode(self, mode: str) -> None:
        for front in self.fronts:
            front.mode = mode


@pytest.fixture
def within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Net], Shop]:
    monkeypatch.chdir(tmp_path)
    return lambda net: Shop(tmp_path, net)


# A command that meets what may be repeated waits as long as its account's timeout.
@pytest.mark.parametrize(
    ("mode", "as_json"),
    [("genuine", ""), ("genuine", " --json"), ("repeating", " --json"), ("401", ""), ("500", " --json")],
)
def test_no_secret_is_printed(within: Callable[[Net], Shop], mode: str, as_json: str) -> None:
    with Net() as net:
        shop = within(net)
        with shop.server:
            shop.configure()
            assert shop.run("vault init" + as_json).exit_code == 0
            added = shop.run(f"keys add Main1 --account ring{as_json}", typed=f"public-key-of-nobody\n{shop.secret}\n")
            assert added.exit_code == 0, added.output
            shop.mode(mode)
            refused = shop.run(f"keys add Main2 --account ring{as_json}", typed=f"public-key-2\n{shop.wrong}\n")
            assert refused.exit_code == 1, refused.output
            lines = (*AT_PROVIDERS, *HERE, *(ALONE if mode == "genuine" else ()))
            statuses = {line: shop.run(line + as_json).exit_code for line in lines}
        configured = (shop.folder / "gateway.toml").read_text(encoding="utf-8")
        assert shop.api_key in configured
        (shop.folder / "gateway.toml").unlink()
        net.files(shop.folder)
    ended = {
        status: {line.partition(" --")[0] for line, found in statuses.items() if found == status} for status in (1, 2)
    }
    assert ended[2] == {"keys reveal Main1"} | ({"no-such-command"} if mode == "genuine" else set())
    if mode == "genuine":
        assert ended[1] == {"request GET /nothing", "keys show Nobody1", "keys issue"}
    elif mode != "repeating":
        assert ended[1] >= {"doctor", "keys verify", "orders create", "wallets list", "trades create"}
