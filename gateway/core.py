"""What every flow works with: the accounts, the routes, the store and the clock of one gateway."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from gateway.accounts import OpenAccount
from gateway.config import GatewaySettings, Route, account_settings, references
from gateway.contracts.adapter import Provider
from gateway.contracts.settings import AccountSettings
from gateway.engine.clock import Clock, Deadline, SystemClock
from gateway.engine.rates import RateWindow
from gateway.errors import ConfigurationError, GatewayError, InvalidRequest, PluginError, UnsupportedOperation
from gateway.events.calling import Calls
from gateway.events.handlers import Handlers
from gateway.models.base import Environment
from gateway.models.orders import Settlement
from gateway.observation import Record
from gateway.plugins import Plugins, implementations
from gateway.references import References

if TYPE_CHECKING:
    from gateway.engine.http import Connection
    from gateway.keyring.vault import Vault
    from gateway.store.database import Database

__all__ = ["Candidate", "Candidates", "Core", "Telling"]

log = logging.getLogger("gateway")

_ENDINGS = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
"""What ends a call from outside: no mistake of whoever it happens to pass through."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may serve a call, and why it is asked."""

    account: OpenAccount
    reason: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who may serve a call, first choice first, and why the other accounts that the routes name may not."""

    able: tuple[Candidate, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


class Telling:
    """Something that has begun; `ended` tells the observers how it went."""

    def __init__(
        self, core: Core, kind: Literal["callback", "poll"], operation: str, account: str, *, subject: str | None = None
    ) -> None:
        self._core = core
        self._kind = kind
        self._operation = operation
        self._account = account
        self._subject = subject
        self._started, self._start = core.clock.now(), core.clock.monotonic()

    def ended(self, outcome: str, error: str | None = None) -> None:
        known = self._core.accounts.get(self._account)
        self._core.observe(
            Record(
                kind=self._kind,
                account=self._account,
                provider=known.provider.name if known else "",
                operation=self._operation,
                outcome=outcome,
                subject=self._subject,
                started_at=self._started,
                seconds=self._core.clock.monotonic() - self._start,
                error=error,
            )
        )


class Core:
    """One gateway's state. Accounts are opened when the gateway is; the store and the vault when first needed.

    `found` is what reading the configuration left open for the accounts' secrets.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        plugins: Plugins,
        *,
        clock: Clock | None = None,
        uniform: Callable[[], float] = random.random,
        found: References | None = None,
    ) -> None:
        self.settings = settings
        self.references = found or references(settings)
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
        try:
            for name, table in settings.accounts.items():
                self.add_account(name, table)
        finally:
            self.references.hand_over(self.database)

    def add_account(self, name: str, table: Mapping[str, Any]) -> OpenAccount:
        """Open a further account, also while the gateway is running. Raises ConfigurationError."""
        if name in self.accounts:
            raise ConfigurationError(f"accounts.{name}: there is an account of this name already")
        checked: AccountSettings = account_settings(name, table, self.plugins, self.references)
        provider = self.plugins.provider(checked.provider)
        account = OpenAccount(
            name,
            provider,
            checked,
            clock=self.clock,
            observe=self.observe,
            window=lambda key_id: self._window(provider, key_id),
            egress=self.settings.egress,
            vault=self.vault,
            refresh=self.settings.keys.refresh.total_seconds(),
            uniform=self._uniform,
        )
        with self._lock:
            if name in self.accounts:
                raise ConfigurationError(f"accounts.{name}: there is an account of this name already")
            self.accounts = {**self.accounts, name: account}
        return account

    def _window(self, provider: Provider, key_id: str) -> RateWindow:
        """Two accounts with one key share its rate limit."""
        return self._windows.setdefault((provider.name, key_id), RateWindow(provider.rate_limit))

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

    def vault(self) -> Vault:
        """The vault, which is read at every call of it. Raises VaultError, with what to do when none is configured."""
        return self.references.vault()

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
        """Tell everyone; an observer that raises is logged and harms nothing, whatever it raises."""
        for observer in self.observers:
            try:
                observer(record)
            except _ENDINGS:
                raise
            except BaseException:
                log.exception("an observer raised")
        for plugin, observe in implementations(self.plugins, "gateway_observe"):
            try:
                observe(record=record)
            except _ENDINGS:
                raise
            except BaseException:
                log.exception("the observer of the plugin %s raised", plugin)

    def choose(
        self,
        operation: str,
        variant: str,
        request: Any,
        *,
        account: str | None = None,
        unfit: Callable[[Route], str | None] = lambda route: None,
    ) -> OpenAccount:
        """The account for a write that never moves: the first candidate. Raises what `candidates` raises."""
        return self.candidates(operation, variant, request, account=account, unfit=unfit).able[0].account

    def candidates(
        self,
        operation: str,
        variant: str,
        request: Any,
        *,
        account: str | None = None,
        settles_to: Settlement | None = None,
        unfit: Callable[[Route], str | None] = lambda route: None,
    ) -> Candidates:
        """The accounts for a write, first choice first: the one that is named, else those that the routes allow and
        that offer the call, in the routes' order, one that a plugin prefers in front. At least one.

        `unfit` says why a route's conditions exclude the request. Nothing is sent. Raises ConfigurationError when no
        route fits, and UnsupportedOperation or UnverifiedOperation when no account that is allowed offers the call.
        """
        if account is not None:
            chosen = self.account(account)
            chosen.require(operation, variant)
            return Candidates((Candidate(chosen, "named in the call"),))
        listed, refused = self._routed(operation, settles_to, unfit)
        if not listed:
            raise ConfigurationError(
                f"no route for {operation} fits this request",
                hint="name an account in the call, or add a [[routes]] entry whose conditions fit",
            )
        refusals: list[GatewayError] = []
        able: dict[str, Candidate] = {}
        for name, reason in listed.items():
            try:
                self.account(name).require(operation, variant)
                able[name] = Candidate(self.account(name), reason)
            except GatewayError as error:
                refusals.append(error)
                refused[name] = f"{type(error).__name__}: {error.message}"
        if not able:
            if len(refusals) == 1:
                raise refusals[0]
            raise UnsupportedOperation(
                f"none of the accounts {', '.join(listed)} can do this: "
                + "; ".join(error.message for error in refusals),
                operation=operation,
            )
        preferred = self._preferred(operation, request, tuple(able))
        if preferred is not None:
            first = Candidate(able.pop(preferred).account, "chosen by a plugin")
            return Candidates((first, *able.values()), refused)
        return Candidates(tuple(able.values()), refused)

    def _preferred(self, operation: str, request: Any, able: tuple[str, ...]) -> str | None:
        """The account that a plugin chooses; the first plugin that chooses one decides. Money does not go where nobody
        has decided: one that raises ends the call.
        """
        for plugin, choose in implementations(self.plugins, "gateway_choose_account"):
            try:
                preferred = choose(request=request, candidates=able)
            except GatewayError:
                raise
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"the plugin {plugin} failed to choose an account: {type(error).__name__}: {error}",
                    hint="nothing was sent; name the account in the call, or leave the plugin out of GATEWAY_PLUGINS",
                    operation=operation,
                ) from error
            if preferred is None:
                continue
            if preferred not in able:
                raise ConfigurationError(
                    f"the plugin {plugin} chose the account {preferred!r}, which is not among {', '.join(able)}"
                )
            return str(preferred)
        return None

    def _routed(
        self, operation: str, settles_to: Settlement | None, unfit: Callable[[Route], str | None]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """The accounts that the routes allow, and those that they name and do not allow; each with the reason."""
        routes = [(number, route) for number, route in enumerate(self.settings.routes, 1)]
        routes = [(number, route) for number, route in routes if route.operation == operation]
        if not routes and len(self.accounts) == 1:
            return dict.fromkeys(self.accounts, "the only account"), {}  # one account needs no route
        allowed: dict[str, str] = {}
        passed: dict[str, str] = {}
        for number, route in routes:
            why = unfit(route)
            if settles_to is not None and route.settles_to is not settles_to:
                why = f"for the {route.settles_to}'s money only"
            for place, name in enumerate(route.accounts, 1):
                settles = self.account(name).settles_to
                if why is not None:
                    passed.setdefault(name, f"route {number}: {why}")
                elif operation == "orders.create" and settles is not route.settles_to:
                    passed.setdefault(
                        name, f"route {number}: for the {route.settles_to}'s money, and it settles to the {settles}"
                    )
                else:
                    allowed.setdefault(name, f"account {place} of {len(route.accounts)} in route {number}")
        return allowed, {name: why for name, why in passed.items() if name not in allowed}

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
