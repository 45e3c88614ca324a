"""Pruning through the gateway: what a caller sees of things that were pruned, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.world import ON_BOTH, World, payout
from gateway.errors import InvalidRequest
from gateway.flows import keeping
from support.virtual import VirtualClock

LATER = timedelta(days=100)


@ON_BOTH
def test_a_payout_that_was_pruned_is_still_known(world: World, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches; whoever repeats the call gets its result and nothing is sent."""
    monkeypatch.setattr(keeping, "_AT_ONCE", 2)
    requests = [payout(f"payout-{number}") for number in range(5)]
    with world.gateway(colour, store=world.store) as gw:
        made = [gw.withdrawals.create(request, account="shop") for request in requests]
        assert sum(gw.store.prune(older_than=timedelta(days=1)).values()) == 0
    clock = VirtualClock(datetime.now(UTC) + LATER)
    with world.gateway(colour, store=world.store, clock=clock) as gw:
        counted = gw.store.prune(older_than=timedelta(days=90), dry_run=True)
        assert counted["journal answers"] == 5
        assert gw.store.prune(older_than=timedelta(days=90)) == counted
        assert sum(gw.store.prune(older_than=timedelta(days=90)).values()) == 0
        for request, before in zip(requests, made, strict=True):
            again = gw.withdrawals.create(request, account="shop")
            assert (again.status, again.amount, again.to) == (before.status, before.amount, before.to)
            (entry,) = gw.journal.show(request.reference)
            assert entry.result["raw"] == {}
    assert len(world.payouts()) == 5


def test_what_is_young_is_not_pruned(world: World, colour: str) -> None:
    with world.gateway(colour) as gw, pytest.raises(InvalidRequest, match="younger than a day"):
        gw.store.prune(older_than=timedelta(hours=23))


def test_who_says_that_it_was_restored_says_why(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        with pytest.raises(InvalidRequest, match="how it is known"):
            gw.store.restored(reason=" ")
        assert gw.store.restores() == []
