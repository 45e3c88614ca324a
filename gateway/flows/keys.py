"""The keys of an account's ring: what is kept of them, and what is done with them here and at the provider.

A key's secret is written to the vault before its row to the store, and taken out of it after: a row whose secret is
nowhere would be a key that fails. Whatever changes a ring holds one lane, so that two people never write one label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gateway.accounts import OpenAccount, secret_names
from gateway.capabilities import Support
from gateway.contracts.keys import GuideRequest, IssuesKeys, KeyKind, RevokesKeys, VerifiesKeys
from gateway.core import Core
from gateway.engine import keys as engine
from gateway.engine.clock import Deadline
from gateway.engine.effects import Block, Enter, Flow, Leave, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    InvalidRequest,
    PermissionDenied,
    UnsupportedOperation,
    VaultError,
)
from gateway.models.keys import (
    ApiKey,
    IssuedKey,
    KeyAction,
    KeyAudit,
    KeyGuide,
    KeyOrigin,
    KeyState,
    NewKey,
    Permission,
    Rotation,
)
from gateway.ring import HeldKey
from gateway.secrets import Secret
from gateway.store import audit as audit_log
from gateway.store import keys as store
from gateway.store.keys import KeyRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "add",
    "audit",
    "delete",
    "delete_all",
    "edit",
    "get",
    "guide",
    "issue",
    "listed",
    "ready",
    "retire",
    "reveal",
    "revoke",
    "rotate",
    "verify",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Change:
    """What is done to one key, by whom."""

    core: Core
    account: OpenAccount
    actor: str

    def note(self, connection: Connection, key: ApiKey, action: str, **detail: Any) -> None:
        audit_log.note(connection, key, action, actor=self.actor, now=self.core.now(), detail=detail)


# Reading


def listed(core: Core, account: str | None) -> Flow[list[ApiKey]]:
    """The keys of one account, or of all: those of the rings and those of the settings."""
    opened = [core.account(account)] if account is not None else list(core.accounts.values())
    rows = yield from transact(lambda connection: store.listed(connection, account, core.now()))
    fixed = [one.unsigned.key for one in opened if not one.works_with_ring and one.unsigned.credentials is not None]
    names = {one.name for one in opened}
    return [*fixed, *(_as_held(core, row.key) for row in rows if account is not None or row.key.account in names)]


def get(core: Core, account: str, label: str) -> Flow[ApiKey]:
    """Raises NotFound."""
    opened = core.account(account)
    if not opened.works_with_ring and label == opened.unsigned.label:
        return opened.unsigned.key
    row = yield from transact(lambda connection: store.find(connection, account, label, core.now()))
    return _as_held(core, row.key)


def _as_held(core: Core, key: ApiKey) -> ApiKey:
    """The key, with when what it obtained expires where it obtains its keys itself."""
    opened = core.accounts.get(key.account)
    held = next((held for held in opened.ring.keys if held.label == key.label), None) if opened is not None else None
    expires_at = held.login.expires_at if held is not None and held.login is not None else None
    return key if expires_at is None else key.model_copy(update={"expires_at": expires_at})


def audit(core: Core, account: str | None, label: str | None, limit: int) -> Flow[list[KeyAudit]]:
    """What was done with keys, the latest first."""
    if account is not None:
        core.account(account)
    return (
        yield from transact(lambda connection: audit_log.listed(connection, account=account, label=label, limit=limit))
    )


def guide(
    core: Core,
    account: str,
    action: KeyAction,
    *,
    label: str | None,
    kind: str | None,
    permissions: Iterable[Permission | str] | None,
    networks: Iterable[str] | None,
    pool: str,
) -> Flow[KeyGuide]:
    """The provider's own steps, filled in. Raises InvalidRequest for what its keys cannot have, UnsupportedOperation
    where no steps are known.
    """
    opened = core.account(account)
    rules = opened.key_rules()
    known: ApiKey | None = None
    if label is not None and action is not KeyAction.CREATE:
        rows = yield from transact(lambda connection: store.listed(connection, account, core.now()))
        known = next((row.key for row in rows if row.key.label == label), None)
    chosen = _kind(opened, kind if kind is not None or known is None else known.kind)
    wanted = known.permissions if known is not None and permissions is None else _permissions(opened, permissions)
    places = known.networks if known is not None and networks is None else _networks(opened, networks)
    if action is KeyAction.CREATE and label is not None:
        _check_label(opened, label)
    steps = rules.guide(
        GuideRequest(action=action, kind=chosen, label=label, permissions=wanted, networks=places, pool=pool)
    )
    if not steps:
        row = opened.capabilities.get("keys.issue" if action is KeyAction.CREATE else "keys.revoke")
        raise UnsupportedOperation(
            f"how a key of {opened.provider.title} is dealt with ({action}) is not known: {row.reason}",
            account=account,
            provider=opened.provider.name,
            hint=row.instead or "look at the provider's own pages",
        )
    return KeyGuide(
        account=account,
        provider=opened.provider.name,
        action=action,
        label=label,
        kind=chosen.name,
        parts={part.name: part.title for part in chosen.parts} if action is KeyAction.CREATE else {},
        permissions=wanted if rules.permissions is not None else None,
        networks=places,
        proofs=tuple(rules.proofs.get(action, ())),
        steps=steps,
        source=rules.source,
        grade=rules.grade,
    )


def verify(core: Core, account: str, label: str | None, *, actor: str, seconds: float | None) -> Flow[None]:
    """A cheap authenticated read, with the key of this label or with whichever is chosen for reading."""
    opened = core.account(account)
    opened.require("keys.verify")
    deadline = core.deadline(seconds, opened)
    if label is None or (not opened.works_with_ring and label == opened.unsigned.label):
        yield from perform(Performance(opened, "keys.verify", deadline), Begun(opened.able(VerifiesKeys).verify_key()))
        return
    row = yield from transact(lambda connection: _find(core, opened, connection, label))
    _require_in_force(row)
    held = yield from _held(opened, row, deadline)
    try:
        yield from _try(opened, held, deadline)
    except AuthenticationFailed:
        yield from engine.set_aside(opened, held)
        raise
    opened.accept_key(held)

    def keep(connection: Connection) -> None:
        store.works(connection, row.key, core.now())
        _Change(core, opened, actor).note(connection, row.key, "verified")

    yield from transact(keep)


# Changing


def ready(core: Core, account: str, new: NewKey, replaces: str | None, *, check: bool) -> Flow[None]:
    """Everything that can be told of a key before it is made, so that none is made for nothing."""
    opened = core.account(account)
    if replaces is not None:
        row = yield from _replaceable(core, opened, replaces)
        new = _like(new, row.key)
    kind, _, _ = _terms(opened, new)
    if check and not kind.for_callbacks:
        opened.require("keys.verify")
    yield from _free(core, opened, new.label)
    yield Block(lambda: core.vault().check())


def add(core: Core, account: str, new: NewKey, *, check: bool, actor: str, seconds: float | None) -> Flow[ApiKey]:
    """Keep a key that a person made, after a read with it has succeeded."""
    opened = core.account(account)
    deadline = core.deadline(seconds, opened)
    made = _made(opened, new, KeyOrigin.IMPORTED)

    def work() -> Flow[ApiKey]:
        yield from _absent(core, made, deadline)
        if check:
            yield from _check(opened, made, deadline)
        return (yield from _keep(_Change(core, opened, actor), made, verified=check))

    return (yield from _alone(opened, deadline, work))


def rotate(
    core: Core, account: str, label: str, new: NewKey, *, check: bool, actor: str, seconds: float | None
) -> Flow[Rotation]:
    """Add a key in the place of another, which gets no new work from then on."""
    opened = core.account(account)
    deadline = core.deadline(seconds, opened)
    change = _Change(core, opened, actor)

    def work() -> Flow[Rotation]:
        row = yield from _replaceable(core, opened, label)
        made = _made(opened, _like(new, row.key), KeyOrigin.IMPORTED)
        yield from _absent(core, made, deadline, replaces=label)
        if check:
            yield from _check(opened, made, deadline)

        def also(connection: Connection) -> None:
            store.change(connection, row, core.now(), state=KeyState.RETIRING.value, retired_at=core.now())
            change.note(connection, row.key, "retired", replaced_by=new.label)

        fresh = yield from _keep(change, made, verified=check, also=also)
        old = row.key.model_copy(update={"state": KeyState.RETIRING, "retired_at": core.now()})
        steps = yield from _ending(core, opened, old)
        return Rotation(new=fresh, old=old, in_flight=_in_flight(opened, label), guide=steps)

    return (yield from _alone(opened, deadline, work))


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
    credentials = _issuing(opened, parts)
    if label is None:
        run = Performance(opened, "keys.issue", deadline)
        return (yield from perform(run, Begun(opened.able(IssuesKeys).issue_key(credentials))))
    if credentials is None:
        credentials = opened.unsigned.credentials
    kind = _kind(opened, credentials.kind)
    texts = {part.name: getattr(credentials, part.name) for part in kind.parts}
    new = NewKey(
        label=label,
        kind=kind.name,
        parts={name: text if isinstance(text, Secret) else Secret(str(text)) for name, text in texts.items()},
    )
    made = _made(opened, new, KeyOrigin.ISSUED)

    def work() -> Flow[IssuedKey]:
        yield from _absent(core, made, deadline)
        login = made.held.login
        if login is None:
            raise UnsupportedOperation(f"keys of the kind {kind.name} are not obtained by a call", account=account)
        issued: IssuedKey = yield from perform(Performance(opened, "keys.issue", deadline), Begun(login.login()))
        opened.redactor.learn([issued.secret])
        kept = yield from _keep(_Change(core, opened, actor), made, verified=False)
        return issued.model_copy(update={"key": kept.model_copy(update={"expires_at": issued.expires_at})})

    return (yield from _alone(opened, deadline, work))


def edit(
    core: Core,
    account: str,
    label: str,
    *,
    permissions: Iterable[Permission | str] | None,
    networks: Iterable[str] | Literal["any"] | None,
    pool: str | None,
    expires_at: Any,
    actor: str,
) -> Flow[ApiKey]:
    """Record what was changed at the provider. None leaves a thing as it is."""
    opened = core.account(account)
    values: dict[str, Any] = {}
    if permissions is not None:
        values["permissions"] = sorted(_permissions(opened, permissions))
    if networks is not None:
        found = _networks(opened, None if networks == "any" else networks)
        values["networks"] = list(found) if found is not None else None
    if pool is not None or expires_at is not None:
        like = NewKey(label=label, parts={}, pool="default" if pool is None else pool, expires_at=expires_at)
        values |= {"pool": like.pool} if pool is not None else {}
        values |= {"expires_at": like.expires_at} if expires_at is not None else {}
    if not values:
        raise InvalidRequest("nothing to change was named", account=account)

    def work(connection: Connection) -> KeyRow:
        row = _find(core, opened, connection, label)
        _require_in_force(row)
        store.change(connection, row, core.now(), **values)
        after = _find(core, opened, connection, label)
        told = {name: str(value) if name == "expires_at" else value for name, value in values.items()}
        _Change(core, opened, actor).note(connection, row.key, "edited", **told)
        return after

    row = yield from transact(work)
    yield from _reload(opened)
    return row.key


def retire(core: Core, account: str, label: str, *, actor: str) -> Flow[ApiKey]:
    """No new work goes out with the key. May be repeated."""
    opened = core.account(account)

    def work(connection: Connection) -> KeyRow:
        row = _find(core, opened, connection, label)
        if row.key.state is KeyState.RETIRING:
            return row
        _require_in_force(row)
        store.change(connection, row, core.now(), state=KeyState.RETIRING.value, retired_at=core.now())
        _Change(core, opened, actor).note(connection, row.key, "retired")
        return _find(core, opened, connection, label)

    row = yield from transact(work)
    yield from _reload(opened)
    return row.key


def revoke(
    core: Core, account: str, label: str, *, ended: bool, force: bool, actor: str, seconds: float | None
) -> Flow[ApiKey]:
    """End the key: by a call where the provider has one, else a person has `ended` it there. Its secret is erased."""
    opened = core.account(account)
    deadline = core.deadline(seconds, opened)
    change = _Change(core, opened, actor)

    def work() -> Flow[ApiKey]:
        row = yield from transact(lambda connection: _find(core, opened, connection, label))
        if row.key.state is KeyState.REVOKED:
            yield from _erase(core, [row])  # whoever revoked it may have been stopped before
            return row.key
        if not force:
            _require_idle(core, opened, row.key)
        if opened.capabilities.get("keys.revoke").support is Support.SUPPORTED:
            opened.require("keys.revoke")
            held = yield from _held(opened, row, deadline)
            run = Performance(opened, "keys.revoke", deadline, key=held)
            yield from perform(run, Begun(opened.able(RevokesKeys).revoke_key(label, row.key.public_id)))
        elif not ended:
            reason = opened.capabilities.get("keys.revoke")
            raise UnsupportedOperation(
                f"{opened.provider.title} ends keys by hand only: {reason.reason}; the key is as it was",
                account=account,
                hint=f"`gateway keys guide revoke --account {account} --label {label}`, then revoke it as ended",
            )

        def keep(connection: Connection) -> KeyRow:
            now = core.now()
            store.change(connection, row, now, state=KeyState.REVOKED.value, revoked_at=now)
            change.note(connection, row.key, "revoked", forced=force)
            return _find(core, opened, connection, label)

        kept = yield from transact(keep)
        yield from _erase(core, [row])
        yield from _reload(opened)
        return kept.key

    return (yield from _alone(opened, deadline, work))


def delete(core: Core, account: str, label: str, *, actor: str, seconds: float | None) -> Flow[None]:
    """Forget a key that is revoked or expired, so that its label is free again. The audit keeps what was done."""
    opened = core.account(account)
    deadline = core.deadline(seconds, opened)

    def work() -> Flow[None]:
        row = yield from transact(lambda connection: _find(core, opened, connection, label))
        if row.key.state not in (KeyState.REVOKED, KeyState.EXPIRED):
            raise _wrong_state(row.key, "revoke it first")
        yield from _forget(_Change(core, opened, actor), [row])

    yield from _alone(opened, deadline, work)


def delete_all(core: Core, account: str, *, confirm: str, actor: str, seconds: float | None) -> Flow[list[ApiKey]]:
    """Forget every key of the ring, whatever its state. `confirm` is the account's name, typed by a person."""
    opened = core.account(account)
    if confirm != account:
        raise InvalidRequest(
            "deleting all keys is confirmed by the account's name; nothing was changed",
            account=account,
            hint=f"type {account}",
        )
    deadline = core.deadline(seconds, opened)

    def work() -> Flow[list[ApiKey]]:
        rows = yield from transact(opened.key_rows)
        yield from _forget(_Change(core, opened, actor), rows)
        return [row.key for row in rows]

    return (yield from _alone(opened, deadline, work))


