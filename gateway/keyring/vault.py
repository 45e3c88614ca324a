"""The vault: a file of secrets, each sealed for its account and label.

    {"id": …, "key": {…}, "vault": 1}                      whose own random key is wrapped by the master key
    {"account": …, "label": …, "sealed": …}                one a secret, sorted
    {"end": 2, "seal": …, "sha256": …}                     how many they are, and that nothing before was changed

The checksum tells a damaged file from a wrong key without any key; the seal over it, which needs the key, tells an edit
by somebody who renewed the checksum. That the whole file was put back to an older state cannot be seen.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import NotFound, VaultError
from gateway.keyring.masterkeys import KEY_BYTES, MasterKey, WrongKey, seal, unseal
from gateway.secrets import Secret

__all__ = ["Vault"]

_VERSION = 1
_LARGEST = 16 * 2**20

Name = tuple[str, str]


@dataclass
class _Content:
    """What the file holds, opened: the header, the vault's own key and the sealed texts by account and label."""

    header: dict[str, Any]
    key: bytes = field(repr=False)
    sealed: dict[Name, str]


class Vault:
    """Secrets in one file, read anew at every call, so that several processes see each other's changes.

    Every method raises VaultError when the file cannot be trusted; then nothing in it is used and nothing is written.
    """

    def __init__(self, path: str | os.PathLike[str], master: MasterKey) -> None:
        self.path = Path(path)
        self._master = master

    @classmethod
    def create(cls, path: str | os.PathLike[str], master: MasterKey) -> Vault:
        """A new, empty vault. Raises VaultError when there is a file already: it is never overwritten."""
        vault = cls(path, master)
        with vault._locked():
            if vault.path.exists():
                raise VaultError(f"there is a file {vault.path} already; it was left as it is")
            vault._write(_new(master, {}))
        return vault

    def names(self) -> list[Name]:
        """The account and label of every secret."""
        return sorted(self._read().sealed)

    def get(self, account: str, label: str) -> Secret:
        """One secret. Raises NotFound."""
        content = self._read()
        if (account, label) not in content.sealed:
            raise NotFound(f"the vault has no secret {account}/{label}", hint="`gateway vault check` lists them")
        return Secret(self._open(content, (account, label)))

    def put(self, account: str, label: str, secret: Secret) -> None:
        """Keep a secret, in the place of one of the same name."""
        if not account or not label:
            raise VaultError("a secret is kept under an account and a label")
        with self._locked():
            content = self._read()
            name = (account, label)
            content.sealed[name] = seal(content.key, secret.encode(), _purpose(content.header["id"], name))
            self._write(content)

    def remove(self, account: str, label: str) -> None:
        """Forget a secret. Raises NotFound."""
        with self._locked():
            content = self._read()
            if content.sealed.pop((account, label), None) is None:
                raise NotFound(f"the vault has no secret {account}/{label}")
            self._write(content)

    def rekey(self, master: MasterKey) -> None:
        """Seal everything anew, with a new key of the vault's own under another master key."""
        with self._locked():
            content = self._read()
            opened = {name: self._open(content, name) for name in content.sealed}
            self._write(_new(master, opened))
        self._master = master

    def check(self) -> int:
        """Open every secret, and throw it away again. How many there are."""
        content = self._read()
        for name in content.sealed:
            self._open(content, name)
        return len(content.sealed)

    # The file

    def _read(self) -> _Content:
        return self._opened(_parsed(self._bytes(), self.path))

    def _bytes(self) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise VaultError(f"there is no vault {self.path}", hint="`gateway vault init` makes one") from None
        except OSError as error:
            raise VaultError(f"the vault {self.path} cannot be opened: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if status.st_mode & 0o077:
                raise VaultError(f"the vault {self.path} can be read by others", hint=f"chmod 600 {self.path}")
            if status.st_uid != os.geteuid():
                raise VaultError(f"the vault {self.path} belongs to another user")
            if status.st_size > _LARGEST:
                raise VaultError(f"the vault {self.path} is larger than a vault can be")
            return file.read()

    def _opened(self, lines: list[dict[str, Any]]) -> _Content:
        header, records, end = lines[0], lines[1:-1], lines[-1]
        try:
            kind = header["key"]["kind"]
            if kind != self._master.kind:
                raise VaultError(
                    f"the vault {self.path} is locked with a key of another kind: {kind}, not {self._master.kind}"
                )
            key = self._master.unwrap(header["key"])
        except WrongKey:
            raise VaultError(
                f"this is not the key of the vault {self.path}; nothing was changed",
                hint="the file is whole: find the key that it was made with",
            ) from None
        except (KeyError, TypeError) as error:
            raise _damaged(self.path, f"its header lacks something ({type(error).__name__})") from None
        try:
            content = _Content(header, key, {(row["account"], row["label"]): row["sealed"] for row in records})
        except (KeyError, TypeError):
            raise _damaged(self.path, "a record lacks something") from None
        try:
            unseal(key, end["seal"], end["sha256"].encode())
        except WrongKey:
            raise self._edited(content) from None
        return content

    def _edited(self, content: _Content) -> VaultError:
        """The checksum is right and the seal is not: what was changed?"""
        for name, sealed in content.sealed.items():
            for other in content.sealed:
                with suppress(WrongKey):
                    unseal(content.key, sealed, _purpose(content.header["id"], other))
                    if other != name:
                        return VaultError(
                            f"the vault {self.path} was edited: under {'/'.join(name)} stands the secret of "
                            f"{'/'.join(other)}; nothing of it is used",
                            hint="restore a backup",
                        )
        return VaultError(
            f"the vault {self.path} was edited by somebody without its key; nothing of it is used",
            hint="restore a backup",
        )

    def _open(self, content: _Content, name: Name) -> str:
        try:
            return unseal(content.key, content.sealed[name], _purpose(content.header["id"], name)).decode()
        except (WrongKey, UnicodeDecodeError):
            raise VaultError(
                f"the secret {'/'.join(name)} in the vault {self.path} does not open", hint="restore a backup"
            ) from None

    def _write(self, content: _Content) -> None:
        """Whole or not at all: a new file is written, synced and put in the old one's place."""
        records = [
            {"account": account, "label": label, "sealed": sealed}
            for (account, label), sealed in sorted(content.sealed.items())
        ]
        body = b"".join(map(_line, [content.header, *records]))
        checksum = hashlib.sha256(body).hexdigest()
        end = {"end": len(records), "seal": seal(content.key, b"", checksum.encode()), "sha256": checksum}
        made = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(body + _line(end))
                file.flush()
                os.fsync(descriptor)
            os.replace(made, self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                made.unlink()
            raise VaultError(
                f"the vault {self.path} cannot be written: {error.strerror}; it is as it was",
                hint="check the folder's permissions and the disk",
            ) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. The lock is a file of its own, because the vault's is replaced."""
        try:
            descriptor = os.open(
                self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise VaultError(
                f"the vault {self.path} cannot be locked: {error.strerror}", hint="check the folder's permissions"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _new(master: MasterKey, opened: dict[Name, str]) -> _Content:
    key, identity = secrets.token_bytes(KEY_BYTES), secrets.token_hex(16)
    header = {"vault": _VERSION, "id": identity, "key": {"kind": master.kind, **master.wrap(key)}}
    return _Content(
        header, key, {name: seal(key, text.encode(), _purpose(identity, name)) for name, text in opened.items()}
    )


def _purpose(vault: str, name: Name) -> bytes:
    """What a record is bound to. As JSON, because a separator could stand in a label."""
    return json.dumps([vault, *name]).encode()


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _parsed(content: bytes, path: Path) -> list[dict[str, Any]]:
    """The lines of a file that is whole. Needs no key."""
    if not content.endswith(b"\n"):
        raise _truncated(path)
    lines = content[:-1].split(b"\n")
    end = _object(lines[-1], path)
    if "end" not in end:
        raise _truncated(path)
    if set(end) != {"end", "seal", "sha256"} or end["end"] != len(lines) - 2:
        raise _damaged(path, "its last line does not belong to what stands before")
    if not all(isinstance(end[name], str) for name in ("seal", "sha256")):
        raise _damaged(path, "its last line is not as it was written")
    before = content[: len(content) - len(lines[-1]) - 1]
    if hashlib.sha256(before).hexdigest() != end["sha256"]:
        raise _damaged(path, "its checksum is another one")
    parsed = [*(_object(line, path) for line in lines[:-1]), end]
    if parsed[0].get("vault") != _VERSION:
        raise VaultError(f"the vault {path} is of a version that this one does not know", hint="use a newer one")
    return parsed


def _object(line: bytes, path: Path) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise _damaged(path, "a line is not as it was written") from None
    # Written in another way it would mean the same, and yet somebody has changed it.
    if not isinstance(data, dict) or _line(data) != line + b"\n":
        raise _damaged(path, "a line is not as it was written")
    return data


def _truncated(path: Path) -> VaultError:
    return VaultError(f"the vault {path} is truncated: its end is missing", hint="restore a backup")


def _damaged(path: Path, how: str) -> VaultError:
    return VaultError(f"the vault {path} is damaged or was edited: {how}; nothing was changed", hint="restore a backup")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
