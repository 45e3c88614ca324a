"""What the documentation leaves open or contradicts itself about: one switch each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Literal

__all__ = ["Variants", "WithdrawCall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawCall:
    """The path and the field names of "withdraw balance" (11), which nobody has published."""

    path: str
    amount: str = "amount"
    amount_as: Literal["number", "text"] = "number"
    currency: str = "currency"
    chain: str = "chain"
    address: str = "address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """How this sandbox answers; see `AurpaySandbox` for what each means."""

    pay_url_has_order_id: bool = True
    success_word: str = "SUCCESS"
    with_result: bool = True
    error_field: Literal["message", "msg"] = "message"
    paged_lists: bool = False
    refunds_at_once: bool = False
    zone: tzinfo = UTC
    withdraw: WithdrawCall | None = None
