"""Reading a customer's list once for all that is due in it, where the provider shows its orders nowhere else.

A walk goes on until everything that is due was shown, which is the first page where the list begins with the newest. It
may take several looks: how far it has come is kept in the store.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from gateway.core import Core, Telling, log
from gateway.engine.effects import Flow, transact
from gateway.errors import GatewayError, StoreError
from gateway.flows.listing import NewestFirst
from gateway.flows.matching import CLOCKS_DIFFER
from gateway.flows.polling import CIRCUMSTANCES, Polling, by_number, is_told, words
from gateway.flows.schedule import after_failure
from gateway.flows.searching import suggest
from gateway.models.base import Environment, Page
from gateway.models.orders import ProviderOrder
from gateway.store import customers, lists, watches
from gateway.store.lists import Waiting

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["walk"]

PAGES_A_LOOK = 20
"""A longer list is gone on with in the next look, so that no job takes for ever."""
FULL_WALK_AFTER = 2
"""What was absent so often is looked for to the end of the list, however old the rows there are."""
_CHUNK = 200
_STALE = timedelta(hours=1)
_CLOCK_SET_BACK = timedelta(seconds=30)


class _Place(NamedTuple):
    account: str
    environment: Environment
    customer: str


class _Begun(NamedTuple):
    polling: Polling
    cursor: str | None
    began_at: datetime
    provider_customer: str | None


def walk(core: Core, name: str, customer: str) -> Flow[bool | list[Waiting]]:
    """Read on in the customer's list. Whether there was anything to do; or, where the customer's number at the
    provider is not known here, the orders that have to be read one by one.
    """
    account = core.accounts.get(name)
    if account is None:
        return False
    place, started = _Place(name, account.environment, customer), core.now()

    def begin(connection: Connection) -> _Begun | list[Waiting] | None:
        polling = Polling.begin(core, account, connection)
        if polling is None:
            return None
        known = lists.load_walk(connection, *place)
        cursor, began_at = None, started
        if known is not None and started - _STALE <= known.began_at <= started + _CLOCK_SET_BACK:
            cursor, began_at = known.cursor, known.began_at
        if cursor is not None and not lists.waits(connection, *place, now=started, since=began_at):
            lists.end_walk(connection, *place)
            cursor, began_at = None, started
        if not lists.waits(connection, *place, now=started, since=began_at):
            return None
        number = customers.provider_id(connection, name, customer)
        if number is None:
            return lists.waiting(connection, *place, now=started, since=started, limit=PAGES_A_LOOK)
        return _Begun(polling, cursor, began_at, number)

    begun = yield from transact(begin)
    if begun is None:
        return False
    if not isinstance(begun, _Begun):
        return begun
    resumed = begun.cursor is not None
    told = Telling(core, "poll", "list", name, subject=f"customer {customer}")
    try:
        account.require("orders.list")
        ended = yield from _pages(begun, place, started)
    except StoreError:
        raise
    except GatewayError as error:
        told.ended("failed", type(error).__name__)
        return (yield from _failed(begun, place, started, error, resumed=resumed))
    told.ended("done")
    if ended:
        yield from _absent(begun, place, started)
    return True


def _pages(begun: _Begun, place: _Place, started: datetime) -> Flow[bool]:
    """Some pages; whether the walk has ended with them."""
    polling, cursor, newest_first = begun.polling, begun.cursor, NewestFirst()
    # What takes a call that was left to the merchant takes no more than one.
    for _ in range(PAGES_A_LOOK if polling.background else 1):
        read_at = polling.core.now()
        page = yield from polling.page(begun.provider_customer, cursor)
        oldest = newest_first.oldest(item.created_at for item in page.items)

        def keep(
            connection: Connection,
            page: Page[ProviderOrder] = page,
            oldest: datetime | None = oldest,
            read_at: datetime = read_at,
        ) -> bool:
            unlinked = polling.keep(connection, by_number(page.items), read_at)
            suggest(connection, polling.account, unlinked, batch=place.customer)
            goes_on = page.next is not None and lists.waits(
                connection,
                *place,
                now=started,
                since=begun.began_at,
                made_before=None if oldest is None else oldest + CLOCKS_DIFFER,
                patience=FULL_WALK_AFTER,
            )
            if goes_on and page.next is not None:
                lists.go_on(connection, *place, page.next, begun.began_at)
            else:
                lists.end_walk(connection, *place)
            return goes_on

        if not (yield from polling.kept(keep)):
            return True
        cursor = page.next
    return False


def _absent(begun: _Begun, place: _Place, started: datetime) -> Flow[None]:
    """What was due and was not shown: that proves nothing. It is looked for again, less and less often."""
    polling = begun.polling

    def work(connection: Connection) -> list[Waiting]:
        left = lists.waiting(connection, *place, now=started, since=begun.began_at, limit=_CHUNK)
        now = polling.core.now()
        for one in left:
            numbered = one.provider_id is not None
            when = polling.when(one.watch, one.status, None, numbered=numbered, looked_at=now)
            if when is not None and numbered:
                when = max(when, now + after_failure(one.watch.absences + 1))
            watches.postpone(connection, one.watch, when, now, looked=not numbered, absent=numbered)
        return left

    left = yield from transact(work)
    while left:
        for one in left:
            absences = one.watch.absences + 1
            if one.provider_id is not None and is_told(absences):
                log.warning(
                    "%s: the provider's list has not shown it %s times, which proves nothing; look at its dashboard",
                    words(one.watch),
                    absences,
                )
        left = yield from transact(work)


def _failed(begun: _Begun, place: _Place, started: datetime, error: GatewayError, *, resumed: bool) -> Flow[bool]:
    def note(connection: Connection) -> None:
        if resumed or not isinstance(error, CIRCUMSTANCES):
            lists.end_walk(connection, *place)  # where it was to go on may be what was not understood
        first = lists.waiting(connection, *place, now=started, since=begun.began_at, limit=1)
        at = begun.polling.core.now() + after_failure(first[0].watch.failures + 1 if first else 1)
        lists.failed_together(connection, *place, now=started, since=begun.began_at, error=error.message, at=at)

    if not isinstance(error, CIRCUMSTANCES):
        log.warning("the orders of %s at %s could not be read: %s", place.customer, place.account, error)
    return (yield from begun.polling.trouble(error, note))
