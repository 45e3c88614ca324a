"""Commands of plugins. Each plugin gets a Typer application of its own, so that a broken one spoils nothing."""

from __future__ import annotations

import typer
from typer.main import get_group

from gateway.cli.output import complain
from gateway.errors import PluginError
from gateway.plugins import Plugins

__all__ = ["add_plugin_commands"]


def add_plugin_commands(app: typer.Typer, plugins: Plugins) -> None:
    """Call every plugin's `gateway_register_commands`; one that raises, or takes a name that is taken, is left out."""
    modules = plugins.manager.list_name_plugin()
    for name, module in modules:
        others = [other for _, other in modules if other is not module]
        own = typer.Typer()
        try:
            plugins.manager.subset_hook_caller("gateway_register_commands", remove_plugins=others)(cli=own)
            if not (own.registered_commands or own.registered_groups):
                continue
            # Typer looks at a command only when it is made: that must not happen among the others.
            taken = set(get_group(own).commands) & set(get_group(app).commands)
            if taken:
                raise PluginError("there is a command of this name already: " + ", ".join(sorted(taken)))
        except (Exception, SystemExit) as error:  # a plugin may raise anything at all
            words = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
            complain(f"the commands of the plugin {_origin(plugins, name)} were left out: {words}", kind="warning")
        else:
            app.registered_commands += own.registered_commands
            app.registered_groups += own.registered_groups


def _origin(plugins: Plugins, name: str) -> str:
    found = next((plugin for plugin in plugins.loaded if plugin.name == name), None)
    return found.origin if found else name
