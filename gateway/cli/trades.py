"""`gateway trades`: exchange orders of an account, placed and cancelled after a confirmation."""

from __future__ import annotations

from itertools import islice
from shlex import quote
from typing import Annotated

import typer

from gateway.cli import completion
from gateway.cli.options import ProviderOptions, options_of
from gateway.cli.output import Column, data_of, shown
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    Deadline,
    Limit,
    Yes,
    chosen,
    example,
    misuse,
    only_account,
    session,
)
from gateway.models.trades import Side, Trade, TradeKind, TradeRequest

__all__ = ["add"]

Reference = Annotated[
    str, typer.Argument(help="The merchant's own number of the trade.", autocompletion=completion.trades)
]

app = typer.Typer(help="Exchange orders: place, look up, cancel, list.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="trades")


@app.command(
    "create",
    epilog=example(
        "gateway trades create --reference t-1 --market BTC/USDC --side buy --volume 0.01 --rate 50000",
        "gateway trades create --reference t-2 --market BTC/USDC --side sell --kind market --volume 0.01",
    ),
)
def create(
    context: typer.Context,
    reference: Annotated[str, typer.Option("--reference", help="Your own number of it; it is never placed twice.")],
    market: Annotated[str, typer.Option("--market", metavar="BASE/QUOTE", help="Such as BTC/USDC.")],
    side: Annotated[Side, typer.Option("--side", help="What to do with the base.")],
    volume: Annotated[str, typer.Option("--volume", metavar="NUMBER", help="In units of the base.")],
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="NUMBER", help="Quote units for one base unit; of limit orders.")
    ] = None,
    kind: Annotated[TradeKind, typer.Option("--kind", help="What kind of order.")] = TradeKind.LIMIT,
    account: AccountName = None,
    yes: Yes = False,
    provider_option: ProviderOptions = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Place an exchange order, once. Asks first, unless --yes.

    After an unknown outcome nothing is sent again: look at the provider, then use `gateway journal settle`.
    """
    here = session(context, config, as_json)
    request = TradeRequest(
        reference=reference,
        market=market,
        side=side,
        kind=kind,
        volume=volume,
        rate=rate,
        provider_options=options_of(provider_option or []),
    )
    at = f" at {rate}" if rate is not None else ""
    with here.gateway() as gateway:
        where = chosen(gateway, account)
        here.confirm(f"Place a {kind} order: {side} {volume} of {market}{at}, with {where} as {reference}?", yes=yes)
        trade = gateway.trades.create(request, account=account, deadline=deadline)
        here.done(f"the trade {reference} was placed ({trade.status})", f"gateway trades get {quote(reference)}")
    here.output.one(trade, _ONE, data_of)


@app.command(
    "get",
    epilog=example("gateway trades get t-1", "gateway trades get --provider-id 4711 --account exchange"),
)
def get(
    context: typer.Context,
    reference: Annotated[
        str | None, typer.Argument(help="The merchant's own number of the trade.", autocompletion=completion.trades)
    ] = None,
    provider_id: Annotated[
        str | None, typer.Option("--provider-id", metavar="ID", help="Instead: the provider's own number of it.")
    ] = None,
    account: AccountName = None,
    refresh: Annotated[bool, typer.Option(help="Read it at its provider first, unless it is final.")] = True,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one trade: one placed here, or with --provider-id any of the account."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        if reference is not None and provider_id is None:
            trade = gateway.trades.get(reference, refresh=refresh, deadline=deadline)
        elif provider_id is not None and reference is None:
            trade = gateway.trades.fetch(
                account=only_account(gateway, account), provider_id=provider_id, deadline=deadline
            )
        else:
            misuse("say which trade", hint="its reference, or --provider-id with --account; one of them")
    here.output.one(trade, _ONE, data_of)


@app.command("cancel", epilog=example("gateway trades cancel t-1"))
def cancel(
    context: typer.Context,
    reference: Reference,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a trade. Asks first, unless --yes. May be repeated; what is filled already stays filled."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        known = gateway.trades.get(reference, refresh=False)
        here.confirm(f"Cancel {reference}: {_words(known)}, with {chosen(gateway, known.account)}?", yes=yes)
        trade = gateway.trades.cancel(reference, deadline=deadline)
        here.done(f"the trade {reference} was cancelled ({trade.status})", f"gateway trades get {quote(reference)}")
    here.output.one(trade, _ONE, data_of)


@app.command("open", epilog=example("gateway trades open --account exchange"))
def open_(
    context: typer.Context,
    account: AccountName = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the account's open trades, as the provider has them."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = list(islice(gateway.trades.open(account=only_account(gateway, account), deadline=deadline), limit))
    here.output.rows(found, _LIST, data_of)


@app.command("history", epilog=example("gateway trades history --account exchange --limit 20"))
def history(
    context: typer.Context,
    account: AccountName = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the account's finished trades, as the provider has them."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = list(islice(gateway.trades.history(account=only_account(gateway, account), deadline=deadline), limit))
    here.output.rows(found, _LIST, data_of)


def _words(trade: Trade) -> str:
    at = f" at {shown(trade.rate)}" if trade.rate is not None else ""
    return f"{trade.side} {shown(trade.volume)} of {trade.market}{at}"


_LIST: list[Column[Trade]] = [
    Column("provider id", lambda trade: trade.provider_id),
    Column("status", lambda trade: trade.status, coloured=True),
    Column("market", lambda trade: trade.market),
    Column("side", lambda trade: trade.side),
    Column("kind", lambda trade: trade.kind),
    Column("volume", lambda trade: trade.volume),
    Column("filled", lambda trade: trade.filled),
    Column("rate", lambda trade: trade.rate),
    Column("created at", lambda trade: trade.created_at),
]
_ONE: list[Column[Trade]] = [
    Column("reference", lambda trade: trade.reference),
    *_LIST,
    Column("average rate", lambda trade: trade.average_rate),
    Column("commission", lambda trade: trade.commission),
    Column("provider status", lambda trade: trade.provider_status),
    Column("account", lambda trade: trade.account),
    Column("environment", lambda trade: trade.environment),
    Column("done at", lambda trade: trade.done_at),
    Column("warnings", lambda trade: trade.warnings),
]
