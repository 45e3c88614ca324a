"""`gateway markets`: public market data of an exchange."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from gateway.cli.output import Column, data_of
from gateway.cli.session import AccountName, AsJson, ConfigFile, Deadline, Limit, example, only_account, session
from gateway.models.markets import BookLevel, Market, PublicTrade, Ticker
from gateway.money import plain

__all__ = ["add"]

Level = tuple[str, BookLevel]
MarketName = Annotated[str, typer.Argument(metavar="BASE/QUOTE", help="The market, such as BTC/USDC.")]

app = typer.Typer(help="Market data: pairs, prices, order books, trades.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="markets")


@app.command("list", epilog=example("gateway markets list --account exchange"))
def list_(
    context: typer.Context,
    account: AccountName = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the pairs that can be traded."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = list(gateway.markets.list(account=only_account(gateway, account), deadline=deadline))
    here.output.rows(found, _MARKETS, data_of)


@app.command("ticker", epilog=example("gateway markets ticker BTC/USDC --account exchange"))
def ticker(
    context: typer.Context,
    market: MarketName,
    account: AccountName = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the last day of a market."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.markets.ticker(market, account=only_account(gateway, account), deadline=deadline)
    here.output.one(found, _TICKER, data_of)


@app.command("book", epilog=example("gateway markets book BTC/USDC --depth 5 --account exchange"))
def book(
    context: typer.Context,
    market: MarketName,
    depth: Annotated[int | None, typer.Option("--depth", min=1, help="At most this many levels a side.")] = None,
    account: AccountName = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the order book of a market: asks ascending, then bids descending. With --json the book as one object."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.markets.book(market, account=only_account(gateway, account), depth=depth, deadline=deadline)
    if here.as_json:
        here.output.document(data_of(found))
        return
    levels: list[Level] = [*(("ask", level) for level in found.asks), *(("bid", level) for level in found.bids)]
    here.output.rows(levels, _BOOK, tuple)


@app.command("trades", epilog=example("gateway markets trades BTC/USDC --limit 10 --account exchange"))
def trades(
    context: typer.Context,
    market: MarketName,
    account: AccountName = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List a market's latest trades, newest first."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = list(
            islice(gateway.markets.trades(market, account=only_account(gateway, account), deadline=deadline), limit)
        )
    here.output.rows(found, _TRADES, data_of)


_MARKETS: list[Column[Market]] = [
    Column("market", lambda market: market.market),
    Column("provider id", lambda market: market.provider_id),
    Column("rate decimals", lambda market: market.rate_decimals),
    Column("base decimals", lambda market: market.base_decimals),
    Column("quote decimals", lambda market: market.quote_decimals),
]
_TICKER: list[Column[Ticker]] = [
    Column("market", lambda ticker: ticker.market),
    Column("last", lambda ticker: ticker.last),
    Column("open", lambda ticker: ticker.open),
    Column("close", lambda ticker: ticker.close),
    Column("high", lambda ticker: ticker.high),
    Column("low", lambda ticker: ticker.low),
    Column("volume", lambda ticker: ticker.volume),
    Column("change", lambda ticker: f"{plain(ticker.change)} %" if ticker.change is not None else None),
    Column("minimum trade", lambda ticker: ticker.minimum_trade),
]
_BOOK: list[Column[Level]] = [
    Column("side", lambda level: level[0]),
    Column("rate", lambda level: level[1].rate),
    Column("volume", lambda level: level[1].volume),
    Column("count", lambda level: level[1].count),
]
_TRADES: list[Column[PublicTrade]] = [
    Column("happened at", lambda trade: trade.happened_at),
    Column("side", lambda trade: trade.side),
    Column("rate", lambda trade: trade.rate),
    Column("volume", lambda trade: trade.volume),
    Column("total", lambda trade: trade.total),
]
