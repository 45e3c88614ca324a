"""What the story `keys` plays on: three accounts that work with key rings, a vault, and one clock for everybody, which
moves only when it is told to or when something waits.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway import Gateway
from gateway.cli.demo.stage import CARDS, KIOSK, SHOP, TREASURY, Stage
from gateway.keyring import RawKey, Vault
from gateway.secrets import Secret
from gateway.testing import SandboxClock, SandboxServer

__all__ = ["ELSEWHERE", "HERE", "Rings", "StillClock", "rings"]

HERE, ELSEWHERE = "127.0.0.1", "203.0.113.9"
"""The address that the sandboxes see calls come from, and another one."""
_PROVIDERS = {TREASURY: "emirex", CARDS: "aurex", SHOP: "aurpay", KIOSK: "aurpay"}


class StillClock(SandboxClock):
    """The gateway's time and the sandboxes'. Whoever waits for time moves it."""

    def __init__(self) -> None:
        super().__init__()
        self._start = datetime.now(UTC).replace(microsecond=0)
        self._passed = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._passed += seconds


class Rings:
    """The sandboxes, the vault, and gateways on one store. `sandboxes` are by account, for the provider's part."""

    def __init__(self, stage: Stage, clock: StillClock, server: SandboxServer) -> None:
        self._stage, self.clock, self.server = stage, clock, server
        self.sandboxes: dict[str, Any] = {name: server.sandbox(kind) for name, kind in _PROVIDERS.items()}
        self.vault_file = stage.folder / "gateway.vault"
        self.master_key = RawKey(Secret(secrets.token_hex(32)))

    def open(self, egress: str) -> Gateway:
        """A gateway that comes from this address, as its configuration says."""
        accounts = {name: {**self.server.account(kind), "auth": {"kind": "ring"}} for name, kind in _PROVIDERS.items()}
        return Gateway(
            accounts=accounts,
            store=self._stage.store,
            vault={"at": str(self.vault_file)},
            vault_key=self.master_key,
            egress=egress,
            clock=self.clock,
            sleep=self.clock.advance,
        )

    def vault(self) -> Vault:
        return Vault(self.vault_file, self.master_key)

    def provider(self, account: str) -> str:
        return _PROVIDERS[account]

    def requests(self, account: str) -> int:
        """How many requests have reached the account's sandbox so far."""
        return len(self.server.requests[_PROVIDERS[account]])

    def statuses(self, account: str, since: int) -> set[int | None]:
        """What the requests after the first so many were answered with."""
        return {request.status for request in self.server.requests[_PROVIDERS[account]][since:]}

    def logins(self, account: str) -> int:
        """How often a key was asked for."""
        return sum(request.path.endswith("/plugin/key/aurpay") for request in self.server.requests[_PROVIDERS[account]])

    def on_disk(self) -> bytes:
        """All that this stage has written: the vault and the store."""
        return b"".join(path.read_bytes() for path in sorted(self._stage.folder.iterdir()) if path.is_file())


@contextmanager
def rings(stage: Stage) -> Iterator[Rings]:
    """Sandboxes of their own, because time stands still for them."""
    clock = StillClock()
    emirex, aurex, aurpay = (_like(stage, account) for account in (TREASURY, CARDS, SHOP))
    sandboxes = [emirex(clock), aurex(clock, monotonic=clock.monotonic), aurpay(clock)]
    with SandboxServer(sandboxes) as server:
        yield Rings(stage, clock, server)


def _like(stage: Stage, account: str) -> Any:
    return type(stage.server.sandbox(stage.provider(account)))
