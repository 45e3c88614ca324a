"""What all looks at one account share: reading in the background, keeping what was read, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from gateway.accounts import OpenAccount
from gateway.contracts import ListsOrders, Query
from gateway.core import Core, log
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import (
    AuthenticationFailed,
    ConfigurationError,
    GatewayError,
    Outcome,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
    StoreError,
    UnsupportedOperation,
    UnverifiedOperation,
)
from gateway.exchange import Operation
from gateway.flows import orders
from gateway.flows.schedule import Seen, next_look, rest_after
from gateway.models.base import Page
from gateway.models.orders import OrderStatus, ProviderOrder
from gateway.store import lists, rests, watches
from gateway.store.lists import Shown
from gateway.store.snapshots import dump
from gateway.store.watches import Watch

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "CANNOT",
    "CIRCUMSTANCES",
    "LOOK_SECONDS",
    "PAGE_SIZE",
    "Polling",
    "by_number",
    "is_told",
    "room",
    "words",
]

T = TypeVar("T")

LOOK_SECONDS = 10.0
"""How long one call may take. A poll has time: what cannot be read now is read later."""
PAGE_SIZE = 100
WARN_AFTER = 4
"""Times in a row that something failed, or was not shown, before it is told."""
STARVED_AFTER = timedelta(minutes=1)

# Said of the account as it is set up: repeating is of no use.
CANNOT = (ConfigurationError, UnsupportedOperation, UnverifiedOperation)
# About the account as a whole: everything else of it would fail as well.
CIRCUMSTANCES = (RateLimited, ProviderUnavailable, AuthenticationFailed, PermissionDenied)


def room(account: OpenAccount, connection: Connection, now: datetime, limit: int) -> int:
    """How many calls of the keys may be used for polling now, at most `limit`: half are left to the merchant's own."""
    free, in_all = account.free_calls(connection), account.all_calls()
    if free is None or in_all is None:
        return limit
    left = free - in_all // 2
    if left <= 0 < free and _starves(account, connection, now):
        return 1
    return min(left, limit)


def _starves(account: OpenAccount, connection: Connection, now: datetime) -> bool:
    """Whether the merchant's own calls have left none for so long that one is taken all the same."""
    return watches.neglected(connection, account.name, account.environment, now - STARVED_AFTER)


