"""Exchange orders, payouts and refunds are followed like orders."""

from __future__ import annotations

import logging
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.flows import watching
from gateway.models import (
    CryptoAddress,
    LightningInvoice,
    OrderStatus,
    RefundRequest,
    RefundStatus,
    TradeRequest,
    TradeStatus,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.testing import faults
from support.colours import Opened, opened
from support.loopback import Answer, Loopback, Seen
from support.toy import account, good
from watcher.days import DAY, HOUR, MINUTE, Days, SharedClock, cart, events_of, watch_of

BID = Decimal(59000)
READ_TRADE = "/private/get-order"


def placed(days: Days, gw: Opened, reference: str = "t-1") -> str:
    """0.9 offered at the best bid, which holds 0.5."""
    days.emirex.set_book("BTCUSDC", buy=[(BID, Decimal("0.5"))], sell=[(Decimal(61000), Decimal(1))])
    days.emirex.credit("BTC", Decimal(1))
    request = TradeRequest(reference=reference, market="BTC/USDC", side="sell", volume="0.9", rate=BID)
    return str(gw.trades.create(request, account="treasury").provider_id)


def test_a_trade_is_followed_until_it_is_filled(days: Days, colour: str) -> None:
    with days.gateway(colour) as gw:
        number = placed(days, gw)
        days.pass_time(gw, MINUTE)
        assert gw.trades.get("t-1", refresh=False).status is TradeStatus.OPEN
        days.emirex.fill(number)
        days.pass_time(gw, MINUTE)
        filled = gw.trades.get("t-1", refresh=False)
        assert (filled.status, filled.filled) == (TradeStatus.FILLED, Decimal("0.9"))
        assert events_of(gw, "t-1")[-1] == "trade.filled"
        assert watch_of(gw, "t-1", "trade") is None
        reads = days.reads("emirex", READ_TRADE)
        days.pass_time(gw, HOUR, 60)
        assert days.reads("emirex", READ_TRADE) == reads


def test_what_was_filled_of_a_cancelled_trade_is_read(days: Days) -> None:
    with days.gateway() as gw:
        placed(days, gw)
        days.server.faults("emirex").add(faults.Status(status=503, path=READ_TRADE, times=100))
        cancelled = gw.trades.cancel("t-1")
        assert (cancelled.status, cancelled.filled) == (TradeStatus.CANCELLED, None)
        days.server.faults("emirex").clear()
        days.pass_time(gw, MINUTE)
        assert gw.trades.get("t-1", refresh=False).filled == Decimal("0.5")
        assert watch_of(gw, "t-1", "trade") is None


def test_a_trade_that_the_account_may_not_read_is_said_once(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    allowed = days.server.account("emirex")["allow_inferred"]
    without = days.accounts(treasury={"allow_inferred": [name for name in allowed if name != "trades.get"]})
    with days.gateway(accounts=without) as gw:
        placed(days, gw)
        days.pass_time(gw, 3 * DAY, 600)
        told = [record.getMessage() for record in caplog.records if "t-1" in record.getMessage()]
        assert len(told) == 1
        assert told[0].startswith("trade t-1 at treasury cannot be followed: trades.get is inferred, not documented")
        assert days.reads("emirex", READ_TRADE) == 0
        assert watch_of(gw, "t-1", "trade") is not None
    with days.gateway() as gw:
        days.pass_time(gw, DAY + MINUTE, 600)
        assert days.reads("emirex", READ_TRADE) > 0, "what was allowed since is done"


def test_a_payout_that_cannot_be_asked_for_is_said_once_and_not_polled(
    days: Days, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.world import invoice, lightning

    with days.gateway() as gw:
        request = WithdrawalRequest(
            reference="payout-1", amount=lightning("0.001"), to=LightningInvoice(invoice("0.001", minutes=3000))
        )
        assert gw.withdrawals.create(request, account="shop").status is WithdrawalStatus.PENDING
        before = days.reads("aurpay")
        days.pass_time(gw, 2 * DAY, 600)
        assert days.reads("aurpay") == before
        (told,) = [record.getMessage() for record in caplog.records if "payout-1" in record.getMessage()]
        assert told == (
            "payout payout-1 at shop cannot be followed: the provider tells no number of it, or has no call to read "
            "it; look at the provider's dashboard"
        )
        assert gw.withdrawals.get("payout-1").status is WithdrawalStatus.PENDING
        days.pass_time(gw, 31 * DAY, HOUR)
        assert watch_of(gw, "payout-1", "withdrawal") is None, "nobody waits any more"
        assert len([record for record in caplog.records if "payout-1" in record.getMessage()]) == 1


def test_a_payout_of_unknown_outcome_says_what_a_person_does(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    from flows.world import invoice, lightning

    with days.gateway() as gw:
        days.server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
        request = WithdrawalRequest(
            reference="payout-1", amount=lightning("0.001"), to=LightningInvoice(invoice("0.001", minutes=3000))
        )
        with pytest.raises(Exception, match="payout-1"):
            gw.withdrawals.create(request, account="shop")
        with caplog.at_level(logging.WARNING, "gateway"):
            days.pass_time(gw, HOUR, 60)
        (told,) = [record.getMessage() for record in caplog.records if "cannot be followed" in record.getMessage()]
        assert "`gateway journal settle payout-1 --as done|failed --reason …`" in told
        gw.journal.settle("payout-1", outcome="done", reason="seen on the dashboard")
        assert watch_of(gw, "payout-1", "withdrawal") is None


def test_a_payout_that_can_be_read_is_followed_to_its_end(tmp_path: Path, colour: str) -> None:
    state, clock = {"status": "open"}, SharedClock()

    def answers(seen: Seen) -> Answer:
        return good({"id": "w-1", "status": state["status"]})

    with (
        Loopback(app=answers) as server,
        opened(colour, accounts={"shop": account(server.url)}, clock=clock) as gw,  # type: ignore[arg-type]
    ):
        request = WithdrawalRequest(
            reference="payout-1", amount=Money("1", "TRX@tron"), to=CryptoAddress("TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL")
        )
        gw.withdrawals.create(request, account="shop")

        def look() -> int:
            found = gw.core.database().read(lambda c: watching.due(gw.core, c, gw.core.now(), 10))
            return sum(gw.run(watching.look(gw.core, one.key)) for one in found)

        assert look() == 0, "it was made just now"
        for _ in range(3):
            clock.advance(10)
            assert look() == 1
        assert len(server.requests) == 4
        state["status"] = "done"
        clock.advance(10)
        assert look() == 1
        assert gw.withdrawals.get("payout-1", refresh=False).status is WithdrawalStatus.COMPLETED
        assert events_of(gw, "payout-1")[-1] == "withdrawal.completed"
        clock.advance(HOUR)
        assert look() == 0
        assert len(server.requests) == 5


def test_a_refund_is_followed_until_it_has_arrived(days: Days, colour: str) -> None:
    with days.gateway(colour) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        days.server.pay("aurpay", number)
        gw.refunds.create(RefundRequest(reference="refund-1", order="cart-1"))
        days.pass_time(gw, 20 * MINUTE)
        assert not gw.refunds.get("refund-1", refresh=False).status.is_final
        days.aurpay.complete_refund(str(number))
        days.pass_time(gw, 5 * MINUTE)
        assert gw.refunds.get("refund-1", refresh=False).status is RefundStatus.COMPLETED
        assert gw.orders.get("cart-1", refresh=False).status is OrderStatus.REFUNDED
        assert events_of(gw, "refund-1")[-1] == "refund.completed"
        assert watch_of(gw, "refund-1", "refund") is None
