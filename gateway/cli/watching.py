"""`gateway orders watch`: one order, read again and again until nothing more can happen to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Annotated

import typer

from gateway.api import Gateway
from gateway.cli import completion
from gateway.cli.output import Column, complain, data_of, report, shown
from gateway.cli.progress import waiting
from gateway.cli.session import AsJson, ConfigFile, Session, example, session
from gateway.errors import GatewayError
from gateway.models.orders import Order

__all__ = ["add"]

READ_SECONDS = 30
"""How long one read may take, repeating included; then it is told that it failed, and tried again."""


def add(orders: typer.Typer) -> None:
    orders.command(
        "watch",
        epilog=example("gateway orders watch cart-1001", "gateway orders watch cart-1001 --timeout 60 --json"),
    )(watch)


def watch(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(help="The merchant's own number of the order.", autocompletion=completion.orders)
    ],
    timeout: Annotated[int, typer.Option("--timeout", min=1, metavar="SECONDS", help="Give up after this.")] = 900,
    every: Annotated[int, typer.Option("--every", min=1, metavar="SECONDS", help="The pause between reads.")] = 5,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Follow one order until it is final: paid, failed, cancelled or refunded. A line for every change.

    An expired order is not final, because money can come late. With --json there is one document, at the end: the order
    as last seen. Exit status 1 when it is not final after --timeout. Reads that fail for a moment are repeated.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        order = _Watch(here, gateway, reference, monotonic() + timeout).run(every)
    if here.as_json:
        here.output.document(data_of(order))
    if not order.status.is_final:
        if not here.as_json:
            late = GatewayError(
                f"the order {reference} is still {order.status} after {timeout} s",
                hint="watch it again, or give it a longer --timeout",
            )
            report(late, as_json=False)
        raise typer.Exit(1)


@dataclass
class _Watch:
    here: Session
    gateway: Gateway
    reference: str
    until: float

    def run(self, every: int) -> Order:
        """The order as last seen; final, unless the time is over."""
        # As last known first: what is unknown here ends at once, and is no failure of a moment.
        order = self.gateway.orders.get(self.reference, refresh=False)
        before: tuple[str, ...] | None = None
        while True:
            order = self._read() or order
            now = _seen(order)
            if now != before:
                self.here.output.line(order, _LINE, first=before is None)
                before = now
            left = self.until - monotonic()
            if order.status.is_final or left <= 0:
                return order
            with waiting(f"{self.reference} is {order.status}", quiet=self.here.as_json):
                sleep(min(every, left))

    def _read(self) -> Order | None:
        left = max(1.0, min(self.until - monotonic(), READ_SECONDS))
        try:
            with waiting(f"reading {self.reference}", quiet=self.here.as_json):
                return self.gateway.orders.get(self.reference, deadline=left)
        except GatewayError as error:
            if not error.retryable:
                raise
            if not self.here.as_json:
                complain(error.message, kind="warning")
            return None


def _seen(order: Order) -> tuple[str, ...]:
    return tuple(shown(column.value(order)) for column in _LINE[1:])


_LINE: list[Column[Order]] = [
    Column("seen at", lambda order: datetime.now(UTC)),
    Column("status", lambda order: order.status, coloured=True),
    Column("exceptions", lambda order: order.exceptions),
    Column("received", lambda order: order.received),
    Column("account", lambda order: order.account),
    Column("provider id", lambda order: order.provider_id),
]
