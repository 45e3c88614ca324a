"""One account is not another: what one of them obtains or remembers is its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import GatewayError
from gateway.exchange import Request, Signing
from gateway.testing.conformance.bench import Bench, Play, adapter_of, supported
from gateway.testing.conformance.cases import Case, Suite, check
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.scanning import texts_of
from gateway.testing.conformance.subject import Subject

__all__ = ["AccountsSuite"]

_LOOK_AT = "what the adapter's auth keeps: on itself (self), not on its class, its module or in a cache of functions"


def _other_keys(subject: Subject) -> Mapping[str, Any] | None:
    """The auth table of another account: one that is refused, or that of a check value."""
    vectors = (vector.auth for vector in subject.signatures if vector.auth is not None)
    return subject.refused_auth or next(vectors, None)


def _with_other_keys(suite: Suite) -> Iterator[Case]:
    if _other_keys(suite.examined()) is not None:
        yield Case(area="authentication", colour="")


class AccountsSuite(Suite):
    """Two accounts of one adapter in one process."""

    turn = 2

    @check(_with_other_keys)
    def test_two_accounts_share_no_key(self, bench: Bench, case: Case) -> None:
        play = bench.play(SYNC)
        assert play.watch.made is not None
        first = play.watch.made.auth
        if hasattr(first, "login_due") and first.login_due():
            _make_a_call(bench, play)
        settings = {**bench.settings, "auth": dict(_other_keys(bench.subject) or {})}
        second = adapter_of(bench.subject, settings).auth
        due = getattr(second, "login_due", None)
        if due is not None and hasattr(first, "login_due") and not due():
            fault(
                "after one account has logged in, another one that never did needs no login",
                expected="login_due() is True for an account that has obtained no key of its own",
                look_at=_LOOK_AT,
            )
        theirs = {text for _, text in texts_of(settings["auth"])}
        foreign = {secret.reveal() for secret in first.secrets()} - theirs
        if foreign & {secret.reveal() for secret in second.secrets()}:
            fault(
                "one account's auth holds a secret of another account",
                expected="secrets() gives those of its own account",
                look_at=_LOOK_AT,
            )
        request = Request("POST", "/conformance", json={"amount": "1"}, write=True)
        signing = Signing(bench.clock.now(), 7)
        ours = first.sign(request, signing)
        try:
            signed = second.sign(request, signing)
        except (GatewayError, AttributeError, TypeError):
            return  # it has to log in first
        sent = " ".join(signed.headers.values()) + (signed.body or b"").decode("utf-8", "replace") + signed.target()
        alike = (ours.headers, ours.body, ours.target()) == (signed.headers, signed.body, signed.target())
        if alike or any(text in sent for text in foreign):
            fault(
                "a request of one account is signed with the key of another one",
                expected="each account signs with its own auth table",
                look_at=_LOOK_AT,
            )


def _make_a_call(bench: Bench, play: Play) -> None:
    """An account that logs in has its key then."""
    calls = {(call.operation, call.variant): call for call in bench.subject.calls()}
    for row in supported(bench.subject):
        call = calls.get((row.operation, row.variant))
        if call is not None and not call.is_write:
            call.make(play, call.prepare(play))
            return
