"""Orders: create, renew, read, list. The reference names the purchase; every order made for it at a provider is an
attempt.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.accounts import OpenAccount
from gateway.callbacks.tokens import attempt_url
from gateway.config import Route
from gateway.contracts import CreatesOrders, ListsOrders, NewOrder, Query, ReadsOrders
from gateway.core import Core, log
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import ConfigurationError, Conflict, GatewayError, IdempotencyConflict, InvalidRequest, NotFound
from gateway.flows.moves import follow
from gateway.flows.writes import Write, comparable, once, recorded
from gateway.models.base import Page
from gateway.models.orders import (
    Attempt,
    Order,
    OrderRequest,
    OrderStatus,
    ProviderOrder,
    Settlement,
)
from gateway.store import customers, journal
from gateway.store import orders as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["create", "differs", "fetch", "fetch_page", "get", "link", "page", "renew", "take_over", "variant_of"]

_CLOCKS_DIFFER = timedelta(minutes=2)

# What a following attempt may replace. An attempt that is still open could yet be paid by the first address.
_REPLACEABLE = frozenset(
    {OrderStatus.EXPIRED, OrderStatus.FAILED, OrderStatus.CANCELLED, OrderStatus.CREATING, OrderStatus.UNRECOGNISED}
)


def variant_of(request: OrderRequest) -> str:
    """Which variant of orders.create this request is."""
    coin = request.pay_with
    if coin is None:
        return "payer-choice"
    if coin.network is None:
        return "coin-without-network"
    return "lightning" if coin.network == "lightning" else "coin"


def create(core: Core, request: OrderRequest, *, account: str | None, seconds: float | None) -> Flow[Order]:
    """Create the order, or give the one that this reference has; never a second one."""
    known = yield from transact(lambda connection: store.load_order(connection, request.reference))
    if known is not None:
        if account is not None:
            core.same_environment(core.account(account), known.environment, f"the order {request.reference}")
        yield from _require_same(request)
        scope = str(known.attempts[-1].number)
        if (
            yield from recorded(core, "orders.create", request.reference, comparable(request), scope=scope)
        ) is not None:
            return (yield from _load(request.reference))  # it may have ended since it was loaded
        # Begun and never sent: the recorded account goes on with it.
        chosen = core.account(known.attempts[-1].account)
        return (yield from _attempt(core, request, chosen, known.settles_to, known.attempts[-1].number, seconds))
    chosen, settles_to = _choose(core, request, account)
    return (yield from _attempt(core, request, chosen, settles_to, 1, seconds))


def renew(core: Core, reference: str, *, account: str | None, seconds: float | None) -> Flow[Order]:
    """A further attempt for a purchase whose last one expired, failed, was refused or is of unknown outcome.

    The attempts before stay watched. Raises Conflict while the last attempt is still open, or once the purchase is
    paid.
    """
    order = yield from get(core, reference, refresh=True, seconds=seconds)
    last = order.attempts[-1]
    if order.status in (OrderStatus.PAID, OrderStatus.REFUNDED, OrderStatus.PROCESSING, OrderStatus.UNDERPAID):
        raise Conflict(
            f"money has come in for this order already: it is {order.status}; nothing was sent",
            account=order.account,
            operation="orders.renew",
            reference=reference,
        )
    if last.status not in _REPLACEABLE:
        raise Conflict(
            f"attempt {last.number} is still open ({last.status}); nothing was sent",
            account=last.account,
            operation="orders.renew",
            reference=reference,
            hint=f"the payer can use it until {order.expires_at:%Y-%m-%d %H:%M} UTC" if order.expires_at else None,
        )
    request = yield from transact(lambda connection: store.load_request(connection, reference))
    if account is None and not any(route.operation == "orders.create" for route in core.settings.routes):
        account = last.account  # nobody says where else, so where it was
    chosen, settles_to = _choose(core, request.model_copy(update={"settles_to": order.settles_to}), account)
    core.same_environment(chosen, order.environment, f"the order {reference}")
    return (yield from _attempt(core, request, chosen, settles_to, last.number + 1, seconds))


def _require_same(request: OrderRequest) -> Flow[None]:
    recorded_request = yield from transact(lambda connection: store.load_request(connection, request.reference))
    before, now = comparable(recorded_request), comparable(request)
    if before != now:
        differs = [name for name in now if before[name] != now[name]]
        raise IdempotencyConflict(
            f"the reference was used for another request ({', '.join(differs)} differ); nothing was sent",
            operation="orders.create",
            reference=request.reference,
            hint="a new purchase needs a new reference; to try the same purchase again use orders.renew",
        )


def _choose(core: Core, request: OrderRequest, account: str | None) -> tuple[OpenAccount, Settlement]:
    """The account and whose money the order becomes. Nothing crosses over to a customer's wallet unless it was
    asked for.
    """
    variant = variant_of(request)

    def fits(route: Route) -> bool:
        price = request.price
        return (
            (route.currency is None or price.asset.code in route.currency)
            and (route.pay_with is None or request.pay_with in route.pay_with)
            and (route.min is None or (route.min.asset == price.asset and price >= route.min))
            and (route.max is None or (route.max.asset == price.asset and price <= route.max))
        )

    chosen = core.choose("orders.create", variant, request, account=account, settles_to=request.settles_to, fits=fits)
    wanted = request.settles_to
    if wanted is None:
        routed = account is None and any(
            chosen.name in route.accounts and route.settles_to is chosen.settles_to and fits(route)
            for route in core.settings.routes
            if route.operation == "orders.create"
        )
        wanted = chosen.settles_to if routed else Settlement.MERCHANT
    if chosen.settles_to is not wanted:
        raise InvalidRequest(
            f"an order at {chosen.name} becomes the {chosen.settles_to}'s money, not the {wanted}'s; nothing was sent",
            account=chosen.name,
            provider=chosen.provider.name,
            operation="orders.create",
            reference=request.reference,
            hint=f"if that is meant, say settles_to={chosen.settles_to.value!r} in the request or the route",
        )
    return chosen, wanted


def _attempt(
    core: Core, request: OrderRequest, account: OpenAccount, settles_to: Settlement, number: int, seconds: float | None
) -> Flow[Order]:
    account.require("orders.create", variant_of(request))
    deadline = core.deadline(seconds, account)
    provider_customer = None
    if request.customer is not None:
        number_here = request.customer
        provider_customer = yield from transact(
            lambda connection: customers.provider_id(connection, account.name, number_here)
        )
    # An attempt that was begun and did not leave keeps its identifier, and so the address that it is called back at.
    known = yield from transact(lambda connection: store.attempt_id_of(connection, request.reference, number))
    attempt_id = known or secrets.token_hex(16)
    new = NewOrder(
        request=request,
        attempt=attempt_id,
        requested_at=core.now(),
        customer=provider_customer,
        callback_url=_callback_url(core, account, attempt_id),
    )

    def on_intent(connection: Connection) -> None:
        order = store.load_order(connection, request.reference)
        if order is not None:
            _require_latest(core, connection, order, number)
        if order is None:
            store.insert_order(
                connection, request, environment=account.environment, settles_to=settles_to, now=core.now()
            )
        if order is None or order.attempts[-1].number < number:
            store.insert_attempt(
                connection,
                request.reference,
                attempt_id=new.attempt,
                account=account.name,
                provider=account.provider.name,
                environment=account.environment,
                now=core.now(),
            )
        elif store.attempt_id_of(connection, request.reference, number) != new.attempt:
            # A twin began it, and did not send.
            store.set_attempt_id(connection, request.reference, number, new.attempt)

    def save(connection: Connection, status: OrderStatus, error: GatewayError) -> None:
        store.save_attempt(
            connection,
            request.reference,
            number,
            status=status,
            exceptions=frozenset(),
            provider_id=None,
            snapshot=None,
            error=error.to_dict(),
            now=core.now(),
        )

    write = Write[ProviderOrder](
        operation="orders.create",
        reference=request.reference,
        scope=str(number),
        account=account,
        request=comparable(request),
        prepare=lambda: account.able(CreatesOrders).create_order(new),
        on_intent=on_intent,
        on_done=lambda connection, result: take_over(core, connection, request.reference, number, result),
        on_rejected=lambda connection, error: save(connection, OrderStatus.FAILED, error),
        on_reopened=lambda connection, error: save(connection, OrderStatus.CREATING, error),
        check=lambda result: differs(request, result),
    )
    yield from once(core, write, deadline)
    return (yield from _load(request.reference))


def _callback_url(core: Core, account: OpenAccount, attempt_id: str) -> str | None:
    """Where the provider calls back for this attempt; None when the gateway or the account takes no callbacks."""
    base_url, keys = core.settings.public_base_url, core.settings.callback_key
    if base_url is None or not keys or not account.receives_callbacks:
        return None
    return attempt_url(base_url, keys[0], account.name, attempt_id)


def _require_latest(core: Core, connection: Connection, order: Order, number: int) -> None:
    """Two attempts are never begun side by side: none before this one is on its way, none after it was begun."""
    for attempt in order.attempts:
        if attempt.number > number:
            raise Conflict(
                f"attempt {attempt.number} was begun meanwhile, at {attempt.account}; nothing was sent",
                account=attempt.account,
                operation="orders.create",
                reference=order.reference,
                retryable=True,
                hint="repeat the call to get the order",
            )
        if attempt.number < number and journal.is_under_way(
            connection, "orders.create", order.reference, str(attempt.number), core.now()
        ):
            raise Conflict(
                f"attempt {attempt.number} is on its way to {attempt.account} just now; nothing was sent",
                account=attempt.account,
                operation="orders.renew",
                reference=order.reference,
                retryable=True,
                hint="repeat the call when it has ended",
            )


def differs(request: OrderRequest, made: ProviderOrder) -> str | None:
    """What of the provider's order is not what was asked for, in words; None when all that it shows agrees."""
    if made.price is not None and made.price != request.price:
        return f"asked for {request.price}, the order {made.provider_id} is for {made.price}"
    if made.pay_with is not None and request.pay_with is not None and made.pay_with != request.pay_with:
        return f"asked to be paid in {request.pay_with}, the order {made.provider_id} is paid in {made.pay_with}"
    return None


