"""Where an adapter is examined: its sandbox on loopback, and gateways of both colours with one account at it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pluggy

from gateway import hookspecs
from gateway.capabilities import Capabilities, Capability, Grade, Support
from gateway.config import account_settings
from gateway.contracts.adapter import Account, Adapter, Provider
from gateway.exchange import Request
from gateway.plugins import Plugin, Plugins
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.clock import KitClock
from gateway.testing.conformance.colours import SYNC, Blocking
from gateway.testing.conformance.faults import Piercing
from gateway.testing.conformance.subject import Subject
from gateway.testing.conformance.tap import Tapped
from gateway.testing.conformance.watching import Watch, nothing
from gateway.testing.faults import CallFault
from gateway.testing.request_log import RequestRecord
from gateway.testing.sandbox import OutgoingCallback
from gateway.testing.server import SandboxServer

__all__ = ["ACCOUNT", "BASE_URL", "Bench", "Play", "adapter_of", "plugins_of", "settings_of", "supported", "table_of"]

ACCOUNT = "main"
BASE_URL = "https://shop.invalid/payments"
_CALLBACK_KEY = "conformance-callback-key-2f6b8d"


def _in_memory() -> str | None:
    """A folder that is no disk, where there is one: nothing of a bench outlives the run, and its stores commit a
    thousand times.
    """
    shared = "/dev/shm"
    return shared if os.access(shared, os.W_OK | os.X_OK) else None


def plugins_of(provider: Provider) -> Plugins:
    """What is installed when only this provider is, without any entry point."""
    manager = pluggy.PluginManager("gateway")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    plugins.providers[provider.name] = provider
    origin = Plugin(provider.name, "examined", "0", "examined", (provider.name,))
    plugins.origins[provider.name] = origin
    plugins.loaded.append(origin)
    return plugins


def settings_of(subject: Subject, base_url: str, sandbox: Any = None) -> dict[str, Any]:
    """The account's settings, with everything that is inferred allowed."""
    given: dict[str, Any] = {"provider": subject.provider.name, "environment": "sandbox", "base_url": base_url}
    given |= subject.account(sandbox or subject.sandbox(), base_url)
    adapter = adapter_of(subject, given)
    inferred = [_name(row) for row in adapter.capabilities() or subject.provider.capabilities if _is_inferred(row)]
    if inferred:
        given["allow_inferred"] = sorted({*given.get("allow_inferred", ()), *inferred})
    return given


def adapter_of(subject: Subject, settings: Mapping[str, Any]) -> Adapter[Any]:
    """An adapter by itself, with these settings."""
    checked = account_settings(ACCOUNT, settings, plugins_of(subject.provider))
    return subject.provider.adapter(Account(ACCOUNT, checked.environment, checked, KitClock().now))


def _is_inferred(row: Capability) -> bool:
    return row.support is Support.SUPPORTED and row.grade is Grade.INFERRED


def _name(row: Capability) -> str:
    return f"{row.operation}:{row.variant}" if row.variant else row.operation


_tables: dict[type[Subject], Capabilities] = {}


def _read_table(subject: Subject) -> Capabilities:
    adapter = adapter_of(subject, settings_of(subject, f"http://127.0.0.1:9/{subject.provider.name}"))
    return adapter.capabilities() or subject.provider.capabilities


def table_of(subject: Subject) -> Capabilities:
    """The table of the subject's account."""
    kind = type(subject)
    if kind not in _tables:
        _tables[kind] = _read_table(subject)
    return _tables[kind]


def supported(subject: Subject) -> list[Capability]:
    return [row for row in table_of(subject) if row.support is Support.SUPPORTED]


@dataclass
class Play:
    """One gateway of one colour at the bench, and what has been made with it. The way in for a subject's samples."""

    bench: Bench
    colour: str
    gw: Blocking
    raw: Any
    watch: Watch
    account: str = ACCOUNT
    _customer: str | None = None
    _card: str | None = None
    _kept: dict[str, Any] = field(default_factory=dict)

    @property
    def sandbox(self) -> Any:
        """The subject's own sandbox."""
        return self.bench.tapped.inner

    @property
    def server(self) -> SandboxServer:
        return self.bench.server

    def new(self, what: str = "it") -> str:
        """A reference that nothing has."""
        return f"{what}-{self.colour}-{next(self.bench.numbers)}"

    @property
    def customer(self) -> str:
        """The reference of a customer with money, made when it is first asked for."""
        if self._customer is None:
            from gateway.models.customers import CustomerRequest

            reference = self.new("customer")
            made = self.gw.customers.create(
                CustomerRequest(reference=reference, **self.bench.subject.customer), account=self.account
            )
            self.bench.subject.fund(self, made.provider_id)
            self._customer = reference
        return self._customer

    @property
    def card(self) -> str:
        """The provider's number of a card of `customer`."""
        if self._card is None:
            from gateway.models.cards import CardRequest

            request = CardRequest(reference=self.new("card"), customer=self.customer, **self.bench.subject.card)
            self._card = str(self.gw.cards.create(request, account=self.account).provider_id)
        return self._card

    def prepared(self, call: Call) -> Any:
        """What has to be there before this call: made once where the call leaves it as it is, else anew."""
        if not call.keeps:
            return call.prepare(self)
        if call.name not in self._kept:
            self._kept[call.name] = call.prepare(self)
        return self._kept[call.name]

    def pay(self, provider_id: str, how: str = "exact") -> None:
        """The payer pays this order in the sandbox."""
        self.server.pay(self.bench.name, self.bench.subject.order_in_sandbox(provider_id), how)


