"""Aurpay's operations, driven by hand: the requests that they make and what becomes of every documented answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from gateway.capabilities import OPERATIONS, Grade, Support
from gateway.contracts import Account, LoginAuth, NewOrder, NewRefund, NewWithdrawal, Query
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    UnsupportedOperation,
)
from gateway.exchange import Malformed, Operation, Request, Response, Signing, encode_json
from gateway.models import (
    CardTopUp,
    CryptoAddress,
    Environment,
    LightningInvoice,
    OrderException,
    OrderRequest,
    OrderStatus,
    RefundRequest,
    RefundStatus,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.testing.lightning import encode_invoice
from gateway_aurpay import AURPAY
from gateway_aurpay.auth import date_text
from gateway_aurpay.settings import AurpaySettings

CASSETTES = Path(__file__).parents[2] / "cassettes" / "aurpay" / "documented"
ORDER = "20240426103947614609"
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
NOW = datetime(2024, 4, 26, 10, 39, 40, tzinfo=UTC)
CREATED = datetime(2024, 4, 26, 10, 39, 47, tzinfo=UTC)
CALLBACK = "https://shop.example/callbacks/shop?token=abc"
API_KEY = {"kind": "api-key", "api_key": "example-key"}
SIGNATURE = {"kind": "signature", "api_token": "example-token", "api_secret": "test-secret"}
LOGIN = {"kind": "login", "username": "example-user", "password": "example-password"}
BAD_ANSWER = (Malformed, ValidationError)


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


def make_adapter(clock: Clock | None = None, **settings: Any) -> Any:
    table = {"provider": "aurpay", "environment": "sandbox", "auth": API_KEY, **settings}
    model = AURPAY.settings.model_validate(table)
    return AURPAY.adapter(Account("shop", model.environment, model, clock or Clock()))


def drive(operation: Operation[Any], *answers: Response) -> tuple[list[Request], Any]:
    """Run an operation to its end with these answers; the requests that it made, and its result."""
    requests: list[Request] = []
    try:
        requests.append(next(operation))
        for answer in answers:
            assert requests[-1].parse is not None
            requests.append(operation.send(requests[-1].parse(answer)))
    except StopIteration as end:
        return requests, end.value
    raise AssertionError(f"asks further: {requests[-1]}")


def sent(operation: Operation[Any]) -> Request:
    """The first request of an operation."""
    return next(operation)


def answer(body: Any, status: int = 200) -> Response:
    content = body if isinstance(body, bytes) else encode_json(body)
    return Response(status, {"content-type": "application/json"}, content)


def ok(data: Any, **more: Any) -> Response:
    return answer({"code": 0, "message": "ok", "data": data, "result": True, **more})


def new_order(pay_with: str | None = None, price: str = "18 USD", **more: Any) -> NewOrder:
    callback_url = more.pop("callback_url", None)
    request = OrderRequest(reference="cart-1", price=Money.parse(price), pay_with=pay_with, **more)
    return NewOrder(request=request, attempt="a-1", requested_at=NOW, callback_url=callback_url)


def new_withdrawal(amount: str, to: Any, **more: Any) -> NewWithdrawal:
    request = WithdrawalRequest(reference="payout-1", amount=Money.parse(amount), to=to, **more)
    return NewWithdrawal(request=request, requested_at=NOW)


def invoice(amount: str | None, network: str = "testnet", expiry: timedelta | None = None) -> str:
    return encode_invoice(
        ec.derive_private_key(7, ec.SECP256K1()),
        payment_hash=b"\1" * 32,
        payment_secret=b"\2" * 32,
        created_at=CREATED,
        amount=None if amount is None else Money(amount, "BTC@lightning"),
        network=network,
        description="order",
        expiry=expiry,
    )


def recorded(name: str) -> list[tuple[dict[str, Any], Response]]:
    data = yaml.safe_load((CASSETTES / f"{name}.yaml").read_text(encoding="utf-8"))
    return [
        (each["request"], answer(each["response"]["body"]["string"].encode(), each["response"]["status"]["code"]))
        for each in data["interactions"]
    ]


PAYOUT_INVOICE = json.loads(recorded("create-lightning-withdrawal")[0][0]["body"])["ln_invoices"]

REPLAYED: dict[str, Callable[[Any], Operation[Any]]] = {
    "get-payment-url": lambda a: a.create_order(new_order(price="20 USD")),
    "get-payment-info": lambda a: a.create_order(new_order("USDT@ethereum")),
    "get-orders": lambda a: a.list_orders(Query(size=10)),
    "get-order-details": lambda a: a.get_order(ORDER),
    "get-order-refund-info": lambda a: a.get_refund(ORDER),
    "order-refund": lambda a: a.create_refund(NewRefund(request=RefundRequest(reference="r", order="o"), order=ORDER)),
    "get-transactions": lambda a: a.list_transactions(Query(size=10)),
    "supported-real-currencies": lambda a: a.list_currencies(Query(kind="fiat")),
    "supported-crypto-currencies": lambda a: a.list_currencies(Query(kind="crypto")),
    "wallets-list": lambda a: a.list_wallets(Query(kind="custodial")),
    "self-custody-wallets": lambda a: a.list_wallets(Query(kind="self-custody")),
    "lightning-balance": lambda a: a.list_wallets(Query(kind="lightning")),
    "create-lightning-order": lambda a: a.create_order(new_order("BTC@lightning", "100 USD")),
    "create-lightning-withdrawal": lambda a: a.create_withdrawal(
        new_withdrawal("0.001 BTC@lightning", LightningInvoice(PAYOUT_INVOICE))
    ),
    "get-api-key": lambda a: a.issue_key(),
    "refused-key": lambda a: a.verify_key(),
}
WRITES = {
    "get-payment-url",
    "get-payment-info",
    "order-refund",
    "create-lightning-order",
    "create-lightning-withdrawal",
}


def replay(name: str, **settings: Any) -> Any:
    adapter = make_adapter(auth=LOGIN if name == "get-api-key" else API_KEY, **settings)
    return drive(REPLAYED[name](adapter), *(response for _, response in recorded(name)))[1]


def test_every_cassette_is_replayed() -> None:
    assert {path.stem for path in CASSETTES.glob("*.yaml")} == set(REPLAYED)
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in CASSETTES.glob("*.yaml"))


@pytest.mark.parametrize("name", sorted(set(REPLAYED) - {"refused-key"}))
def test_the_documented_request_goes_out(name: str) -> None:
    adapter = make_adapter(auth=LOGIN if name == "get-api-key" else API_KEY)
    pairs = recorded(name)
    requests, _ = drive(REPLAYED[name](adapter), *(response for _, response in pairs))
    assert len(requests) == len(pairs)
    for request, (written, response) in zip(requests, pairs, strict=True):
        assert adapter.read_failure(response) is None
        parts = urlsplit(written["uri"])
        assert f"{parts.scheme}://{parts.netloc}" == AurpaySettings.model_fields["base_url"].default
        assert request.method == written["method"]
        assert request.target() == parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.encoded().body
        assert (body and json.loads(body)) == (written["body"] and json.loads(written["body"]))
        assert request.write is (name in WRITES)
        assert request.signed is (name != "get-api-key")


# 1 payment URL


def test_a_payer_chooses_the_coin_and_the_number_is_learned_later() -> None:
    order = replay("get-payment-url")
    assert order.provider_id is None
    assert order.status is OrderStatus.PENDING
    assert order.pay.checkout_url == "https://dashboard.aurpay.net/#/cashier/checkout-example"
    assert "number is not learned" in order.warnings[0]
    assert order.raw["data"]["pay_url"] == order.pay.checkout_url


def test_a_payment_url_with_callbacks_and_everything_optional() -> None:
    order = new_order(
        price="20.00 EUR",
        callback_url=CALLBACK,
        return_url="https://shop.example/thanks",
        cancel_url="https://shop.example/late",
        provider_options={"aurpay": {"fixed_encrypt_price": True}, "other": {"x": 1}},
    )
    request, result = drive(
        make_adapter().create_order(order), ok({"pay_url": "https://pay.example/x", "order_id": int(ORDER)})
    )
    assert request[0].json == {
        "price": Decimal("20.00"),
        "currency": "EUR",
        "succeed_url": "https://shop.example/thanks",
        "timeout_url": "https://shop.example/late",
        "callback_url": CALLBACK,
        "timeout_callback": CALLBACK,
        "fixed_encrypt_price": True,
        "enable_post_callback": True,
    }
    assert b'"price":20.00,' in (request[0].encoded().body or b"")
    assert result.provider_id == ORDER
    assert result.warnings == ()
    _, late = drive(
        make_adapter().create_order(new_order(callback_url=CALLBACK)), ok({"pay_url": "https://pay.example/x"})
    )
    assert "learned from the callback" in late.warnings[0]


@pytest.mark.parametrize("data", [{}, {"order_id": ORDER}, {"pay_url": ""}, {"pay_url": "javascript:x"}, None, "text"])
def test_a_payment_url_answer_without_an_address_is_malformed(data: Any) -> None:
    with pytest.raises(BAD_ANSWER):
        drive(make_adapter().create_order(new_order()), ok(data))


# 2 payment info


def coin_answer(**changes: Any) -> Response:
    data = {
        "order_id": ORDER,
        "status": "PENDING",
        "amount": Decimal("18.0012"),
        "create_time": "2024-04-26T10:39:47",
        "vs_currency": "USD",
        "vs_price": 18,
        "address": ADDRESS,
        "contract_addr": "0xdac17f958d2ee523a2206206994597c13d831ec7",
        "pay_url": "https://pay.example/x",
        **changes,
    }
    return ok({name: value for name, value in data.items() if value != "absent"})


def created(pay_with: str = "USDT@ethereum", **changes: Any) -> Any:
    return drive(make_adapter().create_order(new_order(pay_with)), coin_answer(**changes))[1]


def test_an_order_for_one_coin() -> None:
    order = replay("get-payment-info")
    assert order.provider_id == ORDER
    assert order.status is OrderStatus.PENDING
    assert order.provider_status == "PENDING"
    assert order.price == Money("18", "USD")
    assert order.pay.amount == Money("18.0012", "USDT@ethereum")
    assert order.pay.address == ADDRESS
    assert order.pay.uri is not None
    assert order.pay.uri.startswith("ethereum:0xdac17f958d2ee523a2206206994597c13d831ec7@1/transfer?")
    assert order.pay.checkout_url == f"https://dashboard.aurpay.net/#/cashier/{ORDER}"
    assert order.created_at == CREATED
    assert order.expires_at == CREATED + timedelta(minutes=30)
    assert order.warnings == ()
    assert order.raw["code"] == 0


@pytest.mark.parametrize(
    "asset, chain, currency",
    [
        ("BTC@bitcoin", "BTC", "BTC"),
        ("ETH@ethereum", "ETH", "ETH"),
        ("USDC@ethereum", "ETH", "USDC-ERC20"),
        ("USDT@ethereum", "ETH", "USDT-ERC20"),
        ("DAI@ethereum", "ETH", "DAI-ERC20"),
        ("TRX@tron", "TRX", "TRX"),
        ("USDT@tron", "TRX", "USDT-TRC20"),
        ("USDC@tron", "TRX", "USDC-TRC20"),
        ("BNB@bsc", "BNB", "BNB"),
        ("BTC@lightning", "BLN", "BTC-LN"),
    ],
)
def test_coins_both_ways(asset: str, chain: str, currency: str) -> None:
    adapter = make_adapter()
    if chain != "BLN":
        body = sent(adapter.create_order(new_order(asset))).json
        assert (body["chain"], body["currency"], body["vs_currency"]) == (chain, currency, "USD")
        assert "enable_post_callback" not in body
    row = {"order_id": ORDER, "status": "PENDING", "chain": chain, "currency": currency, "amount": "1"}
    assert drive(adapter.get_order(ORDER), ok(row))[1].pay.amount == Money("1", asset)


def test_callbacks_of_a_coin_order_carry_data() -> None:
    body = sent(make_adapter().create_order(new_order("USDT@tron", callback_url=CALLBACK))).json
    assert body["callback_url"] == body["timeout_callback"] == CALLBACK
    assert body["enable_post_callback"] is True


@pytest.mark.parametrize("amount, price", [("18.0012", "18"), (Decimal("18.0012"), "18.00"), (18, Decimal("18.0"))])
def test_amounts_are_numbers_or_texts(amount: Any, price: Any) -> None:
    assert created(amount=amount, vs_price=price).pay.amount == Money(str(amount), "USDT@ethereum")


@pytest.mark.parametrize(
    "changes",
    [
        {"vs_price": 19},
        {"vs_price": Decimal("18.01")},
        {"vs_currency": "EUR"},
        {"chain": "TRX"},
        {"currency": "USDC-ERC20"},
        {"amount": 0},
        {"amount": "-1"},
        {"amount": "much"},
        {"amount": "absent"},
        {"address": "absent"},
        {"address": ""},
        {"order_id": "absent"},
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(BAD_ANSWER) as caught:
        created(**changes)
    assert ADDRESS not in str(caught.value)


def test_what_looks_wrong_but_exists_is_a_warning() -> None:
    order = created(
        address="TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL",
        contract_addr="0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
        create_time="yesterday",
        status="NEW",
    )
    assert order.provider_id == ORDER
    assert order.status is OrderStatus.UNRECOGNISED
    assert order.pay.uri is None
    assert order.created_at is None
    assert order.expires_at is None
    assert len(order.warnings) == 4
    assert "'NEW'" in order.warnings[0]


def test_echoed_chain_and_missing_extras_are_fine() -> None:
    order = created(
        chain="eth", currency="usdt-erc20", vs_price="absent", vs_currency="absent", contract_addr="", pay_url=""
    )
    assert order.price is None
    assert order.pay.checkout_url == f"https://dashboard.aurpay.net/#/cashier/{ORDER}"


@pytest.mark.parametrize(
    "order",
    [
        new_order("USDT"),
        new_order("SOL@solana"),
        new_order(price="1 USDT@tron"),
        new_order("USDT@tron", provider_options={"aurpay": {"colour": "red"}}),
        new_order("USDT@tron", provider_options={"aurpay": {"callback_url": "https://elsewhere.example"}}),
        new_order("USDT@tron", provider_options={"aurpay": {"fixed_encrypt_price": "yes"}}),
        new_order("USDT@tron", provider_options={"aurpay": {"fixed_encrypt_price": 1}}),
        new_order("USDT@tron", provider_options={"aurpay": {"timeout_url": "ftp://x"}}),
        new_order("BTC@bitcoin", provider_options={"aurpay": {"fixed_encrypt_price": True}}),
        new_order("BTC@lightning", provider_options={"aurpay": {"fixed_encrypt_price": True}}),
    ],
)
def test_a_wrong_order_is_refused_before_anything_is_sent(order: NewOrder) -> None:
    with pytest.raises(InvalidRequest):
        sent(make_adapter().create_order(order))


def test_options_go_out_and_go_before() -> None:
    order = new_order(
        "USDT@tron",
        cancel_url="https://shop.example/a",
        provider_options={"aurpay": {"timeout_url": "https://shop.example/b", "fixed_encrypt_price": False}},
    )
    body = sent(make_adapter().create_order(order)).json
    assert body["timeout_url"] == "https://shop.example/b"
    assert body["fixed_encrypt_price"] is False


# 14 Lightning orders


def test_a_lightning_order() -> None:
    order = replay("create-lightning-order")
    assert order.provider_id == ORDER
    assert order.pay.amount == Money("0.00155419", "BTC@lightning")
    assert order.pay.lightning_invoice is not None
    assert order.pay.lightning_invoice.startswith("lntb1554190n")
    assert order.pay.uri == f"lightning:{order.pay.lightning_invoice}"
    assert order.pay_with is not None
    assert order.pay_with.code == "BTC@lightning"
    assert order.created_at == CREATED
    assert order.expires_at == CREATED + timedelta(hours=1)


def lightning(text: str, environment: str = "sandbox", **changes: Any) -> Any:
    data = {"order_id": ORDER, "status": "PENDING", "amount": "0.00155419", "payment_request": text, **changes}
    adapter = make_adapter(environment=environment)
    return drive(adapter.create_order(new_order("BTC@lightning", callback_url=CALLBACK)), ok(data))


def test_the_invoice_decides_when_a_lightning_order_expires() -> None:
    _, order = lightning(invoice("0.00155419", "bitcoin", timedelta(minutes=10)), "live")
    assert order.expires_at == CREATED + timedelta(minutes=10)


def test_a_lightning_order_is_called_back_without_data() -> None:
    requests, _ = lightning(invoice("0.00155419"))
    assert requests[0].json["callback_url"] == CALLBACK
    assert "enable_post_callback" not in requests[0].json


@pytest.mark.parametrize(
    "text, environment",
    [
        (invoice("0.00155418"), "sandbox"),
        (invoice(None), "sandbox"),
        (invoice("0.00155419"), "live"),
        (invoice("0.00155419", "regtest"), "live"),
        (invoice("0.00155419", "bitcoin"), "sandbox"),
        (invoice("0.00155419")[:-1] + "q", "sandbox"),
        ("lntb1554190n1example", "sandbox"),
        ("", "sandbox"),
    ],
)
def test_an_invoice_that_does_not_fit_is_malformed(text: str, environment: str) -> None:
    with pytest.raises(BAD_ANSWER):
        lightning(text, environment)


def test_another_price_of_a_lightning_order_is_malformed() -> None:
    with pytest.raises(Malformed, match="vs_price"):
        lightning(invoice("0.00155419"), vs_price=17, vs_currency="USD")


# 3, 4 reading orders


def test_a_page_of_orders() -> None:
    page = replay("get-orders")
    first, second = page.items
    assert page.next == "2"
    assert first.provider_id == ORDER
    assert first.pay.amount == Money("19.0012", "USDC@tron")
    assert first.price == Money("19", "USD")
    assert first.refundable is False
    assert first.expires_at == CREATED + timedelta(minutes=30)
    assert first.raw["platform"] == "API"
    assert second.status is OrderStatus.PAID
    assert second.refundable is True
    assert second.updated_at == datetime(2024, 4, 26, 9, 59, 47, tzinfo=UTC)
    assert second.expires_at is None  # an invoice: nothing is said of its life


def test_pages_are_followed_to_the_last() -> None:
    operation = make_adapter().list_orders(Query(cursor="5", size=10))
    rows = [{"order_id": ORDER, "status": "PENDING"}]
    requests, page = drive(operation, ok({"page": 5, "max_page": 5, "data": rows}))
    assert requests[0].target() == "/api/v2/order/?page=5&size=10"
    assert page.next is None
    _, empty = drive(make_adapter().list_orders(Query()), ok({"page": 1, "max_page": 3, "data": []}))
    assert empty.next is None


@pytest.mark.parametrize("cursor", ["0", "x", "-1", "1&size=9", "1" * 20])
def test_a_cursor_from_elsewhere_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        sent(make_adapter().list_orders(Query(cursor=cursor)))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"data": []},
        {"data": {}, "max_page": 1},
        {"data": [{"order_id": ORDER}], "max_page": 1},
        {"data": ["x"], "max_page": 1},
        {"data": [{"order_id": ORDER, "status": "PENDING", "amount": True}], "max_page": 1},
        {"data": [], "max_page": True},
    ],
)
def test_a_page_that_is_none_is_malformed(data: Any) -> None:
    with pytest.raises(BAD_ANSWER):
        drive(make_adapter().list_orders(Query()), ok(data))


def test_the_details_of_a_paid_order() -> None:
    order = replay("get-order-details")
    assert order.status is OrderStatus.PAID
    assert order.price == Money("65.50", "USD")
    assert order.pay.amount == Money("0.00102549", "BTC@bitcoin")
    assert order.pay.address == "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    assert order.pay.uri is None  # paid: nothing more to ask a wallet for
    assert order.net is None  # `obtained` is before or after the fee: not documented
    assert order.raw["data"]["obtained"] == "0.00101728608"
    assert order.received is None
    assert [(fee.name, fee.amount) for fee in order.fees] == [("fee", Money("0.00000820392", "BTC@bitcoin"))]
    assert order.transactions == ("00000000000000000000000000000000000000000000000000000000000000aa",)
    assert order.refundable is True
    assert order.raw["data"]["tx_type"] == "ORDER"


def details(**changes: Any) -> Any:
    row = {"order_id": ORDER, "status": "PENDING", "chain": "BTC", "currency": "BTC", "amount": "0.001", **changes}
    return drive(make_adapter().get_order(ORDER), ok(row))[1]


@pytest.mark.parametrize(
    "word, status, exceptions",
    [
        ("PENDING", OrderStatus.PENDING, set()),
        ("SUCCESS", OrderStatus.PAID, set()),
        ("SUCCEED", OrderStatus.PAID, set()),
        ("succeed", OrderStatus.PAID, set()),
        ("Success", OrderStatus.PAID, set()),
        ("OVERDUE", OrderStatus.EXPIRED, set()),
        ("RESOLVED", OrderStatus.PAID, {OrderException.MARKED}),
        ("PARTIAL", OrderStatus.UNDERPAID, {OrderException.PARTIAL}),
        ("TERMINATED", OrderStatus.CANCELLED, set()),
        ("REFUNDED", OrderStatus.REFUNDED, set()),
    ],
)
def test_order_statuses(word: str, status: OrderStatus, exceptions: set[OrderException]) -> None:
    order = details(status=word)
    assert (order.status, order.exceptions, order.provider_status) == (status, exceptions, word)
    assert order.warnings == ()


def test_an_unknown_status_is_kept_and_warned_about() -> None:
    order = details(status="FROZEN")
    assert order.status is OrderStatus.UNRECOGNISED
    assert order.provider_status == "FROZEN"
    assert "FROZEN" in order.warnings[0]


def test_a_pending_order_can_still_be_paid() -> None:
    order = details(to_addr="bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", obtained=None, fee="", tx_hash_list=None)
    assert order.pay.uri == "bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=0.001"
    assert order.fees == ()
    assert order.net is None
    assert details(chain="BLN", currency="BTC-LN", to_addr="someone").pay.address is None


@pytest.mark.parametrize(
    "chain, currency, asset",
    [
        ("TRX", "SUN-TRC20", "SUN@tron"),
        ("ETH", "PEPE-ERC20", "PEPE@ethereum"),
        ("eth", "usdt-erc20", "USDT@ethereum"),
        ("SOL", "USDC-SPL", "USDC-SPL@sol"),
        ("Base Chain", "ETH", "ETH@base-chain"),
        (None, "USDT-TRC20", "USDT@tron"),
        (None, "XMR", "XMR"),
    ],
)
def test_coins_that_are_not_in_the_table_are_kept(chain: str | None, currency: str, asset: str) -> None:
    assert details(chain=chain, currency=currency).pay_with.code == asset


def test_an_order_without_a_coin_has_no_amount() -> None:
    order = details(chain=None, currency=None)
    assert order.pay_with is None
    assert order.pay.amount is None


@pytest.mark.parametrize(
    "changes", [{"order_id": "1"}, {"status": None}, {"amount": "1,5"}, {"chain": "!", "currency": "?"}]
)
def test_details_that_are_not_as_documented_are_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(BAD_ANSWER):
        details(**changes)


@pytest.mark.parametrize("number", ["", "../tx", "a/b", "1?x=2", "é", "1" * 65])
def test_a_number_that_cannot_stand_in_a_path_is_refused(number: str) -> None:
    for operation in (make_adapter().get_order(number), make_adapter().get_refund(number)):
        with pytest.raises(InvalidRequest):
            sent(operation)


def test_times_are_read_in_the_zone_of_the_settings() -> None:
    adapter = make_adapter(timezone="Asia/Singapore")
    row = {"order_id": ORDER, "status": "PENDING", "create_time": "2024-04-26T10:39:47", "update_time": "2024-04-26Z"}
    _, order = drive(adapter.get_order(ORDER), ok(row))
    assert order.created_at == CREATED - timedelta(hours=8)
    assert order.updated_at is None
    assert "update_time" in order.warnings[0]
    row["update_time"] = "2024-04-26T10:39:47Z"
    assert drive(adapter.get_order(ORDER), ok(row))[1].updated_at == CREATED


# 5, 6 refunds


def refund_request(**more: Any) -> NewRefund:
    return NewRefund(request=RefundRequest(reference="refund-1", order="cart-1", **more), order=ORDER)


def test_a_refund_is_not_believed_before_a_reading() -> None:
    refund = replay("order-refund")
    assert refund.status is RefundStatus.UNCONFIRMED
    assert refund.provider_status == "example"
    assert refund.provider_id == ORDER
    assert refund.amount is None
    assert refund.created_at == datetime(2024, 4, 27, 8, tzinfo=UTC)
    assert "does not prove" in refund.warnings[0]
    assert refund.raw["refund_amount"] == Decimal("18.0012")


def test_a_refund_has_no_body_and_may_have_an_envelope() -> None:
    requests, refund = drive(make_adapter().create_refund(refund_request()), ok({"order_id": ORDER}))
    assert requests[0].encoded().body is None
    assert refund.status is RefundStatus.UNCONFIRMED


@pytest.mark.parametrize("body", [{}, [], {"order_id": "1"}, {"refund_status": "x"}, {"code": 0, "data": None}, b"<p>"])
def test_a_refund_answer_that_says_nothing_is_malformed(body: Any) -> None:
    with pytest.raises(BAD_ANSWER):
        drive(make_adapter().create_refund(refund_request()), answer(body))


@pytest.mark.parametrize("more", [{"amount": Money("5", "USD")}, {"provider_options": {"aurpay": {"partial": True}}}])
def test_only_whole_orders_are_refunded(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        sent(make_adapter().create_refund(refund_request(**more)))


def test_the_order_confirms_its_refund() -> None:
    refund = replay("get-order-refund-info")
    assert refund.status is RefundStatus.COMPLETED
    assert refund.amount == Money("18.0012", "USDT@tron")
    assert refund.provider_status == "REFUNDED"
    info = recorded("get-order-refund-info")[0][1]
    _, pending = drive(make_adapter().get_refund(ORDER), info, ok({"order_id": ORDER, "status": "SUCCESS"}))
    assert pending.status is RefundStatus.PENDING
    with pytest.raises(Malformed, match="order_id"):
        drive(make_adapter().get_refund(ORDER), ok({"order_id": "1", "amount": 1}))


# 7 transactions


def test_transactions() -> None:
    page = replay("get-transactions")
    (transaction,) = page.items
    assert page.next is None
    assert transaction.provider_id == "7f8b5d6e-0000-4000-8000-000000000001"
    assert (transaction.kind, transaction.status) == ("ORDER", "SUCCESS")
    assert transaction.amount == Money("0.00102549", "BTC@bitcoin")
    assert transaction.obtained == Money("0.00101728608", "BTC@bitcoin")
    assert transaction.fees[0].amount == Money("0.00000820392", "BTC@bitcoin")
    assert transaction.raw["user_id"] == "mct-0123456789ab"
    with pytest.raises(BAD_ANSWER):
        drive(make_adapter().list_transactions(Query()), ok({"max_page": 1, "data": [{"amount": "1"}]}))


# 8, 9 currencies; 10, 12, 13 wallets


def test_fiat_currencies() -> None:
    page = replay("supported-real-currencies")
    assert [currency.asset.code for currency in page.items] == ["USD", "EUR", "JPY"]
    adapter = make_adapter(real_currencies={"currency": "code"})
    _, renamed = drive(adapter.list_currencies(Query(kind="fiat")), answer([{"code": "sek"}]))
    assert renamed.items[0].asset.code == "SEK"
    for strange in (["DOLLAR"], [5], [{"currency": "USD"}], {"USD": 1}, "USD", None):
        with pytest.raises(Malformed):
            drive(adapter.list_currencies(Query(kind="fiat")), ok(strange))


def test_coins() -> None:
    first, second = replay("supported-crypto-currencies").items
    assert (first.asset.code, first.network, first.contract) == ("BTC@bitcoin", "bitcoin", None)
    assert (second.code, second.asset.code) == ("USDT-TRC20", "USDT@tron")
    assert second.contract == "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"


def test_wallets() -> None:
    (wallet,) = replay("wallets-list").items
    assert wallet.total == Money("120.5", "USDT@tron")
    assert wallet.address == "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"
    assert wallet.available is None
    (own,) = replay("self-custody-wallets").items
    assert (own.asset.code, own.address, own.total) == ("ETH@ethereum", ADDRESS, None)
    (balance,) = replay("lightning-balance").items
    assert balance.total == Money("0.00155419", "BTC@lightning")


def test_settings_rename_paths_and_fields() -> None:
    adapter = make_adapter(
        wallets={"path": "/api/v3/wallets", "balance": "total", "currency": "coin"},
        lightning_balance={"balance": "btc"},
    )
    rows = [{"chain": "TRX", "coin": "TRX", "total": Decimal("1.5")}]
    requests, page = drive(adapter.list_wallets(Query()), ok({"data": rows, "max_page": 2}))
    assert requests[0].target() == "/api/v3/wallets"
    assert page.items[0].total == Money("1.5", "TRX@tron")
    assert page.next == "2"
    requests, page = drive(adapter.list_wallets(Query(cursor="2")), ok({"data": rows, "max_page": 2}))
    assert requests[0].target() == "/api/v3/wallets?page=2"
    assert page.next is None
    _, page = drive(adapter.list_wallets(Query(kind="lightning")), ok({"btc": "2"}))
    assert page.items[0].total == Money("2", "BTC@lightning")


def test_another_answer_tells_what_was_found_but_no_values() -> None:
    with pytest.raises(Malformed) as caught:
        drive(make_adapter().list_wallets(Query()), ok([{"chain": "TRX", "coin": "secret-value"}]))
    assert str(caught.value) == (
        "expected the field currency (the account's setting wallets.currency), found an object with chain, coin"
    )
    with pytest.raises(Malformed, match="balance"):
        drive(make_adapter().list_wallets(Query(kind="lightning")), ok({"balance": "lots"}))
    with pytest.raises(Malformed, match="a list or a page, found an object with wallets"):
        drive(make_adapter().list_wallets(Query()), ok({"wallets": []}))


# 11, 15 payouts

WITHDRAW = {
    "path": "/api/v2/withdraw",
    "amount": "amount",
    "amount_as": "number",
    "currency": "coin",
    "chain": "chain",
    "address": "to",
}


def test_a_lightning_payout_sends_the_invoice_alone() -> None:
    payout = replay("create-lightning-withdrawal")
    assert payout.status is WithdrawalStatus.PENDING
    assert payout.provider_id is None
    assert payout.warnings
    text = invoice("0.001", "bitcoin")
    request = sent(
        make_adapter(environment="live").create_withdrawal(
            new_withdrawal("0.001 BTC@lightning", LightningInvoice(text.upper()))
        )
    )
    assert request.json == {"ln_invoices": text}


@pytest.mark.parametrize(
    "amount, text, environment",
    [
        ("0.001 BTC@lightning", invoice(None), "sandbox"),
        ("0.002 BTC@lightning", invoice("0.001"), "sandbox"),
        ("0.001 BTC@bitcoin", invoice("0.001"), "sandbox"),
        ("0.001 BTC@lightning", invoice("0.001"), "live"),
        ("0.001 BTC@lightning", "lntb1m1nothing", "sandbox"),
    ],
)
def test_an_invoice_over_something_else_is_not_paid(amount: str, text: str, environment: str) -> None:
    adapter = make_adapter(environment=environment)
    with pytest.raises(InvalidRequest):
        sent(adapter.create_withdrawal(new_withdrawal(amount, LightningInvoice(text))))


def test_a_payout_to_an_address_needs_the_account_s_settings() -> None:
    payout = new_withdrawal("1.5 USDT@tron", CryptoAddress("TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"))
    with pytest.raises(UnsupportedOperation, match="withdraw"):
        sent(make_adapter().create_withdrawal(payout))
    requests, done = drive(make_adapter(withdraw=WITHDRAW).create_withdrawal(payout), answer({"code": 0}))
    assert requests[0].path == "/api/v2/withdraw"
    assert requests[0].write
    assert requests[0].encoded().body == (
        b'{"amount":1.5,"coin":"USDT-TRC20","chain":"TRX","to":"TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"}'
    )
    assert done.status is WithdrawalStatus.PENDING
    as_text = make_adapter(withdraw={**WITHDRAW, "amount_as": "text"})
    small = new_withdrawal("0.00000001 BTC@bitcoin", CryptoAddress("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"))
    assert sent(as_text.create_withdrawal(small)).json["amount"] == "0.00000001"


@pytest.mark.parametrize(
    "payout, error",
    [
        (new_withdrawal("1 USDT", CryptoAddress("T")), InvalidRequest),
        (new_withdrawal("1 BTC@lightning", CryptoAddress("T")), InvalidRequest),
        (new_withdrawal("1 USDT@tron", CryptoAddress("T", memo="7")), InvalidRequest),
        (new_withdrawal("1 USDT@tron", CryptoAddress("T"), provider_options={"aurpay": {"x": 1}}), InvalidRequest),
        (new_withdrawal("1 USDT@tron", CardTopUp("c", "d")), UnsupportedOperation),
    ],
)
def test_a_payout_that_cannot_be_expressed_is_refused(payout: NewWithdrawal, error: type[Exception]) -> None:
    with pytest.raises(error):
        sent(make_adapter(withdraw=WITHDRAW).create_withdrawal(payout))


# The envelope and its errors


@pytest.mark.parametrize(
    "status, body, kind, code, message",
    [
        (200, {"code": 401, "msg": "unauthorized"}, AuthenticationFailed, "401", "unauthorized"),
        (403, {"code": 401, "message": "no"}, AuthenticationFailed, "401", "no"),
        (200, {"code": 1001, "message": "bad price"}, InvalidRequest, "1001", "bad price"),
        (200, {"code": "1001", "message": "", "msg": "bad price"}, InvalidRequest, "1001", "bad price"),
        (200, {"code": -1}, InvalidRequest, "-1", "no reason given"),
        (200, {"code": 0, "message": "no", "result": False}, InvalidRequest, "0", "no"),
        (400, {"code": 7, "message": "no"}, InvalidRequest, "7", "no"),
        (401, {"code": 7, "message": "no"}, AuthenticationFailed, "7", "no"),
        (403, {"code": 7, "message": "no"}, PermissionDenied, "7", "no"),
        (404, {"code": 7, "message": "no"}, NotFound, "7", "no"),
        (409, {"code": 7, "message": "no"}, Conflict, "7", "no"),
        (429, {"code": 7, "message": "no"}, RateLimited, "7", "no"),
    ],
)
def test_the_provider_s_own_errors(status: int, body: Any, kind: type[Exception], code: str, message: str) -> None:
    failure = make_adapter().read_failure(answer(body, status))
    assert failure is not None
    assert (failure.kind, failure.code, failure.message) == (kind, code, message)


@pytest.mark.parametrize(
    "status, body",
    [
        (200, {"code": 0, "message": "ok", "data": {}}),
        (200, {"code": 0, "data": {}, "result": True}),
        (200, {"order_id": ORDER}),
        (200, {"code": 500, "message": "internal error"}),
        (500, {"code": 1001, "message": "no"}),
        (502, b"<html>"),
        (404, b"<html>"),
        (400, {"code": 0}),
        (200, b"[1]"),
        (200, {"code": True}),
        (302, {"code": 5}),
        (200, b""),
    ],
)
def test_what_is_no_refusal(status: int, body: Any) -> None:
    assert make_adapter().read_failure(answer(body, status)) is None


@pytest.mark.parametrize(
    "response",
    [
        answer(b"<html>Bad gateway</html>"),
        answer(b'{"code": 0, "data": {"pay_'),
        answer(b""),
        answer([1]),
        answer({"data": {"pay_url": "https://pay.example/x"}}),
        answer({"code": 500, "data": {"pay_url": "https://pay.example/x"}}),
        answer({"code": 0, "message": "ok"}),
    ],
)
def test_a_foreign_answer_is_malformed(response: Response) -> None:
    with pytest.raises(Malformed):
        drive(make_adapter().create_order(new_order()), response)


def test_result_and_message_can_be_missing() -> None:
    _, order = drive(
        make_adapter().create_order(new_order()), answer({"code": 0, "data": {"pay_url": "https://pay.example/x"}})
    )
    assert order.pay.checkout_url == "https://pay.example/x"


# Authentication, 16 get API key, 17 verify

SIGNED_AT = Signing(datetime(2025, 1, 2, 3, 4, 5, 678999, tzinfo=UTC))


def test_the_key_goes_into_its_header() -> None:
    auth = make_adapter().auth
    signed = auth.sign(Request("GET", "/api/v2/tx"), SIGNED_AT)
    assert signed.headers == {"API-Key": "example-key"}
    assert "example-key" not in auth.key_id
    assert [secret.reveal() for secret in auth.secrets()] == ["example-key"]


def test_the_signature_of_a_call_without_a_body() -> None:
    request = Request("GET", "/api/v2/order/", query=(("page", "1"), ("size", "10")))
    signed = make_adapter(auth=SIGNATURE).auth.sign(request, SIGNED_AT)
    assert signed.headers == {
        "API-Token": "example-token",
        "Algorithm": "HMAC-SHA256",
        "Date": "2025-01-02T03:04:05.678Z",
        "Signature": "Fl78Dtc3Bwg7dEnGIJ03r5allO4Tqz5o9Cp5wBI3gVA=",
    }


def test_the_signature_of_a_call_with_a_body() -> None:
    request = Request("POST", "/api/order/pay-url", json={"price": Decimal("20"), "currency": "USD"}, write=True)
    signed = make_adapter(auth=SIGNATURE).auth.sign(request, SIGNED_AT)
    assert signed.body == b'{"price":20,"currency":"USD"}'
    assert signed.headers == {
        "Content-Type": "application/json",
        "API-Token": "example-token",
        "Algorithm": "HMAC-SHA256",
        "Date": "2025-01-02T03:04:05.678Z",
        "Body-MD5": "b52cb7f16470cec0fa014afd926973a7",
        "Signature": "jKoPZKUm0KnBESuamHFhHXDM8g0bKWDJL313rbhmLUM=",
    }
    assert replace(signed, headers={}, body=None) == request


def test_every_sending_is_signed_at_its_own_time() -> None:
    auth = make_adapter(auth=SIGNATURE).auth
    request = Request("GET", "/api/v2/tx")
    later = Signing(SIGNED_AT.now + timedelta(seconds=1))
    assert auth.sign(request, SIGNED_AT).headers["Signature"] != auth.sign(request, later).headers["Signature"]
    assert date_text(datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2025-01-02T03:04:05.000Z"
    assert not auth.numbered
    assert {secret.reveal() for secret in auth.secrets()} == {"example-token", "test-secret"}


def key_answer(token: str, expire: Any = 86400) -> Response:
    return ok({"access_token": token, "expire": expire})


def test_a_login_obtains_a_key_and_renews_it_in_time() -> None:
    clock = Clock()
    auth = make_adapter(clock, auth=LOGIN).auth
    assert isinstance(auth, LoginAuth)
    assert auth.login_due()
    assert auth.login_needed()
    with pytest.raises(AuthenticationFailed):
        auth.sign(Request("GET", "/"), SIGNED_AT)
    requests, _ = drive(auth.login(), key_answer("token-1"))
    assert requests[0].target() == "/api/plugin/key/aurpay"
    assert requests[0].json == {"username": "example-user", "password": "example-password"}
    assert (requests[0].signed, requests[0].write, requests[0].quiet) == (False, False, True)
    assert not auth.login_due()
    assert auth.sign(Request("GET", "/"), SIGNED_AT).headers == {"API-Key": "token-1"}
    assert {secret.reveal() for secret in auth.secrets()} == {"example-password", "token-1"}
    clock.time = NOW + timedelta(seconds=86400 - 301)
    assert not auth.login_due()
    clock.time = NOW + timedelta(seconds=86400 - 300)
    assert auth.login_due()
    assert not auth.login_needed(), "it is good until it expires"
    clock.time = NOW + timedelta(seconds=86400)
    assert auth.login_needed()
    drive(auth.login(), key_answer("token-2", 60))
    assert auth.sign(Request("GET", "/"), SIGNED_AT).headers == {"API-Key": "token-2"}
    clock.time += timedelta(seconds=53)
    assert not auth.login_due()
    clock.time += timedelta(seconds=1)
    assert auth.login_due()
    assert not auth.login_needed()
    clock.time += timedelta(seconds=6)
    assert auth.login_needed()


def test_a_refused_key_is_replaced_unless_a_newer_one_is_known() -> None:
    auth = make_adapter(auth=LOGIN).auth
    drive(auth.login(), key_answer("token-1"))
    first = auth.sign(Request("GET", "/"), SIGNED_AT)
    auth.refused(first)
    assert auth.login_due()
    assert auth.login_needed()
    drive(auth.login(), key_answer("token-2", None))
    auth.refused(first)
    assert not auth.login_due()
    assert auth.sign(Request("GET", "/"), SIGNED_AT).headers == {"API-Key": "token-2"}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"access_token": ""},
        {"access_token": "a\r\nb"},
        {"access_token": "a", "expire": 0},
        {"access_token": "a", "expire": "soon"},
        None,
    ],
)
def test_a_login_answer_without_a_key_is_malformed(data: Any) -> None:
    adapter = make_adapter(auth=LOGIN)
    with pytest.raises(BAD_ANSWER):
        drive(adapter.auth.login(), ok(data))
    assert adapter.auth.login_due()


def test_a_key_is_issued_without_showing_it() -> None:
    key = replay("get-api-key")
    assert key.secret.reveal() == "example-access-token"
    assert key.expires_at == NOW + timedelta(days=1)
    assert "example-access-token" not in repr(key) + key.model_dump_json() + repr(key.raw)
    with pytest.raises(UnsupportedOperation):
        sent(make_adapter().issue_key())
    other = make_adapter(auth={**LOGIN, "path": "/api/plugin/key"})
    assert sent(other.issue_key()).path == "/api/plugin/key"


def test_a_key_is_verified_by_a_read() -> None:
    adapter = make_adapter()
    (written, refusal), *_ = recorded("refused-key")
    request = sent(adapter.verify_key())
    assert written["uri"].endswith(request.target())
    assert not request.write
    failure = adapter.read_failure(refusal)
    assert failure is not None
    assert failure.kind is AuthenticationFailed
    assert drive(adapter.verify_key(), ok({"page": 1, "max_page": 0, "data": []}))[1] is None


# Settings and capabilities


@pytest.mark.parametrize(
    "settings",
    [
        {"auth": {"kind": "bearer", "api_key": "hidden-value"}},
        {"auth": {"kind": "api-key", "api_key": "hidden-value\n"}},
        {"auth": {"kind": "signature", "api_token": "hidden-value"}},
        {"timezone": "Mars/Olympus"},
        {"timezone": "/etc/passwd"},
        {"base_url": "http://dashboard.aurpay.net"},
        {"wallets": {"path": "https://elsewhere.example/"}},
        {"wallets": {"path": "/api/../other"}},
        {"wallets": {"path": "/api?x=1"}},
        {"wallets": {"amount": "x"}},
        {"withdraw": {"path": "/x", "amount": "amount"}},
    ],
)
def test_wrong_settings_are_refused_without_their_values(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        make_adapter(**settings)
    assert "hidden-value" not in str(caught.value)


def test_settings_show_no_secrets() -> None:
    settings = make_adapter(auth=SIGNATURE, callback={"token": "cb-token", "secret": "cb-secret"}).settings
    shown = repr(settings) + settings.model_dump_json()
    assert not [text for text in ("example-token", "test-secret", "cb-token", "cb-secret") if text in shown]
    assert settings.callback.strict is False
    assert make_adapter().settings.environment is Environment.SANDBOX
    assert all(field.description for field in AurpaySettings.model_fields.values())


def test_every_operation_and_variant_is_declared() -> None:
    declared = {(row.operation, row.variant) for row in AURPAY.capabilities.rows}
    assert declared == {(name, variant) for name, known in OPERATIONS.items() for variant in known.variants}
    for row in AURPAY.capabilities:
        assert row.source
        if row.support is Support.SUPPORTED:
            assert hasattr(make_adapter(), OPERATIONS[row.operation].method)
        else:
            assert row.reason
        assert row.support is not Support.MANUAL or row.instead


def test_an_account_that_signs_is_graded_by_its_signature() -> None:
    signed = make_adapter(
        auth={"kind": "signature", "api_token": "made-up-token", "api_secret": "made-up-secret"}
    ).capabilities()
    plain = make_adapter().capabilities()
    assert plain.get("orders.create", "coin").grade is Grade.DOCUMENTED
    assert signed.get("orders.create", "coin").grade is Grade.CLIENT
    assert "signature" in signed.get("orders.create", "coin").source
    assert {row.grade for row in signed.rows if row.support is Support.SUPPORTED} == {Grade.CLIENT, Grade.INFERRED}
    assert signed.get("wallets.list", "custodial") == plain.get("wallets.list", "custodial")


def test_settings_switch_capabilities() -> None:
    plain = make_adapter().capabilities()
    assert plain.get("withdrawals.create", "address").support is Support.MANUAL
    assert plain.get("keys.issue").support is Support.MANUAL
    switched = make_adapter(auth=LOGIN, withdraw=WITHDRAW).capabilities()
    row = switched.get("withdrawals.create", "address")
    assert (row.support, row.grade) == (Support.SUPPORTED, Grade.INFERRED)
    assert switched.get("keys.issue").support is Support.SUPPORTED
    assert plain.get("orders.create", "coin-without-network").support is Support.ABSENT
