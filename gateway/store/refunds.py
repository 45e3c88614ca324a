"""Refunds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from gateway.errors import Conflict, NotFound
from gateway.models.base import Environment, Page
from gateway.models.refunds import ProviderRefund, Refund, RefundRequest, RefundStatus
from gateway.store.changes import newly_taken_on, refund_changed
from gateway.store.pages import one_page
from gateway.store.snapshots import dump, restore
from gateway.store.tables import attempts, orders, refunds

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = ["delete_refund", "insert_refund", "list_refunds", "load_refund", "open_refund_of", "save_refund"]


def insert_refund(
    connection: Connection,
    request: RefundRequest,
    *,
    attempt: int,
    account: str,
    provider: str,
    environment: Environment,
    now: datetime,
) -> None:
    """Record a refund of this attempt's payment that is about to leave, as `pending`.

    One that was recorded before and never left is taken up again; whether it left is the journal's to
    know. Raises Conflict for any other with this reference, and NotFound for an order or an attempt that is not known
    here.
    """
    order = connection.execute(select(orders.c.environment).where(orders.c.reference == request.order)).scalar()
    if order is None:
        raise NotFound(f"there is no order {request.order}", reference=request.reference)
    if order != environment.value:
        raise Conflict(
            f"the order {request.order} is {order} and the account {account} is {environment}; they are never mixed",
            account=account,
            reference=request.reference,
        )
    tried = attempts.c.reference == request.order, attempts.c.number == attempt
    if connection.execute(select(attempts.c.id).where(*tried)).first() is None:
        raise NotFound(f"the order {request.order} has no attempt {attempt}", reference=request.reference)
    values: dict[str, Any] = {
        "order_reference": request.order,
        "attempt": attempt,
        "account": account,
        "provider": provider,
        "environment": environment.value,
        "status": RefundStatus.PENDING.value,
        "request": request.model_dump(mode="json"),
        "updated_at": now,
    }
    known = _row(connection, request.reference)
    if known is None:
        connection.execute(insert(refunds).values(reference=request.reference, created_at=now, **values))
        return
    if _may_have_left(known) or known.order_reference != request.order:
        raise Conflict(
            f"there is a refund {request.reference} of order {known.order_reference} already, {known.status}",
            account=known.account,
            reference=request.reference,
            hint="a new refund needs a new reference",
        )
    connection.execute(update(refunds).where(refunds.c.id == known.id).values(**values))


def save_refund(
    connection: Connection, reference: str, *, status: RefundStatus, result: ProviderRefund | None, now: datetime
) -> None:
    """Record where the refund stands; a `result` of None leaves the last one. Raises NotFound."""
    before = _row(connection, reference)
    if before is None:
        raise NotFound(f"there is no refund {reference}", reference=reference)
    ended = RefundStatus(before.status)
    if result is not None and ended.is_final and not status.is_final:
        status = ended  # a reading from before the end
    values: dict[str, Any] = {"status": status.value, "updated_at": now}
    if result is not None:
        values["snapshot"] = dump(result)
        if result.provider_id is not None:
            values["provider_id"] = result.provider_id
    connection.execute(update(refunds).where(refunds.c.id == before.id).values(**values))
    after = _row(connection, reference)
    assert after is not None
    taken_on = newly_taken_on(before, after)
    refund_changed(connection, _refund(before), _refund(after), taken_on=taken_on, now=now)


def delete_refund(connection: Connection, reference: str) -> None:
    """Forget a refund that never left and whose reference is free again. Raises Conflict for one that may have left."""
    known = _row(connection, reference)
    if known is None:
        return
    if _may_have_left(known):
        raise Conflict(f"the refund {reference} is {known.status}: it is not forgotten", reference=reference)
    connection.execute(delete(refunds).where(refunds.c.id == known.id))


def load_refund(connection: Connection, reference: str) -> Refund | None:
    row = _row(connection, reference)
    return None if row is None else _refund(row)


def open_refund_of(connection: Connection, order: str, attempt: int) -> Refund | None:
    """The refund of this attempt's payment that was done, or may yet be: the first that has not failed."""
    query = select(refunds).where(refunds.c.order_reference == order, refunds.c.attempt == attempt)
    row = connection.execute(query.where(refunds.c.status != RefundStatus.FAILED.value).order_by(refunds.c.id)).first()
    return None if row is None else _refund(row)


def list_refunds(
    connection: Connection,
    *,
    account: str | None = None,
    environment: Environment | None = None,
    status: RefundStatus | None = None,
    size: int,
    cursor: str | None,
) -> Page[Refund]:
    """Refunds, newest first."""
    query = select(refunds)
    if account is not None:
        query = query.where(refunds.c.account == account)
    if environment is not None:
        query = query.where(refunds.c.environment == environment.value)
    if status is not None:
        query = query.where(refunds.c.status == status.value)
    rows, following = one_page(connection, query, refunds, size=size, cursor=cursor)
    return Page[Refund](items=tuple(_refund(row) for row in rows), next=following)


def _row(connection: Connection, reference: str) -> Row[Any] | None:
    return connection.execute(select(refunds).where(refunds.c.reference == reference)).one_or_none()


def _may_have_left(row: Row[Any]) -> bool:
    return row.status != RefundStatus.PENDING.value or row.provider_id is not None


def _refund(row: Row[Any]) -> Refund:
    seen = row.snapshot or {}
    data = {
        **{name: seen[name] for name in ("provider_status", "warnings", "raw") if name in seen},
        **{name: row._mapping[name] for name in ("reference", "attempt", "account", "provider")},
        **{name: row._mapping[name] for name in ("environment", "status")},
        "order": row.order_reference,
        "amount": seen.get("amount") or row.request["amount"],
        "provider_id": row.provider_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    return restore(Refund, data, f"the refund {row.reference}")
