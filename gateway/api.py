"""`Gateway`: the library as ordinary calls. `gateway.aio` is generated from this file (`make aio`); change this one.

Every call takes `deadline`, in seconds: waiting for rate limits, repeating and sending together; None is the account's
`timeout`. Every call raises `gateway.errors` only. Lists are iterators that read page after page.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from gateway import flows
from gateway.actor import process_user
from gateway.capabilities import Support
from gateway.errors import GatewayError, InvalidRequest

# Imported when they are used, so that a program which only imports the library does not pay for what it may never open.
if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from gateway.callbacks.intake import Intake
    from gateway.capabilities import Capabilities
    from gateway.config import GatewaySettings
    from gateway.contracts.adapter import RateLimit
    from gateway.contracts.keys import KeyRules
    from gateway.core import Core
    from gateway.engine.clock import Clock
    from gateway.engine.drivers import SyncDriver
    from gateway.engine.effects import Flow
    from gateway.events.handlers import Since
    from gateway.exchange import Response
    from gateway.keyring.masterkeys import MasterKey
    from gateway.models.base import Environment, Page
    from gateway.models.cards import Card, CardRequest, CardTransaction, OneTimeCode
    from gateway.models.choices import Choice
    from gateway.models.customers import Customer, CustomerRequest
    from gateway.models.events import Delivery, Event, HandlerState
    from gateway.models.keys import ApiKey, IssuedKey, KeyAction, KeyAudit, KeyGuide, NewKey, Permission, Rotation
    from gateway.models.markets import Market, OrderBook, PublicTrade, Ticker
    from gateway.models.orders import Order, OrderRequest, OrderStatus, ProviderOrder, Settlement
    from gateway.models.reconciliations import Reconciliation
    from gateway.models.refunds import Refund, RefundRequest
    from gateway.models.trades import Trade, TradeRequest
    from gateway.models.transactions import Currency, CurrencyKind, Transaction
    from gateway.models.wallets import Wallet, WalletKind
    from gateway.models.withdrawals import ProviderWithdrawal, Withdrawal, WithdrawalRequest, WithdrawalStatus
    from gateway.observation import Record
    from gateway.plugins import Plugins
    from gateway.secrets import Secret
    from gateway.store.inbox import Callback, CallbackState
    from gateway.store.journal import JournalEntry, JournalState
    from gateway.store.restores import Restore
    from gateway.worker.stopping import StopEvent

__all__ = ["AccountHandle", "Gateway"]

T = TypeVar("T")
H = TypeVar("H", bound="Callable[[Event], object]")
PAGE = 100


class Gateway:
    """Several providers behind one set of calls. Use it inside `with`; it is safe for many threads.

    `accounts`, `routes`, `store` and the other settings are those of the configuration file, as data. `clock`,
    `sleep` and `uniform` (a source of numbers from 0 to 1) replace time and chance in tests. `plugins` replaces
    what is installed. `settings` is a configuration that was read before: no other is read then. `vault_key` opens
    the vault, whatever the settings say (`gateway.keyring`). Raises ConfigurationError, with the path of every wrong
    setting.
    """

    def __init__(
        self,
        *,
        accounts: Mapping[str, Mapping[str, Any]] | None = None,
        routes: Sequence[Mapping[str, Any]] | None = None,
        failover: Mapping[str, Any] | None = None,
        reconcile: Mapping[str, Any] | None = None,
        store: str | None = None,
        vault: Mapping[str, Any] | None = None,
        vault_key: MasterKey | None = None,
        egress: str | Sequence[str] | None = None,
        keys: Mapping[str, Any] | None = None,
        worker: Mapping[str, Any] | None = None,
        watch: Mapping[str, Any] | None = None,
        telemetry: bool | None = None,
        public_base_url: str | None = None,
        callback_key: str | Sequence[str] | None = None,
        callback_body_limit: int | None = None,
        callback_timeout: int | None = None,
        trusted_proxies: Sequence[str] | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[], float] = random.random,
        plugins: Plugins | None = None,
        file: str | os.PathLike[str] | None = None,
        settings: GatewaySettings | None = None,
    ) -> None:
        from gateway.config import load, references
        from gateway.core import Core
        from gateway.plugins import load_plugins

        plugins = plugins or load_plugins()  # first: settings may name their assets
        if settings is not None:
            found = references(settings, vault_key)
        else:
            settings, found = load(
                file,
                accounts=accounts,
                routes=routes,
                failover=failover,
                reconcile=reconcile,
                store=store,
                vault=vault,
                vault_key=vault_key,
                egress=egress,
                keys=keys,
                worker=worker,
                watch=watch,
                telemetry=telemetry,
                public_base_url=public_base_url,
                callback_key=callback_key,
                callback_body_limit=callback_body_limit,
                callback_timeout=callback_timeout,
                trusted_proxies=trusted_proxies,
            )
        self._core: Core = Core(settings, plugins, clock=clock, uniform=uniform, found=found)
        self._sleep = sleep
        self._closed = False
        self.orders = Orders(self)
        self.refunds = Refunds(self)
        self.wallets = Wallets(self)
        self.withdrawals = Withdrawals(self)
        self.customers = Customers(self)
        self.cards = Cards(self)
        self.transactions = Transactions(self)
        self.currencies = Currencies(self)
        self.markets = Markets(self)
        self.trades = Trades(self)
        self.keys = Keys(self)
        self.journal = Journal(self)
        self.store = Store(self)
        self.callbacks = Callbacks(self)
        self.events = Events(self)
        if settings.telemetry:
            from gateway.telemetry import instrument

            instrument(self)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str] = "gateway.toml", **given: Any) -> Self:
        """A gateway from a TOML file; keyword arguments and `GATEWAY_…` variables win over it."""
        return cls(file=path, **given)

    @cached_property
    def _driver(self) -> SyncDriver:
        from gateway.engine.drivers import SyncDriver

        return SyncDriver(self._core.connection, self._core.database, self._sleep, committed=self._core.committed)

    def _run(self, flow: Flow[T]) -> T:
        return self._driver.run(flow)

    def _pages(self, page: Callable[[str | None], Flow[Page[T]]]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            found = self._run(page(cursor))
            for item in found.items:  # noqa: UP028 - an async generator has no `yield from`
                yield item
            if found.next is None:
                return
            cursor = found.next

    @property
    def accounts(self) -> tuple[str, ...]:
        """The names of the accounts, in the order of the configuration."""
        return tuple(self._core.accounts)

    def account(self, name: str) -> AccountHandle:
        """One account: what it can do, and the way out for what is not modelled. Raises ConfigurationError."""
        return AccountHandle(self, name)

    def add_account(self, name: str, /, **settings: Any) -> AccountHandle:
        """Open a further account while the gateway is running. Raises ConfigurationError."""
        self._core.add_account(name, settings)
        return AccountHandle(self, name)

    def capabilities(self) -> dict[str, Capabilities]:
        """The capability table of every account: each neutral operation and variant with support, grade, source and
        reason.
        """
        return {name: account.capabilities for name, account in self._core.accounts.items()}

    def observe(self, observer: Callable[[Record], None]) -> Callable[[Record], None]:
        """Have this called with a record of every exchange and operation, without secrets. It must not block."""
        self._core.observers.append(observer)
        return observer

    def on(
        self,
        *types: str,
        name: str | None = None,
        since: Since = "beginning",
        timeout: float = 60.0,
        tries: int = 12,
    ) -> Callable[[H], H]:
        """Have a function called with every event of these types: `@gw.on("order.paid")`, `"order.*"` or `"*"`.

        A worker calls it (`run`, `gateway worker`), at least once for each event, in order for each order: when it
        raises or takes longer than `timeout` seconds, it is called again after a growing pause (over most of a day),
        after `tries` calls the event is put aside (`events.dead`, `events.replay`). Events of other orders, and other
        handlers, go on meanwhile. It may be called again with an event that it has dealt with: `event.id` tells.

        A sync function runs in a thread of its own, and is left behind there when its time is over. An `async` one
        is awaited in the worker's event loop, which it must not block.

        The store knows a handler by its name, by default module and name of the function: give a `name` that
        survives moving and renaming it, because under another name it begins anew. A new handler begins with the
        first event there is, so that none is lost that happened before the first worker ran; or `since` a time, or
        "now". Raises ConfigurationError.
        """

        wanted = self._core.handlers.wanted(types)

        def register(function: H) -> H:
            self._core.handlers.add(function, wanted, name=name, since=since, timeout=timeout, tries=tries)
            return function

        return register

    def freeze(self, account: str, *, reason: str, by: str | None = None) -> None:
        """Stop payouts, refunds and new cards of the account, in all processes on this store. Orders, exchange orders
        and the calls of `account().request` go on.
        """
        self._run(flows.freezing.freeze(self._core, account, by=by or process_user(), reason=reason))

    def unfreeze(self, account: str) -> None:
        """Let money leave the account again (unless the configuration freezes it)."""
        self._run(flows.freezing.unfreeze(self._core, account))

    def frozen(self) -> dict[str, Any]:
        """The frozen accounts: who froze them, when and why."""
        return self._run(flows.freezing.frozen(self._core))

    def run(
        self,
        *,
        until_idle: bool = False,
        concurrency: int | None = None,
        stop: StopEvent | None = None,
    ) -> None:
        """Be a worker: process callbacks, poll, deliver events, reconcile. Returns when it is told to stop.

        Told by `stop`, and in a program's main thread by SIGTERM and SIGINT (where the gateway is synchronous; an
        `AsyncGateway` leaves signals alone and stops when its task is cancelled). What is under way may end within
        `worker.grace`. With `until_idle` it does what is due now and returns. `concurrency` is how many jobs
        are done at once, instead of `worker.concurrency`. The store's URL and `worker.backend` say how it works
        together with other workers: one at a time on SQLite, any number on PostgreSQL.

        Raises ConfigurationError, StoreError when the store cannot be used and trying again is of no use, and with
        `until_idle` Conflict while another worker is at it.
        """
        from gateway.worker.running import run_blocking

        run_blocking(self, until_idle=until_idle, concurrency=concurrency, stop=stop)

    def reconcile(
        self,
        *,
        account: str,
        since: datetime,
        until: datetime | None = None,
        repair: bool = False,
        progress: Callable[[str, int], None] | None = None,
        deadline: float | None = None,
    ) -> Reconciliation:
        """Compare what was made at the account `since` then with the provider's own lists, and keep what was found.

        Nothing is sent but reads, and nothing is settled. With `repair`, what is known here follows the provider where
        it may, with the events that were missed; doing it again changes nothing more. It takes as long as the lists
        are long: `progress` is called with what is being read and how many rows were; `deadline` is that of each call
        to the provider. A list that cannot be read is told in `not_compared`. Raises InvalidRequest, StoreError.
        """
        return self._run(
            flows.reconciling.reconcile(
                self._core,
                account,
                since=since,
                until=until,
                repair=repair,
                seconds=deadline,
                tell=progress or (lambda what, count: None),
            )
        )

    def reconciled(self, *, account: str) -> Reconciliation | None:
        """What the last run over this account found, such as one of the worker; None when there was none."""
        return self._run(flows.reconciling.last(self._core, account))

    def close(self) -> None:
        """Close connections and the store. A closed gateway refuses every call."""
        if not self._closed:
            self._closed = True
            self._driver.close()
            self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AccountHandle:
    """One account of a gateway."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self._gateway = gateway
        self._account = gateway._core.account(name)
        self.name = name

    @property
    def provider(self) -> str:
        """What the settings call its provider."""
        return self._account.provider.name

    @property
    def environment(self) -> Environment:
        """Whether it is at the live service or at a sandbox."""
        return self._account.environment

    @property
    def settles_to(self) -> Settlement:
        """Whose money an order at this account becomes."""
        return self._account.settles_to

    @property
    def capabilities(self) -> Capabilities:
        """What the account can do, row by row, with grade, source and reason."""
        return self._account.capabilities

    @property
    def key_rules(self) -> KeyRules:
        """The provider's rules for keys: their kinds and parts, what they can be restricted to, their labels. Raises
        UnsupportedOperation where an account has one key only.
        """
        return self._account.key_rules()

    @property
    def has_ring(self) -> bool:
        """Whether the account works with the keys of its ring, and not with one that stands in its settings."""
        return self._account.works_with_ring

    @property
    def rate_limit(self) -> RateLimit | None:
        """How often the provider lets the account's keys be used together; None when it does not say. Of a ring that
        was not used yet, one key's.
        """
        limit, requests = self._account.rate_limit, self._account.all_calls()
        return limit if limit is None or requests is None else replace(limit, requests=requests)

    def rate_headroom(self) -> int | None:
        """How many calls may leave now without waiting, over all processes on this store; None without a limit."""
        return self._gateway._run(flows.reads.rate_headroom(self._account))

    def can(self, operation: str, variant: str = "") -> bool:
        """Whether the call may be made: offered, and documented or allowed by `allow_inferred`."""
        if self._account.capabilities.get(operation, variant).support is not Support.SUPPORTED:
            return False
        try:
            self._account.require(operation, variant)
        except GatewayError:
            return False
        return True

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        json: Any = None,
        write: bool | None = None,
        signed: bool = True,
        permissions: Iterable[Permission | str] | None = None,
        deadline: float | None = None,
    ) -> Response:
        """Any call of the provider's API: signed, limited, redacted. The way out for what is not modelled; not
        journaled.

        `write` None: everything but GET and HEAD is a write, which is never repeated once it may have been carried
        out. `signed` False leaves the key out, for public calls. `permissions` are what the key of a ring has to have
        for it; None: to read, or for a write all. Numbers in `json` are Decimal or int, never float.
        """
        return self._gateway._run(
            flows.reads.request(
                self._gateway._core,
                self.name,
                method,
                path,
                query=query,
                json=json,
                write=write,
                signed=signed,
                permissions=permissions,
                seconds=deadline,
            )
        )


