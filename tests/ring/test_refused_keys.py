"""A key that the provider does not accept: it is set aside, told of, and the next one is tried once."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.errors import AuthenticationFailed, PermissionDenied
from gateway.models import Permission
from gateway.testing import SandboxServer
from gateway_aurex.sandbox import AurexSandbox
from ring.ringed import Place, Service, actions, cart, failures, new
from support.loopback import Loopback
from support.virtual import VirtualClock

R, T, W = Permission.READ, Permission.TRADE, Permission.WITHDRAW


@pytest.fixture
def service() -> Service:
    return Service("secret-key1", "secret-key2", "secret-key3")


def two_keys(gw: Any) -> None:
    gw.keys.add(new("key1", permissions={R, T}), account="shop", check=False)
    gw.keys.add(new("key2"), account="shop", check=False)


def refused(gw: Any, label: str) -> bool:
    return gw.keys.get(label, account="shop").refused_at is not None


class TestTheNextIsTriedOnce:
    def test_a_read(self, service: Service, colour: str, any_place: Place, caplog: pytest.LogCaptureFixture) -> None:
        with Loopback(app=service) as server, any_place.gateway(colour, server.url) as gw:
            two_keys(gw)
            service.end("secret-key1")
            with caplog.at_level(logging.DEBUG):
                gw.wallets.list(account="shop")
            assert (service.refused, service.keys_used()) == (["secret-key1"], ["secret-key2"])

            # It is kept, told, and no secret is in it.
            assert any_place.rows()["key1"].refused_at is not None
            (told,) = gw.keys.audit(label="key1", account="shop")[:1]
            assert (told.action, told.actor, told.environment) == ("set aside", "the gateway", "sandbox")
            (line,) = [record for record in caplog.records if "set aside" in record.getMessage()]
            assert (line.levelno, line.name) == (logging.WARNING, "gateway")
            assert "toy does not accept the key key1 of shop" in line.getMessage()
            assert "secret-key" not in caplog.text + str(told)

            # It is not tried any more, and told once.
            gw.wallets.list(account="shop")
            assert service.refused == ["secret-key1"]
            assert actions(gw.keys.audit()).count("set aside") == 1

    def test_a_write(self, service: Service, colour: str, place: Place) -> None:
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            two_keys(gw)
            service.end("secret-key1")
            assert gw.orders.create(cart("c-1"), account="shop").provider_id == "1"
            assert (service.refused, service.keys_used()) == (["secret-key1"], ["secret-key2"])
            assert dict(service.written) == {"c-1": 1}
            (entry,) = gw.journal.show("c-1")
            assert entry.state == "done"

    def test_a_numbered_write(self, service: Service, colour: str, place: Place) -> None:
        """The numbers are each key's own."""
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            for label in ("key1", "key2"):
                gw.keys.add(new(label, kind="numbered"), account="shop")
            service.end("secret-key1")
            gw.orders.create(cart("c-1"), account="shop")
            assert dict(service.written) == {"c-1": 1}

    def test_many_at_once(self, service: Service, colour: str, place: Place) -> None:
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            two_keys(gw)
            service.end("secret-key1")
            results = gw.together(30, lambda gateway, n: gateway.orders.create(cart(f"c-{n}"), account="shop"))
            assert not [result for result in results if isinstance(result, Exception)]
            assert dict(service.written) == {f"c-{number}": 1 for number in range(30)}
            assert actions(gw.keys.audit()).count("set aside") == 1

    @pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
    def test_when_all_are_refused(self, write: bool, service: Service, colour: str, place: Place) -> None:
        """Two tries, however many keys there are; then each call again begins with two."""
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            for label in ("key1", "key2", "key3"):
                gw.keys.add(new(label), account="shop", check=False)
            service.keys.clear()
            for number in (1, 2, 3):
                service.forget()
                work = gw.orders.create if write else gw.account("shop").request
                given = (cart(f"c-{number}"),) if write else ("GET", "/me")
                with pytest.raises(AuthenticationFailed) as caught:
                    work(*given, **({"account": "shop"} if write else {}))
                assert len(service.refused) == len(set(service.refused)) == 2
                assert caught.value.outcome == "rejected"
                assert "secret-key" not in str(caught.value)
                assert [refused(gw, label) for label in ("key1", "key2", "key3")] == [True, True, number > 1]

    def test_that_it_may_not_do_it_either(self, service: Service, colour: str, place: Place) -> None:
        """The 401 is what is told: that no other key may do it is no news."""
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            gw.keys.add(new("key1", permissions={T}), account="shop", check=False)
            gw.keys.add(new("key2", permissions={R}), account="shop", check=False)
            service.end("secret-key1")
            with pytest.raises(AuthenticationFailed):
                gw.orders.create(cart("c-1"), account="shop")
            assert (service.refused, service.done) == (["secret-key1"], [])


