"""The hooks that a plugin may implement, through an entry point of the group `gateway`.

Hooks register and observe; operations are ordinary calls. A plugin is a module (or object) with functions marked
`@hookimpl`:

    from gateway.hookspecs import hookimpl

    @hookimpl
    def gateway_register_providers(register):
        register(Provider(name="acme", contract=1, ...))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from gateway.assets import Asset

if TYPE_CHECKING:
    from gateway.contracts.adapter import Provider
    from gateway.observation import Record

__all__ = ["hookimpl"]

hookspec = pluggy.HookspecMarker("gateway")
hookimpl = pluggy.HookimplMarker("gateway")
"""Marks a function of a plugin as an implementation of the hook of its name."""


@hookspec
def gateway_register_providers(register: Callable[[Provider], None]) -> None:
    """Register providers; a name that is taken, or another contract version, is a PluginError of this plugin alone.

    A built-in provider keeps its name. Of two other plugins that claim one, neither is loaded until one is uninstalled
    or left out of `GATEWAY_PLUGINS`: nobody's key goes to the wrong one.
    """


@hookspec
def gateway_register_assets(register: Callable[[Asset], None]) -> None:
    """Register assets beside the built-in ones."""


@hookspec
def gateway_register_commands(cli: Any) -> None:
    """Add commands to the command line; `cli` is its Typer application."""


@hookspec(firstresult=True)
def gateway_choose_account(request: Any, candidates: Sequence[str]) -> str | None:
    """Choose among the accounts that the routes allow for this request; None leaves it to the routes' order.

    The first plugin that chooses decides. One that raises ends the call with a PluginError, before anything is sent.
    """


@hookspec
def gateway_event(event: Any) -> None:
    """Something happened to an order, a withdrawal, a refund or a trade; `event` is a `gateway.models.Event`.

    Delivered as to a handler of `gw.on("*")` with the name `plugin:NAME`, by a worker: at least once, in order for
    each order, in a thread of its own (or awaited, if it is `async`), and again when it raises.
    """


@hookspec
def gateway_observe(record: Record) -> None:
    """An HTTP exchange or an operation ended; the record carries no secrets. Must not block. One that raises is
    logged, whatever it raises (`SystemExit` too), and harms neither the call nor the other observers.
    """
