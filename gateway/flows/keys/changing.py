"""What becomes of a key: changed, retired, taken back into use, revoked, forgotten.

Its secret is taken out of the vault after it is out of use, and before it is out of the store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from gateway.accounts import OpenAccount, secret_names
from gateway.capabilities import Support
from gateway.contracts.keys import RevokesKeys
from gateway.contracts.settings import AccountSettings
from gateway.core import Core
from gateway.engine.clock import Deadline
from gateway.engine.effects import Block, Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import (
    ConfigurationError,
    Conflict,
    InvalidRequest,
    StoreError,
    UnsupportedOperation,
    VaultError,
)
from gateway.flows.keys.rings import (
    Change,
    alone,
    begun,
    find,
    foreign,
    is_own,
    opened_key,
    reload,
    require_in_force,
    row_of,
    wrong_state,
)
from gateway.flows.keys.terms import networks_of, one_pool, permissions_of, same_key, signs
from gateway.models.keys import ApiKey, KeyState, NewKey, Permission
from gateway.store import audit as audit_log
from gateway.store import keys as store
from gateway.store.keys import KeyRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.keyring.vault import Name

__all__ = ["activate", "delete", "delete_all", "edit", "erase", "in_flight", "retire", "revoke"]


def edit(
    core: Core,
    account: str,
    label: str,
    *,
    permissions: Iterable[Permission | str] | None,
    networks: Iterable[str] | Literal["any"] | None,
    pool: str | None,
    expires_at: datetime | Literal["never"] | None,
    actor: str,
) -> Flow[ApiKey]:
    """Record what was changed at the provider. None leaves a thing as it is."""
    opened = core.account(account)
    values: dict[str, Any] = {}
    if permissions is not None:
        values["permissions"] = sorted(permissions_of(opened, permissions))
    if networks is not None:
        found = networks_of(opened, None if networks == "any" else networks)
        values["networks"] = list(found) if found is not None else None
    if pool is not None or expires_at is not None:
        until = None if expires_at == "never" else expires_at
        like = NewKey(label=label, parts={}, pool="default" if pool is None else pool, expires_at=until)
        values |= {"pool": like.pool} if pool is not None else {}
        values |= {"expires_at": like.expires_at} if expires_at is not None else {}
    if not values:
        raise InvalidRequest("nothing to change was named", account=account)
    until = values.get("expires_at")
    if until is not None and until <= core.now():
        raise InvalidRequest(
            f"the key would have expired, at {until.isoformat()}; nothing was changed",
            account=account,
            hint="a key that is to be used no more is retired, then revoked",
        )

    change = yield from begun(core, actor)

    def work(connection: Connection) -> KeyRow:
        row = find(core, opened, connection, label)
        if expires_at is None or row.key.state is not KeyState.EXPIRED:  # a wrong expiry can be corrected
            require_in_force(row)
        if pool is not None and signs(opened, row.key):
            others = [one for one in opened.key_rows(connection) if one.key.label != label]
            one_pool(opened, others, pool)
        store.change(connection, row, core.now(), **values)
        after = find(core, opened, connection, label)
        told = {**values, "expires_at": str(expires_at)} if expires_at is not None else values
        change.note(connection, row.key, "edited", **told)
        return after

    def corrected() -> Flow[KeyRow]:
        row = yield from transact(lambda connection: find(core, opened, connection, label))
        if row.key.state is KeyState.EXPIRED:
            yield from _require_single(opened, row)
        return (yield from transact(work))

    if expires_at is None:
        row = yield from transact(work)
    else:  # not while somebody adds the same key in the place of one that has expired
        row = yield from alone(account, core.deadline(None, opened), corrected)
    yield from reload(opened)
    return row.key


def retire(core: Core, account: str, label: str, *, actor: str) -> Flow[ApiKey]:
    """No new work goes out with the key. May be repeated."""
    change = yield from begun(core, actor)

    def work(connection: Connection) -> KeyRow:
        row = row_of(core, account, connection, label)
        if row.key.state is KeyState.RETIRING:
            return row
        require_in_force(row)
        store.change(connection, row, core.now(), state=KeyState.RETIRING.value, retired_at=core.now())
        change.note(connection, row.key, "retired")
        return row_of(core, account, connection, label)

    row = yield from transact(work)
    yield from reload(core.accounts.get(account))
    return row.key


def activate(core: Core, account: str, label: str, *, actor: str) -> Flow[ApiKey]:
    """Give new work to a key that is retiring again. May be repeated."""
    opened = core.account(account)
    change = yield from begun(core, actor)

    def work(connection: Connection) -> KeyRow:
        row = find(core, opened, connection, label)
        if row.key.state is KeyState.ACTIVE:
            return row
        if row.key.state is not KeyState.RETIRING:
            raise wrong_state(row.key, "only a key that is retiring can be taken back into use")
        if signs(opened, row.key):
            one_pool(opened, [one for one in opened.key_rows(connection) if one.key.label != label], row.key.pool)
        store.change(connection, row, core.now(), state=KeyState.ACTIVE.value, retired_at=None)
        change.note(connection, row.key, "activated")
        return find(core, opened, connection, label)

    def single() -> Flow[KeyRow]:
        row = yield from transact(lambda connection: find(core, opened, connection, label))
        if row.key.state is KeyState.RETIRING:
            # Of two logins of one user, one is used; which one, a person decides.
            yield from _require_single(opened, row, users=[KeyState.ACTIVE])
        return (yield from transact(work))

    # Not while somebody revokes it: new work would go out with a key that is just being ended.
    row = yield from alone(account, core.deadline(None, opened), single)
    yield from reload(opened)
    return row.key


def _require_single(
    opened: OpenAccount, row: KeyRow, users: Collection[KeyState] = (KeyState.ACTIVE, KeyState.RETIRING)
) -> Flow[None]:
    """Before a key comes into use again. Raises Conflict where the same key is in the ring under another label, and
    VaultError where its own secret cannot be had.
    """
    rows = yield from transact(opened.key_rows)

    def look() -> str | None:
        secrets = next(iter(opened.open_secrets([row]).values()), None)
        if secrets is None:
            raise VaultError(
                f"the key {row.key.label} cannot be used: the vault has no secret of it; nothing was changed",
                account=opened.name,
                hint="bring back the vault that belongs to this store, or end the key at the provider and make another",
            )
        return same_key(opened, row.key, secrets, rows, users=users)

    other = yield Block(look)
    if other is not None:
        raise Conflict(
            f"the key {row.key.label} is in the ring of {opened.name} as {other} too, which is in force; "
            "nothing was changed",
            account=opened.name,
            hint=f"`gateway keys retire {other} --account {opened.name}` first, where that one is to be used no more"
            if KeyState.RETIRING not in users
            else f"go on with {other}; ending one of the two at the provider ends both",
        )


def revoke(
    core: Core, account: str, label: str, *, ended: bool, force: bool, actor: str, seconds: float | None
) -> Flow[ApiKey]:
    """End the key: by a call where the provider has one, else a person has `ended` it there. Its secret is erased."""
    opened, deadline = _known(core, account, seconds)
    change = yield from begun(core, actor)

    def end(key: ApiKey) -> Flow[None]:
        if opened is None or not is_own(opened, key):
            if not ended:
                raise foreign(opened, key)
        elif opened.capabilities.get("keys.revoke").support is Support.SUPPORTED:
            opened.require("keys.revoke")
            row = yield from transact(lambda connection: find(core, opened, connection, label))
            held = yield from opened_key(opened, row, deadline)
            run = Performance(opened, "keys.revoke", deadline, key=held)
            yield from perform(run, Begun(opened.able(RevokesKeys).revoke_key(label, key.public_id)))
        elif not ended:
            reason = opened.capabilities.get("keys.revoke")
            raise UnsupportedOperation(
                f"{opened.provider.title} ends keys by hand only: {reason.reason}; the key is as it was",
                account=account,
                hint=f"`gateway keys guide revoke --account {account} --label {label}`, then revoke it as ended",
            )

    def work() -> Flow[ApiKey]:
        row = yield from transact(lambda connection: row_of(core, account, connection, label))
        if row.key.state is KeyState.REVOKED:
            yield from _erase_left(change, row, deadline)
            return row.key
        if not force:
            _require_idle(core, opened, row.key)
        yield from end(row.key)

        def keep(connection: Connection) -> KeyRow:
            now = core.now()
            store.change(connection, row, now, state=KeyState.REVOKED.value, revoked_at=now)
            change.note(connection, row.key, "revoked", forced=force)
            return row_of(core, account, connection, label)

        kept = yield from transact(keep)
        yield from reload(opened)
        yield from _erase_revoked(change, [row], deadline)
        return kept.key

    return (yield from alone(account, deadline, work))


def delete(core: Core, account: str, label: str, *, actor: str, seconds: float | None) -> Flow[None]:
    """Forget a key that is revoked or expired, so that its label is free again. The audit keeps what was done."""
    _, deadline = _known(core, account, seconds)
    change = yield from begun(core, actor)

    def work() -> Flow[None]:
        row = yield from transact(lambda connection: row_of(core, account, connection, label))
        if row.key.state not in (KeyState.REVOKED, KeyState.EXPIRED):
            raise wrong_state(row.key, "revoke it first")
        yield from _forget(change, account, [row], deadline)

    yield from alone(account, deadline, work)


def delete_all(core: Core, account: str, *, confirm: str, actor: str, seconds: float | None) -> Flow[list[ApiKey]]:
    """Forget every key of the ring, whatever its state, environment and provider. `confirm` is the account's name,
    typed by a person.
    """
    _, deadline = _known(core, account, seconds)
    if confirm != account:
        raise InvalidRequest(
            "deleting all keys is confirmed by the account's name; nothing was changed",
            account=account,
            hint=f"type {account}",
        )
    change = yield from begun(core, actor)

    def work() -> Flow[list[ApiKey]]:
        rows = yield from transact(lambda connection: store.listed(connection, account, core.now()))
        if not rows:
            core.account(account)
        yield from _forget(change, account, rows, deadline)
        return [row.key for row in rows]

    return (yield from alone(account, deadline, work))


def erase(core: Core, places: Collection[Name], deadline: Deadline) -> Flow[bool]:
    """These secrets out of the vault. One that is not there any more is none to erase. False: none was there."""

    def work() -> bool:
        vault = core.vault()
        there = set(vault.names()).intersection(places)
        if there:
            vault.remove_many(there, timeout=deadline.remaining())
        return bool(there)

    erased: bool = yield Block(work)
    return erased


def _erase_left(change: Change, row: KeyRow, deadline: Deadline) -> Flow[None]:
    """What was left of a key that was revoked before: whoever did it was stopped, or erasing failed. The audit has the
    end of it, also where whoever erased it could not write that down.
    """
    erased = yield from _erase_revoked(change, [row], deadline)

    def note(connection: Connection) -> None:
        last = audit_log.listed(connection, account=row.key.account, label=row.key.label, limit=1)
        if erased or (last and last[0].action == "erase failed"):
            change.note(connection, row.key, "erased")

    yield from transact(note)


def _erase_revoked(change: Change, rows: list[KeyRow], deadline: Deadline) -> Flow[bool]:
    """As `erase`, of keys that are revoked by now: whatever fails here, they stay so."""
    try:
        return (
            yield from erase(change.core, [place for row in rows for place in secret_names(row).values()], deadline)
        )
    except (ConfigurationError, StoreError, VaultError) as error:
        failed, (row, *others) = error, rows

    def note(connection: Connection) -> None:
        for row in rows:
            change.note(connection, row.key, "erase failed", error=type(failed).__name__)

    with contextlib.suppress(StoreError):
        yield from transact(note)
    what = f"the keys {', '.join(one.key.label for one in rows)} are revoked, and their secrets are"
    raise type(failed)(
        f"{what if others else f'the key {row.key.label} is revoked, and its secret is'} still in the vault: "
        f"{failed.message}",
        outcome=failed.outcome,
        retryable=failed.retryable,
        account=row.key.account,
        hint="repeat the call: it erases what is left"
        if failed.retryable
        else "bring the vault back that belongs to this store, make no new one, and repeat the call: it erases what is "
        "left",
    )


def _forget(change: Change, account: str, rows: list[KeyRow], deadline: Deadline) -> Flow[None]:
    """Out of use, out of the vault, out of the store: in this order, so that whoever is stopped half-way can do it
    again and nothing is left behind.
    """
    core = change.core

    def end(connection: Connection) -> None:
        for row in rows:
            if row.key.state is not KeyState.REVOKED:
                store.change(connection, row, core.now(), state=KeyState.REVOKED.value, revoked_at=core.now())
                change.note(connection, row.key, "revoked", forced=True)  # all that is told of one who is stopped here

    def remove(connection: Connection) -> None:
        for row in rows:
            store.remove(connection, row)
            change.note(connection, row.key, "deleted", state=row.key.state.value)

    yield from transact(end)
    yield from reload(core.accounts.get(account))
    yield from _erase_revoked(change, rows, deadline)
    yield from transact(remove)
    yield from reload(core.accounts.get(account))


def _known(core: Core, account: str, seconds: float | None) -> tuple[OpenAccount | None, Deadline]:
    """The account, if the settings have one of this name, and the call's deadline."""
    opened = core.accounts.get(account)
    return opened, core.deadline(seconds, *([opened] if opened is not None else []))


