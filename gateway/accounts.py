"""An open account: its settings, its adapter, its keys, and what the engine keeps for them."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from pydantic import BaseModel, ValidationError

from gateway.capabilities import Capabilities, Capability
from gateway.contracts.adapter import Account, Adapter, Auth, NoAuth, Provider, RateLimit
from gateway.contracts.callbacks import ReadsCallbacks
from gateway.contracts.keys import KeyKind, KeyRules
from gateway.contracts.settings import AccountSettings, RingAuth
from gateway.engine.clock import Clock, SystemClock
from gateway.engine.rates import RateWindow
from gateway.errors import (
    ConfigurationError,
    GatewayError,
    InvalidRequest,
    PluginError,
    UnsupportedOperation,
    VaultError,
)
from gateway.models.base import Environment
from gateway.models.keys import ApiKey, KeyOrigin, KeyState, Permission
from gateway.models.orders import Settlement
from gateway.observation import Record
from gateway.ring import Address, HeldKey, Ring
from gateway.secrets import Redactor, Secret

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.keyring.vault import Vault
    from gateway.store.keys import KeyRow

__all__ = ["OpenAccount", "secret_names", "secrets_in"]

C = TypeVar("C")

Identity: TypeAlias = tuple[int, datetime | None]
"""Which row of the store a key is. A database may give a number again, so the time belongs to it."""

log = logging.getLogger("gateway")


def secrets_in(value: Any) -> Iterator[Secret]:
    """Every Secret in a settings model, however deep."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item)


