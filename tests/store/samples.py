"""Requests and rows that the tests of the store begin with, and child processes that work on one store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from gateway.models import CryptoAddress, Environment, OrderRequest, Settlement, WithdrawalRequest
from gateway.money import Money
from gateway.store import journal, orders, withdrawals
from gateway.store.journal import Begun, JournalEntry

NOW = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
LEASE = timedelta(minutes=1)
LIVE, SANDBOX = Environment.LIVE, Environment.SANDBOX


def order_request(reference: str = "cart-1", **fields: Any) -> OrderRequest:
    return OrderRequest(**{"reference": reference, "price": Money("25.00", "USD"), "pay_with": "USDT@tron", **fields})


def make_order(
    connection: Connection, reference: str = "cart-1", *, account: str = "shop", environment: Environment = LIVE
) -> int:
    """An order with one attempt; the attempt's number."""
    request = order_request(reference)
    orders.insert_order(connection, request, environment=environment, settles_to=Settlement.MERCHANT, now=NOW)
    return add_attempt(connection, reference, account=account, environment=environment)


def add_attempt(
    connection: Connection, reference: str = "cart-1", *, account: str = "shop", environment: Environment = LIVE
) -> int:
    taken = orders.load_order(connection, reference)
    return orders.insert_attempt(
        connection,
        reference,
        attempt_id=f"{reference}-{len(taken.attempts) if taken else 0}",
        account=account,
        provider="aurpay",
        environment=environment,
        now=NOW,
    )


def payout(reference: str = "payout-1", amount: str = "0.01", asset: str = "BTC@bitcoin") -> WithdrawalRequest:
    return WithdrawalRequest(reference=reference, amount=Money(amount, asset), to=CryptoAddress("bc1qexample"))


def make_payout(
    connection: Connection,
    request: WithdrawalRequest,
    *,
    account: str = "shop",
    environment: Environment = LIVE,
    now: datetime = NOW,
) -> None:
    withdrawals.insert_withdrawal(
        connection, request, account=account, provider="aurpay", environment=environment, now=now
    )


def begin(
    owner: object,
    *,
    reference: str = "payout-1",
    operation: str = "withdrawals.create",
    scope: str = "",
    account: str = "shop",
    environment: Environment = LIVE,
    request: dict[str, Any] | None = None,
    now: datetime = NOW,
    lease: timedelta = LEASE,
) -> Callable[[Connection], tuple[JournalEntry, Begun]]:
    """The work that begins this write."""
    asked = request or {"amount": "0.01"}
    return lambda connection: journal.begin(
        connection,
        operation=operation,
        reference=reference,
        scope=scope,
        account=account,
        provider="aurpay",
        environment=environment,
        fingerprint=journal.fingerprint(asked),
        request=asked,
        owner=str(owner),
        now=now,
        lease=lease,
    )


def open_files(under: Path) -> dict[str, int]:
    """The files of this process in a folder, with their descriptors."""
    found = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # the listing's own
            continue
        if target.startswith(str(under)):
            found[target] = int(descriptor)
    return found


class Child:
    """A process of its own that runs one command of `child.py`, each step when it is told to."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py")), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def says(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the child ended with {self.process.wait(timeout=30)}"
        return json.loads(line)

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def kill(self) -> None:
        """As `kill -9`. It is not waited for, so it stays a zombie, as under a parent that does not care."""
        self.process.kill()


@contextmanager
def children(number: int, *arguments: str) -> Iterator[list[Child]]:
    """So many processes with this command, all ready to go."""
    started = [Child(*arguments) for _ in range(number)]
    try:
        for child in started:
            assert child.says() == "ready"
        yield started
    finally:
        for child in started:
            child.end()


def all_say(started: list[Child]) -> list[Any]:
    """Let all go at once; what they say."""
    for child in started:
        child.go()
    return [child.says() for child in started]


def forked(act: Callable[[], Any]) -> str:
    """What `act` returns in a forked child, as text; its error where it raises one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = str(act())
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return told
