"""The vendors' documented answers, changed in any place, through the whole gateway: no network, a store in memory."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml
from hypothesis import strategies as st
from pydantic import BaseModel

from cassettes.replaying import CASSETTES, NOW, same_body
from cassettes.test_documented import ACCOUNTS, SCENARIOS
from gateway.engine.drivers import SyncDriver
from gateway.errors import GatewayError
from gateway.exchange import Request, Response, decode_json, encode_json
from gateway.plugins import load_plugins
from support.colours import Opened, opened
from support.virtual import VirtualClock

__all__ = ["EXAMPLES", "Change", "Exchange", "changes", "floats_in", "played"]

EXAMPLES = sorted(SCENARIOS.keys() - {("emirex", "unknown-path")})
"""Provider and name of every documented example whose answer is JSON."""

_MOST_REQUESTS = 60


@dataclass(frozen=True)
class Exchange:
    """A request as it was recorded, and the answer to it."""

    method: str
    target: str
    body: str | None
    status: int
    content: bytes

    def asks_for(self, request: Request) -> bool:
        if (request.method, request.target()) != (self.method, self.target):
            return False
        try:
            same_body(self, request)
        except AssertionError:
            return False
        return True


def exchanges(provider: str, name: str) -> list[Exchange]:
    data = yaml.safe_load((CASSETTES / provider / "documented" / f"{name}.yaml").read_text(encoding="utf-8"))
    base = load_plugins().provider(provider).settings.model_fields["base_url"].default
    found = []
    for item in data["interactions"]:
        request, response = item["request"], item["response"]
        address = urlsplit(request["uri"])
        target = address.path.removeprefix(urlsplit(base).path) + (f"?{address.query}" if address.query else "")
        content = response["body"]["string"].encode()
        found.append(Exchange(request["method"], target, request["body"], response["status"]["code"], content))
    return found


# Changing an answer

_NUMBERS = ("0", "-0", "1", "-1", "1e999", "1E-400", "0.1", "1.50", "-0.0", "123456789012345678901234567890.5")
_WORDS = (
    *("", " ", "0", "-1", "1e5", "NaN", "Infinity", "1,5", "25.00 USD", "0x10", "true", "null", "/", "a/b", "../x"),
    *(
        "2024-13-45",
        "2024-04-26",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "\x00",
        "\ud7ff",
        "é" * 300,
    ),
    *("USDT-TRC20", "BTC-LN", "USD", "lnbc1", "PENDING", "1" * 500, "١٢", "-" * 40),
)


@dataclass(frozen=True)
class Number:
    """A number exactly as it is written."""

    text: str


_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([Number(number) for number in _NUMBERS]),
    st.sampled_from(_WORDS),
    st.integers(),
    st.integers(10**30, 10**32),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
JSON: st.SearchStrategy[Any] = st.one_of(
    _SCALARS, st.lists(_SCALARS, max_size=3), st.dictionaries(st.text(max_size=5), _SCALARS, max_size=3)
)


@dataclass(frozen=True)
class Change:
    """What becomes of one place of one answer: replaced, dropped or wrapped."""

    exchange: int
    path: tuple[str | int, ...]
    how: str
    value: Any = None

    def apply(self, content: bytes) -> bytes:
        return encode_json(_written(self._changed(decode_json(content), self.path)))

    def _changed(self, data: Any, path: tuple[str | int, ...]) -> Any:
        if not path:
            match self.how:
                case "in a list":
                    return [data]
                case "in an object":
                    return {"value": data}
                case "as text":
                    return encode_json(data).decode()
                case _:
                    return self.value
        first, rest = path[0], path[1:]
        if not rest and self.how == "dropped":
            if isinstance(data, dict):
                return {key: value for key, value in data.items() if key != first}
            return [value for index, value in enumerate(data) if index != first]
        if isinstance(data, dict):
            return {key: self._changed(value, rest) if key == first else value for key, value in data.items()}
        return [self._changed(value, rest) if index == first else value for index, value in enumerate(data)]


def _written(data: Any) -> Any:
    match data:
        case Number():
            return msgspec.Raw(data.text.encode())
        case dict():
            return {key: _written(value) for key, value in data.items()}
        case list():
            return [_written(value) for value in data]
    return data


def _paths(data: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield here
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inside:
        yield from _paths(value, (*here, key))


def changes(provider: str, name: str) -> st.SearchStrategy[Change]:
    """Any one place of the example's answers, changed in any way."""
    places = []
    for index, exchange in enumerate(exchanges(provider, name)):
        places += [(index, path) for path in _paths(decode_json(exchange.content))]
    ways = st.sampled_from(["dropped", "in a list", "in an object", "as text"]) | st.just("replaced")
    return st.tuples(st.sampled_from(places), ways, JSON).map(lambda drawn: Change(*drawn[0], *drawn[1:]))


