"""A shop that is called back: a web application on loopback with the gateway's callbacks mounted in it, and a clock
that can be moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway import Gateway
from gateway.cli.demo.stage import Stage
from gateway.engine.clock import SystemClock
from gateway.models import Event

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse

__all__ = ["DemoClock", "WebShop", "web_shop"]

CALLBACK_KEY = "a key for this demo only"


class DemoClock(SystemClock):
    """Real time, moved forward by `advance`: nobody wants to wait for an hour in a demo."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead


class WebShop:
    """The shop: its gateway, where it is on the web, and what its handler has been told."""

    def __init__(self, gateway: Gateway, clock: DemoClock, url: str) -> None:
        self.gateway, self.clock, self.url = gateway, clock, url
        self.told: list[Event] = []

    def told_of(self, reference: str) -> list[str]:
        return [event.type for event in self.told if event.reference == reference]

    def work(self) -> None:
        """What `gateway worker` does all the time: everything that is due now."""
        self.gateway.run(until_idle=True)

    def later(self, seconds: float) -> None:
        """Let time pass, then work."""
        self.clock.advance(seconds)
        self.work()


@contextmanager
def web_shop(
    stage: Stage, accounts: Mapping[str, Mapping[str, Any]], routes: Sequence[Mapping[str, Any]] = (), **settings: Any
) -> Iterator[WebShop]:
    """A Starlette application with the callbacks under /pay, served by uvicorn."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    from gateway import callbacks
    from gateway.testing.connections import LoopbackServer

    async def home(request: Request) -> PlainTextResponse:
        return PlainTextResponse("the shop\n")

    app = Starlette()
    clock = DemoClock()
    with ExitStack() as opened:
        server = LoopbackServer(app, "127.0.0.1", 0)
        server.start()
        opened.callback(server.stop)
        gateway = opened.enter_context(
            Gateway(
                accounts=accounts,
                routes=routes,
                store=stage.store,
                public_base_url=f"{server.url}/pay",
                callback_key=CALLBACK_KEY,
                clock=clock,
                **settings,
            )
        )
        app.router.routes += [Route("/", home), Mount("/pay", callbacks.asgi(gateway))]
        shop = WebShop(gateway, clock, server.url)
        gateway.on("*", name="demo")(shop.told.append)
        yield shop
