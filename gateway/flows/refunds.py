"""Refunds: a paid order's money going back, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.contracts import CreatesRefunds, NewRefund, ReadsRefunds
from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import Conflict, NotFound
from gateway.flows import orders
from gateway.flows.writes import Write, comparable, once, recorded
from gateway.models.orders import Attempt, Order, OrderStatus
from gateway.models.refunds import ProviderRefund, Refund, RefundRequest, RefundStatus
from gateway.store import refunds as store
from gateway.store.withdrawals import check_not_frozen

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["create", "get"]

_MONEY_IS_THERE = (OrderStatus.PAID, OrderStatus.UNDERPAID)


def create(core: Core, request: RefundRequest, *, seconds: float | None) -> Flow[Refund]:
    """Refund one payment of an order, or give the refund that this reference has; no payment is ever refunded under
    two references.
    """
    asked = comparable(request)
    if (yield from recorded(core, "refunds.create", request.reference, asked)) is not None:
        return (yield from _load(request.reference))
    order = yield from orders.get(core, request.order, refresh=True, seconds=seconds)
    paid = yield from _payment(request, order)
    account = core.account(paid.account)
    account.require("refunds.create")
    core.same_environment(account, order.environment, f"the order {request.order}")
    if paid.status not in _MONEY_IS_THERE or paid.provider_id is None:
        what = f"the order {request.order}" if request.attempt is None else f"attempt {paid.number} of {request.order}"
        raise Conflict(
            f"{what} is {paid.status}: there is nothing to refund; nothing was sent",
            account=account.name,
            operation="refunds.create",
            reference=request.reference,
        )
    new = NewRefund(request=request, order=paid.provider_id, known=paid.order)

    def on_intent(connection: Connection) -> None:
        check_not_frozen(connection, account=account.name, limits=account.settings.limits)
        other = store.open_refund_of(connection, request.order, paid.number)
        if other is not None and other.reference != request.reference:
            raise Conflict(
                f"the order {request.order} has the refund {other.reference} of attempt {paid.number} "
                f"({other.status}); nothing was sent",
                account=account.name,
                operation="refunds.create",
                reference=request.reference,
            )
        store.insert_refund(
            connection,
            request,
            attempt=paid.number,
            account=account.name,
            provider=account.provider.name,
            environment=account.environment,
            now=core.now(),
        )

    def save(connection: Connection, status: RefundStatus, result: ProviderRefund | None = None) -> None:
        store.save_refund(connection, request.reference, status=status, result=result, now=core.now())

    write = Write[ProviderRefund](
        operation="refunds.create",
        reference=request.reference,
        account=account,
        request=asked,
        prepare=lambda: account.able(CreatesRefunds).create_refund(new),
        on_intent=on_intent,
        on_done=lambda connection, result: save(connection, result.status, result),
        on_rejected=lambda connection, error: save(connection, RefundStatus.FAILED),
        on_reopened=lambda connection, error: store.delete_refund(connection, request.reference),
    )
    yield from once(core, write, core.deadline(seconds, account))
    return (yield from _load(request.reference))


def get(core: Core, reference: str, *, refresh: bool, seconds: float | None, background: bool = False) -> Flow[Refund]:
    """The refund. With `refresh`, what is not final is read at the provider: the order first, then the refund
    itself. It is completed when the attempt whose payment it is shows as refunded.
    """
    found = yield from _load(reference)
    if not refresh or found.status.is_final or found.account not in core.accounts:
        return found
    order = yield from orders.get(
        core, found.order, refresh=True, paid_too=True, seconds=seconds, background=background
    )
    attempt = next(attempt for attempt in order.attempts if attempt.number == found.attempt)
    if attempt.status is OrderStatus.REFUNDED:
        yield from transact(
            lambda c: store.save_refund(c, reference, status=RefundStatus.COMPLETED, result=None, now=core.now())
        )
        return (yield from _load(reference))
    account = core.account(found.account)
    number = attempt.provider_id
    if number is None or not account.capabilities.variants("refunds.get"):
        return found
    account.require("refunds.get")
    run = Performance(account, "refunds.get", core.deadline(seconds, account), background=background)
    seen: ProviderRefund = yield from perform(run, Begun(account.able(ReadsRefunds).get_refund(number)))
    # What a provider shows before it confirms says nothing about a refund whose own outcome is unknown.
    status = found.status if not seen.status.is_final and found.status is RefundStatus.UNCONFIRMED else seen.status
    yield from transact(lambda c: store.save_refund(c, reference, status=status, result=seen, now=core.now()))
    return (yield from _load(reference))


def _payment(request: RefundRequest, order: Order) -> Flow[Attempt]:
    """The attempt whose payment is asked back. Whether it has a payment, and no refund, is still to be checked."""
    if request.attempt is not None:
        named = next((attempt for attempt in order.attempts if attempt.number == request.attempt), None)
        if named is None:
            raise NotFound(
                f"the order {request.order} has no attempt {request.attempt}; nothing was sent",
                operation="refunds.create",
                reference=request.reference,
                hint=f"it has {len(order.attempts)}, counted from 1",
            )
        return named
    held = [attempt for attempt in order.attempts if attempt.status in _MONEY_IS_THERE]
    held.sort(key=lambda attempt: (attempt.status is not OrderStatus.PAID, -attempt.number))
    refunds = yield from transact(
        lambda connection: [store.open_refund_of(connection, request.order, attempt.number) for attempt in held]
    )
    for attempt, refund in zip(held, refunds, strict=True):
        if refund is None or refund.reference == request.reference:
            return attempt
    return held[0] if held else order.leading


def _load(reference: str) -> Flow[Refund]:
    found = yield from transact(lambda connection: store.load_refund(connection, reference))
    if found is None:
        raise NotFound(f"there is no refund {reference}", operation="refunds.get", reference=reference)
    return found
