"""Days in a shop that only polls: one clock for the gateway and the sandboxes, which moves when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, func, select, update

from gateway.flows import orders as order_flow
from gateway.flows import watching
from gateway.models import CustomerRequest, OrderRequest, OrderStatus, ProviderOrder, Settlement
from gateway.money import Money
from gateway.plugins import load_plugins
from gateway.store import customers, rests, watches
from gateway.store import orders as order_store
from gateway.store.tables import events
from gateway.store.tables import watches as watches_table
from gateway.store.watches import Watch
from gateway.testing import SandboxClock, SandboxServer
from gateway_aurex.sandbox import AurexSandbox
from gateway_aurpay.sandbox import AurpaySandbox
from gateway_emirex.sandbox import EmirexSandbox
from support.colours import Opened, opened

__all__ = ["DAY", "HOUR", "MINUTE", "Days", "SharedClock", "cart", "events_of", "set_next", "watch_of"]

MINUTE, HOUR, DAY = 60, 3600, 86_400


class SharedClock(SandboxClock):
    """The clock of everybody. It can be set back, as the clock of a machine can."""

    def __init__(self) -> None:
        super().__init__()
        self._start = datetime.now(UTC).replace(microsecond=0)
        self._passed = 0.0

    def now(self) -> datetime:
        return self._start + self._ahead

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def sleep(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)
        self._passed += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: int) -> None:
        self.sleep(seconds)

    def set_back(self, seconds: float) -> None:
        self._ahead -= timedelta(seconds=seconds)


class Days:
    """The sandboxes, a gateway at a time, and a worker that does nothing but look."""

    def __init__(self, folder: Path, **aurpay: Any) -> None:
        self.clock = SharedClock()
        self.aurex = AurexSandbox(self.clock, wallet=Decimal(1000), monotonic=self.clock.monotonic)
        self.aurpay = AurpaySandbox(self.clock, **aurpay)
        self.emirex = EmirexSandbox(self.clock)
        self.server = SandboxServer([self.aurex, self.aurpay, self.emirex])
        self.store = f"sqlite:///{folder / 'gateway.db'}"

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()

    def accounts(self, **changes: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
        """`shop` at Aurpay, `cards` at Aurex, `treasury` at Emirex; None leaves one out."""
        names = {"shop": "aurpay", "cards": "aurex", "treasury": "emirex"}
        return {
            name: self.server.account(provider) | (changes.get(name) or {})
            for name, provider in names.items()
            if changes.get(name, {}) is not None
        }

    @contextlib.contextmanager
    def gateway(self, colour: str = "sync", **given: Any) -> Iterator[Opened]:
        given.setdefault("accounts", self.accounts())
        given.setdefault("store", self.store)
        with opened(colour, plugins=load_plugins(), clock=self.clock, **given) as gw:  # type: ignore[arg-type]
            yield gw

    def customer(self, gw: Opened, reference: str = "c-1") -> str:
        """A customer at Aurex; the number there."""
        request = CustomerRequest(reference=reference, first_name="Ada", last_name="Example")
        return str(gw.customers.create(request, account="cards").provider_id)

    def deposit(self, gw: Opened, reference: str, customer: str = "c-1", price: str = "40 USD") -> str:
        """An order that the customer pays into the wallet at Aurex; the deposit's number there."""
        request = OrderRequest(
            reference=reference, price=price, pay_with="USDT", customer=customer, settles_to="customer"
        )
        made = gw.orders.create(request, account="cards")
        return str(made.provider_id).partition("/")[2]

    def deposits(self, gw: Opened, count: int, customer: str = "c-1", *, apart: int = 0) -> list[str]:
        """So many such orders, `{customer}-0` and so on, made at once and past the network, `apart` seconds apart; the
        deposits' numbers.
        """
        account, made = gw.core.account("cards"), []
        here = {"account": "cards", "provider": "aurex", "environment": account.environment}

        def work(connection: Connection) -> None:
            user = self.aurex._books.users[str(customers.provider_id(connection, "cards", customer))]
            for index in range(count):
                self.clock.sleep(apart)
                now, reference = self.clock.now(), f"{customer}-{index}"
                price = Money(index + 1, "USD")
                request = OrderRequest(reference=reference, price=price, pay_with="USDT", customer=customer)
                order_store.insert_order(
                    connection,
                    request,
                    environment=account.environment,
                    settles_to=Settlement.CUSTOMER,
                    now=now,
                )
                order_store.insert_attempt(connection, reference, attempt_id=reference, now=now, **here)
                deposit = self.aurex._books.add_deposit(user, price.amount, "USDT", Decimal(0), now)
                made.append(deposit.id)
                seen = ProviderOrder(
                    provider_id=f"{user.id}/{deposit.id}",
                    status=OrderStatus.PENDING,
                    provider_status="waiting",
                    price=price,
                    pay_with=request.pay_with,
                    created_at=now,
                    expires_at=deposit.expires_at,
                )
                order_flow.take_over(gw.core, connection, reference, 1, seen)

        gw.core.database().transaction(work)
        return made

    # The worker

    def due(self, gw: Opened, limit: int = 100) -> list[watching.Look]:
        core = gw.core
        found: list[watching.Look] = core.database().read(lambda c: watching.due(core, c, core.now(), limit))
        return found

    def look(self, gw: Opened) -> int:
        """Take every look that is due now, until there is none; how many found something to do."""
        done = 0
        for _ in range(50):
            taken = [gw.run(watching.look(gw.core, one.key)) for one in self.due(gw)]
            done += sum(taken)
            if not any(taken):
                return done
        raise AssertionError("there is always something due")

    def pass_time(self, gw: Opened, seconds: int, step: int = 10) -> None:
        """Let so much time pass with a worker at work. Whatever is to happen, happens at its second; what is due and
        cannot be done is tried again each `step`.
        """
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            next_at = gw.core.database().read(self._next)
            left = (min(next_at, end) - self.clock.now()).total_seconds()
            self.server.advance(math.ceil(left) if left > 0 else min(step, (end - self.clock.now()).seconds))
            self.look(gw)

    def _next(self, connection: Connection) -> datetime:
        """When something is due next."""
        watched = connection.execute(select(func.min(watches_table.c.next_at))).scalar()
        return datetime.max.replace(tzinfo=UTC) if watched is None else max(watched, self._rest_ends(connection))

    def _rest_ends(self, connection: Connection) -> datetime:
        resting = rests.load_rests(connection)
        return max((rest.until for rest in resting.values()), default=self.clock.now())

    # Books

    def reads(self, provider: str, path: str = "/") -> int:
        """How many reads of orders the provider has seen."""
        return sum(
            record.path.startswith(path) and (record.method == "GET" or record.path.startswith("/private/get"))
            for record in self.server.requests[provider]
        )


def watch_of(gw: Opened, reference: str, kind: str = "order", number: int | None = None) -> Watch | None:
    which = number if number is not None else int(kind == "order")
    found: Watch | None = gw.core.database().read(lambda c: watches.load(c, kind, reference, which))
    return found


def set_next(gw: Opened, reference: str, next_at: datetime) -> None:
    """Have it due then, whatever the schedule says."""
    changed = update(watches_table).where(watches_table.c.reference == reference).values(next_at=next_at)
    gw.core.database().transaction(lambda c: c.execute(changed) and None)


def events_of(gw: Opened, reference: str) -> list[str]:
    """The types of what was told of it, in order."""
    query = select(events.c.type).where(events.c.reference == reference).order_by(events.c.id)
    found: list[str] = gw.core.database().read(lambda c: list(c.execute(query).scalars()))
    return found


def cart(reference: str = "cart-1", price: str = "25.00 USD", pay_with: str | None = "USDT@tron") -> OrderRequest:
    return OrderRequest(reference=reference, price=price, pay_with=pay_with)  # type: ignore[arg-type]
