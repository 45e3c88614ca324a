"""Adapters whose lists leave rows and balances out, or show them otherwise."""

from __future__ import annotations

from conformance.acme import AcmeAdapter
from conformance.broken.fault import fails
from gateway.contracts import Query
from gateway.exchange import Operation
from gateway.models import OrderStatus, Page, ProviderOrder

_ALONE = "test_a_row_of_a_list_is_what_reading_it_alone_shows"
_ALL = "test_no_row_of_a_list_is_left_out"


class Rewritten(AcmeAdapter):
    """Makes something else of each row."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        rows = [row for row in map(self.row, page.items) if row is not None]
        return page.model_copy(update={"items": tuple(rows)})

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        raise NotImplementedError


@fails(_ALL, "orders.list leaves out A1, which was made here")
class DropsTheLastRow(AcmeAdapter):
    """Drops the last row of the last page."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        return page if page.next else page.model_copy(update={"items": page.items[:-1]})


@fails(_ALL, "orders.list leaves out A")
class StopsAfterMany(AcmeAdapter):
    """Ends the list after a hundred rows, whatever the provider has."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        return page.model_copy(update={"next": page.next if int(query.cursor or 1) * query.size < 100 else None})


@fails(_ALONE, "which is refunded")
class HidesRefunded(Rewritten):
    """Leaves orders out that were refunded."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return None if row.status is OrderStatus.REFUNDED else row


@fails(_ALONE, "which is told `under` in the sandbox")
class HidesUnderpaid(Rewritten):
    """Leaves orders out of which a part was paid."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return None if row.status is OrderStatus.UNDERPAID else row


@fails(_ALONE, "which is told `expire` in the sandbox")
class HidesExpired(Rewritten):
    """Leaves orders out that have expired."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return None if row.status is OrderStatus.EXPIRED else row


@fails(_ALONE, "with status paid; orders.get says refunded")
class ListsRefundedAsPaid(Rewritten):
    """Shows orders that were refunded as paid in the list."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return row.model_copy(update={"status": OrderStatus.PAID}) if row.provider_status == "refunded" else row


@fails(_ALONE, "with status paid; orders.get says cancelled")
class ListsCancelledAsPaid(Rewritten):
    """Shows cancelled orders as paid in the list."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return row.model_copy(update={"status": OrderStatus.PAID}) if row.provider_status == "cancelled" else row


@fails(_ALONE, "with received 50.00 USDT@tron; orders.get says 25.000 USDT@tron")
class ListsWhatIsDue(Rewritten):
    """Shows in the list as received what is asked for, as soon as anything is."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return row.model_copy(update={"received": row.received and row.pay.amount})


@fails("test_a_word_nobody_knows_is_no_status_of_a_row", "became 'paid' in a row of the list")
class ListsUnknownAsPaid(Rewritten):
    """Shows orders as paid in the list whose word it does not know."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        unknown = row.status is OrderStatus.UNRECOGNISED
        return row.model_copy(update={"status": OrderStatus.PAID, "warnings": ()}) if unknown else row
