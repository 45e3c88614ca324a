"""Where an order goes on: rules over the store, by which `orders.create` and `orders.renew` walk.

An order goes on at the next account when nothing was done at this one, or when nobody knows:

| what happened | goes on |
| --- | --- |
| the account's capabilities or its adapter refuse the order before anything was recorded or sent | yes |
| nothing of it left: not reachable, no time or rate left, no key obtained | yes |
| 401, 403, 429, 503, or the provider's words for them or for an operation that it does not offer | yes |
| it may have been made (`OutcomeUnknown`) | yes, by a new attempt; the unknown one stays watched, and in the journal |
| refused for what the request says: invalid, not found, conflict, no funds | no |
| a mistake of this side: the configuration, a plugin, the store, a reference used twice | no |

Never to another environment, nor to an account whose orders become somebody else's money; and never away from an
account that the call names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core import Candidate, Core
from gateway.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InvalidRequest,
    Outcome,
    PermissionDenied,
    PluginError,
    ProviderUnavailable,
    StoreError,
    UnsupportedOperation,
    UnverifiedOperation,
)
from gateway.flows.routing import Ways
from gateway.flows.writes import comparable
from gateway.models.choices import Verdict
from gateway.models.orders import Attempt, Order, OrderException, OrderRequest, OrderStatus
from gateway.store import health, journal
from gateway.store import orders as store
from gateway.store.choices import Looked, record_choices
from gateway.store.health import Health
from gateway.store.journal import JournalEntry, JournalState
from gateway.store.outcomes import recover

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "CIRCUMSTANCES",
    "Step",
    "Stuck",
    "begin",
    "close_unsent",
    "count_failure",
    "may_go_on",
    "plan",
    "told",
]

CIRCUMSTANCES = (AuthenticationFailed, PermissionDenied, UnsupportedOperation, UnverifiedOperation)
"""Refusals of a provider that leave the order's attempt open, beside those that may be repeated: not here, not now."""

MOST_ATTEMPTS = 50
"""How many attempts of one order the calls of `create` make by themselves."""

