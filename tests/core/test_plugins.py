"""Plugins are loaded one by one: a broken one is reported with where it came from, and breaks nothing else."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pluggy
import pytest

from gateway import Asset, Gateway, hookspecs, plugins
from gateway.assets import AssetKind, known_assets
from gateway.errors import ConfigurationError, PluginError
from gateway.hookspecs import hookimpl
from gateway.plugins import Plugins, add, load_plugins
from support.colours import opened
from support.loopback import Loopback
from support.toy import account, answers, provider


class Distribution(metadata.Distribution):
    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename in ("METADATA", "PKG-INFO") else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


class Installed:
    """Entry points whose modules exist in memory only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.points: list[metadata.EntryPoint] = []

    def module(self, name: str, **hooks: Any) -> str:
        module = types.ModuleType(name)
        for hook, function in hooks.items():
            setattr(module, hook, hookimpl(function) if callable(function) else function)
        self._monkeypatch.setitem(sys.modules, name, module)
        return name

    def point(self, name: str, value: str, *, distribution: str = "some-plugin", version: str = "9.8") -> Any:
        point = metadata.EntryPoint(name, value, plugins.GROUP)
        vars(point).update(dist=Distribution(distribution, version))
        self.points.append(point)
        return point

    def providing(self, name: str, *registered: Any, **more: Any) -> Any:
        def gateway_register_providers(register: Any) -> None:
            for item in registered:
                register(item)

        module = self.module(
            f"plugin_of_{name.replace('-', '_')}", gateway_register_providers=gateway_register_providers
        )
        return self.point(name, module, **more)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    made = Installed(monkeypatch)
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: made.points if group == plugins.GROUP else [])
    plugins._load.cache_clear()
    yield made
    plugins._load.cache_clear()


@pytest.fixture
def empty() -> Plugins:
    manager = pluggy.PluginManager("gateway")
    manager.add_hookspecs(hookspecs)
    return Plugins(manager)


def raising(error: BaseException) -> Any:
    def gateway_register_providers(register: Any) -> None:
        register(provider("half"))
        raise error

    return gateway_register_providers


def gateway_register_provider(register: Any) -> None:
    """A hook that does not exist."""


def gateway_event(wrong: Any) -> None:
    """A hook with an argument that it does not have."""


class TestAGoodOne:
    def test_registers_and_is_remembered(self, installed: Installed, empty: Plugins) -> None:
        plugin = add(empty, installed.providing("acme", provider("acme"), provider("acme-2")))
        assert (plugin.distribution, plugin.version, plugin.module) == ("some-plugin", "9.8", "plugin_of_acme")
        assert (plugin.providers, plugin.error) == (("acme", "acme-2"), None)
        assert empty.provider("acme-2").title == "Acme-2"
        assert empty.origins["acme"] == plugin == empty.loaded[0]

    def test_may_bring_assets(self, installed: Installed, empty: Plugins) -> None:
        coin = Asset("PLUG", "plugnet", AssetKind.CRYPTO, 5)

        def gateway_register_assets(register: Any) -> None:
            register(coin)

        module = installed.module("plugin_of_assets", gateway_register_assets=gateway_register_assets)
        assert add(empty, installed.point("assets", module)).assets == ("PLUG@plugnet",)
        assert Asset.of("PLUG@plugnet").decimals == 5

    def test_may_choose_and_observe(self, installed: Installed, colour: str) -> None:
        told: list[Any] = []

        def gateway_register_providers(register: Any) -> None:
            register(provider())

        def gateway_choose_account(request: Any, candidates: Any) -> Any:
            return choice or candidates[-1]

        def gateway_observe(record: Any) -> None:
            told.append(record)

        choice = ""
        hooks = (gateway_register_providers, gateway_choose_account, gateway_observe)
        installed.point("toy", installed.module("plugin_of_toy", **{hook.__name__: hook for hook in hooks}))
        with Loopback(app=answers) as server:
            accounts = {"first": account(server.url), "second": account(server.url)}
            routes = [{"operation": "orders.create", "accounts": ["first", "second"]}]
            with opened(colour, accounts=accounts, routes=routes, plugins=load_plugins()) as gw:
                from gateway import Money, OrderRequest

                request = OrderRequest(reference="a", price=Money(1, "USD"))
                assert gw.orders.create(request).account == "second"
                assert {record.account for record in told} == {"second"}
                choice = "third"
                with pytest.raises(ConfigurationError, match="'third'"):
                    gw.orders.create(request.model_copy(update={"reference": "b"}))


