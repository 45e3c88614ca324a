"""An account's keys, ready to sign, and the choice among them: the least powerful key that can do the job.

For every operation: of the active keys those of the account's pool that have the permission and admit the gateway's
addresses; of these the ones with the fewest permissions, of as many the less dangerous; of these the one with the most
rate headroom. A key that the provider has refused is used only where no other is left.
"""

from __future__ import annotations

import ipaddress
import os
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.contracts.adapter import Auth, LoginAuth, NoAuth
from gateway.engine.logins import Logins
from gateway.engine.rates import Headrooms, RateWindow
from gateway.errors import Outcome, PermissionDenied
from gateway.key_commands import permission_options
from gateway.models.keys import ApiKey, KeyState, Permission, network_of

__all__ = ["Address", "HeldKey", "Ring"]

_VALID = (KeyState.ACTIVE, KeyState.RETIRING)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class HeldKey:
    """One key, ready to sign. `key` is what may be shown of it; `credentials` are what its auth was made from. One that
    does not sign only proves what the provider sends.
    """

    def __init__(
        self,
        key: ApiKey,
        auth: Auth,
        window: RateWindow,
        credentials: Any = None,
        *,
        signs: bool = True,
    ) -> None:
        self.key = key
        self.auth = auth
        self.window = window
        self.credentials = credentials
        self.signs = signs
        self.login: LoginAuth | None = auth if isinstance(auth, LoginAuth) else None
        self.logins = Logins()
        self.in_flight = 0
        self._lock = threading.Lock()
        _held.add(self)

    def after_fork(self) -> None:
        """In the child: whatever the parent's threads were at is not done here."""
        self._lock = threading.Lock()
        self.logins.after_fork()

    @property
    def label(self) -> str:
        return self.key.label

    @contextmanager
    def used(self) -> Iterator[None]:
        """Count a call that is under way with it."""
        with self._lock:
            self.in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self.in_flight -= 1

    def standing_in(self, other: HeldKey) -> AbstractContextManager[None]:
        """Count a call of this key that goes out with the other one."""
        return nullcontext() if other is self else other.used()

    def __repr__(self) -> str:
        return f"HeldKey({self.key.account}/{self.key.label})"


_held: weakref.WeakSet[HeldKey] = weakref.WeakSet()


def _after_fork() -> None:
    for held in list(_held):
        held.after_fork()


# Where there is no fork, there is nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)


class _Group:
    """Keys that may stand in for each other in one kind of work."""

    def __init__(self, keys: tuple[HeldKey, ...], now: float) -> None:
        self.keys = keys
        several = len(keys) > 1 and all(held.window.limit is not None for held in keys)
        self._headrooms = Headrooms([held.window for held in keys], now) if several else None

    def best(self, now: float) -> HeldKey:
        return self.keys[self._headrooms.most(now) if self._headrooms is not None else 0]

    def ordered(self, now: float) -> list[HeldKey]:
        if self._headrooms is None:
            return list(self.keys)
        return [self.keys[place] for place in self._headrooms.ordered(now)]


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """The keys at one time, those added first in front, and the groups that were asked for so far."""

    keys: tuple[HeldKey, ...] = ()
    groups: dict[frozenset[Permission], _Group] = field(default_factory=dict)


