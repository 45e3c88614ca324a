"""Customers: the merchant's own number and the provider's, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.contracts import CreatesCustomers, ReadsCustomers
from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.flows.orders import customer_at
from gateway.flows.writes import Write, comparable, once, recorded
from gateway.models.customers import Customer, CustomerRequest, ProviderCustomer
from gateway.store import customers as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.accounts import OpenAccount

__all__ = ["create", "get", "link"]


def create(core: Core, request: CustomerRequest, *, account: str | None, seconds: float | None) -> Flow[Customer]:
    """Make the customer known at the account, or give the one that is. The same reference may be used at every
    account.
    """
    chosen = core.choose("customers.create", "", request, account=account)
    asked = comparable(request)
    if (yield from recorded(core, "customers.create", request.reference, asked, scope=chosen.name)) is None:
        write = Write[ProviderCustomer](
            operation="customers.create",
            reference=request.reference,
            scope=chosen.name,
            account=chosen,
            request=asked,
            prepare=lambda: chosen.able(CreatesCustomers).create_customer(request),
            on_done=lambda connection, result: _keep(core, connection, chosen, request.reference, result),
        )
        yield from once(core, write, core.deadline(seconds, chosen))
    return (yield from _load(chosen, request.reference))


def link(core: Core, reference: str, provider_id: str, *, account: str, seconds: float | None) -> Flow[Customer]:
    """Name a customer that the provider has already; it is read first, so that a typing mistake is found."""
    opened = core.account(account)
    seen = yield from _read(core, opened, provider_id, seconds)
    yield from transact(lambda connection: _keep(core, connection, opened, reference, seen))
    return (yield from _load(opened, reference))


def get(core: Core, reference: str, *, account: str, refresh: bool, seconds: float | None) -> Flow[Customer]:
    """The customer at this account; with `refresh` as the provider shows it now."""
    opened = core.account(account)
    provider_id = yield from customer_at(opened, reference)
    assert provider_id is not None
    if refresh:
        seen = yield from _read(core, opened, provider_id, seconds)
        yield from transact(lambda connection: _keep(core, connection, opened, reference, seen))
    return (yield from _load(opened, reference))


def _read(core: Core, account: OpenAccount, provider_id: str, seconds: float | None) -> Flow[ProviderCustomer]:
    account.require("customers.get")
    run = Performance(account, "customers.get", core.deadline(seconds, account))
    seen: ProviderCustomer = yield from perform(run, Begun(account.able(ReadsCustomers).get_customer(provider_id)))
    return seen


def _keep(core: Core, connection: Connection, account: OpenAccount, reference: str, customer: ProviderCustomer) -> None:
    store.save_customer(
        connection,
        reference,
        account=account.name,
        provider=account.provider.name,
        environment=account.environment,
        customer=customer,
        now=core.now(),
    )


def _load(account: OpenAccount, reference: str) -> Flow[Customer]:
    found = yield from transact(lambda connection: store.load_customer(connection, account.name, reference))
    assert found is not None
    return found