class _Namespace:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._core = gateway._core


class Orders(_Namespace):
    """Payments."""

    def create(self, request: OrderRequest, *, account: str | None = None, deadline: float | None = None) -> Order:
        """Ask for a payment at `account`, or at the first account that the routes allow and that makes the order.

        Without `account`, an account where nothing was done, or where nobody knows whether it was, is followed by the
        next one, each within its share of the deadline; what may have been made stays watched. `explain` tells what
        was tried. When none makes the order, the last error is raised, or OutcomeUnknown if one may have made it.

        May be repeated: the same reference with the same request gives the same order and never makes a second one
        beside it; with another request it raises IdempotencyConflict. What is unknown is not sent again; `renew` makes
        a further attempt where it stops.
        """
        return self._gateway._run(flows.orders.create(self._core, request, account=account, seconds=deadline))

    def get(self, reference: str, *, refresh: bool = True, deadline: float | None = None) -> Order:
        """The order, every open attempt read at its provider first (`refresh=False`: as last known). Raises
        NotFound.
        """
        return self._gateway._run(flows.orders.get(self._core, reference, refresh=refresh, seconds=deadline))

    def renew(self, reference: str, *, account: str | None = None, deadline: float | None = None) -> Order:
        """A further attempt for a purchase whose last one expired, failed, was refused or is of unknown outcome.

        All attempts stay watched; money that reaches any of them counts. Raises Conflict while the last one can
        still be paid.
        """
        return self._gateway._run(flows.orders.renew(self._core, reference, account=account, seconds=deadline))

    def list(self, *, account: str | None = None, status: OrderStatus | str | None = None) -> Iterator[Order]:
        """The orders made here, newest first, as last known."""
        from gateway.models.orders import OrderStatus

        wanted = OrderStatus(status) if status is not None else None
        return self._gateway._pages(
            lambda cursor: flows.orders.page(self._core, account=account, status=wanted, cursor=cursor, size=PAGE)
        )

    def explain(self, reference: str) -> Sequence[Choice]:
        """Why the order went where it went: the accounts that were looked at, oldest first. Raises NotFound."""
        return self._gateway._run(flows.orders.explain(self._core, reference))

    def link(self, reference: str, provider_id: str, *, deadline: float | None = None) -> Order:
        """Give an order the provider's number that its creation did not tell, as with a page where the payer chooses.

        It is read first, and must agree in price, coin and time. May be repeated until it is linked; raises Conflict.
        """
        return self._gateway._run(flows.orders.link(self._core, reference, provider_id, seconds=deadline))

    def fetch(self, *, account: str, provider_id: str, deadline: float | None = None) -> ProviderOrder:
        """An order at the provider by the provider's own number, also one that was not made here. Changes nothing."""
        return self._gateway._run(flows.orders.fetch(self._core, account, provider_id, seconds=deadline))

    def fetch_all(
        self, *, account: str, customer: str | None = None, deadline: float | None = None
    ) -> Iterator[ProviderOrder]:
        """The provider's own list of orders (of one customer of the merchant, where the provider keeps them so)."""
        return self._gateway._pages(
            lambda cursor: flows.orders.fetch_page(
                self._core, account, customer=customer, cursor=cursor, size=PAGE, seconds=deadline
            )
        )


