"""What `gateway doctor` looks at in the accounts' rings of keys: whatever works today and will not, or need not be so.

Only the store, the vault and the provider's own rules are asked; nothing is sent.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.accounts import OpenAccount, secret_names
from gateway.cli.checks import Finding, Level
from gateway.config import KeySettings
from gateway.contracts.keys import KeyKind, KeyRules
from gateway.errors import GatewayError
from gateway.key_commands import permission_options
from gateway.models.keys import ApiKey, KeyState, Permission, network_of
from gateway.references import References
from gateway.store.keys import KeyRow

__all__ = ["LONG_RETIRED", "Kept", "kept", "ring_checked", "without_account"]

LONG_RETIRED = timedelta(days=7)
"""How long a retired key may still be valid at its provider before it is told: work in flight has ended long before."""

_IN_FORCE = (KeyState.ACTIVE, KeyState.RETIRING)


@dataclass(frozen=True, slots=True)
class Kept:
    """The keys that the store has, of all accounts, and the names of the secrets in the vault; None where they cannot
    be had, which another check tells.
    """

    rows: Sequence[KeyRow] | None
    secrets: Collection[tuple[str, str]] | None
    has_vault: bool


def kept(store: str, found: References, *, has_vault: bool, now: datetime) -> Kept:
    """Read both. A store or vault that is not there yet is not made."""
    secrets: Collection[tuple[str, str]] | None = None
    if has_vault:
        with suppress(GatewayError):
            secrets = frozenset(found.vault().names())
    return Kept(_rows(store, now), secrets, has_vault)


def _rows(store: str, now: datetime) -> list[KeyRow] | None:
    from gateway.store import keys
    from gateway.store.database import Database

    if store.startswith("sqlite:"):
        path = store.removeprefix("sqlite:").removeprefix("///")
        if path in ("", "//", ":memory:") or not Path(path).exists():
            return []
    try:
        with Database.open(store, create=False) as database:
            return database.read(lambda connection: keys.listed(connection, None, now))
    except GatewayError:
        return None


def ring_checked(account: OpenAccount, kept: Kept, settings: KeySettings, now: datetime) -> Iterator[Finding]:
    """All that can be said of the account's ring; nothing where it has none."""
    rows = [row for row in kept.rows or () if row.key.account == account.name]
    own = [row for row in rows if _is_own(account, row.key)]
    found = [*_strangers(account, rows), *_not_erased(rows, kept)]
    if kept.rows is not None and account.provider.keys is not None:
        if account.works_with_ring:
            found += _Ring(account, account.provider.keys, own, kept, settings, now).findings()
        else:
            found += _unused(account, own)
        if account.works_with_ring and not found:
            active = sum(row.key.state is KeyState.ACTIVE for row in own)
            found = [Finding("keys", Level.OK, f"active keys in the ring: {active}", account=account.name)]
    yield from found


def without_account(kept: Kept, accounts: Collection[str]) -> Iterator[Finding]:
    """Keys of accounts that the settings have no more: nobody uses them, and their secrets are still there."""
    gone = sorted({row.key.account for row in kept.rows or ()} - set(accounts))
    for name in gone:
        rows = [row for row in kept.rows or () if row.key.account == name]
        left = [row.key.label for row in rows if row.key.state is not KeyState.REVOKED]
        if left:
            yield Finding(
                "keys",
                Level.WARNING,
                f"the settings have no account of this name, and the store has keys of it: {', '.join(left)}",
                f"end them at the provider, then `gateway keys delete-all --account {name}`; or configure it again",
                name,
            )
        yield from _not_erased(rows, kept)


def _is_own(account: OpenAccount, key: ApiKey) -> bool:
    return key.environment is account.environment and key.provider == account.provider.name


def _strangers(account: OpenAccount, rows: Sequence[KeyRow]) -> Iterator[Finding]:
    """Keys from before the account was of another environment or provider."""
    for key in (row.key for row in rows if not _is_own(account, row.key) and row.key.state is not KeyState.REVOKED):
        named = f"{key.label} --account {account.name}"
        retire = "" if key.state is KeyState.EXPIRED else f"`gateway keys retire {named}` and "
        yield Finding(
            "keys",
            Level.WARNING,
            f"{key.label} is of {key.provider}, {key.environment}, and never used: "
            f"the account is of {account.provider.name}, {account.environment}",
            f"give that environment an account of its own; or end it at the provider, then {retire}"
            f"`gateway keys revoke {named} --ended`",
            account.name,
        )


