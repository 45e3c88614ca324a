"""What goes over the wire: reading a request strictly, and the envelope of an answer ("Basics")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from gateway.errors import InvalidRequest
from gateway.exchange import Malformed, decode_json
from gateway.money import exact

__all__ = ["Call", "Refusal", "enveloped", "paged", "read_body"]

T = TypeVar("T")

_MOST = Decimal(10) ** 12
_MOST_DECIMALS = 18
_LARGEST_PAGE = 100
_WHOLE = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class Refusal(Exception):
    """Aurpay says no. Only code 401 is known (P); the others mean what they mean in HTTP: not documented."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call. `site` is this server's address, for links to the hosted page."""

    body: Mapping[str, Any]
    query: tuple[tuple[str, str], ...]
    order_id: str
    site: str

    def only(self, *names: str) -> None:
        """Refuse a body with further fields. Not documented; so that a misspelled field is seen instead of ignored."""
        unknown = sorted(set(self.body) - set(names))
        if unknown:
            raise Refusal(400, f"unknown field {unknown[0][:40]}")

    def text(self, name: str) -> str:
        value = self.optional_text(name)
        if not value:
            raise Refusal(400, f"{name} is required")
        return value

    def optional_text(self, name: str) -> str:
        value = self.body.get(name, "")
        if not isinstance(value, str):
            raise Refusal(400, f"{name} must be a string")
        return value

    def flag(self, name: str) -> bool:
        value = self.body.get(name, False)
        if not isinstance(value, bool):
            raise Refusal(400, f"{name} must be a boolean")
        return value

    def number(self, name: str) -> Decimal:
        """An amount that is a JSON number, as in all calls that create an order."""
        if name not in self.body:
            raise Refusal(400, f"{name} is required")
        value = self.body[name]
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise Refusal(400, f"{name} must be a number")
        return _amount(name, value)

    def amount_text(self, name: str) -> Decimal:
        """An amount that is a string, as in a withdrawal."""
        return _amount(name, self.text(name))


def _amount(name: str, value: Decimal | int | str) -> Decimal:
    try:
        amount = exact(value)
    except InvalidRequest:
        raise Refusal(400, f"{name} is not a number") from None
    exponent = amount.as_tuple().exponent
    # The bounds are the sandbox's own: none are documented, and within them every sum is exact.
    if not 0 < amount < _MOST or (isinstance(exponent, int) and exponent < -_MOST_DECIMALS):
        raise Refusal(400, f"{name} is out of range")
    return amount


def read_body(content_type: str, content: bytes) -> Mapping[str, Any]:
    """The JSON object of a POST."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, "Content-Type must be application/json")
    try:
        body = decode_json(content)
    except Malformed:
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the body must be a JSON object")
    return body


def _page(query: tuple[tuple[str, str], ...]) -> tuple[int, int]:
    """`page` and `size` (3). The sample's values are the defaults; the largest size is not documented."""
    asked = {"page": "1", "size": "10", **dict(query)}
    if len(asked) > 2 or len({name for name, _ in query}) < len(query):
        raise Refusal(400, "only page and size can be asked for, once each")
    for name, value in asked.items():
        if not _WHOLE.fullmatch(value):
            raise Refusal(400, f"{name} must be a whole number from 1")
    if int(asked["size"]) > _LARGEST_PAGE:
        raise Refusal(400, f"size is at most {_LARGEST_PAGE}")
    return int(asked["page"]), int(asked["size"])


def paged(rows: Sequence[T], show: Callable[[T], Any], query: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """`page`, `size`, `total`, `max_page`, `data` (3, 7). A page past the last one is empty: not documented."""
    page, size = _page(query)
    start = (page - 1) * size
    return {
        "page": page,
        "size": size,
        "total": len(rows),
        "max_page": -(-len(rows) // size),
        "data": [show(row) for row in rows[start : start + size]],
    }


def enveloped(data: Any, *, code: int = 0, field: str = "message", message: str = "ok", result: bool) -> dict[str, Any]:
    """`{"code": 0, "message": "ok", "data": …, "result": true}`; `result` can be missing."""
    envelope = {"code": code, field: message, "data": data}
    return {**envelope, "result": code == 0} if result else envelope
