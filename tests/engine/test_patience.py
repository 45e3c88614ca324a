"""Repeating, waiting and limiting, on a clock that moves only when something sleeps on it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Money, OrderRequest
from gateway.contracts import RateLimit
from gateway.engine.clock import Deadline, SystemClock
from gateway.engine.rates import RateWindow
from gateway.engine.verdicts import judge_answer
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    MalformedResponse,
    NotFound,
    OutcomeUnknown,
    ProviderUnavailable,
    RateLimited,
)
from gateway.exchange import Request, Response
from gateway.observation import Record
from gateway.secrets import Redactor
from support.colours import opened
from support.loopback import Answer, Drop, Hold, Loopback, Play
from support.toy import KEY, TICKER, Toy, account, answers, good, provider, toy_plugins
from support.virtual import START, VirtualClock

READ: Callable[[Any], Any] = lambda gw: gw.markets.ticker("BTC/USD", account="shop")  # noqa: E731
WRITE: Callable[[Any], Any] = lambda gw: gw.orders.create(  # noqa: E731
    OrderRequest(reference="cart-1", price=Money("1.00", "USD")), account="shop"
)


class Chance:
    """Numbers that are given out in turn, then the last one for ever."""

    def __init__(self, *numbers: float) -> None:
        self._numbers = list(numbers)

    def __call__(self) -> float:
        return self._numbers.pop(0) if len(self._numbers) > 1 else self._numbers[0]


class TestBackOff:
    @pytest.mark.parametrize(
        "chance, pauses",
        [
            ([0.0], [0, 0, 0, 0, 0]),
            ([1.0], [0.25, 0.5, 1, 2, 4]),
            ([0.5], [0.125, 0.25, 0.5, 1, 2]),
            ([0.0, 1.0, 0.25, 0.5, 0.125], [0, 0.5, 0.25, 1, 0.5]),
        ],
    )
    def test_it_is_full_jitter_over_a_doubling_pause(
        self, chance: list[float], pauses: list[float], colour: str
    ) -> None:
        clock = VirtualClock()
        with (
            Loopback(every=Answer(500)) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock, uniform=Chance(*chance)) as gw,
        ):
            with pytest.raises(ProviderUnavailable):
                READ(gw)
            assert clock.slept == pauses
            assert len(server.requests) == 6

    def test_it_ends_before_the_deadline(self, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(every=Answer(500)) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock, uniform=lambda: 1.0) as gw,
        ):
            with pytest.raises(ProviderUnavailable):
                gw.markets.ticker("BTC/USD", account="shop", deadline=1.0)
            assert clock.slept == [0.25, 0.5]  # one second more would be over it
            assert len(server.requests) == 3

    def test_the_longest_pause_is_bounded(self) -> None:
        with opened("sync", accounts={"shop": account("http://127.0.0.1:9")}, uniform=lambda: 1.0) as gw:
            assert gw.core.account("shop").backoff(50, 0.25, 8.0) == 8.0

    def test_what_failed_at_first_may_succeed_later(self, colour: str) -> None:
        plays: list[Play] = [Answer(502), Drop(), Answer(200, "<html>"), Answer(429), TICKER]
        with (
            Loopback(*plays) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=VirtualClock()) as gw,
        ):
            assert str(READ(gw).last) == "60000.5"
            assert len(server.requests) == 5

    def test_a_read_that_is_not_answered_is_repeated(self, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.engine.perform._SHORTEST_READ", 0.2)
        with (
            Loopback(Hold(), app=answers) as server,
            opened(colour, accounts={"shop": account(server.url)}, uniform=lambda: 0.0) as gw,
        ):
            assert gw.markets.ticker("BTC/USD", account="shop", deadline=2)
            assert len(server.requests) == 2

    def test_a_write_that_is_refused_for_now_is_repeated_and_done_once(self, colour: str) -> None:
        with (
            Loopback(Answer(503), Answer(429), app=answers) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=VirtualClock()) as gw,
        ):
            assert WRITE(gw).provider_id == "1"
            assert WRITE(gw).provider_id == "1"
            assert len(server.requests) == 3


class TestRetryAfter:
    @pytest.mark.parametrize("call", [READ, WRITE], ids=["read", "write"])
    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(
        "value",
        ["7", " 7 ", format_datetime(START + timedelta(seconds=7), usegmt=True), "Sun, 01 Jun 2025 12:00:07 -0000"],
        ids=["7", "spaces", "date", "date without a zone"],
    )
    def test_it_is_honoured(self, value: str, status: int, call: Callable[[Any], Any], colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(Answer(status, headers={"Retry-After": value}), app=answers) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock) as gw,
        ):
            call(gw)
            assert clock.slept == [7.0]
            assert len(server.requests) == 2

    def test_when_the_deadline_leaves_no_room_the_error_says_how_long(self, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(every=Answer(429, headers={"Retry-After": "31"})) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock) as gw,
        ):
            with pytest.raises(RateLimited) as caught:
                READ(gw)
            assert (caught.value.retry_after, caught.value.outcome, clock.slept) == (31.0, "rejected", [])
            # Nobody uses this key before then: the next call is not sent at all.
            clock.advance(1)
            with pytest.raises(RateLimited) as caught:
                READ(gw)
            assert (caught.value.retry_after, caught.value.outcome) == (30.0, "not_sent")
            assert clock.slept == []
            assert len(server.requests) == 1

    def test_after_it_has_passed_the_key_is_used_again(self, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(Answer(429, headers={"Retry-After": "40"}), app=answers) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock) as gw,
        ):
            with pytest.raises(RateLimited):
                READ(gw)
            clock.advance(15)
            READ(gw)
            assert clock.slept == [25.0]

    @pytest.mark.parametrize("value", ["0", "-5", "soon", "", "1e3", "٣", "Mon, 01 Jan 2024 00:00:00 GMT", "9" * 5000])
    def test_odd_values_do_no_harm(self, value: str, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(Answer(429, headers={"Retry-After": value.encode().decode("latin-1")}), app=answers) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock, uniform=lambda: 1.0) as gw,
        ):
            if value.startswith("9"):
                with pytest.raises(RateLimited) as caught:
                    READ(gw)
                assert caught.value.retry_after == 86400.0
            else:
                READ(gw)
                assert clock.slept in ([0.0], [0.25])

    @given(st.text(max_size=60))
    def test_no_text_breaks_reading_it(self, value: str) -> None:
        response = Response(429, {"retry-after": value}, b"")
        verdict = judge_answer(Request("GET", "/"), response, None, Redactor(), START)
        assert isinstance(verdict.error, RateLimited)
        assert verdict.after is None or 0 <= verdict.after <= 86400


class TestRateLimit:
    PLUGINS = staticmethod(lambda: toy_plugins(provider(rate_limit=RateLimit(60, 60)), provider("other")))

    def test_sixty_leave_at_once_and_the_next_waits_for_the_window(self, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(app=answers) as server,
            opened(
                colour, plugins=self.PLUGINS(), accounts={"shop": account(server.url, timeout=120)}, clock=clock
            ) as gw,
        ):
            sent: list[float] = []
            gw.observe(lambda record: sent.append(clock.monotonic()) if record.kind == "exchange" else None)
            for _ in range(150):
                READ(gw)
            assert clock.slept == [61.0, 61.0]  # the window, and what a call may be under way for
            assert len(server.requests) == 150
            assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[60:], strict=False))

    def test_no_sixty_first_within_any_minute_however_they_are_spread(self) -> None:
        window = RateWindow(RateLimit(60, 60))
        now, starts = 0.0, []
        for step in range(400):
            free, wait = window.reserve(now, 1000.0)
            assert free
            starts.append(now + wait)
            now += (step * 7919) % 13 / 10
        assert all(later - earlier > 60 - 1e-9 for earlier, later in zip(starts, starts[60:], strict=False))
        assert starts == sorted(starts)

    @given(
        st.integers(1, 5),
        st.integers(1, 20),
        st.lists(st.tuples(st.floats(0, 15), st.floats(0, 40), st.booleans()), max_size=60),
    )
    def test_whatever_happens_the_limit_holds(
        self, requests: int, seconds: int, calls: list[tuple[float, float, bool]]
    ) -> None:
        window = RateWindow(RateLimit(requests, seconds))
        now, starts, closed = 0.0, [], 0.0
        for step, patience, closes in calls:
            now += step
            if closes:
                closed = max(closed, now + 5)
                window.close_until(now + 5)
            free, wait = window.reserve(now, patience)
            assert free is (wait == 0 or wait < patience)
            if free:
                assert now + wait >= closed - 1e-9
                starts.append(now + wait)
            headroom = window.headroom(now)
            assert headroom is not None
            assert 0 <= headroom <= requests
        for earlier, later in zip(starts, starts[requests:], strict=False):
            assert later - earlier >= seconds - 1e-6

    def test_without_a_limit_there_is_no_wait(self) -> None:
        window = RateWindow(None)
        assert all(window.reserve(0.0, 0.0) == (True, 0.0) for _ in range(1000))
        assert window.headroom(0.0) is None

    def test_when_the_deadline_leaves_no_room_nothing_is_sent(self, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(app=answers) as server,
            opened(colour, plugins=self.PLUGINS(), accounts={"shop": account(server.url)}, clock=clock) as gw,
        ):
            for _ in range(60):
                READ(gw)
            clock.advance(10)
            with pytest.raises(RateLimited) as caught:
                READ(gw)
            assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)
            assert caught.value.retry_after == 51.0
            assert clock.slept == []
            assert len(server.requests) == 60
            # The refused call took no place of the window.
            clock.advance(51)
            READ(gw)
            assert clock.slept == []

    def test_many_at_once_share_it(self, colour: str) -> None:
        clock = VirtualClock()
        plugins = toy_plugins(provider(rate_limit=RateLimit(10, 60)))
        with (
            Loopback(app=answers) as server,
            opened(colour, plugins=plugins, accounts={"shop": account(server.url)}, clock=clock) as gw,
        ):
            results = gw.together(25, lambda gateway, index: gateway.markets.ticker("BTC/USD", account="shop"))
            refused = [result for result in results if isinstance(result, RateLimited)]
            assert (len(server.requests), len(refused)) == (10, 15)

    def test_accounts_with_one_key_share_a_window_and_others_do_not(self, colour: str) -> None:
        plugins = toy_plugins(provider(rate_limit=RateLimit(1, 60)), provider("twin", rate_limit=RateLimit(1, 60)))
        with Loopback(app=answers) as server:
            accounts = {
                "shop": account(server.url),
                "same-key": account(server.url),
                "other-key": account(server.url, key="another-key"),
                "other-provider": account(server.url, provider="twin"),
            }
            with opened(colour, plugins=plugins, accounts=accounts, clock=VirtualClock()) as gw:
                READ(gw)
                with pytest.raises(RateLimited):
                    gw.keys.verify(account="same-key")
                gw.keys.verify(account="other-key")
                gw.keys.verify(account="other-provider")
                gw.add_account("later", **account(server.url))
                with pytest.raises(RateLimited):
                    gw.keys.verify(account="later")
                assert len(server.requests) == 3


class TestDeadline:
    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e12])
    def test_it_is_a_number_of_seconds_above_zero(self, seconds: float, colour: str) -> None:
        with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
            with pytest.raises(InvalidRequest, match="deadline"):
                gw.markets.ticker("BTC/USD", account="shop", deadline=seconds)
            assert server.requests == []

    def test_without_one_the_account_says(self, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(every=Answer(429, headers={"Retry-After": "7"})) as server,
            opened(colour, accounts={"shop": account(server.url, timeout=20)}, clock=clock) as gw,
        ):
            with pytest.raises(RateLimited):
                READ(gw)
            assert clock.slept == [7.0, 7.0]

    def test_it_covers_waiting_and_sending_together(self, colour: str) -> None:
        clock = VirtualClock()
        plugins = toy_plugins(provider(rate_limit=RateLimit(1, 10)))
        with (
            Loopback(app=answers) as server,
            opened(colour, plugins=plugins, accounts={"shop": account(server.url)}, clock=clock) as gw,
        ):
            READ(gw)
            clock.while_asleep = lambda: clock.advance(30)  # the machine was asleep meanwhile
            with pytest.raises(ProviderUnavailable, match="no time left") as caught:
                WRITE(gw)
            assert caught.value.outcome == "not_sent"
            assert len(server.requests) == 1
            clock.while_asleep = lambda: None
            assert WRITE(gw).provider_id == "1"

    def test_the_real_clock_is_aware_and_grows(self) -> None:
        clock = SystemClock()
        assert clock.now().utcoffset() == timedelta(0)
        deadline = Deadline.after(clock, 5)
        assert 0 < deadline.remaining() <= 5
        assert Deadline(clock, clock.monotonic() - 1).remaining() == 0.0


class TestObservers:
    def test_they_are_told_of_every_exchange_and_operation(self, colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(Answer(500), app=answers) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock, uniform=lambda: 1.0) as gw,
        ):
            told: list[Record] = []
            assert gw.observe(told.append) is not None
            READ(gw)
            first, second, whole = told
            assert (first.kind, first.status, first.attempt, first.outcome, first.error) == (
                ("exchange", 500, 1, "rejected", "ProviderUnavailable")
            )
            assert (second.kind, second.status, second.attempt, second.outcome) == ("exchange", 200, 2, "done")
            assert (second.method, second.path, second.operation) == ("GET", "/ticker/BTC-USD", "markets.ticker")
            assert (whole.kind, whole.outcome, whole.seconds, whole.started_at) == ("operation", "done", 0.25, START)
            assert all((record.account, record.provider) == ("shop", "toy") for record in told)

    def test_one_that_raises_harms_nothing(self, colour: str, caplog: pytest.LogCaptureFixture) -> None:
        with Loopback(app=answers) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
            told: list[Record] = []

            def broken(record: Record) -> None:
                raise RuntimeError("observer")

            gw.observe(broken)
            gw.observe(told.append)
            with caplog.at_level(logging.ERROR):
                assert WRITE(gw).provider_id == "1"
            assert len(told) == 2
            assert "an observer raised" in caplog.text
            assert KEY not in caplog.text


class Slips(Toy):
    """An adapter whose author was careless."""

    def read_failure(self, response: Response) -> Any:
        if b"crash" in response.content:
            return {}["read_failure " + response.content.decode()]
        return super().read_failure(response)

    def get_ticker(self, market: str) -> Any:
        answer = yield Request("GET", "/ticker/x", parse=lambda response: response.json())
        return answer["data"]["nothing " + KEY]

    def get_order(self, provider_id: str) -> Any:
        yield Request("GET", "/orders/x", parse=lambda response: response.json()["nothing"][KEY])

    def create_order(self, order: Any) -> Any:
        answer = yield Request("POST", "/orders", write=True, parse=lambda response: response.json())
        return int(answer["data"]["id"] + KEY)

    def create_withdrawal(self, withdrawal: Any) -> Any:
        yield Request("POST", "/orders", write=True, parse=lambda response: response.json()["nothing"][KEY])


class TestCarelessAdapters:
    """What an adapter did not mean to raise is still an error of the gateway, and says what became of the request."""

    def fails(self, colour: str, play: Play, call: Callable[[Any], Any], kind: type[GatewayError]) -> None:
        clock = VirtualClock()
        with (
            Loopback(every=play) as server,
            opened(
                colour,
                plugins=toy_plugins(provider(adapter=Slips)),
                accounts={"shop": account(server.url)},
                clock=clock,
            ) as gw,
        ):
            with pytest.raises(kind) as caught:
                call(gw)
            assert type(caught.value) is kind
            assert KEY not in str(caught.value)
            assert caught.value.account == "shop"
            if kind is OutcomeUnknown:
                assert caught.value.outcome == "unknown"
                with pytest.raises(OutcomeUnknown):
                    call(gw)
                assert len(server.requests) == 1

    def test_in_the_operation_of_a_read(self, colour: str) -> None:
        self.fails(colour, good({}), READ, MalformedResponse)

    def test_in_the_operation_of_a_write(self, colour: str) -> None:
        self.fails(colour, good({"id": "x"}), WRITE, OutcomeUnknown)

    def test_in_reading_the_answer(self, colour: str) -> None:
        self.fails(colour, good({}), lambda gw: gw.orders.fetch(account="shop", provider_id="1"), MalformedResponse)

    def test_in_looking_for_an_error(self, colour: str) -> None:
        self.fails(colour, good({"id": "crash"}), READ, MalformedResponse)
        self.fails(colour, good({"id": "crash"}), WRITE, OutcomeUnknown)
        self.fails(colour, Answer(404, "crash"), READ, NotFound)
        self.fails(colour, Answer(404, "crash"), WRITE, NotFound)
