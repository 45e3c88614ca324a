"""What a secret in the configuration refers to: `env:NAME`, `file:PATH`, `vault:account/label`, or the text itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gateway.errors import GatewayError, VaultError
from gateway.secrets import is_text

# The vault is imported when a secret is in it: its cryptography is no part of a configuration without one.
if TYPE_CHECKING:
    from gateway.config import VaultSettings
    from gateway.keyring.masterkeys import MasterKey
    from gateway.keyring.vault import Vault
    from gateway.store.database import Database

__all__ = ["References", "not_configured", "resolve_secret"]


def resolve_secret(reference: str) -> str:
    """The text that a reference stands for: `env:NAME`, `file:PATH`, or the text itself. Raises ValueError, without
    it; also for `vault:account/label`, which needs the vault of a configuration (`References`).
    """
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = os.environ.get(rest)
        if not value:
            raise ValueError(f"the environment variable {rest} is not set")
        if not is_text(value):
            raise ValueError(f"the environment variable {rest} is no text in UTF-8")
        return value
    if kind == "file":
        return _in_file(rest)
    if kind == "vault":
        raise ValueError("cannot be in the vault: use env:NAME or file:PATH")
    return reference


def _in_file(path: str) -> str:
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        wrong = f"cannot be read ({type(error).__name__})"
    except ValueError:  # a UnicodeDecodeError has the whole file in it
        wrong = "is no text in UTF-8"
    else:
        if value:
            return value
        wrong = "is empty"
    raise ValueError(f"the file {path} {wrong}")


def not_configured() -> VaultError:
    return VaultError(
        "no vault is configured",
        hint="a [vault] table in the configuration says where it is; `gateway vault init` makes it",
    )


class References:
    """The secrets that one configuration refers to, and its vault, which is opened with the first of them, once.

    `settings` gives the vault's settings when they are needed, and raises when they are wrong. `key` wins over them.
    Until `hand_over`, a vault in the store is read through a connection of its own, which `close` closes, and what is
    wrong with the vault is found out once, not for every secret again.
    """

    def __init__(
        self, settings: Callable[[], VaultSettings | None], store: str, *, key: MasterKey | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._key = key
        self._vault: Vault | None = None
        self._own: Database | None = None
        self._given: Callable[[], Database] | None = None
        self._looked = False
        self._wrong: GatewayError | None = None
        self._lock = threading.Lock()

    def resolve(self, reference: str) -> str:
        """The text that a reference stands for. Raises ValueError, without it."""
        if not reference.startswith("vault:"):
            return resolve_secret(reference)
        account, _, label = reference.removeprefix("vault:").partition("/")
        if not account or not label:
            raise ValueError("expected vault:account/label")
        try:
            return self._readable().get(account, label).reveal()
        except GatewayError as error:
            wrong = error.message + (f" ({error.hint})" if error.hint else "")
        raise ValueError(wrong)

    def vault(self) -> Vault:
        """The configured vault; nothing of it has been read yet. Raises VaultError when there is none, or no key for
        it, and ConfigurationError when its settings are wrong.
        """
        with self._lock:
            if self._vault is None:
                from gateway.keyring.opening import configured

                settings = self._settings()
                if settings is None:
                    raise not_configured()
                self._vault = configured(settings, self._database, self._key)
            return self._vault

    def hand_over(self, database: Callable[[], Database]) -> None:
        """The configuration is read: from now on, a vault in the store is read through this."""
        self._given = database
        self.close()

    def close(self) -> None:
        """Close what was opened to read the configuration."""
        self._wrong, self._looked = None, False
        if self._own is not None:
            self._own.close()
            self._own = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _readable(self) -> Vault:
        if self._given is not None:
            return self.vault()
        if self._wrong is not None:
            raise self._wrong
        try:
            vault = self.vault()
            if not self._looked:
                vault.names()
                self._looked = True
        except GatewayError as error:
            self._wrong = error
            raise
        return vault

    def _database(self) -> Database:
        if self._given is not None:
            return self._given()
        if self._own is None:
            from gateway.store.database import Database

            self._own = Database.open(self._store, create=False)
        return self._own
