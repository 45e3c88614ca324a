"""The kill switch: no payout leaves a frozen account, whichever process asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.errors import InvalidRequest
from gateway.store import freezes

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["freeze", "frozen", "unfreeze"]


def freeze(core: Core, account: str, *, by: str, reason: str) -> Flow[None]:
    """Stop payouts, refunds and new cards of the account from now on; all else goes on. May be repeated."""
    core.account(account)
    if not reason.strip():
        raise InvalidRequest("a freeze needs a reason", account=account)
    yield from transact(lambda connection: freezes.freeze(connection, account, by=by, reason=reason, now=core.now()))


def unfreeze(core: Core, account: str) -> Flow[None]:
    """Let payouts leave again. May be repeated."""
    core.account(account)
    yield from transact(lambda connection: freezes.unfreeze(connection, account, now=core.now()))


def frozen(core: Core) -> Flow[dict[str, Any]]:
    """The frozen accounts: who froze them, when and why. Those frozen in the configuration are among them."""

    def work(connection: Connection) -> dict[str, Any]:
        found: dict[str, Any] = {
            name: {"by": "the configuration", "reason": "limits.frozen = true"}
            for name, account in core.accounts.items()
            if account.settings.limits.frozen
        }
        return {**found, **freezes.frozen(connection)}

    return (yield from transact(work))
