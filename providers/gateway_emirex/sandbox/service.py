"""The HTTP side of the sandbox: keys, signatures, what a client sends, the shapes of the answers; and its control.

Grades in comments: D the vendor's help article (keys), C a third party's profile of live calls (public calls and the
six private paths), I the sister product (all else of the private calls).
"""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.money import plain
from gateway.testing.sandbox import Payment, Sandbox, SandboxClock, SandboxError, SandboxOrder
from gateway_emirex.sandbox.exchange import (
    BUY,
    CANCELLED,
    FILLED,
    HIDDEN_LIMIT,
    LIMIT,
    MARKET,
    MARKETS,
    QUICK_MARKET,
    SELL,
    Exchange,
    Market,
    Order,
    Refused,
    fault,
)
from gateway_emirex.sandbox.fields import (
    BadRequest,
    as_integer,
    bad_request,
    business_error,
    no_page,
    number,
    read_amount,
    read_body,
    read_integer,
    read_text,
    require,
    signature,
    success,
)

__all__ = ["EmirexSandbox"]

PERMISSIONS = frozenset({"read", "trade", "withdraw"})  # D
# Not documented: the rate of the commission, the size of a page, how many public trades are shown.
COMMISSION_RATE = Decimal("0.001")
PAGE = 50
PUBLIC_TRADES = 100
BALANCES = {"USDC": Decimal(10000), "BTC": Decimal(1), "ETH": Decimal(10)}


@dataclass(slots=True)
class _Key:
    """A key pair, with what it may do and from where (D), the greatest `request_id` that it has used (I), and how many
    calls it has signed.
    """

    secret: str = field(repr=False)
    permissions: frozenset[str]
    trusted_ips: frozenset[str] | None
    last_request: int = 0
    calls: int = 0


