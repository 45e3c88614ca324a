"""Performing an operation: the loop around every request, written once for both colours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from gateway.capabilities import OPERATIONS
from gateway.engine import keys, logins
from gateway.engine.clock import Deadline
from gateway.engine.effects import Checkpoint, Enter, Flow, Leave, Pause, Send, transact
from gateway.engine.http import TransportFailure
from gateway.engine.verdicts import Verdict, judge_answer, judge_failure, slip
from gateway.errors import (
    AuthenticationFailed,
    GatewayError,
    MalformedResponse,
    Outcome,
    OutcomeUnknown,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
    StoreError,
)
from gateway.exchange import Malformed, Operation, Request, Response, Signing
from gateway.models.keys import Permission
from gateway.observation import Record
from gateway.secrets import Raw, Redactor

if TYPE_CHECKING:
    from gateway.accounts import OpenAccount
    from gateway.ring import HeldKey

__all__ = ["Begun", "Performance", "needed", "perform"]

T = TypeVar("T")

_EVERYTHING = frozenset(Permission)
_NEEDED = {permission: frozenset({permission}) for permission in Permission}
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 8.0
_MOST_SENDINGS = 6
_SHORTEST_READ = 5.0


class Performance:
    """One run of an operation: its name, its deadline, and what to do right before its first write leaves. One in the
    `background` leaves half of the key's calls to the merchant's own. `permissions` are what its key needs, where its
    name does not say it; `key` is the one key to use, whatever it may do. What is sent `once` is not repeated, and
    holds no other call back when the provider wants to be left alone.
    """

    def __init__(
        self,
        account: OpenAccount,
        name: str,
        deadline: Deadline,
        before_write: Callable[[], Flow[None]] | None = None,
        *,
        background: bool = False,
        permissions: frozenset[Permission] | None = None,
        key: HeldKey | None = None,
        once: bool = False,
    ) -> None:
        self.account = account
        self.name = name
        self.deadline = deadline
        self.before_write = before_write
        self.journaled = before_write is not None
        self.wrote = False
        self.background = background
        self.permissions = permissions if permissions is not None else needed(name)
        self.key = key
        self.once = once
        self.began = account.clock.monotonic()


def needed(operation: str) -> frozenset[Permission]:
    """What a key needs for this operation; for one that the gateway does not know, everything."""
    known = OPERATIONS.get(operation)
    return _NEEDED[known.permission] if known is not None else _EVERYTHING


class Begun(Generic[T]):
    """An operation that has run up to its first request: its own checks have passed, and nothing was sent.

    Making one raises what those checks raise (InvalidRequest), before anything is recorded.
    """

    def __init__(self, operation: Operation[T]) -> None:
        self.operation = operation
        self.request: Request | None = None
        try:
            self.request = next(operation)
        except StopIteration as end:
            self.result: T = end.value


def perform(run: Performance, begun: Begun[T]) -> Flow[T]:
    """Carry the operation out and return its result. Raises GatewayError, filled in with where it happened."""
    clock = run.account.clock
    started, start = clock.now(), clock.monotonic()
    outcome, fault = "done", None
    try:
        while begun.request is not None:
            answer: Any = None
            refusal: GatewayError | None = None
            try:
                answer = yield from _exchange(run, begun.request)
                run.wrote = run.wrote or begun.request.write
            except GatewayError as error:
                refusal = error
            operation = begun.operation
            try:
                begun.request = operation.send(answer) if refusal is None else operation.throw(refusal)
            except StopIteration as end:
                begun.request, begun.result = None, end.value
            except GatewayError:
                raise
            except Exception as error:
                # What it raises here comes of the answer, whose parts it could not put together.
                raise MalformedResponse(f"the answer is not as documented ({slip(error)})") from None
        _hide(begun.result, run.account.redactor)
        return begun.result
    except GatewayError as error:
        raised: GatewayError = error
        if run.wrote and error.outcome is not Outcome.UNKNOWN:
            # The write itself was answered; what failed came after it, so "nothing was done" would be wrong.
            raised = OutcomeUnknown(
                f"the write was accepted, then: {error.message}", hint="read it again before anything else"
            )
            raised.__cause__ = error
        elif error.outcome is Outcome.UNKNOWN and not run.journaled:
            raised.hint = (
                "it may have been carried out, and no journal entry waits for it: read it at the provider first"
            )
        outcome, fault = raised.outcome.value, type(raised).__name__
        raise raised.about(
            account=run.account.name, provider=run.account.provider.name, operation=run.name
        ) from raised.__cause__
    except BaseException as error:
        outcome, fault = Outcome.UNKNOWN.value, type(error).__name__
        raise
    finally:
        run.account.observe(
            Record(
                kind="operation",
                account=run.account.name,
                provider=run.account.provider.name,
                operation=run.name,
                outcome=outcome,
                started_at=started,
                seconds=clock.monotonic() - start,
                error=fault,
            )
        )


def _hide(result: Any, redactor: Redactor) -> None:
    """Have all of the answer that the result holds shown without the account's secrets."""
    if isinstance(result, Raw):
        result.hide(redactor)
    elif isinstance(result, BaseModel):
        for value in vars(result).values():
            if isinstance(value, (Raw, BaseModel, tuple)):
                _hide(value, redactor)
    elif isinstance(result, (tuple, list)):
        for value in result:
            _hide(value, redactor)


