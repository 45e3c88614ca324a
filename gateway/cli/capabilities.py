"""`gateway capabilities`: what can be done with each provider, and on what evidence."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.capabilities import Capabilities, Capability
from gateway.cli.completion import provider_names
from gateway.cli.output import Column
from gateway.cli.session import AccountName, AsJson, ConfigFile, example, misuse, session
from gateway.plugins import load_plugins

__all__ = ["add"]

Row = tuple[str, Capability]


def add(app: typer.Typer) -> None:
    app.command(
        "capabilities",
        epilog=example("gateway capabilities --provider aurpay", "gateway capabilities --account shop --json"),
    )(capabilities)


def capabilities(
    context: typer.Context,
    provider: Annotated[
        str | None,
        typer.Option("--provider", metavar="NAME", help="Only this provider.", autocompletion=provider_names),
    ] = None,
    account: AccountName = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show every operation with its support, grade of evidence, source and reason.

    Without --account it needs no configuration and shows the installed providers as they are; an account's settings may
    switch operations on. Grades: D documented, P published by the vendor, C seen in independent clients, I inferred
    (refused until the account's allow_inferred lists it), X absent.
    """
    here = session(context, config, as_json)
    tables: dict[str, Capabilities]
    if provider is not None and account is not None:
        misuse("--provider and --account exclude each other", hint="an account has one provider")
    elif account is not None:
        with here.gateway() as gateway:
            handle = gateway.account(account)
            tables = {handle.provider: handle.capabilities}
    else:
        plugins = load_plugins()
        names = sorted(plugins.providers) if provider is None else [provider]
        tables = {name: plugins.provider(name).capabilities for name in names}
    rows = [(name, row) for name, table in tables.items() for row in table]
    here.output.rows(rows, _COLUMNS, lambda row: {"provider": row[0], **row[1].to_dict()}, group=_PROVIDER)


_PROVIDER: Column[Row] = Column("provider", lambda row: row[0])
_COLUMNS: list[Column[Row]] = [
    Column("operation", lambda row: row[1].operation),
    Column("variant", lambda row: row[1].variant),
    Column("support", lambda row: row[1].support.value, coloured=True),
    Column("grade", lambda row: row[1].grade.value),
    Column("source", lambda row: row[1].source),
    Column("reason", lambda row: row[1].reason),
]
