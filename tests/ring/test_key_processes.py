"""Rings that several processes change, and one that ends in the middle of a change, as `kill -9` does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict, NotFound, PermissionDenied
from ring.ringed import MASTER, Place, Service, actions, new
from support.loopback import Loopback

PATIENCE = 60.0
KILLED = -9


@contextmanager
def process(place: Place, url: str, **given: Any) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("changing_child.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert child.stdin is not None
    assert child.stdout is not None
    told = {"url": url, "store": place.store, "vault": str(place.vault_file), "key": MASTER, **given}
    try:
        child.stdin.write(json.dumps(told) + "\n")
        child.stdin.flush()
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(PATIENCE)
        child.stdin.close()
        child.stdout.close()


def killed(place: Place, url: str, does: str, dies: str, label: str = "key1", secret: str = "secret-key1") -> None:
    """Do it in a process that dies at this point."""
    with process(place, url, does=does, dies=dies, label=label, secret=secret) as child:
        assert child.wait(PATIENCE) == KILLED


@pytest.mark.parametrize("dies", ["in the vault", "in the row's transaction", "with the row committed"])
def test_killed_while_a_key_is_added(dies: str, place: Place) -> None:
    """The key is in the ring or it is not, and then adding it again works; what is in the vault under its label is not
    written over.
    """
    service = Service("secret-key1", "secret-again")
    with Loopback(app=service) as server:
        killed(place, server.url, "add", dies)
        assert place.kept() == {"shop/key1": "secret-key1"}, "the secret is first, so no row is ever without one"
        with place.gateway("sync", server.url) as gw:
            service.forget()
            if dies == "with the row committed":
                with pytest.raises(Conflict, match="a key 'key1' already"):
                    gw.keys.add(new("key1", "secret-again"), account="shop")
            else:
                assert gw.keys.list() == gw.keys.audit() == []
                with pytest.raises(Conflict, match="another secret as shop/key1") as caught:
                    gw.keys.add(new("key1", "secret-again"), account="shop")
                assert "gateway vault forget shop/key1" in (caught.value.hint or "")
                assert service.done == [], "it was told before it was tried"
                gw.keys.add(new("key1"), account="shop")
            assert place.kept() == {"shop/key1": "secret-key1"}
            assert sorted(actions(gw.keys.audit())) == ["add failed", "added"]
            service.forget()
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key1"]


@pytest.mark.parametrize("dies", ["in the change's transaction", "with the row committed"])
def test_killed_while_a_key_is_replaced(dies: str, place: Place) -> None:
    """Both has happened or nothing has: there is a key to work with at every moment."""
    service = Service("secret-key1", "secret-key2")
    with Loopback(app=service) as server:
        with place.gateway("sync", server.url) as gw:
            gw.keys.add(new("key1"), account="shop")
        killed(place, server.url, "rotate", dies, "key2", "secret-key2")
        with place.gateway("sync", server.url) as gw:
            happened = dies == "with the row committed"
            service.forget()
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-key2" if happened else "secret-key1"]
            if not happened:
                assert list(place.rows()) == ["key1"]
                gw.keys.rotate("key1", new("key2"), account="shop")
            assert {label: key.state for label, key in place.rows().items()} == {"key1": "retiring", "key2": "active"}
            assert place.kept() == {"shop/key1": "secret-key1", "shop/key2": "secret-key2"}
            assert sorted(actions(gw.keys.audit())) == ["added", "added", "retired"]


@pytest.mark.parametrize("dies", ["in the change's transaction", "before the secret is erased"])
def test_killed_while_a_key_is_revoked(dies: str, place: Place) -> None:
    """Done again, it is done: no secret of a revoked key is left."""
    service = Service("secret-key1")
    with Loopback(app=service) as server:
        with place.gateway("sync", server.url) as gw:
            gw.keys.add(new("key1"), account="shop")
        killed(place, server.url, "revoke", dies)
        assert place.rows()["key1"].state == ("active" if "transaction" in dies else "revoked")
        assert place.kept() == {"shop/key1": "secret-key1"}
        with place.gateway("sync", server.url) as gw:
            assert gw.keys.revoke("key1", account="shop", ended=True, force=True).state == "revoked"
            assert place.kept() == {}
            done_again = [] if "transaction" in dies else ["erased"]
            assert actions(gw.keys.audit()) == ["added", "revoked", *done_again]
            gw.keys.delete("key1", account="shop")


@pytest.mark.parametrize("dies", ["in the removal's transaction", "before the secret is erased"])
def test_killed_while_all_are_deleted(dies: str, place: Place) -> None:
    """None is used any more, and done again it is done: no secret is left behind, and the labels are free."""
    service = Service("secret-key1", "secret-key2", "secret-again")
    with Loopback(app=service) as server:
        with place.gateway("sync", server.url) as gw:
            for label in ("key1", "key2"):
                gw.keys.add(new(label), account="shop")
        killed(place, server.url, "delete all", dies)
        with place.gateway("sync", server.url) as gw:
            assert {label: key.state for label, key in place.rows().items()} == {"key1": "revoked", "key2": "revoked"}
            assert list(place.kept()) == (["shop/key1", "shop/key2"] if "erased" in dies else [])
            service.forget()
            with pytest.raises(PermissionDenied, match="no key that is valid"):
                gw.wallets.list(account="shop")
            assert service.done == []
            gw.keys.delete_all(account="shop", confirm="shop")
            assert (place.kept(), gw.keys.list()) == ({}, [])
            assert sorted(actions(gw.keys.audit())) == sorted(["added", "revoked", "deleted"] * 2)
            with pytest.raises(NotFound):
                gw.keys.reveal("key1", account="shop")
            gw.keys.add(new("key1", "secret-again"), account="shop")
            service.forget()
            gw.wallets.list(account="shop")
            assert service.keys_used() == ["secret-again"]


def test_several_processes_add_one_label(any_place: Place) -> None:
    """Exactly one is kept, with its own secret."""
    secrets = ["secret-a", "secret-b"]
    service = Service(*secrets)
    with Loopback(app=service) as server, ExitStack() as stack:
        children = [
            stack.enter_context(process(any_place, server.url, does="add", label="key1", secret=secret, waits=True))
            for secret in secrets
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate(timeout=PATIENCE)[0].strip() for child in children]
        assert sorted(said) == ["Conflict", "done"]
        (won,) = (secret for secret, words in zip(secrets, said, strict=True) if words == "done")
        assert any_place.kept() == {"shop/key1": won}
        with any_place.gateway("sync", server.url) as gw:
            service.forget()
            gw.wallets.list(account="shop")
            assert service.keys_used() == [won]
            assert actions(gw.keys.audit()) == ["added", "add failed"]


def test_many_callers_add_one_label(colour: str, place: Place) -> None:
    """In one process, and beside another gateway."""
    secrets = [f"secret-{number}" for number in range(12)]
    service = Service(*secrets)
    with (
        Loopback(app=service) as server,
        place.gateway(colour, server.url) as gw,
        place.gateway(colour, server.url) as other,
    ):
        results = gw.together(
            12, lambda gateway, index: gateway.keys.add(new("key1", secrets[index]), account="shop", deadline=60)
        )
        won = [index for index, result in enumerate(results) if not isinstance(result, Exception)]
        assert len(won) == 1
        assert {type(result) for index, result in enumerate(results) if index not in won} == {Conflict}
        assert place.kept() == {"shop/key1": secrets[won[0]]}
        with pytest.raises(Conflict):
            other.keys.add(new("key1", secrets[won[0] - 1]), account="shop")
        service.forget()
        for each in (gw, other):
            each.wallets.list(account="shop")
        assert service.keys_used() == [secrets[won[0]]] * 2
