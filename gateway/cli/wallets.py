"""`gateway wallets`: balances at a provider."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.completion import customers
from gateway.cli.output import Column, data_of
from gateway.cli.session import AccountName, AsJson, ConfigFile, Deadline, example, only_account, session
from gateway.models.wallets import Wallet, WalletKind

__all__ = ["add"]

app = typer.Typer(help="Balances.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="wallets")


@app.command("list", epilog=example("gateway wallets list --account shop"))
def list_(
    context: typer.Context,
    account: AccountName = None,
    kind: Annotated[WalletKind, typer.Option("--kind", help="Which of the provider's lists.")] = WalletKind.CUSTODIAL,
    customer: Annotated[
        str | None, typer.Option("--customer", help="A customer's instead of the merchant's.", autocompletion=customers)
    ] = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the balances of an account, or of one of the merchant's customers there. --account may be left out where
    only one is configured."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        wallets = list(gateway.wallets.list(account=name, kind=kind, customer=customer, deadline=deadline))
    here.output.rows(wallets, _COLUMNS, data_of)


_COLUMNS: list[Column[Wallet]] = [
    Column("account", lambda wallet: wallet.account),
    Column("kind", lambda wallet: wallet.kind),
    Column("asset", lambda wallet: wallet.asset),
    Column("available", lambda wallet: wallet.available),
    Column("pending", lambda wallet: wallet.pending),
    Column("allocated", lambda wallet: wallet.allocated),
    Column("total", lambda wallet: wallet.total),
    Column("address", lambda wallet: wallet.address),
    Column("customer", lambda wallet: wallet.customer),
    Column("warnings", lambda wallet: wallet.warnings),
]
