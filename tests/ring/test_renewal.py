"""A key that a login obtains, in the ring: kept with what it is obtained with, and renewed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import Money, OrderRequest
from gateway.errors import AuthenticationFailed, Conflict, InvalidRequest, PermissionDenied, UnsupportedOperation
from gateway.models import NewKey
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway.testing import SandboxServer
from gateway_aurpay.sandbox import AurpaySandbox
from ring.ringed import Place, Service, actions, cart, failures, new
from ring.scripts import Script, told, waiting_for
from support.colours import Opened
from support.loopback import Answer, Hold, Loopback
from support.toy import wrong
from support.virtual import VirtualClock

USER, PASSWORD = "merchant@shop.example", "sandbox-aurpay-password"
DAY = 86_400


class Aurpay:
    """Its sandbox, on the clock of the gateways."""

    def __init__(self, server: SandboxServer, sandbox: AurpaySandbox, place: Place) -> None:
        self.server, self.sandbox, self._place = server, sandbox, place
        self.clock = VirtualClock(datetime.now(UTC))

    @contextmanager
    def gateway(self, colour: str) -> Iterator[Opened]:
        account = {**self.server.account("aurpay"), "auth": {"kind": "ring"}}
        with self._place.gateway(colour, {"shop": account}, plugins=load_plugins(), clock=self.clock) as gw:
            yield gw

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.sandbox.clock.advance(seconds)

    @property
    def paths(self) -> list[str]:
        return [record.path.rsplit("/", 1)[-1] or "orders" for record in self.server.requests["aurpay"]]

    @property
    def logins(self) -> int:
        return sum(record.path.endswith("/key/aurpay") for record in self.server.requests["aurpay"])

    @property
    def statuses(self) -> set[int | None]:
        return {record.status for record in self.server.requests["aurpay"]}


@pytest.fixture
def aurpay(place: Place) -> Iterator[Aurpay]:
    sandbox = AurpaySandbox()
    with SandboxServer([sandbox]) as server:
        yield Aurpay(server, sandbox, place)


def issue(gw: Opened, **more: Any) -> Any:
    return gw.keys.issue(account="shop", label="main", parts={"username": USER, "password": PASSWORD}, **more)


def order(gw: Any, reference: str) -> Any:
    request = OrderRequest(reference=reference, price=Money("1.00", "USD"), pay_with="USDT@tron")
    return gw.orders.create(request, account="shop")


def test_it_is_kept_and_used(aurpay: Aurpay, place: Place, colour: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with aurpay.gateway(colour) as gw:
        issued = issue(gw, by="ada")
        expected = aurpay.clock.now() + timedelta(seconds=DAY)
        assert abs((issued.expires_at - expected).total_seconds()) < 1
        assert (issued.key.label, issued.key.kind, issued.key.origin) == ("main", "login", "issued")
        assert issued.key.public_id == USER
        assert issued.key.token_expires_at == issued.expires_at == gw.keys.get("main", account="shop").token_expires_at
        assert issued.key.expires_at is None, "that is the token's, and the key obtains others"
        order(gw, "c-1")
        assert aurpay.logins == 1, "what was issued is used, not another one"
        assert place.kept() == {"shop/main": PASSWORD}
        (told,) = gw.keys.audit()
        assert (told.action, told.actor, told.label) == ("issued", "ada", "main")
        # What it was obtained with is kept, and neither it nor the token is shown.
        token = issued.secret.reveal()
        shown = repr(issued) + str(gw.keys.list()) + str(told) + issued.model_dump_json() + caplog.text
        assert token not in shown
        assert PASSWORD not in shown
        assert {name: secret.reveal() for name, secret in gw.keys.reveal("main", account="shop").items()} == {
            "username": USER,
            "password": PASSWORD,
        }


@pytest.mark.parametrize("before", [299, -10], ids=["shortly before", "after"])
def test_a_hundred_calls_at_expiry_make_one_login(before: int, aurpay: Aurpay, colour: str) -> None:
    with aurpay.gateway(colour) as gw:
        issue(gw)
        order(gw, "c-1")
        aurpay.pass_time(DAY - before)
        results = gw.together(100, lambda gateway, n: gateway.orders.get("c-1"))
        assert {getattr(result, "reference", result) for result in results} == {"c-1"}
        assert aurpay.logins == 2
        assert aurpay.statuses == {200}, "no call went out with a key that was over"
        renewed = gw.keys.get("main", account="shop").token_expires_at
        assert renewed is not None
        assert abs((renewed - aurpay.clock.now()).total_seconds() - DAY) < 60


def test_it_is_not_renewed_before_its_time(aurpay: Aurpay, colour: str) -> None:
    with aurpay.gateway(colour) as gw:
        issue(gw)
        order(gw, "c-1")
        aurpay.pass_time(DAY - 310)
        gw.orders.get("c-1")
        assert aurpay.logins == 1


def test_one_that_ended_before_its_time_is_renewed_once(aurpay: Aurpay, colour: str) -> None:
    with aurpay.gateway(colour) as gw:
        issue(gw)
        order(gw, "c-1")
        aurpay.sandbox.forget_logins()
        results = gw.together(40, lambda gateway, n: gateway.orders.get("c-1"))
        assert {getattr(result, "reference", result) for result in results} == {"c-1"}
        assert aurpay.logins == 2
        assert actions(gw.keys.audit()) == ["issued"], "it is not set aside for that"


def test_after_a_restart(aurpay: Aurpay, colour: str) -> None:
    """The token is nowhere but in memory: a new process obtains its own, once."""
    with aurpay.gateway(colour) as gw:
        issue(gw)
        order(gw, "c-1")
    with aurpay.gateway(colour) as gw:
        results = gw.together(20, lambda gateway, n: gateway.orders.get("c-1"))
        assert {getattr(result, "reference", result) for result in results} == {"c-1"}
        assert aurpay.logins == 2
        order(gw, "c-2")
        gw.keys.verify(account="shop", label="main")
        assert aurpay.logins == 2


def test_when_it_expires_is_known_elsewhere(aurpay: Aurpay, colour: str) -> None:
    """To one who has obtained no token yet, for as long as it is true. The key itself does not expire with it."""

    def shown(gw: Opened) -> Any:
        (key,) = gw.keys.list(account="shop")
        assert key == gw.keys.get("main", account="shop")
        assert (key.state, key.expires_at) == ("active", None)
        return key.token_expires_at

    with aurpay.gateway(colour) as gw, aurpay.gateway(colour) as other:
        issued = issue(gw)
        assert shown(other) == issued.expires_at
        aurpay.pass_time(DAY + 10)
        assert shown(other) is None
        assert shown(gw) is None
        order(gw, "c-1")
        assert aurpay.logins == 2
        renewed = shown(other)
        assert renewed == shown(gw)
        assert abs((renewed - aurpay.clock.now()).total_seconds() - DAY) < 60
        aurpay.pass_time(DAY - 200)
        order(gw, "c-2")
        assert aurpay.logins == 3, "one that is renewed ahead of time is told as well"
        assert shown(other) > renewed
        order(other, "c-3")
        assert aurpay.logins == 4


def test_its_own_expiry_is_not_the_token_s(aurpay: Aurpay, colour: str) -> None:
    with aurpay.gateway(colour) as gw, aurpay.gateway(colour) as other:
        token = issue(gw).expires_at
        order(gw, "c-1")
        own = aurpay.clock.now() + timedelta(days=30)
        for wanted, shown in ((own, own), ("never", None)):
            edited = gw.keys.edit("main", account="shop", expires_at=wanted)
            for key in (edited, *other.keys.list(), gw.keys.get("main", account="shop")):
                assert (key.expires_at, key.token_expires_at) == (shown, token)
        for retired in (gw.keys.retire("main", account="shop"), *gw.keys.list(), *other.keys.list()):
            assert (retired.state, retired.token_expires_at) == ("retiring", token)
        aurpay.pass_time(60)
        for revoked in (gw.keys.revoke("main", account="shop", ended=True), *gw.keys.list(), *other.keys.list()):
            assert (revoked.state, revoked.expires_at, revoked.token_expires_at) == ("revoked", None, None)


def test_one_whose_own_time_is_over_is_not_used(aurpay: Aurpay, colour: str) -> None:
    """From that moment on, also by a process that has not read the ring since."""
    with aurpay.gateway(colour) as gw:
        issue(gw)
        gw.keys.edit("main", account="shop", expires_at=aurpay.clock.now() + timedelta(hours=1))
        order(gw, "c-1")
        aurpay.pass_time(3601)
        gw.core.account("shop").ring_read()
        with pytest.raises(PermissionDenied):
            gw.orders.get("c-1", refresh=True)
        (key,) = gw.keys.list()
        assert (key.state, key.token_expires_at) == ("expired", None)


def test_in_two_gateways(aurpay: Aurpay, colour: str) -> None:
    with aurpay.gateway(colour) as one, aurpay.gateway(colour) as other:
        issue(one)
        order(one, "c-1")
        order(other, "c-2")
        assert aurpay.logins == 2, "each obtains its own; the provider keeps both"
        one.orders.get("c-2")
        assert aurpay.logins == 2


def test_one_that_is_not_kept(aurpay: Aurpay, place: Place, colour: str) -> None:
    with aurpay.gateway(colour) as gw:
        parts = {"username": USER, "password": Secret(PASSWORD)}
        issued = gw.keys.issue(account="shop", parts=parts)
        assert issued.key is None
        assert gw.keys.list() == gw.keys.audit() == []
        assert place.kept() == {}


class TestWhatCannotBeIssued:
    def test_with_a_wrong_password(self, aurpay: Aurpay, place: Place, colour: str) -> None:
        with aurpay.gateway(colour) as gw:
            wrong = {"username": USER, "password": "wrong-CANARY"}
            with pytest.raises(AuthenticationFailed) as caught:
                gw.keys.issue(account="shop", label="main", parts=wrong)
            assert "CANARY" not in str(caught.value) + repr(caught.value)
            assert gw.keys.list() == []
            assert failures(gw.keys.audit()) == [("issue failed", "main", {"error": "AuthenticationFailed"})]
            assert place.kept() == {}
            issue(gw)

    def test_what_is_told_before_anything_is_sent(self, aurpay: Aurpay, place: Place, colour: str) -> None:
        with aurpay.gateway(colour) as gw:
            with pytest.raises(InvalidRequest, match="could be obtained with"):
                gw.keys.issue(account="shop", label="main")
            for parts in ({"username": USER}, {"username": USER, "password": "p", "more": "x"}, {}):
                with pytest.raises(InvalidRequest):
                    gw.keys.issue(account="shop", label="main", parts=parts)
            with pytest.raises(InvalidRequest, match="label"):
                gw.keys.issue(account="shop", label="no label", parts={"username": USER, "password": PASSWORD})
            assert aurpay.paths == []
            issue(gw)
            with pytest.raises(Conflict, match="has a key 'main' already"):
                issue(gw)
            parts = {"username": USER, "password": PASSWORD}
            with pytest.raises(Conflict, match="as main already"):
                gw.keys.issue(account="shop", label="again", parts=parts)
            assert aurpay.logins == 1
            assert place.kept() == {"shop/main": PASSWORD}

    def test_where_keys_are_made_by_hand(self, place: Place, colour: str) -> None:
        account = {"provider": "aurex", "environment": "sandbox", "auth": {"kind": "ring"}}
        with place.gateway(colour, {"cards": account}, plugins=load_plugins()) as gw:
            with pytest.raises(UnsupportedOperation):
                gw.keys.issue(account="cards", label="one", parts={"api_key": "x"})
            assert place.kept() == {}


class TestLoginThatFails:
    """Service `toy`, whose password was changed meanwhile."""

    @contextmanager
    def changed(
        self, colour: str, place: Place, *others: str, clock: VirtualClock | None = None
    ) -> Iterator[tuple[Opened, Service, Loopback]]:
        service = Service(*others, login="pass")
        with Loopback(app=service) as server, place.gateway(colour, server.url, clock=clock) as gw:
            gw.keys.issue(account="shop", label="login1", parts={"user": "merchant", "password": "pass"})
            service.forget_logins()
            service.login = "changed"
            yield gw, service, server

    def test_it_is_tried_once_for_all_who_wait(self, colour: str, place: Place) -> None:
        """A provider may lock a user out who tries too often."""
        with self.changed(colour, place) as (gw, service, server):
            (held,) = gw.core.account("shop").ring.keys
            # The token is refused, and the login that is to bring another one takes until all wait for it.
            server.plan(Answer(401), Hold(then=wrong("bad-key", "wrong user or password", 401)))

            def call(gateway: Any, index: int) -> Script:
                shop = gateway.account("shop")
                if index == 0:
                    yield shop.request("GET", "/me")
                elif index <= 100:
                    yield from waiting_for(lambda: len(server.requests) > 1 and server.requests[-1].path == "/keys")
                    yield shop.request("GET", "/me") if index > 10 else gateway.orders.create(cart(f"c-{index}"))
                else:
                    yield from waiting_for(lambda: held.in_flight == 101)
                    server.release()

            *results, released = gw.together(102, told(colour, call))
            assert released is None
            assert {type(result) for result in results} == {AuthenticationFailed}
            assert {result.outcome for result in results} == {"rejected"}
            assert [result.reference for result in results] == [None, *(f"c-{n}" for n in range(1, 11)), *[None] * 90]
            assert service.failed_logins == 0, "only the one that was held"
            assert not service.written
            assert gw.keys.get("login1", account="shop").refused_at is not None
            assert "pass" not in str(results)

    def test_the_next_key_is_tried(self, colour: str, place: Place) -> None:
        with self.changed(colour, place, "secret-key2") as (gw, service, _):
            gw.keys.add(new("key2"), account="shop")
            assert gw.orders.create(cart("c-1"), account="shop").provider_id == "1"
            assert service.failed_logins == 1
            assert dict(service.written) == {"c-1": 1}
            gw.orders.create(cart("c-2"), account="shop")
            assert service.failed_logins == 1, "it is set aside"
            with pytest.raises(AuthenticationFailed):
                gw.keys.verify(account="shop", label="login1")
            told = actions(gw.keys.audit(label="login1", account="shop"))
            assert told == ["issued", "set aside", "verify failed"]

    def test_it_works_again_once_it_is_accepted(self, colour: str, place: Place) -> None:
        clock = VirtualClock()
        with self.changed(colour, place, clock=clock) as (gw, service, _):
            with pytest.raises(AuthenticationFailed):
                gw.orders.create(cart("c-1"), account="shop")
            service.login = "pass"
            clock.advance(5)
            gw.orders.create(cart("c-2"), account="shop")
            assert dict(service.written) == {"c-2": 1}
            assert gw.keys.get("login1", account="shop").refused_at is None

    def test_the_new_password_takes_the_place_of_the_old(self, colour: str, place: Place) -> None:
        """Of one user: for a key that was made by hand this would be the same key twice."""
        with self.changed(colour, place) as (gw, service, _):
            parts = {"user": Secret("merchant"), "password": Secret("changed")}
            key = NewKey(label="login2", kind="login", parts=parts)
            with pytest.raises(Conflict, match="as login1 already"):
                gw.keys.add(key, account="shop")
            gw.keys.rotate("login1", key, account="shop")
            gw.orders.create(cart("c-1"), account="shop")
            assert dict(service.written) == {"c-1": 1}
            assert service.failed_logins == 0
            assert place.kept() == {"shop/login1": "pass", "shop/login2": "changed"}
