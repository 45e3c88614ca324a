"""The callbacks as an ASGI application (ASGI 3.0), without any framework."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.aio import AsyncGateway
from gateway.callbacks.intake import NOT_ADMITTED, Intake
from gateway.engine.effects import Flow, transact

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.api import Gateway

__all__ = ["AsgiCallbacks"]

T = TypeVar("T")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_TOO_SLOW = 408
_MOST_AT_ONCE = 64


class _Gone(Exception):
    """The client has closed the connection."""


class AsgiCallbacks:
    """Answers with a status and no body: 200 when the callback is recorded, 404 for whatever is not admitted, 408 when
    its body does not come in time, 503 when the store cannot be used.
    """

    def __init__(self, gateway: Gateway | AsyncGateway) -> None:
        self._gateway = gateway
        self._intake = Intake(gateway._core)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            try:
                status = await self._status(scope, receive)
            except _Gone:
                return
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    async def _status(self, scope: Scope, receive: Receive) -> int:
        admitted = self._intake.admitted(scope["method"], scope["path"], scope.get("root_path", ""))
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        if admitted is None or _length(headers) > self._intake.body_limit:
            return NOT_ADMITTED
        try:
            async with asyncio.timeout(self._intake.body_seconds):
                body = await self._body(receive)
        except TimeoutError:
            return _TOO_SLOW
        if body is None:
            return NOT_ADMITTED
        client = scope.get("client")
        return await self._run(
            self._intake.take(
                admitted,
                query=scope.get("query_string", b"").decode("ascii", "surrogateescape"),
                headers=headers,
                body=body,
                peer=client[0] if client else None,
            )
        )

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, however it is sent; None when it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            body += message.get("body", b"")
            if len(body) > self._intake.body_limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    async def _run(self, flow: Flow[T]) -> T:
        if isinstance(self._gateway, AsyncGateway):
            return await self._gateway._run(flow)
        # Each waits for its commit, which many of them share: as many at once as the threads allow.
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._gateway._run, flow)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="gateway-callbacks")

    async def _live(self, receive: Receive, send: Send) -> None:
        """As an application of its own: a store that cannot be used is told when it starts, not to a provider."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._run(transact(_nothing))
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if "_threads" in vars(self):
                    self._threads.shutdown(wait=False)
                    del self._threads
                await send({"type": "lifespan.shutdown.complete"})
                return


def _length(headers: list[tuple[str, str]]) -> int:
    """How long the body is said to be; servers refuse what is no number."""
    said = next((value for name, value in headers if name == "content-length"), "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else 0


def _nothing(connection: Connection) -> None:
    """The store is opened for it."""
