"""The only module that touches an HTTP library. One transport for each colour; both send exactly what they are
given.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from gateway._version import __version__
from gateway.exchange import Request, Response

__all__ = ["AsyncTransport", "Connection", "SyncTransport", "TransportFailure"]

# httpx logs every full URL at INFO, query strings included; those can carry keys. Our own records are redacted.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class _WithoutHeaders(logging.Filter):
    """What httpcore logs at DEBUG of an answer's headers, and of a head that it cannot read: a provider may repeat in
    both what it was sent.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        event, _, _ = str(record.msg).partition(" ")
        if event.startswith("receive_response_"):
            record.msg = event
        return True


for _name in ("httpcore.http11", "httpcore.http2"):
    logging.getLogger(_name).addFilter(_WithoutHeaders())

LARGEST_ANSWER = 4 * 1024 * 1024
_CONNECT_SECONDS = 10.0
_MOST_CONNECTIONS = 100
_MOST_IDLE = 20
_LONGEST_IDLE = 15.0
_GRACE = 0.05
_HEADERS = {
    "User-Agent": f"crypto-gateway/{__version__}",
    "Accept": "application/json",
    # Compressed answers could be small on the wire and huge in memory.
    "Accept-Encoding": "identity",
}


class TransportFailure(Exception):
    """No complete answer came. `sent` says whether any byte of the request may have reached the provider.

    `lasting` failures (a certificate that does not verify) are not worth repeating. `hint` is what to look at when
    nothing was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        sent: bool,
        lasting: bool = False,
        hint: str = "check the network and the account's base_url",
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.lasting = lasting
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Connection:
    """Where and how an account's requests go."""

    base_url: str
    proxy: str | None = None
    ca_file: str | None = None

    def options(self, connections: int = _MOST_CONNECTIONS) -> dict[str, Any]:
        """What a transport of so many connections is made with."""
        # trust_env off: which proxy is used is a setting of the account, not of whoever started the process.
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        return {
            "verify": verify,
            "proxy": httpx.Proxy(self.proxy) if self.proxy else None,
            "trust_env": False,
            "limits": httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=min(connections, _MOST_IDLE),
                keepalive_expiry=_LONGEST_IDLE,
            ),
        }

    def build(self, request: Request, timeout: float, trace: Callable[[str, Mapping[str, Any]], Any]) -> httpx.Request:
        phases = {"connect": min(timeout, _CONNECT_SECONDS), "read": timeout, "write": timeout, "pool": timeout}
        target = request.target()
        if not target.startswith("/"):
            # After a base URL without a path, '@elsewhere' or '.elsewhere' would be another host, with the key.
            raise httpx.InvalidURL("its path does not begin with '/'")
        url = _parsed(self.base_url + target)
        # What leaves must be what was signed: a target that httpx would tidy up ('..', '#', a space) is not sent.
        if url.fragment or not url.raw_path.endswith(target.encode("ascii")):
            raise httpx.InvalidURL("it would be changed on its way")
        body = request.body or b""
        headers = {"Host": url.netloc.decode("ascii"), **_HEADERS, **request.headers}
        # RFC 9110, 8.6: also where a method that has a body is sent without one.
        if body or request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(body))
        # As `stream` the body goes out with these headers and no others.
        return httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={"timeout": phases, "trace": trace},
        )


# Most calls of an account go to a few addresses, and parsing one is a large part of what a call costs.
_parsed = functools.lru_cache(maxsize=256)(httpx.URL)


