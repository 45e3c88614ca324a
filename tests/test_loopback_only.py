from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from loopback_only import NetworkBlocked

# TEST-NET-1 (RFC 5737): reserved for documentation, so nothing answers there even if the wall were down.
OUTSIDE = "192.0.2.1"
OUTSIDE_V6 = "2001:db8::1"


def tcp(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.settimeout(0.2)
    return made


def connect() -> None:
    with tcp() as client:
        client.connect((OUTSIDE, 443))


def connect_ex() -> None:
    with tcp() as client:
        client.connect_ex((OUTSIDE, 443))


def connect_v6() -> None:
    with tcp(socket.AF_INET6) as client:
        client.connect((OUTSIDE_V6, 443))


def send_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", (OUTSIDE, 53))


def send_message() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendmsg([b"x"], [], 0, (OUTSIDE, 53))


def look_up() -> None:
    socket.getaddrinfo("example.com", 443)


def look_up_bytes() -> None:
    socket.getaddrinfo(b"example.com", 443)


def look_up_by_name() -> None:
    socket.gethostbyname("example.com")


def create_connection() -> None:
    socket.create_connection((OUTSIDE, 443), timeout=0.2)


def asyncio_by_number() -> None:
    asyncio.run(_open(OUTSIDE))


def asyncio_by_name() -> None:
    asyncio.run(_open("example.com"))


async def _open(host: str) -> None:
    async with asyncio.timeout(0.2):
        await asyncio.open_connection(host, 443)


def http() -> None:
    httpx.get(f"https://{OUTSIDE}/", timeout=0.2)


def http_async() -> None:
    async def get() -> None:
        async with httpx.AsyncClient(timeout=0.2) as client:
            await client.get("https://example.com/")

    asyncio.run(get())


WAYS_OUT = [
    connect,
    connect_ex,
    connect_v6,
    send_datagram,
    send_message,
    look_up,
    look_up_bytes,
    look_up_by_name,
    create_connection,
    asyncio_by_number,
    asyncio_by_name,
    http,
    http_async,
]


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_every_way_out_is_blocked(way_out: Callable[[], None], blocked_attempts: list[str]) -> None:
    with pytest.raises(NetworkBlocked, match="nothing but loopback"):
        way_out()
    assert len(blocked_attempts) == 1
    blocked_attempts.clear()


def test_an_attempt_is_remembered_when_its_error_is_swallowed(blocked_attempts: list[str]) -> None:
    with contextlib.suppress(Exception):
        connect()
    assert blocked_attempts == [f"connect to {OUTSIDE} port 443"]
    blocked_attempts.clear()


def test_a_remembered_attempt_fails_its_test(tmp_path: Path) -> None:
    swallowing = tmp_path / "test_swallowing.py"
    swallowing.write_text(
        "import contextlib, socket\n"
        "def test_swallowing():\n"
        "    with contextlib.suppress(Exception):\n"
        f"        socket.create_connection(({OUTSIDE!r}, 443), timeout=0.2)\n"
    )
    run = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", str(swallowing)]
    child = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 1
    assert f"tried to leave this machine: looking up {OUTSIDE}" in child.stdout


def test_a_name_that_never_exists_is_answered_without_asking() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("shop.invalid", 443)


def test_child_processes_stand_behind_the_same_wall() -> None:
    program = f"import socket; socket.create_connection(({OUTSIDE!r}, 443), timeout=0.2)"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 1
    assert "NetworkBlocked" in child.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1]), timeout=5) as client,
    ):
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"hello")
            assert client.recv(5) == b"hello"


@pytest.mark.anyio
async def test_loopback_is_open_to_asyncio() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()


def test_unix_sockets_are_open() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"hello")
        assert right.recv(5) == b"hello"


def test_no_setting_comes_from_the_developers_shell() -> None:
    assert not [name for name in os.environ if name.startswith("GATEWAY_") or name.lower().endswith("_proxy")]
