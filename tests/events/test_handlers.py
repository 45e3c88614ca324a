"""What can be registered, and under which name."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

import pytest

from events.working import happen, numbers, shop
from gateway import Event
from gateway.errors import ConfigurationError
from gateway.hookspecs import hookimpl
from support.toy import toy_plugins


def seeing(event: Event) -> None:
    """A handler at the top of a module."""


def test_the_name_is_module_and_function_unless_it_is_given(colour: str) -> None:
    with shop(colour) as worker:
        gw = worker.gw.raw
        assert gw.on("order.paid")(seeing) is seeing

        @gw.on("*", name="mail")
        async def inner(event: Event) -> None: ...

        @gw.on("order.*")
        def other(event: Event) -> None: ...

        where = f"{__name__}.test_the_name_is_module_and_function_unless_it_is_given.<locals>"
        found = {state.name: state.types for state in worker.gw.events.handlers()}
        assert found == {f"{__name__}.seeing": ("order.paid",), "mail": ("*",), f"{where}.other": ("order.*",)}
        assert all(state.registered for state in worker.gw.events.handlers())


@pytest.mark.parametrize("name", [None, "mine"])
def test_two_handlers_of_one_name_are_refused(name: str | None) -> None:
    with shop() as worker:
        worker.gw.raw.on("order.paid", name=name)(seeing)
        with pytest.raises(ConfigurationError, match="two event handlers are called") as error:
            worker.gw.raw.on("order.failed", name=name)(seeing)
        assert "name=" in error.value.hint


@pytest.mark.parametrize(
    ("types", "words", "hint"),
    [
        (("order.payed",), "there is no event 'order.payed'", "did you mean order.paid?"),
        (("order",), "there is no event 'order'", None),
        (("bill.*",), "there is no event", None),
        ((), "the types of event are missing", '@gw.on("order.paid")'),
        ((seeing,), "the types of event are missing", '@gw.on("order.paid")'),
    ],
)
def test_types_that_there_are_not(types: tuple[Any, ...], words: str, hint: str | None) -> None:
    with shop() as worker:
        with pytest.raises(ConfigurationError, match=words.replace("?", r"\?")) as error:
            worker.gw.raw.on(*types)
        if hint:
            assert hint in error.value.hint


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "two words"},
        {"name": "x" * 201},
        {"name": "größe"},
        {"since": "yesterday"},
        {"since": datetime(2025, 1, 1)},  # noqa: DTZ001 - that is what is refused
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": "10"},
        {"tries": 0},
        {"tries": True},
        {"tries": 1.5},
    ],
    ids=str,
)
def test_settings_that_there_are_not(given: dict[str, Any]) -> None:
    with shop() as worker:
        with pytest.raises(ConfigurationError):
            worker.gw.raw.on("order.paid", **given)(seeing)
        assert worker.gw.events.handlers() == []


def test_what_is_no_function_is_refused() -> None:
    with shop() as worker, pytest.raises(ConfigurationError, match="takes an event"):
        worker.gw.raw.on("order.paid")("a name")


def test_types_and_wildcards(colour: str) -> None:
    with shop(colour) as worker:
        seen: dict[str, list[Event]] = {"paid": [], "two": [], "orders": [], "all": []}
        gw = worker.gw.raw
        gw.on("order.paid", name="paid")(seen["paid"].append)

        @gw.on("order.paid", "refund.created", name="two")
        async def two(event: Event) -> None:
            seen["two"].append(event)

        gw.on("order.*", name="orders")(seen["orders"].append)
        gw.on("order.paid", "*", name="all")(seen["all"].append)
        one, other, third = happen(worker, "created a", "paid a", "refund.created b")
        assert worker.work() == 1 + 2 + 2 + 3
        assert {name: sorted(numbers(events)) for name, events in seen.items()} == {
            "paid": [other],
            "two": [other, third],
            "orders": [one, other],
            "all": [one, other, third],
        }


def test_every_kind_of_function(colour: str) -> None:
    seen: list[str] = []

    class Sync:
        def __call__(self, event: Event) -> None:
            seen.append("sync object")

        def method(self, event: Event) -> None:
            seen.append("sync method")

    class Async:
        async def __call__(self, event: Event) -> None:
            seen.append("async object")

        async def method(self, event: Event) -> None:
            seen.append("async method")

    def partly(word: str, event: Event) -> None:
        seen.append(word)

    async def partly_async(word: str, event: Event) -> None:
        seen.append(word)

    with shop(colour) as worker:
        for function in (Sync(), Sync().method, Async(), Async().method):
            worker.gw.raw.on("order.paid")(function)
        worker.gw.raw.on("order.paid")(functools.partial(partly, "sync partial"))
        worker.gw.raw.on("order.paid")(functools.partial(partly_async, "async partial"))
        worker.gw.raw.on("order.paid", name="lambda")(lambda event: seen.append("lambda"))
        happen(worker, "paid a")
        assert worker.work() == 7
    kinds = [f"{colour} {kind}" for colour in ("async", "sync") for kind in ("object", "method", "partial")]
    assert sorted(seen) == sorted([*kinds, "lambda"])


class Plugin:
    """A plugin that hears of events."""

    def __init__(self) -> None:
        self.seen: list[Event] = []

    @hookimpl
    def gateway_event(self, event: Event) -> None:
        self.seen.append(event)


class AsyncPlugin(Plugin):
    @hookimpl
    async def gateway_event(self, event: Event) -> None:
        self.seen.append(event)


class BrokenPlugin:
    @hookimpl
    def gateway_event(self) -> None:
        raise RuntimeError("out of order")


def test_each_plugin_is_delivered_to_by_itself(colour: str) -> None:
    plugins = toy_plugins()
    one, other = Plugin(), AsyncPlugin()
    plugins.manager.register(one, name="one")
    plugins.manager.register(other, name="other")
    plugins.manager.register(BrokenPlugin(), name="the broken one")
    with shop(colour, plugins=plugins) as worker:
        happened = happen(worker, "created a", "refund.created b", "paid a")
        worker.work()
        assert sorted(numbers(one.seen)) == sorted(numbers(other.seen)) == happened
        states = {state.name: state for state in worker.gw.events.handlers()}
        assert {name: state.waiting for name, state in states.items()} == {
            "plugin:one": 0,
            "plugin:other": 0,
            "plugin:the-broken-one": 3,
        }
        assert states["plugin:one"].types == ("*",)
