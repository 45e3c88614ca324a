"""What the demo plays on: sandboxes of the installed providers on loopback, accounts at them, and a store of its own.

Providers are named here, as in a shop's configuration, and in the chapters about what only one of them has.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from gateway import Gateway, Order
from gateway.errors import ConfigurationError
from gateway.testing import Payment, Sandbox, SandboxOrder, SandboxServer, installed_sandboxes

__all__ = ["BACKUP", "CARDS", "KIOSK", "SHOP", "TREASURY", "Stage", "own_environment"]

SHOP, BACKUP, KIOSK, CARDS, TREASURY = "shop", "backup", "kiosk", "cards", "treasury"

_NOTHING_INFERRED_IS_LIVE = ("wallets.list", "trades.create", "trades.cancel", "trades.get", "trades.open")
"""Allowed here although nobody has been seen making these calls: against our own sandbox they can do no harm."""


@contextmanager
def own_environment() -> Iterator[None]:
    """Hide the user's `GATEWAY_…` variables: they would change accounts, store and plugins of this process."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("GATEWAY_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


class Stage:
    """Use it inside `with`. Leaving it stops the sandboxes and removes the store; nothing else is touched.

    `sandboxes` replaces those that are installed.
    """

    def __init__(self, sandboxes: Sequence[Sandbox] | None = None) -> None:
        self.server = SandboxServer(installed_sandboxes() if sandboxes is None else sandboxes)
        self.accounts: dict[str, dict[str, Any]] = {}
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-"))
            self.folder = Path(folder)
            self.store = f"sqlite:///{self.folder / 'gateway.db'}"
            opened.enter_context(self.server)
            self.accounts = self._accounts()
            self._exits = opened.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._exits.close()

    def _accounts(self) -> dict[str, dict[str, Any]]:
        """Five accounts at the built-in providers, and one at every further provider that is installed."""
        limits = {"per_withdrawal": "0.001 BTC"}
        table = {
            SHOP: {**self._account("aurpay"), "limits": limits},
            BACKUP: self._account("aurpay", auth="signature"),
            KIOSK: self._account("aurpay", auth="login"),
            CARDS: self._account("aurex"),
            TREASURY: {**self._account("emirex"), "allow_inferred": list(_NOTHING_INFERRED_IS_LIVE)},
        }
        known = {settings["provider"] for settings in table.values()}
        return table | {name: self.server.account(name) for name in self.server.names if name not in known}

    def _account(self, provider: str, **flavour: str) -> dict[str, Any]:
        """The settings of an account at this sandbox, which admits all flavours of authentication at once."""
        if provider not in self.server.names:
            raise ConfigurationError(
                f"this demo needs the provider {provider}, and it is not installed",
                hint="`gateway providers` shows what is installed, and what failed to load",
            )
        settings = self.server.account(provider)
        if flavour:
            kind: Any = type(self.server.sandbox(provider))
            settings |= kind(**flavour).account(self.server.base_url(provider))
        return settings

    def open(self, routes: Sequence[Mapping[str, Any]] = ()) -> Gateway:
        """A gateway on the store of this stage, as a process that was started with these routes has it."""
        return Gateway(accounts=self.accounts, store=self.store, routes=routes)

    # Playing the provider's and the payer's part

    def provider(self, account: str) -> str:
        return str(self.accounts[account]["provider"])

    def order(self, account: str, provider_id: str | None) -> SandboxOrder:
        """The order as its sandbox has it, whose control may know it by the last part of the gateway's number."""
        name = self.provider(account)
        return self.server.order(name, (provider_id or "").rpartition("/")[2])

    def pay(self, order: Order, how: Payment = Payment.EXACT) -> None:
        """The payer pays the order's latest attempt."""
        last = order.attempts[-1]
        self.server.pay(self.provider(last.account), self.order(last.account, last.provider_id).id, how)

    def expire(self, order: Order) -> None:
        last = order.attempts[-1]
        self.server.expire(self.provider(last.account), self.order(last.account, last.provider_id).id)

    # What the provider saw

    def requests(self, account: str) -> int:
        """How many requests have reached the account's sandbox so far."""
        return len(self.server.requests[self.provider(account)])

    def ledger(self, account: str) -> dict[str, Any]:
        """The books of the account's sandbox, in the provider's own words."""
        return self.server.ledger(self.provider(account))
