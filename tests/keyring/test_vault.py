"""The vault: what is kept comes back, and what cannot be trusted is told apart and left as it is."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.errors import Conflict, NotFound, Outcome, VaultError
from gateway.keyring import ExternalKey, FileStorage, MasterKey, Passphrase, RawKey, Storage, StoreStorage, Vault
from gateway.keyring.storages import LARGEST
from gateway.secrets import Secret
from gateway.store.database import Database
from gateway.store.tables import vault as table

KEY = "00112233445566778899aabbccddeeff" * 2
OTHER = "ff112233445566778899aabbccddeeff" * 2


def raw(text: str = KEY) -> RawKey:
    return RawKey(Secret(text))


def passphrase(text: str = "correct horse") -> Passphrase:
    return Passphrase(Secret(text), n=16)  # cheap, because it is derived often here


def external(pad: int = 7) -> ExternalKey:
    return ExternalKey(lambda key: bytes(b ^ pad for b in key), lambda key: bytes(b ^ pad for b in key))


class Place:
    """Where a vault is, and its bytes as somebody at the disk or the database sees and changes them."""

    def __init__(self, storage: FileStorage | StoreStorage, database: Database | None = None) -> None:
        self.storage = storage
        self._database = database

    def read(self) -> bytes:
        if isinstance(self.storage, FileStorage):
            return self.storage.path.read_bytes()
        assert self._database is not None
        content = self._database.read(lambda connection: connection.scalar(select(table.c.content)))
        assert isinstance(content, bytes)
        return content

    def write(self, content: bytes) -> None:
        if isinstance(self.storage, FileStorage):
            self.storage.path.write_bytes(content)
            return
        assert self._database is not None
        self._database.transaction(lambda connection: connection.execute(update(table).values(content=content)))


@pytest.fixture(params=["file", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Of each storage in turn; the store is in memory, because its bytes are changed thousands of times."""
    if request.param == "file":
        yield Place(FileStorage(tmp_path / "vault"))
        return
    with Database.open("sqlite://") as database:
        yield Place(StoreStorage(lambda: database), database)


@pytest.fixture
def vault(place: Place) -> Vault:
    return filled(place.storage)


def filled(at: Storage | Path) -> Vault:
    made = Vault.create(at, raw())
    made.put_many({("treasury", "Payout1"): Secret("hush-payout"), ("shop", "main"): Secret("hush-shop")})
    return made


def lines(place: Place) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.read().splitlines()]


