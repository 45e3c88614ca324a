"""Finding plugins and loading them one by one, so that a broken one is reported and breaks nothing else."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

import pluggy

from gateway import hookspecs
from gateway._version import __version__
from gateway.assets import Asset, register_asset
from gateway.capabilities import Capabilities
from gateway.contracts.adapter import CONTRACT_VERSION, Provider, RateLimit, another_contract
from gateway.contracts.keys import KeyRules
from gateway.contracts.settings import AccountSettings
from gateway.errors import ConfigurationError, PluginError
from gateway.models.orders import Settlement

__all__ = ["GROUP", "Plugin", "Plugins", "implementations", "load_plugins", "told"]

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

    @property
    def origin(self) -> str:
        """What messages call it."""
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass
class Plugins:
    """What is installed and loaded."""

    manager: pluggy.PluginManager
    providers: dict[str, Provider] = field(default_factory=dict)
    origins: dict[str, Plugin] = field(default_factory=dict)
    loaded: list[Plugin] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    """What `GATEWAY_PLUGINS` names and nobody has installed; in `loaded` too, with that as its error."""
    claims: dict[str, list[Plugin]] = field(default_factory=dict)
    """Who claims which provider's name, besides the gateway's own. More than one: none of them has it."""

    def provider(self, name: str) -> Provider:
        """The provider of this name; ConfigurationError names what is installed and what failed to load."""
        if name in self.providers:
            return self.providers[name]
        rivals = self.claims.get(name, [])
        if len(rivals) > 1:
            raise ConfigurationError(
                f"the provider {name!r} is claimed by {' and '.join(plugin.origin for plugin in rivals)}, "
                "and given to nobody",
                hint=_only_one(rivals),
            )
        failed = [f"{plugin.name} ({plugin.error})" for plugin in self.loaded if plugin.error]
        hint = "installed: " + (", ".join(sorted(self.providers)) or "none")
        if failed:
            hint += "; failed to load: " + "; ".join(failed)
        raise ConfigurationError(f"no provider is called {name!r}", hint=hint)


def load_plugins() -> Plugins:
    """Load what `GATEWAY_PLUGINS` (see `_Allowed`; unset: all) allows; once for a process and setting.

    With `GATEWAY_STRICT_PLUGINS=1` the first plugin that fails raises PluginError.
    """
    return _load(os.environ.get("GATEWAY_PLUGINS"), os.environ.get("GATEWAY_STRICT_PLUGINS") == "1")


@functools.lru_cache(maxsize=8)
def _load(allowed: str | None, strict: bool) -> Plugins:
    manager = pluggy.PluginManager("gateway")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    wanted = _Allowed(allowed)
    found = [point for point in sorted(metadata.entry_points(group=GROUP), key=_turn) if wanted.has(point)]
    for name in wanted.unmet():
        _missing(plugins, name, strict=strict)
    for point in found:
        # Of two that are called the same none is loaded: which one an account gets is not for the alphabet to say.
        rivals = [other for other in found if other.name == point.name and _origin(other)[0] != _OWN]
        add(plugins, point, strict=strict, rivals=rivals if _origin(point)[0] != _OWN else ())
    return plugins


class _Allowed:
    """`GATEWAY_PLUGINS`: names of entry points, separated by commas; `DISTRIBUTION:NAME` is that of one distribution
    alone. None allows all.
    """

    def __init__(self, text: str | None) -> None:
        self._names = None if text is None else dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
        self._met: set[str] = set()

    def has(self, point: metadata.EntryPoint) -> bool:
        if self._names is None:
            return True
        distribution = _normal(_origin(point)[0])
        found = {name for name in self._names if _asked(name) in (("", point.name), (distribution, point.name))}
        self._met |= found
        return bool(found)

    def unmet(self) -> list[str]:
        return [name for name in self._names or () if name not in self._met]


def _asked(name: str) -> tuple[str, str]:
    distribution, _, point = name.rpartition(":")
    return _normal(distribution), point


def _normal(distribution: str) -> str:
    """As indexes compare the names of distributions (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def _missing(plugins: Plugins, name: str, *, strict: bool) -> None:
    words = "it is not installed, and GATEWAY_PLUGINS names it"
    if strict:
        raise PluginError(
            f"GATEWAY_PLUGINS names {name!r}, which is not installed",
            hint="install it, correct GATEWAY_PLUGINS, or unset GATEWAY_STRICT_PLUGINS",
        )
    plugins.missing += (name,)
    plugins.loaded.append(Plugin(name, "unknown", "unknown", module="", error=words))


def add(
    plugins: Plugins,
    entry_point: metadata.EntryPoint,
    *,
    strict: bool = False,
    rivals: Sequence[metadata.EntryPoint] = (),
) -> Plugin:
    """Load one entry point. Whatever goes wrong is kept in the returned Plugin, or raised when `strict`. `rivals` are
    the strangers' entry points of its name, with itself.
    """
    plugin = Plugin(entry_point.name, *_origin(entry_point), module=entry_point.value)
    module: Any = None
    fresh = False
    try:
        taken = next((other for other in plugins.loaded if other.name == plugin.name and not other.error), None)
        if taken is not None:
            raise PluginError(f"the entry point {plugin.name!r} is taken by {taken.distribution} {taken.version}")
        if len(rivals) > 1:
            every = [Plugin(rival.name, *_origin(rival), module=rival.value) for rival in rivals]
            others = [other for other, rival in zip(every, rivals, strict=True) if rival is not entry_point]
            raise _contested(f"the entry point {plugin.name!r}", others, every)
        module = entry_point.load()
        _marked(module)
        fresh = not plugins.manager.is_registered(module)
        plugins.manager.register(module, name=entry_point.name)
        plugins.manager.check_pending()
        providers, assets = _registered(plugins, module)
        register_asset(*assets)
        if plugin.distribution != _OWN:
            _claim(plugins, plugin, providers)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything at all
        if fresh and plugins.manager.is_registered(module):
            plugins.manager.unregister(module)
        words = told(error)
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


def told(error: BaseException) -> str:
    """A plugin's exception in one line; also of one that cannot say what it is."""
    try:
        words = str(error)
    except Exception:
        words = "which cannot be shown"
    return " ".join(f"{type(error).__name__}: {words}".split())[:500]


def _marked(module: Any) -> None:
    """Raises PluginError for a hook that would never be called, or never do what it is there for."""
    marker = f"{hookspecs.hookimpl.project_name}_impl"
    hooks = [name for name, spec in vars(hookspecs).items() if hasattr(spec, f"{hookspecs.hookimpl.project_name}_spec")]
    found = {name: getattr(module, name) for name in hooks if callable(getattr(module, name, None))}
    for name, function in found.items():
        options = getattr(function, marker, None)
        if options is None:
            raise PluginError(f"{name} is not marked with gateway.hookspecs.hookimpl, so it would never be called")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise PluginError(f"{name} is a coroutine function: hooks are called, not awaited")
        if options["wrapper"] or options["hookwrapper"]:
            raise PluginError(f"{name} is a wrapper: every plugin's hook is called by itself, with nothing around it")
    if not found and not any(hasattr(getattr(module, name, None), marker) for name in dir(module)):
        raise PluginError("it has no function that is marked with gateway.hookspecs.hookimpl, so it does nothing")


def _unsound(provider: Provider) -> str:
    """What of a provider cannot be right, in words; empty where nothing is. It would fail for everybody who lists
    providers otherwise.
    """
    kinds: dict[str, tuple[type, ...]] = {
        "title": (str,),
        "capabilities": (Capabilities,),
        "settles_to": (Settlement,),
        "rate_limit": (RateLimit, type(None)),
        "keys": (KeyRules, type(None)),
        "sandbox": (str, type(None)),
        "documentation": (str, type(None)),
    }
    for name, allowed in kinds.items():
        value = getattr(provider, name)
        if not isinstance(value, allowed):
            return f"{name} is of the type {type(value).__name__}, not {allowed[0].__name__}"
    if not provider.title.strip():
        return "title is empty"
    settings: Any = provider.settings
    if not (isinstance(settings, type) and issubclass(settings, AccountSettings)):
        return "settings is no subclass of gateway.contracts.AccountSettings"
    if not callable(getattr(provider, "adapter", None)):
        return "adapter cannot be called"
    if provider.sandbox is not None and not all(provider.sandbox.partition(":")):
        return f"sandbox is {provider.sandbox[:80]!r}, not module:attribute"
    return ""


def _claim(plugins: Plugins, plugin: Plugin, providers: Iterable[str]) -> None:
    """It claims these names. Where another stranger's plugin claims one of them too, neither is there, the one that was
    loaded before included: an account would hand its key to the one that the alphabet puts first.
    """
    names = list(providers)
    for name in names:
        plugins.claims.setdefault(name, []).append(plugin)
    for name in names:
        every = plugins.claims[name]
        for rival in every[:-1]:
            _drop(plugins, rival, _contested(f"the provider {name!r}", [plugin], every))
    for name in names:
        every = plugins.claims[name]
        if len(every) > 1:
            raise _contested(f"the provider {name!r}", every[:-1], every)


def _drop(plugins: Plugins, plugin: Plugin, error: PluginError) -> None:
    """Take a plugin that was loaded out again. Its assets stay known: they are facts, and name nobody."""
    place = next((at for at, other in enumerate(plugins.loaded) if other.name == plugin.name and not other.error), None)
    if place is None:
        return  # out already, for another of its names
    for name in plugins.loaded[place].providers:
        del plugins.providers[name], plugins.origins[name]
    plugins.manager.unregister(name=plugin.name)
    plugins.loaded[place] = replace(plugin, error=told(error))


def _contested(what: str, others: Sequence[Plugin], every: Sequence[Plugin]) -> PluginError:
    claimants = " and ".join(f"{other.distribution} {other.version}" for other in others)
    return PluginError(f"{what} is claimed by {claimants} as well, and given to nobody", hint=_only_one(every))


def _only_one(rivals: Sequence[Plugin]) -> str:
    names = " or ".join(f"{plugin.distribution}:{plugin.name}" for plugin in rivals)
    return f"uninstall the one that is not meant, or list all plugins to load in GATEWAY_PLUGINS, with {names}"


def _turn(entry_point: metadata.EntryPoint) -> tuple[bool, str, str]:
    """The gateway's own first, so that nobody takes a built-in provider's place."""
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
        wrong = _unsound(provider)
        if wrong:
            raise PluginError(f"the provider {provider.name} is not sound: {wrong}")
        # A built-in provider that failed to load keeps its name too.
        own = (plugin for plugin in plugins.loaded if plugin.distribution == _OWN and provider.name == plugin.name)
        taken = next(own, None)
        if taken is None and provider.name in plugins.origins and provider.name not in plugins.claims:
            taken = plugins.origins[provider.name]
        if taken is not None:
            raise PluginError(f"the name {provider.name!r} is taken by {taken.distribution} {taken.version}")
        if provider.name in providers:
            raise PluginError(f"the name {provider.name!r} is registered twice")
        providers[provider.name] = provider

    hooks: Mapping[str, Any] = {"gateway_register_providers": register, "gateway_register_assets": assets.append}
    for hook, function in hooks.items():
        plugins.manager.subset_hook_caller(hook, remove_plugins=others)(register=function)
    return providers, assets
