"""Looking again at what can still change: orders, payouts, refunds and trades.

What is due stands in the store (`gateway.store.watches`), when it is due again says `gateway.flows.schedule`. A reading
ends where a callback ends, in `orders.take_over`. Where a provider shows an order only in its customer's list, one walk
through the list is a reading of all that is due of that customer (`gateway.flows.walking`); what has no number at the
provider is searched for (`gateway.flows.searching`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.contracts import ReadsOrders
from gateway.core import Core, Telling, log
from gateway.engine.effects import Flow, transact
from gateway.errors import GatewayError, StoreError
from gateway.flows import refunds, trades, withdrawals
from gateway.flows.polling import CANNOT, LOOK_SECONDS, Polling, is_told, room, words
from gateway.flows.schedule import HOPELESS, Seen, after_failure, next_look
from gateway.flows.searching import search_orders, search_trades
from gateway.flows.walking import walk
from gateway.models.base import Environment
from gateway.models.trades import TradeStatus
from gateway.store import orders as order_store
from gateway.store import refunds as refund_store
from gateway.store import rests, watches
from gateway.store import trades as trade_store
from gateway.store import withdrawals as withdrawal_store
from gateway.store.watches import Watch

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Look", "due", "look"]

_NEVER_ASKED = timedelta(days=1)
_FILL_LOOKS = 5


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
    resting = rests.load_rests(connection)
    found: list[tuple[watches.Due, str]] = []
    for account in core.accounts.values():
        rest = resting.get(account.name)
        if rest is not None and rest.holds(now):
            continue
        # After failures one look finds out whether the account can be reached again.
        most = 1 if rest is not None and rest.failures else limit
        free = room(account, connection, now, most)
        if free > 0:
            here = account.name, account.environment
            batches = account.adapter.reads_orders_from_lists
            found += [(one, account.name) for one in watches.due(connection, *here, now, free, batches=batches)]
    found.sort(key=lambda one: (one[0].rank, one[0].next_at))
    return [*_strays(core, connection), *(_named(one, account) for one, account in found)][:limit]


def look(core: Core, key: str) -> Flow[bool]:
    """Take one look. False when there was nothing to do: it is not due any more, or the key has no calls left.

    What the provider's failures mean is recorded here; only failures of the store come out.
    """
    kind, _, rest = key.partition("/")
    name, _, reference = rest.partition("/")
    if kind == "stray":
        return (yield from _report_stray(core, name, Environment(reference)))
    if kind != "list":
        return (yield from _look_at(core, kind, reference, int(name)))
    done = yield from walk(core, name, reference)
    if isinstance(done, bool):
        return done
    for one in done:
        yield from _look_at(core, one.watch.kind, one.watch.reference, one.watch.number)
    return True


def _named(one: watches.Due, account: str) -> Look:
    if one.batch:
        return Look(f"list/{account}/{one.batch}", f"list {account} {one.batch}", account)
    return Look(f"{one.kind}/{one.number}/{one.reference}", f"{one.kind} {one.reference}", account)


def _look_at(core: Core, kind: str, reference: str, number: int) -> Flow[bool]:
    def begin(connection: Connection) -> tuple[Watch, Polling] | None:
        watch = watches.load(connection, kind, reference, number)
        account = core.accounts.get(watch.account) if watch is not None else None
        if watch is None or account is None or account.environment is not watch.environment:
            return None
        polling = Polling.begin(core, account, connection) if watch.is_due(core.now()) else None
        return None if polling is None else (watch, polling)

    begun = yield from transact(begin)
    if begun is None:
        return False
    watch, polling = begun
    told = Telling(core, "poll", kind, watch.account, subject=f"{kind} {reference}")
    try:
        yield from _LOOKS[kind](polling, watch)
    except StoreError:
        raise
    except CANNOT as error:
        told.ended("failed", type(error).__name__)
        yield from _cannot(core, watch, error.message)
    except GatewayError as error:
        told.ended("failed", type(error).__name__)
        failures, message = watch.failures + 1, error.message
        when = core.now() + after_failure(failures)
        if is_told(failures):
            log.warning("%s could not be read %s times: %s", words(watch), failures, error)
        return (
            yield from polling.trouble(
                error, lambda connection: watches.failed(connection, [(watch, when)], message, core.now())
            )
        )
    else:
        told.ended("done")
    return True


def _order(polling: Polling, watch: Watch) -> Flow[None]:
    core, account = polling.core, polling.account
    order = yield from transact(lambda connection: order_store.load_order(connection, watch.reference))
    attempt = next((one for one in order.attempts if one.number == watch.number), None) if order else None
    if order is None or attempt is None:
        yield from transact(lambda connection: watches.forget(connection, watch.kind, watch.reference, watch.number))
        return
    now, number = core.now(), attempt.provider_id
    expires_at = attempt.order.expires_at if attempt.order else None
    when = polling.when(watch, attempt.status, expires_at, numbered=number is not None)
    if when is None or (when > now and watch.looked_at <= now):
        # A callback has told of it meanwhile, or is still expected to.
        yield from transact(lambda connection: watches.postpone(connection, watch, when, now))
    elif number is None:
        yield from search_orders(polling, watch, order)
    else:
        account.require("orders.get")
        read_at = core.now()
        seen = yield from polling.read("orders.get", lambda: account.able(ReadsOrders).get_order(number))
        yield from polling.kept(lambda connection: polling.keep(connection, {number: seen}, read_at))


def _withdrawal(polling: Polling, watch: Watch) -> Flow[None]:
    core, reference = polling.core, watch.reference
    found = yield from transact(lambda connection: withdrawal_store.load_withdrawal(connection, reference))
    if found is not None and not found.status.is_final:
        if found.provider_id is None or not polling.account.capabilities.variants("withdrawals.get"):
            yield from _cannot(core, watch, "the provider tells no number of it, or has no call to read it")
            return
        found = yield from withdrawals.get(
            core, reference, refresh=True, seconds=LOOK_SECONDS, background=polling.background
        )
    yield from _done(polling, watch, over=found is None or found.status.is_final)


def _refund(polling: Polling, watch: Watch) -> Flow[None]:
    core, reference = polling.core, watch.reference
    found = yield from transact(lambda connection: refund_store.load_refund(connection, reference))
    if found is not None and not found.status.is_final:
        polling.account.require("orders.get")
        found = yield from refunds.get(
            core, reference, refresh=True, seconds=LOOK_SECONDS, background=polling.background
        )
    yield from _done(polling, watch, over=found is None or found.status.is_final)


def _trade(polling: Polling, watch: Watch) -> Flow[None]:
    core, reference = polling.core, watch.reference
    found = yield from transact(lambda connection: trade_store.load_trade(connection, reference))
    if found is not None and found.status is not TradeStatus.FILLED:
        if found.provider_id is None:
            yield from search_trades(polling, watch)
            return
        polling.account.require("trades.get")
        found = yield from trades.get(
            core, reference, refresh=True, seconds=LOOK_SECONDS, background=polling.background
        )
    over = found is None or found.status is TradeStatus.FILLED
    if found is not None and found.status is TradeStatus.CANCELLED:
        over = found.filled is not None or watch.looks >= _FILL_LOOKS
        if over and found.filled is None:
            log.warning("%s is cancelled, and the provider does not say how much was filled before", words(watch))
    yield from _done(polling, watch, over=over)


_LOOKS: Mapping[str, Callable[[Polling, Watch], Flow[None]]] = {
    "order": _order,
    "withdrawal": _withdrawal,
    "refund": _refund,
    "trade": _trade,
}


def _done(polling: Polling, watch: Watch, *, over: bool) -> Flow[None]:
    """It was read, and is looked at again at its time unless it is over."""

    def work(connection: Connection) -> None:
        now = polling.core.now()
        known = watches.load(connection, watch.kind, watch.reference, watch.number)
        if known is not None:
            times = Seen(since=min(known.since, now), looked_at=now)
            when = None if over else next_look(times, polling.core.settings.watch)
            watches.looked(connection, [(known, when)], now)

    yield from polling.kept(work)


def _cannot(core: Core, watch: Watch, why: str) -> Flow[None]:
    """The provider cannot be asked. It is said once, and looked at once a day whether that has changed."""
    now = core.now()
    if watch.error != why:
        todo = (
            f"look at the provider, then `gateway journal settle {watch.reference} --as done|failed --reason …`"
            if watch.rank == 0
            else "look at the provider's dashboard"
        )
        log.warning("%s cannot be followed: %s; %s", words(watch), why, todo)
    when = None if now - watch.made_at > HOPELESS else now + _NEVER_ASKED
    yield from transact(lambda connection: watches.postpone(connection, watch, when, now, error=why))


def _strays(core: Core, connection: Connection) -> list[Look]:
    """What is watched at accounts that are not there any more, as long as nobody has been told."""
    found = []
    for name, environment in watches.places(connection):
        account = core.accounts.get(name)
        if account is not None and account.environment is environment:
            continue
        if rests.report_once(connection, _stray(name, environment), write=False):
            found.append(Look(f"stray/{name}/{environment}", f"stray {name}", name))
    return found


def _report_stray(core: Core, name: str, environment: Environment) -> Flow[bool]:
    first = yield from transact(lambda connection: rests.report_once(connection, _stray(name, environment)))
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
