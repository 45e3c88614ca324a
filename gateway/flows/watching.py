"""Looking again at what can still change: orders, payouts, refunds and trades.

What is due stands in the store (`gateway.store.watches`), when it is due again says `gateway.flows.schedule`. A reading
ends where a callback ends, in `orders.take_over`. Where a provider shows an order only in its customer's list, one walk
through the list is a reading of all that is due of that customer. That something is not shown proves nothing: it is
reported, and never settled by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.accounts import OpenAccount
from gateway.contracts import ListsOpenTrades, ListsOrders, ListsTradeHistory, Query, ReadsOrders
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
from gateway.flows import matching, orders, refunds, trades, withdrawals
from gateway.flows.schedule import HOPELESS, Seen, after_failure, next_look, rest_after
from gateway.models.base import Environment, Page
from gateway.models.orders import Order, OrderStatus, ProviderOrder
from gateway.models.trades import TradeStatus
from gateway.store import customers, walks, watches
from gateway.store import orders as order_store
from gateway.store import refunds as refund_store
from gateway.store import trades as trade_store
from gateway.store import withdrawals as withdrawal_store
from gateway.store.snapshots import dump
from gateway.store.watches import Shown, Waiting, Watch

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Look", "due", "look"]

T = TypeVar("T")

LOOK_SECONDS = 10.0
"""How long one call may take. A poll has time: what cannot be read now is read later."""
PAGE_SIZE = 100
PAGES_A_LOOK = 20
"""A longer list is gone on with in the next look, so that no job takes for ever."""
WARN_AFTER = 4
"""Times in a row that something failed, or was not shown; told again when the number has doubled."""
FULL_WALK_AFTER = 2
"""What was absent so often is looked for to the end of the list, however old the rows there are."""
_CHUNK = 200
_STALE_WALK = timedelta(hours=1)
_CLOCK_SET_BACK = timedelta(seconds=30)
_NEVER_ASKED = timedelta(days=1)
_FILL_LOOKS = 5

# Said by the account as it is set up, not by a provider: only a person changes it.
_CANNOT = (ConfigurationError, UnsupportedOperation, UnverifiedOperation)
# Failures that are about the account as a whole: everything else of it would fail as well.
_CIRCUMSTANCES = (RateLimited, ProviderUnavailable, AuthenticationFailed, PermissionDenied)


@dataclass(frozen=True, slots=True)
class Look:
    """One look that may be taken now. `key` is what `look` takes; looks of one `lock` are taken one at a time."""

    key: str
    lock: str
    account: str


def due(core: Core, connection: Connection, now: datetime, limit: int) -> list[Look]:
    """What may be looked at now, the unknown first, then what waits longest; no more of an account than its key has
    calls for. Only reads.
    """
    rests = walks.load_rests(connection)
    found: list[tuple[watches.Due, str]] = []
    for account in core.accounts.values():
        rest = rests.get(account.name)
        room = min(limit, _room(connection, account, limit))
        if rest is not None and rest.failures:
            room = min(room, 1)  # one look finds out whether it can be reached again
        if room > 0 and not (rest is not None and rest.holds(now)):
            batches = account.adapter.reads_orders_from_lists
            here = watches.due(connection, account.name, account.environment, now, room, batches=batches)
            found += [(one, account.name) for one in here]
    found.sort(key=lambda one: (one[0].rank, one[0].next_at))
    return [*_strays(core, connection), *(_named(one, account) for one, account in found)][:limit]


def look(core: Core, key: str) -> Flow[bool]:
    """Take one look. False when there was nothing to do: it is not due any more, or the key has no calls left.

    What the provider's failures mean is recorded here; only failures of the store come out.
    """
    kind, _, rest = key.partition("/")
    if kind == "list":
        account, _, customer = rest.partition("/")
        return (yield from _walk(core, account, customer))
    if kind == "stray":
        account, _, environment = rest.partition("/")
        return (yield from _report_stray(core, account, Environment(environment)))
    number, _, reference = rest.partition("/")
    return (yield from _look_at(core, kind, reference, int(number)))


def _named(one: watches.Due, account: str) -> Look:
    if one.batch:
        return Look(f"list/{account}/{one.batch}", f"list {account} {one.batch}", account)
    return Look(f"{one.kind}/{one.number}/{one.reference}", f"{one.kind} {one.reference}", account)


def _room(connection: Connection, account: OpenAccount, limit: int) -> int:
    """How many calls of the key may be used for polling now: half are left to the merchant's own."""
    if account.rate_limit is None:
        return limit
    return (account.free_calls(connection) or 0) - account.rate_limit.requests // 2


