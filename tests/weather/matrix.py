"""Every way in which a call can fail: what happened, what the caller sees, what became of the money, what to do.

`docs/failures.md` is this table (`.ci/generate_failures.py` writes it). The tests beside this module go through its
rows: each row is played, and must end as it says. Rows with `answers` are those of `tests/engine/test_outcomes.py`,
which plays each of them over real HTTP in both colours.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InsufficientFunds,
    InvalidRequest,
    LimitExceeded,
    MalformedResponse,
    NotFound,
    Outcome,
    OutcomeUnknown,
    PermissionDenied,
    PluginError,
    ProviderUnavailable,
    RateLimited,
    StoreError,
    UnsupportedOperation,
    UnverifiedOperation,
)

__all__ = ["CASES", "Case", "End", "cases", "markdown"]


@dataclass(frozen=True)
class End:
    """How a call ends. `error` None: it succeeds."""

    error: type[GatewayError] | None
    outcome: Outcome | None = None

    def __str__(self) -> str:
        return "succeeds" if self.error is None else f"`{self.error.__name__}`, {self.outcome}"


@dataclass(frozen=True)
class Case:
    """One row. `read` and `write` are how a call of that kind ends; None where the row is not about such a call."""

    id: str
    area: str
    happened: str
    money: str
    do: str
    read: End | None = None
    write: End | None = None
    answers: tuple[str, ...] = ()
    colours: tuple[str, ...] = ("sync", "async")


def _not_sent(error: type[GatewayError]) -> End:
    return End(error, Outcome.NOT_SENT)


def _rejected(error: type[GatewayError]) -> End:
    return End(error, Outcome.REJECTED)


FINE = End(None)
UNKNOWN = End(OutcomeUnknown, Outcome.UNKNOWN)

_NOTHING = "Nothing was done."
_NOT_SENT = "Nothing was sent."
_MAY = "A write may have been carried out; it is never sent again. A read changed nothing."
_SETTLE = (
    "Look at the provider, then `gateway journal settle REFERENCE --as done --reason …`, or `--as failed`. "
    "Repeat a read."
)

ANSWERS = "What the provider answers"
NETWORK = "The network"
PROCESS = "The process"
STORE = "The store"
INPUT = "What is asked for"
BRAKES = "Brakes and balances"
SETTINGS = "Settings and plugins"

CASES: tuple[Case, ...] = (
    Case(
        "refused-request",
        ANSWERS,
        "HTTP 400 or 422",
        _NOTHING,
        "Correct the request; a corrected write needs a new reference, an order too: the refusal is recorded. `gateway "
        "orders renew` sends the same request again, for when the cause lay elsewhere.",
        _rejected(InvalidRequest),
        _rejected(InvalidRequest),
        ("400", "422"),
    ),
    Case(
        "refused-key",
        ANSWERS,
        "HTTP 401, or an error of the provider that means it (a login is renewed once by itself)",
        _NOTHING,
        "Check the account's key and this machine's clock; then make the same call again.",
        _rejected(AuthenticationFailed),
        _rejected(AuthenticationFailed),
        ("401", "404 error"),
    ),
    Case(
        "refused-permission",
        ANSWERS,
        "HTTP 403",
        _NOTHING,
        "Give the key the permission, or this machine's address; then make the same call again.",
        _rejected(PermissionDenied),
        _rejected(PermissionDenied),
        ("403",),
    ),
    Case(
        "not-there",
        ANSWERS,
        "HTTP 404, with JSON or a page",
        _NOTHING,
        "Check the number, and the account's `base_url`.",
        _rejected(NotFound),
        _rejected(NotFound),
        ("404", "404 HTML"),
    ),
    Case(
        "refused-state",
        ANSWERS,
        "HTTP 409",
        _NOTHING,
        "Read the order or card again; the provider's state forbids the call.",
        _rejected(Conflict),
        _rejected(Conflict),
        ("409",),
    ),
    Case(
        "low-balance",
        ANSWERS,
        "The provider's own error: not enough money, with HTTP 200 or 402",
        _NOTHING,
        "Fill the balance; the same payout then needs a new reference.",
        _rejected(InsufficientFunds),
        _rejected(InsufficientFunds),
        ("200 error", "402 error"),
    ),
    Case(
        "too-many",
        ANSWERS,
        "HTTP 429, or the provider's own error for it, until the deadline or six times",
        _NOTHING,
        "Make the same call later; `retry_after` says when, where the provider does.",
        _rejected(RateLimited),
        _rejected(RateLimited),
        ("429", "200 slow down"),
    ),
    Case(
        "too-many-for-long",
        ANSWERS,
        "HTTP 429 whose `Retry-After` is longer than the deadline (not repeated; until then nothing is sent)",
        _NOTHING,
        "Make the same call after `retry_after` seconds, or give it a longer deadline.",
        _rejected(RateLimited),
        _rejected(RateLimited),
    ),
    Case(
        "unavailable",
        ANSWERS,
        "HTTP 503, whatever the body says, until the deadline or six times: alone of all server errors it says that "
        "nothing was done",
        _NOTHING,
        "Make the same call later.",
        _rejected(ProviderUnavailable),
        _rejected(ProviderUnavailable),
        ("503",),
    ),
    Case(
        "server-error",
        ANSWERS,
        "HTTP 500, 501, 502 or 504, whatever the body says, or 408; a read is repeated six times",
        _MAY,
        _SETTLE,
        _rejected(ProviderUnavailable),
        UNKNOWN,
        ("500", "501", "502", "504", "408", "500 error"),
    ),
    Case(
        "open-status",
        ANSWERS,
        "A redirect, 408, 425 or 499 with the provider's own error, here not enough money: it says nothing for sure of "
        "a write",
        _MAY,
        _SETTLE,
        _rejected(InsufficientFunds),
        UNKNOWN,
        ("302 error", "408 error", "425 error", "499 error"),
    ),
    Case(
        "unknown-error",
        ANSWERS,
        "An error of the provider's whose code nobody here knows, with HTTP 200 or 402, say",
        "Nothing was done; but a payout, refund or card may have been made: see the next row.",
        "Correct the request; the provider's words are in the error.",
        _rejected(InvalidRequest),
        _rejected(InvalidRequest),
        ("200 nobody knows",),
    ),
    Case(
        "unknown-error-payout",
        ANSWERS,
        "The same to a payout, refund or card, with a status that is no refusal (not 400, 401, 403, 404, 409, 422, 429 "
        "or 503)",
        "It may have been carried out; it is never sent again.",
        _SETTLE.removesuffix(" Repeat a read."),
        write=UNKNOWN,
    ),
    Case(
        "odd-status",
        ANSWERS,
        "A status that the API does not use, such as 402, 405 or 418",
        _MAY,
        _SETTLE + " Check the account's `base_url`.",
        _rejected(MalformedResponse),
        UNKNOWN,
        ("402", "405", "418"),
    ),
    Case(
        "redirect",
        ANSWERS,
        "A redirect (301, 302, 303, 307 or 308), which is never followed",
        _MAY,
        _SETTLE + " Check the account's `base_url`.",
        _rejected(MalformedResponse),
        UNKNOWN,
        ("301", "302", "303", "307", "308"),
    ),
    Case(
        "not-json",
        ANSWERS,
        "A good status with a page, nothing, cut or damaged JSON, no UTF-8, or a number that is none",
        _MAY,
        _SETTLE,
        _rejected(MalformedResponse),
        UNKNOWN,
        ("200 HTML", "200 empty", "204", "200 cut JSON", "200 no UTF-8", "200 no number"),
    ),
    Case(
        "deep-json",
        ANSWERS,
        "JSON nested more than a hundred levels deep",
        _MAY,
        _SETTLE,
        _rejected(MalformedResponse),
        UNKNOWN,
        ("200 deep JSON",),
    ),
    Case(
        "wrong-shape",
        ANSWERS,
        "JSON of another shape: a field missing, of another type or nested otherwise",
        _MAY,
        _SETTLE + " Field names may be settings of the account.",
        _rejected(MalformedResponse),
        UNKNOWN,
        ("200 another shape", "200 field missing", "200 wrong types"),
    ),
    Case(
        "too-large",
        ANSWERS,
        "An answer over 4 MiB, as it is or when unpacked",
        _MAY,
        _SETTLE,
        _rejected(ProviderUnavailable),
        UNKNOWN,
        ("oversized", "a bomb"),
    ),
    Case(
        "other-amount",
        ANSWERS,
        "The provider carried the write out with another price, coin or amount than was asked for",
        "It happened, otherwise than asked; it is not sent again.",
        "Look at the provider, take it back there if need be, then settle the journal's entry.",
        write=UNKNOWN,
    ),
    Case(
        "unknown-word",
        ANSWERS,
        "A status word that nobody knows",
        "None moved: the order is `unrecognised`, kept with a warning and read again.",
        "Look at the order at the provider; report the word.",
        read=FINE,
    ),
    Case(
        "broken-connection",
        NETWORK,
        "The connection is closed or reset before the whole answer, or what comes is no HTTP",
        _MAY,
        _SETTLE,
        _rejected(ProviderUnavailable),
        UNKNOWN,
        (
            "truncated",
            "no HTTP",
            "header too long",
            "bad gzip",
            "closed before reading",
            "closed after reading",
            "reset before reading",
            "reset after reading",
        ),
    ),
    Case(
        "nobody-there",
        NETWORK,
        "The connection is refused until the deadline",
        _NOT_SENT,
        "Check the network and the account's `base_url`; then make the same call again.",
        _not_sent(ProviderUnavailable),
        _not_sent(ProviderUnavailable),
    ),
    Case(
        "no-such-name",
        NETWORK,
        "The provider's name is not found",
        _NOT_SENT,
        "Check the network and the account's `base_url`; then make the same call again.",
        _not_sent(ProviderUnavailable),
        _not_sent(ProviderUnavailable),
    ),
    Case(
        "bad-certificate",
        NETWORK,
        "The provider's certificate does not verify (not repeated)",
        _NOT_SENT,
        "Check `base_url` and `ca_file`. Verification cannot be switched off.",
        _not_sent(ProviderUnavailable),
        _not_sent(ProviderUnavailable),
    ),
    Case(
        "no-tls",
        NETWORK,
        "A server that speaks plain HTTP where `base_url` says `https`",
        _NOT_SENT,
        "Check the port of the account's `base_url`; then make the same call again.",
        _not_sent(ProviderUnavailable),
        _not_sent(ProviderUnavailable),
    ),
    Case(
        "unsendable-key",
        NETWORK,
        "An API key that no HTTP header can carry: with a line break, or letters beyond ASCII (not repeated)",
        _NOT_SENT,
        "Copy the key again; then make the same call again.",
        _not_sent(ProviderUnavailable),
        _not_sent(ProviderUnavailable),
    ),
    Case(
        "proxy-refuses",
        NETWORK,
        "The account's egress proxy refuses the way to the provider (403, 407)",
        _NOT_SENT,
        "Check the account's `proxy`, its user and password there, and what it lets through; then the same call again.",
        _not_sent(ProviderUnavailable),
        _not_sent(ProviderUnavailable),
    ),
    Case(
        "no-proxy",
        NETWORK,
        "The account's egress proxy is not there",
        _NOT_SENT,
        "Check the account's `proxy`; nothing goes past it. Then make the same call again.",
        _not_sent(ProviderUnavailable),
        _not_sent(ProviderUnavailable),
    ),
    Case(
        "silence",
        NETWORK,
        "The request left and no answer comes before the deadline",
        _MAY,
        _SETTLE,
        _rejected(ProviderUnavailable),
        UNKNOWN,
    ),
    Case(
        "slow-headers",
        NETWORK,
        "The headers come byte by byte, for longer than the deadline",
        _MAY,
        _SETTLE,
        _rejected(ProviderUnavailable),
        UNKNOWN,
    ),
    Case(
        "slow-body",
        NETWORK,
        "The body comes byte by byte, for longer than the deadline",
        _MAY,
        _SETTLE,
        _rejected(ProviderUnavailable),
        UNKNOWN,
    ),
    Case(
        "own-rate",
        NETWORK,
        "The key's rate limit leaves no room before the deadline",
        _NOT_SENT,
        "Make the same call later, or give it a longer deadline.",
        _not_sent(RateLimited),
        _not_sent(RateLimited),
    ),
    Case(
        "closed-gateway",
        PROCESS,
        "A call on a gateway that was closed",
        _NOT_SENT,
        "Make a new gateway; use it inside `with`.",
        _not_sent(ConfigurationError),
        _not_sent(ConfigurationError),
    ),
    Case(
        "other-loop",
        PROCESS,
        "A call on an `AsyncGateway` in another event loop than its first (a second `asyncio.run`, say)",
        _NOT_SENT,
        "Make one gateway for each event loop.",
        _not_sent(ConfigurationError),
        _not_sent(ConfigurationError),
        colours=("async",),
    ),
    Case(
        "fork",
        PROCESS,
        "The process forks and both halves use the gateway",
        "As always: each half has connections of its own, and one store.",
        "Nothing. A store in memory stays with the parent.",
        FINE,
        FINE,
    ),
    Case(
        "fork-in-memory",
        PROCESS,
        "The process forks and the child uses a gateway whose store is in memory",
        _NOT_SENT,
        "Give the store a file.",
        write=_not_sent(StoreError),
    ),
    Case(
        "many-at-once",
        PROCESS,
        "Two threads, or a hundred tasks, on one gateway",
        "Each call moves its own, once.",
        "Nothing.",
        FINE,
        FINE,
    ),
    Case(
        "twins",
        PROCESS,
        "Several calls with one reference at once",
        "It moves once; all get the one result.",
        "Nothing. One that reaches its deadline while it waits raises `Conflict`: repeat it.",
        write=FINE,
    ),
    Case(
        "interrupted",
        PROCESS,
        "Ctrl-C, or a cancelled task, while a write is under way",
        "It may have been carried out; it is not sent again. The interruption goes on, the next call says so.",
        _SETTLE,
        write=UNKNOWN,
    ),
    Case(
        "died-before-sending",
        PROCESS,
        "The process dies before the write leaves",
        _NOT_SENT,
        "Make the same call again; it goes on where it stopped.",
        write=FINE,
    ),
    Case(
        "died-after-sending",
        PROCESS,
        "The process dies between sending a write and recording its answer",
        "It may have been carried out; no later process sends it again.",
        _SETTLE,
        write=UNKNOWN,
    ),
    Case(
        "store-read-only",
        STORE,
        "The file, or its folder, is read-only",
        _NOT_SENT,
        "Make the file and its folder writable for this user, then make the same call again.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-full",
        STORE,
        "The disk is full when a write is to be recorded",
        _NOT_SENT,
        "Make room, then make the same call again.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-file-limit",
        STORE,
        "The system does not let the file grow (a limit of the process)",
        _NOT_SENT,
        "Raise the limit, then make the same call again.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-full-later",
        STORE,
        "The disk is full when the answer of a write is to be recorded",
        "It was carried out: the error tells the provider's number. It is not sent again.",
        "Make room; half a minute after the call's deadline, settle the journal's entry as done with that number.",
        write=UNKNOWN,
    ),
    Case(
        "store-locked",
        STORE,
        "Another process holds the database for longer than ten seconds",
        _NOT_SENT,
        "Make the same call again; if it stays so, end the process that holds it.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-locked-later",
        STORE,
        "Another process holds the database when the answer of a write is to be recorded",
        "It was carried out: the error tells the provider's number. It is not sent again.",
        "Half a minute after the call's deadline, settle the journal's entry as done with that number.",
        write=UNKNOWN,
    ),
    Case(
        "store-newer",
        STORE,
        "The database was made by a newer version",
        _NOT_SENT,
        "Upgrade crypto-gateway, or name another database.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-deleted",
        STORE,
        "The file is deleted while it is open",
        _NOT_SENT,
        "Put the file back and open the gateway again. A new, empty file forgets every reference.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-replaced",
        STORE,
        "The file is replaced by another (a backup, say) while it is open",
        _NOT_SENT,
        "Open the gateway again on the right file.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-deleted-later",
        STORE,
        "The file is deleted between sending a write and recording its answer",
        "It was carried out: the error tells the provider's number, which nothing else knows.",
        "Put the file back and settle the journal's entry with that number; without it, `orders.fetch` reads an order.",
        write=UNKNOWN,
    ),
    Case(
        "own-mistake",
        STORE,
        "A mistake of the gateway's or a plugin's own while the answer of a write is recorded",
        "It was carried out: the error tells the provider's number. It is not sent again.",
        "Settle the journal's entry as done with that number; report the mistake, which is attached to the error.",
        write=UNKNOWN,
    ),
    Case(
        "store-damaged",
        STORE,
        "The file is damaged, or no database",
        _NOT_SENT,
        "Run `gateway store check`; restore a backup.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-no-folder",
        STORE,
        "The folder of the store does not exist",
        _NOT_SENT,
        "Make it, or correct `store`.",
        write=_not_sent(StoreError),
    ),
    Case(
        "store-restored",
        STORE,
        "The store was restored from an older state, and anything but a payer's order or a customer is to be made: a "
        "payout, a refund, a card, an exchange order",
        _NOT_SENT,
        "Compare it with the providers, then `gateway store accept-restore`.",
        write=_not_sent(StoreError),
    ),
    Case(
        "server-without-driver",
        STORE,
        "The store is on PostgreSQL, and psycopg is not installed",
        _NOT_SENT,
        'Install it: `pip install "crypto-gateway[postgresql]"`.',
        write=_not_sent(ConfigurationError),
    ),
    Case(
        "server-password",
        STORE,
        "The database server does not let the store's user in",
        _NOT_SENT,
        "Correct user or password in `store`; no message shows the password.",
        write=_not_sent(StoreError),
    ),
    Case(
        "server-down",
        STORE,
        "The database server cannot be reached when a write is to be recorded",
        _NOT_SENT,
        "Make the same call again when it is back.",
        write=_not_sent(StoreError),
    ),
    Case(
        "server-lost",
        STORE,
        "The connection to the database server is lost before a change is committed: it was restarted, or a standby "
        "has taken over",
        "As always: nothing of the change was kept, and it is made again on a new connection.",
        "Nothing.",
        write=FINE,
    ),
    Case(
        "server-commit",
        STORE,
        "The connection to the database server is lost while it is committing that a write is about to leave",
        _NOT_SENT,
        "Make the same call again: it goes on, whether or not the commit had come about.",
        write=_not_sent(StoreError),
    ),
    Case(
        "server-commit-later",
        STORE,
        "The connection to the database server is lost while it is committing the answer of a write",
        "As always: the answer is recorded with the next connection.",
        "Nothing.",
        write=FINE,
    ),
    Case(
        "server-down-later",
        STORE,
        "The database server goes down between sending a write and recording its answer, and stays down",
        "It was carried out: the error tells the provider's number. It is not sent again.",
        "Half a minute after the call's deadline, settle the journal's entry as done with that number.",
        write=UNKNOWN,
    ),
    Case(
        "server-standby",
        STORE,
        "The store's server is a standby, or read-only",
        _NOT_SENT,
        "Point `store` to the primary; with several hosts in it, add `target_session_attrs=read-write`.",
        write=_not_sent(StoreError),
    ),
    Case(
        "float",
        INPUT,
        "An amount that is a float, in Python, in a model, in options of a provider or in the body of a free call",
        _NOT_SENT,
        "Write it as text, `25.00`, or as a Decimal.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "float-setting",
        INPUT,
        "An amount that is a float in TOML, in a `GATEWAY_…` variable or in the settings given",
        _NOT_SENT,
        "Write it as text with its asset, `0.05 BTC`; a tolerance as `0.5%`.",
        write=_not_sent(ConfigurationError),
    ),
    Case(
        "no-amount",
        INPUT,
        "An amount that is no number, NaN, infinite, negative or zero, or has more decimals than its asset",
        _NOT_SENT,
        "Correct it; the gateway never rounds.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "unknown-asset",
        INPUT,
        "An asset that nobody has registered",
        _NOT_SENT,
        "Use one of the known codes; a plugin can add more.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "unsupported-price",
        INPUT,
        "A price in a currency that the provider does not take",
        _NOT_SENT,
        "State the price in one that it takes, or use another account.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "refused-price",
        INPUT,
        "A price in a currency that only the provider knows it does not take",
        _NOTHING,
        "State the price in one that it takes, under a new reference.",
        write=_rejected(InvalidRequest),
    ),
    Case(
        "unsupported-coin",
        INPUT,
        "A coin that the provider does not have",
        _NOT_SENT,
        "Pay with one that it has (they stand on the provider's page), or use another account.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "broken-invoice",
        INPUT,
        "A Lightning invoice that is none or is damaged",
        _NOT_SENT,
        "Ask the payee for it again.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "foreign-invoice",
        INPUT,
        "An invoice of another network than the account's",
        _NOT_SENT,
        "Ask the payee for one of this network.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "expired-invoice",
        INPUT,
        "An invoice that has expired",
        _NOT_SENT,
        "Ask the payee for a new one.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "open-invoice",
        INPUT,
        "An invoice without an amount, or with another than is asked for",
        _NOT_SENT,
        "Ask the payee for one with the amount; ask for exactly that.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "foreign-address",
        INPUT,
        "An address of another network, or with a wrong check sum",
        _NOT_SENT,
        "Ask the payee for it again.",
        write=_not_sent(InvalidRequest),
    ),
    Case(
        "other-request",
        INPUT,
        "A reference that was used for another request",
        _NOT_SENT,
        "Another request needs a reference of its own.",
        write=_not_sent(IdempotencyConflict),
    ),
    Case(
        "unknown-reference",
        INPUT,
        "A reference that was never used",
        "None moved.",
        "`orders.fetch` reads an order that was not made here.",
        read=_not_sent(NotFound),
    ),
    Case(
        "not-offered",
        INPUT,
        "A call that the provider does not offer, or only by hand",
        _NOT_SENT,
        "Do what the hint says; `gateway capabilities` shows what is offered.",
        write=_not_sent(UnsupportedOperation),
    ),
    Case(
        "not-verified",
        INPUT,
        "A call that nobody has been seen making",
        _NOT_SENT,
        "List it in the account's `allow_inferred` to make it.",
        read=_not_sent(UnverifiedOperation),
        write=_not_sent(UnverifiedOperation),
    ),
    Case(
        "over-limit",
        BRAKES,
        "A payout over the merchant's own limit of a payout or a day, or to a destination that is not listed",
        _NOT_SENT,
        "Change the account's `limits` if it is meant.",
        write=_not_sent(LimitExceeded),
    ),
    Case(
        "frozen",
        BRAKES,
        "A payout, a refund or a new card of a frozen account",
        _NOT_SENT,
        "`gateway freeze ACCOUNT --release`, then make the same call again.",
        write=_not_sent(LimitExceeded),
    ),
    Case(
        "short-of-money",
        BRAKES,
        "A payout over the balance at the provider (where it has no word of its own for that: `InvalidRequest`)",
        _NOTHING,
        "Fill the balance; pay out under a new reference.",
        write=_rejected(InsufficientFunds),
    ),
    Case(
        "still-open",
        BRAKES,
        "A renewal of an order whose last attempt can still be paid, or that is paid",
        _NOT_SENT,
        "Let the payer use the open attempt, or wait until it has expired.",
        write=_not_sent(Conflict),
    ),
    Case(
        "unknown-account",
        SETTINGS,
        "An account that is not configured",
        _NOT_SENT,
        "Use one of those that the hint lists.",
        _not_sent(ConfigurationError),
        _not_sent(ConfigurationError),
    ),
    Case(
        "unknown-provider",
        SETTINGS,
        "A provider that is not installed",
        _NOT_SENT,
        "Install its plugin, or correct the name.",
        write=_not_sent(ConfigurationError),
    ),
    Case(
        "wrong-setting",
        SETTINGS,
        "A setting that is missing, misspelt or malformed, or a secret that cannot be found",
        _NOT_SENT,
        "Correct it; the message names its path, and never a value.",
        write=_not_sent(ConfigurationError),
    ),
    Case(
        "broken-plugin",
        SETTINGS,
        "A plugin that cannot be imported, and an account that needs it",
        _NOT_SENT,
        "Mend or remove it; `gateway providers` says what is wrong. All others work on.",
        write=_not_sent(ConfigurationError),
    ),
    Case(
        "claimed-name",
        SETTINGS,
        "A plugin that registers a provider twice, or one whose name another plugin has",
        _NOT_SENT,
        "Remove one of the two; the one that was first works on.",
        write=_not_sent(PluginError),
    ),
)


def cases(area: str) -> list[Case]:
    return [case for case in CASES if case.area == area]


def markdown() -> str:
    """The table as a document."""
    lines = [
        "# What can fail, and what to do then",
        "",
        "<!-- Written by .ci/generate_failures.py from tests/weather/matrix.py, whose rows are the cases of tests. -->",
        "",
        "Every failure is a `gateway.errors.GatewayError`. Its `outcome` says what became of the request: `not_sent`",
        "(no byte of it can have been acted on), `rejected` (the provider refused, or it was a read: nothing was",
        "changed) or `unknown` (it may have been carried out). Its `hint` says what to do. A write of unknown outcome",
        "is never sent again by the gateway: a person settles it by what the provider shows.",
    ]
    for area in dict.fromkeys(case.area for case in CASES):
        lines += ["", f"## {area}", "", "| what happened | what the caller sees | the money | what to do |"]
        lines.append("| --- | --- | --- | --- |")
        for it in cases(area):
            cells = (it.happened, _sees(it), it.money, it.do)
            assert not any("|" in cell for cell in cells), it.id  # no spelling of it reads well everywhere
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _sees(case: Case) -> str:
    if case.read == case.write or case.read is None or case.write is None:
        return str(case.write or case.read)
    return f"read: {case.read}; write: {case.write}"