class EmirexSandbox(Sandbox):
    """Emirex: public market data and the six private calls of one account.

    All paths are relative to the base URL, which ends in `/v1` at the vendor. `balances` is what the account starts
    with, `commission_rate` a fraction of what an order receives. Nothing can be paid here: `pay`, `expire` and `fail`
    raise SandboxError; `fill` is what the world does to a resting order.
    """

    name = "emirex"

    def __init__(
        self,
        clock: SandboxClock | None = None,
        *,
        balances: Mapping[str, Decimal] = BALANCES,
        commission_rate: Decimal = COMMISSION_RATE,
        markets: Sequence[Market] = MARKETS,
        public_key: str = "emirex-sandbox-public-key",
        secret: str = "emirex-sandbox-secret",
    ) -> None:
        super().__init__(clock)
        if not 0 <= commission_rate < 1:
            raise SandboxError("the commission is a fraction of what an order receives")
        self._lock = threading.RLock()
        self._keys: dict[str, _Key] = {}
        self.add_key(public_key, secret)
        self._exchange = Exchange(commission_rate)
        self._exchange.open(markets, balances, self.clock.now())
        self._app = Starlette(
            routes=[
                self._public("symbols", self._symbols),
                self._public("ticker", self._ticker),
                self._public("book", self._book),
                self._public("trades", self._trades),
                self._private("create-order", "trade", self._create_order),
                self._private("delete-order", "trade", self._delete_order),
                self._private("get-order", "read", self._get_order),
                self._private("orders", "read", self._open_orders),
                self._private("history", "read", self._history),
                self._private("balances", "read", self._balances),
            ],
            exception_handlers={HTTPException: _outside_the_application},
        )
        self._app.router.redirect_slashes = False

    # Control

    @property
    def app(self) -> ASGIApp:
        return self._app

    def account(self, base_url: str) -> dict[str, Any]:
        """The settings of an account with the oldest key, and with all that is graded I allowed."""
        with self._lock:
            if not self._keys:
                raise SandboxError("every key is deleted; add_key makes another")
            public_key, key = next(iter(self._keys.items()))
        return {
            "provider": "emirex",
            "environment": "sandbox",
            "base_url": base_url.rstrip("/"),
            "allow_inferred": [
                "wallets.list",
                "trades.create",
                "trades.cancel",
                "trades.get",
                "trades.open",
                "trades.history",
                "keys.verify",
            ],
            "auth": {"kind": "signed", "public_key": public_key, "secret": key.secret},
        }

    def orders(self) -> list[SandboxOrder]:
        """The account's exchange orders, their volume in the base currency. No payments: Emirex takes none."""
        with self._lock:
            orders = self._exchange.orders.values()
            return [SandboxOrder(str(o.id), str(o.status), o.volume, o.market.base) for o in orders]

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        raise SandboxError("Emirex takes no payments; fill fills an exchange order")

    def expire(self, order: str) -> None:
        raise SandboxError("Emirex has no payments, and its exchange orders do not expire")

    def fail(self, order: str) -> None:
        raise SandboxError("Emirex has no payments, and its exchange orders have no status for it")

    def fill(self, order: str | int, volume: Decimal | None = None) -> None:
        """Somebody takes a resting order at its rate: all that is left of it, or a volume of the base currency."""
        with self._lock:
            resting = self._exchange.own_order(int(order) if str(order).isdecimal() else -1)
            part = resting.left if volume is None else volume
            if not (0 < part <= resting.left and part == round(part, resting.market.base_decimals)):
                raise SandboxError(f"order {order} has {plain(resting.left)} {resting.market.base} left")
            self._exchange.fill(resting, part, self.clock.now())

    def set_book(
        self,
        pair: str,
        buy: Iterable[tuple[Decimal, Decimal]] = (),
        sell: Iterable[tuple[Decimal, Decimal]] = (),
    ) -> None:
        """Replace the outside world's orders on a pair by these, each a rate and a volume."""
        with self._lock:
            if pair not in self._exchange.markets:
                raise SandboxError(f"no market {pair!r}")
            self._exchange.set_book(self._exchange.markets[pair], buy, sell, self.clock.now())

    def credit(self, currency: str, amount: Decimal) -> None:
        with self._lock:
            self._exchange.credit(currency, amount)

    def add_key(
        self,
        public_key: str,
        secret: str,
        *,
        permissions: Collection[str] = ("read", "trade"),
        trusted_ips: Collection[str] | None = None,
    ) -> None:
        """Another key of the same account, for all addresses unless `trusted_ips` are given (D)."""
        allowed = _permissions(permissions)
        with self._lock:
            if public_key in self._keys:
                raise SandboxError("this key exists already")
            self._keys[public_key] = _Key(secret, allowed, _addresses(trusted_ips))

    def edit_key(self, public_key: str, *, permissions: Collection[str], trusted_ips: Collection[str] | None) -> None:
        """As with "Edit permissions": what the key may do from now on, and from where; None: from all addresses (D)."""
        allowed = _permissions(permissions)
        with self._lock:
            if public_key not in self._keys:
                raise SandboxError("no such key")
            key = self._keys[public_key]
            key.permissions, key.trusted_ips = allowed, _addresses(trusted_ips)

    def calls_of(self, public_key: str) -> int:
        """How many calls the key has signed, those that it was not allowed to make too."""
        with self._lock:
            if public_key not in self._keys:
                raise SandboxError("no such key")
            return self._keys[public_key].calls

    def delete_key(self, public_key: str) -> None:
        with self._lock:
            if self._keys.pop(public_key, None) is None:
                raise SandboxError("no such key")

    def delete_all_keys(self) -> None:
        """As with "Delete All API Key" (D): without any, nobody is let in until `add_key` makes another."""
        with self._lock:
            self._keys.clear()

    def ledger(self) -> dict[str, Any]:
        with self._lock:
            exchange = self._exchange
            return {
                "balances": {
                    currency: {"total": plain(total), "available": plain(exchange.available(currency))}
                    for currency, total in exchange.totals.items()
                },
                "trades": [
                    {
                        "id": str(order.id),
                        "pair": order.market.pair,
                        "type": order.side,
                        "type_trade": order.kind,
                        "status": order.status,
                        "rate": plain(order.rate),
                        "volume": plain(order.volume),
                        "volume_done": plain(order.done),
                        "commission": plain(order.commission),
                    }
                    for order in exchange.orders.values()
                ],
                "movements": [dict(movement) for movement in exchange.movements],
            }

    # What comes in

    def _public(self, path: str, handle: Callable[[Mapping[str, str]], object]) -> Route:
        async def endpoint(request: Request) -> Response:
            with self._lock:
                return _answered(lambda: success(handle(request.query_params)))

        return Route(f"/public/{path}", endpoint, methods=["GET"])

    def _private(self, path: str, permission: str, handle: Callable[[Mapping[str, Any]], object]) -> Route:
        async def endpoint(request: Request) -> Response:
            content = await request.body()
            with self._lock:
                return _answered(lambda: success(handle(self._admitted(request, content, permission))))

        return Route(f"/private/{path}", endpoint, methods=["POST"])

    def _admitted(self, request: Request, content: bytes, permission: str) -> dict[str, Any]:
        """The body, if a key in force signed it and its `request_id` is greater than all before.

        Private failures look as the public ones do (I), so a wrong key is a business error with HTTP 400. The texts are
        not documented. A number once used stays used, whatever becomes of the call.
        """
        key = self._keys.get(request.headers.get("login-token", ""))
        if key is None:
            raise Refused("Incorrect login-token")
        body = read_body(request.headers.get("content-type", ""), content)
        require(body, "request_id")
        sent = request.headers.get("x-auth-sign", "")
        if not hmac.compare_digest(sent.encode(), signature(content, key.secret).encode()):
            raise Refused("Incorrect X-Auth-Sign")
        request_id = read_text(body, "request_id")
        # Microseconds since 1970 have 16 digits from 2001 to 2286.
        if not re.fullmatch(r"\d{16}", request_id, re.ASCII) or int(request_id) <= key.last_request:
            raise Refused("Incorrect request_id")
        key.last_request = int(request_id)
        key.calls += 1
        if key.trusted_ips is not None and (request.client is None or request.client.host not in key.trusted_ips):
            raise Refused("Access from this IP address is not allowed")
        if permission not in key.permissions:
            raise Refused(f"The key has no permission to {permission}")
        return body

    def _market(self, parameters: Mapping[str, Any]) -> Market:
        """Written without a separator, in upper or lower case (C)."""
        require(parameters, "pair")
        market = self._exchange.markets.get(read_text(parameters, "pair").upper())
        if market is None:
            raise Refused("Incorrect pair")
        return market

    # Public calls (C)

    def _symbols(self, query: Mapping[str, str]) -> object:
        return [
            {
                "id": market.id,
                "pair": market.pair,
                "base": market.base,
                "quote": market.quote,
                "rate_decimal": market.rate_decimals,
                "base_decimal": market.base_decimals,
                "quote_decimal": market.quote_decimals,
            }
            for market in self._exchange.markets.values()
        ]

    def _ticker(self, query: Mapping[str, str]) -> object:
        market = self._market(query)
        values = self._exchange.ticker(market, self.clock.now())
        texts = {name: plain(value) for name, value in values.items()}
        return {"id": market.id, "pair": market.pair, **texts}

    def _book(self, query: Mapping[str, str]) -> object:
        market = self._market(query)
        limit = read_integer(query, "limit") if "limit" in query else None
        if limit == 0:
            raise Refused("Incorrect limit")
        sides = {
            name: [
                {"volume": number(volume), "rate": number(rate), "count": count}
                for rate, volume, count in self._exchange.book(market, side)[:limit]
            ]
            for name, side in (("buy", BUY), ("sell", SELL))
        }
        return {**sides, "sequenceId": self._exchange.sequence}

    def _trades(self, query: Mapping[str, str]) -> object:
        """Newest first (I); `type` as text, as clients of the sister product read it (I)."""
        return [
            {
                "volume": number(trade.volume),
                "rate": number(trade.rate),
                "price": number(trade.rate * trade.volume),
                "timestamp": int(trade.at.timestamp()),
                "type": "SELL" if trade.side == SELL else "BUY",
            }
            for trade in self._exchange.trades_of(self._market(query))[:PUBLIC_TRADES]
        ]

    # Private calls (paths C, all else I)

    def _create_order(self, body: Mapping[str, Any]) -> object:
        """A stop limit order is refused: the field for its trigger is not documented. Volumes are in base units."""
        require(body, "type_trade", "type", "volume", "pair")
        kind, side, market = read_integer(body, "type_trade"), read_integer(body, "type"), self._market(body)
        if kind not in (LIMIT, MARKET, QUICK_MARKET, HIDDEN_LIMIT):
            raise Refused("Incorrect type_trade")
        if side not in (BUY, SELL):
            raise Refused("Incorrect type")
        limited = kind in (LIMIT, HIDDEN_LIMIT)
        if limited:
            require(body, "rate")
        rate = read_amount(body, "rate") if limited else None
        volume = read_amount(body, "volume")
        if problem := fault(market, rate, volume):
            raise Refused(problem)
        return {"id": self._exchange.place(market, side, kind, rate or Decimal(0), volume, self._now()).id}

    def _delete_order(self, body: Mapping[str, Any]) -> None:
        order = self._order(body)
        if order.status in (FILLED, CANCELLED):
            raise Refused("The order is finished")
        self._exchange.cancel(order, self._now())

    def _get_order(self, body: Mapping[str, Any]) -> object:
        return _shown(self._order(body))

    def _open_orders(self, body: Mapping[str, Any]) -> object:
        return {"list": [_shown(order) for order in self._exchange.open_orders()]}

    def _history(self, body: Mapping[str, Any]) -> object:
        """The latest first, which is not documented. Integers of 1e-8 unless `format_number` is 1 (I)."""
        page = read_integer(body, "page") if "page" in body else 1
        limit = read_integer(body, "limit") if "limit" in body else PAGE
        if page < 1 or limit < 1:
            raise Refused("Incorrect page" if page < 1 else "Incorrect limit")
        formatted = "format_number" in body and read_integer(body, "format_number") == 1
        finished = self._exchange.finished[::-1][(page - 1) * limit : page * limit]
        return {"list": [_shown(order, number if formatted else as_integer) for order in finished]}

    def _balances(self, body: Mapping[str, Any]) -> object:
        return {
            "list": [
                {
                    "currency": {"iso3": currency},
                    "balances": {"total": number(total), "available": number(self._exchange.available(currency))},
                }
                for currency, total in self._exchange.totals.items()
            ]
        }

    def _order(self, body: Mapping[str, Any]) -> Order:
        require(body, "order_id")
        order = self._exchange.orders.get(read_integer(body, "order_id"))
        if order is None:
            raise Refused("Incorrect order_id")
        return order

    def _now(self) -> datetime:
        return self.clock.now()