# One thing


def _look_at(core: Core, kind: str, reference: str, number: int) -> Flow[bool]:
    def load(connection: Connection) -> tuple[Watch | None, walks.Rest | None]:
        watch = watches.load(connection, kind, reference, number)
        return watch, walks.load_rest(connection, watch.account) if watch is not None else None

    known, rest = yield from transact(load)
    account = core.accounts.get(known.account) if known is not None else None
    if known is None or account is None or account.environment is not known.environment:
        return False
    if not known.is_due(core.now()) or (rest is not None and rest.holds(core.now())):
        return False
    try:
        yield from _LOOKS[kind](core, account, known)
    except StoreError:
        raise
    except _CANNOT as error:
        yield from _cannot(core, known, error.message)
    except GatewayError as error:
        failures = known.failures + 1
        message, when = error.message, core.now() + after_failure(failures)
        if failures >= WARN_AFTER and _is_power_of_two(failures):
            log.warning("%s could not be read %s times: %s", _words(known), failures, error)
        return (
            yield from _trouble(
                core,
                account,
                error,
                lambda connection: watches.failed(connection, [(known, when)], message, core.now()),
            )
        )
    return True


def _order(core: Core, account: OpenAccount, watch: Watch) -> Flow[None]:
    order = yield from transact(lambda connection: order_store.load_order(connection, watch.reference))
    attempt = next((one for one in order.attempts if one.number == watch.number), None) if order else None
    if order is None or attempt is None:
        yield from transact(lambda connection: watches.forget(connection, watch.kind, watch.reference, watch.number))
        return
    now, number = core.now(), attempt.provider_id
    expires_at = attempt.order.expires_at if attempt.order else None
    when = _when(core, account, watch, attempt.status, expires_at, numbered=number is not None)
    if when is None or (when > now and watch.looked_at <= now):
        # A callback has told of it meanwhile, or is still expected to.
        yield from transact(lambda connection: watches.postpone(connection, watch, when, now))
        return
    if number is None:
        yield from _search(core, account, watch, order)
        return
    account.require("orders.get")
    read_at = core.now()
    seen = yield from _read(core, account, "orders.get", lambda: account.able(ReadsOrders).get_order(number))
    yield from _kept(core, account, lambda connection: _keep(core, connection, account, {number: seen}, read_at))


def _withdrawal(core: Core, account: OpenAccount, watch: Watch) -> Flow[None]:
    found = yield from transact(lambda connection: withdrawal_store.load_withdrawal(connection, watch.reference))
    if found is not None and not found.status.is_final:
        if found.provider_id is None or not account.capabilities.variants("withdrawals.get"):
            yield from _cannot(core, watch, "the provider tells no number of it, or has no call to read it")
            return
        yield from withdrawals.get(core, watch.reference, refresh=True, seconds=LOOK_SECONDS, background=True)
        found = yield from transact(lambda connection: withdrawal_store.load_withdrawal(connection, watch.reference))
    yield from _done(core, account, watch, over=found is None or found.status.is_final)


def _refund(core: Core, account: OpenAccount, watch: Watch) -> Flow[None]:
    found = yield from transact(lambda connection: refund_store.load_refund(connection, watch.reference))
    if found is not None and not found.status.is_final:
        account.require("orders.get")
        found = yield from refunds.get(core, watch.reference, refresh=True, seconds=LOOK_SECONDS, background=True)
    yield from _done(core, account, watch, over=found is None or found.status.is_final)