def _load(reference: str) -> Flow[Order]:
    order = yield from transact(lambda connection: store.load_order(connection, reference))
    if order is None:
        raise NotFound(
            f"there is no order {reference}",
            reference=reference,
            hint="orders.fetch reads one that was not created here",
        )
    return order


def take_over(
    core: Core,
    connection: Connection,
    reference: str,
    number: int,
    seen: ProviderOrder,
    *,
    read_at: datetime | None = None,
) -> None:
    """Let the attempt follow the snapshot, inside a transaction. A status that cannot follow is recorded and
    reported.

    `read_at` is the moment before the reading began. What was read before the attempt last changed cannot contradict
    it: such a snapshot is left aside when its status cannot follow.
    """
    order = store.load_order(connection, reference)
    assert order is not None
    attempt = next(attempt for attempt in order.attempts if attempt.number == number)
    move = follow(attempt, seen, core.account(attempt.account).settings.underpayment_tolerance)
    if move.refused and read_at is not None and attempt.updated_at >= read_at:
        return
    told = attempt.order.warnings if attempt.order else ()
    # A status that is refused is recorded and reported once, however often it is read.
    if move.seen is not attempt.status and move.refused not in told:
        store.record_move(
            connection,
            reference,
            number,
            from_status=attempt.status,
            to_status=move.seen,
            accepted=move.refused is None,
            now=core.now(),
        )
    for warning in (*seen.warnings, *([move.refused] if move.refused else [])):
        if warning not in told:
            log.warning("order %s, attempt %s at %s: %s", reference, number, attempt.account, warning)
    store.save_attempt(
        connection,
        reference,
        number,
        status=move.status,
        exceptions=move.exceptions,
        provider_id=move.snapshot.provider_id,
        snapshot=move.snapshot,
        error=None,
        now=core.now(),
    )


