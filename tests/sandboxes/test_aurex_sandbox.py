"""The Aurex sandbox, against the vendor's documentation."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.testing.sandbox import NotInSandbox, Payment, SandboxClock, SandboxError
from gateway_aurex.sandbox import AurexSandbox
from sandboxes.asgi_client import AsgiClient, decoded

KEY, OTHER_KEY = "aurex-sandbox-key-one", "aurex-sandbox-key-two"
NO_KEY = {"success": False, "error": "Invalid or missing API key"}


@pytest.fixture
def sandbox() -> AurexSandbox:
    return AurexSandbox(wallet=Decimal(1000), rate_limit=False)


@pytest.fixture
def client(sandbox: AurexSandbox) -> AsgiClient:
    return client_of(sandbox)


def client_of(sandbox: AurexSandbox, key: str = KEY) -> AsgiClient:
    return AsgiClient(sandbox.app, {"Authorization": f"Bearer {key}"})


def data(response: Any) -> Any:
    body = decoded(response)
    assert response.status_code == 200, body
    assert response.headers["content-type"] == "application/json"
    assert body["success"] is True
    return body["data"]


def refused(response: Any, status: int, text: str) -> None:
    body = decoded(response)
    assert response.status_code == status, body
    assert body == {"success": False, "error": body["error"]}
    assert text in body["error"]


def user(client: AsgiClient) -> str:
    return str(data(client.post("/users", {"firstName": "Ada", "lastName": "Byron"}))["userId"])


def deposit(client: AsgiClient, user: str, amount: object = 100, currency: str = "USDT") -> Any:
    return data(client.post(f"/users/{user}/deposits", {"amount": amount, "currency": currency}))


def card(client: AsgiClient, user: str, initial: object = 100) -> Any:
    return data(client.post(f"/users/{user}/cards", {"cardName": "Travel", "initialBalance": initial}))


def wallet(client: AsgiClient, user: str) -> tuple[Decimal, Decimal, Decimal]:
    answer = data(client.get(f"/users/{user}/wallet"))
    assert answer.keys() == {"userId", "balance", "pendingBalance", "inCardsBalance", "currency"}
    assert (answer["userId"], answer["currency"]) == (user, "USD")
    return answer["balance"], answer["pendingBalance"], answer["inCardsBalance"]


class TestAccount:
    def test_settings_lead_to_the_sandbox(self, sandbox: AurexSandbox) -> None:
        account = sandbox.account("http://127.0.0.1:8000/aurex/")
        assert account == {
            "provider": "aurex",
            "environment": "sandbox",
            "base_url": "http://127.0.0.1:8000/aurex",
            "allow_inferred": ["keys.verify"],
            "auth": {"kind": "bearer", "api_key": KEY},
        }
        sandbox.revoke_key(KEY)
        assert sandbox.account("http://127.0.0.1")["auth"]["api_key"] == OTHER_KEY
        sandbox.revoke_key(OTHER_KEY)
        with pytest.raises(SandboxError, match="revoked"):
            sandbox.account("http://127.0.0.1")


class TestKeys:
    @pytest.mark.parametrize(
        "authorization", [None, "", "Bearer", "Bearer wrong", KEY, f"Basic {KEY}", f"Bearer  {KEY}", f"Bearer {KEY} x"]
    )
    def test_missing_wrong_or_malformed_is_401(self, sandbox: AurexSandbox, authorization: str | None) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = AsgiClient(sandbox.app, headers).post("/users", {"firstName": "Ada", "lastName": "B"})
        assert (answer.status_code, decoded(answer)) == (401, NO_KEY)
        assert sandbox.ledger()["users"] == []

    def test_every_call_needs_one(self, sandbox: AurexSandbox) -> None:
        stranger = AsgiClient(sandbox.app)
        for path in ("u", "u/wallet", "u/deposits", "u/cards", "u/cards/c", "u/cards/c/transactions", "u/otp"):
            assert stranger.get(f"/users/{path}").status_code == 401
        for path in ("", "/u/deposits", "/u/cards", "/u/cards/c/topup"):
            assert stranger.post(f"/users{path}", {}).status_code == 401

    def test_keys_share_the_account_and_a_revoked_one_loses_access_at_once(self, sandbox: AurexSandbox) -> None:
        first, second = client_of(sandbox), client_of(sandbox, OTHER_KEY)
        number = user(first)
        assert wallet(second, number) == (1000, 0, 0)
        sandbox.revoke_key(KEY)
        assert decoded(first.get(f"/users/{number}")) == NO_KEY
        assert wallet(second, number) == (1000, 0, 0)

    def test_control_refuses_nonsense(self, sandbox: AurexSandbox) -> None:
        with pytest.raises(SandboxError, match="exists"):
            sandbox.add_key(KEY)
        with pytest.raises(SandboxError, match="no such key"):
            sandbox.revoke_key("never")
        with pytest.raises(SandboxError, match="no such key"):
            sandbox.calls_of("never")
        with pytest.raises(SandboxError, match="markup"):
            sandbox.add_key("greedy", markup_percent=Decimal(95))
        assert client_of(sandbox, "greedy").get("/users/x").status_code == 401


class TestRateLimit:
    def test_the_calls_of_each_key_are_counted(self) -> None:
        sandbox = AurexSandbox(monotonic=lambda: 1000.0)
        first = client_of(sandbox)
        number = user(first)
        for _ in range(70):
            first.get(f"/users/{number}")
        assert client_of(sandbox, OTHER_KEY).get("/users/nobody").status_code == 404
        assert client_of(sandbox, "wrong").get(f"/users/{number}").status_code == 401
        assert [sandbox.calls_of(key) for key in (KEY, OTHER_KEY)] == [60, 1]

    def test_sixty_a_minute_for_each_key(self) -> None:
        now = [1000.0]
        sandbox = AurexSandbox(monotonic=lambda: now[0])
        first, second = client_of(sandbox), client_of(sandbox, OTHER_KEY)
        number = user(first)
        for _ in range(58):
            wallet(first, number)
        now[0] += 30
        wallet(first, number)
        answer = first.post("/users", {"firstName": "Too", "lastName": "Many"})
        refused(answer, 429, "Rate limit")
        assert "retry-after" not in answer.headers
        assert len(sandbox.ledger()["users"]) == 1
        wallet(second, number)
        now[0] += 30  # the first 59 are a minute old, the sixtieth is not
        for _ in range(59):
            wallet(first, number)
        refused(first.get(f"/users/{number}"), 429, "Rate limit")

    def test_can_be_switched_off(self, client: AsgiClient) -> None:
        number = user(client)
        for _ in range(70):
            data(client.get(f"/users/{number}"))

    def test_real_time_by_default(self) -> None:
        sandbox = AurexSandbox()
        client = client_of(sandbox)
        answers = [client.get("/users/none").status_code for _ in range(61)]
        assert answers == [404] * 60 + [429]


class TestRequests:
    def test_paths_are_exact(self, client: AsgiClient) -> None:
        number = user(client)
        refused(client.get(f"/users/{number}/"), 404, "Not found")
        refused(client.get(f"/api/users/{number}"), 404, "Not found")
        refused(client.get("/cards"), 404, "Not found")
        refused(client.get("/users"), 404, "Not found")
        refused(client.request("DELETE", f"/users/{number}"), 404, "Not found")

    @pytest.mark.parametrize(
        "content, kind, text",
        [
            (b'{"firstName":"Ada","lastName":"B"}', "text/plain", "Content-Type"),
            (b"firstName=Ada&lastName=B", "application/x-www-form-urlencoded", "Content-Type"),
            (b"", "application/json", "not JSON"),
            (b'{"firstName":"Ada"', "application/json", "not JSON"),
            (b'["Ada","B"]', "application/json", "object"),
        ],
    )
    def test_a_post_is_a_json_object(
        self, sandbox: AurexSandbox, client: AsgiClient, content: bytes, kind: str, text: str
    ) -> None:
        answer = client.request("POST", "/users", content=content, headers={"Content-Type": kind})
        refused(answer, 400, text)
        assert sandbox.ledger()["users"] == []

    def test_a_charset_is_no_other_content_type(self, client: AsgiClient) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        content = '{"firstName":"Zoë","lastName":"Ñandú"}'.encode()
        answer = client.request("POST", "/users", content=content, headers=headers)
        assert data(answer)["firstName"] == "Zoë"


class TestUsers:
    def test_created_and_read(self, client: AsgiClient) -> None:
        before = datetime.now(UTC).replace(microsecond=0)
        answer = client.post("/users", {"firstName": "Ada", "lastName": "Byron"})
        created = data(answer)
        assert decoded(answer)["message"]
        assert re.fullmatch(r"[0-9a-f]{24}", created["userId"])
        assert created == {"userId": created["userId"], "firstName": "Ada", "lastName": "Byron"}
        read = data(client.get(f"/users/{created['userId']}"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", read["createdAt"])
        assert before <= datetime.fromisoformat(read.pop("createdAt")) <= datetime.now(UTC)
        assert read == created

    @pytest.mark.parametrize("body", [{}, {"firstName": "Ada"}, {"firstName": "Ada", "lastName": ""}])
    def test_both_names_are_required(self, client: AsgiClient, body: dict[str, str]) -> None:
        refused(client.post("/users", body), 400, "Name is required")

    def test_names_are_texts(self, client: AsgiClient) -> None:
        refused(client.post("/users", {"firstName": 1, "lastName": "Byron"}), 400, "firstName")

    def test_a_stranger_is_404(self, client: AsgiClient) -> None:
        for path in ("", "/wallet", "/deposits", "/cards", "/cards/c", "/cards/c/transactions", "/otp?cardId=c"):
            refused(client.get(f"/users/nobody{path}"), 404, "User not found")
        for path in ("deposits", "cards", "cards/c/topup"):
            refused(client.post(f"/users/nobody/{path}", {}), 404, "User not found")


class TestWallets:
    def test_empty_unless_told_otherwise(self) -> None:
        sandbox = AurexSandbox()
        client = client_of(sandbox)
        number = user(client)
        assert wallet(client, number) == (0, 0, 0)
        sandbox.credit(number, Decimal("12.50"))
        assert wallet(client, number) == (Decimal("12.5"), 0, 0)
        assert b'"balance":12.5,' in client.get(f"/users/{number}/wallet").content

    @pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "1E+400"])
    def test_credit_refuses_nonsense(self, sandbox: AurexSandbox, client: AsgiClient, amount: str) -> None:
        number = user(client)
        with pytest.raises(SandboxError):
            sandbox.credit(number, Decimal(amount))
        with pytest.raises(SandboxError, match="no user"):
            sandbox.credit("nobody", Decimal(1))
        assert wallet(client, number) == (1000, 0, 0)


class TestDeposits:
    def test_created_with_fees_and_paid(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        made = deposit(client, number)
        assert re.fullmatch(r"dep_\w+", made["depositId"])
        assert re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]{43,44}", made["depositAddress"])
        assert made.keys() == set("depositId amount netAmount currency depositAddress status fees expiresAt".split())
        assert (made["amount"], made["netAmount"], made["currency"], made["status"]) == (100, 95, "USDT", "waiting")
        assert made["fees"] == {
            "platformFeePercent": 5,
            "platformFeeUsd": 5,
            "merchantCommissionPercent": 0,
            "merchantCommissionUsd": 0,
            "totalCollected": 5,
        }
        (listed,) = data(client.get(f"/users/{number}/deposits"))
        assert listed.keys() == {"depositId", "amount", "currency", "status", "createdAt"}
        assert (listed["depositId"], listed["status"]) == (made["depositId"], "waiting")
        lifetime = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(listed["createdAt"])
        assert lifetime == timedelta(hours=1)
        assert wallet(client, number) == (1000, 0, 0)

        sandbox.announce(made["depositId"])
        assert wallet(client, number) == (1000, 95, 0)
        assert status(client, number) == "waiting"

        sandbox.pay(made["depositId"])
        assert wallet(client, number) == (1095, 0, 0)
        assert status(client, number) == "confirmed"
        (order,) = sandbox.orders()
        assert (order.id, order.status, order.amount, order.currency) == (made["depositId"], "confirmed", 100, "USDT")

    def test_the_markup_belongs_to_the_key(self, sandbox: AurexSandbox) -> None:
        sandbox.add_key("reseller", markup_percent=Decimal("2.5"))
        client = client_of(sandbox, "reseller")
        number = user(client)
        made = deposit(client, number, Decimal("33.33"), "SOL")
        assert made["fees"] == {
            "platformFeePercent": 5,
            "platformFeeUsd": Decimal("1.67"),
            "merchantCommissionPercent": Decimal("2.5"),
            "merchantCommissionUsd": Decimal("0.83"),
            "totalCollected": Decimal("2.5"),
        }
        assert made["netAmount"] == Decimal("30.83")
        sandbox.pay(made["depositId"])
        assert wallet(client, number)[0] == Decimal("1030.83")

    @pytest.mark.parametrize("amount", ['"100"', "true", "null", "0", "-5", "1.005", "1e300", "[100]"])
    def test_the_amount_is_a_positive_json_number(self, sandbox: AurexSandbox, client: AsgiClient, amount: str) -> None:
        content = f'{{"amount": {amount}, "currency": "USDT"}}'.encode()
        headers = {"Content-Type": "application/json"}
        answer = client.request("POST", f"/users/{user(client)}/deposits", content=content, headers=headers)
        refused(answer, 400, "amount must be")
        assert sandbox.orders() == []

    @pytest.mark.parametrize("currency", ["BTC", "usdt", "USDT@tron", ""])
    def test_unknown_coins_are_refused(self, sandbox: AurexSandbox, client: AsgiClient, currency: str) -> None:
        body = {"amount": 100, "currency": currency}
        refused(client.post(f"/users/{user(client)}/deposits", body), 400, "currency")
        refused(client.post(f"/users/{user(client)}/deposits", {"amount": 100}), 400, "currency")
        assert sandbox.orders() == []

    def test_paging(self, client: AsgiClient) -> None:
        number = user(client)
        made = [deposit(client, number, 100 + count)["depositId"] for count in range(12)][::-1]
        deposit(client, user(client))

        def page(query: str) -> list[str]:
            return [row["depositId"] for row in data(client.get(f"/users/{number}/deposits{query}"))]

        assert page("") == made[:10]
        assert page("?offset=10") == made[10:]
        assert page("?limit=5&offset=4") == made[4:9]
        assert page("?limit=100") == made
        assert page("?offset=12") == []
        for query in ("limit=0", "limit=-1", "limit=ten", "limit=", "offset=-1", "offset=1.5"):
            refused(client.get(f"/users/{number}/deposits?{query}"), 400, query.partition("=")[0])

    def test_expires_by_its_clock(self) -> None:
        clock = SandboxClock()
        sandbox = AurexSandbox(clock, deposit_seconds=600)
        client = client_of(sandbox)
        number = user(client)
        first, seen = deposit(client, number)["depositId"], deposit(client, number)["depositId"]
        sandbox.announce(seen)
        clock.advance(590)
        assert {row.status for row in sandbox.orders()} == {"waiting"}
        clock.advance(10)
        assert {row.id: row.status for row in sandbox.orders()} == {first: "expired", seen: "waiting"}
        for control in (sandbox.pay, sandbox.announce, sandbox.expire, sandbox.fail):
            with pytest.raises(SandboxError, match="expired"):
                control(first)
        sandbox.pay(seen)
        assert wallet(client, number) == (95, 0, 0)

    def test_expires_without_being_looked_at_before(self) -> None:
        clock = SandboxClock()
        sandbox = AurexSandbox(clock)
        client = client_of(sandbox)
        number = user(client)
        deposit(client, number)
        clock.advance(3600)
        assert status(client, number) == "expired"

    @pytest.mark.parametrize("control, word", [("expire", "expired"), ("fail", "failed")])
    def test_ended_by_hand(self, sandbox: AurexSandbox, client: AsgiClient, control: str, word: str) -> None:
        number = user(client)
        made = deposit(client, number)["depositId"]
        sandbox.announce(made)
        getattr(sandbox, control)(made)
        assert status(client, number) == word
        assert wallet(client, number) == (1000, 0, 0)
        with pytest.raises(SandboxError, match=word):
            sandbox.pay(made)

    @pytest.mark.parametrize("how", [Payment.UNDER, Payment.OVER, Payment.LATE])
    def test_what_no_status_can_say_is_refused(self, sandbox: AurexSandbox, client: AsgiClient, how: Payment) -> None:
        number = user(client)
        made = deposit(client, number)["depositId"]
        with pytest.raises(SandboxError, match="not document"):
            sandbox.pay(made, how)
        assert status(client, number) == "waiting"

    def test_paid_once(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        made = deposit(client, number)["depositId"]
        sandbox.pay(made)
        with pytest.raises(SandboxError, match="confirmed"):
            sandbox.pay(made)
        with pytest.raises(NotInSandbox, match="no deposit"):
            sandbox.pay("dep_none")
        assert wallet(client, number) == (1095, 0, 0)

    def test_a_post_sent_twice_makes_two(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        assert deposit(client, number)["depositId"] != deposit(client, number)["depositId"]
        assert len(sandbox.orders()) == 2


def status(client: AsgiClient, user: str) -> str:
    return str(data(client.get(f"/users/{user}/deposits"))[0]["status"])


class TestCards:
    def test_issued_and_paid_from_the_wallet(self, client: AsgiClient) -> None:
        number = user(client)
        made = card(client, number)
        assert made.keys() == set("cardId cardName balance cardNumber expiryDate cvv status fees".split())
        assert (made["cardName"], made["balance"], made["status"]) == ("Travel", 100, "active")
        assert re.fullmatch(r"4000 0000 \d{4} \d{4}", made["cardNumber"])
        assert luhn(made["cardNumber"].replace(" ", ""))
        assert re.fullmatch(r"(0[1-9]|1[0-2])/\d\d", made["expiryDate"])
        assert re.fullmatch(r"\d{3}", made["cvv"])
        assert made["fees"] == {
            "depositAmount": 124,
            "ourFee": 5,
            "ourFeeRate": Decimal("0.05"),
            "cardIssueFee": 19,
            "totalFees": 24,
            "cardBalance": 100,
        }
        assert wallet(client, number) == (876, 0, 100)
        listed = {"cardId": made["cardId"], "cardName": "Travel", "balance": 100, "status": "active"}
        assert data(client.get(f"/users/{number}/cards")) == [listed]
        read = data(client.get(f"/users/{number}/cards/{made['cardId']}"))
        assert read == {key: value for key, value in made.items() if key != "fees"}

    @pytest.mark.parametrize("initial", ['"100"', "true", "24.99", "100000.01", "-25", "null"])
    def test_the_initial_balance_has_its_range(self, sandbox: AurexSandbox, client: AsgiClient, initial: str) -> None:
        number = user(client)
        sandbox.credit(number, Decimal(10**6))
        content = f'{{"cardName": "Travel", "initialBalance": {initial}}}'.encode()
        headers = {"Content-Type": "application/json"}
        refused(client.request("POST", f"/users/{number}/cards", content=content, headers=headers), 400, "initial")
        assert sandbox.ledger()["cards"] == []
        assert wallet(client, number) == (1001000, 0, 0)

    def test_the_ends_of_the_range_are_in_it(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        sandbox.credit(number, Decimal(200000))
        assert card(client, number, 25)["fees"]["depositAmount"] == Decimal("45.25")
        assert card(client, number, 100000)["fees"]["depositAmount"] == 105019

    def test_a_name_is_required(self, client: AsgiClient) -> None:
        refused(client.post(f"/users/{user(client)}/cards", {"initialBalance": 100}), 400, "cardName")

    def test_too_little_in_the_wallet_is_409(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        body = {"cardName": "Travel", "initialBalance": Decimal("934.30")}  # 934.30 + 46.72 + 19 = 1000.02
        refused(client.post(f"/users/{number}/cards", body), 409, "Insufficient")
        assert wallet(client, number) == (1000, 0, 0)
        card(client, number, Decimal("934.28"))  # 934.28 + 46.71 + 19 = 999.99
        assert wallet(client, number) == (Decimal("0.01"), 0, Decimal("934.28"))

    def test_topped_up(self, client: AsgiClient) -> None:
        number = user(client)
        path = f"/users/{number}/cards/{card(client, number)['cardId']}"
        topped = data(client.post(f"{path}/topup", {"amount": Decimal("50.50")}))
        assert topped == {
            "cardId": path.rpartition("/")[2],
            "newBalance": Decimal("150.5"),
            "rechargeAmount": Decimal("50.5"),
            "fees": Decimal("1.52"),
        }
        assert wallet(client, number) == (Decimal("823.98"), 0, Decimal("150.5"))

    @pytest.mark.parametrize("amount", ['"50"', "9.99", "10000.01", "false", "null"])
    def test_a_topup_has_its_range(self, sandbox: AurexSandbox, client: AsgiClient, amount: str) -> None:
        number = user(client)
        sandbox.credit(number, Decimal(20000))
        path = f"/users/{number}/cards/{card(client, number)['cardId']}/topup"
        before = wallet(client, number)
        content = f'{{"amount": {amount}}}'.encode()
        headers = {"Content-Type": "application/json"}
        refused(client.request("POST", path, content=content, headers=headers), 400, "amount")
        assert wallet(client, number) == before
        data(client.post(path, {"amount": 10}))
        data(client.post(path, {"amount": 10000}))

    def test_a_topup_needs_the_money_and_an_active_card(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        made = card(client, number)["cardId"]
        path = f"/users/{number}/cards/{made}/topup"
        refused(client.post(path, {"amount": Decimal("850.50")}), 409, "Insufficient")  # with its fee 876.02
        assert wallet(client, number) == (876, 0, 100)
        sandbox.set_card_status(made, "frozen")
        refused(client.post(path, {"amount": 10}), 409, "frozen")
        assert wallet(client, number) == (876, 0, 100)

    def test_a_card_is_found_only_under_its_user(self, client: AsgiClient) -> None:
        number, other = user(client), user(client)
        made = card(client, number)["cardId"]
        assert data(client.get(f"/users/{other}/cards")) == []
        for path in (f"cards/{made}", f"cards/{made}/transactions", f"otp?cardId={made}", "cards/card_none"):
            refused(client.get(f"/users/{other}/{path}"), 404, "Card not found")
        refused(client.post(f"/users/{other}/cards/{made}/topup", {"amount": 10}), 404, "Card not found")

    @pytest.mark.parametrize("word", ["active", "frozen", "blocked", "expired"])
    def test_statuses(self, sandbox: AurexSandbox, client: AsgiClient, word: str) -> None:
        number = user(client)
        made = card(client, number)["cardId"]
        sandbox.set_card_status(made, word)
        assert data(client.get(f"/users/{number}/cards"))[0]["status"] == word
        with pytest.raises(SandboxError, match="a card is one of"):
            sandbox.set_card_status(made, "lost")

    def test_one_time_codes(self, client: AsgiClient) -> None:
        number = user(client)
        made = card(client, number)["cardId"]
        code = data(client.get(f"/users/{number}/otp?cardId={made}"))
        assert re.fullmatch(r"\d{6}", code.pop("otp"))
        assert code == {"expiresIn": 300, "cardId": made}
        refused(client.get(f"/users/{number}/otp"), 400, "cardId")


class TestCardTransactions:
    def test_spending_takes_from_the_card_only(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        made = card(client, number)["cardId"]
        sandbox.spend(made, Decimal("30.25"))
        sandbox.spend(made, Decimal(70))
        pending = sandbox.spend(made, Decimal(20), "pending")
        sandbox.spend(made, Decimal(1), "failed")
        rows = data(client.get(f"/users/{number}/cards/{made}/transactions"))
        assert [(row["amount"], row["status"]) for row in rows] == [
            (1, "failed"),
            (20, "pending"),
            (70, "declined"),
            (Decimal("30.25"), "completed"),
        ]
        assert rows[0].keys() == {"transactionId", "amount", "currency", "status", "createdAt"}
        assert {row["currency"] for row in rows} == {"USD"}
        assert wallet(client, number) == (876, 0, Decimal("49.75"))
        sandbox.settle_transaction(pending, "failed")
        assert wallet(client, number) == (876, 0, Decimal("69.75"))
        with pytest.raises(SandboxError, match="not pending"):
            sandbox.settle_transaction(pending)

    def test_pending_becomes_completed(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        made = card(client, number)["cardId"]
        sandbox.spend(made, Decimal(1))
        pending = sandbox.spend(made, Decimal(100 - 1), "pending")
        with pytest.raises(SandboxError, match="becomes"):
            sandbox.settle_transaction(pending, "pending")
        sandbox.settle_transaction(pending)
        assert wallet(client, number) == (876, 0, 0)
        assert data(client.get(f"/users/{number}/cards/{made}/transactions"))[0]["status"] == "completed"

    def test_nonsense_is_refused(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        made = card(client, number)["cardId"]
        with pytest.raises(SandboxError, match="no card 'x'"):
            sandbox.spend("x", Decimal(1))
        with pytest.raises(SandboxError, match="holds 100"):
            sandbox.spend(made, Decimal("100.01"), "completed")
        with pytest.raises(SandboxError, match="one of"):
            sandbox.spend(made, Decimal(1), "reversed")
        with pytest.raises(SandboxError, match="no card transaction"):
            sandbox.settle_transaction("txn_none")
        sandbox.set_card_status(made, "blocked")
        sandbox.spend(made, Decimal(1))
        rows = data(client.get(f"/users/{number}/cards/{made}/transactions"))
        assert [row["status"] for row in rows] == ["declined"]
        assert wallet(client, number) == (876, 0, 100)


class TestLedger:
    def test_movements_add_up_and_tell_no_card_secret(self, sandbox: AurexSandbox, client: AsgiClient) -> None:
        number = user(client)
        sandbox.pay(deposit(client, number, Decimal("250.40"))["depositId"])
        sandbox.announce(deposit(client, number, 10)["depositId"])
        made = card(client, number, Decimal("99.99"))
        data(client.post(f"/users/{number}/cards/{made['cardId']}/topup", {"amount": 33}))
        sandbox.spend(made["cardId"], Decimal("12.34"))
        sandbox.settle_transaction(sandbox.spend(made["cardId"], Decimal(5), "pending"), "declined")

        ledger = sandbox.ledger()
        moved = {name: sum(Decimal(row[name]) for row in ledger["movements"]) for name in ("wallet", "card", "fees")}
        (row,) = ledger["users"]
        assert (Decimal(row["available"]), Decimal(row["inCards"])) == (moved["wallet"], moved["card"])
        assert (moved["wallet"], Decimal(row["pending"]), moved["card"]) == wallet(client, number)
        # What came in is what is there, what was spent and what was kept.
        assert moved["wallet"] + moved["card"] + moved["fees"] + Decimal("12.34") == 1000 + Decimal("250.40")
        assert [(d["status"], d["net"], d["fees"]) for d in ledger["deposits"]] == [
            ("confirmed", "237.88", "12.52"),
            ("waiting", "9.50", "0.50"),
        ]
        assert [t["status"] for t in ledger["transactions"]] == ["completed", "declined"]
        text = json.dumps(ledger)
        assert made["cardNumber"] not in text
        assert made["cardNumber"].replace(" ", "") not in text
        assert "cvv" not in text

    def test_concurrent_cards_cannot_spend_the_same_money(self) -> None:
        sandbox = AurexSandbox(wallet=Decimal(300), rate_limit=False)
        client = client_of(sandbox)
        number = user(client)
        statuses: list[int] = []

        def issue() -> None:
            body = {"cardName": "Travel", "initialBalance": 100}
            statuses.append(client_of(sandbox).post(f"/users/{number}/cards", body).status_code)

        threads = [threading.Thread(target=issue) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 200, 409, 409, 409, 409]
        assert wallet(client, number) == (52, 0, 200)


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