def _exchange(run: Performance, request: Request) -> Flow[Any]:
    """One request until it has an answer that counts: sign, wait for the rate, send, judge, and repeat where that
    is safe.
    """
    account, renewed, sending = run.account, False, 0
    without: tuple[HeldKey, ...] = ()
    while True:
        sending += 1
        held = yield from _key(run, request, without)
        with held.used():
            held, signed, verdict = yield from _attempt(run, request, held, sending, alone=bool(without))
        if verdict.error is None:
            if held.key.refused_at is not None and request.signed:
                yield from keys.accepted(account, held)
            return verdict.value
        if isinstance(verdict.error, AuthenticationFailed) and request.signed:
            # A 401 means that nothing was done, so a write too may be repeated, once, with a renewed or another key.
            if held.login is not None and signed is not None and not renewed and not without:
                held.login.refused(signed)
                renewed = True
                continue
            if run.key is None:
                yield from keys.set_aside(account, held)
                if not without and (yield from _another(run, held)):
                    without = (held,)
                    continue
            raise verdict.error
        if not verdict.again or run.once:
            raise verdict.error
        if verdict.after is not None:
            yield from _close_key(account, held, verdict.after)
        if sending >= _MOST_SENDINGS:
            raise verdict.error
        if verdict.after is not None and isinstance(verdict.error, RateLimited) and _stand_ins(run, request, held):
            continue  # the limit is this key's alone
        pause = verdict.after if verdict.after is not None else account.backoff(sending, _FIRST_PAUSE, _LONGEST_PAUSE)
        if pause >= run.deadline.remaining():
            raise verdict.error
        yield Pause(pause)


def _key(run: Performance, request: Request, without: tuple[HeldKey, ...]) -> Flow[HeldKey]:
    """The key that this sending goes out with. Raises PermissionDenied where the account has none that may do it."""
    account = run.account
    if not request.signed:
        return account.unsigned
    if run.key is not None:
        return run.key
    if account.ring_due():
        yield from keys.refresh(account, run.deadline)
    return account.choose_key(run.permissions, without)


def _another(run: Performance, held: HeldKey) -> Flow[bool]:
    """Whether another key can be tried than the one that was refused; one that was added elsewhere counts."""
    account = run.account
    if not account.works_with_ring:
        return False
    yield from keys.refresh(account, run.deadline)
    try:
        account.choose_key(run.permissions, (held,))
    except PermissionDenied:
        return False
    return True


def _attempt(
    run: Performance, request: Request, held: HeldKey, sending: int, *, alone: bool
) -> Flow[tuple[HeldKey, Request | None, Verdict]]:
    """One sending, with this key or one that stands in for it: which one it was, what was sent, and how it went. Of a
    key that could not be obtained nothing is sent.
    """
    refusal = (yield from _login(run, held, sending)) if request.signed else None
    if refusal is not None:
        return held, None, Verdict(error=refusal)
    place = yield from _wait_for_rate(run, request, held, alone=alone)
    with held.standing_in(place):
        refusal = (yield from _login(run, place, sending)) if place is not held else None
        if refusal is not None:
            return place, None, Verdict(error=refusal)
        signed, verdict = yield from _send(run, place, request, sending)
        return place, signed, verdict


def _login(run: Performance, held: HeldKey, sending: int) -> Flow[GatewayError | None]:
    """See that the key can sign, where a login obtains it. Returns why it cannot, as an error of this call's own."""
    auth = held.login
    if auth is None:
        return None

    def obtain(deadline: Deadline, *, once: bool) -> Flow[Any]:
        return perform(Performance(run.account, "keys.issue", deadline, once=once), Begun(auth.login()))

    asked = run.key is not None or run.name == "keys.verify"
    error = yield from logins.ready(run.account, held, run.deadline, obtain, began=run.began, asked=asked)
    return error and logins.failure(run.account, held, error, run.name, again=sending > 1)


def _wait_for_rate(run: Performance, request: Request, held: HeldKey, *, alone: bool) -> Flow[HeldKey]:
    """Wait for a place among the calls of this key, or of one that can stand in for it; which one it became."""

    def others() -> list[HeldKey]:
        return [] if alone else _stand_ins(run, request, held)

    place, free, wait = yield from _reserve(run, held, others)
    while not free and run.background and wait < run.deadline.remaining():
        # It took no place ahead of others, so it asks again when one may be free.
        yield Pause(max(wait, _FIRST_PAUSE))
        place, free, wait = yield from _reserve(run, held, others)
    if not free:
        raise RateLimited(
            f"the key's rate limit leaves no room for {wait:.0f} s, longer than this call may take; nothing was sent",
            outcome=Outcome.NOT_SENT,
            retry_after=wait,
            hint="repeat the call later, or give it a longer deadline",
        )
    if wait > 0:
        yield Pause(wait)
    return place