class Bench:
    """Everything of one subject; it serves all its checks, one after the other. Close it."""

    def __init__(self, subject: Subject, *, limited: bool = False) -> None:
        self.subject = subject
        self.name = subject.provider.name
        self.limited = limited
        self.numbers = itertools.count(1)
        self.emitted: list[OutgoingCallback] = []
        self._stack = contextlib.ExitStack()
        self._plays: dict[tuple[str, bool], Play] = {}
        self._started = False

    def start(self) -> None:
        """Serve the sandbox. Done by the first `play`; the second call does nothing."""
        if self._started:
            return
        self._started = True
        # Limits are counted by the time of day too; nothing else the kit looks at needs pauses to move that.
        self.clock = KitClock(lambda seconds: self.server.advance(math.ceil(seconds))) if self.limited else KitClock()
        self.tapped = Tapped(self.subject.limited(self.clock) if self.limited else self.subject.sandbox())
        self.server = SandboxServer([self.tapped])
        self.folder = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-", dir=_in_memory()))
        )
        self._stack.enter_context(self.server)
        self.tapped.emit = self.emitted.append
        self.settings = settings_of(self.subject, self.server.base_url(self.name), self.tapped.inner)
        if self.limited:
            self.settings["timeout"] = 600  # so that a call may wait for its turn; nothing really waits

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Gateways

    def play(self, colour: str = SYNC) -> Play:
        """The gateway of this colour, as it was left by the check before."""
        self.start()
        play = self._opened(colour, reachable=True)
        play.watch.strike = nothing
        play.watch.page_size = None
        play.watch.forget()
        self.server.faults(self.name).clear()
        self.tapped.rewrite = None
        return play

    def unreachable(self, colour: str) -> Play:
        """A gateway on the same store, whose account is where nobody listens."""
        play = self._opened(colour, reachable=False)
        play.watch.forget()
        return play

    def _opened(self, colour: str, *, reachable: bool) -> Play:
        if (colour, reachable) not in self._plays:
            settings = self.settings if reachable else {**self.settings, "base_url": self._nobody()}
            self._plays[colour, reachable] = self.open(colour, settings, f"{colour}.db")
        return self._plays[colour, reachable]

    def open(self, colour: str, settings: Mapping[str, Any], store: str, **given: Any) -> Play:
        """One more gateway with one account of these settings."""
        try:
            return self._open(colour, settings, store, given)
        except Piercing as pierced:
            raise pierced.fault from None

    def _open(self, colour: str, settings: Mapping[str, Any], store: str, given: Mapping[str, Any]) -> Play:
        from gateway import AsyncGateway, Gateway

        watch = Watch(self.subject.provider, limited=self.limited)
        given = {
            "accounts": {ACCOUNT: dict(settings)},
            "store": f"sqlite:///{self.folder / store}",
            "public_base_url": BASE_URL,
            "callback_key": _CALLBACK_KEY,
            "clock": self.clock,
            "uniform": lambda: 0.0,
            "plugins": plugins_of(watch.provider),
            **given,
        }
        raw: Any
        if colour == SYNC:
            raw = Gateway(sleep=self.clock.sleep, **given)
            self._stack.callback(raw.close)
            play = Play(self, colour, Blocking(raw, None), raw, watch)
        else:
            runner = self._stack.enter_context(asyncio.Runner())
            raw = AsyncGateway(sleep=self.clock.asleep, **given)
            self._stack.callback(lambda: runner.run(raw.close()))
            play = Play(self, colour, Blocking(raw, runner), raw, watch)
        raw.observe(watch.observe)
        return play

    def _nobody(self) -> str:
        """An address whose port is kept, and where connections are refused."""
        held = self._stack.enter_context(socket.socket())
        held.bind(("127.0.0.1", 0))
        path = urlsplit(str(self.settings["base_url"])).path
        return f"http://127.0.0.1:{held.getsockname()[1]}{path}"

    # What goes wrong, and what was seen

    def received(self) -> list[RequestRecord]:
        """Every call that reached the sandbox, those that a fault struck too."""
        return self.server.requests[self.name]

    def path_of(self, request: Request) -> str:
        """A request's path as the sandbox sees it."""
        below = str(self.settings["base_url"]).removeprefix(self.server.base_url(self.name))
        return unquote(below + request.path)

    def strike(
        self,
        play: Play,
        operation: str,
        fault: CallFault | None,
        when: Callable[[Request], bool] = lambda request: True,
    ) -> list[Request]:
        """Have this fault strike the operation's next request for which `when` holds; None only notes it. The request,
        once it left.
        """
        struck: list[Request] = []

        def look(asking: str, request: Request) -> None:
            if not struck and asking == operation and when(request):
                struck.append(request)
                here = {"method": request.method, "path": self.path_of(request)}
                if fault is not None:
                    self.server.faults(self.name).add(fault.model_copy(update=here))

        play.watch.strike = look
        return struck

    @contextlib.contextmanager
    def rewriting(self, change: Callable[[bytes], bytes]) -> Iterator[None]:
        """Answers of the sandbox are changed on their way."""
        self.tapped.rewrite = change
        try:
            yield
        finally:
            self.tapped.rewrite = None
