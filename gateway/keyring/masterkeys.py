"""What a vault is locked with. A master key only wraps the vault's own random key, so it can be changed, or kept by a
service that never gives it out.

What else was raised is never the context of an error here, which is raised after it was dealt with: a service's words
may hold a key, and an error in decoding holds what was decoded.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.errors import VaultError
from gateway.secrets import Secret

__all__ = ["ExternalKey", "MasterKey", "Passphrase", "RawKey", "WrongKey"]

KEY_BYTES = 32
NONCE_BYTES = 12
_PURPOSE = b"crypto-gateway vault: the vault's own key"

# RFC 7914 and what OWASP asks for at least (2^17, 8, 1): 128 MiB for a part of a second.
_SCRYPT = {"n": 2**17, "r": 8, "p": 1}
_MOST_MEMORY = 2**30


class WrongKey(Exception):
    """This key does not open what was wrapped."""


class MasterKey(Protocol):
    """One way to wrap the vault's own key."""

    @property
    def kind(self) -> str:
        """What the vault's header says of it, so that another kind is told apart from a wrong key."""
        ...

    def wrap(self, key: bytes) -> dict[str, Any]:
        """The key, wrapped: JSON-able data that may be read by anybody."""
        ...

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        """The key again. Raises WrongKey."""
        ...


class RawKey:
    """32 bytes, written as 64 hex digits or in Base64: `openssl rand -hex 32` makes one."""

    kind = "raw"

    def __init__(self, text: Secret) -> None:
        self._key = _read(text.reveal().strip())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled or copied to disk")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> RawKey:
        """The key in a file that only this user can read. Raises VaultError."""
        try:
            mode = Path(path).stat().st_mode
            text = Path(path).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            wrong = type(error).__name__
        else:
            if mode & 0o077:
                raise VaultError(f"the key file {path} can be read by others", hint=f"chmod 600 {path}")
            return cls(Secret(text))
        raise VaultError(f"the key file {path} cannot be read ({wrong})")

    def wrap(self, key: bytes) -> dict[str, Any]:
        """As `MasterKey.wrap`."""
        return {"sealed": seal(self._key, key, _PURPOSE)}

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        """As `MasterKey.unwrap`."""
        return unseal(self._key, wrapped["sealed"], _PURPOSE)


class Passphrase:
    """A text that a person remembers; scrypt makes guessing it expensive."""

    kind = "passphrase"

    def __init__(self, text: Secret, *, n: int = _SCRYPT["n"]) -> None:
        if not text:
            raise VaultError("a passphrase is not empty")
        self._text = text
        self._cost = {**_SCRYPT, "n": n}

    def wrap(self, key: bytes) -> dict[str, Any]:
        """As `MasterKey.wrap`."""
        salt = os.urandom(16)
        cost = self._cost
        made = self._derive(salt, cost)
        return {**cost, "salt": base64.b64encode(salt).decode(), "sealed": seal(made, key, _PURPOSE)}

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        """As `MasterKey.unwrap`."""
        cost = {name: wrapped[name] for name in _SCRYPT}
        n, r, p = cost["n"], cost["r"], cost["p"]
        # Numbers that somebody wrote into the file must not make this machine run out of memory.
        if not (n >= 2 and n & (n - 1) == 0 and 0 < r <= 64 and 0 < p <= 16 and 128 * n * r <= _MOST_MEMORY):
            raise VaultError("the vault's header asks for a cost of scrypt that is out of bounds")
        return unseal(self._derive(unbase64(wrapped["salt"]), cost), wrapped["sealed"], _PURPOSE)

    def _derive(self, salt: bytes, cost: Mapping[str, int]) -> bytes:
        return Scrypt(salt=salt, length=KEY_BYTES, **cost).derive(self._text.encode())


class ExternalKey:
    """A key that a service keeps, such as a cloud's KMS. `wrap` and `unwrap` take and give bytes, and raise whatever
    they raise when the service refuses or cannot be reached; only the kind of that is told.
    """

    kind = "external"

    def __init__(self, wrap: Callable[[bytes], bytes], unwrap: Callable[[bytes], bytes]) -> None:
        self._wrap, self._unwrap = wrap, unwrap

    def wrap(self, key: bytes) -> dict[str, Any]:
        """As `MasterKey.wrap`."""
        try:
            return {"sealed": base64.b64encode(self._wrap(key)).decode()}
        except Exception as error:
            wrong = type(error).__name__
        raise _refused("lock", wrong)

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        """As `MasterKey.unwrap`."""
        sealed = unbase64(wrapped["sealed"])
        try:
            key = bytes(self._unwrap(sealed))
        except Exception as error:
            wrong = type(error).__name__
        else:
            if len(key) != KEY_BYTES:
                raise WrongKey("the service gave a key of another length")
            return key
        raise _refused("unlock", wrong)


def _refused(what: str, wrong: str) -> VaultError:
    # Whether it is the wrong key, no permission or no network, only the service's own words tell, which may hold a key.
    return VaultError(
        f"the service that keeps the vault's master key did not {what} the vault ({wrong}); nothing was changed",
        hint="see what the service says, and whether it may be reached from here with the right key",
    )


def seal(key: bytes, content: bytes, purpose: bytes) -> str:
    """AES-256-GCM with a random nonce (NIST SP 800-38D, 8.2.2), as Base64 of nonce and ciphertext. `purpose` is bound
    to it.
    """
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, content, purpose)).decode()


def unseal(key: bytes, sealed: str, purpose: bytes) -> bytes:
    """The content again. Raises WrongKey when the key, the content or the purpose is another one."""
    data = unbase64(sealed)
    if len(data) < NONCE_BYTES + 16:
        raise WrongKey("too short")
    try:
        return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose)
    except InvalidTag:
        pass
    raise WrongKey("it does not open")


def unbase64(text: str) -> bytes:
    """Strictly: a text that another one would also stand for is refused. Raises WrongKey."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = None
    if data is None:
        raise WrongKey("not Base64")
    if base64.b64encode(data).decode() != text:
        raise WrongKey("not the usual Base64")
    return data


def _read(text: str) -> bytes:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return bytes.fromhex(text)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        # What was written is not shown: it may be nearly the key.
        raise VaultError("the vault's key is 32 bytes, as 64 hex digits or in Base64", hint="openssl rand -hex 32")
    return key
