"""How every neutral operation is called through the gateway, and what has to be there before."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gateway.capabilities import OPERATIONS
from gateway.models import (
    CardRequest,
    CardTopUp,
    CryptoAddress,
    CustomerRequest,
    LightningInvoice,
    OrderRequest,
    RefundRequest,
    Side,
    TradeRequest,
    WithdrawalRequest,
)
from gateway.money import Money

if TYPE_CHECKING:
    from gateway.testing.conformance.bench import Play
    from gateway.testing.conformance.subject import Subject

__all__ = ["Call", "fresh_invoice", "usual_calls"]

Fields = Mapping[str, Any] | Callable[["Play"], Mapping[str, Any]]
Samples = Mapping[str, Fields | Sequence[Fields]]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One way to carry out one row of the table. A read has `read`; a write that has a reference has `request` and
    `sent`.
    """

    operation: str
    """Such as `orders.create`."""
    variant: str = ""
    """Such as `lightning`; empty where the operation has none."""
    prepare: Callable[[Play], Any] = lambda play: None
    """Makes what has to be there before; its result is given to the others."""
    read: Callable[[Play, Any], Any] | None = None
    """How a read is made."""
    request: Callable[[Play, Any, str], Any] | None = None
    """Makes the request of a write, under the reference that it is given."""
    sent: Callable[[Play, Any], Any] | None = None
    """Sends that request."""
    changes: Mapping[str, Any] | None = None
    """Fields that make another request of it."""
    amounts: tuple[str, ...] = ()
    """The names of the request's fields that hold money."""
    several: Callable[[Play], Any] | None = None
    """Makes one more of what is listed; where a list has nothing that can be made, None."""
    keeps: bool = False
    """A read that leaves what was prepared as it is, so that it can be made again with the same."""
    others: tuple[Call, ...] = ()
    """The same row with further samples, each of which is examined as this one is."""

    @property
    def name(self) -> str:
        """As the table and the report have it: `orders.create:lightning`."""
        return f"{self.operation}:{self.variant}" if self.variant else self.operation

    @property
    def has_reference(self) -> bool:
        """Whether it is a write under a reference."""
        return self.request is not None

    @property
    def is_write(self) -> bool:
        """Whether the operation is a write."""
        return OPERATIONS[self.operation].write

    def make(self, play: Play, prepared: Any) -> Any:
        """Carry it out, a write under a new reference."""
        if self.request is not None and self.sent is not None:
            return self.sent(play, self.request(play, prepared, play.new()))
        assert self.read is not None, f"{self.name}: a Call has `read`, or `request` and `sent`"
        return self.read(play, prepared)


_numbers = itertools.count(1)


