"""The Aurpay sandbox, against what is known of the provider: access, orders, callbacks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import time_machine

from gateway.addresses import check_address
from gateway.exchange import decode_json, encode_json
from gateway.testing.sandbox import NotInSandbox, Payment, SandboxClock, SandboxError, SandboxOrder
from gateway_aurpay.sandbox import AurpaySandbox, WithdrawCall
from sandboxes.asgi_client import AsgiClient, decoded
from sandboxes.aurpay_client import DATE, KEY, LOGIN, THEN, USDT, Aurpay, data, refused, status

BASE = "http://127.0.0.1:8000/aurpay"


@pytest.fixture
def aurpay() -> Aurpay:
    return Aurpay()


def signature_headers(method: str, target: str, body: bytes = b"", date: str | None = None) -> dict[str, str]:
    """Written out from the recipe, not with the sandbox's own function."""
    now = datetime.now(UTC)
    date = date or f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
    text = f"HMAC-SHA256 | {date} | {method} {target}"
    headers = {"API-Token": "sandbox-aurpay-api-token", "Algorithm": "HMAC-SHA256", "Date": date}
    if body:
        headers["Body-MD5"] = hashlib.md5(body).hexdigest()
        text += f" | {headers['Body-MD5']}"
    digest = hmac.new(b"test-secret", text.encode(), hashlib.sha256).digest()
    return {**headers, "Signature": base64.b64encode(digest).decode()}


class TestAccount:
    @pytest.mark.parametrize(
        ("flavour", "auth"),
        [
            ("api-key", {"kind": "api-key", "api_key": KEY}),
            ("login", {"kind": "login", "username": "merchant@shop.example", "password": "sandbox-aurpay-password"}),
            (
                "signature",
                {
                    "kind": "signature",
                    "api_token": "sandbox-aurpay-api-token",
                    "api_secret": "sandbox-aurpay-api-secret",
                },
            ),
        ],
    )
    def test_settings_of_every_flavour(self, flavour: Any, auth: dict[str, str]) -> None:
        assert AurpaySandbox(auth=flavour).account(BASE) == {
            "provider": "aurpay",
            "environment": "sandbox",
            "base_url": BASE,
            "allow_inferred": ["currencies.list", "wallets.list"],
            "auth": auth,
            "callback": {"token": "sandbox-aurpay-callback-token", "secret": "sandbox-aurpay-callback-secret"},
        }

    def test_settings_say_how_a_balance_is_withdrawn(self) -> None:
        account = AurpaySandbox(withdraw=WithdrawCall(path="/api/v2/out", address="to")).account(BASE)
        assert account["allow_inferred"] == ["currencies.list", "wallets.list", "withdrawals.create:address"]
        assert account["withdraw"] == {
            "path": "/api/v2/out",
            "amount": "amount",
            "amount_as": "number",
            "currency": "currency",
            "chain": "chain",
            "address": "to",
        }

    def test_an_unknown_coin_is_refused_at_once(self) -> None:
        with pytest.raises(SandboxError, match="no coin 'DOGE'"):
            AurpaySandbox(balances={"DOGE": "1"})


class TestApiKey:
    @pytest.mark.parametrize("headers", [{}, {"API-Key": ""}, {"API-Key": "wrong"}, {"API-Key": "ключ".encode()}])
    def test_missing_or_wrong_is_401_inside_200(self, headers: dict[str, Any]) -> None:
        client = AsgiClient(AurpaySandbox().app, headers)
        refused(client.get("/api/v2/order/"), 401, "API-Key")

    def test_every_call_but_the_login_needs_one(self) -> None:
        stranger = AsgiClient(AurpaySandbox().app)
        for path in (
            "v2/order/ v2/order/detail/1 v2/order/refund-info/1 v2/tx v2/wallet/ v2/wallet/self-custody "
            "order/pay/real-currency order/pay/crypto-currency bln/balance"
        ).split():
            refused(stranger.get(f"/api/{path}"), 401, "missing")
        for path in "order/pay-url order/pay-info bln/order bln/withdraw v2/order/refund/1".split():
            refused(stranger.post(f"/api/{path}", {}), 401, "missing")


