"""Orders, their attempts and the moves of their states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, exists, func, insert, select, update

from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.models.base import Environment, Page
from gateway.models.orders import Order, OrderException, OrderRequest, OrderStatus, ProviderOrder, Settlement
from gateway.store.changes import order_changed
from gateway.store.pages import one_page
from gateway.store.snapshots import dump, restore, without_floats
from gateway.store.tables import attempts, moves, orders

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = [
    "Move",
    "attempt_id_of",
    "find_attempt",
    "find_attempt_id",
    "find_number",
    "insert_attempt",
    "insert_order",
    "list_moves",
    "list_orders",
    "load_order",
    "load_request",
    "record_move",
    "save_attempt",
    "set_attempt_id",
]


@dataclass(frozen=True, kw_only=True)
class Move:
    """One move of an attempt's state, taken over (`accepted`) or refused."""

    number: int
    from_status: OrderStatus
    to_status: OrderStatus
    accepted: bool
    at: datetime


def insert_order(
    connection: Connection, request: OrderRequest, *, environment: Environment, settles_to: Settlement, now: datetime
) -> None:
    """Record the purchase; it can be read once it has an attempt. Raises Conflict when the reference is taken."""
    if connection.execute(select(orders.c.id).where(orders.c.reference == request.reference)).first():
        raise Conflict(f"there is an order {request.reference} already", reference=request.reference)
    connection.execute(
        insert(orders).values(
            reference=request.reference,
            environment=environment.value,
            settles_to=settles_to.value,
            status=OrderStatus.CREATING.value,
            request=request.model_dump(mode="json"),
            created_at=now,
            updated_at=now,
        )
    )


def insert_attempt(
    connection: Connection,
    reference: str,
    *,
    attempt_id: str,
    account: str,
    provider: str,
    environment: Environment,
    now: datetime,
) -> int:
    """Begin the order's next attempt and return its number, from 1.

    Raises NotFound, and Conflict across environments.
    """
    order = connection.execute(select(orders).where(orders.c.reference == reference)).one_or_none()
    if order is None:
        raise NotFound(f"there is no order {reference}", reference=reference)
    if order.environment != environment.value:
        raise Conflict(
            f"the order is {order.environment} and the account {account} is {environment}; they are never mixed",
            account=account,
            provider=provider,
            reference=reference,
        )
    last = connection.execute(select(func.max(attempts.c.number)).where(attempts.c.reference == reference)).scalar()
    number = (last or 0) + 1
    before = load_order(connection, reference)
    connection.execute(
        insert(attempts).values(
            reference=reference,
            number=number,
            attempt_id=attempt_id,
            account=account,
            provider=provider,
            environment=environment.value,
            status=OrderStatus.CREATING.value,
            exceptions=[],
            created_at=now,
            updated_at=now,
        )
    )
    _changed(connection, before, reference, number, now)
    return number


def set_attempt_id(connection: Connection, reference: str, number: int, attempt_id: str) -> None:
    """Name an attempt that has not left anew."""
    connection.execute(
        update(attempts)
        .where(attempts.c.reference == reference, attempts.c.number == number)
        .values(attempt_id=attempt_id)
    )


def save_attempt(
    connection: Connection,
    reference: str,
    number: int,
    *,
    status: OrderStatus,
    exceptions: Collection[OrderException],
    provider_id: str | None,
    snapshot: ProviderOrder | None,
    error: Mapping[str, Any] | None,
    now: datetime,
) -> None:
    """Record where the attempt stands.

    `provider_id` and `snapshot` None leave what is recorded; `error` None clears it. Raises Conflict when the
    provider's number belongs to another attempt, or this attempt has another number; NotFound when there is no such
    attempt. Whether the status may follow is for the caller to decide.
    """
    if provider_id is not None:
        _require_own_number(connection, reference, number, provider_id)
    values: dict[str, Any] = {
        "status": status.value,
        "exceptions": sorted(exception.value for exception in exceptions),
        "error": without_floats(error),
        "updated_at": now,
    }
    if provider_id is not None:
        values["provider_id"] = provider_id
    if snapshot is not None:
        values["snapshot"] = dump(snapshot)
    before = load_order(connection, reference)
    saved = update(attempts).where(attempts.c.reference == reference, attempts.c.number == number)
    if connection.execute(saved.values(**values)).rowcount != 1:
        raise NotFound(f"the order {reference} has no attempt {number}", reference=reference)
    _changed(connection, before, reference, number, now)


def record_move(
    connection: Connection,
    reference: str,
    number: int,
    *,
    from_status: OrderStatus,
    to_status: OrderStatus,
    accepted: bool,
    now: datetime,
) -> None:
    """Keep that the provider showed another status, and whether it was taken over."""
    connection.execute(
        insert(moves).values(
            reference=reference,
            number=number,
            from_status=from_status.value,
            to_status=to_status.value,
            accepted=accepted,
            at=now,
        )
    )


def list_moves(connection: Connection, reference: str) -> list[Move]:
    """How the order's attempts came to be where they are, oldest first."""
    return [
        Move(
            number=row.number,
            from_status=OrderStatus(row.from_status),
            to_status=OrderStatus(row.to_status),
            accepted=row.accepted,
            at=row.at,
        )
        for row in connection.execute(select(moves).where(moves.c.reference == reference).order_by(moves.c.id))
    ]


