"""pytest fixtures that give a merchant's own tests running sandboxes of all installed providers.

    def test_checkout(sandbox_gateway, gateway_sandbox):
        order = sandbox_gateway.orders.create(OrderRequest(reference="cart-1", price=Money("25.00", "USD"), ...))
        gateway_sandbox.pay("aurpay", order.provider_id)

They are there wherever `crypto-gateway[sandbox]` is installed beside pytest. pytest loads this module in every project
of such an environment, so whatever takes time is imported only when a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gateway import Gateway
    from gateway.testing.server import SandboxServer

__all__ = ["gateway_sandbox", "gateway_sandbox_settings", "sandbox_gateway"]


@pytest.fixture
def gateway_sandbox() -> Iterator[SandboxServer]:
    """A `SandboxServer` with a fresh sandbox of every installed provider, on a free port of 127.0.0.1."""
    from gateway.testing.installed import installed_sandboxes
    from gateway.testing.server import SandboxServer

    with SandboxServer(installed_sandboxes()) as server:
        yield server


@pytest.fixture
def gateway_sandbox_settings(gateway_sandbox: SandboxServer) -> dict[str, dict[str, Any]]:
    """Settings of an account at each sandbox, named after its provider: for `Gateway(accounts=...)`."""
    return gateway_sandbox.accounts()


@pytest.fixture
def sandbox_gateway(gateway_sandbox_settings: dict[str, dict[str, Any]], tmp_path: Path) -> Iterator[Gateway]:
    """A `Gateway` with those accounts and a store of its own."""
    from gateway import Gateway

    with Gateway(accounts=gateway_sandbox_settings, store=f"sqlite:///{tmp_path / 'gateway.db'}") as gateway:
        yield gateway
