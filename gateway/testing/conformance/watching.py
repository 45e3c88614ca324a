"""An adapter that is watched while the engine drives it: what it asked for, what it returned, what was required."""

from __future__ import annotations

import contextlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.capabilities import OPERATIONS, Capabilities, Capability, NeutralOperation
from gateway.contracts.adapter import Account, Adapter, Provider
from gateway.contracts.lists import Query
from gateway.errors import GatewayError
from gateway.exchange import Request
from gateway.observation import Record
from gateway.testing.conformance.alone import alone, watched
from gateway.testing.conformance.faults import fault, piercing

__all__ = ["Run", "Watch", "nothing"]

_MOST_REQUESTS = 100
_MOST_PAGES = 400


@dataclass
class Run:
    """One operation of the adapter as it was carried out. `failures` are what the engine threw into it."""

    operation: str
    requests: list[Request] = field(default_factory=list)
    failures: list[GatewayError] = field(default_factory=list)
    result: Any = None
    done: bool = False


class Watch:
    """What one gateway does with the adapter. `strike` is called with the operation and every request of it, right
    before that leaves.
    """

    def __init__(self, provider: Provider, *, limited: bool) -> None:
        self.runs: list[Run] = []
        self.made_by: dict[str, list[str]] = defaultdict(list)
        """The provider's numbers of all that was made, by the operation that made it. Never forgotten."""
        self.required: list[tuple[str, str]] = []
        self.records: list[Record] = []
        self.page_size: int | None = None
        self.strike: Callable[[str, Request], None] = nothing
        self._stepping = False
        self.made: Adapter[Any] | None = None
        self._make = provider.adapter
        # Limits are examined by themselves; elsewhere they would only make everything wait.
        limit = provider.rate_limit if limited else None
        self.provider = replace(provider, adapter=self._adapter, rate_limit=limit)
        self._table = provider.capabilities

    def observe(self, record: Record) -> None:
        self.records.append(record)

    def done(self) -> set[tuple[str, str]]:
        """The operations and variants that were asked of the table, carried out and answered."""
        ended = {record.operation for record in self.records if record.kind == "operation" and record.outcome == "done"}
        return {(operation, variant) for operation, variant in self.required if operation in ended}

    def asked(self, request: Request) -> int:
        """How often the adapter yielded such a request."""
        wanted = (request.method, request.path)
        return sum((one.method, one.path) == wanted for run in self.runs for one in run.requests)

    def forget(self) -> None:
        self.runs.clear()
        self.required.clear()
        self.records.clear()

    def _adapter(self, account: Account[Any]) -> Adapter[Any]:
        with alone("the adapter's constructor"):
            made: Any = self._make(account)
        for operation in OPERATIONS.values():
            method = getattr(made, operation.method, None)
            if callable(method) and operation.method != "read_callback":
                setattr(made, operation.method, self._watched(operation, method))
        if callable(read := getattr(made, "read_callback", None)):
            made.read_callback = watched("callbacks.receive", read)
        with contextlib.suppress(AttributeError):  # one with slots is signed with as it is
            object.__setattr__(made.auth, "sign", watched("signing", made.auth.sign))
        made.read_failure = watched("read_failure()", made.read_failure)
        table = made.capabilities() or self._table
        made.capabilities = lambda: _Noted(table.rows, noted=self.required)
        self.made = made
        return made  # type: ignore[no-any-return]

    def _watched(self, operation: NeutralOperation, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            with alone(operation.name):
                started = method(*map(self._sized, args), **kwargs)
            if not inspect.isgenerator(started):
                with piercing():
                    fault(
                        f"{operation.method}() returned {type(started).__name__}, it is not a generator of requests",
                        expected="a method that yields Requests (`yield from ask(…)`) and returns its result",
                        look_at=f"{operation.method} of the adapter: an adapter does no I/O of its own",
                    )
            # What an operation calls of its own adapter is a part of it.
            return started if self._stepping else self._steps(Run(operation.name), started)

        return called

    def _sized(self, argument: Any) -> Any:
        if self.page_size is not None and isinstance(argument, Query):
            return replace(argument, size=self.page_size)
        return argument

    def _steps(self, run: Run, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        self.runs.append(run)
        if len(self.runs) > _MOST_PAGES:
            fault(
                f"{run.operation} has no end: {_MOST_PAGES} pages were read, and there is a next one",
                expected="Page.next is None on the last page",
                look_at="the cursor: Page.next, and how it becomes the next request",
            )
        step: Callable[[], Any] = lambda: next(inner)  # noqa: E731
        try:
            while True:
                self._stepping = True
                try:
                    with alone(run.operation):
                        request = step()
                except StopIteration as end:
                    run.result, run.done = end.value, True
                    if OPERATIONS[run.operation].write and (number := getattr(end.value, "provider_id", None)):
                        self.made_by[run.operation].append(number)
                    return end.value
                finally:
                    self._stepping = False
                with piercing():
                    self._noted(run, request)
                try:
                    answer = yield _parsed_alone(run, request)
                except GatewayError as error:
                    run.failures.append(error)
                    step = _thrower(inner, error)
                else:
                    step = _sender(inner, answer)
        finally:
            inner.close()

    def _noted(self, run: Run, request: Any) -> None:
        if not isinstance(request, Request):
            fault(
                f"{run.operation} yielded {type(request).__name__}, not a gateway.exchange.Request",
                look_at=f"{OPERATIONS[run.operation].method} of the adapter",
            )
        run.requests.append(request)
        if not request.path.startswith("/"):
            fault(
                f"{run.operation} asks for {request.path!r}, which is no path below the account's address",
                expected="a path that starts with '/': a signed request must not reach another host",
                look_at="addresses that are taken from an answer",
            )
        if len(run.requests) > _MOST_REQUESTS:
            fault(
                f"{run.operation} asks and asks: {_MOST_REQUESTS} requests and no end, the last one {request}",
                look_at="how the last page is recognised, and what happens when a list starts over",
            )
        self.strike(run.operation, request)


def nothing(operation: str, request: Request) -> None:
    """No fault is waiting."""


def _parsed_alone(run: Run, request: Request) -> Request:
    """The engine reads the answer with what the adapter gave for it, which is the adapter's own code too."""
    return request if request.parse is None else replace(request, parse=watched(run.operation, request.parse))


def _thrower(inner: Generator[Any, Any, Any], error: GatewayError) -> Callable[[], Any]:
    return lambda: inner.throw(error)


def _sender(inner: Generator[Any, Any, Any], answer: Any) -> Callable[[], Any]:
    return lambda: inner.send(answer)


class _Noted(Capabilities):
    """The account's own table; notes what is asked of it."""

    def __init__(self, rows: Iterable[Capability], *, noted: list[tuple[str, str]]) -> None:
        object.__setattr__(self, "rows", tuple(rows))
        object.__setattr__(self, "_by_key", {})
        object.__setattr__(self, "_required", noted)
        self.__post_init__()

    def require(
        self, operation: str, variant: str = "", *, allowed: Iterable[str] = (), provider: str = ""
    ) -> Capability:
        row = super().require(operation, variant, allowed=allowed, provider=provider)
        noted: list[tuple[str, str]] = getattr(self, "_required")  # noqa: B009  set past a frozen dataclass
        noted.append((operation, variant))
        return row
