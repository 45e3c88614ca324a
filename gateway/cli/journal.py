"""`gateway journal`: what was sent, how it ended, and what a person found out about the rest."""

from __future__ import annotations

import json
from shlex import quote
from typing import Annotated, Any, Literal

import typer

from gateway.cli import completion
from gateway.cli.output import Column
from gateway.cli.session import AccountName, AsJson, ConfigFile, Limit, Yes, example, session
from gateway.errors import NotFound
from gateway.store.journal import JournalEntry, JournalState

__all__ = ["add"]

Reference = Annotated[
    str, typer.Argument(help="The reference of the write.", autocompletion=completion.journal_entries)
]
Unsettled = Annotated[
    str, typer.Argument(help="The reference of the write.", autocompletion=completion.unsettled_entries)
]

app = typer.Typer(help="Every write to a provider; unknown outcomes wait here for a person.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="journal")


@app.command("list", epilog=example("gateway journal list --state unknown"))
def list_(
    context: typer.Context,
    state: Annotated[
        list[JournalState] | None, typer.Option("--state", help="Only entries in this state; repeatable.")
    ] = None,
    account: AccountName = None,
    limit: Limit = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the journal, newest first."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        entries = gateway.journal.list(states=state or None, account=account, limit=limit)
    here.output.rows(entries, _LIST, JournalEntry.to_dict)


@app.command("show", epilog=example("gateway journal show payout-77"))
def show(context: typer.Context, reference: Reference, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show every entry of a reference in full, oldest first."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        entries = gateway.journal.show(reference)
    if not entries:
        raise NotFound(f"the journal has no entry {reference}", reference=reference, hint="`gateway journal list`")
    here.output.each(entries, _FULL, JournalEntry.to_dict)


@app.command(
    "settle", epilog=example('gateway journal settle payout-77 --as done --reason "paid, seen on the dashboard"')
)
def settle(
    context: typer.Context,
    reference: Unsettled,
    outcome: Annotated[
        Literal["done", "failed"], typer.Option("--as", help="done: it was carried out; failed: nothing was done.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="What was seen at the provider; kept.")],
    operation: Annotated[
        str | None, typer.Option("--operation", help="Which write, where several have the reference.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option("--scope", help="Which of several such writes; `journal show` shows it.")
    ] = None,
    provider_id: Annotated[
        str | None, typer.Option("--provider-id", help="The provider's number of it; done orders need it.")
    ] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Record what became of a write of unknown outcome. Sends nothing; asks first, unless --yes.

    Look at the provider before. `failed` says that nothing was done: the purchase or payout may then be made again
    under a new reference. A wrong `failed` can lead to paying twice.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        here.confirm(f"Record for good that {reference} {_MEANING[outcome]}?", yes=yes)
        entry = gateway.journal.settle(
            reference, outcome=outcome, reason=reason, operation=operation, scope=scope, provider_id=provider_id
        )
        here.done(f"{reference} was settled", f"gateway journal show {quote(reference)}")
    here.output.one(entry, _FULL, JournalEntry.to_dict)


_MEANING = {"done": "was carried out", "failed": "was not carried out"}


def _compact(data: dict[str, Any] | None) -> str | None:
    return json.dumps(data, ensure_ascii=False) if data is not None else None


_LIST: list[Column[JournalEntry]] = [
    Column("reference", lambda entry: entry.reference),
    Column("operation", lambda entry: entry.operation),
    Column("scope", lambda entry: entry.scope),
    Column("state", lambda entry: entry.state, coloured=True),
    Column("account", lambda entry: entry.account),
    Column("provider id", lambda entry: entry.provider_id),
    Column("error", lambda entry: entry.error and entry.error.get("message")),
    Column("created at", lambda entry: entry.created_at),
]
_FULL: list[Column[JournalEntry]] = [
    *_LIST[:5],
    Column("provider", lambda entry: entry.provider),
    Column("environment", lambda entry: entry.environment),
    Column("provider id", lambda entry: entry.provider_id),
    Column("request", lambda entry: _compact(entry.request)),
    Column("result", lambda entry: _compact(entry.result)),
    Column("error", lambda entry: entry.error and entry.error.get("message")),
    Column("created at", lambda entry: entry.created_at),
    Column("sent at", lambda entry: entry.sent_at),
    Column("ended at", lambda entry: entry.ended_at),
    Column("settled by", lambda entry: entry.settled_by),
    Column("settled because", lambda entry: entry.settled_reason),
]
