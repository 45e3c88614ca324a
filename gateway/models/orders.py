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
    """Where an order, or one attempt of it, stands. `is_final` says which are the end."""

    CREATING = "creating"
    """Begun. Whether the provider has made it is not known yet."""
    PENDING = "pending"
    """The payer can pay, and no payment was seen."""
    PROCESSING = "processing"
    """A payment was seen and is not confirmed yet."""
    UNDERPAID = "underpaid"
    """Less than asked for has arrived. Not final: the rest may come."""
    PAID = "paid"
    """Paid. Final, but that the money may go back: it can become REFUNDED."""
    EXPIRED = "expired"
    """Not paid in time. Not final: it is watched on for late money."""
    FAILED = "failed"
    """It could not be made, or failed at the provider. Final."""
    CANCELLED = "cancelled"
    """Cancelled at the provider. Final."""
    REFUNDED = "refunded"
    """The payment went back. Final."""
    UNRECOGNISED = "unrecognised"
    """A status word that nobody knows: kept, warned about and read again."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected: PAID, FAILED, CANCELLED, REFUNDED. A paid one can still be refunded."""
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
    """The merchant's own."""
    CUSTOMER = "customer"
    """The customer's, in a wallet that the provider keeps."""


def _callable_url(value: str) -> str:
    AnyUrl(value)
    if not value.startswith(("https://", "http://")):
        raise ValueError("must be an http or https address")
    return value


Url = Annotated[str, AfterValidator(_callable_url)]


class OrderRequest(Input):
    """Ask for a payment. The same reference with the same request always gives the same order; nothing is ever made
    twice. A field that is wrong or unknown raises InvalidRequest.
    """

    reference: Reference
    """The merchant's own number of the purchase: 1 to 128 printable ASCII characters without spaces."""
    price: Price
    """What is owed, usually fiat: above zero, in a known asset, with no more decimals than that has."""
    pay_with: KnownAsset | None = None
    """The coin to pay in, as an asset code (`USDT@tron`) or Asset; None lets the payer choose on the provider's page.
    """
    customer: Reference | None = None
    """The merchant's own customer number, as `customers.create` had it; providers that settle to a customer need it."""
    settles_to: Settlement | None = None
    """Whose money it becomes. None takes what the route asks for, which is `merchant` unless it says otherwise."""
    return_url: Url | None = None
    """Where the payer goes after paying, http or https; for providers that have a page of their own."""
    cancel_url: Url | None = None
    """Where a payer goes who gives up or is out of time, http or https; for providers that can do that."""
    description: str | None = Field(default=None, max_length=1000)
    """The merchant's own words, up to 1,000 characters. Kept with the order; no adapter here sends it on."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """The merchant's own texts by name. Kept with the order and in its events; no adapter here sends them on."""
    provider_options: ProviderOptions = Field(default_factory=dict)
    """Options that only one provider knows, by its name: `{"aurpay": {"fixed_encrypt_price": True}}`. The other
    adapters ignore them, its own refuses what it does not know.
    """

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
    """What to show the payer; only what the provider gave is filled in."""

    address: str | None = None
    """Where to pay to, on the network of the coin. If the provider does not name the network, a warning says so."""
    amount: Money | None = None
    """What must arrive, in the coin, or in fiat where the provider states no coin amount."""
    uri: str | None = None
    """Opens a wallet, and is what a QR code shows (BIP 21, EIP-681, Solana Pay, `lightning:`). None where no standard
    exists or the network is not specified.
    """
    checkout_url: str | None = None
    """The provider's page, on which the payer pays or chooses the coin."""
    lightning_invoice: str | None = None
    """The BOLT 11 text."""


