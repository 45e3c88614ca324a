"""API keys: obtaining and checking them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateway.exchange import Operation
from gateway.models.keys import IssuedKey

__all__ = ["IssuesKeys", "VerifiesKeys"]


@runtime_checkable
class IssuesKeys(Protocol):
    def issue_key(self) -> Operation[IssuedKey]:
        """Obtain a new key with the account's own credentials."""
        ...


@runtime_checkable
class VerifiesKeys(Protocol):
    def verify_key(self) -> Operation[None]:
        """A cheap authenticated read; raises AuthenticationFailed or PermissionDenied when the key does not work."""
        ...
