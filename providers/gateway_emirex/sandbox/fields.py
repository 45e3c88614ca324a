"""The fields of requests and answers: signatures, numbers, and the exchange's three kinds of failure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from starlette.responses import HTMLResponse, Response

from gateway.errors import InvalidRequest
from gateway.exchange import Malformed, decode_json, encode_json
from gateway.money import exact
from gateway_emirex.sandbox.exchange import Refused

__all__ = [
    "BadRequest",
    "as_integer",
    "bad_request",
    "business_error",
    "no_page",
    "number",
    "read_amount",
    "read_body",
    "read_integer",
    "read_text",
    "require",
    "signature",
    "success",
]

_AMOUNT = re.compile(r"\d{1,30}(\.\d{1,30})?", re.ASCII)


class BadRequest(Exception):
    """What the framework refuses before the exchange sees it."""


# Answers (C; for private calls I)


def success(data: object = None) -> Response:
    return _json(200, {"status": True} if data is None else {"status": True, "data": data})


def business_error(error: str) -> Response:
    return _json(400, {"status": False, "error": error})


def bad_request(message: str, status: int = 400, name: str = "Bad Request") -> Response:
    """The framework's error: here `status` is a number."""
    return _json(status, {"name": name, "message": message, "code": 0, "status": status})


def no_page() -> Response:
    return HTMLResponse("<!DOCTYPE html><html><head><title>404</title></head><body>Not Found</body></html>", 404)


def _json(status: int, data: object) -> Response:
    return Response(encode_json(data), status, media_type="application/json")


def number(amount: Decimal) -> Decimal:
    """As JSON shows it: without zeros at the end."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()


def as_integer(amount: Decimal) -> int:
    """The amount in units of 1e-8; no amount of the sandbox has more decimals."""
    return int(amount * 10**8)


# Requests


def read_body(content_type: str, content: bytes) -> dict[str, Any]:
    """A JSON object of texts, numbers, and objects and arrays of them; nothing else has a known text to sign."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("Content-Type must be application/json")
    try:
        body = decode_json(content)
        _signed_text(body)
    except (Malformed, TypeError, RecursionError):
        raise BadRequest("The body is not a JSON object of texts and numbers") from None
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object of texts and numbers")
    return body


def signature(content: bytes, secret: str) -> str:
    """SHA-256 over the values as they were sent, in the order of their keys, and the secret; not an HMAC (I)."""
    body = json.loads(content, parse_float=str, parse_int=str)  # numbers keep the text that was sent
    return hashlib.sha256((_signed_text(body) + secret).encode()).hexdigest()


def _signed_text(value: object) -> str:
    if isinstance(value, dict):
        return "".join(_signed_text(value[key]) for key in sorted(value))
    if isinstance(value, list):
        return "".join(_signed_text(item) for item in value)
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise TypeError(f"{type(value).__name__} has no text")
    return str(value)


def require(body: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in body]
    if missing:
        raise BadRequest("Missing required parameters: " + ", ".join(missing))


def read_text(body: Mapping[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise Refused(f"Incorrect {name}")
    return value


def read_integer(body: Mapping[str, Any], name: str) -> int:
    """As a number or as text: which of them is not documented."""
    value = body[name]
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        return int(value)
    if isinstance(value, int):
        return value
    raise Refused(f"Incorrect {name}")


def read_amount(body: Mapping[str, Any], name: str) -> Decimal:
    """As a number or as text: which of them is not documented. Never negative."""
    value = body[name]
    if isinstance(value, str) and not _AMOUNT.fullmatch(value):
        raise Refused(f"Incorrect {name}")
    try:
        amount = exact(value)
    except InvalidRequest:
        raise Refused(f"Incorrect {name}") from None
    if amount < 0:
        raise Refused(f"Incorrect {name}")
    return amount
