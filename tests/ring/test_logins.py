"""Logins that fail or take long: while the token at hand is good, and when none is."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.adapter import NoAuth
from gateway.engine.rates import RateWindow
from gateway.errors import AuthenticationFailed, GatewayError, MalformedResponse, ProviderUnavailable, RateLimited
from gateway.models import ApiKey, Environment, KeyOrigin, NewKey, Permission
from gateway.ring import HeldKey
from gateway.secrets import Secret
from gateway.testing import faults
from ring.ringed import Place, Service, actions, cart
from ring.scripts import Script, told, waiting_for
from ring.test_renewal import DAY, PASSWORD, Aurpay, aurpay, issue, order
from support.colours import Opened, opened
from support.loopback import Answer, Drop, Hold, Loopback, Play
from support.toy import good, wrong
from support.virtual import VirtualClock

__all__ = ["aurpay"]

LOGIN: dict[str, Any] = {"method": "POST", "path": "/api/plugin/key"}
AHEAD: dict[str, Callable[..., Any]] = {
    "503": lambda: faults.Status(status=503, times=1000, **LOGIN),
    "500": lambda: faults.Status(status=500, times=1000, **LOGIN),
    "429": lambda: faults.Status(status=429, headers={"Retry-After": "3"}, times=1000, **LOGIN),
    "lost": lambda: faults.Drop(executed=True, times=1000, **LOGIN),
    "foreign": lambda: faults.Foreign(times=1000, **LOGIN),
}
NEEDED: dict[str, tuple[Play, type[GatewayError], str]] = {
    "refused": (wrong("bad-key", "wrong user or password", 401), AuthenticationFailed, "HTTP 401"),
    "503": (Answer(503), ProviderUnavailable, "HTTP 503"),
    "500": (Answer(500), ProviderUnavailable, "HTTP 500"),
    "429": (Answer(429, headers={"Retry-After": "1"}), RateLimited, "HTTP 429"),
    "lost": (Drop(), ProviderUnavailable, "connection"),
    "malformed": (good({"nothing": "of it"}), MalformedResponse, "not as documented"),
}


class TestWhileTheTokenIsGood:
    @pytest.mark.parametrize("fault", AHEAD)
    def test_a_renewal_that_fails_stops_no_call(
        self, fault: str, aurpay: Aurpay, colour: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with aurpay.gateway(colour) as gw:
            issue(gw)
            order(gw, "c-1")
            aurpay.pass_time(DAY - 299)
            aurpay.server.faults("aurpay").add(AHEAD[fault]())
            assert gw.orders.get("c-1").reference == "c-1"
            assert aurpay.logins == 2, "it was not repeated"
            assert "the login that renews the key main of shop failed" in caplog.text
            order(gw, "c-2")
            assert aurpay.logins == 2, "nobody tries again at once"
            aurpay.pass_time(5)
            order(gw, "c-3")
            assert aurpay.logins == 3
            assert PASSWORD not in caplog.text
            aurpay.server.faults("aurpay").clear()
            aurpay.pass_time(10)
            order(gw, "c-4")
            assert aurpay.logins == 4
            left = gw.keys.get("main", account="shop").token_expires_at - aurpay.clock.now()
            assert left.total_seconds() == pytest.approx(DAY, abs=60)
            order(gw, "c-5")
            assert aurpay.logins == 4
            assert actions(gw.keys.audit()) == ["issued"], "it is not set aside for that"

    def test_it_is_tried_less_and_less(self, aurpay: Aurpay, colour: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.CRITICAL)
        with aurpay.gateway(colour) as gw:
            issue(gw)
            order(gw, "c-1")
            aurpay.pass_time(DAY - 299)
            aurpay.server.faults("aurpay").add(AHEAD["503"]())
            tried = []
            for passed in range(0, 290, 5):
                before = aurpay.logins
                gw.orders.get("c-1")
                if aurpay.logins > before:
                    tried.append(passed)
                aurpay.pass_time(5)
            assert tried == [0, 5, 15, 35, 75, 135, 195, 255]

    def test_one_who_is_refused_is_not_tried_again_before_it_is_needed(self, aurpay: Aurpay, colour: str) -> None:
        """A provider may lock a user out who tries too often."""
        with aurpay.gateway(colour) as gw:
            issue(gw)
            order(gw, "c-1")
            aurpay.pass_time(DAY - 299)
            aurpay.server.faults("aurpay").add(faults.Status(status=401, times=1000, **LOGIN))
            for _ in range(4):
                gw.orders.get("c-1")
                aurpay.pass_time(70)
            assert aurpay.logins == 2
            aurpay.server.faults("aurpay").clear()
            aurpay.pass_time(30)
            gw.orders.get("c-1")
            assert aurpay.logins == 3

    @pytest.mark.parametrize("end", ["renewed", "unavailable"])
    def test_the_others_do_not_wait(self, end: str, colour: str, place: Place) -> None:
        with logged_in(colour, place) as (gw, service, server):
            (held,) = gw.core.account("shop").ring.keys
            held.auth.expires_soon()
            if end == "renewed":
                service.keys.add("issued-2")
            server.plan(Hold(then=good({"token": "issued-2"}) if end == "renewed" else Answer(503)))

            def call(gateway: Any, index: int) -> Script:
                if index > 0:
                    yield from waiting_for(lambda: logins(server) == 2)
                return (yield gateway.account("shop").request("GET", "/me"))

            def release(gateway: Any, index: int) -> Script:
                if index < 10:
                    return (yield from call(gateway, index))
                yield from waiting_for(lambda: service.keys_used() == ["issued-1"] * 9)
                server.release()

            *results, _ = gw.together(11, told(colour, release))
            assert [result.status for result in results] == [200] * 10
            assert service.keys_used()[-1] == ("issued-2" if end == "renewed" else "issued-1")
            assert logins(server) == 2


class TestWhenOneIsNeeded:
    @pytest.mark.parametrize("end", NEEDED)
    def test_one_login_for_all_who_wait(self, end: str, colour: str, place: Place) -> None:
        answer, kind, words = NEEDED[end]
        clock = VirtualClock() if end != "refused" else None  # what is refused is not repeated: there is no pause
        with logged_in(colour, place, clock=clock) as (gw, service, server):
            (held,) = gw.core.account("shop").ring.keys
            # The token is refused, and the login that is to bring another one takes until all wait for it. Whoever
            # logged in once more than the first one does would get a token.
            sendings = 1 if end == "refused" else 6
            server.plan(Answer(401), Hold(then=answer), *[answer] * (sendings - 1))

            def call(gateway: Any, index: int) -> Script:
                if index == 0:
                    yield gateway.account("shop").request("GET", "/me")
                elif index <= 20:
                    yield from waiting_for(lambda: logins(server) == 2)
                    yield gateway.orders.create(cart(f"c-{index}"))
                else:
                    yield from waiting_for(lambda: held.in_flight == 21)
                    server.release()

            first, *results, released = gw.together(22, told(colour, call))
            assert released is None
            assert {type(result) for result in results} == {type(first)} == {kind}
            assert len({id(result) for result in (first, *results)}) == 21
            assert [result.reference for result in results] == [f"c-{n}" for n in range(1, 21)]
            for result in results:
                assert str(result).startswith(f"shop (toy) orders.create {result.reference}: the login of shop for")
                assert "its key login1 failed" in result.message
                assert result.message.endswith("; orders.create was not sent")
                assert words in result.message
                assert "it was a read" not in str(result)
                assert result.outcome != "unknown"
            assert first.message.endswith("was not sent again, and nothing was done")
            assert logins(server) - 1 == sendings, "also where one came to the door when the others were let go"
            assert not service.written
            gw.keys.verify(account="shop", label="login1")
            gw.orders.create(cart("c-1"))
            assert dict(service.written) == {"c-1": 1}

    def test_one_that_has_no_answer(self, colour: str, place: Place) -> None:
        with logged_in(colour, place) as (gw, service, server):
            service.forget_logins()
            gw.account("shop")
            server.plan(Answer(401), Hold())

            def call(gateway: Any, index: int) -> Script:
                if index > 0:
                    yield from waiting_for(lambda: logins(server) == 2)
                yield gateway.account("shop").request("GET", "/me", deadline=1)

            results = gw.together(5, told(colour, call))
            assert {type(result) for result in results} == {ProviderUnavailable}
            assert all("the login of shop for its key login1 failed" in str(result) for result in results)
            assert not any("it was a read" in str(result) for result in results)
            # Those who came last have a moment left when the first has given up, which is no time to try.
            assert logins(server) == 2

    def test_who_has_more_time_than_the_first_tries_again(self, colour: str, place: Place) -> None:
        with logged_in(colour, place) as (gw, service, server):
            (held,) = gw.core.account("shop").ring.keys
            service.forget_logins()
            server.plan(Answer(401), Hold())

            def call(gateway: Any, index: int) -> Script:
                if index > 0:
                    yield from waiting_for(lambda: logins(server) == 2)
                return (yield gateway.account("shop").request("GET", "/me", deadline=30 if index else 1))

            first, *results = gw.together(5, told(colour, call))
            assert isinstance(first, ProviderUnavailable)
            assert [result.status for result in results] == [200] * 4
            assert logins(server) == 3
            assert held.in_flight == 0


class TestOneThatIsRefused:
    """A provider may lock a user out who tries too often."""

    @contextmanager
    def changed(self, colour: str, place: Place) -> Iterator[tuple[Opened, Service, VirtualClock]]:
        clock = VirtualClock()
        with logged_in(colour, place, clock=clock) as (gw, service, _):
            service.forget_logins()
            service.login = "changed"
            yield gw, service, clock

    def test_it_is_tried_less_and_less(self, colour: str, place: Place) -> None:
        with self.changed(colour, place) as (gw, service, clock):
            tried = []
            for passed in range(0, 300, 5):
                before = service.failed_logins
                for _ in range(3):
                    with pytest.raises(AuthenticationFailed) as caught:
                        gw.account("shop").request("GET", "/me")
                if service.failed_logins > before:
                    tried.append(passed)
                clock.advance(5)
            assert tried == [0, 5, 15, 35, 75, 135, 195, 255]
            assert service.failed_logins == len(tried)
            assert caught.value.outcome != "unknown"

    def test_the_others_are_told_how_long(self, colour: str, place: Place) -> None:
        with self.changed(colour, place) as (gw, service, clock):
            with pytest.raises(AuthenticationFailed) as first:
                gw.orders.create(cart("c-1"))
            clock.advance(2)
            with pytest.raises(AuthenticationFailed) as later:
                gw.orders.create(cart("c-2"))
            assert service.failed_logins == 1
            assert "not tried again" not in first.value.message
            assert later.value.message.endswith("(2 s ago; it is not tried again for 3 s); orders.create was not sent")
            assert later.value.reference == "c-2"
            service.login = "pass"
            clock.advance(3)
            gw.orders.create(cart("c-3"))
            assert dict(service.written) == {"c-3": 1}

    @pytest.mark.parametrize("how", ["verify", "rotate", "restart"])
    def test_one_who_asks_for_it_tries_at_once(self, how: str, colour: str, place: Place) -> None:
        with self.changed(colour, place) as (gw, service, clock):
            with pytest.raises(AuthenticationFailed):
                gw.orders.create(cart("c-1"))
            if how == "verify":
                with pytest.raises(AuthenticationFailed):
                    gw.keys.verify(account="shop", label="login1")
                assert service.failed_logins == 2
                service.login = "pass"
                gw.keys.verify(account="shop", label="login1")
            elif how == "rotate":
                parts = {"user": Secret("merchant"), "password": Secret("changed")}
                gw.keys.rotate("login1", NewKey(label="login2", kind="login", parts=parts), account="shop")
            else:
                service.login = "pass"
                with place.gateway(colour, gw.core.account("shop").settings.base_url, clock=clock) as other:
                    other.orders.create(cart("c-2"))
                assert dict(service.written) == {"c-2": 1}
                return
            gw.orders.create(cart("c-2"))
            assert dict(service.written) == {"c-2": 1}

    def test_one_of_the_settings_is_verified_at_once(self, colour: str, tmp_path: Path) -> None:
        service, auth = Service(login="pass"), {"kind": "login", "user": "merchant", "password": "wrong"}
        with Loopback(app=service) as server:
            shop = {"provider": "toy", "environment": "sandbox", "base_url": server.url, "auth": auth}
            with opened(colour, accounts={"shop": shop}, store=f"sqlite:///{tmp_path}/gateway.db") as gw:
                for _ in range(3):
                    with pytest.raises(AuthenticationFailed):
                        gw.orders.create(cart("c-1"))
                assert service.failed_logins == 1
                with pytest.raises(AuthenticationFailed):
                    gw.keys.verify(account="shop")
                assert service.failed_logins == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
class TestAfterAFork:
    """In the child nobody is at what the parent's threads were at."""

    def test_a_renewal_that_was_under_way(self) -> None:
        held = HeldKey(key_of_toy(), NoAuth(), RateWindow(None))
        assert held.logins.begin_renewal(1.0)
        assert not held.logins.begin_renewal(1.0)
        assert in_a_child(lambda: held.logins.begin_renewal(1.0))
        assert not held.logins.begin_renewal(1.0), "nothing has changed here"

    @pytest.mark.parametrize("lock", ["the key's", "its logins'"])
    def test_a_lock_that_was_held(self, lock: str) -> None:
        held = HeldKey(key_of_toy(), NoAuth(), RateWindow(None))

        def used() -> bool:
            with held.used():
                return held.logins.begin_renewal(1.0)

        with held._lock if lock == "the key's" else held.logins._lock:
            assert in_a_child(used)
        assert used()


