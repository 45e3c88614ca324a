"""The limit of calls that the provider declares is kept."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.errors import AuthenticationFailed, RateLimited
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
_MOST = 100
"""So many calls are made at most: where the provider says no limit, or a large one, its sandbox must bear these."""


def _limited(suite: Suite) -> Iterator[Case]:
    limit = suite.examined().provider.rate_limit
    label = f"{limit.requests}-in-{limit.seconds}-s" if limit else "none-declared"
    for colour in COLOURS:
        yield Case(area=_AREA, colour=colour, label=label)


class RateLimitSuite(Suite):
    """As many calls as are allowed, then a pause, and never a 429."""

    turn = 8

    @check(_limited)
    def test_no_more_calls_leave_than_are_allowed(self, bench: Bench, case: Case) -> None:
        limit = bench.subject.provider.rate_limit
        if limit is not None and (limit.requests < 1 or limit.seconds < 1):
            fault(f"no such limit: {limit}", expected="at least one request in at least one second")
        operations = {row.operation for row in supported(bench.subject)}
        calls = {call.operation: call for call in bench.subject.calls()}
        name = next((name for name in _CHEAP if name in operations and name in calls), None)
        if name is None:
            return
        count = min(_MOST, limit.requests + 1) if limit is not None else _MOST
        with Bench(bench.subject, limited=True) as own:
            play = own.play(case.colour)
            prepared = calls[name].prepare(play)
            refused = False
            while len(own.received()) < count and not refused:
                try:
                    calls[name].make(play, prepared)
                except RateLimited:
                    pass
                except AuthenticationFailed as error:
                    if sum(own.clock.slept) <= 0:
                        raise
                    fault(
                        f"after pauses of {sum(own.clock.slept):.0f} s, which no check really waits for, the sandbox "
                        f"does not accept the key any more: {error}",
                        expected="signatures checked by `clock.now` of limited(clock): the kit's time is ahead there",
                        look_at="limited() of the Subject, and the clock of the sandbox",
                    )
                refused = any(record.status == 429 for record in own.received())
            if refused:
                declared = f"{limit.requests} calls in {limit.seconds} s" if limit else "no limit"
                fault(
                    f"the provider answered 429 after {len(own.received()) - 1} calls, and {declared} is declared",
                    expected="the limit that the provider documents, so that no more calls leave",
                    look_at="rate_limit of the Provider, and auth.key_id: the limit is kept for each key",
                )
            pauses = [seconds for seconds in own.clock.slept if seconds > 0]
            if limit is not None and count > limit.requests and (not pauses or max(pauses) > limit.seconds + 1):
                fault(
                    f"{len(own.received())} calls left with pauses of {pauses}",
                    expected=f"a pause of at most {limit.seconds} s after {limit.requests} calls",
                )
