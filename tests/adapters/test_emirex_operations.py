"""Emirex: every known call, its signature, what is refused before it is sent, and every way an answer can be wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.by_hand import NUMBER, answer, carry_out, cassette, html, replay
from gateway import contracts
from gateway.assets import Asset
from gateway.capabilities import OPERATIONS, Grade, Support
from gateway.contracts import Account, NewTrade, Provider, Query
from gateway.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    GatewayError,
    InvalidRequest,
    MalformedResponse,
    NotFound,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
    UnsupportedOperation,
    UnverifiedOperation,
)
from gateway.exchange import Malformed, Operation, Request, Signing, decode_json
from gateway.models import (
    BookLevel,
    Environment,
    Settlement,
    Side,
    TradeKind,
    TradeRequest,
    TradeStatus,
    WalletKind,
)
from gateway.money import Money
from gateway_emirex import PROVIDER, gateway_register_providers
from gateway_emirex.adapter import EmirexAdapter
from gateway_emirex.auth import SignedAuth, signed_text
from gateway_emirex.settings import EmirexSettings, SignedKeys

BASE = "https://api.emirex.com/v1"
NOW = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
PUBLIC_KEY, SECRET = "canary-public-key", "canary-secret"
CYRILLIC = "percent_\u0441hange"


def made(**changes: Any) -> EmirexAdapter:
    auth = {"kind": "signed", "public_key": PUBLIC_KEY, "secret": SECRET}
    settings = EmirexSettings(**{"provider": "emirex", "auth": auth, **changes})
    return EmirexAdapter(Account("treasury", Environment.LIVE, settings, lambda: NOW))


@pytest.fixture
def adapter() -> EmirexAdapter:
    return made()


def new_trade(kind: str = "limit", side: str = "sell", volume: str = "2", **more: Any) -> NewTrade:
    rate = {"rate": "100.5"} if kind in ("limit", "stop-limit", "hidden-limit") else {}
    request = TradeRequest(reference="t-1", market="BTC/USDC", side=side, kind=kind, volume=volume, **rate, **more)
    return NewTrade(request=request)


def documented(adapter: EmirexAdapter, operation: Operation[Any], name: str) -> Any:
    return replay(adapter, operation, cassette("emirex", name, BASE))


def listed(*rows: Any) -> Any:
    return answer({"status": True, "data": {"list": list(rows)}})


# Signing


@pytest.mark.parametrize(
    "body, signature",
    [
        ({"order_id": "42"}, "b2b4b3a8e5b9e10c6d454818170b2da6f386ceda43917c451a1821fb9f554163"),
        (
            {"type_trade": 0, "type": 1, "rate": "100.5", "volume": "2", "pair": "BTCUSDC"},
            "e15b32c43f897bb46fd0d26dfd83f66466ae50c753a4090aca8967ed0f421796",
        ),
    ],
)
def test_the_check_values_of_the_signature(body: dict[str, Any], signature: str) -> None:
    auth = SignedAuth(SignedKeys(kind="signed", public_key="p", secret="secret"))
    signed = auth.sign(Request("POST", "/private/x", json=body, write=True), Signing(NOW, NUMBER))
    assert signed.headers == {
        "Content-Type": "application/json",
        "login-token": "p",
        "X-Auth-Sign": signature,
    }
    assert decode_json(signed.body or b"") == {**body, "request_id": "1700000000000000"}


def test_a_limit_order_goes_out_as_the_check_value_has_it() -> None:
    adapter = made(auth={"kind": "signed", "public_key": "p", "secret": "secret"})
    request = next(adapter.create_trade(new_trade()))
    signed = adapter.auth.sign(request, Signing(NOW, NUMBER))
    assert signed.headers["X-Auth-Sign"] == "e15b32c43f897bb46fd0d26dfd83f66466ae50c753a4090aca8967ed0f421796"


def test_what_is_signed_is_what_is_sent() -> None:
    auth = SignedAuth(SignedKeys(kind="signed", public_key="p", secret="s"))
    body = {"b": {"z": Decimal("1E-8"), "a": "x"}, "a": [2, {"k": "v"}, Decimal("10.50")]}
    signed = auth.sign(Request("POST", "/private/x", json=body), Signing(NOW, 7))
    text = "2v10.50" + "x0.00000001" + "7"
    assert signed.headers["X-Auth-Sign"] == hashlib.sha256((text + "s").encode()).hexdigest()
    assert signed.body == (b'{"b":{"z":0.00000001,"a":"x"},"a":[2,{"k":"v"},10.50],"request_id":"7"}')


def test_texts_beyond_ascii_are_signed_as_utf_8() -> None:
    auth = SignedAuth(SignedKeys(kind="signed", public_key="p", secret="ключ"))
    signed = auth.sign(Request("POST", "/private/x", json={"label": "ä"}), Signing(NOW, 7))
    assert signed.headers["X-Auth-Sign"] == hashlib.sha256("ä7ключ".encode()).hexdigest()


@pytest.mark.parametrize("value", [True, None, 1.5, b"x"])
def test_what_has_no_one_text_is_not_signed(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        signed_text({"a": value})


def test_only_objects_are_signed(adapter: EmirexAdapter) -> None:
    for request in (Request("POST", "/private/x", body=b"{}"), Request("POST", "/private/x", json=[1])):
        with pytest.raises(InvalidRequest, match="JSON objects"):
            adapter.auth.sign(request, Signing(NOW, 7))
    empty = adapter.auth.sign(Request("POST", "/private/x"), Signing(NOW, 7))
    assert empty.body == b'{"request_id":"7"}'


def test_the_keys_are_kept_out_of_sight(adapter: EmirexAdapter) -> None:
    assert adapter.auth.numbered is True
    assert {secret.reveal() for secret in adapter.auth.secrets()} == {PUBLIC_KEY, SECRET}
    shown = repr(adapter.auth) + adapter.auth.key_id + repr(adapter.settings) + adapter.settings.model_dump_json()
    assert PUBLIC_KEY not in shown
    assert SECRET not in shown
    assert made().auth.key_id == adapter.auth.key_id
    other = made(auth={"kind": "signed", "public_key": "another", "secret": SECRET})
    assert other.auth.key_id != adapter.auth.key_id


def test_public_calls_go_out_without_keys_and_numbers(adapter: EmirexAdapter) -> None:
    request = next(adapter.list_markets(Query()))
    assert not request.signed
    sent = adapter.auth.sign(request, Signing(NOW, 7))
    assert (sent.headers, sent.body) == ({}, None)


PRIVATE: dict[str, Callable[[EmirexAdapter], Operation[Any]]] = {
    "list_wallets": lambda adapter: adapter.list_wallets(Query()),
    "create_trade": lambda adapter: adapter.create_trade(new_trade()),
    "cancel_trade": lambda adapter: adapter.cancel_trade("42"),
    "get_trade": lambda adapter: adapter.get_trade("42"),
    "list_open_trades": lambda adapter: adapter.list_open_trades(Query()),
    "list_trade_history": lambda adapter: adapter.list_trade_history(Query()),
    "verify_key": lambda adapter: adapter.verify_key(),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_private_calls_without_keys_are_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(ConfigurationError, match="needs the account's keys"):
        next(PRIVATE[name](made(auth=None)))


@pytest.mark.parametrize("name", PRIVATE)
def test_only_placing_and_cancelling_are_writes(adapter: EmirexAdapter, name: str) -> None:
    request = next(PRIVATE[name](adapter))
    assert (request.method, request.signed) == ("POST", True)
    assert request.write == (name in ("create_trade", "cancel_trade"))


def test_an_account_without_keys_reads_the_public_side() -> None:
    adapter = made(auth=None)
    page = documented(adapter, adapter.list_markets(Query()), "symbols")
    assert len(page.items) == 2


def test_settings() -> None:
    assert EmirexSettings(provider="emirex").base_url == BASE
    with pytest.raises(ValidationError, match="auth"):
        made(auth={"kind": "bearer", "api_key": "x"})
    with pytest.raises(ValidationError) as caught:
        made(auth={"kind": "signed", "public_key": "key\nwith line", "secret": "s"})
    assert "key\nwith" not in str(caught.value)
    for model in (EmirexSettings, SignedKeys):
        assert all(field.description for field in model.model_fields.values())


# Wallets


def test_balances_are_wallets_with_what_the_vendor_says(adapter: EmirexAdapter) -> None:
    page = documented(adapter, adapter.list_wallets(Query(kind="custodial")), "balances")
    assert [(wallet.kind, wallet.asset.code, wallet.total, wallet.available) for wallet in page.items] == [
        (WalletKind.CUSTODIAL, "BTC", Money("0.30000001", "BTC"), Money("0.1", "BTC")),
        (WalletKind.CUSTODIAL, "USDC", Money("1000", "USDC"), Money("1000", "USDC")),
    ]
    assert [(wallet.allocated, wallet.pending) for wallet in page.items] == [(None, None)] * 2
    assert page.items[0].raw["currency"] == {"iso3": "BTC"}
    assert page.next is None


def test_a_balance_of_an_asset_that_nobody_knows_is_kept(adapter: EmirexAdapter) -> None:
    row = {"currency": {"iso3": "EMRX"}, "balances": {"total": 5, "available": "0.000000000000000001"}}
    page, _ = carry_out(adapter, adapter.list_wallets(Query()), listed(row))
    assert page.items[0].asset == Asset("EMRX")
    assert page.items[0].available == Money("0.000000000000000001", Asset("EMRX"))


# Markets


def test_markets_are_named_by_base_and_quote(adapter: EmirexAdapter) -> None:
    page = documented(adapter, adapter.list_markets(Query()), "symbols")
    first, second = page.items
    assert (first.market, first.provider_id, first.base, first.quote) == ("BTC/USDC", "BTCUSDC", "BTC", "USDC")
    assert (first.rate_decimals, first.base_decimals, first.quote_decimals) == (2, 8, 6)
    assert second.market == "ETH/BTC"


def test_a_ticker_is_read_with_its_misspelt_key(adapter: EmirexAdapter) -> None:
    ticker = documented(adapter, adapter.get_ticker("BTC/USDC"), "ticker")
    assert ticker.market == "BTC/USDC"
    assert (ticker.last, ticker.open, ticker.close) == (Decimal("60000.50"), Decimal(59000), Decimal("60000.50"))
    assert (ticker.high, ticker.low, ticker.volume) == (Decimal(60500), Decimal("58900.10"), Decimal("12.34567890"))
    assert (ticker.change, ticker.minimum_trade) == (Decimal("1.69"), Decimal("0.0001"))
    assert CYRILLIC in ticker.raw["data"]


@pytest.mark.parametrize(
    "name, change", [("percent_change", Decimal("-2.5")), (CYRILLIC, Decimal("-2.5")), ("other", None)]
)
def test_a_ticker_is_read_with_either_spelling_or_none(
    adapter: EmirexAdapter, name: str, change: Decimal | None
) -> None:
    data = {"last": "1", name: "-2.5"}
    ticker, _ = carry_out(adapter, adapter.get_ticker("btc/usdc"), answer({"status": True, "data": data}))
    assert (ticker.market, ticker.change, ticker.open) == ("BTC/USDC", change, None)


def test_a_book_is_exact(adapter: EmirexAdapter) -> None:
    book = documented(adapter, adapter.get_book("BTC/USDC", 2), "book")
    assert book.bids == (
        BookLevel(rate=Decimal("60000.1"), volume=Decimal("0.5"), count=1),
        BookLevel(rate=Decimal(59999), volume=Decimal("1.25"), count=3),
    )
    assert book.asks[0] == BookLevel(rate=Decimal(60001), volume=Decimal("0.00000001"), count=1)
    assert (book.market, book.sequence) == ("BTC/USDC", 987654)


def test_how_deep_a_book_is_can_be_left_to_the_vendor(adapter: EmirexAdapter) -> None:
    assert next(adapter.get_book("BTC/USDC", None)).target() == "/public/book?pair=BTCUSDC"
    with pytest.raises(InvalidRequest, match="levels"):
        next(adapter.get_book("BTC/USDC", 0))


def test_public_trades_are_newest_first_with_their_times(adapter: EmirexAdapter) -> None:
    page = documented(adapter, adapter.list_public_trades("BTC/USDC"), "trades")
    first, second = page.items
    assert first.happened_at == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)
    assert (first.rate, first.volume, first.total) == (Decimal("60000.5"), Decimal("0.5"), Decimal("30000.25"))
    assert (first.side, second.side, first.market) == (Side.BUY, Side.SELL, "BTC/USDC")
    rows = [{"rate": 1, "volume": n, "timestamp": 1700000000 + n} for n in (1, 3, 2)]
    page, _ = carry_out(adapter, adapter.list_public_trades("BTC/USDC"), answer({"status": True, "data": rows}))
    assert [trade.volume for trade in page.items] == [3, 2, 1]


@pytest.mark.parametrize(
    "type_, side", [("BUY", Side.BUY), ("sell", Side.SELL), (0, Side.BUY), ("1", Side.SELL), ("x", None), (None, None)]
)
def test_sides_of_public_trades(adapter: EmirexAdapter, type_: Any, side: Side | None) -> None:
    rows = [{"rate": 1, "volume": 1, "timestamp": 1700000000, "type": type_}]
    page, _ = carry_out(adapter, adapter.list_public_trades("BTC/USDC"), answer({"status": True, "data": rows}))
    assert page.items[0].side is side


@pytest.mark.parametrize("timestamp", ["soon", None, True, 10**15, "1e90", []])
def test_a_time_that_is_none_is_malformed_without_showing_it(adapter: EmirexAdapter, timestamp: Any) -> None:
    rows = [{"rate": 1, "volume": 1, "timestamp": timestamp}]
    with pytest.raises(ValidationError) as caught:
        carry_out(adapter, adapter.list_public_trades("BTC/USDC"), answer({"status": True, "data": rows}))
    assert "soon" not in str(caught.value)


def test_a_fraction_of_a_second_is_kept(adapter: EmirexAdapter) -> None:
    rows = [{"rate": 1, "volume": 1, "timestamp": Decimal("1700000000.25")}]
    page, _ = carry_out(adapter, adapter.list_public_trades("BTC/USDC"), answer({"status": True, "data": rows}))
    assert page.items[0].happened_at == datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)


@pytest.mark.parametrize(
    "market, pair",
    [("BTC/USDC", "BTCUSDC"), ("btc/usdc", "BTCUSDC"), ("BTCUSDC", "BTCUSDC"), ("1INCH/BTC", "1INCHBTC")],
)
def test_a_market_goes_out_without_its_slash(adapter: EmirexAdapter, market: str, pair: str) -> None:
    for operation in (
        adapter.get_ticker(market),
        adapter.get_book(market, None),
        adapter.list_public_trades(market),
    ):
        assert dict(next(operation).query)["pair"] == pair


@pytest.mark.parametrize(
    "market", ["", "/", "BTC_USDC", "BTC//USDC", "BTC/", "BTC/USDC/", "BTC USDC", "ß/USDC", "BTC/USDC&x"]
)
def test_what_is_no_market_is_refused_before_anything_is_sent(adapter: EmirexAdapter, market: str) -> None:
    for operation in (
        adapter.get_ticker(market),
        adapter.get_book(market, None),
        adapter.list_public_trades(market),
    ):
        with pytest.raises(InvalidRequest, match="BASE/QUOTE"):
            next(operation)


# Trades


def test_a_limit_order_is_placed(adapter: EmirexAdapter) -> None:
    trade = documented(adapter, adapter.create_trade(new_trade()), "create-order-limit")
    assert (trade.provider_id, trade.status, trade.provider_status) == ("42", TradeStatus.PENDING, None)
    assert (trade.market, trade.side, trade.kind) == ("BTC/USDC", Side.SELL, TradeKind.LIMIT)
    assert (trade.volume, trade.rate, trade.filled) == (Decimal(2), Decimal("100.5"), None)
    assert trade.raw["data"] == {"id": 42}


def test_a_market_order_is_placed_without_a_rate(adapter: EmirexAdapter) -> None:
    trade = documented(adapter, adapter.create_trade(new_trade("market", "buy", "0.00000001")), "create-order-market")
    assert (trade.provider_id, trade.kind, trade.side, trade.rate) == ("43", TradeKind.MARKET, Side.BUY, None)


def test_rate_and_volume_go_out_as_texts_in_plain_notation(adapter: EmirexAdapter) -> None:
    request = next(adapter.create_trade(new_trade(volume="1E-8")))
    assert (request.json["volume"], request.json["rate"]) == ("0.00000001", "100.5")


@pytest.mark.parametrize("kind", ["stop-limit", "quick-market", "hidden-limit"])
def test_other_kinds_are_refused_before_anything_is_sent(adapter: EmirexAdapter, kind: str) -> None:
    with pytest.raises(InvalidRequest, match="not supported"):
        next(adapter.create_trade(new_trade(kind)))


def test_options_are_refused_and_those_of_other_providers_ignored(adapter: EmirexAdapter) -> None:
    with pytest.raises(InvalidRequest, match="no provider_options"):
        next(adapter.create_trade(new_trade(provider_options={"emirex": {"stop": "1"}})))
    assert next(adapter.create_trade(new_trade(provider_options={"aurpay": {"x": 1}}))).write


def test_a_trade_is_cancelled(adapter: EmirexAdapter) -> None:
    trade = documented(adapter, adapter.cancel_trade("42"), "delete-order")
    assert (trade.provider_id, trade.status) == ("42", TradeStatus.CANCELLED)
    assert trade.filled is None
    assert "filled" in trade.warnings[0]


def test_a_trade_is_read(adapter: EmirexAdapter) -> None:
    trade = documented(adapter, adapter.get_trade("42"), "get-order")
    assert (trade.provider_id, trade.status, trade.provider_status) == ("42", TradeStatus.OPEN, "1")
    assert (trade.market, trade.side, trade.kind) == ("BTCUSDC", Side.SELL, TradeKind.LIMIT)
    assert (trade.volume, trade.filled, trade.rate) == (Decimal(2), Decimal("0.5"), Decimal("100.5"))
    assert (trade.average_rate, trade.commission) == (Decimal("100.5"), Decimal("0.0005"))
    assert (trade.created_at, trade.done_at) == (NOW, None)
    assert trade.warnings == ()


def test_open_trades_are_listed(adapter: EmirexAdapter) -> None:
    page = documented(adapter, adapter.list_open_trades(Query()), "orders")
    assert [(trade.provider_id, trade.status) for trade in page.items] == [("42", TradeStatus.OPEN)]
    assert page.next is None


def test_finished_trades_are_listed_by_the_page_until_an_empty_one(adapter: EmirexAdapter) -> None:
    first, last = cassette("emirex", "history", BASE)
    page = replay(adapter, adapter.list_trade_history(Query()), [first])
    assert [(trade.provider_id, trade.status, trade.filled) for trade in page.items] == [
        ("41", TradeStatus.FILLED, Decimal(2)),
        ("40", TradeStatus.CANCELLED, Decimal(0)),
    ]
    assert page.items[0].done_at == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)
    assert page.next is not None
    operation = adapter.list_trade_history(Query(cursor=page.next))
    end, [request] = carry_out(adapter, operation, last.response)
    assert request.json == {"page": 2, "limit": 100, "format_number": 1}
    assert (end.items, end.next) == ((), None)


def test_history_that_starts_over_is_noticed(adapter: EmirexAdapter) -> None:
    rows = listed({"id": 5, "status": 2})
    page, _ = carry_out(adapter, adapter.list_trade_history(Query(size=1)), rows)
    with pytest.raises(MalformedResponse, match="starts over"):
        carry_out(adapter, adapter.list_trade_history(Query(size=1, cursor=page.next)), rows)


@pytest.mark.parametrize("cursor", ["", "2", "x:5", "-1:5", "²:5"])
def test_a_foreign_cursor_is_refused(adapter: EmirexAdapter, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        next(adapter.list_trade_history(Query(cursor=cursor)))


@pytest.mark.parametrize("name", ["list_open_trades", "list_trade_history"])
@pytest.mark.parametrize(
    "whole", [{"status": True, "data": [{"id": 5, "status": 2}]}, [{"id": 5, "status": 2}]], ids=["data", "whole"]
)
def test_bare_arrays_are_lists_too(adapter: EmirexAdapter, name: str, whole: Any) -> None:
    page, _ = carry_out(adapter, PRIVATE[name](adapter), answer(whole))
    assert [trade.provider_id for trade in page.items] == ["5"]


@pytest.mark.parametrize(
    "word, status",
    [(0, "pending"), (1, "open"), (2, "filled"), (3, "cancelled"), ("2", "filled")],
)
def test_statuses_of_trades(adapter: EmirexAdapter, word: Any, status: str) -> None:
    data = {"id": "7", "status": word}
    trade, _ = carry_out(adapter, adapter.get_trade("7"), answer({"status": True, "data": data}))
    assert (trade.status.value, trade.provider_status, trade.warnings) == (status, str(word), ())


@pytest.mark.parametrize("number, kind", list(enumerate(TradeKind)))
def test_kinds_of_trades(adapter: EmirexAdapter, number: int, kind: TradeKind) -> None:
    data = {"id": "7", "status": 1, "type": 0, "type_trade": number}
    trade, _ = carry_out(adapter, adapter.get_trade("7"), answer({"status": True, "data": data}))
    assert (trade.kind, trade.side, trade.warnings) == (kind, Side.BUY, ())


def test_unknown_words_are_kept_and_warned_about(adapter: EmirexAdapter) -> None:
    data = {"id": "7", "status": 9, "type": 2, "type_trade": "iceberg", "pair": "BTCUSDC"}
    trade, _ = carry_out(adapter, adapter.get_trade("7"), answer({"status": True, "data": data}))
    assert (trade.status, trade.provider_status) == (TradeStatus.UNRECOGNISED, "9")
    assert (trade.side, trade.kind) == (None, None)
    assert trade.warnings == ("unknown status '9'", "unknown type '2'", "unknown type_trade 'iceberg'")


@pytest.mark.parametrize("time", [None, 0, "0", "", "yesterday", 10**15, {"date": 1}])
def test_a_time_of_a_trade_that_cannot_be_read_stays_in_raw(adapter: EmirexAdapter, time: Any) -> None:
    data = {"id": "7", "status": 1, "time_create": time}
    trade, _ = carry_out(adapter, adapter.get_trade("7"), answer({"status": True, "data": data}))
    assert trade.created_at is None
    assert trade.raw["data"]["time_create"] == time


def test_numbers_of_trades_are_exact_as_numbers_and_as_texts(adapter: EmirexAdapter) -> None:
    text = (
        '{"status": true, "data": {"id": 7, "status": 1, "volume": 0.1000000000000000000000000000000001, '
        '"volume_done": "1e-18", "rate": 12345678901234567890.5, "rate_done": 0, "commission": "0.00"}}'
    )
    trade, _ = carry_out(adapter, adapter.get_trade("7"), answer(text))
    assert trade.volume == Decimal("0.1000000000000000000000000000000001")
    assert trade.filled == Decimal("0.000000000000000001")
    assert trade.rate == Decimal("12345678901234567890.5")
    assert (trade.average_rate, trade.commission) == (Decimal(0), Decimal(0))


# Keys


def test_keys_are_verified_by_a_private_read(adapter: EmirexAdapter) -> None:
    assert documented(adapter, adapter.verify_key(), "balances") is None
    with pytest.raises(AuthenticationFailed):
        carry_out(adapter, adapter.verify_key(), answer({"status": False, "error": "no"}, 401))


# Failures


def test_a_business_error(adapter: EmirexAdapter) -> None:
    [refused] = cassette("emirex", "incorrect-pair", BASE)
    failure = adapter.read_failure(refused.response)
    assert failure is not None
    assert (failure.kind, failure.message, failure.code) == (InvalidRequest, "Incorrect pair", None)


def test_a_framework_error(adapter: EmirexAdapter) -> None:
    [refused] = cassette("emirex", "framework-error", BASE)
    failure = adapter.read_failure(refused.response)
    assert failure is not None
    assert (failure.kind, failure.code) == (InvalidRequest, "0")
    assert failure.message == "Missing required parameters: pair"


def test_the_html_of_an_unknown_path_is_left_to_the_engine(adapter: EmirexAdapter) -> None:
    [lost] = cassette("emirex", "unknown-path", BASE)
    assert lost.response.status == 404
    assert adapter.read_failure(lost.response) is None


@pytest.mark.parametrize(
    "status, kind",
    [
        (200, InvalidRequest),
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (403, PermissionDenied),
        (404, NotFound),
        (409, Conflict),
        (418, InvalidRequest),
        (429, RateLimited),
        (500, ProviderUnavailable),
        (503, ProviderUnavailable),
    ],
)
def test_errors_by_status(adapter: EmirexAdapter, status: int, kind: type[GatewayError]) -> None:
    for body in (
        {"status": False, "error": "no"},
        {"name": "No", "message": "no", "code": 0, "status": status if status != 200 else 400},
    ):
        failure = adapter.read_failure(answer(body, status))
        assert failure is not None
        assert (failure.kind, failure.message) == (kind, "no")


def test_a_success_whose_body_says_otherwise_goes_by_its_body(adapter: EmirexAdapter) -> None:
    body = {"name": "Unauthorized", "message": "wrong key", "code": None, "status": 401}
    failure = adapter.read_failure(answer(body))
    assert failure is not None
    assert (failure.kind, failure.code) == (AuthenticationFailed, None)


@pytest.mark.parametrize("error", [None, "", {"pair": "no"}])
def test_an_error_without_a_text_is_still_one(adapter: EmirexAdapter, error: Any) -> None:
    failure = adapter.read_failure(answer({"status": False, "error": error}, 400))
    assert failure is not None
    assert failure.message == "no reason given"


@pytest.mark.parametrize(
    "response",
    [
        html(404),
        html(502),
        answer("", 500),
        answer("[]"),
        answer('{"error": "no"}', 400),
        answer('{"status": 400}', 400),
        answer('{"status": "false", "error": "no"}', 400),
        answer({"status": True, "data": {}, "message": "fine"}),
    ],
)
def test_what_is_not_the_vendors_error_is_not_taken_for_one(adapter: EmirexAdapter, response: Any) -> None:
    assert adapter.read_failure(response) is None


# Answers that are not as known

EVERY_OPERATION: dict[str, Callable[[EmirexAdapter], Operation[Any]]] = {
    "symbols": lambda adapter: adapter.list_markets(Query()),
    "ticker": lambda adapter: adapter.get_ticker("BTC/USDC"),
    "book": lambda adapter: adapter.get_book("BTC/USDC", None),
    "trades": lambda adapter: adapter.list_public_trades("BTC/USDC"),
    "create-order-limit": PRIVATE["create_trade"],
    "get-order": PRIVATE["get_trade"],
    "orders": PRIVATE["list_open_trades"],
    "history": PRIVATE["list_trade_history"],
    "balances": PRIVATE["list_wallets"],
}
NEEDED = {
    "symbols": ["pair", "base", "quote"],
    "ticker": ["last"],
    "book": ["buy", "sell"],
    "trades": ["rate", "volume", "timestamp"],
    "create-order-limit": ["id"],
    "get-order": ["id", "status"],
    "orders": ["id", "status"],
    "history": ["id", "status"],
    "balances": ["currency", "balances"],
}


def rows_of(whole: dict[str, Any]) -> list[dict[str, Any]]:
    data = whole["data"]
    if isinstance(data, dict) and "list" in data:
        data = data["list"]
    return data if isinstance(data, list) else [data]


@pytest.mark.parametrize("name, field", [(name, field) for name, fields in NEEDED.items() for field in fields])
def test_a_missing_field_is_malformed(adapter: EmirexAdapter, name: str, field: str) -> None:
    whole = decode_json(cassette("emirex", name, BASE)[0].response.content)
    for row in rows_of(whole):
        del row[field]
    with pytest.raises(ValidationError):
        carry_out(adapter, EVERY_OPERATION[name](adapter), answer(whole))


@pytest.mark.parametrize("name", NEEDED)
def test_only_the_needed_fields_are_enough_and_further_ones_are_kept(adapter: EmirexAdapter, name: str) -> None:
    whole = decode_json(cassette("emirex", name, BASE)[0].response.content)
    for row in rows_of(whole):
        for field in set(row) - set(NEEDED[name]):
            del row[field]
        row["novelty"] = 1
    result, _ = carry_out(adapter, EVERY_OPERATION[name](adapter), answer(whole))
    for item in getattr(result, "items", (result,)):
        assert item.raw.get("data", item.raw)["novelty"] == 1


@pytest.mark.parametrize("name", EVERY_OPERATION)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "<!DOCTYPE html><p>maintenance</p>",
        '{"status": true, "data": {"id"',
        "null",
        "7",
        '{"status": true}',
        '{"data": {}}',
        '{"status": "true", "data": {}}',
        '{"status": 1, "data": {}}',
        '{"status": true, "data": null}',
        '{"status": true, "data": "x"}',
        '{"status": true, "data": {"list": {}}, "x": 1}',
    ],
)
def test_an_answer_without_the_envelope_is_malformed(adapter: EmirexAdapter, name: str, content: str) -> None:
    with pytest.raises((Malformed, ValidationError)):
        carry_out(adapter, EVERY_OPERATION[name](adapter), answer(content))


@pytest.mark.parametrize("content", ["", "[]", "null", '{"data": {}}', '{"status": "true"}'])
def test_a_cancellation_needs_its_status(adapter: EmirexAdapter, content: str) -> None:
    with pytest.raises(Malformed):
        carry_out(adapter, adapter.cancel_trade("42"), answer(content))


@pytest.mark.parametrize("total", [True, None, "much", [], "NaN", "1e400"])
def test_an_amount_that_is_none_is_malformed(adapter: EmirexAdapter, total: Any) -> None:
    row = {"currency": {"iso3": "BTC"}, "balances": {"total": total, "available": 0}}
    with pytest.raises(ValidationError):
        carry_out(adapter, adapter.list_wallets(Query()), listed(row))


# The table


def test_the_provider_is_registered_as_known() -> None:
    found: list[Provider] = []
    gateway_register_providers(found.append)
    assert found == [PROVIDER]
    assert (PROVIDER.name, PROVIDER.settles_to, PROVIDER.rate_limit) == ("emirex", Settlement.MERCHANT, None)


def test_every_operation_and_variant_is_declared_with_its_reason() -> None:
    declared = {(row.operation, row.variant) for row in PROVIDER.capabilities.rows}
    assert declared == {(op.name, variant) for op in OPERATIONS.values() for variant in op.variants}
    for row in PROVIDER.capabilities.rows:
        assert row.source
        assert row.support is Support.SUPPORTED or (row.reason and row.instead), row
        assert (row.support is Support.ABSENT) == (row.grade is Grade.ABSENT)


def test_the_public_side_is_graded_c_and_the_private_one_i() -> None:
    rows = [row for row in PROVIDER.capabilities.rows if row.support is not Support.ABSENT]
    grades = {f"{row.operation}:{row.variant}".rstrip(":"): row.grade.value for row in rows}
    assert grades == {
        "wallets.list:custodial": "I",
        "markets.list": "C",
        "markets.ticker": "C",
        "markets.book": "C",
        "markets.trades": "C",
        "trades.create:limit": "I",
        "trades.create:market": "I",
        "trades.cancel": "I",
        "trades.get": "I",
        "trades.open": "I",
        "trades.history": "I",
        "keys.issue": "D",
        "keys.verify": "I",
        "keys.revoke": "D",
    }


def test_what_is_supported_is_implemented_and_nothing_else(adapter: EmirexAdapter) -> None:
    for operation in OPERATIONS.values():
        offered = bool(PROVIDER.capabilities.variants(operation.name))
        assert hasattr(adapter, operation.method) == offered, operation.name
    for protocol in (
        contracts.ListsWallets,
        contracts.ListsMarkets,
        contracts.ReadsTickers,
        contracts.ReadsBooks,
        contracts.ListsPublicTrades,
        contracts.CreatesTrades,
        contracts.CancelsTrades,
        contracts.ReadsTrades,
        contracts.ListsOpenTrades,
        contracts.ListsTradeHistory,
        contracts.VerifiesKeys,
    ):
        assert isinstance(adapter, protocol)


def test_what_is_not_offered_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(UnsupportedOperation, match="another provider"):
        PROVIDER.capabilities.require("orders.create", "coin")
    with pytest.raises(UnsupportedOperation, match="gateway keys guide create"):
        PROVIDER.capabilities.require("keys.issue")
    with pytest.raises(UnverifiedOperation, match=r"trades\.get"):
        PROVIDER.capabilities.require("trades.get")
    assert PROVIDER.capabilities.require("markets.ticker").grade is Grade.CLIENT
