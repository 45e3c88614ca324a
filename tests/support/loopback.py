"""A scripted HTTP server on 127.0.0.1. It says what it is told to say, byte by byte, and remembers what it was asked.

`plan(...)` queues what happens to the next requests, one play each. To a request that nothing is planned for happens
what `every` says, or else what `app` makes of it (a function of `Seen`; by default 200 with an empty object).
Connections are kept alive unless the play ends them. Nothing here waits for time to pass: a play that holds a request
back does so until `release()`, or until the client gives up.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.exchange import encode_json

__all__ = [
    "Answer",
    "Bytes",
    "Drop",
    "Hold",
    "Loopback",
    "Play",
    "Seen",
    "Trickle",
    "Truncated",
    "full_backlog",
    "gzipped",
    "oversized",
    "redirect",
    "refusing",
    "self_signed",
]

_PATIENCE = 10.0  # nothing in a test takes this long; a bound on what a broken test can hang for


@dataclass(frozen=True)
class Seen:
    """One request as it arrived. Header names are in lower case; `connection` counts the connections from 1."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


class Play:
    """What happens to one request. `reads` False: it happens as soon as the connection is there, nothing is read."""

    reads = True

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        """Do it; returns whether the connection stays."""
        raise NotImplementedError


@dataclass(frozen=True)
class Answer(Play):
    """A whole answer. `body` is bytes, a text, or anything else as JSON (Decimals as exact numbers)."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else encode_json(self.body)

    def head(self, length: int) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Whatever", f"Content-Type: {self.kind}"]
        if self.status != 204 and self.status >= 200:
            lines.append(f"Content-Length: {length}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        content = self.content()
        line.sendall(self.head(len(content)) + (b"" if seen is not None and seen.method == "HEAD" else content))
        return True


@dataclass(frozen=True)
class Drop(Play):
    """Close the connection without an answer: before or after the request was read; `reset` sends a RST."""

    reads: bool = True
    reset: bool = False

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        if not self.reads:
            line.recv(1, socket.MSG_PEEK)  # so that the request has begun to leave: it is no refusal to connect
        if self.reset:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


@dataclass(frozen=True)
class Truncated(Play):
    """An answer that ends before its declared length."""

    body: bytes = b'{"ok": true, "data": {"last": "1'
    missing: int = 100

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        line.sendall(Answer().head(len(self.body) + self.missing) + self.body)
        return False


@dataclass(frozen=True)
class Bytes(Play):
    """Exactly these bytes, then the end."""

    raw: bytes
    reads: bool = True

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        if not self.reads:
            line.recv(1, socket.MSG_PEEK)
        line.sendall(self.raw)
        return False


@dataclass(frozen=True)
class Trickle(Play):
    """An answer whose body (or, with `head`, whose headers) comes byte by byte for as long as the client listens."""

    pause: float = 0.02
    head: bool = False

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        line.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: " if self.head else Answer().head(1_000_000))
        with contextlib.suppress(OSError):
            while not server.closing.wait(self.pause):
                line.sendall(b" ")
        return False


@dataclass(frozen=True)
class Hold(Play):
    """Read the request and keep silent until `release()` (then play `then`) or until the client goes away."""

    then: Play = field(default_factory=Answer)

    def perform(self, server: Loopback, line: socket.socket, seen: Seen | None) -> bool:
        if not server.released.wait(_PATIENCE) or server.closing.is_set():
            return False
        return self.then.perform(server, line, seen)


def redirect(location: str, status: int = 302) -> Answer:
    return Answer(status, b"", {"Location": location})


def gzipped(body: bytes) -> Answer:
    return Answer(200, gzip.compress(body), {"Content-Encoding": "gzip"})


def oversized(size: int) -> Answer:
    return Answer(200, b" " * size)


class Loopback:
    """The server; use it inside `with`. `requests` are those that were read whole, in the order of their arrival."""

    def __init__(
        self,
        *plays: Play,
        every: Play | None = None,
        app: Callable[[Seen], Play] | None = None,
        tls: Path | None = None,
        opens: bool = True,
    ) -> None:
        self.app = app or (lambda seen: Answer())
        self.every = every
        self.requests: list[Seen] = []
        self.connections = 0
        self.failed_handshakes = 0
        self.released = threading.Event()
        self.closing = threading.Event()
        self.most_at_once = 0
        self._at_once = 0
        self._plays: deque[Play] = deque(plays)
        self._changed = threading.Condition()
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(tls)
        self._lines: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._door = socket.socket()
        self._door.bind(("127.0.0.1", 0))
        self._opens_at_once = opens
        self.port: int = self._door.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def plan(self, *plays: Play) -> None:
        """What happens to the next requests, after what is planned already."""
        with self._changed:
            self._plays.extend(plays)

    def release(self) -> None:
        """Let every `Hold` go on, now and from now on."""
        self.released.set()

    def wait_for(self, requests: int) -> None:
        """Until this many requests have been read."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= requests, _PATIENCE), "they never came"

    def open(self) -> None:
        """Listen, where `opens=False` was given: until then connections are refused."""
        self._door.listen(256)
        self._start(self._accept)

    def __enter__(self) -> Self:
        if self._opens_at_once:
            self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.released.set()
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        with self._changed:
            lines = list(self._lines)
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive()

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                line, _ = self._door.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                self._lines.add(line)
                number = self.connections
            self._start(self._serve, line, number)

    def _serve(self, line: socket.socket, number: int) -> None:
        bare = line
        try:
            if self._tls is not None:
                try:
                    line = self._tls.wrap_socket(line, server_side=True)
                except (ssl.SSLError, OSError):
                    self.failed_handshakes += 1
                    return
                with self._changed:
                    self._lines.discard(bare)
                    self._lines.add(line)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                first = True
                while self._one(line, number, first):
                    first = False
        finally:
            with self._changed:
                self._lines -= {bare, line}
            line.close()

    def _one(self, line: socket.socket, number: int, first: bool) -> bool:
        with self._changed:
            # Only on a fresh connection: a client that sees a kept one closed goes elsewhere before it sends.
            following = self._plays[0] if self._plays else self.every
            at_once = following if first and following is not None and not following.reads else None
            if at_once is not None and self._plays:
                self._plays.popleft()
        if at_once is not None:
            return at_once.perform(self, line, None)
        seen = _read(line, number)
        if seen is None:
            return False
        with self._changed:
            self.requests.append(seen)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            planned = self._plays.popleft() if self._plays else None
            self._changed.notify_all()
        try:
            if planned is None:
                planned = self.every or self.app(seen)
            return planned.perform(self, line, seen) and seen.headers.get("connection") != "close"
        finally:
            with self._changed:
                self._at_once -= 1


def _read(line: socket.socket, number: int) -> Seen | None:
    """One request, whole; None when the client went away first."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = line.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = line.recv(65536)
        if not more:
            return None
        body += more
    return Seen(method, target, headers, body, number)


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """The URL of a port where nobody listens, kept from everyone else meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """The URL of a port where connections are neither accepted nor refused: its queue is full."""
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.socket())
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(door.getsockname())
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


def self_signed(folder: Path) -> Path:
    """A PEM file with a fresh certificate for 127.0.0.1 and its key, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own server")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
