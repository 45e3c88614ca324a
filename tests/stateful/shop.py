"""A merchant's shop whose process can die: real sandboxes over real HTTP, a store in a file, and a gateway on it.

The books are read past the gateway: the sandboxes' ledgers, and the file itself by the standard library's SQLite.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway import Gateway
from gateway.engine.effects import Flow
from gateway.errors import GatewayError
from gateway.models import CardRequest, CustomerRequest
from gateway.money import Money
from gateway.store.owner import Owner, this_process
from gateway.testing import SandboxClock, SandboxServer
from gateway_aurex.sandbox import AurexSandbox
from gateway_aurpay.sandbox import AurpaySandbox

__all__ = ["CUSTOMER", "PROVIDERS", "Shop", "Thing"]

Thing = tuple[str, str | Decimal]
"""Something that a provider did, as the kind of write that asked for it and what tells it from others of the kind."""

PROVIDERS = {"shop": "aurpay", "cards": "aurex"}
CUSTOMER = "c-42"
OPENING = Decimal(1000)


class ElapsingClock(SandboxClock):
    """One clock for the sandboxes and the gateways; it runs, and sleeping on it only moves it."""

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead.total_seconds()

    def sleep(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


class Crash(BaseException):
    """What ends an abandoned flow at last, without any of its effects."""


class Shop:
    """Everything of one example. `gateway` is the one of the present life; `crash` and `restart` begin another."""

    def __init__(self) -> None:
        # In memory where the system offers that: what is tested is what is written, not the disk.
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-stateful-", dir=memory if memory.is_dir() else None))
        self.file = self.folder / "gateway.db"
        self.clock = ElapsingClock()
        self.aurpay = AurpaySandbox(self.clock)
        self.aurex = AurexSandbox(self.clock, wallet=OPENING, monotonic=self.clock.monotonic)
        self.server = SandboxServer([self.aurpay, self.aurex])
        self.server.start()
        self._abandoned: list[Flow[Any]] = []
        self._life: subprocess.Popen[bytes] | None = None
        self.open()
        self.gateway.customers.create(
            CustomerRequest(reference=CUSTOMER, first_name="Ada", last_name="Example"), account="cards"
        )
        self.user = self.gateway.customers.get(CUSTOMER, account="cards", refresh=False).provider_id
        request = CardRequest(reference="card-1", customer=CUSTOMER, name="Travel", initial_balance=Money("100", "USD"))
        self.card = self.gateway.cards.create(request, account="cards").provider_id

    # Lives

    def open(self, environment: str = "sandbox") -> None:
        """A gateway of a process of its own: what it holds in the journal is held by a process that can be ended."""
        # Killed only through its handle, so `sleep` bounds what an interrupted test leaves behind.
        self._life = subprocess.Popen(["sleep", "600"])
        accounts = {
            name: self.server.account(provider) | {"environment": environment} for name, provider in PROVIDERS.items()
        }
        self.gateway = Gateway(
            accounts=accounts,
            store=f"sqlite:///{self.file}",
            clock=self.clock,
            sleep=self.clock.sleep,
            uniform=lambda: 0.5,
        )
        self.gateway._core.database().owner = self._owner  # type: ignore[method-assign]

    def _owner(self) -> Owner:
        """A claim of this life's process, in place of the tests' own."""
        assert self._life is not None
        started = Path(f"/proc/{self._life.pid}/stat").read_text().rpartition(")")[2].split()[19]
        claim = this_process()
        return Owner(claim.host, claim.machine, self._life.pid, started, claim.claim)

    def end(self) -> None:
        """The process ends: its connections with it, and whatever it was at stays as it is."""
        self.gateway.close()
        assert self._life is not None
        self._life.kill()
        self._life.wait()

    def restart(self) -> None:
        self.end()
        self.open()

    def crash(self, flow: Flow[Any], effects: int) -> tuple[bool, Any]:
        """Carry out so many effects of the flow, die, and begin a new life.

        Returns whether the flow came to its end before, and with what (a GatewayError is a result here).
        """
        driver = self.gateway._driver
        ended, result = False, None
        try:
            effect = next(flow)
            for _ in range(effects):
                value, error = None, None
                try:
                    value = driver._carry_out(effect)
                except Exception as caught:
                    error = caught
                effect = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as end:
            ended, result = True, end.value
        except GatewayError as refused:
            ended, result = True, refused
        if not ended:
            self._abandoned.append(flow)
        self.restart()
        return ended, result

    def close(self) -> None:
        self.end()
        self.server.stop()
        for flow in self._abandoned:
            # A flow that is forgotten half-way would record its interruption: a dead process does not.
            for _ in range(20):
                try:
                    flow.throw(Crash())
                except (Crash, StopIteration):
                    break
        shutil.rmtree(self.folder)

    # Books

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with contextlib.closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query, values).fetchall()

    def writes(self) -> int:
        """How many writes have reached the providers, or tried to."""
        return sum(record.method == "POST" for records in self.server.requests.values() for record in records)

    def ledger(self) -> Counter[Thing]:
        """Everything that the providers have done for this merchant, each with how often.

        Orders go by their number as the gateway writes it, refunds by their order, payouts by their amount, because
        every payout of an example has an amount of its own.
        """
        done: Counter[Thing] = Counter()
        aurpay, aurex = self.aurpay.ledger(), self.aurex.ledger()
        done.update(("orders.create", order["id"]) for order in aurpay["orders"])
        done.update(("orders.create", f"{deposit['user']}/{deposit['id']}") for deposit in aurex["deposits"])
        done.update(("refunds.create", refund["order"]) for refund in aurpay["refunds"])
        done.update(("withdrawals.create", Decimal(payout["amount"])) for payout in aurpay["payouts"])
        topups = (movement for movement in aurex["movements"] if movement["kind"] == "topup")
        done.update(("withdrawals.create", Decimal(movement["card"])) for movement in topups)
        return done
