"""The Emirex sandbox, against what is known of the exchange and of its sister product."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from gateway.exchange import encode_json
from gateway.testing.sandbox import NotInSandbox, Payment, SandboxClock, SandboxError
from gateway_emirex.sandbox import EmirexSandbox
from gateway_emirex.sandbox.exchange import Market
from sandboxes.asgi_client import AsgiClient, decoded

KEY, SECRET = "emirex-sandbox-public-key", "emirex-sandbox-secret"
LIMIT, MARKET, STOP_LIMIT, QUICK_MARKET, HIDDEN_LIMIT = range(5)
BUY, SELL = 0, 1
JSON = {"Content-Type": "application/json"}
numbers = itertools.count(1_700_000_000_000_000)


@pytest.fixture
def sandbox() -> EmirexSandbox:
    return EmirexSandbox()


@pytest.fixture
def client(sandbox: EmirexSandbox) -> AsgiClient:
    return AsgiClient(sandbox.app)


def data(response: Any) -> Any:
    body = decoded(response)
    assert response.status_code == 200, body
    assert response.headers["content-type"] == "application/json"
    assert body["status"] is True
    return body.get("data")


def refused(response: Any, error: str) -> None:
    """The exchange's own error."""
    assert response.status_code == 400, response.text
    assert decoded(response) == {"status": False, "error": error}


def bad(response: Any, message: str) -> None:
    """The framework's error."""
    assert response.status_code == 400, response.text
    assert decoded(response) == {"name": "Bad Request", "message": message, "code": 0, "status": 400}


def signed(values: Mapping[str, object], secret: str) -> str:
    """For flat bodies, written here once more: the values by the order of their keys, and the secret."""
    text = "".join(str(values[key]) for key in sorted(values))
    return hashlib.sha256((text + secret).encode()).hexdigest()


def call(client: AsgiClient, path: str, *, key: str = KEY, secret: str = SECRET, **values: object) -> Any:
    """A private call with a good signature, and the next `request_id` unless one is given."""
    body = {"request_id": str(next(numbers)), **values}
    headers = {"login-token": key, "X-Auth-Sign": signed(body, secret)}
    return client.post(f"/private/{path}", body, headers=headers)


def place(client: AsgiClient, side: int, rate: str | None, volume: str, kind: int | None = None, **more: object) -> int:
    if kind is None:
        kind = MARKET if rate is None else LIMIT
    values = {"type_trade": kind, "type": side, "volume": volume, "pair": "BTCUSDC", **more}
    if rate is not None:
        values["rate"] = rate
    return int(data(call(client, "create-order", **values))["id"])


def order(client: AsgiClient, number: int) -> Any:
    return data(call(client, "get-order", order_id=str(number)))


def balances(client: AsgiClient) -> dict[str, tuple[Decimal, Decimal]]:
    """Total and available of each currency."""
    rows = data(call(client, "balances"))["list"]
    assert all(row.keys() == {"currency", "balances"} and row["currency"].keys() == {"iso3"} for row in rows)
    return {row["currency"]["iso3"]: (row["balances"]["total"], row["balances"]["available"]) for row in rows}


def book(client: AsgiClient, query: str = "") -> Any:
    return data(client.get(f"/public/book?pair=BTCUSDC{query}"))


