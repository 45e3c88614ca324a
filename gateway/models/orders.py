"""Orders: what a merchant asks for, what a provider has, and what the gateway makes of both.

The reference names the purchase. Each order made at a provider for it is an attempt; an attempt can be followed by
another, all of them stay watched, and money that reaches any of them counts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, AnyUrl, Field, computed_field

from gateway.assets import Asset
from gateway.models.base import (
    Environment,
    Fee,
    Input,
    Instant,
    KnownAsset,
    Price,
    ProviderOptions,
    Reference,
    Result,
)
from gateway.money import Money
from gateway.secrets import Raw

__all__ = [
    "Attempt",
    "Order",
    "OrderException",
    "OrderRequest",
    "OrderStatus",
    "PaymentInstructions",
    "ProviderOrder",
    "Settlement",
]


class OrderStatus(StrEnum):
    """Where an order stands. PAID, FAILED, CANCELLED and REFUNDED are final; EXPIRED is watched on for late money."""

    CREATING = "creating"
    PENDING = "pending"
    PROCESSING = "processing"
    UNDERPAID = "underpaid"
    PAID = "paid"
    EXPIRED = "expired"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    UNRECOGNISED = "unrecognised"
    """A status word that nobody knows: kept, warned about and read again."""

    @property
    def is_final(self) -> bool:
        return self in _FINAL

    def may_become(self, new: OrderStatus) -> bool:
        """Whether an attempt in this status may move to `new`. The same status again is always fine."""
        return self is new or new in _MOVES[self]


_FINAL = frozenset({OrderStatus.PAID, OrderStatus.FAILED, OrderStatus.CANCELLED, OrderStatus.REFUNDED})
_S = OrderStatus
_OPEN_ENDS = frozenset({_S.UNDERPAID, _S.PAID, _S.EXPIRED, _S.FAILED, _S.CANCELLED, _S.REFUNDED, _S.UNRECOGNISED})
_MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.CREATING: _OPEN_ENDS | {_S.PENDING, _S.PROCESSING},
    _S.PENDING: _OPEN_ENDS | {_S.PROCESSING},
    _S.PROCESSING: _OPEN_ENDS,
    # A word that was not understood says nothing about where the order stands, so any reading may follow it.
    _S.UNRECOGNISED: _OPEN_ENDS | {_S.PENDING, _S.PROCESSING},
    _S.UNDERPAID: frozenset({_S.PAID, _S.EXPIRED, _S.REFUNDED}),
    _S.EXPIRED: frozenset({_S.PAID, _S.UNDERPAID}),
    _S.PAID: frozenset({_S.REFUNDED}),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.REFUNDED: frozenset(),
}


class OrderException(StrEnum):
    """What is unusual about an order, beside its status."""

    LATE = "late"
    """Paid after it had expired."""
    PARTIAL = "partial"
    """Less than asked for arrived."""
    OVER = "over"
    """More than asked for arrived, or two attempts were paid."""
    MARKED = "marked"
    """Accepted by hand at the provider."""
    UNCONFIRMED = "unconfirmed"
    """A create call's outcome is unknown: there may be an order at the provider that nobody here can see."""


class Settlement(StrEnum):
    """Whose money an order becomes at the provider."""

    MERCHANT = "merchant"
    CUSTOMER = "customer"


def _callable_url(value: str) -> str:
    AnyUrl(value)
    if not value.startswith(("https://", "http://")):
        raise ValueError("must be an http or https address")
    return value


Url = Annotated[str, AfterValidator(_callable_url)]


class OrderRequest(Input):
    """Ask for a payment. The same reference with the same request always gives the same order; nothing is ever made
    twice.

    `price` is what is owed, usually fiat. `pay_with` is the coin to pay in, as an asset code or Asset; None lets
    the payer choose on the provider's page. `customer` is the merchant's own customer number; providers that settle
    to a customer need it. `settles_to` None takes what the route asks for, which is `merchant` unless it says
    otherwise. `provider_options` are passed to the named provider's adapter and ignored by all others.
    """

    reference: Reference
    price: Price
    pay_with: KnownAsset | None = None
    customer: Reference | None = None
    settles_to: Settlement | None = None
    return_url: Url | None = None
    cancel_url: Url | None = None
    description: str | None = Field(default=None, max_length=1000)
    metadata: dict[str, str] = Field(default_factory=dict)
    provider_options: ProviderOptions = Field(default_factory=dict)

    if TYPE_CHECKING:  # what pydantic takes for these fields, which type checkers cannot read from it

        def __init__(
            self,
            *,
            reference: str,
            price: Money,
            pay_with: Asset | str | None = None,
            customer: str | None = None,
            settles_to: Settlement | Literal["merchant", "customer"] | None = None,
            return_url: str | None = None,
            cancel_url: str | None = None,
            description: str | None = None,
            metadata: dict[str, str] = ...,
            provider_options: dict[str, dict[str, Any]] = ...,
        ) -> None: ...


