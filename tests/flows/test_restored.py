"""After a restore that nobody has accepted, no money leaves; the shop goes on taking orders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.world import World, cart, payout, top_up, usd
from gateway.errors import AuthenticationFailed, NotFound, OutcomeUnknown, StoreError
from gateway.models import CardRequest, CustomerRequest, RefundRequest, TradeRequest, WithdrawalStatus
from gateway.store.journal import JournalState
from gateway.testing import faults
from support.colours import Opened

WRITES: dict[str, Callable[[Opened, Any], Any]] = {
    "a payout": lambda gw, card: gw.withdrawals.create(payout("payout-2"), account="shop"),
    "a top-up": lambda gw, card: gw.withdrawals.create(top_up(card, "top-1", "10 USD"), account="cards"),
    "a card": lambda gw, card: gw.cards.create(
        CardRequest(reference="card-1", customer="c-42", name="Travel", initial_balance=usd("25")), account="cards"
    ),
    "a trade": lambda gw, card: gw.trades.create(
        TradeRequest(reference="it", market="BTC/USDC", side="buy", volume="0.01", rate="100.5"), account="treasury"
    ),
    "a refund": lambda gw, card: gw.refunds.create(RefundRequest(reference="refund-1", order="cart-1001")),
}


def sent(world: World) -> int:
    return sum(len(world.calls(name, "POST")) for name in ("aurpay", "aurex", "emirex"))


def paid_order(world: World, gw: Opened) -> None:
    gw.orders.create(cart(), account="shop")
    world.aurpay.pay(gw.orders.get("cart-1001").provider_id)
    assert gw.orders.get("cart-1001").status == "paid"


@pytest.mark.parametrize("what", WRITES)
def test_nothing_of_the_merchants_leaves(world: World, colour: str, what: str) -> None:
    with world.gateway(colour) as gw:
        card = world.customer_with_card(gw)
        paid_order(world, gw)
        gw.store.restored(reason="volume put back")
        before = sent(world)
        with pytest.raises(StoreError, match=r"restored \(volume put back .*no money leaves.*accept-restore") as caught:
            WRITES[what](gw, card)
        assert (caught.value.outcome, caught.value.retryable) == ("not_sent", False)
        assert sent(world) == before
        gw.store.accept_restore(reason="compared")
        WRITES[what](gw, card)
        assert sent(world) > before


def test_orders_and_customers_go_on(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        gw.store.restored(reason="volume put back")
        assert gw.orders.create(cart(), account="shop").status == "pending"
        gw.customers.create(CustomerRequest(reference="c-42", first_name="Ada", last_name="Example"), account="cards")
        gw.orders.get("cart-1001")


def test_what_is_recorded_is_still_told(world: World, colour: str) -> None:
    request = payout("payout-1")
    with world.gateway(colour) as gw:
        made = gw.withdrawals.create(request, account="shop")
        gw.store.restored(reason="volume put back")
        again = gw.withdrawals.create(request, account="shop")
        assert (again.reference, again.status) == (made.reference, made.status)
        assert len(world.payouts()) == 1


def test_a_backup_that_forgot_a_payout(world: World, colour: str, tmp_path: Path) -> None:
    """The reason for all this: what was sent after the backup was taken is sent again if nobody looks."""
    request = payout("payout-1")
    file = tmp_path / "gateway.db"
    with world.gateway(colour, store=world.store) as gw:
        gw.journal.list()
    shutil.copy(file, tmp_path / "backup")
    with world.gateway(colour, store=world.store) as gw:
        gw.withdrawals.create(request, account="shop")
    shutil.copy(tmp_path / "backup", file)
    with world.gateway(colour, store=world.store) as gw:
        with pytest.raises(StoreError, match=r"the file is an older state of the store.*open journal entries: 0"):
            gw.withdrawals.create(request, account="shop")
        assert len(world.payouts()) == 1
        (found,) = gw.store.restores()
        assert (found.reason, found.accepted_at) == ("the file is an older state of the store", None)
        (accepted,) = gw.store.accept_restore(reason="looked at the dashboard", by="ann")
        assert (accepted.accepted_by, accepted.accepted_reason) == ("ann", "looked at the dashboard")
        with pytest.raises(NotFound):
            gw.store.accept_restore(reason="again")
    with world.gateway(colour, store=world.store) as gw:
        assert gw.withdrawals.create(payout("payout-2"), account="shop").status is not WithdrawalStatus.UNCONFIRMED


def test_what_was_about_to_be_sent_when_the_backup_was_taken(world: World, colour: str) -> None:
    """It is not sent by calling again: it may have been sent after the backup."""
    request = payout("payout-1")
    with world.gateway(colour) as gw:
        world.server.faults("aurpay").add(faults.Status(status=401, method="POST"))
        with pytest.raises(AuthenticationFailed):
            gw.withdrawals.create(request, account="shop")
        (entry,) = gw.journal.show("payout-1")
        assert entry.state is JournalState.INTENDED
        gw.store.restored(reason="volume put back")
        gw.store.accept_restore(reason="compared")
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            gw.withdrawals.create(request, account="shop")
        assert world.payouts() == []
        settled = gw.journal.settle("payout-1", outcome="failed", reason="not on the dashboard")
        assert settled.state is JournalState.REJECTED
