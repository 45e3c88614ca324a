"""Keys that are obtained by a login: one login at a time for each key.

A key that is due and still good is renewed by one call; the others go on with it meanwhile, and so does that call when
the renewal fails. A key that is needed is waited for, and what became of the login is told to all who waited.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gateway.engine.clock import Deadline
from gateway.engine.effects import Enter, Flow, Leave, Note
from gateway.engine.verdicts import cause
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    Outcome,
    OutcomeUnknown,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
    StoreError,
)

if TYPE_CHECKING:
    from gateway.accounts import OpenAccount
    from gateway.contracts.adapter import LoginAuth
    from gateway.ring import HeldKey

__all__ = ["Logins", "failure", "ready"]

log = logging.getLogger("gateway")

_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0
_LONGEST_RENEWAL = 10.0
_HURRIED = 1.0
_TIME_TO_TRY = 5.0
_JUST_NOW = 1.0
_TIME_TO_NOTE = 0.5


class Obtain(Protocol):
    """Log in, until this deadline; `once`, without repeating what fails. Raises GatewayError."""

    def __call__(self, deadline: Deadline, *, once: bool) -> Flow[Any]: ...


class _Failed(NamedTuple):
    """`hurried`: the one who tried had no time left, which says little to those who have. `at` is of the monotonic
    clock, as is `until`: before then nobody tries again unless asked to.
    """

    error: GatewayError
    hurried: bool
    at: float
    until: float

    def tells(self, deadline: Deadline) -> bool:
        """Whether one who may take so long need not try."""
        return not self.hurried or deadline.remaining() <= _TIME_TO_TRY

    def just_after(self, began: float, now: float) -> bool:
        """Whether it came after a call began, and just now."""
        return began < self.at > now - _JUST_NOW

    def later(self, now: float) -> GatewayError:
        """The error for one who comes later, and before the next try."""
        when = f"{now - self.at:.0f} s ago; it is not tried again for {max(1.0, self.until - now):.0f} s"
        return GatewayError.from_dict({**self.error.to_dict(), "message": f"{cause(self.error)} ({when})"})


class Logins:
    """What this process knows of the logins of one key. Times are of the monotonic clock. Safe for threads."""

    def __init__(self) -> None:
        self.failed: _Failed | None = None
        """How the last one ended that was needed, if it failed."""
        self._failures = 0
        self._refusals = 0
        self._not_before = float("-inf")
        self.after_fork()

    def after_fork(self) -> None:
        """In the child: whatever the parent's threads were at is not done here."""
        self._renewing = False
        self._lock = threading.Lock()

    def begin_renewal(self, now: float) -> bool:
        """Whether the caller is the one to renew the key ahead of time. It calls `end_renewal` then."""
        with self._lock:
            if self._renewing or now < self._not_before:
                return False
            self._renewing = True
            return True

    def end_renewal(self) -> None:
        self._renewing = False

    def renewal_failed(self, now: float, error: GatewayError) -> None:
        """Nobody tries again for a while. One who is refused does not before the key is needed: a provider may lock
        a user out who tries too often.
        """
        with self._lock:
            self._failures += 1
            pause = _pause(self._failures)
            if isinstance(error, RateLimited) and error.retry_after is not None:
                pause = max(pause, error.retry_after)
            self._not_before = float("inf") if isinstance(error, AuthenticationFailed) else now + pause

    def needed_failed(self, now: float, error: GatewayError, *, hurried: bool) -> None:
        """One who needed the key could not obtain it. Where the provider refused, all who come within a while are told
        so without another try: a provider may lock a user out who tries too often.
        """
        with self._lock:
            refused = isinstance(error, (AuthenticationFailed, PermissionDenied))
            self._refusals += refused
            until = now + _pause(self._refusals) if refused else now
            self.failed = _Failed(error, hurried and not refused, now, until)

    def succeeded(self) -> None:
        with self._lock:
            self.failed = None
            self._failures = self._refusals = 0
            self._not_before = float("-inf")


def _pause(failures: int) -> float:
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))


