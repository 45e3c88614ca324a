"""Column types that keep every digit, every microsecond and no float. The same text in every database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from gateway.errors import InvalidRequest
from gateway.money import exact, plain

__all__ = ["ExactDecimal", "JsonText", "UtcDateTime", "canonical"]


class ExactDecimal(TypeDecorator[Decimal]):
    """A Decimal as text in plain notation. It is not for comparing in SQL: read it and compare the Decimals."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise InvalidRequest(f"the store keeps amounts as Decimal, not as {type(value).__name__}")
        return plain(exact(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time as text of fixed width in UTC, to the microsecond, so that the text sorts as the time does."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise InvalidRequest("a time without a zone cannot be stored")
        try:
            moment = value.astimezone(UTC)
        except OverflowError:
            raise InvalidRequest("the time is outside the years 1 to 9999 in UTC") from None
        return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class JsonText(TypeDecorator[Any]):
    """A dict or list as canonical JSON. Decimals become text; what comes back holds no Decimal and no float."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | list[Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value, parse_float=Decimal)


def canonical(value: Mapping[str, Any] | list[Any]) -> str:
    """The one JSON text of this data: keys sorted, ASCII, Decimals as text. Raises InvalidRequest for floats."""
    if not isinstance(value, (Mapping, list)):
        raise InvalidRequest(f"a dict or a list is stored as JSON, not {type(value).__name__}")
    return json.dumps(_plain_json(value, "$"), sort_keys=True, separators=(",", ":"))


def _plain_json(value: object, path: str) -> object:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise InvalidRequest(f"{path}: a number that is stored is finite")
        return plain(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InvalidRequest(f"{path}: the keys of stored JSON are texts, not {type(key).__name__}")
        return {str(key): _plain_json(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_json(item, f"{path}[{index}]") for index, item in enumerate(value)]
    hint = "write it as text or as a Decimal" if isinstance(value, float) else None
    raise InvalidRequest(f"{path}: {type(value).__name__} cannot be stored exactly", hint=hint)