class TestLogin:
    def key(self, client: AsgiClient) -> str:
        answer = data(client.post("/api/plugin/key/aurpay", LOGIN, headers={}))
        assert answer.keys() == {"access_token", "expire"}
        assert answer["expire"] == 86400
        return str(answer["access_token"])

    def reads(self, aurpay: Aurpay, key: str) -> Any:
        return aurpay.get("/api/v2/order/", headers={"API-Key": key})

    def test_the_key_is_a_jwt_and_lives_a_day_by_the_sandbox_clock(self, aurpay: Aurpay) -> None:
        key = self.key(AsgiClient(aurpay.sandbox.app))
        header, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in key.split("."))
        assert decode_json(header) == {"alg": "HS256", "typ": "JWT"}
        assert decode_json(claims).keys() == {"sub", "iat", "exp"}
        # What counts is `expire`: as in the sample, the token's own end lies far later.
        assert decode_json(claims)["exp"] > decode_json(claims)["iat"] + 86400
        aurpay.sandbox.clock.advance(86390)
        assert data(self.reads(aurpay, key))["total"] == 0
        aurpay.sandbox.clock.advance(11)
        refused(self.reads(aurpay, key), 401, "expired")
        assert data(self.reads(aurpay, self.key(aurpay)))["total"] == 0

    def test_forgotten_logins_are_refused_and_the_next_key_is_another(self, aurpay: Aurpay) -> None:
        key = self.key(aurpay)
        aurpay.sandbox.forget_logins()
        refused(self.reads(aurpay, key), 401, "expired")
        renewed = self.key(aurpay)
        assert renewed != key
        assert data(self.reads(aurpay, renewed))["total"] == 0
        assert data(self.reads(aurpay, KEY))["total"] == 0

    @pytest.mark.parametrize(
        ("body", "code", "says"),
        [
            ({"username": "merchant@shop.example", "password": "guessed"}, 401, "wrong"),
            ({"username": "somebody", "password": "sandbox-aurpay-password"}, 401, "wrong"),
            ({"username": "merchant@shop.example"}, 400, "password is required"),
            ({"username": 7, "password": "x"}, 400, "username must be a string"),
        ],
    )
    def test_wrong_credentials(self, aurpay: Aurpay, body: Any, code: int, says: str) -> None:
        refused(aurpay.post("/api/plugin/key/aurpay", body), code, says)


