"""The Aurpay sandbox, against what is known of the provider: lists, refunds, Lightning, payouts, the ledger."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.addresses import check_address
from gateway.exchange import encode_json
from gateway.lightning import decode_invoice
from gateway.money import Money
from gateway.testing.lightning import encode_invoice
from gateway.testing.sandbox import Payment, SandboxError
from gateway_aurpay.sandbox import AurpaySandbox, WithdrawCall
from sandboxes.asgi_client import decoded
from sandboxes.aurpay_client import Aurpay, data, refused, status

NODE = ec.derive_private_key(4242, ec.SECP256K1())


@pytest.fixture
def aurpay() -> Aurpay:
    return Aurpay()


def moved(sandbox: AurpaySandbox) -> dict[str, Decimal]:
    """The sums of all movements in the ledger."""
    sums: dict[str, Decimal] = {}
    for move in sandbox.ledger()["moves"]:
        sums[move["currency"]] = sums.get(move["currency"], Decimal(0)) + Decimal(move["amount"])
    return sums


def invoice(amount: str | None = "0.001", *, age: int = 0, network: str = "testnet", purpose: str = "a payout") -> str:
    """One of somebody else's node, an hour valid."""
    return encode_invoice(
        NODE,
        payment_hash=hashlib.sha256(purpose.encode()).digest(),
        payment_secret=b"\x07" * 32,
        created_at=datetime.now(UTC) - timedelta(seconds=age),
        amount=None if amount is None else Money(amount, "BTC@lightning"),
        network=network,
        description=purpose,
        expiry=timedelta(hours=1),
    )


class TestLists:
    def test_orders_are_paged_newest_first(self, aurpay: Aurpay) -> None:
        numbers = [aurpay.usdt()["order_id"] for _ in range(13)][::-1]
        first = data(aurpay.get("/api/v2/order/"))
        assert [first[name] for name in ("page", "size", "total", "max_page")] == [1, 10, 13, 2]
        assert [row["order_id"] for row in first["data"]] == numbers[:10]
        second = data(aurpay.get("/api/v2/order/?page=2&size=10"))
        assert [row["order_id"] for row in second["data"]] == numbers[10:]
        assert data(aurpay.get("/api/v2/order/?page=3&size=10"))["data"] == []
        assert data(aurpay.get("/api/v2/order/?size=4"))["max_page"] == 4
        fields = (
            "user_id order_id order_type platform status chain chain_name currency amount vs_price vs_currency "
            "remark refund create_time update_time"
        )
        assert list(first["data"][0]) == fields.split()
        assert (first["data"][0]["amount"], first["data"][0]["vs_price"]) == ("18.007203", "18")

    @pytest.mark.parametrize(
        "query", ["page=0", "size=0", "size=101", "page=x", "page=-1", "page=1&page=2", "status=SUCCESS"]
    )
    def test_a_query_that_is_wrong(self, aurpay: Aurpay, query: str) -> None:
        for path in ("/api/v2/order/", "/api/v2/tx"):
            refused(aurpay.get(f"{path}?{query}"), 400, "")

    def test_transactions(self, aurpay: Aurpay) -> None:
        unpaid, paid = aurpay.usdt(), aurpay.usdt()
        aurpay.sandbox.pay(paid["order_id"], Payment.OVER)
        data(aurpay.withdraw(invoice("0.001")))
        assert len(data(aurpay.get("/api/v2/tx"))["data"]) == 2
        decoded(aurpay.post(f"/api/v2/order/refund/{paid['order_id']}"))
        page = data(aurpay.get("/api/v2/tx?page=1&size=10"))
        assert [page[name] for name in ("page", "size", "total", "max_page")] == [1, 10, 3, 1]
        withdrawal, refund, payment = page["data"]
        details = aurpay.details(paid["order_id"])
        assert payment == {
            "user_id": details["user_id"],
            "tx_id": details["tx_id"],
            "tx_type": details["tx_type"],
            "status": "SUCCESS",
            "chain": "TRX",
            "currency": "USDT-TRC20",
            "amount": "18.007203",
            "obtained": "19.807924",
            "fee": "0.158463392",
        }
        assert (refund["amount"], refund["status"]) == ("19.807924", "PENDING")
        assert (withdrawal["amount"], withdrawal["currency"]) == ("0.001", "BTC-LN")
        assert all(isinstance(value, str) for row in page["data"] for value in row.values())
        assert len({row["tx_id"] for row in page["data"]} | {aurpay.details(unpaid["order_id"])["tx_id"]}) == 4

    def test_currencies(self, aurpay: Aurpay) -> None:
        assert (
            data(aurpay.get("/api/order/pay/real-currency"))
            == ("USD AUD BRL CAD CNY EUR GBP HKD IDR INR JPY KRW MXN MYR NZD PKR PLN RUB SEK SGD THB").split()
        )
        coins = data(aurpay.get("/api/order/pay/crypto-currency"))
        assert {(coin["chain"], coin["currency"]) for coin in coins} == {
            *[("ETH", coin) for coin in ("ETH", "USDC-ERC20", "USDT-ERC20", "DAI-ERC20")],
            *[("TRX", coin) for coin in ("TRX", "USDT-TRC20", "USDC-TRC20")],
            ("BTC", "BTC"),
            ("BLN", "BTC-LN"),
            ("BNB", "BNB"),
        }
        assert all(coin.keys() == {"chain", "chain_name", "currency", "contract_addr"} for coin in coins)

    def test_wallets(self) -> None:
        aurpay = Aurpay(balances={"ETH": "1.50", "BTC-LN": Decimal("0.002")})
        wallets = {row["currency"]: row for row in data(aurpay.get("/api/v2/wallet/"))}
        assert wallets["ETH"].keys() == {"chain", "chain_name", "currency", "balance", "address"}
        assert (wallets["ETH"]["balance"], wallets["USDT-TRC20"]["balance"]) == ("1.5", "0")
        assert "BTC-LN" not in wallets
        assert data(aurpay.get("/api/bln/balance")) == {"balance": "0.002"}
        custody = data(aurpay.get("/api/v2/wallet/self-custody"))
        assert [row["chain"] for row in custody] == ["ETH", "TRX", "BTC"]
        for row, network in zip(custody, ("ethereum", "tron", "bitcoin"), strict=True):
            assert row.keys() == {"chain", "chain_name", "address"}
            assert check_address(row["address"], network, environment="sandbox").verdict.value == "valid"
            assert row["address"] not in {wallet["address"] for wallet in wallets.values()}

    def test_inferred_lists_can_be_paged(self) -> None:
        aurpay, bare = Aurpay(paged_lists=True), Aurpay()
        for path in "order/pay/real-currency order/pay/crypto-currency v2/wallet/ v2/wallet/self-custody".split():
            rows = data(bare.get(f"/api/{path}"))
            page = data(aurpay.get(f"/api/{path}"))
            assert (page["data"], page["total"], page["max_page"]) == (rows, len(rows), 1)
            assert data(aurpay.get(f"/api/{path}?page=2&size=2"))["data"] == rows[2:4]