class Refunds(_Namespace):
    """A paid order's money going back."""

    def create(self, request: RefundRequest, *, deadline: float | None = None) -> Refund:
        """Refund a payment of an order at the account where it was paid. May be repeated; a payment is refunded under
        one reference only. Of several paid attempts, `request.attempt` says which.
        """
        return self._gateway._run(flows.refunds.create(self._core, request, seconds=deadline))

    def get(self, reference: str, *, refresh: bool = True, deadline: float | None = None) -> Refund:
        """The refund, read at its provider first unless it is final. Raises NotFound."""
        return self._gateway._run(flows.refunds.get(self._core, reference, refresh=refresh, seconds=deadline))


class Wallets(_Namespace):
    """Balances."""

    def list(
        self,
        *,
        account: str,
        kind: WalletKind | str = "custodial",
        customer: str | None = None,
        deadline: float | None = None,
    ) -> Iterator[Wallet]:
        """Balances at the provider: the merchant's, or those of one of its customers."""
        from gateway.models.wallets import WalletKind

        wanted = WalletKind(kind).value
        return self._gateway._pages(
            lambda cursor: flows.reads.wallets(
                self._core, account, kind=wanted, customer=customer, cursor=cursor, size=PAGE, seconds=deadline
            )
        )


class Withdrawals(_Namespace):
    """Money that leaves."""

    def create(
        self, request: WithdrawalRequest, *, account: str | None = None, deadline: float | None = None
    ) -> Withdrawal:
        """Pay out. May be repeated: the same reference never pays twice. Raises LimitExceeded before anything is
        sent.

        After OutcomeUnknown the money may have left: look at the provider, then `journal.settle`; it is never sent
        again.
        """
        return self._gateway._run(flows.withdrawals.create(self._core, request, account=account, seconds=deadline))

    def get(self, reference: str, *, refresh: bool = True, deadline: float | None = None) -> Withdrawal:
        """The payout, read at its provider first where the provider has such a read. Raises NotFound."""
        return self._gateway._run(flows.withdrawals.get(self._core, reference, refresh=refresh, seconds=deadline))

    def list(self, *, account: str | None = None, status: WithdrawalStatus | str | None = None) -> Iterator[Withdrawal]:
        """The payouts made here, newest first, as last known."""
        from gateway.models.withdrawals import WithdrawalStatus

        wanted = WithdrawalStatus(status) if status is not None else None
        return self._gateway._pages(
            lambda cursor: flows.withdrawals.page(self._core, account=account, status=wanted, cursor=cursor, size=PAGE)
        )

    def fetch_all(self, *, account: str, deadline: float | None = None) -> Iterator[ProviderWithdrawal]:
        """The provider's own list of withdrawals."""
        return self._gateway._pages(
            lambda cursor: flows.withdrawals.fetch_page(self._core, account, cursor=cursor, size=PAGE, seconds=deadline)
        )