_OVER = (OrderStatus.CREATING, OrderStatus.EXPIRED, OrderStatus.FAILED, OrderStatus.CANCELLED)
_OURS = (ConfigurationError, IdempotencyConflict, PluginError, StoreError)
_REFUSALS = (InvalidRequest, UnsupportedOperation, UnverifiedOperation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Send attempt `number` at this account, of `left` that may still be asked in this call. `after` is what the plan
    knew of the attempt that it follows; `looked` is why this account and no other.
    """

    candidate: Candidate
    number: int
    left: int
    rests: bool = False
    after: JournalState | None = None
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True)
class Stuck:
    """No account is left to ask. `last` is the entry of the last attempt; `unknown` what one of them may have left."""

    last: JournalEntry | None = None
    unknown: GatewayError | None = None

    @property
    def is_refused(self) -> bool:
        return self.last is not None and self.last.state is JournalState.REJECTED


def plan(
    core: Core,
    connection: Connection,
    request: OrderRequest,
    found: Ways | None,
    failed: Mapping[str, GatewayError],
    *,
    base: int = 0,
) -> Step | Stuck | None:
    """What a call does next, inside a transaction; None when the order is made. Raises IdempotencyConflict.

    `found` None: the last attempt alone may go on. `failed` are the accounts that failed in this call. Attempts up to
    `base` are those that a renewal follows.

    In this order: the attempt that was begun and never sent; accounts that this order has not tried; the last attempt
    once more; accounts at which it certainly came to nothing. Those that rest come last, and not a second time.
    Accounts at which the outcome of an attempt is unknown are left out.
    """
    now, reference = core.now(), request.reference
    order = store.load_order(connection, reference)
    attempts = order.attempts if order else ()
    own = [attempt for attempt in attempts if attempt.number > base]
    last = own[-1] if own else None
    entry = _entry(core, connection, last, request)
    if last is not None and (entry is None or entry.state is JournalState.DONE or any(map(_is_made, own))):
        return None
    if last is not None and entry is not None:
        if entry.state is JournalState.REJECTED:
            return Stuck(entry)
        if entry.state is JournalState.SENT or (entry.state is JournalState.INTENDED and journal.is_held(entry, now)):
            return Step(candidate=_begun(core, last), number=last.number, left=1)
    resumable = entry is not None and entry.state is JournalState.INTENDED
    able = list(found.able) if found else []
    listed = {one.account.name for one in able}
    if last is not None and resumable and last.account not in listed and last.account in core.accounts:
        able.append(_begun(core, last))
    unknown = [attempt for attempt in own if OrderException.UNCONFIRMED in attempt.exceptions]
    tried = {attempt.account for attempt in own}
    known = health.load_health(connection, [one.account.name for one in able])
    resting = {name: one for name, one in known.items() if one.rests(now)}
    options: list[tuple[tuple[bool, int, int], Candidate, bool]] = []
    for place, candidate in enumerate(able):
        name = candidate.account.name
        resumes = last is not None and resumable and name == last.account
        again = name in tried and not resumes
        if name in failed or (again and (name in resting or any(attempt.account == name for attempt in unknown))):
            continue
        if not resumes and len(own) >= MOST_ATTEMPTS:
            continue
        if resumes and entry is not None and entry.error is None:
            rank = (False, 0, place)
        else:
            rank = (name in resting, 1 if name not in tried else 2 if resumes else 3, place)
        options.append((rank, candidate, resumes))
    if not options:
        return Stuck(entry, GatewayError.from_dict(unknown[-1].error) if unknown and unknown[-1].error else None)
    _, chosen, resumes = min(options, key=lambda option: option[0])
    number = last.number if last and resumes else len(attempts) + 1
    looked = list(_passed(number, chosen, able, found, failed, tried, resting))
    if last is not None and not resumes:
        looked.append((last.number, last.account, Verdict.MOVED_ON, _why(entry)))
    looked.append((number, chosen.account.name, Verdict.CHOSEN, _reason(chosen, known.get(chosen.account.name), core)))
    return Step(
        candidate=chosen,
        number=number,
        left=len(options),
        rests=chosen.account.name in resting,
        after=entry.state if entry and not resumes else None,
        looked=tuple(looked),
    )


def _is_made(attempt: Attempt) -> bool:
    """Whether the payer can pay this attempt, or has; also one whose creation was unknown for a while."""
    return attempt.status not in _OVER


def _entry(core: Core, connection: Connection, attempt: Attempt | None, request: OrderRequest) -> JournalEntry | None:
    """The attempt's entry. What was sent by a process that has ended since is unknown from now on. Raises
    IdempotencyConflict for another request, and when its account has changed its environment since.
    """
    entry = _find(connection, request.reference, attempt.number) if attempt else None
    if entry is None:
        return None
    account = core.accounts.get(entry.account)
    journal.require_same(
        entry, journal.fingerprint(comparable(request)), account.environment if account is not None else None
    )
    if entry.state is JournalState.SENT and recover(connection, core.now()):
        return _find(connection, request.reference, int(entry.scope))
    return entry


def _find(connection: Connection, reference: str, number: int) -> JournalEntry | None:
    found = journal.find(connection, reference, "orders.create")
    return next((entry for entry in found if entry.scope == str(number)), None)


def _begun(core: Core, attempt: Attempt) -> Candidate:
    return Candidate(core.account(attempt.account), "begun there before")


def _passed(
    number: int,
    chosen: Candidate,
    able: list[Candidate],
    found: Ways | None,
    failed: Mapping[str, GatewayError],
    tried: set[str],
    resting: Mapping[str, Health],
) -> Iterator[Looked]:
    """The accounts that were passed over for this attempt, and why."""
    if found is not None:
        for name, why in found.refused.items():
            yield number, name, Verdict.REFUSED, why
    for candidate in able:
        name = candidate.account.name
        if name == chosen.account.name:
            return
        if name in failed and name not in tried:  # nothing was recorded of it
            yield number, name, Verdict.REFUSED, _told(failed[name])
        elif name in resting:
            yield number, name, Verdict.SKIPPED, _rest(resting[name])


def _rest(known: Health) -> str:
    return (
        f"left alone until {known.open_until:%Y-%m-%d %H:%M:%S} UTC: it failed {known.failures} times in a row, "
        f"the last time with {known.error}"
    )


def _reason(chosen: Candidate, known: Health | None, core: Core) -> str:
    if known is not None and known.rests(core.now()):
        return f"{chosen.reason}; no other account is left ({_rest(known)})"
    if known is not None and known.is_due(core.now()):
        return f"{chosen.reason}; tried again after its rest"
    return chosen.reason


def _why(entry: JournalEntry | None) -> str:
    if entry is None or entry.error is None:
        return "begun there and never sent"
    return f"{entry.error['error']} ({entry.error['outcome']}): {entry.error['message']}"


def _told(error: GatewayError) -> str:
    return f"{type(error).__name__} ({error.outcome}): {error.message}"


def begin(core: Core, connection: Connection, reference: str, step: Step, base: int) -> Order | None:
    """Check, in the transaction of the intent, that the plan still holds: two attempts are never begun side by side.
    Returns the order as it is before.

    Raises Conflict, after which the same call plans anew.
    """
    now, name = core.now(), step.candidate.account.name
    order = store.load_order(connection, reference)
    entries = {entry.scope: entry for entry in journal.find(connection, reference, "orders.create")}
    attempts = order.attempts if order else ()
    # It goes on, or this very step was recorded and nobody could say so.
    begun = any(attempt.number == step.number and attempt.account == name for attempt in attempts)
    for attempt in attempts:
        entry = entries.get(str(attempt.number))
        if attempt.number > step.number or (attempt.number == step.number and attempt.account != name):
            raise _meanwhile(attempt, reference, "was begun meanwhile, at", "repeat the call to get the order")
        if attempt.number == step.number or entry is None:
            continue
        if entry.state is JournalState.SENT or (entry.state is JournalState.INTENDED and journal.is_held(entry, now)):
            raise _meanwhile(
                attempt,
                reference,
                "is on its way just now, to",
                "repeat the call when it has ended",
                # What is renewed is looked at anew by the caller: it may turn out to be made.
                operation="orders.create" if attempt.number > base else "orders.renew",
            )
        if attempt.number == base and _is_made(attempt) and attempt.status is not OrderStatus.UNRECOGNISED:
            raise _meanwhile(
                attempt, reference, "turned out to be made, at", "look at the order again", operation="orders.renew"
            )
        changed = step.after is not None and attempt.number == step.number - 1 and entry.state is not step.after
        if attempt.number > base and ((changed and not begun) or _is_made(attempt)):
            raise _meanwhile(attempt, reference, "has ended meanwhile, at", "repeat the call to get the order")
    if order is not None and order.settles_to is not step.candidate.account.settles_to:
        raise InvalidRequest(
            f"the order {reference} is the {order.settles_to}'s money, and {name} settles to the "
            f"{step.candidate.account.settles_to}; nothing was sent"
        )
    rest = health.load_health(connection, [name]).get(name)
    if rest is not None and not step.rests and not begun:
        cool_down = core.settings.failover.cool_down
        if rest.rests(now) or (rest.is_due(now) and not health.probe(connection, name, cool_down=cool_down, now=now)):
            raise Conflict(
                f"{name} has been failing since, and is left alone for a while; nothing was sent",
                account=name,
                operation="orders.create",
                reference=reference,
                retryable=True,
                hint="repeat the call",
            )
    record_choices(connection, reference, step.looked, environment=step.candidate.account.environment, now=now)
    return order


def _meanwhile(attempt: Attempt, reference: str, what: str, hint: str, *, operation: str = "orders.create") -> Conflict:
    return Conflict(
        f"attempt {attempt.number} {what} {attempt.account}; nothing was sent",
        account=attempt.account,
        operation=operation,
        reference=reference,
        retryable=True,
        hint=hint,
    )


def close_unsent(core: Core, connection: Connection, reference: str, number: int) -> None:
    """The attempts before this one that were begun and came to nothing have failed, and are never sent.

    Called when this one is recorded: the order goes on with it, so no event tells that the order has failed.
    """
    now = core.now()
    for entry in journal.find(connection, reference, "orders.create"):
        if entry.state is not JournalState.INTENDED or int(entry.scope) >= number:
            continue
        never = GatewayError(
            "begun and never sent; the order went on with another attempt",
            account=entry.account,
            provider=entry.provider,
            operation=entry.operation,
            reference=reference,
        )
        error = entry.error or never.to_dict()
        journal.abandon(connection, entry, error=error, now=now)
        store.save_attempt(
            connection,
            reference,
            int(entry.scope),
            status=OrderStatus.FAILED,
            exceptions=frozenset(),
            provider_id=None,
            snapshot=None,
            error=error,
            now=now,
        )


def count_failure(core: Core, connection: Connection, account: str, error: GatewayError) -> None:
    """Count what says that the account cannot make orders just now: not reached, a server error, no usable answer.

    A refusal says nothing about that, and a limit of this side neither.
    """
    if error.outcome is not Outcome.UNKNOWN and not isinstance(error, ProviderUnavailable):
        return
    settings = core.settings.failover
    health.record_failure(
        connection,
        account,
        f"{type(error).__name__}: {error.message}",
        failures=settings.failures,
        cool_down=settings.cool_down,
        now=core.now(),
    )


def may_go_on(connection: Connection, reference: str, number: int, error: GatewayError) -> bool:
    """Whether a call in which attempt `number` failed so plans anew: what was recorded says then where to."""
    if isinstance(error, _OURS):
        return False
    recorded = _find(connection, reference, number) is not None
    return recorded or (isinstance(error, _REFUSALS) and error.outcome is Outcome.NOT_SENT)


def told(
    failures: Mapping[str, GatewayError],
    reference: str,
    *,
    unknown: GatewayError | None = None,
    recorded: bool = True,
    why: str = "",
) -> GatewayError:
    """The error of a call for which no account made the order: the last one, with what happened at each.

    When an order may have been made nevertheless, it is that error: nobody is told that nothing happened.
    """
    errors = list(failures.values())
    raised = next((error for error in reversed(errors) if error.outcome is Outcome.UNKNOWN), unknown) or errors[-1]
    if len(errors) == 1 and raised is errors[0] and not why:
        return raised
    each = "; ".join(f"{name}: {type(error).__name__} ({error.outcome})" for name, error in failures.items())
    tail = f"tried {each}{why}" + (f"; see `gateway orders explain {reference}`" if recorded else "")
    raised.hint = f"{raised.hint}; {tail}" if raised.hint else tail
    for name, error in failures.items():
        raised.add_note(f"{name}: {_told(error)}")
    return raised
