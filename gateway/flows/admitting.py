"""A callback is admitted by its token alone; here its proof is checked, and it is committed before it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.callbacks.tokens import Place
from gateway.contracts import IncomingCallback, Notice, Proof, ReadsCallbacks
from gateway.core import Core, Telling, log
from gateway.engine import keys
from gateway.engine.clock import Deadline
from gateway.engine.effects import Flow, transact
from gateway.errors import GatewayError
from gateway.secrets import HIDDEN
from gateway.store import inbox
from gateway.store import orders as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.accounts import OpenAccount

__all__ = ["ADMITTED", "NOT_ADMITTED", "NOT_RECORDED", "admit"]

ADMITTED, NOT_ADMITTED, NOT_RECORDED = 200, 404, 503
_LONGEST_NUMBER = 200


def admit(core: Core, account: OpenAccount, place: Place, callback: IncomingCallback, client: str | None) -> Flow[int]:
    """Commit a callback whose token is genuine to the inbox; the status to answer with.

    Where the account is strict and the proof differs it is kept as rejected, told as an event, and answered as if its
    address were unknown. A store or a vault that cannot be used is answered with 503, so that the provider may call
    again.
    """
    told = Telling(core, "callback", "callbacks.receive", account.name)
    try:
        notice = yield from _proven(account, callback)
        row = _row(account, place, callback, notice, client)
        strict = account.able(ReadsCallbacks).strict_callbacks and notice.proof is Proof.DIFFERS

        def keep(connection: Connection) -> None:
            if not strict:
                inbox.admit(connection, row)
            elif inbox.reject(connection, row, callback.received_at):
                known = store.find_attempt_id(connection, place.attempt)
                reference, data = (
                    known[0] if known else None,
                    {"attempt": known[1] if known else None, "client": client},
                )
                reason = f"rejected, because its proof differs: {notice.reason}"
                where = account.name, account.provider.name, account.environment
                inbox.suspicious(connection, *where, place.attempt, reference, data, reason, callback.received_at)

        yield from transact(keep, together=True)
    except GatewayError as error:
        log.error(
            "a callback for attempt %s at %s could not be recorded and was answered with %s: %s",
            place.attempt,
            account.name,
            NOT_RECORDED,
            error,
        )
        told.ended("failed", type(error).__name__)
        return NOT_RECORDED
    if strict:
        log.warning("attempt %s at %s: a callback was rejected: %s", place.attempt, account.name, notice.reason)
        told.ended("rejected")
        return NOT_ADMITTED
    told.ended("done")
    return ADMITTED


def _proven(account: OpenAccount, callback: IncomingCallback) -> Flow[Notice]:
    """What the callback says, its proof compared with the secrets that are in the account's ring now. Raises StoreError
    or VaultError when none of them can be read: nobody could tell a genuine one then.
    """
    deadline = Deadline.after(account.clock, account.settings.timeout)
    if account.ring_due():
        yield from keys.refresh(account, deadline)
    notice = _notice(account, callback)
    if notice.proof is Proof.DIFFERS and account.works_with_ring:
        # The secret that it was made with may have been added elsewhere a moment ago.
        yield from keys.refresh(account, deadline)
        notice = _notice(account, callback)
    return notice


def _notice(account: OpenAccount, callback: IncomingCallback) -> Notice:
    try:
        notice = account.able(ReadsCallbacks).read_callback(callback)
    except Exception:  # a plugin's mistake must not lose the news that there was a callback
        log.exception("the adapter of %s failed to read a callback", account.provider.name)
        return Notice(proof=Proof.DIFFERS, reason="the adapter failed to read it")
    return notice if _is_number(notice.provider_id) else Notice(proof=notice.proof, reason=notice.reason)


def _is_number(found: object) -> bool:
    """Whether this can be a provider's number. It comes from a stranger's body, through a plugin."""
    return isinstance(found, str) and 0 < len(found) <= _LONGEST_NUMBER and found.isprintable()


def _row(
    account: OpenAccount, place: Place, callback: IncomingCallback, notice: Notice, client: str | None
) -> dict[str, Any]:
    """The callback as it is kept: without its token, and without the account's secrets."""
    redactor = account.redactor
    body = redactor.text(callback.body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    url = redactor.text(callback.url.replace(place.mac, HIDDEN))
    return {
        "account": account.name,
        "provider": account.provider.name,
        "environment": account.environment.value,
        "attempt_id": place.attempt,
        "digest": inbox.digest(callback),
        "method": callback.method,
        "url": url.encode("utf-8", "replace").decode(),
        "headers": redactor.headers(callback.headers),
        "body": body or None,
        "client": client,
        "proof": notice.proof.value,
        "proof_reason": notice.reason or None,
        "provider_id": notice.provider_id,
        "received_at": callback.received_at,
        "last_at": callback.received_at,
        "next_at": callback.received_at,
    }
