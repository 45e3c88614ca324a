"""Exact money: a `Decimal` and the asset that it counts. No float comes in, none goes out, and nothing is ever
rounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import TYPE_CHECKING, Any, Self

from gateway.assets import Asset
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["Money", "exact", "plain"]

# Decimal's default context rounds to 28 digits without a word; 18-decimal coins reach that. Here rounding is an error.
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 96  # written out in full; more than any amount of any asset, and a bound on what `1E999` can cost


def exact(value: Decimal | int | str) -> Decimal:
    """The number as a finite Decimal with every digit kept; raises InvalidRequest for floats, NaN, infinities and
    noise.
    """
    if isinstance(value, float):
        raise InvalidRequest("a float cannot hold an amount exactly", hint="write it as text, '25.00', or as a Decimal")
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise InvalidRequest(f"an amount is a Decimal, an int or a text, not {type(value).__name__}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise InvalidRequest(f"not an amount: {value[:40]!r}", hint="write it plainly, such as '25.00'")
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise InvalidRequest("the amount has too many digits")
    number = Decimal(value)
    if not number.is_finite():
        raise InvalidRequest(f"an amount is a finite number, not {number}")
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if (len(digits) + exponent if exponent >= 0 else max(len(digits), 1 - exponent)) > _MOST_DIGITS:
        raise InvalidRequest("the amount has too many digits")
    return number


def plain(number: Decimal) -> str:
    """The number in plain notation with all its digits: `0.00000001`, never `1E-8`."""
    return format(number, "f")


def _shifted(number: Decimal, places: int) -> Decimal:
    """The number times 10 to the power of `places`, with every digit: `Decimal.scaleb` rounds to 28 of them."""
    return number.scaleb(places, _EXACT)


def _places(places: object) -> int:
    if isinstance(places, bool) or not isinstance(places, int) or not 0 <= places <= _MOST_DIGITS:
        raise InvalidRequest(f"decimal places are a whole number from 0 to {_MOST_DIGITS}, not {places!r}")
    return places


class Money:
    """An exact amount of one asset. Immutable; adding, subtracting and comparing work within one asset only.

    The amount keeps the digits that it was given (`25.00` prints as `25.00`); equality is numeric. An amount that
    goes out is checked with `outgoing`; one that comes in keeps all its decimals.
    """

    __slots__ = ("amount", "asset")
    amount: Decimal
    asset: Asset

    def __init__(self, amount: Decimal | int | str, asset: Asset | str) -> None:
        object.__setattr__(self, "amount", exact(amount))
        object.__setattr__(self, "asset", Asset.of(asset))

    @classmethod
    def parse(cls, text: str) -> Self:
        """`"0.05 BTC"` → Money. Raises InvalidRequest."""
        amount, _, asset = text.strip().partition(" ")
        if not asset:
            raise InvalidRequest(f"not money: {text[:60]!r}", hint="write an amount and an asset, such as '0.05 BTC'")
        return cls(amount, asset.strip())

    @classmethod
    def of_units(cls, number: Decimal | int | str, asset: Asset | str, places: int) -> Self:
        """The money that a provider writes as this number of the smallest unit, of which one asset has 10 to the power
        of `places`: `of_units(150000, "USDT@tron", 6)` is 0.150000 USDT. `places` is what the provider documents, which
        need not be `Asset.decimals`. Every digit is kept. Raises InvalidRequest for what is no number.
        """
        return cls(_shifted(exact(number), -_places(places)), asset)

    def in_units(self, places: int) -> int:
        """This money as a whole number of the smallest unit, of which one asset has 10 to the power of `places`. Raises
        InvalidRequest when it has more decimals than that: none is cut off.
        """
        if self.decimals > _places(places):
            raise InvalidRequest(
                f"{self} is no whole number of a unit with {places} decimals",
                hint=f"round it yourself to {places} decimals; the gateway never rounds money",
            )
        return int(_shifted(self.amount, places))

    def outgoing(self) -> Self:
        """This money, if it can be sent: raises InvalidRequest when it has more decimals than the asset."""
        decimals = self.asset.decimals
        if decimals is not None and self.decimals > decimals:
            raise InvalidRequest(
                f"{self} has {self.decimals} decimals, {self.asset} has {decimals}",
                hint=f"round it yourself to {decimals} decimals; the gateway never rounds money",
            )
        return self

    @property
    def decimals(self) -> int:
        """How many decimals are needed to write the amount; trailing zeros do not count."""
        exponent = self.amount.normalize(_EXACT).as_tuple().exponent
        assert isinstance(exponent, int)
        return max(0, -exponent)

    def _same(self, other: object, act: str) -> Decimal:
        if not isinstance(other, Money):
            raise TypeError(f"cannot {act} Money and {type(other).__name__}")
        if other.asset != self.asset:
            raise InvalidRequest(f"cannot {act} {self.asset} and {other.asset}")
        return other.amount

    def _made(self, amount: Decimal) -> Self:
        return type(self)(amount, self.asset)

    def __add__(self, other: Money) -> Self:
        return self._made(_EXACT.add(self.amount, self._same(other, "add")))

    def __radd__(self, other: object) -> Self:
        if other == 0 and isinstance(other, int):  # the start value of sum()
            return self
        raise TypeError(f"cannot add {type(other).__name__} and Money")

    def __sub__(self, other: Money) -> Self:
        return self._made(_EXACT.subtract(self.amount, self._same(other, "subtract")))

    def __mul__(self, factor: Decimal | int) -> Self:
        if isinstance(factor, bool) or not isinstance(factor, (Decimal, int)):
            raise TypeError(f"money is multiplied by a Decimal or an int, not by {type(factor).__name__}")
        return self._made(_EXACT.multiply(self.amount, exact(factor)))

    __rmul__ = __mul__

    def __neg__(self) -> Self:
        return self._made(_EXACT.minus(self.amount))

    def __abs__(self) -> Self:
        return self._made(_EXACT.abs(self.amount))

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.asset == other.asset and self.amount == other.amount

    def __hash__(self) -> int:
        return hash((self.amount, self.asset))

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other, "compare")

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other, "compare")

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other, "compare")

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other, "compare")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Money is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Money is immutable")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (plain(self.amount), self.asset.code))

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.asset}"

    def __repr__(self) -> str:
        return f"Money({plain(self.amount)!r}, {self.asset.code!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema  # here, because it takes longer to import than everything else

        written = core_schema.typed_dict_schema(
            {
                "amount": core_schema.typed_dict_field(core_schema.str_schema()),
                "asset": core_schema.typed_dict_field(core_schema.str_schema()),
            }
        )
        serialize: Callable[[Money], dict[str, str]] = lambda m: {"amount": plain(m.amount), "asset": m.asset.code}  # noqa: E731
        return core_schema.no_info_plain_validator_function(
            _validated,
            serialization=core_schema.plain_serializer_function_ser_schema(serialize, return_schema=written),
            json_schema_input_schema=written,
        )


def _restored(amount: str, asset: str) -> Money:
    return Money(amount, Asset.incoming(asset))


def _validated(value: object) -> Money:
    if isinstance(value, Money):
        return value
    if isinstance(value, dict) and set(value) == {"amount", "asset"} and isinstance(value["asset"], str):
        return Money(value["amount"], Asset.incoming(value["asset"]))
    if isinstance(value, str):
        amount, _, asset = value.strip().partition(" ")
        if asset:
            return Money(amount, Asset.incoming(asset.strip()))
    raise ValueError("money is Money('25.00', 'USD'), {'amount': '25.00', 'asset': 'USD'} or '25.00 USD'")
