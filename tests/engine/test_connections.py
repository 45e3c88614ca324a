"""Which connection an asynchronous call goes over, and which are closed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import pytest

from gateway.engine import http
from gateway.engine.http import AsyncTransport, Connection, TransportFailure
from gateway.exchange import Request, Response
from support.loopback import Drop, Hold, Loopback

REQUEST = Request("GET", "/anything")
KEPT = 20


class Line(httpx.AsyncBaseTransport):
    """One connection: what goes over it is answered once `lines.answer` is set."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.used = 0
        self.busy = self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.busy, "two calls on one connection"
        assert not self.closed, "it was closed"
        self.used += 1
        self.busy = True
        try:
            self._lines.begun()
            await self._lines.answer.wait()
        finally:
            self.busy = False
        return httpx.Response(200, content=b"{}")

    async def aclose(self) -> None:
        self.closed = True
        if self._lines.fail_to_close:
            raise OSError("it is gone")


class Lines:
    def __init__(self) -> None:
        self.made: list[Line] = []
        self.answer = asyncio.Event()
        self.answer.set()
        self.fail_to_close = False
        self._expected, self._under_way = 0, asyncio.Event()
        self.transport = AsyncTransport(Connection("http://127.0.0.1:9"), self._make)

    def _make(self) -> Line:
        self.made.append(Line(self))
        return self.made[-1]

    async def call(self) -> Response:
        return await self.transport.send(REQUEST, 30)

    def begun(self) -> None:
        if sum(line.busy for line in self.made) == self._expected:
            self._under_way.set()

    async def begin(self, calls: int) -> list[asyncio.Task[Response]]:
        """So many calls, as many of them under way as there may be; none is answered before `answer` is set."""
        self.answer.clear()
        tasks = [asyncio.create_task(self.call()) for _ in range(calls)]
        await self.until(min(calls, 100))
        return tasks

    async def until(self, under_way: int) -> None:
        self._under_way.clear()
        self._expected = under_way
        await asyncio.wait_for(self._under_way.wait(), 10)

    async def at_once(self, calls: int) -> None:
        tasks = await self.begin(calls)
        self.answer.set()
        await asyncio.gather(*tasks)

    @property
    def open(self) -> list[Line]:
        return [line for line in self.made if not line.closed]


@dataclass
class Moment:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    """The clock by which connections are idle."""
    moment = Moment()
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=moment))
    return moment


def test_the_connection_that_was_used_last_is_used_next() -> None:
    async def go() -> None:
        lines = Lines()
        await lines.at_once(3)
        for _ in range(5):
            await lines.call()
        assert sorted(line.used for line in lines.made) == [1, 1, 6]

    asyncio.run(go())


def test_after_a_rush_no_more_stay_open_than_are_kept() -> None:
    async def go() -> None:
        lines = Lines()
        await lines.at_once(60)
        assert (len(lines.made), len(lines.open)) == (60, KEPT)
        await lines.at_once(KEPT)
        assert len(lines.made) == 60, "those that were kept are used again"

    asyncio.run(go())


def test_while_calls_wait_none_is_closed() -> None:
    async def go() -> None:
        lines = Lines()
        calls = await lines.begin(250)
        # Only those that are under way are answered: their connections go to the next hundred.
        lines.answer.set()
        lines.answer.clear()
        await lines.until(100)
        assert (len(lines.made), len(lines.open)) == (100, 100)
        lines.answer.set()
        await asyncio.gather(*calls)
        assert sum(line.used for line in lines.made) == 250
        assert len(lines.open) == KEPT

    asyncio.run(go())


def test_what_was_idle_for_too_long_is_closed(moment: Moment) -> None:
    async def go() -> None:
        lines = Lines()
        await lines.at_once(3)
        moment.now += 14
        await lines.call()
        assert len(lines.open) == 3
        moment.now += 2
        await lines.call()
        (left,) = lines.open
        assert left.used == 3

    asyncio.run(go())


def test_a_connection_that_does_not_close_takes_no_answer_away(moment: Moment) -> None:
    async def go() -> None:
        lines = Lines()
        await lines.at_once(2)
        moment.now += 16
        lines.fail_to_close = True
        assert (await lines.call()).status == 200
        assert len(lines.open) == 1

    asyncio.run(go())


def test_closing_closes_all_also_those_in_use() -> None:
    async def go() -> None:
        lines = Lines()
        await lines.at_once(3)
        (call,) = await lines.begin(1)
        await lines.transport.close()
        assert (len(lines.made), lines.open) == (3, [])
        lines.answer.set()
        await call

    asyncio.run(go())


def test_calls_one_after_the_other_share_a_connection_and_a_broken_one_is_replaced() -> None:
    async def go(server: Loopback) -> None:
        transport = AsyncTransport(Connection(server.url))
        try:
            for _ in range(3):
                await transport.send(REQUEST, 10)
            assert server.connections == 1
            server.plan(Drop())
            with pytest.raises(TransportFailure) as caught:
                await transport.send(REQUEST, 10)
            assert caught.value.sent is True
            for _ in range(3):
                await transport.send(REQUEST, 10)
            assert [seen.connection for seen in server.requests] == [1, 1, 1, 1, 2, 2, 2]
        finally:
            await transport.close()

    with Loopback() as server:
        asyncio.run(go(server))


def test_the_answer_to_a_cancelled_call_is_never_read_by_another() -> None:
    async def go(server: Loopback) -> None:
        transport = AsyncTransport(Connection(server.url))
        try:
            server.plan(Hold())
            call = asyncio.create_task(transport.send(REQUEST, 10))
            await asyncio.to_thread(server.wait_for, 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await transport.send(REQUEST, 10)
            assert [seen.connection for seen in server.requests] == [1, 2]
        finally:
            await transport.close()

    with Loopback() as server:
        asyncio.run(go(server))