class OpenAccount:
    """One account, ready to be used. Safe for threads."""

    def __init__(
        self,
        name: str,
        provider: Provider,
        settings: AccountSettings,
        *,
        clock: Clock,
        observe: Callable[[Record], None],
        window: Callable[[str], RateWindow] | None = None,
        egress: Iterable[Address] = (),
        vault: Callable[[], Vault] | None = None,
        refresh: float = 5,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.provider = provider
        self.settings = settings
        self.clock = clock
        self.observe = observe
        self._uniform = uniform
        self._window = window or (lambda key_id: RateWindow(provider.rate_limit))
        self._vault = vault
        self._refresh, self._read_again = refresh, float("-inf")
        self.redactor = Redactor(secrets_in(settings))
        credentials = getattr(settings, "auth", None)
        self.works_with_ring = isinstance(credentials, RingAuth)
        if self.works_with_ring and provider.keys is None:
            raise ConfigurationError(
                f"accounts.{name}.auth: {provider.name} has no key rings", hint="give the account a key of its own"
            )
        self.ring = Ring(name, egress=settings.egress or egress, pool=settings.key_pool)
        self.adapter: Adapter[Any] = provider.adapter(
            Account(name, settings.environment, settings, clock.now, self._ring_credentials)
        )
        # Runtime checks of a Protocol are slow, and these are asked for at every request.
        self._fulfilled: set[type] = set()
        self._held: dict[Identity, HeldKey] = {}
        self._taking, self._asked, self._taken = threading.Lock(), 0, 0
        if self.works_with_ring:
            self.unsigned = HeldKey(self._configured("none"), NoAuth(), RateWindow(None))
        else:
            auth = self.adapter.auth
            kind = getattr(credentials, "kind", "none")
            self.unsigned = HeldKey(self._configured(kind), auth, self._window(auth.key_id), credentials)
            self.ring.take([(self.unsigned, self.unsigned.key)])
        self.capabilities: Capabilities = self.adapter.capabilities() or provider.capabilities
        self.learn_secrets()

    def _configured(self, kind: str) -> ApiKey:
        """The key that stands in the settings; what a key may do is known of those in a ring only."""
        return ApiKey(
            account=self.name,
            provider=self.provider.name,
            environment=self.settings.environment,
            label="configured",
            kind=kind,
            permissions=frozenset(Permission),
            pool=self.settings.key_pool or "default",
            origin=KeyOrigin.CONFIGURED,
        )

    @property
    def environment(self) -> Environment:
        return self.settings.environment

    @property
    def settles_to(self) -> Settlement:
        """Whose money an order at this account becomes."""
        return self.provider.settles_to

    def require(self, operation: str, variant: str = "") -> Capability:
        """The capability's row. Raises UnsupportedOperation or UnverifiedOperation; nothing is sent."""
        try:
            return self.capabilities.require(
                operation, variant, allowed=self.settings.allow_inferred, provider=self.provider.name
            )
        except GatewayError as error:
            raise error.about(account=self.name) from None

    def able(self, contract: type[C]) -> C:
        """The adapter as one of the contracts, for typed calls. Raises PluginError when it lacks what its table
        declares.
        """
        if contract in self._fulfilled:
            return cast(C, self.adapter)
        if not isinstance(self.adapter, contract):
            raise PluginError(
                f"the adapter of {self.provider.name} declares this operation but is no {contract.__name__}",
                account=self.name,
                provider=self.provider.name,
                hint="tell the author of the provider's package",
            )
        self._fulfilled.add(contract)
        return self.adapter

    @cached_property
    def receives_callbacks(self) -> bool:
        """Whether the provider can call back for this account, and its adapter reads what comes."""
        try:
            self.require("callbacks.receive")
        except GatewayError:
            return False
        return isinstance(self.adapter, ReadsCallbacks)

    def learn_secrets(self) -> None:
        """Hide what the account's keys hold now (an obtained key) from every report as well."""
        keys = (self.unsigned, *self.ring.keys)
        self.redactor.learn(secret for held in keys for secret in (*held.auth.secrets(), *secrets_in(held.credentials)))

    def backoff(self, sending: int, first: float, longest: float) -> float:
        """Full jitter: anything between nothing and the doubled pause."""
        return self._uniform() * min(longest, first * 2.0 ** (sending - 1))

    @property
    def rate_limit(self) -> RateLimit | None:
        """How often the provider lets one key be used; None when it does not say."""
        return self.provider.rate_limit

    def reserve_call(
        self,
        connection: Connection,
        held: HeldKey,
        others: Callable[[], list[HeldKey]],
        patience: float,
        *,
        background: bool,
    ) -> tuple[HeldKey, bool, float]:
        """A place among the calls that the key may make, over all processes on the store; as `store.rates.reserve`.
        When it has none free at once, the others are asked; the one that is free soonest has it. In the `background`,
        half of the calls are left to others. For accounts with a rate limit.
        """
        from gateway.store import rates

        limit, now = self._limit(), self._rate_time(connection)
        keep_free = limit.requests // 2 if background else 0
        waits: list[tuple[float, HeldKey]] = []
        for place in _one_after_another(held, others):
            if place is not held and self._expired(place):
                continue
            free, wait = rates.reserve(connection, self._key(place), limit, now, 0.0, keep_free)
            if free:
                return place, True, wait
            waits.append((wait, place))
        wait, place = min(waits, key=lambda found: found[0])
        return place, *rates.reserve(connection, self._key(place), limit, now, patience, keep_free)

    def close_key(self, connection: Connection, held: HeldKey, seconds: float) -> None:
        """Nobody uses the key for so many seconds, in any process. For accounts with a rate limit."""
        from gateway.store import rates

        rates.close(connection, self._key(held), self._limit(), self._rate_time(connection), seconds)

    def free_calls(self, connection: Connection) -> int | None:
        """How many calls may leave now without waiting, over all keys and processes; None without a limit."""
        from gateway.store import rates

        limit = self.rate_limit
        if limit is None:
            return None
        keys, now = self.ring.in_use(), self._rate_time(connection)
        if not keys and any(row.key.state is KeyState.ACTIVE for row in self._rows_of_ring(connection)):
            return limit.requests  # the ring was not opened yet, so nothing has left from here
        return sum(rates.headroom(connection, self._key(held), limit, now) for held in keys)

    def all_calls(self) -> int | None:
        """How many calls may leave within the limit's time, over all keys; None without a limit."""
        return None if self.rate_limit is None else self.rate_limit.requests * max(1, len(self.ring.in_use()))

    def free_calls_here(self) -> int | None:
        """The same by what this process knows alone."""
        rooms = [held.window.headroom(self.clock.monotonic()) for held in self.ring.in_use()]
        return None if self.rate_limit is None else sum(room or 0 for room in rooms)

    def _limit(self) -> RateLimit:
        assert self.rate_limit is not None
        return self.rate_limit

    def _key(self, held: HeldKey) -> str:
        return f"{self.provider.name} {held.auth.key_id}"

    def _rate_time(self, connection: Connection) -> datetime:
        """What a key's calls are counted by: one clock for all machines where there is one, unless time is replaced."""
        from gateway.store import rates

        shared = rates.server_time(connection) if isinstance(self.clock, SystemClock) else None
        return shared or self.clock.now()

    def next_number(self, connection: Connection, key_id: str, now_microseconds: int) -> int:
        """A request number of a key, strictly growing over threads, tasks and processes of one store."""
        from gateway.store.numbers import next_number

        return next_number(connection, f"{self.provider.name} {key_id}", now_microseconds)

    # The ring

    def choose_key(self, permissions: frozenset[Permission], without: Collection[HeldKey] = ()) -> HeldKey:
        """The key for this work; as `Ring.choose`. One that has expired since the ring was read is not among them."""
        while True:
            held = self.ring.choose(permissions, self.clock.monotonic(), without=without)
            if not self._expired(held):
                return held
            self.ring.show(held, state=KeyState.EXPIRED)

    def _expired(self, held: HeldKey) -> bool:
        expires_at = held.key.expires_at
        return expires_at is not None and self.clock.now() >= expires_at

    def _rows_of_ring(self, connection: Connection) -> list[KeyRow]:
        return self.key_rows(connection) if self.works_with_ring else []

    def ring_due(self) -> bool:
        """Whether the ring has to be read from the store again."""
        return self.works_with_ring and self.clock.monotonic() >= self._read_again

    def ring_read(self) -> None:
        """It was read now, or is being read."""
        self._read_again = self.clock.monotonic() + self._refresh

    def key_rows(self, connection: Connection) -> list[KeyRow]:
        """The keys of the ring, as the store has them. Those of another environment or provider are left out."""
        from gateway.store import keys

        return [
            row
            for row in keys.listed(connection, self.name, self.clock.now())
            if row.key.environment is self.environment and row.key.provider == self.provider.name
        ]

    def unknown_keys(self, rows: Iterable[KeyRow]) -> list[KeyRow]:
        """Those of the rows whose secrets have to be read. A key that is no longer valid needs none."""
        return [
            row
            for row in rows
            if row.key.state in (KeyState.ACTIVE, KeyState.RETIRING) and identity(row) not in self._held
        ]

    def open_secrets(self, rows: Iterable[KeyRow]) -> dict[Identity, dict[str, Secret]]:
        """The parts of these keys that are in the vault. Raises VaultError. May take its time."""
        if self._vault is None:
            raise VaultError("there is no vault", hint="give the configuration a [vault]")
        places = {identity(row): secret_names(row) for row in rows}
        vault = self._vault()
        there = set(vault.names())
        found = vault.get_many([name for names in places.values() for name in names.values() if name in there])
        opened = {}
        for known, names in places.items():
            missing = [f"{account}/{label}" for account, label in names.values() if (account, label) not in found]
            if missing:  # revoked just now by another process, or lost
                log.warning("the vault has no %s: the key is not used", ", ".join(missing))
            else:
                opened[known] = {part: found[name] for part, name in names.items()}
        return opened

    def ask_for_keys(self) -> int:
        """The number of a reading of the ring that begins now."""
        with self._taking:
            self._asked += 1
            return self._asked

    def take_keys(self, asked: int, rows: Sequence[KeyRow], secrets: Mapping[Identity, Mapping[str, Secret]]) -> None:
        """The ring is these keys from now on, unless a reading that began later was taken already: this one may not
        have seen a change that is in force. Keys that it knew keep their sessions.
        """
        with self._taking:
            if asked < self._taken:
                return
            self._taken = asked
            there: dict[Identity, HeldKey] = {}
            found: list[tuple[HeldKey, ApiKey]] = []
            for row in rows:
                if row.key.state is KeyState.REVOKED:
                    continue  # its secret was erased, here too
                known = identity(row)
                held = self._held.get(known)
                if held is None and known in secrets:
                    held = self._made(row, secrets[known])
                if held is not None:
                    there[known] = held
                    found.append((held, row.key))
            self._held = there
            self.ring.take(found)
        self.learn_secrets()

    def _made(self, row: KeyRow, secrets: Mapping[str, Secret]) -> HeldKey | None:
        """None for a key that this version of the provider's adapter cannot use: the others go on."""
        try:
            return self.make_key(row.key, secrets)
        except GatewayError as error:
            log.warning("the key %s of %s is not used: %s", row.key.label, self.name, error.message)
            return None

    def know(self, row: KeyRow, held: HeldKey) -> None:
        """The key of this row is ready to sign already."""
        with self._taking:
            self._held[identity(row)] = held

    def make_key(self, key: ApiKey, parts: Mapping[str, Secret]) -> HeldKey:
        """A key ready to sign. Raises ConfigurationError when its parts are not what the provider's keys have."""
        auth: Auth = NoAuth()
        credentials = self.credentials(key.kind, {**parts, **self._public(key)})
        kind = self.kind(key.kind)
        if not kind.for_callbacks:
            auth = self.adapter.make_auth(credentials)
        self.redactor.learn(secrets_in(credentials))
        return HeldKey(key, auth, self._window(auth.key_id), credentials, signs=not kind.for_callbacks)

    def _public(self, key: ApiKey) -> dict[str, str]:
        part = self.kind(key.kind).public_part
        return {part.name: key.public_id} if part is not None and key.public_id is not None else {}

    def kind(self, name: str) -> KeyKind:
        """Raises InvalidRequest for one that the provider does not have."""
        rules = self.key_rules()
        kind = rules.kind(name)
        if kind is None:
            raise InvalidRequest(
                f"{self.provider.title} has no keys of the kind {name[:40]!r}",
                account=self.name,
                hint="it has " + ", ".join(kind.name for kind in rules.kinds),
            )
        return kind

    def key_rules(self) -> KeyRules:
        """Raises UnsupportedOperation."""
        if self.provider.keys is None:
            raise UnsupportedOperation(
                f"{self.provider.title} has no key rings", account=self.name, hint="its key stands in the settings"
            )
        return self.provider.keys

    def credentials(self, kind: str, parts: Mapping[str, Any]) -> Any:
        """The parts as the credentials that they are. Raises InvalidRequest, without any value."""
        model = self.kind(kind).credentials
        try:
            return model.model_validate({"kind": kind, **parts})
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or kind}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_url=False, include_input=False, include_context=False)
            )
        raise InvalidRequest(f"not a key of {self.provider.title}: {wrong}", account=self.name)

    def refuse_key(self, held: HeldKey) -> None:
        """The provider does not accept the key; known here at once."""
        self.ring.show(held, refused_at=self.clock.now())

    def accept_key(self, held: HeldKey) -> None:
        self.ring.show(held, refused_at=None)

    def note_refused(self, connection: Connection, held: HeldKey) -> None:
        """Keep that the provider does not accept the key, for all processes."""
        from gateway.store import audit, keys

        now = self.clock.now()
        if keys.refused(connection, held.key, now):
            audit.note(connection, held.key, "set aside", actor=audit.GATEWAY, now=now, detail={"why": "refused"})

    def note_accepted(self, connection: Connection, held: HeldKey) -> None:
        """Keep that the provider accepts the key."""
        from gateway.store import audit, keys

        now = self.clock.now()
        if keys.works(connection, held.key, now):
            audit.note(connection, held.key, "taken back", actor=audit.GATEWAY, now=now, detail={"why": "accepted"})

    def note_token(self, connection: Connection, held: HeldKey) -> None:
        """Keep when the token expires that was obtained with the key, for whoever asks in another process."""
        from gateway.store import keys

        if held.login is not None:
            keys.obtained(connection, held.key, held.login.expires_at)

    def _ring_credentials(self) -> tuple[Any, ...]:
        """What all valid keys of the ring were made from, for an adapter that checks callbacks with them."""
        valid = (KeyState.ACTIVE, KeyState.RETIRING)
        if not self.works_with_ring:
            return ()
        return tuple(held.credentials for held in self.ring.keys if held.key.state in valid)


def _one_after_another(first: HeldKey, others: Callable[[], list[HeldKey]]) -> Iterator[HeldKey]:
    """The others are only asked for when the first will not do."""
    yield first
    yield from others()


def identity(row: KeyRow) -> Identity:
    return row.id, row.key.added_at


def secret_names(row: KeyRow) -> dict[str, tuple[str, str]]:
    """Where the vault keeps the parts of a key: the main one under its label, others under `label.part`."""
    main, *others = row.parts
    label = row.key.label
    return {main: (row.key.account, label), **{part: (row.key.account, f"{label}.{part}") for part in others}}
