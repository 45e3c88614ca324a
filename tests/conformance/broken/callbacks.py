"""Adapters that believe callbacks, or fail at them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from conformance.acme import WINDOW, AcmeAdapter, signature
from conformance.acme_sandbox import AcmeSandbox
from conformance.broken.fault import fails
from gateway.contracts import IncomingCallback, NewOrder, Notice, Proof
from gateway.exchange import Request
from gateway.models import OrderStatus, ProviderOrder

_REPLAYED = "test_replayed_and_duplicated_ones_change_nothing"
_NEARLY = "test_a_proof_that_is_nearly_right_is_none"
_MALFORMED = "test_malformed_ones_are_read_without_a_failure"


@fails("test_a_forged_one_proves_nothing", "a forged callback was believed: proof matches")
class BelievesAnybody(AcmeAdapter):
    """Says that the proof of every callback matches."""

    def proof(self, callback: IncomingCallback) -> Proof:
        return Proof.MATCHES


@fails("test_a_forged_one_proves_nothing", "a callback without any header was believed")
class BelievesWhatIsNotSigned(AcmeAdapter):
    """Checks the proof of a callback only where one is there."""

    def proof(self, callback: IncomingCallback) -> Proof:
        return super().proof(callback) if "x-sign" in callback.headers else Proof.MATCHES


@fails("test_a_forged_one_proves_nothing", "a forged callback was believed: proof absent")
class ChecksNoProof(AcmeAdapter):
    """Does not check the proof of callbacks although the account has the secret for it."""

    def proof(self, callback: IncomingCallback) -> Proof:
        return Proof.ABSENT


@fails("test_it_works_and_a_genuine_one_leads_to_the_order", "a genuine callback was not taken for one: proof differs")
class ChecksTheBodyAlone(AcmeAdapter):
    """Checks the signature of a callback over its body alone, where the provider signs time and address too."""

    def proof(self, callback: IncomingCallback) -> Proof:
        secret = self.settings.callback.secret
        assert secret is not None
        same = signature(secret, callback.body.decode("utf-8", "replace")) == callback.headers.get("x-sign")
        return Proof.MATCHES if same else Proof.DIFFERS


class Compares(AcmeAdapter):
    """The steps of a proof, for what compares it in another way."""

    def proof(self, callback: IncomingCallback) -> Proof:
        secret = self.settings.callback.secret
        assert secret is not None
        time, given = callback.headers.get("x-time", ""), callback.headers.get("x-sign")
        if given is None or not self.is_timely(time, callback.received_at):
            return Proof.DIFFERS
        expected = signature(secret, time, callback.url, callback.body.decode("utf-8", "replace"))
        return Proof.MATCHES if self.is_same(expected, given) else Proof.DIFFERS

    def is_same(self, expected: str, given: str) -> bool:
        return expected == given


@fails(_NEARLY, "a callback was believed although the header X-Sign is empty")
class BelievesAnEmptyProof(Compares):
    """Compares the proof of a callback only where it is not empty."""

    def is_same(self, expected: str, given: str) -> bool:
        return not given or expected == given


@fails(_NEARLY, "a callback was believed although the header X-Sign is only its first 1 characters")
class BelievesABeginning(Compares):
    """Takes whatever a proof begins with for the proof."""

    def is_same(self, expected: str, given: str) -> bool:
        return given != "" and expected.startswith(given)


@fails(_NEARLY, "a callback was believed although the header X-Sign is only its first 32 characters")
class ComparesAFewCharacters(Compares):
    """Compares the first eight characters of a proof."""

    def is_same(self, expected: str, given: str) -> bool:
        return expected[:8] == given[:8]


@fails(_NEARLY, "a callback was believed although the header X-Sign is changed in one character at its end")
class ComparesAllButTheEnd(Compares):
    """Compares all of a proof but its last character."""

    def is_same(self, expected: str, given: str) -> bool:
        return len(expected) == len(given) and expected[:-1] == given[:-1]


@fails(_NEARLY, "a callback was believed although the header X-Sign is that of another genuine callback")
class RemembersProofs(AcmeAdapter):
    """Believes a proof that was right once, whatever it comes with later."""

    def __init__(self, account: Any) -> None:
        super().__init__(account)
        self.seen: set[str] = set()

    def proof(self, callback: IncomingCallback) -> Proof:
        given = callback.headers.get("x-sign", "")
        if super().proof(callback) is Proof.MATCHES:
            self.seen.add(given)
        return Proof.MATCHES if given in self.seen else Proof.DIFFERS


@fails(_NEARLY, "which nobody has signed, changes the order that a callback is about")
class ListensToAHeader(AcmeAdapter):
    """Takes the order's number from a header that is not signed."""

    def read_callback(self, callback: IncomingCallback) -> Notice:
        notice = super().read_callback(callback)
        return replace(notice, provider_id=callback.headers.get("x-order") or notice.provider_id)


