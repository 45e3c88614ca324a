"""The protocol between an adapter and the engine: an operation yields requests and returns a model.

An adapter never does I/O. Its operation is a generator: it yields a `Request`, is sent what the request's `parse`
made of the answer, and returns its result; several requests are several yields. The engine signs, limits, sends,
repeats, classifies and parses, and throws a `GatewayError` into the operation when a request failed. The same
generator serves both colours:

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        details = yield from ask(Request("GET", f"/orders/{provider_id}"), wire.details)
        return mapping.order(details)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

import msgspec

from gateway.errors import GatewayError
from gateway.money import plain
from gateway.secrets import HIDDEN, is_telling

__all__ = ["Failure", "Malformed", "Operation", "Request", "Response", "Signing", "ask", "decode_json", "encode_json"]

T = TypeVar("T")


class Malformed(ValueError):
    """What a `parse` raises (or pydantic's ValidationError) when an answer is not as documented.

    The engine turns it into MalformedResponse for a read and OutcomeUnknown for a write. The text must not quote
    values.
    """


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, before it is signed. `path` is relative to the account's base URL and starts with '/'.

    `write` says that the provider changes something when it acts on this request: such a request is never repeated
    unless it is certain that nothing was done. `json` is encoded by the engine (Decimals as numbers in plain
    notation) unless `body` already holds the bytes. `signed` is False for public calls and for the call that
    obtains a key. `quiet` leaves the body of the answer out of every report: answers that carry card numbers or
    codes.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    body: bytes | None = None
    write: bool = False
    signed: bool = True
    quiet: bool = False
    parse: Callable[[Response], Any] | None = None

    def target(self) -> str:
        """Path and query below the account's `base_url`, percent-encoded as they go out: what a signature over the
        target covers where `base_url` has no path of its own. Otherwise the provider sees that one before it, and what
        it signs is `urlsplit(settings.base_url).path + request.target()`.
        """
        if not self.query:
            return self.path
        return self.path + "?" + "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in self.query)

    def encoded(self) -> Request:
        """The same request with its body as bytes and its content type set; a signer that covers the body starts
        with this.
        """
        if self.body is not None or self.json is None:
            return self
        return replace(self, body=encode_json(self.json), headers={**self.headers, "Content-Type": "application/json"})

    def __repr__(self) -> str:
        shown = [(key, HIDDEN if is_telling(key) else value) for key, value in self.query]
        return f"Request({self.method} {replace(self, query=tuple(shown)).target() if shown else self.path})"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The decoded body, every number exact: integers as int, all others as Decimal. Raises Malformed."""
        return decode_json(self.content)

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.content)} bytes)"


Operation: TypeAlias = Generator[Request, Any, T]
"""What every method of an adapter returns: a generator of requests whose return value is the result."""


def ask(request: Request, parse: Callable[[Response], T]) -> Operation[T]:
    """Yield the request and return what `parse` makes of its (successful) answer."""
    result = yield replace(request, parse=parse)
    return cast(T, result)


@dataclass(frozen=True, slots=True)
class Failure:
    """What an adapter reads from an answer that is the provider's own error: the neutral kind, and the provider's
    words.
    """

    kind: type[GatewayError]
    message: str
    code: str | None = None
    hint: str | None = None
    recognised: bool = True
    """False for a code (or words) that the adapter's table does not know: what `kind` says is then a guess, and no
    proof that a payout was not made. Such a payout is of unknown outcome, unless the HTTP status itself is a refusal.
    """


@dataclass(frozen=True, slots=True)
class Signing:
    """What a signature may need: the time (aware UTC) and, where the adapter asks for it, a strictly growing number."""

    now: datetime
    request_number: int = 0


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def decode_json(content: bytes) -> Any:
    """JSON with floats as Decimal. Raises Malformed for anything else, however it is broken or nested."""
    try:
        data = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError):
        raise Malformed("not JSON" if content.strip() else "empty") from None
    except RecursionError:
        raise Malformed("JSON nested too deeply") from None
    # Few brackets cannot nest deeply; looking at every value is for answers that have many.
    if content.count(b"[") + content.count(b"{") > _DEEPEST and _deeper(data):
        raise Malformed("JSON nested too deeply")
    return data


_DEEPEST = 100
"""Levels that an answer may have; those of all known providers have less than ten. What is kept of it (`raw`) is
written as JSON again, which gives up at about 250 levels, when the provider has long carried the call out.
"""


def _deeper(data: Any) -> bool:
    level: list[Any] = [[data]]
    for _ in range(_DEEPEST + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def encode_json(data: Any) -> bytes:
    """JSON in which a Decimal is a number in plain notation (`0.00000001`, never `1E-8`). Floats are refused."""
    return msgspec.json.encode(_numbers(data))


def _numbers(data: Any) -> Any:
    if isinstance(data, (str, int)):
        return data
    if isinstance(data, Decimal):
        return msgspec.Raw(plain(data).encode())
    if isinstance(data, float):
        raise TypeError("a float does not go out: use Decimal")
    if isinstance(data, Mapping):
        return {key: _numbers(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_numbers(value) for value in data]
    return data
