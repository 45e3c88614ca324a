"""More calls at once than there are connections: the rest wait, and never longer than they may take."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gateway.engine.http import AsyncTransport, Connection, TransportFailure
from gateway.exchange import Request

CALLS = 250
REQUEST = Request("GET", "/anything")


class Counting(httpx.AsyncBaseTransport):
    """Counts the requests that are under way; none is answered before `answer` is set."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.timeouts: list[dict[str, float]] = []
        self.full = asyncio.Event()
        self.answer = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.timeouts.append(request.extensions["timeout"])
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == 100:
            self.full.set()
        try:
            await self.answer.wait()
        finally:
            self.under_way -= 1
        return httpx.Response(200, content=b"{}")


def test_no_more_are_under_way_than_there_are_connections_and_all_are_answered() -> None:
    async def go() -> None:
        counting = Counting()
        transport = AsyncTransport(Connection("http://127.0.0.1:9"), lambda: counting)
        calls = [asyncio.create_task(transport.send(REQUEST, 30)) for _ in range(CALLS)]
        await counting.full.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert counting.most == 100
        counting.answer.set()
        answers = await asyncio.gather(*calls)
        assert [answer.status for answer in answers] == [200] * CALLS
        assert counting.most == 100
        # Waiting is part of the time that a call may take: what is left of it bounds the sending.
        assert counting.timeouts[-1]["read"] < 30

    asyncio.run(go())


def test_a_call_that_never_gets_a_connection_was_not_sent() -> None:
    async def go() -> None:
        counting = Counting()
        transport = AsyncTransport(Connection("http://127.0.0.1:9"), lambda: counting)
        calls = [asyncio.create_task(transport.send(REQUEST, 30)) for _ in range(100)]
        await counting.full.wait()
        with pytest.raises(TransportFailure, match="no connection in time") as caught:
            await transport.send(REQUEST, 0.01)
        assert caught.value.sent is False
        assert len(counting.timeouts) == 100
        counting.answer.set()
        await asyncio.gather(*calls)
        assert (await transport.send(REQUEST, 30)).status == 200

    asyncio.run(go())