def load_order(connection: Connection, reference: str) -> Order | None:
    """The order with all its attempts; None when there is none, or none that has an attempt yet."""
    found = connection.execute(select(orders).where(orders.c.reference == reference)).all()
    return next(iter(_orders(connection, found)), None)


def load_request(connection: Connection, reference: str) -> OrderRequest:
    """What the merchant asked for. Raises NotFound, and StoreError when its asset is not known here any more."""
    found = connection.execute(select(orders.c.request).where(orders.c.reference == reference)).scalar()
    if found is None:
        raise NotFound(f"there is no order {reference}", reference=reference)
    return restore(OrderRequest, found, f"the request of order {reference}")


def find_attempt(connection: Connection, account: str, provider_id: str) -> tuple[str, int] | None:
    """The order's reference and the attempt's number for a provider's number at this account."""
    row = connection.execute(_BY_PROVIDER_ID, {"at": account, "number": provider_id}).one_or_none()
    return None if row is None else (row.reference, row.number)


def find_number(
    connection: Connection, provider: str, environment: Environment, provider_id: str
) -> list[tuple[str, int]]:
    """Every attempt that has this number at the provider, whatever its account is called, configured or not."""
    query = select(attempts.c.reference, attempts.c.number).where(
        attempts.c.provider_id == provider_id,
        attempts.c.provider == provider,
        attempts.c.environment == environment.value,
    )
    return [(row.reference, row.number) for row in connection.execute(query)]


def find_attempt_id(connection: Connection, attempt_id: str) -> tuple[str, int] | None:
    """The order's reference and the attempt's number for the gateway's own identifier of the attempt."""
    query = select(attempts.c.reference, attempts.c.number).where(attempts.c.attempt_id == attempt_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.reference, row.number)


def attempt_id_of(connection: Connection, reference: str, number: int) -> str | None:
    """The gateway's own identifier of an attempt; None when it was not begun."""
    query = select(attempts.c.attempt_id).where(attempts.c.reference == reference, attempts.c.number == number)
    found: str | None = connection.execute(query).scalar()
    return found


# Asked at every read of an order at its provider, so it is put together once.
_BY_PROVIDER_ID = select(attempts.c.reference, attempts.c.number).where(
    attempts.c.account == bindparam("at"), attempts.c.provider_id == bindparam("number")
)


def list_orders(
    connection: Connection,
    *,
    account: str | None = None,
    environment: Environment | None = None,
    status: OrderStatus | None = None,
    size: int,
    cursor: str | None,
) -> Page[Order]:
    """Orders, newest first. `account` finds every order with an attempt there, also when another attempt leads."""
    tried = exists().where(attempts.c.reference == orders.c.reference)
    query = select(orders).where(tried if account is None else tried.where(attempts.c.account == account))
    if environment is not None:
        query = query.where(orders.c.environment == environment.value)
    if status is not None:
        query = query.where(orders.c.status == status.value)
    rows, following = one_page(connection, query, orders, size=size, cursor=cursor)
    return Page[Order](items=tuple(_orders(connection, rows)), next=following)


def _orders(connection: Connection, rows: Iterable[Row[Any]]) -> list[Order]:
    """The orders of these rows, in their order, without those that have no attempt."""
    rows = list(rows)
    found: dict[str, list[dict[str, Any]]] = {row.reference: [] for row in rows}
    query = select(attempts).where(attempts.c.reference.in_(found)).order_by(attempts.c.number)
    for attempt in connection.execute(query):
        found[attempt.reference].append({**attempt._mapping, "order": attempt.snapshot})
    return [_order(row, found[row.reference]) for row in rows if found[row.reference]]


def _order(row: Row[Any], tried: list[dict[str, Any]]) -> Order:
    asked = row.request
    data = {
        **{name: asked[name] for name in ("reference", "price", "pay_with", "customer", "description", "metadata")},
        "environment": row.environment,
        "settles_to": row.settles_to,
        "created_at": row.created_at,
        "attempts": tried,
    }
    return restore(Order, data, f"the order {row.reference}")


def _changed(connection: Connection, before: Order | None, reference: str, number: int, now: datetime) -> None:
    """The order's status follows from its attempts; whoever is interested is told."""
    order = load_order(connection, reference)
    assert order is not None
    status = order.leading.status.value
    connection.execute(update(orders).where(orders.c.reference == reference).values(status=status, updated_at=now))
    order_changed(connection, before, order, number, now)


def _require_own_number(connection: Connection, reference: str, number: int, provider_id: str) -> None:
    own = connection.execute(
        select(attempts.c.account, attempts.c.provider, attempts.c.provider_id).where(
            attempts.c.reference == reference, attempts.c.number == number
        )
    ).one_or_none()
    if own is None:
        raise NotFound(f"the order {reference} has no attempt {number}", reference=reference)
    if not provider_id:
        raise InvalidRequest("a provider's number is not empty", reference=reference)
    if own.provider_id is not None and own.provider_id != provider_id:
        raise Conflict(
            f"attempt {number} is the provider's order {own.provider_id}, not {provider_id}",
            account=own.account,
            provider=own.provider,
            reference=reference,
        )
    other = find_attempt(connection, own.account, provider_id)
    if other is not None and other != (reference, number):
        raise Conflict(
            f"the provider's order {provider_id} belongs to {other[0]} (attempt {other[1]}) already",
            account=own.account,
            provider=own.provider,
            reference=reference,
            hint="the provider gave one number to two orders: look at both there",
        )
