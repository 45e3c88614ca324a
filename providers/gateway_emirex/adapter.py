"""Emirex: an exchange. Balances as wallets, public market data, and the account's exchange orders as trades."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.contracts import Adapter, Auth, NewTrade, Provider, Query
from gateway.errors import ConfigurationError, InvalidRequest, MalformedResponse
from gateway.exchange import Failure, Operation, Request, Response, ask
from gateway.models import Market, OrderBook, Page, PublicTrade, Ticker, Trade, Wallet
from gateway.money import plain
from gateway.secrets import Raw
from gateway_emirex import mapping, wire
from gateway_emirex.auth import SignedAuth
from gateway_emirex.capabilities import CAPABILITIES
from gateway_emirex.keys import RULES
from gateway_emirex.settings import EmirexSettings, SignedKeys

__all__ = ["PROVIDER", "EmirexAdapter"]

_MARKET = re.compile(r"([A-Za-z0-9]{1,16})/?([A-Za-z0-9]{1,16})", re.ASCII)


class EmirexAdapter(Adapter[EmirexSettings]):
    def make_auth(self, credentials: SignedKeys) -> Auth:
        return SignedAuth(credentials)

    def read_failure(self, response: Response) -> Failure | None:
        return mapping.failure(response)

    # Wallets

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        rows = yield from ask(self._private("balances"), wire.listed(wire.Balance))
        return Page[Wallet](items=tuple(mapping.wallet(row) for row in rows))

    # Markets

    def list_markets(self, query: Query) -> Operation[Page[Market]]:
        rows = yield from ask(_public("symbols"), wire.many(wire.Symbol))
        return Page[Market](items=tuple(mapping.market(row) for row in rows))

    def get_ticker(self, market: str) -> Operation[Ticker]:
        name, pair = _names(market)
        read = yield from ask(_public("ticker", pair=pair), wire.one(wire.Ticker))
        return mapping.ticker(read, name)

    def get_book(self, market: str, depth: int | None) -> Operation[OrderBook]:
        name, pair = _names(market)
        if depth is not None and depth < 1:
            raise InvalidRequest(
                f"a book of {depth} levels", hint="ask for one or more, or for None: as many as it gives"
            )
        wanted = {"pair": pair} if depth is None else {"pair": pair, "limit": str(depth)}
        read = yield from ask(_public("book", **wanted), wire.one(wire.Book))
        return mapping.book(read, name)

    def list_public_trades(self, market: str) -> Operation[Page[PublicTrade]]:
        name, pair = _names(market)
        rows = yield from ask(_public("trades", pair=pair), wire.many(wire.PublicTrade))
        # That they come newest first is inferred, so they are put so; those of one second keep their order.
        found = sorted((mapping.public_trade(row, name) for row in rows), key=lambda t: t.happened_at, reverse=True)
        return Page[PublicTrade](items=tuple(found))

    # Trades

    def create_trade(self, trade: NewTrade) -> Operation[Trade]:
        """Place an exchange order. No idempotency key is known: sent twice, there are two orders."""
        request = trade.request
        _refuse_options(request.provider_options)
        if request.kind not in mapping.NEW_KINDS:
            raise InvalidRequest(
                f"{request.kind} orders are not supported at Emirex", hint="place a limit or market order"
            )
        _, pair = _names(request.market)
        body: dict[str, Any] = {
            "type_trade": mapping.NEW_KINDS[request.kind],
            "type": mapping.NEW_SIDES[request.side],
            "volume": plain(request.volume),
            "pair": pair,
        }
        if request.rate is not None:
            body["rate"] = plain(request.rate)
        placed = yield from ask(self._private("create-order", body, write=True), wire.one(wire.NewTrade))
        return mapping.new_trade(placed, request)

    def cancel_trade(self, provider_id: str) -> Operation[Trade]:
        done = yield from ask(self._private("delete-order", {"order_id": provider_id}, write=True), wire.done)
        return mapping.cancelled_trade(provider_id, Raw(done))

    def get_trade(self, provider_id: str) -> Operation[Trade]:
        read = yield from ask(self._private("get-order", {"order_id": provider_id}), wire.one(wire.Trade))
        return mapping.trade(read)

    def list_open_trades(self, query: Query) -> Operation[Page[Trade]]:
        rows = yield from ask(self._private("orders"), wire.listed(wire.Trade))
        return Page[Trade](items=tuple(mapping.trade(row) for row in rows))

    def list_trade_history(self, query: Query) -> Operation[Page[Trade]]:
        """One page of finished orders. The last page is the empty one, because no other end is marked."""
        page, first_before = _read_cursor(query.cursor)
        # Without `format_number` the numbers may be integers of 1e-8.
        body = {"page": page, "limit": query.size, "format_number": 1}
        rows = yield from ask(self._private("history", body), wire.listed(wire.Trade))
        if not rows:
            return Page[Trade]()
        first = rows[0].data.id
        if first == first_before:
            raise MalformedResponse("Emirex's history starts over: it does not heed `page`, so what follows is unknown")
        return Page[Trade](items=tuple(mapping.trade(row) for row in rows), next=f"{page + 1}:{first}")

    # Keys

    def verify_key(self) -> Operation[None]:
        """Read the balances. How a wrong key is answered is not known: any refusal says that it does not work."""
        yield from ask(self._private("balances"), wire.listed(wire.Balance))

    def _private(self, name: str, body: Mapping[str, Any] | None = None, *, write: bool = False) -> Request:
        if self.settings.auth is None:
            raise ConfigurationError(
                f"{name} needs the account's keys",
                hint='give the account auth = { kind = "signed", public_key = "…", secret = "env:…" }, or '
                'auth = { kind = "ring" } and a key of its own: `gateway keys create`',
            )
        return Request("POST", f"/private/{name}", json=dict(body or {}), write=write)


def _public(name: str, **query: str) -> Request:
    return Request("GET", f"/public/{name}", query=tuple(query.items()), signed=False)


def _names(market: str) -> tuple[str, str]:
    """The market as we write it (`BTC/USDC`) and as Emirex does (`BTCUSDC`), whichever was given."""
    found = _MARKET.fullmatch(market)
    if found is None:
        raise InvalidRequest(f"not a market: {market[:40]!r}", hint="write BASE/QUOTE, such as BTC/USDC")
    return market.upper(), (found[1] + found[2]).upper()


def _refuse_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    if options.get("emirex"):
        raise InvalidRequest("Emirex takes no provider_options", hint="leave provider_options['emirex'] out")


def _read_cursor(cursor: str | None) -> tuple[int, str | None]:
    """Which page, and the first order of the page before: by which a list that starts over is noticed."""
    if cursor is None:
        return 1, None
    page, _, first = cursor.partition(":")
    if not (page.isascii() and page.isdigit() and first):
        raise InvalidRequest(f"not a cursor of this list: {cursor[:80]!r}", hint="pass `next` of the page before")
    return int(page), first


# No rate limit is declared: none is documented, and none was seen at 5 public requests a second (C). Authors of clients
# of the sister product keep to 4 private requests a second (I); an answer 429 is waited for as usual.
PROVIDER = Provider(
    name="emirex",
    contract=1,
    title="Emirex",
    settings=EmirexSettings,
    adapter=EmirexAdapter,
    capabilities=CAPABILITIES,
    keys=RULES,
    sandbox="gateway_emirex.sandbox:EmirexSandbox",
    documentation='the help article "How does Emirex API work?"',
)
