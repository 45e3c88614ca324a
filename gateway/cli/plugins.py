"""Commands of plugins. Each plugin gets a Typer application of its own, so that a broken one spoils nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer
from click import ClickException
from typer.main import get_group

from gateway.cli.output import complain
from gateway.errors import GatewayError, PluginError
from gateway.plugins import Plugins, told

__all__ = ["add_plugin_commands"]


def add_plugin_commands(app: typer.Typer, plugins: Plugins) -> None:
    """Call every plugin's `gateway_register_commands`; one that raises, or takes a name that is taken, is left out."""
    modules = plugins.manager.list_name_plugin()
    for name, module in modules:
        others = [other for _, other in modules if other is not module]
        own, origin = typer.Typer(), _origin(plugins, name)
        try:
            plugins.manager.subset_hook_caller("gateway_register_commands", remove_plugins=others)(cli=own)
            if not (own.registered_commands or own.registered_groups):
                continue
            # Typer looks at a command only when it is made: that must not happen among the others.
            taken = set(get_group(own).commands) & set(get_group(app).commands)
            if taken:
                raise PluginError("there is a command of this name already: " + ", ".join(sorted(taken)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything at all
            complain(f"the commands of the plugin {origin} were left out: {told(error)}", kind="warning")
        else:
            _named(own, origin)
            app.registered_commands += own.registered_commands
            app.registered_groups += own.registered_groups


def _named(app: typer.Typer, origin: str) -> None:
    """Have whatever its commands raise say whose they are."""

    def named(callback: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(callback)
        def call(*words: Any, **options: Any) -> Any:
            try:
                return callback(*words, **options)
            except (GatewayError, typer.Exit, typer.Abort, ClickException):
                raise
            except Exception as error:
                error.add_note(f"This is a command of the plugin {origin}: tell its author.")
                raise

        return call

    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = named(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _named(group.typer_instance, origin)


def _origin(plugins: Plugins, name: str) -> str:
    found = next((plugin for plugin in plugins.loaded if plugin.name == name), None)
    return found.origin if found else name
