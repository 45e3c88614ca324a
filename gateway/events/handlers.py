"""Which functions are called with which events: those of `gw.on`, and the plugins' `gateway_event`."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gateway.errors import ConfigurationError, InvalidRequest
from gateway.models.events import Event, check_types
from gateway.plugins import Plugins

__all__ = ["Handler", "Handlers", "Since"]

Since = datetime | Literal["beginning", "now"]

TIMEOUT, TRIES = 60.0, 12

# No spaces: locks and job keys are a handler's name, a space and a subject.
_NAME = re.compile(r"[!-~]{1,200}")
_UNNAMED = re.compile(r"[^!-~]")


@dataclass(frozen=True, slots=True)
class Handler:
    """One function and what it is called with. The store knows it by its name alone."""

    name: str
    types: tuple[str, ...]
    function: Callable[[Event], object]
    is_async: bool
    since: Since = "beginning"
    timeout: float = TIMEOUT
    tries: int = TRIES


class Handlers:
    """The handlers of one gateway. Safe for threads."""

    def __init__(self, plugins: Plugins) -> None:
        self._by_name: dict[str, Handler] = {}
        self._lock = threading.Lock()
        for implementation in plugins.manager.hook.gateway_event.get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                continue  # there is no call of all plugins that it could be around
            name, function = f"plugin:{_UNNAMED.sub('-', implementation.plugin_name)}", implementation.function
            called = function if "event" in implementation.argnames else functools.partial(_without, function)
            self._add(Handler(name, ("*",), called, _is_async(function)))

    @staticmethod
    def wanted(types: Iterable[object]) -> tuple[str, ...]:
        """These types, checked. Raises ConfigurationError."""
        given = tuple(types)
        if not given or any(not isinstance(kind, str) for kind in given):
            raise ConfigurationError(
                "the types of event are missing", hint='write @gw.on("order.paid"), @gw.on("order.*") or @gw.on("*")'
            )
        try:
            return check_types(map(str, given))
        except InvalidRequest as error:
            raise ConfigurationError(error.message, hint=error.hint) from None

    def add(
        self,
        function: Callable[[Event], object],
        types: tuple[str, ...],
        *,
        name: str | None,
        since: Since,
        timeout: float,
        tries: int,
    ) -> Handler:
        """Register it for types that were checked. Raises ConfigurationError."""
        if not callable(function):
            raise ConfigurationError("a handler is a function that takes an event")
        handler = Handler(
            _checked_name(_name_of(function) if name is None else name),
            types,
            function,
            _is_async(function),
            _since(since),
            _seconds(timeout),
            _tries(tries),
        )
        self._add(handler)
        return handler

    def _add(self, handler: Handler) -> None:
        with self._lock:
            if handler.name in self._by_name:
                raise ConfigurationError(
                    f"two event handlers are called {handler.name}",
                    hint="give each its own: @gw.on(..., name=...)",
                )
            self._by_name = {**self._by_name, handler.name: handler}

    def get(self, name: str) -> Handler | None:
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Handler]:
        """Those that are registered now."""
        return iter(self._by_name.values())


def _without(function: Callable[[], object], event: Event) -> object:
    """A hook may leave out what it does not need."""
    return function()


def _name_of(function: Callable[[Event], object]) -> str:
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{named.__module__}.{named.__qualname__}"


def _checked_name(name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ConfigurationError(
        f"no name of a handler: {str(name)[:64]!r}", hint="1 to 200 printable ASCII characters without spaces"
    )


def _is_async(function: object) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _since(since: object) -> Since:
    if since == "beginning":
        return "beginning"
    if since == "now":
        return "now"
    if isinstance(since, datetime) and since.tzinfo is not None:
        return since
    raise ConfigurationError('since: expected "beginning", "now" or a datetime with a time zone')


def _seconds(timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= 86_400:
        raise ConfigurationError("timeout: expected a number of seconds above zero, and at most a day")
    return float(timeout)


def _tries(tries: object) -> int:
    if isinstance(tries, bool) or not isinstance(tries, int) or not 1 <= tries <= 1000:
        raise ConfigurationError("tries: expected a whole number from 1 to 1000")
    return tries
