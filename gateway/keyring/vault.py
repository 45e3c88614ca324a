"""The vault: secrets, each sealed for its account and label.

    {"id": …, "key": {…}, "vault": 1}                      whose own random key is wrapped by the master key
    {"account": …, "label": …, "sealed": …}                one a secret, sorted
    {"end": 2, "seal": …, "sha256": …}                     how many they are, and that nothing before was changed

The checksum tells a damaged vault from a wrong key without any key; the seal over it, which needs the key, tells an
edit by somebody who renewed the checksum. That the whole was put back to an older state cannot be seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import Conflict, NotFound, VaultError
from gateway.keyring.masterkeys import KEY_BYTES, MasterKey, WrongKey, seal, unseal
from gateway.keyring.storages import LARGEST, WAIT, FileStorage, Storage
from gateway.secrets import Secret

__all__ = ["Name", "Vault", "require_name"]

_VERSION = 1
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,129}", re.ASCII)

Name = tuple[str, str]
"""An account and a label; the label of a key's further part is `label.part`."""


@dataclass
class _Content:
    """What a vault holds, opened: the header, the vault's own key and the sealed texts by account and label."""

    header: dict[str, Any]
    key: bytes = field(repr=False)
    sealed: dict[Name, str]


class Vault:
    """Secrets in a file (its path) or in another storage, read anew at every call, so that several processes see each
    other's changes. Safe for many threads. A header's key is unwrapped once.

    Every method raises VaultError when what is there cannot be trusted; then nothing in it is used and nothing is
    written.
    """

    def __init__(self, at: str | os.PathLike[str] | Storage, master: MasterKey) -> None:
        self.storage: Storage = FileStorage(at) if isinstance(at, (str, os.PathLike)) else at
        self._master = master
        self._keys: dict[bytes, bytes] = {}
        self._unwrapping = threading.Lock()

    @classmethod
    def create(cls, at: str | os.PathLike[str] | Storage, master: MasterKey) -> Vault:
        """A new, empty vault. Raises VaultError when there is something already: it is never overwritten."""
        vault = cls(at, master)
        header, key = _new(master)
        vault.storage.create(_written(_Content(header, key, {})))
        vault._keys[_line(header)] = key
        return vault

    @property
    def name(self) -> str:
        """Where it is, for messages: what stands after "the vault"."""
        return self.storage.name

    def names(self) -> list[Name]:
        """The account and label of every secret."""
        return sorted(self._read().sealed)

    def get(self, account: str, label: str) -> Secret:
        """One secret. Raises NotFound."""
        return self.get_many([(account, label)])[account, label]

    def get_many(self, names: Iterable[Name] | None = None) -> dict[Name, Secret]:
        """These secrets, all of one state of the vault; without names, every secret. Raises NotFound."""
        content = self._read()
        names = sorted(content.sealed) if names is None else list(names)
        _require(content, names)
        return {name: Secret(self._open(content, name)) for name in names}

    def put(self, account: str, label: str, secret: Secret, *, replace: bool = True) -> None:
        """Keep a secret, in the place of one of the same name; without `replace`, one that is there raises Conflict."""
        self.put_many({(account, label): secret}, replace=replace)

    def put_many(
        self,
        secrets: Mapping[Name, Secret],
        *,
        replace: bool = True,
        timeout: float = WAIT,
        at_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep these secrets, each in the place of one of the same name: all of them or, when it fails, none. Without
        `replace`, one that is there raises Conflict. Waits `timeout` seconds at most for other writers; once none is
        left, `at_turn` is called, perhaps several times, and nothing is changed when it raises.
        """
        for name in secrets:
            require_name(name)
        empty = next((name for name, secret in secrets.items() if not secret), None)
        if empty is not None:
            raise VaultError(f"the secret for {'/'.join(empty)} is empty")

        def change(content: _Content) -> None:
            at_turn()
            there = sorted(set(secrets) & set(content.sealed))
            if there and not replace:
                raise Conflict(
                    f"the vault {self.name} has a secret {', '.join(map('/'.join, there))} already; nothing was changed"
                )
            for name, secret in secrets.items():
                content.sealed[name] = seal(content.key, secret.encode(), _purpose(content.header["id"], name))

        self._change(change, timeout)

    def remove(self, account: str, label: str) -> None:
        """Forget a secret. Raises NotFound."""
        self.remove_many([(account, label)])

    def remove_many(self, names: Iterable[Name], *, timeout: float = WAIT) -> None:
        """Forget these secrets: all of them or, when it fails, none. Raises NotFound when one is not there. Waits
        `timeout` seconds at most for other writers.
        """
        names = set(names)

        def change(content: _Content) -> None:
            _require(content, names)
            for name in names:
                del content.sealed[name]

        self._change(change, timeout)

    def rekey(self, master: MasterKey) -> None:
        """Seal everything anew, with a new key of the vault's own under another master key.

        At every moment the vault opens with exactly one of the two.
        """
        header, key = _new(master)
        self._keys[_line(header)] = key  # before it is written: another thread may read it at once

        def anew(before: bytes) -> bytes:
            content = self._opened(before)
            sealed = {
                name: seal(key, self._open(content, name).encode(), _purpose(header["id"], name))
                for name in content.sealed
            }
            return self._fits(_Content(header, key, sealed))

        self.storage.change(anew)
        self._master = master

    def check(self) -> int:
        """Open every secret, and throw it away again. How many there are."""
        return len(self.get_many())

    def _read(self) -> _Content:
        return self._opened(self.storage.read())

    def _change(self, change: Callable[[_Content], None], timeout: float) -> None:
        def work(before: bytes) -> bytes:
            content = self._opened(before)
            change(content)
            return self._fits(content)

        self.storage.change(work, timeout)

    def _fits(self, content: _Content) -> bytes:
        written = _written(content)
        if len(written) > LARGEST:
            raise VaultError(f"the vault {self.name} would be larger than a vault can be; it is as it was")
        return written

    def _opened(self, whole: bytes) -> _Content:
        lines = _parsed(whole, self.name)
        header, records, end = lines[0], lines[1:-1], lines[-1]
        key = self._key(header)
        content = _Content(header, key, {(row["account"], row["label"]): row["sealed"] for row in records})
        try:
            unseal(key, end["seal"], end["sha256"].encode())
        except WrongKey:
            raise self._edited(content) from None
        return content

    def _key(self, header: dict[str, Any]) -> bytes:
        """The vault's own key. Unwrapping it takes a passphrase a part of a second, and a service a call."""
        written = _line(header)
        with self._unwrapping:
            if written not in self._keys:
                self._keys[written] = self._unwrap(header)
            return self._keys[written]

    def _unwrap(self, header: dict[str, Any]) -> bytes:
        try:
            kind = header["key"]["kind"]
            if kind != self._master.kind:
                raise VaultError(
                    f"the vault {self.name} is locked with a key of another kind: {kind}, not {self._master.kind}"
                )
            return self._master.unwrap(header["key"])
        except WrongKey:
            raise VaultError(
                f"this is not the key of the vault {self.name}; nothing was changed",
                hint="the vault is whole: find the key that it was made with",
            ) from None
        except (KeyError, TypeError) as error:
            raise _damaged(self.name, f"its header lacks something ({type(error).__name__})") from None

    def _edited(self, content: _Content) -> VaultError:
        """The checksum is right and the seal is not: what was changed?"""
        for name, sealed in content.sealed.items():
            for other in content.sealed:
                with suppress(WrongKey):
                    unseal(content.key, sealed, _purpose(content.header["id"], other))
                    if other != name:
                        return VaultError(
                            f"the vault {self.name} was edited: under {'/'.join(name)} stands the secret of "
                            f"{'/'.join(other)}; nothing of it is used",
                            hint="restore a backup",
                        )
        return VaultError(
            f"the vault {self.name} was edited by somebody without its key; nothing of it is used",
            hint="restore a backup",
        )

    def _open(self, content: _Content, name: Name) -> str:
        try:
            return unseal(content.key, content.sealed[name], _purpose(content.header["id"], name)).decode()
        except (WrongKey, UnicodeDecodeError):
            pass  # an error in decoding holds the secret, and would be the context of one that is raised here
        raise VaultError(f"the secret {'/'.join(name)} in the vault {self.name} does not open", hint="restore a backup")


def require_name(name: Name) -> None:
    """Raises VaultError when a secret cannot be kept under this name."""
    if not all(map(_WORD.fullmatch, name)):
        # What was given is not shown: it may be a secret in the wrong place.
        raise VaultError(
            "a secret is kept under an account and a label", hint="letters (A-Z, a-z), digits, '-', '_' and '.'"
        )


def _new(master: MasterKey) -> tuple[dict[str, Any], bytes]:
    """A header, and the new key that it holds wrapped. Tried out, because nobody could open the vault otherwise."""
    key, identity = secrets.token_bytes(KEY_BYTES), secrets.token_hex(16)
    wrapped = master.wrap(key)
    try:
        opens = master.unwrap(wrapped) == key
    except WrongKey:
        opens = False
    if not opens:
        raise VaultError("the master key does not open what it has locked; nothing was changed")
    return {"vault": _VERSION, "id": identity, "key": {"kind": master.kind, **wrapped}}, key


def _require(content: _Content, names: Iterable[Name]) -> None:
    missing = sorted(set(names) - set(content.sealed))
    if missing:
        raise NotFound(
            f"the vault has no secret {', '.join(map('/'.join, missing))}", hint="`gateway vault check` lists them"
        )


def _written(content: _Content) -> bytes:
    records = [
        {"account": account, "label": label, "sealed": sealed}
        for (account, label), sealed in sorted(content.sealed.items())
    ]
    body = b"".join(map(_line, [content.header, *records]))
    checksum = hashlib.sha256(body).hexdigest()
    return body + _line({"end": len(records), "seal": seal(content.key, b"", checksum.encode()), "sha256": checksum})


def _purpose(vault: str, name: Name) -> bytes:
    """What a record is bound to. As JSON, because a separator could stand in a label."""
    return json.dumps([vault, *name]).encode()


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _parsed(content: bytes, where: str) -> list[dict[str, Any]]:
    """The lines of a vault that is whole. Needs no key."""
    if not content.endswith(b"\n"):
        raise _truncated(where)
    lines = content[:-1].split(b"\n")
    end = _object(lines[-1], where)
    if "end" not in end:
        raise _truncated(where)
    if set(end) != {"end", "seal", "sha256"} or end["end"] != len(lines) - 2:
        raise _damaged(where, "its last line does not belong to what stands before")
    if not _are_texts(end, ("seal", "sha256")):
        raise _damaged(where, "its last line is not as it was written")
    before = content[: len(content) - len(lines[-1]) - 1]
    if hashlib.sha256(before).hexdigest() != end["sha256"]:
        raise _damaged(where, "its checksum is another one")
    parsed = [*(_object(line, where) for line in lines[:-1]), end]
    if parsed[0].get("vault") != _VERSION:
        raise VaultError(f"the vault {where} is of a version that this one does not know", hint="use a newer one")
    if not _are_texts(parsed[0], ("id",)):
        raise _damaged(where, "its header lacks something")
    if not all(_are_texts(record, ("account", "label", "sealed")) for record in parsed[1:-1]):
        raise _damaged(where, "a record lacks something")
    return parsed


def _are_texts(data: dict[str, Any], names: tuple[str, ...]) -> bool:
    return all(isinstance(data.get(name), str) for name in names)


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise _damaged(where, "a line is not as it was written") from None
    # Written in another way it would mean the same, and yet somebody has changed it.
    if not isinstance(data, dict) or _line(data) != line + b"\n":
        raise _damaged(where, "a line is not as it was written")
    return data


def _truncated(where: str) -> VaultError:
    return VaultError(f"the vault {where} is truncated: its end is missing", hint="restore a backup")


def _damaged(where: str, how: str) -> VaultError:
    return VaultError(
        f"the vault {where} is damaged or was edited: {how}; nothing was changed", hint="restore a backup"
    )
