"""`gateway freeze`: the kill switch for an account's payouts."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.completion import account_names
from gateway.cli.output import named
from gateway.cli.session import AsJson, ConfigFile, Yes, example, misuse, session

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    app.command(
        "freeze",
        epilog=example('gateway freeze shop --reason "key may have leaked"', "gateway freeze shop --release"),
    )(freeze)


def freeze(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="The account.", autocompletion=account_names)],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept and shown.")] = None,
    release: Annotated[bool, typer.Option("--release", help="Let payouts leave again; asks first.")] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Stop payouts, refunds and new cards of an account at once, in all processes on this store.

    Orders, exchange orders and calls made with `gateway request` go on: end a leaked key at the provider first.

    --release ends it, but not a freeze that stands in the configuration.
    """
    here = session(context, config, as_json)
    if release == (reason is not None):
        misuse("say why it is frozen, or that it is released", hint="--reason TEXT or --release, one of them")
    with here.gateway() as gateway:
        if reason is not None:
            gateway.freeze(account, reason=reason)
            here.done(f"{account} was frozen", "gateway doctor")
        else:
            gateway.account(account)
            here.confirm(f"Let payouts leave {account} again?", yes=yes)
            gateway.unfreeze(account)
            here.done(f"{account} was released", "gateway doctor")
        # Read again, because the configuration can freeze an account too.
        frozen = gateway.frozen().get(account)
    result = {"account": account, "frozen": frozen is not None, **(frozen or {})}
    here.output.one(result, named(result), dict)
