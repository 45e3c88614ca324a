"""Withdrawals, and the merchant's brakes on them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update

from gateway.contracts.settings import Limits
from gateway.errors import Conflict, LimitExceeded, NotFound
from gateway.models.base import Environment, Page
from gateway.models.withdrawals import ProviderWithdrawal, Withdrawal, WithdrawalRequest, WithdrawalStatus
from gateway.money import Money, exact
from gateway.store.changes import newly_taken_on, withdrawal_changed
from gateway.store.freezes import frozen
from gateway.store.pages import one_page
from gateway.store.snapshots import dump, restore
from gateway.store.tables import journal, withdrawals

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

__all__ = [
    "check_brakes",
    "check_not_frozen",
    "delete_withdrawal",
    "insert_withdrawal",
    "list_withdrawals",
    "load_withdrawal",
    "save_withdrawal",
]

DAY = timedelta(hours=24)
_NEVER_LEFT = (WithdrawalStatus.FAILED.value, WithdrawalStatus.CANCELLED.value)


def check_brakes(
    connection: Connection,
    *,
    account: str,
    limits: Limits,
    amount: Money,
    destination: str,
    now: datetime,
    reference: str | None = None,
    environment: Environment | None = None,
) -> None:
    """Raise LimitExceeded unless this payout is within the merchant's brakes; in the transaction that records it.

    Amounts count by symbol, over all networks. A day is the 24 hours before `now`; what is pending or of unknown
    outcome counts. `reference` leaves the payout's own row out, for one that is taken up again; `environment` counts
    only its own.
    """
    check_not_frozen(connection, account=account, limits=limits)
    if limits.destinations is not None and destination not in limits.destinations:
        raise _stopped(
            f"{destination} is not one of the destinations that are allowed",
            account,
            f"accounts.{account}.limits.destinations lists them",
        )
    for most in limits.per_withdrawal:
        if most.asset.symbol == amount.asset.symbol and amount.amount > most.amount:
            raise _stopped(
                f"{amount} is more than one payout may be, {most}", account, f"accounts.{account}.limits.per_withdrawal"
            )
    for most in limits.per_day:
        if most.asset.symbol != amount.asset.symbol:
            continue
        before = _paid_out(connection, account, most, now - DAY, reference, environment)
        total = before + Money(amount.amount, most.asset)
        if total > most:
            raise _stopped(
                f"with {before} in the last 24 hours, {amount} makes {total}: more than a day may have, {most}",
                account,
                f"accounts.{account}.limits.per_day",
            )


def check_not_frozen(connection: Connection, *, account: str, limits: Limits) -> None:
    """Raise LimitExceeded when no money may leave the account, by the settings or by `gateway freeze`."""
    found = frozen(connection).get(account)
    if found is not None:
        raise _stopped(
            f"payouts are frozen since {found['since']:%Y-%m-%d %H:%M} UTC by {found['by']}: {found['reason']}",
            account,
            f"`gateway freeze {account} --release` ends it",
        )
    if limits.frozen:
        raise _stopped("payouts are frozen in the settings", account, f"accounts.{account}.limits.frozen")


def insert_withdrawal(
    connection: Connection,
    request: WithdrawalRequest,
    *,
    account: str,
    provider: str,
    environment: Environment,
    now: datetime,
) -> None:
    """Record a payout that is about to leave, as `pending`.

    One that was recorded before and never left is taken up again and counts from now; whether it left is
    the journal's to know. Raises Conflict for any other with this reference.
    """
    values: dict[str, Any] = {
        "account": account,
        "provider": provider,
        "environment": environment.value,
        "status": WithdrawalStatus.PENDING.value,
        "symbol": request.amount.asset.symbol,
        "asset": request.amount.asset.code,
        "amount": request.amount.amount,
        "request": request.model_dump(mode="json"),
        "begun_at": now,
        "updated_at": now,
    }
    known = _row(connection, request.reference)
    if known is None:
        connection.execute(insert(withdrawals).values(reference=request.reference, created_at=now, **values))
        return
    if _may_have_left(known) or known.environment != environment.value:
        raise Conflict(
            f"there is a withdrawal {request.reference} already, {known.status} ({known.environment})",
            account=known.account,
            reference=request.reference,
            hint="a new payout needs a new reference",
        )
    connection.execute(update(withdrawals).where(withdrawals.c.id == known.id).values(**values))


def save_withdrawal(
    connection: Connection,
    reference: str,
    *,
    status: WithdrawalStatus,
    result: ProviderWithdrawal | None,
    now: datetime,
    provider_id: str | None = None,
) -> None:
    """Record where the payout stands. A `result` or number of None leaves what is recorded. Raises NotFound."""
    before = _row(connection, reference)
    if before is None:
        raise NotFound(f"there is no withdrawal {reference}", reference=reference)
    ended = WithdrawalStatus(before.status)
    if result is not None and ended.is_final and not status.is_final:
        status = ended  # a reading from before the end
    number = provider_id or (result.provider_id if result else None)
    values: dict[str, Any] = {"status": status.value, "updated_at": now}
    if result is not None:
        values["snapshot"] = dump(result)
    if number is not None:
        values["provider_id"] = number
    connection.execute(update(withdrawals).where(withdrawals.c.id == before.id).values(**values))
    after = _row(connection, reference)
    assert after is not None
    taken_on = newly_taken_on(before, after)
    withdrawal_changed(connection, _withdrawal(before), _withdrawal(after), taken_on=taken_on, now=now)


def delete_withdrawal(connection: Connection, reference: str) -> None:
    """Forget a payout that never left and whose reference is free again. Raises Conflict for one that may have left."""
    known = _row(connection, reference)
    if known is None:
        return
    if _may_have_left(known):
        raise Conflict(f"the withdrawal {reference} is {known.status}: it is not forgotten", reference=reference)
    connection.execute(delete(withdrawals).where(withdrawals.c.id == known.id))


def load_withdrawal(connection: Connection, reference: str) -> Withdrawal | None:
    row = _row(connection, reference)
    return None if row is None else _withdrawal(row)


def list_withdrawals(
    connection: Connection,
    *,
    account: str | None = None,
    environment: Environment | None = None,
    status: WithdrawalStatus | None = None,
    size: int,
    cursor: str | None,
) -> Page[Withdrawal]:
    """Withdrawals, newest first."""
    query = select(withdrawals)
    if account is not None:
        query = query.where(withdrawals.c.account == account)
    if environment is not None:
        query = query.where(withdrawals.c.environment == environment.value)
    if status is not None:
        query = query.where(withdrawals.c.status == status.value)
    rows, following = one_page(connection, query, withdrawals, size=size, cursor=cursor)
    return Page[Withdrawal](items=tuple(_withdrawal(row) for row in rows), next=following)


def _row(connection: Connection, reference: str) -> Row[Any] | None:
    return connection.execute(select(withdrawals).where(withdrawals.c.reference == reference)).one_or_none()


def _may_have_left(row: Row[Any]) -> bool:
    return row.status != WithdrawalStatus.PENDING.value or row.provider_id is not None


def _withdrawal(row: Row[Any]) -> Withdrawal:
    seen = row.snapshot or {}
    data = {
        **{name: seen[name] for name in ("provider_status", "debited", "fees", "warnings", "raw") if name in seen},
        **{name: row._mapping[name] for name in ("reference", "account", "provider", "environment", "status")},
        "amount": {"amount": row.amount, "asset": row.asset},
        "to": row.request["to"],
        "provider_id": row.provider_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    return restore(Withdrawal, data, f"the withdrawal {row.reference}")


def _paid_out(
    connection: Connection,
    account: str,
    limit: Money,
    since: datetime,
    reference: str | None,
    environment: Environment | None,
) -> Money:
    """What left, or may have, since then: in the limit's asset, added up here because SQL would go through a float."""
    query = select(withdrawals.c.amount).where(
        withdrawals.c.account == account,
        withdrawals.c.symbol == limit.asset.symbol,
        withdrawals.c.begun_at > since,
        withdrawals.c.status.not_in(_NEVER_LEFT),
    )
    if reference is not None:
        query = query.where(withdrawals.c.reference != reference)
    if environment is not None:
        query = query.where(withdrawals.c.environment == environment.value)
    amounts = list(connection.execute(query).scalars())
    amounts += _loaded_on_cards(connection, account, limit, since, reference, environment)
    return sum((Money(amount, limit.asset) for amount in amounts), start=Money(0, limit.asset))


def _loaded_on_cards(
    connection: Connection,
    account: str,
    limit: Money,
    since: datetime,
    reference: str | None,
    environment: Environment | None,
) -> list[Decimal]:
    """What new cards were loaded with, or may have been: the journal knows, because a card has no row before it is."""
    query = select(journal.c.request).where(
        journal.c.operation == "cards.create",
        journal.c.account == account,
        journal.c.updated_at > since,
        journal.c.state != "rejected",
        # One that was re-opened has nobody at it: nothing was done.
        or_(journal.c.state != "intended", journal.c.owner.is_not(None)),
    )
    if reference is not None:
        query = query.where(journal.c.reference != reference)
    if environment is not None:
        query = query.where(journal.c.environment == environment.value)
    loaded = [request["initial_balance"] for request in connection.execute(query).scalars()]
    return [exact(balance["amount"]) for balance in loaded if balance["asset"].partition("@")[0] == limit.asset.symbol]


def _stopped(message: str, account: str, hint: str) -> LimitExceeded:
    return LimitExceeded(f"{message}; nothing was sent", account=account, hint=hint)
