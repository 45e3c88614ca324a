"""How an adapter reads what a provider sends: lenient in what it ignores, strict in what it needs, exact in numbers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from gateway.errors import InvalidRequest
from gateway.exchange import Malformed, Response
from gateway.money import exact

__all__ = ["Amount", "Identifier", "Wire", "parser", "shaped"]


class Wire(BaseModel):
    """The base of a provider's shapes. Fields that are not declared are ignored here and kept in the result's `raw`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


def _amount(value: object) -> Decimal:
    if not isinstance(value, (Decimal, int, str)):
        raise ValueError("expected a number")
    try:
        return exact(value)
    except InvalidRequest:
        raise ValueError("expected a number") from None


def _identifier(value: object) -> str:
    # Some providers write an identifier as a number in one place and as text in another.
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ValueError("expected an identifier")
    return str(value)


Amount = Annotated[Decimal, BeforeValidator(_amount)]
"""A number or a text on the wire; exact either way."""

Identifier = Annotated[str, BeforeValidator(_identifier)]
"""A text, or a whole number read as text."""

W = TypeVar("W", bound=BaseModel)


def shaped(shape: type[W], data: Any) -> W:
    """`data` as this shape. Raises Malformed or ValidationError, which the engine reports without values."""
    if not isinstance(data, dict):
        raise Malformed(f"expected an object, found {type(data).__name__}")
    return shape.model_validate(data)


def parser(shape: type[W]) -> Callable[[Response], W]:
    """A `parse` for answers that are the shape itself, without an envelope."""
    return lambda response: shaped(shape, response.json())
