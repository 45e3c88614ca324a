"""The HTTP side of the sandbox: keys, the rate limit, what a client sends, the shapes of the answers; and its control.

Written from the vendor's documentation; the grades in comments are D documented, P the vendor's published skill.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from gateway_aurex.sandbox.books import CARD_STATUSES, EXPIRED, FAILED, Books, Card, Fees, Refused, User
from gateway_aurex.sandbox.fields import (
    answer,
    as_texts,
    failure,
    number,
    read_body,
    read_count,
    read_text,
    read_usd,
    utc_time,
    whole_cents,
)

__all__ = ["AurexSandbox"]

CURRENCIES = ("SOL", "USDT", "USDC")  # D
REQUESTS, PER_SECONDS = 60, 60  # for one key (D); that the minute slides is not documented
INITIAL_BALANCE = (Decimal(25), Decimal(100000))  # D
TOPUP = (Decimal(10), Decimal(10000))  # D
OTP_SECONDS = 300  # P
# How long a deposit can be paid is not documented.
DEPOSIT_SECONDS = 3600


@dataclass(slots=True)
class _Key:
    """An API key with its own rate limit and its reseller markup in percent (D, P)."""

    markup: Decimal
    revoked: bool = False
    used: deque[float] = field(default_factory=deque)
    calls: int = 0


@dataclass(frozen=True, slots=True)
class _Call:
    key: _Key
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]


class AurexSandbox(Sandbox):
    """Aurex, with its 11 endpoints.

    All paths are relative to the base URL, as the documentation writes them.
    `wallet` is what a new user's wallet holds. `keys` are the account's API keys: one account, whichever key asks.
    `deposit_seconds` is how long a deposit waits. `monotonic` is what the rate limit counts by, in seconds.
    """

    name = "aurex"

    def __init__(
        self,
        clock: SandboxClock | None = None,
        *,
        keys: Iterable[str] = ("aurex-sandbox-key-one", "aurex-sandbox-key-two"),
        wallet: Decimal = Decimal(0),
        fees: Fees | None = None,
        deposit_seconds: int = DEPOSIT_SECONDS,
        rate_limit: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self._lock = threading.RLock()
        self._monotonic = monotonic
        self._rate_limit = rate_limit
        self._keys: dict[str, _Key] = {}
        self._books = Books(fees or Fees(), whole_cents(wallet, least=Decimal(0)), timedelta(seconds=deposit_seconds))
        for key in keys:
            self.add_key(key)
        self._app = Starlette(
            routes=[
                self._route("POST", "/users", self._create_user, message="User created"),
                self._route("GET", "/users/{user}", self._get_user),
                self._route("GET", "/users/{user}/wallet", self._get_wallet),
                self._route("POST", "/users/{user}/deposits", self._create_deposit),
                self._route("GET", "/users/{user}/deposits", self._list_deposits),
                self._route("POST", "/users/{user}/cards", self._create_card),
                self._route("GET", "/users/{user}/cards", self._list_cards),
                self._route("GET", "/users/{user}/cards/{card}", self._get_card),
                self._route("POST", "/users/{user}/cards/{card}/topup", self._top_up),
                self._route("GET", "/users/{user}/cards/{card}/transactions", self._list_transactions),
                self._route("GET", "/users/{user}/otp", self._one_time_code),
            ],
            exception_handlers={HTTPException: _no_such_path},
        )
        self._app.router.redirect_slashes = False

    # Control

    @property
    def app(self) -> ASGIApp:
        return self._app

    def account(self, base_url: str) -> dict[str, Any]:
        """The settings of an account with the first key that is not revoked, and with all that is graded I allowed."""
        with self._lock:
            usable = [text for text, key in self._keys.items() if not key.revoked]
        if not usable:
            raise SandboxError("every key is revoked; add_key makes another")
        return {
            "provider": "aurex",
            "environment": "sandbox",
            "base_url": base_url.rstrip("/"),
            "allow_inferred": ["keys.verify"],
            "auth": {"kind": "bearer", "api_key": usable[0]},
        }

    def orders(self) -> list[SandboxOrder]:
        with self._lock:
            self._books.sweep(self._now())
            deposits = self._books.deposits.values()
            return [SandboxOrder(d.id, d.status, d.amount, d.currency, d.expires_at) for d in deposits]

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        """Pay a waiting deposit in full: it is confirmed, its net amount is in the wallet.

        Under, over and late raise SandboxError: a deposit has no status and no field for any of them, and `expired`
        leads nowhere, so what the vendor would answer is not known.
        """
        if how is not Payment.EXACT:
            raise SandboxError(f"Aurex does not document what becomes of a deposit that is paid {how.value}")
        with self._lock:
            self._books.sweep(self._now())
            self._books.confirm(self._books.waiting_deposit(order), self._now())

    def announce(self, order: str) -> None:
        """The payment of a waiting deposit is seen: until `pay` confirms it, it is part of `pendingBalance`."""
        with self._lock:
            self._books.sweep(self._now())
            self._books.waiting_deposit(order).seen = True

    def expire(self, order: str) -> None:
        with self._lock:
            self._books.sweep(self._now())
            deposit = self._books.waiting_deposit(order)
            deposit.status = EXPIRED
            deposit.expires_at = min(deposit.expires_at, self._now())

    def fail(self, order: str) -> None:
        with self._lock:
            self._books.sweep(self._now())
            self._books.waiting_deposit(order).status = FAILED

    def add_key(self, key: str, *, markup_percent: Decimal = Decimal(0)) -> None:
        """Another key of the same account. The markup belongs to the key (P)."""
        with self._lock:
            if key in self._keys:
                raise SandboxError("this key exists already")
            markup = whole_cents(markup_percent, least=Decimal(0))
            if markup + self._books.fees.deposit_percent >= 100:
                raise SandboxError("a markup leaves something of a deposit")
            self._keys[key] = _Key(markup)

    def revoke_key(self, key: str) -> None:
        """A revoked key loses access at once (D)."""
        with self._lock:
            if key not in self._keys:
                raise SandboxError("no such key")
            self._keys[key].revoked = True

    def calls_of(self, key: str) -> int:
        """How many calls were admitted with the key."""
        with self._lock:
            if key not in self._keys:
                raise SandboxError("no such key")
            return self._keys[key].calls

    def credit(self, user: str, amount: Decimal) -> None:
        """Put USD into a user's wallet, from nowhere and without a fee."""
        with self._lock:
            if user not in self._books.users:
                raise SandboxError(f"no user {user!r}")
            self._books.credit(self._books.users[user], whole_cents(amount), self._now())

    def spend(self, card: str, amount: Decimal, status: str | None = None) -> str:
        """Use a card for `amount` USD; returns the transaction's number.

        Without a status it is completed, or declined when the card is not active or holds too little. A pending one has
        left the card already, see `settle_transaction`.
        """
        with self._lock:
            return self._books.spend(self._card(card), whole_cents(amount), status, self._now()).id

    def settle_transaction(self, transaction: str, status: str = "completed") -> None:
        """A pending card transaction becomes completed, or else declined or failed, and the card has its money back."""
        with self._lock:
            self._books.settle(transaction, status, self._now())

    def set_card_status(self, card: str, status: str) -> None:
        with self._lock:
            if status not in CARD_STATUSES:
                raise SandboxError(f"a card is one of {', '.join(CARD_STATUSES)}, not {status!r}")
            self._card(card).status = status

    def ledger(self) -> dict[str, Any]:
        with self._lock:
            self._books.sweep(self._now())
            books = self._books
            return {
                "users": [
                    {
                        "userId": user.id,
                        "available": plain(user.available),
                        "pending": plain(books.pending(user)),
                        "inCards": plain(books.in_cards(user)),
                    }
                    for user in books.users.values()
                ],
                "deposits": [
                    as_texts(deposit, "id user amount currency status")
                    | {"net": plain(deposit.net), "fees": plain(deposit.collected)}
                    for deposit in books.deposits.values()
                ],
                "cards": [as_texts(card, "id user name balance status") for card in books.cards.values()],
                "transactions": [
                    as_texts(transaction, "id card amount currency status")
                    for card in books.cards.values()
                    for transaction in card.transactions
                ],
                "movements": [dict(movement) for movement in books.movements],
            }

    def _card(self, card: str) -> Card:
        if card not in self._books.cards:
            raise SandboxError(f"no card {card!r}")
        return self._books.cards[card]

    def _now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)  # the documented times have whole seconds

    # What comes in

    def _route(self, method: str, path: str, handle: Callable[[_Call], object], *, message: str | None = None) -> Route:
        async def endpoint(request: Request) -> Response:
            content = await request.body()
            with self._lock:
                try:
                    key = self._admitted(request.headers.get("authorization"))
                    self._books.sweep(self._now())
                    body = read_body(request, content) if method == "POST" else {}
                    data = handle(_Call(key, request.path_params, request.query_params, body))
                except Refused as refused:
                    return failure(refused.status, refused.error)
            envelope = {"success": True, "data": data}
            return answer(200, envelope if message is None else {**envelope, "message": message})

        return Route(path, endpoint, methods=[method])

    def _admitted(self, authorization: str | None) -> _Key:
        """The key of `Authorization: Bearer …`, if it is in force and within its 60 requests a minute (D)."""
        scheme, _, text = (authorization or "").partition(" ")
        key = self._keys.get(text)
        if scheme != "Bearer" or key is None or key.revoked:
            raise Refused(401, "Invalid or missing API key")
        if self._rate_limit:
            now = self._monotonic()
            while key.used and now - key.used[0] >= PER_SECONDS:
                key.used.popleft()
            if len(key.used) >= REQUESTS:
                raise Refused(429, "Rate limit exceeded")
            key.used.append(now)
        key.calls += 1
        return key

    def _user(self, call: _Call) -> User:
        user = self._books.users.get(call.path["user"])
        if user is None:
            raise Refused(404, "User not found")
        return user

    def _card_of(self, user: User, card_id: str) -> Card:
        card = self._books.cards.get(card_id)
        if card is None or card.user != user.id:
            raise Refused(404, "Card not found")
        return card

    # The endpoints, in the documentation's order

    def _create_user(self, call: _Call) -> object:
        first, last = read_text(call.body, "firstName"), read_text(call.body, "lastName")
        return _shown_user(self._books.add_user(first, last, self._now()))

    def _get_user(self, call: _Call) -> object:
        user = self._user(call)
        return {**_shown_user(user), "createdAt": utc_time(user.created_at)}

    def _get_wallet(self, call: _Call) -> object:
        user = self._user(call)
        return {
            "userId": user.id,
            "balance": number(user.available),
            "pendingBalance": number(self._books.pending(user)),
            "inCardsBalance": number(self._books.in_cards(user)),
            "currency": "USD",
        }

    def _create_deposit(self, call: _Call) -> object:
        user = self._user(call)
        amount, currency = read_usd(call.body, "amount", None), read_text(call.body, "currency")
        if currency not in CURRENCIES:
            raise Refused(400, f"currency must be one of {', '.join(CURRENCIES)}")
        deposit = self._books.add_deposit(user, amount, currency, call.key.markup, self._now())
        return {
            "depositId": deposit.id,
            "amount": number(deposit.amount),
            "netAmount": number(deposit.net),
            "currency": deposit.currency,
            "depositAddress": deposit.address,
            "status": deposit.status,
            "fees": {
                "platformFeePercent": number(deposit.platform_percent),
                "platformFeeUsd": number(deposit.platform_fee),
                "merchantCommissionPercent": number(deposit.merchant_percent),
                "merchantCommissionUsd": number(deposit.merchant_fee),
                "totalCollected": number(deposit.collected),
            },
            "expiresAt": utc_time(deposit.expires_at),
        }

    def _list_deposits(self, call: _Call) -> object:
        """Newest first, which is not documented; 10 from 0 when nothing is asked for (seen, not stated)."""
        user = self._user(call)
        limit, offset = read_count(call.query, "limit", 10, least=1), read_count(call.query, "offset", 0, least=0)
        deposits = [deposit for deposit in reversed(self._books.deposits.values()) if deposit.user == user.id]
        return [
            {
                "depositId": deposit.id,
                "amount": number(deposit.amount),
                "currency": deposit.currency,
                "status": deposit.status,
                "createdAt": utc_time(deposit.created_at),
            }
            for deposit in deposits[offset : offset + limit]
        ]

    def _create_card(self, call: _Call) -> object:
        user = self._user(call)
        name, initial = read_text(call.body, "cardName"), read_usd(call.body, "initialBalance", INITIAL_BALANCE)
        card = self._books.issue_card(user, name, initial, self._now())
        total = card.service_fee + card.issue_fee
        return {
            "cardId": card.id,
            "cardName": card.name,
            "balance": number(card.balance),
            "cardNumber": card.number,
            "expiryDate": card.expiry,
            "cvv": card.cvv,
            "status": card.status,
            "fees": {
                "depositAmount": number(initial + total),
                "ourFee": number(card.service_fee),
                "ourFeeRate": number(self._books.fees.card_percent / 100),
                "cardIssueFee": number(card.issue_fee),
                "totalFees": number(total),
                "cardBalance": number(initial),
            },
        }

    def _list_cards(self, call: _Call) -> object:
        user = self._user(call)
        cards = (card for card in self._books.cards.values() if card.user == user.id)
        return [
            {"cardId": card.id, "cardName": card.name, "balance": number(card.balance), "status": card.status}
            for card in cards
        ]

    def _get_card(self, call: _Call) -> object:
        card = self._card_of(self._user(call), call.path["card"])
        return {
            "cardId": card.id,
            "cardName": card.name,
            "cardNumber": card.number,
            "expiryDate": card.expiry,
            "cvv": card.cvv,
            "balance": number(card.balance),
            "status": card.status,
        }

    def _top_up(self, call: _Call) -> object:
        user = self._user(call)
        card = self._card_of(user, call.path["card"])
        amount = read_usd(call.body, "amount", TOPUP)
        fee = self._books.top_up(user, card, amount, self._now())
        # Here `fees` is a number, not an object (P).
        return {
            "cardId": card.id,
            "newBalance": number(card.balance),
            "rechargeAmount": number(amount),
            "fees": number(fee),
        }

    def _list_transactions(self, call: _Call) -> object:
        """Newest first, which is not documented."""
        card = self._card_of(self._user(call), call.path["card"])
        return [
            {
                "transactionId": transaction.id,
                "amount": number(transaction.amount),
                "currency": transaction.currency,
                "status": transaction.status,
                "createdAt": utc_time(transaction.created_at),
            }
            for transaction in reversed(card.transactions)
        ]

    def _one_time_code(self, call: _Call) -> object:
        user = self._user(call)
        if not call.query.get("cardId"):
            raise Refused(400, "cardId is required")
        card = self._card_of(user, call.query["cardId"])
        return {"otp": f"{secrets.randbelow(10**6):06d}", "expiresIn": OTP_SECONDS, "cardId": card.id}


def _shown_user(user: User) -> dict[str, str]:
    return {"userId": user.id, "firstName": user.first_name, "lastName": user.last_name}


async def _no_such_path(request: Request, exc: Exception) -> Response:
    """404 is the documented status; 405 for a wrong method is not among the vendor's."""
    return failure(404, "Not found")
