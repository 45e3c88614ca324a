"""What can be done with Emirex. Public market data is graded C, every private call I."""

from __future__ import annotations

from gateway.capabilities import Capabilities, absent, manual, supported

__all__ = ["CAPABILITIES"]

_PUBLIC = "a third party's profile of the vendor's technical reference and of live public calls"
_PRIVATE = "path from that profile of the technical reference, the rest from the sister product Dex-Trade"
_HELP = 'the vendor\'s help article "How does Emirex API work?"'
_REFERENCE = "the profile of the vendor's technical reference, and the help article"

_NO_ORDERS = "Emirex is an exchange: no call takes payments, none gives a deposit address"
_NO_WITHDRAWALS = "a key can be given the permission to withdraw, but no such call is known"
_NO_CUSTOMERS = "Emirex keeps no customers of a merchant"
_NO_CARDS = "Emirex issues no cards"
_PATH_ONLY = "only its path is known of this vendor: the body, the signature and the answer are inferred"
_OTHER_FIELDS = "its number is known, but not what it needs beside a rate (such as the stop price)"

_OTHER = "use an account of another provider for this"
_SIMPLER = "place a limit or market order, or use the vendor's web interface"
_WEB = "do it in the vendor's web interface"

CAPABILITIES = Capabilities.of(
    absent("orders.create", _REFERENCE, _NO_ORDERS, variant="payer-choice", instead=_OTHER),
    absent("orders.create", _REFERENCE, _NO_ORDERS, variant="coin", instead=_OTHER),
    absent("orders.create", _REFERENCE, _NO_ORDERS, variant="coin-without-network", instead=_OTHER),
    absent("orders.create", _REFERENCE, _NO_ORDERS, variant="lightning", instead=_OTHER),
    absent("orders.get", _REFERENCE, _NO_ORDERS, instead="exchange orders are trades: trades.get"),
    absent("orders.list", _REFERENCE, _NO_ORDERS, instead="exchange orders are trades: trades.open and trades.history"),
    absent("orders.cancel", _REFERENCE, _NO_ORDERS, instead="exchange orders are trades: trades.cancel"),
    absent("refunds.create", _REFERENCE, _NO_ORDERS, instead=_OTHER),
    absent("refunds.get", _REFERENCE, _NO_ORDERS, instead=_OTHER),
    absent(
        "transactions.list",
        _REFERENCE,
        "no call lists deposits or withdrawals",
        instead=f"{_WEB}; finished exchange orders are in trades.history",
    ),
    absent(
        "currencies.list", _REFERENCE, "no call lists them", variant="fiat", instead="see the pairs of markets.list"
    ),
    absent(
        "currencies.list", _REFERENCE, "no call lists them", variant="crypto", instead="see the pairs of markets.list"
    ),
    supported("wallets.list", "I", _PRIVATE, "total and available of every currency", variant="custodial"),
    absent("wallets.list", _REFERENCE, "Emirex holds all balances itself", variant="self-custody", instead=_OTHER),
    absent("wallets.list", _REFERENCE, "no Lightning", variant="lightning", instead=_OTHER),
    absent("withdrawals.create", _REFERENCE, _NO_WITHDRAWALS, variant="lightning", instead=_OTHER),
    absent("withdrawals.create", _REFERENCE, _NO_WITHDRAWALS, variant="address", instead=_WEB),
    absent("withdrawals.create", _REFERENCE, _NO_CARDS, variant="card", instead=_OTHER),
    absent("withdrawals.get", _REFERENCE, _NO_WITHDRAWALS, instead=_WEB),
    absent("withdrawals.list", _REFERENCE, _NO_WITHDRAWALS, instead=_WEB),
    absent("customers.create", _REFERENCE, _NO_CUSTOMERS, instead=_OTHER),
    absent("customers.get", _REFERENCE, _NO_CUSTOMERS, instead=_OTHER),
    absent("cards.create", _REFERENCE, _NO_CARDS, instead=_OTHER),
    absent("cards.list", _REFERENCE, _NO_CARDS, instead=_OTHER),
    absent("cards.get", _REFERENCE, _NO_CARDS, instead=_OTHER),
    absent("cards.transactions", _REFERENCE, _NO_CARDS, instead=_OTHER),
    absent("cards.one-time-code", _REFERENCE, _NO_CARDS, instead=_OTHER),
    absent("cards.freeze", _REFERENCE, _NO_CARDS, instead=_OTHER),
    supported("markets.list", "C", _PUBLIC),
    supported("markets.ticker", "C", _PUBLIC),
    supported("markets.book", "C", _PUBLIC),
    supported("markets.trades", "C", _PUBLIC),
    supported("trades.create", "I", _PRIVATE, _PATH_ONLY, variant="limit"),
    supported("trades.create", "I", _PRIVATE, _PATH_ONLY, variant="market"),
    absent("trades.create", _PRIVATE, _OTHER_FIELDS, variant="stop-limit", instead=_SIMPLER),
    absent("trades.create", _PRIVATE, _OTHER_FIELDS, variant="quick-market", instead=_SIMPLER),
    absent("trades.create", _PRIVATE, _OTHER_FIELDS, variant="hidden-limit", instead=_SIMPLER),
    supported("trades.cancel", "I", _PRIVATE, _PATH_ONLY),
    supported("trades.get", "I", _PRIVATE, _PATH_ONLY),
    supported("trades.open", "I", _PRIVATE, "not paged"),
    supported("trades.history", "I", _PRIVATE, _PATH_ONLY),
    absent("swaps.create", _REFERENCE, "no such call", instead="place a market order: trades.create"),
    manual(
        "keys.issue",
        "D",
        _HELP,
        "keys are made by a person in the web interface only",
        instead="`gateway keys guide create --account NAME` lists the vendor's steps; put both keys into the account's "
        "settings, or let `gateway keys create --account NAME` take them into its ring",
    ),
    supported("keys.verify", "I", _PRIVATE, "reads the balances"),
    manual(
        "keys.revoke",
        "D",
        _HELP,
        "keys are deleted by a person in the web interface only",
        instead="`gateway keys guide delete --account NAME` lists the vendor's steps; then take the key out of the "
        "account's settings, or tell its ring: `gateway keys revoke`",
    ),
    absent(
        "callbacks.receive",
        _REFERENCE,
        "the vendor sends none",
        instead="read again: trades.get for one exchange order, trades.open and trades.history for all",
    ),
)