class Customers(_Namespace):
    """The merchant's customers at a provider."""

    def create(
        self, request: CustomerRequest, *, account: str | None = None, deadline: float | None = None
    ) -> Customer:
        """Make a customer known to the provider. May be repeated; the reference may be used once at every account."""
        return self._gateway._run(flows.customers.create(self._core, request, account=account, seconds=deadline))

    def get(self, reference: str, *, account: str, refresh: bool = True, deadline: float | None = None) -> Customer:
        """The customer at this account. Raises NotFound."""
        return self._gateway._run(
            flows.customers.get(self._core, reference, account=account, refresh=refresh, seconds=deadline)
        )

    def link(self, reference: str, provider_id: str, *, account: str, deadline: float | None = None) -> Customer:
        """Name a customer that the provider has already by the merchant's own number. It is read first. May be
        repeated.
        """
        return self._gateway._run(
            flows.customers.link(self._core, reference, provider_id, account=account, seconds=deadline)
        )


class Cards(_Namespace):
    """Cards of customers. Numbers, CVVs and codes are secrets and are never stored."""

    def create(self, request: CardRequest, *, account: str | None = None, deadline: float | None = None) -> Card:
        """Issue a card. May be repeated; only the call that issued it returns its number and CVV (`reveal` reads
        them again).
        """
        return self._gateway._run(flows.cards.create(self._core, request, account=account, seconds=deadline))

    def list(self, *, account: str, customer: str, deadline: float | None = None) -> Iterator[Card]:
        """A customer's cards at the provider, without numbers."""
        return self._gateway._pages(
            lambda cursor: flows.cards.page(
                self._core, account, customer=customer, cursor=cursor, size=PAGE, seconds=deadline
            )
        )

    def reveal(self, *, account: str, customer: str, card: str, deadline: float | None = None) -> Card:
        """A card with its number and CVV, read at the provider (`card` is the provider's own number of it)."""
        return self._gateway._run(
            flows.cards.reveal(self._core, account, customer=customer, card=card, seconds=deadline)
        )

    def transactions(
        self, *, account: str, customer: str, card: str, deadline: float | None = None
    ) -> Iterator[CardTransaction]:
        """What a card was used for."""
        return self._gateway._pages(
            lambda cursor: flows.cards.transactions_page(
                self._core, account, customer=customer, card=card, cursor=cursor, size=PAGE, seconds=deadline
            )
        )

    def one_time_code(self, *, account: str, customer: str, card: str, deadline: float | None = None) -> OneTimeCode:
        """The code that confirms a card payment now."""
        return self._gateway._run(
            flows.cards.one_time_code(self._core, account, customer=customer, card=card, seconds=deadline)
        )