# Playing it


class _Answers:
    """In place of a transport: the recorded answers, changed."""

    def __init__(self, recorded: list[Exchange]) -> None:
        self._recorded = recorded
        self.asked = 0

    def send(self, request: Request, timeout: float) -> Response:
        self.asked += 1
        assert self.asked < _MOST_REQUESTS, "it asks and asks"
        exact = (exchange for exchange in self._recorded if exchange.asks_for(request))
        found = next(exact, self._recorded[-1])
        return Response(found.status, {"content-type": "application/json"}, found.content)

    def close(self) -> None:
        pass


def played(provider: str, name: str, answer: dict[int, bytes]) -> tuple[list[Any], list[GatewayError]]:
    """Play the example's scenario with some answers changed. What came out of the gateway: results and errors.

    Every other exception of the gateway comes out of here; so do the scenario's own when nothing is changed.
    """
    scenario, settings = SCENARIOS[provider, name]
    recorded = exchanges(provider, name)
    changed = [
        Exchange(it.method, it.target, it.body, it.status, answer.get(index, it.content))
        for index, it in enumerate(recorded)
    ]
    clock = VirtualClock(NOW)
    results: list[Any] = []
    errors: list[GatewayError] = []
    wrong: list[BaseException] = []
    with opened(
        "sync",
        plugins=load_plugins(),
        clock=clock,
        accounts={"it": {"provider": provider, **ACCOUNTS[provider], **settings}},
        uniform=lambda: 0.0,
    ) as gw:
        _fill(gw)
        core = gw.core
        driver = SyncDriver(core.connection, core.database, clock.sleep, lambda connection: _Answers(changed))  # type: ignore[arg-type, return-value]

        def run(flow: Any) -> Any:
            try:
                result = driver.run(flow)
            except GatewayError as error:
                errors.append(error)
                raise
            except BaseException as error:
                wrong.append(error)
                raise
            results.append(result)
            return result

        gw.raw._run = run
        # A scenario expects what is documented.
        with contextlib.suppress(Exception) if answer else contextlib.nullcontext():
            scenario(gw)
    if wrong:
        raise wrong[0]
    return results, errors


_template: sqlite3.Connection | None = None


def _fill(gw: Opened) -> None:
    """The store's tables, copied: making them takes longer than everything else here."""
    global _template
    from gateway.store.database import Database

    if _template is None:
        with Database.open("sqlite://") as made, made._connected("") as connection:
            _template = sqlite3.connect(":memory:", check_same_thread=False)
            _raw(connection).backup(_template)
    database = Database.open("sqlite://", any_schema=True)
    with database._connected("") as connection:
        _template.backup(_raw(connection))
    gw.core._database = database


def _raw(connection: Any) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def floats_in(value: Any) -> list[str]:
    """Where in a result there is a float."""
    match value:
        case float():
            return [repr(value)]
        case BaseModel():
            return [f"{name}.{found}" for name in type(value).model_fields for found in floats_in(getattr(value, name))]
        case dict():
            return [f"{key}.{found}" for key, item in value.items() for found in floats_in(item)]
        case list() | tuple() | set() | frozenset():
            return [found for item in value for found in floats_in(item)]
        case Decimal() | str() | bytes():
            return []
        case _ if is_dataclass(value) and not isinstance(value, type):
            return [f"{it.name}.{found}" for it in fields(value) for found in floats_in(getattr(value, it.name))]
    return []
