"""Adapters that check the proof of callbacks, and not well enough."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from conformance.acme import AcmeAdapter
from conformance.broken.callbacks import Compares
from conformance.broken.fault import fails
from gateway.contracts import IncomingCallback, Proof

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
