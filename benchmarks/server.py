"""A local server that answers every GET with the same Aurpay order, in a process of its own: it is not measured."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["NUMBER", "serving"]

NUMBER = "20231114221320000001"
_BODY = json.dumps(
    {
        "code": 0,
        "message": "ok",
        "data": {
            "user_id": 1,
            "order_id": NUMBER,
            "order_type": "ORDER",
            "status": "PENDING",
            "chain": "TRX",
            "currency": "USDT-TRC20",
            "amount": "25.01",
            "vs_price": "25.00",
            "vs_currency": "USD",
            "refund": False,
            "create_time": "2023-11-14 22:13:20",
            "update_time": "2023-11-14 22:13:20",
            "to_addr": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
        },
        "result": True,
    }
).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


class _Answers(asyncio.Protocol):
    """Requests without a body, one after the other on a connection; all that ends with an empty line is one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._waiting = transport, b""

    def data_received(self, data: bytes) -> None:
        *whole, self._waiting = (self._waiting + data).split(b"\r\n\r\n")
        self._transport.write(_ANSWER * len(whole))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answers, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the port, to the process that started this one
    # Until that process closes the pipe or ends, however it ends.
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def serving() -> Iterator[str]:
    """The base URL, as long as it is used."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve())
