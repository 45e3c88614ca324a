"""What can be done with a provider, as data: one row for every neutral operation and variant.

The command line, the documentation and the conformance kit read this table, and the core refuses by it before any
network I/O. A row is graded by the weakest part of the call (path, authentication, body, answer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.errors import PluginError, UnsupportedOperation, UnverifiedOperation
from gateway.models.keys import Permission

__all__ = [
    "OPERATIONS",
    "Capabilities",
    "Capability",
    "Grade",
    "NeutralOperation",
    "Support",
    "absent",
    "absent_rest",
    "manual",
    "supported",
]


class Support(StrEnum):
    """Whether the gateway can make the call, only a person can, or nobody."""

    SUPPORTED = "supported"
    MANUAL = "manual"
    """The provider offers it, but only by hand, in its web interface."""
    ABSENT = "absent"


class Grade(StrEnum):
    """How good the evidence for a row is."""

    DOCUMENTED = "D"
    PUBLISHED = "P"
    CLIENT = "C"
    INFERRED = "I"
    ABSENT = "X"


@dataclass(frozen=True, slots=True)
class NeutralOperation:
    """An operation that the core knows. `method` is the name that an adapter implements; `write` that it changes
    something; `permission` what a key needs for it.
    """

    name: str
    method: str
    summary: str
    write: bool = False
    variants: tuple[str, ...] = ("",)
    permission: Permission = Permission.READ


_TRADE, _WITHDRAW = Permission.TRADE, Permission.WITHDRAW


def _operations(*rows: NeutralOperation) -> Mapping[str, NeutralOperation]:
    return {row.name: row for row in rows}


OPERATIONS: Mapping[str, NeutralOperation] = _operations(
    NeutralOperation(
        "orders.create",
        "create_order",
        "ask for a payment",
        write=True,
        permission=_TRADE,
        variants=("payer-choice", "coin", "coin-without-network", "lightning"),
    ),
    NeutralOperation("orders.get", "get_order", "read one order"),
    NeutralOperation("orders.list", "list_orders", "list the provider's orders"),
    NeutralOperation("orders.cancel", "cancel_order", "cancel an open order", write=True, permission=_TRADE),
    NeutralOperation("refunds.create", "create_refund", "refund a paid order", write=True, permission=_WITHDRAW),
    NeutralOperation("refunds.get", "get_refund", "read what became of a refund"),
    NeutralOperation("transactions.list", "list_transactions", "list money movements"),
    NeutralOperation("currencies.list", "list_currencies", "list accepted currencies", variants=("fiat", "crypto")),
    NeutralOperation(
        "wallets.list", "list_wallets", "read balances", variants=("custodial", "self-custody", "lightning")
    ),
    NeutralOperation(
        "withdrawals.create",
        "create_withdrawal",
        "pay out",
        write=True,
        permission=_WITHDRAW,
        variants=("lightning", "address", "card"),
    ),
    NeutralOperation("withdrawals.get", "get_withdrawal", "read one withdrawal"),
    NeutralOperation("withdrawals.list", "list_withdrawals", "list the provider's withdrawals"),
    NeutralOperation(
        "customers.create", "create_customer", "make a customer known to the provider", write=True, permission=_TRADE
    ),
    NeutralOperation("customers.get", "get_customer", "read a customer"),
    NeutralOperation("cards.create", "create_card", "issue a card", write=True, permission=_WITHDRAW),
    NeutralOperation("cards.list", "list_cards", "list a customer's cards"),
    NeutralOperation("cards.get", "get_card", "read a card with its number"),
    NeutralOperation("cards.transactions", "list_card_transactions", "list what a card was used for"),
    NeutralOperation("cards.one-time-code", "get_one_time_code", "read a card's one-time code"),
    NeutralOperation("cards.freeze", "freeze_card", "freeze or unfreeze a card", write=True, permission=_TRADE),
    NeutralOperation("markets.list", "list_markets", "list tradable pairs"),
    NeutralOperation("markets.ticker", "get_ticker", "read a market's last day"),
    NeutralOperation("markets.book", "get_book", "read a market's order book"),
    NeutralOperation("markets.trades", "list_public_trades", "list a market's latest trades"),
    NeutralOperation(
        "trades.create",
        "create_trade",
        "place an exchange order",
        write=True,
        permission=_TRADE,
        variants=("limit", "market", "stop-limit", "quick-market", "hidden-limit"),
    ),
    NeutralOperation("trades.cancel", "cancel_trade", "cancel an exchange order", write=True, permission=_TRADE),
    NeutralOperation("trades.get", "get_trade", "read an exchange order"),
    NeutralOperation("trades.open", "list_open_trades", "list open exchange orders"),
    NeutralOperation("trades.history", "list_trade_history", "list finished exchange orders"),
    NeutralOperation("swaps.create", "create_swap", "swap one coin for another", write=True, permission=_TRADE),
    NeutralOperation("keys.issue", "issue_key", "obtain a new key", write=True, permission=_TRADE),
    NeutralOperation("keys.verify", "verify_key", "check a key with an authenticated read"),
    NeutralOperation("keys.revoke", "revoke_key", "end a key", write=True, permission=_TRADE),
    NeutralOperation("callbacks.receive", "read_callback", "be told of a change by the provider"),
)
"""Every operation that the core knows, by its name, in the order of the tables."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One row. `source` names the document, `reason` says why, and `instead` what a person does when it is not
    offered.
    """

    operation: str
    variant: str
    support: Support
    grade: Grade
    source: str
    reason: str = ""
    instead: str = ""

    def to_dict(self) -> dict[str, str]:
        """The row as JSON-able data."""
        return {
            "operation": self.operation,
            "variant": self.variant,
            "support": self.support.value,
            "grade": self.grade.value,
            "source": self.source,
            "reason": self.reason,
        }


def supported(operation: str, grade: str, source: str, reason: str = "", *, variant: str = "") -> Capability:
    """A row for a call that the adapter makes."""
    return Capability(operation, variant, Support.SUPPORTED, Grade(grade), source, reason)


def manual(operation: str, grade: str, source: str, reason: str, *, instead: str, variant: str = "") -> Capability:
    """A row for what is done by hand at the provider; `instead` says how."""
    return Capability(operation, variant, Support.MANUAL, Grade(grade), source, reason, instead)


def absent(operation: str, source: str, reason: str, *, instead: str = "", variant: str = "") -> Capability:
    """A row for what the provider does not offer; `instead` says what to do then, where there is something."""
    return Capability(operation, variant, Support.ABSENT, Grade.ABSENT, source, reason, instead)


def absent_rest(source: str, reason: str) -> Callable[[str, str], Capability]:
    """For `Capabilities.of(…, rest=absent_rest(…))`: an `absent` row, of this source and reason, for every operation
    and variant that has no row of its own.
    """
    return lambda operation, variant: absent(operation, source, reason, variant=variant)


_ELSEWHERE = "use an account at a provider that offers it; `gateway capabilities` shows which do"


@dataclass(frozen=True)
class Capabilities:
    """A provider's table. Operations that it does not mention are absent, and say so."""

    rows: tuple[Capability, ...]
    _by_key: dict[tuple[str, str], Capability] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            known = OPERATIONS.get(row.operation)
            if known is None or row.variant not in known.variants:
                raise PluginError(f"no such operation and variant: {row.operation} {row.variant!r}")
            if (row.operation, row.variant) in self._by_key:
                raise PluginError(f"declared twice: {row.operation} {row.variant!r}")
            self._by_key[row.operation, row.variant] = row

    @classmethod
    def of(cls, *rows: Capability, rest: Callable[[str, str], Capability] | None = None) -> Capabilities:
        """The table of these rows. `rest` makes one for every operation and variant that is not among them
        (`absent_rest`); without it the table says that the adapter does not declare them.
        """
        stated = {(row.operation, row.variant) for row in rows}
        others = [
            rest(operation.name, variant)
            for operation in OPERATIONS.values()
            for variant in operation.variants
            if rest is not None and (operation.name, variant) not in stated
        ]
        return cls((*rows, *others))

    def replaced(self, *rows: Capability) -> Capabilities:
        """The same table with these rows instead, for an account whose settings switch something on."""
        new = {(row.operation, row.variant): row for row in rows}
        kept = tuple(new.pop((row.operation, row.variant), row) for row in self.rows)
        return Capabilities(kept + tuple(new.values()))

    def get(self, operation: str, variant: str = "") -> Capability:
        """The row. For one that the table has not, a row that says so."""
        row = self._by_key.get((operation, variant))
        if row is not None:
            return row
        return absent(operation, "the adapter", "the adapter does not declare it", variant=variant)

    def __iter__(self) -> Iterator[Capability]:
        """Every operation and variant that the core knows, in its order."""
        for operation in OPERATIONS.values():
            for variant in operation.variants:
                yield self.get(operation.name, variant)

    def variants(self, operation: str) -> tuple[str, ...]:
        """The variants of an operation that are supported."""
        return tuple(
            variant
            for variant in OPERATIONS[operation].variants
            if self.get(operation, variant).support is Support.SUPPORTED
        )

    def require(
        self, operation: str, variant: str = "", *, allowed: Iterable[str] = (), provider: str = ""
    ) -> Capability:
        """The row, if the call may be made. Raises UnsupportedOperation or UnverifiedOperation; sends nothing.

        `allowed` is the account's `allow_inferred`: operations (`wallets.list`) or variants (`wallets.list:lightning`).
        """
        row = self.get(operation, variant)
        what = f"{operation} ({variant})" if variant else operation
        context: dict[str, Any] = {"provider": provider or None, "operation": operation}
        if row.support is not Support.SUPPORTED:
            how = "only by hand" if row.support is Support.MANUAL else "not offered"
            raise UnsupportedOperation(f"{what} is {how}: {row.reason}", hint=row.instead or _ELSEWHERE, **context)
        if row.grade is Grade.INFERRED and not {operation, f"{operation}:{variant}"} & set(allowed):
            name = f"{operation}:{variant}" if variant else operation
            raise UnverifiedOperation(
                f"{what} is inferred, not documented ({row.source}): nobody has been seen making this call",
                hint=f'to try it, add "{name}" to the account\'s allow_inferred',
                **context,
            )
        return row