class TestSignature:
    @pytest.fixture
    def client(self) -> AsgiClient:
        return AsgiClient(AurpaySandbox(api_secret="test-secret").app)

    @pytest.mark.parametrize(
        ("method", "target", "body", "md5", "signature"),
        [
            ("GET", "/api/v2/order/?page=1&size=10", b"", None, "Fl78Dtc3Bwg7dEnGIJ03r5allO4Tqz5o9Cp5wBI3gVA="),
            (
                "POST",
                "/api/order/pay-url",
                b'{"price":20,"currency":"USD"}',
                "b52cb7f16470cec0fa014afd926973a7",
                "jKoPZKUm0KnBESuamHFhHXDM8g0bKWDJL313rbhmLUM=",
            ),
        ],
    )
    def test_the_check_values_are_accepted(
        self, client: AsgiClient, method: str, target: str, body: bytes, md5: str | None, signature: str
    ) -> None:
        headers = {"API-Token": "sandbox-aurpay-api-token", "Algorithm": "HMAC-SHA256", "Date": DATE}
        headers["Signature"] = signature
        if md5 is not None:
            headers |= {"Body-MD5": md5, "Content-Type": "application/json"}
        with time_machine.travel(THEN):
            data(client.request(method, target, headers=headers, content=body))
            damaged = headers | {"Signature": "A" + signature[1:]}
            refused(client.request(method, target, headers=damaged, content=body), 401, "Signature")

    def test_an_empty_body_md5_is_accepted_where_there_is_no_body(self, client: AsgiClient) -> None:
        headers = signature_headers("GET", "/api/v2/tx") | {"Body-MD5": ""}
        assert data(client.get("/api/v2/tx", headers=headers))["total"] == 0

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"API-Token": "another"}, "API-Token"),
            ({"Algorithm": "HMAC-SHA1"}, "Algorithm"),
            ({"Signature": ""}, "Signature"),
            ({"Body-MD5": hashlib.md5(b"").hexdigest()}, "Body-MD5"),
            ({"Date": "Thu, 02 Jan 2025 03:04:05 GMT"}, "Date must be like"),
            ({"Date": "2025-01-02T03:04:05Z"}, "Date must be like"),
            ({"Date": "2025-13-02T03:04:05.678Z"}, "Date must be like"),
            ({"Date": DATE}, "too far"),
        ],
    )
    def test_a_wrong_header_is_401(self, client: AsgiClient, change: dict[str, str], says: str) -> None:
        refused(client.get("/api/v2/tx", headers=signature_headers("GET", "/api/v2/tx") | change), 401, says)

    def test_every_header_is_needed(self, client: AsgiClient) -> None:
        for name in ("API-Token", "Algorithm", "Date", "Signature"):
            headers = signature_headers("GET", "/api/v2/tx")
            del headers[name]
            refused(client.get("/api/v2/tx", headers=headers), 401, "")

    @pytest.mark.parametrize(("minutes", "accepted"), [(-6, False), (-4, True), (4, True), (6, False)])
    def test_a_date_is_fresh_for_five_minutes_of_real_time(
        self, client: AsgiClient, minutes: int, accepted: bool
    ) -> None:
        headers = signature_headers("GET", "/api/v2/tx", date=DATE)
        with time_machine.travel(THEN + timedelta(minutes=minutes)):
            answer = client.get("/api/v2/tx", headers=headers)
        assert decoded(answer)["code"] == (0 if accepted else 401)

    def test_the_sandbox_clock_does_not_make_a_date_stale(self) -> None:
        sandbox = AurpaySandbox(api_secret="test-secret")
        sandbox.clock.advance(3600)
        answer = AsgiClient(sandbox.app).get("/api/v2/tx", headers=signature_headers("GET", "/api/v2/tx"))
        assert decoded(answer)["code"] == 0

    def test_query_method_and_body_are_covered(self, client: AsgiClient) -> None:
        path, body = "/api/order/pay-url", encode_json({"price": 20, "currency": "USD"})
        signed = {**signature_headers("POST", path, body), "Content-Type": "application/json"}
        assert "pay_url" in data(client.request("POST", path, headers=signed, content=body))
        refused(client.request("POST", path, headers=signed, content=body + b" "), 401, "Body-MD5")
        without = {name: value for name, value in signed.items() if name != "Body-MD5"}
        refused(client.request("POST", path, headers=without, content=body), 401, "Body-MD5")
        unqueried = signature_headers("GET", "/api/v2/order/")
        refused(client.get("/api/v2/order/?page=1&size=10", headers=unqueried), 401, "Signature")
        refused(client.get("/api/v2/tx", headers=signature_headers("POST", "/api/v2/tx")), 401, "Signature")

    def test_an_upper_case_md5_is_refused(self, client: AsgiClient) -> None:
        path, body = "/api/order/pay-url", encode_json({"price": 20, "currency": "USD"})
        headers = {**signature_headers("POST", path, body), "Content-Type": "application/json"}
        headers["Body-MD5"] = headers["Body-MD5"].upper()
        refused(client.request("POST", path, headers=headers, content=body), 401, "Body-MD5")


class TestEnvelope:
    def test_result_can_be_missing(self) -> None:
        aurpay = Aurpay(with_result=False)
        assert decoded(aurpay.get("/api/bln/balance")) == {"code": 0, "message": "ok", "data": {"balance": "0.05"}}
        assert decoded(aurpay.get("/api/v2/order/detail/1")).keys() == {"code", "message", "data"}

    def test_the_text_of_an_error_can_be_in_msg(self) -> None:
        aurpay = Aurpay(error_field="msg")
        answer = decoded(aurpay.get("/api/v2/order/detail/1"))
        assert answer == {"code": 404, "msg": "order not found", "data": None, "result": False}
        assert data(aurpay.get("/api/bln/balance")) == {"balance": "0.05"}

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/api/v2/order", 404),
            ("GET", "/api/v2/tx/", 404),
            ("GET", "/api/v2/wallet", 404),
            ("GET", "/api/order/pay-url", 405),
            ("GET", "/api/v2/order/refund/1", 405),
            ("POST", "/api/v2/order/cancel/1", 404),
            ("POST", "/api/v2/wallet/withdraw", 404),
        ],
    )
    def test_other_paths_and_methods_do_not_exist(self, aurpay: Aurpay, method: str, path: str, status: int) -> None:
        assert aurpay.request(method, path).status_code == status


