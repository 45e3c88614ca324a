"""Callbacks: what a provider sends when something has changed, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

__all__ = ["IncomingCallback", "Notice", "Proof", "ReadsCallbacks"]


class Proof(StrEnum):
    """What the provider's own proof (a signature, a token) says; the gateway's token has admitted it before."""

    MATCHES = "matches"
    """It is there and is right."""
    DIFFERS = "differs"
    """A proof is there and is wrong, is too old or too new, or one that has to be there is missing."""
    ABSENT = "absent"
    """Nothing to compare: the account's settings hold no secret for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingCallback:
    """One request by a provider."""

    method: str
    url: str
    """The registered address, with its query: behind proxies another one may have been called."""
    headers: Mapping[str, str]
    """Their names in lower case."""
    body: bytes
    """As it came."""
    received_at: datetime
    """By the gateway's clock (aware UTC)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a callback says. All of it is a hint: the order is read before anything is believed."""

    proof: Proof
    reason: str = ""
    """Why a proof differs, without the values."""
    provider_id: str | None = None
    """The order's number in the body, where it stands there."""


@runtime_checkable
class ReadsCallbacks(Protocol):
    @property
    def strict_callbacks(self) -> bool:
        """Whether the account's settings reject callbacks whose proof differs."""
        ...

    def read_callback(self, callback: IncomingCallback) -> Notice:
        """Check the provider's proof with all of the account's secrets, in constant time, and find the order's number.

        No I/O, and no exception whatever came: a body that cannot be read is a Notice without a number.
        """
        ...
