"""What Aurpay offers, row by row.

Grades: D the vendor's documentation, P the plugins that it publishes, C independent clients, I inferred, X absent.
The signature flavour of the authentication is C; rows are graded for the API key flavour, which is D. The table of an
account that signs is `as_signed`.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.capabilities import Capabilities, Capability, Grade, Support, absent, manual, supported

__all__ = ["ADDRESS_BY_SETTINGS", "CAPABILITIES", "KEYS_BY_HAND", "as_signed"]

_DOCS = "api-docs.aurpay.net"
_NO_CALL = "the provider documents no such call"
_NO_CUSTOMERS = "a merchant's account has no customers of its own at the provider"
_NO_CARDS = "the provider issues no cards"
_NO_EXCHANGE = "the provider is no exchange"
_DASHBOARD = "do it by hand in the provider's dashboard"
_LATER = "look at the account's transactions (transactions.list) or at the dashboard"

CAPABILITIES = Capabilities.of(
    supported(
        "orders.create",
        "D",
        f"{_DOCS}: get payment URL",
        "the provider makes its order only when the payer has chosen a coin; where its answer has no number, the "
        "callback tells it, or orders.link where callbacks cannot arrive",
        variant="payer-choice",
    ),
    supported(
        "orders.create",
        "D",
        f"{_DOCS}: get payment info",
        "the coins are those that the vendor's plugins name (P) and BNB (C)",
        variant="coin",
    ),
    absent(
        "orders.create",
        f"{_DOCS}: get payment info",
        "an order names the coin's chain, which a bare symbol does not say",
        instead="name the network, such as USDT@tron, or leave pay_with out",
        variant="coin-without-network",
    ),
    supported("orders.create", "D", f"{_DOCS}: create Lightning order", variant="lightning"),
    supported(
        "orders.get",
        "D",
        f"{_DOCS}: get order details",
        "the fields after the first four are read as those of the documented callback body",
    ),
    supported("orders.list", "D", f"{_DOCS}: get orders"),
    absent("orders.cancel", _DOCS, _NO_CALL, instead="let it expire: an unpaid order lives 30 minutes"),
    supported(
        "refunds.create",
        "D",
        f"{_DOCS}: order refund",
        "whole orders only; the documentation contradicts itself, so only a later reading confirms a refund",
    ),
    supported("refunds.get", "D", f"{_DOCS}: get order refund info and get order details"),
    supported("transactions.list", "D", f"{_DOCS}: get transactions"),
    supported(
        "currencies.list",
        "I",
        f"{_DOCS}: supported real currencies",
        "the path is documented, the answer is not; settings can rename its field",
        variant="fiat",
    ),
    supported(
        "currencies.list",
        "I",
        f"{_DOCS}: supported crypto currencies",
        "documented to exist; settings can name its path and fields",
        variant="crypto",
    ),
    supported(
        "wallets.list",
        "I",
        f"{_DOCS}: wallets list",
        "documented to exist; settings can name its path and fields",
        variant="custodial",
    ),
    supported(
        "wallets.list",
        "I",
        f"{_DOCS}: self-custody wallets",
        "documented to exist; settings can name its path and fields; addresses without balances",
        variant="self-custody",
    ),
    supported(
        "wallets.list",
        "I",
        f"{_DOCS}: Lightning balance",
        "documented to exist; settings can name its path and field",
        variant="lightning",
    ),
    supported(
        "withdrawals.create",
        "D",
        f"{_DOCS}: create Lightning withdrawal",
        "only invoices that carry their amount, because the unit of the body's own amount is unknown; what error codes "
        "mean is not published, so that a refusal with HTTP 200 leaves it open whether the payout was made",
        variant="lightning",
    ),
    manual(
        "withdrawals.create",
        "D",
        f"{_DOCS}: withdraw balance",
        "the call is documented to exist, its path and body are not",
        instead=f"{_DASHBOARD}, or give the account's settings `withdraw` the path and field names",
        variant="address",
    ),
    absent("withdrawals.create", _DOCS, _NO_CARDS, variant="card"),
    absent("withdrawals.get", _DOCS, _NO_CALL, instead=_LATER),
    absent("withdrawals.list", _DOCS, _NO_CALL, instead=_LATER),
    absent("customers.create", _DOCS, _NO_CUSTOMERS),
    absent("customers.get", _DOCS, _NO_CUSTOMERS),
    absent("cards.create", _DOCS, _NO_CARDS),
    absent("cards.list", _DOCS, _NO_CARDS),
    absent("cards.get", _DOCS, _NO_CARDS),
    absent("cards.transactions", _DOCS, _NO_CARDS),
    absent("cards.one-time-code", _DOCS, _NO_CARDS),
    absent("cards.freeze", _DOCS, _NO_CARDS),
    absent("markets.list", _DOCS, _NO_EXCHANGE),
    absent("markets.ticker", _DOCS, _NO_EXCHANGE),
    absent("markets.book", _DOCS, _NO_EXCHANGE),
    absent("markets.trades", _DOCS, _NO_EXCHANGE),
    *(
        absent("trades.create", _DOCS, _NO_EXCHANGE, variant=variant)
        for variant in ("limit", "market", "stop-limit", "quick-market", "hidden-limit")
    ),
    absent("trades.cancel", _DOCS, _NO_EXCHANGE),
    absent("trades.get", _DOCS, _NO_EXCHANGE),
    absent("trades.open", _DOCS, _NO_EXCHANGE),
    absent("trades.history", _DOCS, _NO_EXCHANGE),
    absent("swaps.create", _DOCS, _NO_EXCHANGE),
    supported(
        "keys.issue",
        "D",
        f"{_DOCS}: get API key",
        "for accounts whose auth is `login`, or whose ring has such credentials; that `expire` is seconds is I",
    ),
    supported(
        "keys.verify",
        "D",
        f"{_DOCS}: get orders",
        "an authenticated read; the provider's own verify call (P) would put the key into a URL",
    ),
    absent(
        "keys.revoke",
        _DOCS,
        "neither a call nor a way in the dashboard is documented",
        instead="take the key out of the account's settings, or out of use in its ring (`gateway keys retire`), and "
        "ask the vendor how it ends",
    ),
    supported(
        "callbacks.receive",
        "C",
        f"{_DOCS} and docs.aurpay.net: callbacks; one client for the signature",
        "the call and its headers are documented, the signature's recipe is one client's; an order is read before "
        "anything is believed",
    ),
)

KEYS_BY_HAND: Capability = manual(
    "keys.issue",
    "D",
    f"{_DOCS}: authentication",
    "this account has neither user name nor password; keys and signature pairs are made in the dashboard",
    instead="`gateway keys guide create --account NAME` says where they are; put them into the account's settings, or "
    "let `gateway keys create --account NAME` take them into its ring; or set auth to kind = 'login'",
)
"""Replaces the row of accounts that were given their key."""

ADDRESS_BY_SETTINGS: Capability = supported(
    "withdrawals.create",
    "I",
    "this account's settings: withdraw",
    "the path and field names are the account's own; nobody has been seen making this call",
    variant="address",
)
"""Replaces the manual row of accounts whose settings have a `withdraw` table."""


def as_signed(table: Capabilities) -> Capabilities:
    """The table of an account that signs: a call is graded by its weakest part, and the signature's recipe is C."""
    rows = (
        replace(
            row,
            grade=Grade.CLIENT,
            source=f"{row.source}; the signature: two independent public clients",
        )
        for row in table.rows
        if row.support is Support.SUPPORTED and row.grade in (Grade.DOCUMENTED, Grade.PUBLISHED)
    )
    return table.replaced(*rows)
