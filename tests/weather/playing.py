"""What the scenarios of the matrix work with. A scenario plays one row and holds the end against what the row says."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.world import World
from gateway import Money, OrderRequest
from gateway.errors import GatewayError
from support.colours import Opened, opened
from support.loopback import Answer, Loopback, Seen
from support.postgres import PostgresServer
from support.toy import account, answers, good
from weather.matrix import Case, End

__all__ = ["Plays", "Shopkeeper", "Stage", "ends", "in_child", "order", "read", "write"]


@dataclass
class Stage:
    """Where a scenario is played: once for each colour, with a folder of its own."""

    colour: str
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    request: pytest.FixtureRequest

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'gateway.db'}"

    @property
    def server(self) -> PostgresServer:
        """A database server, for scenarios about one."""
        found: PostgresServer = self.request.getfixturevalue("postgres_server")
        return found

    @property
    def database(self) -> str:
        """The name of a fresh database on the server."""
        return str(self.request.getfixturevalue("postgres")).rpartition("/")[2]

    @contextlib.contextmanager
    def shop(self, server: Loopback | None = None, **given: Any) -> Iterator[Opened]:
        """A gateway with the account `shop` at this server of toy's API, and a store in a file."""
        if server is not None:
            given.setdefault("accounts", {"shop": account(server.url)})
        with opened(self.colour, **{"store": self.store, **given}) as gw:
            yield gw

    @contextlib.contextmanager
    def world(self, **changes: dict[str, Any]) -> Iterator[tuple[World, Opened]]:
        """The providers' sandboxes, and a gateway with accounts at them; at its end nothing but reads was sent."""
        with World(self.folder) as world, world.gateway(self.colour, accounts=world.accounts(**changes)) as gw:
            yield world, gw


Scenario = Callable[[Case, Stage], None]


class Plays(dict[str, Scenario]):
    """Scenarios by the id of the row that they play."""

    def row(self, name: str) -> Callable[[Scenario], Scenario]:
        def register(scenario: Scenario) -> Scenario:
            assert name not in self, "a row has one scenario"
            self[name] = scenario
            return scenario

        return register


class Shopkeeper:
    """Toy's service, with a number of its own for each order. `before_answering` is called when a write was done."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.before_answering: Callable[[], None] = lambda: None

    def __call__(self, seen: Seen) -> Answer:
        if (seen.method, seen.path) == ("POST", "/orders"):
            number = next(self._numbers)
            self.before_answering()
            return good({"id": str(number), "status": "open", "note": "x" * 10_000})
        return answers(seen)


def order(reference: str = "cart-1001", **more: Any) -> OrderRequest:
    return OrderRequest(reference=reference, price=Money("25.00", "USD"), **more)


def read(gw: Opened, **given: Any) -> Any:
    return gw.markets.ticker("BTC/USD", account="shop", **given)


def write(gw: Opened, reference: str = "cart-1001", **given: Any) -> Any:
    return gw.orders.create(order(reference), account="shop", **given)


def ends(end: End | None, call: Callable[[], Any]) -> Any:
    """Make the call, which ends so; its result, or its error."""
    assert end is not None, "the row says nothing of such a call"
    if end.error is None:
        return call()
    with pytest.raises(GatewayError) as caught:
        call()
    error = caught.value
    assert (type(error), error.outcome) == (end.error, end.outcome), error
    assert error.message
    return error


def in_child(act: Callable[[], Any]) -> Any:
    """What `act` returns in a child that was forked; its GatewayError as a dictionary. Of any other end, its words."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told: Any
        try:
            told = act()
        except GatewayError as error:
            told = error.to_dict()
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        with contextlib.suppress(BaseException):
            os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(text) if text else None
