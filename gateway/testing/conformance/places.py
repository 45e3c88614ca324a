"""Where something stands in what is sent: every place of a body, also of JSON within a text, of a query and a path."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from gateway.exchange import Request
from gateway.testing.conformance.tap import Exchange, Token, leaves

__all__ = ["Place", "asked_places", "sent_places", "where"]

Place = tuple[str | int, ...]

_FORM = re.compile(rb"[^<>{}\[\]\s\"]*=[^<>{}\[\]\s\"]*")
_WORD = re.compile(r"[^\s<>\"'=,;(){}]+")  # of a body in another format, such as XML


def sent_places(exchange: Exchange) -> dict[Place, Any]:
    """Every place of a request as it left, without its headers: numbers of JSON are `Token`."""
    path: dict[Place, Any] = {("path", index): text for index, text in enumerate(exchange.path.split("/")) if text}
    return {**dict(_in_body(exchange.body)), **_pairs("?", parse_qsl(exchange.query)), **path}


def asked_places(request: Request) -> dict[Place, Any]:
    """Every place of a request as the adapter made it, before it is signed: its headers too, without the path."""
    made = request.encoded()
    headers: dict[Place, Any] = {("header", name.lower()): text for name, text in request.headers.items()}
    return {**dict(_in_body(made.body or b"")), **_pairs("?", request.query), **headers}


def where(place: Place) -> str:
    """A place in words: `data.amount`."""
    return ".".join(map(str, place))


def _pairs(kind: str, pairs: Iterable[tuple[str, str]]) -> dict[Place, Any]:
    found: dict[Place, Any] = {}
    for name, text in pairs:
        place: Place = (kind, name)
        while place in found:
            place = (*place, "again")
        found[place] = text
    return found


def _in_body(body: bytes) -> Iterator[tuple[Place, Any]]:
    if not body.strip():
        return
    text = body.decode("utf-8", "replace")
    try:
        data = json.loads(text, parse_float=Token, parse_int=Token)
    except ValueError:
        if _FORM.fullmatch(body.strip()):
            yield from _opened((), dict(parse_qsl(text, keep_blank_values=True)))
        else:
            yield from ((("body", index), word) for index, word in enumerate(_WORD.findall(text)))
        return
    yield from _opened((), data)


def _opened(here: Place, data: Any) -> Iterator[tuple[Place, Any]]:
    """The leaves of data, and those of JSON that stands in them as a text, plainly or in base64."""
    for place, value in leaves(data, here):
        inner = _inner(value)
        if inner is None:
            yield place, value
        else:
            yield from _opened(place, inner)


def _inner(value: Any) -> Any:
    if not isinstance(value, str) or isinstance(value, Token) or len(value) < 2:
        return None
    text = value.strip()
    if text[0] not in "{[":
        try:
            text = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode().strip()
        except ValueError:
            return None
        if not text.startswith(("{", "[")):
            return None
    try:
        found = json.loads(text, parse_float=Token, parse_int=Token)
    except ValueError:
        return None
    return found if isinstance(found, (dict, list)) and found else None
