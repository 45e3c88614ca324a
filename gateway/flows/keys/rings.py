"""What everything that is done with the keys of a ring has in common."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.accounts import OpenAccount
from gateway.actor import process_user
from gateway.contracts.keys import VerifiesKeys
from gateway.core import Core
from gateway.engine import keys as engine
from gateway.engine.clock import Deadline
from gateway.engine.effects import Block, Enter, Flow, Leave, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import (
    ConfigurationError,
    Conflict,
    GatewayError,
    InvalidRequest,
    Outcome,
    PermissionDenied,
    StoreError,
    VaultError,
)
from gateway.models.keys import ApiKey, KeyState, Permission
from gateway.ring import HeldKey
from gateway.secrets import Redactor
from gateway.store import audit as audit_log
from gateway.store import keys as store
from gateway.store.keys import KeyRow
from gateway.store.lanes import LaneTaken

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "Change",
    "alone",
    "attempt",
    "begun",
    "find",
    "foreign",
    "is_own",
    "opened_key",
    "reload",
    "require_admitted",
    "require_in_force",
    "row_of",
    "wrong_state",
]

T = TypeVar("T")

log = logging.getLogger("gateway")


_NOBODY = "not kept"
_WITHHELD = f"{_NOBODY}: the vault could not be read, so nobody can tell whether a secret is in it"


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to the keys of an account, by whom. `begun` makes one."""

    core: Core
    actor: str
    words: Redactor
    """Knows what must not be written down."""
    withheld: bool = False
    """Whether what a person wrote is not kept, because nobody knows what must not be written down. The actor is then
    nobody, rather than another than it was.
    """

    def note(self, connection: Connection, key: ApiKey, action: str, **detail: Any) -> None:
        """Into the audit, without any secret of the vault or the settings, whatever was written into a reason."""
        if self.actor == _NOBODY:
            detail["by"] = _WITHHELD
        actor = self._clean(self.actor)
        audit_log.note(connection, key, action, actor=actor, now=self.core.now(), detail=self._clean(detail))

    def written(self, text: str) -> str:
        """What a person wrote, as far as it may be kept."""
        return _WITHHELD if self.withheld else text

    def _clean(self, data: T) -> T:
        cleaned: T = self.words.data(data)
        for account in self.core.accounts.values():
            cleaned = account.redactor.data(cleaned)
        return cleaned

    def told(self, key: ApiKey, action: str, work: Flow[T]) -> Flow[T]:
        """The work; that it failed is in the audit as well."""
        try:
            return (yield from work)
        except GatewayError as error:
            why = type(error).__name__
            with contextlib.suppress(StoreError):
                yield from transact(lambda connection: self.note(connection, key, f"{action} failed", error=why))
            raise


def begun(core: Core, actor: str, *written: str | None) -> Flow[Change]:
    """A change that this person makes, who may have written a secret into anything: each of the vault is learnt first,
    because a process knows only those that it has used. Where the vault cannot be read, what was written is not kept.
    """
    words = Redactor()
    if any(text not in (None, process_user()) for text in (actor, *written)):
        try:
            words.learn((yield Block(lambda: core.vault().get_many())).values())
        except (VaultError, ConfigurationError):
            return Change(core, actor if actor == process_user() else _NOBODY, words, withheld=True)
    return Change(core, actor, words)


def find(core: Core, opened: OpenAccount, connection: Connection, label: str) -> KeyRow:
    """The key, to work with it. Raises NotFound, and InvalidRequest for one of another environment or provider: the
    account's address has changed since, and a key is never sent to another one than it was made for.
    """
    row = store.find(connection, opened.name, label, core.now())
    if not is_own(opened, row.key):
        raise foreign(opened, row.key)
    return row


def is_own(opened: OpenAccount | None, key: ApiKey) -> bool:
    """Whether the key is one of the account as it is now. Nothing of any other is sent."""
    return opened is not None and key.environment is opened.environment and key.provider == opened.provider.name


def foreign(opened: OpenAccount | None, key: ApiKey) -> InvalidRequest:
    """That nothing can be done with the key but to end and forget it here."""
    there = f"it belongs to the {key.environment} environment of {key.provider}"
    here = (
        f"the account {opened.name} is {opened.environment}, at {opened.provider.name}"
        if opened is not None
        else f"the settings have no account {key.account}"
    )
    return InvalidRequest(
        f"the key {key.label} is not used: {there}, and {here}; it is as it was, and nothing was sent",
        account=key.account,
        hint=f"end it at the provider, then `gateway keys revoke {key.label} --account {key.account} --ended` erases "
        "its secret here; to use it, give the settings an account of this name, provider and environment",
    )


def row_of(core: Core, account: str, connection: Connection, label: str) -> KeyRow:
    """The key, to end or forget it here: also one of another environment or provider, or of an account that the
    settings have no more. Raises NotFound, and ConfigurationError where there never was such an account.
    """
    if not store.listed(connection, account, core.now()):
        core.account(account)
    return store.find(connection, account, label, core.now())


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


def require_admitted(opened: OpenAccount, key: ApiKey) -> None:
    """Raises PermissionDenied where a read with the key would come from an address that it does not admit."""
    if opened.ring.admits(key):
        return
    raise PermissionDenied(
        f"the key {key.label} admits {', '.join(key.networks or ())}, and requests come from "
        f"{', '.join(map(str, opened.ring.egress))}: it cannot be tried from here; nothing was sent",
        account=opened.name,
        outcome=Outcome.NOT_SENT,
        hint=f"have it admit the address, or correct accounts.{opened.name}.egress",
    )


def attempt(opened: OpenAccount, held: HeldKey, deadline: Deadline) -> Flow[bool]:
    """Read with the key. False when the provider knows it and refuses the read, which is right for a key that may not
    read. Raises PermissionDenied where the key does not admit this gateway's address; nothing was sent.
    """
    require_admitted(opened, held.key)
    run = Performance(opened, "keys.verify", deadline, key=held)
    try:
        yield from perform(run, Begun(opened.able(VerifiesKeys).verify_key()))
    except PermissionDenied:
        if Permission.READ in held.key.permissions:
            raise
        return False
    return True


def alone(account: str, deadline: Deadline, work: Callable[[], Flow[T]]) -> Flow[T]:
    """One change of a ring at a time, over all processes on the store."""
    lane = f"ring {account}"
    try:
        yield Enter(lane, deadline.remaining(), shared=True)
    except (Conflict, LaneTaken):  # in this process, or in another
        raise Conflict(
            f"somebody else is changing the keys of {account}, for longer than this call may wait; nothing was done",
            account=account,
            retryable=True,
            hint="repeat the call",
        ) from None
    try:
        return (yield from work())
    finally:
        yield Leave(lane)


def reload(opened: OpenAccount | None) -> Flow[None]:
    """This process goes by the change at once. Where the ring cannot be read now, the change was made all the same, and
    the next call reads it.
    """
    if opened is None or not opened.works_with_ring:
        return
    try:
        yield from engine.refresh(opened, Deadline.after(opened.clock, opened.settings.timeout))
    except (StoreError, VaultError) as error:
        log.warning("the ring of %s could not be read after a change of it: %s", opened.name, error)
