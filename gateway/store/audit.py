"""What was done with keys and the vault: who, when and what, never a secret. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from gateway.models.base import Environment
from gateway.models.keys import ApiKey, KeyAudit
from gateway.store.tables import key_audit

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["GATEWAY", "listed", "note", "note_vault"]

GATEWAY = "the gateway"
"""The actor of what no person did."""


def note(
    connection: Connection,
    key: ApiKey,
    action: str,
    *,
    actor: str,
    now: datetime,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Something was done with this key."""
    _insert(
        connection,
        at=now,
        actor=actor,
        action=action,
        account=key.account,
        provider=key.provider,
        environment=key.environment.value,
        label=key.label,
        detail=dict(detail or {}),
    )


def note_vault(
    connection: Connection,
    action: str,
    *,
    actor: str,
    now: datetime,
    secret: tuple[str, str] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Something was done with the vault as a whole, or with the secret that it has under this account and label."""
    account, label = secret or (None, None)
    _insert(connection, at=now, actor=actor, action=action, account=account, label=label, detail=dict(detail or {}))


def listed(
    connection: Connection, *, account: str | None = None, label: str | None = None, limit: int = 100
) -> list[KeyAudit]:
    """What was done, the latest first."""
    query = select(key_audit).order_by(key_audit.c.id.desc()).limit(limit)
    if account is not None:
        query = query.where(key_audit.c.account == account)
    if label is not None:
        query = query.where(key_audit.c.label == label)
    return [
        KeyAudit(
            id=row.id,
            at=row.at,
            actor=row.actor,
            action=row.action,
            account=row.account,
            provider=row.provider,
            environment=Environment(row.environment) if row.environment is not None else None,
            label=row.label,
            detail=row.detail,
        )
        for row in connection.execute(query)
    ]


def _insert(connection: Connection, **values: Any) -> None:
    connection.execute(insert(key_audit).values(**values))
