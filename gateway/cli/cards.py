"""`gateway cards`: customers' cards. A number is masked, and a code is shown, only as far as a person asked for it."""

from __future__ import annotations

from itertools import islice
from shlex import quote
from typing import Annotated, Any

import typer

from gateway.cli.completion import amounts
from gateway.cli.options import ProviderOptions, options_of
from gateway.cli.orders import fees
from gateway.cli.output import Column, data_of
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    CustomerName,
    Deadline,
    Limit,
    Yes,
    chosen,
    example,
    only_account,
    session,
)
from gateway.errors import NotFound
from gateway.models.cards import Card, CardRequest, CardTransaction, OneTimeCode
from gateway.money import Money
from gateway.secrets import HIDDEN

__all__ = ["add"]

CardId = Annotated[str, typer.Argument(metavar="CARD", help="The provider's own number of the card; `cards list`.")]

app = typer.Typer(help="Cards of customers: issue, look up, what they were used for.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="cards")


@app.command(
    "create",
    epilog=example('gateway cards create --reference card-9 --customer c-42 --name "Ada L" --initial-balance "25 USD"'),
)
def create(
    context: typer.Context,
    reference: Annotated[str, typer.Option("--reference", help="Your own number of it; it is never issued twice.")],
    customer: CustomerName,
    name: Annotated[str, typer.Option("--name", help="What the card is called.")],
    initial_balance: Annotated[
        str,
        typer.Option(
            "--initial-balance",
            metavar="MONEY",
            help="Moved from the customer's wallet to the card.",
            autocompletion=amounts,
        ),
    ],
    account: AccountName = None,
    yes: Yes = False,
    provider_option: ProviderOptions = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Issue a card and load it, once. Asks first, unless --yes. `cards show CARD --reveal` shows its number."""
    here = session(context, config, as_json)
    request = CardRequest(
        reference=reference,
        customer=customer,
        name=name,
        initial_balance=Money.parse(initial_balance),
        provider_options=options_of(provider_option or []),
    )
    with here.gateway() as gateway:
        here.confirm(
            f"Issue a card to {customer} with {request.initial_balance} at {chosen(gateway, account)} as {reference}?",
            yes=yes,
        )
        card = gateway.cards.create(request, account=account, deadline=deadline)
        here.done(f"the card {reference} was issued", f"gateway journal show {quote(reference)}")
    here.output.one(card, _ONE, _masked)


@app.command("list", epilog=example("gateway cards list --customer c-42 --account cards"))
def list_(
    context: typer.Context,
    customer: CustomerName,
    account: AccountName = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List a customer's cards, without their numbers."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.cards.list(account=only_account(gateway, account), customer=customer, deadline=deadline)
        cards = list(islice(found, limit))
    here.output.rows(cards, _LIST, _masked)


@app.command("show", epilog=example("gateway cards show 4711 --customer c-42 --account cards --reveal"))
def show(
    context: typer.Context,
    card: CardId,
    customer: CustomerName,
    account: AccountName = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="With its number and CVV, read at the provider; asks first.")
    ] = False,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one card of a customer. Its number and CVV are shown with --reveal only, and kept nowhere."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        if reveal:
            where = "here" if here.output.on_terminal else "in the output"
            here.confirm(f"Show the number and the CVV of the card {card} of {customer} {where}?", yes=yes)
            found = gateway.cards.reveal(account=name, customer=customer, card=card, deadline=deadline)
        else:
            listed = gateway.cards.list(account=name, customer=customer, deadline=deadline)
            first = next((each for each in listed if each.provider_id == card), None)
            if first is None:
                raise NotFound(
                    f"{customer} has no card {card}",
                    account=name,
                    operation="cards.list",
                    hint=f"`gateway cards list --customer {customer} --account {name}`",
                )
            found = first
    here.output.one(found, _REVEALED if reveal else _ONE, _revealed if reveal else _masked)


@app.command("transactions", epilog=example("gateway cards transactions 4711 --customer c-42 --account cards"))
def transactions(
    context: typer.Context,
    card: CardId,
    customer: CustomerName,
    account: AccountName = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List what a card was used for."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        found = list(
            islice(gateway.cards.transactions(account=name, customer=customer, card=card, deadline=deadline), limit)
        )
    here.output.rows(found, _TRANSACTIONS, data_of)


@app.command("code", epilog=example("gateway cards code 4711 --customer c-42 --account cards"))
def code(
    context: typer.Context,
    card: CardId,
    customer: CustomerName,
    account: AccountName = None,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the code that confirms a payment with this card now. Asks first, unless --yes; it is kept nowhere."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        here.confirm(f"Show the code that confirms payments with the card {card} of {customer}?", yes=yes)
        found = gateway.cards.one_time_code(account=name, customer=customer, card=card, deadline=deadline)
    here.output.one(found, _CODE, lambda each: {**data_of(each), "code": each.code.reveal()})


def _masked(card: Card) -> dict[str, Any]:
    return {**data_of(card), "number": _masked_number(card), "cvv": HIDDEN if card.cvv else None}


def _revealed(card: Card) -> dict[str, Any]:
    return {**data_of(card), "number": _number(card), "cvv": _cvv(card)}


def _masked_number(card: Card) -> str | None:
    return card.number.masked if card.number else None


def _number(card: Card) -> str | None:
    return card.number.reveal() if card.number else None


def _cvv(card: Card) -> str | None:
    return card.cvv.reveal() if card.cvv else None


_LIST: list[Column[Card]] = [
    Column("provider id", lambda card: card.provider_id),
    Column("status", lambda card: card.status, coloured=True),
    Column("name", lambda card: card.name),
    Column("balance", lambda card: card.balance),
    Column("expires", lambda card: card.expires),
    Column("customer", lambda card: card.customer),
]
_MORE: list[Column[Card]] = [
    Column("reference", lambda card: card.reference),
    Column("provider status", lambda card: card.provider_status),
    Column("debited", lambda card: card.debited),
    Column("fees", lambda card: fees(card.fees)),
    Column("warnings", lambda card: card.warnings),
]
_ONE = [*_LIST, Column("number", _masked_number), *_MORE]
_REVEALED = [*_LIST, Column("number", _number), Column("cvv", _cvv), *_MORE]
_TRANSACTIONS: list[Column[CardTransaction]] = [
    Column("provider id", lambda use: use.provider_id),
    Column("status", lambda use: use.status, coloured=True),
    Column("amount", lambda use: use.amount),
    Column("created at", lambda use: use.created_at),
    Column("warnings", lambda use: use.warnings),
]
_CODE: list[Column[OneTimeCode]] = [
    Column("code", lambda found: found.code.reveal()),
    Column("card", lambda found: found.card),
    Column("expires at", lambda found: found.expires_at),
]
