"""Between the kit and a sandbox: what went over the wire, and answers that are changed on their way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from gateway.testing.sandbox import OutgoingCallback, Payment, Sandbox, SandboxOrder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Exchange", "Tapped", "Token", "leaves", "replaced", "wire_data", "written"]


class Token(str):
    """A number as it is written in a body."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call that the sandbox carried out. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer: bytes

    def sent(self) -> Any:
        """The request's body as data, numbers as `Token`; None for an empty one."""
        return wire_data(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.path} with {self.body[:300].decode('utf-8', 'replace') or 'no body'}"


def wire_data(body: bytes) -> Any:
    """JSON or a form as data. Numbers are `Token`."""
    if not body.strip():
        return None
    try:
        return json.loads(body, parse_float=Token, parse_int=Token)
    except ValueError:
        return dict(parse_qsl(body.decode("utf-8", "replace")))


def leaves(data: Any, here: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every place of JSON data that is neither an object nor a list."""
    if isinstance(data, dict):
        return [found for key, value in data.items() for found in leaves(value, (*here, key))]
    if isinstance(data, list):
        return [found for index, value in enumerate(data) for found in leaves(value, (*here, index))]
    return [(here, data)]


def replaced(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The data with another value at a place; `*` stands for every item of a list. Places that are not there stay
    away.
    """
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(data, dict) and first in data:
        return {**data, first: replaced(data[first], rest, value)}
    if isinstance(data, list):
        return [replaced(item, rest, value) if first in ("*", index) else item for index, item in enumerate(data)]
    return data


def written(data: Any) -> bytes:
    """JSON in which Decimals are numbers with all their digits."""
    from gateway.exchange import encode_json

    return encode_json(data)


class Tapped(Sandbox):
    """A sandbox whose application is listened to. `rewrite` changes the bodies of its good answers."""

    name = "tapped"

    def __init__(self, inner: Sandbox) -> None:
        self.inner = inner
        self.name = inner.name  # type: ignore[misc]
        self.clock = inner.clock
        self.exchanges: list[Exchange] = []
        self.rewrite: Callable[[bytes], bytes] | None = None
        self._lock = threading.Lock()
        self._app = _listening(self)

    @property
    def emit(self) -> Callable[[OutgoingCallback], None]:
        return self.inner.emit

    @emit.setter
    def emit(self, take: Callable[[OutgoingCallback], None]) -> None:
        self.inner.emit = take

    @property
    def app(self) -> ASGIApp:
        return self._app

    def note(self, exchange: Exchange) -> None:
        with self._lock:
            self.exchanges.append(exchange)

    def account(self, base_url: str) -> dict[str, Any]:
        return self.inner.account(base_url)

    def orders(self) -> list[SandboxOrder]:
        return self.inner.orders()

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        self.inner.pay(order, how)

    def expire(self, order: str) -> None:
        self.inner.expire(order)

    def fail(self, order: str) -> None:
        self.inner.fail(order)

    def ledger(self) -> dict[str, Any]:
        return self.inner.ledger()

    def tick(self) -> None:
        self.inner.tick()

    def forged(self, callback: OutgoingCallback) -> OutgoingCallback:
        return self.inner.forged(callback)


def _listening(tapped: Tapped) -> ASGIApp:
    inner = tapped.inner.app

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        body = bytearray()
        start: Message = {}
        answer = bytearray()

        async def reading() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def keeping(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))

        await inner(scope, reading, keeping)
        status, content = start["status"], bytes(answer)
        if tapped.rewrite is not None and 200 <= status < 300:
            content = tapped.rewrite(content)
        headers = [pair for pair in start.get("headers", ()) if pair[0].lower() != b"content-length"]
        tapped.note(
            Exchange(
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                headers={name.decode("latin-1").lower(): text.decode("latin-1") for name, text in scope["headers"]},
                body=bytes(body),
                status=status,
                answer=content,
            )
        )
        await send({**start, "headers": [*headers, (b"content-length", b"%d" % len(content))]})
        await send({"type": "http.response.body", "body": content})

    return app


def as_number(value: Any) -> Decimal | None:
    """A leaf of an answer as a number, where it is one; numbers may be written as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    if isinstance(value, str):
        try:
            number = Decimal(value)
        except ArithmeticError:
            return None
        return number if number.is_finite() else None
    return None
