"""What reconciling reads of the store, page by page, and what it keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, insert, select

from gateway.models.base import Environment
from gateway.models.orders import Attempt, OrderException, OrderRequest, OrderStatus
from gateway.models.reconciliations import Reconciliation
from gateway.store.snapshots import dump, restore
from gateway.store.tables import attempts, orders, reconciliations, trades, withdrawals

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "Known",
    "known_attempts",
    "known_trades",
    "known_withdrawals",
    "last_reconciliation",
    "made_attempts",
    "save_reconciliation",
    "without_number",
]


@dataclass(frozen=True, slots=True)
class Known:
    """An attempt with what was asked for. `id` is its place in the store, for the next page."""

    id: int
    reference: str
    request: OrderRequest
    attempt: Attempt


def save_reconciliation(connection: Connection, found: Reconciliation) -> None:
    """Keep the run."""
    connection.execute(
        insert(reconciliations).values(
            account=found.account,
            environment=found.environment.value,
            since=found.since,
            began_at=found.began_at,
            ended_at=found.ended_at,
            report=dump(found),
        )
    )


def last_reconciliation(connection: Connection, account: str) -> Reconciliation | None:
    """The run that ended last; None when there was none."""
    query = select(reconciliations.c.report).where(reconciliations.c.account == account)
    found = connection.execute(query.order_by(reconciliations.c.id.desc()).limit(1)).scalar()
    return None if found is None else restore(Reconciliation, found, f"the last reconciliation of {account}")


def known_attempts(
    connection: Connection,
    provider: str,
    environment: Environment,
    provider_ids: Iterable[str],
    accounts: Iterable[str] | None = None,
) -> dict[str, list[Known]]:
    """The attempts of these provider's numbers, at these accounts of the provider or, with None, at any."""
    query = _attempts().where(
        attempts.c.provider == provider,
        attempts.c.environment == environment.value,
        attempts.c.provider_id.in_(list(provider_ids)),
    )
    if accounts is not None:
        query = query.where(attempts.c.account.in_(list(accounts)))
    found: dict[str, list[Known]] = {}
    for row in connection.execute(query):
        found.setdefault(row.provider_id, []).append(_known(row))
    return found


def made_attempts(
    connection: Connection,
    account: str,
    environment: Environment,
    *,
    since: datetime | None,
    after: int,
    limit: int,
) -> list[Known]:
    """The account's attempts that have a number at the provider, oldest first, `after` that id; those that were made or
    have changed `since`.
    """
    query = _attempts().where(
        attempts.c.account == account,
        attempts.c.environment == environment.value,
        attempts.c.provider_id.is_not(None),
        attempts.c.id > after,
    )
    if since is not None:
        query = query.where(attempts.c.updated_at >= since)
    return [_known(row) for row in connection.execute(query.order_by(attempts.c.id).limit(limit))]


def without_number(
    connection: Connection, account: str, environment: Environment, *, since: datetime, until: datetime
) -> int:
    """How many attempts that can be paid have no number at the provider yet, and are not unconfirmed either."""
    open_ones = (OrderStatus.PENDING, OrderStatus.PROCESSING, OrderStatus.UNRECOGNISED)
    query = select(attempts.c.exceptions).where(
        attempts.c.account == account,
        attempts.c.environment == environment.value,
        attempts.c.provider_id.is_(None),
        attempts.c.status.in_([status.value for status in open_ones]),
        attempts.c.created_at >= since,
        attempts.c.created_at < until,
    )
    found = connection.execute(query).scalars()
    return sum(OrderException.UNCONFIRMED.value not in exceptions for exceptions in found)


def known_withdrawals(
    connection: Connection, account: str, environment: Environment, provider_ids: Iterable[str]
) -> dict[str, str]:
    """The references of the account's payouts of these provider's numbers."""
    query = select(withdrawals.c.provider_id, withdrawals.c.reference).where(
        withdrawals.c.account == account,
        withdrawals.c.environment == environment.value,
        withdrawals.c.provider_id.in_(list(provider_ids)),
    )
    return {row.provider_id: row.reference for row in connection.execute(query)}


def known_trades(
    connection: Connection, account: str, environment: Environment, provider_ids: Iterable[str]
) -> dict[str, str]:
    """The references of the account's exchange orders of these provider's numbers."""
    query = select(trades.c.provider_id, trades.c.reference).where(
        trades.c.account == account,
        trades.c.environment == environment.value,
        trades.c.provider_id.in_(list(provider_ids)),
    )
    return {row.provider_id: row.reference for row in connection.execute(query)}


def _attempts() -> Select[Any]:
    return select(attempts, orders.c.request).join(orders, orders.c.reference == attempts.c.reference)


def _known(row: Row[Any]) -> Known:
    what = f"attempt {row.number} of order {row.reference}"
    return Known(
        row.id,
        row.reference,
        restore(OrderRequest, row.request, f"the request of order {row.reference}"),
        restore(Attempt, {**row._mapping, "order": row.snapshot}, what),
    )
