"""`gateway transactions`: the money movements that a provider lists."""

from __future__ import annotations

from itertools import islice

import typer

from gateway.cli.orders import fees
from gateway.cli.output import Column, data_of
from gateway.cli.session import AccountName, AsJson, ConfigFile, Deadline, Limit, example, only_account, session
from gateway.models.transactions import Transaction

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    app.command("transactions", epilog=example("gateway transactions --account shop --limit 20 --json"))(transactions)


def transactions(
    context: typer.Context,
    account: AccountName = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List an account's money movements as its provider lists them, in the provider's own words and order."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = list(
            islice(gateway.transactions.list(account=only_account(gateway, account), deadline=deadline), limit)
        )
    here.output.rows(found, _COLUMNS, data_of)


_COLUMNS: list[Column[Transaction]] = [
    Column("provider id", lambda movement: movement.provider_id),
    Column("kind", lambda movement: movement.kind),
    Column("status", lambda movement: movement.status),
    Column("amount", lambda movement: movement.amount),
    Column("obtained", lambda movement: movement.obtained),
    Column("fees", lambda movement: fees(movement.fees)),
    Column("order id", lambda movement: movement.order_id),
    Column("hashes", lambda movement: movement.hashes),
    Column("created at", lambda movement: movement.created_at),
    Column("warnings", lambda movement: movement.warnings),
]
