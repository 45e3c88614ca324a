"""Aurex: deposits into a customer's wallet as orders, wallets, customers, cards, and card top-ups as withdrawals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import quote

from gateway.contracts import Adapter, Auth, NewCard, NewOrder, NewWithdrawal, Provider, Query, RateLimit
from gateway.errors import InvalidRequest, MalformedResponse, NotFound
from gateway.exchange import Failure, Operation, Request, Response, ask
from gateway.models import (
    Card,
    CardTopUp,
    CardTransaction,
    CustomerRequest,
    OneTimeCode,
    Page,
    ProviderCustomer,
    ProviderOrder,
    ProviderWithdrawal,
    Settlement,
    Wallet,
)
from gateway.money import Money
from gateway_aurex import mapping, wire
from gateway_aurex.auth import BearerAuth
from gateway_aurex.capabilities import CAPABILITIES
from gateway_aurex.keys import RULES
from gateway_aurex.settings import AurexSettings, BearerKey

__all__ = ["PROVIDER", "AurexAdapter"]

# Endpoints 4, 6 and 9 (D).
DEPOSIT_COINS = ("SOL", "USDT", "USDC")
INITIAL_BALANCE = (Decimal(25), Decimal(100000))
TOP_UP = (Decimal(10), Decimal(10000))

# No largest `limit` is documented. Shorter pages than asked for are taken as they come.
DEPOSITS_A_PAGE = 100

# 24 hex digits, as user numbers are, all zero: no user has it.
NOBODY = "0" * 24


class AurexAdapter(Adapter[AurexSettings]):
    # There is no call for one deposit: following one means reading its user's list.
    reads_orders_from_lists = True

    def make_auth(self, credentials: BearerKey) -> Auth:
        return BearerAuth(credentials.api_key)

    def read_failure(self, response: Response) -> Failure | None:
        return mapping.failure(response)

    # Orders

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        """A deposit into the customer's wallet. There are no idempotency keys: sent twice, there are two deposits."""
        request = order.request
        _refuse_options(request.provider_options)
        user = _customer(order.customer, "a deposit goes into a customer's wallet")
        if request.pay_with is None or request.pay_with.code not in DEPOSIT_COINS:
            raise InvalidRequest(
                f"Aurex takes no deposits in {request.pay_with or 'a coin that the payer chooses'}",
                hint=f"set pay_with to {', '.join(DEPOSIT_COINS)}, without a network",
            )
        body = {"amount": _usd(request.price, "the price"), "currency": request.pay_with.code}
        made = yield from ask(
            Request("POST", f"/users/{_segment(user)}/deposits", json=body, write=True), wire.one(wire.NewDeposit)
        )
        return mapping.order(made, user)

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        """Look for a deposit in its user's list. Its end is not marked, so the search goes on to an empty page."""
        user, slash, deposit_id = provider_id.partition("/")
        if not (user and slash and deposit_id) or "/" in deposit_id:
            raise InvalidRequest(
                f"not a deposit of Aurex: {provider_id[:80]!r}",
                hint="it is written userId/depositId, both as Aurex has them",
            )
        seen: set[str] = set()
        offset = 0
        while True:
            rows = yield from ask(_deposits(user, DEPOSITS_A_PAGE, offset), wire.many(wire.Deposit))
            for row in rows:
                if row.data.deposit_id == deposit_id:
                    return mapping.order(row, user)
            if not rows:
                raise NotFound(f"Aurex lists no deposit {deposit_id} of the user {user}")
            new = {row.data.deposit_id for row in rows} - seen
            if not new:
                _starts_over()
            seen |= new
            offset += len(rows)

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        """One page of a user's deposits. The last page is the empty one, because no other end is marked."""
        user = _customer(query.customer, "deposits are listed for a customer")
        offset, first_before = _read_cursor(query.cursor)
        rows = yield from ask(_deposits(user, query.size, offset), wire.many(wire.Deposit))
        if not rows:
            return Page[ProviderOrder]()
        first = rows[0].data.deposit_id
        if first == first_before:
            _starts_over()
        return Page[ProviderOrder](
            items=tuple(mapping.order(row, user) for row in rows), next=f"{offset + len(rows)}:{first}"
        )

    # Wallets

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        user = _customer(query.customer, "every customer has a wallet of its own")
        read = yield from ask(Request("GET", f"/users/{_segment(user)}/wallet"), wire.one(wire.Wallet))
        return Page[Wallet](items=(mapping.wallet(read, user),))

    # Withdrawals

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        """Top up a card. Nothing flows back from a card to the wallet, and a call sent twice charges twice."""
        request = withdrawal.request
        _refuse_options(request.provider_options)
        if not isinstance(request.to, CardTopUp):
            raise InvalidRequest(
                "Aurex pays out to cards only", hint="use CardTopUp, or an account of another provider"
            )
        user = _customer(withdrawal.customer, "a card belongs to a customer")
        body = {"amount": _usd(request.amount, "a top-up", *TOP_UP)}
        path = f"/users/{_segment(user)}/cards/{_segment(request.to.card)}/topup"
        done = yield from ask(Request("POST", path, json=body, write=True), wire.one(wire.TopUp))
        return mapping.top_up(done, request.amount)

    # Customers

    def create_customer(self, request: CustomerRequest) -> Operation[ProviderCustomer]:
        _refuse_options(request.provider_options)
        body = {"firstName": request.first_name, "lastName": request.last_name}
        made = yield from ask(Request("POST", "/users", json=body, write=True), wire.one(wire.User))
        return mapping.customer(made)

    def get_customer(self, provider_id: str) -> Operation[ProviderCustomer]:
        read = yield from ask(Request("GET", f"/users/{_segment(provider_id)}"), wire.one(wire.User))
        return mapping.customer(read)

    # Cards

    def create_card(self, card: NewCard) -> Operation[Card]:
        """Issue a card. Its initial balance, a service fee and an issue fee are taken from the wallet (`debited`)."""
        request = card.request
        _refuse_options(request.provider_options)
        user = _customer(card.customer, "a card belongs to a customer")
        balance = _usd(request.initial_balance, "a card's initial balance", *INITIAL_BALANCE)
        body = {"cardName": request.name, "initialBalance": balance}
        made = yield from ask(
            Request("POST", f"/users/{_segment(user)}/cards", json=body, write=True, quiet=True), wire.one(wire.Card)
        )
        return mapping.card(made, user)

    def list_cards(self, query: Query) -> Operation[Page[Card]]:
        user = _customer(query.customer, "cards are listed for a customer")
        rows = yield from ask(Request("GET", f"/users/{_segment(user)}/cards"), wire.many(wire.Card))
        return Page[Card](items=tuple(mapping.card(row, user) for row in rows))

    def get_card(self, customer: str, card: str) -> Operation[Card]:
        read = yield from ask(Request("GET", _card_path(customer, card), quiet=True), wire.one(wire.RevealedCard))
        return mapping.card(read, customer)

    def list_card_transactions(self, customer: str, card: str, query: Query) -> Operation[Page[CardTransaction]]:
        rows = yield from ask(
            Request("GET", f"{_card_path(customer, card)}/transactions"), wire.many(wire.CardTransaction)
        )
        return Page[CardTransaction](items=tuple(mapping.card_transaction(row) for row in rows))

    def get_one_time_code(self, customer: str, card: str) -> Operation[OneTimeCode]:
        if not card:
            raise InvalidRequest("which card's code?", hint="give the provider's number of the card")
        request = Request("GET", f"/users/{_segment(customer)}/otp", query=(("cardId", card),), quiet=True)
        read = yield from ask(request, wire.one(wire.OneTimeCode))
        return mapping.one_time_code(read, card, self.account.now())

    # Keys

    def verify_key(self) -> Operation[None]:
        """Read a user that cannot exist: that it is unknown says only somebody whose key was accepted."""
        try:
            yield from ask(Request("GET", f"/users/{NOBODY}"), wire.one(wire.User))
        except NotFound as error:
            # Only the vendor's envelope has a code; any web server knows 404.
            if error.provider_code is None:
                raise