class Ring:
    """The keys of one account: those of its ring in the store, or the one of its settings."""

    def __init__(self, account: str, *, egress: Iterable[Address] = (), pool: str | None = None) -> None:
        self.account = account
        self.egress = tuple(map(_plain, egress))
        self._pool = pool
        self._snapshot = _Snapshot()
        self._lock = threading.Lock()

    @property
    def keys(self) -> tuple[HeldKey, ...]:
        return self._snapshot.keys

    @property
    def pool(self) -> str | None:
        """The pool whose keys are used: that of the settings, else the only one that there is. None where there is no
        key, or keys of several pools: which of them works would then be chance, and with it what a call costs.
        """
        if self._pool is not None:
            return self._pool
        pools = self._pools()
        return pools[0] if len(pools) == 1 else None

    def _pools(self) -> list[str]:
        return sorted({held.key.pool for held in self.keys if held.signs and held.key.state in _VALID})

    def take(self, keys: Iterable[tuple[HeldKey, ApiKey]]) -> None:
        """These are the keys from now on, those added first in front, as they may be shown now. Work under way keeps
        the key that it has.
        """
        found = tuple(keys)
        with self._lock:
            same = tuple(held for held, _ in found) == self._snapshot.keys
            if same and all(held.key == key for held, key in found):
                return
            for held, key in found:
                held.key = key
            self._snapshot = _Snapshot(tuple(held for held, _ in found))

    def show(self, held: HeldKey, **changes: Any) -> None:
        """One of the keys is shown differently now: choose anew."""
        with self._lock:
            held.key = held.key.model_copy(update=changes)
            self._snapshot = _Snapshot(self._snapshot.keys)

    def choose(self, permissions: frozenset[Permission], now: float, *, without: Collection[HeldKey] = ()) -> HeldKey:
        """The key for this work. `now` is of the monotonic clock. Raises PermissionDenied; nothing was sent."""
        group = self._group(permissions, now)
        if not without:
            return group.best(now)
        for held in group.ordered(now):
            if held not in without:
                return held
        others = [held for held in self._suitable(permissions) if held not in without]
        if others:
            return _Group(_least(others), now).best(now)
        raise self._denied(permissions)

    def others(self, permissions: frozenset[Permission], held: HeldKey, now: float) -> list[HeldKey]:
        """The keys that can stand in for this one, those with the most headroom first."""
        keys = self._group(permissions, now).ordered(now)
        return [other for other in keys if other is not held] if held in keys else []

    def _group(self, permissions: frozenset[Permission], now: float) -> _Group:
        snapshot = self._snapshot
        group = snapshot.groups.get(permissions)
        if group is None:
            suitable = self._suitable(permissions)
            if not suitable:
                raise self._denied(permissions)
            group = snapshot.groups[permissions] = _Group(_least(suitable), now)
        return group

    def _suitable(self, permissions: frozenset[Permission]) -> list[HeldKey]:
        able = [held for held in self.in_use() if permissions <= held.key.permissions and self.admits(held.key)]
        # One that was refused may work again; it is tried before the work is given up.
        return [held for held in able if held.key.refused_at is None] or able

    def can(self, permissions: frozenset[Permission]) -> bool:
        """Whether one of the keys may do all of this."""
        return bool(self._suitable(permissions))

    def like(self, keys: Iterable[ApiKey]) -> Ring:
        """What the ring would be with these keys: to look at, not to sign with."""
        made = Ring(self.account, egress=self.egress, pool=self._pool)
        made.take((HeldKey(key, NoAuth(), RateWindow(None)), key) for key in keys)
        return made

    def in_use(self) -> list[HeldKey]:
        """The keys that new work can go out with."""
        pool = self.pool
        return [held for held in self._active() if held.key.pool == pool]

    def _active(self) -> list[HeldKey]:
        return [held for held in self.keys if held.signs and held.key.state is KeyState.ACTIVE]

    def admits(self, key: ApiKey) -> bool:
        """Whether every address that the gateway may come from is admitted. Where none is configured nothing can be
        said; the provider itself decides.
        """
        return all(_within(address, key) for address in self.egress)

    def _denied(self, permissions: frozenset[Permission]) -> PermissionDenied:
        usable, pools = self.in_use(), self._pools()
        needed = " and ".join(sorted(permissions))
        if not self.keys:
            return PermissionDenied(
                f"the ring of {self.account} has no key that is valid; nothing was sent",
                account=self.account,
                outcome=Outcome.NOT_SENT,
                hint=f"`gateway keys create --account {self.account}`",
            )
        if self._pool is None and len(pools) > 1:
            return PermissionDenied(
                f"the settings do not say which of the pools {', '.join(pools)} of the ring of {self.account} works; "
                "nothing was sent",
                account=self.account,
                outcome=Outcome.NOT_SENT,
                hint=f'accounts.{self.account}.key_pool = "{pools[0]}"',
            )
        able = [held for held in usable if permissions <= held.key.permissions]
        if able:
            confined = "; ".join(f"{held.label} to {', '.join(held.key.networks or ())}" for held in able[:5])
            outside = ", ".join(str(each) for each in self.egress if not all(_within(each, held.key) for held in able))
            return PermissionDenied(
                f"no key of {self.account} with the permission {needed} admits the address {outside} ({confined}); "
                "nothing was sent",
                account=self.account,
                outcome=Outcome.NOT_SENT,
                hint=f"admit it at the provider (`gateway keys edit`), or correct accounts.{self.account}.egress",
            )
        there = "; ".join(f"{held.label}: {', '.join(sorted(held.key.permissions))}" for held in usable[:5])
        others = any(held.key.pool != self.pool for held in self._active())
        missing = f"of the pool {self.pool} " if others else ""
        return PermissionDenied(
            f"no active key {missing}of {self.account} has the permission {needed}"
            f"{f' ({there})' if there else ''}; nothing was sent",
            account=self.account,
            outcome=Outcome.NOT_SENT,
            hint=f"`gateway keys create --account {self.account} {' '.join(permission_options(permissions))}`",
        )


def _power(held: HeldKey) -> tuple[int, bool, bool]:
    """How much a key may do: how many things, and of as many the less dangerous ones."""
    permissions = held.key.permissions
    return len(permissions), Permission.WITHDRAW in permissions, Permission.TRADE in permissions


def _least(keys: Collection[HeldKey]) -> tuple[HeldKey, ...]:
    """Those of these keys that may do least."""
    least = min(map(_power, keys))
    return tuple(held for held in keys if _power(held) == least)


def _plain(address: Address) -> Address:
    """An IPv4 address also where it is written as IPv6 (RFC 4291, 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _within(address: Address, key: ApiKey) -> bool:
    """Whether the key may be used from this address."""
    return key.networks is None or any(address in network_of(network) for network in key.networks)
