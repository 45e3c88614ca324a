"""Keys that are obtained by a login, and requests that carry a growing number."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway import Money, OrderRequest
from gateway.errors import AuthenticationFailed, Conflict, GatewayError, MalformedResponse, ProviderUnavailable
from support.colours import opened
from support.loopback import Answer, Drop, Hold, Loopback, Play, Seen
from support.toy import KEY, account, answers, good, wrong
from support.virtual import VirtualClock

TESTS = Path(__file__).parent.parent


class Issuer:
    """A provider that issues keys `issued-1`, `issued-2`, … and accepts the newest only."""

    def __init__(self) -> None:
        self.newest = 0
        self.accepts = True
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Answer:
        with self._lock:
            if seen.path == "/keys":
                assert seen.json == {"user": "merchant", "password": KEY}
                assert "x-key" not in seen.headers
                self.newest += 1
                return good({"token": f"issued-{self.newest}"})
            if not self.accepts or seen.headers.get("x-key") != f"issued-{self.newest}":
                return Answer(401, {"you sent": seen.headers.get("x-key", "")})
        return answers(seen)

    def revoke(self) -> None:
        with self._lock:
            self.newest += 1


def paths(server: Loopback) -> list[str]:
    return [seen.path for seen in server.requests]


class TestLogin:
    @pytest.mark.parametrize("count", [1, 50])
    def test_it_happens_once_however_many_calls_need_it(self, count: int, colour: str) -> None:
        count = count * 2 if colour == "async" else count
        with (
            Loopback(app=Issuer()) as server,
            opened(colour, accounts={"shop": account(server.url, kind="login")}) as gw,
        ):
            results = gw.together(count, lambda gateway, index: gateway.keys.verify(account="shop"))
            assert results == [None] * count
            assert paths(server).count("/keys") == 1
            assert len(server.requests) == count + 1

    @pytest.mark.parametrize("count", [1, 50])
    def test_a_key_that_is_no_longer_accepted_is_renewed_once(self, count: int, colour: str) -> None:
        issuer = Issuer()
        with (
            Loopback(app=issuer) as server,
            opened(colour, accounts={"shop": account(server.url, kind="login")}) as gw,
        ):
            gw.keys.verify(account="shop")
            issuer.revoke()
            assert gw.together(count, lambda gateway, index: gateway.keys.verify(account="shop")) == [None] * count
            assert paths(server).count("/keys") == 2

    def test_a_key_that_is_never_accepted_is_not_renewed_twice(self, colour: str) -> None:
        issuer = Issuer()
        issuer.accepts = False
        with (
            Loopback(app=issuer) as server,
            opened(colour, accounts={"shop": account(server.url, kind="login")}) as gw,
        ):
            with pytest.raises(AuthenticationFailed) as caught:
                gw.keys.verify(account="shop")
            assert paths(server) == ["/keys", "/me", "/keys", "/me"]
            assert (caught.value.outcome, caught.value.operation) == ("rejected", "keys.verify")
            assert "issued-" not in str(caught.value), "the obtained key is a secret too"

    def test_a_write_is_repeated_with_the_renewed_key_and_done_once(self, colour: str) -> None:
        issuer = Issuer()
        with (
            Loopback(app=issuer) as server,
            opened(colour, accounts={"shop": account(server.url, kind="login")}) as gw,
        ):
            gw.keys.verify(account="shop")
            issuer.revoke()
            request = OrderRequest(reference="cart-1", price=Money("1.00", "USD"))
            assert gw.orders.create(request, account="shop").provider_id == "1"
            assert paths(server)[2:] == ["/orders", "/keys", "/orders"]

    @pytest.mark.parametrize(
        "play, kind, sendings",
        [
            (Answer(401, {"password": KEY, "said": KEY}), AuthenticationFailed, 1),
            (wrong("bad-key", KEY), AuthenticationFailed, 1),
            (good({"tokens": KEY}), MalformedResponse, 6),
            (Answer(200, f"<html>{KEY}"), MalformedResponse, 6),
            (Answer(500, KEY), ProviderUnavailable, 6),
            (Drop(), ProviderUnavailable, 6),
        ],
        ids=["401", "error", "no token", "HTML", "500", "closed"],
    )
    def test_one_that_fails_fails_the_call_and_sends_nothing_else(
        self, play: Play, kind: type[GatewayError], sendings: int, colour: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            Loopback(every=play) as server,
            opened(colour, accounts={"shop": account(server.url, kind="login")}, clock=(clock := VirtualClock())) as gw,
        ):
            request = OrderRequest(reference="cart-1", price=Money("1.00", "USD"))
            with pytest.raises(kind) as caught:
                gw.orders.create(request, account="shop")
            assert paths(server) == ["/keys"] * sendings
            assert caught.value.outcome == "rejected"
            assert KEY not in str(caught.value) + repr(caught.value) + caplog.text
            # Nothing was made, so the same call may succeed later, when a login that was refused is tried again.
            clock.advance(5)
            server.every, server.app = None, Issuer()
            assert gw.orders.create(request, account="shop").provider_id == "1"

    def test_one_that_is_cut_off_leaves_the_way_free(self, colour: str) -> None:
        with (
            Loopback(Hold(), app=Issuer()) as server,
            opened(colour, accounts={"shop": account(server.url, kind="login")}) as gw,
        ):
            with pytest.raises(ProviderUnavailable):
                gw.keys.verify(account="shop", deadline=0.2)
            gw.keys.verify(account="shop", deadline=5)


class Counter:
    """A provider that refuses a number that has not grown."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Answer:
        with self._lock:
            number = int(seen.headers["x-number"])
            self.numbers.append(number)
            return good({}) if self.numbers[-2:] == sorted(set(self.numbers[-2:])) else wrong("bad-request", "number")


