"""Keys that an account cannot use as it is now: of another environment or provider, or of an account that the settings
have no more. Nothing of them is ever sent, and all of them can be ended and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.errors import ConfigurationError, Conflict, GatewayError, InvalidRequest, NotFound, PermissionDenied
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from ring.ringed import Place, Service, actions, new, ring_account
from support.loopback import Loopback
from support.virtual import VirtualClock


@pytest.fixture
def service() -> Service:
    return Service("secret-key1", "secret-key2")


@pytest.fixture
def server(service: Service, place: Place) -> Iterator[Loopback]:
    """The ring of the sandbox's account `shop`, with one key, and its service."""
    with Loopback(app=service) as server:
        with place.gateway("sync", server.url) as gw:
            gw.keys.add(new("key1"), account="shop")
        service.forget()
        yield server


def settings(server: Loopback, how: str) -> dict[str, Any]:
    """What the settings say later."""
    moved = {
        "live": {"shop": {**ring_account(server.url), "environment": "live"}},
        "provider": {"shop": {"provider": "aurex", "environment": "sandbox", "auth": {"kind": "ring"}}},
        "gone": {"store": ring_account(server.url)},
    }
    return moved[how]


HOWS = ["live", "provider", "gone"]


@pytest.mark.parametrize("how", HOWS)
def test_nothing_is_done_with_them(how: str, colour: str, place: Place, server: Loopback, service: Service) -> None:
    before = place.kept(), place.rows()
    with place.gateway(colour, settings(server, how), plugins=load_plugins() if how == "provider" else None) as gw:
        calls: list[Callable[[], Any]] = [
            lambda: gw.keys.edit("key1", account="shop", pool="low"),
            lambda: gw.keys.activate("key1", account="shop"),
            lambda: gw.keys.rotate("key1", new("key2"), account="shop"),
            lambda: gw.keys.reveal("key1", account="shop"),
        ]
        if how != "provider":  # Aurex's own way of trying a key is refused before any key is looked for
            calls.append(lambda: gw.keys.verify(account="shop", label="key1"))
        for call in calls:
            with pytest.raises(GatewayError) as caught:
                call()
            if how == "gone":
                assert isinstance(caught.value, ConfigurationError)
                assert "no account is called 'shop'" in caught.value.message
            else:
                assert isinstance(caught.value, InvalidRequest)
                assert "the sandbox environment of toy" in caught.value.message
                assert "gateway keys revoke key1 --account shop --ended" in (caught.value.hint or "")
        with pytest.raises(InvalidRequest, match="the sandbox environment of toy") as refused:
            gw.keys.revoke("key1", account="shop", force=True)
        assert "--ended" in (refused.value.hint or "")
        assert (place.kept(), place.rows()) == before
    assert service.done == service.refused == []


@pytest.mark.parametrize("how", HOWS)
def test_they_are_shown(how: str, colour: str, place: Place, server: Loopback) -> None:
    with place.gateway(colour, settings(server, how), plugins=load_plugins() if how == "provider" else None) as gw:
        (key,) = gw.keys.list()
        assert (key.account, key.label, key.environment, key.provider) == ("shop", "key1", "sandbox", "toy")
        assert gw.keys.list(account="shop") == [key]
        assert gw.keys.get("key1", account="shop") == key
        assert actions(gw.keys.audit(account="shop")) == ["added"]


@pytest.mark.parametrize("how", HOWS)
def test_they_are_ended_and_forgotten(how: str, colour: str, place: Place, server: Loopback, service: Service) -> None:
    clock = VirtualClock()
    plugins = load_plugins() if how == "provider" else None
    with place.gateway(colour, settings(server, how), clock=clock, plugins=plugins) as gw:
        with pytest.raises(Conflict, match="revoke it first"):
            gw.keys.delete("key1", account="shop")
        with pytest.raises(Conflict, match="retire it first"):
            gw.keys.revoke("key1", account="shop", ended=True)
        assert gw.keys.retire("key1", account="shop").state == "retiring"
        with pytest.raises(Conflict, match="may still be under way"):
            gw.keys.revoke("key1", account="shop", ended=True)  # another process has the settings of before
        clock.advance(36)
        assert gw.keys.revoke("key1", account="shop", ended=True).state == "revoked"
        assert place.kept() == {}
        gw.keys.delete("key1", account="shop")
        assert place.rows() == {}
        assert actions(gw.keys.audit(account="shop", label="key1")) == ["added", "retired", "revoked", "deleted"]
        if how == "gone":
            with pytest.raises(ConfigurationError, match="no account is called"):
                gw.keys.list(account="shop")
    assert service.done == service.refused == []


@pytest.mark.parametrize("how", HOWS)
def test_all_of_them_at_once(how: str, colour: str, place: Place, server: Loopback, service: Service) -> None:
    place.vault.put("other", "key1", Secret("not ours"))
    with place.gateway(colour, settings(server, how), plugins=load_plugins() if how == "provider" else None) as gw:
        with pytest.raises(InvalidRequest, match="confirmed by the account's name"):
            gw.keys.delete_all(account="shop", confirm="store")
        assert [key.label for key in gw.keys.delete_all(account="shop", confirm="shop")] == ["key1"]
    assert (place.kept(), place.rows()) == ({"other/key1": "not ours"}, {})
    assert service.done == service.refused == []


def test_beside_them(colour: str, place: Place, server: Loopback, service: Service) -> None:
    """Their label is taken; other keys of the account go on, and those of the first environment when it is back."""
    with place.gateway(colour, settings(server, "live")) as gw:
        with pytest.raises(PermissionDenied, match="no key"):
            gw.wallets.list(account="shop")
        with pytest.raises(Conflict, match="has a key 'key1' already, of the sandbox environment of toy") as taken:
            gw.keys.add(new("key1", "secret-key2"), account="shop")
        assert "gateway keys revoke" in (taken.value.hint or "")
        gw.keys.add(new("key2"), account="shop")
        service.forget()
        gw.wallets.list(account="shop")
        assert service.keys_used() == ["secret-key2"]
    service.forget()
    with place.gateway(colour, server.url) as gw:
        gw.wallets.list(account="shop")
        assert service.keys_used() == ["secret-key1"]


def test_accounts_that_never_were(colour: str, place: Place, server: Loopback) -> None:
    with place.gateway(colour, server.url) as gw:
        for call in (
            lambda: gw.keys.list(account="sheep"),
            lambda: gw.keys.get("key1", account="sheep"),
            lambda: gw.keys.audit(account="sheep"),
            lambda: gw.keys.retire("key1", account="sheep"),
            lambda: gw.keys.revoke("key1", account="sheep", ended=True),
            lambda: gw.keys.delete("key1", account="sheep"),
            lambda: gw.keys.delete_all(account="sheep", confirm="sheep"),
        ):
            with pytest.raises(ConfigurationError, match="no account is called 'sheep'"):
                call()
        with pytest.raises(NotFound, match="no key 'key9'"):
            gw.keys.retire("key9", account="shop")
