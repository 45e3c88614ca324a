"""Telling in time that a key of a ring expires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.models.keys import ApiKey
from gateway.store import events
from gateway.store import keys as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["tell_of_expiry", "watches_keys"]


def watches_keys(core: Core) -> bool:
    """Whether there is an account with a ring."""
    return any(account.works_with_ring for account in core.accounts.values())


def tell_of_expiry(core: Core) -> Flow[list[ApiKey]]:
    """An event for every key that expires within `keys.expiring`, or has expired unseen; once for each time at which
    it expires. Returns these keys.

    One that a login obtains is renewed by itself, and not told. Neither is one that no account here works with.
    """
    now = core.now()
    before = now + core.settings.keys.expiring

    def work(connection: Connection) -> list[ApiKey]:
        told = []
        for row in store.expiring(connection, before, now):
            if _concerns(core, row.key):
                _append(core, connection, row.key)
                store.told(connection, row)
                told.append(row.key)
        return told

    return (yield from transact(work))


def _concerns(core: Core, key: ApiKey) -> bool:
    account = core.accounts.get(key.account)
    if account is None or not account.works_with_ring or account.provider.keys is None:
        return False
    if (account.provider.name, account.environment) != (key.provider, key.environment):
        return False
    kind = account.provider.keys.kind(key.kind)
    return kind is None or not kind.issues


def _append(core: Core, connection: Connection, key: ApiKey) -> None:
    events.append(
        connection,
        "key.expiring",
        subject="key",
        reference=f"{key.account}/{key.label}",
        account=key.account,
        provider=key.provider,
        environment=key.environment,
        data={
            "account": key.account,
            "label": key.label,
            "state": key.state.value,
            "permissions": sorted(key.permissions),
            "expires_at": key.expires_at.isoformat() if key.expires_at is not None else None,
        },
        now=core.now(),
    )