@dataclass(frozen=True, slots=True)
class Polling:
    """A look at something of this account. In the `background` it leaves half of the key's calls to others."""

    core: Core
    account: OpenAccount
    background: bool

    @classmethod
    def begin(cls, core: Core, account: OpenAccount, connection: Connection) -> Polling | None:
        """One that may look now; None while the account rests."""
        now = core.now()
        rest = rests.load_rest(connection, account.name)
        if rest is not None and rest.holds(now):
            return None
        return cls(core, account, account.rate_limit is None or not _starves(account, connection, now))

    def read(self, operation: str, make: Callable[[], Operation[T]]) -> Flow[T]:
        """One call, now or not at all. Raises what the provider's failures are."""
        deadline = self.core.deadline(LOOK_SECONDS, self.account)
        run = Performance(self.account, operation, deadline, background=self.background)
        return (yield from perform(run, Begun(make())))

    def page(self, customer: str | None, cursor: str | None) -> Flow[Page[ProviderOrder]]:
        """A page of the provider's orders. `customer` is the provider's number of one."""
        query = Query(cursor=cursor, size=PAGE_SIZE, customer=customer)
        return (yield from self.read("orders.list", lambda: self.account.able(ListsOrders).list_orders(query)))

    def keep(self, connection: Connection, seen: Mapping[str, ProviderOrder], read_at: datetime) -> list[ProviderOrder]:
        """Let the attempts follow what was read, and set when each is read again. Returns what belongs to none."""
        here = self.account.name, self.account.environment
        known = lists.shown(connection, *here, seen)
        news = [one for one in known if _is_news(one, seen[one.provider_id])]
        for one in news:
            self._take_over(connection, one, seen[one.provider_id], read_at)
        if news:
            known = lists.shown(connection, *here, seen)
        now = self.core.now()
        looked = []
        for one in known:
            if one.watch is not None:
                expires_at = (one.snapshot or {}).get("expires_at")
                expires_at = None if expires_at is None else datetime.fromisoformat(expires_at)
                status = OrderStatus(one.status)
                looked.append((one.watch, self.when(one.watch, status, expires_at, numbered=True, looked_at=now)))
        watches.looked(connection, looked, now)
        linked = {one.provider_id for one in known}
        return [item for number, item in seen.items() if number not in linked]

    def _take_over(self, connection: Connection, known: Shown, seen: ProviderOrder, read_at: datetime) -> None:
        """One that cannot be kept must not keep the others of its page from it."""
        try:
            with connection.begin_nested():
                orders.take_over(self.core, connection, known.reference, known.number, seen, read_at=read_at)
        except GatewayError as error:
            if isinstance(error, StoreError) and error.retryable:
                raise
            log.warning(
                "order %s at %s was read and could not be taken over: %s", known.reference, self.account.name, error
            )

    def kept(self, work: Callable[[Connection], T]) -> Flow[T]:
        """Record what was read, in one transaction; the account can be reached, so its rest is over."""

        def both(connection: Connection) -> tuple[T, int]:
            return work(connection), rests.end_rest(connection, self.account.name)

        result, failures = yield from transact(both)
        if failures:
            log.info("%s can be reached again, after %s failures: polling goes on", self.account.name, failures)
        return result

    def when(
        self,
        watch: Watch,
        status: OrderStatus,
        expires_at: datetime | None,
        *,
        numbered: bool,
        looked_at: datetime | None = None,
    ) -> datetime | None:
        """When this attempt of an order is looked at next, were it last looked at then; None when that is over."""
        now, settings = self.core.now(), self.core.settings
        if not numbered and watch.rank and now >= watch.made_at + settings.watch.monitoring:
            return None  # the payer of a hosted page has never chosen how to pay
        seen = Seen(
            since=min(watch.since, now),
            looked_at=min(watch.looked_at, now) if looked_at is None else looked_at,
            expires_at=expires_at,
            final_at=None if watch.final_at is None else min(watch.final_at, now),
            expired=status is OrderStatus.EXPIRED,
            called_back=bool(settings.public_base_url and settings.callback_key and self.account.receives_callbacks),
        )
        return next_look(seen, settings.watch)

    def trouble(self, error: GatewayError, note: Callable[[Connection], None]) -> Flow[bool]:
        """Record a failure, and let the account rest where everything else of it would fail as well.

        That the key has no calls left is no failure: False, and it is only noted when there is room again.
        """
        now, name = self.core.now(), self.account.name
        used_up = isinstance(error, RateLimited) and error.outcome is Outcome.NOT_SENT
        wait = timedelta(seconds=max(1.0, (error.retry_after if isinstance(error, RateLimited) else None) or 1.0))

        def work(connection: Connection) -> int:
            rest = rests.load_rest(connection, name)
            failures = rest.failures if rest else 0
            if used_up:
                rests.rest(connection, name, until=now + wait, failures=failures, error="no calls left", now=now)
                return 0
            note(connection)
            if not isinstance(error, CIRCUMSTANCES) or (rest is not None and rest.failures and rest.holds(now)):
                return 0  # of several at once, the first has told
            until = now + max(rest_after(failures + 1), wait)
            rests.rest(connection, name, until=until, failures=failures + 1, error=error.message, now=now)
            return failures + 1

        failures = yield from transact(work)
        if failures and is_told(failures, first=1):
            log.warning("polling %s fails (%s in a row), everything watched there waits: %s", name, failures, error)
        return not used_up


def _is_news(known: Shown, seen: ProviderOrder) -> bool:
    """Whether the reading says anything that is not known. Most do not, and a page has a hundred of them."""
    if known.snapshot is None:
        return True
    said = dump(seen)
    for name in ("raw", "reference"):
        said.pop(name)
    warnings, pay, exceptions = said.pop("warnings"), said.pop("pay"), said.pop("exceptions")
    return (
        any(value not in (None, []) and known.snapshot.get(name) != value for name, value in said.items())
        or any(value is not None and known.snapshot["pay"].get(name) is None for name, value in pay.items())
        or not set(exceptions) <= set(known.snapshot["exceptions"])
        or not set(warnings) <= set(known.snapshot["warnings"])
    )


def by_number(items: Iterable[ProviderOrder]) -> dict[str, ProviderOrder]:
    return {item.provider_id: item for item in items if item.provider_id is not None}


def is_told(times: int, *, first: int = WARN_AFTER) -> bool:
    """Whether a person is told of something that happens again and again: each time that it has doubled."""
    return times >= first and times & (times - 1) == 0


def words(watch: Watch) -> str:
    """What a person calls it."""
    what = {"withdrawal": "payout"}.get(watch.kind, watch.kind)
    attempt = f", attempt {watch.number}" if watch.number > 1 else ""
    return f"{what} {watch.reference}{attempt} at {watch.account}"