class TestPublic:
    def test_symbols(self, client: AsgiClient) -> None:
        symbols = data(client.get("/public/symbols"))
        assert [row["pair"] for row in symbols] == ["BTCUSDC", "ETHUSDC", "ETHBTC"]
        assert symbols[0] == {
            "id": 1,
            "pair": "BTCUSDC",
            "base": "BTC",
            "quote": "USDC",
            "rate_decimal": 2,
            "base_decimal": 6,
            "quote_decimal": 8,
        }

    def test_the_ticker_has_texts_and_a_cyrillic_letter(self, client: AsgiClient) -> None:
        answer = client.get("/public/ticker?pair=BTCUSDC")
        ticker = data(answer)
        assert "percent_\u0441hange".encode() in answer.content
        assert ticker == {
            "id": 1,
            "pair": "BTCUSDC",
            "last": "60000",
            "open": "59940.00",
            "close": "60000",
            "high": "60120.00",
            "low": "59940.00",
            "volume_24H": "0.0030",
            "min_trade": "0.0001",
            "percent_\u0441hange": "0.10",
        }

    def test_a_ticker_forgets_after_a_day(self) -> None:
        clock = SandboxClock()
        client = AsgiClient(EmirexSandbox(clock).app)
        clock.advance(5 * 3600)  # the first of the trades is 25 hours old
        ticker = data(client.get("/public/ticker?pair=BTCUSDC"))
        assert (ticker["open"], ticker["last"], ticker["volume_24H"]) == ("60120.00", "60000", "0.0020")
        clock.advance(24 * 3600)
        ticker = data(client.get("/public/ticker?pair=BTCUSDC"))
        assert (ticker["open"], ticker["last"], ticker["volume_24H"]) == ("60000", "60000", "0")

    def test_the_book_has_numbers_best_first(self, client: AsgiClient) -> None:
        answer = book(client)
        assert answer.keys() == {"buy", "sell", "sequenceId"}
        assert isinstance(answer["sequenceId"], int)
        bids, asks = [[level["rate"] for level in answer[side]] for side in ("buy", "sell")]
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
        assert answer["buy"][0] == {"volume": Decimal("0.5"), "rate": 59940, "count": 1}
        short = book(client, "&limit=2")
        assert (short["buy"], short["sell"]) == (answer["buy"][:2], answer["sell"][:2])
        for limit in ("0", "-1", "two"):
            refused(client.get(f"/public/book?pair=BTCUSDC&limit={limit}"), "Incorrect limit")

    def test_trades_are_numbers_newest_first(self, client: AsgiClient) -> None:
        place(client, SELL, None, "0.25")
        trades = data(client.get("/public/trades?pair=BTCUSDC"))
        assert trades[0].keys() == {"volume", "rate", "price", "timestamp", "type"}
        assert (trades[0]["volume"], trades[0]["rate"], trades[0]["type"]) == (Decimal("0.25"), 59940, "SELL")
        assert all(trade["price"] == trade["rate"] * trade["volume"] for trade in trades)
        times = [trade["timestamp"] for trade in trades]
        assert times == sorted(times, reverse=True)
        assert all(isinstance(at, int) for at in times)

    @pytest.mark.parametrize("path", ["ticker", "book", "trades"])
    def test_pairs(self, client: AsgiClient, path: str) -> None:
        assert data(client.get(f"/public/{path}?pair=btcusdc")) == data(client.get(f"/public/{path}?pair=BTCUSDC"))
        for pair in ("BTC_USDC", "BTC/USDC", "USDCBTC", ""):
            refused(client.get(f"/public/{path}?pair={pair}"), "Incorrect pair")
        bad(client.get(f"/public/{path}"), "Missing required parameters: pair")

    @pytest.mark.parametrize("path", ["/public/nothing", "/public/symbols/", "/private/withdraw", "/", "/v2/public"])
    def test_an_unknown_path_is_a_page(self, client: AsgiClient, path: str) -> None:
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.text.startswith("<!DOCTYPE html>")

    def test_a_wrong_method_is_an_error_of_the_framework(self, client: AsgiClient) -> None:
        for answer in (client.post("/public/symbols", {}), client.get("/private/balances")):
            assert answer.status_code == 405
            assert decoded(answer)["status"] == 405


