"""The pytest plugin: what pytest finds when the distribution is installed."""

from __future__ import annotations

from gateway.testing.fixtures import gateway_sandbox, gateway_sandbox_settings, sandbox_gateway

__all__ = ["gateway_sandbox", "gateway_sandbox_settings", "sandbox_gateway"]
