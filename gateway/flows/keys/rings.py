"""What everything that is done with the keys of a ring has in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.accounts import OpenAccount
from gateway.contracts.keys import VerifiesKeys
from gateway.core import Core
from gateway.engine import keys as engine
from gateway.engine.clock import Deadline
from gateway.engine.effects import Block, Enter, Flow, Leave, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import Conflict, GatewayError, InvalidRequest, Outcome, PermissionDenied, StoreError, VaultError
from gateway.models.keys import ApiKey, KeyState, Permission
from gateway.ring import HeldKey
from gateway.store import audit as audit_log
from gateway.store import keys as store
from gateway.store.keys import KeyRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Change", "alone", "attempt", "find", "opened_key", "reload", "require_in_force", "wrong_state"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one key, by whom."""

    core: Core
    account: OpenAccount
    actor: str

    def note(self, connection: Connection, key: ApiKey, action: str, **detail: Any) -> None:
        """Into the audit, without any secret of the account, whatever was written into a reason."""
        clean = self.account.redactor
        audit_log.note(
            connection, key, action, actor=clean.text(self.actor), now=self.core.now(), detail=clean.data(detail)
        )

    def told(self, key: ApiKey, action: str, work: Flow[T]) -> Flow[T]:
        """The work; that it failed is in the audit as well."""
        try:
            return (yield from work)
        except GatewayError as error:
            why = type(error).__name__
            with contextlib.suppress(StoreError):
                yield from transact(lambda connection: self.note(connection, key, f"{action} failed", error=why))
            raise


def find(core: Core, opened: OpenAccount, connection: Connection, label: str) -> KeyRow:
    """The key, to do something with. Raises NotFound, and InvalidRequest for one of another environment or provider:
    the account's address has changed since, and a key is never sent to another one than it was made for.
    """
    row = store.find(connection, opened.name, label, core.now())
    core.same_environment(opened, row.key.environment, f"the key {label}")
    if row.key.provider != opened.provider.name:
        raise InvalidRequest(
            f"the key {label} is one of {row.key.provider}, the account {opened.name} is at {opened.provider.name}",
            account=opened.name,
        )
    return row


def require_in_force(row: KeyRow) -> None:
    if row.key.state not in (KeyState.ACTIVE, KeyState.RETIRING):
        raise wrong_state(row.key, "`gateway keys list` shows the keys in force")


def wrong_state(key: ApiKey, hint: str) -> Conflict:
    return Conflict(f"the key {key.label} is {key.state}; nothing was changed", account=key.account, hint=hint)


def opened_key(opened: OpenAccount, row: KeyRow, deadline: Deadline) -> Flow[HeldKey]:
    """The key of this row, ready to sign; the ring's own where it is in it."""
    if opened.works_with_ring:
        yield from engine.refresh(opened, deadline)
        for held in opened.ring.keys:
            if held.label == row.key.label:
                return held
    secrets = yield Block(lambda: opened.open_secrets([row]))
    if not secrets:
        raise VaultError(f"the vault has no secret of the key {row.key.label}", account=opened.name)
    return opened.make_key(row.key, next(iter(secrets.values())))


def attempt(opened: OpenAccount, held: HeldKey, deadline: Deadline) -> Flow[bool]:
    """Read with the key. False when the provider knows it and refuses the read, which is right for a key that may not
    read. Raises PermissionDenied where the key does not admit this gateway's address; nothing was sent.
    """
    if not opened.ring.admits(held.key):
        raise PermissionDenied(
            f"the key {held.label} admits {', '.join(held.key.networks or ())}, and requests come from "
            f"{', '.join(map(str, opened.ring.egress))}; nothing was sent",
            account=opened.name,
            outcome=Outcome.NOT_SENT,
            hint=f"admit the address at the provider, or correct accounts.{opened.name}.egress",
        )
    run = Performance(opened, "keys.verify", deadline, key=held)
    try:
        yield from perform(run, Begun(opened.able(VerifiesKeys).verify_key()))
    except PermissionDenied:
        if Permission.READ in held.key.permissions:
            raise
        return False
    return True


def alone(opened: OpenAccount, deadline: Deadline, work: Callable[[], Flow[T]]) -> Flow[T]:
    """One change of a ring at a time, over all processes on the store."""
    lane = f"ring {opened.name}"
    yield Enter(lane, deadline.remaining(), shared=True)
    try:
        return (yield from work())
    finally:
        yield Leave(lane)


def reload(opened: OpenAccount) -> Flow[None]:
    """This process goes by the change at once."""
    if opened.works_with_ring:
        yield from engine.refresh(opened, Deadline.after(opened.clock, opened.settings.timeout))