def in_flight(opened: OpenAccount, label: str) -> int:
    return sum(held.in_flight for held in opened.ring.keys if held.label == label)


def _require_idle(core: Core, opened: OpenAccount | None, key: ApiKey) -> None:
    """Raises Conflict while a call may still go out with the key, also where another process has other settings."""
    if key.state is KeyState.EXPIRED or (opened is not None and not opened.works_with_ring):
        return
    if key.state is not KeyState.RETIRING or key.retired_at is None:
        raise wrong_state(
            key, "retire it first, so that no call fails; one that has leaked is revoked at once, with `force`"
        )
    under_way = in_flight(opened, key.label) if opened is not None else 0
    # Another process learns of it within `refresh`; a call that it has begun by then may take its account's time.
    longest = opened.settings.timeout if opened is not None else AccountSettings.model_fields["timeout"].default
    last = key.retired_at + core.settings.keys.refresh + timedelta(seconds=longest)
    left = (last - core.now()).total_seconds()
    if under_way or left > 0:
        what = f"{under_way} calls are under way with it" if under_way else "calls may still be under way with it"
        raise Conflict(
            f"the key {key.label} was retired at {key.retired_at:%H:%M:%S} UTC, and {what}; it is as it was",
            account=key.account,
            retryable=True,
            hint=f"repeat it in {max(1, round(left))} s; one that has leaked is revoked at once, with `force`",
        )
