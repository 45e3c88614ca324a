"""What a sandbox was asked, for assertions: one record a call, without queries, headers or bodies (they carry keys)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["RequestLog", "RequestRecord"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One call."""

    method: str
    path: str
    """The provider's own, without the sandbox's name in front and without the query."""
    status: int | None = None
    """What the client was sent; None while it waits, or when it got no answer."""
    fault: str | None = None
    """The kind of fault that struck."""
    executed: bool = False
    """Whether the sandbox carried the call out (or refused it by itself)."""

    @property
    def faulted(self) -> bool:
        """Whether a fault struck."""
        return self.fault is not None


class RequestLog:
    """In the order of arrival. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[RequestRecord] = []

    def arrived(self, method: str, path: str, fault: str | None) -> int:
        """Note a call; the number that it is changed by."""
        with self._lock:
            self._records.append(RequestRecord(method, path, fault=fault))
            return len(self._records) - 1

    def change(self, number: int, **changes: Any) -> None:
        with self._lock:
            self._records[number] = replace(self._records[number], **changes)

    def records(self) -> list[RequestRecord]:
        with self._lock:
            return list(self._records)