class TestRefunds:
    def paid(self, aurpay: Aurpay) -> str:
        number = str(aurpay.usdt()["order_id"])
        aurpay.sandbox.pay(number)
        return number

    def test_asked_for_and_completed(self, aurpay: Aurpay) -> None:
        number = self.paid(aurpay)
        refused(aurpay.get(f"/api/v2/order/refund-info/{number}"), 404, "no refund")
        answer = aurpay.post(f"/api/v2/order/refund/{number}")
        assert b'"refund_amount":18.007203,' in answer.content
        body = decoded(answer)
        assert answer.status_code == 200
        assert body == {
            "order_id": number,
            "refund_status": "PENDING",
            "refund_amount": Decimal("18.007203"),
            "refund_date": body["refund_date"],
        }
        assert data(aurpay.get(f"/api/v2/order/refund-info/{number}")) == {
            "order_id": number,
            "chain": "TRX",
            "currency": "USDT-TRC20",
            "amount": Decimal("18.007203"),
        }
        details = aurpay.details(number)
        assert (details["status"], details["refund"]) == ("SUCCESS", False)
        assert aurpay.balances()["USDT-TRC20"] == 1000 - Decimal("0.144057624")
        aurpay.sandbox.complete_refund(number)
        assert status(aurpay, number) == "REFUNDED"
        assert aurpay.sandbox.ledger()["refunds"] == [{"order": number, "amount": "18.007203", "done": True}]
        with pytest.raises(SandboxError, match="no refund under way"):
            aurpay.sandbox.complete_refund(number)

    def test_completed_at_once(self) -> None:
        aurpay = Aurpay(refunds_at_once=True)
        number = self.paid(aurpay)
        assert decoded(aurpay.post(f"/api/v2/order/refund/{number}"))["refund_status"] == "SUCCESS"
        assert status(aurpay, number) == "REFUNDED"

    def test_only_once_and_only_what_was_paid(self, aurpay: Aurpay) -> None:
        paid, unpaid, lightning = self.paid(aurpay), aurpay.usdt()["order_id"], aurpay.lightning()["order_id"]
        aurpay.sandbox.pay(lightning)
        decoded(aurpay.post(f"/api/v2/order/refund/{paid}"))
        before = aurpay.balances()
        for number in (paid, unpaid, lightning):
            refused(aurpay.post(f"/api/v2/order/refund/{number}"), 400, "cannot be refunded")
        refused(aurpay.post("/api/v2/order/refund/1"), 404, "not found")
        assert aurpay.balances() == before

    def test_not_from_an_empty_wallet_and_not_with_a_body(self) -> None:
        aurpay = Aurpay(balances={})
        number = self.paid(aurpay)
        refused(aurpay.post(f"/api/v2/order/refund/{number}", {}), 400, "no body")
        # The fee stays with the provider, so what came in is not enough.
        refused(aurpay.post(f"/api/v2/order/refund/{number}"), 400, "insufficient balance")
        assert aurpay.details(number)["refund"] is True


