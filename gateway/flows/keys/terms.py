"""What a key of a provider can be: everything about a new one that is checked before anything is sent or kept."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.accounts import OpenAccount, secret_names
from gateway.contracts.keys import KeyKind
from gateway.errors import InvalidRequest, UnsupportedOperation
from gateway.models.keys import ApiKey, KeyOrigin, KeyState, NewKey, Permission
from gateway.ring import HeldKey
from gateway.secrets import Secret
from gateway.store.keys import KeyRow

__all__ = [
    "Made",
    "check_label",
    "issuing",
    "kind_of",
    "like",
    "made_of",
    "networks_of",
    "one_pool",
    "permissions_of",
    "same_key",
    "signs",
    "stands_in",
    "terms",
]


@dataclass(frozen=True, slots=True)
class Made:
    """A key that is not kept yet."""

    account: OpenAccount
    held: HeldKey
    key: ApiKey
    secrets: dict[str, Secret]

    def places(self) -> dict[str, tuple[str, str]]:
        """Where the vault is to keep its parts."""
        return secret_names(KeyRow(0, tuple(self.secrets), self.key))


def made_of(opened: OpenAccount, new: NewKey, origin: KeyOrigin) -> Made:
    """Everything about the key that can be checked here. Raises InvalidRequest."""
    kind, key = terms(opened, new, origin)
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
    if public is not None:
        key = key.model_copy(update={"public_id": new.parts[public.name].reveal()})
    return Made(opened, opened.make_key(key, secrets), key, secrets)


def terms(opened: OpenAccount, new: NewKey, origin: KeyOrigin = KeyOrigin.IMPORTED) -> tuple[KeyKind, ApiKey]:
    """What the key is to be, its parts aside. Raises InvalidRequest."""
    kind = kind_of(opened, new.kind)
    check_label(opened, new.label)
    permissions = permissions_of(opened, new.permissions)
    networks = networks_of(opened, new.networks)
    if new.expires_at is not None and new.expires_at <= opened.clock.now():
        raise InvalidRequest(f"the key expired at {new.expires_at.isoformat()}", account=opened.name)
    key = ApiKey(
        account=opened.name,
        provider=opened.provider.name,
        environment=opened.environment,
        label=new.label,
        kind=kind.name,
        permissions=permissions,
        networks=networks,
        pool=new.pool,
        origin=origin,
        created_at=new.created_at,
        expires_at=new.expires_at,
    )
    return kind, key


def kind_of(opened: OpenAccount, name: str | None) -> KeyKind:
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


def issuing(opened: OpenAccount, parts: Mapping[str, Any] | None) -> Any:
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


def check_label(opened: OpenAccount, label: str) -> None:
    """The provider's own rule for labels."""
    rules = opened.key_rules()
    wrong = rules.label(label)
    if wrong is not None:
        raise InvalidRequest(
            f"{opened.provider.title} takes no label {label!r}: {wrong}",
            account=opened.name,
            hint=f"its rule: {rules.label_rule}",
        )


def permissions_of(opened: OpenAccount, wanted: Iterable[Permission | str] | None) -> frozenset[Permission]:
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


def networks_of(opened: OpenAccount, wanted: Iterable[str] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return None
    if not opened.key_rules().restricts_addresses:
        raise InvalidRequest(f"a key of {opened.provider.title} cannot be restricted to addresses", account=opened.name)
    checked = NewKey(label="checked", parts={}, networks=tuple(wanted))
    return checked.networks


def like(new: NewKey, old: ApiKey) -> NewKey:
    """What the new key does not say is as it was with the old one."""
    given = new.model_fields_set
    same = {"kind": old.kind, "permissions": old.permissions, "networks": old.networks, "pool": old.pool}
    return new.model_copy(update={name: value for name, value in same.items() if name not in given})


def one_pool(opened: OpenAccount, rows: Iterable[KeyRow], pool: str) -> None:
    """Raises InvalidRequest when the key would be of another pool than the rest and the settings do not say which pool
    works: which price a call has would then be chance.
    """
    if opened.settings.key_pool is not None:
        return
    others = sorted({row.key.pool for row in rows if signs(opened, row.key)} - {pool})
    if others:
        differ_by = opened.key_rules().differ_by
        raise InvalidRequest(
            f"the ring has keys of the pool {', '.join(others)}, this one would be of {pool}"
            f"{f' (pools differ by {differ_by})' if differ_by else ''}; nothing was changed",
            account=opened.name,
            hint=f'say which pool works: accounts.{opened.name}.key_pool = "{others[0]}"',
        )


def signs(opened: OpenAccount, key: ApiKey) -> bool:
    """Whether requests go out with the key. One of a kind that this version does not know is not used."""
    kind = opened.key_rules().kind(key.kind)
    return kind is not None and not kind.for_callbacks and key.state is not KeyState.REVOKED


def same_key(
    opened: OpenAccount,
    key: ApiKey,
    secrets: Mapping[str, Secret],
    rows: Iterable[KeyRow],
    *,
    users: Collection[KeyState] = (KeyState.ACTIVE, KeyState.RETIRING),
    replaces: str | None = None,
) -> str | None:
    """The label under which the same key is in force already. Raises VaultError.

    A login is known by its user, because its password may have changed: another of the same user counts as the same in
    the states `users`, unless it is the one that this one `replaces`.
    """
    kind = opened.key_rules().kind(key.kind)
    for row in rows:
        other = row.key
        if other.label == key.label or (other.kind, other.public_id) != (key.kind, key.public_id):
            continue
        if other.state not in (KeyState.ACTIVE, KeyState.RETIRING):
            continue
        if kind is not None and kind.issues and other.state in users and other.label != replaces:
            return other.label
        if next(iter(opened.open_secrets([row]).values()), None) == secrets:
            return other.label
    return None


def stands_in(opened: OpenAccount, rows: Iterable[KeyRow], new: ApiKey, old: ApiKey) -> None:
    """Raises InvalidRequest when something that a key can do now could be done by none once the new one has taken the
    old one's place.
    """
    keys = [row.key for row in rows if row.key.state is KeyState.ACTIVE and signs(opened, row.key)]
    before = opened.ring.like(keys)
    others = [key for key in keys if key.label != old.label]
    after = opened.ring.like([*others, new] if signs(opened, new) else others)
    # Calls of one's own may need several permissions of one key (`account().request`), all of them unless they say so.
    sets = [frozenset(some) for size in (1, 2, 3) for some in itertools.combinations(Permission, size)]
    lost = [some for some in sets if before.can(some) and not after.can(some)]
    if not lost:
        return
    single = [one for some in lost if len(some) == 1 for one in some]
    together = " and ".join(one for one in Permission if one in lost[-1])
    raise InvalidRequest(
        f"with {new.label} in the place of {old.label}, no key could "
        f"{' or '.join(single) if single else f'{together}, all with one key,'} any more; nothing was changed",
        account=opened.name,
        hint="give the new key what the old one has (permissions, addresses, pool); where less is meant, "
        "`gateway keys add` it and `gateway keys retire` the other",
    )