class Transactions(_Namespace):
    """Money movements."""

    def list(self, *, account: str, deadline: float | None = None) -> Iterator[Transaction]:
        """The provider's list of movements, in its own words."""
        from gateway.contracts import ListsTransactions

        return self._gateway._pages(
            lambda cursor: flows.reads.page(
                self._core,
                account,
                "transactions.list",
                lambda opened, query: opened.able(ListsTransactions).list_transactions(query),
                cursor=cursor,
                size=PAGE,
                seconds=deadline,
            )
        )


class Currencies(_Namespace):
    """What a provider deals in."""

    def list(
        self, *, account: str, kind: CurrencyKind | str = "crypto", deadline: float | None = None
    ) -> Iterator[Currency]:
        """The accepted currencies: fiat for prices, crypto for payment."""
        from gateway.contracts import ListsCurrencies
        from gateway.models.transactions import CurrencyKind

        wanted = CurrencyKind(kind).value
        return self._gateway._pages(
            lambda cursor: flows.reads.page(
                self._core,
                account,
                "currencies.list",
                lambda opened, query: opened.able(ListsCurrencies).list_currencies(query),
                kind=wanted,
                cursor=cursor,
                size=PAGE,
                seconds=deadline,
            )
        )


class Markets(_Namespace):
    """Public market data. A market is written BASE/QUOTE."""

    def list(self, *, account: str, deadline: float | None = None) -> Iterator[Market]:
        """The tradable pairs."""
        from gateway.contracts import ListsMarkets

        return self._gateway._pages(
            lambda cursor: flows.reads.page(
                self._core,
                account,
                "markets.list",
                lambda opened, query: opened.able(ListsMarkets).list_markets(query),
                cursor=cursor,
                size=PAGE,
                seconds=deadline,
            )
        )

    def ticker(self, market: str, *, account: str, deadline: float | None = None) -> Ticker:
        """The market's last day."""
        from gateway.contracts import ReadsTickers

        return self._gateway._run(
            flows.reads.read(
                self._core,
                account,
                "markets.ticker",
                lambda opened: opened.able(ReadsTickers).get_ticker(market),
                seconds=deadline,
            )
        )

    def book(self, market: str, *, account: str, depth: int | None = None, deadline: float | None = None) -> OrderBook:
        """The market's order book, at most `depth` levels a side."""
        from gateway.contracts import ReadsBooks

        return self._gateway._run(
            flows.reads.read(
                self._core,
                account,
                "markets.book",
                lambda opened: opened.able(ReadsBooks).get_book(market, depth),
                seconds=deadline,
            )
        )

    def trades(self, market: str, *, account: str, deadline: float | None = None) -> Iterator[PublicTrade]:
        """The market's latest trades, newest first."""
        from gateway.contracts import ListsPublicTrades

        return self._gateway._pages(
            lambda cursor: flows.reads.page(
                self._core,
                account,
                "markets.trades",
                lambda opened, query: opened.able(ListsPublicTrades).list_public_trades(market),
                cursor=cursor,
                size=PAGE,
                seconds=deadline,
            )
        )


class Trades(_Namespace):
    """Exchange orders of the account."""

    def create(self, request: TradeRequest, *, account: str | None = None, deadline: float | None = None) -> Trade:
        """Place an exchange order. May be repeated: the same reference never places a second one."""
        return self._gateway._run(flows.trades.create(self._core, request, account=account, seconds=deadline))

    def get(self, reference: str, *, refresh: bool = True, deadline: float | None = None) -> Trade:
        """The trade of this reference, read at its provider first unless it is final. Raises NotFound.

        A cancelled one is read too while it is not known how much of it was filled.
        """
        return self._gateway._run(flows.trades.get(self._core, reference, refresh=refresh, seconds=deadline))

    def cancel(self, reference: str, *, deadline: float | None = None) -> Trade:
        """Cancel the trade of this reference. May be repeated. `filled` None: how much was filled is not known yet."""
        return self._gateway._run(flows.trades.cancel(self._core, reference, seconds=deadline))

    def fetch(self, *, account: str, provider_id: str, deadline: float | None = None) -> Trade:
        """A trade at the provider by the provider's own number."""
        return self._gateway._run(flows.trades.fetch(self._core, account, provider_id, seconds=deadline))

    def open(self, *, account: str, deadline: float | None = None) -> Iterator[Trade]:
        """The account's open trades at the provider."""
        return self._gateway._pages(
            lambda cursor: flows.trades.page(
                self._core, account, "trades.open", cursor=cursor, size=PAGE, seconds=deadline
            )
        )

    def history(self, *, account: str, deadline: float | None = None) -> Iterator[Trade]:
        """The account's finished trades at the provider."""
        return self._gateway._pages(
            lambda cursor: flows.trades.page(
                self._core, account, "trades.history", cursor=cursor, size=PAGE, seconds=deadline
            )
        )


