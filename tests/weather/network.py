"""Rows about what the provider answers and what the network does with it, where no recorded answer plays them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway import CardTopUp, CryptoAddress, CustomerRequest, Money, WithdrawalRequest
from gateway.contracts import RateLimit
from gateway.errors import RateLimited
from gateway.plugins import load_plugins
from support.colours import Opened
from support.loopback import Answer, Bytes, Hold, Loopback, Play, Seen, Trickle, refusing, self_signed
from support.toy import KEY, TICKER, account, answers, good, provider, toy_plugins, wrong
from support.virtual import VirtualClock
from weather.matrix import Case
from weather.playing import Plays, Shopkeeper, Stage, ends, read, write

PLAYS = Plays()

_SHORT = 1.0
_SOON = 6.0
"""A call with the short deadline has ended by then, whatever else this machine is at."""


@PLAYS.row("nobody-there")
def nobody_there(case: Case, stage: Stage) -> None:
    with refusing() as url, stage.shop(accounts={"shop": account(url)}) as gw:
        ends(case.read, lambda: read(gw, deadline=_SHORT))
        assert ends(case.write, lambda: write(gw, deadline=_SHORT)).retryable
        assert [entry.state for entry in gw.journal.list()] == ["intended"]


@PLAYS.row("unknown-error-payout")
def unknown_error_payout(case: Case, stage: Stage) -> None:
    to = CryptoAddress("TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL")
    for status in (200, 402):
        asked = WithdrawalRequest(reference=f"payout-{status}", amount=Money("1", "USDT@tron"), to=to)
        with Loopback(every=wrong("nobody-knows", "no", status)) as server, stage.shop(server) as gw:
            for _ in range(2):
                ends(case.write, lambda asked=asked, gw=gw: gw.withdrawals.create(asked, account="shop"))
            assert len(server.requests) == 1


@PLAYS.row("no-such-name")
def no_such_name(case: Case, stage: Stage) -> None:
    with stage.shop(accounts={"shop": account("https://api.toy.invalid")}, clock=VirtualClock()) as gw:
        ends(case.read, lambda: read(gw))
        assert ends(case.write, lambda: write(gw)).retryable


@PLAYS.row("bad-certificate")
def bad_certificate(case: Case, stage: Stage) -> None:
    with Loopback(app=answers, tls=self_signed(stage.folder)) as server, stage.shop(server) as gw:
        assert "certificate" in str(ends(case.read, lambda: read(gw)))
        assert not ends(case.write, lambda: write(gw)).retryable
        assert server.requests == []
        assert server.connections == 2


@PLAYS.row("no-tls")
def no_tls(case: Case, stage: Stage) -> None:
    plain = Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n", reads=False)
    with Loopback(every=plain) as server:
        shop = account(server.url.replace("http:", "https:"))
        with stage.shop(accounts={"shop": shop}, clock=VirtualClock()) as gw:
            assert "TLS" in str(ends(case.read, lambda: read(gw)))
            assert ends(case.write, lambda: write(gw)).retryable
            assert [entry.state for entry in gw.journal.list()] == ["intended"]
            assert (server.requests, server.connections) == ([], 12)


@PLAYS.row("unsendable-key")
def unsendable_key(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server:
        for sent, odd in enumerate(("kéy-", "line\nbreak-", "\u2028"), 1):
            cart = f"cart-{sent}"
            shop = account(server.url, key=odd + KEY)
            with stage.shop(accounts={"shop": shop}, clock=VirtualClock()) as gw:
                for error in (
                    ends(case.read, lambda: read(gw)),
                    ends(case.write, lambda gw=gw, cart=cart: write(gw, cart)),
                ):
                    assert "the account's key" in str(error)
                    assert KEY not in str(error)
                    assert not error.retryable
            assert len(server.requests) == sent - 1
            # With the right key the same call goes through.
            with stage.shop(server) as gw:
                assert write(gw, cart).status == "pending"
            assert len(server.requests) == sent


@PLAYS.row("proxy-refuses")
def proxy_refuses(case: Case, stage: Stage) -> None:
    for status in (403, 407):
        with Loopback(every=Answer(status)) as proxy:
            shop = account("https://api.toy.invalid", proxy=f"http://user:{KEY}@127.0.0.1:{proxy.port}")
            with stage.shop(accounts={"shop": shop}, store="sqlite://", clock=VirtualClock()) as gw:
                for error in (ends(case.read, lambda: read(gw)), ends(case.write, lambda: write(gw))):
                    assert "the egress proxy refused" in str(error)
                    assert KEY not in str(error)
                    assert error.retryable
                assert [entry.state for entry in gw.journal.list()] == ["intended"]
            assert {(seen.method, seen.target) for seen in proxy.requests} == {("CONNECT", "api.toy.invalid:443")}


@PLAYS.row("no-proxy")
def no_proxy(case: Case, stage: Stage) -> None:
    with refusing() as nobody, Loopback(app=answers) as server:
        for proxy in (nobody, nobody.replace("http://", f"http://user:{KEY}@")):
            shop = account(server.url, proxy=proxy)
            with stage.shop(accounts={"shop": shop}, store="sqlite://", clock=VirtualClock()) as gw:
                for error in (ends(case.read, lambda: read(gw)), ends(case.write, lambda: write(gw))):
                    assert "proxy" in str(error)
                    assert KEY not in str(error)
                    assert error.retryable
                assert [entry.state for entry in gw.journal.list()] == ["intended"]
        assert server.connections == 0, "it went past the proxy"


@PLAYS.row("silence")
def silence(case: Case, stage: Stage) -> None:
    too_late(case, stage, Hold())


@PLAYS.row("slow-headers")
def slow_headers(case: Case, stage: Stage) -> None:
    too_late(case, stage, Trickle(head=True))
    _fast_enough_to_fool_a_limit_on_one_read(case, stage)


@PLAYS.row("slow-body")
def slow_body(case: Case, stage: Stage) -> None:
    too_late(case, stage, Trickle())


def too_late(case: Case, stage: Stage, play: Play) -> None:
    """The deadline holds on a fresh connection, on one that is used again, and inside TLS."""
    pem = self_signed(stage.folder)
    for tls in (None, pem):
        with Loopback(app=answers, tls=tls) as server:
            shop = account(server.url, **({"ca_file": str(pem)} if tls else {}))
            with stage.shop(accounts={"shop": shop}, store="sqlite://") as gw:
                server.plan(play)
                _in_time(lambda: ends(case.read, lambda: read(gw, deadline=_SHORT)))
                read(gw)
                before = len(server.requests)
                server.plan(play)
                _in_time(lambda: ends(case.write, lambda: write(gw, deadline=_SHORT)))
                assert server.requests[before].connection == server.requests[before - 1].connection
                # The first call's short time is not the next one's.
                server.plan(TICKER)
                assert str(read(gw).last) == "60000.5"
                sent = len(server.requests)
                ends(case.write, lambda: write(gw))
                assert len(server.requests) == sent


def _fast_enough_to_fool_a_limit_on_one_read(case: Case, stage: Stage) -> None:
    """Every read finds a byte at once, for ever."""
    with Loopback(every=Trickle(pause=0.0002, head=True)) as server, stage.shop(server, store="sqlite://") as gw:
        _in_time(lambda: ends(case.read, lambda: read(gw, deadline=_SHORT)))


def _in_time(call: Any) -> None:
    start = time.monotonic()
    call()
    assert time.monotonic() - start < _SOON


@PLAYS.row("too-many-for-long")
def too_many_for_long(case: Case, stage: Stage) -> None:
    for call, end in ((read, case.read), (write, case.write)):
        clock = VirtualClock()
        later = Answer(429, headers={"Retry-After": "90"})
        with Loopback(later, app=answers) as server, stage.shop(server, store="sqlite://", clock=clock) as gw:
            error = ends(end, lambda call=call, gw=gw: call(gw, deadline=60))
            assert (error.retry_after, error.retryable, clock.slept) == (90.0, True, [])
            clock.advance(45)
            with pytest.raises(RateLimited) as caught:
                call(gw, deadline=40)
            assert (caught.value.retry_after, caught.value.outcome) == (45.0, "not_sent")
            assert len(server.requests) == 1
            # The same call, given the time, waits and is made: a write with the same reference too.
            call(gw, deadline=50)
            assert clock.slept == [45.0]
            assert len(server.requests) == 2


@PLAYS.row("own-rate")
def own_rate(case: Case, stage: Stage) -> None:
    plugins = toy_plugins(provider(rate_limit=RateLimit(1, 60)))
    with Loopback(app=answers) as server, stage.shop(server, plugins=plugins) as gw:
        read(gw)
        assert ends(case.read, lambda: read(gw, deadline=_SHORT)).retry_after > 50
        ends(case.write, lambda: write(gw, deadline=_SHORT))
        assert len(server.requests) == 1


@PLAYS.row("other-amount")
def other_amount(case: Case, stage: Stage) -> None:
    user = {"userId": "u1", "firstName": "Ada", "lastName": "Example"}
    topped = {"cardId": "card_1", "newBalance": 160, "rechargeAmount": 60, "fees": 1.5}

    def aurex(seen: Seen) -> Answer:
        body = {"success": True, "data": topped if seen.path.endswith("/topup") else user}
        return Answer(body=str(body).replace("'", '"').replace("True", "true"))

    with Loopback(app=aurex) as server:
        cards = {
            "provider": "aurex",
            "environment": "sandbox",
            "base_url": server.url,
            "auth": {"kind": "bearer", "api_key": "k"},
        }
        with stage.shop(accounts={"cards": cards}, plugins=load_plugins()) as gw:
            gw.customers.create(CustomerRequest(reference="c-42", first_name="Ada", last_name="Example"))
            request = WithdrawalRequest(reference="load-1", amount=Money("50", "USD"), to=CardTopUp("c-42", "card_1"))
            error = ends(case.write, lambda: gw.withdrawals.create(request))
            assert "asked for 50 USD, the provider paid 60 USD" in str(error)
            sent = len(server.requests)
            ends(case.write, lambda: gw.withdrawals.create(request))
            assert len(server.requests) == sent
            assert gw.withdrawals.get("load-1").status == "unconfirmed"


@PLAYS.row("unknown-word")
def unknown_word(case: Case, stage: Stage) -> None:
    with Loopback(app=answers) as server, stage.shop(server) as gw:
        write(gw)
        server.plan(good({"id": "1", "status": "frobnicated"}))
        seen = ends(case.read, lambda: _get(gw))
        assert (seen.status, seen.warnings) == ("unrecognised", ("unknown status 'frobnicated'",))
        server.plan(good({"id": "1", "status": "paid"}))
        assert _get(gw).status == "paid"


def _get(gw: Opened) -> Any:
    return gw.orders.get("cart-1001")