def _trade(core: Core, account: OpenAccount, watch: Watch) -> Flow[None]:
    found = yield from transact(lambda connection: trade_store.load_trade(connection, watch.reference))
    if found is not None and found.status is not TradeStatus.FILLED:
        if found.provider_id is None:
            yield from _search_trades(core, account, watch)
            return
        account.require("trades.get")
        found = yield from trades.get(core, watch.reference, refresh=True, seconds=LOOK_SECONDS, background=True)
    over = found is None or found.status is TradeStatus.FILLED
    if found is not None and found.status is TradeStatus.CANCELLED:
        over = found.filled is not None or watch.looks >= _FILL_LOOKS
        if found.filled is None and over:
            log.warning("%s is cancelled, and the provider does not say how much was filled before", _words(watch))
    yield from _done(core, account, watch, over=over)


_LOOKS: Mapping[str, Callable[[Core, OpenAccount, Watch], Flow[None]]] = {
    "order": _order,
    "withdrawal": _withdrawal,
    "refund": _refund,
    "trade": _trade,
}


def _done(core: Core, account: OpenAccount, watch: Watch, *, over: bool) -> Flow[None]:
    """It was read, and is looked at again at its time unless it is over."""

    def work(connection: Connection) -> None:
        now = core.now()
        known = watches.load(connection, watch.kind, watch.reference, watch.number)
        if known is not None:
            times = Seen(since=min(known.since, now), looked_at=now)
            when = None if over else next_look(times, core.settings.watch)
            watches.looked(connection, [(known, when)], now)

    yield from _kept(core, account, work)


def _cannot(core: Core, watch: Watch, why: str) -> Flow[None]:
    """The provider cannot be asked. It is said once, and looked at once a day whether that has changed."""
    now = core.now()
    if watch.error != why:
        todo = (
            f"look at the provider, then `gateway journal settle {watch.reference} --as done|failed --reason …`"
            if watch.rank == 0
            else "look at the provider's dashboard"
        )
        log.warning("%s cannot be followed: %s; %s", _words(watch), why, todo)
    when = None if now - watch.made_at > HOPELESS else now + _NEVER_ASKED
    yield from transact(lambda connection: watches.postpone(connection, watch, when, now, error=why))


# Lists


def _walk(core: Core, name: str, customer: str) -> Flow[bool]:
    """Read the customer's list as far as something is due that it has not shown yet."""
    account = core.accounts.get(name)
    if account is None:
        return False
    here, started = (name, account.environment, customer), core.now()

    def begin(connection: Connection) -> tuple[str | None, datetime, str | None] | None:
        rest = walks.load_rest(connection, name)
        if rest is not None and rest.holds(started):
            return None
        walk = walks.load_walk(connection, *here)
        if walk is not None and started - _STALE_WALK <= walk.began_at <= started + _CLOCK_SET_BACK:
            if watches.waits(connection, *here, now=started, since=walk.began_at):
                return walk.cursor, walk.began_at, customers.provider_id(connection, name, customer)
            walks.end_walk(connection, *here)
        if not watches.waits(connection, *here, now=started, since=started):
            return None
        return None, started, customers.provider_id(connection, name, customer)

    begun = yield from transact(begin)
    if begun is None:
        return False
    cursor, began_at, provider_customer = begun
    if provider_customer is None:
        return (yield from _one_by_one(core, here, started))
    resumed, newest_first = cursor is not None, _NewestFirst()
    try:
        account.require("orders.list")
        for _ in range(PAGES_A_LOOK):
            page, read_at = (yield from _page(core, account, provider_customer, cursor)), core.now()
            oldest = newest_first.oldest(page.items)

            def keep(
                connection: Connection,
                page: Page[ProviderOrder] = page,
                oldest: datetime | None = oldest,
                read_at: datetime = read_at,
            ) -> bool:
                unlinked = _keep(core, connection, account, _by_number(page.items), read_at)
                _suggest(connection, account, unlinked, batch=customer)
                goes_on = page.next is not None and watches.waits(
                    connection,
                    *here,
                    now=started,
                    since=began_at,
                    made_before=None if oldest is None else oldest + matching.CLOCKS_DIFFER,
                    patience=FULL_WALK_AFTER,
                )
                if goes_on and page.next is not None:
                    walks.go_on(connection, *here, page.next, began_at)
                else:
                    walks.end_walk(connection, *here)
                return goes_on

            if not (yield from _kept(core, account, keep)):
                break
            cursor, resumed = page.next, False
        else:
            return True
    except StoreError:
        raise
    except GatewayError as error:
        return (yield from _walk_failed(core, account, customer, began_at, started, error, resumed=resumed))
    yield from _absent(core, account, customer, began_at, started)
    return True