class Keys(_Namespace):
    """The accounts' API keys. An account with `auth = { kind = "ring" }` works with the keys of its ring; their secrets
    are in the vault.

    Whatever changes a ring is in the audit, with who did it (`by`, else the user of this process); secrets that are
    written into it are taken out. Changes reach other processes within `keys.refresh`.

    A key of another environment or provider than its account's, or of an account that the settings have no more, is not
    used, and nothing of it is sent. It can be shown, retired, revoked as `ended`, deleted.
    """

    def list(self, *, account: str | None = None) -> Sequence[ApiKey]:
        """The keys of one account, or of all, those added first in front; never with a secret. Also those that are not
        used: of another environment or provider, or of an account that the settings have no more.
        """
        return self._gateway._run(flows.keys.listed(self._core, account))

    def get(self, label: str, *, account: str) -> ApiKey:
        """One key. Raises NotFound."""
        return self._gateway._run(flows.keys.get(self._core, account, label))

    def verify(
        self, *, account: str, label: str | None = None, by: str | None = None, deadline: float | None = None
    ) -> None:
        """Check a key with a cheap authenticated read: the one of this label, else whichever is chosen for reading.

        Raises AuthenticationFailed, and sets a key of the ring aside, or PermissionDenied. One that was set aside and
        is accepted is used again. May be repeated.
        """
        self._gateway._run(flows.keys.verify(self._core, account, label, actor=by or process_user(), seconds=deadline))

    def issue(
        self,
        *,
        account: str,
        label: str | None = None,
        parts: Mapping[str, Any] | None = None,
        by: str | None = None,
        deadline: float | None = None,
    ) -> IssuedKey:
        """Obtain a new key by a call, where the provider issues keys: with `parts` (such as username and password),
        else with the account's own login.

        With a `label` it is kept in the ring together with what it was obtained with, and renewed before it expires and
        when the provider refuses it. Without one it is kept nowhere. Each call makes another key.
        """
        return self._gateway._run(
            flows.keys.issue(
                self._core, account, label=label, parts=parts, actor=by or process_user(), seconds=deadline
            )
        )

    def guide(
        self,
        action: KeyAction | str,
        *,
        account: str,
        label: str | None = None,
        kind: str | None = None,
        permissions: Iterable[Permission | str] | None = None,
        networks: Iterable[str] | Literal["any"] | None = None,
        pool: str = "default",
    ) -> KeyGuide:
        """The provider's own steps for `create`, `edit`, `revoke`, `delete` or `delete-all`, filled in for this key.
        Sends nothing.

        Raises InvalidRequest for a label, permission or network that the provider's keys cannot have,
        UnsupportedOperation where no steps are known, and NotFound where a key is to be changed that the ring does not
        have, unless all that it is to be is said.
        """
        from gateway.models.keys import KeyAction

        try:
            wanted = KeyAction(action)
        except ValueError:
            raise InvalidRequest(
                f"no such action: {str(action)[:40]!r}", hint="there are " + ", ".join(KeyAction)
            ) from None
        return self._gateway._run(
            flows.keys.guide(
                self._core,
                account,
                wanted,
                label=label,
                kind=kind,
                permissions=permissions,
                networks=networks,
                pool=pool,
            )
        )

    def ready(
        self, new: NewKey, *, account: str, replaces: str | None = None, check: bool = True, made: bool = False
    ) -> None:
        """Check all that can be told of a key before a person makes it, when `new` has no `parts` yet: its label is
        free, here and in the vault, and after the provider's rule, the vault opens and, with `check`, the key can be
        verified from here. A secret that is shown only once would be lost when `add` (with `replaces`: `rotate`) finds
        that out. One that is `made` already may be in the vault, since its adding was interrupted. Sends nothing.

        Raises as `add`.
        """
        self._gateway._run(flows.keys.ready(self._core, account, new, replaces, check=check, made=made))

    def add(
        self, new: NewKey, *, account: str, check: bool = True, by: str | None = None, deadline: float | None = None
    ) -> ApiKey:
        """Keep a key that a person made. With `check`, only after a read with it has succeeded.

        Raises InvalidRequest, Conflict when the label is taken, VaultError, StoreError; then nothing was kept, unless
        the error says that the vault may have its secret still: the same call goes on with it.
        """
        return self._gateway._run(
            flows.keys.add(self._core, account, new, check=check, actor=by or process_user(), seconds=deadline)
        )

    def edit(
        self,
        label: str,
        *,
        account: str,
        permissions: Iterable[Permission | str] | None = None,
        networks: Iterable[str] | Literal["any"] | None = None,
        pool: str | None = None,
        expires_at: datetime | Literal["never"] | None = None,
        by: str | None = None,
    ) -> ApiKey:
        """Record what was changed at the provider (`guide("edit", …)` says how); None leaves a thing as it is. Sends
        nothing. Raises Conflict for an expired key that is to be in use again and is in the ring a second time.
        """
        return self._gateway._run(
            flows.keys.edit(
                self._core,
                account,
                label,
                permissions=permissions,
                networks=networks,
                pool=pool,
                expires_at=expires_at,
                actor=by or process_user(),
            )
        )

    def retire(self, label: str, *, account: str, by: str | None = None) -> ApiKey:
        """Give the key no new work; what is under way ends with it. It stays valid at the provider. May be repeated.
        `activate` takes it back into use.
        """
        return self._gateway._run(flows.keys.retire(self._core, account, label, actor=by or process_user()))

    def activate(self, label: str, *, account: str, by: str | None = None) -> ApiKey:
        """Give new work to a retired key again: the wrong one was retired, or its successor does not work. Sends
        nothing; may be repeated. Raises Conflict for a key that is revoked or expired, or for a login while another of
        the same user is active; VaultError where its secret cannot be had.
        """
        return self._gateway._run(flows.keys.activate(self._core, account, label, actor=by or process_user()))

    def rotate(
        self,
        label: str,
        new: NewKey,
        *,
        account: str,
        check: bool = True,
        by: str | None = None,
        deadline: float | None = None,
    ) -> Rotation:
        """Add a key and retire another in one step: from then on new work goes to the new one. What `new` does not say
        (permissions, networks, pool) is as it was with the old one. Raises as `add`.
        """
        return self._gateway._run(
            flows.keys.rotate(
                self._core, account, label, new, check=check, actor=by or process_user(), seconds=deadline
            )
        )

    def revoke(
        self,
        label: str,
        *,
        account: str,
        ended: bool = False,
        force: bool = False,
        by: str | None = None,
        deadline: float | None = None,
    ) -> ApiKey:
        """End a key that is retired, and erase its secret. Final; may be repeated.

        Where the provider ends keys by hand only, a person does so first (`guide("revoke", …)`) and says that it has
        `ended`; else UnsupportedOperation. Raises Conflict while calls may still be under way with it, unless `force`:
        for one that has leaked. Where its secret cannot be erased, the error says that the key is revoked all the same:
        the call repeated erases it.
        """
        return self._gateway._run(
            flows.keys.revoke(
                self._core, account, label, ended=ended, force=force, actor=by or process_user(), seconds=deadline
            )
        )

    def delete(self, label: str, *, account: str, by: str | None = None, deadline: float | None = None) -> None:
        """Forget a key that is revoked or expired; its label is free again. The audit keeps what was done with it."""
        self._gateway._run(flows.keys.delete(self._core, account, label, actor=by or process_user(), seconds=deadline))

    def delete_all(
        self, *, account: str, confirm: str, by: str | None = None, deadline: float | None = None
    ) -> Sequence[ApiKey]:
        """Forget every key of the ring and erase their secrets, whatever their state, environment and provider; those
        that were forgotten. `confirm` is the account's name, so that no slip does it. At the provider nothing is done
        (`guide("delete-all", …)`).
        """
        return self._gateway._run(
            flows.keys.delete_all(self._core, account, confirm=confirm, actor=by or process_user(), seconds=deadline)
        )

    def reveal(
        self, label: str, *, account: str, reason: str | None = None, by: str | None = None
    ) -> Mapping[str, Secret]:
        """The parts of a key, read back from the vault. It is in the audit before they are given out."""
        return self._gateway._run(
            flows.keys.reveal(self._core, account, label, actor=by or process_user(), reason=reason)
        )

    def audit(self, *, account: str | None = None, label: str | None = None, limit: int = 100) -> Sequence[KeyAudit]:
        """What was done with keys: who, when and what, the latest first."""
        return self._gateway._run(flows.keys.audit(self._core, account, label, limit))


