"""`gateway orders`: ask for payments and see what became of them."""

from __future__ import annotations

from itertools import islice
from shlex import quote
from typing import Annotated

import typer

from gateway.cli import completion, watching
from gateway.cli.options import ProviderOptions, options_of, pairs
from gateway.cli.output import Column, data_of
from gateway.cli.qr import show_qr
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    Deadline,
    Limit,
    Session,
    example,
    misuse,
    only_account,
    session,
)
from gateway.models.base import Fee
from gateway.models.choices import Choice
from gateway.models.orders import Order, OrderRequest, OrderStatus, ProviderOrder, Settlement
from gateway.money import Money

__all__ = ["add"]

Reference = Annotated[
    str, typer.Argument(help="The merchant's own number of the order.", autocompletion=completion.orders)
]
Qr = Annotated[bool, typer.Option("--qr", help="Draw a QR code for the payer; on a terminal only.")]

app = typer.Typer(help="Payments: create, look up, list, renew, watch.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="orders")


watching.add(app)


@app.command(
    "create",
    epilog=example('gateway orders create --reference cart-1001 --price "25.00 USD" --pay-with USDT@tron --qr'),
)
def create(
    context: typer.Context,
    reference: Annotated[str, typer.Option("--reference", help="Your own number of it; makes it repeatable.")],
    price: Annotated[
        str,
        typer.Option(
            "--price", metavar="MONEY", help="What is owed, such as '25.00 USD'.", autocompletion=completion.amounts
        ),
    ],
    pay_with: Annotated[
        str | None,
        typer.Option(
            "--pay-with", metavar="ASSET", help="The coin; else the payer chooses.", autocompletion=completion.coins
        ),
    ] = None,
    customer: Annotated[
        str | None,
        typer.Option("--customer", help="Your own number of the customer.", autocompletion=completion.customers),
    ] = None,
    settles_to: Annotated[Settlement | None, typer.Option("--settles-to", help="Whose money it becomes.")] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="Your own words about it; kept with the order, not sent on.")
    ] = None,
    return_url: Annotated[str | None, typer.Option("--return-url", help="Where the payer goes afterwards.")] = None,
    cancel_url: Annotated[
        str | None, typer.Option("--cancel-url", help="Where a payer who gives up goes, where the provider can.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="KEY=VALUE", help="Kept with the order; repeatable.")
    ] = None,
    account: AccountName = None,
    qr: Qr = False,
    provider_option: ProviderOptions = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a payment and show what to show the payer. It moves no money, so nothing has to be confirmed.

    The same reference with the same request gives the same order again and never makes a second one.
    """
    here = session(context, config, as_json)
    request = OrderRequest(
        reference=reference,
        price=Money.parse(price),
        pay_with=pay_with,
        customer=customer,
        settles_to=settles_to,
        description=description,
        return_url=return_url,
        cancel_url=cancel_url,
        metadata=pairs(metadata or [], "--metadata", "cart=1001"),
        provider_options=options_of(provider_option or []),
    )
    with here.gateway() as gateway:
        order = gateway.orders.create(request, account=account, deadline=deadline)
        _made(here, order, "the order {} was made")
        _show(here, order, qr=qr)


@app.command("get", epilog=example("gateway orders get cart-1001"))
def get(
    context: typer.Context,
    reference: Reference,
    refresh: Annotated[bool, typer.Option(help="Read it at its provider first.")] = True,
    qr: Qr = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one order, as its provider has it now."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        _show(here, gateway.orders.get(reference, refresh=refresh, deadline=deadline), qr=qr)


@app.command("list", epilog=example("gateway orders list --account shop --status pending"))
def list_(
    context: typer.Context,
    account: AccountName = None,
    status: Annotated[OrderStatus | None, typer.Option("--status", help="Only those in this status.")] = None,
    limit: Limit = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the orders made here, newest first, as last known."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        orders = list(islice(gateway.orders.list(account=account, status=status), limit))
    here.output.rows(orders, _LIST, data_of)


@app.command("explain", epilog=example("gateway orders explain cart-1001"))
def explain(
    context: typer.Context,
    reference: Reference,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show why an order went where it went: the accounts that were looked at, what was decided, and what came of it."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        choices = list(gateway.orders.explain(reference))
    here.output.rows(choices, _CHOICES, data_of)


@app.command("renew", epilog=example("gateway orders renew cart-1001 --account backup"))
def renew(
    context: typer.Context,
    reference: Reference,
    account: AccountName = None,
    qr: Qr = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a further attempt for an order that expired, failed, was refused or is of unknown outcome.

    All attempts stay watched; money that reaches any of them counts.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        order = gateway.orders.renew(reference, account=account, deadline=deadline)
        _made(here, order, "the order {} was renewed")
        _show(here, order, qr=qr)


@app.command("link", epilog=example("gateway orders link cart-1001 --provider-id 20240426103947614609"))
def link(
    context: typer.Context,
    reference: Reference,
    provider_id: Annotated[str, typer.Option("--provider-id", help="The provider's number of the order.")],
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Name the provider's number of an order whose creation did not tell it, as on a page where the payer chooses.

    The order is read first, and must agree in price, coin and time.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        order = gateway.orders.link(reference, provider_id, deadline=deadline)
        _made(here, order, "the order {} was linked")
        _show(here, order, qr=False)


@app.command(
    "fetch",
    epilog=example(
        "gateway orders fetch --account shop --provider-id 4711", "gateway orders fetch --account shop --limit 20"
    ),
)
def fetch(
    context: typer.Context,
    account: AccountName = None,
    provider_id: Annotated[
        str | None, typer.Option("--provider-id", metavar="ID", help="The provider's own number; else its list.")
    ] = None,
    customer: Annotated[
        str | None,
        typer.Option(
            "--customer",
            metavar="NUMBER",
            help="Of the list, only this customer's.",
            autocompletion=completion.customers,
        ),
    ] = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show an order, or the list of orders, as the provider has it, also what was not made here. Changes nothing."""
    here = session(context, config, as_json)
    if provider_id is not None and customer is not None:
        misuse("--provider-id and --customer exclude each other")
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        if provider_id is not None:
            here.output.one(
                gateway.orders.fetch(account=name, provider_id=provider_id, deadline=deadline), _FETCHED, data_of
            )
            return
        orders = list(islice(gateway.orders.fetch_all(account=name, customer=customer, deadline=deadline), limit))
    here.output.rows(orders, _FETCHED_LIST, data_of)


def _made(here: Session, order: Order, what: str) -> None:
    here.done(what.format(order.reference), f"gateway orders get {quote(order.reference)}")


def _show(here: Session, order: Order, *, qr: bool) -> None:
    here.output.one(order, _ONE, data_of)
    if qr:
        show_qr(here.output, order.pay)


def fees(found: tuple[Fee, ...]) -> list[str]:
    return [f"{fee.name} {fee.amount}" for fee in found]


def _attempts(order: Order) -> list[str]:
    if len(order.attempts) == 1:
        return []
    return [f"{attempt.number} {attempt.account} {attempt.status}" for attempt in order.attempts]


_ONE: list[Column[Order]] = [
    Column("reference", lambda order: order.reference),
    Column("status", lambda order: order.status, coloured=True),
    Column("exceptions", lambda order: order.exceptions),
    Column("price", lambda order: order.price),
    Column("pay amount", lambda order: order.pay.amount),
    Column("pay address", lambda order: order.pay.address),
    Column("pay uri", lambda order: order.pay.uri),
    Column("lightning invoice", lambda order: order.pay.lightning_invoice),
    Column("checkout url", lambda order: order.pay.checkout_url),
    Column("expires at", lambda order: order.expires_at),
    Column("received", lambda order: order.received),
    Column("net", lambda order: order.net),
    Column("fees", lambda order: fees(order.fees)),
    Column("account", lambda order: order.account),
    Column("provider", lambda order: order.provider),
    Column("provider id", lambda order: order.provider_id),
    Column("environment", lambda order: order.environment),
    Column("settles to", lambda order: order.settles_to),
    Column("customer", lambda order: order.customer),
    Column("description", lambda order: order.description),
    Column("metadata", lambda order: [f"{key}={value}" for key, value in order.metadata.items()]),
    Column("created at", lambda order: order.created_at),
    Column("attempts", _attempts),
    Column("warnings", lambda order: order.warnings),
]
_LIST: list[Column[Order]] = [
    Column("reference", lambda order: order.reference),
    Column("status", lambda order: order.status, coloured=True),
    Column("exceptions", lambda order: order.exceptions),
    Column("price", lambda order: order.price),
    Column("pay with", lambda order: order.pay_with),
    Column("received", lambda order: order.received),
    Column("account", lambda order: order.account),
    Column("created at", lambda order: order.created_at),
]
_CHOICES: list[Column[Choice]] = [
    Column("at", lambda choice: choice.at),
    Column("attempt", lambda choice: choice.number),
    Column("account", lambda choice: choice.account),
    Column("verdict", lambda choice: choice.verdict),
    Column("reason", lambda choice: choice.reason),
    Column("status", lambda choice: choice.status, coloured=True),
    Column("error", lambda choice: choice.error and f"{choice.error['error']}: {choice.error['message']}"),
]
_FETCHED: list[Column[ProviderOrder]] = [
    Column("provider id", lambda order: order.provider_id),
    Column("status", lambda order: order.status, coloured=True),
    Column("provider status", lambda order: order.provider_status),
    Column("exceptions", lambda order: order.exceptions),
    Column("reference", lambda order: order.reference),
    Column("price", lambda order: order.price),
    Column("pay amount", lambda order: order.pay.amount),
    Column("pay address", lambda order: order.pay.address),
    Column("received", lambda order: order.received),
    Column("net", lambda order: order.net),
    Column("fees", lambda order: fees(order.fees)),
    Column("transactions", lambda order: order.transactions),
    Column("created at", lambda order: order.created_at),
    Column("expires at", lambda order: order.expires_at),
    Column("warnings", lambda order: order.warnings),
]
_FETCHED_LIST = [*_FETCHED[:6], _FETCHED[8], _FETCHED[12]]
