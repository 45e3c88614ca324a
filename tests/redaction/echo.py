"""Sandboxes behind a careless front: it answers with what it was sent, and with every secret that it knows."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["MODES", "Front"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MODES = (
    "genuine",
    "repeating",  # the genuine answer, with everything that was sent in every part of it and in its headers
    *("401", "403", "404", "429", "500", "503"),  # an error in JSON that repeats it
    *("401 html", "200 html", "502 html"),  # a page of somebody in between
    *("200 broken", "401 broken"),  # JSON that breaks off behind it
    "302",  # to an address with it
)


class Front:
    """An ASGI application in front of another. `mode` is what it does; `known` are the secrets it knows."""

    def __init__(self, app: Any, known: Callable[[], list[str]]) -> None:
        self._app = app
        self._known = known
        self.mode = "genuine"

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.mode == "genuine":
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        sent = [value.decode("latin-1") for _, value in scope["headers"]]
        said = " ".join([*sent, scope["path"], scope["query_string"].decode(), *self._known()])
        if self.mode == "repeating":
            status, kind, content = await self._genuine(scope, body)
            if kind.startswith("application/json"):
                content = json.dumps(_repeating(json.loads(content), f"{said} {body.decode()}")).encode()
        else:
            status, kind, content = self._failing(f"{said} {body.decode()}")
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(content)).encode()),
            *((name, said.encode()) for name in _HEADERS),
        ]
        if status == 302:
            headers.append((b"location", f"/{self._known()[0]}".encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _genuine(self, scope: Any, body: bytes) -> tuple[int, str, bytes]:
        begin: list[Message] = []
        content = b""

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal content
            if message["type"] == "http.response.start":
                begin.append(message)
            else:
                content += message.get("body", b"")

        await self._app(scope, receive, send)
        kind = dict(begin[0]["headers"]).get(b"content-type", b"text/plain").decode()
        return begin[0]["status"], kind, content

    def _failing(self, said: str) -> tuple[int, str, bytes]:
        status, _, how = self.mode.partition(" ")
        if how == "html":
            page = f"<!DOCTYPE html><html><title>{said}</title><body>{said}</body></html>"
            return int(status), "text/html; charset=utf-8", page.encode()
        # Where the three providers have the words of an error, and where nobody has.
        envelope = {"code": 400, "result": False, "success": False, "message": said, "msg": said, "error": said}
        content = json.dumps({**envelope, "errors": [said], "data": {"seen": said}, said: said, "end": "-" * 30})
        return int(status), "application/json", (content[:-20] if how == "broken" else content).encode()


_HEADERS = (b"x-echo", b"set-cookie", b"etag", b"www-authenticate", b"retry-after", b"date", b"server")


async def _whole(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _repeating(data: Any, said: str) -> Any:
    if isinstance(data, dict):
        return {
            **{key: _repeating(value, said) for key, value in data.items()},
            "seen": said,
            "inner": {"seen": [said]},
        }
    if isinstance(data, list):
        return [_repeating(item, said) for item in data]
    return data