def reveal(core: Core, account: str, label: str, *, actor: str, reason: str | None) -> Flow[dict[str, Secret]]:
    """The parts of a key, read back. It is in the audit before anybody sees them."""
    opened = core.account(account)
    row = yield from transact(lambda connection: _find(core, opened, connection, label))
    if row.key.state is KeyState.REVOKED:
        raise _wrong_state(row.key, "its secret was erased when it was revoked")
    change = _Change(core, opened, actor)
    yield from transact(
        lambda connection: change.note(connection, row.key, "revealed", **({"why": reason} if reason else {}))
    )
    opened_parts = yield Block(lambda: opened.open_secrets([row]))
    if not opened_parts:
        raise VaultError(f"the vault has no secret of the key {label}", account=account)
    found: dict[str, Secret] = next(iter(opened_parts.values()))
    part = opened.kind(row.key.kind).public_part
    if part is not None and row.key.public_id is not None:
        found = {part.name: Secret(row.key.public_id), **found}
    return found


# Steps


@dataclass(frozen=True, slots=True)
class _Made:
    """A key that is not kept yet."""

    account: OpenAccount
    held: HeldKey
    key: ApiKey
    secrets: dict[str, Secret]


def _made(opened: OpenAccount, new: NewKey, origin: KeyOrigin) -> _Made:
    """Everything about the key that can be checked here. Raises InvalidRequest."""
    kind, permissions, networks = _terms(opened, new)
    names = [part.name for part in kind.parts]
    wrong = sorted(set(new.parts) - set(names))
    if wrong:
        raise InvalidRequest(
            f"a key of the kind {kind.name} has no {', '.join(name[:40] for name in wrong)}",
            account=opened.name,
            hint="it has " + ", ".join(names),
        )
    missing = [part.name for part in kind.parts if not new.parts.get(part.name)]
    if missing:
        titles = ", ".join(f"{part.name} ({part.title})" for part in kind.parts if part.name in missing)
        raise InvalidRequest(f"the key is not whole: {titles} is missing", account=opened.name)
    public = kind.public_part
    secrets = {part.name: new.parts[part.name] for part in kind.secret_parts}
    key = ApiKey(
        account=opened.name,
        provider=opened.provider.name,
        environment=opened.environment,
        label=new.label,
        kind=kind.name,
        public_id=new.parts[public.name].reveal() if public is not None else None,
        permissions=permissions,
        networks=networks,
        pool=new.pool,
        origin=origin,
        created_at=new.created_at,
        expires_at=new.expires_at,
    )
    return _Made(opened, opened.make_key(key, secrets), key, secrets)