def key_of_toy() -> ApiKey:
    return ApiKey(
        account="shop",
        provider="toy",
        environment=Environment.SANDBOX,
        label="login1",
        kind="login",
        permissions=frozenset(Permission),
        origin=KeyOrigin.ISSUED,
    )


def in_a_child(work: Callable[[], bool]) -> bool:
    """Whether the work, done in a forked process, comes to an end and is true."""
    child = os.fork()
    if child == 0:
        signal.alarm(5)  # one that hangs ends so
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class TestWhileTheStoreIsHeldUp:
    """A read needs no store: that a login is told to other processes must not cost a call its time."""

    def test_one_that_renews_goes_on(self, colour: str, place: Place) -> None:
        with logged_in(colour, place) as (gw, service, server):
            (held,) = gw.core.account("shop").ring.keys
            held.auth.expires_soon()
            with held_up(place):
                assert gw.account("shop").request("GET", "/me", deadline=3).status == 200
            assert logins(server) == 2
            assert service.keys_used() == ["issued-2"]

    def test_all_who_wait_for_a_login_go_on(self, colour: str, place: Place) -> None:
        with logged_in(colour, place) as (gw, service, server):
            (held,) = gw.core.account("shop").ring.keys
            server.plan(Answer(401), Hold(then=good({"token": "issued-2"})))
            service.keys.add("issued-2")

            def call(gateway: Any, index: int) -> Script:
                if index < 5:
                    if index > 0:
                        yield from waiting_for(lambda: logins(server) == 2)
                    return (yield gateway.account("shop").request("GET", "/me", deadline=4))
                yield from waiting_for(lambda: held.in_flight == 5)
                server.release()

            with held_up(place):
                *results, _ = gw.together(6, told(colour, call))
            assert [getattr(result, "status", result) for result in results] == [200] * 5
            assert logins(server) == 2


@contextmanager
def held_up(place: Place) -> Iterator[None]:
    """Somebody else writes to the store, and does not come to an end."""
    other = sqlite3.connect(place.store.removeprefix("sqlite:///"), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def logged_in(colour: str, place: Place, **more: Any) -> Iterator[tuple[Opened, Service, Loopback]]:
    """Service `toy`, with a token at hand."""
    service = Service(login="pass")
    with Loopback(app=service) as server, place.gateway(colour, server.url, **more) as gw:
        gw.keys.issue(account="shop", label="login1", parts={"user": "merchant", "password": "pass"})
        yield gw, service, server


def logins(server: Loopback) -> int:
    return sum(seen.path == "/keys" for seen in server.requests)
