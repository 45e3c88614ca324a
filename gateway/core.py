"""What every flow works with: the accounts, the routes, the store and the clock of one gateway."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.accounts import OpenAccount
from gateway.config import GatewaySettings, Route, account_settings
from gateway.contracts.settings import AccountSettings
from gateway.engine.clock import Clock, Deadline, SystemClock
from gateway.engine.rates import RateWindow
from gateway.errors import ConfigurationError, GatewayError, InvalidRequest, UnsupportedOperation
from gateway.events.calling import Calls
from gateway.events.handlers import Handlers
from gateway.models.base import Environment
from gateway.models.orders import Settlement
from gateway.observation import Record
from gateway.plugins import Plugins

if TYPE_CHECKING:
    from gateway.engine.http import Connection
    from gateway.store.database import Database

__all__ = ["Core"]

log = logging.getLogger("gateway")


class Core:
    """One gateway's state. Accounts are opened when the gateway is; the store when it is first needed."""

    def __init__(
        self,
        settings: GatewaySettings,
        plugins: Plugins,
        *,
        clock: Clock | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.plugins = plugins
        self.clock = clock or SystemClock()
        self.accounts: dict[str, OpenAccount] = {}
        self.observers: list[Callable[[Record], None]] = []
        self.wakers: list[Callable[[], None]] = []
        self.handlers = Handlers(plugins)
        self.calls = Calls()
        self._uniform = uniform
        self._windows: dict[tuple[str, str], RateWindow] = {}
        self._database: Database | None = None
        self._lock = threading.Lock()
        for name, table in settings.accounts.items():
            self.add_account(name, table)

    def add_account(self, name: str, table: Mapping[str, Any]) -> OpenAccount:
        """Open a further account, also while the gateway is running. Raises ConfigurationError."""
        if name in self.accounts:
            raise ConfigurationError(f"accounts.{name}: there is an account of this name already")
        checked: AccountSettings = account_settings(name, table, self.plugins)
        provider = self.plugins.provider(checked.provider)
        account = OpenAccount(name, provider, checked, clock=self.clock, observe=self.observe, uniform=self._uniform)
        # Two accounts with one key share its rate limit.
        key = (provider.name, account.adapter.auth.key_id)
        account.window = self._windows.setdefault(key, account.window)
        with self._lock:
            if name in self.accounts:
                raise ConfigurationError(f"accounts.{name}: there is an account of this name already")
            self.accounts = {**self.accounts, name: account}
        return account

    def account(self, name: str) -> OpenAccount:
        if name not in self.accounts:
            raise ConfigurationError(
                f"no account is called {name!r}", hint="configured: " + (", ".join(sorted(self.accounts)) or "none")
            )
        return self.accounts[name]

    def connection(self, name: str) -> Connection:
        """Where this account's requests go."""
        from gateway.engine.http import Connection

        settings = self.account(name).settings
        return Connection(settings.base_url, settings.proxy.reveal() if settings.proxy else None, settings.ca_file)

    def database(self) -> Database:
        """The store, opened on first use. Entries whose sender died are `unknown` from then on."""
        if self._database is None:
            with self._lock:
                if self._database is None:
                    from gateway.store.database import Database
                    from gateway.store.outcomes import recover

                    database = Database.open(self.settings.store)
                    try:
                        lost = database.transaction(lambda connection: recover(connection, self.clock.now()))
                    except BaseException:
                        database.close()
                        raise
                    for entry in lost:
                        log.warning(
                            "%s %s at %s was sent by a process that ended before its answer: its outcome is unknown",
                            entry.operation,
                            entry.reference,
                            entry.account,
                        )
                    self._database = database
        return self._database

    def deadline(self, seconds: float | None, *accounts: OpenAccount) -> Deadline:
        """The call's own deadline, else the account's `timeout`."""
        if seconds is None:
            seconds = max((account.settings.timeout for account in accounts), default=30)
        if not 0 < seconds <= 86_400:
            raise InvalidRequest("a deadline is a number of seconds above zero, and at most a day")
        return Deadline.after(self.clock, seconds)

    def now(self) -> datetime:
        return self.clock.now()

    def backoff(self, failures: int, first: float, longest: float) -> float:
        """Full jitter: anything between nothing and the doubled pause, in seconds."""
        return self._uniform() * min(longest, first * 2.0 ** min(failures - 1, 60))

    def committed(self) -> None:
        """Something was committed here: a worker in this process looks at once what has become due."""
        for waker in tuple(self.wakers):
            waker()

    def observe(self, record: Record) -> None:
        """Tell everyone; an observer that raises is logged and harms nothing."""
        for observer in (*self.observers, self._hook):
            try:
                observer(record)
            except Exception:
                log.exception("an observer raised")

    def _hook(self, record: Record) -> None:
        self.plugins.manager.hook.gateway_observe(record=record)

    def choose(
        self,
        operation: str,
        variant: str,
        request: Any,
        *,
        account: str | None = None,
        settles_to: Settlement | None = None,
        fits: Callable[[Route], bool] = lambda route: True,
    ) -> OpenAccount:
        """The account for a write: the one that is named, else the first that the routes allow and that offers the
        call.

        What a chosen account does not offer raises UnsupportedOperation or UnverifiedOperation; nothing is sent.
        """
        if account is not None:
            chosen = self.account(account)
            chosen.require(operation, variant)
            return chosen
        candidates = list(self._routed(operation, settles_to, fits))
        if not candidates:
            raise ConfigurationError(
                f"no route for {operation} fits this request",
                hint="name an account in the call, or add a [[routes]] entry whose conditions fit",
            )
        refusals: list[GatewayError] = []
        able: dict[str, OpenAccount] = {}
        for name in candidates:
            try:
                self.account(name).require(operation, variant)
                able[name] = self.account(name)
            except GatewayError as error:
                refusals.append(error)
        if not able:
            if len(refusals) == 1:
                raise refusals[0]
            raise UnsupportedOperation(
                f"none of the accounts {', '.join(candidates)} can do this: "
                + "; ".join(error.message for error in refusals),
                operation=operation,
            )
        preferred = self.plugins.manager.hook.gateway_choose_account(request=request, candidates=tuple(able))
        if preferred is not None and preferred not in able:
            raise ConfigurationError(f"a plugin chose the account {preferred!r}, which is not among {', '.join(able)}")
        return able[preferred] if preferred is not None else next(iter(able.values()))

    def _routed(self, operation: str, settles_to: Settlement | None, fits: Callable[[Route], bool]) -> Iterator[str]:
        routes = [route for route in self.settings.routes if route.operation == operation]
        if not routes and len(self.accounts) == 1:
            yield from self.accounts  # one account needs no route
            return
        seen: set[str] = set()
        for route in routes:
            if settles_to is not None and route.settles_to is not settles_to:
                continue
            if not fits(route):
                continue
            for name in route.accounts:
                if operation == "orders.create" and self.account(name).settles_to is not route.settles_to:
                    continue
                if name not in seen:
                    seen.add(name)
                    yield name

    def same_environment(self, account: OpenAccount, environment: Environment, what: str) -> None:
        """Live and sandbox are never mixed. Raises InvalidRequest."""
        if account.environment is not environment:
            raise InvalidRequest(
                f"{what} belongs to the {environment} environment, the account {account.name} is {account.environment}",
                account=account.name,
            )

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