class TestBodies:
    @pytest.mark.parametrize(
        ("content", "kind", "says"),
        [
            (b'{"price":20,"currency":"USD"}', "text/plain", "Content-Type"),
            (b'{"price":20,"currency":"USD"}', "", "Content-Type"),
            (b"price=20", "application/json", "not JSON"),
            (b"", "application/json", "not JSON"),
            (b"[]", "application/json", "object"),
        ],
    )
    def test_only_json_objects(self, aurpay: Aurpay, content: bytes, kind: str, says: str) -> None:
        answer = aurpay.request("POST", "/api/order/pay-url", content=content, headers={"Content-Type": kind})
        refused(answer, 400, says)
        assert aurpay.sandbox.orders() == []

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"vs_price": "18"}, "vs_price must be a number"),
            ({"vs_price": True}, "vs_price must be a number"),
            ({"vs_price": None}, "vs_price must be a number"),
            ({"vs_price": 0}, "out of range"),
            ({"vs_price": -1}, "out of range"),
            ({"vs_price": 10**12}, "out of range"),
            ({"vs_price": Decimal("1E-19")}, "out of range"),
            ({"vs_price": 10**96}, "not a number"),
            ({"vs_currency": "ZZZ"}, "unsupported vs_currency"),
            ({"vs_currency": "usd"}, "unsupported vs_currency"),
            ({"currency": "USDT-SOL"}, "unsupported currency"),
            ({"currency": "USDT-ERC20"}, "unsupported currency"),
            ({"chain": "BLN", "currency": "BTC-LN"}, "unsupported currency"),
            ({"chain": ""}, "chain is required"),
            ({"callback_url": 5}, "callback_url must be a string"),
            ({"succeed_url": None}, "succeed_url must be a string"),
            ({"enable_post_callback": 1}, "enable_post_callback must be a boolean"),
            ({"fixed_encrypt_price": "true"}, "fixed_encrypt_price must be a boolean"),
            ({"succend_url": "https://shop.example/"}, "unknown field succend_url"),
        ],
    )
    def test_a_field_that_is_wrong(self, aurpay: Aurpay, change: dict[str, Any], says: str) -> None:
        refused(aurpay.post("/api/order/pay-info", USDT | change), 400, says)
        assert aurpay.sandbox.orders() == []

    def test_every_documented_field_is_required_or_optional(self, aurpay: Aurpay) -> None:
        for path, body in (
            ("/api/order/pay-info", USDT),
            ("/api/order/pay-url", {"price": 1, "currency": "USD"}),
            ("/api/bln/order", {"price": 1, "currency": "USD"}),
        ):
            for name in body:
                missing = {key: value for key, value in body.items() if key != name}
                refused(aurpay.post(path, missing), 400, f"{name} is required")
            urls = dict.fromkeys(
                ["succeed_url", "timeout_url", "callback_url", "timeout_callback"], "https://s.example/"
            )
            data(aurpay.post(path, body | urls))
        refused(aurpay.post("/api/bln/order", {"price": 1, "currency": "USD", "enable_post_callback": True}), 400, "")


