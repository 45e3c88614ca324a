"""What observers are told: one record for whatever ended, such as an operation or a delivery, without secrets."""

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

    job: its kind as `operation`, what it was about as `subject`, no account of its own; `done` or `failed`.
    callback: `callbacks.receive`, `done` when it is in the inbox, `rejected` (with no account: for its address) or
    `failed`; and `callbacks.process`, `done`, `suspicious`, or `failed` and done again later.
    poll: one look of the watcher, at an `order`, a `withdrawal`, a `refund`, a `trade` or into a `list`; at what is the
    `subject`; `done` or `failed`.
    delivery: one call of an event handler, the event's type as `operation` and its subject; `done`, `failed` (tried
    again later) or `dead` (not tried again); `attempt` counts the calls.
    """

    kind: Literal["exchange", "operation", "job", "callback", "poll", "delivery"]
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
    subject: str | None = None
    handler: str | None = None
