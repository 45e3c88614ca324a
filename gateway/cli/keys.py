"""`gateway keys`: whether a provider accepts an account's key."""

from __future__ import annotations

import typer

from gateway.cli.output import named
from gateway.cli.session import AccountName, AsJson, ConfigFile, example, only_account, session

__all__ = ["add"]

app = typer.Typer(help="API keys.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="keys")


@app.callback()
def _group() -> None:
    """A group also while it has one command."""


@app.command("verify", epilog=example("gateway keys verify --account shop"))
def verify(
    context: typer.Context,
    account: AccountName = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check an account's key with a cheap authenticated read. Exit status 1, with the reason, when it is refused."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        handle = gateway.account(name)
        gateway.keys.verify(account=name)
        result = {
            "account": name,
            "provider": handle.provider,
            "environment": handle.environment.value,
            "verified": True,
        }
    here.output.one(result, named(result), dict)
