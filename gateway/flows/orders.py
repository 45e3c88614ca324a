"""Orders: create, renew, read, list. The reference names the purchase; every order made for it at a provider is an
attempt.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.accounts import OpenAccount
from gateway.callbacks.tokens import attempt_url
from gateway.contracts import CreatesOrders, ListsOrders, NewOrder, Query, ReadsOrders
from gateway.core import Core, log
from gateway.engine.clock import Deadline
from gateway.engine.effects import Flow, Pause, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import (
    ConfigurationError,
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    StoreError,
    UnsupportedOperation,
    UnverifiedOperation,
)
from gateway.flows import failover, routing
from gateway.flows.failover import Step, Stuck
from gateway.flows.moves import follow
from gateway.flows.routing import Ways, variant_of
from gateway.flows.writes import Write, comparable, ended, once
from gateway.models.base import Page
from gateway.models.choices import Choice, Verdict
from gateway.models.orders import (
    Attempt,
    Order,
    OrderRequest,
    OrderStatus,
    ProviderOrder,
    Settlement,
)
from gateway.store import choices, customers, health
from gateway.store import orders as store
from gateway.store.journal import JournalState

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "create",
    "customer_at",
    "differs",
    "explain",
    "fetch",
    "fetch_page",
    "get",
    "link",
    "page",
    "renew",
    "take_over",
]

_CLOCKS_DIFFER = timedelta(minutes=2)

# How long it waits before it looks again for what another call with the same reference does.
_FIRST_LOOK = 0.05
_LONGEST_LOOK = 1.0

# What a following attempt may replace. An attempt that is still open could yet be paid by the first address.
_REPLACEABLE = frozenset(
    {OrderStatus.EXPIRED, OrderStatus.FAILED, OrderStatus.CANCELLED, OrderStatus.CREATING, OrderStatus.UNRECOGNISED}
)


def create(core: Core, request: OrderRequest, *, account: str | None, seconds: float | None) -> Flow[Order]:
    """Create the order, or give the one that this reference has; never a second one beside it.

    Where no account is named, it goes on at the next account as `flows/failover.py` says, and so does the same call
    when it is repeated. The deadline is that of the whole call; each account gets an equal share of what is left.
    """
    known = yield from transact(lambda connection: store.load_order(connection, request.reference))
    if known is not None:
        if account is not None:
            core.same_environment(core.account(account), known.environment, f"the order {request.reference}")
        yield from _require_same(request)
    return (yield from _walk(core, request, known, account=account, base=0, seconds=seconds))


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
    return (yield from _walk(core, request, order, account=account, base=last.number, seconds=seconds))


def _require_same(request: OrderRequest) -> Flow[None]:
    recorded_request = yield from transact(lambda connection: store.load_request(connection, request.reference))
    before, now = comparable(recorded_request), comparable(request)
    if before != now:
        differs = [name for name in now if before[name] != now[name]]
        raise IdempotencyConflict(
            f"the reference was used for another request ({', '.join(differs)} differ); nothing was sent",
            operation="orders.create",
            reference=request.reference,
            hint="a changed request needs a new reference; orders.renew sends the recorded one again",
        )


def _walk(
    core: Core, request: OrderRequest, known: Order | None, *, account: str | None, base: int, seconds: float | None
) -> Flow[Order]:
    """One attempt after the other, never two at once, until one is made. `base` is the attempt that a renewal follows,
    0 for none.
    """
    reference = request.reference

    def ways() -> Ways:
        routed = request.model_copy(update={"settles_to": known.settles_to}) if known else request
        return routing.ways(core, routed, account=account, environment=known.environment if known else None)

    found = ways() if known is None or base else None
    may_move = found is None and account is None
    deadline: Deadline | None = None
    failures: dict[str, GatewayError] = {}
    news: GatewayError | None = None
    pause = _FIRST_LOOK
    while True:
        step = yield from _planned(core, request, found, failures, base)
        if step is None:
            return (yield from _load(reference))
        if may_move and not (isinstance(step, Stuck) and step.is_refused):
            may_move = False
            # Where nothing else is configured any more, the account where it was begun goes on with it.
            with suppress(ConfigurationError, UnsupportedOperation, UnverifiedOperation, InvalidRequest):
                found = ways()
                continue
        if isinstance(step, Stuck):
            raise _stuck(core, step, failures, reference)
        name = step.candidate.account.name
        others = found.able if found else (step.candidate,)
        deadline = deadline or core.deadline(seconds, *(one.account for one in others))
        if failures and deadline.remaining() <= 0:
            raise failover.told(failures, reference, why=f"; no time was left for {name}")
        if news is not None:
            log.warning("order %s goes on at %s: %s", reference, name, news)
            news = None
        share = Deadline.after(core.clock, deadline.remaining() / step.left)
        settles_to = known.settles_to if known else step.candidate.account.settles_to
        try:
            yield from _attempt(core, request, step, settles_to, base, share)
            return (yield from _load(reference))
        except GatewayError as error:
            failure = error
        if isinstance(failure, Conflict) and failure.retryable and failure.operation == "orders.create":
            # Another call with this reference is at it, or was quicker: look again.
            if deadline.remaining() <= pause:
                raise failover.told({**failures, name: failure}, reference)
            yield Pause(pause)
            pause = min(_LONGEST_LOOK, pause * 2)
            continue
        failures[name] = news = failure
        if not (yield from _may_go_on(reference, step.number, failure)):
            raise failover.told(failures, reference)


def _planned(
    core: Core, request: OrderRequest, found: Ways | None, failures: Mapping[str, GatewayError], base: int
) -> Flow[Step | Stuck | None]:
    try:
        return (
            yield from transact(lambda connection: failover.plan(core, connection, request, found, failures, base=base))
        )
    except StoreError as error:
        if not failures:
            raise
        broken = error
    happened = failover.told(failures, request.reference)
    happened.add_note(f"and it could not go on elsewhere: {broken.message}")
    raise happened


def _may_go_on(reference: str, number: int, error: GatewayError) -> Flow[bool]:
    try:
        return (yield from transact(lambda connection: failover.may_go_on(connection, reference, number, error)))
    except StoreError:
        return False  # what happened at the provider is the news


def _stuck(core: Core, step: Stuck, failures: Mapping[str, GatewayError], reference: str) -> GatewayError:
    """What to raise when no account is left, or the last one has refused the order."""
    if step.last is not None and step.is_refused and step.last.account not in failures:
        failures = {**failures, step.last.account: ended(step.last)}
    if failures:
        return failover.told(failures, reference, unknown=step.unknown, recorded=step.last is not None)
    assert step.last is not None
    if step.last.state is JournalState.INTENDED:
        core.account(step.last.account)  # not configured any more
    return ended(step.last)


def _attempt(
    core: Core, request: OrderRequest, step: Step, settles_to: Settlement, base: int, deadline: Deadline
) -> Flow[None]:
    account, number = step.candidate.account, step.number
    account.require("orders.create", variant_of(request))
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
        order = failover.begin(core, connection, request.reference, step, base)
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
        failover.close_unsent(core, connection, request.reference, number)

    def on_done(connection: Connection, result: ProviderOrder) -> None:
        take_over(core, connection, request.reference, number, result)
        health.record_success(connection, account.name)

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
        on_done=on_done,
        on_rejected=lambda connection, error: save(connection, OrderStatus.FAILED, error),
        on_reopened=lambda connection, error: save(connection, OrderStatus.CREATING, error),
        on_failure=lambda connection, error: failover.count_failure(core, connection, account.name, error),
        circumstances=failover.CIRCUMSTANCES,
        check=lambda result: differs(request, attempt_id, result),
    )
    yield from once(core, write, deadline)


def _callback_url(core: Core, account: OpenAccount, attempt_id: str) -> str | None:
    """Where the provider calls back for this attempt; None when the gateway or the account takes no callbacks."""
    base_url, keys = core.settings.public_base_url, core.settings.callback_key
    if base_url is None or not keys or not account.receives_callbacks:
        return None
    return attempt_url(base_url, keys[0], account.name, attempt_id)


def differs(request: OrderRequest, attempt_id: str, made: ProviderOrder) -> str | None:
    """What of the provider's order is not what was asked for, in words; None when all that it shows agrees."""
    if made.attempt is not None and made.attempt != attempt_id:
        return f"asked for the attempt {attempt_id}, the order {made.provider_id} is for {made.attempt[:64]}"
    if made.price is not None and made.price != request.price:
        return f"asked for {request.price}, the order {made.provider_id} is for {made.price}"
    if made.pay_with is not None and request.pay_with is not None and not made.pay_with.satisfies(request.pay_with):
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


