"""Where API keys and their secrets are kept."""

from __future__ import annotations

from gateway.keyring.masterkeys import ExternalKey, MasterKey, Passphrase, RawKey
from gateway.keyring.vault import Vault

__all__ = ["ExternalKey", "MasterKey", "Passphrase", "RawKey", "Vault"]
