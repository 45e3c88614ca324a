"""`gateway store`: the database's health and its schema."""

from __future__ import annotations

import typer

from gateway.cli import export
from gateway.cli.output import named, report
from gateway.cli.session import AsJson, ConfigFile, example, session
from gateway.errors import StoreError

__all__ = ["add"]

_NOT_SOUND = StoreError(
    "the store is not as it should be", hint="an older schema: `gateway store upgrade`; anything else: restore a backup"
)

app = typer.Typer(help="The gateway's own database.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="store")


export.add(app)


@app.command("check", epilog=example("gateway store check --json"))
def check(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the store's health: schema, integrity, how its writes are kept, journal entries by state. Changes nothing.

    Exit status 1 when anything is not as it should be; the findings are shown all the same.
    """
    from gateway.store.database import Database

    here = session(context, config, as_json)
    with Database.open(here.settings().store, create=False, any_schema=True) as database:
        found = database.check()
    here.output.one(found, named(found), dict)
    if not found["ok"]:
        if not here.as_json:
            report(_NOT_SOUND, as_json=False)
        raise typer.Exit(1)


@app.command("upgrade", epilog=example("gateway store upgrade"))
def upgrade(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Bring the store's schema up to this version. All or nothing. Make a backup first."""
    from gateway.store.database import Database

    here = session(context, config, as_json)
    with Database.open(here.settings().store, create=False, any_schema=True) as database:
        before = database.check()["schema"]
        result = {"store": database.name, "from": before, "to": database.upgrade()}
    here.output.one(result, named(result), dict)
