"""What is told of a key before a person makes it, so that no secret that is shown once is lost."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import Conflict, GatewayError, InvalidRequest, PermissionDenied, VaultError
from gateway.models import NewKey
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from ring.ringed import Place, new, ring_account

NOWHERE = "http://127.0.0.1:1"
HERE: dict[str, Any] = {"shop": ring_account(NOWHERE, egress=["203.0.113.7"])}


def unmade(label: str, **more: Any) -> NewKey:
    return NewKey(**{"label": label, "kind": "key", "parts": {}, **more})


def test_the_addresses_that_it_admits(colour: str, place: Place) -> None:
    """As `add` would: it would be read with, from an address that it does not admit."""
    with place.gateway(colour, HERE) as gw:
        gw.keys.ready(unmade("key1", networks=["203.0.113.0/24"]), account="shop")
        for terms in ({"networks": ["198.51.100.1"]}, {"networks": ["198.51.100.0/24", "2001:db8::/32"]}):
            with pytest.raises(PermissionDenied, match=r"requests come from 203\.0\.113\.7") as told:
                gw.keys.ready(unmade("key1", **terms), account="shop")
            assert told.value.outcome == "not_sent"
            with pytest.raises(PermissionDenied) as added:
                gw.keys.add(new("key1", **terms), account="shop")
            assert str(told.value) == str(added.value)
            gw.keys.ready(unmade("key1", **terms), account="shop", check=False)


def test_the_addresses_of_one_that_it_replaces(colour: str, place: Place) -> None:
    with place.gateway(colour, HERE) as gw:
        gw.keys.add(new("key1", networks=["198.51.100.1"]), account="shop", check=False)
        with pytest.raises(PermissionDenied, match=r"the key key2 admits 198\.51\.100\.1/32"):
            gw.keys.ready(unmade("key2"), account="shop", replaces="key1")
        gw.keys.ready(unmade("key2", networks=["203.0.113.7"]), account="shop", replaces="key1")


def test_what_the_vault_has_in_its_place(colour: str, place: Place) -> None:
    """A secret of no key of the ring fits one key only, if any: a new one would not be kept beside it."""
    place.vault.put("shop", "key1", Secret("secret-key1"))
    before = place.kept()
    with place.gateway(colour, HERE) as gw:
        with pytest.raises(Conflict, match="the vault has shop/key1 already, of no key of the ring") as told:
            gw.keys.ready(unmade("key1", permissions=["read"], networks=["203.0.113.0/24"]), account="shop")
        same = "gateway keys add key1 --account shop --kind key --permission read --ip 203.0.113.0/24"
        assert f"`{same}` goes on" in (told.value.hint or "")
        assert "`gateway vault forget shop/key1`" in (told.value.hint or "")
        assert "secret-key1" not in str(told.value)
        gw.keys.ready(unmade("key2"), account="shop")
        # The key whose adding was interrupted goes on, and finds its own secret there.
        gw.keys.ready(unmade("key1"), account="shop", made=True)
        assert place.kept() == before
        assert gw.keys.add(new("key1"), account="shop", check=False).state == "active"
        with pytest.raises(Conflict, match="has a key 'key1' already"):
            gw.keys.ready(unmade("key1"), account="shop", made=True)


def test_what_the_vault_has_in_the_place_of_a_part(colour: str, place: Place) -> None:
    accounts = {"pay": {"provider": "aurpay", "environment": "sandbox", "auth": {"kind": "ring"}}}
    place.vault.put("pay", "pair.api_token", Secret("of somebody else"))
    with place.gateway(colour, accounts, plugins=load_plugins()) as gw:
        with pytest.raises(Conflict, match=r"the vault has pay/pair\.api_token already"):
            gw.keys.ready(unmade("pair", kind="signature"), account="pay", check=False)
        gw.keys.ready(unmade("pair", kind="api-key"), account="pay", check=False)


def test_what_was_told_before(colour: str, place: Place) -> None:
    """The label, the vault, the place that it is to take."""
    with place.gateway(colour, HERE) as gw:
        gw.keys.add(new("key1"), account="shop", check=False)
        wrong: list[tuple[NewKey, str | None, type[GatewayError], str]] = [
            (unmade("key1"), None, Conflict, "already"),
            (unmade("nodigit"), None, InvalidRequest, "digit"),
            (unmade("key2", pool="low"), None, InvalidRequest, "pool"),
            (unmade("key2", permissions=["read"]), "key1", InvalidRequest, "no key could"),
        ]
        for key, replaces, kind, said in wrong:
            with pytest.raises(kind, match=said):
                gw.keys.ready(key, account="shop", replaces=replaces)
        place.vault_file.unlink()
        with pytest.raises(VaultError, match="there is no vault"):
            gw.keys.ready(unmade("key2"), account="shop")
        assert [key.label for key in gw.keys.list()] == ["key1"]