def get(core: Core, reference: str, *, refresh: bool, paid_too: bool = False, seconds: float | None) -> Flow[Order]:
    """The order; with `refresh`, every attempt that may still change is read at its provider first. With `paid_too`
    also those that are paid: they can be refunded.
    """
    order = yield from _load(reference)
    if not refresh:
        return order
    for attempt in order.attempts:
        watched = not attempt.status.is_final or (paid_too and attempt.status is OrderStatus.PAID)
        if attempt.provider_id is None or not watched:
            continue
        read_at = core.now()
        seen = yield from _read(core, attempt, seconds)
        if seen is not None:
            number, snapshot = attempt.number, seen
            yield from transact(
                lambda c, n=number, s=snapshot, at=read_at: take_over(core, c, reference, n, s, read_at=at)  # type: ignore[misc]
            )
    return (yield from _load(reference))


def _read(core: Core, attempt: Attempt, seconds: float | None) -> Flow[ProviderOrder | None]:
    """The attempt as its provider shows it; None, with a warning, when its account is no longer configured."""
    try:
        account = core.account(attempt.account)
    except ConfigurationError:
        log.warning("attempt %s is at %s, which is not configured any more: not read", attempt.number, attempt.account)
        return None
    core.same_environment(account, attempt.environment, "the attempt")
    assert attempt.provider_id is not None
    return (yield from fetch(core, account.name, attempt.provider_id, seconds=seconds))


