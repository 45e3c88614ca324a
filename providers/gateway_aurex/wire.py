"""The vendor's shapes and its envelope: `{"success": true, "data": …}`, or `{"success": false, "error": "<text>"}`.

Fields that the adapter needs are required; of the others, all that are documented are read where they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from gateway.assets import Asset
from gateway.contracts import Amount, Identifier, Wire, shaped
from gateway.exchange import Malformed, Response
from gateway.secrets import CardNumber, Raw, Secret

__all__ = [
    "Answer",
    "Card",
    "CardTransaction",
    "Deposit",
    "Fees",
    "NewDeposit",
    "OneTimeCode",
    "RevealedCard",
    "TopUp",
    "User",
    "Wallet",
    "error_text",
    "many",
    "one",
]

W = TypeVar("W", bound=Wire)
W_co = TypeVar("W_co", bound=Wire, covariant=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[W_co]):
    """One thing that was read, and what it was read from: the whole answer, or one row of a list."""

    data: W_co
    raw: Raw


def one(shape: type[W]) -> Callable[[Response], Answer[W]]:
    """A `parse` for an answer whose `data` is this shape."""

    def parse(response: Response) -> Answer[W]:
        whole = _success(response)
        return Answer(shaped(shape, whole["data"]), Raw(whole))

    return parse


def many(shape: type[W]) -> Callable[[Response], tuple[Answer[W], ...]]:
    """A `parse` for an answer whose `data` is an array of this shape."""

    def parse(response: Response) -> tuple[Answer[W], ...]:
        rows = _success(response)["data"]
        if not isinstance(rows, list):
            raise Malformed(f"expected an array in `data`, found {type(rows).__name__}")
        return tuple(Answer(shaped(shape, row), Raw(row)) for row in rows)

    return parse


def _success(response: Response) -> dict[str, Any]:
    whole = response.json()
    if not isinstance(whole, dict) or whole.get("success") is not True or "data" not in whole:
        raise Malformed("no `success: true` with `data`")
    return whole


def error_text(response: Response) -> str | None:
    """The text of the provider's own error envelope, None when the answer is something else."""
    try:
        whole = response.json()
    except Malformed:
        return None
    if not isinstance(whole, dict) or whole.get("success") is not False:
        return None
    error = whole.get("error")
    return error if isinstance(error, str) and error else "no reason given"


def _utc(value: datetime) -> datetime:
    # All times are UTC (D, page overview), so one that came without its zone is too.
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _text(value: object) -> object:
    # Codes are texts in the samples; a number is taken too, because a refused answer to a write is worse.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Time = Annotated[datetime, AfterValidator(_utc)]
Hidden = Annotated[Secret, BeforeValidator(_text)]
HiddenNumber = Annotated[CardNumber, BeforeValidator(_text)]
Filled = Annotated[str, Field(min_length=1)]


class Shape(Wire):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Fees(Shape):
    """Fees are an object when a deposit or a card is made, with other names in each, and a number on a top-up."""

    platform_fee_usd: Amount | None = None
    merchant_commission_usd: Amount | None = None
    total_collected: Amount | None = None
    our_fee: Amount | None = None
    card_issue_fee: Amount | None = None
    total_fees: Amount | None = None
    deposit_amount: Amount | None = None
    """What a new card takes from the wallet: its balance with all fees."""
    fees: Amount | None = None

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"fees": value}

    @property
    def named(self) -> tuple[tuple[str, Decimal], ...]:
        """Each fee under the vendor's name; a sum only where its parts are not given."""
        parts = {
            "platformFeeUsd": self.platform_fee_usd,
            "merchantCommissionUsd": self.merchant_commission_usd,
            "ourFee": self.our_fee,
            "cardIssueFee": self.card_issue_fee,
        }
        sums = {"totalCollected": self.total_collected, "totalFees": self.total_fees, "fees": self.fees}
        found = _given(parts) or _given(sums)
        return tuple(found.items())


def _given(amounts: dict[str, Decimal | None]) -> dict[str, Decimal]:
    return {name: amount for name, amount in amounts.items() if amount is not None}


class User(Shape):
    """`POST /users` (without `createdAt`) and `GET /users/{userId}`."""

    user_id: Identifier
    first_name: str | None = None
    last_name: str | None = None
    created_at: Time | None = None


class Wallet(Shape):
    """`GET /users/{userId}/wallet`."""

    user_id: Identifier | None = None
    balance: Amount
    pending_balance: Amount
    in_cards_balance: Amount
    currency: Asset


class Deposit(Shape):
    """A row of `GET /users/{userId}/deposits`: the short form. `amount` is in USD, `currency` the coin to pay in."""

    deposit_id: Identifier
    amount: Amount
    currency: Asset
    status: str
    created_at: Time | None = None
    deposit_address: str | None = None
    net_amount: Amount | None = None
    fees: Fees | None = None
    expires_at: Time | None = None


class NewDeposit(Deposit):
    """`POST /users/{userId}/deposits`: of no use without the address to pay to."""

    deposit_address: Filled


class Card(Shape):
    """A row of `GET /users/{userId}/cards`, and with its number and fees the answer of `POST /users/{userId}/cards`."""

    card_id: Identifier
    card_name: str | None = None
    balance: Amount | None = None
    status: str
    card_number: HiddenNumber | None = None
    expiry_date: str | None = None
    cvv: Hidden | None = None
    fees: Fees | None = None


class RevealedCard(Card):
    """`GET /users/{userId}/cards/{cardId}`, which is asked for its number."""

    card_number: HiddenNumber
    cvv: Hidden


class TopUp(Shape):
    """`POST /users/{userId}/cards/{cardId}/topup`."""

    card_id: Identifier
    new_balance: Amount
    recharge_amount: Amount | None = None
    fees: Fees | None = None


class CardTransaction(Shape):
    """A row of `GET /users/{userId}/cards/{cardId}/transactions`, in USD unless `currency` says otherwise (D)."""

    transaction_id: Identifier
    amount: Amount
    currency: Asset = Asset.of("USD")
    status: str
    created_at: Time | None = None


class OneTimeCode(Shape):
    """`GET /users/{userId}/otp`. `expiresIn` is in seconds."""

    otp: Hidden
    expires_in: Annotated[int, Field(ge=0, le=10**9)] | None = None
    card_id: Identifier | None = None
