"""The provider's books beside ours: every list that the provider offers is walked, and what differs is told.

Nothing is settled by it. With `repair`, what is known here follows what the provider shows, by the same rules and with
the same events as when it is read otherwise; a write of unknown outcome is left to a person, with suggestions. Lists
are read and compared page by page, and what is kept of them is their numbers, in eight bytes each.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.errors import GatewayError, InvalidRequest, StoreError
from gateway.flows.reconciling import movements, orders, payouts
from gateway.flows.reconciling.run import Run, Tell
from gateway.models.reconciliations import Reconciliation
from gateway.store import outcomes
from gateway.store import reconciliations as store

__all__ = ["Tell", "last", "reconcile"]


def reconcile(
    core: Core,
    account: str,
    *,
    since: datetime,
    until: datetime | None = None,
    repair: bool = False,
    seconds: float | None = None,
    tell: Tell = lambda what, count: None,
    background: bool = False,
) -> Flow[Reconciliation]:
    """Compare what was made since then, and keep the result. `seconds` is the deadline of each call to the provider.

    A list that cannot be read is told as not compared; failures of the store end the run.
    """
    opened, now = core.account(account), core.now()
    for moment in (since, until):
        if moment is not None and moment.tzinfo is None:
            raise InvalidRequest("a time needs a zone", hint="such as 2025-06-01T00:00:00Z")
    if since >= (until or now):
        raise InvalidRequest("`since` is not before `until`: there is nothing to compare")
    core.deadline(seconds, opened)
    run = Run(core, opened, since, until or now, repair=repair, background=background, seconds=seconds, tell=tell)
    yield from transact(lambda connection: outcomes.recover(connection, now))
    yield from _guarded(run, "orders", orders.compare)
    yield from _guarded(run, "payouts", payouts.compare_payouts)
    yield from _guarded(run, "trades", payouts.compare_trades)
    yield from _guarded(run, "money movements", movements.compare)
    yield from movements.unconfirmed(run)
    result = Reconciliation(
        account=opened.name,
        provider=opened.provider.name,
        environment=opened.environment,
        since=run.since,
        until=run.until,
        began_at=run.began_at,
        ended_at=core.now(),
        read=run.read,
        findings=tuple(run.findings),
        unlisted=run.unlisted,
        not_compared=tuple(run.not_compared),
    )
    yield from transact(lambda connection: store.save_reconciliation(connection, result))
    return result


def last(core: Core, account: str) -> Flow[Reconciliation | None]:
    """The run over this account that ended last."""
    core.account(account)
    return (yield from transact(lambda connection: store.last_reconciliation(connection, account)))


def _guarded(run: Run, what: str, part: Callable[[Run], Flow[None]]) -> Flow[None]:
    try:
        yield from part(run)
    except StoreError:
        raise
    except GatewayError as error:
        run.broke(what, error)