class TestSignatures:
    @pytest.mark.parametrize(
        "path, content, signature",
        [
            (
                "get-order",
                b'{"order_id":"42","request_id":"1700000000000000"}',
                "b2b4b3a8e5b9e10c6d454818170b2da6f386ceda43917c451a1821fb9f554163",
            ),
            (
                "create-order",
                b'{"request_id":"1700000000000000","type_trade":0,"type":1,"rate":"100.5","volume":"2","pair":"BTCUSDC"}',
                "e15b32c43f897bb46fd0d26dfd83f66466ae50c753a4090aca8967ed0f421796",
            ),
        ],
    )
    def test_check_values(self, path: str, content: bytes, signature: str) -> None:
        def send(signature: str) -> Any:
            sandbox = EmirexSandbox(secret="secret", balances={"BTC": Decimal(1)})
            headers = {**JSON, "login-token": KEY, "X-Auth-Sign": signature}
            return AsgiClient(sandbox.app).request("POST", f"/private/{path}", content=content, headers=headers)

        # Both signatures are right: what is refused then is the order itself.
        refused(send(signature), "Incorrect order_id" if path == "get-order" else "Insufficient balance")
        refused(send(signature.upper()), "Incorrect X-Auth-Sign")
        refused(send(signature[:-1] + ("0" if signature[-1] != "0" else "1")), "Incorrect X-Auth-Sign")
        refused(send(""), "Incorrect X-Auth-Sign")

    def test_covers_the_text_that_was_sent(self, client: AsgiClient) -> None:
        def send(rate: str, signed_rate: str) -> Any:
            number = str(next(numbers))
            values = f'"pair":"BTCUSDC","rate":{rate},"request_id":"{number}","type":0,"type_trade":0,"volume":0.010'
            text = f"BTCUSDC{signed_rate}{number}000.010{SECRET}"
            headers = {**JSON, "login-token": KEY, "X-Auth-Sign": hashlib.sha256(text.encode()).hexdigest()}
            content = f"{{{values}}}".encode()
            return client.request("POST", "/private/create-order", content=content, headers=headers)

        assert order(client, data(send("100.50", "100.50"))["id"])["rate"] == Decimal("100.5")
        refused(send("100.50", "100.5"), "Incorrect X-Auth-Sign")
        refused(send("1e2", "100"), "Incorrect X-Auth-Sign")

    def test_sorts_keys_recursively(self, client: AsgiClient) -> None:
        number = str(next(numbers))
        body = {"z": {"b": [2, "x"], "a": "1"}, "request_id": number, "m": 3}
        text = f"3{number}12x{SECRET}"
        headers = {"login-token": KEY, "X-Auth-Sign": hashlib.sha256(text.encode()).hexdigest()}
        data(client.post("/private/balances", body, headers=headers))

    def test_another_secret_or_another_body_is_refused(self, client: AsgiClient) -> None:
        refused(call(client, "balances", secret="another"), "Incorrect X-Auth-Sign")
        number = str(next(numbers))
        headers = {"login-token": KEY, "X-Auth-Sign": signed({"request_id": number}, SECRET)}
        refused(
            client.post("/private/balances", {"request_id": number, "x": 1}, headers=headers), "Incorrect X-Auth-Sign"
        )
        data(client.post("/private/balances", {"request_id": number}, headers=headers))

    @pytest.mark.parametrize("key", ["", "unknown", KEY.upper()])
    def test_an_unknown_key_is_refused(self, client: AsgiClient, key: str) -> None:
        refused(call(client, "balances", key=key), "Incorrect login-token")
        refused(client.post("/private/balances", {"request_id": str(next(numbers))}), "Incorrect login-token")

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b'"text"', b'{"request_id":null}', b'{"a":true}', b"[" * 100000]
    )
    def test_a_body_is_an_object_of_texts_and_numbers(self, client: AsgiClient, content: bytes) -> None:
        answer = client.request("POST", "/private/balances", content=content, headers={**JSON, "login-token": KEY})
        bad(answer, "The body is not a JSON object of texts and numbers")

    def test_a_body_is_sent_as_json(self, client: AsgiClient) -> None:
        body = {"request_id": str(next(numbers))}
        headers = {"login-token": KEY, "X-Auth-Sign": signed(body, SECRET), "Content-Type": "text/plain"}
        answer = client.request("POST", "/private/balances", content=encode_json(body), headers=headers)
        bad(answer, "Content-Type must be application/json")


