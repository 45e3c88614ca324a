"""Adapters that do not read lists to their end, and those that misread times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

from conformance.acme import AcmeAdapter
from conformance.broken.fault import fails
from gateway.contracts import Query
from gateway.exchange import Operation
from gateway.models import OrderStatus, Page, ProviderOrder

_LISTS = "test_lists_are_read_to_their_end_and_nothing_comes_twice"
_ROWS = "test_a_row_of_a_list_is_what_reading_it_alone_shows"
_WORKS = "test_it_works_and_gives_what_it_should"


@fails(_LISTS, "orders.list, read two at a time, shows 2 rows; read at once")
class StopsAfterAPage(AcmeAdapter):
    """Reads the first page of a list and no other."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        return page.model_copy(update={"next": None})


@fails(_LISTS, "orders.list has no end: 400 pages were read, and there is a next one")
class NeverStops(AcmeAdapter):
    """Says that there is a further page after every page, also after an empty one."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        return page.model_copy(update={"next": str(int(query.cursor or "1") + 1)})


@fails(_LISTS, "orders.list asks and asks: 100 requests and no end")
class NeverStopsInOneCall(AcmeAdapter):
    """Collects a list by itself, and asks for its first page for ever."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        while True:
            yield from super().list_orders(replace(query, cursor=None))


@fails(_LISTS, "orders.list, read two at a time, shows some rows twice")
class RepeatsRows(AcmeAdapter):
    """Shows the last row of a page again as the first one of the next."""

    last: ProviderOrder | None = None

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        again = (self.last,) if query.cursor is not None and self.last is not None else ()
        self.last = page.items[-1]
        return page.model_copy(update={"items": (*again, *page.items)})


@fails(_LISTS, "orders.list, read two at a time, shows")
class SkipsAPage(AcmeAdapter):
    """Leaves every second page out."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        return page.model_copy(update={"next": page.next and str(int(page.next) + 1)})


@fails("test_a_list_goes_on_after_its_largest_page", "orders.list shows 50 rows; there are 51 at the provider")
class ReadsOneLargePage(AcmeAdapter):
    """Asks for a page of fifty, whatever size is asked for, and for no further one."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(replace(query, size=50, cursor=None))
        return page.model_copy(update={"next": None})


@fails(_ROWS, "orders.list leaves an order out that is at the provider")
class HidesPaidOrders(AcmeAdapter):
    """Leaves orders out that are paid."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        items = tuple(row for row in page.items if row.status is not OrderStatus.PAID)
        return page.model_copy(update={"items": items})


@fails(_ROWS, "with status paid; orders.get says pending")
class ListsAllAsPaid(AcmeAdapter):
    """Shows all orders of the list as paid."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        items = tuple(row.model_copy(update={"status": OrderStatus.PAID}) for row in page.items)
        return page.model_copy(update={"items": items})


@fails(_ROWS, "orders.list: created_at is 5 hours away from what it is at the provider")
class ListsLocalTimes(AcmeAdapter):
    """Shows the times of a list in another zone than they are in."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        later = [(row, row.created_at + timedelta(hours=5)) for row in page.items if row.created_at is not None]
        return page.model_copy(update={"items": tuple(row.model_copy(update={"created_at": at}) for row, at in later)})


@fails(
    "test_the_payer_is_shown_what_the_provider_said",
    "orders.create:coin: expires_at is 9 hours away from what it is at the provider",
)
class ExpiresInAnotherZone(AcmeAdapter):
    """Shows the time until which an order can be paid in another zone than it is in."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        assert read.expires_at is not None
        return read.model_copy(update={"expires_at": read.expires_at + timedelta(hours=9)})


@fails(_WORKS, "list_orders() returned tuple")
class ListsWithoutAPage(AcmeAdapter):
    """Returns a list as a tuple instead of a Page."""

    def list_orders(self, query: Query) -> Operation[Any]:
        page = yield from super().list_orders(query)
        return page.items


@fails(_WORKS, "a time needs a zone")
class ReadsTimesWithoutAZone(AcmeAdapter):
    """Drops the zone of a time."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order({**data, "created": data["created"].partition("+")[0]})


@fails(_WORKS, "created_at is 4:00:00 away from the moment at which it was made")
class TakesLocalTimesForUtc(AcmeAdapter):
    """Takes the local time of the provider for UTC."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        assert read.created_at is not None
        local = read.created_at.astimezone(timezone(timedelta(hours=4)))
        return read.model_copy(update={"created_at": local.replace(tzinfo=read.created_at.tzinfo)})