def _permissions(given: Collection[str]) -> frozenset[str]:
    if not set(given) <= PERMISSIONS:
        raise SandboxError(f"a permission is one of {', '.join(sorted(PERMISSIONS))}")
    return frozenset(given)


def _addresses(given: Collection[str] | None) -> frozenset[str] | None:
    return None if given is None else frozenset(given)


def _answered(serve: Callable[[], Response]) -> Response:
    try:
        return serve()
    except Refused as refused:
        return business_error(str(refused))
    except BadRequest as bad:
        return bad_request(str(bad))


async def _outside_the_application(request: Request, exc: Exception) -> Response:
    """An unknown path is an HTML page (C); what a wrong method gets is not documented."""
    if isinstance(exc, HTTPException) and exc.status_code == 405:
        return bad_request("Method Not Allowed", 405, "Method Not Allowed")
    return no_page()


def _shown(order: Order, shown: Callable[[Decimal], Decimal | int] = number) -> dict[str, object]:
    """An order in every private answer. Not documented: times in seconds, the rate 0 of a market order."""
    return {
        "id": order.id,
        "status": order.status,
        "volume": shown(order.volume),
        "volume_done": shown(order.done),
        "rate": shown(order.rate),
        "rate_done": shown(order.rate_done),
        "pair": order.market.pair,
        "type": order.side,
        "type_trade": order.kind,
        "time_create": int(order.created_at.timestamp()),
        "time_done": None if order.done_at is None else int(order.done_at.timestamp()),
        "commission": shown(order.commission),
    }
