"""Sandboxes that check nothing, and samples that prove nothing: a kit that runs against them shows nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.requests import Request

from conformance.acme import SignedAuth
from conformance.acme_sandbox import KEY, AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.testing.conformance import StatusWords
from gateway.testing.sandbox import OutgoingCallback

_REFUSED = "test_a_key_that_is_not_accepted_is_told_as_that"


@fails(_REFUSED, "keys.verify works with a key that the provider does not accept")
class TakesAnyKey(AcmeSandbox):
    """A sandbox that takes any key."""

    def _admit(self, request: Request, content: bytes) -> None:
        pass


@fails(
    _REFUSED,
    "keys.verify works with a key that the provider does not accept",
    refused_auth={"kind": "signed", "key": KEY, "secret": "nobodys-secret"},
)
class ChecksNoSignature(AcmeSandbox):
    """A sandbox that knows the key and does not check the signature."""

    def _admit(self, request: Request, content: bytes) -> None:
        assert request.headers.get("x-key") == KEY


@fails("test_a_forged_one_proves_nothing", "the sandbox forges callbacks that are genuine ones")
class ForgesGenuineOnes(AcmeSandbox):
    """A sandbox whose forged callbacks are genuine ones."""

    def forged(self, callback: OutgoingCallback) -> OutgoingCallback:
        return callback


@fails("test_it_works_and_a_genuine_one_leads_to_the_order", "the provider's sandbox made no callback")
class CallsNobody(AcmeSandbox):
    """A sandbox that makes no callback when an order is paid."""

    def _become(self, order: Any, status: str) -> None:
        self._orders[order.id] = type(order)(**{**vars(order), "status": status})


@fails("test_the_providers_words_mean_what_is_documented", "no answer has anything at data.state")
class LooksForWordsElsewhere(Acme):
    """Says that the provider's word stands where no answer has anything, so that no word was ever tried."""

    words = (StatusWords("orders.get", "data.state", {"paid": "paid"}), *Acme.words[1:])


@fails(
    "test_nothing_shows_its_secrets",
    "auth.secret stands in the repr of the adapter's auth",
    public=frozenset({"auth.key", "auth.secret"}),
)
class CallsItsSecretPublic(SignedAuth):
    """Says that the secret of the account is public, and shows it when it is printed."""

    def __repr__(self) -> str:
        return f"SignedAuth({self._keys.secret.reveal()})"


class Narrow(AcmeSandbox):
    """It allows the time of a request to be a few seconds from real time."""

    window = timedelta(seconds=3)


@fails(
    "test_no_more_calls_leave_than_are_allowed",
    "which no check really waits for, the sandbox does not accept the key any more",
    limited=lambda self, clock: Narrow(limit=30, monotonic=clock.monotonic),
)
class ChecksTimesByAnotherClock(Narrow):
    """A sandbox that checks the time of signatures by real time, where pauses are not really waited for."""
