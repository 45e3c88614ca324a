"""A key that comes into use again: one that was retired, or that had expired by a wrong expiry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from gateway.errors import Conflict, VaultError
from gateway.models import NewKey
from gateway.secrets import Secret
from ring.ringed import Place, Service, actions, new
from support.colours import Opened
from support.loopback import Loopback
from support.virtual import START, VirtualClock

USER = {"user": "ada"}


@pytest.fixture
def shop(place: Place, colour: str) -> Iterator[tuple[Opened, VirtualClock]]:
    clock = VirtualClock()
    service = Service("secret-key1", "secret-key2", login="password-1")
    with Loopback(app=service) as server, place.gateway(colour, server.url, clock=clock) as gw:
        yield gw, clock


def login(label: str, password: str) -> NewKey:
    return NewKey(label=label, kind="login", parts={"user": Secret("ada"), "password": Secret(password)})


def test_of_two_logins_of_one_user_one_is_in_use(shop: tuple[Opened, VirtualClock], place: Place) -> None:
    gw, _ = shop
    gw.keys.add(login("main1", "password-0"), account="shop", check=False)
    gw.keys.rotate("main1", login("main2", "password-1"), account="shop", check=False)
    before = place.rows()
    with pytest.raises(Conflict, match=r"as main2 too.*; nothing was changed") as caught:
        gw.keys.activate("main1", account="shop")
    assert "`gateway keys retire main2 --account shop` first" in (caught.value.hint or "")
    assert place.rows() == before
    gw.keys.retire("main2", account="shop")
    assert gw.keys.activate("main1", account="shop").state == "active"
    with pytest.raises(Conflict, match="as main1 too"):
        gw.keys.activate("main2", account="shop")


@pytest.mark.parametrize("until", ["never", START + timedelta(days=9)])
def test_a_key_that_was_added_again_meanwhile(until: object, shop: tuple[Opened, VirtualClock], place: Place) -> None:
    gw, clock = shop
    gw.keys.add(new("key1", expires_at=START + timedelta(hours=1)), account="shop")
    clock.advance(7200)
    gw.keys.add(new("key2", "secret-key1"), account="shop")
    gw.keys.retire("key2", account="shop")
    before = place.rows(), actions(gw.keys.audit())
    with pytest.raises(Conflict, match=r"as key2 too.*; nothing was changed"):
        gw.keys.edit("key1", account="shop", expires_at=until)
    assert (place.rows(), actions(gw.keys.audit())) == before
    gw.keys.revoke("key2", account="shop", ended=True, force=True)
    assert gw.keys.edit("key1", account="shop", expires_at=until).state == "active"


def test_one_whose_secret_is_gone(shop: tuple[Opened, VirtualClock], place: Place) -> None:
    gw, clock = shop
    gw.keys.add(new("key1"), account="shop")
    gw.keys.add(new("key2", expires_at=START + timedelta(hours=1)), account="shop")
    gw.keys.retire("key1", account="shop")
    clock.advance(7200)
    for name in place.kept():
        place.vault.remove(*name.split("/"))
    before = place.rows(), actions(gw.keys.audit())
    with pytest.raises(VaultError, match="key1 cannot be used: the vault has no secret of it; nothing was changed"):
        gw.keys.activate("key1", account="shop")
    with pytest.raises(VaultError, match="key2 cannot be used: the vault has no secret of it; nothing was changed"):
        gw.keys.edit("key2", account="shop", expires_at="never")
    assert (place.rows(), actions(gw.keys.audit())) == before
