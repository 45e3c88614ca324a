"""An ASGI application served on loopback by uvicorn's HTTP protocol in a thread, with connections to break off.

uvicorn's own `Server` is not used: it logs, polls, exits the process when it cannot start, and takes its time to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gateway.contracts.settings import is_loopback
from gateway.errors import ConfigurationError
from gateway.testing.injection import TRANSPORT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LoopbackServer"]

_PATIENCE_SECONDS = 10.0


class _Protocol(H11Protocol):
    """Hands the connection's transport to the application, and keeps no access log."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this only for sockets that were made with their protocol named; without it an answer that is
        # written in two parts waits 40 ms for the client's acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.access_log = False
        # uvicorn gives every request a copy of this, as its scope's state.
        self.app_state = {**self.app_state, TRANSPORT: transport}


class LoopbackServer:
    """Listens on `host` (loopback only) and `port` (0: any free one) from `start` to `stop`."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        if not is_loopback(host):
            raise ConfigurationError(
                f"a sandbox is not served on {host}",
                hint="use 127.0.0.1, ::1 or localhost: anybody may pay in a sandbox",
            )
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"there is no port {port}", hint="port 0 takes any free one")
        self._app = app
        self._host = host
        self._port = port
        self._address: tuple[str, int] | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Without a slash at the end. Raises ConfigurationError before `start`."""
        if self._address is None:
            raise ConfigurationError("the sandbox server is not started", hint="use it as a context manager")
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Returns when the first request can be made. Raises ConfigurationError when the port cannot be had."""
        if self._thread is not None:
            raise ConfigurationError("this sandbox server was started before", hint="make a new one")
        listener = self._listen()
        self._address = listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, args=(listener,), name="sandbox-server", daemon=True)
        self._thread.start()
        if not self._ready.wait(_PATIENCE_SECONDS) or self._failure is not None:
            raise ConfigurationError("the sandbox server did not start") from self._failure

    def stop(self) -> None:
        """Break off all connections and end the thread. May be called again."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        if self._thread.is_alive() and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop was closed between the two lines
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the sandbox server did not stop: a call to a sandbox is still running")

    def _listen(self) -> socket.socket:
        try:
            family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
            # A name is what the resolver makes of it.
            if not ipaddress.ip_address(address[0]).is_loopback:
                raise ConfigurationError(f"{self._host} is {address[0]} here, not this machine alone")
            return socket.create_server((str(address[0]), self._port), family=family, backlog=256)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {self._host} port {self._port}: {error}", hint="port 0 takes any free one"
            ) from error

    def _run(self, listener: socket.socket) -> None:
        with listener:
            try:
                with asyncio.Runner() as runner:
                    runner.run(self._serve(listener))
            except BaseException as error:
                self._failure = error
            finally:
                self._ready.set()

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        config = Config(
            self._uncancelled,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            ws="none",
            proxy_headers=False,
            # An idle connection that is closed under a client's feet would look like a fault.
            timeout_keep_alive=600,
        )
        config.load()
        state = ServerState()
        no_state: dict[str, Any] = {}
        server = await loop.create_server(lambda: _Protocol(config, state, no_state, loop), sock=listener)
        self._loop, self._stopping = loop, asyncio.Event()
        self._ready.set()
        await self._stopping.wait()
        server.close()
        # One round for connections that were just accepted.
        await asyncio.sleep(0)
        while state.connections:
            for connection in list(state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        if tasks := list(state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_PATIENCE_SECONDS / 2)

    async def _uncancelled(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Only `_serve` cancels; uvicorn would log it as a failure of the application.
            return
