"""Where API keys and their secrets are kept."""

from __future__ import annotations

from gateway.keyring.masterkeys import ExternalKey, MasterKey, Passphrase, RawKey
from gateway.keyring.storages import FileStorage, Storage, StoreStorage
from gateway.keyring.vault import Vault

__all__ = ["ExternalKey", "FileStorage", "MasterKey", "Passphrase", "RawKey", "Storage", "StoreStorage", "Vault"]
