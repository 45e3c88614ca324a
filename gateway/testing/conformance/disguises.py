"""Where a secret may go out, and the forms in which it is still readable by whoever sees it."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from gateway.testing.conformance.scanning import texts_of
from gateway.testing.conformance.subject import SignatureVector, Subject
from gateway.testing.conformance.tap import Exchange

__all__ = ["disguised", "elsewhere", "readable_in"]

_SHORTEST = 6  # a shorter text of a check value stands in a header by chance
_FIRST = (0, 2, 3)  # the characters of Base64 that hold something of what stands before, by its bytes


@functools.lru_cache(maxsize=1000)
def disguised(text: str) -> tuple[tuple[str, str], ...]:
    """The forms of a text that anybody can turn back, and what each is called; the text itself first."""
    data = text.encode()
    forms = {text: "", text[::-1]: "backwards", data.hex(): "in hex", data.hex().upper(): "in hex"}
    forms.setdefault(quote(text, safe=""), "percent-encoded")
    for before, first in enumerate(_FIRST):
        whole = bytes(before) + data
        # Without the characters that hold something of what stands beside it.
        encoded = base64.b64encode(whole).decode().rstrip("=")[first:][: None if len(whole) % 3 == 0 else -1]
        forms.setdefault(encoded, "in Base64")
        forms.setdefault(encoded.translate({43: "-", 47: "_"}), "in Base64 for addresses")
    return tuple((what, form) for form, what in forms.items())


def readable_in(content: str, text: str) -> tuple[str, str] | None:
    """The first form of the text that stands in this content, and what it is called."""
    return next(((what, form) for what, form in disguised(text) if form in content), None)


def elsewhere(
    subject: Subject, settings: Mapping[str, Any], secrets: list[tuple[str, str]], exchange: Exchange
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """The secrets that went out with this call in another place than the check values have them: the secret's path,
    the place, and those where it belongs. Of what no check value names nothing is said.
    """
    belongs = _places(subject, settings)
    for path, text in secrets:
        for place, content in _parts(exchange) if path in belongs else ():
            if place not in belongs[path] and readable_in(content, text):
                yield path, place, frozenset(belongs[path])


def _places(subject: Subject, settings: Mapping[str, Any]) -> dict[str, set[str]]:
    """By the path of a part of the account's auth, where the check values of its kind send it: nowhere, where it only
    signs.
    """
    own = settings.get("auth", {})
    found: dict[str, set[str]] = {}
    for vector in subject.signatures:
        auth = own if vector.auth is None else vector.auth
        if auth.get("kind") != own.get("kind"):
            continue
        for path, text in texts_of(auth, "auth"):
            places = found.setdefault(path, {"the address"} if subject.key_in_address else set())
            places |= {place for place, content in _of_vector(vector) if _holds(content, text)}
    return found


def _of_vector(vector: SignatureVector) -> Iterator[tuple[str, str]]:
    for name, value in {**vector.request.headers, **vector.headers}.items():
        yield f"the header {name.lower()}", value
    yield "the address", vector.request.target()
    yield "the body", (vector.body or vector.request.encoded().body or b"").decode("utf-8", "replace")


def _parts(exchange: Exchange) -> Iterator[tuple[str, str]]:
    for name, value in exchange.headers.items():
        yield f"the header {name}", value
    yield "the address", f"{exchange.path}?{exchange.query}"
    yield "the body", exchange.body.decode("utf-8", "replace")


def _holds(content: str, text: str) -> bool:
    return content == text or (len(text) >= _SHORTEST and readable_in(content, text) is not None)
