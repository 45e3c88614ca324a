"""`gateway callbacks`: what providers have sent, what came of it, and what is wrong with it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.cli import completion
from gateway.cli.output import Column
from gateway.cli.session import AccountName, AsJson, ConfigFile, Limit, example, session
from gateway.store.inbox import Callback, CallbackState

__all__ = ["add"]

app = typer.Typer(help="What providers have sent: the inbox of callbacks.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="callbacks")


@app.command(
    "list", epilog=example("gateway callbacks list --state waiting", "gateway callbacks list --order cart-1001")
)
def list_(
    context: typer.Context,
    state: Annotated[CallbackState | None, typer.Option("--state", help="Only callbacks in this state.")] = None,
    order: Annotated[
        str | None,
        typer.Option("--order", metavar="REFERENCE", help="Only of this order.", autocompletion=completion.orders),
    ] = None,
    account: AccountName = None,
    limit: Limit = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the inbox, newest first."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.callbacks.list(state=state, account=account, reference=order, limit=limit)
    here.output.rows(found, _LIST, Callback.to_dict)


@app.command("show", epilog=example("gateway callbacks show 17"))
def show(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The callback's number in the list.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one callback in full, with its headers and its body. Secrets in them are hidden."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.callbacks.show(number)
    here.output.one(found, _FULL, Callback.to_dict)


@app.command("process", epilog=example("gateway callbacks process"))
def process(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Process what is due now: read the orders that were called back about. `gateway worker` does it all the time."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        done = gateway.callbacks.process()
    here.output.one({"processed": done}, [Column("attempts processed", lambda data: data["processed"])], dict)


def _body(callback: Callback) -> str | None:
    return None if callback.body is None else callback.body.decode("utf-8", "replace")


_LIST: list[Column[Callback]] = [
    Column("number", lambda callback: callback.id),
    Column("received at", lambda callback: callback.received_at),
    Column("order", lambda callback: callback.reference),
    Column("account", lambda callback: callback.account),
    Column("state", lambda callback: callback.state, coloured=True),
    Column("proof", lambda callback: callback.proof),
    Column("times", lambda callback: callback.times),
    Column("tries", lambda callback: callback.tries),
    Column("error", lambda callback: callback.error),
]
_FULL: list[Column[Callback]] = [
    *_LIST[:3],
    Column("attempt", lambda callback: callback.number),
    Column("attempt id", lambda callback: callback.attempt_id),
    Column("account", lambda callback: callback.account),
    Column("provider", lambda callback: callback.provider),
    Column("environment", lambda callback: callback.environment),
    *_LIST[4:6],
    Column("proof differs because", lambda callback: callback.proof_reason),
    Column("provider id", lambda callback: callback.provider_id),
    *_LIST[6:],
    Column("last at", lambda callback: callback.last_at),
    Column("due at", lambda callback: callback.next_at if callback.processed_at is None else None),
    Column("processed at", lambda callback: callback.processed_at),
    Column("client", lambda callback: callback.client),
    Column("method", lambda callback: callback.method),
    Column("url", lambda callback: callback.url),
    Column("headers", lambda callback: callback.headers and json.dumps(callback.headers, ensure_ascii=False)),
    Column("body", _body),
]
