"""What is overdue is told by the doctor."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.checks import Level, store_writable
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer
from gateway_aurpay.sandbox import AurpaySandbox
from support.colours import opened
from support.virtual import VirtualClock
from watcher.days import cart


def test_the_doctor_says_what_nobody_polls(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'gateway.db'}"
    with (
        SandboxServer([AurpaySandbox()]) as server,
        opened(
            "sync",
            plugins=load_plugins(),
            accounts={"shop": server.account("aurpay")},
            store=store,
            clock=VirtualClock(),
        ) as gw,
    ):
        assert [finding.check for finding in store_writable(store) if finding.level is not Level.OK] == []
        gw.orders.create(cart("cart-1"), account="shop")
        gw.orders.create(cart("cart-2"), account="shop")
    (found,) = [finding for finding in store_writable(store) if finding.check == "polling"]
    assert found.level is Level.WARNING
    assert found.found == "overdue since 2025-06-01 12:00 UTC: 2 at shop (sandbox)"
    assert found.todo is not None
    assert "gateway worker" in found.todo
