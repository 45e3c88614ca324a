"""Plugins as they are met in the wild: distributions of strangers, found by their metadata. What one of them does wrong
is told with where it came from, and harms nobody else.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway import Asset, Gateway, Money, OrderRequest, __version__, plugins
from gateway.cli.app import build
from gateway.cli.checks import Level, plugins_loaded
from gateway.contracts import CONTRACT_VERSION, Provider
from gateway.errors import ConfigurationError, InvalidRequest, PluginError
from gateway.observation import Record
from gateway.plugins import Plugin, load_plugins
from support.colours import opened
from support.installed import install
from support.loopback import Loopback
from support.toy import account, answers

REGISTERING = """
from gateway.hookspecs import hookimpl
from support.toy import provider

@hookimpl
def gateway_register_providers(register):
    register(provider({name!r}))
"""


class Site:
    """A folder of installed distributions, the first on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, distribution: str, text: str, *, point: str, module: str, version: str = "1.2.3") -> None:
        install(self.folder, distribution, version=version, points={point: module}, files={f"{module}.py": text})
        self.changed()

    def changed(self) -> None:
        importlib.invalidate_caches()
        plugins._load.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    plugins._load.cache_clear()


def found(name: str) -> Plugin:
    (plugin,) = [plugin for plugin in load_plugins().loaded if plugin.name == name]
    return plugin


def shown(*words: str) -> tuple[Any, str]:
    """What the command line prints as JSON, and what it complains of."""
    done = CliRunner().invoke(build(load_plugins()), [*words, "--json"], prog_name="gateway")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), done.stderr


# What is shown


def test_a_good_one_is_shown_with_where_it_comes_from(site: Site) -> None:
    site.add("acme-plugin", REGISTERING.format(name="acme"), point="acme", module="acme_plugin", version="4.5.6")
    rows, _ = shown("providers")
    assert [row for row in rows if row["name"] == "acme"] == [
        {
            "name": "acme",
            "title": "Acme",
            "distribution": "acme-plugin",
            "version": "4.5.6",
            "entry_point": "acme_plugin",
            "error": None,
        }
    ]