def _stand_ins(run: Performance, request: Request, held: HeldKey) -> list[HeldKey]:
    """The keys with limits of their own that this request may go out with instead."""
    if not request.signed or run.key is not None or held.window.limit is None:
        return []
    return run.account.ring.others(run.permissions, held, run.account.clock.monotonic())


def _reserve(run: Performance, held: HeldKey, others: Callable[[], list[HeldKey]]) -> Flow[tuple[HeldKey, bool, float]]:
    """A place among the calls that the key may make: of all processes together, where the provider says how many. When
    it has none free at once, the others are asked, and the one that is free soonest has it.
    """
    account, patience = run.account, run.deadline.remaining()
    if held.window.limit is not None:
        try:
            place, free, wait = yield from transact(
                lambda connection: account.reserve_call(connection, held, others, patience, background=run.background)
            )
        except StoreError:
            pass  # a read needs no store, so its failure is none of the read's: this process keeps to the limit alone
        else:
            if free:
                place.window.note(account.clock.monotonic() + wait)
            return place, free, wait
    return held, *held.window.reserve(account.clock.monotonic(), patience)


def _close_key(account: OpenAccount, held: HeldKey, seconds: float) -> Flow[None]:
    """The provider said when to come back."""
    held.window.close_until(account.clock.monotonic() + seconds)
    if held.window.limit is not None:
        with contextlib.suppress(StoreError):
            yield from transact(lambda connection: account.close_key(connection, held, seconds))


def _send(run: Performance, held: HeldKey, request: Request, sending: int) -> Flow[tuple[Request, Verdict]]:
    """Sign and send once. Numbered requests of a key go out one at a time, so that the numbers arrive growing."""
    account, auth = run.account, held.auth
    numbered = request.signed and auth.numbered
    lane = f"numbers {auth.key_id}"
    if numbered:
        yield Enter(lane, run.deadline.remaining(), shared=True)
    try:
        number = 0
        if numbered:
            number = yield from _next_number(run, auth.key_id)
        signing = Signing(account.clock.now(), number)
        signed = auth.sign(request, signing) if request.signed else request.encoded()
        if run.deadline.remaining() <= 0:
            raise ProviderUnavailable("no time left before the deadline; nothing was sent", outcome=Outcome.NOT_SENT)
        if request.write and run.before_write is not None:
            yield from run.before_write()
            yield Checkpoint()
            run.before_write = None  # only now: an interruption up to here came before anything left
        return signed, (yield from _judged(run, signed, sending))
    finally:
        if numbered:
            yield Leave(lane)


def _next_number(run: Performance, key_id: str) -> Flow[int]:
    now = int(run.account.clock.now().timestamp() * 1_000_000)
    allocate = run.account.next_number
    return (yield from transact(lambda connection: allocate(connection, key_id, now)))


def _unreadable(why: str) -> Callable[[Response], Any]:
    def parse(response: Response) -> Any:
        raise Malformed(why)

    return parse


def _judged(run: Performance, signed: Request, sending: int) -> Flow[Verdict]:
    account = run.account
    started, start = account.clock.now(), account.clock.monotonic()
    response: Response | None = None
    try:
        left = run.deadline.remaining()
        # A write waits as long as the call may take. A read is given up while there is time to repeat it.
        whole = signed.write or run.once
        response = yield Send(account.name, signed, left if whole else max(left / 2, min(left, _SHORTEST_READ)))
        assert response is not None
        failure, readable = None, signed
        try:
            failure = account.adapter.read_failure(response)
        except Exception as error:
            readable = replace(signed, parse=_unreadable(slip(error)))
        pays_out = Permission.WITHDRAW in run.permissions
        verdict = judge_answer(readable, response, failure, account.redactor, account.clock.now(), pays_out=pays_out)
    except TransportFailure as error:
        verdict = judge_failure(signed, error)
    account.observe(
        Record(
            kind="exchange",
            account=account.name,
            provider=account.provider.name,
            operation=run.name,
            outcome="done" if verdict.error is None else verdict.error.outcome.value,
            started_at=started,
            seconds=account.clock.monotonic() - start,
            method=signed.method,
            path=account.redactor.text(signed.path),
            status=response.status if response is not None else None,
            attempt=sending,
            error=type(verdict.error).__name__ if verdict.error is not None else None,
            date=account.redactor.text(response.headers["date"]) if response and "date" in response.headers else None,
        )
    )
    return verdict
