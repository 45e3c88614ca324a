"""Looking through everything that came out: floats, exact numbers, and secrets."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from gateway.money import Money
from gateway.secrets import Raw, Secret

__all__ = ["everything_said", "floats", "numbers", "shown", "texts_of"]


def floats(value: Any, place: str = "result") -> Iterator[str]:
    """Where a float stands in a result, `raw` included."""
    if isinstance(value, float):
        yield f"{place} = {value!r}"
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from floats(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from floats(item, f"{place}[{key!r}]")
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield from floats(item, f"{place}[{index}]")


def numbers(value: Any, place: str = "result") -> Iterator[tuple[str, Decimal]]:
    """Every exact number of a result with its place, `raw` left out."""
    if isinstance(value, Decimal):
        yield place, value
    elif isinstance(value, Money):
        yield place, value.amount
    elif isinstance(value, Raw):
        return
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from numbers(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from numbers(item, f"{place}[{index}]")


def texts_of(table: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a settings table with its path."""
    if isinstance(table, str):
        yield path, table
    elif isinstance(table, Secret):
        yield path, table.reveal()
    elif isinstance(table, Mapping):
        for key, value in table.items():
            yield from texts_of(value, f"{path}.{key}" if path else str(key))
    elif isinstance(table, (list, tuple)):
        for value in table:
            yield from texts_of(value, path)


def shown(value: Any) -> str:
    """Every way in which something is usually shown."""
    said = [repr(value), str(value), f"{value}"]
    if isinstance(value, BaseModel):
        said += [value.model_dump_json(), repr(value.model_dump(mode="json"))]
    if isinstance(value, (list, tuple)):
        said += [shown(item) for item in value]
    return "\n".join(said)


def everything_said(error: BaseException) -> str:
    """An error with its causes, notes and tracebacks, and as data."""
    said = ["".join(traceback.format_exception(error)), repr(error), str(error), repr(vars(error))]
    to_dict = getattr(error, "to_dict", None)
    if callable(to_dict):
        said.append(repr(to_dict()))
    return "\n".join(said)


def closest(wanted: Decimal, found: Iterable[tuple[str, Decimal]]) -> str:
    """The number that comes nearest, in words."""
    near = min(found, key=lambda item: abs(item[1] - wanted), default=None)
    return f"{format(near[1], 'f')} at {near[0]}" if near else "no number at all"
