"""The limit of calls that the provider declares is kept."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.testing.conformance.bench import Bench, supported
from gateway.testing.conformance.cases import Case, Suite, check
from gateway.testing.conformance.colours import COLOURS
from gateway.testing.conformance.faults import fault

__all__ = ["RateLimitSuite"]

_AREA = "rate-limit"
_CHEAP = (
    *("keys.verify", "markets.ticker", "markets.list", "wallets.list", "customers.get"),
    *("orders.get", "orders.list", "trades.open", "transactions.list"),
)
_MOST, _LONGEST = 200, 500


def _limited(suite: Suite) -> Iterator[Case]:
    for colour in COLOURS:
        yield Case(area=_AREA, colour=colour)


class RateLimitSuite(Suite):
    """As many calls as are allowed, then a pause, and never a 429."""

    turn = 8

    @check(_limited)
    def test_no_more_calls_leave_than_are_allowed(self, bench: Bench, case: Case) -> None:
        limit = bench.subject.provider.rate_limit
        if limit is None:
            return  # that a 429 is waited for is examined with every operation
        if limit.requests < 1 or limit.seconds < 1:
            fault(f"no such limit: {limit}", expected="at least one request in at least one second")
        if limit.requests > _MOST or limit.seconds > _LONGEST:
            return
        operations = {row.operation for row in supported(bench.subject)}
        calls = {call.operation: call for call in bench.subject.calls()}
        name = next((name for name in _CHEAP if name in operations and name in calls), None)
        if name is None:
            return
        with Bench(bench.subject, limited=True) as own:
            play = own.play(case.colour)
            prepared = calls[name].prepare(play)
            while len(own.received()) <= limit.requests:
                calls[name].make(play, prepared)
            refused = [record for record in own.received() if record.status == 429]
            if refused:
                fault(
                    f"the provider answered 429 after {len(own.received())} calls: the limit is not kept",
                    expected=f"at most {limit.requests} calls in {limit.seconds} s, as RateLimit declares",
                    look_at="rate_limit of the Provider, and auth.key_id: the limit is kept for each key",
                )
            if not own.clock.slept or max(own.clock.slept) > limit.seconds + 1:
                fault(
                    f"{len(own.received())} calls left with pauses of {own.clock.slept}",
                    expected=f"a pause of at most {limit.seconds} s after {limit.requests} calls",
                )
