"""The keys of the accounts' rings, without their secrets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from gateway.errors import Conflict, NotFound
from gateway.models.base import Environment
from gateway.models.keys import ApiKey, KeyOrigin, KeyState, Permission
from gateway.store.tables import api_keys

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row

__all__ = ["KeyRow", "add", "change", "expiring", "find", "listed", "obtained", "refused", "remove", "told", "works"]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key, and what the gateway keeps beside it: the names of its parts in the vault."""

    id: int
    parts: tuple[str, ...]
    key: ApiKey


def listed(connection: Connection, account: str | None, now: datetime) -> list[KeyRow]:
    """The keys of one account, or of all; those added first in front."""
    query = select(api_keys).order_by(api_keys.c.id)
    if account is not None:
        query = query.where(api_keys.c.account == account)
    return [_row(row, now) for row in connection.execute(query)]


def find(connection: Connection, account: str, label: str, now: datetime) -> KeyRow:
    """Raises NotFound."""
    query = select(api_keys).where(api_keys.c.account == account, api_keys.c.label == label)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(
            f"the ring of {account} has no key {label!r}", account=account, hint="`gateway keys list` shows them"
        )
    return _row(row, now)


def add(connection: Connection, key: ApiKey, parts: tuple[str, ...], now: datetime) -> None:
    """Raises Conflict when there is a key of this label already: a label is never given to another key in silence."""
    query = select(api_keys.c.state).where(api_keys.c.account == key.account, api_keys.c.label == key.label)
    if connection.execute(query).one_or_none() is not None:
        raise Conflict(
            f"the ring of {key.account} has a key {key.label!r} already; nothing was changed",
            account=key.account,
            hint="take another label, or `gateway keys delete` the old one once it is revoked",
        )
    connection.execute(
        insert(api_keys).values(
            account=key.account,
            provider=key.provider,
            environment=key.environment.value,
            label=key.label,
            kind=key.kind,
            public_id=key.public_id,
            parts=list(parts),
            permissions=sorted(key.permissions),
            networks=list(key.networks) if key.networks is not None else None,
            pool=key.pool,
            state=KeyState.ACTIVE.value,
            origin=key.origin.value,
            made_at=key.created_at,
            expires_at=key.expires_at,
            verified_at=key.verified_at,
            created_at=now,
            updated_at=now,
        )
    )


def change(connection: Connection, row: KeyRow, now: datetime, **values: Any) -> None:
    """Set these columns."""
    changed = update(api_keys).where(api_keys.c.id == row.id)
    connection.execute(changed.values(**values, updated_at=now))


def remove(connection: Connection, row: KeyRow) -> None:
    """Forget the key. What was done with it stays in the audit."""
    connection.execute(delete(api_keys).where(api_keys.c.id == row.id))


def refused(connection: Connection, key: ApiKey, now: datetime) -> bool:
    """The provider does not accept the key. False when that is known already, or the key is not there any more."""
    query = update(api_keys).where(_is(key), api_keys.c.refused_at.is_(None))
    return connection.execute(query.values(refused_at=now, updated_at=now)).rowcount > 0


def works(connection: Connection, key: ApiKey, now: datetime) -> bool:
    """The provider accepted the key. True when it had been set aside."""
    named = _is(key)
    query = select(api_keys.c.refused_at).where(named)
    aside = connection.execute(query).scalar_one_or_none() is not None
    connection.execute(update(api_keys).where(named).values(refused_at=None, verified_at=now, updated_at=now))
    return aside


def expiring(connection: Connection, before: datetime, now: datetime) -> list[KeyRow]:
    """The keys in use that expire before this time and of which nobody was told."""
    query = (
        select(api_keys)
        .where(
            api_keys.c.expires_at < before,
            api_keys.c.state != KeyState.REVOKED.value,
            api_keys.c.told_expiry.is_distinct_from(api_keys.c.expires_at),
        )
        .order_by(api_keys.c.id)
    )
    return [_row(row, now) for row in connection.execute(query)]


def told(connection: Connection, row: KeyRow) -> None:
    """The key's expiry was told."""
    connection.execute(update(api_keys).where(api_keys.c.id == row.id).values(told_expiry=row.key.expires_at))


def obtained(connection: Connection, key: ApiKey, expires_at: datetime | None) -> None:
    """A token was obtained with the key, which expires then."""
    connection.execute(update(api_keys).where(_is(key)).values(token_expires_at=expires_at))


def _is(key: ApiKey) -> ColumnElement[bool]:
    """That a row is this key's, and not that of a later one with its label."""
    where = (api_keys.c.account == key.account) & (api_keys.c.label == key.label)
    return where & (api_keys.c.created_at == key.added_at)


def _row(row: Row[Any], now: datetime) -> KeyRow:
    return KeyRow(row.id, tuple(row.parts), _key(row, now))


def _key(row: Row[Any], now: datetime) -> ApiKey:
    state = KeyState(row.state)
    if state in (KeyState.ACTIVE, KeyState.RETIRING) and row.expires_at is not None and row.expires_at <= now:
        state = KeyState.EXPIRED
    token = row.token_expires_at
    if state not in (KeyState.ACTIVE, KeyState.RETIRING) or (token is not None and token <= now):
        token = None
    return ApiKey(
        account=row.account,
        provider=row.provider,
        environment=Environment(row.environment),
        label=row.label,
        kind=row.kind,
        public_id=row.public_id,
        permissions=frozenset(map(Permission, row.permissions)),
        networks=tuple(row.networks) if row.networks is not None else None,
        pool=row.pool,
        state=state,
        origin=KeyOrigin(row.origin),
        created_at=row.made_at,
        added_at=row.created_at,
        expires_at=row.expires_at,
        token_expires_at=token,
        verified_at=row.verified_at,
        refused_at=row.refused_at,
        retired_at=row.retired_at,
        revoked_at=row.revoked_at,
    )