class _Trace:
    """Notes when the first byte of the request itself (not of a proxy's CONNECT) begins to leave."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self.sent = True
        # A header that cannot be written is found before the first byte leaves.
        elif event.endswith("send_request_headers.failed") and "LocalProtocol" in type(info["exception"]).__name__:
            self.sent = False

    async def in_async(self, event: str, info: Mapping[str, Any]) -> None:
        self(event, info)


class _Bounds(threading.local):
    """When the call that this thread makes must end, of the monotonic clock.

    httpx bounds each read of a socket by itself; an answer that trickles would outlive any deadline. So the reads and
    writes of every new connection are bounded by the end of the call as well.
    """

    end = float("inf")

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            stream = info["return_value"]
            stream.read, stream.write = self._bounded(stream.read), self._bounded(stream.write)

    def _bounded(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def bounded(data: Any, timeout: float | None = None) -> Any:
            left = max(self.end - time.monotonic(), 0.001)
            return act(data, left if timeout is None else min(timeout, left))

        return bounded


# A header or an address that cannot be written; what they say of it can hold a secret.
_UNSENDABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError)
# And an answer whose head is none, which is quoted. Neither is kept as the cause or the context.
_QUOTING = (*_UNSENDABLE, httpx.RemoteProtocolError)


def _failure(error: Exception, sent: bool, connection: Connection) -> TransportFailure:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TransportFailure(
                f"the provider's certificate was not accepted: {cause.verify_message}",
                sent=sent,
                lasting=True,
                hint="check ca_file and base_url",
            )
        if isinstance(cause, ssl.SSLError) and not sent:
            return TransportFailure(
                f"cannot connect: what answers there does not speak TLS as it should ({cause.reason or 'broken off'})",
                sent=sent,
                hint="check the port of the account's base_url",
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, _UNSENDABLE):
        return TransportFailure(
            "the request cannot be sent as it is",
            sent=sent,
            lasting=True,
            hint="check the account's key (plain ASCII without line breaks), its base_url, and the path",
        )
    if isinstance(error, httpx.ProxyError):
        hint = "check the account's proxy, its user and password there, and what it lets through"
        return TransportFailure("the egress proxy refused", sent=sent, hint=hint)
    if isinstance(error, httpx.ConnectError) and connection.proxy:
        hint = "check the network and the account's proxy; nothing goes past it"
        return TransportFailure("cannot connect to the egress proxy", sent=sent, hint=hint)
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        words = "no connection in time"
    elif isinstance(error, httpx.TimeoutException):
        words = "no answer in time"
    elif isinstance(error, httpx.ConnectError):
        words = "cannot connect"
    else:
        words = "the connection broke"
    return TransportFailure(words, sent=sent)


def _response(status: int, headers: httpx.Headers, content: bytes) -> Response:
    return Response(status, {name.lower(): value for name, value in headers.items()}, content)


def _too_large() -> TransportFailure:
    return TransportFailure(f"the answer is over {LARGEST_ANSWER} bytes", sent=True, lasting=True)


class SyncTransport:
    """Safe for threads. `send` raises TransportFailure.

    The library's transport is used without its client: cookies, redirects, `.netrc` and default encodings are
    things that must not happen here. `transport` replaces it where nothing is to go over a network.
    """

    def __init__(self, connection: Connection, transport: httpx.BaseTransport | None = None) -> None:
        self._connection = connection
        self._transport = transport or httpx.HTTPTransport(**connection.options())
        self._bounds = _Bounds()

    def send(self, request: Request, timeout: float) -> Response:
        trace, bounds = _Trace(), self._bounds
        bounds.end = time.monotonic() + timeout

        def follow(event: str, info: Mapping[str, Any]) -> None:
            trace(event, info)
            bounds(event, info)

        try:
            answer = self._transport.handle_request(self._connection.build(request, timeout, follow))
            content = bytearray()
            try:
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > LARGEST_ANSWER:
                        raise _too_large()
            finally:
                answer.close()
            return _response(answer.status_code, answer.headers, bytes(content))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            failure = _failure(error, trace.sent, self._connection)
            if not isinstance(error, _QUOTING):
                raise failure from error
        raise failure

    def close(self) -> None:
        self._transport.close()


def _line(connection: Connection) -> Callable[[], httpx.AsyncBaseTransport]:
    """Makes a transport of one connection."""
    options = connection.options(connections=1)
    # One for all of them: the certificates of all authorities take longer to load than a call takes.
    options["verify"] = httpx.create_ssl_context(options["verify"], trust_env=False)
    return functools.partial(httpx.AsyncHTTPTransport, **options)


class AsyncTransport:
    """As SyncTransport, for one event loop.

    Each connection is a transport of its own. One of many connections looks at all their sockets, and through all
    calls that wait, whenever a call begins or ends; with many calls at once that is most of the work. `make` makes
    something else where nothing is to go over a network.
    """

    def __init__(self, connection: Connection, make: Callable[[], httpx.AsyncBaseTransport] | None = None) -> None:
        self._connection = connection
        self._make = make or _line(connection)
        self._made: set[httpx.AsyncBaseTransport] = set()
        self._idle: deque[tuple[float, httpx.AsyncBaseTransport]] = deque()
        """Since when, and which; the one used last is last, and is used next."""
        # Calls that find no connection free wait here.
        self._room = asyncio.Semaphore(_MOST_CONNECTIONS)

    async def send(self, request: Request, timeout: float) -> Response:
        trace, end = _Trace(), time.monotonic() + timeout
        try:
            # The library gives up first: it closes its socket then, which it does not when a handshake is cancelled.
            async with asyncio.timeout(timeout + _GRACE), self._room:
                left = max(end - time.monotonic(), 0.001)
                response = await self._exchange(self._connection.build(request, left, trace.in_async))
        except TimeoutError as error:
            words = "no complete answer in time" if trace.sent else "no connection in time"
            raise TransportFailure(words, sent=trace.sent) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            failure = _failure(error, trace.sent, self._connection)
            if not isinstance(error, _QUOTING):
                raise failure from error
        else:
            await self._close_surplus()
            return response
        raise failure

    async def _exchange(self, prepared: httpx.Request) -> Response:
        transport = self._idle.pop()[1] if self._idle else self._make()
        self._made.add(transport)
        try:
            answer = await transport.handle_async_request(prepared)
            content = bytearray()
            try:
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > LARGEST_ANSWER:
                        raise _too_large()
            finally:
                await answer.aclose()
        finally:
            # After a failure too: it has closed its connection then, and opens another.
            self._idle.append((time.monotonic(), transport))
        return _response(answer.status_code, answer.headers, bytes(content))

    async def _close_surplus(self) -> None:
        """Those beside the number that is kept, unless calls wait for them, and those that were idle for too long."""
        most = _MOST_CONNECTIONS if self._room.locked() else _MOST_IDLE
        while self._idle and (len(self._idle) > most or self._idle[0][0] < time.monotonic() - _LONGEST_IDLE):
            transport = self._idle.popleft()[1]
            self._made.discard(transport)
            # Whatever is wrong with that one, this call has its answer.
            with contextlib.suppress(Exception):
                await transport.aclose()

    async def close(self) -> None:
        made, self._made = self._made, set()
        self._idle.clear()
        for transport in made:
            await transport.aclose()
