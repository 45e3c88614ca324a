"""Aurpay's shapes, and its envelope `{"code": 0, "message": "ok", "data": …, "result": true}`.

Amounts are numbers where an order is created and texts in lists; both are read exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from gateway.contracts import Amount, Identifier, Wire, shaped
from gateway.exchange import Malformed, Response
from gateway.secrets import Raw

__all__ = [
    "CoinOrder",
    "Entry",
    "IssuedKey",
    "LightningOrder",
    "PaymentUrl",
    "RefundAnswer",
    "RefundInfo",
    "TransactionEntry",
    "code_of",
    "enveloped",
    "issued_key",
    "loose_rows",
    "message_of",
    "named",
    "page_rows",
    "refund_answer",
]


def _blank_is_none(value: object) -> object:
    return None if value == "" else value


OptionalAmount = Annotated[Amount | None, BeforeValidator(_blank_is_none)]
Text = Annotated[str | None, BeforeValidator(_blank_is_none)]
Link = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
OptionalLink = Annotated[Link | None, BeforeValidator(_blank_is_none)]
# Times are read later, leniently: an order that exists is not lost to an odd time.
Time = Any


class PaymentUrl(Wire):
    """Call 1. `order_id` can be missing: the order is made when the payer has chosen a coin."""

    pay_url: Link
    order_id: Annotated[Identifier | None, BeforeValidator(_blank_is_none)] = None
    status: Text = None


class CoinOrder(Wire):
    """Call 2."""

    order_id: Identifier
    amount: Amount = Field(gt=0)
    address: str = Field(min_length=1)
    status: Text = None
    create_time: Time = None
    vs_currency: Text = None
    vs_price: OptionalAmount = None
    chain: Text = None
    currency: Text = None
    contract_addr: Text = None
    pay_url: OptionalLink = None


class LightningOrder(Wire):
    """Call 14. The amount is in BTC: the documented sample's invoice asks for the same."""

    order_id: Identifier
    amount: Amount = Field(gt=0)
    payment_request: str = Field(min_length=1)
    status: Text = None
    create_time: Time = None
    vs_currency: Text = None
    vs_price: OptionalAmount = None
    pay_url: OptionalLink = None


class Entry(Wire):
    """An order in the list (3), in the details (4, whose later fields are I) and in a callback's body."""

    order_id: Identifier
    status: str = Field(min_length=1)
    order_type: Text = None
    chain: Text = None
    currency: Text = None
    amount: OptionalAmount = None
    vs_price: OptionalAmount = None
    vs_currency: Text = None
    refund: bool | None = None
    create_time: Time = None
    update_time: Time = None
    fee: OptionalAmount = None
    to_addr: Text = None
    tx_id: Text = None
    tx_hash: Text = None
    tx_hash_list: list[str | None] | None = None
    pay_url: OptionalLink = None


class RefundAnswer(Wire):
    """Call 6, without an envelope."""

    order_id: Identifier
    refund_status: Annotated[Identifier | None, BeforeValidator(_blank_is_none)] = None
    refund_amount: OptionalAmount = None
    refund_date: Time = None


class RefundInfo(Wire):
    """Call 5; what follows these fields is not known."""

    order_id: Identifier
    chain: Text = None
    currency: Text = None
    amount: Amount


class TransactionEntry(Wire):
    """Call 7. The fields after `fee` are not documented; those named as in a callback's body are read as these."""

    tx_id: Identifier
    tx_type: Text = None
    status: Text = None
    chain: Text = None
    currency: Text = None
    amount: OptionalAmount = None
    obtained: OptionalAmount = None
    fee: OptionalAmount = None
    order_id: Annotated[Identifier | None, BeforeValidator(_blank_is_none)] = None
    tx_hash: Text = None
    tx_hash_list: list[str | None] | None = None
    create_time: Time = None


class IssuedKey(Wire):
    """Call 16. `expire` is read as seconds (I); the key goes into a header."""

    access_token: Annotated[str, StringConstraints(pattern=r"^[!-~]+$")]
    expire: Annotated[int | None, Field(ge=1, le=10 * 365 * 86400)] = None


def code_of(body: Mapping[str, Any]) -> int | None:
    """The envelope's code; None where there is none, so that it is no envelope."""
    code = body.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def message_of(body: Mapping[str, Any]) -> str:
    """The provider's words: `message`, sometimes `msg` (P)."""
    for name in ("message", "msg"):
        text = body.get(name)
        if isinstance(text, str) and text.strip():
            return text.strip()
    return "no reason given"


def enveloped(response: Response) -> tuple[Raw, Any]:
    """The whole answer and its `data` (None where there is none). Raises Malformed without an envelope of success."""
    body = response.json()
    if not isinstance(body, dict):
        raise Malformed(f"expected an envelope, found {_kind(body)}")
    code = code_of(body)
    if code is None:
        raise Malformed("expected an envelope, found no code")
    if code != 0 or body.get("result") is False:
        raise Malformed(f"the envelope says code {code}, which does not tell what was done")
    return Raw(body), body.get("data")


def page_rows(data: Any) -> tuple[list[Any], int]:
    """The entries of a page, and how many pages there are."""
    if not isinstance(data, dict):
        raise Malformed(f"expected a page, found {_kind(data)}")
    rows, last = data.get("data"), data.get("max_page")
    if not isinstance(rows, list):
        raise Malformed(f"expected a list in the page, found {_kind(rows)}")
    if isinstance(last, bool) or not isinstance(last, int):
        raise Malformed("the page does not say max_page")
    return rows, last


def loose_rows(response: Response) -> tuple[list[Any], int]:
    """The entries of a call whose answer is not documented: a bare list, a list in the envelope, or a page."""
    body = response.json()
    if isinstance(body, list):
        return body, 1
    _, data = enveloped(response)
    if isinstance(data, list):
        return data, 1
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        return page_rows({"max_page": 1, **data})
    raise Malformed(f"expected a list or a page, found {_kind(data)}")


def named(row: Any, field: str, setting: str) -> Any:
    """A field that the settings can rename. Raises Malformed with the names that are there, so that a person can."""
    if not isinstance(row, dict):
        raise Malformed(f"expected an object with the field {field}, found {_kind(row)}; see the setting {setting}")
    if row.get(field) in (None, ""):
        raise Malformed(f"expected the field {field} (the account's setting {setting}), found {_kind(row)}")
    return row[field]


def issued_key(response: Response) -> tuple[Raw, IssuedKey]:
    raw, data = enveloped(response)
    return raw, shaped(IssuedKey, data)


def refund_answer(response: Response) -> tuple[Raw, RefundAnswer]:
    """The documented sample has no envelope; one is accepted, as every other call has it."""
    body = response.json()
    if isinstance(body, dict) and code_of(body) is not None and "order_id" not in body:
        raw, data = enveloped(response)
        return raw, shaped(RefundAnswer, data)
    answer = shaped(RefundAnswer, body)
    return Raw(body), answer


def _kind(value: Any) -> str:
    """What was found, without values."""
    if isinstance(value, dict):
        names = ", ".join(str(name)[:40] for name in list(value)[:20])
        return f"an object with {names}" if names else "an empty object"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else type(value).__name__
