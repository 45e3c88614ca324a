"""Trades: exchange orders of the account, placed at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.contracts import (
    CancelsTrades,
    CreatesTrades,
    ListsOpenTrades,
    ListsTradeHistory,
    NewTrade,
    Query,
    ReadsTrades,
)
from gateway.core import Core, log
from gateway.engine.clock import Deadline
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import Conflict, GatewayError, NotFound, UnsupportedOperation, UnverifiedOperation
from gateway.flows.writes import Write, comparable, once, recorded
from gateway.models.base import Page
from gateway.models.trades import Trade, TradeRequest, TradeStatus
from gateway.store import trades as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.accounts import OpenAccount

__all__ = ["cancel", "create", "fetch", "get", "keep", "page"]

# What the request said better than an answer can: an exchange writes a market its own way.
_OURS = frozenset({"reference", "market", "kind", "side"})
_OF_FILLS = ("filled", "average_rate", "commission", "done_at")


def create(core: Core, request: TradeRequest, *, account: str | None, seconds: float | None) -> Flow[Trade]:
    """Place the exchange order, or give the one that this reference has."""
    asked = comparable(request)
    if (yield from recorded(core, "trades.create", request.reference, asked)) is None:
        chosen = core.choose("trades.create", request.kind.value, request, account=account)
        new = NewTrade(request=request)

        def on_intent(connection: Connection) -> None:
            store.insert_trade(
                connection,
                request,
                account=chosen.name,
                provider=chosen.provider.name,
                environment=chosen.environment,
                now=core.now(),
            )

        write = Write[Trade](
            operation="trades.create",
            reference=request.reference,
            account=chosen,
            request=asked,
            prepare=lambda: chosen.able(CreatesTrades).create_trade(new),
            on_intent=on_intent,
            on_done=lambda connection, result: store.save_trade(connection, request.reference, result, now=core.now()),
            on_rejected=lambda connection, error: store.fail_trade(connection, request.reference, now=core.now()),
            on_reopened=lambda connection, error: store.delete_trade(connection, request.reference),
        )
        yield from once(core, write, core.deadline(seconds, chosen))
    return (yield from _load(request.reference))


def get(core: Core, reference: str, *, refresh: bool, seconds: float | None, background: bool = False) -> Flow[Trade]:
    """The trade of this reference; with `refresh`, one that is not final is read at its provider first, and so is a
    cancelled one of which it is not known how much was filled.
    """
    found = yield from _load(reference)
    if not refresh or found.provider_id is None or found.account not in core.accounts:
        return found
    account = core.account(found.account)
    if _fill_is_unknown(found):
        return (yield from _filled(core, reference, found, core.deadline(seconds, account), background=background))
    if found.status.is_final:
        return found
    account.require("trades.get")
    seen = yield from _read(account, found.provider_id, core.deadline(seconds, account), background=background)
    return (yield from keep(core, reference, found, seen))


def cancel(core: Core, reference: str, *, seconds: float | None) -> Flow[Trade]:
    """Cancel the trade of this reference. May be repeated: a cancelled order stays cancelled.

    What was filled before is read right after, where the account may; when that fails, the cancelled trade is given
    without it, and `get` reads it.
    """
    found = yield from _load(reference)
    if found.provider_id is None:
        raise Conflict(
            "this trade has no number at the provider: whether it was placed is not known",
            account=found.account,
            operation="trades.cancel",
            reference=reference,
            hint=f"settle it first: `gateway journal settle {reference} --as done|failed --reason …`",
        )
    if found.status.is_final:
        return found
    account = core.account(found.account)
    account.require("trades.cancel")
    deadline = core.deadline(seconds, account)
    run = Performance(account, "trades.cancel", deadline)
    seen: Trade = yield from perform(run, Begun(account.able(CancelsTrades).cancel_trade(found.provider_id)))
    # What an earlier reading said of fills may be less than was filled by now.
    known = found.model_copy(update=dict.fromkeys(_OF_FILLS))
    cancelled = yield from keep(core, reference, known, seen)
    if not _fill_is_unknown(cancelled):
        return cancelled
    try:
        return (yield from _filled(core, reference, cancelled, deadline))
    except GatewayError as error:
        log.warning("trade %s is cancelled; how much was filled could not be read: %s", reference, error)
        return cancelled


def fetch(core: Core, account: str, provider_id: str, *, seconds: float | None) -> Flow[Trade]:
    """A trade at the provider by the provider's own number, placed here or not."""
    opened = core.account(account)
    opened.require("trades.get")
    return (yield from _read(opened, provider_id, core.deadline(seconds, opened)))


def page(
    core: Core,
    account: str,
    which: Literal["trades.open", "trades.history"],
    *,
    cursor: str | None,
    size: int,
    seconds: float | None,
) -> Flow[Page[Trade]]:
    """One page of the account's open or finished trades at the provider."""
    opened = core.account(account)
    opened.require(which)
    run = Performance(opened, which, core.deadline(seconds, opened))
    query = Query(cursor=cursor, size=size)
    if which == "trades.open":
        operation = opened.able(ListsOpenTrades).list_open_trades(query)
    else:
        operation = opened.able(ListsTradeHistory).list_trade_history(query)
    found: Page[Trade] = yield from perform(run, Begun(operation))
    return Page[Trade](items=tuple(_at(opened, trade) for trade in found.items), next=found.next)


def _read(account: OpenAccount, provider_id: str, deadline: Deadline, *, background: bool = False) -> Flow[Trade]:
    run = Performance(account, "trades.get", deadline, background=background)
    seen: Trade = yield from perform(run, Begun(account.able(ReadsTrades).get_trade(provider_id)))
    return _at(account, seen)


def _fill_is_unknown(trade: Trade) -> bool:
    return trade.status is TradeStatus.CANCELLED and trade.filled is None and trade.provider_id is not None


def _filled(core: Core, reference: str, known: Trade, deadline: Deadline, *, background: bool = False) -> Flow[Trade]:
    """The cancelled trade with what was filled before, read at the provider; as it is known where that may not be
    asked. It stays cancelled, whatever the provider shows.
    """
    account = core.account(known.account)
    try:
        account.require("trades.get")
    except (UnsupportedOperation, UnverifiedOperation):
        return known
    assert known.provider_id is not None
    seen = yield from _read(account, known.provider_id, deadline, background=background)
    if seen.filled is None:
        return known
    said = {name: getattr(seen, name) for name in _OF_FILLS if getattr(seen, name) is not None}
    # What the cancel's answer warned of, that it does not tell how much was filled, is over.
    merged = known.model_copy(update={**said, "warnings": seen.warnings})
    yield from transact(lambda connection: store.save_trade(connection, reference, merged, now=core.now()))
    return (yield from _load(reference))


def keep(core: Core, reference: str, known: Trade, seen: Trade) -> Flow[Trade]:
    """The newer reading over the older one: what it does not say stays."""
    said = {name: value for name, value in seen if value not in (None, (), "") and name not in _OURS}
    merged = known.model_copy(update=said)
    yield from transact(lambda connection: store.save_trade(connection, reference, merged, now=core.now()))
    return (yield from _load(reference))


def _at(account: OpenAccount, trade: Trade) -> Trade:
    return trade.model_copy(update={"account": account.name, "environment": account.environment})


def _load(reference: str) -> Flow[Trade]:
    found = yield from transact(lambda connection: store.load_trade(connection, reference))
    if found is None:
        raise NotFound(f"there is no trade {reference}", operation="trades.get", reference=reference)
    return found