class ProviderOrder(Result):
    """An order as the provider shows it at one moment. Fields that an answer does not carry are None."""

    provider_id: str | None
    """The provider's own number. None where it is learned only when the payer has chosen a coin."""
    attempt: str | None = None
    """`NewOrder.attempt`, where the provider shows again what it was given. It tells which order this is."""
    status: OrderStatus
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    exceptions: frozenset[OrderException] = frozenset()
    """What the provider itself calls unusual; what the amounts tell is in `Attempt.exceptions`."""
    price: Money | None = None
    """What is owed, as the provider has it."""
    pay_with: Asset | None = None
    """The coin that it is paid in; None also while the payer has not chosen."""
    pay: PaymentInstructions = PaymentInstructions()
    received: Money | None = None
    """What has arrived. None says that the provider does not tell, not that nothing came."""
    net: Money | None = None
    """What is credited once it is paid, after fees."""
    fees: tuple[Fee, ...] = ()
    refundable: bool | None = None
    """Whether the provider would refund it."""
    transactions: tuple[str, ...] = ()
    """The hashes of the payments on the chain."""
    movements: tuple[str, ...] = ()
    """The provider's own numbers of the money movements, as its list of transactions has them."""
    created_at: Instant | None = None
    """When it was made, by the provider's clock."""
    updated_at: Instant | None = None
    """When it last changed, by the provider's clock."""
    expires_at: Instant | None = None
    """Until when it can be paid. Money that comes later is LATE."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    reference: str | None = None
    """The merchant's reference, where this order is known here."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class Attempt(Result):
    """One order made (or begun) at a provider for a purchase."""

    number: int
    """Counted from 1 within the order."""
    account: str
    provider: str
    environment: Environment
    status: OrderStatus
    exceptions: frozenset[OrderException] = frozenset()
    provider_id: str | None = None
    """The provider's own number of it. None while that is not known: not answered yet, unknown, or not told."""
    created_at: Instant
    """When it was begun here."""
    updated_at: Instant
    """When it was last recorded here."""
    order: ProviderOrder | None = None
    """What the provider showed last, with what it said before and left out then; None while it has shown nothing."""
    error: dict[str, Any] | None = None
    """Why its creation failed or is unknown, as `GatewayError.to_dict()`."""


class Order(Result):
    """A purchase: the request and its attempts. Everything about payment is read from the attempt that leads."""

    reference: str
    """The merchant's own number of the purchase."""
    environment: Environment
    price: Money
    """What is owed, as it was asked for."""
    pay_with: Asset | None = None
    """The coin that was asked for; None: the payer chooses. What was chosen is `leading.order.pay_with`."""
    customer: str | None = None
    """The merchant's own customer number."""
    settles_to: Settlement
    """Whose money it becomes; all attempts are alike in this."""
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: Instant
    """When the purchase was first asked for here."""
    attempts: tuple[Attempt, ...] = Field(min_length=1)
    """In the order in which they were begun, at least one."""

    @property
    def leading(self) -> Attempt:
        """The attempt that is furthest along (paid before processing before underpaid before pending …), the latest of
        equals.
        """
        return min(self.attempts, key=lambda attempt: (_RANK[attempt.status], -attempt.number))

    @property
    def _shown(self) -> ProviderOrder:
        leading = self.leading
        return leading.order or ProviderOrder(provider_id=leading.provider_id, status=leading.status)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> OrderStatus:
        """That of the leading attempt."""
        return self.leading.status

    @computed_field  # type: ignore[prop-decorator]
    @property
    def exceptions(self) -> frozenset[OrderException]:
        """Those of the leading attempt; UNCONFIRMED too when one is so, and OVER when two attempts were paid."""
        found = set(self.leading.exceptions)
        if any(OrderException.UNCONFIRMED in attempt.exceptions for attempt in self.attempts):
            found.add(OrderException.UNCONFIRMED)
        if sum(attempt.status is OrderStatus.PAID for attempt in self.attempts) > 1:
            found.add(OrderException.OVER)
        return frozenset(found)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def account(self) -> str:
        """Where the leading attempt is."""
        return self.leading.account

    @computed_field  # type: ignore[prop-decorator]
    @property
    def provider(self) -> str:
        """That of the leading attempt."""
        return self.leading.provider

    @computed_field  # type: ignore[prop-decorator]
    @property
    def provider_id(self) -> str | None:
        """The provider's own number of the leading attempt; None while it is not known."""
        return self.leading.provider_id

    @computed_field  # type: ignore[prop-decorator]
    @property
    def pay(self) -> PaymentInstructions:
        """What to show the payer: the leading attempt's."""
        return self._shown.pay

    @computed_field  # type: ignore[prop-decorator]
    @property
    def expires_at(self) -> Instant | None:
        """Until when the leading attempt can be paid; None where the provider does not tell."""
        return self._shown.expires_at

    @computed_field  # type: ignore[prop-decorator]
    @property
    def received(self) -> Money | None:
        """What has arrived for the leading attempt. None: the provider does not tell, and something may have come."""
        return self._shown.received

    @computed_field  # type: ignore[prop-decorator]
    @property
    def net(self) -> Money | None:
        """What is credited for the leading attempt, after fees; None where the provider does not tell."""
        return self._shown.net

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fees(self) -> tuple[Fee, ...]:
        """Those of the leading attempt."""
        return self._shown.fees

    @computed_field  # type: ignore[prop-decorator]
    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd or not known, in words for a person: of all attempts, each once."""
        return tuple(
            dict.fromkeys(warning for attempt in self.attempts if attempt.order for warning in attempt.order.warnings)
        )

    @property
    def updated_at(self) -> Instant:
        """When one of the attempts was last recorded here."""
        return max(attempt.updated_at for attempt in self.attempts)

    @property
    def raw(self) -> Raw:
        """What the provider last answered about the leading attempt."""
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