class TestCoinOrder:
    def test_the_answer(self, aurpay: Aurpay) -> None:
        answer = aurpay.usdt()
        now = datetime.now(UTC)
        assert re.fullmatch(r"20\d{18}", answer["order_id"])
        assert answer["order_id"].startswith(f"{now:%Y%m%d}")
        assert abs(datetime.fromisoformat(answer["create_time"] + "Z") - now) < timedelta(seconds=10)
        assert answer == {
            "order_id": answer["order_id"],
            "status": "PENDING",
            "amount": Decimal("18.007203"),  # at the made-up rate 0.9996, rounded up
            "create_time": answer["create_time"],
            "vs_currency": "USD",
            "vs_price": 18,
            "address": answer["address"],
            "contract_addr": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
            "pay_url": f"http://sandbox.invalid/#/cashier/{answer['order_id']}",
        }

    def test_an_amount_is_a_json_number_and_exact(self, aurpay: Aurpay) -> None:
        body = {"chain": "BTC", "currency": "BTC", "vs_currency": "IDR", "vs_price": Decimal("0.1")}
        content = aurpay.post("/api/order/pay-info", body).content
        assert b'"amount":0.00000001,' in content
        assert b'"vs_price":0.1,' in content

    @pytest.mark.parametrize(
        ("coin", "network"),
        [
            ("ETH ETH", "ethereum"),
            ("ETH DAI-ERC20", "ethereum"),
            ("TRX TRX", "tron"),
            ("BTC BTC", "bitcoin"),
            ("BNB BNB", "bsc"),
        ],
    )
    def test_addresses_are_of_their_chain_and_of_one_order(self, aurpay: Aurpay, coin: str, network: str) -> None:
        chain, currency = coin.split()
        addresses = {aurpay.usdt(chain=chain, currency=currency)["address"] for _ in range(2)}
        assert len(addresses) == 2
        for address in addresses:
            assert check_address(address, network, environment="sandbox").verdict.value == "valid"

    def test_a_fixed_price_counts_stablecoins_as_dollars(self, aurpay: Aurpay) -> None:
        assert aurpay.usdt(fixed_encrypt_price=True)["amount"] == 18
        assert aurpay.usdt(fixed_encrypt_price=True, vs_currency="EUR")["amount"] == Decimal("19.8")
        assert aurpay.usdt(fixed_encrypt_price=True, chain="TRX", currency="TRX")["amount"] == 144

    def test_numbers_are_never_given_twice(self, aurpay: Aurpay) -> None:
        with time_machine.travel(THEN, tick=False):
            numbers = [aurpay.usdt()["order_id"] for _ in range(3)]
        assert numbers == ["20250102030405678000", "20250102030405678001", "20250102030405678002"]

    def test_details(self, aurpay: Aurpay) -> None:
        order = aurpay.usdt()
        before = aurpay.details(order["order_id"])
        assert before == {
            "user_id": before["user_id"],
            "order_id": order["order_id"],
            "order_type": "ORDER",
            "platform": before["platform"],
            "status": "PENDING",
            "chain": "TRX",
            "chain_name": "Tron",
            "currency": "USDT-TRC20",
            "amount": "18.007203",
            "vs_price": "18",
            "vs_currency": "USD",
            "remark": "",
            "refund": False,
            "bind_id": None,
            "create_time": order["create_time"],
            "update_time": order["create_time"],
            "tx_id": before["tx_id"],
            "tx_type": before["tx_type"],
            "obtained": None,
            "fee": "0.144057624",  # 0.8 %
            "from_addr": "",
            "to_addr": order["address"],
            "tx_hash": None,
            "tx_hash_list": [],
            "contract_id": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
            "website": "",
        }
        assert re.fullmatch(r"mct-[0-9a-f]{12}", before["user_id"])
        assert str(uuid.UUID(before["tx_id"])) == before["tx_id"]
        aurpay.sandbox.pay(order["order_id"])
        after = aurpay.details(order["order_id"])
        assert (after["status"], after["obtained"], after["refund"]) == ("SUCCESS", "18.007203", True)
        assert after["tx_hash_list"] == [after["tx_hash"]]
        assert check_address(after["from_addr"], "tron", environment="sandbox").verdict.value == "valid"

    def test_times_can_be_of_another_zone(self) -> None:
        aurpay = Aurpay(zone=timezone(timedelta(hours=8)))
        with time_machine.travel(THEN):
            assert aurpay.usdt()["create_time"] == "2025-01-02T11:04:05"

    def test_unknown_order(self, aurpay: Aurpay) -> None:
        refused(aurpay.get("/api/v2/order/detail/20240426103947614609"), 404, "not found")