def fresh_invoice(play: Play, amount: Money) -> str:
    """A Lightning invoice of somebody's node that asks for this amount."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from gateway.testing.lightning import encode_invoice

    return encode_invoice(
        ec.derive_private_key(11, ec.SECP256K1()),
        payment_hash=hashlib.sha256(f"conformance {next(_numbers)}".encode()).digest(),
        payment_secret=bytes(32),
        created_at=play.bench.clock.now(),
        amount=amount,
        network="testnet",
        description="conformance",
        expiry=timedelta(hours=1),
    )


def usual_calls(subject: Subject) -> list[Call]:
    """What the samples of a subject allow; a row whose sample is missing has none."""
    return [*_orders(subject), *_withdrawals(subject), *_customers(subject), *_trades(subject), *_plain(subject)]


def _given(sample: Fields, play: Play) -> dict[str, Any]:
    return dict(sample(play)) if callable(sample) else dict(sample)


def _samples(samples: Samples, variant: str) -> tuple[Fields, ...]:
    """The samples of a variant: one, or a list of them."""
    given = samples[variant]
    return (given,) if callable(given) or isinstance(given, Mapping) else tuple(given)


def _each(samples: Samples, create: Callable[[str, Fields], Call]) -> Iterator[Call]:
    """The call of every variant, with those of its further samples; none for a list without samples."""
    for variant in samples:
        made = [create(variant, sample) for sample in _samples(samples, variant)]
        yield from (replace(one, others=tuple(made[1:])) for one in made[:1])


def _customer(subject: Subject, operation: str, play: Play) -> str | None:
    return play.customer if operation in subject.per_customer else None


# Orders and refunds


def _orders(subject: Subject) -> list[Call]:
    def request(sample: Fields) -> Callable[[Play, Any, str], OrderRequest]:
        def made(play: Play, prepared: Any, reference: str) -> OrderRequest:
            fields = _given(sample, play)
            fields.setdefault("settles_to", subject.provider.settles_to.value)
            if (customer := _customer(subject, "orders.create", play)) is not None:
                fields.setdefault("customer", customer)
            return OrderRequest(reference=reference, **fields)

        return made

    def sent(play: Play, asked: OrderRequest) -> Any:
        return play.gw.orders.create(asked, account=play.account)

    def create(variant: str, sample: Fields) -> Call:
        return Call(
            operation="orders.create",
            variant=variant,
            request=request(sample),
            sent=sent,
            changes={"description": "another one"},
            amounts=("price",),
        )

    def order(play: Play, variant: str | None = None) -> Any:
        """An order whose number is known."""
        for name in [variant] if variant is not None else list(subject.orders):
            for sample in _samples(subject.orders, name):
                found = sent(play, request(sample)(play, None, play.new("order")))
                if found.provider_id is not None:
                    return found
        raise LookupError("no sample of `orders` gives an order with a number: add one")

    def paid(play: Play) -> Any:
        found = order(play)
        play.pay(found.provider_id)
        return play.gw.orders.get(found.reference)

    def refund(play: Play, prepared: Any, reference: str) -> RefundRequest:
        return RefundRequest(reference=reference, order=prepared.reference, **_given(subject.refund, play))

    def refunded(play: Play) -> Any:
        return play.gw.refunds.create(refund(play, paid(play), play.new("refund")))

    if not subject.orders:
        return []
    return [
        *_each(subject.orders, create),
        Call(
            operation="orders.get",
            keeps=True,
            prepare=order,
            read=lambda play, made: play.gw.orders.fetch(account=play.account, provider_id=made.provider_id),
        ),
        Call(
            operation="orders.list",
            keeps=True,
            prepare=order,
            read=lambda play, made: play.gw.orders.fetch_all(
                account=play.account, customer=_customer(subject, "orders.list", play)
            ),
            several=order,
        ),
        Call(
            operation="refunds.create",
            prepare=paid,
            request=refund,
            sent=lambda play, asked: play.gw.refunds.create(asked),
            changes={"reason": "another one"},
            amounts=("amount",) if "amount" in subject.refund else (),
        ),
        Call(operation="refunds.get", prepare=refunded, read=lambda play, made: play.gw.refunds.get(made.reference)),
        Call(
            operation="transactions.list",
            keeps=True,
            prepare=paid,
            read=lambda play, made: play.gw.transactions.list(account=play.account),
            several=paid,
        ),
    ]


# Withdrawals


def _withdrawals(subject: Subject) -> list[Call]:
    def request(variant: str, sample: Fields) -> Callable[[Play, Any, str], WithdrawalRequest]:
        def made(play: Play, prepared: Any, reference: str) -> WithdrawalRequest:
            fields = _given(sample, play)
            amount = fields["amount"] = Money.parse(str(fields["amount"]))
            to = fields.get("to")
            if variant == "lightning" and to is None:
                fields["to"] = LightningInvoice(fresh_invoice(play, amount))
            elif variant == "card" and to is None:
                fields["to"] = CardTopUp(play.customer, play.card)
            elif isinstance(to, str):
                fields["to"] = CryptoAddress(to)
            return WithdrawalRequest(reference=reference, **fields)

        return made

    def sent(play: Play, asked: WithdrawalRequest) -> Any:
        return play.gw.withdrawals.create(asked, account=play.account)

    def create(variant: str, sample: Fields) -> Call:
        return Call(
            operation="withdrawals.create",
            variant=variant,
            request=request(variant, sample),
            sent=sent,
            changes={"description": "another one"},
            # An invoice says its amount itself.
            amounts=() if variant == "lightning" else ("amount",),
        )

    def withdrawal(play: Play) -> Any:
        variant = next(iter(subject.withdrawals))
        sample = _samples(subject.withdrawals, variant)[0]
        return sent(play, request(variant, sample)(play, None, play.new("payout")))

    if not subject.withdrawals:
        return []
    return [
        *_each(subject.withdrawals, create),
        Call(
            operation="withdrawals.get",
            prepare=withdrawal,
            read=lambda play, made: play.gw.withdrawals.get(made.reference),
        ),
        Call(
            operation="withdrawals.list",
            prepare=withdrawal,
            read=lambda play, made: play.gw.withdrawals.fetch_all(account=play.account),
            several=withdrawal,
        ),
    ]


# Customers and cards


def _customers(subject: Subject) -> list[Call]:
    def customer(play: Play, prepared: Any, reference: str) -> CustomerRequest:
        return CustomerRequest(reference=reference, **_given(subject.customer, play))

    def card(play: Play, prepared: Any, reference: str) -> CardRequest:
        return CardRequest(reference=reference, customer=play.customer, **_given(subject.card, play))

    def another(play: Play) -> Any:
        return play.gw.cards.create(card(play, None, play.new("card")), account=play.account)

    def at(play: Play) -> dict[str, Any]:
        return {"account": play.account, "customer": play.customer}

    def used(play: Play) -> str:
        subject.use_card(play, play.card)
        return play.card

    return [
        Call(
            operation="customers.create",
            request=customer,
            sent=lambda play, asked: play.gw.customers.create(asked, account=play.account),
            changes={"last_name": "Another"},
        ),
        Call(
            operation="customers.get",
            keeps=True,
            prepare=lambda play: play.customer,
            read=lambda play, made: play.gw.customers.get(made, account=play.account),
        ),
        *(
            []
            if not subject.card
            else [
                Call(
                    operation="cards.create",
                    prepare=lambda play: play.customer,
                    request=card,
                    sent=lambda play, asked: play.gw.cards.create(asked, account=play.account),
                    changes={"name": "Another"},
                    amounts=("initial_balance",) if "initial_balance" in subject.card else (),
                ),
                Call(
                    operation="cards.list",
                    keeps=True,
                    prepare=lambda play: play.card,
                    read=lambda play, made: play.gw.cards.list(**at(play)),
                    several=another,
                ),
                Call(
                    operation="cards.get",
                    keeps=True,
                    prepare=lambda play: play.card,
                    read=lambda play, made: play.gw.cards.reveal(card=made, **at(play)),
                ),
                Call(
                    operation="cards.transactions",
                    prepare=used,
                    read=lambda play, made: play.gw.cards.transactions(card=made, **at(play)),
                    several=used,
                ),
                Call(
                    operation="cards.one-time-code",
                    keeps=True,
                    prepare=lambda play: play.card,
                    read=lambda play, made: play.gw.cards.one_time_code(card=made, **at(play)),
                ),
            ]
        ),
    ]


# Trades


def _trades(subject: Subject) -> list[Call]:
    def request(variant: str) -> Callable[[Play, Any, str], TradeRequest]:
        def made(play: Play, prepared: Any, reference: str) -> TradeRequest:
            fields = {"market": subject.market, "kind": variant, **_given(subject.trades[variant], play)}
            return TradeRequest(reference=reference, **fields)

        return made

    def sent(play: Play, asked: TradeRequest) -> Any:
        return play.gw.trades.create(asked, account=play.account)

    def trade(play: Play) -> Any:
        return sent(play, request(next(iter(subject.trades)))(play, None, play.new("trade")))

    def finished(play: Play) -> Any:
        return play.gw.trades.cancel(trade(play).reference)

    if not subject.trades:
        return []
    return [
        *(
            Call(
                operation="trades.create",
                variant=variant,
                request=request(variant),
                sent=sent,
                changes={"side": Side.SELL if _side(subject, variant) == "buy" else Side.BUY},
                amounts=("volume", "rate") if "rate" in subject.trades[variant] else ("volume",),
            )
            for variant in subject.trades
        ),
        Call(operation="trades.cancel", prepare=trade, read=lambda play, made: play.gw.trades.cancel(made.reference)),
        Call(
            operation="trades.get",
            keeps=True,
            prepare=trade,
            read=lambda play, made: play.gw.trades.fetch(account=play.account, provider_id=made.provider_id),
        ),
        Call(
            operation="trades.open",
            keeps=True,
            prepare=trade,
            read=lambda play, made: play.gw.trades.open(account=play.account),
            several=trade,
        ),
        Call(
            operation="trades.history",
            keeps=True,
            prepare=finished,
            read=lambda play, made: play.gw.trades.history(account=play.account),
            several=finished,
        ),
    ]


def _side(subject: Subject, variant: str) -> Any:
    sample = subject.trades[variant]
    return None if callable(sample) else sample.get("side")


# What needs nothing before


def _plain(subject: Subject) -> list[Call]:
    wallets = [
        Call(operation="wallets.list", variant=kind, read=_wallets(subject, kind))
        for kind in OPERATIONS["wallets.list"].variants
    ]
    currencies = [
        Call(operation="currencies.list", variant=kind, read=_currencies(kind))
        for kind in OPERATIONS["currencies.list"].variants
    ]
    return [
        *wallets,
        *currencies,
        Call(operation="markets.list", read=lambda play, made: play.gw.markets.list(account=play.account)),
        Call(
            operation="markets.ticker",
            read=lambda play, made: play.gw.markets.ticker(subject.market, account=play.account),
        ),
        Call(
            operation="markets.book", read=lambda play, made: play.gw.markets.book(subject.market, account=play.account)
        ),
        Call(
            operation="markets.trades",
            read=lambda play, made: play.gw.markets.trades(subject.market, account=play.account),
        ),
        Call(operation="keys.issue", read=lambda play, made: play.gw.keys.issue(account=play.account)),
        Call(operation="keys.verify", read=lambda play, made: play.gw.keys.verify(account=play.account)),
    ]


def _wallets(subject: Subject, kind: str) -> Callable[[Play, Any], Any]:
    return lambda play, made: play.gw.wallets.list(
        account=play.account, kind=kind, customer=_customer(subject, "wallets.list", play)
    )


def _currencies(kind: str) -> Callable[[Play, Any], Any]:
    return lambda play, made: play.gw.currencies.list(account=play.account, kind=kind)
