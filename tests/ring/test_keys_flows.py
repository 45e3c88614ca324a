"""What is done with the keys of a ring, and what is in the vault, the store and the audit after each, also after it
was refused.
"""

from __future__ import annotations

import html
import os
import pickle
import pwd
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from gateway.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    GatewayError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    StoreError,
    UnsupportedOperation,
    VaultError,
)
from gateway.keyring import Passphrase, RawKey
from gateway.models import NewKey, Permission
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from ring.ringed import Place, Service, actions, cart, failures, new, ring_account
from support.colours import Opened
from support.loopback import Answer, Loopback, Seen
from support.toy import account, wrong
from support.virtual import START, VirtualClock

R, T, W = Permission.READ, Permission.TRADE, Permission.WITHDRAW


@contextmanager
def shop(place: Place, colour: str, service: Any = None, **more: Any) -> Iterator[tuple[Opened, Service]]:
    """A gateway with the account `shop`, whose ring is empty, and its service."""
    service = service or Service("secret-key1", "secret-key2")
    more.setdefault("clock", VirtualClock())
    with Loopback(app=service) as server, place.gateway(colour, server.url, **more) as gw:
        yield gw, service


class State:
    """What is kept, to be compared: the vault, the rows and what was done."""

    def __init__(self, gw: Opened, place: Place) -> None:
        self._gw, self._place = gw, place
        self._before = self._now()

    def _now(self) -> Any:
        done = [one for one in self._gw.keys.audit(limit=1000) if not one.action.endswith(" failed")]
        return self._place.kept(), self._place.rows(), done

    def is_as_it_was(self, tells_of: Any = ()) -> bool:
        """Apart from the attempts that the audit has to tell of."""
        return bool(self._now() == self._before) and failures(self._gw.keys.audit(limit=1000)) == list(tells_of)


WRONG: dict[str, tuple[Callable[[], NewKey], type[GatewayError], str]] = {
    "taken": (lambda: new("key1", "another"), Conflict, "has a key 'key1' already"),
    "twice": (lambda: new("key2", "secret-key1"), Conflict, "as key1 already"),
    "label": (lambda: new("nodigit"), InvalidRequest, "it has no digit"),
    "kind": (lambda: new("key2", kind="sheep"), InvalidRequest, "no keys of the kind 'sheep'"),
    "which kind": (lambda: NewKey(label="key2", parts={"key": Secret("x")}), InvalidRequest, "several kinds"),
    "missing": (lambda: NewKey(label="key2", kind="key", parts={}), InvalidRequest, "key .key. is missing"),
    "empty": (lambda: NewKey(label="key2", kind="key", parts={"key": Secret("")}), InvalidRequest, "is missing"),
    "unknown": (
        lambda: NewKey(label="key2", kind="key", parts={"key": Secret("x"), "salt": Secret("CANARY")}),
        InvalidRequest,
        "has no salt",
    ),
    "over": (lambda: new("key2", expires_at=START), InvalidRequest, "expired at"),
    "refused": (lambda: new("key3", "CANARY"), AuthenticationFailed, "401"),
}


# What could not be a key at all is no attempt to add one.
AUDITED = {
    "taken": [("add failed", "key1", {"error": "Conflict"})],
    "twice": [("add failed", "key2", {"error": "Conflict"})],
    "refused": [("add failed", "key3", {"error": "AuthenticationFailed"})],
}