BROKEN: dict[str, tuple[Any, str]] = {
    "import failure": (lambda i: i.point("bad", "no_such_module_at_all"), "ModuleNotFoundError"),
    "no such attribute": (lambda i: i.point("bad", "json:nothing"), "AttributeError"),
    "raises": (
        lambda i: i.point("bad", i.module("bad_1", gateway_register_providers=raising(OSError("x")))),
        "OSError: x",
    ),
    "exits": (
        lambda i: i.point("bad", i.module("bad_2", gateway_register_providers=raising(SystemExit(3)))),
        "SystemExit",
    ),
    "several lines": (
        lambda i: i.point("bad", i.module("bad_3", gateway_register_providers=raising(ValueError("a\nb")))),
        "ValueError: a",
    ),
    "unknown hook": (
        lambda i: i.point("bad", i.module("bad_4", gateway_register_provider=gateway_register_provider)),
        "gateway_register_provider",
    ),
    "wrong argument": (lambda i: i.point("bad", i.module("bad_5", gateway_event=gateway_event)), "wrong"),
    "no provider": (lambda i: i.providing("bad", "acme"), "registered str, not a gateway.contracts.Provider"),
    "another contract": (lambda i: i.providing("bad", provider("new", contract=2)), "contract 2"),
    "a name that is none": (lambda i: i.providing("bad", provider("Bad Name")), "not a provider's name"),
    "twice the same": (lambda i: i.providing("bad", provider("half"), provider("half")), "registered twice"),
    "a name that is taken": (
        lambda i: i.providing("bad", provider("half"), provider("good")),
        "taken by crypto-gateway 1.2",
    ),
    "no asset": (
        lambda i: i.point(
            "bad",
            i.module("bad_6", gateway_register_assets=lambda register: [register(Asset("HALF", "x")), register(5)]),
        ),
        "registered int, not an Asset",
    ),
    "an asset with other facts": (
        lambda i: i.point(
            "bad",
            i.module(
                "bad_7",
                gateway_register_assets=lambda register: [register(Asset("HALF", "x")), register(Asset("USD"))],
            ),
        ),
        "USD is already registered",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
class TestABrokenOne:
    def test_is_reported_and_breaks_nothing_else(self, name: str, installed: Installed, empty: Plugins) -> None:
        make, words = BROKEN[name]
        add(empty, installed.providing("good", provider("good"), distribution="crypto-gateway", version="1.2"))
        assets = list(known_assets())
        hooks = len(empty.manager.get_plugins())
        plugin = add(empty, make(installed))
        assert plugin.error is not None
        assert words in plugin.error
        assert "\n" not in plugin.error
        assert (plugin.distribution, plugin.version, plugin.providers) == ("some-plugin", "9.8", ())
        # Nothing of it counts, not even what it registered before it failed.
        assert set(empty.providers) == {"good"}
        assert list(known_assets()) == assets
        assert len(empty.manager.get_plugins()) == hooks
        assert add(empty, installed.providing("later", provider("later"))).error is None
        assert set(empty.providers) == {"good", "later"}
        with pytest.raises(ConfigurationError) as caught:
            empty.provider("acme")
        assert f"installed: good, later; failed to load: bad ({plugin.error})" in str(caught.value)

    def test_is_fatal_where_that_is_asked_for(
        self, name: str, installed: Installed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make, words = BROKEN[name]
        installed.providing("a-good-one", provider("good"), distribution="crypto-gateway", version="1.2")
        make(installed)
        assert [plugin.name for plugin in load_plugins().loaded if plugin.error] == ["bad"]
        monkeypatch.setenv("GATEWAY_STRICT_PLUGINS", "1")
        with pytest.raises(PluginError, match=r"the plugin bad of some-plugin 9\.8 failed to load") as caught:
            load_plugins()
        assert words in str(caught.value)


def test_a_module_that_two_names_point_to_stays_as_the_first(installed: Installed, empty: Plugins) -> None:
    first = installed.providing("first", provider("acme"))
    assert add(empty, first).error is None
    assert "already registered" in str(add(empty, installed.point("second", first.value)).error)
    assert empty.manager.get_plugin("first") is sys.modules[first.value]


def test_a_plugin_without_a_distribution_is_loaded(installed: Installed, empty: Plugins) -> None:
    point = installed.providing("acme", provider("acme"))
    vars(point).update(dist=None)
    plugin = add(empty, point)
    assert (plugin.distribution, plugin.version, plugin.error) == ("unknown", "unknown", None)


def test_gateway_plugins_limits_what_is_loaded(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two", "three"):
        installed.providing(name, provider(name))
    assert set(load_plugins().providers) == {"one", "two", "three"}
    monkeypatch.setenv("GATEWAY_PLUGINS", " one, three ,,nobody")
    assert set(load_plugins().providers) == {"one", "three"}
    assert load_plugins().missing == ("nobody",)
    assert load_plugins().loaded[0].error == "it is not installed, and GATEWAY_PLUGINS names it"
    monkeypatch.setenv("GATEWAY_PLUGINS", "")
    assert load_plugins().providers == {}
    with pytest.raises(ConfigurationError, match="installed: none"):
        load_plugins().provider("one")


def test_loading_happens_once(installed: Installed) -> None:
    installed.providing("one", provider("one"))
    assert load_plugins() is load_plugins()


def test_the_built_in_providers_come_through_their_entry_points() -> None:
    loaded = load_plugins()
    assert {"aurex", "aurpay", "emirex"} <= set(loaded.providers)
    assert {loaded.origins[name].distribution for name in ("aurex", "aurpay", "emirex")} == {"crypto-gateway"}
    assert [plugin.error for plugin in loaded.loaded] == [None] * len(loaded.loaded)


def test_a_gateway_names_a_provider_that_failed_to_load(installed: Installed) -> None:
    installed.point("acme", "no_such_module_at_all")
    with pytest.raises(ConfigurationError) as caught:
        Gateway(accounts={"shop": {"provider": "acme"}})
    assert "accounts.shop.provider: no provider is called 'acme'" in str(caught.value)
    assert "acme (ModuleNotFoundError" in str(caught.value)
