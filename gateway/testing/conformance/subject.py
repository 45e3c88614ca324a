"""What an author tells the kit about an adapter: its provider, its sandbox, and samples of everything it declares.

    class Acme(Subject):
        provider = PROVIDER
        orders = {"coin": {"price": "25.00 USD", "pay_with": "USDT@tron"}}
        words = (StatusWords("orders.get", "data.status", {"open": "pending", "done": "paid"}),)
        ...

    class TestAcme(Conformance):
        subject = Acme

Whatever is left out and is needed for a declared row is named by the test that fails for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from gateway.contracts.adapter import Provider
from gateway.contracts.callbacks import Proof
from gateway.errors import AuthenticationFailed, GatewayError
from gateway.exchange import Request

if TYPE_CHECKING:
    from gateway.testing.conformance.bench import Play
    from gateway.testing.conformance.calls import Call
    from gateway.testing.conformance.clock import KitClock
    from gateway.testing.sandbox import OutgoingCallback, Sandbox

__all__ = ["CallbackSample", "DocumentedFailure", "SignatureVector", "StatusWords", "Subject"]

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentedFailure:
    """An answer that the provider's documentation calls an error, and the error that the adapter makes of it."""

    operation: str
    """One that it is documented for."""
    status: int
    """The HTTP status."""
    body: Any
    """A text, or data that is sent as JSON."""
    raises: type[GatewayError]
    """What the adapter must make of it."""
    code: str | None = None
    """What `GatewayError.provider_code` must then be."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the answer."""


@dataclass(frozen=True, slots=True)
class StatusWords:
    """The provider's words for a status and what they mean, for one operation that reads it."""

    operation: str
    """Such as `orders.get`."""
    at: str
    """Where the word stands in the JSON answer: names joined by dots, `*` for every item of a list
    (`data.list.*.status`).
    """
    words: Mapping[Any, str]
    """The neutral status for each of the provider's words."""
    unknown: Any = "a-word-nobody-knows"
    """A value of the word's own kind that the provider does not have."""


@dataclass(frozen=True, slots=True)
class SignatureVector:
    """A check value: this request, signed with these credentials at this moment, carries these headers."""

    request: Request
    headers: Mapping[str, str]
    """What the request must carry; others are not looked at."""
    now: datetime
    """The moment of signing (aware UTC)."""
    auth: Fields | None = None
    """Replaces the account's auth table (None: the account's own)."""
    number: int = 0
    """The growing number of the request, where the provider asks for one."""
    body: bytes | None = None
    """The bytes that go out, where signing changes or covers them."""
    source: str = ""
    """Where the value comes from."""


@dataclass(frozen=True, slots=True)
class CallbackSample:
    """A callback that is documented (or recorded), and what the adapter must make of it."""

    url: str
    headers: Mapping[str, str]
    received_at: datetime
    """When it came (aware UTC)."""
    proof: Proof
    """What the adapter must say of its proof."""
    body: bytes = b""
    method: str = "POST"
    provider_id: str | None = None
    """The order's number that the adapter must find in it."""
    settings: Fields = field(default_factory=dict)
    """Replace tables of the account, such as its callback secret."""


