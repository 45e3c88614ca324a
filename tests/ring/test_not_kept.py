"""A key whose secret is in the vault already, or on its way there, when the adding ends."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import StoreError, VaultError
from gateway.keyring import Vault, storages
from gateway.secrets import Secret
from gateway.store import keys as stored
from ring.ringed import Place, new
from support.colours import Opened

NOWHERE = "http://127.0.0.1:1"
PATIENCE = 30.0
CALLS: dict[str, Callable[[Any], Any]] = {
    "add": lambda gw: gw.keys.add(new("key2"), account="shop", check=False),
    "rotate": lambda gw: gw.keys.rotate("key1", new("key2"), account="shop", check=False),
}


@pytest.fixture
def filled(place: Place) -> Place:
    with place.gateway("sync", NOWHERE) as gw:
        gw.keys.add(new("key1"), account="shop", check=False)
    return place


@pytest.fixture
def full(filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes no row."""

    def refuse(*given: object) -> None:
        raise StoreError("the disk is full; nothing was recorded", hint="make room")

    monkeypatch.setattr(stored, "add", refuse)


def stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise VaultError("it cannot be written")

    monkeypatch.setattr(Vault, "remove_many", refuse)


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.usefixtures("full")
def test_its_secret_is_taken_out_again(what: str, colour: str, filled: Place) -> None:
    before = filled.kept(), filled.rows()
    with filled.gateway(colour, NOWHERE) as gw, pytest.raises(StoreError) as caught:
        CALLS[what](gw)
    assert caught.value.message == "the disk is full; nothing was recorded"
    assert (filled.kept(), filled.rows()) == before


@pytest.mark.usefixtures("full")
def test_one_that_was_there_before_stays(colour: str, filled: Place) -> None:
    filled.vault.put("shop", "key2", Secret("secret-key2"))
    with filled.gateway(colour, NOWHERE) as gw, pytest.raises(StoreError):
        CALLS["add"](gw)
    assert filled.kept()["shop/key2"] == "secret-key2"


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.usefixtures("full")
def test_that_it_could_not_be_taken_out_is_told(
    what: str, colour: str, filled: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck(monkeypatch)
    with filled.gateway(colour, NOWHERE) as gw:
        with pytest.raises(StoreError, match=r"the disk is full; .*; the vault may have shop/key2 still") as caught:
            CALLS[what](gw)
        hint = caught.value.hint or ""
        assert hint.startswith("make room; `gateway keys list --account shop`")
        assert "`gateway keys add key2 --account shop --kind key" in hint
        assert "`gateway vault forget shop/key2`" in hint
        monkeypatch.undo()
        assert CALLS["add"](gw).state == "active", "the same call goes on"


def test_a_row_that_is_there_after_all(colour: str, filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its secret stays, whatever went wrong after it was written."""
    found = stored.find

    def broken(*given: Any) -> Any:
        if given[2] == "key2":
            monkeypatch.setattr(stored, "find", found)
            given[0].commit()
            raise StoreError("the connection was lost")
        return found(*given)

    monkeypatch.setattr(stored, "find", broken)
    with filled.gateway(colour, NOWHERE) as gw, pytest.raises(StoreError):
        CALLS["add"](gw)
    assert set(filled.rows()) == {"key1", "key2"}
    assert set(filled.kept()) == {"shop/key1", "shop/key2"}


class TestACallThatIsCancelled:
    """The thread that writes to the vault goes on."""

    @pytest.fixture
    def gw(self, filled: Place) -> Any:
        with filled.gateway("async", NOWHERE) as gw:
            yield gw

    def test_before_its_turn_at_the_vault(self, gw: Opened, filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting, over = threading.Event(), threading.Event()
        taken, change = storages._taken, storages.FileStorage.change

        def looked(descriptor: int) -> bool:
            waiting.set()
            return taken(descriptor)

        def changed(self: storages.FileStorage, *given: Any, **more: Any) -> None:
            try:
                change(self, *given, **more)
            finally:
                over.set()

        monkeypatch.setattr(storages, "_taken", looked)
        monkeypatch.setattr(storages.FileStorage, "change", changed)

        async def body() -> None:
            with filled.vault_file.with_name("gateway.vault.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                call = asyncio.ensure_future(CALLS["add"](gw.raw))
                assert await asyncio.to_thread(waiting.wait, PATIENCE)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(call, PATIENCE)
                assert not over.is_set(), "nobody waits for the thread"
            assert await asyncio.to_thread(over.wait, PATIENCE)

        assert gw.runner is not None
        gw.runner.run(body())
        assert filled.kept() == {"shop/key1": "secret-key1"}
        assert gw.keys.add(new("key2"), account="shop", check=False).state == "active"

    @pytest.mark.parametrize("free", [True, False])
    def test_while_it_is_written(
        self, free: bool, gw: Opened, filled: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        writing, go_on = threading.Event(), threading.Event()
        write = storages.FileStorage._write

        def slowly(self: storages.FileStorage, content: bytes) -> None:
            writing.set()
            assert go_on.wait(PATIENCE)
            write(self, content)

        async def body() -> None:
            call = asyncio.ensure_future(CALLS["add"](gw.raw))
            assert await asyncio.to_thread(writing.wait, PATIENCE)
            call.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(call, PATIENCE)

        monkeypatch.setattr(storages.FileStorage, "_write", slowly)
        if not free:
            stuck(monkeypatch)
        assert gw.runner is not None
        gw.runner.run(body())
        assert ("shop/key2" in filled.kept()) == (not free)
        assert ("the vault may have shop/key2 still" in caplog.text) == (not free)
        assert list(filled.rows()) == ["key1"]
