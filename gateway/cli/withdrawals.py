"""`gateway withdrawals`: money that leaves, after a confirmation."""

from __future__ import annotations

from itertools import islice
from shlex import quote
from typing import Annotated

import typer
from pydantic import ValidationError

from gateway.cli import completion
from gateway.cli.options import ProviderOptions, options_of
from gateway.cli.orders import fees
from gateway.cli.output import Column, data_of
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    Deadline,
    Limit,
    Yes,
    chosen,
    example,
    misuse,
    only_account,
    session,
)
from gateway.errors import InvalidRequest
from gateway.models.base import what_is_wrong
from gateway.models.withdrawals import (
    CardTopUp,
    CryptoAddress,
    Destination,
    LightningInvoice,
    ProviderWithdrawal,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money

__all__ = ["add"]

app = typer.Typer(help="Payouts: create, look up, list.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="withdrawals")


@app.command(
    "create",
    epilog=example(
        'gateway withdrawals create --reference payout-77 --amount "0.001 BTC@lightning" --to-invoice lnbc1m1...',
        'gateway withdrawals create --reference payout-78 --amount "50 USDT@tron" --to-address T... --account shop',
        'gateway withdrawals create --reference topup-9 --amount "100 USD" --to-card 4711 --customer c-42',
    ),
)
def create(
    context: typer.Context,
    reference: Annotated[str, typer.Option("--reference", help="Your own number of it; it never pays twice.")],
    amount: Annotated[
        str,
        typer.Option(
            "--amount", metavar="MONEY", help="Such as '0.001 BTC@lightning'.", autocompletion=completion.amounts
        ),
    ],
    to_invoice: Annotated[str | None, typer.Option("--to-invoice", help="A Lightning invoice with an amount.")] = None,
    to_address: Annotated[str | None, typer.Option("--to-address", help="An address on the amount's network.")] = None,
    memo: Annotated[str | None, typer.Option("--memo", help="The memo or tag that the address needs.")] = None,
    to_card: Annotated[str | None, typer.Option("--to-card", help="A card, by the provider's number of it.")] = None,
    customer: Annotated[
        str | None,
        typer.Option("--customer", help="The card's owner, by your own number.", autocompletion=completion.customers),
    ] = None,
    description: Annotated[str | None, typer.Option("--description", help="Passed on where it can be.")] = None,
    account: AccountName = None,
    yes: Yes = False,
    provider_option: ProviderOptions = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Pay out, once: the same reference never pays twice. Asks first, unless --yes.

    After an unknown outcome nothing is sent again: look at the provider, then use `gateway journal settle`.
    """
    here = session(context, config, as_json)
    _one_destination(to_invoice, to_address, memo, to_card, customer)
    try:
        to: Destination
        if to_invoice is not None:
            to = LightningInvoice(to_invoice)
        elif to_address is not None:
            to = CryptoAddress(to_address, memo)
        else:
            to = CardTopUp(customer or "", to_card or "")
    except ValidationError as error:
        raise InvalidRequest(f"the destination is wrong: {what_is_wrong(error)}") from None
    request = WithdrawalRequest(
        reference=reference,
        amount=Money.parse(amount),
        to=to,
        description=description,
        provider_options=options_of(provider_option or []),
    )
    with here.gateway() as gateway:
        here.confirm(f"Pay out {request.amount} to {to} from {chosen(gateway, account)} as {reference}?", yes=yes)
        withdrawal = gateway.withdrawals.create(request, account=account, deadline=deadline)
        here.done(
            f"the payout {reference} was carried out ({withdrawal.status})",
            f"gateway withdrawals get {quote(reference)}",
        )
    here.output.one(withdrawal, _ONE, data_of)


def _one_destination(
    to_invoice: str | None, to_address: str | None, memo: str | None, to_card: str | None, customer: str | None
) -> None:
    if sum(given is not None for given in (to_invoice, to_address, to_card)) != 1:
        misuse("a payout has one destination", hint="give one of --to-invoice, --to-address and --to-card")
    if memo is not None and to_address is None:
        misuse("--memo belongs to --to-address")
    if (customer is None) != (to_card is None):
        misuse("--to-card and --customer belong together")


@app.command("get", epilog=example("gateway withdrawals get payout-77"))
def get(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(help="The merchant's own number of the payout.", autocompletion=completion.withdrawals)
    ],
    refresh: Annotated[bool, typer.Option(help="Read it at its provider first, where that can be done.")] = True,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one payout."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        withdrawal = gateway.withdrawals.get(reference, refresh=refresh, deadline=deadline)
    here.output.one(withdrawal, _ONE, data_of)


@app.command("list", epilog=example("gateway withdrawals list --status unconfirmed"))
def list_(
    context: typer.Context,
    account: AccountName = None,
    status: Annotated[WithdrawalStatus | None, typer.Option("--status", help="Only those in this status.")] = None,
    limit: Limit = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the payouts made here, newest first, as last known."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        withdrawals = list(islice(gateway.withdrawals.list(account=account, status=status), limit))
    here.output.rows(withdrawals, _LIST, data_of)


@app.command("fetch", epilog=example("gateway withdrawals fetch --account shop --limit 20"))
def fetch(
    context: typer.Context,
    account: AccountName = None,
    limit: Limit = 100,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the payouts as the provider has them, also what was not made here. Changes nothing."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.withdrawals.fetch_all(account=only_account(gateway, account), deadline=deadline)
        withdrawals = list(islice(found, limit))
    here.output.rows(withdrawals, _FETCHED, data_of)


_LIST: list[Column[Withdrawal]] = [
    Column("reference", lambda payout: payout.reference),
    Column("status", lambda payout: payout.status, coloured=True),
    Column("amount", lambda payout: payout.amount),
    Column("to", lambda payout: payout.to),
    Column("account", lambda payout: payout.account),
    Column("created at", lambda payout: payout.created_at),
]
_ONE: list[Column[Withdrawal]] = [
    *_LIST[:4],
    Column("memo", lambda payout: payout.to.memo if isinstance(payout.to, CryptoAddress) else None),
    Column("debited", lambda payout: payout.debited),
    Column("fees", lambda payout: fees(payout.fees)),
    Column("account", lambda payout: payout.account),
    Column("provider", lambda payout: payout.provider),
    Column("provider id", lambda payout: payout.provider_id),
    Column("provider status", lambda payout: payout.provider_status),
    Column("environment", lambda payout: payout.environment),
    Column("created at", lambda payout: payout.created_at),
    Column("updated at", lambda payout: payout.updated_at),
    Column("warnings", lambda payout: payout.warnings),
]
_FETCHED: list[Column[ProviderWithdrawal]] = [
    Column("provider id", lambda payout: payout.provider_id),
    Column("status", lambda payout: payout.status, coloured=True),
    Column("provider status", lambda payout: payout.provider_status),
    Column("amount", lambda payout: payout.amount),
    Column("debited", lambda payout: payout.debited),
    Column("fees", lambda payout: fees(payout.fees)),
    Column("transactions", lambda payout: payout.transactions),
    Column("created at", lambda payout: payout.created_at),
]
