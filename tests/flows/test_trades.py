"""What was filled of an exchange order that is cancelled."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import Any

import pytest

from flows.world import World
from gateway.errors import GatewayError
from gateway.models import Trade, TradeRequest, TradeStatus
from gateway.testing import faults
from support.colours import Opened

BID = Decimal(59000)
READ = "/private/get-order"
NOT_SAID = "how much had been filled before is not said"


def placed(world: World, gw: Opened, reference: str = "t-1") -> Trade:
    """0.9 offered at the best bid, which holds 0.5."""
    world.emirex.set_book("BTCUSDC", buy=[(BID, Decimal("0.5"))], sell=[(Decimal(61000), Decimal(1))])
    world.emirex.credit("BTC", Decimal(1))
    request = TradeRequest(reference=reference, market="BTC/USDC", side="sell", volume="0.9", rate=BID)
    made: Trade = gw.trades.create(request, account="treasury")
    return made


def reads(world: World) -> int:
    return len(world.calls("emirex", "POST", READ))


def without_reads(world: World) -> dict[str, dict[str, Any]]:
    """The accounts, of which `treasury` may place and cancel trades but not read them."""
    allowed = world.accounts()["treasury"]["allow_inferred"]
    return world.accounts(treasury={"allow_inferred": [it for it in allowed if it != "trades.get"]})


def assert_half_filled(trade: Trade) -> None:
    assert (trade.status, trade.filled, trade.average_rate) == (TradeStatus.CANCELLED, Decimal("0.5"), BID)
    assert (trade.volume, trade.market, trade.reference) == (Decimal("0.9"), "BTC/USDC", "t-1")
    assert trade.commission is not None
    assert trade.commission > 0
    assert trade.done_at is not None
    assert not any(NOT_SAID in warning for warning in trade.warnings)


def test_a_cancel_shows_what_was_filled(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        placed(world, gw)
        cancelled = gw.trades.cancel("t-1")
        assert_half_filled(cancelled)
        assert reads(world) == 1
        assert gw.trades.get("t-1") == gw.trades.get("t-1", refresh=False) == gw.trades.cancel("t-1") == cancelled
        assert reads(world) == 1, "what is known is not read again"
        assert len(world.calls("emirex", "POST", "/private/delete-order")) == 1


def test_what_was_filled_since_the_last_reading_counts(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        made = placed(world, gw)
        assert gw.trades.get("t-1").filled == Decimal("0.5")
        world.emirex.fill(made.provider_id, Decimal("0.3"))
        assert gw.trades.cancel("t-1").filled == Decimal("0.8")


@pytest.mark.parametrize(
    "fault",
    [
        faults.Status(status=400, path=READ),
        faults.Status(status=500, path=READ, times=20),
        faults.Foreign(path=READ, times=20),
    ],
    ids=["refused", "failing", "foreign"],
)
def test_a_reading_that_fails_hides_no_cancel(
    world: World, colour: str, fault: faults.CallFault, caplog: pytest.LogCaptureFixture
) -> None:
    with world.gateway(colour) as gw:
        placed(world, gw)
        assert gw.trades.get("t-1").filled == Decimal("0.5")
        world.server.faults("emirex").add(fault)
        with caplog.at_level(logging.WARNING, "gateway"):
            cancelled = gw.trades.cancel("t-1", deadline=1)
        assert (cancelled.status, cancelled.filled) == (TradeStatus.CANCELLED, None)
        assert "trade t-1 is cancelled; how much was filled could not be read" in caplog.text
        assert gw.trades.get("t-1", refresh=False) == cancelled
        world.server.faults("emirex").clear()
        assert_half_filled(gw.trades.get("t-1"))


def test_without_leave_to_read_the_cancel_is_all_that_is_known(world: World, colour: str) -> None:
    with world.gateway(colour, accounts=without_reads(world), store=world.store) as gw:
        placed(world, gw)
        cancelled = gw.trades.cancel("t-1")
        assert (cancelled.status, cancelled.filled) == (TradeStatus.CANCELLED, None)
        assert any(NOT_SAID in warning for warning in cancelled.warnings)
        assert gw.trades.get("t-1") == cancelled
        assert reads(world) == 0
    with world.gateway(colour, store=world.store) as gw:
        assert_half_filled(gw.trades.get("t-1"))
        assert reads(world) == 1


@pytest.mark.parametrize("word", [1, 2])
def test_a_cancelled_trade_stays_cancelled_whatever_is_read(world: World, colour: str, word: int) -> None:
    """An answer may be older than the cancel: open, or filled."""
    with world.gateway(colour, accounts=without_reads(world), store=world.store) as gw:
        made = placed(world, gw)
        gw.trades.cancel("t-1")
    shown = {"id": made.provider_id, "status": word, "pair": "BTCUSDC", "volume_done": "0.5"}
    body = json.dumps({"status": True, "data": shown})
    with world.gateway(colour, store=world.store) as gw:
        world.server.faults("emirex").add(faults.Status(status=200, body=body, path=READ))
        seen = gw.trades.get("t-1")
        assert (seen.status, seen.filled) == (TradeStatus.CANCELLED, Decimal("0.5"))


def test_a_get_that_cannot_read_says_so(world: World, colour: str) -> None:
    with world.gateway(colour, accounts=without_reads(world), store=world.store) as gw:
        placed(world, gw)
        cancelled = gw.trades.cancel("t-1")
    with world.gateway(colour, store=world.store) as gw:
        world.server.faults("emirex").add(faults.Status(status=400, path=READ))
        with pytest.raises(GatewayError):
            gw.trades.get("t-1")
        assert gw.trades.get("t-1", refresh=False) == cancelled