def _one_by_one(core: Core, here: tuple[str, Environment, str], now: datetime) -> Flow[bool]:
    """The orders of a customer whose number at the provider is not known here."""
    some = yield from transact(lambda c: watches.waiting(c, *here, now=now, since=now, limit=PAGES_A_LOOK))
    for one in some:
        yield from _look_at(core, one.watch.kind, one.watch.reference, one.watch.number)
    return bool(some)


def _absent(core: Core, account: OpenAccount, customer: str, since: datetime, now: datetime) -> Flow[None]:
    """What was due and was not shown. It is looked for again, less and less often."""

    def work(connection: Connection) -> list[Waiting]:
        left = watches.waiting(
            connection, account.name, account.environment, customer, now=now, since=since, limit=_CHUNK
        )
        later = core.now()
        for one in left:
            numbered = one.provider_id is not None
            when = _when(core, account, one.watch, one.status, None, numbered=numbered, looked_at=later)
            if when is not None and numbered:
                when = max(when, later + after_failure(one.watch.absences + 1))
            watches.postpone(connection, one.watch, when, later, looked=not numbered, absent=numbered)
        return left

    left = yield from transact(work)
    while left:
        for one in left:
            absences = one.watch.absences + 1
            if one.provider_id is not None and absences >= WARN_AFTER and _is_power_of_two(absences):
                log.warning(
                    "%s: the provider's list has not shown it %s times, which proves nothing; look at its dashboard",
                    _words(one.watch),
                    absences,
                )
        left = yield from transact(work)


def _walk_failed(
    core: Core,
    account: OpenAccount,
    customer: str,
    began_at: datetime,
    started: datetime,
    error: GatewayError,
    *,
    resumed: bool,
) -> Flow[bool]:
    def note(connection: Connection) -> None:
        here = account.name, account.environment, customer
        if resumed or not isinstance(error, _CIRCUMSTANCES):
            walks.end_walk(connection, *here)  # where it was to go on may be what was not understood
        watches.failed_together(
            connection, *here, now=started, since=began_at, error=error.message, at=_retry(connection, here)
        )

    def _retry(connection: Connection, here: tuple[str, Environment, str]) -> datetime:
        first = watches.waiting(connection, *here, now=started, since=began_at, limit=1)
        return core.now() + after_failure(first[0].watch.failures + 1 if first else 1)

    if isinstance(error, _CANNOT):
        log.warning("the orders of %s at %s cannot be followed: %s", customer, account.name, error)
    elif not isinstance(error, _CIRCUMSTANCES):
        log.warning("the orders of %s at %s could not be read: %s", customer, account.name, error)
    return (yield from _trouble(core, account, error, note))


