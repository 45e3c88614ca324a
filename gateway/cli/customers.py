"""`gateway customers`: the merchant's customers at a provider."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

import typer

from gateway.cli import completion
from gateway.cli.options import ProviderOptions, options_of
from gateway.cli.output import Column, data_of
from gateway.cli.session import AccountName, AsJson, ConfigFile, Deadline, example, only_account, session
from gateway.models.customers import Customer, CustomerRequest

__all__ = ["add"]

Number = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Your own number of the customer.", autocompletion=completion.customers)
]

app = typer.Typer(help="Customers: create, look up, link.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="customers")


@app.command(
    "create",
    epilog=example("gateway customers create --reference c-42 --first-name Ada --last-name Lovelace --account cards"),
)
def create(
    context: typer.Context,
    reference: Annotated[str, typer.Option("--reference", help="Your own number of the customer.")],
    first_name: Annotated[str, typer.Option("--first-name", help="Passed on to the provider.")],
    last_name: Annotated[str, typer.Option("--last-name", help="Passed on to the provider.")],
    account: AccountName = None,
    provider_option: ProviderOptions = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a customer known to a provider. May be repeated; the number may be used once at every account."""
    here = session(context, config, as_json)
    request = CustomerRequest(
        reference=reference,
        first_name=first_name,
        last_name=last_name,
        provider_options=options_of(provider_option or []),
    )
    with here.gateway() as gateway:
        customer = gateway.customers.create(request, account=account, deadline=deadline)
        see = f"gateway customers get {quote(reference)} --account {customer.account}"
        here.done(f"the customer {reference} was made", see)
    here.output.one(customer, _COLUMNS, data_of)


@app.command("get", epilog=example("gateway customers get c-42 --account cards"))
def get(
    context: typer.Context,
    number: Number,
    account: AccountName = None,
    refresh: Annotated[bool, typer.Option(help="Read it at its provider first.")] = True,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a customer at one account."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        customer = gateway.customers.get(
            number, account=only_account(gateway, account), refresh=refresh, deadline=deadline
        )
    here.output.one(customer, _COLUMNS, data_of)


@app.command("link", epilog=example("gateway customers link c-42 --provider-id 815 --account cards"))
def link(
    context: typer.Context,
    number: Number,
    provider_id: Annotated[str, typer.Option("--provider-id", metavar="ID", help="The provider's own number.")],
    account: AccountName = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a customer that the provider has already your own number. Changes nothing at the provider."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        customer = gateway.customers.link(
            number, provider_id, account=only_account(gateway, account), deadline=deadline
        )
        see = f"gateway customers get {quote(number)} --account {customer.account}"
        here.done(f"the customer {number} was linked", see)
    here.output.one(customer, _COLUMNS, data_of)


_COLUMNS: list[Column[Customer]] = [
    Column("reference", lambda customer: customer.reference),
    Column("provider id", lambda customer: customer.provider_id),
    Column("first name", lambda customer: customer.first_name),
    Column("last name", lambda customer: customer.last_name),
    Column("account", lambda customer: customer.account),
    Column("provider", lambda customer: customer.provider),
    Column("environment", lambda customer: customer.environment),
    Column("created at", lambda customer: customer.created_at),
]
