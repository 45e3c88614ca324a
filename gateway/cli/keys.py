"""`gateway keys`: whether a provider accepts an account's key, and a new one from a provider that issues them."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.output import named
from gateway.cli.session import AccountName, AsJson, ConfigFile, Deadline, Yes, chosen, example, only_account, session
from gateway.secrets import HIDDEN

__all__ = ["add"]

app = typer.Typer(help="API keys.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="keys")


@app.command("verify", epilog=example("gateway keys verify --account shop"))
def verify(
    context: typer.Context,
    account: AccountName = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check an account's key with a cheap authenticated read. Exit status 1, with the reason, when it is refused."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        handle = gateway.account(name)
        gateway.keys.verify(account=name, deadline=deadline)
        result = {
            "account": name,
            "provider": handle.provider,
            "environment": handle.environment.value,
            "verified": True,
        }
    here.output.one(result, named(result), dict)


@app.command("issue", epilog=example("gateway keys issue --account shop --reveal"))
def issue(
    context: typer.Context,
    account: AccountName = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="With the key itself, which nobody shows again.")] = False,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Obtain a new key with the account's login, where the provider issues keys by a call. Asks first, unless --yes.

    Without --reveal the key itself is lost: it is kept nowhere here.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        handle = gateway.account(name)
        lost = "" if reveal else " It will not be shown without --reveal."
        here.confirm(f"Issue a new key for {chosen(gateway, name)}?{lost}", yes=yes)
        key = gateway.keys.issue(account=name, deadline=deadline)
        here.done(f"a new key was issued for {name} and is lost with it", None)
        result = {
            "account": name,
            "provider": handle.provider,
            "environment": handle.environment.value,
            "key": key.secret.reveal() if reveal else HIDDEN,
            "expires_at": key.expires_at.isoformat() if key.expires_at is not None else None,
        }
    here.output.one(result, named(result), dict)
