"""The exchange itself: markets, a book with price-time priority, one account's balances and orders. No HTTP here.

How orders match, what is rounded and what is charged is not documented: the simplest that a book can do. The account's
orders meet the outside world's, which has no balances, and each other's.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from gateway.money import plain
from gateway.testing.sandbox import NotInSandbox, SandboxError

__all__ = ["BUY", "MARKETS", "SELL", "Exchange", "Market", "Order", "Refused", "Trade"]

BUY, SELL = 0, 1
LIMIT, MARKET, STOP_LIMIT, QUICK_MARKET, HIDDEN_LIMIT = range(5)
IN_BOOK, FILLED, CANCELLED = 1, 2, 3  # 0, in process, is over before the answer goes out

_UNIT = Decimal("1E-8")
_DAY = timedelta(hours=24)
_NOTHING = Decimal(0)


class Refused(Exception):
    """The exchange says no, in the words of its business error."""


@dataclass(frozen=True, slots=True)
class Market:
    """A pair. `min_trade` is taken as a volume of the base currency; its unit is not documented."""

    id: int
    base: str
    quote: str
    rate_decimals: int
    base_decimals: int
    quote_decimals: int
    min_trade: Decimal
    middle: Decimal
    """Around which the outside world's first orders stand."""

    def __post_init__(self) -> None:
        if self.rate_decimals + self.base_decimals > 8:
            raise SandboxError(f"{self.pair}: a rate times a volume must fit into 8 decimals")

    @property
    def pair(self) -> str:
        return self.base + self.quote


MARKETS = (
    Market(1, "BTC", "USDC", 2, 6, 8, Decimal("0.0001"), Decimal(60000)),
    Market(2, "ETH", "USDC", 2, 6, 8, Decimal("0.001"), Decimal(3000)),
    Market(3, "ETH", "BTC", 5, 3, 8, Decimal("0.001"), Decimal("0.05")),
)
# The outside world's first orders: volumes at so many parts of a thousand away from the middle.
_DEPTH = ((1, "0.5"), (2, "1"), (5, "2.5"), (10, "10"), (20, "100"))


@dataclass(slots=True)
class Order:
    """`own`: the account's, not the outside world's. `commission` is in the currency that the order receives."""

    id: int
    market: Market
    side: int
    kind: int
    rate: Decimal
    volume: Decimal
    created_at: datetime
    own: bool = True
    done: Decimal = _NOTHING
    value: Decimal = _NOTHING
    commission: Decimal = _NOTHING
    status: int = IN_BOOK
    done_at: datetime | None = None

    @property
    def left(self) -> Decimal:
        return self.volume - self.done

    @property
    def rate_done(self) -> Decimal:
        """The average rate of what was done."""
        return (self.value / self.done).quantize(_UNIT, ROUND_HALF_UP) if self.done else _NOTHING


@dataclass(frozen=True, slots=True)
class Trade:
    """`side` is the side of the order that took what stood in the book."""

    pair: str
    rate: Decimal
    volume: Decimal
    side: int
    at: datetime


