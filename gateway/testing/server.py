"""Serves sandboxes over real HTTP on loopback, each under its provider's name, with everything that steers them.

    with SandboxServer([AurpaySandbox()]) as server:
        server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
        ...                                       # the merchant's code, with server.accounts() in its configuration
        server.pay("aurpay", order)
        server.callbacks("aurpay").wait_idle()
        assert server.requests["aurpay"][-1].status == 200

The same is there over HTTP under `/_control`, for shops in other languages: see `gateway.testing.control`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gateway.errors import ConfigurationError
from gateway.testing.delivery import CallbackDelivery
from gateway.testing.extra import sandbox_extra
from gateway.testing.faults import CallFault, FaultQueue
from gateway.testing.injection import FaultInjection
from gateway.testing.request_log import RequestLog, RequestRecord
from gateway.testing.sandbox import NotInSandbox, OutgoingCallback, Payment, Sandbox, SandboxError, SandboxOrder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["SandboxServer"]

_CONTROL = "_control"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class _Served:
    sandbox: Sandbox
    app: ASGIApp
    faults: FaultQueue[CallFault]
    callbacks: CallbackDelivery
    log: RequestLog


class SandboxServer:
    """Serves from `start` (or entering) to `stop` (or leaving), once. Its methods may be called from any thread.

    Raises ConfigurationError when the extra `sandbox` is not installed, the host is not loopback, the port is taken, or
    two sandboxes have one name.
    """

    def __init__(self, sandboxes: Iterable[Sandbox], host: str = "127.0.0.1", port: int = 0) -> None:
        with sandbox_extra():
            from gateway.testing.connections import LoopbackServer
            from gateway.testing.control import control_app
        self._served: dict[str, _Served] = {}
        for sandbox in sandboxes:
            self._serve(sandbox)
        self._control = control_app(self)
        self._server = LoopbackServer(self._route, host, port)

    def _serve(self, sandbox: Sandbox) -> None:
        if not _NAME.fullmatch(sandbox.name):
            raise ConfigurationError(f"{sandbox.name!r} cannot be a sandbox's name: lower case letters, digits and '-'")
        if sandbox.name in self._served:
            raise ConfigurationError(f"two sandboxes are called {sandbox.name!r}")
        faults: FaultQueue[CallFault] = FaultQueue(CallFault)
        log = RequestLog()
        app = FaultInjection(sandbox.app, faults, log, sandbox.clock)
        self._served[sandbox.name] = _Served(sandbox, app, faults, CallbackDelivery(sandbox.forged), log)

    # Running

    def start(self) -> None:
        """Serve until `stop`. As a context manager it does both."""
        self._server.start()
        for served in self._served.values():
            served.sandbox.emit = served.callbacks.emit

    def stop(self) -> None:
        """Break off what is under way, calls and callbacks, and end the threads. May be called again."""
        for served in self._served.values():
            served.sandbox.emit = _ignore
            served.callbacks.close()
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Where things are

    @property
    def url(self) -> str:
        """The address of the server, without a slash at the end."""
        return self._server.url

    def base_url(self, name: str) -> str:
        """The `base_url` of an account that uses this sandbox."""
        self.sandbox(name)
        return f"{self.url}/{name}"

    @property
    def names(self) -> list[str]:
        """The providers whose sandboxes are served."""
        return list(self._served)

    def sandbox(self, name: str) -> Sandbox:
        """The sandbox of this provider. Raises NotInSandbox."""
        return self._find(name).sandbox

    def account(self, name: str) -> dict[str, Any]:
        """The settings of an account at this sandbox, as they stand in the configuration."""
        base_url = self.base_url(name)
        # Stated here too: an account that left them out would be a live one.
        usual = {"provider": name, "environment": "sandbox", "base_url": base_url}
        return usual | self.sandbox(name).account(base_url)

    def accounts(self) -> dict[str, dict[str, Any]]:
        """An account for every sandbox, named after it: for `Gateway(accounts=...)`."""
        return {name: self.account(name) for name in self._served}

    # Steering

    def orders(self, name: str) -> list[SandboxOrder]:
        """Every order that was made there, oldest first."""
        return self.sandbox(name).orders()

    def order(self, name: str, order: str) -> SandboxOrder:
        """This order as the sandbox has it. Raises NotInSandbox."""
        for candidate in self.orders(name):
            if candidate.id == order:
                return candidate
        raise NotInSandbox(f"the {name} sandbox has no order {order!r}")

    def pay(self, name: str, order: str, how: Payment | str = Payment.EXACT) -> SandboxOrder:
        """A payer pays; the order as it is then. Raises SandboxError when it cannot be paid so."""
        try:
            payment = Payment(how)
        except ValueError:
            raise SandboxError(f"no such way to pay: {how!r}; there are {', '.join(Payment)}") from None
        self.order(name, order)
        self.sandbox(name).pay(order, payment)
        return self.order(name, order)

    def expire(self, name: str, order: str) -> SandboxOrder:
        """This order's time is over; the order then. Raises NotInSandbox, and what the sandbox raises."""
        self.order(name, order)
        self.sandbox(name).expire(order)
        return self.order(name, order)

    def fail(self, name: str, order: str) -> SandboxOrder:
        """This order fails; the order then. Raises NotInSandbox, and what the sandbox raises."""
        self.order(name, order)
        self.sandbox(name).fail(order)
        return self.order(name, order)

    def advance(self, seconds: int) -> None:
        """Move the clocks of all sandboxes forward; what is due then happens."""
        if seconds < 0:
            raise SandboxError("a clock is only moved forward")
        sandboxes = [served.sandbox for served in self._served.values()]
        for clock in {id(sandbox.clock): sandbox.clock for sandbox in sandboxes}.values():
            clock.advance(seconds)
        for sandbox in sandboxes:
            sandbox.tick()

    def ledger(self, name: str) -> dict[str, Any]:
        """All that the sandbox has, as data: for comparing with what the gateway knows."""
        return self.sandbox(name).ledger()

    # What goes wrong, and what was seen

    def faults(self, name: str) -> FaultQueue[CallFault]:
        """Faults of the next calls to this sandbox; `add` one of `gateway.testing.faults`."""
        return self._find(name).faults

    def callbacks(self, name: str) -> CallbackDelivery:
        """The callbacks of this sandbox: their `faults`, their `deliveries()`, and `wait_idle()`."""
        return self._find(name).callbacks

    def wait_idle(self, timeout: float = 5.0) -> None:
        """Wait until no sandbox has a callback to make; `timeout` holds for each. Raises TimeoutError."""
        for served in self._served.values():
            served.callbacks.wait_idle(timeout)

    @property
    def requests(self) -> dict[str, list[RequestRecord]]:
        """The calls of every sandbox so far, in the order of arrival."""
        return {name: served.log.records() for name, served in self._served.items()}

    def _find(self, name: str) -> _Served:
        if name not in self._served:
            raise NotInSandbox(f"no sandbox is called {name!r}; there are {', '.join(self._served) or 'none'}")
        return self._served[name]

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To the application that the first part of the path names, which sees its own paths at its root."""
        _, name, *rest = scope["path"].split("/", 2)
        apps: dict[str, ASGIApp] = {_CONTROL: self._control, **{key: it.app for key, it in self._served.items()}}
        if name in apps:
            raw = scope["raw_path"].split(b"/", 2)[2:]
            scope = {**scope, "path": "/" + "".join(rest), "raw_path": b"/" + b"".join(raw)}
            await apps[name](scope, receive, send)
            return
        text = f"nothing is served here; there are {', '.join('/' + key for key in apps)}"
        body = json.dumps({"error": "NotFound", "message": text}).encode() + b"\n"
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _ignore(callback: OutgoingCallback) -> None:
    """Nobody listens any more."""
