"""Finding plugins and loading them one by one, so that a broken one is reported and breaks nothing else."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

import pluggy

from gateway import hookspecs
from gateway._version import __version__
from gateway.assets import Asset, register_asset
from gateway.contracts.adapter import CONTRACT_VERSION, Provider, another_contract
from gateway.errors import ConfigurationError, PluginError

__all__ = ["GROUP", "Plugin", "Plugins", "implementations", "load_plugins"]

GROUP = "gateway"
_OWN = "crypto-gateway"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin: where it came from, what it registered, and why it is not there if it is not."""

    name: str
    distribution: str
    version: str
    module: str
    providers: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    error: str | None = None


@dataclass
class Plugins:
    """What is installed and loaded."""

    manager: pluggy.PluginManager
    providers: dict[str, Provider] = field(default_factory=dict)
    origins: dict[str, Plugin] = field(default_factory=dict)
    loaded: list[Plugin] = field(default_factory=list)

    def provider(self, name: str) -> Provider:
        """The provider of this name; ConfigurationError names what is installed and what failed to load."""
        if name in self.providers:
            return self.providers[name]
        failed = [f"{plugin.name} ({plugin.error})" for plugin in self.loaded if plugin.error]
        hint = "installed: " + (", ".join(sorted(self.providers)) or "none")
        if failed:
            hint += "; failed to load: " + "; ".join(failed)
        raise ConfigurationError(f"no provider is called {name!r}", hint=hint)


def load_plugins() -> Plugins:
    """Load what `GATEWAY_PLUGINS` (names, separated by commas; unset: all) allows; once for a process and setting.

    With `GATEWAY_STRICT_PLUGINS=1` the first plugin that fails raises PluginError.
    """
    return _load(os.environ.get("GATEWAY_PLUGINS"), os.environ.get("GATEWAY_STRICT_PLUGINS") == "1")


@functools.lru_cache(maxsize=8)
def _load(allowed: str | None, strict: bool) -> Plugins:
    manager = pluggy.PluginManager("gateway")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    names = None if allowed is None else {name.strip() for name in allowed.split(",") if name.strip()}
    for entry_point in sorted(metadata.entry_points(group=GROUP), key=_turn):
        if names is not None and entry_point.name not in names:
            continue
        add(plugins, entry_point, strict=strict)
    return plugins


def add(plugins: Plugins, entry_point: metadata.EntryPoint, *, strict: bool = False) -> Plugin:
    """Load one entry point. Whatever goes wrong is kept in the returned Plugin, or raised when `strict`."""
    plugin = Plugin(entry_point.name, *_origin(entry_point), module=entry_point.value)
    module: Any = None
    fresh = False
    try:
        taken = next((other for other in plugins.loaded if other.name == plugin.name and not other.error), None)
        if taken is not None:
            raise PluginError(f"the entry point {plugin.name!r} is taken by {taken.distribution} {taken.version}")
        module = entry_point.load()
        fresh = not plugins.manager.is_registered(module)
        plugins.manager.register(module, name=entry_point.name)
        plugins.manager.check_pending()
        providers, assets = _registered(plugins, module)
        register_asset(*assets)
    except (Exception, SystemExit) as error:  # a plugin may raise anything at all
        if fresh and plugins.manager.is_registered(module):
            plugins.manager.unregister(module)
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "gateway":
            words += f"; is it written for another gateway? This is {__version__}, with contract {CONTRACT_VERSION}"
        plugin = replace(plugin, error=words)
        if strict:
            raise PluginError(
                f"the plugin {plugin.name} of {plugin.distribution} {plugin.version} failed to load: {words}",
                hint="update or uninstall it, leave it out of GATEWAY_PLUGINS, or unset GATEWAY_STRICT_PLUGINS",
            ) from error
    else:
        plugin = replace(plugin, providers=tuple(providers), assets=tuple(asset.code for asset in assets))
        plugins.providers.update(providers)
        plugins.origins.update(dict.fromkeys(providers, plugin))
    plugins.loaded.append(plugin)
    return plugin


def _turn(entry_point: metadata.EntryPoint) -> tuple[bool, str, str]:
    """The first to claim a name keeps it: the gateway's own first, so that nobody takes a built-in provider's place."""
    distribution, _ = _origin(entry_point)
    return distribution != _OWN, entry_point.name, distribution


def _origin(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    """The name and the version of its distribution, whatever state its metadata is in."""
    try:
        distribution = entry_point.dist
        if distribution is not None:
            return distribution.name or "unknown", distribution.version or "unknown"
    except Exception:  # a METADATA that is missing or broken
        pass
    return "unknown", "unknown"


def implementations(plugins: Plugins, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each plugin's own function for a hook, with the plugin's name, in the order in which they are asked. It is called
    with the hook's parameters by name. So one that raises is known by name, and keeps none of the others from its turn.
    """
    for implementation in reversed(getattr(plugins.manager.hook, hook).get_hookimpls()):
        if not (implementation.wrapper or implementation.hookwrapper):  # there is no one call to be around
            yield implementation.plugin_name, functools.partial(_called, implementation)


def _called(implementation: pluggy.HookImpl, **parameters: Any) -> Any:
    """A hook may leave out what it does not need."""
    return implementation.function(*(parameters[name] for name in implementation.argnames))


def _registered(plugins: Plugins, module: Any) -> tuple[dict[str, Provider], list[Asset]]:
    """What this plugin alone registers; nothing of it counts unless all of it is sound."""
    others = [plugin for plugin in plugins.manager.get_plugins() if plugin is not module]
    providers: dict[str, Provider] = {}
    assets: list[Asset] = []

    def register(provider: Provider) -> None:
        if not isinstance(provider, Provider):
            raise PluginError(f"registered {type(provider).__name__}, not a gateway.contracts.Provider")
        if provider.contract != CONTRACT_VERSION:
            raise PluginError(another_contract(provider.name, provider.contract))
        if not _NAME.fullmatch(provider.name):
            raise PluginError(f"not a provider's name: {provider.name[:40]!r}; lower case letters, digits and '-'")
        taken = plugins.origins.get(provider.name)
        if taken is not None:
            raise PluginError(f"the name {provider.name!r} is taken by {taken.distribution} {taken.version}")
        if provider.name in providers:
            raise PluginError(f"the name {provider.name!r} is registered twice")
        providers[provider.name] = provider

    hooks: Mapping[str, Any] = {"gateway_register_providers": register, "gateway_register_assets": assets.append}
    for hook, function in hooks.items():
        plugins.manager.subset_hook_caller(hook, remove_plugins=others)(register=function)
    return providers, assets
