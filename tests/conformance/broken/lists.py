"""Adapters that do not read lists to their end, and those that misread times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

from conformance.acme import AcmeAdapter
from conformance.broken.fault import fails
from gateway.contracts import Query
from gateway.exchange import Operation
from gateway.models import Page, ProviderOrder

_LISTS = "test_lists_are_read_to_their_end_and_nothing_comes_twice"
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
