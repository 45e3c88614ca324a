"""An account's ring in a shop's folder, with the sandbox of Emirex as the provider."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from gateway import Gateway
from gateway.keyring import RawKey, Vault
from gateway.models.keys import ApiKey, KeyOrigin, NewKey, Permission
from gateway.secrets import Secret
from gateway.store import keys as store
from gateway.store.database import Database
from gateway.testing import SandboxServer, accounts_toml
from gateway_emirex.sandbox import EmirexSandbox

__all__ = ["Ring"]

numbers = itertools.count(1)


class Ring:
    """The shop's configuration, and what is in its ring and its vault."""

    def __init__(self, folder: Path, server: SandboxServer) -> None:
        sandbox = server.sandbox("emirex")
        assert isinstance(sandbox, EmirexSandbox)
        self.folder, self.server, self.provider = folder, server, sandbox
        self.master = secrets.token_hex(32)
        self.number = next(numbers)
        self.public, self.secret = f"public-{self.number}", f"canary-{secrets.token_hex(16)}"
        self.configure(auth={"kind": "ring"})
        Vault.create(folder / "its.vault", RawKey(Secret(self.master)))

    def configure(self, *, vault: str = "its.vault", account: str = "emirex", **changed: Any) -> None:
        (self.folder / "its.key").write_text(self.master, encoding="ascii")
        (self.folder / "its.key").chmod(0o600)
        accounts = self.server.accounts()
        accounts[account] |= changed
        table = f'\n[vault]\nat = "{vault}"\nkey_file = "its.key"\n' if vault else ""
        (self.folder / "gateway.toml").write_text(accounts_toml(accounts) + table, encoding="utf-8")

    def make(self, public: str | None = None, secret: str | None = None) -> None:
        """What the person does at the provider's page."""
        self.provider.add_key(public or self.public, secret or self.secret, permissions=["read", "withdraw"])

    def kept(self) -> list[ApiKey]:
        with Gateway(file=self.folder / "gateway.toml") as gateway:
            return [key for key in gateway.keys.list(account="emirex") if key.origin is not KeyOrigin.CONFIGURED]

    def secrets(self) -> set[str]:
        return {
            secret.reveal()
            for secret in Vault(self.folder / "its.vault", RawKey(Secret(self.master))).get_many().values()
        }

    def keep(self, label: str, **said: Any) -> str:
        """A key at the provider, and in the ring; its secret."""
        public, secret = f"public-{label}-{self.number}", f"canary-{secrets.token_hex(16)}"
        self.make(public, secret)
        parts = {"public_key": Secret(public), "secret": Secret(secret)}
        said = {"permissions": frozenset({Permission.WITHDRAW}), **said}
        with Gateway(file=self.folder / "gateway.toml") as gateway:
            gateway.keys.add(NewKey(label=label, parts=parts, **said), account="emirex")
        return secret

    def leave(self, label: str, secret: str) -> None:
        """A secret of no key, where that of the key would be."""
        Vault(self.folder / "its.vault", RawKey(Secret(self.master))).put("emirex", label, Secret(secret))

    def expire(self, label: str) -> None:
        """Its time has come."""
        gone = datetime.now(UTC) - timedelta(days=1)

        def work(connection: Connection) -> None:
            row = store.find(connection, "emirex", label, gone)
            store.change(connection, row, gone, expires_at=gone)

        with Database.open(f"sqlite:///{self.folder / 'gateway.db'}") as database:
            database.transaction(work)

    def reads(self) -> int:
        """How often the provider was asked for something that takes a key."""
        return sum(call.path.endswith("/balances") for call in self.server.requests["emirex"])

    def files(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.folder.iterdir() if file.is_file())
