"""API keys, as they may be shown: never with their secret."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from gateway.models.base import Instant, Result
from gateway.secrets import Raw, Secret

__all__ = ["ApiKey", "IssuedKey", "Permission"]


class Permission(StrEnum):
    READ = "read"
    TRADE = "trade"
    WITHDRAW = "withdraw"


class ApiKey(Result):
    """A key that an account uses. Providers without scopes declare all permissions."""

    account: str
    label: str
    kind: str
    public_id: str | None = None
    permissions: frozenset[Permission] = frozenset()
    expires_at: Instant | None = None
    verified: bool | None = None
    """True after an authenticated read with it succeeded, None when nobody has tried."""


class IssuedKey(Result):
    """A key that the provider has just issued. `secret` is shown by nobody else again."""

    secret: Secret
    expires_at: Instant | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)
