"""Adapters that check the proof of callbacks, and not well enough."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from conformance.acme import AcmeAdapter, AcmeSettings, Keys, provider, signature
from conformance.acme_sandbox import SECRET, AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.callbacks import Compares
from conformance.broken.fault import fails
from gateway.contracts import IncomingCallback, KeyKind, KeyPart, KeyRules, Proof, RingAuth
from gateway.secrets import Secret
from gateway.testing import Sandbox

_REPLAYED = "test_replayed_and_duplicated_ones_change_nothing"


@fails("test_a_proof_is_compared_in_constant_time", "the proof of a callback is compared with ==")
class ComparesWithEquals(Compares):
    """Compares the proof of a callback with ==, whose time tells how much of it is right."""


@fails("test_a_proof_covers_the_bytes_that_came", "the same data in other bytes than the provider has signed")
class WritesTheBodyAnew(AcmeAdapter):
    """Checks the proof of a callback over its JSON written anew: what the provider writes without spaces is refused."""

    def proof(self, callback: IncomingCallback) -> Proof:
        try:
            body = json.dumps(json.loads(callback.body)).encode()
        except ValueError:
            return Proof.DIFFERS
        return super().proof(replace(callback, body=body))


@fails(_REPLAYED, "a callback that was kept for 1 day, 0:00:00 is believed")
class BelievesForTwoDays(AcmeAdapter):
    """Believes a callback that was kept for nearly two days."""

    def is_timely(self, time: str, now: datetime) -> bool:
        try:
            return abs(now - datetime.fromisoformat(time)) <= timedelta(hours=47)
        except (ValueError, TypeError):
            return False


@fails(_REPLAYED, "a callback that was kept for 7 days, 0:00:00 is believed")
class LooksAtTheTimeOfDay(AcmeAdapter):
    """Looks at the day of the week and the time of day of a callback's proof, and not at the date."""

    def is_timely(self, time: str, now: datetime) -> bool:
        try:
            moment = datetime.fromisoformat(time)
        except (ValueError, TypeError):
            return False
        apart = abs((now.hour * 60 + now.minute) - (moment.hour * 60 + moment.minute))
        return apart <= 5 and (now - moment).days % 7 == 0


class RingSettings(AcmeSettings):
    auth: Keys | RingAuth = Field(discriminator="kind", description="the account's key")  # type: ignore[assignment]


class SignsWithTheKey(AcmeSandbox):
    """Callbacks are signed with the secret of the account's key."""

    def account(self, base_url: str) -> dict[str, Any]:
        return {name: value for name, value in super().account(base_url).items() if name != "callback"}

    def _proof(self, secret: str, url: str, body: bytes) -> dict[str, str]:
        return super()._proof(SECRET if secret != "a-guessed-secret" else secret, url, body)


class ChecksWithTheKeys(AcmeAdapter):
    def proof(self, callback: IncomingCallback) -> Proof:
        time, given = callback.headers.get("x-time", ""), callback.headers.get("x-sign", "")
        parts = (time, callback.url, callback.body.decode("utf-8", "replace"))
        same = any(self.is_same(signature(secret, *parts), given) for secret in self.secrets())
        return Proof.MATCHES if same and self.is_timely(time, callback.received_at) else Proof.DIFFERS

    def is_same(self, expected: str, given: str) -> bool:
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))

    def secrets(self) -> Iterable[Secret]:
        own: Any = self.settings.auth
        return [own.secret] if isinstance(own, Keys) else [key.secret for key in self.account.ring()]


RULES = KeyRules(
    kinds=(KeyKind("signed", Keys, (KeyPart("secret", "secret"), KeyPart("key", "key"))),),
    guide=lambda request: (),
    source="acme: keys",
    grade="D",
)


class AcmeOnARing(Acme):
    """Acme, whose keys may be in a ring, and sign callbacks too."""

    provider = provider(adapter=ChecksWithTheKeys, settings=RingSettings, keys=RULES)
    callbacks = ()  # type: ignore[assignment]
    strict = None
    nothing_documented = {"callbacks": "Acme documents none that its keys sign"}

    def sandbox(self) -> Sandbox:
        return SignsWithTheKey()


class OwnKey(ChecksWithTheKeys):
    def secrets(self) -> Iterable[Secret]:
        return [self.settings.auth.secret]


@fails("test_an_account_on_a_ring_reads_callbacks", "an account on a ring of keys: read_callback raised AttributeError")
class ChecksWithItsOwnKey(AcmeOnARing):
    """Checks callbacks with the key of the settings, and fails where the account's keys are in a ring."""

    provider = provider(adapter=OwnKey, settings=RingSettings, keys=RULES)


class NoKey(ChecksWithTheKeys):
    def secrets(self) -> Iterable[Secret]:
        own: Any = self.settings.auth
        return [own.secret] if isinstance(own, Keys) else []


@fails("test_an_account_on_a_ring_reads_callbacks", "an account on a ring of keys was not taken for one: proof differs")
class ForgetsTheRing(AcmeOnARing):
    """Does not look into the account's ring for what callbacks are signed with."""

    provider = provider(adapter=NoKey, settings=RingSettings, keys=RULES)
