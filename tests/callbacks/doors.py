"""The three ways in, each as one call: `receive`, the ASGI application and the WSGI application."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from gateway import callbacks
from support.colours import Opened

__all__ = ["DOORS", "Answer", "Request", "knock"]


@dataclass(frozen=True)
class Request:
    """`parts` are the pieces in which the body comes; without `length` nobody says how long it is."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    parts: Sequence[bytes] = (b"",)
    length: bool = True
    prefix: str = ""

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def _receive(gw: Opened) -> Callable[[Request], Answer]:
    def call(request: Request) -> Answer:
        url = f"https://shop.example{request.path}" + (f"?{request.query}" if request.query else "")
        return Answer(
            gw.callbacks.receive(
                method=request.method, url=url, headers=request.headers, body=request.body, client="192.0.2.7"
            )
        )

    return call


def _asgi(gw: Opened) -> Callable[[Request], Answer]:
    app = callbacks.asgi(gw.raw)

    async def one(request: Request) -> Answer:
        parts = list(request.parts)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": request.method,
            "path": unquote(request.prefix + request.path),
            "root_path": request.prefix,
            "query_string": request.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
            "client": ("192.0.2.7", 4711),
        }
        await app(scope, receive, send)
        start, *rest = sent
        headers = tuple((name.decode(), value.decode()) for name, value in start["headers"])
        return Answer(start["status"], headers, b"".join(message["body"] for message in rest))

    if gw.runner is not None:
        return lambda request: gw.runner.run(one(request))  # type: ignore[union-attr]
    return lambda request: asyncio.run(one(request))


class _Parts(io.RawIOBase):
    """A body that comes in pieces."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = [part for part in parts if part]

    def read(self, size: int = -1) -> bytes:
        if not self._parts:
            return b""
        part = self._parts.pop(0)
        if 0 <= size < len(part):
            self._parts.insert(0, part[size:])
            part = part[:size]
        return part


def _wsgi(gw: Opened) -> Callable[[Request], Answer]:
    app = callbacks.wsgi(gw.raw)

    def call(request: Request) -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": request.prefix,
            "PATH_INFO": unquote(request.path).encode().decode("latin-1"),
            "QUERY_STRING": request.query,
            "REMOTE_ADDR": "192.0.2.7",
            "wsgi.input": _Parts(request.parts),
        }
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers}
        if request.length:
            environ["CONTENT_LENGTH"] = str(len(request.body)) if request.body else ""
        else:
            environ["wsgi.input_terminated"] = True
        started: list[Any] = []
        body = b"".join(app(environ, lambda status, headers: started.append((status, headers))))
        status, headers = started[0]
        return Answer(int(status.split()[0]), tuple(headers), body)

    return call


DOORS = ("receive sync", "receive async", "asgi sync", "asgi async", "wsgi sync")


def knock(gw: Opened, door: str) -> Callable[[Request], Answer]:
    """How requests are made through this door."""
    return {"receive": _receive, "asgi": _asgi, "wsgi": _wsgi}[door.split()[0]](gw)