class Subject:
    """One account of one adapter, as the kit examines it. Subclass it, and a subclass of that for every further
    flavour of account (another kind of auth, other settings).

    Samples of requests are fields of the request's model, without `reference`. A sample may be a function of a `Play`
    that gives them, where something has to be made first.
    """

    provider: ClassVar[Provider]
    """What the adapter's plugin registers."""
    name: ClassVar[str] = ""
    """In reports; the provider's name where none is given."""

    # Samples of requests, by variant

    orders: ClassVar[Mapping[str, Fields | Sequence[Fields]]] = {}
    """For OrderRequest. A list of samples has each examined: a price in a currency and one in the coin, say."""
    withdrawals: ClassVar[Mapping[str, Fields | Sequence[Fields]]] = {}
    """For WithdrawalRequest, also in lists. `to` is an address; a Lightning invoice and a card are made where it is
    left out.
    """
    trades: ClassVar[Mapping[str, Fields]] = {}
    """For TradeRequest; `market` and `kind` are filled in."""
    refund: ClassVar[Fields] = {}
    """For RefundRequest, without `order`."""
    customer: ClassVar[Fields] = {"first_name": "Ada", "last_name": "Example"}
    """For CustomerRequest."""
    card: ClassVar[Fields] = {}
    """For CardRequest, without `customer`."""
    market: ClassVar[str] = "BTC/USD"
    """One that the sandbox has, written `BASE/QUOTE`."""
    per_customer: ClassVar[frozenset[str]] = frozenset()
    """Operations that are made for one customer of the merchant: orders.create, orders.list, wallets.list."""

    # What stands where

    coins: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """What the provider calls an asset in requests (`{"USDT@tron": ("USDT", "TRC20")}`), where not by its symbol."""
    units: ClassVar[Mapping[str, int | None]] = {}
    """By asset code, how many decimal places stand behind the provider's whole numbers, where it writes amounts in the
    smallest unit: `{"USDT@tron": 6, "EUR": 2}`. A bare `USDT` is meant on every network. Where one row of the table is
    counted otherwise, it is named before: `{"BTC": 8, "wallets.list BTC": 11, "withdrawals.create BTC": None}`; None is
    for decimals.
    """
    unsent: ClassVar[Mapping[str, frozenset[str]]] = {}
    """By row, the parts of a request that the provider does not take: `to.address`, `amount.asset`, `pay_with`."""
    constants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """By row, what leaves with every payout whatever is asked for, because the documentation has it so:
    `{"withdrawals.create:address": {"type": "external"}}`. Names are joined by dots.
    """
    fields: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """By operation, where in the answer the amounts of a result stand: `{"wallets.list": {"available":
    "items.*.free", "allocated": "items.*.held"}}`."""

    # What the documentation says

    words: ClassVar[Sequence[StatusWords]] = ()
    """Status words that the documentation names."""
    failures: ClassVar[Sequence[DocumentedFailure]] = ()
    """Errors that the documentation names."""
    signatures: ClassVar[Sequence[SignatureVector]] = ()
    """Check values of what goes out signed."""
    signs_base_path: ClassVar[bool] = True
    """A signature that covers the path covers that of `base_url` too, such as `/v2`, as the provider sees it. False
    where the provider documents that it signs what comes after it.
    """
    callbacks: ClassVar[Sequence[CallbackSample]] = ()
    """Callbacks that are documented or recorded."""
    callbacks_expire: ClassVar[bool | timedelta] = False
    """The proof of a callback covers a time, so that one which was kept is refused: after an hour (True), or for how
    long the provider documents that one is good.
    """
    callback_bytes: ClassVar[bool] = True
    """A proof that covers the body of a callback covers its bytes as they came. False where the provider documents that
    it signs the data instead, such as JSON that is written anew with its names sorted.
    """
    strict: ClassVar[str | None] = "callback.strict"
    """The setting that has callbacks rejected whose proof differs, off by default; None where the provider's settings
    have no such one.
    """
    ends: ClassVar[Mapping[str, str]] = {"exact": "paid"}
    """How an order ends when the sandbox is told `exact`, `under`, `over`, `late`, `expire` or `fail`."""
    nothing_documented: ClassVar[Mapping[str, str]] = {}
    """Why the subject says nothing of something, by the name of its field: `{"failures": "the documentation names no
    error"}`. The report shows it; without a reason what is left out is not complete. It can be given for `words`,
    `failures`, `signatures`, `callbacks`, `ends` and `refused_auth`.
    """

    # Secrets

    public: ClassVar[frozenset[str]] = frozenset()
    """Texts of the account's tables `auth` and `callback` that are no secret, such as `auth.username`. A part of the
    credentials that the settings keep as a Secret is one, unless the provider's keys call it public.
    """
    key_in_address: ClassVar[bool] = False
    """The provider takes its key in the query of an address, and nowhere else."""
    refused_auth: ClassVar[Fields | None] = None
    """An auth table that the sandbox does not accept; None where a call needs no key."""
    refused_as: ClassVar[type[GatewayError]] = AuthenticationFailed
    """What that becomes; another error only where the provider's answer does not tell."""

    # The sandbox

    def sandbox(self) -> Sandbox:
        """A fresh sandbox. One without a limit of calls, where it can be had: limits are examined with `limited`."""
        from gateway.testing.installed import sandbox_of

        return sandbox_of(self.provider)

    def limited(self, clock: KitClock) -> Sandbox:
        """A fresh sandbox that keeps to the provider's limit of calls, by `clock.monotonic`: no check really waits. One
        that refuses signatures of another time goes by `clock.now` here.
        """
        return self.sandbox()

    def account(self, sandbox: Sandbox, base_url: str) -> dict[str, Any]:
        """The settings of the account."""
        return sandbox.account(base_url)

    def order_in_sandbox(self, provider_id: str) -> str:
        """What the sandbox calls an order that the adapter calls so."""
        return provider_id

    def fund(self, play: Play, customer: str) -> None:
        """Give this customer (the provider's own number) enough money for cards and top-ups."""

    def use_card(self, play: Play, card: str) -> None:
        """Have this card (the provider's own number) used, so that there is something to list."""

    def forge(self, sandbox: Sandbox, callback: OutgoingCallback) -> OutgoingCallback:
        """The callback as somebody would make it who does not have the secret."""
        return sandbox.forged(callback)

    # How each operation is called

    def calls(self) -> list[Call]:
        """One call for every row that is declared. Extend it with `[*super().calls(), Call(…)]`; the last of a row
        counts.
        """
        from gateway.testing.conformance.calls import usual_calls

        return usual_calls(self)

    @property
    def title(self) -> str:
        """What reports call it."""
        return self.name or self.provider.name
