"""`gateway providers`: what is installed, and what failed to load."""

from __future__ import annotations

from typing import Any

import typer

from gateway.cli.output import Column, complain
from gateway.cli.session import AsJson, ConfigFile, example, session
from gateway.plugins import Plugin, Plugins, load_plugins

__all__ = ["add"]

Row = dict[str, Any]


def add(app: typer.Typer) -> None:
    app.command("providers", epilog=example("gateway providers --json"))(providers)


def providers(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the installed providers, where they come from, and why a plugin is not there.

    Exit status 1 when GATEWAY_PLUGINS names one that is not installed.
    """
    plugins = load_plugins()
    rows = [row for plugin in plugins.loaded for row in _rows(plugins, plugin)]
    session(context, config, as_json).output.rows(rows, _COLUMNS, dict)
    if plugins.missing:
        complain(
            f"not installed, and named in GATEWAY_PLUGINS: {', '.join(plugins.missing)}",
            "install it, or correct GATEWAY_PLUGINS",
        )
        raise typer.Exit(1)


def _rows(plugins: Plugins, plugin: Plugin) -> list[Row]:
    """One row a provider; a plugin that failed, or that brings no provider, has one under its own name."""
    return [
        {
            "name": name,
            "title": plugins.providers[name].title if name in plugins.providers else None,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "entry_point": plugin.module,
            "error": plugin.error,
        }
        for name in plugin.providers or (plugin.name,)
    ]


_COLUMNS: list[Column[Row]] = [
    Column("name", lambda row: row["name"]),
    Column("title", lambda row: row["title"]),
    Column("distribution", lambda row: row["distribution"]),
    Column("version", lambda row: row["version"]),
    Column("entry point", lambda row: row["entry_point"]),
    Column("error", lambda row: row["error"]),
]
