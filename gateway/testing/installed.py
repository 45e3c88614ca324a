"""The sandboxes of all providers that are installed, through the same door as the providers themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationError, PluginError
from gateway.testing.extra import sandbox_extra
from gateway.testing.sandbox import Sandbox

if TYPE_CHECKING:
    from gateway.contracts.adapter import Provider

__all__ = ["installed_sandboxes", "sandbox_of"]

log = logging.getLogger("gateway")


def installed_sandboxes(names: Iterable[str] | None = None) -> list[Sandbox]:
    """A new sandbox of every installed provider that has one, or of those that are named.

    Raises ConfigurationError for a name without a sandbox and without the extra `sandbox`, PluginError for a sandbox
    that was named and cannot be made. Of all, such a one is reported in the log and left out.
    """
    from gateway.plugins import load_plugins

    providers: dict[str, Provider] = {
        name: provider for name, provider in load_plugins().providers.items() if provider.sandbox is not None
    }
    chosen = list(providers) if names is None else list(names)
    for name in chosen:
        if name not in providers:
            raise ConfigurationError(
                f"no installed provider {name!r} has a sandbox", hint=f"there are {', '.join(providers) or 'none'}"
            )
    sandboxes = []
    for name in chosen:
        try:
            sandboxes.append(sandbox_of(providers[name]))
        except PluginError as error:
            if names is not None:
                raise
            log.warning("%s: it is left out", error)
    return sandboxes


def sandbox_of(provider: Provider) -> Sandbox:
    """A new sandbox of this provider, imported now. Raises as `installed_sandboxes` does."""
    where = provider.sandbox or ""
    module, _, attribute = where.partition(":")
    try:
        with sandbox_extra():
            sandbox = getattr(import_module(module), attribute)()
    except (ConfigurationError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may raise anything at all
        raise PluginError(f"the sandbox {where!r} cannot be made: {error!r}", provider=provider.name) from error
    if not isinstance(sandbox, Sandbox):
        raise PluginError(f"{where!r} makes no gateway.testing.Sandbox", provider=provider.name)
    if sandbox.name != provider.name:
        raise PluginError(f"the sandbox {where!r} calls itself {sandbox.name!r}", provider=provider.name)
    return sandbox
