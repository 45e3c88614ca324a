"""The keys of an account as they are, the provider's steps for them, and what was done with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from gateway.accounts import OpenAccount
from gateway.contracts.keys import GuideRequest, KeyRules, VerifiesKeys
from gateway.core import Core
from gateway.engine import keys as engine
from gateway.engine.effects import Block, Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import AuthenticationFailed, NotFound, UnsupportedOperation, VaultError
from gateway.flows.keys.rings import (
    attempt,
    begun,
    find,
    foreign,
    is_own,
    opened_key,
    require_in_force,
    row_of,
    wrong_state,
)
from gateway.flows.keys.terms import check_label, kind_of, networks_of, permissions_of
from gateway.models.keys import ApiKey, KeyAction, KeyAudit, KeyGuide, KeyState, Permission
from gateway.secrets import Secret
from gateway.store import audit as audit_log
from gateway.store import keys as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["audit", "ending", "get", "guide", "listed", "reveal", "verify"]


def listed(core: Core, account: str | None) -> Flow[list[ApiKey]]:
    """The keys of one account, or of all: those of the rings and those of the settings. Also of an account that the
    settings have no more: its secrets are still there.
    """
    rows = yield from transact(lambda connection: store.listed(connection, account, core.now()))
    if account is not None and not rows:
        core.account(account)
    opened = [one for one in core.accounts.values() if account in (None, one.name)]
    fixed = [one.unsigned.key for one in opened if not one.works_with_ring and one.unsigned.credentials is not None]
    return [*fixed, *(_as_held(core, row.key) for row in rows)]


def get(core: Core, account: str, label: str) -> Flow[ApiKey]:
    """Raises NotFound."""
    opened = core.accounts.get(account)
    if opened is not None and not opened.works_with_ring and label == opened.unsigned.label:
        return opened.unsigned.key
    row = yield from transact(lambda connection: row_of(core, account, connection, label))
    return _as_held(core, row.key)


def _as_held(core: Core, key: ApiKey) -> ApiKey:
    """The key, with when the token expires that this process has, where that is not noted in the store yet."""
    opened = core.accounts.get(key.account)
    if opened is None or key.state not in (KeyState.ACTIVE, KeyState.RETIRING):
        return key
    same = (held for held in opened.ring.keys if (held.label, held.key.added_at) == (key.label, key.added_at))
    held = next(same, None)
    token = held.login.expires_at if held is not None and held.login is not None else None
    shown = key.token_expires_at
    if token is None or token <= core.now() or (shown is not None and token <= shown):
        return key
    return key.model_copy(update={"token_expires_at": token})


def audit(core: Core, account: str | None, label: str | None, limit: int) -> Flow[list[KeyAudit]]:
    """What was done with keys, the latest first."""
    found = yield from transact(
        lambda connection: audit_log.listed(connection, account=account, label=label, limit=limit)
    )
    if account is not None and not found:
        core.account(account)
    return found


def guide(
    core: Core,
    account: str,
    action: KeyAction,
    *,
    label: str | None,
    kind: str | None,
    permissions: Iterable[Permission | str] | None,
    networks: Iterable[str] | Literal["any"] | None,
    pool: str,
) -> Flow[KeyGuide]:
    """The provider's own steps, filled in. Raises InvalidRequest for what its keys cannot have, UnsupportedOperation
    where no steps are known, and NotFound where a key is to be changed of which nothing is known or said.
    """
    opened = core.account(account)
    rules = opened.key_rules()
    known: ApiKey | None = None
    if label is not None and action is not KeyAction.CREATE:
        rows = yield from transact(lambda connection: store.listed(connection, account, core.now()))
        known = next((row.key for row in rows if row.key.label == label), None)
        if known is not None and not is_own(opened, known):
            raise foreign(opened, known)
    if action is KeyAction.EDIT and known is None:
        _require_said(opened, rules, label, permissions, networks)
    if kind is None and action is not KeyAction.CREATE:
        kind = known.kind if known is not None else rules.kinds[0].name  # it is the same for all
    chosen = kind_of(opened, kind)
    wanted = known.permissions if known is not None and permissions is None else permissions_of(opened, permissions)
    places = networks_of(opened, None if networks == "any" else networks)
    if known is not None and networks is None:
        places = known.networks
    if action is KeyAction.CREATE and label is not None:
        check_label(opened, label)
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
        in_ring=known is not None,
        kind=chosen.name,
        parts={part.name: part.title for part in chosen.parts} if action is KeyAction.CREATE else {},
        permissions=wanted if rules.permissions is not None else None,
        networks=places,
        proofs=tuple(rules.proofs.get(action, ())),
        steps=steps,
        source=rules.source,
        grade=rules.grade,
    )


def _require_said(
    opened: OpenAccount,
    rules: KeyRules,
    label: str | None,
    permissions: Iterable[Permission | str] | None,
    networks: Iterable[str] | Literal["any"] | None,
) -> None:
    """Raises NotFound where the steps would have to make up what a key is to be, and so widen what it may do."""
    missing = ["permissions"] if permissions is None and rules.permissions is not None else []
    missing += ["addresses"] if networks is None and rules.restricts_addresses else []
    if not missing:
        return
    key = f"the ring of {opened.name} has no key {label!r}" if label is not None else "no key was named"
    raise NotFound(
        f"{key}: which {' and '.join(missing)} it is to have is not known",
        account=opened.name,
        hint=f"`gateway keys list --account {opened.name}` shows the labels; of a key that is not in the ring, say all",
    )


def ending(core: Core, opened: OpenAccount, key: ApiKey) -> Flow[KeyGuide]:
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
            in_ring=True,
            kind=key.kind,
            steps=(),
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
    row = yield from transact(lambda connection: find(core, opened, connection, label))
    require_in_force(row)
    held = yield from opened_key(opened, row, deadline)
    change = yield from begun(core, actor)
    try:
        yield from change.told(row.key, "verify", attempt(opened, held, deadline))
    except AuthenticationFailed:
        yield from engine.set_aside(opened, held)
        raise
    opened.accept_key(held)

    def keep(connection: Connection) -> None:
        store.works(connection, row.key, core.now())
        change.note(connection, row.key, "verified")

    yield from transact(keep)


def reveal(core: Core, account: str, label: str, *, actor: str, reason: str | None) -> Flow[dict[str, Secret]]:
    """The parts of a key, read back. It is in the audit before anybody sees them."""
    opened = core.account(account)
    row = yield from transact(lambda connection: find(core, opened, connection, label))
    if row.key.state is KeyState.REVOKED:
        raise wrong_state(row.key, "its secret was erased when it was revoked")
    change = yield from begun(core, actor, reason)

    def work() -> Flow[dict[str, Secret]]:
        opened_parts = yield Block(lambda: opened.open_secrets([row]))
        if not opened_parts:
            raise VaultError(f"the vault has no secret of the key {label}", account=account)
        detail = {"why": change.written(reason)} if reason else {}
        yield from transact(lambda connection: change.note(connection, row.key, "revealed", **detail))
        found: dict[str, Secret] = next(iter(opened_parts.values()))
        return found

    found = yield from change.told(row.key, "reveal", work())
    part = opened.kind(row.key.kind).public_part
    if part is not None and row.key.public_id is not None:
        found = {part.name: Secret(row.key.public_id), **found}
    return found
