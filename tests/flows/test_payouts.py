"""The merchant's brakes on payouts, and what is refused of a destination, before anything is recorded or sent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from flows.world import ADDRESS, ON_BOTH, PAYEE, World, cart, invoice, lightning, payout, top_up
from gateway.errors import Conflict, InvalidRequest, LimitExceeded, OutcomeUnknown
from gateway.lightning import decode_invoice
from gateway.models import CryptoAddress, LightningInvoice, WithdrawalRequest, WithdrawalStatus
from gateway.money import Money
from gateway.testing import faults
from support.colours import Opened
from support.virtual import VirtualClock

OTHER = ec.derive_private_key(11, ec.SECP256K1())


def limited(world: World, **limits: Any) -> dict[str, Any]:
    return {"accounts": world.accounts(shop={"limits": limits})}


def refused(gw: Opened, world: World, write: Callable[[], Any], match: str, kind: type = LimitExceeded) -> Any:
    """Nothing of it is recorded, and nothing is sent."""
    entries, payouts, calls = gw.journal.list(), gw.withdrawals.list(), len(world.server.requests["aurpay"])
    with pytest.raises(kind, match=match) as error:
        write()
    assert error.value.outcome == "not_sent"
    assert (gw.journal.list(), gw.withdrawals.list()) == (entries, payouts)
    assert len(world.server.requests["aurpay"]) == calls
    return error.value


def test_one_payout_may_be_so_much(world: World, colour: str) -> None:
    with world.gateway(colour, **limited(world, per_withdrawal="0.001 BTC")) as gw:
        error = refused(
            gw,
            world,
            lambda: gw.withdrawals.create(payout("much", "0.00100001"), account="shop"),
            "more than one payout may be",
        )
        assert (error.account, error.hint) == ("shop", "accounts.shop.limits.per_withdrawal")
        assert gw.withdrawals.create(payout("enough", "0.001"), account="shop").status is WithdrawalStatus.PENDING
        # The reference of a payout that was stopped is free: the limit may be raised, or a smaller one made.
        assert gw.withdrawals.create(payout("much", "0.0009"), account="shop").amount == lightning("0.0009")
        assert gw.withdrawals.create(payout("elsewhere", "0.01"), account="backup").account == "backup"


def test_a_limit_holds_for_its_symbol_on_all_networks_and_for_no_other(world: World, colour: str) -> None:
    with world.gateway(colour, **limited(world, per_withdrawal=["0.001 BTC", "10 USDT"])) as gw:
        for code in ("USDT@tron", "USDT@ethereum"):
            address = ADDRESS if code == "USDT@tron" else "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
            request = WithdrawalRequest(reference=code, amount=Money("10.01", code), to=CryptoAddress(address))
            refused(gw, world, lambda r=request: gw.withdrawals.create(r, account="shop"), "more than one payout")
        request = WithdrawalRequest(reference="trx", amount="0.5 ETH@ethereum", to=CryptoAddress(address))
        assert gw.withdrawals.create(request, account="shop").status is WithdrawalStatus.PENDING


def test_a_day_is_the_last_24_hours(world: World, colour: str) -> None:
    clock = VirtualClock(datetime.now(UTC))
    with world.gateway(colour, clock=clock, **limited(world, per_day="0.003 BTC")) as gw:

        def pay(reference: str, amount: str = "0.001") -> Any:
            text = invoice(amount, created_at=clock.now(), minutes=3 * 24 * 60)
            return gw.withdrawals.create(payout(reference, amount, text), account="shop")

        pay("a")
        clock.advance(3600)
        pay("b", "0.002")
        refused(gw, world, lambda: pay("c", "0.00000001"), "more than a day may have")
        clock.advance(23 * 3600 - 1)
        refused(gw, world, lambda: pay("c"), r"with 0\.003 BTC in the last 24 hours")
        clock.advance(1)
        pay("c")  # `a` is a day old
        refused(gw, world, lambda: pay("d", "0.00000001"), "more than a day")
        clock.advance(3600)
        pay("d", "0.002")
        assert [one.reference for one in gw.withdrawals.list()] == ["d", "c", "b", "a"]


@ON_BOTH
def test_a_day_counts_what_may_have_left_and_not_what_has_not(world: World, colour: str) -> None:
    with world.gateway(colour, **limited(world, per_day="0.003 BTC")) as gw:
        world.server.faults("aurpay").add(faults.Status(status=400, body='{"code": 1, "message": "no"}'))
        with pytest.raises(InvalidRequest):
            gw.withdrawals.create(payout("refused", "0.003"), account="shop")
        world.lose_answer()
        lost = payout("lost", "0.003")
        with pytest.raises(OutcomeUnknown):
            gw.withdrawals.create(lost, account="shop")
        refused(gw, world, lambda: gw.withdrawals.create(payout("next", "0.001"), account="shop"), "more than a day")
        gw.journal.settle("lost", outcome="failed", reason="it never left")
        assert gw.withdrawals.create(payout("next", "0.003"), account="shop").status is WithdrawalStatus.PENDING


def test_repeating_a_payout_is_not_stopped_by_a_limit_that_it_has_used_up(world: World, colour: str) -> None:
    request = payout("it", "0.003")
    with world.gateway(colour, **limited(world, per_day="0.003 BTC")) as gw:
        paid = gw.withdrawals.create(request, account="shop")
        gw.freeze("shop", reason="an alarm")
        assert gw.withdrawals.create(request, account="shop") == paid
    assert len(world.payouts()) == 1


@ON_BOTH
def test_concurrent_payouts_cannot_slip_past_a_day_together(world: World, colour: str) -> None:
    with world.gateway(colour, **limited(world, per_day="0.01 BTC")) as gw:
        found = gw.together(
            30, lambda raw, index: raw.withdrawals.create(payout(f"payout-{index}", "0.001"), account="shop")
        )
        stopped = [one for one in found if isinstance(one, LimitExceeded)]
        assert len(stopped) == 20
        assert len(gw.withdrawals.list()) == 10
    assert len(world.payouts()) == 10


def test_payouts_go_to_the_listed_destinations_only(world: World, colour: str) -> None:
    with world.gateway(colour, **limited(world, destinations=[ADDRESS, PAYEE])) as gw:
        assert gw.withdrawals.create(payout(), account="shop").status is WithdrawalStatus.PENDING
        listed = WithdrawalRequest(reference="a", amount="5 USDT@tron", to=CryptoAddress(ADDRESS))
        assert gw.withdrawals.create(listed, account="shop").status is WithdrawalStatus.PENDING
        stranger = payout("b", text=invoice(key=OTHER))
        node = decode_invoice(str(stranger.to)).payee
        refused(
            gw, world, lambda: gw.withdrawals.create(stranger, account="shop"), f"{node} is not one of the destinations"
        )
        address = "TLsV52sRDL79HXGGm9yzwKibb6BeruhUzy"
        foreign = WithdrawalRequest(reference="c", amount="5 USDT@tron", to=CryptoAddress(address))
        refused(gw, world, lambda: gw.withdrawals.create(foreign, account="shop"), f"{address} is not one of")


def test_no_destination_at_all(world: World, colour: str) -> None:
    with world.gateway(colour, **limited(world, destinations=[])) as gw:
        refused(gw, world, lambda: gw.withdrawals.create(payout(), account="shop"), "is not one of the destinations")


def test_cards_are_destinations_too(world: World, colour: str) -> None:
    with world.gateway(colour, store=world.store) as gw:
        card = world.customer_with_card(gw)
    accounts = world.accounts(cards={"limits": {"destinations": [card], "per_withdrawal": "60 USD"}})
    with world.gateway(colour, store=world.store, accounts=accounts) as gw:
        assert gw.withdrawals.create(top_up(card), account="cards").status is WithdrawalStatus.COMPLETED
        with pytest.raises(LimitExceeded, match="card_1 is not one of the destinations"):
            gw.withdrawals.create(top_up("card_1", "load-2"), account="cards")
        with pytest.raises(LimitExceeded, match="more than one payout may be"):
            gw.withdrawals.create(top_up(card, "load-2", "60.01 USD"), account="cards")


# Frozen


def test_an_account_that_the_settings_freeze_pays_nothing_out_but_takes_orders(world: World, colour: str) -> None:
    with world.gateway(colour, **limited(world, frozen=True)) as gw:
        refused(gw, world, lambda: gw.withdrawals.create(payout(), account="shop"), "frozen in the settings")
        assert gw.frozen() == {"shop": {"by": "the configuration", "reason": "limits.frozen = true"}}
        gw.unfreeze("shop")
        refused(gw, world, lambda: gw.withdrawals.create(payout(), account="shop"), "frozen in the settings")
        assert gw.orders.create(cart(), account="shop").status == "pending"


FREEZE = """
import json, sys
from gateway import Gateway
with Gateway(**json.load(sys.stdin)) as gateway:
    gateway.freeze("shop", reason="an alarm at night", by="ops")
