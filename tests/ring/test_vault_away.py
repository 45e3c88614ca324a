"""What becomes of a key whose secret cannot be erased, and of a call that waits for the vault."""

from __future__ import annotations

import pytest

from gateway.errors import VaultError
from ring.ringed import Place, actions, new
from support.virtual import VirtualClock

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def filled(place: Place) -> Place:
    with place.gateway("sync", NOWHERE) as gw:
        for label in ("key1", "key2"):
            gw.keys.add(new(label), account="shop", check=False)
    return place


def test_revoking(colour: str, filled: Place) -> None:
    """It is revoked, which is told, and repeating the call erases the secret."""
    away = filled.vault_file.rename(filled.folder / "away")
    with filled.gateway(colour, NOWHERE) as gw:
        for _ in range(2):
            with pytest.raises(VaultError, match="the key key1 is revoked, and its secret is still in the") as caught:
                gw.keys.revoke("key1", account="shop", ended=True, force=True)
            assert "there is no vault" in caught.value.message
            assert "repeat the call" in (caught.value.hint or "")
            assert "vault init" not in str(caught.value)
            assert filled.rows()["key1"].state == "revoked"
        assert actions(gw.keys.audit(label="key1")) == ["added", "revoked", "erase failed", "erase failed"]
        assert gw.keys.audit(limit=1)[0].detail == {"error": "VaultError"}
        away.rename(filled.vault_file)
        assert "shop/key1" in filled.kept()
        assert gw.keys.revoke("key1", account="shop", ended=True).state == "revoked"
    assert filled.kept() == {"shop/key2": "secret-key2"}


def test_a_process_that_knows_the_key(colour: str, filled: Place) -> None:
    """It uses it no more, though the secret could not be erased."""
    with filled.gateway(colour, NOWHERE, clock=VirtualClock()) as gw:
        gw.keys.retire("key2", account="shop")
        gw.keys.retire("key1", account="shop")
        gw.keys.activate("key1", account="shop")
        away = filled.vault_file.rename(filled.folder / "away")
        with pytest.raises(VaultError, match="is revoked"):
            gw.keys.revoke("key1", account="shop", ended=True, force=True)
        assert [held.label for held in gw.core.account("shop").ring.keys] == ["key2"]
        away.rename(filled.vault_file)


def test_forgetting(colour: str, filled: Place) -> None:
    away = filled.vault_file.rename(filled.folder / "away")
    with filled.gateway(colour, NOWHERE) as gw:
        with pytest.raises(VaultError, match="the keys key1, key2 are revoked, and their secrets are still in the"):
            gw.keys.delete_all(account="shop", confirm="shop")
        assert {key.state for key in filled.rows().values()} == {"revoked"}
        with pytest.raises(VaultError, match="the key key1 is revoked, and its secret"):
            gw.keys.delete("key1", account="shop")
        away.rename(filled.vault_file)
        gw.keys.delete("key1", account="shop")
        gw.keys.delete_all(account="shop", confirm="shop")
    assert (filled.kept(), filled.rows()) == ({}, {})


def test_what_needs_no_secret(colour: str, filled: Place) -> None:
    """A change of the store that was made is told as made."""
    filled.vault_file.rename(filled.folder / "away")
    with filled.gateway(colour, NOWHERE) as gw:
        assert gw.keys.edit("key1", account="shop", permissions=["read"]).permissions == {"read"}
        assert gw.keys.retire("key1", account="shop").state == "retiring"
        assert gw.keys.activate("key1", account="shop").state == "active"
