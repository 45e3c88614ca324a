"""Cards. What is stored of one never holds its number, CVV or a code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.contracts import (
    CreatesCards,
    GivesOneTimeCodes,
    ListsCards,
    ListsCardTransactions,
    NewCard,
    Query,
    ReadsCards,
)
from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.flows.orders import customer_at
from gateway.flows.writes import Write, comparable, once, recorded
from gateway.models.base import Page
from gateway.models.cards import Card, CardRequest, CardTransaction, OneTimeCode
from gateway.secrets import Raw
from gateway.store import cards as store
from gateway.store.withdrawals import check_brakes

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["create", "one_time_code", "page", "reveal", "transactions_page"]


def create(core: Core, request: CardRequest, *, account: str | None, seconds: float | None) -> Flow[Card]:
    """Issue the card, or give the one that this reference has. Only the call that issued it returns its number and
    CVV.
    """
    asked = comparable(request)
    entry = yield from recorded(core, "cards.create", request.reference, asked)
    if entry is None:
        chosen = core.choose("cards.create", "", request, account=account)
        customer = yield from customer_at(chosen, request.customer)
        assert customer is not None
        new = NewCard(request=request, customer=customer)

        def within_limits(connection: Connection) -> None:
            # What a new card is loaded with leaves the wallet as a top-up does.
            check_brakes(
                connection,
                account=chosen.name,
                limits=chosen.settings.limits,
                amount=request.initial_balance,
                destination="a new card",
                now=core.now(),
                reference=request.reference,
                environment=chosen.environment,
            )

        def keep(connection: Connection, card: Card) -> None:
            store.save_card(
                connection,
                request.reference,
                account=chosen.name,
                provider=chosen.provider.name,
                environment=chosen.environment,
                customer=request.customer,
                card=without_secrets(card),
                now=core.now(),
            )

        write = Write[Card](
            operation="cards.create",
            reference=request.reference,
            account=chosen,
            request=asked,
            prepare=lambda: chosen.able(CreatesCards).create_card(new),
            kept=without_secrets,
            on_intent=within_limits,
            on_done=keep,
        )
        issued = yield from once(core, write, core.deadline(seconds, chosen))
        if issued is not None:
            return issued.model_copy(update={"reference": request.reference, "customer": request.customer})
    found = yield from transact(lambda connection: store.load_card(connection, request.reference))
    assert found is not None
    return found


def without_secrets(card: Card) -> Card:
    """The card as it may be stored: without the provider's answer too, in which a code may stand under any name."""
    return card.model_copy(update={"number": None, "cvv": None, "raw": Raw()})


def page(
    core: Core, account: str, *, customer: str, cursor: str | None, size: int, seconds: float | None
) -> Flow[Page[Card]]:
    opened = core.account(account)
    opened.require("cards.list")
    number = yield from customer_at(opened, customer)
    run = Performance(opened, "cards.list", core.deadline(seconds, opened))
    found: Page[Card] = yield from perform(
        run, Begun(opened.able(ListsCards).list_cards(Query(cursor=cursor, size=size, customer=number)))
    )
    return Page[Card](
        items=tuple(card.model_copy(update={"customer": customer}) for card in found.items), next=found.next
    )


def reveal(core: Core, account: str, *, customer: str, card: str, seconds: float | None) -> Flow[Card]:
    """The card with its number and CVV, read at the provider; nothing of it is kept."""
    opened = core.account(account)
    opened.require("cards.get")
    number = yield from customer_at(opened, customer)
    assert number is not None
    run = Performance(opened, "cards.get", core.deadline(seconds, opened))
    found: Card = yield from perform(run, Begun(opened.able(ReadsCards).get_card(number, card)))
    return found.model_copy(update={"customer": customer})


def transactions_page(
    core: Core, account: str, *, customer: str, card: str, cursor: str | None, size: int, seconds: float | None
) -> Flow[Page[CardTransaction]]:
    opened = core.account(account)
    opened.require("cards.transactions")
    number = yield from customer_at(opened, customer)
    assert number is not None
    run = Performance(opened, "cards.transactions", core.deadline(seconds, opened))
    query = Query(cursor=cursor, size=size, customer=number)
    found: Page[CardTransaction] = yield from perform(
        run, Begun(opened.able(ListsCardTransactions).list_card_transactions(number, card, query))
    )
    return found


def one_time_code(core: Core, account: str, *, customer: str, card: str, seconds: float | None) -> Flow[OneTimeCode]:
    opened = core.account(account)
    opened.require("cards.one-time-code")
    number = yield from customer_at(opened, customer)
    assert number is not None
    run = Performance(opened, "cards.one-time-code", core.deadline(seconds, opened))
    found: OneTimeCode = yield from perform(run, Begun(opened.able(GivesOneTimeCodes).get_one_time_code(number, card)))
    return found
