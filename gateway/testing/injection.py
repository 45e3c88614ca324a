"""An ASGI middleware that lets faults strike the calls of one sandbox, and dates its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime
from typing import TYPE_CHECKING

from gateway.testing.faults import CallFault, Delay, Drop, Empty, FaultQueue, Foreign, Status, Truncated
from gateway.testing.request_log import RequestLog
from gateway.testing.sandbox import SandboxClock

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["TRANSPORT", "FaultInjection"]

TRANSPORT = "gateway.testing.transport"
"""Where the server leaves the connection's asyncio transport in the scope's state, for it to be broken off."""


@dataclass(slots=True)
class _Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def to(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class _Gone(Exception):
    """The client went away before its request was complete."""


class FaultInjection:
    """Takes one fault from the queue for each call that it matches, and keeps the log of all calls. Answers that have
    no Date yet get the sandbox's time.
    """

    def __init__(self, app: ASGIApp, faults: FaultQueue[CallFault], log: RequestLog, clock: SandboxClock) -> None:
        self._app = app
        self._faults = faults
        self._log = log
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        taken = self._faults.take(lambda fault: fault.matches(method, path))
        number = self._log.arrived(method, path, taken[0].kind if taken else None)

        async def noting(message: Message) -> None:
            # Before it is sent: who has the answer finds it in the log.
            if message["type"] == "http.response.start":
                self._log.change(number, status=message["status"])
                message = {**message, "headers": self._dated(message.get("headers", ()))}
            await send(message)

        if taken is None:
            self._log.change(number, executed=True)
            await self._app(scope, receive, noting)
            return
        try:
            body = await _body(receive)
        except _Gone:
            return
        await self._strike(taken[0], number, scope, _replay(body), receive, noting)

    def _dated(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = list(headers)
        if not any(name.lower() == b"date" for name, _ in headers):
            now = format_datetime(self._clock.now().astimezone(UTC), usegmt=True)
            headers.append((b"date", now.encode("ascii")))
        return headers

    async def _strike(
        self, fault: CallFault, number: int, scope: Scope, request: Receive, receive: Receive, send: Send
    ) -> None:
        match fault:
            case Delay(executed=False):
                await asyncio.sleep(fault.seconds)
                await (await self._execute(number, scope, request)).to(send)
            case Delay():
                answer = await self._execute(number, scope, request)
                await asyncio.sleep(fault.seconds)
                await answer.to(send)
            case Drop():
                if fault.executed:
                    await self._execute(number, scope, request)
                _transport(scope).abort()
                await _disconnected(receive)
            case Truncated():
                await _cut(await self._execute(number, scope, request), fault.keep, scope, receive, send)
            case Status() | Foreign() | Empty():
                if fault.executed:
                    await self._execute(number, scope, request)
                await _canned(fault).to(send)
            case _:
                raise TypeError(f"no rule for a fault of the kind {fault.kind!r}")

    async def _execute(self, number: int, scope: Scope, request: Receive) -> _Answer:
        """Run the sandbox to its end, its answer kept back."""
        answer = _Answer(500, [], b"")

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message.get("headers", []))
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")

        await self._app(scope, request, keep)
        self._log.change(number, executed=True)
        return answer


async def _body(receive: Receive) -> bytes:
    """The whole request, read before anything strikes: to the client, all faults happen after sending."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def _replay(body: bytes) -> Receive:
    """The request once more, from a client that never goes away: a call that is under way is finished."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    transport = scope.get("state", {}).get(TRANSPORT)
    if not isinstance(transport, asyncio.Transport):
        raise ConnectionResetError("a dropped connection; only SandboxServer has real ones to drop")
    return transport


async def _cut(answer: _Answer, keep: int | None, scope: Scope, receive: Receive, send: Send) -> None:
    kept = answer.body[: len(answer.body) // 2 if keep is None else keep]
    promised = max(len(answer.body), len(kept) + 1)
    headers = [pair for pair in answer.headers if pair[0].lower() not in {b"content-length", b"transfer-encoding"}]
    headers.append((b"content-length", b"%d" % promised))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if kept:
        await send({"type": "http.response.body", "body": kept, "more_body": True})
    _transport(scope).close()
    await _disconnected(receive)


def _canned(fault: Status | Foreign | Empty) -> _Answer:
    headers = {} if isinstance(fault, Empty) else {name.lower(): value for name, value in fault.headers.items()}
    body = b"" if isinstance(fault, Empty) else fault.body.encode("utf-8")
    if body:
        headers.setdefault("content-type", "text/plain; charset=utf-8")
    if fault.status not in {204, 304}:
        headers["content-length"] = str(len(body))
    return _Answer(fault.status, [(name.encode(), value.encode()) for name, value in headers.items()], body)