class _NewestFirst:
    """Whether a list is ordered by age, which nobody promises: found out from its rows."""

    def __init__(self) -> None:
        self._holds = True
        self._first: datetime | None = None
        self._last: datetime | None = None

    def oldest(self, items: Sequence[ProviderOrder]) -> datetime | None:
        """The age that all further rows have at least; None while the order is not certain."""
        for item in items:
            if item.created_at is None or (self._last is not None and item.created_at > self._last):
                self._holds = False
                break
            self._first, self._last = self._first or item.created_at, item.created_at
        if not self._holds or self._first is None or self._last is None or self._first == self._last:
            return None
        return self._last


# What has no number


def _search(core: Core, account: OpenAccount, watch: Watch, order: Order) -> Flow[None]:
    """Read the provider's list as far back as the order was asked for, for what may be it. One search serves all
    orders that have no number and are younger.
    """
    account.require("orders.list")
    cursor, newest_first, asked_at = None, _NewestFirst(), watch.made_at
    customer = order.customer if account.adapter.reads_orders_from_lists else None
    provider_customer = yield from orders.customer_at(account, customer)
    for _ in range(PAGES_A_LOOK):
        page = yield from _page(core, account, provider_customer, cursor)
        oldest = newest_first.oldest(page.items)

        def keep(connection: Connection, page: Page[ProviderOrder] = page) -> None:
            known = watches.shown(connection, account.name, account.environment, _by_number(page.items))
            linked = {one.provider_id for one in known}
            _suggest(connection, account, [seen for seen in page.items if seen.provider_id not in linked])

        yield from _kept(core, account, keep)
        cursor = page.next
        if cursor is None or (oldest is not None and oldest < asked_at - matching.CLOCKS_DIFFER):
            break

    def searched(connection: Connection) -> None:
        now = core.now()
        for other in watches.numberless(
            connection, account.name, account.environment, asked_since=asked_at, limit=_CHUNK
        ):
            if other.watch.id == watch.id or other.watch.is_due(now):
                when = _when(core, account, other.watch, other.status, None, numbered=False, looked_at=now)
                watches.postpone(connection, other.watch, when, now, looked=True)

    yield from transact(searched)


def _suggest(
    connection: Connection, account: OpenAccount, unlinked: Iterable[ProviderOrder], *, batch: str | None = None
) -> None:
    """Keep which of these orders, that belong to no attempt, may be one whose number is not known."""
    unlinked = list(unlinked)
    if not unlinked:
        return
    for one in watches.numberless(connection, account.name, account.environment, batch=batch, limit=_CHUNK):
        watch = one.watch
        request = order_store.load_request(connection, watch.reference)
        wanted = matching.Wanted(watch.reference, watch.number, request, watch.made_at)
        before = {match["provider_id"]: match for match in watch.found or ()}
        now = {match["provider_id"]: match for match in map(matching.told, matching.likely(wanted, unlinked))}
        if not now.keys() - before.keys():
            continue
        taken = watches.shown(connection, account.name, account.environment, before)
        for linked in taken:
            before.pop(linked.provider_id)
        watches.keep_found(connection, watch, [*now.values(), *(before[key] for key in before.keys() - now.keys())])
        numbers = ", ".join(sorted(now.keys() | before.keys()))
        todo = (
            f"`gateway journal settle {watch.reference} --operation orders.create --as done --provider-id … --reason …`"
            if watch.rank == 0
            else f"`gateway orders link {watch.reference} …`"
        )
        log.warning("%s may be the provider's %s: look there, then %s", _words(watch), numbers, todo)