def _deposits(user: str, limit: int, offset: int) -> Request:
    query = (("limit", str(limit)), ("offset", str(offset)))
    return Request("GET", f"/users/{_segment(user)}/deposits", query=query)


def _card_path(user: str, card: str) -> str:
    return f"/users/{_segment(user)}/cards/{_segment(card)}"


def _segment(identifier: str) -> str:
    """An identifier as one segment of a path, which it cannot leave."""
    if identifier in ("", ".", ".."):
        raise InvalidRequest(f"not an identifier of Aurex: {identifier!r}")
    return quote(identifier, safe="")


def _customer(customer: str | None, why: str) -> str:
    if not customer:
        raise InvalidRequest(
            f"a customer is needed: {why}", hint="create the customer first, then name it in `customer`"
        )
    return customer


def _usd(money: Money, what: str, least: Decimal | None = None, most: Decimal | None = None) -> Decimal:
    if money.asset != mapping.USD:
        raise InvalidRequest(f"{what} is in USD at Aurex, not in {money.asset}")
    if (least is not None and money.amount < least) or (most is not None and money.amount > most):
        raise InvalidRequest(f"{what} is {least} to {most} USD at Aurex, not {money}")
    return money.amount


def _refuse_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    if options.get("aurex"):
        raise InvalidRequest("Aurex takes no provider_options", hint="leave provider_options['aurex'] out")


def _read_cursor(cursor: str | None) -> tuple[int, str | None]:
    """How many deposits to skip, and the first one of the page before: by which a list that starts over is noticed."""
    if cursor is None:
        return 0, None
    offset, _, first = cursor.partition(":")
    if not (offset.isascii() and offset.isdigit() and first):
        raise InvalidRequest(f"not a cursor of this list: {cursor[:80]!r}", hint="pass `next` of the page before")
    return int(offset), first


def _starts_over() -> NoReturn:
    raise MalformedResponse(
        "Aurex's list of deposits starts over: it does not heed `offset`, so what follows is not known"
    )


PROVIDER = Provider(
    name="aurex",
    contract=1,
    title="Aurex",
    settings=AurexSettings,
    adapter=AurexAdapter,
    capabilities=CAPABILITIES,
    settles_to=Settlement.CUSTOMER,
    rate_limit=RateLimit(60, 60),
    keys=RULES,
    sandbox="gateway_aurex.sandbox:AurexSandbox",
    documentation="https://docs.aurex.cash/cards-and-usage/api/overview",
)
