"""Where a vault's bytes are: in a file of their own, or in the gateway's store. Neither knows what is in them."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gateway.errors import Outcome, VaultError

if TYPE_CHECKING:
    from gateway.store.database import Database

__all__ = ["LARGEST", "WAIT", "FileStorage", "Storage", "StoreStorage"]

LARGEST = 16 * 2**20
"""Bytes that a vault can have."""

WAIT = 30.0
"""Seconds that a change waits for other writers, unless it says otherwise."""

_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.05

_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{16}")

_MAKE = "bring it back where there was one: the secrets are in no other; else `gateway vault init` makes one"


class Storage(Protocol):
    """One place for a vault. Every method raises VaultError when it cannot be used; then it is as it was, unless the
    error's outcome is UNKNOWN: the change was made, and may be lost again.
    """

    @property
    def name(self) -> str:
        """Where it is, for messages: what stands after "the vault"."""
        ...

    def read(self) -> bytes:
        """What is there now. Raises VaultError when there is no vault."""
        ...

    def create(self, content: bytes) -> None:
        """The first content. Raises VaultError when there is something already: it is never overwritten."""
        ...

    def change(self, work: Callable[[bytes], bytes], timeout: float = WAIT) -> None:
        """Put what `work` makes of the present content in its place, whole or not at all, with no other writer between.

        `work` may be called again with newer content; when it raises, nothing is changed. Waits `timeout` seconds at
        most for other writers, then raises VaultError.
        """
        ...


class FileStorage:
    """A file that only its owner can read; refused when others can."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise VaultError(f"there is no vault {self.path}", hint=_MAKE) from None
        except OSError as error:
            raise VaultError(f"the vault {self.path} cannot be opened: {error.strerror}") from None
        try:
            with open(descriptor, "rb") as file:
                self._require_own(os.fstat(descriptor))
                return file.read()
        except OSError as error:  # such as a folder
            raise VaultError(f"the vault {self.path} cannot be read: {error.strerror}") from None

    def _require_own(self, status: os.stat_result) -> None:
        if status.st_mode & 0o077:
            raise VaultError(f"the vault {self.path} can be read by others", hint=f"chmod 600 {self.path}")
        if status.st_uid != os.geteuid():
            raise VaultError(f"the vault {self.path} belongs to another user")
        if status.st_size > LARGEST:
            raise VaultError(f"the vault {self.path} is larger than a vault can be")

    def create(self, content: bytes) -> None:
        with self._locked():
            if os.path.lexists(self.path):
                raise VaultError(f"there is a file {self.path} already; it was left as it is")
            self._write(content)

    def change(self, work: Callable[[bytes], bytes], timeout: float = WAIT) -> None:
        with self._locked(timeout):
            self._write(work(self.read()))

    def _write(self, content: bytes) -> None:
        """Whole or not at all: a new file is written, synced and put in the old one's place. What a writer that was
        killed has left half-written is removed; only who holds the lock writes.
        """
        for left in self.path.parent.glob(f".{glob.escape(self.path.name)}.*"):
            if _HALF_WRITTEN.fullmatch(left.name.removeprefix(f".{self.path.name}")):
                with suppress(OSError):
                    left.unlink()
        made = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(made, self.path)
        except BaseException as error:
            with suppress(OSError):
                made.unlink()
            if not isinstance(error, OSError):
                raise
            raise VaultError(
                f"the vault {self.path} cannot be written: {error.strerror}; it is as it was",
                hint="check the folder's permissions and the disk",
            ) from None
        try:
            _sync_folder(self.path.parent)
        except OSError as error:
            raise VaultError(
                f"the vault {self.path} was changed, but the disk did not confirm it ({error.strerror}): after a power "
                "cut it may be as it was before",
                outcome=Outcome.UNKNOWN,
                hint="keep the old key and the new one, until `gateway vault check` opens it after a restart",
            ) from None

    @contextmanager
    def _locked(self, timeout: float = WAIT) -> Iterator[None]:
        """One writer at a time. The lock is a file of its own, because the vault's is replaced."""
        until, pause = time.monotonic() + timeout, _FIRST_LOOK
        try:
            descriptor = os.open(
                self.path.with_name(self.path.name + ".lock"),
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )
        except OSError as error:
            raise VaultError(
                f"the vault {self.path} cannot be locked: {error.strerror}", hint="check the folder's permissions"
            ) from None
        try:
            while not _taken(descriptor):
                left = until - time.monotonic()
                if left <= 0:
                    raise _busy(self.name, timeout)
                time.sleep(min(pause, left))  # flock has no time-out of its own
                pause = min(_LONGEST_LOOK, pause * 2)
            yield
        finally:
            os.close(descriptor)


class StoreStorage:
    """One row of the gateway's store. `database` gives the store whenever it is needed. The store's own failures are
    StoreErrors.

    A change is made outside a transaction, because a key service may be asked meanwhile, and is taken only when the row
    is still the one that it was made from: otherwise it is made anew from what another process has written.
    """

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    @property
    def name(self) -> str:
        return f"in the store {self._database().name}"

    def read(self) -> bytes:
        from gateway.store import vaults

        content = self._database().read(vaults.read)
        if content is None:
            raise VaultError(f"there is no vault {self.name}", hint=_MAKE)
        if len(content) > LARGEST:
            raise VaultError(f"the vault {self.name} is larger than a vault can be")
        return content

    def create(self, content: bytes) -> None:
        from gateway.store import vaults

        now = datetime.now(UTC)
        if not self._database().transaction(lambda connection: vaults.create(connection, content, now)):
            raise VaultError(f"there is a vault {self.name} already; it was left as it is")

    def change(self, work: Callable[[bytes], bytes], timeout: float = WAIT) -> None:
        until = time.monotonic() + timeout
        while not self._changed(work):  # another writer was first, so one of them got on
            if time.monotonic() >= until:
                raise _busy(self.name, timeout)

    def _changed(self, work: Callable[[bytes], bytes]) -> bool:
        from gateway.store import vaults

        before = self.read()
        after, now = work(before), datetime.now(UTC)
        return self._database().transaction(lambda connection: vaults.replace(connection, before, after, now))


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _busy(name: str, timeout: float) -> VaultError:
    return VaultError(
        f"somebody else is changing the vault {name}, for longer than the {timeout:.3g} s that were left; it was left "
        "as it is",
        retryable=True,
        hint="repeat the call",
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