def write(place: Place, rows: list[dict[str, Any]]) -> None:
    """As somebody would who knows the format and not the key: the checksum is right."""
    body = b"".join(json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n" for row in rows[:-1])
    end = rows[-1] | {"sha256": hashlib.sha256(body).hexdigest(), "end": len(rows) - 2}
    place.write(body + json.dumps(end, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@pytest.mark.parametrize("master", [raw, passphrase, external])
class TestKeeping:
    def test_what_is_put_comes_back(self, place: Place, master: Callable[[], MasterKey]) -> None:
        Vault.create(place.storage, master()).put("shop", "main", Secret("hush ☕"))
        again = Vault(place.storage, master())
        assert again.get("shop", "main") == Secret("hush ☕")
        assert again.names() == [("shop", "main")]
        assert again.check() == 1

    def test_no_secret_stands_in_the_file(self, place: Place, master: Callable[[], MasterKey]) -> None:
        Vault.create(place.storage, master()).put("shop", "main", Secret("canary-5f1d"))
        assert b"canary-5f1d" not in place.read()
        assert base64.b64encode(b"canary-5f1d")[:12] not in place.read()

    def test_rekey(self, place: Place, master: Callable[[], MasterKey]) -> None:
        vault = Vault.create(place.storage, raw(OTHER))
        vault.put("shop", "main", Secret("hush"))
        before = lines(place)
        vault.rekey(master())
        assert vault.get("shop", "main") == Secret("hush")
        assert Vault(place.storage, master()).check() == 1
        assert lines(place)[0]["id"] != before[0]["id"]
        with pytest.raises(VaultError):
            Vault(place.storage, raw(OTHER)).names()


def test_replace_and_remove(vault: Vault) -> None:
    vault.put("shop", "main", Secret("newer"))
    assert vault.get("shop", "main") == Secret("newer")
    vault.remove("shop", "main")
    assert vault.names() == [("treasury", "Payout1")]
    with pytest.raises(NotFound, match="shop/main"):
        vault.get("shop", "main")
    with pytest.raises(NotFound):
        vault.remove("shop", "main")


def test_without_replace_what_is_there_stays(vault: Vault, place: Place) -> None:
    before = place.read()
    with pytest.raises(Conflict, match="has a secret shop/main already"):
        vault.put_many({("shop", "new"): Secret("a"), ("shop", "main"): Secret("b")}, replace=False)
    assert place.read() == before
    vault.put("shop", "new", Secret("a"), replace=False)
    assert vault.get("shop", "new") == Secret("a")


def test_an_existing_file_is_never_made_anew(vault: Vault, place: Place) -> None:
    before = place.read()
    with pytest.raises(VaultError, match="already"):
        Vault.create(place.storage, raw(OTHER))
    assert place.read() == before


def test_secrets_are_not_shown(vault: Vault) -> None:
    content = vault._read()
    assert "hush" not in repr(vault) + repr(content) + str(content)
    assert content.key.hex() not in repr(content)


class TestSeveralAtOnce:
    def test_all_of_them(self, vault: Vault) -> None:
        vault.put_many({("shop", "Sign1"): Secret("a"), ("shop", "Sign1.api_token"): Secret("b")})
        found = vault.get_many([("shop", "Sign1.api_token"), ("shop", "Sign1")])
        assert found == {("shop", "Sign1"): Secret("a"), ("shop", "Sign1.api_token"): Secret("b")}
        assert sorted(vault.get_many()) == vault.names()
        vault.remove_many(found)
        assert vault.names() == [("shop", "main"), ("treasury", "Payout1")]

    def test_one_that_is_not_there(self, vault: Vault, place: Place) -> None:
        before = place.read()
        for act in (vault.get_many, vault.remove_many):
            with pytest.raises(NotFound, match="no secret shop/none, shop/other"):
                act([("shop", "main"), ("shop", "other"), ("shop", "none")])
        assert place.read() == before

    @pytest.mark.parametrize("name", [("", "main"), ("shop", ""), ("shop/x", "main"), ("shop", "a b"), ("shop", "ä")])
    def test_one_that_is_no_name(self, vault: Vault, place: Place, name: tuple[str, str]) -> None:
        before = place.read()
        with pytest.raises(VaultError, match="under an account and a label"):
            vault.put_many({("shop", "Sign1"): Secret("a"), name: Secret("b")})
        assert place.read() == before

    def test_an_empty_secret(self, vault: Vault, place: Place) -> None:
        before = place.read()
        with pytest.raises(VaultError, match="secret for shop/Sign1 is empty"):
            vault.put("shop", "Sign1", Secret(""))
        assert place.read() == before

    def test_more_than_fits(self, vault: Vault, place: Place) -> None:
        before = place.read()
        with pytest.raises(VaultError, match="would be larger than a vault can be"):
            vault.put("shop", "main", Secret("x" * LARGEST))
        assert place.read() == before


class Counted:
    """A master key that counts how often it is asked."""

    kind = "raw"

    def __init__(self) -> None:
        self._key = raw()
        self.unwrapped = 0

    def wrap(self, key: bytes) -> dict[str, Any]:
        return self._key.wrap(key)

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        self.unwrapped += 1
        return self._key.unwrap(wrapped)


class TestUnwrapping:
    def test_is_done_once_for_all_reads_and_changes(self, vault: Vault, place: Place) -> None:
        master = Counted()
        again = Vault(place.storage, master)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: again.get("shop", "main"), range(40)))
        again.put("shop", "other", Secret("x"))
        again.remove("shop", "other")
        vault.put("shop", "more", Secret("by another process"))
        assert again.check() == 3
        assert master.unwrapped == 1

    def test_is_done_once_more_when_another_process_has_changed_the_key(self, vault: Vault, place: Place) -> None:
        master = Counted()
        again = Vault(place.storage, master)
        again.names()
        vault.rekey(raw())
        assert again.check() == again.check() == 2
        assert master.unwrapped == 2

    def test_scrypt_runs_once(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        Vault.create(place.storage, passphrase()).put("shop", "main", Secret("hush"))
        derived: list[bytes] = []
        derive = Passphrase._derive

        def counted(self: Passphrase, salt: bytes, cost: Mapping[str, int]) -> bytes:
            derived.append(salt)
            return derive(self, salt, cost)

        monkeypatch.setattr(Passphrase, "_derive", counted)
        vault = Vault(place.storage, passphrase())
        for _ in range(5):
            assert vault.get("shop", "main") == Secret("hush")
        vault.put("shop", "other", Secret("x"))
        assert len(derived) == 1

    def test_a_new_key_that_does_not_open_is_not_used(self, vault: Vault, place: Place) -> None:
        before = place.read()
        broken = ExternalKey(lambda key: key, lambda key: bytes(32))
        with pytest.raises(VaultError, match="does not open what it has locked"):
            vault.rekey(broken)
        assert place.read() == before
        assert vault.check() == 2

    def test_what_a_service_said_is_nowhere_on_the_error(self, place: Place, tmp_path: Path) -> None:
        """Reporters go on to what was dealt with when an error was raised, also where a traceback hides it."""
        given: list[bytes] = []

        def refuse(data: bytes) -> bytes:
            given.append(data)
            raise RuntimeError(f"hush {data.hex()}")

        def undecodable(data: bytes) -> bytes:
            given.append(data)
            return (b"\xff" + data).decode().encode()

        for service in (refuse, undecodable):
            with pytest.raises(VaultError, match="did not lock the vault") as caught:
                Vault.create(place.storage, ExternalKey(service, service))
            assert alone(caught.value)
        Vault.create(place.storage, external())
        for service in (refuse, undecodable):
            with pytest.raises(VaultError, match="did not unlock the vault") as caught:
                Vault(place.storage, ExternalKey(service, service)).check()
            assert alone(caught.value)
        assert len(given) == 4
        file = tmp_path / "broken.key"
        file.write_bytes(b"\xff" + KEY.encode())
        file.chmod(0o600)
        with pytest.raises(VaultError, match=r"cannot be read \(UnicodeDecodeError\)") as caught:
            RawKey.from_file(file)
        assert alone(caught.value)

    def test_a_service_that_does_not_lock(self, vault: Vault, place: Place) -> None:
        def refuse(data: bytes) -> bytes:
            raise PermissionError("hush-from-the-service")

        before = place.read()
        with pytest.raises(VaultError, match=r"did not lock the vault \(PermissionError\)") as caught:
            vault.rekey(ExternalKey(refuse, refuse))
        assert "hush" not in str(caught.value)
        assert place.read() == before


def test_a_reader_meanwhile_sees_the_old_or_the_new_key(vault: Vault) -> None:
    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(vault.get, "shop", "main") for _ in range(20)]
        for _ in range(5):
            vault.rekey(raw(OTHER))
            reads += [pool.submit(vault.get, "shop", "main") for _ in range(10)]
            vault.rekey(raw())
        assert {read.result(30) for read in reads} == {Secret("hush-shop")}


def alone(error: BaseException) -> bool:
    return error.__context__ is None and error.__cause__ is None


class TestTellingApart:
    def refused(self, place: Place, match: str, master: MasterKey | None = None) -> None:
        before = place.read()
        vault = Vault(place.storage, master or raw())
        for act in (
            vault.names,
            vault.check,
            lambda: vault.get("shop", "main"),
            lambda: vault.put("shop", "main", Secret("x")),
            lambda: vault.remove("shop", "main"),
            lambda: vault.rekey(raw(OTHER)),
        ):
            with pytest.raises(VaultError, match=match) as caught:
                act()
            assert "hush" not in str(caught.value)
        assert place.read() == before

    def test_a_wrong_key(self, vault: Vault, place: Place) -> None:
        self.refused(place, "not the key", raw(OTHER))

    def test_a_wrong_passphrase(self, place: Place) -> None:
        Vault.create(place.storage, passphrase()).put("shop", "main", Secret("hush"))
        self.refused(place, "not the key", passphrase("incorrect horse"))

    def test_a_service_that_refuses(self, place: Place) -> None:
        Vault.create(place.storage, external()).put("shop", "main", Secret("hush"))

        def refuse(data: bytes) -> bytes:
            raise PermissionError("hush-from-the-service")

        self.refused(place, r"did not unlock the vault \(PermissionError\)", ExternalKey(refuse, refuse))

    def test_another_kind_of_key(self, vault: Vault, place: Place) -> None:
        self.refused(place, "another kind: raw, not passphrase", passphrase())

    def test_a_swapped_record(self, vault: Vault, place: Place) -> None:
        rows = lines(place)
        rows[1]["sealed"], rows[2]["sealed"] = rows[2]["sealed"], rows[1]["sealed"]
        write(place, rows)
        self.refused(place, "under shop/main stands the secret of treasury/Payout1")

    def test_a_record_that_was_taken_out(self, vault: Vault, place: Place) -> None:
        rows = lines(place)
        del rows[1]
        write(place, rows)
        self.refused(place, "edited by somebody without its key")

    def test_a_record_of_another_vault(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        other = Place(FileStorage(tmp_path / "other"))
        filled(other.storage)
        rows = lines(place)
        rows[1] = lines(other)[1]
        write(place, rows)
        self.refused(place, "edited by somebody without its key")

    def test_a_newer_version(self, vault: Vault, place: Place) -> None:
        rows = lines(place)
        rows[0]["vault"] = 2
        write(place, rows)
        self.refused(place, "version that this one does not know")

    def test_truncated_anywhere(self, vault: Vault, place: Place) -> None:
        whole = place.read()
        for length in range(len(whole)):
            place.write(whole[:length])
            with pytest.raises(VaultError, match="is truncated"):
                vault.check()
        place.write(whole)
        assert vault.check() == 2

    @pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
    def test_damaged_at_every_byte(self, vault: Vault, place: Place, bit: int) -> None:
        whole = bytearray(place.read())
        for offset in range(len(whole)):
            whole[offset] ^= bit
            place.write(bytes(whole))
            with pytest.raises(VaultError) as caught:
                vault.check()
            assert "not the key" not in str(caught.value)
            whole[offset] ^= bit
        place.write(bytes(whole))
        assert vault.check() == 2

    def test_something_appended(self, vault: Vault, place: Place) -> None:
        place.write(place.read() + b"{}\n")
        self.refused(place, "truncated|damaged")

    @pytest.mark.parametrize(
        ("number", "name", "value"),
        [
            (0, "id", None),
            (0, "id", 5),
            (0, "key", {"kind": "raw"}),
            (0, "key", "hush"),
            (0, "key", {"kind": "raw", "sealed": 5}),
            (1, "account", None),
            (1, "label", ["main"]),
            (1, "sealed", 5),
            (2, "sealed", None),
            (-1, "seal", 7),
        ],
    )
    def test_what_is_of_another_type(self, vault: Vault, place: Place, number: int, name: str, value: object) -> None:
        rows = lines(place)
        rows[number][name] = value
        write(place, rows)
        self.refused(place, "damaged or was edited")

    def test_the_name_of_a_record_that_was_changed(self, vault: Vault, place: Place) -> None:
        rows = lines(place)
        rows[1]["label"] = "other"
        write(place, rows)
        self.refused(place, "was edited by somebody without its key")

    def test_the_header_of_another_vault(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        other = Place(FileStorage(tmp_path / "other"))
        filled(other.storage)
        write(place, [lines(other)[0], *lines(place)[1:]])
        self.refused(place, "was edited by somebody without its key")

    def test_nothing_at_all(self, vault: Vault, place: Place) -> None:
        place.write(b"")
        self.refused(place, "is truncated")

    def test_more_than_a_vault_can_be(self, vault: Vault, place: Place) -> None:
        place.write(b" " * (LARGEST + 1))
        self.refused(place, "larger than a vault can be")

    def test_a_cost_that_would_take_all_memory(self, place: Place) -> None:
        Vault.create(place.storage, passphrase())
        rows = lines(place)
        rows[0]["key"]["n"] = 2**40
        write(place, rows)
        self.refused(place, "out of bounds", passphrase())


class TestFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "vault"

    @pytest.fixture
    def vault(self, path: Path) -> Vault:
        return filled(path)

    def test_it_is_for_its_owner_only(self, vault: Vault, path: Path) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [name for name in os.listdir(path.parent) if not name.startswith("vault")] == []

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_one_that_others_can_read_is_refused(self, vault: Vault, path: Path, mode: int) -> None:
        path.chmod(mode)
        with pytest.raises(VaultError, match="can be read by others") as caught:
            vault.get("shop", "main")
        assert caught.value.hint == f"chmod 600 {path}"

    def test_a_link_is_refused(self, vault: Vault, path: Path, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(path)
        with pytest.raises(VaultError, match="cannot be opened"):
            Vault(link, raw()).names()

    def test_a_missing_one(self, path: Path) -> None:
        with pytest.raises(VaultError, match="there is no vault") as caught:
            Vault(path, raw()).names()
        assert "vault init" in str(caught.value.hint)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(VaultError, match="cannot be locked"):
            Vault.create(tmp_path / "none" / "vault", raw())

    def test_a_lock_that_is_a_link_is_not_followed(self, vault: Vault, path: Path, tmp_path: Path) -> None:
        lock, other = path.with_name("vault.lock"), tmp_path / "of-somebody-else"
        lock.unlink()
        lock.symlink_to(other)
        with pytest.raises(VaultError, match="cannot be locked"):
            vault.put("shop", "main", Secret("x"))
        assert not other.exists()
        assert vault.get("shop", "main") == Secret("hush-shop")


class TestAWriteThatFails:
    """A fault at each step of a write: before the new file is in the old one's place nothing has changed, after it
    everything has, and the error says which.
    """

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "vault"

    @pytest.fixture
    def vault(self, path: Path) -> Vault:
        return filled(path)

    @pytest.fixture
    def fail_at(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, BaseException], None]:
        """`fail_at(n, error)` lets the nth fsync fail: the first is that of the file, the second the folder's."""
        calls, real = 0, os.fsync

        def install(number: int, error: BaseException) -> None:
            def failing(descriptor: int) -> None:
                nonlocal calls
                calls += 1
                if calls == number:
                    raise error
                real(descriptor)

            monkeypatch.setattr("gateway.keyring.storages.os.fsync", failing)

        return install

    def leftovers(self, path: Path) -> list[str]:
        return sorted(name for name in os.listdir(path.parent) if name not in ("vault", "vault.lock"))

    def test_the_file_is_not_on_the_disk(self, vault: Vault, path: Path, fail_at: Any) -> None:
        before = path.read_bytes()
        fail_at(1, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(VaultError, match="No space left on device; it is as it was") as caught:
            vault.put("shop", "main", Secret("newer"))
        assert caught.value.outcome is Outcome.NOT_SENT
        assert path.read_bytes() == before
        assert self.leftovers(path) == []

    def test_the_folder_is_not_on_the_disk(self, vault: Vault, path: Path, fail_at: Any) -> None:
        fail_at(2, OSError(errno.EIO, "Input/output error"))
        with pytest.raises(VaultError, match="was changed, but the disk did not confirm it") as caught:
            vault.put("shop", "main", Secret("newer"))
        assert caught.value.outcome is Outcome.UNKNOWN
        assert "keep the old key and the new one" in str(caught.value.hint)
        assert vault.get("shop", "main") == Secret("newer")
        assert self.leftovers(path) == []

    def test_while_the_key_is_changed(self, vault: Vault, path: Path, fail_at: Any) -> None:
        fail_at(2, OSError(errno.EIO, "Input/output error"))
        with pytest.raises(VaultError, match="did not confirm"):
            vault.rekey(raw(OTHER))
        assert Vault(path, raw(OTHER)).check() == 2
        assert vault.check() == 2  # who changed it can go on

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
    def test_an_interrupt_leaves_no_half_written_file(
        self, vault: Vault, path: Path, fail_at: Any, error: BaseException
    ) -> None:
        before = path.read_bytes()
        fail_at(1, error)
        with pytest.raises(type(error)):
            vault.put("shop", "main", Secret("newer"))
        assert path.read_bytes() == before
        assert self.leftovers(path) == []

    def test_what_a_killed_writer_left_is_removed_by_the_next(self, vault: Vault, path: Path) -> None:
        mine, others = f".vault.{'0f' * 8}", (".vault.notes", f".vault2.{'0f' * 8}", f".vault.{'0F' * 8}")
        for name in (mine, *others):
            path.with_name(name).write_bytes(b"half")
        vault.names()
        assert self.leftovers(path) == sorted((mine, *others))
        vault.put("shop", "main", Secret("newer"))
        assert self.leftovers(path) == sorted(others)

    def test_in_a_folder_whose_name_is_a_pattern(self, tmp_path: Path) -> None:
        folder = tmp_path / "[a]*"
        folder.mkdir()
        made = filled(folder / "va[u]lt")
        left = folder / f".va[u]lt.{'0f' * 8}"
        left.write_bytes(b"half")
        made.put("shop", "main", Secret("newer"))
        assert not left.exists()


class TestMasterKeys:
    def test_base64_is_the_same_key(self, vault: Vault, place: Place) -> None:
        assert Vault(place.storage, raw(base64.b64encode(bytes.fromhex(KEY)).decode())).check() == 2

    @pytest.mark.parametrize("text", ["", "short", KEY[:-1], KEY + "00", "g" * 64])
    def test_what_is_no_key(self, text: str) -> None:
        with pytest.raises(VaultError, match="32 bytes") as caught:
            raw(text)
        assert not text or text not in str(caught.value)

    def test_from_a_file(self, vault: Vault, place: Place, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(KEY + "\n")
        file.chmod(0o600)
        assert Vault(place.storage, RawKey.from_file(file)).check() == 2
        file.chmod(0o644)
        with pytest.raises(VaultError, match="can be read by others"):
            RawKey.from_file(file)
        with pytest.raises(VaultError, match="cannot be read"):
            RawKey.from_file(tmp_path / "none")

    @pytest.mark.parametrize("key", [raw(), passphrase()])
    def test_they_are_not_pickled(self, key: MasterKey) -> None:
        """A pickle of one would be the key on a disk or in a queue."""
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps({"key": key}, protocol)

    def test_an_empty_passphrase(self) -> None:
        with pytest.raises(VaultError, match="not empty"):
            Passphrase(Secret(""))


WRITER = """
import sys
from gateway.keyring import RawKey, StoreStorage, Vault
from gateway.secrets import Secret
from gateway.store.database import Database

at, key, name = sys.argv[1:]
database = Database.open(at, create=False) if "://" in at else None
vault = Vault(StoreStorage(lambda: database) if database else at, RawKey(Secret(key)))
for number in range(20):
    vault.put_many({(name, f"label-{number}"): Secret(f"{name} {number}"), (name, f"label-{number}.part"): Secret("x")})
if database:
    database.close()
"""


def write_from_two_processes(at: str) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, at, KEY, name]) for name in ("first", "second")]
    assert [writer.wait(60) for writer in writers] == [0, 0]


def both_are_there(vault: Vault) -> bool:
    for name in ("first", "second"):
        for number in range(20):
            assert vault.get(name, f"label-{number}") == Secret(f"{name} {number}")
    return vault.check() == 82


class TestTwoProcessesLoseNothing:
    def test_in_a_file(self, tmp_path: Path) -> None:
        vault = filled(tmp_path / "vault")
        write_from_two_processes(str(tmp_path / "vault"))
        assert both_are_there(vault)

    @pytest.mark.parametrize("store", ["sqlite", "postgres"])
    def test_in_the_store(self, store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        url = f"sqlite:///{tmp_path / 'gateway.db'}" if store == "sqlite" else request.getfixturevalue("postgres")
        with Database.open(url) as database:
            vault = filled(StoreStorage(lambda: database))
            write_from_two_processes(url)
            assert both_are_there(vault)


REKEYED = """
import os, sys
from gateway.keyring import RawKey, StoreStorage, Vault
from gateway.secrets import Secret
from gateway.store.database import Database

at, old, new, step = sys.argv[1:]
calls = 0

def trace(frame, event, argument):
    global calls
    if event == "call" and "gateway" in frame.f_code.co_filename:
        calls += 1
        if calls == int(step):
            os._exit(9)
    return None

database = Database.open(at, create=False) if "://" in at else None
vault = Vault(StoreStorage(lambda: database) if database else at, RawKey(Secret(old)))
new = RawKey(Secret(new))
sys.setprofile(trace)
vault.rekey(new)
sys.setprofile(None)
print(calls)
"""


def rekeyed(at: str, step: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", REKEYED, at, KEY, OTHER, str(step)], capture_output=True, text=True, timeout=60
    )


def opens(vault: Callable[[MasterKey], Vault], key: str) -> bool:
    try:
        return vault(raw(key)).get_many() == {
            ("treasury", "Payout1"): Secret("hush-payout"),
            ("shop", "main"): Secret("hush-shop"),
        }
    except VaultError as error:
        if "not the key" not in str(error):
            raise
        return False


@pytest.mark.parametrize("at", ["vault", "sqlite:///gateway.db"])
def test_a_crash_while_the_key_is_changed_leaves_one_that_opens(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at calls spread over the whole of it: the vault opens with exactly one of the two keys."""
    monkeypatch.chdir(tmp_path)
    database = Database.open(at) if "://" in at else None
    storage: Storage = StoreStorage(lambda: database) if database else FileStorage(at)
    filled(storage)
    calls = int(rekeyed(at, 0).stdout)
    keys = [opens(lambda key: Vault(storage, key), key) for key in (KEY, OTHER)]
    assert keys == [False, True]
    Vault(storage, raw(OTHER)).rekey(raw(KEY))
    for step in (*range(1, calls, calls // 6), calls):
        assert rekeyed(at, step).returncode == 9
        old, new = (opens(lambda key: Vault(storage, key), key) for key in (KEY, OTHER))
        assert old is not new
        assert old if step == 1 else new if step == calls else True
        if new:
            Vault(storage, raw(OTHER)).rekey(raw(KEY))
    if database:
        database.close()
