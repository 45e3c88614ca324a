"""Limits of calls that are not the provider's. The names of keys are in `signing`."""

from __future__ import annotations

from conformance.acme import provider
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.contracts import RateLimit

_LIMIT = "test_no_more_calls_leave_than_are_allowed"


@fails(_LIMIT, "the provider answered 429 after")
class AllowsItselfMore(Acme):
    """Declares twice as many calls as the provider allows."""

    provider = provider(rate_limit=RateLimit(60, 10))


@fails(_LIMIT, "no such limit")
class AllowsItselfNothing(Acme):
    """Declares a limit that lets no call through."""

    provider = provider(rate_limit=RateLimit(0, 10))
