"""Vendor words → neutral ones, then shapes → models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
)
from gateway.exchange import Failure, Response
from gateway.models import (
    BookLevel,
    Market,
    OrderBook,
    PublicTrade,
    Side,
    Ticker,
    Trade,
    TradeKind,
    TradeRequest,
    TradeStatus,
    Wallet,
    WalletKind,
)
from gateway.money import Money
from gateway.secrets import Raw
from gateway_emirex import wire

__all__ = [
    "NEW_KINDS",
    "NEW_SIDES",
    "book",
    "cancelled_trade",
    "failure",
    "market",
    "new_trade",
    "public_trade",
    "ticker",
    "trade",
    "wallet",
]

# I, from the sister product: all words of exchange orders.
STATUSES = {
    "0": TradeStatus.PENDING,
    "1": TradeStatus.OPEN,
    "2": TradeStatus.FILLED,
    "3": TradeStatus.CANCELLED,
}
KINDS = {
    "0": TradeKind.LIMIT,
    "1": TradeKind.MARKET,
    "2": TradeKind.STOP_LIMIT,
    "3": TradeKind.QUICK_MARKET,
    "4": TradeKind.HIDDEN_LIMIT,
}
SIDES = {"0": Side.BUY, "1": Side.SELL}

# What goes out, as JSON numbers. What the other kinds need beside a rate is not known, so they are not sent.
NEW_KINDS = {TradeKind.LIMIT: 0, TradeKind.MARKET: 1}
NEW_SIDES = {Side.BUY: 0, Side.SELL: 1}

# The words of public trades are not stated; these speak for themselves, and the numbers are those of orders (I).
PUBLIC_SIDES = {**SIDES, "buy": Side.BUY, "sell": Side.SELL}

# C: errors are HTTP 400 with a text, and there is no table of texts or codes. The other statuses mean what HTTP says.
ERRORS: Mapping[int, type[GatewayError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def failure(response: Response) -> Failure | None:
    """The error that the body tells of, by the HTTP status or, where that says success, by the one in the body."""
    body = wire.error_body(response)
    if body is None:
        return None
    status = (body.status or 0) if response.is_success else response.status
    kind = ProviderUnavailable if status >= 500 else ERRORS.get(status)
    return Failure(kind or InvalidRequest, body.text, code=body.code, recognised=kind is not None)


def wallet(answer: wire.Answer[wire.Balance]) -> Wallet:
    """A balance. Where the rest of the total is, the vendor does not say."""
    asset, balances = answer.data.currency.iso3, answer.data.balances
    return Wallet(
        kind=WalletKind.CUSTODIAL,
        asset=asset,
        available=Money(balances.available, asset),
        total=Money(balances.total, asset),
        raw=answer.raw,
    )


def market(answer: wire.Answer[wire.Symbol]) -> Market:
    symbol = answer.data
    return Market(
        market=f"{symbol.base}/{symbol.quote}".upper(),
        provider_id=symbol.pair,
        base=symbol.base,
        quote=symbol.quote,
        rate_decimals=symbol.rate_decimal,
        base_decimals=symbol.base_decimal,
        quote_decimals=symbol.quote_decimal,
        raw=answer.raw,
    )


def ticker(answer: wire.Answer[wire.Ticker], market: str) -> Ticker:
    data = answer.data
    return Ticker(
        market=market,
        last=data.last,
        open=data.open,
        close=data.close,
        high=data.high,
        low=data.low,
        volume=data.volume,
        change=data.change,
        minimum_trade=data.min_trade,
        raw=answer.raw,
    )


def book(answer: wire.Answer[wire.Book], market: str) -> OrderBook:
    def levels(side: Iterable[wire.Level]) -> tuple[BookLevel, ...]:
        return tuple(BookLevel(rate=level.rate, volume=level.volume, count=level.count) for level in side)

    return OrderBook(
        market=market,
        bids=levels(answer.data.buy),
        asks=levels(answer.data.sell),
        sequence=answer.data.sequence,
        raw=answer.raw,
    )


def public_trade(answer: wire.Answer[wire.PublicTrade], market: str) -> PublicTrade:
    data = answer.data
    return PublicTrade(
        market=market,
        rate=data.rate,
        volume=data.volume,
        total=data.price,
        side=PUBLIC_SIDES.get(data.type.lower()) if data.type else None,
        happened_at=data.timestamp,
        raw=answer.raw,
    )


def new_trade(answer: wire.Answer[wire.NewTrade], request: TradeRequest) -> Trade:
    """A placed order: the answer has only its number, so the rest is what was asked for."""
    return Trade(
        provider_id=answer.data.id,
        status=TradeStatus.PENDING,
        market=request.market,
        side=request.side,
        kind=request.kind,
        volume=request.volume,
        rate=request.rate,
        raw=answer.raw,
    )


def cancelled_trade(provider_id: str, raw: Raw) -> Trade:
    """A cancelled order; the answer says no more. How much was filled says only `get-order`, a call of its own."""
    return Trade(
        provider_id=provider_id,
        status=TradeStatus.CANCELLED,
        warnings=("how much had been filled before is not said: fetch it by its number",),
        raw=raw,
    )


def trade(answer: wire.Answer[wire.Trade]) -> Trade:
    """An exchange order. Its pair is kept as it is, because its base and quote cannot be told apart."""
    data = answer.data
    status, side, kind = STATUSES.get(data.status), SIDES.get(data.type or ""), KINDS.get(data.type_trade or "")
    words = (("status", data.status, status), ("type", data.type, side), ("type_trade", data.type_trade, kind))
    return Trade(
        provider_id=data.id,
        status=status or TradeStatus.UNRECOGNISED,
        provider_status=data.status,
        market=data.pair,
        side=side,
        kind=kind,
        volume=data.volume,
        filled=data.volume_done,
        rate=data.rate,
        average_rate=data.rate_done,
        commission=data.commission,
        created_at=data.time_create,
        done_at=data.time_done,
        warnings=tuple(f"unknown {name} {word[:60]!r}" for name, word, found in words if word and found is None),
        raw=answer.raw,
    )
