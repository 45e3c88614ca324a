"""What becomes of a key whose secret cannot be erased, and of a call that waits for the vault."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.errors import VaultError
from gateway.keyring import storages
from ring.ringed import Place, actions, new, ring_account
from support.colours import Opened
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
        for _ in range(2):
            assert gw.keys.revoke("key1", account="shop", ended=True, by="ada").state == "revoked"
        last, before = gw.keys.audit(label="key1", limit=2)
        assert (last.action, last.actor, before.action) == ("erased", "ada", "erase failed")
    assert filled.kept() == {"shop/key2": "secret-key2"}


def test_one_that_was_erased_by_another_hand(colour: str, filled: Place) -> None:
    away = filled.vault_file.rename(filled.folder / "away")
    with filled.gateway(colour, NOWHERE) as gw:
        with pytest.raises(VaultError):
            gw.keys.revoke("key1", account="shop", ended=True, force=True)
        away.rename(filled.vault_file)
        filled.vault.remove("shop", "key1")
        for _ in range(2):
            gw.keys.revoke("key1", account="shop", ended=True)
        assert actions(gw.keys.audit(label="key1")) == ["added", "revoked", "erase failed", "erased"]


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


class TestWhileSomebodyElseChangesIt:
    """A call waits for the vault as long as it may take, and no longer."""

    @pytest.fixture(autouse=True)
    def taken(self, filled: Place) -> Iterator[None]:
        with filled.vault_file.with_name("gateway.vault.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @pytest.mark.parametrize(
        "call",
        [
            lambda gw: gw.keys.add(new("key3"), account="shop", check=False, deadline=0.05),
            lambda gw: gw.keys.rotate("key1", new("key3"), account="shop", check=False, deadline=0.05),
        ],
        ids=["add", "rotate"],
    )
    def test_adding(self, call: Callable[[Opened], Any], colour: str, filled: Place) -> None:
        before = filled.kept(), filled.rows()
        with filled.gateway(colour, NOWHERE) as gw, within(10):
            with pytest.raises(VaultError, match="somebody else is changing the vault") as caught:
                call(gw)
            assert "left as it is" in caught.value.message
            assert caught.value.retryable
        assert (filled.kept(), filled.rows()) == before

    def test_by_the_time_of_the_account(self, colour: str, filled: Place) -> None:
        account = {**ring_account(NOWHERE), "timeout": 1}
        with filled.gateway(colour, {"shop": account}) as gw, within(10), pytest.raises(VaultError, match="else is"):
            gw.keys.add(new("key3"), account="shop", check=False)

    def test_erasing(self, colour: str, filled: Place) -> None:
        with filled.gateway(colour, NOWHERE) as gw, within(10):
            with pytest.raises(VaultError, match="the key key1 is revoked, and its secret is still in the") as caught:
                gw.keys.revoke("key1", account="shop", ended=True, force=True, deadline=0.05)
            assert (caught.value.retryable, caught.value.hint) == (True, "repeat the call: it erases what is left")
            with pytest.raises(VaultError, match="are revoked"):
                gw.keys.delete_all(account="shop", confirm="shop", deadline=0.05)
        assert len(filled.rows()) == len(filled.kept()) == 2


def test_a_vault_that_is_free_again_in_time(colour: str, filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiting is done by sleeping; whoever has the vault leaves it during the third sleep."""
    slept: list[float] = []
    with filled.vault_file.with_name("gateway.vault.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                fcntl.flock(lock, fcntl.LOCK_UN)

        monkeypatch.setattr(storages.time, "sleep", sleep)
        with filled.gateway(colour, NOWHERE) as gw:
            gw.keys.add(new("key3"), account="shop", check=False)
    assert len(slept) == 3
    assert "shop/key3" in filled.kept()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds
