"""Which key an operation goes out with: the ring as it stands, the choice, and a key that the provider refuses."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from gateway.engine.clock import Deadline
from gateway.engine.effects import Block, Enter, Flow, Leave, transact
from gateway.errors import StoreError, VaultError

if TYPE_CHECKING:
    from gateway.accounts import OpenAccount
    from gateway.models.keys import Permission
    from gateway.ring import HeldKey

__all__ = ["accepted", "prepare", "refresh", "set_aside"]

log = logging.getLogger("gateway")


def prepare(account: OpenAccount, permissions: frozenset[Permission], deadline: Deadline) -> Flow[None]:
    """Have the ring at hand and see that one of its keys may do this. Raises PermissionDenied; nothing was sent."""
    if account.ring_due():
        yield from refresh(account, deadline)
    account.choose_key(permissions)


def refresh(account: OpenAccount, deadline: Deadline) -> Flow[None]:
    """Read the account's ring from the store, and from the vault what is new in it.

    Where that fails, work goes on with the keys that are known; with none known, StoreError or VaultError is raised.
    """
    if account.ring.keys:
        account.ring_read()  # others need not wait for this one: they have keys
        try:
            yield from _read(account)
        except (StoreError, VaultError) as error:
            log.warning("the ring of %s could not be read again: %s", account.name, error)
        return
    lane = f"keys {account.name}"
    yield Enter(lane, deadline.remaining())
    try:
        if not account.ring.keys:
            yield from _read(account)
            account.ring_read()
    finally:
        yield Leave(lane)


def _read(account: OpenAccount) -> Flow[None]:
    asked = account.ask_for_keys()
    rows = yield from transact(account.key_rows)
    new = account.unknown_keys(rows)
    try:
        secrets = (yield Block(lambda: account.open_secrets(new))) if new else {}
    except VaultError:
        # What was retired, revoked or changed counts all the same: it is only the new keys that cannot be used.
        account.take_keys(asked, rows, {})
        raise
    account.take_keys(asked, rows, secrets)


def set_aside(account: OpenAccount, held: HeldKey) -> Flow[None]:
    """The provider does not accept this key: nobody uses it while another can do the work."""
    if not account.works_with_ring:
        return
    account.refuse_key(held)
    log.warning(
        "%s does not accept the key %s of %s: it is set aside; `gateway keys verify` tries it again",
        account.provider.name,
        held.label,
        account.name,
    )
    with contextlib.suppress(StoreError):
        yield from transact(lambda connection: account.note_refused(connection, held))


def accepted(account: OpenAccount, held: HeldKey) -> Flow[None]:
    """The provider accepted a key that had been set aside."""
    account.accept_key(held)
    with contextlib.suppress(StoreError):
        yield from transact(lambda connection: account.note_accepted(connection, held))