def _terms(opened: OpenAccount, new: NewKey) -> tuple[KeyKind, frozenset[Permission], tuple[str, ...] | None]:
    """What the key is to be, its parts aside. Raises InvalidRequest."""
    kind = _kind(opened, new.kind)
    _check_label(opened, new.label)
    permissions = _permissions(opened, new.permissions)
    networks = _networks(opened, new.networks)
    if new.expires_at is not None and new.expires_at <= opened.clock.now():
        raise InvalidRequest(f"the key expired at {new.expires_at.isoformat()}", account=opened.name)
    return kind, permissions, networks


def _kind(opened: OpenAccount, name: str | None) -> KeyKind:
    if name is not None:
        return opened.kind(name)
    kinds = [kind for kind in opened.key_rules().kinds if not kind.for_callbacks and not kind.issues]
    if len(kinds) == 1:
        return kinds[0]
    raise InvalidRequest(
        f"{opened.provider.title} has several kinds of keys: say which one it is",
        account=opened.name,
        hint="one of " + ", ".join(kind.name for kind in opened.key_rules().kinds),
    )


def _issuing(opened: OpenAccount, parts: Mapping[str, Any] | None) -> Any:
    """The credentials that a key is obtained with; None: those of the account's settings."""
    if parts is None:
        if opened.works_with_ring:
            raise InvalidRequest(
                "the account's settings hold nothing that a key could be obtained with",
                account=opened.name,
                hint="give what the provider asks for, such as user name and password",
            )
        return None
    kinds = [kind for kind in opened.key_rules().kinds if kind.issues]
    if not kinds:
        raise UnsupportedOperation(f"{opened.provider.title} issues no keys by a call", account=opened.name)
    return opened.credentials(kinds[0].name, parts)