def _search_trades(core: Core, account: OpenAccount, watch: Watch) -> Flow[None]:
    """Read the open and the last finished exchange orders, for what may be this one."""
    account.require("trades.open")
    rows = list(
        (
            yield from _read(
                core,
                account,
                "trades.open",
                lambda: account.able(ListsOpenTrades).list_open_trades(Query(size=PAGE_SIZE)),
            )
        ).items
    )
    account.require("trades.history")
    rows += (
        yield from _read(
            core,
            account,
            "trades.history",
            lambda: account.able(ListsTradeHistory).list_trade_history(Query(size=PAGE_SIZE)),
        )
    ).items

    def keep(connection: Connection) -> list[dict[str, Any]]:
        asked = trade_store.load_trade(connection, watch.reference)
        likely = [
            seen
            for seen in (matching.likely_trades(asked, watch.made_at, rows) if asked else ())
            if seen.provider_id and trade_store.find_trade(connection, account.name, seen.provider_id) is None
        ]
        found = [matching.told(seen) for seen in likely]
        now = core.now()
        when = next_look(Seen(since=min(watch.since, now), looked_at=now), core.settings.watch)
        watches.postpone(connection, watch, when, now, looked=True, found=found)
        return found

    found = yield from _kept(core, account, keep)
    if found and found != watch.found:
        numbers = ", ".join(match["provider_id"] for match in found)
        log.warning(
            "%s may be the provider's %s: look there, then `gateway journal settle %s --as done --provider-id … "
            "--reason …`",
            _words(watch),
            numbers,
            watch.reference,
        )


# Reading and keeping


def _read(core: Core, account: OpenAccount, operation: str, make: Callable[[], Operation[T]]) -> Flow[T]:
    run = Performance(account, operation, core.deadline(LOOK_SECONDS, account), background=True)
    return (yield from perform(run, Begun(make())))


def _page(core: Core, account: OpenAccount, customer: str | None, cursor: str | None) -> Flow[Page[ProviderOrder]]:
    query = Query(cursor=cursor, size=PAGE_SIZE, customer=customer)
    return (yield from _read(core, account, "orders.list", lambda: account.able(ListsOrders).list_orders(query)))


def _by_number(items: Iterable[ProviderOrder]) -> dict[str, ProviderOrder]:
    return {item.provider_id: item for item in items if item.provider_id is not None}


def _keep(
    core: Core,
    connection: Connection,
    account: OpenAccount,
    seen: Mapping[str, ProviderOrder],
    read_at: datetime,
) -> list[ProviderOrder]:
    """Let the attempts follow what was read, and set when each is read again. Returns what belongs to no attempt."""
    known = watches.shown(connection, account.name, account.environment, seen)
    news = [one for one in known if _is_news(one, seen[one.provider_id])]
    for one in news:
        try:
            with connection.begin_nested():
                orders.take_over(core, connection, one.reference, one.number, seen[one.provider_id], read_at=read_at)
        except StoreError as error:
            if error.retryable:
                raise
            log.warning("order %s at %s was read and could not be taken over: %s", one.reference, account.name, error)
        except GatewayError as error:
            # It must not keep the others of the page from being taken over.
            log.warning("order %s at %s was read and could not be taken over: %s", one.reference, account.name, error)
    if news:
        known = watches.shown(connection, account.name, account.environment, seen)
    now = core.now()
    looks = []
    for one in known:
        if one.watch is not None:
            expires_at = (one.snapshot or {}).get("expires_at")
            when = _when(
                core,
                account,
                one.watch,
                OrderStatus(one.status),
                None if expires_at is None else datetime.fromisoformat(expires_at),
                numbered=True,
                looked_at=now,
            )
            looks.append((one.watch, when))
    watches.looked(connection, looks, now)
    linked = {one.provider_id for one in known}
    return [item for number, item in seen.items() if number not in linked]


def _is_news(known: Shown, seen: ProviderOrder) -> bool:
    """Whether the reading says anything that is not known. Most do not, and a list has a hundred of them."""
    if known.snapshot is None:
        return True
    said = dump(seen)
    for name in ("raw", "reference"):
        said.pop(name)
    warnings, pay, exceptions = said.pop("warnings"), said.pop("pay"), said.pop("exceptions")
    return (
        not set(exceptions) <= set(known.snapshot["exceptions"])
        or any(value not in (None, []) and known.snapshot.get(name) != value for name, value in said.items())
        or any(value is not None and known.snapshot["pay"].get(name) is None for name, value in pay.items())
        or not set(warnings) <= set(known.snapshot["warnings"])
    )