class TestRequestNumbers:
    def test_grow_for_each_key(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.add_key("second", "other-secret")
        data(call(client, "balances", request_id="1700000000000010"))
        for stale in ("1700000000000010", "1700000000000009"):
            refused(call(client, "balances", request_id=stale), "Incorrect request_id")
        data(call(client, "balances", key="second", secret="other-secret", request_id="1700000000000009"))
        data(call(client, "balances", request_id="1700000000000011"))

    def test_a_number_is_used_up_by_a_refused_call_and_not_by_a_wrong_signature(self, client: AsgiClient) -> None:
        refused(call(client, "balances", request_id="1800000000000000", secret="wrong"), "Incorrect X-Auth-Sign")
        refused(call(client, "get-order", request_id="1800000000000000", order_id="1"), "Incorrect order_id")
        refused(call(client, "balances", request_id="1800000000000000"), "Incorrect request_id")

    @pytest.mark.parametrize("number", [1_700_000_000_000_000, "1700000000000", "17000000000000000", "", "soon"])
    def test_microseconds_as_text(self, client: AsgiClient, number: object) -> None:
        refused(call(client, "balances", request_id=number), "Incorrect request_id")

    def test_is_required(self, client: AsgiClient) -> None:
        headers = {"login-token": KEY, "X-Auth-Sign": signed({}, SECRET)}
        bad(client.post("/private/balances", {}, headers=headers), "Missing required parameters: request_id")


class TestKeys:
    def test_settings_lead_to_the_sandbox(self, sandbox: EmirexSandbox) -> None:
        account = sandbox.account("http://127.0.0.1:8000/emirex/")
        assert account["base_url"] == "http://127.0.0.1:8000/emirex"
        assert (account["provider"], account["environment"]) == ("emirex", "sandbox")
        assert account["auth"] == {"kind": "signed", "public_key": KEY, "secret": SECRET}
        assert {"wallets.list", "trades.create"} <= set(account["allow_inferred"])
        sandbox.add_key("second", "other-secret")
        sandbox.delete_key(KEY)
        assert sandbox.account("http://127.0.0.1")["auth"]["public_key"] == "second"
        sandbox.delete_key("second")
        with pytest.raises(SandboxError, match="deleted"):
            sandbox.account("http://127.0.0.1")

    def test_permissions(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.add_key("reader", "r", permissions={"read"})
        sandbox.add_key("trader", "t", permissions={"trade"})
        data(call(client, "balances", key="reader", secret="r"))
        for path in ("create-order", "delete-order"):
            refused(call(client, path, key="reader", secret="r"), "The key has no permission to trade")
        for path in ("balances", "orders", "history", "get-order"):
            refused(call(client, path, key="trader", secret="t"), "The key has no permission to read")
        bad(call(client, "delete-order", key="trader", secret="t"), "Missing required parameters: order_id")

    def test_trusted_addresses(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.add_key("elsewhere", "e", trusted_ips={"192.0.2.1"})
        sandbox.add_key("here", "h", trusted_ips={"127.0.0.1"})
        refused(call(client, "balances", key="elsewhere", secret="e"), "Access from this IP address is not allowed")
        data(call(client, "balances", key="here", secret="h"))

    def test_a_deleted_key_is_unknown(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.delete_key(KEY)
        refused(call(client, "balances"), "Incorrect login-token")

    def test_the_calls_of_each_key_are_counted(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.add_key("second", "s", permissions={"read"})
        data(call(client, "balances"))
        refused(call(client, "delete-order", key="second", secret="s"), "The key has no permission to trade")
        refused(call(client, "balances", key="second", secret="wrong"), "Incorrect X-Auth-Sign")
        data(call(client, "balances", key="second", secret="s"))
        assert (sandbox.calls_of(KEY), sandbox.calls_of("second")) == (1, 2)
        with pytest.raises(SandboxError, match="no such key"):
            sandbox.calls_of("never")

    def test_edited_keys(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.add_key("second", "s", permissions={"read"})
        cancel = "Missing required parameters: order_id"
        refused(call(client, "delete-order", key="second", secret="s"), "The key has no permission to trade")
        sandbox.edit_key("second", permissions={"trade"}, trusted_ips={"127.0.0.1"})
        bad(call(client, "delete-order", key="second", secret="s"), cancel)
        refused(call(client, "balances", key="second", secret="s"), "The key has no permission to read")
        sandbox.edit_key("second", permissions={"read", "trade"}, trusted_ips={"192.0.2.1"})
        refused(call(client, "balances", key="second", secret="s"), "Access from this IP address is not allowed")
        sandbox.edit_key("second", permissions={"read"}, trusted_ips=None)
        data(call(client, "balances", key="second", secret="s"))
        # Its numbers go on, and the account's other key is as it was.
        refused(
            call(client, "balances", key="second", secret="s", request_id="1700000000000000"), "Incorrect request_id"
        )
        bad(call(client, "delete-order"), cancel)

    def test_all_keys_are_deleted_at_once(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.add_key("second", "s")
        sandbox.delete_all_keys()
        refused(call(client, "balances"), "Incorrect login-token")
        refused(call(client, "balances", key="second", secret="s"), "Incorrect login-token")
        sandbox.delete_all_keys()
        sandbox.add_key(KEY, SECRET)
        data(call(client, "balances"))

    def test_control_refuses_nonsense(self, sandbox: EmirexSandbox) -> None:
        with pytest.raises(SandboxError, match="exists"):
            sandbox.add_key(KEY, "x")
        with pytest.raises(SandboxError, match="permission"):
            sandbox.add_key("new", "x", permissions={"everything"})
        with pytest.raises(SandboxError, match="permission"):
            sandbox.edit_key(KEY, permissions={"everything"}, trusted_ips=None)
        with pytest.raises(SandboxError, match="no such key"):
            sandbox.edit_key("new", permissions={"read"}, trusted_ips=None)
        with pytest.raises(SandboxError, match="no such key"):
            sandbox.delete_key("new")


class TestOrders:
    def test_a_limit_order_rests_and_holds_its_money(self, client: AsgiClient) -> None:
        before = book(client)["sequenceId"]
        number = place(client, BUY, "59000.50", "0.1")
        shown = order(client, number)
        created = shown.pop("time_create")
        assert isinstance(created, int)
        assert shown == {
            "id": number,
            "status": 1,
            "volume": Decimal("0.1"),
            "volume_done": 0,
            "rate": Decimal("59000.5"),
            "rate_done": 0,
            "pair": "BTCUSDC",
            "type": BUY,
            "type_trade": LIMIT,
            "time_done": None,
            "commission": 0,
        }
        assert data(call(client, "orders"))["list"] == [{**shown, "time_create": created}]
        assert balances(client)["USDC"] == (10000, Decimal("4099.95"))
        level = {"volume": Decimal("0.1"), "rate": Decimal("59000.5"), "count": 1}
        after = book(client)
        assert level in after["buy"]
        assert after["sequenceId"] > before

    def test_levels_add_up(self, client: AsgiClient) -> None:
        place(client, SELL, "61200.00", "0.25")
        place(client, SELL, "61200", "0.125")
        place(client, SELL, "61200", "0.1", HIDDEN_LIMIT)
        assert book(client)["sell"][-1] == {"volume": Decimal("100.375"), "rate": 61200, "count": 3}

    def test_a_crossing_limit_order_fills_at_the_rates_of_the_book(
        self, sandbox: EmirexSandbox, client: AsgiClient
    ) -> None:
        sandbox.set_book("BTCUSDC", [], [(Decimal(50000), Decimal("0.02")), (Decimal(50010), Decimal("0.02"))])
        number = place(client, BUY, "50005", "0.05")
        shown = order(client, number)
        assert (shown["status"], shown["volume_done"], shown["rate_done"]) == (1, Decimal("0.02"), 50000)
        assert shown["commission"] == Decimal("0.00002")
        assert balances(client) == {
            "USDC": (9000, Decimal("7499.85")),
            "BTC": (Decimal("1.01998"), Decimal("1.01998")),
            "ETH": (10, 10),
        }
        assert [level["rate"] for level in book(client)["sell"]] == [50010]
        assert book(client)["buy"] == [{"volume": Decimal("0.03"), "rate": 50005, "count": 1}]

        sandbox.fill(number)
        shown = order(client, number)
        assert (shown["status"], shown["volume_done"], shown["rate_done"]) == (2, Decimal("0.05"), 50003)
        assert shown["time_done"] >= shown["time_create"]
        assert balances(client)["USDC"] == (Decimal("7499.85"), Decimal("7499.85"))
        assert balances(client)["BTC"] == (Decimal("1.04995"), Decimal("1.04995"))

    @pytest.mark.parametrize("kind", [MARKET, QUICK_MARKET])
    def test_a_market_order_walks_the_book(self, client: AsgiClient, kind: int) -> None:
        number = place(client, SELL, None, "0.75", kind)
        shown = order(client, number)
        assert (shown["status"], shown["type_trade"], shown["volume_done"]) == (2, kind, Decimal("0.75"))
        value = Decimal("0.5") * 59940 + Decimal("0.25") * 59880
        assert shown["rate_done"] == value / Decimal("0.75")
        assert shown["commission"] == value / 1000
        assert balances(client)["USDC"] == (10000 + value - value / 1000,) * 2
        assert balances(client)["BTC"] == (Decimal("0.25"), Decimal("0.25"))
        assert book(client)["buy"][0] == {"volume": Decimal("0.75"), "rate": 59880, "count": 1}

    def test_the_oldest_of_one_rate_comes_first(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.set_book("BTCUSDC", [(Decimal(50000), Decimal(1))], [])
        later = place(client, BUY, "50000", "0.1")
        place(client, SELL, None, "0.9")
        assert order(client, later)["volume_done"] == 0

    def test_own_orders_meet(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        sandbox.set_book("BTCUSDC")
        resting = place(client, SELL, "50000", "0.1")
        taking = place(client, BUY, "50001", "0.1")
        assert [order(client, number)["status"] for number in (resting, taking)] == [2, 2]
        assert balances(client)["USDC"] == (9995, 9995)  # the two commissions are gone
        assert balances(client)["BTC"] == (Decimal("0.9999"), Decimal("0.9999"))

    def test_no_commission_when_told_so(self) -> None:
        client = AsgiClient(EmirexSandbox(commission_rate=Decimal(0)).app)
        assert order(client, place(client, SELL, None, "0.5"))["commission"] == 0
        assert balances(client)["USDC"] == (39970, 39970)

    @pytest.mark.parametrize(
        "value", [{"rate": Decimal("59000.5"), "volume": Decimal("0.1")}, {"volume": 1, "rate": 1}]
    )
    def test_amounts_may_be_numbers(self, client: AsgiClient, value: dict[str, object]) -> None:
        values = {"type_trade": "0", "type": "0", "pair": "btcusdc", **value}
        shown = order(client, data(call(client, "create-order", **values))["id"])
        assert (shown["rate"], shown["volume"]) == (value["rate"], value["volume"])

    def test_more_than_there_is_is_refused_and_changes_nothing(
        self, sandbox: EmirexSandbox, client: AsgiClient
    ) -> None:
        before = sandbox.ledger(), book(client)
        values = {"type_trade": LIMIT, "type": BUY, "rate": "50000", "volume": "0.200001", "pair": "BTCUSDC"}
        refused(call(client, "create-order", **values), "Insufficient balance")
        values |= {"type": SELL, "rate": "70000", "volume": "1.000001"}
        refused(call(client, "create-order", **values), "Insufficient balance")
        values |= {"type": SELL, "type_trade": MARKET, "volume": "1.5"}
        refused(call(client, "create-order", **values), "Insufficient balance")
        values |= {"type": BUY, "type_trade": MARKET, "volume": "0.2"}
        refused(call(client, "create-order", **values), "Insufficient balance")
        sandbox.credit("BTC", Decimal(1000))
        values |= {"type": SELL, "type_trade": MARKET, "volume": "500"}
        refused(call(client, "create-order", **values), "Not enough orders in the book")
        after = sandbox.ledger()
        assert after["movements"].pop()["kind"] == "credit"
        after["balances"]["BTC"] = before[0]["balances"]["BTC"]
        assert (after, book(client)) == before

    def test_held_money_cannot_be_used_twice(self, client: AsgiClient) -> None:
        place(client, BUY, "50000", "0.15")
        values = {"type_trade": LIMIT, "type": BUY, "rate": "50000", "volume": "0.051", "pair": "BTCUSDC"}
        refused(call(client, "create-order", **values), "Insufficient balance")
        place(client, BUY, "50000", "0.05")
        assert balances(client)["USDC"] == (10000, 0)

    @pytest.mark.parametrize(
        "change, error",
        [
            ({"type_trade": STOP_LIMIT}, "Incorrect type_trade"),
            ({"type_trade": 5}, "Incorrect type_trade"),
            ({"type_trade": "limit"}, "Incorrect type_trade"),
            ({"type": 2}, "Incorrect type"),
            ({"type": "buy"}, "Incorrect type"),
            ({"pair": "BTC_USDC"}, "Incorrect pair"),
            ({"pair": 1}, "Incorrect pair"),
            ({"rate": "0"}, "Incorrect rate"),
            ({"rate": "-5"}, "Incorrect rate"),
            ({"rate": -5}, "Incorrect rate"),
            ({"rate": "100.505"}, "Incorrect rate"),
            ({"rate": "1e2"}, "Incorrect rate"),
            ({"rate": "1" * 30}, "Incorrect rate"),
            ({"volume": "0"}, "Incorrect volume"),
            ({"volume": "0.00009"}, "Incorrect volume"),
            ({"volume": "0.0100001"}, "Incorrect volume"),
            ({"volume": "1,5"}, "Incorrect volume"),
            ({"volume": 10**120}, "Incorrect volume"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, sandbox: EmirexSandbox, client: AsgiClient, change: dict[str, object], error: str
    ) -> None:
        values = {"type_trade": LIMIT, "type": BUY, "rate": "100.5", "volume": "0.01", "pair": "BTCUSDC"}
        refused(call(client, "create-order", **{**values, **change}), error)
        assert sandbox.ledger()["trades"] == []

    def test_fields_that_are_missing(self, client: AsgiClient) -> None:
        bad(call(client, "create-order", type=0), "Missing required parameters: type_trade, volume, pair")
        values = {"type_trade": LIMIT, "type": BUY, "volume": "0.01", "pair": "BTCUSDC"}
        bad(call(client, "create-order", **values), "Missing required parameters: rate")
        for path in ("get-order", "delete-order"):
            bad(call(client, path), "Missing required parameters: order_id")
            refused(call(client, path, order_id="7"), "Incorrect order_id")
            refused(call(client, path, order_id="seven"), "Incorrect order_id")

    def test_cancelling_releases(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        number = place(client, SELL, "65000", "0.4")
        sandbox.fill(number, Decimal("0.1"))
        assert balances(client)["BTC"] == (Decimal("0.9"), Decimal("0.6"))
        answer = call(client, "delete-order", order_id=str(number))
        assert (answer.status_code, decoded(answer)) == (200, {"status": True})
        assert balances(client)["BTC"] == (Decimal("0.9"), Decimal("0.9"))
        shown = order(client, number)
        assert (shown["status"], shown["volume_done"], shown["rate_done"]) == (3, Decimal("0.1"), 65000)
        assert data(call(client, "orders"))["list"] == []
        refused(call(client, "delete-order", order_id=number), "The order is finished")
        assert len(data(call(client, "history"))["list"]) == 1

    def test_hidden_orders_are_not_in_the_book_and_trade(self, client: AsgiClient) -> None:
        hidden = place(client, SELL, "59999", "0.1", HIDDEN_LIMIT)
        assert book(client)["sell"][0]["rate"] == 60060
        place(client, BUY, "60000", "0.1")
        assert order(client, hidden)["status"] == 2


class TestHistory:
    def test_pages_of_finished_orders(self, client: AsgiClient) -> None:
        made = [place(client, SELL, None, "0.01") for _ in range(5)]
        place(client, BUY, "50000", "0.01")

        def page(**values: object) -> list[int]:
            return [row["id"] for row in data(call(client, "history", format_number=1, **values))["list"]]

        assert page() == made[::-1]
        assert page(page=1, limit=2) == [made[4], made[3]]
        assert page(page="3", limit="2") == [made[0]]
        assert page(page=4, limit=2) == []
        refused(call(client, "history", page=0), "Incorrect page")
        refused(call(client, "history", limit=0), "Incorrect limit")
        refused(call(client, "history", page="first"), "Incorrect page")

    def test_integers_without_format_number(self, client: AsgiClient) -> None:
        number = place(client, SELL, None, "0.25")
        (formatted,) = data(call(client, "history", format_number=1))["list"]
        assert formatted == order(client, number)
        expected = {
            "volume": 25_000_000,
            "volume_done": 25_000_000,
            "rate": 0,
            "rate_done": 5_994_000_000_000,
            "commission": 1_498_500_000,
        }
        for more in ({}, {"format_number": 0}):
            (row,) = data(call(client, "history", **more))["list"]
            assert row == {**formatted, **expected}
            assert all(isinstance(row[name], int) for name in expected)


class TestControl:
    def test_nothing_can_be_paid(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        number = str(place(client, BUY, "50000", "0.1"))
        before = sandbox.ledger()
        for control in (lambda: sandbox.pay(number, Payment.EXACT), lambda: sandbox.expire(number)):
            with pytest.raises(SandboxError, match="payments"):
                control()
        with pytest.raises(SandboxError, match="payments"):
            sandbox.fail(number)
        assert sandbox.ledger() == before

    def test_orders_are_exchange_orders(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        first = place(client, BUY, "50000", "0.1")
        second = place(client, SELL, None, "0.2")
        shown = [(row.id, row.status, row.amount, row.currency) for row in sandbox.orders()]
        assert shown == [(str(first), "1", Decimal("0.1"), "BTC"), (str(second), "2", Decimal("0.2"), "BTC")]

    def test_filling(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        number = place(client, BUY, "50000", "0.1")
        sandbox.fill(number, Decimal("0.04"))
        assert (order(client, number)["status"], order(client, number)["volume_done"]) == (1, Decimal("0.04"))
        for volume in ("0.060001", "0", "-1", "0.0000001"):
            with pytest.raises(SandboxError, match=r"0\.06 BTC left"):
                sandbox.fill(number, Decimal(volume))
        sandbox.fill(str(number))
        assert order(client, number)["status"] == 2
        assert data(client.get("/public/trades?pair=BTCUSDC"))[0]["type"] == "SELL"
        with pytest.raises(SandboxError, match="finished"):
            sandbox.fill(number)
        for unknown in (7, "seven"):
            with pytest.raises(NotInSandbox):
                sandbox.fill(unknown)

    def test_books_and_credits_refuse_nonsense(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        place(client, SELL, "61000", "0.1")
        before = book(client)
        with pytest.raises(SandboxError, match="meet"):
            sandbox.set_book("BTCUSDC", [(Decimal(61000), Decimal(1))])
        with pytest.raises(SandboxError, match="Incorrect rate"):
            sandbox.set_book("BTCUSDC", [(Decimal("0.001"), Decimal(1))])
        with pytest.raises(SandboxError, match="no market"):
            sandbox.set_book("BTCEUR")
        with pytest.raises(SandboxError, match="currency"):
            sandbox.credit("EUR", Decimal(1))
        for amount in ("-1", "0.000000001", "NaN"):
            with pytest.raises(SandboxError, match="decimals"):
                sandbox.credit("BTC", Decimal(amount))
        with pytest.raises(SandboxError, match="8 decimals"):
            Market(9, "BTC", "USDC", 4, 6, 8, Decimal("0.1"), Decimal(60000))
        with pytest.raises(SandboxError, match="fraction"):
            EmirexSandbox(commission_rate=Decimal(1))
        assert book(client) == before
        sandbox.credit("BTC", Decimal("0.5"))
        assert balances(client)["BTC"] == (Decimal("1.5"), Decimal("1.4"))


class TestLedger:
    def test_movements_add_up(self, sandbox: EmirexSandbox, client: AsgiClient) -> None:
        place(client, SELL, None, "0.7")
        place(client, BUY, "60070", "0.3")
        resting = place(client, BUY, "59000", "0.123456")
        sandbox.fill(resting, Decimal("0.023456"))
        place(client, SELL, "3001.11", "1.000001", pair="ETHUSDC")
        data(call(client, "delete-order", order_id=resting))
        sandbox.credit("USDC", Decimal("0.00000001"))

        ledger = sandbox.ledger()
        for currency, balance in ledger["balances"].items():
            moved = [Decimal(row["amount"]) for row in ledger["movements"] if row["currency"] == currency]
            assert sum(moved) == Decimal(balance["total"])
            assert (Decimal(balance["total"]), Decimal(balance["available"])) == balances(client)[currency]
        for row in ledger["trades"]:
            kept = [Decimal(m["commission"]) for m in ledger["movements"] if m["order"] == row["id"]]
            assert sum(kept) == Decimal(row["commission"])
        # What the account gave away for what it got, at the rates of the book, is all that is missing.
        sold = Decimal("0.5") * 59940 + Decimal("0.2") * 59880
        bought = Decimal("0.3") * 60060 + Decimal("0.023456") * 59000
        assert Decimal(ledger["balances"]["USDC"]["total"]) == (
            10000 + sold * Decimal("0.999") - bought + Decimal("0.00000001")
        )
        assert ledger["balances"]["ETH"] == {"total": "10", "available": "8.999999"}

    def test_concurrent_orders_cannot_use_the_same_money(self) -> None:
        sandbox = EmirexSandbox(balances={"BTC": Decimal("0.3")})
        for count in range(6):
            sandbox.add_key(f"key{count}", "s")
        statuses: list[int] = []

        def sell(count: int) -> None:
            values = {"type_trade": LIMIT, "type": SELL, "rate": "70000", "volume": "0.1", "pair": "BTCUSDC"}
            answer = call(AsgiClient(sandbox.app), "create-order", key=f"key{count}", secret="s", **values)
            statuses.append(answer.status_code)

        threads = [threading.Thread(target=sell, args=(count,)) for count in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 200, 200, 400, 400, 400]
        assert sandbox.ledger()["balances"]["BTC"] == {"total": "0.3", "available": "0.0"}
