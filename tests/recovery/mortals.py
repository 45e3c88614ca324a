"""A shop whose processes are killed: real sandboxes over real HTTP, a store in a file, a socket that stays."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway import Gateway
from gateway.models import CustomerRequest, OrderRequest
from gateway.testing import SandboxServer
from gateway_aurex.sandbox import AurexSandbox
from gateway_aurpay.sandbox import AurpaySandbox
from stateful.shop import ElapsingClock

__all__ = ["MOST_POINTS", "Mortals"]

CHILD = Path(__file__).parent / "killed_child.py"
MOST_POINTS = 400


class Mortals:
    """Use it inside `with`. Accounts `shop`, `backup` and `spare` are at one Aurpay, `cards` at Aurex."""

    def __init__(self, folder: Path) -> None:
        # In memory where the system offers that: what is tested is what is written, not the disk.
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-killed-", dir=memory if memory.is_dir() else folder))
        self.clock = ElapsingClock()
        self.aurpay = AurpaySandbox(self.clock)
        self.aurex = AurexSandbox(self.clock, wallet=Decimal(1000), monotonic=self.clock.monotonic, rate_limit=False)
        self.server = SandboxServer([self.aurpay, self.aurex])
        self.file = self.folder / "gateway.db"
        self.log = self.folder / "log"
        self._stack = contextlib.ExitStack()
        self._copies = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            stack.enter_context(self.server)
            self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            number = self.listener.fileno()
            self._child = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(CHILD), str(number)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    pass_fds=[number],
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its end ends the children that it forks: they have a bounded time for everything.
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._stack.close()

    def settings(self) -> dict[str, Any]:
        aurpay = self.server.account("aurpay")
        return {
            "accounts": {"shop": aurpay, "backup": aurpay, "spare": aurpay, "cards": self.server.account("aurex")},
            "routes": [{"operation": "orders.create", "accounts": ["shop", "backup", "spare"]}],
            "store": f"sqlite:///{self.file}",
            "public_base_url": f"http://127.0.0.1:{self.listener.getsockname()[1]}",
            "callback_key": "a key of the tests alone",
            "watch": {"callback": "10s"},
            "reconcile": {"scheduled": False},
        }

    def gateway(self) -> Gateway:
        """In this process, without a handler."""
        return Gateway(**self.settings(), clock=self.clock, sleep=self.clock.sleep)

    def template(self) -> Path:
        """The store as it is, for `begin`."""
        return Path(shutil.move(self.file, self.folder / "template.db"))

    def begin(self, file: Path) -> None:
        """A copy of this store is the shop's from now on, and the handler's log is empty.

        Each has a name of its own: an older state of the same file would be noticed.
        """
        self._copies += 1
        self.file = self.folder / f"copy-{self._copies}.db"
        shutil.copy(file, self.file)
        self.log.write_text("")

    def run(self, *acts: str, step: int | None = None, inside: bool = True, request: OrderRequest | None = None) -> str:
        """A process does these, one after the other, and is killed at this point; how it ended. `inside` says whether
        the inside of transactions counts.
        """
        job = {
            "acts": acts,
            "step": step,
            "inside": inside,
            "settings": self.settings(),
            "ahead": round(self.clock._ahead.total_seconds()),
            "log": str(self.log),
            "request": json.loads(request.model_dump_json()) if request else None,
        }
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(job) + "\n")
        self._child.stdin.flush()
        return self._child.stdout.readline().strip()

    def order(self, gateway: Gateway, reference: str) -> str:
        """The number of a new order at Aurpay."""
        request = OrderRequest(reference=reference, price="25.00 USD", pay_with="USDT@tron")
        return str(gateway.orders.create(request, account="shop").provider_id)

    def deposit(self, gateway: Gateway, reference: str) -> str:
        """The number of a new deposit at Aurex."""
        customer = CustomerRequest(reference=f"c-{reference}", first_name="Ada", last_name="Example")
        gateway.customers.create(customer, account="cards")
        request = OrderRequest(
            reference=reference, price="40 USD", pay_with="USDT", customer=customer.reference, settles_to="customer"
        )
        return str(gateway.orders.create(request, account="cards").provider_id).partition("/")[2]

    # Books, read past the gateway

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def happened(self) -> dict[str, list[str]]:
        """The types of the events of each order, in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for kind, reference in self.rows("SELECT type, reference FROM events ORDER BY id"):
            found[reference].append(kind)
        return dict(found)

    def told(self) -> tuple[dict[str, list[str]], int]:
        """What the handler was called with, in order; and how often it was called again with the last one of an order,
        which happens when a process dies before it could record that. Any other repetition stays in the list.
        """
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        again = 0
        for number, kind, reference in map(str.split, self.log.read_text().splitlines()):
            calls = found[reference]
            if calls and calls[-1] == (int(number), kind):
                again += 1
            else:
                calls.append((int(number), kind))
        return {reference: [kind for _, kind in calls] for reference, calls in found.items()}, again
