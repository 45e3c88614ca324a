"""Makes a sandbox's callbacks over real HTTP, from a thread of its own, and lets faults strike them.

How often the providers repeat a callback, and after how long, is documented nowhere: a callback that is not answered
with 2xx is made three times in all, a fraction of a second apart. Redirects are not followed, proxies are not used, and
only addresses of this machine are called.
"""

from __future__ import annotations

import contextlib
import heapq
import http.client
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gateway.contracts.settings import is_loopback
from gateway.testing.faults import (
    CallbackFault,
    Delayed,
    Duplicated,
    FaultQueue,
    Forged,
    Reordered,
    Suppressed,
)
from gateway.testing.sandbox import OutgoingCallback

__all__ = ["CallbackDelivery", "Delivery"]

ATTEMPTS = 3
BACK_OFF_SECONDS = 0.05
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to make a callback."""

    callback: int
    """Counts what the sandbox emitted, from 1: attempts, copies and forgeries of one callback share it."""
    order: str
    """The provider's own number of the order."""
    method: str
    url: str
    attempt: int
    """Counted from 1; 0 where it was suppressed."""
    forged: bool = False
    """Whether it was a stranger's."""
    status: int | None = None
    """What the merchant answered; None where nothing came back."""
    error: str | None = None
    """What stood in the way; None where an answer came."""

    @property
    def delivered(self) -> bool:
        """Whether the merchant answered with 2xx."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class _Job:
    number: int
    callback: OutgoingCallback
    forged: bool = False
    attempt: int = 1


class _Refused(Exception):
    """This will not be called, however often it is tried."""


class CallbackDelivery:
    """One sandbox's callbacks; `forge` is its `Sandbox.forged`. Safe for threads; its own starts when it is needed."""

    def __init__(
        self,
        forge: Callable[[OutgoingCallback], OutgoingCallback],
        *,
        attempts: int = ATTEMPTS,
        back_off: float = BACK_OFF_SECONDS,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.faults: FaultQueue[CallbackFault] = FaultQueue(CallbackFault)
        """Those that strike the next callbacks; `add` one of `gateway.testing.faults`."""
        self._forge = forge
        self._attempts = attempts
        self._back_off = back_off
        self._timeout = timeout
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, _Job]] = []
        self._held: list[tuple[Reordered, _Job]] = []
        self._deliveries: list[Delivery] = []
        self._emitted = 0
        self._queued = 0
        self._sending = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None

    def emit(self, callback: OutgoingCallback) -> None:
        """Take a callback to make; returns at once. After `close` it is ignored."""
        with self._changed:
            if self._closed:
                return
            self._emitted += 1
            job = _Job(self._emitted, callback)
            taken = self.faults.take(lambda fault: fault.matches(callback.order))
            match taken:
                case None:
                    self._queue(job)
                case (Duplicated() as fault, _):
                    for _ in range(fault.copies):
                        self._queue(job)
                case (Delayed() as fault, _):
                    self._queue(job, after=fault.seconds)
                case (Reordered() as fault, left):
                    self._held.append((fault, job))
                    if not left:
                        self._let_go(fault)
                case (Forged() as fault, _):
                    self._queue(replace(job, forged=True))
                    if fault.genuine:
                        self._queue(job)
                case (Suppressed(), _):
                    self._note(job, error="suppressed", attempt=0)
                case (fault, _):
                    raise TypeError(f"no rule for a fault of the kind {fault.kind!r}")

    def release(self) -> int:
        """Make the callbacks that a `Reordered` still holds, the last one first. How many there were."""
        with self._changed:
            held = len(self._held)
            for fault in [fault for fault, _ in self._held]:
                self._let_go(fault)
            return held

    def deliveries(self) -> list[Delivery]:
        """All attempts so far, in the order in which they ended."""
        with self._changed:
            return list(self._deliveries)

    def pending(self) -> int:
        """Callbacks that wait to be made, or to be tried again; held ones are not counted."""
        with self._changed:
            return len(self._due) + self._sending

    def wait_idle(self, timeout: float = 5.0) -> None:
        """Wait until everything emitted was delivered or given up, held callbacks aside. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or not (self._due or self._sending), timeout):
                raise TimeoutError(f"{len(self._due) + self._sending} callbacks not made within {timeout} seconds")

    def close(self) -> None:
        """Stop at once; what was not made is dropped."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._held.clear()
            self._changed.notify_all()
            connection, thread = self._connection, self._thread
        if connection is not None and connection.sock is not None:
            # A merchant that does not answer must not hold up the end of a test.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        if thread is not None:
            thread.join(self._timeout + 1)

    # Everything below is called with the lock held, but for what the thread does.

    def _queue(self, job: _Job, after: float = 0.0) -> None:
        self._queued += 1
        heapq.heappush(self._due, (time.monotonic() + after, self._queued, job))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sandbox-callbacks", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _let_go(self, fault: Reordered) -> None:
        group = [job for held, job in self._held if held is fault]
        self._held = [(held, job) for held, job in self._held if held is not fault]
        for job in reversed(group):
            self._queue(job)

    def _note(self, job: _Job, *, status: int | None = None, error: str | None = None, attempt: int) -> None:
        callback = job.callback
        self._deliveries.append(
            Delivery(job.number, callback.order, callback.method, callback.url, attempt, job.forged, status, error)
        )

    def _run(self) -> None:
        while (job := self._next()) is not None:
            status, error, again = self._attempt(job)
            with self._changed:
                self._connection = None
                if not self._closed:
                    self._note(job, status=status, error=error, attempt=job.attempt)
                    if again and job.attempt < self._attempts:
                        self._queue(
                            replace(job, attempt=job.attempt + 1), after=self._back_off * 2 ** (job.attempt - 1)
                        )
                self._sending = False
                self._changed.notify_all()

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self._sending = True
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
            return None

    def _attempt(self, job: _Job) -> tuple[int | None, str | None, bool]:
        """Status, error, and whether to try again."""
        try:
            # Here and not in `emit`, which a sandbox may call under its own lock.
            callback = self._forge(job.callback) if job.forged else job.callback
        except Exception as error:
            return None, f"forging failed: {error!r}", False
        try:
            status = self._send(callback)
        except _Refused as error:
            return None, str(error), False
        except (OSError, http.client.HTTPException, ValueError) as error:
            return None, f"{type(error).__name__}: {error}", True
        return status, None, not 200 <= status < 300

    def _send(self, callback: OutgoingCallback) -> int:
        connection, target = self._connect(callback.url)
        with self._changed:
            if self._closed:
                raise _Refused("stopped")
            self._connection = connection
        try:
            body = callback.body if callback.body or callback.method.upper() != "GET" else None
            connection.request(callback.method, target, body=body, headers=dict(callback.headers))
            answer = connection.getresponse()
            answer.read(64 * 1024)
            return answer.status
        finally:
            connection.close()

    def _connect(self, url: str) -> tuple[http.client.HTTPConnection, str]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _Refused(f"not an address: {error}") from error
        if parts.scheme not in {"http", "https"} or not host:
            raise _Refused("not an address of the web")
        if not is_loopback(host):
            raise _Refused("not called: a sandbox calls only 127.0.0.1, ::1 and localhost")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return connect(host, port, timeout=self._timeout), target
