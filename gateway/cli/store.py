"""`gateway store`: the database's health and schema, restores, and what need not be kept."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from gateway.cli import export
from gateway.cli.output import named, report
from gateway.cli.progress import waiting
from gateway.cli.session import AsJson, ConfigFile, Yes, example, misuse, session
from gateway.errors import StoreError

__all__ = ["add"]

_NOT_SOUND = StoreError(
    "the store is not as it should be",
    hint="an older schema: `gateway store upgrade`; restored: `gateway store accept-restore --help`; anything else: "
    "restore a backup",
)
_AGE = re.compile(r"(\d{1,5})([dw])")
_DAYS = {"d": 1, "w": 7}

app = typer.Typer(help="The gateway's own database.", no_args_is_help=True)

Reason = Annotated[str, typer.Option("--reason", help="How it is known; kept and shown.")]


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="store")


export.add(app)


@app.command("check", epilog=example("gateway store check --json"))
def check(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the store's health: schema, integrity, how its writes are kept, journal entries by state. Changes nothing.

    After a restore that nobody has accepted, also the journal entries that have not ended. Exit status 1 when anything
    is not as it should be; the findings are shown all the same.
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


@app.command("restored", epilog=example('gateway store restored --reason "volume snapshot of 3 May put back"'))
def restored(context: typer.Context, reason: Reason, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say that the store was restored from an older state: until `accept-restore` only orders and customers are made.

    A restored file, another server, a recovery to a moment of the past and a promoted standby are noticed without
    this. A snapshot of a whole volume or machine cannot be: it looks like one that was switched off.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        noted = gateway.store.restored(reason=reason)
        here.done("the restore was noted", "gateway store check")
    here.output.one(noted.to_dict(), named(noted.to_dict()), dict)


@app.command("accept-restore", epilog=example('gateway store accept-restore --reason "compared with all accounts"'))
def accept_restore(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="What was compared, and with what result; kept.")],
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let money leave again after a restore. Asks first, unless --yes.

    Before that, compare the store with every provider since the time of the restored state (`gateway reconcile`),
    settle the entries that `gateway store check` lists, and make sure that your own program knows which payouts it had
    asked for: one that is not in the journal would be sent a second time.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        entries = len(gateway.journal.list(states=["intended", "sent", "unknown"], limit=1000))
        here.confirm(f"Open journal entries: {entries}. Let money leave again?", yes=yes)
        accepted = gateway.store.accept_restore(reason=reason)
        here.done("the restore was accepted", "gateway store check")
    result = {"accepted": [restore.reason for restore in accepted], "open_entries": entries}
    here.output.one(result, named(result), dict)


@app.command(
    "prune", epilog=example("gateway store prune --older-than 90d --dry-run", "gateway store prune --older-than 52w")
)
def prune(
    context: typer.Context,
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="Since it ended: 90d, 12w.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Drop payloads that nobody needs any more: providers' raw answers, bodies of callbacks, deliveries that were made.

    Every row about money stays: orders, payouts, refunds, trades, the journal, events. Nothing that is open, unknown or
    still watched is touched. A SQLite file does not shrink by it; what is free is used again.
    """
    here = session(context, config, as_json)
    age = _AGE.fullmatch(older_than)
    if age is None:
        misuse(f"--older-than is no age: {older_than!r}", hint="a number of days or weeks, such as 90d or 12w")
    with here.gateway() as gateway, waiting("pruning", quiet=here.as_json):
        found = gateway.store.prune(older_than=timedelta(days=int(age[1]) * _DAYS[age[2]]), dry_run=dry_run)
    result = {"dry_run": dry_run, **{kind.replace(" ", "_"): number for kind, number in found.items()}}
    here.output.one(result, named(result), dict)
