"""What all models share: our own input is strict, what comes from elsewhere is lenient, both are frozen."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from gateway.assets import Asset
from gateway.errors import InvalidRequest
from gateway.money import Money, exact, plain

__all__ = [
    "Environment",
    "Fee",
    "Input",
    "Instant",
    "KnownAsset",
    "Number",
    "OutgoingMoney",
    "Page",
    "PositiveMoney",
    "Price",
    "ProviderOptions",
    "Reference",
    "Result",
    "refusing",
    "what_is_wrong",
]


T = TypeVar("T")


class Environment(StrEnum):
    """Stamped on every row. Live and sandbox are never mixed."""

    LIVE = "live"
    """Real money."""
    SANDBOX = "sandbox"
    """A provider's test environment, or one of this library's sandboxes."""


class Input(BaseModel):
    """A request by the merchant: unknown fields are refused, and what is wrong with it is an InvalidRequest."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    if not TYPE_CHECKING:  # type checkers keep the signature that pydantic makes from the fields

        def __init__(self, **data: Any) -> None:
            try:
                super().__init__(**data)
            except ValidationError as error:
                wrong = what_is_wrong(error)
            else:
                return
            # Not as long as it is dealt with: it holds what was given, and would be the context of this one.
            raise InvalidRequest(f"{type(self).__name__}: {wrong}")


def refusing(kind: type[T]) -> type[T]:
    """A pydantic dataclass whose constructor raises InvalidRequest, as an Input's does."""
    made = kind.__init__

    @functools.wraps(made)
    def __init__(self: T, *args: Any, **given: Any) -> None:
        try:
            made(self, *args, **given)
        except ValidationError as error:
            wrong = what_is_wrong(error)
        else:
            return
        raise InvalidRequest(f"{kind.__name__}: {wrong}")

    kind.__init__ = __init__  # type: ignore[method-assign,assignment]
    return kind


class Result(BaseModel):
    """Something read. `raw` is the provider's answer whole; its secrets are hidden in `repr`, JSON and the store."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


def what_is_wrong(error: ValidationError) -> str:
    """The places and reasons of a validation error, without any of the values."""
    found = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {reason}" if place else reason)
    return "; ".join(found)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone")
    return value.astimezone(UTC)


def _positive(value: Money) -> Money:
    if value.amount <= 0:
        raise ValueError("must be above zero")
    return value


def _outgoing(value: Money) -> Money:
    # An asset that nobody registered is a typing mistake, and an `Asset` made by hand may lack the decimals.
    Money(value.amount, Asset.of(value.asset.code)).outgoing()
    return value


def _known(value: object) -> object:
    if isinstance(value, Asset):
        return Asset.of(value.code)
    return Asset.of(value) if isinstance(value, str) else value


Instant = Annotated[datetime, AfterValidator(_aware)]
"""An aware time, kept in UTC."""

Number = Annotated[Decimal, BeforeValidator(exact), PlainSerializer(plain, return_type=str, when_used="json")]
"""An exact number that is no Money because its asset is not known from the answer alone. Floats are refused."""

OutgoingMoney = Annotated[Money, AfterValidator(_outgoing)]
"""Money that leaves us: a known asset, and no more decimals than it has."""

PositiveMoney = Annotated[OutgoingMoney, AfterValidator(_positive)]
Price = Annotated[OutgoingMoney, AfterValidator(_positive)]
KnownAsset = Annotated[Asset, BeforeValidator(_known)]


def _reference(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        raise ValueError("a reference has 1 to 128 printable ASCII characters and no spaces")
    return value


_REFERENCE = re.compile(r"[!-~]{1,128}")

Reference = Annotated[str, AfterValidator(_reference)]
"""The merchant's own number of a write: 1 to 128 printable ASCII characters without spaces. It makes the write
idempotent.
"""

ProviderOptions = Annotated[
    dict[str, dict[str, Any]],
    Field(description="options that only one provider knows, by the provider's name"),
]


class Fee(Result):
    """One fee, already part of the amounts beside it."""

    name: str
    """The provider's own word for it."""
    amount: Money


class Page(Result, Generic[T]):
    """One page of a list."""

    items: tuple[T, ...] = ()
    next: str | None = None
    """The cursor of the page that follows; None on the last one."""
