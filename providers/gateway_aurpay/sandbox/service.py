"""The sandbox: the application, its control and its ledger."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any, ClassVar, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.exchange import encode_json
from gateway.money import plain
from gateway.testing.sandbox import OutgoingCallback, Payment, Sandbox, SandboxClock, SandboxError, SandboxOrder
from gateway_aurpay.sandbox.access import PASSWORD, USERNAME, Access
from gateway_aurpay.sandbox.books import Books
from gateway_aurpay.sandbox.callbacks import CallbackWriter
from gateway_aurpay.sandbox.coins import COINS, Coin
from gateway_aurpay.sandbox.endpoints import Endpoints
from gateway_aurpay.sandbox.orders import Checkout, Order, Status, shown_status
from gateway_aurpay.sandbox.variants import Variants, WithdrawCall
from gateway_aurpay.sandbox.wire import Call, Refusal, enveloped, read_body

__all__ = ["AurpaySandbox"]

# Made up.
_OPENING = {"BTC": "0.1", "BTC-LN": "0.05", "ETH": "1", "USDT-TRC20": "1000"}


class AurpaySandbox(Sandbox):
    """Aurpay for tests and demonstrations. Exchange rates are fixed and made up: see `coins`.

    `auth` is the flavour of `account` and of the callbacks' headers; calls may use any. `balances` replaces the
    opening balances, by the vendor's coin codes (`BTC-LN` is the Lightning balance). `payer_coin` is what a payer
    chooses on the hosted page. The other switches choose between what the documentation leaves open:

    - `pay_url_has_order_id`: without it an order made for the hosted page has no number until the payer chooses a coin.
      For the control it is `checkout-1` and so on, also when its order exists; `orders` then shows both.
    - `success_word`: the documentation's `SUCCESS`, or what clients have seen: `SUCCEED`, `succeed`.
    - `with_result`, `error_field`: whether envelopes carry `result`, and where the text of an error is.
    - `paged_lists`: currencies and wallets as pages instead of bare lists.
    - `refunds_at_once`: a refund is completed by its call, not by `complete_refund`.
    - `zone`: of the times, which do not say it.
    - `withdraw`: offers endpoint 11; without it a balance is paid out by hand.
    """

    name: ClassVar[str] = "aurpay"

    def __init__(
        self,
        clock: SandboxClock | None = None,
        *,
        auth: Literal["api-key", "login", "signature"] = "api-key",
        api_secret: str = "sandbox-aurpay-api-secret",
        callback_secret: str = "sandbox-aurpay-callback-secret",
        balances: Mapping[str, Decimal | str] = _OPENING,
        payer_coin: str = "USDT-TRC20",
        pay_url_has_order_id: bool = True,
        success_word: str = "SUCCESS",
        with_result: bool = True,
        error_field: Literal["message", "msg"] = "message",
        paged_lists: bool = False,
        refunds_at_once: bool = False,
        zone: tzinfo = UTC,
        withdraw: WithdrawCall | None = None,
    ) -> None:
        super().__init__(clock)
        self._lock = threading.RLock()
        self._auth = auth
        self._variants = Variants(
            pay_url_has_order_id=pay_url_has_order_id,
            success_word=success_word,
            with_result=with_result,
            error_field=error_field,
            paged_lists=paged_lists,
            refunds_at_once=refunds_at_once,
            zone=zone,
            withdraw=withdraw,
        )
        self._access = Access(self.clock, api_secret)
        self._callbacks = CallbackWriter(callback_secret, self._variants)
        opening = {_coin(currency).currency: Decimal(amount) for currency, amount in balances.items()}
        self._books = Books(self.clock, opening, _coin(payer_coin), self._announce)
        self._app = Starlette(routes=self._routes())
        self._app.router.redirect_slashes = False  # (3) has its trailing slash, and no other path has one

    @property
    def app(self) -> ASGIApp:
        return self._app

    def account(self, base_url: str) -> dict[str, Any]:
        """The settings of an account with the oldest key of its flavour."""
        with self._lock:
            account: dict[str, Any] = {
                "provider": self.name,
                "environment": "sandbox",
                "base_url": base_url,
                "allow_inferred": ["currencies.list", "wallets.list"],
                "auth": {"kind": self._auth, **self._oldest()},
                "callback": {"token": self._callbacks.token, "secret": self._callbacks.secret},
            }
        call = self._variants.withdraw
        if call is not None:
            account["allow_inferred"].append("withdrawals.create:address")
            account["withdraw"] = {name: getattr(call, name) for name in call.__slots__}
        return account

    def _oldest(self) -> dict[str, str]:
        if self._auth == "login":
            return {"username": USERNAME, "password": PASSWORD}
        if self._auth == "api-key":
            for key in self._access.api_keys:
                return {"api_key": key}
            raise SandboxError("every API key is ended; add_api_key makes another")
        for token, secret in self._access.pairs.items():
            return {"api_token": token, "api_secret": secret}
        raise SandboxError("every signature pair is ended; add_signature_pair makes another")

    # Control

    def orders(self) -> list[SandboxOrder]:
        """With their prices. A checkout without an order is PENDING."""
        with self._lock:
            self._books.pass_time()
            return [self._summary(entry) for entry in self._books.entries.values()]

    def _summary(self, entry: Order | Checkout) -> SandboxOrder:
        order = entry.order if isinstance(entry, Checkout) else entry
        status = shown_status(order.status if order else Status.PENDING, self._variants)
        ends = order.expires_at if order else None
        return SandboxOrder(entry.id, status, entry.terms.price, entry.terms.fiat, ends)

    def choose(self, order: str, currency: str) -> str:
        """The payer chooses a coin on the hosted page and does not pay yet. The order's number."""
        with self._lock:
            self._books.pass_time()
            return self._books.choose(order, _coin(currency)).id

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        """UNDER pays nine tenths of what is missing, OVER a tenth more than is asked, EXACT all that is missing.

        An order that is OVERDUE takes a payment too; a Lightning invoice only takes a whole one, and in time.
        """
        with self._lock:
            self._books.pass_time()
            self._books.pay(order, how)

    def expire(self, order: str) -> None:
        with self._lock:
            self._books.pass_time()
            self._books.expire(order)

    def fail(self, order: str) -> None:
        """It becomes TERMINATED. The provider makes no callback for that: none is documented."""
        with self._lock:
            self._books.pass_time()
            self._books.terminate(order)

    def resolve(self, order: str) -> None:
        """The merchant accepts in the dashboard what was underpaid."""
        with self._lock:
            self._books.resolve(order)

    def complete_refund(self, order: str) -> None:
        """The refund that was asked for has arrived; the order becomes REFUNDED."""
        with self._lock:
            self._books.complete_refund(order)

    def forget_logins(self) -> None:
        """Every key that came from a login is refused from now on, before its time."""
        with self._lock:
            self._access.forget_logins()

    def add_api_key(self, key: str) -> None:
        """Another API key of the same account. Callbacks show the newest, which is not documented."""
        with self._lock:
            if key in self._access.api_keys:
                raise SandboxError("this key exists already")
            self._access.api_keys.append(key)

    def add_signature_pair(self, token: str, secret: str) -> None:
        """Another API token and API secret of the same account."""
        with self._lock:
            if token in self._access.pairs:
                raise SandboxError("this token exists already")
            self._access.pairs[token] = secret

    def end_key(self, key_or_token: str) -> None:
        """An API key, or the pair of an API token, is refused from now on. How a key ends is not documented."""
        with self._lock:
            if key_or_token in self._access.api_keys:
                self._access.api_keys.remove(key_or_token)
            elif self._access.pairs.pop(key_or_token, None) is None:
                raise SandboxError("no such API key or API token")

    def change_callback_secrets(self, token: str, secret: str) -> None:
        """The dashboard's callback page shows these from now on. Callbacks that were made before keep their proof."""
        with self._lock:
            self._callbacks.token, self._callbacks.secret = token, secret

    def forged(self, callback: OutgoingCallback) -> OutgoingCallback:
        return self._callbacks.forge(callback)

    def ledger(self) -> dict[str, Any]:
        """`moves` add up to `balances`, coin by coin."""
        with self._lock:
            self._books.pass_time()
            orders = list(reversed(self._books.orders()))
            return {
                "balances": {currency: plain(self._books.balance(coin)) for currency, coin in COINS.items()},
                "moves": [
                    {
                        "kind": move.kind,
                        "currency": move.currency,
                        "amount": plain(move.amount),
                        "reference": move.reference,
                        "at": move.at.isoformat(),
                    }
                    for move in self._books.moves
                ],
                "orders": [self._in_ledger(order) for order in orders],
                "refunds": [
                    {"order": order.id, "amount": plain(order.refund.amount), "done": order.refund.done}
                    for order in orders
                    if order.refund is not None
                ],
                "payouts": [
                    {
                        "id": payout.id,
                        "currency": payout.coin.currency,
                        "amount": plain(payout.amount),
                        "destination": payout.destination,
                        "payment_hash": payout.payment_hash,
                    }
                    for payout in self._books.payouts
                ],
            }

    def _in_ledger(self, order: Order) -> dict[str, Any]:
        return {
            "id": order.id,
            "status": order.status.value,
            "price": plain(order.terms.price),
            "price_currency": order.terms.fiat,
            "currency": order.coin.currency if order.coin else None,
            "amount": None if order.amount is None else plain(order.amount),
            "obtained": plain(order.obtained),
        }

    def _announce(self, order: Order, timed_out: bool) -> None:
        # Which key is shown where there are several, or a login, is not documented: the newest.
        keys = {"api-key": self._access.newest_api_key, "login": self._access.newest_key, "signature": None}
        callback = self._callbacks.write(order, timed_out, keys[self._auth])
        if callback is not None:
            self.emit(callback)

    # The application

    def _routes(self) -> list[Route]:
        ends = Endpoints(self._books, self._access, self._variants)
        routes = [
            self._route("POST", "/api/order/pay-url", ends.pay_url),
            self._route("POST", "/api/order/pay-info", ends.pay_info),
            self._route("GET", "/api/v2/order/", ends.orders),
            self._route("GET", "/api/v2/order/detail/{order_id}", ends.order),
            self._route("GET", "/api/v2/order/refund-info/{order_id}", ends.refund_info),
            self._route("POST", "/api/v2/order/refund/{order_id}", ends.refund, bodiless=True, bare=True),
            self._route("GET", "/api/v2/tx", ends.transactions),
            self._route("GET", "/api/order/pay/real-currency", ends.real_currencies),
            self._route("GET", "/api/order/pay/crypto-currency", ends.crypto_currencies),
            self._route("GET", "/api/v2/wallet/", ends.wallets),
            self._route("GET", "/api/v2/wallet/self-custody", ends.self_custody),
            self._route("GET", "/api/bln/balance", ends.lightning_balance),
            self._route("POST", "/api/bln/order", ends.lightning_order),
            self._route("POST", "/api/bln/withdraw", ends.lightning_withdrawal),
            self._route("POST", "/api/plugin/key/aurpay", ends.login, public=True),
        ]
        if self._variants.withdraw is not None:
            routes.append(self._route("POST", self._variants.withdraw.path, ends.withdraw))
        return routes

    def _route(
        self,
        method: str,
        path: str,
        handle: Callable[[Call], Any],
        *,
        public: bool = False,
        bodiless: bool = False,
        bare: bool = False,
    ) -> Route:
        """`public` needs no key, `bodiless` is a POST without a body, `bare` answers without the envelope."""
        takes_body = method == "POST" and not bodiless

        def carry_out(request: Request, content: bytes) -> Any:
            if not public:
                self._access.check(request.method, _target(request), request.headers, content)
            if content and not takes_body:
                raise Refusal(400, "this call takes no body")
            body = read_body(request.headers.get("content-type", ""), content) if takes_body else {}
            query = tuple(request.query_params.multi_items())
            site = str(request.base_url).rstrip("/")
            return handle(Call(body, query, request.path_params.get("order_id", ""), site))

        async def endpoint(request: Request) -> Response:
            content = await request.body()
            with self._lock:
                self._books.pass_time()
                try:
                    data = carry_out(request, content)
                except Refusal as refusal:
                    return self._refused(refusal)
            return _json(data if bare else enveloped(data, result=self._variants.with_result))

        typed: Callable[[Request], Awaitable[Response]] = endpoint
        return Route(path, typed, methods=[method])

    def _refused(self, refusal: Refusal) -> Response:
        """An error is in the body; the HTTP status is 200 (P for 401, not documented for others)."""
        variants = self._variants
        return _json(
            enveloped(
                None,
                code=refusal.code,
                field=variants.error_field,
                message=refusal.message,
                result=variants.with_result,
            )
        )


def _coin(currency: str) -> Coin:
    if currency not in COINS:
        raise SandboxError(f"no coin {currency!r}; there are {', '.join(COINS)}")
    return COINS[currency]


def _target(request: Request) -> str:
    """Path and query as they came, which a signature covers. Whoever serves this takes off a prefix of its own."""
    raw: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


def _json(data: Any) -> Response:
    return Response(encode_json(data), media_type="application/json")