def _kept(core: Core, account: OpenAccount, work: Callable[[Connection], T]) -> Flow[T]:
    """Record what was read; the account can be reached, so its rest is over."""

    def both(connection: Connection) -> tuple[T, int]:
        return work(connection), walks.end_rest(connection, account.name)

    result, failures = yield from transact(both)
    if failures:
        log.info("%s can be reached again, after %s failures: polling goes on", account.name, failures)
    return result


def _when(
    core: Core,
    account: OpenAccount,
    watch: Watch,
    status: OrderStatus,
    expires_at: datetime | None,
    *,
    numbered: bool,
    looked_at: datetime | None = None,
) -> datetime | None:
    """When this attempt of an order is looked at next, were it last looked at then; None when it is over."""
    now, settings = core.now(), core.settings.watch
    if not numbered and watch.rank and now >= watch.made_at + settings.monitoring:
        return None  # the payer of a hosted page has never chosen how to pay
    seen = Seen(
        since=min(watch.since, now),
        looked_at=min(watch.looked_at, now) if looked_at is None else looked_at,
        expires_at=expires_at,
        final_at=None if watch.final_at is None else min(watch.final_at, now),
        expired=status is OrderStatus.EXPIRED,
        called_back=bool(core.settings.public_base_url and core.settings.callback_key and account.receives_callbacks),
    )
    return next_look(seen, settings)


# Trouble


def _trouble(core: Core, account: OpenAccount, error: GatewayError, note: Callable[[Connection], None]) -> Flow[bool]:
    """Record a failure, and let the account rest where everything else would fail as well.

    That the key has no calls left is no failure: False, and nothing is noted but when there is room again.
    """
    now = core.now()
    used_up = isinstance(error, RateLimited) and error.outcome is Outcome.NOT_SENT
    wait = timedelta(seconds=max(1.0, (error.retry_after if isinstance(error, RateLimited) else None) or 1.0))

    def work(connection: Connection) -> int:
        rest = walks.load_rest(connection, account.name)
        failures = rest.failures if rest else 0
        if used_up:
            walks.rest(connection, account.name, until=now + wait, failures=failures, error="no calls left", now=now)
            return 0
        note(connection)
        if not isinstance(error, _CIRCUMSTANCES) or (rest is not None and rest.failures and rest.until > now):
            return 0  # of several at once, the first has told
        failures += 1
        until = now + max(rest_after(failures), wait)
        walks.rest(connection, account.name, until=until, failures=failures, error=error.message, now=now)
        return failures

    failures = yield from transact(work)
    if failures and _is_power_of_two(failures):
        log.warning("polling %s fails (%s in a row), everything watched there waits: %s", account.name, failures, error)
    return not used_up


def _strays(core: Core, connection: Connection) -> list[Look]:
    """What is watched at accounts that are not there any more, as long as nobody has been told."""
    found = []
    for name, environment in watches.places(connection):
        account = core.accounts.get(name)
        if account is not None and account.environment is environment:
            continue
        if walks.report_once(connection, _stray(name, environment), write=False):
            found.append(Look(f"stray/{name}/{environment}", f"stray {name}", name))
    return found


def _report_stray(core: Core, name: str, environment: Environment) -> Flow[bool]:
    first = yield from transact(lambda connection: walks.report_once(connection, _stray(name, environment)))
    if first:
        account = core.accounts.get(name)
        why = "is not configured any more" if account is None else f"is {account.environment} now"
        log.warning(
            "orders, payouts, refunds or trades are still watched at the account %s (%s), which %s: they are not "
            "read until it is configured as it was",
            name,
            environment,
            why,
        )
    return first


def _stray(name: str, environment: Environment) -> str:
    return f"stray {name} {environment}"


def _words(watch: Watch) -> str:
    what = {"withdrawal": "payout"}.get(watch.kind, watch.kind)
    attempt = f", attempt {watch.number}" if watch.number > 1 else ""
    return f"{what} {watch.reference}{attempt} at {watch.account}"


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
