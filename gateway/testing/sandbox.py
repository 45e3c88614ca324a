"""What a provider's stateful sandbox is: an ASGI application that behaves as the provider's documentation says.

A sandbox is written from the documentation, never from the adapter: it checks what a client sends. It keeps balances,
orders and keys, and is steered by `pay`, `expire` and `fail`. Faults of the network and of callbacks are the harness's,
not its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["NotInSandbox", "OutgoingCallback", "Payment", "Sandbox", "SandboxClock", "SandboxError", "SandboxOrder"]


class SandboxError(Exception):
    """The control call makes no sense: no such order, or not in a state for it."""


class NotInSandbox(SandboxError):
    """There is no such sandbox, or no such order in it."""


class SandboxClock:
    """Real time, moved forward by `advance`; what orders live by, and the Date of answers. Signatures are checked
    against real time.
    """

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The time there, aware UTC."""
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: int) -> None:
        """Move it forward."""
        self._ahead += timedelta(seconds=seconds)


class Payment(StrEnum):
    """How the payer pays."""

    EXACT = "exact"
    """What is asked for."""
    UNDER = "under"
    """Less."""
    OVER = "over"
    """More."""
    LATE = "late"
    """In full, after the order has expired."""


@dataclass(frozen=True, slots=True)
class SandboxOrder:
    """An order (or deposit) as the sandbox has it."""

    id: str
    """The provider's own number."""
    status: str
    """The provider's own word."""
    amount: Decimal
    """What is asked for."""
    currency: str
    """The provider's own word for what `amount` is in."""
    expires_at: datetime | None = field(default=None, compare=False)
    """When nobody can pay it any more, where the sandbox knows."""


@dataclass(frozen=True, slots=True)
class OutgoingCallback:
    """A callback that the provider would make now."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    order: str = ""
    """The provider's own number of the order, by which faults find the callback."""


class Sandbox(ABC):
    """One provider's sandbox.

    The methods are called from other threads than the application: the state is kept under a lock. `emit` never waits
    and may be called with that lock held.
    """

    name: ClassVar[str]
    """What accounts and addresses call it: the provider's name."""

    def __init__(self, clock: SandboxClock | None = None) -> None:
        self.clock = clock or SandboxClock()
        """What its orders live by."""
        self.emit: Callable[[OutgoingCallback], None] = lambda callback: None
        """Set by the harness; takes every callback that the provider would make."""

    @property
    @abstractmethod
    def app(self) -> ASGIApp:
        """The application, with the provider's own paths at its root. The same object every time."""

    @abstractmethod
    def account(self, base_url: str) -> dict[str, Any]:
        """The settings of an account that can use this sandbox at `base_url`, as they stand in the configuration. The
        application sees its paths without that of `base_url`; where a signature covers it too, it is kept here.
        """

    @abstractmethod
    def orders(self) -> list[SandboxOrder]:
        """All orders, oldest first."""

    @abstractmethod
    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        """A payer pays this order. Raises SandboxError when it cannot be paid so."""

    @abstractmethod
    def expire(self, order: str) -> None:
        """This order's time is over."""

    @abstractmethod
    def fail(self, order: str) -> None:
        """This order fails or is cancelled at the provider, whichever it has."""

    @abstractmethod
    def ledger(self) -> dict[str, Any]:
        """All that happened to money, as JSON-able data (amounts as text): balances, orders, payouts, cards, trades."""

    def tick(self) -> None:
        """The clock was moved: let what is due happen, with its callbacks. Here: whatever reading the orders does."""
        self.orders()

    def forged(self, callback: OutgoingCallback) -> OutgoingCallback:
        """The callback as a stranger would forge it: right address and body, wrong proof."""
        return callback
