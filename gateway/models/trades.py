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
    MARKET = "market"
    STOP_LIMIT = "stop-limit"
    QUICK_MARKET = "quick-market"
    HIDDEN_LIMIT = "hidden-limit"


class TradeStatus(StrEnum):
    """Where a trade stands. FILLED and CANCELLED are final; UNCONFIRMED may have been placed."""

    PENDING = "pending"
    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"
    UNRECOGNISED = "unrecognised"

    @property
    def is_final(self) -> bool:
        return self in (TradeStatus.FILLED, TradeStatus.CANCELLED)


def _above_zero(value: object) -> object:
    if value is not None and value <= 0:  # type: ignore[operator]
        raise ValueError("must be above zero")
    return value


Positive = Annotated[Number, AfterValidator(_above_zero)]
MarketName = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,16}/[A-Z0-9]{1,16}$")]


class TradeRequest(Input):
    """Place an exchange order: `volume` in base units, `rate` in quote units per base unit (limit orders only)."""

    reference: Reference
    market: MarketName
    side: Side
    kind: TradeKind = TradeKind.LIMIT
    volume: Positive
    rate: Positive | None = None
    provider_options: ProviderOptions = Field(default_factory=dict)

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
    """An exchange order. `market` is the exchange's own name where base and quote cannot be told apart."""

    provider_id: str | None
    account: str = ""
    environment: Environment | None = None
    reference: str | None = None
    status: TradeStatus
    provider_status: str | None = None
    market: str | None = None
    side: Side | None = None
    kind: TradeKind | None = None
    volume: Number | None = None
    filled: Number | None = None
    rate: Number | None = None
    average_rate: Number | None = None
    commission: Number | None = None
    created_at: Instant | None = None
    done_at: Instant | None = None
    warnings: tuple[str, ...] = ()
    raw: Raw = Field(default_factory=Raw, repr=False)
