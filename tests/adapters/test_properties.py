"""What holds for every text and number, not only for the samples: signatures, and status words that nobody knows.

The signatures are computed here again from the recipes, without the adapters' own code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import Account
from gateway.exchange import Request, Response, Signing, encode_json
from gateway.models import OrderStatus, TradeStatus
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway_aurpay.auth import Signature

MOMENTS = st.integers(0, 10**9).map(lambda seconds: datetime(2025, 1, 2, tzinfo=UTC) + timedelta(milliseconds=seconds))
TEXTS = st.text(max_size=20)
NUMBERS = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=8)
BODIES = st.dictionaries(st.text(min_size=1, max_size=8), TEXTS | st.integers(0, 10**12) | NUMBERS, max_size=6)


def adapter(provider: str, **settings: Any) -> Any:
    registered = load_plugins().providers[provider]
    model = registered.settings.model_validate({"provider": provider, "environment": "sandbox", **settings})
    return registered.adapter(Account("shop", model.environment, model, lambda: datetime(2025, 1, 2, tzinfo=UTC)))


def answered(operation: Any, data: Any) -> Any:
    """What the operation makes of this answer to its first request."""
    request = next(operation)
    try:
        operation.send(request.parse(Response(200, {}, encode_json(data))))
    except StopIteration as end:
        return end.value
    raise AssertionError("it asked for more")


@given(
    method=st.sampled_from(["GET", "POST"]),
    segments=st.lists(st.text("abcxyz0189-_", min_size=1, max_size=8), min_size=1, max_size=4),
    query=st.lists(st.tuples(st.text(min_size=1, max_size=6), TEXTS), max_size=3),
    body=st.none() | BODIES,
    now=MOMENTS,
    secret=st.text(min_size=1, max_size=40),
)
def test_aurpay_signs_what_goes_out(
    method: str, segments: list[str], query: list[tuple[str, str]], body: Any, now: datetime, secret: str
) -> None:
    request = Request(method, "/" + "/".join(segments), query=tuple(query), json=body)
    signed = Signature(Secret("a-token"), Secret(secret)).sign(request, Signing(now))
    date = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    target = request.path
    if query:
        target += "?" + "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query)
    text = f"HMAC-SHA256 | {date} | {method} {target}"
    if signed.body:
        digest = hashlib.md5(signed.body).hexdigest()
        assert signed.headers["Body-MD5"] == digest
        text += f" | {digest}"
    else:
        assert "Body-MD5" not in signed.headers
    expected = base64.b64encode(hmac.new(secret.encode(), text.encode(), "sha256").digest()).decode()
    assert (signed.headers["Signature"], signed.headers["Date"]) == (expected, date)
    assert (signed.method, signed.target()) == (method, target)
    if body is not None:
        assert json.loads(signed.body or b"", parse_float=Decimal) == body


@given(body=BODIES, number=st.integers(10**15, 10**16 - 1), secret=st.text(min_size=1, max_size=40))
def test_emirex_signs_the_text_that_goes_out(body: dict[str, Any], number: int, secret: str) -> None:
    auth = adapter("emirex", auth={"kind": "signed", "public_key": "a-public-key", "secret": secret}).auth
    signed = auth.sign(
        Request("POST", "/private/balances", json=body), Signing(datetime(2025, 1, 2, tzinfo=UTC), number)
    )
    # Every number as it stands in the body that goes out, whatever it was before.
    sent = json.loads(signed.body, parse_float=str, parse_int=str)
    assert sent["request_id"] == str(number)
    text = "".join(sent[key] for key in sorted(sent))
    assert signed.headers["X-Auth-Sign"] == hashlib.sha256(text.encode() + secret.encode()).hexdigest()


WORDS = st.text(min_size=1, max_size=30)
AURPAY_WORDS = {"PENDING", "SUCCESS", "SUCCEED", "OVERDUE", "RESOLVED", "PARTIAL", "TERMINATED", "REFUNDED"}
AUREX_WORDS = {"WAITING", "CONFIRMED", "FAILED", "EXPIRED"}


@given(
    word=st.text(min_size=1, max_size=30).filter(lambda word: word.strip().upper() not in AURPAY_WORDS and word.strip())
)
def test_an_unknown_word_of_aurpay_is_never_paid_nor_failed(word: str) -> None:
    row = {"order_id": "20240426103947614609", "status": word, "chain": "BTC", "currency": "BTC", "amount": "0.001"}
    shop = adapter("aurpay", auth={"kind": "api-key", "api_key": "made-up"})
    order = answered(shop.get_order("20240426103947614609"), {"code": 0, "message": "ok", "data": row})
    assert order.status is OrderStatus.UNRECOGNISED
    assert order.warnings


@given(word=WORDS.filter(lambda word: word.upper() not in AUREX_WORDS))
def test_an_unknown_word_of_aurex_is_never_paid_nor_failed(word: str) -> None:
    row = {"depositId": "dep_abc123", "amount": 100, "currency": "USDT", "status": word}
    cards = adapter("aurex", auth={"kind": "bearer", "api_key": "made-up"})
    order = answered(cards.get_order("user1/dep_abc123"), {"success": True, "data": [row]})
    assert order.status is OrderStatus.UNRECOGNISED
    assert order.warnings


@given(number=st.integers(-(10**9), 10**9).filter(lambda number: number not in (0, 1, 2, 3)))
def test_an_unknown_status_of_emirex_is_never_filled_nor_cancelled(number: int) -> None:
    row = {"id": 42, "status": number, "volume": "1", "pair": "BTCUSDC", "type": 0, "type_trade": 0}
    treasury = adapter("emirex", auth={"kind": "signed", "public_key": "a-public-key", "secret": "made-up"})
    trade = answered(treasury.get_trade("42"), {"status": True, "data": row})
    assert trade.status is TradeStatus.UNRECOGNISED
    assert trade.warnings