def _check_label(opened: OpenAccount, label: str) -> None:
    """The provider's own rule for labels."""
    rules = opened.key_rules()
    wrong = rules.label(label)
    if wrong is not None:
        raise InvalidRequest(
            f"{opened.provider.title} takes no label {label!r}: {wrong}",
            account=opened.name,
            hint=f"its rule: {rules.label_rule}",
        )


def _permissions(opened: OpenAccount, wanted: Iterable[Permission | str] | None) -> frozenset[Permission]:
    known = opened.key_rules().permissions
    everything = known if known is not None else frozenset(Permission)
    if wanted is None:
        return everything
    try:
        found = frozenset(Permission(one) for one in wanted)
    except ValueError:
        raise InvalidRequest(
            "no such permission", account=opened.name, hint="there are " + ", ".join(Permission)
        ) from None
    if known is None and found != everything:
        raise InvalidRequest(
            f"a key of {opened.provider.title} cannot be restricted: every key can do everything", account=opened.name
        )
    if not found or not found <= everything:
        raise InvalidRequest(
            "a key may do at least one of the things that the provider knows",
            account=opened.name,
            hint="there are " + ", ".join(sorted(everything)),
        )
    return found


def _networks(opened: OpenAccount, wanted: Iterable[str] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return None
    if not opened.key_rules().restricts_addresses:
        raise InvalidRequest(f"a key of {opened.provider.title} cannot be restricted to addresses", account=opened.name)
    checked = NewKey(label="checked", parts={}, networks=tuple(wanted))
    return checked.networks


def _like(new: NewKey, old: ApiKey) -> NewKey:
    """What the new key does not say is as it was with the old one."""
    given = new.model_fields_set
    same = {"kind": old.kind, "permissions": old.permissions, "networks": old.networks, "pool": old.pool}
    return new.model_copy(update={name: value for name, value in same.items() if name not in given})


def _find(core: Core, opened: OpenAccount, connection: Connection, label: str) -> KeyRow:
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


def _replaceable(core: Core, opened: OpenAccount, label: str) -> Flow[KeyRow]:
    row = yield from transact(lambda connection: _find(core, opened, connection, label))
    if row.key.state is not KeyState.ACTIVE:
        raise _wrong_state(row.key, "only an active key is replaced")
    return row


def _free(core: Core, opened: OpenAccount, label: str) -> Flow[None]:
    """Raises Conflict when the label is taken."""

    def work(connection: Connection) -> None:
        if any(row.key.label == label for row in store.listed(connection, opened.name, core.now())):
            raise Conflict(
                f"the ring of {opened.name} has a key {label!r} already; nothing was changed",
                account=opened.name,
                hint="take another label, or `gateway keys delete` the old one once it is revoked",
            )

    yield from transact(work)


def _absent(core: Core, made: _Made, deadline: Deadline, *, replaces: str | None = None) -> Flow[None]:
    """Raises Conflict when the label is taken, or the key is there under another, before anything is sent or kept. A
    login may replace one of the same user: its password has changed.
    """
    opened = made.account
    yield from _free(core, opened, made.key.label)
    if opened.works_with_ring:
        yield from engine.refresh(opened, deadline)
    for held in opened.ring.keys if made.held.signs and opened.works_with_ring else ():
        if held.login is not None and held.label == replaces:
            continue
        if held.signs and held.auth.key_id == made.held.auth.key_id:
            # Twice in the ring it would seem to have twice its calls, and ending one would end the other.
            raise Conflict(
                f"this key is in the ring of {opened.name} as {held.label} already; nothing was changed",
                account=opened.name,
                hint="make another one at the provider",
            )
    yield Block(lambda: core.vault().names())  # that there is none, or it is locked, is told before anything is sent


def _check(opened: OpenAccount, made: _Made, deadline: Deadline) -> Flow[None]:
    """Try the key before anything else uses it. One that only proves callbacks cannot be tried."""
    if made.held.signs:
        opened.require("keys.verify")
        yield from _try(opened, made.held, deadline)


def _try(opened: OpenAccount, held: HeldKey, deadline: Deadline) -> Flow[None]:
    run = Performance(opened, "keys.verify", deadline, key=held)
    try:
        yield from perform(run, Begun(opened.able(VerifiesKeys).verify_key()))
    except PermissionDenied:
        # The provider knows the key and refuses the read: right for a key that may not read.
        if Permission.READ in held.key.permissions:
            raise


def _held(opened: OpenAccount, row: KeyRow, deadline: Deadline) -> Flow[HeldKey]:
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


def _keep(
    change: _Change, made: _Made, *, verified: bool, also: Callable[[Connection], None] = lambda connection: None
) -> Flow[ApiKey]:
    """The secret into the vault, then the key into the ring."""
    core, opened, key = change.core, change.account, made.key
    names = list(made.secrets)
    places = secret_names(KeyRow(0, tuple(names), key))
    now = core.now()
    key = key.model_copy(update={"verified_at": now if verified and made.held.signs else None})

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

    try:
        yield Block(lambda: core.vault().put_many({places[name]: made.secrets[name] for name in names}))
        row = yield from transact(work)
    except Conflict:
        yield from _erase(core, [KeyRow(0, tuple(names), key)])
        raise
    except Exception:
        raise
    except BaseException:  # an interrupt, which may come when the row is written too
        rows = yield from transact(lambda connection: store.listed(connection, key.account, now))
        if all(one.key.label != key.label for one in rows):
            yield from _erase(core, [KeyRow(0, tuple(names), key)])
        raise
    opened.know(row, made.held)
    yield from _reload(opened)
    return row.key


def _erase(core: Core, rows: list[KeyRow]) -> Flow[None]:
    """The secrets of these keys out of the vault. One that is not there any more is none to erase."""
    places = {place for row in rows for place in secret_names(row).values()}

    def work() -> None:
        vault = core.vault()
        there = places.intersection(vault.names())
        if there:
            vault.remove_many(there)

    yield Block(work)


def _forget(change: _Change, rows: list[KeyRow]) -> Flow[None]:
    def work(connection: Connection) -> None:
        for row in rows:
            store.remove(connection, row)
            change.note(connection, row.key, "deleted", state=row.key.state.value)

    yield from transact(work)
    yield from _erase(change.core, rows)
    yield from _reload(change.account)


def _ending(core: Core, opened: OpenAccount, key: ApiKey) -> Flow[KeyGuide]:
    """How the key is ended at the provider; without steps where none are known."""
    rules = opened.key_rules()
    try:
        return (
            yield from guide(
                core,
                opened.name,
                KeyAction.REVOKE,
                label=key.label,
                kind=key.kind,
                permissions=None,
                networks=None,
                pool=key.pool,
            )
        )
    except UnsupportedOperation:
        return KeyGuide(
            account=opened.name,
            provider=opened.provider.name,
            action=KeyAction.REVOKE,
            label=key.label,
            kind=key.kind,
            steps=(),
            source=rules.source,
            grade=rules.grade,
        )


def _in_flight(opened: OpenAccount, label: str) -> int:
    return sum(held.in_flight for held in opened.ring.keys if held.label == label)


def _require_idle(core: Core, opened: OpenAccount, key: ApiKey) -> None:
    """Raises Conflict while a call may still go out with the key."""
    if not opened.works_with_ring or key.state is KeyState.EXPIRED:
        return
    if key.state is not KeyState.RETIRING or key.retired_at is None:
        raise _wrong_state(
            key, "retire it first, so that no call fails; one that has leaked is revoked at once, with `force`"
        )
    under_way = _in_flight(opened, key.label)
    # Another process learns of it within `refresh`; a call that it has begun by then may take its account's time.
    last = key.retired_at + core.settings.keys.refresh + timedelta(seconds=opened.settings.timeout)
    left = (last - core.now()).total_seconds()
    if under_way or left > 0:
        what = f"{under_way} calls are under way with it" if under_way else "calls may still be under way with it"
        raise Conflict(
            f"the key {key.label} was retired at {key.retired_at:%H:%M:%S} UTC, and {what}; it is as it was",
            account=opened.name,
            retryable=True,
            hint=f"repeat it in {max(1, round(left))} s; one that has leaked is revoked at once, with `force`",
        )


def _require_in_force(row: KeyRow) -> None:
    if row.key.state not in (KeyState.ACTIVE, KeyState.RETIRING):
        raise _wrong_state(row.key, "`gateway keys list` shows the keys in force")


def _wrong_state(key: ApiKey, hint: str) -> Conflict:
    return Conflict(f"the key {key.label} is {key.state}; nothing was changed", account=key.account, hint=hint)


def _alone(opened: OpenAccount, deadline: Deadline, work: Callable[[], Flow[T]]) -> Flow[T]:
    """One change of a ring at a time, over all processes on the store."""
    lane = f"ring {opened.name}"
    yield Enter(lane, deadline.remaining(), shared=True)
    try:
        return (yield from work())
    finally:
        yield Leave(lane)


def _reload(opened: OpenAccount) -> Flow[None]:
    """This process goes by the change at once."""
    if opened.works_with_ring:
        yield from engine.refresh(opened, Deadline.after(opened.clock, opened.settings.timeout))
