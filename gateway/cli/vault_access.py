"""What the commands of `gateway vault` have in common: where the vault is, what is typed, and what is noted of it.

None of it needs a configuration that is right in everything else: the secrets that it refers to may not be there yet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.actor import process_user
from gateway.cli.unseen import line_typed, typed_unseen
from gateway.config import DEFAULT_STORE, VaultSettings, vault_settings
from gateway.errors import GatewayError
from gateway.references import not_configured
from gateway.secrets import Secret

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.keyring import Storage
    from gateway.keyring.vault import Name

__all__ = ["configured", "entered", "noted", "storage_of"]


def configured(data: Mapping[str, Any]) -> VaultSettings:
    """The vault's settings. Raises ConfigurationError when there are none."""
    settings = vault_settings(data)
    if settings is None:
        raise not_configured()
    return settings


def entered(what: str, *, twice: bool = False) -> Secret:
    """A secret that a person types without seeing it; the first line of standard input where that is no terminal.

    Raises GatewayError when there is none, when it is no text, or when the second time it is another one.
    """
    if not sys.stdin.isatty():
        text = line_typed().rstrip("\r\n")
    else:
        text = typed_unseen(f"{what}: ")
        if twice and text and typed_unseen(f"{what}, once more: ") != text:
            raise GatewayError("the two are not the same: nothing was done")
    if not text:
        raise GatewayError(f"{what}: none was given, so nothing was done")
    return Secret(text)


@contextmanager
def storage_of(data: Mapping[str, Any], settings: VaultSettings, *, create: bool = False) -> Iterator[Storage]:
    """Where the vault is, whatever else is wrong with the configuration."""
    from gateway.keyring import FileStorage, StoreStorage
    from gateway.keyring.opening import IN_STORE

    if settings.at != IN_STORE:
        yield FileStorage(settings.at)
        return
    from gateway.store.database import Database

    with Database.open(str(data.get("store", DEFAULT_STORE)), create=create) as database:
        yield StoreStorage(lambda: database)


def noted(data: Mapping[str, Any], action: str, *, secret: Name | None = None, **detail: Any) -> bool:
    """Keep in the store's audit what was done. False where there is no store that can be used: none is made for it."""
    from gateway.store import audit
    from gateway.store.database import Database

    def work(connection: Connection) -> None:
        audit.note_vault(connection, action, actor=process_user(), now=datetime.now(UTC), secret=secret, detail=detail)

    try:
        with Database.open(str(data.get("store", DEFAULT_STORE)), create=False) as database:
            database.transaction(work)
    except GatewayError:
        return False
    return True
