"""What the data of faults accepts, and which call takes which."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.testing import faults
from gateway.testing.faults import CallbackFault, CallFault, FaultQueue, read_call_fault, read_callback_fault


def take(queue: FaultQueue[CallFault], method: str, path: str) -> str | None:
    taken = queue.take(lambda fault: fault.matches(method, path))
    return taken[0].kind if taken else None


@pytest.mark.parametrize(
    "make",
    [
        lambda: faults.Status(status=199),
        lambda: faults.Status(status=600),
        lambda: faults.Status(status=503, times=0),
        lambda: faults.Status(status=204, body="x"),
        lambda: faults.Status(status=503, headers={"Retry After": "1"}),
        lambda: faults.Status(status=503, headers={"Retry-After": "1\r\nX: y"}),
        lambda: faults.Status(status=503, headers={"Content-Length": "1"}),
        lambda: faults.Status(status=503, path="orders"),
        lambda: faults.Status(status="503"),  # type: ignore[arg-type]
        lambda: faults.Status(status=503, statuss=1),  # type: ignore[call-arg]
        lambda: faults.Delay(seconds=0),
        lambda: faults.Delay(seconds=float("nan")),
        lambda: faults.Delay(seconds=601),
        lambda: faults.Drop(),  # type: ignore[call-arg]
        lambda: faults.Truncated(keep=-1),
        lambda: faults.Duplicated(copies=1),
        lambda: faults.Reordered(times=1),
    ],
)
def test_senseless_faults_are_refused(make: Any) -> None:
    with pytest.raises(ValidationError):
        make()


def test_a_fault_does_not_change() -> None:
    fault = faults.Drop(executed=True)
    with pytest.raises(ValidationError):
        fault.executed = False  # type: ignore[misc]


def test_faults_are_read_from_json() -> None:
    assert read_call_fault(b'{"kind": "delay", "seconds": 0.5, "method": "get"}') == faults.Delay(
        seconds=0.5, method="get"
    )
    assert read_callback_fault(b'{"kind": "reordered", "times": 3}') == faults.Reordered(times=3)
    for text in (b'{"kind": "drop"}', b'{"kind": "duplicated"}', b"[]", b"{", b'{"executed": true}'):
        with pytest.raises(ValidationError):
            read_call_fault(text)


def test_the_oldest_match_is_taken_and_counts_down() -> None:
    queue: FaultQueue[CallFault] = FaultQueue(CallFault)
    queue.add(
        faults.Drop(executed=False, method="post", path="/api/order"),
        faults.Empty(times=2),
        faults.Status(status=500, path="/other"),
    )
    assert take(queue, "GET", "/api/order") == "empty"
    assert take(queue, "POST", "/api/order/1") == "drop"
    assert [(fault.kind, fault.times) for fault in queue.pending()] == [("empty", 1), ("status", 1)]
    assert take(queue, "POST", "/api/order/1") == "empty"
    assert take(queue, "POST", "/api/order/1") is None
    assert take(queue, "GET", "/other") == "status"
    assert queue.pending() == []


def test_clear_forgets_everything() -> None:
    queue: FaultQueue[CallFault] = FaultQueue(CallFault)
    queue.add(faults.Empty(times=5))
    queue.clear()
    assert take(queue, "GET", "/") is None


def test_a_queue_refuses_the_other_family() -> None:
    queue: FaultQueue[CallFault] = FaultQueue(CallFault)
    with pytest.raises(TypeError, match="Forged is not a CallFault"):
        queue.add(faults.Empty(), faults.Forged())  # type: ignore[arg-type]
    assert queue.pending() == []
    assert not issubclass(faults.Drop, CallbackFault)


def test_a_fault_strikes_exactly_its_times_under_threads() -> None:
    queue: FaultQueue[CallFault] = FaultQueue(CallFault)
    queue.add(faults.Empty(times=50))
    struck: list[str] = []

    def run() -> None:
        for _ in range(20):
            if kind := take(queue, "GET", "/"):
                struck.append(kind)

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(struck) == 50
