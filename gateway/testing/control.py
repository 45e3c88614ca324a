"""The control API: what `SandboxServer` does, as JSON over HTTP under `/_control`.

    GET    /_control/                                the sandboxes and their addresses
    POST   /_control/clock                           {"seconds": 3600}: forward, for all
    GET    /_control/NAME                            one sandbox
    GET    /_control/NAME/account                    the settings of an account, to paste
    GET    /_control/NAME/orders                     all orders; amounts are texts
    POST   /_control/NAME/pay                        {"order": …, "how": "exact" | "under" | "over" | "late"}
    POST   /_control/NAME/expire | fail              {"order": …}
    GET    /_control/NAME/ledger
    GET    /_control/NAME/requests                   the calls so far
    GET    /_control/NAME/faults                     those that have not struck yet; DELETE clears them
    POST   /_control/NAME/faults                     {"kind": "drop", "executed": true, "times": 1, …}
    GET    /_control/NAME/callbacks                  what was delivered, and how many are pending
    POST   /_control/NAME/callbacks/release          make those that a "reordered" holds
    GET, POST, DELETE /_control/NAME/callbacks/faults

Kinds and fields of faults: `gateway.testing.faults`. An error is `{"error": …, "message": …}`: 404 for what is not
there, 409 for what the sandbox cannot do now, 422 for a body that is not understood.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.money import plain
from gateway.testing.faults import CallbackFault, CallFault, Fault, FaultQueue, read_call_fault, read_callback_fault
from gateway.testing.sandbox import NotInSandbox, Payment, SandboxError, SandboxOrder

if TYPE_CHECKING:
    from gateway.testing.server import SandboxServer

__all__ = ["control_app"]


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Order(_Command):
    order: str


class _Pay(_Order):
    how: Payment = Payment.EXACT


class _Advance(_Command):
    seconds: Annotated[int, Field(ge=0, le=10 * 366 * 24 * 3600)]


def control_app(server: SandboxServer) -> Starlette:
    """The application, its paths at its root."""
    control = _Control(server)
    return Starlette(
        routes=[
            Route("/", control.index, methods=["GET"]),
            Route("/clock", control.clock, methods=["POST"]),
            Route("/{name}", control.show, methods=["GET"]),
            Route("/{name}/account", control.account, methods=["GET"]),
            Route("/{name}/orders", control.orders, methods=["GET"]),
            Route("/{name}/pay", control.pay, methods=["POST"]),
            Route("/{name}/expire", control.expire, methods=["POST"]),
            Route("/{name}/fail", control.fail, methods=["POST"]),
            Route("/{name}/ledger", control.ledger, methods=["GET"]),
            Route("/{name}/requests", control.requests, methods=["GET"]),
            Route("/{name}/faults", control.faults, methods=["GET", "POST", "DELETE"]),
            Route("/{name}/callbacks", control.callbacks, methods=["GET"]),
            Route("/{name}/callbacks/release", control.release, methods=["POST"]),
            Route("/{name}/callbacks/faults", control.callback_faults, methods=["GET", "POST", "DELETE"]),
        ],
        exception_handlers={SandboxError: _cannot, ValidationError: _not_understood, HTTPException: _refused},
    )


class _Control:
    def __init__(self, server: SandboxServer) -> None:
        self._server = server

    async def index(self, request: Request) -> Response:
        return _json({"sandboxes": [self._summary(name) for name in self._server.names]})

    async def clock(self, request: Request) -> Response:
        command = _Advance.model_validate_json(await request.body())
        self._server.advance(command.seconds)
        return _json({"clocks": {name: self._now(name) for name in self._server.names}})

    async def show(self, request: Request) -> Response:
        return _json(self._summary(_name(request)))

    async def account(self, request: Request) -> Response:
        return _json(self._server.account(_name(request)))

    async def orders(self, request: Request) -> Response:
        return _json({"orders": [_order(order) for order in self._server.orders(_name(request))]})

    async def pay(self, request: Request) -> Response:
        self._server.sandbox(_name(request))
        command = _Pay.model_validate_json(await request.body())
        return _json(_order(self._server.pay(_name(request), command.order, command.how)))

    async def expire(self, request: Request) -> Response:
        self._server.sandbox(_name(request))
        command = _Order.model_validate_json(await request.body())
        return _json(_order(self._server.expire(_name(request), command.order)))

    async def fail(self, request: Request) -> Response:
        self._server.sandbox(_name(request))
        command = _Order.model_validate_json(await request.body())
        return _json(_order(self._server.fail(_name(request), command.order)))

    async def ledger(self, request: Request) -> Response:
        return _json(self._server.ledger(_name(request)))

    async def requests(self, request: Request) -> Response:
        self._server.sandbox(_name(request))
        return _json({"requests": [asdict(record) for record in self._server.requests[_name(request)]]})

    async def faults(self, request: Request) -> Response:
        queue: FaultQueue[CallFault] = self._server.faults(_name(request))
        if request.method == "POST":
            queue.add(read_call_fault(await request.body()))
        elif request.method == "DELETE":
            queue.clear()
        return _pending(queue.pending())

    async def callbacks(self, request: Request) -> Response:
        callbacks = self._server.callbacks(_name(request))
        deliveries = [{**asdict(delivery), "delivered": delivery.delivered} for delivery in callbacks.deliveries()]
        return _json({"pending": callbacks.pending(), "deliveries": deliveries})

    async def release(self, request: Request) -> Response:
        return _json({"released": self._server.callbacks(_name(request)).release()})

    async def callback_faults(self, request: Request) -> Response:
        queue: FaultQueue[CallbackFault] = self._server.callbacks(_name(request)).faults
        if request.method == "POST":
            queue.add(read_callback_fault(await request.body()))
        elif request.method == "DELETE":
            queue.clear()
        return _pending(queue.pending())

    def _summary(self, name: str) -> dict[str, Any]:
        base_url = self._server.base_url(name)
        return {"name": name, "base_url": base_url, "now": self._now(name), "orders": len(self._server.orders(name))}

    def _now(self, name: str) -> str:
        return self._server.sandbox(name).clock.now().isoformat()


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _order(order: SandboxOrder) -> dict[str, Any]:
    shown = asdict(order)
    shown.pop("expires_at")  # what the conformance kit compares with; not a part of this API
    return shown


def _pending(faults: list[Any]) -> Response:
    return _json({"faults": [fault.model_dump(mode="json") for fault in faults if isinstance(fault, Fault)]})


def _json(data: Any, status: int = 200) -> Response:
    # An amount is a text in plain notation, never a number that a reader could round.
    text = json.dumps(data, default=lambda value: plain(value) if isinstance(value, Decimal) else str(value), indent=2)
    return Response(text + "\n", status, media_type="application/json")


async def _cannot(request: Request, error: Exception) -> Response:
    return _failure(404 if isinstance(error, NotInSandbox) else 409, str(error), type(error).__name__)


async def _not_understood(request: Request, error: Exception) -> Response:
    if not isinstance(error, ValidationError):
        raise error
    problems = [
        f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return _failure(422, "; ".join(problems), "InvalidRequest")


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    kind = "NotFound" if error.status_code == 404 else "InvalidRequest"
    return _failure(error.status_code, f"{request.method} {request.url.path}: {error.detail}", kind)


def _failure(status: int, message: str, error: str) -> Response:
    return _json({"error": error, "message": message}, status)
