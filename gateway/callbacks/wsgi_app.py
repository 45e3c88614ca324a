"""The callbacks as a WSGI application (PEP 3333), without any framework."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gateway.callbacks.intake import NOT_ADMITTED, Intake

if TYPE_CHECKING:
    from gateway.api import Gateway

__all__ = ["WsgiCallbacks"]

_TOO_SLOW = 408
_REASONS = {200: "OK", 404: "Not Found", 408: "Request Timeout", 503: "Service Unavailable"}
_CHUNK = 4096


class WsgiCallbacks:
    """Answers as `AsgiCallbacks`. How long one read of the body may block is the server's to bound; between two reads
    the time is checked here.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._intake = Intake(gateway._core)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status = self._status(environ)
        start_response(f"{status} {_REASONS[status]}", [("Content-Length", "0")])
        return []

    def _status(self, environ: dict[str, Any]) -> int:
        path = _text(environ.get("PATH_INFO", ""))
        admitted = self._intake.admitted(environ["REQUEST_METHOD"], path, _text(environ.get("SCRIPT_NAME", "")))
        if admitted is None:
            return NOT_ADMITTED
        try:
            body = self._body(environ)
        except TimeoutError:
            return _TOO_SLOW
        if body is None:
            return NOT_ADMITTED
        return self._gateway._run(
            self._intake.take(
                admitted,
                query=environ.get("QUERY_STRING", "").encode("latin-1").decode("ascii", "surrogateescape"),
                headers=_headers(environ),
                body=body,
                peer=environ.get("REMOTE_ADDR") or None,
            )
        )

    def _body(self, environ: dict[str, Any]) -> bytes | None:
        """The whole body; None when it is too large. Raises TimeoutError."""
        limit, stream = self._intake.body_limit, environ["wsgi.input"]
        left = _length(environ)
        if left is None:
            # PEP 3333 knows no body without a length; servers that decode chunks say that theirs has an end.
            if not environ.get("wsgi.input_terminated"):
                return b""
            left = limit + 1
        elif left > limit:
            return None
        # `read1` returns what is there, where the server has it; `read` waits for all of it.
        read = getattr(stream, "read1", None) or stream.read
        until = time.monotonic() + self._intake.body_seconds
        body = bytearray()
        while left > 0 and (part := read(min(left, _CHUNK))):
            body += part
            left -= len(part)
            if time.monotonic() > until:
                raise TimeoutError
        return bytes(body) if len(body) <= limit else None


def _length(environ: dict[str, Any]) -> int | None:
    """The body's length; None where it is not said. What is no length is longer than anything."""
    text = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 2**63


def _text(native: str) -> str:
    """WSGI's texts are bytes, written as if they were Latin-1."""
    return native.encode("latin-1").decode("utf-8", "replace")


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name.removeprefix("HTTP_").replace("_", "-"), value
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield name.replace("_", "-"), value
