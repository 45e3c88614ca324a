"""`gateway currencies`: what a provider deals in."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.output import Column, data_of
from gateway.cli.session import AccountName, AsJson, ConfigFile, Deadline, example, only_account, session
from gateway.models.transactions import Currency, CurrencyKind

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    app.command("currencies", epilog=example("gateway currencies --account shop --kind fiat"))(currencies)


def currencies(
    context: typer.Context,
    account: AccountName = None,
    kind: Annotated[
        CurrencyKind, typer.Option("--kind", help="crypto: what payers pay in; fiat: what prices are in.")
    ] = CurrencyKind.CRYPTO,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the currencies that an account's provider accepts. --account may be left out where only one is
    configured."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = list(gateway.currencies.list(account=only_account(gateway, account), kind=kind, deadline=deadline))
    here.output.rows(found, _COLUMNS, data_of)


_COLUMNS: list[Column[Currency]] = [
    Column("code", lambda currency: currency.code),
    Column("kind", lambda currency: currency.kind),
    Column("asset", lambda currency: currency.asset),
    Column("network", lambda currency: currency.network),
    Column("contract", lambda currency: currency.contract),
]
