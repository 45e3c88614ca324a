"""Further keys for a ring.

A key's secret is written to the vault before its row to the store: a row whose secret is nowhere would be a key that
fails. Whatever changes a ring holds one lane, so that two people never write one label.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gateway.accounts import OpenAccount, secret_names
from gateway.contracts.keys import IssuesKeys
from gateway.core import Core
from gateway.engine import keys as engine
from gateway.engine.clock import Deadline
from gateway.engine.effects import Block, Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import ConfigurationError, Conflict, GatewayError, StoreError, UnsupportedOperation, VaultError
from gateway.flows.keys.changing import erase, in_flight
from gateway.flows.keys.reading import ending
from gateway.flows.keys.rings import (
    Change,
    alone,
    attempt,
    begun,
    find,
    is_own,
    reload,
    require_admitted,
    wrong_state,
)
from gateway.flows.keys.terms import Made, issuing, kind_of, like, made_of, one_pool, same_key, stands_in, terms
from gateway.key_commands import keeping
from gateway.models.keys import ApiKey, IssuedKey, KeyOrigin, KeyState, NewKey, Rotation
from gateway.secrets import Secret
from gateway.store import keys as store
from gateway.store.keys import KeyRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.keyring.vault import Name

__all__ = ["add", "issue", "ready", "rotate"]

log = logging.getLogger("gateway")


def ready(core: Core, account: str, new: NewKey, replaces: str | None, *, check: bool, made: bool) -> Flow[None]:
    """Everything that can be told of a key before its secret is known, so that none is made or entered for nothing."""
    opened = core.account(account)
    row = (yield from _replaceable(core, opened, replaces)) if replaces is not None else None
    kind, key = terms(opened, new if row is None else like(new, row.key))
    rows = yield from transact(opened.key_rows)
    if not kind.for_callbacks:
        one_pool(opened, rows, key.pool)
    if row is not None:
        stands_in(opened, rows, key, row.key)
    if check and not kind.for_callbacks:
        opened.require("keys.verify")
        require_admitted(opened, key)
    yield from _free(core, opened, new.label)
    secrets = tuple(part.name for part in kind.secret_parts)

    def look() -> None:
        core.vault().check()
        left = sorted(set(secret_names(KeyRow(0, secrets, key)).values()) & set(core.vault().names()))
        if left and not made:
            raise _left_over(opened, key, left)

    yield Block(look)


def _left_over(opened: OpenAccount, key: ApiKey, left: list[Name]) -> Conflict:
    """What is there may be the secret of a key that was made, whose adding was interrupted: it fits that key only."""
    names = " and ".join(map("/".join, left))
    return Conflict(
        f"the vault has {names} already, of no key of the ring: another key of this label would not be kept; "
        "nothing was changed",
        account=opened.name,
        hint=f"take another label; or, where a key {key.label} was made and its adding interrupted, "
        f"{_ways_on(opened, key, left)}",
    )


def _ways_on(opened: OpenAccount, key: ApiKey, left: list[Name]) -> str:
    """What can be done about secrets in the vault whose key is not in the ring."""
    permissions = key.permissions if opened.key_rules().permissions is not None else None
    add = keeping(key.label, opened.name, key.kind, permissions, key.networks, key.pool)
    return f"`{add}` goes on with that key; or, when nothing uses it, `gateway vault forget {'/'.join(left[0])}`"


def add(core: Core, account: str, new: NewKey, *, check: bool, actor: str, seconds: float | None) -> Flow[ApiKey]:
    """Keep a key that a person made, after a read with it has succeeded."""
    opened = core.account(account)
    deadline = core.deadline(seconds, opened)
    made = made_of(opened, new, KeyOrigin.IMPORTED)
    change = yield from begun(core, actor)

    def work() -> Flow[ApiKey]:
        yield from _absent(core, made, deadline)
        verified = (yield from _check(opened, made, deadline)) if check else False
        return (yield from _keep(change, made, deadline, verified=verified))

    return (yield from change.told(made.key, "add", alone(account, deadline, work)))


def rotate(
    core: Core, account: str, label: str, new: NewKey, *, check: bool, actor: str, seconds: float | None
) -> Flow[Rotation]:
    """Add a key in the place of another, which gets no new work from then on."""
    opened = core.account(account)
    deadline = core.deadline(seconds, opened)
    change = yield from begun(core, actor)
    change.words.learn(new.parts.values())

    def work() -> Flow[Rotation]:
        row = yield from _replaceable(core, opened, label)
        made = made_of(opened, like(new, row.key), KeyOrigin.IMPORTED)
        yield from _absent(core, made, deadline, replaces=label)
        stands_in(opened, (yield from transact(opened.key_rows)), made.key, row.key)
        verified = (yield from _check(opened, made, deadline)) if check else False

        def also(connection: Connection) -> None:
            store.change(connection, row, core.now(), state=KeyState.RETIRING.value, retired_at=core.now())
            change.note(connection, row.key, "retired", replaced_by=new.label)

        fresh = yield from _keep(change, made, deadline, verified=verified, also=also)
        old = row.key.model_copy(update={"state": KeyState.RETIRING, "retired_at": core.now()})
        steps = yield from ending(core, opened, old)
        return Rotation(new=fresh, old=old, in_flight=in_flight(opened, label), guide=steps)

    first = yield from _replaceable(core, opened, label)
    return (yield from change.told(first.key, "rotate", alone(account, deadline, work)))


def issue(
    core: Core,
    account: str,
    *,
    label: str | None,
    parts: Mapping[str, Any] | None,
    actor: str,
    seconds: float | None,
) -> Flow[IssuedKey]:
    """Obtain a key by a call. With a label it is kept in the ring, with what it was obtained with, and renewed."""
    opened = core.account(account)
    opened.require("keys.issue")
    deadline = core.deadline(seconds, opened)
    credentials = issuing(opened, parts)
    if label is None:
        run = Performance(opened, "keys.issue", deadline)
        return (yield from perform(run, Begun(opened.able(IssuesKeys).issue_key(credentials))))
    if credentials is None:
        credentials = opened.unsigned.credentials
    kind = kind_of(opened, credentials.kind)
    texts = {part.name: getattr(credentials, part.name) for part in kind.parts}
    new = NewKey(
        label=label,
        kind=kind.name,
        parts={name: text if isinstance(text, Secret) else Secret(str(text)) for name, text in texts.items()},
    )
    made = made_of(opened, new, KeyOrigin.ISSUED)
    change = yield from begun(core, actor)

    def work() -> Flow[IssuedKey]:
        yield from _absent(core, made, deadline)
        login = made.held.login
        if login is None:
            raise UnsupportedOperation(f"keys of the kind {kind.name} are not obtained by a call", account=account)
        issued: IssuedKey = yield from perform(Performance(opened, "keys.issue", deadline), Begun(login.login()))
        opened.redactor.learn([issued.secret])

        def also(connection: Connection) -> None:
            row = store.find(connection, account, made.key.label, core.now())
            store.obtained(connection, row.key, issued.expires_at)

        kept = yield from _keep(change, made, deadline, verified=False, also=also)
        return issued.model_copy(update={"key": kept})

    return (yield from change.told(made.key, "issue", alone(account, deadline, work)))


def _replaceable(core: Core, opened: OpenAccount, label: str) -> Flow[KeyRow]:
    row = yield from transact(lambda connection: find(core, opened, connection, label))
    if row.key.state is not KeyState.ACTIVE:
        raise wrong_state(row.key, "only an active key is replaced")
    return row


def _free(core: Core, opened: OpenAccount, label: str) -> Flow[None]:
    """Raises Conflict when the label is taken."""

    def work(connection: Connection) -> None:
        rows = store.listed(connection, opened.name, core.now())
        there = next((row.key for row in rows if row.key.label == label), None)
        if there is None:
            return
        whose = "" if is_own(opened, there) else f", of the {there.environment} environment of {there.provider}"
        raise Conflict(
            f"the ring of {opened.name} has a key {label!r} already{whose}; nothing was changed",
            account=opened.name,
            hint="take another label; or end the old one (`gateway keys revoke`), then `gateway keys delete` it",
        )

    yield from transact(work)


def _absent(core: Core, made: Made, deadline: Deadline, *, replaces: str | None = None) -> Flow[None]:
    """Raises Conflict when the label is taken, or the key is there under another, before anything is sent or kept. A
    login may replace one of the same user: its password has changed.
    """
    opened = made.account
    yield from _free(core, opened, made.key.label)
    if opened.works_with_ring:
        yield from engine.refresh(opened, deadline)
    rows = yield from transact(opened.key_rows)
    if made.held.signs:
        one_pool(opened, rows, made.key.pool)
    other = yield Block(lambda: _same_key(core, made, rows, replaces))
    if other is not None:
        # Twice in the ring it would seem to have twice its calls, and ending one would end the other.
        raise Conflict(
            f"this key is in the ring of {opened.name} as {other} already; nothing was changed",
            account=opened.name,
            hint="make another one at the provider",
        )


def _same_key(core: Core, made: Made, rows: list[KeyRow], replaces: str | None) -> str | None:
    """The label under which the same key is kept already. Raises Conflict when something else is in its place in the
    vault, and VaultError.
    """
    opened, vault = made.account, core.vault()
    there = set(vault.names())
    for part, place in made.places().items():
        if place in there and vault.get(*place) != made.secrets[part]:
            raise Conflict(
                f"the vault has another secret as {'/'.join(place)}, which is of no key of this ring; "
                "nothing was changed",
                account=opened.name,
                hint=f"take another label; or, when nothing uses it, `gateway vault forget {'/'.join(place)}`",
            )
    return same_key(opened, made.key, made.secrets, rows, replaces=replaces)


def _check(opened: OpenAccount, made: Made, deadline: Deadline) -> Flow[bool]:
    """Try the key before anything else uses it. One that only proves callbacks cannot be tried."""
    if not made.held.signs:
        return False
    opened.require("keys.verify")
    return (yield from attempt(opened, made.held, deadline))


def _keep(
    change: Change,
    made: Made,
    deadline: Deadline,
    *,
    verified: bool,
    also: Callable[[Connection], None] = lambda connection: None,
) -> Flow[ApiKey]:
    """The secret into the vault, then the key into the ring."""
    core, opened, key = change.core, made.account, made.key
    names, places = list(made.secrets), made.places()
    now = core.now()
    key = key.model_copy(update={"verified_at": now if verified else None})

    def work(connection: Connection) -> KeyRow:
        store.add(connection, key, tuple(names), now)
        also(connection)
        detail = {"kind": key.kind, "permissions": sorted(key.permissions), "pool": key.pool}
        change.note(
            connection,
            key,
            "added" if key.origin is KeyOrigin.IMPORTED else "issued",
            **detail,
            networks=list(key.networks) if key.networks is not None else None,
            verified=verified,
        )
        return store.find(connection, key.account, key.label, now)

    entry = _Entry(core, {places[name]: made.secrets[name] for name in names})
    try:
        yield Block(lambda: entry.enter(deadline))
        row = yield from transact(work)
    except BaseException as error:  # an interrupt too, which may come when the row is written
        entry.call_off()
        yield from _take_back(core, made, entry, error, deadline)
        raise
    opened.know(row, made.held)
    yield from reload(opened)
    return row.key


class _Entry:
    """The secrets of a key on their way into the vault. Whoever waits for the call in an event loop can leave, and its
    thread goes on: what is called off before its turn at the vault never gets there.
    """

    def __init__(self, core: Core, secrets: Mapping[Name, Secret]) -> None:
        self._core = core
        self._secrets = secrets
        self._new: list[Name] = []
        self._guard = threading.Lock()
        self._off = False
        self._begun = False
        self._ended = threading.Event()

    def enter(self, deadline: Deadline) -> None:
        try:
            vault = self._core.vault()
            self._new = sorted(set(self._secrets).difference(vault.names()))
            vault.put_many(self._secrets, timeout=deadline.remaining(), at_turn=self._begin)
        finally:
            self._ended.set()

    def _begin(self) -> None:
        with self._guard:
            if self._off:
                raise VaultError("whoever wanted the key to be kept has left; nothing was changed")
            self._begun = True

    def call_off(self) -> None:
        with self._guard:
            self._off = True

    def left(self) -> list[Name]:
        """What may be in the vault now and was not before. Waits for a change that has begun."""
        if self._begun:
            self._ended.wait()
        return self._new if self._begun else []


def _take_back(core: Core, made: Made, entry: _Entry, error: BaseException, deadline: Deadline) -> Flow[None]:
    """The secrets of a key that did not come into the ring, out of the vault again. Where that fails too, an error is
    raised that says so.
    """
    account, label = made.account.name, made.key.label
    left = yield Block(entry.left)
    if not left:
        return
    try:
        rows = yield from transact(lambda connection: store.listed(connection, account, core.now()))
        if all(one.key.label != label for one in rows):
            yield from erase(core, left, deadline)
    except (ConfigurationError, StoreError, VaultError) as failed:
        why = failed.message
    else:
        return
    what = f"the vault may have {' and '.join(map('/'.join, left))} still, of a key that may not be in the ring: {why}"
    todo = (
        f"`gateway keys list --account {account}` shows it where it is; else {_ways_on(made.account, made.key, left)}"
    )
    if not isinstance(error, GatewayError):
        log.warning("adding the key %s of %s was broken off; %s; %s", label, account, what, todo)
        return
    raise type(error)(
        f"{error.message}; {what}",
        outcome=error.outcome,
        retryable=error.retryable,
        account=account,
        hint=f"{error.hint}; {todo}" if error.hint else todo,
    ) from None