BROKEN: dict[str, tuple[str, str]] = {
    "raises at import": ("raise OSError('no such disk')", "OSError: no such disk"),
    "no Python": ("def (", "SyntaxError: "),
    "needs what is not there": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "panics": ("class Panic(BaseException): ...\nraise Panic('at the disco')", "Panic: at the disco"),
    "cannot say what it is": (
        "class Mute(Exception):\n    def __str__(self): raise OSError('no words')\nraise Mute",
        "Mute: which cannot be shown",
    ),
    "marks nothing": (
        REGISTERING.format(name="bad").replace("@hookimpl\n", ""),
        "gateway_register_providers is not marked with gateway.hookspecs.hookimpl, so it would never be called",
    ),
    "has nothing": ("x = 1", "so it does nothing"),
    "a hook to await": (
        REGISTERING.format(name="bad").replace("def gateway", "async def gateway"),
        "gateway_register_providers is a coroutine function",
    ),
    "a wrapper": (
        REGISTERING.format(name="bad").replace("@hookimpl", "@hookimpl(wrapper=True)") + "    yield",
        "gateway_register_providers is a wrapper",
    ),
    "says of no contract": (
        "from gateway.contracts import Provider\nProvider(name='bad', title='Bad')",
        "'contract'",
    ),
    **{
        f"a provider whose {change}": (REGISTERING.replace("{name!r}", f"'bad', {change}"), f"is not sound: {words}")
        for change, words in {
            "title=None": "title is of the type NoneType, not str",
            "title=' '": "title is empty",
            "settings=None": "settings is no subclass of gateway.contracts.AccountSettings",
            "settings=int": "settings is no subclass of gateway.contracts.AccountSettings",
            "adapter=None": "adapter cannot be called",
            "capabilities=None": "capabilities is of the type NoneType, not Capabilities",
            "rate_limit=60": "rate_limit is of the type int, not RateLimit",
            "settles_to='merchant'": "settles_to is of the type str, not Settlement",
            "sandbox='bad.sandbox'": "sandbox is 'bad.sandbox', not module:attribute",
            "keys={}": "keys is of the type dict, not KeyRules",
        }.items()
    },
    "raises at registration": (
        REGISTERING.format(name="bad") + "    raise ValueError('half-way')",
        "ValueError: half-way",
    ),
    "an unknown hook": (
        REGISTERING.format(name="bad") + "@hookimpl\ndef gateway_no_such_hook(): ...",
        "unknown hook 'gateway_no_such_hook'",
    ),
    "a built-in provider's name": (
        REGISTERING.format(name="aurpay"),
        "the name 'aurpay' is taken by crypto-gateway ",
    ),
    "what a later gateway has": (
        "from gateway.contracts import NotInventedYet",
        f"This is {__version__}, with contract {CONTRACT_VERSION}",
    ),
    "another contract": (
        REGISTERING.replace("{name!r}", "'bad', contract=7"),
        f"the provider bad is written for contract 7, this gateway has contract {CONTRACT_VERSION}",
    ),
    "another contract with fields of its own": (
        "from gateway.contracts import Provider\nProvider(name='bad', contract=7, moons=3)",
        f"the provider bad is written for contract 7, this gateway has contract {CONTRACT_VERSION}",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_is_shown_and_the_others_are_there(name: str, site: Site) -> None:
    text, words = BROKEN[name]
    site.add("good-plugin", REGISTERING.format(name="good"), point="zz-good", module="good_plugin")
    site.add("bad-plugin", text, point="a-bad", module="bad_plugin", version="0.0.9")
    rows, said = shown("providers")
    assert {"aurex", "aurpay", "emirex", "good"} <= {row["name"] for row in rows if row["error"] is None}
    (row,) = [row for row in rows if row["error"]]
    assert (row["name"], row["distribution"], row["version"], row["entry_point"]) == (
        "a-bad",
        "bad-plugin",
        "0.0.9",
        "bad_plugin",
    )
    assert words in row["error"]
    assert said == ""
    with pytest.raises(ConfigurationError, match="failed to load: a-bad"):
        load_plugins().provider("bad")


def test_a_broken_one_ends_it_where_that_is_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("bad-plugin", "raise OSError('no such disk')", point="bad", module="bad_plugin", version="0.0.9")
    monkeypatch.setenv("GATEWAY_STRICT_PLUGINS", "1")
    with pytest.raises(
        PluginError, match=r"the plugin bad of bad-plugin 0\.0\.9 failed to load: OSError: no such disk"
    ):
        load_plugins()


def test_metadata_that_is_broken_harms_nobody(site: Site) -> None:
    about = install(
        site.folder, "odd-plugin", points={"odd": "odd_plugin"}, files={"odd_plugin.py": REGISTERING.format(name="odd")}
    )
    (about / "METADATA").unlink()
    site.changed()
    plugin = found("odd")
    assert (plugin.distribution, plugin.providers, plugin.error) == ("unknown", ("odd",), None)


def test_fields_of_this_contract_are_still_checked() -> None:
    with pytest.raises(TypeError, match="moons"):
        Provider(name="bad", contract=CONTRACT_VERSION, moons=3)  # type: ignore[call-arg]


# Two that claim one name


@pytest.mark.parametrize("points", [("acme", "acme-too"), ("acme-too", "acme"), ("acme", "acme")])
def test_of_two_strangers_with_one_name_neither_is_there_and_both_are_named(
    site: Site, points: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alphabet must not decide who is given an account's key."""
    site.add("acme-one", REGISTERING.format(name="acme"), point=points[0], module="acme_one", version="1.0")
    site.add("acme-two", REGISTERING.format(name="acme"), point=points[1], module="acme_two", version="2.0")
    site.add("third-one", REGISTERING.format(name="third"), point="third", module="third_one", version="3.0")
    loaded = load_plugins()
    assert {"aurex", "aurpay", "emirex", "third"} == set(loaded.providers) == set(loaded.origins)
    rows, _ = shown("providers")
    for this, other in (("acme-one", "acme-two 2.0"), ("acme-two", "acme-one 1.0")):
        (row,) = [row for row in rows if row["distribution"] == this]
        assert f" is claimed by {other} as well, and given to nobody" in row["error"]
        assert "GATEWAY_PLUGINS" in row["error"]
        assert f"acme-one:{points[0]}" in row["error"]
        assert f"acme-two:{points[1]}" in row["error"]
        assert row["title"] is None
    findings = {line.found for line in plugins_loaded(loaded) if line.level is Level.PROBLEM}
    for origin in (f"{points[0]} (acme-one 1.0)", f"{points[1]} (acme-two 2.0)"):
        assert any(line.startswith(f"{origin} did not load: ") for line in findings)
    with pytest.raises(ConfigurationError, match=r"accounts\.shop\.provider: .*'acme'") as caught:
        Gateway(accounts={"shop": {"provider": "acme"}})
    assert "acme-one:" in str(caught.value)
    assert "acme-two:" in str(caught.value)
    assert "GATEWAY_PLUGINS" in str(caught.value)
    # Whoever is meant is named, and gets it.
    for number, distribution in enumerate(("acme-one", "acme-two")):
        monkeypatch.setenv("GATEWAY_PLUGINS", f"{distribution.replace('-', '_').upper()}:{points[number]}, third")
        assert {name: one.distribution for name, one in load_plugins().origins.items()} == {
            "acme": distribution,
            "third": "third-one",
        }
        assert load_plugins().missing == ()


def test_what_else_it_brings_is_not_there_either(site: Site) -> None:
    more = REGISTERING.format(name="acme") + "    register(provider('more'))\n" + OBSERVING.partition("hookimpl\n")[2]
    site.add("acme-one", more, point="a", module="acme_one")
    site.add("acme-two", REGISTERING.format(name="acme"), point="b", module="acme_two")
    site.add("acme-three", REGISTERING.format(name="more"), point="c", module="acme_three")
    loaded = load_plugins()
    assert set(loaded.providers) == {"aurex", "aurpay", "emirex"}
    assert [plugin.name for plugin in loaded.loaded if plugin.error] == ["a", "b", "c"]
    assert {name for name, _ in loaded.manager.list_name_plugin()} >= {"aurex"}
    assert not {"a", "b", "c"} & {name for name, _ in loaded.manager.list_name_plugin()}


def test_two_that_claim_one_name_end_it_where_that_is_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("acme-one", REGISTERING.format(name="acme"), point="a", module="acme_one", version="1.0")
    site.add("acme-two", REGISTERING.format(name="acme"), point="b", module="acme_two", version="2.0")
    monkeypatch.setenv("GATEWAY_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match=r"b of acme-two 2\.0 .* claimed by acme-one 1\.0 as well"):
        load_plugins()


def test_one_that_failed_keeps_no_name(site: Site) -> None:
    site.add("acme-one", "raise OSError('x')", point="acme", module="acme_one")
    site.add("acme-two", REGISTERING.format(name="acme"), point="acme-too", module="acme_two")
    assert load_plugins().origins["acme"].distribution == "acme-two"


def test_an_interrupt_while_one_is_loaded_is_an_interrupt(site: Site) -> None:
    site.add("slow-plugin", "raise KeyboardInterrupt", point="slow", module="slow_plugin")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_a_built_in_provider_that_fails_to_load_keeps_its_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("acme-one", REGISTERING.format(name="aurpay"), point="acme", module="acme_one")
    monkeypatch.setitem(sys.modules, "gateway_aurpay", None)
    assert "ModuleNotFoundError" in str(found("aurpay").error)
    assert "the name 'aurpay' is taken by crypto-gateway" in str(found("acme").error)
    assert "aurpay" not in load_plugins().providers


# What was asked for


def test_what_is_asked_for_and_not_installed_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("good-plugin", REGISTERING.format(name="good"), point="good", module="good_plugin")
    monkeypatch.setenv("GATEWAY_PLUGINS", "nosuch,other-plugin:good,good")
    done = CliRunner().invoke(build(load_plugins()), ["providers", "--json"], prog_name="gateway")
    assert done.exit_code == 1
    rows = {row["name"]: row["error"] for row in json.loads(done.stdout)}
    missing = "it is not installed, and GATEWAY_PLUGINS names it"
    assert rows == {"nosuch": missing, "other-plugin:good": missing, "good": None}
    assert "not installed, and named in GATEWAY_PLUGINS: nosuch, other-plugin:good" in done.stderr
    problems = [line for line in plugins_loaded(load_plugins()) if line.level is Level.PROBLEM]
    assert [line.found for line in problems] == [f"nosuch: {missing}", f"other-plugin:good: {missing}"]
    with pytest.raises(ConfigurationError, match=f"nosuch \\({missing}"):
        load_plugins().provider("nosuch")
    monkeypatch.setenv("GATEWAY_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="GATEWAY_PLUGINS names 'nosuch', which is not installed"):
        load_plugins()


# What a plugin can add


def test_assets(site: Site) -> None:
    text = """
from gateway import Asset
from gateway.assets import AssetKind
from gateway.hookspecs import hookimpl

@hookimpl
def gateway_register_assets(register):
    register(Asset("WILD", "wildnet", AssetKind.CRYPTO, 5))
"""
    site.add("wild-assets", text, point="wild", module="wild_assets")
    assert found("wild").assets == ("WILD@wildnet",)
    assert Asset.of("WILD@wildnet").decimals == 5
    request = OrderRequest(reference="a", price=Money("1", "USD"), pay_with="WILD@wildnet")
    assert request.pay_with == Asset.of("WILD@wildnet")
    assert found("wild").providers == ()
    rows, _ = shown("providers")
    assert [row["title"] for row in rows if row["name"] == "wild"] == [None]


COMMANDS = """
import typer
from gateway.hookspecs import hookimpl

@hookimpl
def gateway_register_commands(cli):
    @cli.command({name!r})
    def moons() -> None:
        '''How many there are.'''
        typer.echo("2 moons")
"""


def test_commands(site: Site) -> None:
    site.add("moon-plugin", COMMANDS.format(name="moons"), point="moon", module="moon_plugin")
    done = CliRunner().invoke(build(load_plugins()), ["moons"], prog_name="gateway")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "2 moons\n", "")


@pytest.mark.parametrize("group", [False, True], ids=["a command", "a command of a group"])
def test_a_command_that_fails_says_whose_it_is(site: Site, group: bool) -> None:
    text = COMMANDS.format(name="moons").replace("typer.echo(", "raise OSError(")
    if group:
        text = text.replace("    @cli", "    more = typer.Typer()\n    cli.add_typer(more, name='space')\n    @more")
    site.add("moon-plugin", text, point="moon", module="moon_plugin", version="0.1")
    words = ["space", "moons"] if group else ["moons"]
    done = CliRunner().invoke(build(load_plugins()), words, prog_name="gateway")
    assert isinstance(done.exception, OSError)
    assert done.exception.__notes__ == ["This is a command of the plugin moon (moon-plugin 0.1): tell its author."]


def test_what_one_prints_while_it_is_loaded_is_no_part_of_a_document(site: Site) -> None:
    text = "print('loading moons')\n" + COMMANDS.format(name="moons") + "    print('registering moons')\n"
    site.add("moon-plugin", text, point="moon", module="moon_plugin")
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "providers", "--json"],
        env={**os.environ, "PYTHONPATH": str(site.folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "moon" in {row["name"] for row in json.loads(done.stdout)}
    assert done.stderr.splitlines() == ["loading moons", "registering moons"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (COMMANDS.format(name="doctor"), "there is a command of this name already: doctor"),
        (COMMANDS.replace("    @cli", "    raise OSError('no such disk')\n    @cli").format(name="x"), "no such disk"),
        (
            "class Panic(BaseException):\n    def __str__(self): raise ValueError\n"
            + COMMANDS.replace("    @cli", "    raise Panic\n    @cli").format(name="x"),
            "Panic: which cannot be shown",
        ),
    ],
    ids=["taken", "raises", "panics"],
)
def test_commands_that_cannot_be_are_left_out_and_named(
    text: str, words: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add("moon-plugin", text, point="moon", module="moon_plugin", version="0.1")
    application = build(load_plugins())
    said = capsys.readouterr().err
    assert "the commands of the plugin moon (moon-plugin 0.1) were left out" in said
    assert words in said
    done = CliRunner().invoke(application, ["--version"], prog_name="gateway")
    assert done.stdout == f"crypto-gateway {__version__}\n"


OBSERVING = """
from gateway.hookspecs import hookimpl

told = []

@hookimpl
def gateway_observe(record):
    told.append(record)
"""
RAISING = """
from gateway.hookspecs import hookimpl

@hookimpl
def gateway_observe(record):
    raise {error}
"""
RECORD = Record(
    kind="operation",
    account="first",
    provider="toy",
    operation="orders.get",
    outcome="done",
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    seconds=0.1,
)


@pytest.fixture
def shop(site: Site) -> Iterator[Callable[..., Any]]:
    """`shop(colour)`: a gateway with two accounts of a toy provider, and all plugins of the site."""
    site.add("toy-plugin", REGISTERING.format(name="toy"), point="toy", module="toy_plugin")
    with Loopback(app=answers) as server:
        accounts = {"first": account(server.url), "second": account(server.url)}
        routes = [{"operation": "orders.create", "accounts": ["first", "second"]}]
        yield lambda colour: opened(colour, accounts=accounts, routes=routes, plugins=load_plugins())


CART = OrderRequest(reference="cart", price=Money(Decimal(1), "USD"))


@pytest.mark.parametrize("error", ["RuntimeError('x')", "SystemExit(3)", "BaseException('of its own kind')"])
def test_observers_of_which_one_raises(
    site: Site, shop: Callable[..., Any], colour: str, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    # One raises before the other in either order in which they may be asked.
    raising = RAISING.format(error=error)
    site.add("observer-a", raising, point="a-raising", module="observer_a")
    site.add("observer-b", OBSERVING, point="b-observing", module="observer_b")
    site.add("observer-c", raising, point="c-raising", module="observer_c")
    with shop(colour) as gw, caplog.at_level(logging.ERROR, "gateway"):
        order = gw.orders.create(CART)
    assert order.account == "first"
    told = sys.modules["observer_b"].told
    assert [record.outcome for record in told if record.kind == "operation"] == ["done"]
    said = {record.getMessage() for record in caplog.records}
    assert said == {f"the observer of the plugin {name} raised" for name in ("a-raising", "c-raising")}


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, BaseException])
def test_a_function_that_observes_and_raises(
    shop: Callable[..., Any], colour: str, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def raising(record: Any) -> None:
        raise error

    told: list[Any] = []
    with shop(colour) as gw, caplog.at_level(logging.ERROR, "gateway"):
        gw.observe(raising)
        gw.observe(told.append)
        assert gw.orders.create(CART).account == "first"
    assert [record.outcome for record in told if record.kind == "operation"] == ["done"]
    assert {record.getMessage() for record in caplog.records} == {"an observer raised"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("text", [None, RAISING], ids=["a function", "a plugin"])
def test_what_ends_a_call_from_outside_passes_an_observer(
    site: Site, text: str | None, error: type[BaseException]
) -> None:
    """A signal, the end of a generator or of a task may come while an observer runs: they are none of its mistakes."""

    def raising(record: Any) -> None:
        raise error

    if text:
        place = "import asyncio\n" + text.format(
            error=f"{'asyncio.' * (error is asyncio.CancelledError)}{error.__name__}"
        )
        site.add("observer-a", place, point="a-raising", module="observer_a")
    with Gateway(plugins=load_plugins()) as gw:
        if not text:
            gw.observe(raising)
        with pytest.raises(error):
            gw._core.observe(RECORD)


CHOOSING = """
from gateway.errors import InvalidRequest
from gateway.hookspecs import hookimpl

@hookimpl
def gateway_choose_account(candidates):
    {what}
"""


@pytest.mark.parametrize(
    ("choosers", "chosen"),
    [
        (["return 'second'"], "second"),
        (["return None"], "first"),
        (["return 'second'", "return None"], "second"),
        (["return candidates[-1]", "return None"], "second"),
    ],
)
def test_routing(site: Site, shop: Callable[..., Any], colour: str, choosers: Sequence[str], chosen: str) -> None:
    for number, what in enumerate(choosers):
        text = CHOOSING.format(what=what)
        site.add(f"chooser-{number}", text, point=f"chooser-{number}", module=f"chooser_{number}")
    with shop(colour) as gw:
        assert gw.orders.create(CART).account == chosen


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("raise SystemExit(3)", PluginError, "the plugin chooser failed to choose an account: SystemExit: 3"),
        ("raise KeyError('moons')", PluginError, "the plugin chooser failed to choose an account: KeyError: 'moons'"),
        ("return 'third'", ConfigurationError, "the plugin chooser chose the account 'third', which is not among"),
        ("raise InvalidRequest('not on Sundays')", InvalidRequest, "not on Sundays"),
    ],
)
def test_routing_that_goes_wrong_sends_nothing(
    site: Site, shop: Callable[..., Any], colour: str, what: str, error: type[Exception], words: str
) -> None:
    site.add("some-chooser", CHOOSING.format(what=what), point="chooser", module="some_chooser")
    with shop(colour) as gw:
        with pytest.raises(error, match=words) as caught:
            gw.orders.create(CART)
        assert getattr(caught.value, "outcome", None) == "not_sent"
        assert gw.journal.list() == []
        # The call that names its account asks nobody.
        assert gw.orders.create(CART, account="second").account == "second"
