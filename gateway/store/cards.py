"""Cards that were issued here: whose they are and how they are called.

Never a number, a CVV, a code or a raw answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from gateway.errors import Conflict
from gateway.models.base import Environment, Page
from gateway.models.cards import Card
from gateway.store.pages import one_page
from gateway.store.snapshots import restore
from gateway.store.tables import cards

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = ["list_cards", "load_card", "save_card"]


def save_card(
    connection: Connection,
    reference: str,
    *,
    account: str,
    provider: str,
    environment: Environment,
    customer: str,
    card: Card,
    now: datetime,
) -> None:
    """Record the card of this reference, or its present name and status. Of `card`, nothing else is kept.

    Raises Conflict when the reference is another card's.
    """
    known = _row(connection, reference)
    values: dict[str, Any] = {"name": card.name, "status": card.status.value, "updated_at": now}
    if known is None:
        connection.execute(
            insert(cards).values(
                reference=reference,
                account=account,
                provider=provider,
                environment=environment.value,
                customer=customer,
                provider_id=card.provider_id,
                created_at=now,
                **values,
            )
        )
        return
    if (known.account, known.customer, known.provider_id) != (account, customer, card.provider_id):
        raise Conflict(
            f"the reference {reference} is the card {known.provider_id} of {known.customer} already",
            account=known.account,
            reference=reference,
            hint="another card needs a reference of its own",
        )
    connection.execute(update(cards).where(cards.c.id == known.id).values(**values))


def load_card(connection: Connection, reference: str) -> Card | None:
    """The card as it was last recorded: without balance, number and CVV, which are read at the provider."""
    row = _row(connection, reference)
    return None if row is None else _card(row)


def list_cards(
    connection: Connection,
    *,
    account: str | None = None,
    environment: Environment | None = None,
    customer: str | None = None,
    size: int,
    cursor: str | None,
) -> Page[Card]:
    """Cards, newest first."""
    query = select(cards)
    if account is not None:
        query = query.where(cards.c.account == account)
    if environment is not None:
        query = query.where(cards.c.environment == environment.value)
    if customer is not None:
        query = query.where(cards.c.customer == customer)
    rows, following = one_page(connection, query, cards, size=size, cursor=cursor)
    return Page[Card](items=tuple(_card(row) for row in rows), next=following)


def _row(connection: Connection, reference: str) -> Row[Any] | None:
    return connection.execute(select(cards).where(cards.c.reference == reference)).one_or_none()


def _card(row: Row[Any]) -> Card:
    names = ("reference", "customer", "provider_id", "name", "status")
    return restore(Card, {name: row._mapping[name] for name in names}, f"the card {row.reference}")
