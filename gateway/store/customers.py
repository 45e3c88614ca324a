"""Customers: the merchant's own number and the provider's, one pair an account."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from gateway.errors import Conflict
from gateway.models.base import Environment, Page
from gateway.models.customers import Customer, ProviderCustomer
from gateway.store.pages import one_page
from gateway.store.snapshots import dump, restore
from gateway.store.tables import customers

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = ["list_customers", "load_customer", "provider_id", "reference_of", "save_customer"]


def save_customer(
    connection: Connection,
    reference: str,
    *,
    account: str,
    provider: str,
    environment: Environment,
    customer: ProviderCustomer,
    now: datetime,
) -> None:
    """Record the pair, or what is newly seen of it.

    Raises Conflict when either number belongs to another at this account.
    """
    known = _row(connection, account, reference)
    if known is not None and known.provider_id != customer.provider_id:
        raise _taken(f"the customer {reference} is the provider's {known.provider_id}", account, reference)
    if known is not None and known.environment != environment.value:
        raise _taken(
            f"the customer {reference} is {known.environment}, the account is {environment}", account, reference
        )
    other = reference_of(connection, account, customer.provider_id)
    if other is not None and other != reference:
        raise _taken(f"the provider's customer {customer.provider_id} is {other}", account, reference)
    values: dict[str, Any] = {"provider": provider, "snapshot": dump(customer), "updated_at": now}
    if known is not None:
        connection.execute(update(customers).where(customers.c.id == known.id).values(**values))
        return
    connection.execute(
        insert(customers).values(
            reference=reference,
            account=account,
            environment=environment.value,
            provider_id=customer.provider_id,
            created_at=now,
            **values,
        )
    )


def provider_id(connection: Connection, account: str, reference: str) -> str | None:
    """The provider's number of this customer of the merchant; None when none is known."""
    row = _row(connection, account, reference)
    return None if row is None else str(row.provider_id)


def reference_of(connection: Connection, account: str, provider_id: str) -> str | None:
    """The merchant's number of this customer of the provider; None when none is known."""
    query = select(customers.c.reference).where(customers.c.account == account, customers.c.provider_id == provider_id)
    return connection.execute(query).scalar()


def load_customer(connection: Connection, account: str, reference: str) -> Customer | None:
    row = _row(connection, account, reference)
    return None if row is None else _customer(row)


def list_customers(
    connection: Connection,
    *,
    account: str | None = None,
    environment: Environment | None = None,
    size: int,
    cursor: str | None,
) -> Page[Customer]:
    """Customers, those known last first."""
    query = select(customers)
    if account is not None:
        query = query.where(customers.c.account == account)
    if environment is not None:
        query = query.where(customers.c.environment == environment.value)
    rows, following = one_page(connection, query, customers, size=size, cursor=cursor)
    return Page[Customer](items=tuple(_customer(row) for row in rows), next=following)


def _row(connection: Connection, account: str, reference: str) -> Row[Any] | None:
    query = select(customers).where(customers.c.account == account, customers.c.reference == reference)
    return connection.execute(query).one_or_none()


def _customer(row: Row[Any]) -> Customer:
    own = {name: row._mapping[name] for name in ("reference", "account", "provider", "environment", "provider_id")}
    return restore(Customer, {**row.snapshot, **own}, f"the customer {row.reference}")


def _taken(message: str, account: str, reference: str) -> Conflict:
    return Conflict(
        f"{message} already", account=account, reference=reference, hint="one number there for one number here"
    )
