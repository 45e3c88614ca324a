"""An open account: its settings, its adapter, and what the engine keeps for its key."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel

from gateway.capabilities import Capabilities, Capability
from gateway.contracts.adapter import Account, Adapter, LoginAuth, Provider, RateLimit
from gateway.contracts.callbacks import ReadsCallbacks
from gateway.contracts.settings import AccountSettings
from gateway.engine.clock import Clock, SystemClock
from gateway.engine.rates import RateWindow
from gateway.errors import GatewayError, PluginError
from gateway.models.base import Environment
from gateway.models.orders import Settlement
from gateway.observation import Record
from gateway.secrets import Redactor, Secret

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["OpenAccount", "secrets_in"]

C = TypeVar("C")


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
        rate_window: RateWindow | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.provider = provider
        self.settings = settings
        self.clock = clock
        self.observe = observe
        self._uniform = uniform
        self.redactor = Redactor(secrets_in(settings))
        self.adapter: Adapter[Any] = provider.adapter(Account(name, settings.environment, settings, clock.now))
        # Runtime checks of a Protocol are slow, and these are asked for at every request.
        self._fulfilled: set[type] = set()
        self.login: LoginAuth | None = self.adapter.auth if isinstance(self.adapter.auth, LoginAuth) else None
        self.window = rate_window or RateWindow(provider.rate_limit)
        self.capabilities: Capabilities = self.adapter.capabilities() or provider.capabilities
        self.learn_secrets()

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
        """Hide what the account's auth holds now (an obtained key) from every report as well."""
        self.redactor.learn(self.adapter.auth.secrets())

    def backoff(self, sending: int, first: float, longest: float) -> float:
        """Full jitter: anything between nothing and the doubled pause."""
        return self._uniform() * min(longest, first * 2.0 ** (sending - 1))

    @property
    def rate_limit(self) -> RateLimit | None:
        """How often the provider lets one key be used; None when it does not say."""
        return self.provider.rate_limit

    def reserve_call(self, connection: Connection, patience: float, *, background: bool) -> tuple[bool, float]:
        """A place among the calls that the key may make, over all processes on the store; as `store.rates.reserve`. In
        the `background`, half of them are left to others. For accounts with a rate limit.
        """
        from gateway.store import rates

        limit = self._limit()
        keep_free = limit.requests // 2 if background else 0
        return rates.reserve(connection, self._key(), limit, self._rate_time(connection), patience, keep_free)

    def close_key(self, connection: Connection, seconds: float) -> None:
        """Nobody uses the key for so many seconds, in any process. For accounts with a rate limit."""
        from gateway.store import rates

        rates.close(connection, self._key(), self._limit(), self._rate_time(connection), seconds)

    def free_calls(self, connection: Connection) -> int | None:
        """How many calls may leave now without waiting, over all processes; None without a limit."""
        from gateway.store import rates

        if self.rate_limit is None:
            return None
        return rates.headroom(connection, self._key(), self.rate_limit, self._rate_time(connection))

    def _limit(self) -> RateLimit:
        assert self.rate_limit is not None
        return self.rate_limit

    def _key(self) -> str:
        return f"{self.provider.name} {self.adapter.auth.key_id}"

    def _rate_time(self, connection: Connection) -> datetime:
        """What a key's calls are counted by: one clock for all machines where there is one, unless time is replaced."""
        from gateway.store import rates

        shared = rates.server_time(connection) if isinstance(self.clock, SystemClock) else None
        return shared or self.clock.now()

    def next_number(self, connection: Connection, key_id: str, now_microseconds: int) -> int:
        """A request number of a key, strictly growing over threads, tasks and processes of one store."""
        from gateway.store.numbers import next_number

        return next_number(connection, f"{self.provider.name} {key_id}", now_microseconds)
