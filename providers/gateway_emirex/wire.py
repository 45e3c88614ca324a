"""The vendor's shapes, its envelope `{"status": true, "data": …}` and its two kinds of error.

Fields that the adapter needs are required; of the others, all that are known are read where they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from gateway.assets import Asset
from gateway.contracts import Amount, Identifier, Wire, shaped
from gateway.errors import InvalidRequest
from gateway.exchange import Malformed, Response
from gateway.money import exact
from gateway.secrets import Raw

__all__ = [
    "Answer",
    "Balance",
    "Book",
    "ErrorBody",
    "Level",
    "NewTrade",
    "PublicTrade",
    "Symbol",
    "Ticker",
    "Trade",
    "done",
    "error_body",
    "listed",
    "many",
    "one",
]

W = TypeVar("W", bound=Wire)
W_co = TypeVar("W_co", bound=Wire, covariant=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[W_co]):
    """One thing that was read, and what it was read from: the whole answer, or one row of a list."""

    data: W_co
    raw: Raw


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer says. `status` is the HTTP status that it repeats, where it does."""

    text: str
    code: str | None = None
    status: int | None = None


def one(shape: type[W]) -> Callable[[Response], Answer[W]]:
    """A `parse` for an answer whose `data` is this shape."""

    def parse(response: Response) -> Answer[W]:
        whole = done(response)
        return Answer(shaped(shape, _data(whole)), Raw(whole))

    return parse


def many(shape: type[W]) -> Callable[[Response], tuple[Answer[W], ...]]:
    """A `parse` for a public answer whose `data` is an array of this shape."""
    return lambda response: _rows(shape, _data(done(response)))


def listed(shape: type[W]) -> Callable[[Response], tuple[Answer[W], ...]]:
    """A `parse` for a private answer: the array is in `data.list`, in `data`, or is the whole answer."""

    def parse(response: Response) -> tuple[Answer[W], ...]:
        whole = response.json()
        data = whole if isinstance(whole, list) else _data(done(response))
        return _rows(shape, data.get("list") if isinstance(data, dict) else data)

    return parse


def done(response: Response) -> dict[str, Any]:
    """A `parse` for an answer that says no more than `status: true`, and the check that all others begin with."""
    whole = response.json()
    if not isinstance(whole, dict) or whole.get("status") is not True:
        raise Malformed("no `status: true`")
    return whole


def error_body(response: Response) -> ErrorBody | None:
    """The vendor's own error, or that of its framework (whose `status` is a number); None for anything else."""
    try:
        whole = response.json()
    except Malformed:
        return None
    if not isinstance(whole, dict):
        return None
    status = whole.get("status")
    if status is False:
        return ErrorBody(_said(whole.get("error")))
    if isinstance(status, int) and not isinstance(status, bool) and "message" in whole:
        code = whole.get("code")
        return ErrorBody(_said(whole["message"]), str(code) if isinstance(code, (int, str)) else None, status)
    return None


def _said(text: object) -> str:
    return text if isinstance(text, str) and text else "no reason given"


def _data(whole: dict[str, Any]) -> Any:
    if "data" not in whole:
        raise Malformed("no `data`")
    return whole["data"]


def _rows(shape: type[W], rows: Any) -> tuple[Answer[W], ...]:
    if not isinstance(rows, list):
        raise Malformed(f"expected an array, found {type(rows).__name__}")
    return tuple(Answer(shaped(shape, row), Raw(row)) for row in rows)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unix(value: Any) -> datetime:
    try:
        number = exact(value)
        seconds = int(number)
        return _EPOCH + timedelta(seconds=seconds, microseconds=int((number - seconds) * 1_000_000))
    except (InvalidRequest, OverflowError):
        raise ValueError("expected seconds since 1970") from None


def _perhaps_unix(value: Any) -> datetime | None:
    # How times of exchange orders are written is not stated. What cannot be read as on the public side stays in `raw`;
    # 1970 is no time of an order, but how a zero reads.
    try:
        moment = _unix(value)
    except ValueError:
        return None
    return moment if moment > _EPOCH else None


UnixTime = Annotated[datetime, BeforeValidator(_unix)]
PerhapsTime = Annotated[datetime | None, BeforeValidator(_perhaps_unix)]


class Symbol(Wire):
    """A row of `GET /public/symbols`."""

    pair: str
    base: str
    quote: str
    rate_decimal: int | None = None
    base_decimal: int | None = None
    quote_decimal: int | None = None


class Ticker(Wire):
    """`GET /public/ticker`."""

    model_config = ConfigDict(validate_by_name=True)

    last: Amount
    open: Amount | None = None
    close: Amount | None = None
    high: Amount | None = None
    low: Amount | None = None
    volume: Amount | None = Field(default=None, alias="volume_24H")
    min_trade: Amount | None = None
    # On the wire the c of "change" is the Cyrillic letter U+0441; should it be corrected one day, that is read too.
    change: Amount | None = Field(default=None, validation_alias=AliasChoices("percent_\u0441hange", "percent_change"))


class Level(Wire):
    rate: Amount
    volume: Amount
    count: int | None = None


class Book(Wire):
    """`GET /public/book`."""

    buy: tuple[Level, ...]
    sell: tuple[Level, ...]
    sequence: int | None = Field(default=None, alias="sequenceId")


class PublicTrade(Wire):
    """A row of `GET /public/trades`. `price` is rate × volume."""

    rate: Amount
    volume: Amount
    price: Amount | None = None
    timestamp: UnixTime
    type: Identifier | None = None


class NewTrade(Wire):
    """`POST /private/create-order`."""

    id: Identifier


class Trade(Wire):
    """`POST /private/get-order`, and a row of `orders` and `history`."""

    id: Identifier
    status: Identifier
    volume: Amount | None = None
    volume_done: Amount | None = None
    rate: Amount | None = None
    rate_done: Amount | None = None
    commission: Amount | None = None
    pair: Identifier | None = None
    type: Identifier | None = None
    type_trade: Identifier | None = None
    time_create: PerhapsTime = None
    time_done: PerhapsTime = None


class Currency(Wire):
    iso3: Asset


class Balances(Wire):
    total: Amount
    available: Amount


class Balance(Wire):
    """A row of `POST /private/balances`."""

    currency: Currency
    balances: Balances
