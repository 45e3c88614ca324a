"""`gateway refunds`: a paid order's money going back, after a confirmation."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

import typer

from gateway.api import Gateway
from gateway.cli import completion
from gateway.cli.options import ProviderOptions, options_of
from gateway.cli.output import Column, data_of
from gateway.cli.session import AsJson, ConfigFile, Deadline, Yes, chosen, example, session
from gateway.models.orders import Order, OrderStatus
from gateway.models.refunds import Refund, RefundRequest
from gateway.money import Money

__all__ = ["add"]

app = typer.Typer(help="Refunds: create, look up.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="refunds")


@app.command("create", epilog=example("gateway refunds create --reference refund-1001 --order cart-1001"))
def create(
    context: typer.Context,
    reference: Annotated[str, typer.Option("--reference", help="Your own number of it; it never refunds twice.")],
    order: Annotated[
        str, typer.Option("--order", metavar="REFERENCE", help="The paid order.", autocompletion=completion.paid_orders)
    ],
    amount: Annotated[
        str | None,
        typer.Option(
            "--amount",
            metavar="MONEY",
            help="A part, where the provider can; else the whole.",
            autocompletion=completion.amounts,
        ),
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option("--attempt", metavar="NUMBER", help="Whose payment; else the furthest along without a refund."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Passed on where it can be.")] = None,
    yes: Yes = False,
    provider_option: ProviderOptions = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Refund a paid order, once, at the account where it was paid. Asks first, unless --yes.

    After an unknown outcome nothing is sent again: look at the provider, then use `gateway journal settle`.
    """
    here = session(context, config, as_json)
    money = Money.parse(amount) if amount is not None else None
    request = RefundRequest(
        reference=reference,
        order=order,
        attempt=attempt,
        amount=money,
        reason=reason,
        provider_options=options_of(provider_option or []),
    )
    with here.gateway() as gateway:
        here.confirm(_question(gateway, gateway.orders.get(order, refresh=False), request), yes=yes)
        refund = gateway.refunds.create(request, deadline=deadline)
        here.done(
            f"the refund {reference} was carried out ({refund.status})", f"gateway refunds get {quote(reference)}"
        )
    here.output.one(refund, _COLUMNS, data_of)


@app.command("get", epilog=example("gateway refunds get refund-1001"))
def get(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(help="The merchant's own number of the refund.", autocompletion=completion.refunds)
    ],
    refresh: Annotated[bool, typer.Option(help="Read it at its provider first.")] = True,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one refund."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        refund = gateway.refunds.get(reference, refresh=refresh, deadline=deadline)
    here.output.one(refund, _COLUMNS, data_of)


def _question(gateway: Gateway, order: Order, request: RefundRequest) -> str:
    held = [one for one in order.attempts if one.status in (OrderStatus.PAID, OrderStatus.UNDERPAID)]
    paid = next((one for one in order.attempts if one.number == request.attempt), None)
    if request.attempt is None and len(held) == 1:
        paid = held[0]
    if paid is None and len(held) > 1:
        # Which of them is free is known when all were read at their providers.
        numbers = ", ".join(str(one.number) for one in held)
        what = request.amount or "all"
        return (
            f"Refund {what} of one payment of {order.reference} (attempts {numbers} are paid) as {request.reference}?"
        )
    received = paid.order.received if paid and paid.order else order.received
    what = request.amount or f"all of {received or order.price}"
    which = order.reference if request.attempt is None else f"{order.reference}, attempt {request.attempt},"
    where = chosen(gateway, paid.account if paid else order.account)
    return f"Refund {what} of {which} from {where} as {request.reference}?"


_COLUMNS: list[Column[Refund]] = [
    Column("reference", lambda refund: refund.reference),
    Column("status", lambda refund: refund.status, coloured=True),
    Column("order", lambda refund: refund.order),
    Column("attempt", lambda refund: refund.attempt),
    Column("amount", lambda refund: refund.amount),
    Column("account", lambda refund: refund.account),
    Column("provider", lambda refund: refund.provider),
    Column("provider id", lambda refund: refund.provider_id),
    Column("provider status", lambda refund: refund.provider_status),
    Column("environment", lambda refund: refund.environment),
    Column("created at", lambda refund: refund.created_at),
    Column("updated at", lambda refund: refund.updated_at),
    Column("warnings", lambda refund: refund.warnings),
]