class TestPaying:
    def test_exactly(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt()["order_id"]
        assert aurpay.sandbox.orders() == [SandboxOrder(number, "PENDING", Decimal(18), "USD")]
        aurpay.sandbox.pay(number)
        assert aurpay.sandbox.orders() == [SandboxOrder(number, "SUCCESS", Decimal(18), "USD")]
        # 1000 at the beginning; the fee is a sample value.
        assert aurpay.balances()["USDT-TRC20"] == 1000 + Decimal("18.007203") * Decimal("0.992")
        with pytest.raises(SandboxError, match="SUCCESS and cannot be paid"):
            aurpay.sandbox.pay(number)

    def test_too_little_and_then_the_rest(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt()["order_id"]
        aurpay.sandbox.pay(number, Payment.UNDER)
        assert (status(aurpay, number), aurpay.details(number)["obtained"]) == ("PARTIAL", "16.206482")
        aurpay.sandbox.clock.advance(3600)
        assert status(aurpay, number) == "PARTIAL"
        with pytest.raises(SandboxError, match="cannot be late"):
            aurpay.sandbox.pay(number, Payment.LATE)
        aurpay.sandbox.pay(number)
        details = aurpay.details(number)
        assert (details["status"], details["obtained"], len(details["tx_hash_list"])) == ("SUCCESS", "18.007203", 2)

    def test_too_little_and_accepted(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt()["order_id"]
        with pytest.raises(SandboxError, match="PENDING, not PARTIAL"):
            aurpay.sandbox.resolve(number)
        aurpay.sandbox.pay(number, Payment.UNDER)
        aurpay.sandbox.resolve(number)
        assert (status(aurpay, number), aurpay.details(number)["obtained"]) == ("RESOLVED", "16.206482")

    def test_too_much_shows_in_obtained(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt()["order_id"]
        aurpay.sandbox.pay(number, Payment.OVER)
        details = aurpay.details(number)
        assert (details["status"], details["amount"], details["obtained"]) == ("SUCCESS", "18.007203", "19.807924")

    def test_the_smallest_amount_cannot_be_underpaid(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt(vs_price=Decimal("0.0000001"))["order_id"]
        with pytest.raises(SandboxError, match="smallest"):
            aurpay.sandbox.pay(number, Payment.UNDER)
        assert status(aurpay, number) == "PENDING"

    def test_unpaid_after_half_an_hour_is_overdue_and_a_late_payment_makes_it_a_success(self) -> None:
        clock = SandboxClock()
        aurpay = Aurpay(clock=clock)
        with time_machine.travel(THEN, tick=False):
            number = aurpay.usdt()["order_id"]
            clock.advance(30 * 60 - 1)
            assert status(aurpay, number) == "PENDING"
            clock.advance(61)
            details = aurpay.details(number)
            assert (details["status"], details["update_time"]) == ("OVERDUE", "2025-01-02T03:34:05")
        aurpay.sandbox.pay(number)
        assert (status(aurpay, number), aurpay.details(number)["obtained"]) == ("SUCCESS", "18.007203")

    def test_paying_late_lets_the_time_run_out_first(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt(callback_url="https://s.example/done", timeout_callback="https://s.example/late")[
            "order_id"
        ]
        aurpay.sandbox.pay(number, Payment.LATE)
        assert status(aurpay, number) == "SUCCESS"
        assert [callback.url[-4:] for callback in aurpay.callbacks] == ["late", "done"]

    def test_expire_and_fail_are_for_pending_orders(self, aurpay: Aurpay) -> None:
        expired, cancelled = aurpay.usdt()["order_id"], aurpay.usdt()["order_id"]
        aurpay.sandbox.expire(expired)
        aurpay.sandbox.fail(cancelled)
        assert (status(aurpay, expired), status(aurpay, cancelled)) == ("OVERDUE", "TERMINATED")
        aurpay.sandbox.clock.advance(3600)
        assert status(aurpay, cancelled) == "TERMINATED"
        with pytest.raises(SandboxError, match="OVERDUE and cannot expire"):
            aurpay.sandbox.expire(expired)
        with pytest.raises(SandboxError, match="TERMINATED and cannot be cancelled"):
            aurpay.sandbox.fail(cancelled)
        with pytest.raises(SandboxError, match="TERMINATED and cannot be paid"):
            aurpay.sandbox.pay(cancelled)
        with pytest.raises(NotInSandbox):
            aurpay.sandbox.pay("20240426103947614609")

    @pytest.mark.parametrize("word", ["SUCCEED", "succeed"])
    def test_success_can_be_spelled_otherwise(self, word: str) -> None:
        aurpay = Aurpay(success_word=word)
        number = aurpay.usdt()["order_id"]
        aurpay.sandbox.pay(number)
        assert status(aurpay, number) == aurpay.sandbox.orders()[0].status == word
        assert data(aurpay.get("/api/v2/order/"))["data"][0]["status"] == word


class TestHostedPage:
    ASKED: ClassVar = {
        "price": Decimal("20.5"),
        "currency": "EUR",
        "callback_url": "https://s.example/cb",
        "enable_post_callback": True,
    }

    def test_an_order_with_its_number_has_no_coin_until_one_is_chosen(self, aurpay: Aurpay) -> None:
        answer = data(aurpay.post("/api/order/pay-url", self.ASKED))
        number = answer["order_id"]
        assert answer == {"order_id": number, "pay_url": f"http://sandbox.invalid/#/cashier/{number}"}
        details = aurpay.details(number)
        assert (details["status"], details["vs_price"], details["vs_currency"]) == ("PENDING", "20.5", "EUR")
        assert [details[name] for name in ("chain", "chain_name", "currency", "amount")] == [None] * 4
        assert aurpay.sandbox.choose(number, "ETH") == number
        assert aurpay.details(number)["amount"] == "0.00902"
        with pytest.raises(SandboxError, match="cannot be chosen any more"):
            aurpay.sandbox.choose(number, "BTC")

    def test_paying_chooses_the_usual_coin(self) -> None:
        aurpay = Aurpay(payer_coin="BTC")
        number = data(aurpay.post("/api/order/pay-url", self.ASKED))["order_id"]
        aurpay.sandbox.pay(number, Payment.LATE)
        assert (status(aurpay, number), aurpay.details(number)["currency"]) == ("SUCCESS", "BTC")

    def test_without_a_number_there_is_no_order_before_the_payer_chooses(self) -> None:
        aurpay = Aurpay(pay_url_has_order_id=False)
        answer = data(aurpay.post("/api/order/pay-url", self.ASKED))
        assert answer == {"pay_url": "http://sandbox.invalid/#/cashier/checkout-1"}
        assert aurpay.sandbox.orders() == [SandboxOrder("checkout-1", "PENDING", Decimal("20.5"), "EUR")]
        assert data(aurpay.get("/api/v2/order/"))["total"] == 0
        refused(aurpay.get("/api/v2/order/detail/checkout-1"), 404, "not found")
        with pytest.raises(SandboxError, match="nobody has chosen"):
            aurpay.sandbox.resolve("checkout-1")
        aurpay.sandbox.clock.advance(3600)
        aurpay.sandbox.pay("checkout-1")
        # The number is first learned from the POST callback.
        (callback,) = aurpay.callbacks
        number = decode_json(callback.body)["order_id"]
        assert callback.order == number
        assert aurpay.sandbox.orders() == [
            SandboxOrder(name, "SUCCESS", Decimal("20.5"), "EUR") for name in ("checkout-1", number)
        ]
        assert (status(aurpay, number), aurpay.details(number)["vs_price"]) == ("SUCCESS", "20.5")
        with pytest.raises(SandboxError, match="SUCCESS and cannot be paid"):
            aurpay.sandbox.pay("checkout-1")

    def test_a_checkout_can_expire_fail_and_be_chosen_on_lightning(self) -> None:
        aurpay = Aurpay(pay_url_has_order_id=False)
        for _ in range(3):
            data(aurpay.post("/api/order/pay-url", self.ASKED | {"timeout_callback": "https://s.example/late"}))
        aurpay.sandbox.expire("checkout-1")
        aurpay.sandbox.fail("checkout-2")
        number = aurpay.sandbox.choose("checkout-3", "BTC-LN")
        with pytest.raises(SandboxError, match="chosen already"):
            aurpay.sandbox.choose("checkout-3", "BTC")
        by_name = {order.id: order.status for order in aurpay.sandbox.orders()}
        assert [by_name[f"checkout-{i}"] for i in (1, 2, 3)] == ["OVERDUE", "TERMINATED", "PENDING"]
        assert [callback.url for callback in aurpay.callbacks] == ["https://s.example/late"]
        assert aurpay.details(number)["chain"] == "BLN"


class TestCallbacks:
    URL = "https://shop.example/cb?orderNo=1"

    def test_the_check_value_of_the_signature(self) -> None:
        aurpay = Aurpay(callback_secret="test-secret")
        with time_machine.travel(THEN, tick=False):
            aurpay.sandbox.pay(aurpay.usdt(callback_url=self.URL)["order_id"])
        (callback,) = aurpay.callbacks
        assert callback.headers == {
            "Api-Key": KEY,
            "Callback-Token": "sandbox-aurpay-callback-token",
            "Date": DATE,
            "Signature": "wUZTkcl2tutQ47Jeeam4HnIUWnU9SS/5+MrpgnE5v/A=",
        }

    def test_get_without_any_data_by_default(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt(callback_url=self.URL, timeout_callback="https://shop.example/late")["order_id"]
        aurpay.sandbox.pay(number)
        (callback,) = aurpay.callbacks
        assert (callback.method, callback.url, callback.body, callback.order) == ("GET", self.URL, b"", number)

    def test_post_with_the_order(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt(callback_url=self.URL, enable_post_callback=True)["order_id"]
        aurpay.sandbox.pay(number)
        (callback,) = aurpay.callbacks
        assert (callback.method, callback.headers["Content-Type"]) == ("POST", "application/json")
        body = decode_json(callback.body)
        assert body == aurpay.details(number)
        assert (body["status"], body["obtained"]) == ("SUCCESS", "18.007203")

    def test_the_timeout_has_an_address_of_its_own(self, aurpay: Aurpay) -> None:
        number = aurpay.usdt(
            callback_url=self.URL, timeout_callback="https://shop.example/late", enable_post_callback=True
        )["order_id"]
        aurpay.sandbox.clock.advance(1801)
        aurpay.sandbox.tick()
        aurpay.sandbox.tick()
        (callback,) = aurpay.callbacks
        assert (callback.method, callback.url) == ("POST", "https://shop.example/late")
        assert decode_json(callback.body)["status"] == "OVERDUE"
        aurpay.sandbox.pay(number)
        assert [callback.url for callback in aurpay.callbacks] == ["https://shop.example/late", self.URL]

    def test_lightning_orders_have_only_get(self, aurpay: Aurpay) -> None:
        paid, expired = (
            aurpay.lightning(callback_url=self.URL, timeout_callback="https://shop.example/late")["order_id"]
            for _ in range(2)
        )
        aurpay.sandbox.pay(paid)
        aurpay.sandbox.expire(expired)
        assert [(callback.method, callback.url) for callback in aurpay.callbacks] == [
            ("GET", self.URL),
            ("GET", "https://shop.example/late"),
        ]

    def test_none_without_an_address_a_completion_or_a_timeout(self, aurpay: Aurpay) -> None:
        silent = aurpay.usdt()["order_id"]
        aurpay.sandbox.pay(silent)
        urls = {"callback_url": self.URL, "timeout_callback": self.URL}
        cancelled, partly = aurpay.usdt(**urls)["order_id"], aurpay.usdt(**urls)["order_id"]
        aurpay.sandbox.fail(cancelled)
        aurpay.sandbox.pay(partly, Payment.UNDER)
        assert aurpay.callbacks == []
        aurpay.sandbox.resolve(partly)
        assert [callback.order for callback in aurpay.callbacks] == [partly]
        decoded(aurpay.post(f"/api/v2/order/refund/{partly}"))
        aurpay.sandbox.complete_refund(partly)
        assert len(aurpay.callbacks) == 1

    def test_the_key_is_shown_only_in_the_api_key_flavour(self) -> None:
        signature, login = Aurpay(auth="signature"), Aurpay(auth="login")
        token = data(login.post("/api/plugin/key/aurpay", LOGIN))["access_token"]
        for aurpay in (signature, login):
            aurpay.sandbox.pay(aurpay.usdt(callback_url=self.URL)["order_id"])
        assert "Api-Key" not in signature.callbacks[0].headers
        assert login.callbacks[0].headers["Api-Key"] == token

    @pytest.mark.parametrize("flavour", ["api-key", "signature"])
    def test_a_forged_one_has_the_right_address_and_body_and_no_right_proof(self, flavour: str) -> None:
        aurpay = Aurpay(auth=flavour, callback_secret="test-secret")
        aurpay.sandbox.pay(aurpay.usdt(callback_url=self.URL, enable_post_callback=True)["order_id"])
        (genuine,) = aurpay.callbacks
        forged = aurpay.sandbox.forged(genuine)
        assert (forged.method, forged.url, forged.body, forged.order) == (
            *("POST", self.URL, genuine.body),
            genuine.order,
        )
        assert forged.headers.keys() == genuine.headers.keys()
        for name in {"Api-Key", "Callback-Token"} & genuine.headers.keys():
            assert forged.headers[name] != genuine.headers[name]
        for callback, good in ((genuine, True), (forged, False)):
            text = f"{callback.headers['Date']} | {callback.url}"
            proof = base64.b64encode(hmac.new(b"test-secret", text.encode(), hashlib.sha256).digest()).decode()
            assert (callback.headers["Signature"] == proof) is good
