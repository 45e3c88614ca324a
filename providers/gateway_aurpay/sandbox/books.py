"""The state: orders, balances and every movement of money. Not locked; `AurpaySandbox` is."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from gateway.testing.sandbox import NotInSandbox, Payment, SandboxClock, SandboxError
from gateway_aurpay.sandbox.coins import COINS, LIGHTNING, Coin, address_for, quote
from gateway_aurpay.sandbox.node import LightningNode
from gateway_aurpay.sandbox.orders import FEE_RATE, Checkout, Order, Refund, Status, Terms
from gateway_aurpay.sandbox.wire import Refusal

__all__ = ["Books", "Move", "Payout"]

_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Move:
    """One change of one balance. All moves of a coin, the opening balance included, add up to its balance."""

    kind: str
    currency: str
    amount: Decimal
    reference: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Payout:
    """Money that left for an invoice or an address."""

    id: str
    coin: Coin
    amount: Decimal
    destination: str
    payment_hash: str = ""


class Books:
    """`on_end` is told of every order that completes (`timed_out` False) or that nobody has paid in time (True)."""

    def __init__(
        self,
        clock: SandboxClock,
        opening: Mapping[str, Decimal],
        payer_coin: Coin,
        on_end: Callable[[Order, bool], None],
    ) -> None:
        self._clock = clock
        self._payer_coin = payer_coin
        self._on_end = on_end
        self._node = LightningNode()
        self._last_number = 0
        self._unpaid: deque[Order] = deque()  # some were paid since; all live equally long, so the oldest ends first
        self._balances: dict[str, Decimal] = dict.fromkeys(COINS, Decimal(0))
        self.entries: dict[str, Checkout | Order] = {}
        self.moves: list[Move] = []
        self.payouts: list[Payout] = []
        for currency, amount in opening.items():
            self._move("opening", currency, amount, "")

    def balance(self, coin: Coin) -> Decimal:
        return self._balances[coin.currency]

    def _move(self, kind: str, currency: str, amount: Decimal, reference: str) -> None:
        self._balances[currency] += amount
        self.moves.append(Move(kind, currency, amount, reference, self._clock.now()))

    def _spend(self, kind: str, coin: Coin, amount: Decimal, reference: str) -> None:
        if self._balances[coin.currency] < amount:
            raise Refusal(400, "insufficient balance")
        self._move(kind, coin.currency, -amount, reference)

    # Creating orders (1, 2, 14)

    def open_checkout(self, terms: Terms) -> Checkout:
        checkouts = sum(isinstance(entry, Checkout) for entry in self.entries.values())
        checkout = Checkout(f"checkout-{checkouts + 1}", terms)
        self.entries[checkout.id] = checkout
        return checkout

    def create(self, terms: Terms, coin: Coin | None) -> Order:
        now = self._clock.now()
        order = Order(self._number(now), terms, now, now)
        if coin is not None:
            self._quote(order, coin)
        self.entries[order.id] = order
        self._unpaid.append(order)
        return order

    def _number(self, now: datetime) -> str:
        """Twenty digits that begin with the time, as in the sample; never the same twice."""
        self._last_number = max(self._last_number + 1, int(now.strftime("%Y%m%d%H%M%S%f")))
        return str(self._last_number)

    def _quote(self, order: Order, coin: Coin) -> None:
        order.coin = coin
        order.amount = quote(order.terms.price, order.terms.fiat, coin, fixed=order.terms.fixed)
        order.address = address_for(coin.chain, order.id)
        if order.is_lightning:
            lifetime = order.expires_at - order.created_at
            order.payment_request, order.payment_hash = self._node.issue(
                order.amount, order.created_at, lifetime, order.id
            )

    # Reading them

    def orders(self) -> list[Order]:
        """Newest first: not documented."""
        return [entry for entry in reversed(self.entries.values()) if isinstance(entry, Order)]

    def order(self, order_id: str) -> Order:
        entry = self.entries.get(order_id)
        if not isinstance(entry, Order):
            raise Refusal(404, "order not found")
        return entry

    def steered(self, name: str) -> Order | Checkout:
        if name not in self.entries:
            raise NotInSandbox(f"there is no order {name!r}")
        return self.entries[name]

    # What payers, time and the merchant do

    def choose(self, name: str, coin: Coin) -> Order:
        """The payer chooses a coin on the hosted page; a checkout's order is created by that."""
        entry = self.steered(name)
        if isinstance(entry, Checkout):
            if entry.order is not None:
                raise SandboxError(f"the coin of {name} has been chosen already")
            entry.order = self.create(entry.terms, coin)
            return entry.order
        if entry.coin is not None or entry.status not in (Status.PENDING, Status.OVERDUE):
            raise SandboxError(f"the coin of {name} cannot be chosen any more")
        self._quote(entry, coin)
        return entry

    def _chosen(self, name: str) -> Order:
        """The order, after the payer has chosen the usual coin if none is chosen yet."""
        entry = self.steered(name)
        if isinstance(entry, Checkout):
            return entry.order or self.choose(name, self._payer_coin)
        return entry if entry.coin is not None else self.choose(name, self._payer_coin)

    def pay(self, name: str, how: Payment) -> None:
        order = self._chosen(name)
        if order.status not in (Status.PENDING, Status.OVERDUE, Status.PARTIAL):
            raise SandboxError(f"order {name} is {order.status} and cannot be paid")
        if how is Payment.LATE and order.status is Status.PARTIAL:
            raise SandboxError(f"order {name} was paid in part, so it cannot be late")
        if order.is_lightning and (how in (Payment.UNDER, Payment.LATE) or order.status is not Status.PENDING):
            raise SandboxError("a Lightning invoice is paid whole and before it expires, or not at all")
        sent = _sent(order, how)
        if how is Payment.LATE and order.status is Status.PENDING:
            self._time_out(order, self._clock.now())
        self._receive(order, sent)

    def _receive(self, order: Order, sent: Decimal) -> None:
        assert order.coin is not None
        assert order.amount is not None
        order.obtained += sent
        order.hashes.append(hashlib.sha256(f"{order.id} {len(order.hashes)}".encode()).hexdigest())
        order.sender = address_for(order.coin.chain, f"payer of {order.id}")
        order.updated_at = self._clock.now()
        self._move("payment", order.coin.currency, sent, order.id)
        self._move("fee", order.coin.currency, -FEE_RATE * sent, order.id)
        if order.obtained >= order.amount:
            order.status = Status.SUCCESS
            self._on_end(order, False)
        else:
            order.status = Status.PARTIAL  # no callback: it has neither completed nor timed out

    def expire(self, name: str) -> None:
        self._time_out(self._pending(name, "expire"), self._clock.now())

    def terminate(self, name: str) -> None:
        order = self._pending(name, "be cancelled")
        order.status, order.updated_at = Status.TERMINATED, self._clock.now()

    def _pending(self, name: str, act: str) -> Order:
        order = self._chosen(name) if isinstance(self.steered(name), Checkout) else self._order(name)
        if order.status is not Status.PENDING:
            raise SandboxError(f"order {name} is {order.status} and cannot {act}")
        return order

    def _order(self, name: str) -> Order:
        entry = self.steered(name)
        found = entry.order if isinstance(entry, Checkout) else entry
        if found is None:
            raise SandboxError(f"nobody has chosen a coin for {name} yet")
        return found

    def pass_time(self) -> None:
        """Time out what nobody has paid within 30 minutes."""
        now = self._clock.now()
        while self._unpaid and self._unpaid[0].expires_at <= now:
            order = self._unpaid.popleft()
            if order.status is Status.PENDING:
                self._time_out(order, order.expires_at)

    def _time_out(self, order: Order, at: datetime) -> None:
        order.status, order.updated_at = Status.OVERDUE, at
        self._on_end(order, True)

    def resolve(self, name: str) -> None:
        """The merchant accepts an underpayment. That this completes the order, with its callback, is not documented."""
        order = self._order(name)
        if order.status is not Status.PARTIAL:
            raise SandboxError(f"order {name} is {order.status}, not {Status.PARTIAL}")
        order.status, order.updated_at = Status.RESOLVED, self._clock.now()
        self._on_end(order, False)

    # Refunds (6)

    def refund(self, order: Order) -> Refund:
        """All that was paid goes back and leaves the wallet now; the fee stays with the provider: not documented."""
        if not order.is_refundable or order.coin is None:
            raise Refusal(400, "this order cannot be refunded")
        self._spend("refund", order.coin, order.obtained, order.id)
        order.refund = Refund(order.obtained, self._clock.now())
        return order.refund

    def complete_refund(self, name: str) -> None:
        order = self._order(name)
        if order.refund is None or order.refund.done:
            raise SandboxError(f"order {name} has no refund under way")
        order.refund.done = True
        order.status, order.updated_at = Status.REFUNDED, self._clock.now()

    # Payouts (11, 15)

    def pay_invoice(self, invoice: str, amount: Decimal | None) -> None:
        """Every call debits anew. That a node refuses a payment hash which it has paid is not documented."""
        payment_hash, due = self._node.check(invoice, amount, self._clock.now())
        if any(payout.payment_hash == payment_hash for payout in self.payouts):
            raise Refusal(400, "invoice is already paid")
        self._pay_out(LIGHTNING, due, invoice, payment_hash)

    def pay_address(self, coin: Coin, amount: Decimal, address: str) -> None:
        self._pay_out(coin, amount, address)

    def _pay_out(self, coin: Coin, amount: Decimal, destination: str, payment_hash: str = "") -> None:
        payout = Payout(str(uuid.uuid4()), coin, amount, destination, payment_hash)
        self._spend("withdrawal", coin, amount, payout.id)
        self.payouts.append(payout)


def _sent(order: Order, how: Payment) -> Decimal:
    """All that is missing, a tenth of it less, or a tenth of the order's amount more."""
    assert order.coin is not None
    assert order.amount is not None
    unit = Decimal(1).scaleb(-order.coin.decimals)
    missing = order.amount - order.obtained
    if how is Payment.OVER:
        return missing + (order.amount * _TENTH).quantize(unit, ROUND_UP)
    if how is not Payment.UNDER:
        return missing
    less = (missing - missing * _TENTH).quantize(unit, ROUND_DOWN)
    if not less:
        raise SandboxError(f"order {order.id} asks for the smallest amount there is")
    return less