@fails("test_a_strict_account_rejects_what_proves_nothing", "callback.strict is true, and strict_callbacks is False")
class IsNeverStrict(AcmeAdapter):
    """Admits callbacks whose proof differs although the account's settings reject them."""

    @property
    def strict_callbacks(self) -> bool:
        return False


@fails("test_a_strict_account_rejects_what_proves_nothing", "callback.strict is false, and strict_callbacks is True")
class IsAlwaysStrict(AcmeAdapter):
    """Rejects callbacks whose proof differs although the account's settings admit them."""

    @property
    def strict_callbacks(self) -> bool:
        return True


@fails("test_what_a_body_says_is_read_at_the_provider_first", "was believed: an order that nobody has paid is paid")
class BelievesTheBody(AcmeAdapter):
    """Remembers what the body of a callback says of an order, and tells that instead of what the provider answers."""

    told: str | None = None

    def read_callback(self, callback: IncomingCallback) -> Notice:
        notice = super().read_callback(callback)
        if b'"paid"' in callback.body:
            self.told = notice.provider_id
        return notice

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        believed = self.told is not None and read.provider_id == self.told
        return read.model_copy(update={"status": OrderStatus.PAID}) if believed else read


class SignsNoBody(AcmeSandbox):
    def _proof(self, secret: str, url: str, body: bytes) -> dict[str, str]:
        return super()._proof(secret, url, b"")


@fails(
    "test_what_a_body_says_is_read_at_the_provider_first",
    "a genuine callback of another order whose body was changed to name the order was believed",
    sandbox=lambda self: SignsNoBody(),
)
class BelievesTheBodyOfAGenuineOne(BelievesTheBody):
    """Believes the body of a callback whose proof is right, where the proof does not cover the body."""

    def read_callback(self, callback: IncomingCallback) -> Notice:
        before = self.told
        notice = super().read_callback(callback)
        if notice.proof is not Proof.MATCHES:
            self.told = before
        return notice

    def proof(self, callback: IncomingCallback) -> Proof:
        return super().proof(replace(callback, body=b""))


@fails(_REPLAYED, "callbacks that came again changed what the order has received")
class CountsCallbacks(AcmeAdapter):
    """Adds up what callbacks say was paid, so that one which comes three times counts three times."""

    def __init__(self, account: Any) -> None:
        super().__init__(account)
        self.times: dict[str | None, int] = {}

    def read_callback(self, callback: IncomingCallback) -> Notice:
        notice = super().read_callback(callback)
        self.times[notice.provider_id] = self.times.get(notice.provider_id, 0) + 1
        return notice

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        times = self.times.get(read.provider_id, 1)
        return read.model_copy(update={"received": read.received and read.received * times})


@fails(_REPLAYED, "a callback that was kept for two days is believed")
class ForgetsTheTime(AcmeAdapter):
    """Does not look at the time of a callback's proof."""

    def is_timely(self, time: str, now: datetime) -> bool:
        return True


@fails(_REPLAYED, "a callback from the future is believed")
class LooksBackOnly(AcmeAdapter):
    """Refuses callbacks that are too old, and believes those from the future."""

    def is_timely(self, time: str, now: datetime) -> bool:
        try:
            return now - datetime.fromisoformat(time) <= WINDOW
        except (ValueError, TypeError):
            return False


@fails(_MALFORMED, "read_callback raised JSONDecodeError for a callback of b''")
class FailsAtNonsense(AcmeAdapter):
    """Raises an exception for a callback that is no JSON."""

    def number(self, body: bytes) -> str | None:
        data = json.loads(body)
        return str(data["order"]) if isinstance(data, dict) and "order" in data else None


@fails(_MALFORMED, "names the order []", forge=lambda self, sandbox, callback: replace(callback, headers={}))
class TakesAnythingForANumber(AcmeAdapter):
    """Takes whatever stands in the body for the order's number."""

    def number(self, body: bytes) -> Any:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return next(iter(data.values()), None) if isinstance(data, dict) else None


@fails("test_it_works_and_a_genuine_one_leads_to_the_order", "made no callback for an order that was paid")
class HidesItsAddress(AcmeAdapter):
    """Does not hand the address of callbacks to the provider."""

    def new_order(self, order: NewOrder) -> Request:
        return super().new_order(replace(order, callback_url=None))


@fails("test_it_works_and_a_genuine_one_leads_to_the_order", "was read as one about")
class ReadsAnotherNumber(AcmeAdapter):
    """Reads another field than the order's number from a callback."""

    def number(self, body: bytes) -> str | None:
        return "A0" if super().number(body) is not None else None
