"""The effects that a flow yields and a driver carries out. Everything above them is written once for both colours."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from gateway.exchange import Request

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Block", "Checkpoint", "Effect", "Enter", "Flow", "Leave", "Note", "Pause", "Send", "Transact", "transact"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this signed request of this account now; the answer is a Response. Raises TransportFailure."""

    account: str
    request: Request
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Let this many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Transact:
    """Run this in one transaction of the store: committed when it returns, rolled back when it raises. It does no
    other I/O, and may be run again when the transaction has to be repeated.

    `together` ones that come at the same time share a transaction: one commit for many.
    """

    work: Callable[[Connection], Any]
    together: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Run this in a transaction with others, as `Transact`, and go on after so many seconds even if it is not done:
    it is done later then, or fails unseen. For what is only told and never relied on.
    """

    work: Callable[[Connection], None]
    patience: float


@dataclass(frozen=True, slots=True)
class Block:
    """Run this, which may take its time (a file, a slow key derivation, a service), away from any event loop."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Do nothing; a cancellation that came during the transaction before is met here."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Wait for this lane (a name) and hold it: one flow at a time. `shared` lanes hold other processes on the store
    back too.
    """

    lane: str
    timeout: float
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Give the lane back. Never fails."""

    lane: str


Effect: TypeAlias = Send | Pause | Transact | Note | Block | Checkpoint | Enter | Leave
Flow: TypeAlias = Generator[Effect, Any, T]
"""What every flow is: a generator of effects whose return value is the result."""


def transact(work: Callable[[Connection], T], *, together: bool = False) -> Flow[T]:
    """Yield the work as one transaction and return its result."""
    result = yield Transact(work, together)
    return cast(T, result)