class Journal(_Namespace):
    """What was sent and how it ended. Entries of unknown outcome wait here for a person."""

    def list(
        self, *, states: Sequence[JournalState | str] | None = None, account: str | None = None, limit: int = 100
    ) -> Sequence[JournalEntry]:
        """Entries, newest first. Those whose sender died before it had an answer are found as unknown."""
        from gateway.store.journal import JournalState

        wanted = tuple(JournalState(state) for state in states) if states is not None else None
        return self._gateway._run(flows.settling.entries(self._core, states=wanted, account=account, limit=limit))

    def show(self, reference: str) -> Sequence[JournalEntry]:
        """Every entry of a reference, oldest first; empty when there is none."""
        return self._gateway._run(flows.settling.find(self._core, reference))

    def settle(
        self,
        reference: str,
        *,
        outcome: Literal["done", "failed"],
        reason: str,
        by: str | None = None,
        operation: str | None = None,
        scope: str | None = None,
        provider_id: str | None = None,
    ) -> JournalEntry:
        """Record what a person found out at the provider about an unknown write. Sends nothing.

        Where several entries of the reference are unknown, `operation` and `scope` say which: the scope is the number
        of an order's attempt, or the account of a customer.

        `failed` says that nothing was done: the reference ends as refused. `done` needs the provider's number
        wherever the thing is followed further (orders, trades, customers, cards).
        """
        return self._gateway._run(
            flows.settling.settle(
                self._core,
                reference,
                outcome=outcome,
                reason=reason,
                by=by or process_user(),
                operation=operation,
                scope=scope,
                provider_id=provider_id,
            )
        )