"""


@ON_BOTH
def test_a_freeze_of_another_process_stops_payouts_at_once(world: World, colour: str) -> None:
    with world.gateway(colour, store=world.store) as gw:
        gw.withdrawals.create(payout("before"), account="shop")
        given = json.dumps({"store": world.store, "accounts": world.accounts()})
        subprocess.run([sys.executable, "-c", FREEZE], input=given, text=True, check=True, timeout=60)
        error = refused(
            gw, world, lambda: gw.withdrawals.create(payout("after"), account="shop"), "frozen since .* by ops"
        )
        assert "an alarm at night" in str(error)
        (frozen,) = gw.frozen().values()
        assert (frozen["by"], frozen["reason"]) == ("ops", "an alarm at night")
        assert gw.withdrawals.create(payout("elsewhere"), account="backup").status is WithdrawalStatus.PENDING
        gw.unfreeze("shop")
        gw.unfreeze("shop")
        assert gw.frozen() == {}
        assert gw.withdrawals.create(payout("after"), account="shop").status is WithdrawalStatus.PENDING


def test_a_freeze_says_who_and_why(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        with pytest.raises(InvalidRequest, match="needs a reason"):
            gw.freeze("shop", reason=" ")
        gw.freeze("shop", reason="an alarm")
        assert gw.frozen()["shop"]["by"]
        for unknown in (lambda: gw.freeze("till", reason="x"), lambda: gw.unfreeze("till")):
            with pytest.raises(Exception, match="no account is called 'till'"):
                unknown()


# What is wrong with a destination is found before anything is recorded


def request_to(text: str, amount: str = "0.001 BTC@lightning") -> WithdrawalRequest:
    return WithdrawalRequest(reference="payout-77", amount=amount, to=LightningInvoice(text))


def misspelt(text: str) -> str:
    return text[:-1] + ("p" if text[-1] == "q" else "q")


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: request_to(invoice(None)), "carries no amount"),
        (lambda: request_to(invoice(created_at=an_hour_ago(), minutes=5)), "the invoice expired at"),
        (lambda: request_to(invoice("0.002")), "the invoice is for 0.002 BTC@lightning, the request for 0.001"),
        (lambda: request_to(invoice(), "0.001 BTC@bitcoin"), "paid in BTC@lightning, not in BTC@bitcoin"),
        (lambda: request_to(invoice(), "60 USD"), "paid in BTC@lightning, not in USD"),
        (lambda: request_to(misspelt(invoice())), "invoice"),
        (lambda: request_to("not an invoice"), "invoice"),
    ],
)
def test_an_invoice_that_cannot_be_paid_is_refused(
    world: World, colour: str, make: Callable[[], WithdrawalRequest], match: str
) -> None:
    with world.gateway(colour) as gw:
        error = refused(gw, world, lambda: gw.withdrawals.create(make(), account="shop"), match, InvalidRequest)
        assert (error.account, error.operation, error.reference) == ("shop", "withdrawals.create", "payout-77")


@pytest.mark.parametrize(
    ("amount", "address", "match"),
    [
        ("5 USDT@tron", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "tron"),
        ("5 USDT@ethereum", ADDRESS, "ethereum"),
        ("0.1 BTC@bitcoin", ADDRESS, "bitcoin"),
        ("5 USDT@tron", ADDRESS[:-1] + "M", "check"),
        ("5 USD", ADDRESS, "cannot be sent to an address"),
    ],
)
def test_an_address_of_another_network_is_refused(
    world: World, colour: str, amount: str, address: str, match: str
) -> None:
    request = WithdrawalRequest(reference="payout-77", amount=amount, to=CryptoAddress(address))
    with world.gateway(colour) as gw:
        refused(gw, world, lambda: gw.withdrawals.create(request, account="shop"), f"(?i){match}", InvalidRequest)


def test_a_live_account_pays_no_testnet_invoice_or_address(world: World, colour: str) -> None:
    with world.gateway(colour, accounts=world.accounts(shop={"environment": "live"})) as gw:
        for network in ("testnet", "signet", "regtest"):
            foreign = payout(text=invoice(network=network))
            refused(gw, world, lambda r=foreign: gw.withdrawals.create(r, account="shop"), network, InvalidRequest)
        request = WithdrawalRequest(
            reference="a", amount="0.1 BTC@bitcoin", to=CryptoAddress("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx")
        )
        refused(gw, world, lambda: gw.withdrawals.create(request, account="shop"), "(?i)test", InvalidRequest)


def test_a_mainnet_invoice_is_the_sandboxs_to_refuse(world: World, colour: str) -> None:
    request = request_to(invoice(network="bitcoin"))
    with world.gateway(colour) as gw:
        # With HTTP 200 and a code of which Aurpay says nothing: no proof that the payout was not made.
        with pytest.raises(OutcomeUnknown, match="of another network"):
            gw.withdrawals.create(request, account="shop")
        assert [entry.state for entry in gw.journal.show("payout-77")] == ["unknown"]
        with pytest.raises(OutcomeUnknown, match="of another network"):
            gw.withdrawals.create(request, account="shop")
    assert len(world.calls("aurpay", "POST")) == 1
    assert world.payouts() == []


def test_a_payout_is_repeated_after_its_invoice_has_expired(world: World, colour: str) -> None:
    clock = VirtualClock(datetime.now(UTC))
    request = payout(text=invoice(created_at=clock.now(), minutes=5))
    with world.gateway(colour, clock=clock) as gw:
        paid = gw.withdrawals.create(request, account="shop")
        clock.advance(3600)
        assert gw.withdrawals.create(request, account="shop") == paid
        with pytest.raises(Conflict, match="a payout from shop, not from backup"):
            gw.withdrawals.create(request, account="backup")
        other = payout("payout-78", text=str(request.to))
        refused(gw, world, lambda: gw.withdrawals.create(other, account="shop"), "the invoice expired", InvalidRequest)


def test_a_lost_payout_stays_unknown_after_its_invoice_has_expired(world: World, colour: str) -> None:
    clock = VirtualClock(datetime.now(UTC))
    request = payout(text=invoice(created_at=clock.now(), minutes=5))
    world.lose_answer()
    with world.gateway(colour, clock=clock) as gw:
        with pytest.raises(OutcomeUnknown):
            gw.withdrawals.create(request, account="shop")
        clock.advance(3600)
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            gw.withdrawals.create(request, account="shop")


def test_a_payout_goes_to_the_account_of_its_first_call_after_the_route_has_changed(world: World, colour: str) -> None:
    def route(name: str) -> list[dict[str, Any]]:
        return [{"operation": "withdrawals.create", "accounts": [name]}]

    request = payout()
    with world.gateway(colour, store=world.store, routes=route("shop")) as gw:
        paid = gw.withdrawals.create(request)
    with world.gateway(colour, store=world.store, routes=route("backup")) as gw:
        assert gw.withdrawals.create(request) == paid
        assert gw.withdrawals.get("payout-77").account == "shop"
    assert len(world.payouts()) == 1


def test_payouts_are_listed_in_pages_newest_first(world: World, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.PAGE", 2)
    monkeypatch.setattr("gateway.aio.PAGE", 2)
    with world.gateway(colour) as gw:
        for number in range(5):
            gw.withdrawals.create(payout(f"p-{number}", "0.0001"), account=("shop", "backup")[number % 2])
        assert [one.reference for one in gw.withdrawals.list()] == ["p-4", "p-3", "p-2", "p-1", "p-0"]
        assert [one.reference for one in gw.withdrawals.list(account="shop")] == ["p-4", "p-2", "p-0"]
