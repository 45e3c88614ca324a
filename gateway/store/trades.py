"""Trades that were placed here."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from gateway.errors import Conflict, NotFound
from gateway.models.base import Environment, Page
from gateway.models.trades import Trade, TradeRequest, TradeStatus
from gateway.store.changes import newly_taken_on, trade_changed, trade_failed
from gateway.store.pages import one_page
from gateway.store.snapshots import dump, restore
from gateway.store.tables import trades

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = [
    "delete_trade",
    "fail_trade",
    "find_trade",
    "insert_trade",
    "list_trades",
    "load_trade",
    "mark_placed",
    "mark_unconfirmed",
    "save_trade",
]


def insert_trade(
    connection: Connection,
    request: TradeRequest,
    *,
    account: str,
    provider: str,
    environment: Environment,
    now: datetime,
) -> None:
    """Record a trade that is about to be placed, as `pending`.

    One that was recorded before and never left is taken up again; whether it left is the journal's to know. Raises
    Conflict for any other with this reference.
    """
    values: dict[str, Any] = {
        "account": account,
        "provider": provider,
        "environment": environment.value,
        "request": request.model_dump(mode="json"),
        "updated_at": now,
    }
    known = _row(connection, request.reference)
    if known is None:
        pending = TradeStatus.PENDING.value
        connection.execute(insert(trades).values(reference=request.reference, status=pending, created_at=now, **values))
        return
    if _may_have_left(known) or known.environment != environment.value:
        raise Conflict(
            f"there is a trade {request.reference} already, {known.status} ({known.environment})",
            account=known.account,
            reference=request.reference,
            hint="a new trade needs a new reference",
        )
    connection.execute(update(trades).where(trades.c.id == known.id).values(**values))


def save_trade(connection: Connection, reference: str, trade: Trade, *, now: datetime) -> None:
    """Record the trade as it was read. A number of None leaves the one that is recorded. Raises NotFound."""
    values: dict[str, Any] = {"status": trade.status.value, "snapshot": dump(trade), "updated_at": now}
    if trade.provider_id is not None:
        values["provider_id"] = trade.provider_id
    _save(connection, reference, values)


def mark_unconfirmed(connection: Connection, reference: str, *, now: datetime) -> None:
    """Whether it was placed is not known. Raises NotFound."""
    _save(connection, reference, {"status": TradeStatus.UNCONFIRMED.value, "updated_at": now})


def mark_placed(connection: Connection, reference: str, provider_id: str, *, now: datetime) -> None:
    """It was placed, as this number of the provider; how it stands there is still to be read. Raises NotFound."""
    _save(
        connection,
        reference,
        {"status": TradeStatus.PENDING.value, "provider_id": provider_id, "updated_at": now},
    )


def delete_trade(connection: Connection, reference: str) -> None:
    """Forget a trade that was not placed. Raises Conflict for one that has the provider's number."""
    known = _row(connection, reference)
    if known is None:
        return
    if known.provider_id is not None:
        raise Conflict(
            f"the trade {reference} is the provider's {known.provider_id}: it is not forgotten", reference=reference
        )
    connection.execute(delete(trades).where(trades.c.id == known.id))


def fail_trade(connection: Connection, reference: str, *, now: datetime) -> None:
    """It was not placed, for good: told, and forgotten. Raises as `delete_trade`."""
    known = _row(connection, reference)
    delete_trade(connection, reference)
    if known is not None:
        trade_failed(connection, _trade(known), provider=known.provider, now=now)


def load_trade(connection: Connection, reference: str) -> Trade | None:
    row = _row(connection, reference)
    return None if row is None else _trade(row)


def find_trade(connection: Connection, account: str, provider_id: str) -> str | None:
    """The reference of the provider's trade; None when it was not placed here."""
    query = select(trades.c.reference).where(trades.c.account == account, trades.c.provider_id == provider_id)
    return connection.execute(query.order_by(trades.c.id.desc())).scalars().first()


def list_trades(
    connection: Connection,
    *,
    account: str | None = None,
    environment: Environment | None = None,
    status: TradeStatus | None = None,
    size: int,
    cursor: str | None,
) -> Page[Trade]:
    """Trades, newest first."""
    query = select(trades)
    if account is not None:
        query = query.where(trades.c.account == account)
    if environment is not None:
        query = query.where(trades.c.environment == environment.value)
    if status is not None:
        query = query.where(trades.c.status == status.value)
    rows, following = one_page(connection, query, trades, size=size, cursor=cursor)
    return Page[Trade](items=tuple(_trade(row) for row in rows), next=following)


def _row(connection: Connection, reference: str) -> Row[Any] | None:
    return connection.execute(select(trades).where(trades.c.reference == reference)).one_or_none()


def _may_have_left(row: Row[Any]) -> bool:
    return row.status != TradeStatus.PENDING.value or row.provider_id is not None


def _save(connection: Connection, reference: str, values: dict[str, Any]) -> None:
    before = _row(connection, reference)
    if before is None:
        raise NotFound(f"there is no trade {reference}", reference=reference)
    ended = TradeStatus(before.status)
    if "snapshot" in values and ended.is_final and not TradeStatus(values["status"]).is_final:
        values["status"] = ended.value  # a reading from before the end
    connection.execute(update(trades).where(trades.c.id == before.id).values(**values))
    after = _row(connection, reference)
    assert after is not None
    trade_changed(
        connection,
        _trade(before),
        _trade(after),
        provider=before.provider,
        taken_on=newly_taken_on(before, after),
        now=values["updated_at"],
    )


def _trade(row: Row[Any]) -> Trade:
    asked = {name: row.request[name] for name in ("market", "side", "kind", "volume", "rate")}
    seen = {name: value for name, value in (row.snapshot or {}).items() if value is not None}
    own = {name: row._mapping[name] for name in ("reference", "account", "environment", "status", "provider_id")}
    data = {"created_at": row.created_at, **asked, **seen, **own}
    return restore(Trade, data, f"the trade {row.reference}")
