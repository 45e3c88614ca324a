"""The vault: what is kept comes back, and what cannot be trusted is told apart and left as it is."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFound, VaultError
from gateway.keyring import ExternalKey, MasterKey, Passphrase, RawKey, Vault
from gateway.secrets import Secret

KEY = "00112233445566778899aabbccddeeff" * 2
OTHER = "ff112233445566778899aabbccddeeff" * 2


def raw(text: str = KEY) -> RawKey:
    return RawKey(Secret(text))


def passphrase(text: str = "correct horse") -> Passphrase:
    return Passphrase(Secret(text), n=16)  # cheap, because it is derived often here


def external(pad: int = 7) -> ExternalKey:
    return ExternalKey(lambda key: bytes(b ^ pad for b in key), lambda key: bytes(b ^ pad for b in key))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture
def vault(path: Path) -> Vault:
    made = Vault.create(path, raw())
    made.put("treasury", "Payout1", Secret("hush-payout"))
    made.put("shop", "main", Secret("hush-shop"))
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """As somebody would who knows the format and not the key: the checksum is right."""
    body = b"".join(json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n" for row in rows[:-1])
    end = rows[-1] | {"sha256": hashlib.sha256(body).hexdigest(), "end": len(rows) - 2}
    path.write_bytes(body + json.dumps(end, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@pytest.mark.parametrize("master", [raw, passphrase, external])
class TestKeeping:
    def test_what_is_put_comes_back(self, path: Path, master: Callable[[], MasterKey]) -> None:
        Vault.create(path, master()).put("shop", "main", Secret("hush ☕"))
        again = Vault(path, master())
        assert again.get("shop", "main") == Secret("hush ☕")
        assert again.names() == [("shop", "main")]
        assert again.check() == 1

    def test_no_secret_stands_in_the_file(self, path: Path, master: Callable[[], MasterKey]) -> None:
        Vault.create(path, master()).put("shop", "main", Secret("canary-5f1d"))
        assert b"canary-5f1d" not in path.read_bytes()
        assert base64.b64encode(b"canary-5f1d")[:12] not in path.read_bytes()

    def test_rekey(self, path: Path, master: Callable[[], MasterKey]) -> None:
        vault = Vault.create(path, raw(OTHER))
        vault.put("shop", "main", Secret("hush"))
        before = lines(path)
        vault.rekey(master())
        assert vault.get("shop", "main") == Secret("hush")
        assert Vault(path, master()).check() == 1
        assert lines(path)[0]["id"] != before[0]["id"]
        with pytest.raises(VaultError):
            Vault(path, raw(OTHER)).names()


def test_replace_and_remove(vault: Vault) -> None:
    vault.put("shop", "main", Secret("newer"))
    assert vault.get("shop", "main") == Secret("newer")
    vault.remove("shop", "main")
    assert vault.names() == [("treasury", "Payout1")]
    with pytest.raises(NotFound, match="shop/main"):
        vault.get("shop", "main")
    with pytest.raises(NotFound):
        vault.remove("shop", "main")


def test_an_existing_file_is_never_made_anew(vault: Vault, path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(VaultError, match="already"):
        Vault.create(path, raw(OTHER))
    assert path.read_bytes() == before


def test_secrets_are_not_shown(vault: Vault) -> None:
    content = vault._read()
    assert "hush" not in repr(vault) + repr(content) + str(content)
    assert content.key.hex() not in repr(content)


class TestTellingApart:
    def refused(self, path: Path, match: str, master: MasterKey | None = None) -> None:
        before = path.read_bytes()
        vault = Vault(path, master or raw())
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
        assert path.read_bytes() == before

    def test_a_wrong_key(self, vault: Vault, path: Path) -> None:
        self.refused(path, "not the key", raw(OTHER))

    def test_a_wrong_passphrase(self, path: Path) -> None:
        Vault.create(path, passphrase()).put("shop", "main", Secret("hush"))
        self.refused(path, "not the key", passphrase("incorrect horse"))

    def test_a_service_that_refuses(self, path: Path) -> None:
        Vault.create(path, external()).put("shop", "main", Secret("hush"))

        def refuse(data: bytes) -> bytes:
            raise PermissionError("hush-from-the-service")

        self.refused(path, r"did not unlock the vault \(PermissionError\)", ExternalKey(refuse, refuse))

    def test_another_kind_of_key(self, vault: Vault, path: Path) -> None:
        self.refused(path, "another kind: raw, not passphrase", passphrase())

    def test_a_swapped_record(self, vault: Vault, path: Path) -> None:
        rows = lines(path)
        rows[1]["sealed"], rows[2]["sealed"] = rows[2]["sealed"], rows[1]["sealed"]
        write(path, rows)
        self.refused(path, "under shop/main stands the secret of treasury/Payout1")

    def test_a_record_that_was_taken_out(self, vault: Vault, path: Path) -> None:
        rows = lines(path)
        del rows[1]
        write(path, rows)
        self.refused(path, "edited by somebody without its key")

    def test_a_record_of_another_vault(self, vault: Vault, path: Path, tmp_path: Path) -> None:
        other = Vault.create(tmp_path / "other", raw())
        other.put("shop", "main", Secret("somebody else's"))
        rows = lines(path)
        rows[1] = lines(tmp_path / "other")[1]
        write(path, rows)
        self.refused(path, "edited by somebody without its key")

    def test_a_newer_version(self, vault: Vault, path: Path) -> None:
        rows = lines(path)
        rows[0]["vault"] = 2
        write(path, rows)
        self.refused(path, "version that this one does not know")

    def test_truncated_anywhere(self, vault: Vault, path: Path) -> None:
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(VaultError, match="is truncated"):
                vault.check()
        path.write_bytes(whole)
        assert vault.check() == 2

    @pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
    def test_damaged_at_every_byte(self, vault: Vault, path: Path, bit: int) -> None:
        whole = bytearray(path.read_bytes())
        for offset in range(len(whole)):
            whole[offset] ^= bit
            path.write_bytes(whole)
            with pytest.raises(VaultError) as caught:
                vault.check()
            assert "not the key" not in str(caught.value)
            whole[offset] ^= bit
        path.write_bytes(whole)
        assert vault.check() == 2

    def test_something_appended(self, vault: Vault, path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"{}\n")
        self.refused(path, "truncated|damaged")

    def test_a_cost_that_would_take_all_memory(self, path: Path) -> None:
        Vault.create(path, passphrase())
        rows = lines(path)
        rows[0]["key"]["n"] = 2**40
        write(path, rows)
        self.refused(path, "out of bounds", passphrase())


class TestFile:
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


class TestMasterKeys:
    def test_base64_is_the_same_key(self, vault: Vault, path: Path) -> None:
        assert Vault(path, raw(base64.b64encode(bytes.fromhex(KEY)).decode())).check() == 2

    @pytest.mark.parametrize("text", ["", "short", KEY[:-1], KEY + "00", "g" * 64])
    def test_what_is_no_key(self, text: str) -> None:
        with pytest.raises(VaultError, match="32 bytes") as caught:
            raw(text)
        assert not text or text not in str(caught.value)

    def test_from_a_file(self, vault: Vault, path: Path, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(KEY + "\n")
        file.chmod(0o600)
        assert Vault(path, RawKey.from_file(file)).check() == 2
        file.chmod(0o644)
        with pytest.raises(VaultError, match="can be read by others"):
            RawKey.from_file(file)
        with pytest.raises(VaultError, match="cannot be read"):
            RawKey.from_file(tmp_path / "none")

    def test_an_empty_passphrase(self) -> None:
        with pytest.raises(VaultError, match="not empty"):
            Passphrase(Secret(""))


WRITER = """
import sys
from gateway.keyring import RawKey, Vault
from gateway.secrets import Secret

vault = Vault(sys.argv[1], RawKey(Secret(sys.argv[2])))
for number in range(20):
    vault.put(sys.argv[3], f"label-{number}", Secret(f"{sys.argv[3]} {number}"))
"""


def test_two_processes_writing_lose_nothing(vault: Vault, path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), KEY, name]) for name in ("first", "second")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert vault.check() == 42
    assert vault.get("first", "label-19") == Secret("first 19")
    assert vault.get("second", "label-0") == Secret("second 0")
