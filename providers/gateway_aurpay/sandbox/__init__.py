"""Aurpay's stateful sandbox, written from what is known of the provider and never from the adapter.

Where a comment says "not documented", nobody outside the vendor knows, and the least surprising was chosen.
"""

from __future__ import annotations

from gateway_aurpay.sandbox.service import AurpaySandbox
from gateway_aurpay.sandbox.variants import WithdrawCall

__all__ = ["AurpaySandbox", "WithdrawCall"]
