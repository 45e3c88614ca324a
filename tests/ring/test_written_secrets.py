"""What a person writes into the audit of keys, who may have written a secret into it: in a process that has never used
the key whose secret it is, as every command is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.actor import process_user
from gateway.errors import Conflict, VaultError
from gateway.secrets import Secret
from ring.ringed import Place, actions, new, ring_account
from support.colours import Opened

SAID = "ada, who has secret-key1 and other-CANARY"
NOWHERE = "http://127.0.0.1:1"
CALLS: dict[str, Callable[[Opened], Any]] = {
    "reveal": lambda gw: gw.keys.reveal("key1", account="shop", by=SAID),
    "retire": lambda gw: gw.keys.retire("key1", account="shop", by=SAID),
    "edit": lambda gw: gw.keys.edit("key1", account="shop", permissions=["read"], by=SAID),
    "add": lambda gw: gw.keys.add(new("key3"), account="shop", check=False, by=SAID),
    "rotate": lambda gw: gw.keys.rotate("key1", new("key3"), account="shop", check=False, by=SAID),
    "activate": lambda gw: gw.keys.activate("key2", account="shop", by=SAID),
    "revoke": lambda gw: gw.keys.revoke("key2", account="shop", ended=True, force=True, by=SAID),
    "delete_all": lambda gw: gw.keys.delete_all(account="shop", confirm="shop", by=SAID),
}


@pytest.fixture
def filled(place: Place) -> Place:
    """A ring with a key in use and one that is retiring, and a secret of nobody's beside theirs."""
    with place.gateway("sync", NOWHERE) as gw:
        for label in ("key1", "key2"):
            gw.keys.add(new(label), account="shop", check=False)
        gw.keys.retire("key2", account="shop")
    place.vault.put("gateway", "callback", Secret("other-CANARY"))
    return place


def strings(place: Place) -> bytes:
    """All that the store has on the disk."""
    return b"".join(file.read_bytes() for file in place.folder.glob("gateway.db*") if file.is_file())


@pytest.mark.parametrize("what", CALLS)
def test_as_the_name_of_who_did_it(what: str, colour: str, filled: Place) -> None:
    with filled.gateway(colour, NOWHERE) as gw:
        CALLS[what](gw)
        told = gw.keys.audit(limit=1)[0]
        assert told.actor == "ada, who has ••• and •••"
    assert b"ada, who has" in strings(filled)
    assert b"secret-key1" not in strings(filled)
    assert b"CANARY" not in strings(filled)


def test_as_the_reason(colour: str, filled: Place) -> None:
    with filled.gateway(colour, NOWHERE) as gw:
        parts = gw.keys.reveal("key1", account="shop", reason="secret-key2 and secret-key1 were pasted in chat")
        assert parts["key"].reveal() == "secret-key1"
        assert gw.keys.audit()[0].detail == {"why": "••• and ••• were pasted in chat"}
    assert b"secret-key" not in strings(filled)


def test_one_of_another_account_that_works_with_the_key_of_its_settings(colour: str, filled: Place) -> None:
    other = {"provider": "toy", "environment": "sandbox", "base_url": NOWHERE, "auth": {"kind": "key", "key": "CANARY"}}
    with filled.gateway(colour, {"shop": ring_account(NOWHERE), "other": other}) as gw:
        gw.keys.reveal("key1", account="shop", reason="CANARY was seen")
        assert gw.keys.audit()[0].detail == {"why": "••• was seen"}


def test_where_nobody_can_tell_what_is_a_secret(colour: str, filled: Place) -> None:
    """A key can be taken out of use without the vault; nobody is then said to have done it, rather than another."""
    filled.vault_file.rename(filled.folder / "away")
    with filled.gateway(colour, NOWHERE) as gw:
        gw.keys.retire("key1", account="shop", by=SAID)
        gw.keys.edit("key1", account="shop", permissions=["read"])
        with pytest.raises(VaultError):
            gw.keys.reveal("key1", account="shop", reason="is it secret-key1?", by=SAID)
        failed, edited, retired = gw.keys.audit(limit=3)
        assert (failed.action, retired.action) == ("reveal failed", "retired")
        assert failed.actor == retired.actor == "not kept"
        assert edited.actor == process_user(), "who says nothing is known"
        assert "the vault could not be read" in retired.detail["by"]
        assert (set(edited.detail), set(failed.detail)) == ({"permissions"}, {"by", "error"})
        with pytest.raises(VaultError):
            gw.keys.reveal("key1", account="shop", reason="is it secret-key1?")
        assert (gw.keys.audit(limit=1)[0].actor, set(gw.keys.audit(limit=1)[0].detail)) == (process_user(), {"error"})
    assert b"ada" not in strings(filled)
    assert b"secret-key1" not in strings(filled)


def test_nobody_waits_for_the_vault_who_has_said_nothing(colour: str, filled: Place) -> None:
    filled.vault_file.rename(filled.folder / "away")
    with filled.gateway(colour, NOWHERE) as gw:
        gw.keys.retire("key1", account="shop")
        assert gw.keys.audit(limit=1)[0].detail == {}
        assert actions(gw.keys.audit(label="key1")) == ["added", "retired"]


def test_that_of_a_key_that_was_not_kept(colour: str, filled: Place) -> None:
    with filled.gateway(colour, NOWHERE) as gw:
        filled.vault.put("shop", "key3", Secret("in its place"))
        for call in (
            lambda: gw.keys.rotate("key1", new("key3"), account="shop", check=False, by="ada: secret-key3"),
            lambda: gw.keys.add(new("key3"), account="shop", check=False, by="ada: secret-key3"),
        ):
            with pytest.raises(Conflict, match="another secret"):
                call()
            assert gw.keys.audit(limit=1)[0].actor == "ada: •••"
    assert b"secret-key3" not in strings(filled)
