"""The fields of requests and answers: JSON numbers, texts, times and the two envelopes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import InvalidRequest
from gateway.exchange import Malformed, decode_json, encode_json
from gateway.money import exact, plain
from gateway.testing.sandbox import SandboxError
from gateway_aurex.sandbox.books import Refused

__all__ = [
    "answer",
    "as_texts",
    "failure",
    "number",
    "read_body",
    "read_count",
    "read_text",
    "read_usd",
    "utc_time",
    "whole_cents",
]

_MOST = Decimal(10) ** 15  # what no deposit comes near; keeps all sums exact


def answer(status: int, data: object) -> Response:
    return Response(encode_json(data), status, media_type="application/json")


def failure(status: int, error: str) -> Response:
    return answer(status, {"success": False, "error": error})


def read_body(request: Request, content: bytes) -> Mapping[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(400, "Content-Type must be application/json")
    try:
        body = decode_json(content)
    except Malformed:
        raise Refused(400, "The body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object")
    return body


def read_text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, f"{name} is required and must be a string")
    return value


def read_usd(body: Mapping[str, Any], name: str, allowed: tuple[Decimal, Decimal] | None) -> Decimal:
    """A JSON number above zero with at most two decimals, which is not documented but what a dollar has."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise Refused(400, f"{name} must be a number")
    try:
        amount = whole_cents(value)
    except SandboxError:
        raise Refused(400, f"{name} must be a positive amount of USD") from None
    if allowed is not None and not allowed[0] <= amount <= allowed[1]:
        raise Refused(400, f"{name} must be between {plain(allowed[0])} and {plain(allowed[1])}")
    return amount


def whole_cents(value: Decimal | int, *, least: Decimal = Decimal("0.01")) -> Decimal:
    """USD in cents, for requests and for the control alike. Raises SandboxError."""
    try:
        amount = exact(value)
    except InvalidRequest as error:
        raise SandboxError(str(error)) from None
    if not least <= amount < _MOST or amount != round(amount, 2):
        raise SandboxError(f"expected an amount of USD in whole cents of at least {plain(least)}")
    return round(amount, 2)


def read_count(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= least):
        raise Refused(400, f"{name} must be a whole number from {least}")
    return int(value)


def number(amount: Decimal) -> Decimal:
    """As JSON shows it: without zeros at the end."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()


def utc_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_texts(record: object, names: str) -> dict[str, str]:
    """Some of a record's fields, amounts as text."""
    values = {name: getattr(record, name) for name in names.split()}
    return {name: plain(value) if isinstance(value, Decimal) else str(value) for name, value in values.items()}
