"""A shop's processes that are killed at a chosen point. Reads jobs from standard input, one a line in JSON, and says
how each ended; the argument is the file descriptor of the socket on which callbacks arrive.

It imports everything once and forks for every job, so that one costs milliseconds. Points are counted from 0: before
everything that is sent and every transaction, inside every transaction when its work is done and not committed (unless
the job says otherwise), before and after what the event handler does, and on both sides of the answer to a callback. So
what comes after one of them is the point before the next.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import socket
import ssl
import sys
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import anyio._backends._asyncio
import httpx

from gateway import Event, Gateway, callbacks
from gateway.engine.drivers import AsyncDriver, SyncDriver
from gateway.engine.effects import Send, Transact
from gateway.errors import GatewayError
from gateway.flows import failover, orders, reconciling
from gateway.models import OrderRequest
from gateway.plugins import load_plugins
from gateway.store import migrations, schema, sqlite
from gateway.worker import runner, running
from stateful.shop import ElapsingClock

IMPORTED = (anyio, failover, migrations, orders, reconciling, running, schema, sqlite)
PLUGINS = load_plugins()


class Life:
    """Of a process that dies at point `last`, or not at all. `passed` counts the points."""

    def __init__(self, last: int | None, *, inside: bool) -> None:
        self._last = last
        self._inside = inside
        self.passed = 0

    def may_end(self) -> None:
        here, self.passed = self.passed, self.passed + 1
        if here == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def instrument(self) -> None:
        """Both drivers; a fork is the only one that sees it."""
        carry_out, carry_out_awaited, transact = SyncDriver._carry_out, AsyncDriver._carry_out, AsyncDriver._transact

        def dying(driver: SyncDriver, effect: Any) -> Any:
            if isinstance(effect, (Send, Transact)):
                self.may_end()
            return carry_out(driver, self._dying_inside(effect))

        async def dying_awaited(driver: AsyncDriver, effect: Any) -> Any:
            if isinstance(effect, Send):
                self.may_end()
            return await carry_out_awaited(driver, effect)

        async def dying_transaction(driver: AsyncDriver, effect: Transact) -> Any:
            self.may_end()
            return await transact(driver, self._dying_inside(effect))

        one: Any = SyncDriver
        other: Any = AsyncDriver
        one._carry_out, other._carry_out, other._transact = dying, dying_awaited, dying_transaction

    def _dying_inside(self, effect: Any) -> Any:
        if not (self._inside and isinstance(effect, Transact)):
            return effect

        def work(connection: Any) -> Any:
            result = effect.work(connection)
            self.may_end()
            return result

        return Transact(work, effect.together)


class Server(WSGIServer):
    """Takes callbacks on a socket that outlives it."""

    def __init__(self, listener: socket.socket, gateway: Gateway, life: Life) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.timeout = listener, 10
        self.server_name, self.server_port = "127.0.0.1", listener.getsockname()[1]
        self.setup_environ()
        inner = callbacks.wsgi(gateway)

        def app(environ: Any, start: Any) -> Any:
            life.may_end()
            body = inner(environ, start)
            life.may_end()
            return body

        self.set_app(app)

    def handle_error(self, request: Any, address: Any) -> None:
        raise


class Handler(WSGIRequestHandler):
    def log_message(self, *about: Any) -> None:
        pass


def act(job: dict[str, Any], listener: socket.socket) -> None:
    life, clock = Life(job["step"], inside=job["inside"]), ElapsingClock()
    clock.advance(job["ahead"])
    runner.Pace.__init__.__defaults__ = (0.001, 0.1, 0.5, 15.0, 60.0, 5.0, 0.0)  # in no hurry to save power
    with Gateway(**job["settings"], plugins=PLUGINS, clock=clock, sleep=clock.sleep) as gateway:

        @gateway.on("*", name="books")
        def books(event: Event) -> None:
            life.may_end()
            with open(job["log"], "a", encoding="utf-8") as file:
                file.write(f"{event.id} {event.type} {event.reference}\n")
                file.flush()
                os.fsync(file.fileno())
            life.may_end()

        life.instrument()
        for what in job["acts"]:
            match what:
                case "receive":
                    Server(listener, gateway, life).handle_request()
                case "work":
                    gateway.run(until_idle=True, concurrency=1)  # always in the same order
                case "order":
                    gateway.orders.create(OrderRequest(**job["request"]))


def forked(job: dict[str, Any], listener: socket.socket) -> str:
    child = os.fork()
    if child == 0:
        try:
            act(job, listener)
        except GatewayError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(3)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(4)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else "crashed"
    return {0: "ended", 3: "refused"}.get(os.WEXITSTATUS(status), "crashed")


if __name__ == "__main__":
    # Half of a short life would be spent on reading certificates that nobody asks for.
    prepared: Any = ssl
    prepared.create_default_context = functools.cache(ssl.create_default_context)
    httpx.create_ssl_context()
    gc.freeze()  # what is not looked at is not copied
    arriving = socket.socket(fileno=int(sys.argv[1]))
    for line in sys.stdin:
        sys.stdout.write(forked(json.loads(line), arriving) + "\n")
        sys.stdout.flush()