@dataclass(slots=True)
class Exchange:
    """One account and the world. `commission_rate` is a fraction of what an order receives."""

    commission_rate: Decimal
    markets: dict[str, Market] = field(default_factory=dict)
    totals: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    finished: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    movements: list[dict[str, str]] = field(default_factory=list)
    sequence: int = 1
    _outside: list[Order] = field(default_factory=list)
    # Later sandboxes give later numbers: a store that outlives this one sees none twice.
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns() // 10**6))

    def open(self, markets: Sequence[Market], balances: Mapping[str, Decimal], now: datetime) -> None:
        self.markets = {market.pair: market for market in markets}
        for market in markets:
            self.totals |= {market.base: _NOTHING, market.quote: _NOTHING}
            buy, sell = _first_orders(market, -1), _first_orders(market, 1)
            self.set_book(market, buy, sell, now)
            for hours, rate in ((20, buy[0][0]), (3, sell[1][0]), (1, market.middle)):
                self.trades.append(Trade(market.pair, rate, market.min_trade * 10, BUY, now - timedelta(hours=hours)))
        for currency, amount in balances.items():
            self.credit(currency, amount, "opening")

    # Balances

    def credit(self, currency: str, amount: Decimal, kind: str = "credit") -> None:
        if currency not in self.totals:
            raise SandboxError(f"no market has the currency {currency!r}")
        if not amount.is_finite() or not 0 <= amount < 10**15 or amount != round(amount, 8):
            raise SandboxError("expected an amount with at most 8 decimals")
        self._move(kind, currency, amount)

    def _move(self, kind: str, currency: str, amount: Decimal, about: str = "", commission: Decimal = _NOTHING) -> None:
        """The only place where a balance changes. `commission` was kept on the way."""
        self.totals[currency] += amount
        movement = {"kind": kind, "currency": currency, "amount": plain(amount), "commission": plain(commission)}
        self.movements.append({**movement, "order": about})

    def available(self, currency: str) -> Decimal:
        """The total without what open orders may take."""
        held = _NOTHING
        for order in self.open_orders():
            if order.side == SELL and order.market.base == currency:
                held += order.left
            if order.side == BUY and order.market.quote == currency:
                held += order.left * order.rate
        return self.totals[currency] - held

    # Orders

    def open_orders(self) -> list[Order]:
        return [order for order in self.orders.values() if order.status == IN_BOOK]

    def place(self, market: Market, side: int, kind: int, rate: Decimal, volume: Decimal, now: datetime) -> Order:
        """Match against the book; what is left of a limit order rests. Raises Refused, and then nothing has changed."""
        limited = kind in (LIMIT, HIDDEN_LIMIT)
        matches: list[tuple[Order, Decimal]] = []
        wanted = volume
        for resting in self._resting(market, 1 - side):
            crosses = not limited or (resting.rate <= rate if side == BUY else resting.rate >= rate)
            if not crosses or not wanted:
                break
            matches.append((resting, min(wanted, resting.left)))
            wanted -= matches[-1][1]
        if wanted and not limited:
            raise Refused("Not enough orders in the book")
        if side == SELL:
            needed = volume
        else:
            needed = volume * rate if limited else sum((part * other.rate for other, part in matches), _NOTHING)
        if needed > self.available(market.base if side == SELL else market.quote):
            raise Refused("Insufficient balance")

        order = Order(self._number(), market, side, kind, rate, volume, now)
        self.orders[order.id] = order
        for resting, part in matches:
            self._trade(order, resting, part, now)
        self.sequence += 1
        return order

    def cancel(self, order: Order, now: datetime) -> None:
        order.status = CANCELLED
        order.done_at = now
        self.finished.append(order)
        self.sequence += 1

    def fill(self, order: Order, volume: Decimal, now: datetime) -> None:
        """Somebody outside takes `volume` of an order that rests, at its rate."""
        taker = Order(0, order.market, 1 - order.side, MARKET, order.rate, volume, now, own=False)
        self._trade(taker, order, volume, now)
        self.sequence += 1

    def _trade(self, taker: Order, maker: Order, volume: Decimal, now: datetime) -> None:
        self.trades.append(Trade(taker.market.pair, maker.rate, volume, taker.side, now))
        for order in (taker, maker):
            order.done += volume
            order.value += volume * maker.rate
            if order.own:
                self._settle(order, volume, volume * maker.rate)
            if not order.left:
                order.status = FILLED
                order.done_at = now
                if order.own:
                    self.finished.append(order)
        self._outside = [order for order in self._outside if order.left]

    def _settle(self, order: Order, volume: Decimal, value: Decimal) -> None:
        gives, takes = (order.market.quote, value), (order.market.base, volume)
        if order.side == SELL:
            gives, takes = takes, gives
        commission = (takes[1] * self.commission_rate).quantize(_UNIT, ROUND_HALF_UP)
        order.commission += commission
        self._move("trade", gives[0], -gives[1], str(order.id))
        self._move("trade", takes[0], takes[1] - commission, str(order.id), commission)

    def _number(self) -> int:
        return next(self._numbers)

    # The book

    def _resting(self, market: Market, side: int) -> list[Order]:
        """Best rate first, and the oldest first of one rate."""
        orders = [o for o in (*self._outside, *self.open_orders()) if o.market == market and o.side == side]
        return sorted(orders, key=lambda o: (-o.rate if side == BUY else o.rate, o.created_at, o.id))

    def set_book(
        self,
        market: Market,
        buy: Iterable[tuple[Decimal, Decimal]],
        sell: Iterable[tuple[Decimal, Decimal]],
        now: datetime,
    ) -> None:
        """Replace the outside world's orders on a market by these pairs of rate and volume."""
        new = [
            Order(self._number(), market, side, LIMIT, rate, volume, now, own=False)
            for side, levels in ((BUY, buy), (SELL, sell))
            for rate, volume in levels
        ]
        for order in new:
            if problem := fault(market, order.rate, order.volume):
                raise SandboxError(f"{problem}: {order.rate} and {order.volume} on {market.pair}")
        own = [order for order in self.open_orders() if order.market == market]
        bids = [order.rate for order in (*new, *own) if order.side == BUY]
        asks = [order.rate for order in (*new, *own) if order.side == SELL]
        if bids and asks and max(bids) >= min(asks):
            raise SandboxError("the orders of both sides would meet")
        self._outside = [order for order in self._outside if order.market != market] + new
        self.sequence += 1

    def book(self, market: Market, side: int) -> list[tuple[Decimal, Decimal, int]]:
        """Rate, volume and number of orders of each level, best first; hidden orders are not in it."""
        visible = [order for order in self._resting(market, side) if order.kind != HIDDEN_LIMIT]
        levels = []
        for rate, orders in itertools.groupby(visible, key=lambda order: order.rate):
            volumes = [order.left for order in orders]
            levels.append((rate, sum(volumes, _NOTHING), len(volumes)))
        return levels

    def trades_of(self, market: Market, since: datetime | None = None) -> list[Trade]:
        """Newest first."""
        return [t for t in reversed(self.trades) if t.pair == market.pair and (since is None or t.at > since)]

    def ticker(self, market: Market, now: datetime) -> dict[str, Decimal]:
        """The last 24 hours; without a trade in them, the last rate before."""
        day = self.trades_of(market, now - _DAY) or self.trades_of(market)[:1]
        rates = [trade.rate for trade in day]
        first, last = rates[-1], rates[0]
        return {
            "last": last,
            "open": first,
            "close": last,
            "high": max(rates),
            "low": min(rates),
            "volume_24H": sum((trade.volume for trade in day if trade.at > now - _DAY), _NOTHING),
            "min_trade": market.min_trade,
            # With the Cyrillic letter U+0441 in it, as the exchange sends it.
            "percent_\u0441hange": ((last - first) / first * 100).quantize(Decimal("0.01"), ROUND_HALF_UP),
        }

    def own_order(self, number: int) -> Order:
        """One of the account's orders that rests. Raises NotInSandbox, SandboxError."""
        order = self.orders.get(number)
        if order is None:
            raise NotInSandbox(f"no exchange order {number}")
        if order.status != IN_BOOK:
            raise SandboxError(f"exchange order {number} is finished")
        return order


def fault(market: Market, rate: Decimal | None, volume: Decimal) -> str:
    """What is wrong with these numbers, empty when they fit. The texts are not documented."""
    if rate is not None and not (0 < rate < 10**9 and rate == round(rate, market.rate_decimals)):
        return "Incorrect rate"
    if not (market.min_trade <= volume < 10**9 and volume == round(volume, market.base_decimals)):
        return "Incorrect volume"
    return ""


def _first_orders(market: Market, direction: int) -> list[tuple[Decimal, Decimal]]:
    return [
        (round(market.middle * (1000 + direction * away) / 1000, market.rate_decimals), Decimal(volume))
        for away, volume in _DEPTH
    ]