def get(
    core: Core,
    reference: str,
    *,
    refresh: bool,
    paid_too: bool = False,
    seconds: float | None,
    background: bool = False,
) -> Flow[Order]:
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
        seen = yield from _read(core, attempt, seconds, background=background)
        if seen is not None:
            number, snapshot = attempt.number, seen
            yield from transact(
                lambda c, n=number, s=snapshot, at=read_at: take_over(core, c, reference, n, s, read_at=at)  # type: ignore[misc]
            )
    return (yield from _load(reference))


def _read(core: Core, attempt: Attempt, seconds: float | None, *, background: bool) -> Flow[ProviderOrder | None]:
    """The attempt as its provider shows it; None, with a warning, when its account is no longer configured."""
    try:
        account = core.account(attempt.account)
    except ConfigurationError:
        log.warning("attempt %s is at %s, which is not configured any more: not read", attempt.number, attempt.account)
        return None
    core.same_environment(account, attempt.environment, "the attempt")
    assert attempt.provider_id is not None
    return (yield from fetch(core, account.name, attempt.provider_id, seconds=seconds, background=background))


def link(core: Core, reference: str, provider_id: str, *, seconds: float | None) -> Flow[Order]:
    """Give an attempt the provider's number that its creation did not tell (the payer chose the coin on a hosted page).

    The order is read first and must agree with what was asked: the price (or the attempt, where the provider shows
    it), the coin where one was asked for, and a creation not before the attempt's. Raises Conflict when it does not,
    or when the number belongs to another order.
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
    request, attempt_id = yield from transact(
        lambda connection: (
            store.load_request(connection, reference),
            store.attempt_id_of(connection, reference, attempt.number),
        )
    )
    different = differs(request, attempt_id or "", seen) or (
        None if seen.price is not None or seen.attempt is not None else "its price is not shown"
    )
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


def explain(core: Core, reference: str) -> Flow[list[Choice]]:
    """Why the order's attempts were made where they were, oldest first, with what became of each."""
    order = yield from _load(reference)
    found = yield from transact(lambda connection: choices.list_choices(connection, reference))
    attempts = {attempt.number: attempt for attempt in order.attempts}
    told = []
    for choice in found:
        attempt = attempts.get(choice.number) if choice.verdict is Verdict.CHOSEN else None
        told.append(choice.model_copy(update={"status": attempt.status, "error": attempt.error}) if attempt else choice)
    return told


def page(
    core: Core, *, account: str | None, status: OrderStatus | None, cursor: str | None, size: int
) -> Flow[Page[Order]]:
    """One page of the store's orders, newest first."""
    return (
        yield from transact(
            lambda connection: store.list_orders(connection, account=account, status=status, size=size, cursor=cursor)
        )
    )


def fetch(
    core: Core, account: str, provider_id: str, *, seconds: float | None, background: bool = False
) -> Flow[ProviderOrder]:
    """An order at the provider by the provider's own number, known here or not. Changes nothing."""
    opened = core.account(account)
    opened.require("orders.get")
    run = Performance(opened, "orders.get", core.deadline(seconds, opened), background=background)
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
