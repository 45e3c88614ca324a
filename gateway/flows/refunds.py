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
from gateway.models.orders import OrderStatus
from gateway.models.refunds import ProviderRefund, Refund, RefundRequest, RefundStatus
from gateway.store import refunds as store
from gateway.store.withdrawals import check_not_frozen

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["create", "get"]


def create(core: Core, request: RefundRequest, *, seconds: float | None) -> Flow[Refund]:
    """Refund a paid order, or give the refund that this reference has; an order is never refunded under two
    references.
    """
    asked = comparable(request)
    if (yield from recorded(core, "refunds.create", request.reference, asked)) is not None:
        return (yield from _load(request.reference))
    order = yield from orders.get(core, request.order, refresh=True, seconds=seconds)
    paid = order.leading
    account = core.account(paid.account)
    account.require("refunds.create")
    core.same_environment(account, order.environment, f"the order {request.order}")
    if paid.status not in (OrderStatus.PAID, OrderStatus.UNDERPAID) or paid.provider_id is None:
        raise Conflict(
            f"the order {request.order} is {order.status}: there is nothing to refund; nothing was sent",
            account=account.name,
            operation="refunds.create",
            reference=request.reference,
        )
    new = NewRefund(request=request, order=paid.provider_id, known=paid.order)

    def on_intent(connection: Connection) -> None:
        check_not_frozen(connection, account=account.name, limits=account.settings.limits)
        other = store.open_refund_of(connection, request.order)
        if other is not None and other.reference != request.reference:
            raise Conflict(
                f"the order {request.order} has the refund {other.reference} ({other.status}); nothing was sent",
                account=account.name,
                operation="refunds.create",
                reference=request.reference,
            )
        store.insert_refund(
            connection,
            request,
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


def get(core: Core, reference: str, *, refresh: bool, seconds: float | None) -> Flow[Refund]:
    """The refund. With `refresh`, what is not final is read at the provider: the order first, then the refund
    itself.
    """
    found = yield from _load(reference)
    if not refresh or found.status.is_final or found.account not in core.accounts:
        return found
    order = yield from orders.get(core, found.order, refresh=True, paid_too=True, seconds=seconds)
    if order.status is OrderStatus.REFUNDED:
        yield from transact(
            lambda c: store.save_refund(c, reference, status=RefundStatus.COMPLETED, result=None, now=core.now())
        )
        return (yield from _load(reference))
    account = core.account(found.account)
    number = order.leading.provider_id
    if number is None or not account.capabilities.variants("refunds.get"):
        return found
    account.require("refunds.get")
    run = Performance(account, "refunds.get", core.deadline(seconds, account))
    seen: ProviderRefund = yield from perform(run, Begun(account.able(ReadsRefunds).get_refund(number)))
    # What a provider shows before it confirms says nothing about a refund whose own outcome is unknown.
    status = found.status if not seen.status.is_final and found.status is RefundStatus.UNCONFIRMED else seen.status
    yield from transact(lambda c: store.save_refund(c, reference, status=status, result=seen, now=core.now()))
    return (yield from _load(reference))


def _load(reference: str) -> Flow[Refund]:
    found = yield from transact(lambda connection: store.load_refund(connection, reference))
    if found is None:
        raise NotFound(f"there is no refund {reference}", operation="refunds.get", reference=reference)
    return found