class PaymentInstructions(Result):
    """What to show the payer; only what the provider gave is filled in.

    `amount` is what must arrive, in the coin, or in fiat where the provider states no coin amount. `uri` opens a
    wallet (BIP 21, EIP-681, Solana Pay, `lightning:`) and is None where no standard exists or the network is not
    specified.
    """

    address: str | None = None
    amount: Money | None = None
    uri: str | None = None
    checkout_url: str | None = None
    lightning_invoice: str | None = None


class ProviderOrder(Result):
    """An order as the provider shows it at one moment. Fields that an answer does not carry are None."""

    provider_id: str | None
    status: OrderStatus
    provider_status: str | None = None
    exceptions: frozenset[OrderException] = frozenset()
    price: Money | None = None
    pay_with: Asset | None = None
    pay: PaymentInstructions = PaymentInstructions()
    received: Money | None = None
    net: Money | None = None
    fees: tuple[Fee, ...] = ()
    refundable: bool | None = None
    transactions: tuple[str, ...] = ()
    movements: tuple[str, ...] = ()
    """The provider's own numbers of the money movements, as its list of transactions has them."""
    created_at: Instant | None = None
    updated_at: Instant | None = None
    expires_at: Instant | None = None
    warnings: tuple[str, ...] = ()
    reference: str | None = None
    """The merchant's reference, where this order is known here."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class Attempt(Result):
    """One order made (or begun) at a provider for a purchase."""

    number: int
    account: str
    provider: str
    environment: Environment
    status: OrderStatus
    exceptions: frozenset[OrderException] = frozenset()
    provider_id: str | None = None
    created_at: Instant
    updated_at: Instant
    order: ProviderOrder | None = None
    error: dict[str, Any] | None = None
    """Why its creation failed or is unknown, as `GatewayError.to_dict()`."""


class Order(Result):
    """A purchase: the request and its attempts. Everything about payment is read from the attempt that leads.

    The leading attempt is the one that is furthest along (paid before processing before underpaid before pending
    …), the latest of equals. `status` and `exceptions` follow from all attempts.
    """

    reference: str
    environment: Environment
    price: Money
    pay_with: Asset | None = None
    customer: str | None = None
    settles_to: Settlement
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: Instant
    attempts: tuple[Attempt, ...] = Field(min_length=1)

    @property
    def leading(self) -> Attempt:
        return min(self.attempts, key=lambda attempt: (_RANK[attempt.status], -attempt.number))

    @property
    def _shown(self) -> ProviderOrder:
        leading = self.leading
        return leading.order or ProviderOrder(provider_id=leading.provider_id, status=leading.status)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> OrderStatus:
        return self.leading.status

    @computed_field  # type: ignore[prop-decorator]
    @property
    def exceptions(self) -> frozenset[OrderException]:
        found = set(self.leading.exceptions)
        if any(OrderException.UNCONFIRMED in attempt.exceptions for attempt in self.attempts):
            found.add(OrderException.UNCONFIRMED)
        if sum(attempt.status is OrderStatus.PAID for attempt in self.attempts) > 1:
            found.add(OrderException.OVER)
        return frozenset(found)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def account(self) -> str:
        return self.leading.account

    @computed_field  # type: ignore[prop-decorator]
    @property
    def provider(self) -> str:
        return self.leading.provider

    @computed_field  # type: ignore[prop-decorator]
    @property
    def provider_id(self) -> str | None:
        return self.leading.provider_id

    @computed_field  # type: ignore[prop-decorator]
    @property
    def pay(self) -> PaymentInstructions:
        return self._shown.pay

    @computed_field  # type: ignore[prop-decorator]
    @property
    def expires_at(self) -> Instant | None:
        return self._shown.expires_at

    @computed_field  # type: ignore[prop-decorator]
    @property
    def received(self) -> Money | None:
        return self._shown.received

    @computed_field  # type: ignore[prop-decorator]
    @property
    def net(self) -> Money | None:
        return self._shown.net

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fees(self) -> tuple[Fee, ...]:
        return self._shown.fees

    @computed_field  # type: ignore[prop-decorator]
    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(warning for attempt in self.attempts if attempt.order for warning in attempt.order.warnings)
        )

    @property
    def updated_at(self) -> Instant:
        return max(attempt.updated_at for attempt in self.attempts)

    @property
    def raw(self) -> Raw:
        return self._shown.raw


# The lower, the further along. Money that arrived leads over money that may still come, and that over nothing.
_RANK: dict[OrderStatus, int] = {
    status: rank
    for rank, status in enumerate(
        (
            _S.PAID,
            _S.REFUNDED,
            _S.PROCESSING,
            _S.UNDERPAID,
            _S.PENDING,
            _S.UNRECOGNISED,
            _S.CREATING,
            _S.EXPIRED,
            _S.CANCELLED,
            _S.FAILED,
        )
    )
}