def ready(
    account: OpenAccount, held: HeldKey, deadline: Deadline, obtain: Obtain, *, began: float, asked: bool
) -> Flow[GatewayError | None]:
    """See that the key can sign, for a call that `began` then (of the monotonic clock). Returns why it cannot: what
    became of the login. One that is `asked` to try the key does so also shortly after a refusal.
    """
    auth, logins = held.login, held.logins
    if auth is None or not auth.login_due():
        return None
    if auth.login_needed():
        failed, now = logins.failed, account.clock.monotonic()
        if failed is not None and now < failed.until and not asked:
            return failed.later(now)
        return (yield from _needed(account, held, auth, deadline, obtain, began))
    if logins.begin_renewal(account.clock.monotonic()):
        try:
            yield from _renewed(account, held, auth, deadline, obtain)
        finally:
            logins.end_renewal()
    return None


def _needed(
    account: OpenAccount, held: HeldKey, auth: LoginAuth, deadline: Deadline, obtain: Obtain, began: float
) -> Flow[GatewayError | None]:
    lane, known = _lane(account, held), held.logins.failed
    try:
        yield Enter(lane, deadline.remaining())
    except Conflict:
        return ProviderUnavailable("another call's login had no answer within the time that this call may take")
    try:
        if not auth.login_needed():
            return None
        failed, now = held.logins.failed, account.clock.monotonic()
        # One who was on the way to the door when the others were told is one of them.
        if failed is not None and (failed is not known or failed.just_after(began, now)) and failed.tells(deadline):
            return failed.error
        try:
            yield from obtain(deadline, once=False)
        except GatewayError as error:
            # Without its traceback, which would keep alive all that this call holds.
            copy = GatewayError.from_dict(error.to_dict())
            held.logins.needed_failed(account.clock.monotonic(), copy, hurried=deadline.remaining() < _HURRIED)
            return copy
        _obtained(account, held)
    finally:
        yield Leave(lane)
    yield from _noted(account, held, deadline)
    return None


def _renewed(account: OpenAccount, held: HeldKey, auth: LoginAuth, deadline: Deadline, obtain: Obtain) -> Flow[None]:
    """Renew a key that is still good. That it fails is no failure of the call."""
    lane = _lane(account, held)
    limit = Deadline.after(account.clock, min(_LONGEST_RENEWAL, deadline.remaining() / 2))
    try:
        yield Enter(lane, limit.remaining())
    except Conflict:
        return  # somebody needs it, and is at it already
    try:
        if not auth.login_due():
            return
        yield from obtain(limit, once=True)
        _obtained(account, held)
    except GatewayError as error:
        held.logins.renewal_failed(account.clock.monotonic(), error)
        log.warning(
            "the login that renews the key %s of %s failed, and the token before it is used while it is good: %s",
            held.label,
            account.name,
            cause(error),
        )
        return
    finally:
        yield Leave(lane)
    yield from _noted(account, held, deadline)


def _obtained(account: OpenAccount, held: HeldKey) -> None:
    held.logins.succeeded()
    account.redactor.learn(held.auth.secrets())  # also of a key that is in no ring yet


def _noted(account: OpenAccount, held: HeldKey, deadline: Deadline) -> Flow[None]:
    """Tell other processes when the token expires. The call needs no store for it, and nobody waits for it in the lane:
    a store that is held up costs this call a moment, and the others nothing.
    """
    if account.works_with_ring:
        patience = max(0.0, min(_TIME_TO_NOTE, deadline.remaining() / 4))
        with contextlib.suppress(StoreError):
            yield Note(lambda connection: account.note_token(connection, held), patience)


def _lane(account: OpenAccount, held: HeldKey) -> str:
    return f"login {account.name} {held.label}"


def failure(account: OpenAccount, held: HeldKey, error: GatewayError, operation: str, *, again: bool) -> GatewayError:
    """What a failed login is to a call that needed it: an error of the call's own. `again`: the call was sent before,
    and nothing was done.
    """
    about = "was not sent again, and nothing was done" if again else "was not sent"
    told = error.to_dict() | {
        "message": f"the login of {account.name} for its key {held.label} failed: {cause(error)}; {operation} {about}",
        "operation": None,
        "reference": None,
    }
    if isinstance(error, OutcomeUnknown):
        # It is the login of which nothing is known.
        told |= {"error": "ProviderUnavailable", "outcome": Outcome.NOT_SENT, "retryable": True, "hint": None}
    elif isinstance(error, AuthenticationFailed) and error.hint == error.default_hint:
        told["hint"] = (
            f"was the password changed? `gateway keys rotate {held.label} --account {account.name}` takes the new one"
            if account.works_with_ring
            else f"check the user name and password in accounts.{account.name}.auth"
        )
    return GatewayError.from_dict(told)