class TestTheOnlyKey:
    def test_it_is_used_again(self, service: Service, colour: str, place: Place) -> None:
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            gw.keys.add(new("key1"), account="shop")
            service.end("secret-key1")
            for tries in (1, 2):
                with pytest.raises(AuthenticationFailed):
                    gw.wallets.list(account="shop")
                assert len(service.refused) == tries
            assert refused(gw, "key1")
            service.keys.add("secret-key1")
            gw.wallets.list(account="shop")
            assert not refused(gw, "key1")
            assert place.rows()["key1"].refused_at is None
            assert actions(gw.keys.audit()) == ["added", "set aside", "taken back"]

    def test_that_may_do_this(self, service: Service, colour: str, place: Place) -> None:
        """Set aside for all work, and still the one to use for what no other may do."""
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            gw.keys.add(new("key1"), account="shop")
            gw.keys.add(new("key2", permissions={R, T}), account="shop")
            service.end("secret-key1")
            with pytest.raises(AuthenticationFailed):
                gw.account("shop").request("GET", "/me", permissions=[W])
            service.keys.add("secret-key1")
            service.forget()
            gw.account("shop").request("GET", "/me", permissions=[R, T])
            gw.account("shop").request("GET", "/me", permissions=[W])
            assert service.keys_used() == ["secret-key2", "secret-key1"]
            assert not refused(gw, "key1")


class TestTakenBack:
    def test_by_verify(self, service: Service, colour: str, place: Place) -> None:
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            two_keys(gw)
            service.end("secret-key1")
            with pytest.raises(AuthenticationFailed):
                gw.keys.verify(account="shop", label="key1")
            assert service.done == [], "no other key stands in for the one that is verified"
            assert refused(gw, "key1")
            gw.wallets.list(account="shop")
            service.keys.add("secret-key1")
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key2"] * 2
            gw.keys.verify(account="shop", label="key1", by="ada")
            gw.wallets.list(account="shop")
            assert service.keys_used()[2:] == ["secret-key1"] * 2
            assert place.rows()["key1"].refused_at is None
            assert place.rows()["key1"].verified_at is not None
            told = gw.keys.audit(label="key1", account="shop")
            done = ["added", "verify failed", "set aside", "taken back", "verified"]
            assert actions(told) == done
            assert failures(told) == [("verify failed", "key1", {"error": "AuthenticationFailed"})]
            assert told[0].actor == "ada"

    def test_in_the_other_process_too(self, service: Service, colour: str, any_place: Place) -> None:
        clock = VirtualClock()
        with (
            Loopback(app=service) as server,
            any_place.gateway(colour, server.url, clock=clock) as one,
            any_place.gateway(colour, server.url, clock=clock) as other,
        ):
            two_keys(one)
            other.wallets.list(account="shop")
            service.end("secret-key1")
            one.wallets.list(account="shop")
            service.forget()
            clock.advance(5)
            other.wallets.list(account="shop")
            assert (service.refused, service.keys_used()) == ([], ["secret-key2"]), "it knew that already"
            service.keys.add("secret-key1")
            other.keys.verify(account="shop", label="key1")
            clock.advance(5)
            service.forget()
            one.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key1"]

    def test_a_key_that_comes_back_by_itself(self, service: Service, colour: str, place: Place) -> None:
        """Where both are refused, the next that succeeds is used from then on."""
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            two_keys(gw)
            service.keys.clear()
            with pytest.raises(AuthenticationFailed):
                gw.wallets.list(account="shop")
            service.keys.add("secret-key2")
            service.forget()
            gw.wallets.list(account="shop")
            gw.wallets.list(account="shop")
            assert (service.refused, service.keys_used()) == (["secret-key1"], ["secret-key2"] * 2)
            assert (refused(gw, "key1"), refused(gw, "key2")) == (True, False)


@pytest.mark.parametrize("elapsed", [0, 6])
def test_a_key_that_was_added_elsewhere_is_found(
    elapsed: float, service: Service, colour: str, any_place: Place
) -> None:
    """Before the ring is due to be read again: the 401 has it read."""
    clock = VirtualClock()
    with (
        Loopback(app=service) as server,
        any_place.gateway(colour, server.url, clock=clock) as one,
        any_place.gateway(colour, server.url, clock=clock) as other,
    ):
        one.keys.add(new("key1"), account="shop")
        other.wallets.list(account="shop")
        one.keys.add(new("key2"), account="shop")
        clock.advance(elapsed)
        service.end("secret-key1")
        assert other.orders.create(cart("c-1"), account="shop").provider_id == "1"
        assert dict(service.written) == {"c-1": 1}


