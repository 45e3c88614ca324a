"""Callbacks that are nearly genuine: where a proof stands, and what a careless comparison lets through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from gateway.testing.conformance.tap import leaves, replaced, wire_data, written
from gateway.testing.sandbox import OutgoingCallback

__all__ = ["Place", "misleading_headers", "near_misses", "proof_of", "proof_of_another"]

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HEX = re.compile("[0-9a-f]+")
_DIGEST = re.compile("[A-Za-z0-9+/_-]+")


@dataclass(frozen=True)
class Place:
    """Where a text of a callback stands, and how the callback looks with another text there."""

    name: str
    text: str
    put: Callable[[str], OutgoingCallback]

    def in_other(self, callback: OutgoingCallback) -> str:
        """What stands at this place of another callback; this text where it has no such place."""
        return next((place.text for place in _places(callback) if place.name == self.name), self.text)


def proof_of(callback: OutgoingCallback, forged: OutgoingCallback) -> list[Place]:
    """Where the proof of a callback stands: what differs in a forged one."""
    return [place for place in _places(callback) if place.in_other(forged) != place.text]


def near_misses(proof: Iterable[Place]) -> Iterator[tuple[str, OutgoingCallback]]:
    """The callback with its proof shortened, emptied and changed in one character, and what each is called."""
    for place in proof:
        for what, text in _near(place.text):
            if text != place.text:
                yield f"{place.name} is {what}", place.put(text)


def proof_of_another(proof: Iterable[Place], another: OutgoingCallback) -> Iterator[tuple[str, OutgoingCallback]]:
    """The callback with each part of its proof taken from another genuine one, where that differs: another order, at
    another address.
    """
    for place in proof:
        text = place.in_other(another)
        if text != place.text:
            yield f"{place.name} is that of another genuine callback", place.put(text)


def misleading_headers(callback: OutgoingCallback, number: str) -> Iterator[tuple[str, OutgoingCallback]]:
    """The callback with a header that names another order, which no proof can cover."""
    data = wire_data(callback.body)
    fields = data if isinstance(data, dict) else {}
    said = [name for name, value in fields.items() if isinstance(value, str) and value == callback.order]
    for name in dict.fromkeys([*said, "order", "order-id", "id", "provider-id", "payment-id", "invoice-id"]):
        for header in (name.replace("_", "-"), "X-" + name.replace("_", "-")):
            if header.lower() not in {known.lower() for known in callback.headers}:
                yield header, replace(callback, headers={**callback.headers, header: number})


def _places(callback: OutgoingCallback) -> Iterator[Place]:
    for name, text in callback.headers.items():
        yield Place(
            f"the header {name}",
            text,
            lambda other, name=name: replace(callback, headers={**callback.headers, name: other}),  # type: ignore[misc]
        )
    address, _, query = callback.url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    for index, (name, text) in enumerate(pairs):

        def asked(other: str, index: int = index, name: str = name) -> OutgoingCallback:
            changed = [*pairs[:index], (name, other), *pairs[index + 1 :]]
            return replace(callback, url=f"{address}?{urlencode(changed)}")

        yield Place(f"{name} in the address", text, asked)
    data = wire_data(callback.body)
    if isinstance(data, (dict, list)):
        for path, text in leaves(data):
            if type(text) is str:
                yield Place(
                    f"{'.'.join(map(str, path))} in the body",
                    text,
                    lambda other, path=path: replace(callback, body=written(replaced(data, path, other))),  # type: ignore[misc]
                )


def _near(text: str) -> Iterator[tuple[str, str]]:
    yield "empty", ""
    significant = text.rstrip("=")  # what is left out of Base64 at its end says nothing
    for length in (1, 2, len(significant) // 2, len(significant) - 1):
        yield f"only its first {length} characters", significant[: max(length, 0)]
    found = max(_DIGEST.finditer(text), key=lambda match: len(match.group()), default=None)
    if found is not None:
        for where, at in (
            ("at its start", found.start()),
            ("in its middle", (found.start() + found.end()) // 2),
            ("at its end", found.end() - 1),
        ):
            other = _flipped(text[at], found.group())
            yield f"changed in one character {where}", text[:at] + other + text[at + 1 :]


def _flipped(character: str, digest: str) -> str:
    """Another character of the same alphabet, in a bit that counts in the last one of Base64 too."""
    if _HEX.fullmatch(digest):
        return format(int(character, 16) ^ 8, "x")
    at = _BASE64.find(character.translate({45: "+", 95: "/"}))
    return _BASE64[at ^ 32]
