"""The stateful sandbox of Emirex: an application that behaves as is known of the exchange."""

from __future__ import annotations

from gateway_emirex.sandbox.service import EmirexSandbox

__all__ = ["EmirexSandbox"]
