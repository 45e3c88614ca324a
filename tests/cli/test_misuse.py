"""Everything that can be wrong on the line, in the configuration and in plugins, and the exit status of each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pluggy
import pytest
import typer
from typer.testing import CliRunner, Result

from gateway import hookspecs
from gateway.cli import app, main, plugins, session
from gateway.cli.output import Output, data_of, shown
from gateway.cli.qr import show_qr
from gateway.errors import StoreError
from gateway.hookspecs import hookimpl
from gateway.models.orders import OrderException, OrderStatus, PaymentInstructions, ProviderOrder
from gateway.plugins import Plugin, Plugins
from gateway.secrets import Raw
from gateway.testing import SandboxServer

Run = Callable[..., Result]

ORDER = ("orders", "create", "--reference", "r-1", "--price", "25.00 USD")
PAYOUT = ("withdrawals", "create", "--reference", "p-1", "--amount", "1 USDT@tron", "--account", "aurpay")
SETTLE = ("journal", "settle", "p-1", "--as", "failed", "--reason", "nothing there", "--yes")

TRADE = ("trades", "create", "--reference", "t-1", "--market", "BTC/USDC", "--side", "buy", "--volume", "1")
TRADE = (*TRADE, "--rate", "1", "--account", "emirex")
CARD = ("--customer", "c-1", "--account", "aurex")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Usage: gateway"),
        (("--json",), "no command was given"),
        (("orders",), "Usage: gateway orders"),
        (("nonsense",), "No such command 'nonsense'"),
        (("orders", "get"), "Missing argument"),
        (("orders", "list", "--status", "lost"), "--status"),
        (("orders", "list", "--limit", "0"), "--limit"),
        (("wallets", "list", "--kind", "cold"), "--kind"),
        ((*ORDER, "--metadata", "cart"), "--metadata is written KEY=VALUE"),
        ((*ORDER, "--metadata", "=1"), "--metadata is written KEY=VALUE"),
        ((*ORDER, "--metadata", "a=1", "--metadata", "a=2"), "--metadata states a twice"),
        (PAYOUT, "a payout has one destination"),
        ((*PAYOUT, "--to-invoice", "lnbc1", "--to-address", "T1"), "a payout has one destination"),
        ((*PAYOUT, "--to-invoice", "lnbc1", "--memo", "7"), "--memo belongs to --to-address"),
        ((*PAYOUT, "--to-card", "1"), "--to-card and --customer belong together"),
        ((*PAYOUT, "--to-address", "T1", "--customer", "c-1"), "--to-card and --customer belong together"),
        (("capabilities", "--provider", "aurpay", "--account", "shop"), "exclude each other"),
        (("freeze", "aurpay"), "say why it is frozen"),
        (("freeze", "aurpay", "--reason", "x", "--release"), "say why it is frozen"),
        (("journal", "settle", "p-1", "--as", "maybe", "--reason", "x"), "--as"),
        (("journal", "settle", "p-1", "--as", "done"), "--reason"),
        (("sandbox", "--port", "65536"), "--port"),
        (("--show-completion", "tcsh"), "--show-completion"),
    ],
)
def test_misuse_is_exit_status_2(cli: Run, shop: Path, words: tuple[str, ...], said: str) -> None:
    result = cli(*words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not (shop / "gateway.db").exists()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("orders", "create", "--reference", "r-1", "--price", "25"), "InvalidRequest"),
        (("orders", "create", "--reference", "r-1", "--price", "25.001 USD"), "InvalidRequest"),
        (("orders", "create", "--reference", "a b", "--price", "25 USD"), "InvalidRequest"),
        ((*ORDER, "--pay-with", "DOUBLOON"), "InvalidRequest"),
        ((*ORDER, "--account", "nobody"), "ConfigurationError"),
        ((*ORDER, "--account", "emirex"), "UnsupportedOperation"),
        (("orders", "get", "nothing"), "NotFound"),
        (("orders", "renew", "nothing"), "NotFound"),
        (("withdrawals", "get", "nothing"), "NotFound"),
        ((*PAYOUT, "--to-invoice", "", "--yes"), "InvalidRequest"),
        (("withdrawals", "create", "--reference", "p", "--amount", "x", "--to-address", "T", "-y"), "InvalidRequest"),
        (SETTLE, "NotFound"),
        (("freeze", "nobody", "--reason", "x"), "ConfigurationError"),
        (("freeze", "nobody", "--release"), "ConfigurationError"),
        (("freeze", "aurpay", "--reason", " "), "InvalidRequest"),
        (("capabilities", "--provider", "nobody"), "ConfigurationError"),
        (("capabilities", "--account", "nobody"), "ConfigurationError"),
        (("wallets", "list", "--account", "nobody"), "ConfigurationError"),
        (("sandbox", "--provider", "nobody"), "ConfigurationError"),
        (("sandbox", "--host", "192.0.2.1"), "ConfigurationError"),
        (("orders", "list", "--config", "elsewhere.toml"), "ConfigurationError"),
    ],
)
def test_a_gateway_error_is_exit_status_1(cli: Run, shop: Path, words: tuple[str, ...], kind: str) -> None:
    told = cli(*words)
    assert told.exit_code == 1, told.output
    assert told.stdout == ""
    first, *others = told.stderr.splitlines()
    assert first.startswith("error: ")
    assert [line.partition(": ")[0] for line in others] in ([], ["hint"])

    as_json = cli(*words, "--json")
    assert as_json.exit_code == 1
    assert as_json.stderr == ""
    error = json.loads(as_json.stdout)
    assert error["error"] == kind
    assert error["message"] in first
    assert [f"hint: {error['hint']}"] * bool(error["hint"]) == others


# Where the configuration comes from


def test_no_configuration_at_all(cli: Run) -> None:
    result = cli("orders", "list")
    assert result.exit_code == 1
    assert "there is no configuration" in result.stderr
    assert "--config or GATEWAY_CONFIG" in result.stderr


def test_the_file_is_named_on_either_side_of_the_command_or_by_the_environment(cli: Run, shop: Path) -> None:
    named = shop / "named.toml"
    named.write_text('store = "sqlite:///named.db"\n', encoding="utf-8")
    other = shop / "other.toml"
    other.write_text('store = "sqlite:///other.db"\n', encoding="utf-8")

    def store(*words: str, env: dict[str, str] | None = None) -> str:
        found = cli(*words, env=env)
        return Path(json.loads(found.stdout)["message"].removeprefix("there is no store at ")).name

    environment = {"GATEWAY_CONFIG": str(other)}
    assert store("store", "check", "--json") == "gateway.db"
    assert store("store", "check", "--json", env=environment) == "other.db"
    assert store("store", "check", "--config", str(named), "--json", env=environment) == "named.db"
    assert store("--json", "--config", str(named), "store", "check", env=environment) == "named.db"
    assert store("--config", str(other), "store", "check", "--json", "--config", str(named)) == "named.db"


def test_the_environment_alone_is_enough_for_the_store(cli: Run, folder: Path) -> None:
    result = cli("store", "check", "--json", env={"GATEWAY_STORE": f"sqlite:///{folder / 'alone.db'}"})
    assert "alone.db" in json.loads(result.stdout)["message"]


def test_a_secret_of_a_broken_configuration_is_not_shown(cli: Run, folder: Path) -> None:
    (folder / "gateway.toml").write_text(
        '[accounts.shop]\nprovider = "aurpay"\nauth = { kind = "api-key", api_kee = "hush-hush" }\n', encoding="utf-8"
    )
    result = cli("orders", "list")
    assert result.exit_code == 1
    assert "accounts.shop.auth" in result.stderr
    assert "hush-hush" not in result.output


# Confirmation


@pytest.mark.parametrize(
    "words",
    [
        (*PAYOUT, "--to-address", "T1"),
        SETTLE[:-1],
        ("freeze", "aurpay", "--release"),
        (*SETTLE[:-1], "--json"),
        TRADE,
        (*("cards", "create", "--reference", "k-1", "--name", "A", "--initial-balance", "1 USD"), *CARD),
        ("cards", "show", "1", "--reveal", *CARD),
        ("cards", "show", "1", "--reveal", "--json", *CARD),
        ("cards", "code", "1", *CARD),
    ],
)
def test_nothing_moves_unasked(cli: Run, shop: Path, server: SandboxServer, words: tuple[str, ...]) -> None:
    before = {name: len(calls) for name, calls in server.requests.items()}
    result = cli(*words)
    assert result.exit_code == 2
    assert result.stderr == ("error: this needs a confirmation, and nobody can be asked here\nhint: add --yes\n")
    assert {name: len(calls) for name, calls in server.requests.items()} == before
    assert not (shop / "gateway.db").exists()


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yes please\n"])
def test_anything_but_yes_is_no(asked: Run, server: SandboxServer, answer: str) -> None:
    before = len(server.requests["aurpay"])
    result = asked(*PAYOUT, "--to-address", "T1", answer=answer)
    assert result.exit_code == 1
    assert "Pay out 1 USDT@tron to T1 from aurpay (aurpay, sandbox) as p-1? [y/N] " in result.stderr
    assert "error: not confirmed: nothing was done" in result.stderr
    assert len(server.requests["aurpay"]) == before


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_yes_goes_on(asked: Run, answer: str) -> None:
    result = asked("--json", "freeze", "aurpay", "--release", answer=answer)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"account": "aurpay", "frozen": False}


def test_the_question_says_that_the_route_chooses(asked: Run) -> None:
    result = asked(*PAYOUT[:-2], "--to-address", "T1", answer="n\n")
    assert "to T1 from the first account that the routes allow, as p-1?" in result.stderr


# Interruptions and what is not the command's doing


def test_ctrl_c_is_exit_status_130(cli: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session.Session, "gateway", interrupted)
    result = cli("orders", "list")
    assert result.exit_code == 130
    assert result.stderr == "error: interrupted\n"


def test_a_mistake_of_ours_is_not_dressed_up(cli: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.Session, "gateway", lambda self: 1 // 0)
    assert isinstance(cli("orders", "list").exception, ZeroDivisionError)


@pytest.mark.parametrize("package", ["typer", "rich", "segno"])
def test_a_missing_extra_is_named(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from gateway.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"error: the command line needs the package {package}, which is not installed\n"
        'hint: pip install "crypto-gateway[cli]"\n'
    )


def test_another_missing_package_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        raise ModuleNotFoundError("No module named 'pydantic'", name="pydantic")

    monkeypatch.setattr(app, "run", run)
    with pytest.raises(ModuleNotFoundError):
        main()


def test_ctrl_c_before_there_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "run", run)
    assert main() == 130


# Plugins


class Shouting:
    """A plugin with a command, and one with a group of them."""

    @hookimpl
    def gateway_register_commands(self, cli: typer.Typer) -> None:
        @cli.command("shout")
        def shout(context: typer.Context, word: str) -> None:
            """Say it loudly."""
            if word == "fail":
                raise StoreError("nothing to shout with")
            context.obj.output.text(word.upper())

        group = typer.Typer()
        group.command("softly")(lambda: None)
        cli.add_typer(group, name="whisper")


class Raising:
    @hookimpl
    def gateway_register_commands(self, cli: typer.Typer) -> None:
        cli.command("half-done")(lambda: None)
        raise RuntimeError("first line\nsecond line")


class Hijacking:
    @hookimpl
    def gateway_register_commands(self, cli: typer.Typer) -> None:
        cli.command("freeze")(lambda: None)


class Untypable:
    @hookimpl
    def gateway_register_commands(self, cli: typer.Typer) -> None:
        @cli.command("odd")
        def odd(value: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
            """An annotation that nobody can resolve."""


@pytest.fixture
def with_plugins() -> Callable[..., Plugins]:
    def make(**objects: object) -> Plugins:
        manager = pluggy.PluginManager("gateway")
        manager.add_hookspecs(hookspecs)
        for name, plugin in objects.items():
            manager.register(plugin, name=name)
        return Plugins(manager, loaded=[Plugin("raising", "acme-raising", "1.2", "acme_raising")])

    return make


def test_a_plugin_adds_commands(with_plugins: Callable[..., Plugins]) -> None:
    built = app.build(with_plugins(shouting=Shouting()))
    assert CliRunner().invoke(built, ["shout", "hey"]).stdout == "HEY\n"
    assert CliRunner().invoke(built, ["whisper", "softly"]).exit_code == 0
    failed = CliRunner().invoke(built, ["--json", "shout", "fail"])
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["error"] == "StoreError"


def test_a_broken_plugin_is_reported_and_breaks_nothing(
    with_plugins: Callable[..., Plugins], capsys: pytest.CaptureFixture[str]
) -> None:
    built = app.build(
        with_plugins(raising=Raising(), hijacking=Hijacking(), untypable=Untypable(), shouting=Shouting())
    )
    raising, hijacking, untypable = capsys.readouterr().err.splitlines()
    assert raising == (
        "warning: the commands of the plugin raising (acme-raising 1.2) were left out: "
        "RuntimeError: first line second line"
    )
    assert hijacking.endswith(
        "plugin hijacking were left out: PluginError: there is a command of this name already: freeze"
    )
    assert untypable.startswith("warning: the commands of the plugin untypable were left out: ")
    commands = plugins.get_group(built).commands
    assert "shout" in commands
    assert {"half-done", "odd"}.isdisjoint(commands)
    assert CliRunner().invoke(built, ["freeze"]).exit_code == 2


def test_a_provider_that_failed_to_load_is_listed(monkeypatch: pytest.MonkeyPatch, with_plugins: Any, cli: Run) -> None:
    found = with_plugins()
    found.loaded[0] = Plugin("raising", "acme-raising", "1.2", "acme_raising", error="ImportError: no acme")
    monkeypatch.setattr("gateway.cli.providers.load_plugins", lambda: found)
    result = cli("providers", "--json")
    assert json.loads(result.stdout) == [
        {
            "name": "raising",
            "title": None,
            "distribution": "acme-raising",
            "version": "1.2",
            "entry_point": "acme_raising",
            "error": "ImportError: no acme",
        }
    ]


def test_no_sandbox_is_installed(monkeypatch: pytest.MonkeyPatch, with_plugins: Any, cli: Run) -> None:
    monkeypatch.setattr("gateway.plugins.load_plugins", with_plugins)
    result = cli("sandbox", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["message"] == "no installed provider has a sandbox"


def test_the_demo_may_be_missing_but_not_broken(monkeypatch: pytest.MonkeyPatch, with_plugins: Any) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(app, "import_module", missing)
    assert "demo" not in plugins.get_group(app.build(with_plugins())).commands
    monkeypatch.setattr(app, "import_module", lambda name: missing("starlette"))
    with pytest.raises(ModuleNotFoundError):
        app.build(with_plugins())


# What is shown


def test_metadata_is_left_as_it_is(cli: Run, shop: Path) -> None:
    made = cli(*ORDER, "--metadata", "exceptions=none", "--json")
    assert json.loads(made.stdout)["metadata"] == {"exceptions": "none"}


def test_exceptions_stand_in_one_order() -> None:
    order = ProviderOrder(
        provider_id="1",
        status=OrderStatus.PAID,
        exceptions=frozenset(OrderException),
        raw=Raw({"exceptions": ["b", "a"]}),
    )
    data = data_of(order)
    assert data["exceptions"] == sorted(OrderException)
    assert data["raw"] == {"exceptions": ["b", "a"]}


def test_what_has_no_qr_code(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.on_terminal = True
    show_qr(output, PaymentInstructions())
    assert capsys.readouterr() == ("", "")
    show_qr(output, PaymentInstructions(uri="bitcoin:" + "x" * 3000))
    assert capsys.readouterr() == ("", "warning: this is too long for a QR code\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        ({"b", "a"}, "a, b"),
        (("b", "a"), "b, a"),
        ({"done": 3, "unknown": 1}, "done 3, unknown 1"),
        ("a\tb\nc", "a b c"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202efdp.exe", "\\u202efdp.exe"),
        ("Größe •••", "Größe •••"),
    ],
)
def test_no_text_commands_the_terminal(value: object, text: str) -> None:
    assert shown(value) == text