class Events(_Namespace):
    """What happened, numbered in order. Handlers (`on`) are called with it; whoever polls keeps a cursor."""

    def since(
        self,
        cursor: int = 0,
        *,
        types: Sequence[str] | None = None,
        subject: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Event]:
        """The events after number `cursor` that there are now, oldest first: all, or `limit` of them.

        The `id` of the last one that was dealt with is the cursor of the next call; none is ever inserted before it.
        `types` as for `on`; `subject` is one thing, such as `order cart-1001`.
        """
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            found = self._gateway._run(
                flows.delivering.read(self._core, cursor=cursor, types=types, subject=subject, limit=size)
            )
            for event in found:  # noqa: UP028 - an async generator has no `yield from`
                yield event
            if len(found) < size:
                return
            cursor, left = found[-1].id, None if left is None else left - size

    def latest(
        self, limit: int = 20, *, types: Sequence[str] | None = None, subject: str | None = None
    ) -> Sequence[Event]:
        """The newest events, `limit` of them, oldest first."""
        return self._gateway._run(flows.delivering.latest(self._core, types=types, subject=subject, limit=limit))

    def handlers(self) -> Sequence[HandlerState]:
        """Every handler that is registered here or known to the store: how far it is, what waits, what is dead."""
        return self._gateway._run(flows.delivering.handlers(self._core))

    def dead(self, *, handler: str | None = None, limit: int = 100) -> Sequence[Delivery]:
        """What handlers failed at for good, newest event first, with the error of the last try."""
        return self._gateway._run(flows.delivering.dead(self._core, handler=handler, limit=limit))

    def replay(
        self,
        *,
        handler: str | None = None,
        events: Sequence[int] | None = None,
        subject: str | None = None,
        done: bool = False,
    ) -> int:
        """Have dead deliveries made again, all or those of a handler, of these events or of a subject; how many.

        `done` replays those that succeeded too: of one handler, and only named events or a subject. A worker makes
        them, also when later events of the same subject were delivered before. Raises NotFound for no such handler.
        """
        return self._gateway._run(
            flows.delivering.replay(self._core, handler=handler, numbers=events, subject=subject, done_too=done)
        )


class Store(_Namespace):
    """The gateway's own database, as far as it needs a person."""

    def restores(self) -> Sequence[Restore]:
        """Every time that the store was found, or said, to be restored from an older state; newest first."""
        return self._gateway._run(flows.keeping.restores(self._core))

    def restored(self, *, reason: str, by: str | None = None) -> Restore:
        """Record that the store was restored, where it cannot notice: a snapshot of a whole volume that was put back
        looks like a machine that was switched off. Until `accept_restore`, no money leaves.
        """
        return self._gateway._run(flows.keeping.note(self._core, reason=reason, by=by or process_user()))

    def accept_restore(self, *, reason: str, by: str | None = None) -> Sequence[Restore]:
        """Let money leave again after a restore. Compare the store with the providers first, and settle what is
        unknown: whatever was sent after the restored state was taken is in no journal, and would be sent again.

        Raises NotFound when there is nothing to accept.
        """
        return self._gateway._run(flows.keeping.accept(self._core, reason=reason, by=by or process_user()))

    def prune(self, *, older_than: timedelta, dry_run: bool = False) -> Mapping[str, int]:
        """Drop the payloads of what ended longer ago than that: providers' raw answers, bodies of callbacks, deliveries
        that were made, choices of routes. Every row about money stays. Returns how many of each; `dry_run` only counts.
        """
        return self._gateway._run(flows.keeping.prune(self._core, older_than=older_than, dry_run=dry_run))


class Callbacks(_Namespace):
    """What providers send when something has changed: taken in at once, processed outside of the request.

    `gateway.callbacks.asgi` and `.wsgi` are applications around this.
    """

    @cached_property
    def _intake(self) -> Intake:
        from gateway.callbacks.intake import Intake

        return Intake(self._core)

    def receive(
        self,
        *,
        method: str,
        url: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]],
        body: bytes,
        client: str | None = None,
    ) -> int:
        """Take one callback in, and return the status to answer with, without a body: 200 when it is recorded, 404
        for whatever is not admitted, 503 when the store cannot be used.

        `url` is as it was called, whole or from its path on; `client` is who is connected. Reads no order: that is
        `process`. Raises ConfigurationError when `public_base_url` or `callback_key` is missing.
        """
        from urllib.parse import unquote, urlsplit

        try:
            parts = urlsplit(url)
        except ValueError:
            return 404
        admitted = self._intake.admitted(method, unquote(parts.path))
        if admitted is None or len(body) > self._intake.body_limit:
            return 404
        return self._gateway._run(
            self._intake.take(admitted, query=parts.query, headers=headers, body=body, peer=client)
        )

    def process(self) -> int:
        """Process what is due now: how many attempts were looked at. For shops without a worker, and for tests.

        What cannot be read now is put off and due again later. May be repeated, and by several processes at once.
        """
        return self._gateway._run(flows.callbacks.process_due(self._core))

    def list(
        self,
        *,
        state: CallbackState | str | None = None,
        account: str | None = None,
        reference: str | None = None,
        limit: int = 100,
    ) -> Sequence[Callback]:
        """The inbox, newest first; `reference` is an order's."""
        from gateway.store.inbox import CallbackState

        wanted = CallbackState(state) if state is not None else None
        return self._gateway._run(
            flows.callbacks.page(self._core, state=wanted, account=account, reference=reference, limit=limit)
        )

    def show(self, callback_id: int) -> Callback:
        """One callback of the inbox. Raises NotFound."""
        return self._gateway._run(flows.callbacks.load(self._core, callback_id))