class TestLightningOrder:
    def test_the_invoice_asks_for_the_amount_of_the_answer_on_testnet(self, aurpay: Aurpay) -> None:
        answer = aurpay.lightning(price=Decimal("99.47"))
        assert answer.keys() == {"order_id", "status", "amount", "create_time", "payment_request", "pay_url"}
        assert (answer["status"], answer["amount"]) == ("PENDING", Decimal("0.00155422"))
        assert answer["payment_request"].startswith("lntb1554220n")
        bolt11 = decode_invoice(answer["payment_request"])
        assert bolt11.amount == Money(answer["amount"], "BTC@lightning")
        assert bolt11.expiry == timedelta(minutes=30)
        assert f"{bolt11.created_at:%Y-%m-%dT%H:%M:%S}" == answer["create_time"]
        assert decode_invoice(aurpay.lightning()["payment_request"]).payment_hash != bolt11.payment_hash

    def test_paid(self, aurpay: Aurpay) -> None:
        number = aurpay.lightning()["order_id"]
        aurpay.sandbox.pay(number)
        details = aurpay.details(number)
        assert [details[name] for name in ("status", "chain", "currency", "obtained", "fee")] == [
            *("SUCCESS", "BLN", "BTC-LN", "0.0003125", "0.0000025")
        ]
        assert aurpay.balances()["BTC-LN"] == Decimal("0.05") + Decimal("0.0003125") - Decimal("0.0000025")

    def test_an_invoice_is_not_paid_in_part_or_too_late(self, aurpay: Aurpay) -> None:
        number = aurpay.lightning()["order_id"]
        for how in (Payment.UNDER, Payment.LATE):
            with pytest.raises(SandboxError, match="whole and before it expires"):
                aurpay.sandbox.pay(number, how)
        aurpay.sandbox.clock.advance(1801)
        with pytest.raises(SandboxError, match="whole and before it expires"):
            aurpay.sandbox.pay(number)
        assert status(aurpay, number) == "OVERDUE"


class TestLightningWithdrawal:
    def test_an_invoice_is_paid(self, aurpay: Aurpay) -> None:
        text = invoice("0.00123456789")
        assert data(aurpay.withdraw(text)) is None
        assert aurpay.balances()["BTC-LN"] == Decimal("0.05") - Decimal("0.00123456789")
        (payout,) = aurpay.sandbox.ledger()["payouts"]
        assert (payout["amount"], payout["destination"]) == ("0.00123456789", text)
        assert payout["payment_hash"] == hashlib.sha256(b"a payout").hexdigest()

    def test_every_call_debits_and_the_same_invoice_is_refused(self, aurpay: Aurpay) -> None:
        for purpose in ("one", "two"):
            data(aurpay.withdraw(invoice("0.01", purpose=purpose)))
        assert aurpay.balances()["BTC-LN"] == Decimal("0.03")
        refused(aurpay.withdraw(invoice("0.01", purpose="two")), 400, "already paid")
        assert aurpay.balances()["BTC-LN"] == Decimal("0.03")

    def test_the_whole_balance_and_no_more(self, aurpay: Aurpay) -> None:
        refused(aurpay.withdraw(invoice("0.05000000001")), 400, "insufficient balance")
        data(aurpay.withdraw(invoice("0.05")))
        assert aurpay.balances()["BTC-LN"] == 0
        refused(aurpay.withdraw(invoice("0.00000001", purpose="more")), 400, "insufficient balance")

    def test_invoices_that_cannot_be_paid(self, aurpay: Aurpay) -> None:
        own = aurpay.lightning()["payment_request"]
        good = invoice()
        for text, says in (
            ("lntb1nonsense", "invalid invoice"),
            (good[:-1] + ("q" if good[-1] != "q" else "p"), "invalid invoice"),
            (invoice(age=3601), "expired"),
            (invoice(network="bitcoin"), "another network"),
            (own, "its own invoice"),
            ("", "ln_invoices is required"),
        ):
            refused(aurpay.withdraw(text), 400, says)
        refused(aurpay.post("/api/bln/withdraw", {"ln_invoices": [good]}), 400, "must be a string")
        refused(aurpay.post("/api/bln/withdraw", {"ln_invoice": good}), 400, "unknown field")
        assert aurpay.sandbox.ledger()["payouts"] == []
        data(aurpay.withdraw(invoice(age=3500)))

    def test_an_invoice_lives_by_the_sandbox_clock(self, aurpay: Aurpay) -> None:
        aurpay.sandbox.clock.advance(3601)
        refused(aurpay.withdraw(invoice()), 400, "expired")

    def test_an_amount_is_a_text_and_needed_only_without_one_in_the_invoice(self, aurpay: Aurpay) -> None:
        refused(aurpay.withdraw(invoice(None)), 400, "amount is required")
        refused(aurpay.withdraw(invoice(None), amount=Decimal("0.001")), 400, "must be a string")
        refused(aurpay.withdraw(invoice(None), amount="lots"), 400, "not a number")
        refused(aurpay.withdraw(invoice("0.001"), amount="0.002"), 400, "not the invoice's")
        data(aurpay.withdraw(invoice(None), amount="0.001"))
        data(aurpay.withdraw(invoice("0.001", purpose="both"), amount="0.0010"))
        assert aurpay.balances()["BTC-LN"] == Decimal("0.048")


