"""Withdrawals: money that leaves, at most once, within the merchant's own brakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.accounts import OpenAccount
from gateway.addresses import check_address
from gateway.contracts import CreatesWithdrawals, ListsWithdrawals, NewWithdrawal, Query, ReadsWithdrawals
from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import Conflict, InvalidRequest, MalformedResponse, NotFound
from gateway.flows.orders import customer_at
from gateway.flows.writes import Write, comparable, once, recorded
from gateway.lightning import check_invoice
from gateway.models.base import Page
from gateway.models.withdrawals import (
    CardTopUp,
    CryptoAddress,
    LightningInvoice,
    ProviderWithdrawal,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.store import withdrawals as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["create", "fetch_page", "get", "page"]


def create(core: Core, request: WithdrawalRequest, *, account: str | None, seconds: float | None) -> Flow[Withdrawal]:
    """Pay out, or give the payout that this reference has; never a second one."""
    known = yield from transact(lambda connection: store.load_withdrawal(connection, request.reference))
    if known is not None:
        account = _same_account(known, account)
    asked = comparable(request)
    if (yield from recorded(core, "withdrawals.create", request.reference, asked)) is not None:
        return (yield from get(core, request.reference, refresh=False, seconds=seconds))
    chosen = core.choose(
        "withdrawals.create",
        request.to.kind,
        request,
        account=account,
        unfit=lambda route: route.excludes(request.amount),
    )
    destination = _checked(core, chosen, request)
    customer = None
    if isinstance(request.to, CardTopUp):
        customer = yield from customer_at(chosen, request.to.customer)
    new = NewWithdrawal(request=request, requested_at=core.now(), customer=customer)

    def on_intent(connection: Connection) -> None:
        # In the transaction of the intent, so that concurrent payouts cannot slip past a limit together.
        store.check_brakes(
            connection,
            account=chosen.name,
            limits=chosen.settings.limits,
            amount=request.amount,
            destination=destination,
            now=core.now(),
            reference=request.reference,
            environment=chosen.environment,
        )
        store.insert_withdrawal(
            connection,
            request,
            account=chosen.name,
            provider=chosen.provider.name,
            environment=chosen.environment,
            now=core.now(),
        )

    def save(connection: Connection, status: WithdrawalStatus, result: ProviderWithdrawal | None = None) -> None:
        store.save_withdrawal(connection, request.reference, status=status, result=result, now=core.now())

    write = Write[ProviderWithdrawal](
        operation="withdrawals.create",
        reference=request.reference,
        account=chosen,
        request=asked,
        prepare=lambda: chosen.able(CreatesWithdrawals).create_withdrawal(new),
        on_intent=on_intent,
        on_done=lambda connection, result: save(connection, result.status, result),
        on_rejected=lambda connection, error: save(connection, WithdrawalStatus.FAILED),
        on_reopened=lambda connection, error: store.delete_withdrawal(connection, request.reference),
        check=lambda result: _differs(request, result),
    )
    yield from once(core, write, core.deadline(seconds, chosen))
    return (yield from get(core, request.reference, refresh=False, seconds=seconds))


def _same_account(known: Withdrawal, account: str | None) -> str:
    """A payout never moves: repeating it at another account is another payout."""
    if account is not None and account != known.account:
        raise Conflict(
            f"this reference was used for a payout from {known.account}, not from {account}; nothing was sent",
            account=known.account,
            operation="withdrawals.create",
            reference=known.reference,
            hint="a new payout needs a new reference",
        )
    return known.account


def _checked(core: Core, account: OpenAccount, request: WithdrawalRequest) -> str:
    """The destination as limits name it, after everything that can be known without asking anybody. Raises
    InvalidRequest.

    An invoice is named by its payee's node, because an invoice itself is new every time.
    """
    to, amount = request.to, request.amount
    try:
        if isinstance(to, LightningInvoice):
            return _checked_invoice(core, account, to, request)
        if isinstance(to, CryptoAddress):
            if amount.asset.is_fiat:
                raise InvalidRequest(f"{amount.asset} cannot be sent to an address", hint="state the amount in a coin")
            check_address(to.address, amount.asset, environment=account.environment.value)
            return to.address
    except InvalidRequest as error:
        raise error.about(
            account=account.name,
            provider=account.provider.name,
            operation="withdrawals.create",
            reference=request.reference,
        ) from None
    return to.card


def _checked_invoice(core: Core, account: OpenAccount, to: LightningInvoice, request: WithdrawalRequest) -> str:
    invoice = check_invoice(to.invoice, environment=account.environment.value)
    if request.amount.asset.code != "BTC@lightning":
        raise InvalidRequest(
            f"an invoice is paid in BTC@lightning, not in {request.amount.asset}", hint="state the invoice's own amount"
        )
    if invoice.amount is None:
        raise InvalidRequest(
            "the invoice carries no amount; nothing was sent", hint="ask the payee for an invoice with an amount"
        )
    if invoice.amount != request.amount:
        raise InvalidRequest(f"the invoice is for {invoice.amount}, the request for {request.amount}; nothing was sent")
    if invoice.expires_at <= core.now():
        raise InvalidRequest(
            f"the invoice expired at {invoice.expires_at:%Y-%m-%d %H:%M:%S} UTC; nothing was sent",
            hint="ask the payee for a new one",
        )
    return invoice.payee


def _differs(request: WithdrawalRequest, made: ProviderWithdrawal) -> str | None:
    if made.amount is not None and made.amount != request.amount:
        return f"asked for {request.amount}, the provider paid {made.amount}"
    return None


def get(
    core: Core, reference: str, *, refresh: bool, seconds: float | None, background: bool = False
) -> Flow[Withdrawal]:
    """The payout; with `refresh` it is read at its provider first, where the provider has such a read."""
    found = yield from _load(reference)
    if not refresh or found.status.is_final or found.provider_id is None or found.account not in core.accounts:
        return found
    account = core.account(found.account)
    if not account.capabilities.variants("withdrawals.get"):
        return found
    account.require("withdrawals.get")
    core.same_environment(account, found.environment, f"the withdrawal {reference}")
    run = Performance(account, "withdrawals.get", core.deadline(seconds, account), background=background)
    seen: ProviderWithdrawal = yield from perform(
        run, Begun(account.able(ReadsWithdrawals).get_withdrawal(found.provider_id))
    )
    if seen.provider_id not in (None, found.provider_id):
        raise MalformedResponse(
            f"asked for the payout {found.provider_id}, the provider shows {seen.provider_id}; nothing was kept",
            account=found.account,
            operation="withdrawals.get",
            reference=reference,
            hint="look at both at the provider before anything is paid again",
        )
    yield from transact(
        lambda connection: store.save_withdrawal(connection, reference, status=seen.status, result=seen, now=core.now())
    )
    return (yield from _load(reference))


def _load(reference: str) -> Flow[Withdrawal]:
    found = yield from transact(lambda connection: store.load_withdrawal(connection, reference))
    if found is None:
        raise NotFound(f"there is no withdrawal {reference}", operation="withdrawals.get", reference=reference)
    return found


def page(
    core: Core, *, account: str | None, status: WithdrawalStatus | None, cursor: str | None, size: int
) -> Flow[Page[Withdrawal]]:
    """One page of the store's withdrawals, newest first."""
    return (
        yield from transact(
            lambda connection: store.list_withdrawals(
                connection, account=account, status=status, size=size, cursor=cursor
            )
        )
    )


def fetch_page(
    core: Core, account: str, *, cursor: str | None, size: int, seconds: float | None
) -> Flow[Page[ProviderWithdrawal]]:
    """One page of the provider's own list."""
    opened = core.account(account)
    opened.require("withdrawals.list")
    run = Performance(opened, "withdrawals.list", core.deadline(seconds, opened))
    operation = opened.able(ListsWithdrawals).list_withdrawals(Query(cursor=cursor, size=size))
    return (yield from perform(run, Begun(operation)))