def growing(numbers: list[int]) -> bool:
    return all(earlier < later for earlier, later in itertools.pairwise(numbers))


def numbered(url: str, **more: Any) -> dict[str, Any]:
    return account(url, kind="numbered", **more)


class TestNumbers:
    def test_they_arrive_strictly_growing_however_many_are_under_way(self, colour: str, tmp_path: Path) -> None:
        counter = Counter()
        with (
            Loopback(app=counter) as server,
            opened(colour, accounts={"shop": numbered(server.url)}, store=f"sqlite:///{tmp_path / 'gateway.db'}") as gw,
        ):
            results = gw.together(40, lambda gateway, index: gateway.keys.verify(account="shop", deadline=60))
            assert results == [None] * 40
            assert len(counter.numbers) == 40
            assert growing(counter.numbers)
            assert server.most_at_once == 1

    def test_also_when_the_clock_goes_back(self, colour: str) -> None:
        counter, clock = Counter(), VirtualClock()
        with (
            Loopback(app=counter) as server,
            opened(colour, accounts={"shop": numbered(server.url)}, clock=clock) as gw,
        ):
            for step in (0, -3600, 7200, -7200):
                clock.advance(step)
                gw.keys.verify(account="shop")
            assert growing(counter.numbers)
            assert counter.numbers[0] == int(clock.now().timestamp() * 1_000_000) + 3600 * 1_000_000

    def test_a_repeated_request_has_a_new_number(self, colour: str) -> None:
        with (
            Loopback(Answer(500), Answer(429), app=answers) as server,
            opened(colour, accounts={"shop": numbered(server.url)}, clock=VirtualClock()) as gw,
        ):
            gw.keys.verify(account="shop")
            assert growing([int(seen.headers["x-number"]) for seen in server.requests])
            assert len({seen.headers["signature"] for seen in server.requests}) == 3

    def test_accounts_of_one_key_share_them(self, colour: str) -> None:
        counter = Counter()
        with Loopback(app=counter) as server:
            accounts = {"shop": numbered(server.url), "backup": numbered(server.url)}
            with opened(colour, accounts=accounts) as gw:
                names = ("shop", "backup")
                results = gw.together(
                    20, lambda gateway, index: gateway.keys.verify(account=names[index % 2], deadline=60)
                )
            assert results == [None] * 20
            assert growing(counter.numbers)

    def test_other_keys_do_not_wait(self, colour: str) -> None:
        def app(seen: Seen) -> Answer:
            server.release()  # the first key's request ends when the other's has come
            return good({})

        with Loopback(Hold(good({})), app=app) as server:
            accounts = {"shop": numbered(server.url), "other": numbered(server.url, key="another-key")}
            with opened(colour, accounts=accounts) as gw:

                def one(gateway: Any, index: int) -> Any:
                    if index and colour == "sync":
                        server.wait_for(1)
                    return gateway.keys.verify(account=("shop", "other")[index], deadline=30)

                assert gw.together(2, one) == [None, None]

    def test_two_processes_on_one_store_share_them(self, tmp_path: Path) -> None:
        counter = Counter()
        script = (
            "import sys\n"
            "from support.colours import opened\n"
            "from support.toy import account\n"
            "colour, url, store = sys.argv[1:]\n"
            "with opened(colour, accounts={'shop': account(url, kind='numbered')}, store=store) as gw:\n"
            "    results = gw.together(15, lambda g, i: g.keys.verify(account='shop', deadline=60))\n"
            "    sys.exit([str(result) for result in results if result is not None] or 0)\n"
        )
        with Loopback(app=counter) as server:
            store = f"sqlite:///{tmp_path / 'gateway.db'}"
            children = [
                subprocess.Popen(
                    [sys.executable, "-c", script, colour, server.url, store],
                    env=os.environ,
                    cwd=TESTS,
                    stderr=subprocess.PIPE,
                )
                for colour in ("sync", "async", "sync")
            ]
            told = [child.communicate(timeout=60)[1].decode() for child in children]
            assert [child.returncode for child in children] == [0, 0, 0], told
        assert len(counter.numbers) == 45
        assert growing(counter.numbers)


def test_a_busy_lane_says_that_nothing_was_sent(colour: str) -> None:
    with (
        Loopback(Hold(good({})), app=answers) as server,
        opened(colour, accounts={"shop": numbered(server.url)}) as gw,
    ):

        async def afterwards(call: Any) -> Any:
            try:
                return await call
            finally:
                server.release()

        def one(gateway: Any, index: int) -> Any:
            if index == 0:
                return gateway.keys.verify(account="shop", deadline=30)
            if colour == "async":
                return afterwards(gateway.keys.verify(account="shop", deadline=0.2))
            server.wait_for(1)
            try:
                return gateway.keys.verify(account="shop", deadline=0.2)
            finally:
                server.release()

        first, busy = gw.together(2, one)
        assert first is None
        assert type(busy) is Conflict
        assert (busy.outcome, busy.retryable) == ("not_sent", True)
        assert "nothing was sent" in str(busy)
        assert len(server.requests) == 1