class TestBalanceWithdrawal:
    CALL = WithdrawCall(path="/api/v2/wallet/withdraw", address="to_addr", amount="sum")
    BODY: ClassVar = {
        "chain": "TRX",
        "currency": "USDT-TRC20",
        "sum": Decimal("12.5"),
        "to_addr": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    }

    def test_path_and_names_are_those_given(self) -> None:
        aurpay = Aurpay(withdraw=self.CALL)
        assert data(aurpay.post("/api/v2/wallet/withdraw", self.BODY)) is None
        assert aurpay.balances()["USDT-TRC20"] == Decimal("987.5")
        assert aurpay.sandbox.ledger()["payouts"][0]["destination"] == self.BODY["to_addr"]

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"to_addr": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6T"}, "invalid address"),
            ({"sum": "12.5"}, "sum must be a number"),
            ({"sum": Decimal("1000.000001")}, "insufficient balance"),
            ({"chain": "BLN", "currency": "BTC-LN"}, "unsupported currency"),
            ({"chain": "ETH"}, "unsupported currency"),
            ({"address": "x"}, "unknown field address"),
        ],
    )
    def test_what_is_refused(self, change: dict[str, Any], says: str) -> None:
        aurpay = Aurpay(withdraw=self.CALL)
        refused(aurpay.post("/api/v2/wallet/withdraw", self.BODY | change), 400, says)
        assert aurpay.balances()["USDT-TRC20"] == 1000

    def test_the_amount_can_be_a_text(self) -> None:
        aurpay = Aurpay(withdraw=WithdrawCall(path="/api/out", amount_as="text"))
        body = {"chain": "BTC", "currency": "BTC", "address": "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"}
        refused(aurpay.post("/api/out", body | {"amount": 1}), 400, "must be a string")
        data(aurpay.post("/api/out", body | {"amount": "0.04"}))
        assert aurpay.balances()["BTC"] == Decimal("0.06")


class TestLedger:
    def test_all_movements_add_up_to_the_balances_that_the_api_tells(self, aurpay: Aurpay) -> None:
        for how in Payment:
            aurpay.sandbox.pay(aurpay.usdt()["order_id"], how)
        number = aurpay.usdt(chain="ETH", currency="ETH")["order_id"]
        aurpay.sandbox.pay(number)
        decoded(aurpay.post(f"/api/v2/order/refund/{number}"))
        aurpay.sandbox.pay(aurpay.lightning()["order_id"])
        data(aurpay.withdraw(invoice("0.00100000001")))
        refused(aurpay.withdraw(invoice("7", purpose="too much")), 400, "insufficient")
        ledger = aurpay.sandbox.ledger()
        balances = {name: Decimal(amount) for name, amount in ledger["balances"].items()}
        assert balances == aurpay.balances()
        sums = moved(aurpay.sandbox)
        assert {name: amount for name, amount in balances.items() if amount} == sums
        orders = {row["id"]: row for row in ledger["orders"]}
        received = sum(Decimal(row["obtained"]) for row in orders.values() if row["currency"] == "USDT-TRC20")
        assert balances["USDT-TRC20"] == 1000 + received * Decimal("0.992")
        assert orders[number]["status"] == "SUCCESS"
        assert encode_json(ledger)  # no Decimal is left in it that JSON could not tell from a text
        assert not any(isinstance(value, Decimal) for row in ledger["moves"] for value in row.values())
