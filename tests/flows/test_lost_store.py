"""A payout whose store goes away in the middle: on PostgreSQL, the line cut while any of its commits is on its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from flows.world import World, payout
from gateway.errors import Outcome, OutcomeUnknown, StoreError
from gateway.models import WithdrawalRequest
from gateway.observation import Record
from gateway.store.journal import JournalState
from support.colours import Opened
from support.postgres import Line, PostgresServer
from support.virtual import VirtualClock

MOST_COMMITS = 12


@pytest.fixture
def line(postgres_server: PostgresServer) -> Iterator[Line]:
    made = Line(postgres_server)
    yield made
    made.close()


def attempted(gw: Opened, request: WithdrawalRequest) -> StoreError | None:
    """What the payout raised; it may raise nothing else."""
    try:
        gw.withdrawals.create(request, account="shop")
    except StoreError as error:
        return error
    return None


@pytest.mark.parametrize("cut", ["before", "after"])
def test_at_any_commit_it_leaves_once_and_is_recorded(
    world: World, colour: str, postgres: str, line: Line, cut: str
) -> None:
    """Before anything is sent, the call fails and says so, or goes on with what it can be sure of. Once the provider
    has answered, the answer is recorded with the next connection.
    """
    database = postgres.rpartition("/")[2]
    failed = 0
    for spared in range(MOST_COMMITS):
        request = payout(f"payout-{spared}")
        with world.gateway(colour, store=line.url(database)) as gw:
            gw.journal.list()
            line.cut, line.spared, line.cuts = cut, spared, 0
            error = attempted(gw, request)
            if error is not None:
                failed += 1
                assert (error.outcome, error.retryable) == (Outcome.NOT_SENT, True)
                assert "nothing was sent" in str(error)
                assert len(world.payouts()) == spared
            line.cut = None
            gw.withdrawals.create(request, account="shop")
            assert len(world.payouts()) == spared + 1
            (entry,) = gw.journal.show(request.reference)
            assert entry.state is JournalState.DONE
            if not line.cuts:
                break  # it makes no further commit
    else:
        pytest.fail("a payout makes more commits than were tried")
    assert spared >= 4  # looked up, begun, sent, ended
    assert failed == 1  # where it was about to be sent


def test_a_server_that_goes_down_with_the_answer_on_its_way(
    world: World, colour: str, postgres: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is back too late: the caller learns that the payout left, and it is found as unknown and not sent again."""
    monkeypatch.setattr("gateway.flows.writes._KEEPING", 0.2)
    request = payout("payout-1")

    def stop(record: Record) -> None:
        if record.kind == "exchange" and record.operation == "withdrawals.create":
            postgres_server.stop()

    with world.gateway(colour, store=postgres) as gw:
        gw.core.observers.append(stop)
        with pytest.raises(
            OutcomeUnknown, match=r"carried it out .* could not be recorded.*cannot be reached"
        ) as caught:
            gw.withdrawals.create(request, account="shop", deadline=1)
        assert caught.value.outcome is Outcome.UNKNOWN
    postgres_server.start()
    # The lease of the first call has run out.
    with world.gateway(colour, store=postgres, clock=VirtualClock(datetime.now(UTC) + timedelta(minutes=1))) as gw:
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            gw.withdrawals.create(request, account="shop")
        assert [entry.reference for entry in gw.journal.list(states=["unknown"])] == ["payout-1"]
    assert len(world.payouts()) == 1
