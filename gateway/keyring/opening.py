"""The vault that the settings describe: where it is, and what opens it."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.errors import VaultError
from gateway.keyring.masterkeys import MasterKey, Passphrase, RawKey
from gateway.keyring.storages import FileStorage, Storage, StoreStorage
from gateway.keyring.vault import Vault
from gateway.secrets import Secret, is_text

if TYPE_CHECKING:
    from gateway.config import VaultSettings
    from gateway.store.database import Database

T = TypeVar("T")
K = TypeVar("K")

__all__ = ["IN_STORE", "VARIABLE", "configured", "external", "key_in_variable", "master_key", "storage"]

IN_STORE = "store"
"""What `at` says of a vault that is in the store."""

VARIABLE = "GATEWAY_VAULT_KEY"
"""The environment variable with the master key of a vault whose settings name none."""


def configured(settings: VaultSettings, database: Callable[[], Database], key: MasterKey | None = None) -> Vault:
    """The vault of these settings; nothing of it is read. `key` wins over theirs. Raises VaultError."""
    return Vault(storage(settings, database), key or master_key(settings))


def storage(settings: VaultSettings, database: Callable[[], Database]) -> Storage:
    """Where the vault is. `database` gives the store when the vault is in it and used."""
    return StoreStorage(database) if settings.at == IN_STORE else FileStorage(settings.at)


def master_key(settings: VaultSettings) -> MasterKey:
    """What opens it. Raises VaultError, which names the setting."""
    if settings.key is not None:
        return _named("vault.key", RawKey, settings.key)
    if settings.key_file is not None:
        return _named("vault.key_file", RawKey.from_file, settings.key_file)
    if settings.passphrase is not None:
        return _named("vault.passphrase", Passphrase, settings.passphrase)
    if settings.external is not None:
        return _named("vault.external", external, settings.external)
    if not os.environ.get(VARIABLE):
        raise VaultError(
            "no key for the vault is configured",
            hint=f"one of key, key_file, passphrase and external in [vault], or the environment variable {VARIABLE}",
        )
    return key_in_variable(VARIABLE)


def key_in_variable(name: str) -> RawKey:
    """The key in an environment variable. Raises VaultError."""
    text = os.environ.get(name)
    if not text:
        raise VaultError(f"the environment variable {name} is not set")
    if not is_text(text):
        raise VaultError(f"the environment variable {name} is no text in UTF-8")
    return _named(name, RawKey, Secret(text))


def external(name: str) -> MasterKey:
    """What `module:attribute` names: a master key, such as an `ExternalKey`, or a callable that returns one. Raises
    VaultError.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise VaultError("expected module:attribute, which names an ExternalKey or a callable that returns one")
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        if isinstance(found, type) or not _is_master_key(found):
            found = found()
    except VaultError:
        raise
    except Exception as error:
        # Not its text, and not as the context either: what was asked for a key can say anything.
        found, wrong = None, type(error).__name__
    if found is None:
        raise VaultError(
            f"{name} cannot be used: {wrong}",
            hint="the module has to be importable here: installed, or in a folder of PYTHONPATH",
        )
    if not _is_master_key(found):
        raise VaultError(f"{name} gives no master key", hint="such as gateway.keyring.ExternalKey(wrap, unwrap)")
    key: MasterKey = found
    return key


def _is_master_key(found: Any) -> bool:
    return isinstance(getattr(found, "kind", None), str) and all(
        callable(getattr(found, name, None)) for name in ("wrap", "unwrap")
    )


def _named(place: str, make: Callable[[T], K], value: T) -> K:
    try:
        return make(value)
    except VaultError as error:
        message, hint = error.message, error.hint
    raise VaultError(f"{place}: {message}", hint=hint)