def _not_erased(rows: Sequence[KeyRow], kept: Kept) -> Iterator[Finding]:
    """Revoked keys whose secrets the vault still has: erasing them failed, or the vault was put back."""
    for row in rows:
        if row.key.state is KeyState.REVOKED and any(
            place in (kept.secrets or ()) for place in secret_names(row).values()
        ):
            label, account = row.key.label, row.key.account
            yield Finding(
                "keys",
                Level.WARNING,
                f"{label} is revoked, and its secret is still in the vault",
                f"`gateway keys revoke {label} --account {account} --ended` erases it",
                account,
            )


def _unused(account: OpenAccount, rows: Sequence[KeyRow]) -> Iterator[Finding]:
    """Keys that somebody put into the ring of an account which works with another."""
    labels = [row.key.label for row in rows if row.key.state in _IN_FORCE]
    if labels:
        yield Finding(
            "keys",
            Level.WARNING,
            f"keys in the ring are never used, because the settings name another: {', '.join(labels)}",
            f'auth = {{ kind = "ring" }} in accounts.{account.name}, or end them: `gateway keys revoke`',
            account.name,
        )


class _Ring:
    def __init__(
        self,
        account: OpenAccount,
        rules: KeyRules,
        rows: Sequence[KeyRow],
        kept: Kept,
        settings: KeySettings,
        now: datetime,
    ) -> None:
        self.account = account
        self.rules = rules
        self.kept = kept
        self.settings = settings
        self.now = now
        self.name = account.name
        self.rows = rows
        self.egress = account.ring.egress
        # As the ring's own, which is of the keys that are read when the account is used.
        self.pools = sorted({key.pool for key in self._signing(*_IN_FORCE)})
        self.pool = account.settings.key_pool or (self.pools[0] if len(self.pools) == 1 else None)

    def findings(self) -> Iterator[Finding]:
        yield from self._empty()
        yield from self._several_pools()
        yield from self._without_secret()
        for key in self._in_state(KeyState.EXPIRED):
            yield self._told(
                f"{key.label} expired on {_day(key.expires_at)} and is not used",
                f"`gateway keys edit {key.label} --account {self.name} --expires TIME` where that is wrong; else "
                f"{self._guide('create')}, and once it is ended at the provider, `gateway keys delete`",
            )
        for key in self._in_state(KeyState.RETIRING):
            if key.retired_at is not None and self.now - key.retired_at >= LONG_RETIRED:
                yield self._told(
                    f"{key.label} was retired on {_day(key.retired_at)} and never revoked: whoever has it can use it",
                    f"{self._guide('revoke', key)}, then `gateway keys revoke`",
                )
        yield from self._only_key()
        for key in self._in_state(KeyState.ACTIVE):
            yield from self._of_active(key)
        yield from self._egress_unset()

    def _empty(self) -> Iterator[Finding]:
        if self._signing():
            return
        others = ", ".join(f"{row.key.label} ({row.key.state})" for row in self.rows)
        yield Finding(
            "keys",
            Level.PROBLEM,
            "the ring has no active key" + (f": {others}" if others else ""),
            self._create(),
            self.name,
        )

    def _without_secret(self) -> Iterator[Finding]:
        in_force = [row for row in self.rows if row.key.state in _IN_FORCE]
        if in_force and not self.kept.has_vault:
            yield Finding(
                "keys", Level.PROBLEM, "the ring's secrets are in a vault, and none is configured", "[vault]", self.name
            )
        for row in in_force if self.kept.secrets is not None else ():
            missing = [name for name in secret_names(row).values() if name not in (self.kept.secrets or ())]
            if missing:
                yield Finding(
                    "keys",
                    Level.PROBLEM,
                    f"{row.key.label} cannot be used: the vault has no " + ", ".join(map("/".join, missing)),
                    "bring back the vault that belongs to this store, or end the key at the provider and make another",
                    self.name,
                )

    def _several_pools(self) -> Iterator[Finding]:
        if self.pool is None and len(self.pools) > 1:
            yield Finding(
                "keys",
                Level.PROBLEM,
                f"no key is used: the settings do not say which of the pools works: {', '.join(self.pools)}",
                f'key_pool = "{self.pools[0]}" in accounts.{self.name}, or another of them',
                self.name,
            )

    def _only_key(self) -> Iterator[Finding]:
        known = self.rules.permissions
        if known is None or Permission.WITHDRAW not in known or len(known) == 1:
            return
        used = [key for key in self._signing() if key.pool == self.pool]
        if not used or not all(Permission.WITHDRAW in key.permissions for key in used):
            return
        labels = ", ".join(key.label for key in used)
        only = f"the only key, {labels}, may" if len(used) == 1 else f"all keys may ({labels})"
        yield self._told(
            f"{only} withdraw: whatever the account does goes out with a key that can move money",
            self._create("read", "trade"),
        )

    def _of_active(self, key: ApiKey) -> Iterator[Finding]:
        kind = self._kind(key)
        signs = kind is not None and not kind.for_callbacks
        if _is_open(key) and self.rules.restricts_addresses and signs:
            # A provider that knows addresses also says how they are changed.
            yield self._told(
                f"{key.label} works from every address",
                f"{self._guide('edit', key)}; record it with `gateway keys edit`",
            )
        yield from self._own_age(key, renews=kind is not None and kind.issues)
        wrong = self.rules.label(key.label)
        if wrong is not None:
            yield self._told(
                f"the label {key.label} is none for {self.account.provider.title}: {wrong}",
                f"`gateway keys rotate` to a key with a label by its rule: {self.rules.label_rule}",
            )
        if key.refused_at is not None:
            yield self._told(
                f"{key.label} was refused by the provider on {_day(key.refused_at)} and is set aside",
                f"`gateway keys verify --account {self.name} --label {key.label}`; if it is refused, replace it",
            )
        if signs and self.pool is not None and key.pool != self.pool:
            yield self._told(
                f"{key.label} is of the pool {key.pool} and never used: the account works with the pool {self.pool}",
                f'key_pool = "{key.pool}" in accounts.{self.name} to use that pool instead, or give it an account',
            )
        elif signs and key.networks is not None and not self._admits(key):
            yield self._told(
                f"{key.label} admits {', '.join(key.networks)} only, and is never used from "
                + ", ".join(map(str, self.egress)),
                f"{self._guide('edit', key)}, or correct accounts.{self.name}.egress",
            )

    def _own_age(self, key: ApiKey, *, renews: bool) -> Iterator[Finding]:
        soon = key.expires_at is not None and key.expires_at - self.now <= self.settings.expiring
        made = key.created_at or key.added_at
        old = made is not None and self.now - made >= self.settings.oldest
        replace = f"{self._guide('create')}; then `gateway keys rotate`"
        if soon and not renews:
            yield self._told(f"{key.label} expires on {_minute(key.expires_at)}", replace)
        if old:
            what = "was made" if key.created_at is not None else "was added"
            yield self._told(f"{key.label} {what} on {_day(made)}: that is long ago", replace)

    def _egress_unset(self) -> Iterator[Finding]:
        if self.egress or not self.rules.restricts_addresses:
            return
        confined = [key.label for key in self._in_state(KeyState.ACTIVE) if not _is_open(key)]
        only = f", and keys admit some only: {', '.join(confined)}" if confined else ""
        yield self._told(
            f"which addresses requests leave from is not known{only}",
            f'egress = ["..."] in accounts.{self.name}, or above all tables: the addresses that providers see',
        )

    # Which keys

    def _in_state(self, state: KeyState) -> list[ApiKey]:
        return [row.key for row in self.rows if row.key.state is state]

    def _kind(self, key: ApiKey) -> KeyKind | None:
        return self.rules.kind(key.kind)

    def _signing(self, *states: KeyState) -> list[ApiKey]:
        """The keys that sign requests, in these states; the active ones."""
        kinds = ((row.key, self._kind(row.key)) for row in self.rows if row.key.state in (states or [KeyState.ACTIVE]))
        return [key for key, kind in kinds if kind is not None and not kind.for_callbacks]

    def _admits(self, key: ApiKey) -> bool:
        networks = [network_of(network) for network in key.networks or ()]
        return all(any(address in network for network in networks) for address in self.egress)

    # Words

    def _told(self, what: str, todo: str) -> Finding:
        return Finding("keys", Level.WARNING, what, todo, self.name)

    def _create(self, *permissions: str) -> str:
        return f"`{' '.join(['gateway keys create --account', self.name, *permission_options(permissions)])}`"

    def _guide(self, action: str, key: ApiKey | None = None) -> str:
        label = f" --label {key.label}" if key is not None else ""
        return f"`gateway keys guide {action} --account {self.name}{label}`"


def _is_open(key: ApiKey) -> bool:
    """Whether every IPv4 or every IPv6 address is admitted, in whatever pieces."""
    if key.networks is None:
        return True
    found = [network_of(network) for network in key.networks]
    old = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv4Network))
    new = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv6Network))
    return any(one.prefixlen == 0 for one in old) or any(one.prefixlen == 0 for one in new)


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}" if moment is not None else "an unknown day"


def _minute(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment is not None else "an unknown day"
