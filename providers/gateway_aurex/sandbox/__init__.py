"""The stateful sandbox of Aurex: an application that behaves as the vendor's documentation says."""

from __future__ import annotations

from gateway_aurex.sandbox.service import AurexSandbox

__all__ = ["AurexSandbox"]
