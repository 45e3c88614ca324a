"""Aurex: every documented call, what is refused before anything is sent, and every way an answer can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.by_hand import answer, carry_out, cassette, html, replay
from gateway import contracts
from gateway.assets import Asset
from gateway.capabilities import OPERATIONS, Grade, Support
from gateway.contracts import Account, NewCard, NewOrder, NewWithdrawal, Provider, Query, RateLimit
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InsufficientFunds,
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
    CardRequest,
    CardStatus,
    CardTopUp,
    CardTransactionStatus,
    CryptoAddress,
    CustomerRequest,
    Environment,
    Fee,
    OrderRequest,
    OrderStatus,
    Settlement,
    WalletKind,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.secrets import Secret
from gateway_aurex import PROVIDER, gateway_register_providers
from gateway_aurex.adapter import AurexAdapter
from gateway_aurex.settings import AurexSettings

BASE = "https://aurex.cash/api/dashboard"
USER = "65f1c0ffee65f1c0ffee65f1"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
KEY = "canary-aurex-key"


def usd(amount: str) -> Money:
    return Money(amount, "USD")


def settings(**changes: Any) -> AurexSettings:
    return AurexSettings(**{"provider": "aurex", "auth": {"kind": "bearer", "api_key": KEY}, **changes})


@pytest.fixture
def adapter() -> AurexAdapter:
    return AurexAdapter(Account("cards", Environment.LIVE, settings(), lambda: NOW))


def new_order(price: str = "100 USD", coin: str | None = "USDT", customer: str | None = USER, **more: Any) -> NewOrder:
    request = OrderRequest(reference="cart-1", price=price, pay_with=coin, **more)
    return NewOrder(request=request, attempt="a-1", requested_at=NOW, customer=customer)


def new_card(balance: str = "100 USD", **more: Any) -> NewCard:
    request = CardRequest(reference="card-1", customer="c-42", name="Travel", initial_balance=balance, **more)
    return NewCard(request=request, customer=USER)


def top_up(
    amount: str = "50 USD", customer: str | None = USER, card: str = "card_abc123", **more: Any
) -> NewWithdrawal:
    request = WithdrawalRequest(reference="load-1", amount=amount, to=CardTopUp("c-42", card), **more)
    return NewWithdrawal(request=request, requested_at=NOW, customer=customer)


def documented(adapter: AurexAdapter, operation: Operation[Any], name: str) -> Any:
    return replay(adapter, operation, cassette("aurex", name, BASE))


def deposit(number: int, **changes: Any) -> dict[str, Any]:
    return {"depositId": f"dep_{number}", "amount": 10, "currency": "USDC", "status": "waiting"} | changes


def listed(*rows: Any) -> Any:
    return answer({"success": True, "data": list(rows)})


# Orders


def test_a_deposit_is_an_order_that_says_where_and_how_much_to_pay(adapter: AurexAdapter) -> None:
    order = documented(adapter, adapter.create_order(new_order()), "create-deposit")
    assert order.provider_id == f"{USER}/dep_abc123"
    assert (order.status, order.provider_status) == (OrderStatus.PENDING, "waiting")
    assert (order.price, order.pay_with) == (usd("100"), Asset.of("USDT"))
    assert (order.pay.address, order.pay.amount) == ("EXAMPLE-DEPOSIT-ADDRESS", usd("100"))
    assert (order.pay.uri, order.pay.checkout_url, order.pay.lightning_invoice) == (None, None, None)
    assert order.net == usd("95")
    assert order.fees == (
        Fee(name="platformFeeUsd", amount=usd("5")),
        Fee(name="merchantCommissionUsd", amount=usd("0")),
    )
    assert order.expires_at == datetime(2026, 1, 31, 13, 0, tzinfo=UTC)
    assert any("network" in warning for warning in order.warnings)
    assert order.raw["data"]["fees"]["totalCollected"] == 5


def test_a_deposit_is_asked_for_in_json_numbers_and_as_a_write(adapter: AurexAdapter) -> None:
    request = next(adapter.create_order(new_order("25.00 USD", "SOL")))
    assert request.write
    assert request.encoded().body == b'{"amount":25.00,"currency":"SOL"}'


@pytest.mark.parametrize("coin", ["SOL", "USDT", "USDC"])
def test_the_three_coins_are_taken_without_a_network(adapter: AurexAdapter, coin: str) -> None:
    request = next(adapter.create_order(new_order(coin=coin)))
    assert request.json["currency"] == coin


@pytest.mark.parametrize("coin", ["USDT@tron", "SOL@solana", "USDC@ethereum", "BTC", "BTC@lightning", None])
def test_other_coins_are_refused_before_anything_is_sent(adapter: AurexAdapter, coin: str | None) -> None:
    with pytest.raises(InvalidRequest, match="without a network"):
        next(adapter.create_order(new_order(coin=coin)))


def test_an_order_needs_a_customer(adapter: AurexAdapter) -> None:
    with pytest.raises(InvalidRequest, match="create the customer first"):
        next(adapter.create_order(new_order(customer=None)))


@pytest.mark.parametrize("price", ["100 EUR", "100 USDT", "100 USDT@tron"])
def test_a_price_is_in_usd(adapter: AurexAdapter, price: str) -> None:
    with pytest.raises(InvalidRequest, match="in USD"):
        next(adapter.create_order(new_order(price)))


@pytest.mark.parametrize(
    "begin",
    [
        lambda adapter, options: adapter.create_order(new_order(provider_options=options)),
        lambda adapter, options: adapter.create_card(new_card(provider_options=options)),
        lambda adapter, options: adapter.create_withdrawal(top_up(provider_options=options)),
        lambda adapter, options: adapter.create_customer(
            CustomerRequest(reference="c", first_name="A", last_name="B", provider_options=options)
        ),
    ],
)
def test_options_are_refused_and_those_of_other_providers_ignored(adapter: AurexAdapter, begin: Any) -> None:
    with pytest.raises(InvalidRequest, match="no provider_options"):
        next(begin(adapter, {"aurex": {"memo": "x"}}))
    assert next(begin(adapter, {"aurpay": {"memo": "x"}})).write


def test_an_order_is_found_in_its_customers_list(adapter: AurexAdapter) -> None:
    [first, _] = cassette("aurex", "list-deposits", BASE)
    order = replay(adapter, adapter.get_order(f"{USER}/dep_abc123"), [first])
    assert (order.provider_id, order.status) == (f"{USER}/dep_abc123", OrderStatus.PAID)
    assert (order.price, order.pay_with, order.pay.amount) == (usd("100"), Asset.of("USDT"), usd("100"))
    assert order.created_at == datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    # The list's short form does not say the rest.
    assert (order.pay.address, order.net, order.received, order.expires_at) == (None, None, None, None)
    assert (order.fees, order.warnings) == ((), ())
    assert order.raw["depositId"] == "dep_abc123"


def test_an_order_that_is_on_no_page_is_not_found(adapter: AurexAdapter) -> None:
    with pytest.raises(NotFound, match="dep_999"):
        documented(adapter, adapter.get_order(f"{USER}/dep_999"), "list-deposits")


def test_pages_shorter_than_asked_for_are_followed_on(adapter: AurexAdapter) -> None:
    pages = [listed(*(deposit(number) for number in range(start, start + 10))) for start in (0, 10, 20)]
    order, requests = carry_out(adapter, adapter.get_order(f"{USER}/dep_25"), *pages)
    assert order.provider_id == f"{USER}/dep_25"
    assert [dict(request.query)["offset"] for request in requests] == ["0", "10", "20"]


def test_a_list_that_starts_over_ends_the_search_without_claiming_that_there_is_no_such_order(
    adapter: AurexAdapter,
) -> None:
    page = listed(deposit(1), deposit(2))
    with pytest.raises(MalformedResponse, match="starts over"):
        carry_out(adapter, adapter.get_order(f"{USER}/dep_3"), page, page)


@pytest.mark.parametrize("identifier", ["dep_abc123", "/dep_abc123", f"{USER}/", f"{USER}/a/b", "", "../dep_1"])
def test_an_identifier_that_is_none_is_refused_before_anything_is_sent(adapter: AurexAdapter, identifier: str) -> None:
    with pytest.raises(InvalidRequest):
        next(adapter.get_order(identifier))


@pytest.mark.parametrize(
    "word, status",
    [
        ("waiting", OrderStatus.PENDING),
        ("confirmed", OrderStatus.PAID),
        ("failed", OrderStatus.FAILED),
        ("expired", OrderStatus.EXPIRED),
        ("Confirmed", OrderStatus.PAID),
    ],
)
def test_statuses_of_deposits(adapter: AurexAdapter, word: str, status: OrderStatus) -> None:
    order, _ = carry_out(adapter, adapter.get_order("u/dep_1"), listed(deposit(1, status=word)))
    assert (order.status, order.provider_status) == (status, word)


def test_an_unknown_status_is_kept_and_warned_about(adapter: AurexAdapter) -> None:
    order, _ = carry_out(adapter, adapter.get_order("u/dep_1"), listed(deposit(1, status="on_hold")))
    assert (order.status, order.provider_status) == (OrderStatus.UNRECOGNISED, "on_hold")
    assert order.warnings == ("unknown status 'on_hold'",)


def test_orders_are_listed_by_the_page_until_an_empty_one(adapter: AurexAdapter) -> None:
    first, last = cassette("aurex", "list-deposits", BASE)
    page = replay(adapter, adapter.list_orders(Query(customer=USER)), [first])
    assert [order.provider_id for order in page.items] == [f"{USER}/dep_abc124", f"{USER}/dep_abc123"]
    assert page.next is not None
    end = replay(adapter, adapter.list_orders(Query(customer=USER, cursor=page.next)), [last])
    assert (end.items, end.next) == ((), None)


def test_listing_notices_a_list_that_starts_over(adapter: AurexAdapter) -> None:
    rows = listed(deposit(1), deposit(2))
    page, _ = carry_out(adapter, adapter.list_orders(Query(customer=USER, size=2)), rows)
    with pytest.raises(MalformedResponse, match="starts over"):
        carry_out(adapter, adapter.list_orders(Query(customer=USER, size=2, cursor=page.next)), rows)


@pytest.mark.parametrize("cursor", ["", "2", "x:dep_1", "-1:dep_1", "²:dep_1"])
def test_a_foreign_cursor_is_refused(adapter: AurexAdapter, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        next(adapter.list_orders(Query(customer=USER, cursor=cursor)))


# Wallets


def test_a_wallet_is_shown_in_its_parts_and_their_sum(adapter: AurexAdapter) -> None:
    page = documented(adapter, adapter.list_wallets(Query(customer=USER, kind="custodial")), "get-wallet")
    [wallet] = page.items
    assert (wallet.kind, wallet.asset, wallet.customer) == (WalletKind.CUSTODIAL, Asset.of("USD"), USER)
    assert (wallet.available, wallet.pending, wallet.allocated) == (usd("150.50"), usd("25.00"), usd("100.00"))
    assert wallet.total == usd("275.50")
    assert page.next is None


@pytest.mark.parametrize(
    "begin",
    [
        lambda adapter: adapter.list_wallets(Query()),
        lambda adapter: adapter.list_orders(Query()),
        lambda adapter: adapter.list_cards(Query()),
        lambda adapter: adapter.create_withdrawal(top_up(customer=None)),
    ],
)
def test_what_belongs_to_a_customer_needs_one(adapter: AurexAdapter, begin: Any) -> None:
    with pytest.raises(InvalidRequest, match="a customer is needed"):
        next(begin(adapter))


# Withdrawals


def test_a_top_up_is_a_completed_withdrawal(adapter: AurexAdapter) -> None:
    done = documented(adapter, adapter.create_withdrawal(top_up()), "top-up-card")
    assert (done.status, done.provider_id) == (WithdrawalStatus.COMPLETED, None)
    assert (done.amount, done.debited) == (usd("50"), usd("51.5"))
    assert done.fees == (Fee(name="fees", amount=usd("1.5")),)
    assert (done.raw["data"]["newBalance"], done.warnings) == (150, ())
    assert next(adapter.create_withdrawal(top_up())).write


def test_a_top_up_with_another_amount_than_asked_for_is_warned_about(adapter: AurexAdapter) -> None:
    data = {"cardId": "card_abc123", "newBalance": 149, "rechargeAmount": 49}
    done, _ = carry_out(adapter, adapter.create_withdrawal(top_up()), answer({"success": True, "data": data}))
    assert (done.amount, done.debited) == (usd("49"), None)
    assert done.warnings == ("asked for 50 USD, the card was charged with 49 USD",)


@pytest.mark.parametrize("amount", ["10 USD", "10000 USD", "10.01 USD"])
def test_top_ups_within_the_range_go_out(adapter: AurexAdapter, amount: str) -> None:
    request = next(adapter.create_withdrawal(top_up(amount)))
    assert request.json == {"amount": Money.parse(amount).amount}


@pytest.mark.parametrize("amount", ["9.99 USD", "10000.01 USD", "50 EUR", "50 USDT"])
def test_top_ups_outside_of_it_do_not(adapter: AurexAdapter, amount: str) -> None:
    with pytest.raises(InvalidRequest, match="USD"):
        next(adapter.create_withdrawal(top_up(amount)))


def test_only_cards_are_paid_out_to(adapter: AurexAdapter) -> None:
    request = WithdrawalRequest(reference="p-1", amount="50 USDT", to=CryptoAddress("T-example"))
    with pytest.raises(InvalidRequest, match="cards only"):
        next(adapter.create_withdrawal(NewWithdrawal(request=request, requested_at=NOW, customer=USER)))


# Customers


def test_a_customer_is_created_and_read(adapter: AurexAdapter) -> None:
    request = CustomerRequest(reference="c-42", first_name="Ada", last_name="Example")
    made = documented(adapter, adapter.create_customer(request), "create-user")
    assert (made.provider_id, made.first_name, made.last_name, made.created_at) == (USER, "Ada", "Example", None)
    assert next(adapter.create_customer(request)).write
    read = documented(adapter, adapter.get_customer(USER), "get-user")
    assert (read.provider_id, read.created_at) == (USER, NOW)


# Cards


def test_a_card_is_issued_with_its_number_fees_and_what_it_took(adapter: AurexAdapter) -> None:
    card = documented(adapter, adapter.create_card(new_card()), "create-card")
    assert (card.provider_id, card.customer, card.name) == ("card_abc123", USER, "Travel")
    assert (card.status, card.balance, card.debited) == (CardStatus.ACTIVE, usd("100"), usd("124"))
    assert card.fees == (Fee(name="ourFee", amount=usd("5")), Fee(name="cardIssueFee", amount=usd("19")))
    assert card.number is not None
    assert (card.number.reveal(), card.number.masked, card.expires) == ("4000 1234 5678 9010", "•••• 9010", "01/30")
    assert card.cvv is not None
    assert card.cvv.reveal() == "000"


@pytest.mark.parametrize("balance", ["25 USD", "100000 USD"])
def test_initial_balances_within_the_range_go_out_as_numbers(adapter: AurexAdapter, balance: str) -> None:
    request = next(adapter.create_card(new_card(balance)))
    assert request.write
    assert decode_json(request.encoded().body or b"")["initialBalance"] == Money.parse(balance).amount


@pytest.mark.parametrize("balance", ["24.99 USD", "100000.01 USD", "100 EUR"])
def test_initial_balances_outside_of_it_do_not(adapter: AurexAdapter, balance: str) -> None:
    with pytest.raises(InvalidRequest, match="USD"):
        next(adapter.create_card(new_card(balance)))


def test_cards_are_listed_without_numbers(adapter: AurexAdapter) -> None:
    page = documented(adapter, adapter.list_cards(Query(customer=USER)), "list-cards")
    assert [(card.provider_id, card.status, card.balance) for card in page.items] == [
        ("card_abc123", CardStatus.ACTIVE, usd("100")),
        ("card_abc124", CardStatus.FROZEN, usd("12.34")),
    ]
    assert [(card.number, card.cvv, card.customer) for card in page.items] == [(None, None, USER)] * 2
    assert page.next is None


def test_a_card_is_read_with_its_number(adapter: AurexAdapter) -> None:
    card = documented(adapter, adapter.get_card(USER, "card_abc123"), "get-card")
    assert card.number is not None
    assert card.number.reveal() == "4000 1234 5678 9010"
    assert (card.expires, card.balance, card.debited, card.fees) == ("01/30", usd("100"), None, ())


def test_what_a_card_was_used_for(adapter: AurexAdapter) -> None:
    page = documented(adapter, adapter.list_card_transactions(USER, "card_abc123", Query()), "list-card-transactions")
    assert [(item.provider_id, item.amount, item.status) for item in page.items] == [
        ("txn_123", usd("9.99"), CardTransactionStatus.COMPLETED),
        ("txn_124", Money("250", "EUR"), CardTransactionStatus.DECLINED),
    ]
    assert page.items[1].created_at == datetime(2026, 1, 31, 12, 30, tzinfo=UTC)


def test_a_transaction_without_a_currency_is_in_usd(adapter: AurexAdapter) -> None:
    row = {"transactionId": 7, "amount": "1.10", "status": "reversed"}
    page, _ = carry_out(adapter, adapter.list_card_transactions(USER, "c", Query()), listed(row))
    [item] = page.items
    assert (item.provider_id, item.amount) == ("7", usd("1.10"))
    assert (item.status, item.provider_status) == (CardTransactionStatus.UNRECOGNISED, "reversed")
    assert item.warnings == ("unknown status 'reversed'",)


def test_a_one_time_code_is_good_for_as_long_as_the_answer_says(adapter: AurexAdapter) -> None:
    code = documented(adapter, adapter.get_one_time_code(USER, "card_abc123"), "get-one-time-code")
    assert (code.code.reveal(), code.card) == ("123456", "card_abc123")
    assert code.expires_at == datetime(2026, 1, 31, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize("word", ["active", "frozen", "blocked", "expired"])
def test_statuses_of_cards(adapter: AurexAdapter, word: str) -> None:
    row = {"cardId": "c", "status": word}
    page, _ = carry_out(adapter, adapter.list_cards(Query(customer=USER)), listed(row))
    assert (page.items[0].status.value, page.items[0].balance, page.items[0].warnings) == (word, None, ())


@pytest.mark.parametrize("word", ["pending", "completed", "declined", "failed"])
def test_statuses_of_card_transactions(adapter: AurexAdapter, word: str) -> None:
    row = {"transactionId": "t", "amount": 1, "status": word}
    page, _ = carry_out(adapter, adapter.list_card_transactions(USER, "c", Query()), listed(row))
    assert (page.items[0].status.value, page.items[0].warnings) == (word, ())


def test_an_unknown_card_status_is_kept_and_warned_about(adapter: AurexAdapter) -> None:
    row = {"cardId": "c", "status": "shipped"}
    page, _ = carry_out(adapter, adapter.list_cards(Query(customer=USER)), listed(row))
    assert (page.items[0].status, page.items[0].provider_status) == (CardStatus.UNRECOGNISED, "shipped")
    assert page.items[0].warnings == ("unknown status 'shipped'",)


def test_answers_with_card_secrets_are_kept_out_of_every_report(adapter: AurexAdapter) -> None:
    assert next(adapter.create_card(new_card())).quiet
    assert next(adapter.get_card(USER, "c")).quiet
    assert next(adapter.get_one_time_code(USER, "c")).quiet
    card = documented(adapter, adapter.create_card(new_card()), "create-card")
    code = documented(adapter, adapter.get_one_time_code(USER, "card_abc123"), "get-one-time-code")
    shown = "".join([repr(card), card.model_dump_json(), repr(card.raw), repr(code), code.model_dump_json()])
    for secret in ("4000 1234 5678 9010", "'000'", '"000"', "123456"):
        assert secret not in shown


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_an_identifier_cannot_leave_its_place_in_the_path(adapter: AurexAdapter, identifier: str) -> None:
    for operation in (
        adapter.get_customer(identifier),
        adapter.get_card(USER, identifier),
        adapter.get_card(identifier, "c"),
        adapter.list_card_transactions(USER, identifier, Query()),
        adapter.get_one_time_code(identifier, "c"),
    ):
        with pytest.raises(InvalidRequest):
            next(operation)


def test_identifiers_are_encoded(adapter: AurexAdapter) -> None:
    assert next(adapter.get_card("a/b", "c?d")).path == "/users/a%2Fb/cards/c%3Fd"
    assert next(adapter.create_withdrawal(top_up(card="../x"))).path == f"/users/{USER}/cards/..%2Fx/topup"
    with pytest.raises(InvalidRequest):
        next(adapter.get_one_time_code(USER, ""))


# Keys


def test_a_key_is_verified_by_a_user_that_is_not_known(adapter: AurexAdapter) -> None:
    unknown = answer({"success": False, "error": "User not found"}, 404)
    result, [request] = carry_out(adapter, adapter.verify_key(), unknown)
    assert result is None
    assert (request.method, request.path, request.write) == ("GET", f"/users/{'0' * 24}", False)


def test_a_key_that_is_refused_is_not_verified(adapter: AurexAdapter) -> None:
    [refused] = cassette("aurex", "refused-key", BASE)
    with pytest.raises(AuthenticationFailed, match="Invalid or missing API key"):
        carry_out(adapter, adapter.verify_key(), refused.response)


def test_a_web_servers_own_404_verifies_nothing(adapter: AurexAdapter) -> None:
    assert adapter.read_failure(html(404)) is None
    operation = adapter.verify_key()
    next(operation)
    with pytest.raises(NotFound):
        operation.throw(NotFound("HTTP 404"))


def test_the_key_goes_into_the_header_and_nowhere_else(adapter: AurexAdapter) -> None:
    signed = adapter.auth.sign(next(adapter.create_order(new_order())), Signing(NOW))
    assert signed.headers == {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    assert signed.body == b'{"amount":100,"currency":"USDT"}'
    assert KEY not in repr(adapter.auth) + adapter.auth.key_id + repr(adapter.settings)
    assert [secret.reveal() for secret in adapter.auth.secrets()] == [KEY]
    assert adapter.auth.numbered is False
    assert adapter.auth.sign(Request("GET", "/x", signed=False), Signing(NOW)).headers == {}


def test_accounts_with_one_key_share_its_rate_limit(adapter: AurexAdapter) -> None:
    def key_id(key: str) -> str:
        changed = settings(auth={"kind": "bearer", "api_key": key})
        return AurexAdapter(Account("x", Environment.LIVE, changed, lambda: NOW)).auth.key_id

    assert key_id(KEY) == adapter.auth.key_id
    assert key_id("another-key") != adapter.auth.key_id


@pytest.mark.parametrize("key", ["key with space", "key-line\n", "schlüssel", ""])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(auth={"kind": "bearer", "api_key": key})
    assert not key or key.strip() not in str(caught.value)


def test_settings() -> None:
    assert settings().base_url == BASE
    assert settings().auth.api_key == Secret(KEY)
    with pytest.raises(ValidationError, match="auth"):
        settings(auth={"kind": "signed", "api_key": KEY})
    for model in (AurexSettings, type(settings().auth)):
        assert all(field.description for field in model.model_fields.values())


# Failures


@pytest.mark.parametrize(
    "status, text, kind",
    [
        (200, "Insufficient balance", InsufficientFunds),
        (200, "no", InvalidRequest),
        (400, "amount must be a number", InvalidRequest),
        (400, "insufficient parameters", InvalidRequest),
        (401, "Invalid or missing API key", AuthenticationFailed),
        (403, "no", PermissionDenied),
        (404, "User not found", NotFound),
        (409, "Insufficient wallet balance", InsufficientFunds),
        (409, "balance is INSUFFICIENT", InsufficientFunds),
        (409, "card is being created", Conflict),
        (418, "no", InvalidRequest),
        (422, "no", InvalidRequest),
        (429, "Too many requests", RateLimited),
        (500, "Internal error", ProviderUnavailable),
        (503, "insufficient capacity", ProviderUnavailable),
    ],
)
def test_the_vendors_errors(adapter: AurexAdapter, status: int, text: str, kind: type[GatewayError]) -> None:
    failure = adapter.read_failure(answer({"success": False, "error": text}, status))
    assert failure is not None
    assert (failure.kind, failure.message, failure.code) == (kind, text, str(status))


@pytest.mark.parametrize("error", [None, "", {"text": "no"}])
def test_an_error_without_a_text_is_still_one(adapter: AurexAdapter, error: Any) -> None:
    failure = adapter.read_failure(answer({"success": False, "error": error}, 409))
    assert failure is not None
    assert (failure.kind, failure.message) == (Conflict, "no reason given")


@pytest.mark.parametrize(
    "response",
    [
        html(404),
        html(502),
        answer("", 500),
        answer("[]", 400),
        answer('{"error": "no"}', 400),
        answer('{"success": "false", "error": "no"}', 400),
        answer({"success": True, "data": {}}),
    ],
)
def test_what_is_not_the_vendors_error_is_not_taken_for_one(adapter: AurexAdapter, response: Any) -> None:
    assert adapter.read_failure(response) is None


# Answers that are not as documented

OPERATIONS_WITH_ONE: dict[str, Callable[[AurexAdapter], Operation[Any]]] = {
    "create-user": lambda adapter: adapter.create_customer(
        CustomerRequest(reference="c", first_name="A", last_name="B")
    ),
    "get-user": lambda adapter: adapter.get_customer(USER),
    "get-wallet": lambda adapter: adapter.list_wallets(Query(customer=USER)),
    "create-deposit": lambda adapter: adapter.create_order(new_order()),
    "create-card": lambda adapter: adapter.create_card(new_card()),
    "get-card": lambda adapter: adapter.get_card(USER, "c"),
    "top-up-card": lambda adapter: adapter.create_withdrawal(top_up()),
    "get-one-time-code": lambda adapter: adapter.get_one_time_code(USER, "c"),
}
OPERATIONS_WITH_MANY: dict[str, Callable[[AurexAdapter], Operation[Any]]] = {
    "list-deposits": lambda adapter: adapter.list_orders(Query(customer=USER)),
    "list-cards": lambda adapter: adapter.list_cards(Query(customer=USER)),
    "list-card-transactions": lambda adapter: adapter.list_card_transactions(USER, "c", Query()),
}
NEEDED = {
    "create-user": ["userId"],
    "get-user": ["userId"],
    "get-wallet": ["balance", "pendingBalance", "inCardsBalance", "currency"],
    "create-deposit": ["depositId", "amount", "currency", "depositAddress", "status"],
    "list-deposits": ["depositId", "amount", "currency", "status"],
    "create-card": ["cardId", "status"],
    "list-cards": ["cardId", "status"],
    "get-card": ["cardId", "cardNumber", "cvv", "status"],
    "top-up-card": ["cardId", "newBalance"],
    "list-card-transactions": ["transactionId", "amount", "status"],
    "get-one-time-code": ["otp"],
}
EVERY_OPERATION = OPERATIONS_WITH_ONE | OPERATIONS_WITH_MANY


@pytest.mark.parametrize("name, field", [(name, field) for name, fields in NEEDED.items() for field in fields])
def test_a_missing_field_is_malformed(adapter: AurexAdapter, name: str, field: str) -> None:
    whole = decode_json(cassette("aurex", name, BASE)[0].response.content)
    for row in whole["data"] if isinstance(whole["data"], list) else [whole["data"]]:
        del row[field]
    with pytest.raises(ValidationError):
        carry_out(adapter, EVERY_OPERATION[name](adapter), answer(whole))


@pytest.mark.parametrize("name", NEEDED)
def test_only_the_needed_fields_are_enough_and_further_ones_are_kept(adapter: AurexAdapter, name: str) -> None:
    whole = decode_json(cassette("aurex", name, BASE)[0].response.content)
    many = isinstance(whole["data"], list)
    rows = [
        {field: row[field] for field in NEEDED[name]} | {"novelty": 1}
        for row in (whole["data"] if many else [whole["data"]])
    ]
    result, _ = carry_out(
        adapter, EVERY_OPERATION[name](adapter), answer({"success": True, "data": rows if many else rows[0]})
    )
    for item in getattr(result, "items", (result,)):
        assert item.raw.get("data", item.raw)["novelty"] == 1


@pytest.mark.parametrize("name", EVERY_OPERATION)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "<!DOCTYPE html><p>maintenance</p>",
        '{"success": true, "data": {"cardId"',
        "null",
        "[]",
        '{"success": true}',
        '{"data": {}}',
        '{"success": 1, "data": {}}',
        '{"success": true, "data": null}',
        '{"success": true, "data": "x"}',
    ],
)
def test_an_answer_without_the_envelope_is_malformed(adapter: AurexAdapter, name: str, content: str) -> None:
    with pytest.raises(Malformed):
        carry_out(adapter, EVERY_OPERATION[name](adapter), answer(content))


@pytest.mark.parametrize("name", EVERY_OPERATION)
def test_one_thing_is_no_list_and_a_list_no_thing(adapter: AurexAdapter, name: str) -> None:
    data: Any = [] if name in OPERATIONS_WITH_ONE else {}
    with pytest.raises(Malformed):
        carry_out(adapter, EVERY_OPERATION[name](adapter), answer({"success": True, "data": data}))


@pytest.mark.parametrize("balance", [True, None, "much", [], "NaN", "1e400"])
def test_an_amount_that_is_none_is_malformed(adapter: AurexAdapter, balance: Any) -> None:
    data = {"balance": balance, "pendingBalance": 0, "inCardsBalance": 0, "currency": "USD"}
    with pytest.raises(ValidationError):
        carry_out(adapter, adapter.list_wallets(Query(customer=USER)), answer({"success": True, "data": data}))


def test_amounts_are_exact_as_numbers_and_as_texts(adapter: AurexAdapter) -> None:
    text = (
        '{"success": true, "data": {"balance": 0.10000000000000000000000000001, "pendingBalance": "1e-8", '
        '"inCardsBalance": 12345678901234567890.12, "currency": "USD"}}'
    )
    page, _ = carry_out(adapter, adapter.list_wallets(Query(customer=USER)), answer(text))
    [wallet] = page.items
    assert wallet.available == usd("0.10000000000000000000000000001")
    assert wallet.pending == usd("0.00000001")
    assert wallet.total is not None
    assert wallet.total.amount == Decimal("12345678901234567890.22000001000000000000000000001")


def test_secrets_and_fees_in_their_other_shapes(adapter: AurexAdapter) -> None:
    data = {"cardId": 7, "status": "active", "cardNumber": 4000123456789010, "cvv": 123, "fees": 24}
    card, _ = carry_out(adapter, adapter.create_card(new_card()), answer({"success": True, "data": data}))
    assert card.number is not None
    assert card.cvv is not None
    assert (card.provider_id, card.number.reveal(), card.cvv.reveal()) == ("7", "4000123456789010", "123")
    assert (card.fees, card.debited) == ((Fee(name="fees", amount=usd("24")),), None)
    data["fees"] = {"totalFees": 24}
    card, _ = carry_out(adapter, adapter.create_card(new_card()), answer({"success": True, "data": data}))
    assert card.fees == (Fee(name="totalFees", amount=usd("24")),)


def test_a_time_without_its_zone_is_utc(adapter: AurexAdapter) -> None:
    data = {"userId": USER, "createdAt": "2026-01-31T12:00:00"}
    customer, _ = carry_out(adapter, adapter.get_customer(USER), answer({"success": True, "data": data}))
    assert customer.created_at == NOW


# The table


def test_the_provider_is_registered_as_documented() -> None:
    found: list[Provider] = []
    gateway_register_providers(found.append)
    assert found == [PROVIDER]
    assert (PROVIDER.name, PROVIDER.settles_to) == ("aurex", Settlement.CUSTOMER)
    assert PROVIDER.rate_limit == RateLimit(60, 60)
    assert isinstance(PROVIDER.adapter(Account("x", Environment.LIVE, settings(), lambda: NOW)), AurexAdapter)


def test_every_operation_and_variant_is_declared_with_its_reason() -> None:
    declared = {(row.operation, row.variant) for row in PROVIDER.capabilities.rows}
    assert declared == {(op.name, variant) for op in OPERATIONS.values() for variant in op.variants}
    for row in PROVIDER.capabilities.rows:
        assert row.source
        assert row.support is Support.SUPPORTED or (row.reason and row.instead), row
        assert (row.support is Support.ABSENT) == (row.grade is Grade.ABSENT)


def test_the_grades_are_those_of_the_weakest_part() -> None:
    rows = [row for row in PROVIDER.capabilities.rows if row.support is not Support.ABSENT]
    grades = {f"{row.operation}:{row.variant}".rstrip(":"): row.grade.value for row in rows}
    assert grades == {
        "orders.create:coin-without-network": "P",
        "orders.get": "P",
        "orders.list": "P",
        "wallets.list:custodial": "D",
        "withdrawals.create:card": "P",
        "customers.create": "D",
        "customers.get": "D",
        "cards.create": "P",
        "cards.list": "P",
        "cards.get": "D",
        "cards.transactions": "P",
        "cards.one-time-code": "P",
        "keys.issue": "D",
        "keys.verify": "I",
        "keys.revoke": "D",
    }


def test_what_is_supported_is_implemented_and_nothing_else(adapter: AurexAdapter) -> None:
    for operation in OPERATIONS.values():
        offered = bool(PROVIDER.capabilities.variants(operation.name))
        assert hasattr(adapter, operation.method) == offered, operation.name
    for protocol in (
        contracts.CreatesOrders,
        contracts.ReadsOrders,
        contracts.ListsOrders,
        contracts.ListsWallets,
        contracts.CreatesWithdrawals,
        contracts.CreatesCustomers,
        contracts.ReadsCustomers,
        contracts.CreatesCards,
        contracts.ListsCards,
        contracts.ReadsCards,
        contracts.ListsCardTransactions,
        contracts.GivesOneTimeCodes,
        contracts.VerifiesKeys,
    ):
        assert isinstance(adapter, protocol)


def test_what_is_not_offered_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(UnsupportedOperation, match="bare SOL, USDT or USDC"):
        PROVIDER.capabilities.require("orders.create", "coin")
    with pytest.raises(UnsupportedOperation, match=r"only by hand.*gateway keys guide create"):
        PROVIDER.capabilities.require("keys.issue")
    with pytest.raises(UnverifiedOperation):
        PROVIDER.capabilities.require("keys.verify")
    assert PROVIDER.capabilities.require("keys.verify", allowed=["keys.verify"]).grade is Grade.INFERRED
