"""What observers are told: one record an operation and one an HTTP exchange, without secrets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["Record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that ended. `seconds` is how long it took; `status` the HTTP status of an exchange that was answered.

    `outcome` is `done` or one of the outcomes of `gateway.errors`. `attempt` counts the sendings of one request from 1.
    `date` is the Date header of the answer, as it stands there (RFC 9110, 6.6.1).
    """

    kind: Literal["exchange", "operation"]
    account: str
    provider: str
    operation: str
    outcome: str
    started_at: datetime
    seconds: float
    method: str | None = None
    path: str | None = None
    status: int | None = None
    attempt: int = 1
    error: str | None = None
    date: str | None = None