class TestAdding:
    def test_what_is_kept(self, colour: str, place: Place) -> None:
        clock = VirtualClock()
        with shop(place, colour, clock=clock) as (gw, service):
            made, until = START - timedelta(days=2), START + timedelta(days=30)
            given = new(
                "key1", permissions=[T, R], networks=["203.0.113.7", "2001:DB8::/32"], created_at=made, expires_at=until
            )
            key = gw.keys.add(given, account="shop", by="ada")
            assert service.keys_used() == ["secret-key1"], "it was tried"
            assert key == gw.keys.get("key1", account="shop") == place.rows()["key1"]
            assert gw.keys.list() == gw.keys.list(account="shop") == [key]
            assert key.model_dump(exclude={"permissions"}) == {
                "account": "shop",
                "provider": "toy",
                "environment": "sandbox",
                "label": "key1",
                "kind": "key",
                "public_id": None,
                "networks": ("203.0.113.7/32", "2001:db8::/32"),
                "pool": "default",
                "state": "active",
                "origin": "imported",
                "created_at": made,
                "added_at": START,
                "expires_at": until,
                "token_expires_at": None,
                "verified_at": START,
                "refused_at": None,
                "retired_at": None,
                "revoked_at": None,
            }
            assert key.permissions == {R, T}
            assert place.kept() == {"shop/key1": "secret-key1"}
            (told,) = gw.keys.audit()
            assert (told.action, told.actor, told.at, told.account, told.label) == (
                "added",
                "ada",
                START,
                "shop",
                "key1",
            )
            assert told.detail == {
                "kind": "key",
                "permissions": ["read", "trade"],
                "pool": "default",
                "networks": ["203.0.113.7/32", "2001:db8::/32"],
                "verified": True,
            }
            assert "secret-key1" not in repr(given) + repr(key) + str(gw.keys.audit())
            assert b"secret-key1" not in place.vault_file.read_bytes()
            assert b"secret-key1" not in (place.folder / "gateway.db").read_bytes()

    def test_a_key_of_several_parts(self, colour: str, place: Place) -> None:
        """Those that others may see are in the store, the others in the vault."""
        accounts = {
            "pay": {"provider": "aurpay", "environment": "sandbox", "auth": {"kind": "ring"}},
            "exchange": {"provider": "emirex", "environment": "sandbox", "auth": {"kind": "ring"}},
        }
        with place.gateway(colour, accounts, plugins=load_plugins()) as gw:
            parts = {"api_secret": Secret("the-secret"), "api_token": Secret("the-token")}
            gw.keys.add(NewKey(label="pair", kind="signature", parts=parts), account="pay", check=False)
            public = {"public_key": Secret("the-public"), "secret": Secret("the-other")}
            key = gw.keys.add(NewKey(label="Key1", parts=public), account="exchange", check=False)
            assert key.public_id == "the-public"
            assert key.verified_at is None
            assert place.kept() == {
                "pay/pair": "the-secret",
                "pay/pair.api_token": "the-token",
                "exchange/Key1": "the-other",
            }
            assert _revealed(gw, "pair", "pay") == {"api_secret": "the-secret", "api_token": "the-token"}
            assert _revealed(gw, "Key1", "exchange") == {"public_key": "the-public", "secret": "the-other"}
            assert {key.account for key in gw.keys.list()} == {"pay", "exchange"}
            gw.keys.delete_all(account="pay", confirm="pay")
            assert list(place.kept()) == ["exchange/Key1"]

    @pytest.mark.parametrize("what", WRONG)
    def test_what_is_wrong_changes_nothing(self, what: str, place: Place) -> None:
        made, kind, said = WRONG[what]
        with shop(place, "sync") as (gw, service):
            gw.keys.add(new("key1"), account="shop")
            before = State(gw, place)
            service.forget()
            with pytest.raises(kind, match=said) as caught:
                gw.keys.add(made(), account="shop")
            assert before.is_as_it_was(tells_of=AUDITED.get(what, []))
            assert service.done == []
            assert "CANARY" not in str(caught.value)
            assert caught.value.account == "shop"
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key1"]

    @pytest.mark.parametrize(
        "given",
        [
            {"label": ""},
            {"label": "a/b1"},
            {"label": "x1" * 33},
            {"label": "key1\n"},
            {"permissions": ["admin"]},
            {"permissions": []},
            {"networks": []},
            {"networks": ["203.0.113.7/24"]},
            {"networks": ["somewhere"]},
            {"pool": "a b"},
            {"parts": {"key": 5}},
            {"sheep": 1},
        ],
        ids=str,
    )
    def test_what_no_key_can_be(self, given: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest):
            NewKey(**{"label": "key1", "kind": "key", "parts": {"key": Secret("x")}, **given})

    @pytest.mark.parametrize(
        "given, said",
        [
            (
                {"networks": ["10.0.0.7/8"]},
                "networks.0: 10.0.0.7/8 is an address in a network: write 10.0.0.0/8 for all of it, or 10.0.0.7",
            ),
            (
                {"networks": ["10.0.0.1", "CANARY"]},
                "networks.1: expected an address or a network, such as 203.0.113.7 or 203.0.113.0/24",
            ),
            ({"networks": []}, "networks: expected one at least"),
            ({"permissions": []}, "permissions: expected one at least"),
        ],
        ids=str,
    )
    def test_what_is_said_of_it(self, given: dict[str, Any], said: str) -> None:
        """One thing, and no more."""
        with pytest.raises(InvalidRequest) as caught:
            NewKey(label="key1", kind="key", parts={}, **given)
        assert caught.value.message == f"NewKey: {said}"

    def test_what_a_provider_cannot_restrict(self, colour: str, place: Place) -> None:
        accounts = {"cards": {"provider": "aurex", "environment": "sandbox", "auth": {"kind": "ring"}}}
        with place.gateway(colour, accounts, plugins=load_plugins()) as gw:
            parts = {"api_key": Secret("x")}
            restricted = {"networks": ("203.0.113.7",)}, {"permissions": frozenset({R})}
            for terms in restricted:
                with pytest.raises(InvalidRequest, match="cannot be restricted"):
                    gw.keys.add(NewKey(label="one", parts=parts, **terms), account="cards", check=False)
                with pytest.raises(InvalidRequest, match="cannot be restricted"):
                    gw.keys.guide("create", account="cards", **terms)
            assert place.kept() == place.rows() == {}
            gw.keys.add(NewKey(label="one", parts=parts), account="cards", check=False)
            for terms in restricted:
                with pytest.raises(InvalidRequest, match="cannot be restricted"):
                    gw.keys.edit("one", account="cards", **terms)
            assert gw.keys.get("one", account="cards").permissions == {R, T, W}

    def test_a_key_that_may_not_read_is_known_by_its_refusal(self, colour: str, place: Place) -> None:
        def forbidding(seen: Seen) -> Answer:
            return Answer(403, {"no": "reading"})

        with shop(place, colour, forbidding) as (gw, _):
            key = gw.keys.add(new("key1", permissions=[W]), account="shop")
            assert key.verified_at is None, "that it works is not known"
            assert gw.keys.audit()[0].detail["verified"] is False
            gw.keys.verify(account="shop", label="key1")
            assert gw.keys.get("key1", account="shop").verified_at is not None
            with pytest.raises(PermissionDenied):
                gw.keys.add(new("key2", permissions=[R, W]), account="shop")
            assert list(place.rows()) == ["key1"]

    def test_from_where_the_key_is_not_admitted(self, colour: str, place: Place) -> None:
        """It is told before anything is sent; unchecked it is kept, for its address may be changed later."""
        service = Service("secret-key1", "secret-key2")
        with Loopback(app=service) as server:
            accounts = {"shop": ring_account(server.url, egress=["203.0.113.7"])}
            with place.gateway(colour, accounts) as gw:
                gw.keys.add(new("key1"), account="shop", check=False)
                before = State(gw, place)
                away = new("key2", networks=["198.51.100.1"])
                for work in (
                    lambda: gw.keys.add(away, account="shop"),
                    lambda: gw.keys.rotate("key1", new("key2", networks=["203.0.113.8"]), account="shop"),
                ):
                    with pytest.raises(GatewayError, match=r"admits|no key could") as caught:
                        work()
                    assert "nothing was" in caught.value.message
                assert before.is_as_it_was(
                    tells_of=[
                        ("add failed", "key2", {"error": "PermissionDenied"}),
                        ("rotate failed", "key1", {"error": "InvalidRequest"}),
                    ]
                )
                gw.keys.add(away, account="shop", check=False)
                with pytest.raises(PermissionDenied, match=r"198\.51\.100\.1/32.* come from 203\.0\.113\.7:") as denied:
                    gw.keys.verify(account="shop", label="key2")
                assert (denied.value.outcome, denied.value.account) == ("not_sent", "shop")
                assert actions(gw.keys.audit(label="key2")) == ["add failed", "added", "verify failed"]
                assert gw.keys.get("key2", account="shop").refused_at is None
                # One key that has to be admitted takes the place of another that nobody could use from here.
                with pytest.raises(PermissionDenied, match=r"admits 198\.51\.100\.2/32"):
                    gw.keys.rotate("key2", new("key3", networks=["198.51.100.2"]), account="shop")
                assert (server.requests, list(place.rows())) == ([], ["key1", "key2"])

    def test_what_the_vault_has_in_its_place(self, colour: str, place: Place) -> None:
        """A secret that is of no key of the ring is not written over, and the same one is no hindrance."""
        service = Service("secret-key1", "secret-key2", login="pass")
        with shop(place, colour, service) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            service.forget()
            place.vault.put("shop", "key2", Secret("of somebody else"))
            before = State(gw, place)
            parts = {"user": "merchant", "password": "pass"}
            for work in (
                lambda: gw.keys.add(new("key2"), account="shop"),
                lambda: gw.keys.add(new("key2"), account="shop", check=False),
                lambda: gw.keys.rotate("key1", new("key2"), account="shop"),
                lambda: gw.keys.issue(account="shop", label="key2", parts=parts),
            ):
                with pytest.raises(Conflict, match="the vault has another secret as shop/key2") as caught:
                    work()
                assert "`gateway vault forget shop/key2`" in (caught.value.hint or "")
                assert "somebody" not in str(caught.value)
            why = {"error": "Conflict"}
            assert before.is_as_it_was(
                tells_of=[
                    ("add failed", "key2", why),
                    ("add failed", "key2", why),
                    ("rotate failed", "key1", why),
                    ("issue failed", "key2", why),
                ]
            )
            assert (service.done, service.logins) == ([], [])
            place.vault.put("shop", "key2", Secret("secret-key2"))
            assert gw.keys.add(new("key2"), account="shop").state == "active"
            assert place.kept() == {"shop/key1": "secret-key1", "shop/key2": "secret-key2"}

    def test_what_the_vault_has_in_the_place_of_a_part(self, colour: str, place: Place) -> None:
        accounts = {"pay": {"provider": "aurpay", "environment": "sandbox", "auth": {"kind": "ring"}}}
        place.vault.put("pay", "pair.api_token", Secret("of somebody else"))
        with place.gateway(colour, accounts, plugins=load_plugins()) as gw:
            parts = {"api_secret": Secret("the-secret"), "api_token": Secret("the-token")}
            with pytest.raises(Conflict, match=r"another secret as pay/pair\.api_token"):
                gw.keys.add(NewKey(label="pair", kind="signature", parts=parts), account="pay", check=False)
            assert (place.kept(), place.rows()) == ({"pay/pair.api_token": "of somebody else"}, {})

    def test_the_same_key_twice_in_a_ring_that_is_not_in_use(self, colour: str, place: Place) -> None:
        """It is known by its secret, a login by its user."""
        service = Service("configured-CANARY", "secret-key1")
        with Loopback(app=service) as server:
            accounts = {"shop": account(server.url, key="configured-CANARY")}
            with place.gateway(colour, accounts) as gw:
                gw.keys.add(new("key1"), account="shop")
                gw.keys.add(_login("login1", "pass"), account="shop", check=False)
                before = State(gw, place)
                for key, label in (
                    (new("key2", "secret-key1"), "key1"),
                    (_login("login2", "pass"), "login1"),
                    (_login("login2", "changed"), "login1"),
                ):
                    with pytest.raises(Conflict, match=f"as {label} already"):
                        gw.keys.add(key, account="shop", check=False)
                why = {"error": "Conflict"}
                assert before.is_as_it_was(
                    tells_of=[("add failed", label, why) for label in ("key2", "login2", "login2")]
                )

    def test_beside_a_key_that_this_version_does_not_know(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
        with sqlite3.connect(place.folder / "gateway.db") as store:
            store.execute("UPDATE api_keys SET kind = 'passkey', pool = 'newer'")
        store.close()
        with shop(place, colour) as (gw, service):
            gw.keys.add(new("key2"), account="shop")
            gw.keys.rotate("key2", new("key3", "secret-key1"), account="shop")
            service.forget()
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key1"]

    def test_where_the_account_works_with_the_key_of_its_settings(self, colour: str, place: Place) -> None:
        """The ring may be filled before it is used."""
        service = Service("configured-CANARY", "secret-key1")
        with Loopback(app=service) as server:
            settings = account(server.url, key="configured-CANARY")
            with place.gateway(colour, {"shop": settings}) as gw:
                gw.keys.add(new("key1"), account="shop")
                gw.wallets.list(account="shop")
                assert service.keys_used() == ["secret-key1", "configured-CANARY"]
                assert [(key.label, key.origin) for key in gw.keys.list(account="shop")] == [
                    ("configured", "configured"),
                    ("key1", "imported"),
                ]
                assert gw.keys.get("configured", account="shop").kind == "key"
                assert "CANARY" not in repr(gw.keys.list())
                with pytest.raises(NotFound):
                    gw.keys.reveal("configured", account="shop")
            with place.gateway(colour, server.url) as gw:
                gw.wallets.list(account="shop")
                assert service.keys_used()[2:] == ["secret-key1"]


class TestWithoutTheVault:
    """Nothing is sent, and nothing is kept, where the secret would have no place."""

    def test_none_is_configured(self, colour: str, place: Place) -> None:
        with shop(place, colour, vault=None, vault_key=None) as (gw, service):
            with pytest.raises(VaultError, match="no vault"):
                gw.keys.add(new("key1"), account="shop")
            assert (service.done, gw.keys.list()) == ([], [])
            assert actions(gw.keys.audit()) == ["add failed"]

    def test_it_is_not_there(self, colour: str, place: Place) -> None:
        place.vault_file.unlink()
        with shop(place, colour) as (gw, service):
            with pytest.raises(VaultError, match="gateway vault init"):
                gw.keys.add(new("key1"), account="shop")
            assert (service.done, gw.keys.list()) == ([], [])
            (told,) = gw.keys.audit()
            assert (told.action, told.label, told.detail) == ("add failed", "key1", {"error": "VaultError"})

    def test_another_key_has_locked_it(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, service):
            gw.keys.add(new("key1"), account="shop")
            before = State(gw, place)
        with shop(place, colour, vault_key=RawKey(Secret("00" * 32))) as (gw, service):
            with pytest.raises(VaultError, match="not the key of the vault"):
                gw.keys.add(new("key2"), account="shop")
            with pytest.raises(VaultError, match="not the key of the vault"):
                gw.wallets.list(account="shop")
            with pytest.raises(VaultError, match="not the key of the vault"):
                gw.orders.create(cart("c-1"), account="shop")
            assert (service.done, gw.journal.list()) == ([], [])
            assert [key.label for key in gw.keys.list()] == ["key1"], "what may be shown is"
        with shop(place, colour) as (gw, _):
            assert State(gw, place)._before == before._before
            assert failures(gw.keys.audit()) == [("add failed", "key2", {"error": "VaultError"})]

    def test_it_goes_away(self, colour: str, place: Place, caplog: pytest.LogCaptureFixture) -> None:
        """The keys that are known follow the store all the same; a new one is used when the vault is back."""
        clock = VirtualClock()
        service = Service("secret-key1", "secret-key2", "secret-key3")
        with (
            Loopback(app=service) as server,
            place.gateway(colour, server.url, clock=clock) as one,
            place.gateway(colour, server.url, clock=clock) as other,
        ):
            one.keys.add(new("key1", permissions=[R]), account="shop")
            one.keys.add(new("key2"), account="shop")
            other.wallets.list(account="shop")
            one.keys.add(new("key3", permissions=[R]), account="shop")
            one.keys.retire("key1", account="shop")
            one.keys.edit("key2", account="shop", permissions=[R, W])
            away = place.vault_file.rename(place.folder / "away")
            clock.advance(5)
            service.forget()
            other.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key2"], "key1 is retired, and key3 not known"
            with pytest.raises(PermissionDenied, match="permission trade"):
                other.orders.create(cart("c-1"), account="shop")
            assert "the ring of shop could not be read again" in caplog.text
            away.rename(place.vault_file)
            clock.advance(5)
            other.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key2", "secret-key3"]

    def test_a_secret_is_gone(self, colour: str, place: Place, caplog: pytest.LogCaptureFixture) -> None:
        with shop(place, colour) as (gw, _):
            for label in ("key1", "key2"):
                gw.keys.add(new(label), account="shop")
        place.vault.remove("shop", "key1")
        with shop(place, colour) as (gw, service):
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key2"]
            assert "the vault has no shop/key1: the key is not used" in caplog.text
            with pytest.raises(VaultError, match="no secret of the key key1"):
                gw.keys.reveal("key1", account="shop")
            with pytest.raises(VaultError, match="no secret of the key key1"):
                gw.keys.verify(account="shop", label="key1")
            # It can be ended and forgotten all the same.
            gw.keys.revoke("key1", account="shop", ended=True, force=True)
            gw.keys.delete("key1", account="shop")
            assert list(place.rows()) == ["key2"]


def test_a_store_that_cannot_be_written(colour: str, place: Place) -> None:
    """Then the key is not there; once the store is mended, adding it again works."""
    with shop(place, colour) as (gw, _):
        gw.keys.list()
        with sqlite3.connect(place.folder / "gateway.db") as store:
            store.execute("CREATE TRIGGER full BEFORE INSERT ON api_keys BEGIN SELECT RAISE(FAIL, 'no room left'); END")
        with pytest.raises(StoreError):
            gw.keys.add(new("key1"), account="shop")
        assert gw.keys.list() == []
        assert place.kept() == {}, "nor is its secret anywhere"
        with pytest.raises(PermissionDenied, match="no key"):
            gw.wallets.list(account="shop")
        store.execute("DROP TRIGGER full")
        store.close()
        gw.keys.add(new("key1"), account="shop")
        assert place.kept() == {"shop/key1": "secret-key1"}
        assert actions(gw.keys.audit()) == ["add failed", "added"]
        gw.wallets.list(account="shop")


class TestEditing:
    def test_each_thing(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, service):
            gw.keys.add(new("key1"), account="shop")
            service.forget()
            until = START + timedelta(days=9)
            assert gw.keys.edit("key1", account="shop", permissions=["read"]).permissions == {R}
            assert gw.keys.edit("key1", account="shop", networks=["203.0.113.7"]).networks == ("203.0.113.7/32",)
            assert gw.keys.edit("key1", account="shop", networks="any", by="ada").networks is None
            assert gw.keys.edit("key1", account="shop", pool="low", expires_at=until).pool == "low"
            key = gw.keys.get("key1", account="shop")
            assert (key.permissions, key.networks, key.pool, key.expires_at) == ({R}, None, "low", until)
            told = [(entry.actor, entry.detail) for entry in reversed(gw.keys.audit()) if entry.action == "edited"]
            assert [detail for _, detail in told] == [
                {"permissions": ["read"]},
                {"networks": ["203.0.113.7/32"]},
                {"networks": None},
                {"pool": "low", "expires_at": str(until)},
            ]
            assert told[2][0] == "ada"
            assert service.done == [], "nothing is sent"
            with pytest.raises(PermissionDenied, match="trade"):
                gw.orders.create(cart("c-1"), account="shop")

    def test_an_expiry(self, colour: str, place: Place) -> None:
        """It is never set to what is over already, and one that was wrong can be corrected."""
        clock = VirtualClock()
        with shop(place, colour, clock=clock) as (gw, service):
            gw.keys.add(new("key1", expires_at=START + timedelta(seconds=10)), account="shop")
            before = State(gw, place)
            for over in (START, START - timedelta(days=1), (START - timedelta(days=1)).isoformat()):
                with pytest.raises(InvalidRequest, match=r"would have expired, at .*; nothing was changed"):
                    gw.keys.edit("key1", account="shop", expires_at=over)
            assert before.is_as_it_was()
            clock.advance(11)
            assert gw.keys.get("key1", account="shop").state == "expired"
            with pytest.raises(InvalidRequest, match="would have expired"):
                gw.keys.edit("key1", account="shop", expires_at=START + timedelta(seconds=11))
            later = START + timedelta(days=1)
            key = gw.keys.edit("key1", account="shop", expires_at=later)
            assert (key.state, key.expires_at) == ("active", later)
            service.forget()
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key1"]
            assert gw.keys.edit("key1", account="shop", expires_at="never").expires_at is None
            assert gw.keys.audit()[0].detail == {"expires_at": "never"}
            clock.advance(timedelta(days=365).total_seconds())
            gw.wallets.list(account="shop")

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"permissions": []},
            {"permissions": ["admin"]},
            {"networks": []},
            {"networks": ["nowhere"]},
            {"pool": "a b"},
            {"pool": ""},
        ],
        ids=str,
    )
    def test_what_cannot_be(self, given: dict[str, Any], place: Place) -> None:
        with shop(place, "sync") as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            before = State(gw, place)
            with pytest.raises(InvalidRequest):
                gw.keys.edit("key1", account="shop", **given)
            assert before.is_as_it_was()

    def test_keys_that_cannot_be_edited(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            gw.keys.revoke("key1", account="shop", ended=True, force=True)
            before = State(gw, place)
            with pytest.raises(Conflict, match="is revoked"):
                gw.keys.edit("key1", account="shop", permissions=["read"])
            with pytest.raises(NotFound):
                gw.keys.edit("key2", account="shop", permissions=["read"])
            assert before.is_as_it_was()


class TestEnding:
    def test_step_by_step(self, colour: str, place: Place) -> None:
        clock = VirtualClock()
        with shop(place, colour, clock=clock) as (gw, service):
            gw.keys.add(new("key1"), account="shop")
            for call, kind in (
                (lambda: gw.keys.revoke("key1", account="shop", ended=True), "retire it first"),
                (lambda: gw.keys.delete("key1", account="shop"), "revoke it first"),
            ):
                before = State(gw, place)
                with pytest.raises(Conflict, match=kind):
                    call()
                assert before.is_as_it_was()

            gw.keys.retire("key1", account="shop")
            back = gw.keys.activate("key1", account="shop", by="ada")
            assert (back.state, back.retired_at) == ("active", None)
            assert gw.keys.activate("key1", account="shop") == back, "again it is no change"
            assert (gw.keys.audit()[0].action, gw.keys.audit()[0].actor) == ("activated", "ada")
            gw.wallets.list(account="shop")
            retired = gw.keys.retire("key1", account="shop")
            assert (retired.state, retired.retired_at) == ("retiring", START)
            clock.advance(1)
            assert gw.keys.retire("key1", account="shop") == retired, "again it is no change"
            with pytest.raises(PermissionDenied):
                gw.wallets.list(account="shop")
            gw.keys.verify(account="shop", label="key1")  # it is valid still
            clock.advance(40)
            revoked = gw.keys.revoke("key1", account="shop", ended=True)
            assert (revoked.state, revoked.revoked_at) == ("revoked", clock.now())
            assert place.kept() == {}
            assert gw.core.account("shop").ring.keys == (), "nor in memory"
            before = State(gw, place)
            for call in (
                lambda: gw.keys.retire("key1", account="shop"),
                lambda: gw.keys.activate("key1", account="shop"),
                lambda: gw.keys.verify(account="shop", label="key1"),
                lambda: gw.keys.reveal("key1", account="shop"),
                lambda: gw.keys.add(new("key1"), account="shop"),
            ):
                with pytest.raises(Conflict):
                    call()
            assert gw.keys.revoke("key1", account="shop") == revoked
            assert before.is_as_it_was(tells_of=[("add failed", "key1", {"error": "Conflict"})])

            gw.keys.delete("key1", account="shop", by="ada")
            with pytest.raises(NotFound):
                gw.keys.delete("key1", account="shop")
            assert place.rows() == {}
            done = ["added", "retired", "activated", "retired", "verified", "revoked", "add failed", "deleted"]
            assert actions(gw.keys.audit()) == done
            # The label is free again, and so is the key.
            gw.keys.add(new("key1"), account="shop")
            service.forget()
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key1"]

    def test_an_expired_key(self, colour: str, place: Place) -> None:
        clock = VirtualClock()
        with shop(place, colour, clock=clock) as (gw, _):
            for label in ("key1", "key2"):
                gw.keys.add(new(label, expires_at=START + timedelta(seconds=10)), account="shop")
            clock.advance(11)
            for call in (
                lambda: gw.keys.retire("key1", account="shop"),
                lambda: gw.keys.activate("key1", account="shop"),
                lambda: gw.keys.verify(account="shop", label="key1"),
                lambda: gw.keys.edit("key1", account="shop", pool="low"),
                lambda: gw.keys.rotate("key1", new("key3"), account="shop"),
            ):
                with pytest.raises(Conflict, match="is expired"):
                    call()
            assert _revealed(gw, "key1", "shop") == {"key": "secret-key1"}
            gw.keys.delete("key1", account="shop")
            gw.keys.revoke("key2", account="shop", ended=True)
            gw.keys.delete("key2", account="shop")
            assert (place.kept(), place.rows()) == ({}, {})

    def test_all_of_them(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, _):
            for label in ("key1", "key2"):
                gw.keys.add(new(label), account="shop")
            before = State(gw, place)
            for confirm in ("", "Shop", "shop ", "yes"):
                with pytest.raises(InvalidRequest, match="confirmed by the account's name"):
                    gw.keys.delete_all(account="shop", confirm=confirm)
            assert before.is_as_it_was()
            place.vault.put("other", "key1", Secret("not ours"))
            gone = gw.keys.delete_all(account="shop", confirm="shop", by="ada")
            assert [key.label for key in gone] == ["key1", "key2"]
            assert place.kept() == {"other/key1": "not ours"}
            assert place.rows() == {}
            assert [(entry.action, entry.label, entry.actor) for entry in gw.keys.audit()[:4]] == [
                ("deleted", "key2", "ada"),
                ("deleted", "key1", "ada"),
                ("revoked", "key2", "ada"),
                ("revoked", "key1", "ada"),
            ]
            with pytest.raises(PermissionDenied):
                gw.wallets.list(account="shop")
            assert gw.keys.delete_all(account="shop", confirm="shop") == []


class TestRevealing:
    def test_it_is_told_first(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            parts = gw.keys.reveal("key1", account="shop", reason="moving house", by="ada")
            assert "secret-key1" not in repr(parts)
            assert parts["key"].reveal() == "secret-key1"
            (told, _) = gw.keys.audit()
            assert (told.action, told.actor, told.detail) == ("revealed", "ada", {"why": "moving house"})

    def test_that_it_failed_is_told_too(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            whole = place.vault_file.read_bytes()
            place.vault_file.write_bytes(whole[:-1])
            with pytest.raises(VaultError, match="truncated"):
                gw.keys.reveal("key1", account="shop")
            assert actions(gw.keys.audit()) == ["added", "reveal failed"]
            assert gw.keys.audit()[0].detail == {"error": "VaultError"}

    def test_it_is_not_shown_when_it_cannot_be_told(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            with sqlite3.connect(place.folder / "gateway.db") as store:
                store.execute("CREATE TRIGGER full BEFORE INSERT ON key_audit BEGIN SELECT RAISE(FAIL, 'no room'); END")
            store.close()
            with pytest.raises(StoreError):
                gw.keys.reveal("key1", account="shop")


class TestWhoAndWhy:
    def test_nobody_is_named(self, colour: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """The user of the process, whatever the environment says."""
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.setenv(name, "somebody-else")
        with shop(place, colour) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            assert gw.keys.audit()[0].actor == pwd.getpwuid(os.getuid()).pw_name

    def test_a_secret_was_written_into_it(self, colour: str, place: Place) -> None:
        with shop(place, colour) as (gw, _):
            gw.keys.add(new("key1"), account="shop", by="ada with secret-key1")
            gw.keys.reveal("key1", account="shop", reason="is it secret-key1 still?", by="ada, secret-key1")
            assert "secret-key1" not in str(gw.keys.audit())
            revealed, added = gw.keys.audit()
            assert (added.actor, revealed.actor) == ("ada with •••", "ada, •••")
            assert revealed.detail == {"why": "is it ••• still?"}

    def test_what_failed(self, colour: str, place: Place) -> None:
        with shop(place, colour, Service("secret-key1")) as (gw, _):
            gw.keys.add(new("key1"), account="shop")
            with pytest.raises(AuthenticationFailed):
                gw.keys.rotate("key1", new("key2"), account="shop", by="ada")
            (told, _) = gw.keys.audit()
            assert (told.action, told.label, told.actor) == ("rotate failed", "key1", "ada")
            assert told.detail == {"error": "AuthenticationFailed"}
            assert (told.account, told.provider, told.environment) == ("shop", "toy", "sandbox")


@pytest.mark.parametrize("key", [RawKey(Secret("00" * 32)), Passphrase(Secret("correct horse"))], ids=["raw", "words"])
def test_what_locks_the_vault_is_not_pickled(key: Any) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)


def test_a_provider_that_repeats_the_key_in_its_own_spelling(colour: str, place: Place) -> None:
    secret = "Pa/ss<wo>rd&'1+x"
    spellings = [
        html.escape(secret),
        html.escape(secret, quote=False),
        quote(secret, safe="").lower().replace("pa", "Pa"),
        secret.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
        "".join(f"\\u{ord(letter):04X}" if letter in "<>&'+" else letter for letter in secret),
        "".join(f"\\u{ord(letter):04x}" if letter in "<>&'+/" else letter for letter in secret),
    ]

    for spelling in spellings:
        with shop(place, colour, lambda seen, said=spelling: wrong("bad-request", f"no: {said}.", 400)) as (gw, _):
            if "key1" not in place.rows():
                gw.keys.add(new("key1", secret), account="shop", check=False)
            with pytest.raises(InvalidRequest) as caught:
                gw.wallets.list(account="shop")
            assert "no: •••." in str(caught.value)


def test_steps_that_need_no_kind(colour: str, place: Place) -> None:
    """Ending a key is the same for every kind; making one is not."""
    with shop(place, colour) as (gw, _):
        assert gw.keys.guide("revoke", account="shop", label="key1").steps[0].text == "press End at key1"
        gw.keys.add(_login("login1", "pass"), account="shop", check=False)
        assert gw.keys.guide("revoke", account="shop", label="login1").kind == "login"
        with pytest.raises(InvalidRequest, match="several kinds"):
            gw.keys.guide("create", account="shop", label="key1")
        for action in ("delete", "delete-all"):
            with pytest.raises(UnsupportedOperation, match=f"[(]{action}[)] is not known"):
                gw.keys.guide(action, account="shop")


def test_the_audit(colour: str, place: Place) -> None:
    accounts = {name: ring_account("http://127.0.0.1:1") for name in ("one", "two")}
    with place.gateway(colour, accounts) as gw:
        for name in ("one", "two"):
            for number in (1, 2):
                gw.keys.add(new(f"key{number}", f"{name}-{number}"), account=name, check=False)
        gw.keys.retire("key1", account="two")
        found = [(entry.account, entry.label, entry.action) for entry in gw.keys.audit()]
        assert found[:2] == [("two", "key1", "retired"), ("two", "key2", "added")]
        assert len(found) == 5
        assert len(gw.keys.audit(account="two")) == 3
        assert len(gw.keys.audit(account="two", label="key1")) == 2
        assert len(gw.keys.audit(label="key1")) == 3
        assert len(gw.keys.audit(limit=4)) == 4
        with pytest.raises(ConfigurationError):
            gw.keys.audit(account="three")


def test_a_key_that_this_version_does_not_know(colour: str, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Added by a newer one: it is told and not used, and the others go on."""
    with shop(place, colour) as (gw, _):
        for label in ("key1", "key2"):
            gw.keys.add(new(label), account="shop")
    with sqlite3.connect(place.folder / "gateway.db") as store:
        store.execute("UPDATE api_keys SET kind = 'passkey' WHERE label = 'key1'")
    store.close()
    with shop(place, colour) as (gw, service):
        gw.wallets.list(account="shop")
        assert service.keys_used() == ["secret-key2"]
        assert "the key key1 of shop is not used" in caplog.text
        assert [key.kind for key in gw.keys.list()] == ["passkey", "key"]


def test_accounts_and_labels_that_are_not_there(colour: str, place: Place) -> None:
    with shop(place, colour) as (gw, service):
        for call in (
            lambda: gw.keys.get("key1", account="shop"),
            lambda: gw.keys.verify(account="shop", label="key1"),
            lambda: gw.keys.retire("key1", account="shop"),
            lambda: gw.keys.rotate("key1", new("key2"), account="shop"),
            lambda: gw.keys.revoke("key1", account="shop", ended=True, force=True),
            lambda: gw.keys.delete("key1", account="shop"),
            lambda: gw.keys.reveal("key1", account="shop"),
        ):
            with pytest.raises(NotFound, match="key1"):
                call()
        for call in (
            lambda: gw.keys.list(account="sheep"),
            lambda: gw.keys.get("key1", account="sheep"),
            lambda: gw.keys.add(new("key1"), account="sheep"),
            lambda: gw.keys.delete_all(account="sheep", confirm="sheep"),
            lambda: gw.keys.guide("create", account="sheep"),
        ):
            with pytest.raises(ConfigurationError, match="no account is called 'sheep'"):
                call()
        with pytest.raises(InvalidRequest, match="no such action"):
            gw.keys.guide("eat", account="shop")
        with pytest.raises(UnsupportedOperation):
            gw.keys.guide("delete-all", account="shop")
        assert service.done == gw.keys.list() == gw.keys.audit() == []


def test_a_reading_that_is_overtaken(place: Place) -> None:
    """One that began before a change ends after it: the change stays in force."""
    with shop(place, "sync") as (gw, service):
        gw.keys.add(new("key1"), account="shop")
        opened = gw.core.account("shop")
        database = gw.core.database()
        asked, rows = opened.ask_for_keys(), database.transaction(opened.key_rows)
        gw.keys.rotate("key1", new("key2"), account="shop")
        opened.take_keys(asked, rows, {})
        service.forget()
        gw.wallets.list(account="shop")
        assert service.keys_used() == ["secret-key2"]
        assert [held.key.state for held in opened.ring.keys] == ["retiring", "active"]


def test_verifying_whichever_is_chosen(colour: str, place: Place) -> None:
    with shop(place, colour) as (gw, service):
        with pytest.raises(PermissionDenied):
            gw.keys.verify(account="shop")
        gw.keys.add(new("key1"), account="shop", check=False)
        assert gw.keys.get("key1", account="shop").verified_at is None
        gw.keys.verify(account="shop")
        assert service.keys_used() == ["secret-key1"]
        gw.keys.verify(account="shop", label="key1", by="ada")
        assert gw.keys.get("key1", account="shop").verified_at == START


def test_a_check_that_fails_for_another_reason(colour: str, place: Place) -> None:
    """Nothing is known of the key then, so it is not kept; without a check it is."""

    def broken(seen: Seen) -> Answer:
        return wrong("bad-request", "come back later", 400)

    with shop(place, colour, broken) as (gw, _):
        with pytest.raises(InvalidRequest):
            gw.keys.add(new("key1"), account="shop")
        assert place.kept() == place.rows() == {}
        gw.keys.add(new("key1"), account="shop", check=False)
        assert place.kept() == {"shop/key1": "secret-key1"}


def _revealed(gw: Opened, label: str, account: str) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in gw.keys.reveal(label, account=account).items()}


def _login(label: str, password: str) -> NewKey:
    return NewKey(label=label, kind="login", parts={"user": Secret("merchant"), "password": Secret(password)})