def test_another_key_of_the_same_label(service: Service, colour: str, any_place: Place) -> None:
    """The old one was revoked and forgotten elsewhere, in haste: its refusal is none of the new one."""
    clock = VirtualClock()
    with (
        Loopback(app=service) as server,
        any_place.gateway(colour, server.url, clock=clock) as one,
        any_place.gateway(colour, server.url, clock=clock) as other,
    ):
        one.keys.add(new("key1"), account="shop")
        other.wallets.list(account="shop")
        service.end("secret-key1")
        clock.advance(1)
        one.keys.revoke("key1", account="shop", ended=True, force=True)
        one.keys.delete("key1", account="shop")
        one.keys.add(new("key1", "secret-key2"), account="shop")
        other.orders.create(cart("c-1"), account="shop")
        assert dict(service.written) == {"c-1": 1}
        assert service.refused == ["secret-key1"]
        assert not refused(one, "key1")
        assert "set aside" not in actions(one.keys.audit())


def test_a_key_that_was_retired_elsewhere_fails_no_call(service: Service, colour: str, place: Place) -> None:
    clock = VirtualClock()
    with (
        Loopback(app=service) as server,
        place.gateway(colour, server.url, clock=clock) as one,
        place.gateway(colour, server.url, clock=clock) as other,
    ):
        one.keys.add(new("key1"), account="shop")
        other.wallets.list(account="shop")
        one.keys.rotate("key1", new("key2"), account="shop")
        other.wallets.list(account="shop")
        clock.advance(5)
        service.forget()
        other.wallets.list(account="shop")
        assert service.keys_used() == ["secret-key2"]


def test_a_store_that_is_away_stops_no_call(
    service: Service, colour: str, place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.errors import StoreError
    from gateway.store.database import Database

    def refuse(self: Database, work: Any) -> Any:
        raise StoreError("out of reach", retryable=True)

    with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
        two_keys(gw)
        service.end("secret-key1")
        with monkeypatch.context() as patched:
            patched.setattr(Database, "transaction", refuse)
            gw.wallets.list(account="shop")
            gw.wallets.list(account="shop")
        assert (service.refused, service.keys_used()) == (["secret-key1"], ["secret-key2"] * 2)
        assert "could not be read again" in caplog.text


class TestLogin:
    def test_it_is_renewed_first(self, colour: str, place: Place) -> None:
        service = Service("secret-key2", login="pass")
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            parts = {"user": "merchant", "password": "pass"}
            gw.keys.issue(account="shop", label="login1", parts=parts)
            gw.keys.add(new("key2"), account="shop", check=False)
            gw.wallets.list(account="shop")
            service.forget_logins()
            gw.orders.create(cart("c-1"), account="shop")
            assert service.logins == ["issued-1", "issued-2"]
            assert service.keys_used() == ["issued-1", "issued-2"]
            assert dict(service.written) == {"c-1": 1}
            assert not refused(gw, "login1")

    def test_and_set_aside_when_that_does_not_help(self, colour: str, place: Place) -> None:
        service = Service("secret-key2", login="pass")
        with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
            parts = {"user": "merchant", "password": "pass"}
            gw.keys.issue(account="shop", label="login1", parts=parts)
            gw.keys.add(new("key2"), account="shop", check=False)
            service.forget_logins()
            service.taken_away = True
            gw.orders.create(cart("c-1"), account="shop")
            assert service.refused == ["issued-1", "issued-2"]
            assert service.keys_used() == ["secret-key2"]
            assert dict(service.written) == {"c-1": 1}
            assert refused(gw, "login1")


def test_the_sandbox_of_aurex(colour: str, place: Place) -> None:
    """A real provider's 401, for a read and for a write."""
    from gateway.models import CustomerRequest, NewKey
    from gateway.plugins import load_plugins
    from gateway.secrets import Secret

    sandbox = AurexSandbox(keys=["one", "two"])
    with SandboxServer([sandbox]) as server:
        account = {**server.account("aurex"), "auth": {"kind": "ring"}}
        with place.gateway(colour, {"cards": account}, plugins=load_plugins()) as gw:
            for label in ("one", "two"):
                gw.keys.add(NewKey(label=label, parts={"api_key": Secret(label)}), account="cards")
            for number, gone in enumerate(("one", "two")):
                sandbox.revoke_key(gone)
                request = CustomerRequest(reference=f"c{number}", first_name="A", last_name="B")
                if number:
                    with pytest.raises(AuthenticationFailed):
                        gw.customers.create(request, account="cards")
                else:
                    gw.customers.create(request, account="cards")
        assert len(sandbox.ledger()["users"]) == 1
        assert [record.status for record in server.requests["aurex"]] == [404, 404, 401, 200, 401, 401]
        # Aurex is asked for a user that there is not: 404 says that the key is good


def test_the_permission_is_told_where_no_key_has_it(service: Service, colour: str, place: Place) -> None:
    """A refused key is still a key: what is missing is the permission."""
    with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
        gw.keys.add(new("key1", permissions={R}), account="shop")
        service.end("secret-key1")
        with pytest.raises(AuthenticationFailed):
            gw.wallets.list(account="shop")
        with pytest.raises(PermissionDenied, match=r"permission trade \(key1: read\)"):
            gw.orders.create(cart("c-1"), account="shop")
