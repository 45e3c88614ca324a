"""Trades: exchange orders of the account. (An `Order` in this library is a payment; an exchange's order is a trade.)"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gateway.models.base import Environment, Input, Instant, Number, ProviderOptions, Reference, Result
from gateway.models.markets import Side
from gateway.secrets import Raw

__all__ = ["Side", "Trade", "TradeKind", "TradeRequest", "TradeStatus"]


class TradeKind(StrEnum):
    """How an exchange order is carried out; not every provider has every kind."""

    LIMIT = "limit"
    """At `rate` or better."""
    MARKET = "market"
    """At what the book offers."""
    STOP_LIMIT = "stop-limit"
    QUICK_MARKET = "quick-market"
    HIDDEN_LIMIT = "hidden-limit"


class TradeStatus(StrEnum):
    """Where a trade stands. `is_final` says which are the end."""

    PENDING = "pending"
    """Asked for, and not in the book yet as far as is known."""
    OPEN = "open"
    """In the book."""
    FILLED = "filled"
    """All of it was filled. Final."""
    CANCELLED = "cancelled"
    """Final; a part may have been filled before."""
    UNCONFIRMED = "unconfirmed"
    """It may have been placed: find out before anything else is tried."""
    UNRECOGNISED = "unrecognised"
    """A status word that nobody knows: kept, warned about and read again."""

    @property
    def is_final(self) -> bool:
        """FILLED and CANCELLED."""
        return self in (TradeStatus.FILLED, TradeStatus.CANCELLED)


def _above_zero(value: object) -> object:
    if value is not None and value <= 0:  # type: ignore[operator]
        raise ValueError("must be above zero")
    return value


Positive = Annotated[Number, AfterValidator(_above_zero)]
MarketName = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,16}/[A-Z0-9]{1,16}$")]


class TradeRequest(Input):
    """Place an exchange order. The same reference never places a second one. A field that is wrong or unknown raises
    InvalidRequest.
    """

    reference: Reference
    """The merchant's own number of the trade: 1 to 128 printable ASCII characters without spaces."""
    market: MarketName
    """`BASE/QUOTE` in capitals and digits, such as `BTC/USDC`."""
    side: Side
    kind: TradeKind = TradeKind.LIMIT
    volume: Positive
    """In base units, above zero."""
    rate: Positive | None = None
    """In quote units per base unit, above zero. Limit orders need it (LIMIT, STOP_LIMIT, HIDDEN_LIMIT), others take
    none.
    """
    provider_options: ProviderOptions = Field(default_factory=dict)
    """Options that only one provider knows, by its name; the other adapters ignore them."""

    if TYPE_CHECKING:  # what pydantic takes for these fields, which type checkers cannot read from it

        def __init__(
            self,
            *,
            reference: str,
            market: str,
            side: Side | Literal["buy", "sell"],
            kind: TradeKind | Literal["limit", "market", "stop-limit", "quick-market", "hidden-limit"] = ...,
            volume: Decimal | int | str,
            rate: Decimal | int | str | None = None,
            provider_options: dict[str, dict[str, Any]] = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _rate_fits_kind(self) -> Self:
        limited = self.kind in (TradeKind.LIMIT, TradeKind.STOP_LIMIT, TradeKind.HIDDEN_LIMIT)
        if limited and self.rate is None:
            raise ValueError(f"a {self.kind} order needs a rate")
        if not limited and self.rate is not None:
            raise ValueError(f"a {self.kind} order takes no rate")
        return self


class Trade(Result):
    """An exchange order of the account."""

    provider_id: str | None
    """The exchange's own number; None while it is not known."""
    account: str = ""
    environment: Environment | None = None
    reference: str | None = None
    """The merchant's own number; None where it was not placed here."""
    status: TradeStatus
    provider_status: str | None = None
    """The provider's own word for the status, as it came."""
    market: str | None = None
    """`BASE/QUOTE`; the exchange's own name where base and quote cannot be told apart."""
    side: Side | None = None
    kind: TradeKind | None = None
    volume: Number | None = None
    """What was asked for, in base units."""
    filled: Number | None = None
    """How much of `volume` was filled; None where it is not known."""
    rate: Number | None = None
    """What was asked for, in quote units per base unit; None without a limit."""
    average_rate: Number | None = None
    """What was filled at, in quote units per base unit."""
    commission: Number | None = None
    """What the exchange took; in which asset is not known."""
    created_at: Instant | None = None
    """When it was placed, by the exchange's clock, or by ours where it does not tell."""
    done_at: Instant | None = None
    """When it was filled or cancelled, by the exchange's clock."""
    warnings: tuple[str, ...] = ()
    """What is odd about it or not known, in words for a person."""
    raw: Raw = Field(default_factory=Raw, repr=False)
