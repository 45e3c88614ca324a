"""What the three providers cannot show: payouts that can be read, senders that died while others live, and the like."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.world import World, cart, invoice, payout
from gateway import flows
from gateway.capabilities import supported
from gateway.contracts import Query
from gateway.core import Candidate
from gateway.errors import AuthenticationFailed, Conflict, OutcomeUnknown, RateLimited
from gateway.exchange import Operation, Request, ask
from gateway.flows.failover import Step
from gateway.models import (
    CryptoAddress,
    Environment,
    Page,
    ProviderWithdrawal,
    Settlement,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.store import journal, withdrawals
from gateway.store.owner import Owner, this_process
from support.colours import Opened, opened
from support.loopback import Loopback
from support.toy import CAPABILITIES, Toy, account, answers, provider, toy_plugins
from support.virtual import VirtualClock


class Lister(Toy):
    """Toy with a list of payouts."""

    def list_withdrawals(self, query: Query) -> Operation[Page[ProviderWithdrawal]]:
        page = int(query.cursor or "1")
        made = yield from ask(Request("GET", f"/withdrawals/{page}"), lambda response: response.json()["data"]["id"])
        found = ProviderWithdrawal(provider_id=made, status=WithdrawalStatus.COMPLETED)
        return Page[ProviderWithdrawal](items=(found,), next=str(page + 1) if page < 3 else None)


TABLE = CAPABILITIES.replaced(supported("withdrawals.list", "D", "toy"))


def test_a_payout_that_can_be_read_follows_its_provider(colour: str) -> None:
    request = WithdrawalRequest(
        reference="it", amount="5 USDT@tron", to=CryptoAddress("TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL")
    )
    with Loopback(app=answers) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        made = gw.withdrawals.create(request)
        assert (made.status.is_final, made.provider_id) == (False, "1")
        assert gw.withdrawals.get("it", refresh=False) == made
        assert gw.withdrawals.get("it").status is WithdrawalStatus.COMPLETED
        reads = len(server.requests)
        assert gw.withdrawals.get("it").status is WithdrawalStatus.COMPLETED
        assert len(server.requests) == reads, "what is final is not read again"


def test_the_providers_own_list_of_payouts_is_read_page_after_page(colour: str) -> None:
    plugins = toy_plugins(provider(adapter=Lister, capabilities=TABLE))
    with Loopback(app=answers) as server, opened(colour, plugins=plugins, accounts={"shop": account(server.url)}) as gw:
        assert [one.provider_id for one in gw.withdrawals.fetch_all(account="shop")] == ["1", "2", "3"]


def test_a_payout_that_was_never_numbered_or_whose_account_is_gone_is_shown_as_known(
    colour: str, tmp_path: Any
) -> None:
    request = WithdrawalRequest(
        reference="it", amount="5 USDT@tron", to=CryptoAddress("TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL")
    )
    store = f"sqlite:///{tmp_path / 'gateway.db'}"
    with Loopback(app=answers) as server:
        with opened(colour, store=store, accounts={"shop": account(server.url)}) as gw:
            made = gw.withdrawals.create(request)
        with opened(colour, store=store, accounts={"other": account(server.url)}) as gw:
            assert gw.withdrawals.get("it") == made
        live = account(server.url, environment="live")
        with opened(colour, store=store, accounts={"shop": live}) as gw, pytest.raises(Exception, match="sandbox"):
            gw.withdrawals.get("it")
        assert [seen.method for seen in server.requests] == ["POST"]


# Senders that died while this process lives


def a_dead_process() -> Owner:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    return replace(this_process(), pid=ended.pid)


def left_by(gw: Opened, request: WithdrawalRequest, owner: Owner, now: datetime, lease: timedelta) -> None:
    """As if this owner had sent the payout and said nothing since."""
    asked = flows.writes.comparable(request)

    def work(connection: Any) -> None:
        entry, _ = journal.begin(
            connection,
            operation="withdrawals.create",
            reference=request.reference,
            account="shop",
            provider="aurpay",
            environment=Environment.SANDBOX,
            fingerprint=journal.fingerprint(asked),
            request=asked,
            owner=owner,
            now=now,
            lease=lease,
        )
        withdrawals.insert_withdrawal(
            connection,
            request,
            account="shop",
            provider="aurpay",
            environment=Environment.SANDBOX,
            now=now,
        )
        journal.mark_sent(connection, entry.id, now)

    gw.core.database().transaction(work)


def test_what_another_process_sent_before_it_died_is_unknown_whatever_the_request_would_be_now(
    world: World, colour: str
) -> None:
    """Its invoice has expired meanwhile; that must not read as "nothing was sent"."""
    now = datetime.now(UTC)
    request = payout(text=invoice(created_at=now - timedelta(hours=1), minutes=5))
    with world.gateway(colour) as gw:
        left_by(gw, request, a_dead_process(), now, timedelta(minutes=10))
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            gw.withdrawals.create(request, account="shop")
        assert gw.withdrawals.get("payout-77").status is WithdrawalStatus.UNCONFIRMED
    assert world.server.requests["aurpay"] == []


@pytest.mark.parametrize("asking", ["list", "show"])
def test_the_journal_finds_what_a_dead_process_left(world: World, colour: str, asking: str) -> None:
    now = datetime.now(UTC)
    with world.gateway(colour) as gw:
        left_by(gw, payout(), a_dead_process(), now, timedelta(minutes=10))
        (entry,) = gw.journal.list() if asking == "list" else gw.journal.show("payout-77")
        assert entry.state == "unknown"
        assert gw.withdrawals.get("payout-77").status is WithdrawalStatus.UNCONFIRMED


def test_a_sender_that_hangs_beyond_its_lease_is_not_waited_for(world: World, colour: str) -> None:
    clock = VirtualClock(datetime.now(UTC))
    request = payout()
    with world.gateway(colour, clock=clock) as gw:
        left_by(gw, request, this_process(), clock.now(), timedelta(minutes=1))
        with pytest.raises(Conflict, match="still under way") as error:
            gw.withdrawals.create(request, account="shop", deadline=5)
        assert error.value.retryable
        clock.advance(60)
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            gw.withdrawals.create(request, account="shop")
        assert gw.withdrawals.get("payout-77").status is WithdrawalStatus.UNCONFIRMED
    assert world.server.requests["aurpay"] == []


def test_an_attempt_that_was_overtaken_by_a_renewal_is_not_sent(world: World, colour: str) -> None:
    """Two processes: one is about to send attempt 1 when the other has renewed the order."""
    wrong = {"auth": {"kind": "api-key", "api_key": "wrong-key"}}
    with world.gateway(colour, accounts=world.accounts(shop=wrong)) as gw:
        with pytest.raises(AuthenticationFailed):
            gw.orders.create(cart(), account="shop")
        gw.orders.renew("cart-1001", account="backup")
        before = world.creations()
        shop = gw.core.account("shop")
        step = Step(candidate=Candidate(shop, "named in the call"), number=1, left=1)
        slow = flows.orders._attempt(gw.core, cart(), step, Settlement.MERCHANT, 0, gw.core.deadline(None, shop))
        with pytest.raises(AuthenticationFailed, match="it was not sent again"):
            gw.run(slow)
    assert world.creations() == before


def test_a_user_id_without_a_name_is_told_by_its_number(
    world: World, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 1234)
    with world.gateway(colour) as gw:
        gw.freeze("shop", reason="an alarm")
        assert gw.frozen()["shop"]["by"] == "user 1234"


def test_an_account_tells_how_many_calls_are_left(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        assert gw.account("cards").rate_headroom() == 60
        gw.keys.verify(account="cards")
        assert gw.account("cards").rate_headroom() == 59
        assert (gw.account("cards").rate_limit.requests, gw.account("cards").rate_limit.seconds) == (60, 60)
        assert (gw.account("shop").rate_limit, gw.account("shop").rate_headroom()) == (None, None)


def test_the_sixty_first_call_of_a_minute_is_not_made(world: World, colour: str) -> None:
    clock = VirtualClock(datetime.now(UTC))
    with world.gateway(colour, clock=clock) as gw:
        for _ in range(60):
            gw.keys.verify(account="cards")
        with pytest.raises(RateLimited) as error:
            gw.keys.verify(account="cards", deadline=5)
        assert (error.value.outcome, error.value.retry_after, clock.slept) == ("not_sent", 61, [])
    # None of them was refused by the sandbox, which counts too: 404 is what it answers for a user that cannot exist.
    assert [record.status for record in world.calls("aurex", "GET")] == [404] * 60
