"""Looking for what was lost: the provider's number of an order, or of a trade, that nobody here knows.

What is found is kept for a person and told once. Nothing is settled by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gateway.accounts import OpenAccount
from gateway.contracts import ListsOpenTrades, ListsTradeHistory, Query
from gateway.core import log
from gateway.engine.effects import Flow, transact
from gateway.flows import matching
from gateway.flows.listing import NewestFirst
from gateway.flows.orders import customer_at
from gateway.flows.polling import PAGE_SIZE, Polling, by_number, words
from gateway.flows.schedule import Seen, next_look
from gateway.models.base import Page
from gateway.models.orders import Order, ProviderOrder
from gateway.store import lists, orders, trades, watches
from gateway.store.watches import Watch

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["search_orders", "search_trades", "suggest"]

PAGES_A_SEARCH = 20
_CHUNK = 200


def search_orders(polling: Polling, watch: Watch, order: Order) -> Flow[None]:
    """Read the provider's list as far back as the order was asked for. One search serves all orders of the account
    that have no number and are younger.
    """
    account, asked_at = polling.account, watch.made_at
    account.require("orders.list")
    cursor, newest_first = None, NewestFirst()
    customer = yield from customer_at(account, order.customer if account.adapter.reads_orders_from_lists else None)
    for _ in range(PAGES_A_SEARCH):
        page = yield from polling.page(customer, cursor)

        def keep(connection: Connection, page: Page[ProviderOrder] = page) -> None:
            known = lists.shown(connection, account.name, account.environment, by_number(page.items))
            linked = {one.provider_id for one in known}
            suggest(connection, account, [seen for seen in page.items if seen.provider_id not in linked])

        yield from polling.kept(keep)
        oldest, cursor = newest_first.oldest(item.created_at for item in page.items), page.next
        if cursor is None or (oldest is not None and oldest < asked_at - matching.CLOCKS_DIFFER):
            break

    def searched(connection: Connection) -> None:
        now = polling.core.now()
        for one in lists.numberless(connection, account.name, account.environment, asked_since=asked_at, limit=_CHUNK):
            if one.watch.id == watch.id or one.watch.is_due(now):
                when = polling.when(one.watch, one.status, None, numbered=False, looked_at=now)
                watches.postpone(connection, one.watch, when, now, looked=True)

    yield from transact(searched)


def suggest(
    connection: Connection, account: OpenAccount, unlinked: Iterable[ProviderOrder], *, batch: str | None = None
) -> None:
    """Keep which of these orders, that belong to no attempt, may be one whose number is not known; of one customer
    where a `batch` is given.
    """
    unlinked = list(unlinked)
    if not unlinked:
        return
    for one in lists.numberless(connection, account.name, account.environment, batch=batch, limit=_CHUNK):
        watch = one.watch
        request = orders.load_request(connection, watch.reference)
        attempt = orders.attempt_id_of(connection, watch.reference, watch.number)
        wanted = matching.Wanted(watch.reference, watch.number, attempt, request, watch.made_at)
        before = {match["provider_id"]: match for match in watch.found or ()}
        found = {match["provider_id"]: match for match in map(matching.told, matching.likely(wanted, unlinked))}
        if not found.keys() - before.keys():
            continue
        for linked in lists.shown(connection, account.name, account.environment, before):
            before.pop(linked.provider_id)
        kept = [*found.values(), *(match for number, match in before.items() if number not in found)]
        watches.keep_found(connection, watch, kept)
        todo = (
            f"`gateway journal settle {watch.reference} --operation orders.create --as done --provider-id … --reason …`"
            if watch.rank == 0
            else f"`gateway orders link {watch.reference} …`"
        )
        _tell(watch, kept, todo)


def search_trades(polling: Polling, watch: Watch) -> Flow[None]:
    """Read the open and the last finished exchange orders."""
    account, query = polling.account, Query(size=PAGE_SIZE)
    account.require("trades.open")
    account.require("trades.history")
    open_ones = yield from polling.read("trades.open", lambda: account.able(ListsOpenTrades).list_open_trades(query))
    finished = yield from polling.read(
        "trades.history", lambda: account.able(ListsTradeHistory).list_trade_history(query)
    )

    def keep(connection: Connection) -> list[dict[str, Any]]:
        asked = trades.load_trade(connection, watch.reference)
        rows = (*open_ones.items, *finished.items) if asked is not None else ()
        likely = [] if asked is None else matching.likely_trades(asked, watch.made_at, rows)
        found = [
            matching.told(seen)
            for seen in likely
            if seen.provider_id and trades.find_trade(connection, account.name, seen.provider_id) is None
        ]
        now = polling.core.now()
        when = next_look(Seen(since=min(watch.since, now), looked_at=now), polling.core.settings.watch)
        watches.postpone(connection, watch, when, now, looked=True, found=found)
        return found

    found = yield from polling.kept(keep)
    if {match["provider_id"] for match in found} - {match["provider_id"] for match in watch.found or ()}:
        _tell(watch, found, f"`gateway journal settle {watch.reference} --as done --provider-id … --reason …`")


def _tell(watch: Watch, found: list[dict[str, Any]], todo: str) -> None:
    numbers = ", ".join(sorted(match["provider_id"] for match in found))
    log.warning("%s may be the provider's %s: look there, then %s", words(watch), numbers, todo)