def link(core: Core, reference: str, provider_id: str, *, seconds: float | None) -> Flow[Order]:
    """Give an attempt the provider's number that its creation did not tell (the payer chose the coin on a hosted page).

    The order is read first and must agree with what was asked: the price, the coin where one was asked for, and a
    creation not before the attempt's. Raises Conflict when it does not, or when the number belongs to another order.
    """
    order = yield from _load(reference)
    waiting = [attempt for attempt in order.attempts if attempt.provider_id is None and attempt.order is not None]
    if not waiting:
        raise Conflict(
            "every attempt of this order has its number at the provider already",
            account=order.account,
            operation="orders.link",
            reference=reference,
            hint="an attempt whose creation is unknown is settled with `gateway journal settle --provider-id`",
        )
    attempt = waiting[-1]
    read_at = core.now()
    seen = yield from fetch(core, attempt.account, provider_id, seconds=seconds)
    request = yield from transact(lambda connection: store.load_request(connection, reference))
    different = differs(request, seen) or (None if seen.price else "its price is not shown")
    # Providers write whole seconds, and clocks differ a little.
    if seen.created_at is not None and seen.created_at < attempt.created_at - _CLOCKS_DIFFER:
        different = f"it was made at {seen.created_at:%Y-%m-%d %H:%M:%S} UTC, before it was asked for"
    if different:
        raise Conflict(
            f"the provider's order {provider_id} is not this one: {different}",
            account=attempt.account,
            operation="orders.link",
            reference=reference,
        )
    yield from transact(
        lambda connection: take_over(core, connection, reference, attempt.number, seen, read_at=read_at)
    )
    return (yield from _load(reference))


def page(
    core: Core, *, account: str | None, status: OrderStatus | None, cursor: str | None, size: int
) -> Flow[Page[Order]]:
    """One page of the store's orders, newest first."""
    return (
        yield from transact(
            lambda connection: store.list_orders(connection, account=account, status=status, size=size, cursor=cursor)
        )
    )


def fetch(core: Core, account: str, provider_id: str, *, seconds: float | None) -> Flow[ProviderOrder]:
    """An order at the provider by the provider's own number, known here or not. Changes nothing."""
    opened = core.account(account)
    opened.require("orders.get")
    run = Performance(opened, "orders.get", core.deadline(seconds, opened))
    seen: ProviderOrder = yield from perform(run, Begun(opened.able(ReadsOrders).get_order(provider_id)))
    return (yield from _named(account, seen))


def fetch_page(
    core: Core, account: str, *, customer: str | None, cursor: str | None, size: int, seconds: float | None
) -> Flow[Page[ProviderOrder]]:
    """One page of the provider's own list."""
    opened = core.account(account)
    opened.require("orders.list")
    provider_customer = yield from customer_at(opened, customer)
    run = Performance(opened, "orders.list", core.deadline(seconds, opened))
    query = Query(cursor=cursor, size=size, customer=provider_customer)
    found: Page[ProviderOrder] = yield from perform(run, Begun(opened.able(ListsOrders).list_orders(query)))
    items = []
    for item in found.items:
        items.append((yield from _named(account, item)))
    return Page[ProviderOrder](items=tuple(items), next=found.next)


def _named(account: str, seen: ProviderOrder) -> Flow[ProviderOrder]:
    """The snapshot with the merchant's reference, where the order is known here."""
    number = seen.provider_id
    if number is None:
        return seen
    known = yield from transact(lambda connection: store.find_attempt(connection, account, number))
    return seen.model_copy(update={"reference": known[0]}) if known else seen


def customer_at(account: OpenAccount, customer: str | None) -> Flow[str | None]:
    """The provider's number of a customer of the merchant; None for None. Raises NotFound for one that is unknown
    there.
    """
    if customer is None:
        return None
    found = yield from transact(lambda connection: customers.provider_id(connection, account.name, customer))
    if found is None:
        raise NotFound(
            f"the customer {customer} is not known at {account.name}",
            account=account.name,
            provider=account.provider.name,
            reference=customer,
            hint="create it with customers.create, or name an existing one with customers.link",
        )
    return found
