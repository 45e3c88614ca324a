"""Two providers for one shop: `shop` is at one Aurpay, `backup` at another, `login` at the second with a third key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flows.world import World
from gateway.testing import SandboxServer
from gateway_aurpay.sandbox import AurpaySandbox
from support.colours import Opened
from support.virtual import VirtualClock

__all__ = ["Pair", "route"]


def route(*accounts: str, operation: str = "orders.create", **conditions: Any) -> dict[str, Any]:
    return {"operation": operation, "accounts": list(accounts), **conditions}


class Pair:
    """Use it inside `with`. `first` and `second` are the servers, `clock` the gateway's: pauses only move it."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.first = self.world.server
        self.aurpay = AurpaySandbox()
        self.second = SandboxServer([self.aurpay])
        self.clock = VirtualClock(datetime.now(UTC))

    def __enter__(self) -> Self:
        self.world.__enter__()
        self.second.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.second.stop()
        self.world.__exit__(kind, error, trace)

    def accounts(self, **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
        there = {"base_url": self.second.base_url("aurpay")}
        return self.world.accounts(
            **{**changes, "backup": there | changes.get("backup", {}), "login": there | changes.get("login", {})}
        )

    @contextlib.contextmanager
    def gateway(self, colour: str = "sync", **given: Any) -> Iterator[Opened]:
        given.setdefault("accounts", self.accounts())
        given.setdefault("routes", [route("shop", "backup")])
        given.setdefault("clock", self.clock)
        with self.world.gateway(colour, **given) as gw:
            yield gw

    def made(self) -> tuple[int, int]:
        """How many orders each of the two has."""
        return len(self.world.aurpay.orders()), len(self.aurpay.orders())

    def asked(self) -> tuple[int, int]:
        """How many orders each of the two was asked for."""
        there = [record for record in self.second.requests["aurpay"] if record.method == "POST"]
        return self.world.creations(), len([record for record in there if record.path.startswith("/api/order/pay-")])
