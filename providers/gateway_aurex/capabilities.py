"""What can be done with Aurex. A documented path whose answer only the vendor's skill shows is graded P."""

from __future__ import annotations

from gateway.capabilities import Capabilities, absent, manual, supported

__all__ = ["CAPABILITIES"]

_API = "docs.aurex.cash/cards-and-usage/api"
_SKILL = f"{_API} for the call, the vendor's skill aurexcards/aurex-skill for the answer"
_SWAP = "docs.aurex.cash/cards-and-usage/swap"

_DASHBOARD = "do it in the vendor's dashboard"
_OTHER = "use an account of another provider for this"
_POLL = "read it again: orders.get reads the customer's list of deposits"
_NOT_AN_EXCHANGE = "Aurex is no exchange: it has no markets and no exchange orders"

CAPABILITIES = Capabilities.of(
    absent(
        "orders.create",
        _API,
        "a deposit is made for one coin; there is no page on which the payer chooses",
        variant="payer-choice",
        instead="set pay_with to SOL, USDT or USDC, or use another provider",
    ),
    absent(
        "orders.create",
        _API,
        "a deposit names no network, and a coin sent over the wrong network is lost",
        variant="coin",
        instead="set pay_with to the bare SOL, USDT or USDC, or use another provider for a coin on a network",
    ),
    supported(
        "orders.create",
        "P",
        _SKILL,
        "a deposit into a customer's wallet, in SOL, USDT or USDC without a network, priced in USD",
        variant="coin-without-network",
    ),
    absent("orders.create", _API, "deposits take no Lightning payments", variant="lightning", instead=_OTHER),
    supported(
        "orders.get", "P", _SKILL, "there is no call for one deposit: it is looked for in its customer's paged list"
    ),
    supported("orders.list", "P", _SKILL, "the deposits of one customer, in their short form"),
    absent("orders.cancel", _API, "a deposit cannot be cancelled", instead="let it expire"),
    absent(
        "refunds.create", _API, "no refund call", instead="pay the customer back from an account of another provider"
    ),
    absent("refunds.get", _API, "no refund call", instead=_OTHER),
    absent(
        "transactions.list",
        _API,
        "no list of money movements of the account",
        instead="read a customer's deposits (orders.list) and a card's transactions (cards.transactions)",
    ),
    absent("currencies.list", _API, "no call lists them", variant="fiat", instead="everything is priced in USD"),
    absent("currencies.list", _API, "no call lists them", variant="crypto", instead="deposits take SOL, USDT and USDC"),
    supported("wallets.list", "D", f"{_API}/users", "the wallet of one customer", variant="custodial"),
    absent("wallets.list", _API, "Aurex holds all balances itself", variant="self-custody", instead=_OTHER),
    absent("wallets.list", _API, "no Lightning", variant="lightning", instead=_OTHER),
    absent("withdrawals.create", _API, "no Lightning", variant="lightning", instead=_OTHER),
    absent(
        "withdrawals.create",
        _API,
        "money leaves a customer's wallet only to a card",
        variant="address",
        instead="top up a card (CardTopUp), or use an account of another provider",
    ),
    supported(
        "withdrawals.create",
        "P",
        _SKILL,
        "a top-up of a card from its customer's wallet, 10 to 10000 USD",
        variant="card",
    ),
    absent(
        "withdrawals.get",
        _API,
        "a top-up has no number to read it by; it is done when it is answered",
        instead="compare the card's balance (cards.list) and the customer's wallet (wallets.list)",
    ),
    absent(
        "withdrawals.list", _API, "no list of top-ups", instead="the gateway's own journal lists those that it has made"
    ),
    supported("customers.create", "D", f"{_API}/users"),
    supported("customers.get", "D", f"{_API}/users"),
    supported("cards.create", "P", _SKILL, "with 25 to 100000 USD from the customer's wallet"),
    supported("cards.list", "P", _SKILL, "not paged"),
    supported("cards.get", "D", f"{_API}/cards"),
    supported("cards.transactions", "P", _SKILL, "not paged"),
    supported("cards.one-time-code", "P", f"a heading in {_API}, and the vendor's skill aurexcards/aurex-skill"),
    absent("cards.freeze", _API, "cards can be frozen, but no call does it", instead=_DASHBOARD),
    absent("markets.list", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent("markets.ticker", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent("markets.book", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent("markets.trades", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent("trades.create", _API, _NOT_AN_EXCHANGE, variant="limit", instead=_OTHER),
    absent("trades.create", _API, _NOT_AN_EXCHANGE, variant="market", instead=_OTHER),
    absent("trades.create", _API, _NOT_AN_EXCHANGE, variant="stop-limit", instead=_OTHER),
    absent("trades.create", _API, _NOT_AN_EXCHANGE, variant="quick-market", instead=_OTHER),
    absent("trades.create", _API, _NOT_AN_EXCHANGE, variant="hidden-limit", instead=_OTHER),
    absent("trades.cancel", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent("trades.get", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent("trades.open", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent("trades.history", _API, _NOT_AN_EXCHANGE, instead=_OTHER),
    absent(
        "swaps.create",
        _SWAP,
        "the page on swaps describes them, but documents no call",
        instead="swap on the vendor's site",
    ),
    manual(
        "keys.issue",
        "D",
        f"{_API}/auth",
        "keys are made in the dashboard only",
        instead="`gateway keys guide create --account NAME` lists the steps; put the key into the account's settings, "
        "or let `gateway keys create --account NAME` take it into its ring; all keys share one balance, and each has a "
        "rate limit and a markup of its own",
    ),
    supported(
        "keys.verify",
        "I",
        f"{_API}/users",
        "no read is known that needs no user, so it reads a user that cannot exist: a key that is accepted is answered "
        "with 404, one that is not with 401; nobody has been seen doing so",
    ),
    manual(
        "keys.revoke",
        "D",
        f"{_API}/auth",
        "keys are revoked in the dashboard only",
        instead="`gateway keys guide revoke --account NAME` lists the steps; have a new key in the account's settings "
        "or its ring first, because a revoked one loses access at once",
    ),
    absent("callbacks.receive", _API, "the vendor sends none", instead=_POLL),
)
