"""The vendors' published examples, played to the real engine through both gateways; every cassette by one test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cassettes.replaying import NOW, names, playing
from gateway import flows
from gateway.assets import Asset
from gateway.errors import AuthenticationFailed, InvalidRequest, NotFound
from gateway.models import (
    CardRequest,
    CardStatus,
    CardTopUp,
    CardTransactionStatus,
    CustomerRequest,
    Environment,
    LightningInvoice,
    OrderRequest,
    OrderStatus,
    ProviderCustomer,
    ProviderOrder,
    RefundRequest,
    RefundStatus,
    Settlement,
    Side,
    TradeKind,
    TradeRequest,
    TradeStatus,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.plugins import load_plugins
from gateway.store import customers, orders
from support.colours import Opened, opened
from support.virtual import VirtualClock

USER = "65f1c0ffee65f1c0ffee65f1"
ORDER = "20240426103947614609"
TRADES = ("trades.create", "trades.cancel", "trades.get", "trades.open", "trades.history")
ACCOUNTS: dict[str, dict[str, Any]] = {
    "aurex": {"auth": {"kind": "bearer", "api_key": "canary-aurex-key"}},
    "aurpay": {
        "auth": {"kind": "api-key", "api_key": "canary-aurpay-key"},
        "allow_inferred": ["currencies.list", "wallets.list"],
    },
    "emirex": {
        "auth": {"kind": "signed", "public_key": "canary-emirex-public", "secret": "canary-emirex-secret"},
        "allow_inferred": ["wallets.list", *TRADES, "keys.verify"],
    },
}
LOGIN = {"kind": "login", "username": "example-user", "password": "example-password"}

Scenario = Callable[[Opened], None]
SCENARIOS: dict[tuple[str, str], tuple[Scenario, dict[str, Any]]] = {}


def plays(provider: str, name: str, **settings: Any) -> Callable[[Scenario], Scenario]:
    """This scenario plays this cassette. The account has these settings beside the usual ones."""

    def register(scenario: Scenario) -> Scenario:
        assert (provider, name) not in SCENARIOS, "a cassette belongs to one scenario"
        SCENARIOS[provider, name] = scenario, settings
        return scenario

    return register


def usd(amount: str) -> Money:
    return Money(amount, "USD")


def write(gw: Opened, work: Callable[[Any], None]) -> None:
    gw.core.database().transaction(work)


def know_the_customer(gw: Opened) -> None:
    """As if `customers.create` had been called before."""
    write(
        gw,
        lambda connection: customers.save_customer(
            connection,
            "c-42",
            account="it",
            provider="aurex",
            environment=Environment.LIVE,
            customer=ProviderCustomer(provider_id=USER),
            now=NOW,
        ),
    )


def know_the_order(gw: Opened, status: OrderStatus, provider_id: str | None = ORDER) -> None:
    """As if `orders.create` had been called before."""
    request = OrderRequest(reference="cart-1001", price="18 USD", pay_with="USDT@tron")

    def work(connection: Any) -> None:
        orders.insert_order(connection, request, environment=Environment.LIVE, settles_to=Settlement.MERCHANT, now=NOW)
        orders.insert_attempt(
            connection,
            "cart-1001",
            attempt_id="a-1",
            account="it",
            provider="aurpay",
            environment=Environment.LIVE,
            now=NOW,
        )
        orders.save_attempt(
            connection,
            "cart-1001",
            1,
            status=status,
            exceptions=(),
            provider_id=provider_id,
            snapshot=ProviderOrder(provider_id=provider_id, status=status),
            error=None,
            now=NOW,
        )

    write(gw, work)


# Aurex


@plays("aurex", "create-user")
def a_user_is_made(gw: Opened) -> None:
    made = gw.customers.create(CustomerRequest(reference="c-42", first_name="Ada", last_name="Example"))
    assert (made.reference, made.provider_id, made.first_name, made.last_name) == ("c-42", USER, "Ada", "Example")
    assert gw.customers.get("c-42", account="it", refresh=False) == made


@plays("aurex", "get-user")
def a_user_that_is_there_is_linked(gw: Opened) -> None:
    linked = gw.customers.link("c-42", USER, account="it")
    assert (linked.provider_id, linked.created_at) == (USER, datetime(2026, 1, 31, 12, tzinfo=UTC))


@plays("aurex", "get-wallet")
def a_customers_wallet(gw: Opened) -> None:
    know_the_customer(gw)
    (wallet,) = gw.wallets.list(account="it", customer="c-42")
    assert (wallet.account, wallet.customer, wallet.asset) == ("it", "c-42", Asset.of("USD"))
    assert (wallet.available, wallet.pending, wallet.allocated) == (usd("150.50"), usd("25.00"), usd("100.00"))
    assert wallet.total == usd("275.50")


@plays("aurex", "create-deposit")
def a_deposit_is_an_order(gw: Opened) -> None:
    know_the_customer(gw)
    request = OrderRequest(
        reference="cart-1001", price="100 USD", pay_with="USDT", customer="c-42", settles_to="customer"
    )
    order = gw.orders.create(request)
    assert (order.status, order.account, order.provider_id) == (OrderStatus.PENDING, "it", f"{USER}/dep_abc123")
    assert (order.pay.address, order.pay.amount, order.pay.uri) == ("EXAMPLE-DEPOSIT-ADDRESS", usd("100"), None)
    assert (order.net, order.expires_at) == (usd("95"), datetime(2026, 1, 31, 13, tzinfo=UTC))
    assert [fee.amount for fee in order.fees] == [usd("5"), usd("0")]
    assert "network" in order.warnings[0]
    assert gw.orders.create(request) == order


@plays("aurex", "list-deposits")
def a_customers_deposits_to_the_empty_page(gw: Opened) -> None:
    know_the_customer(gw)
    found = gw.orders.fetch_all(account="it", customer="c-42")
    assert [(order.provider_id, order.status, order.price) for order in found] == [
        (f"{USER}/dep_abc124", OrderStatus.PENDING, usd("40")),
        (f"{USER}/dep_abc123", OrderStatus.PAID, usd("100")),
    ]


@plays("aurex", "create-card")
def a_card_is_issued(gw: Opened) -> None:
    know_the_customer(gw)
    request = CardRequest(reference="card-1", customer="c-42", name="Travel", initial_balance="100 USD")
    card = gw.cards.create(request)
    assert (card.provider_id, card.status, card.expires) == ("card_abc123", CardStatus.ACTIVE, "01/30")
    assert (card.balance, card.debited) == (usd("100"), usd("124"))
    assert card.number.reveal().replace(" ", "") == "4000123456789010"
    assert card.cvv.reveal() == "000"
    again = gw.cards.create(request)
    assert (again.provider_id, again.number, again.cvv) == ("card_abc123", None, None)


@plays("aurex", "list-cards")
def a_customers_cards(gw: Opened) -> None:
    know_the_customer(gw)
    found = gw.cards.list(account="it", customer="c-42")
    assert [(card.provider_id, card.name, card.balance, card.status) for card in found] == [
        ("card_abc123", "Travel", usd("100"), CardStatus.ACTIVE),
        ("card_abc124", "Office", usd("12.34"), CardStatus.FROZEN),
    ]
    assert {card.customer for card in found} == {"c-42"}


@plays("aurex", "get-card")
def a_card_is_revealed(gw: Opened) -> None:
    know_the_customer(gw)
    card = gw.cards.reveal(account="it", customer="c-42", card="card_abc123")
    assert (card.customer, card.expires, card.balance) == ("c-42", "01/30", usd("100"))
    assert card.number.reveal().endswith("9010")
    assert "9010" not in str(card.cvv) + repr(card.cvv) + card.model_dump_json().replace("••9010", "")


@plays("aurex", "top-up-card")
def a_card_is_topped_up(gw: Opened) -> None:
    know_the_customer(gw)
    done = gw.withdrawals.create(
        WithdrawalRequest(reference="load-1", amount="50 USD", to=CardTopUp("c-42", "card_abc123"))
    )
    assert (done.status, done.amount, done.debited) == (WithdrawalStatus.COMPLETED, usd("50"), usd("51.5"))
    assert [fee.amount for fee in done.fees] == [usd("1.5")]


@plays("aurex", "list-card-transactions")
def a_cards_transactions(gw: Opened) -> None:
    know_the_customer(gw)
    found = gw.cards.transactions(account="it", customer="c-42", card="card_abc123")
    assert [(used.provider_id, used.amount, used.status) for used in found] == [
        ("txn_123", usd("9.99"), CardTransactionStatus.COMPLETED),
        ("txn_124", Money("250", "EUR"), CardTransactionStatus.DECLINED),
    ]


@plays("aurex", "get-one-time-code")
def a_cards_one_time_code(gw: Opened) -> None:
    know_the_customer(gw)
    code = gw.cards.one_time_code(account="it", customer="c-42", card="card_abc123")
    assert (code.code.reveal(), code.card) == ("123456", "card_abc123")
    assert (code.expires_at - NOW).total_seconds() == 300
    assert "123456" not in repr(code) + code.model_dump_json()


@plays("aurex", "refused-key")
def aurex_refuses_a_key(gw: Opened) -> None:
    with pytest.raises(AuthenticationFailed, match="Invalid or missing API key") as refused:
        gw.customers.link("c-42", USER, account="it")
    assert (refused.value.account, refused.value.provider, refused.value.outcome) == ("it", "aurex", "rejected")
    assert "canary" not in str(refused.value)


# Aurpay


@plays("aurpay", "get-payment-url")
def an_order_whose_coin_the_payer_chooses(gw: Opened) -> None:
    order = gw.orders.create(OrderRequest(reference="cart-1001", price="20 USD"))
    assert (order.status, order.provider_id) == (OrderStatus.PENDING, None)
    assert order.pay.checkout_url == "https://dashboard.aurpay.net/#/cashier/checkout-example"
    assert "its number is not learned" in order.warnings[0]


@plays("aurpay", "get-payment-info")
def an_order_for_one_coin(gw: Opened) -> None:
    order = gw.orders.create(OrderRequest(reference="cart-1001", price="18 USD", pay_with="USDT@ethereum"))
    assert (order.status, order.provider_id, order.price) == (OrderStatus.PENDING, ORDER, usd("18"))
    assert order.pay.amount == Money("18.0012", "USDT@ethereum")
    assert order.pay.address == "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert order.pay.uri == (
        "ethereum:0xdac17f958d2ee523a2206206994597c13d831ec7@1/transfer"
        "?address=0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed&uint256=18001200"
    )
    assert order.expires_at == datetime(2024, 4, 26, 11, 9, 47, tzinfo=UTC)


# The sample's invoice is one of testnet, which a live account refuses.
@plays("aurpay", "create-lightning-order", environment="sandbox")
def an_order_on_lightning(gw: Opened) -> None:
    order = gw.orders.create(OrderRequest(reference="cart-1001", price="100 USD", pay_with="BTC@lightning"))
    assert (order.status, order.provider_id) == (OrderStatus.PENDING, ORDER)
    assert order.pay.amount == Money("0.00155419", "BTC@lightning")
    assert order.pay.lightning_invoice.startswith("lntb1554190n1")
    assert order.pay.uri == f"lightning:{order.pay.lightning_invoice}"


@plays("aurpay", "get-orders")
def a_page_of_orders(gw: Opened) -> None:
    page = gw.run(flows.orders.fetch_page(gw.core, "it", customer=None, cursor=None, size=10, seconds=None))
    assert [(order.provider_id, order.status, order.pay.amount) for order in page.items] == [
        (ORDER, OrderStatus.PENDING, Money("19.0012", "USDC@tron")),
        ("20240426093947614608", OrderStatus.PAID, Money("0.00102549", "BTC@bitcoin")),
    ]
    assert [order.refundable for order in page.items] == [False, True]
    assert page.next == "2"


@plays("aurpay", "get-order-details")
def an_order_follows_its_provider(gw: Opened) -> None:
    know_the_order(gw, OrderStatus.PENDING)
    order = gw.orders.get("cart-1001")
    assert (order.status, order.exceptions) == (OrderStatus.PAID, frozenset())
    shown = order.leading.order
    assert (shown.price, shown.pay_with) == (usd("65.50"), Asset.of("BTC@bitcoin"))
    assert [fee.amount for fee in order.fees] == [Money("0.00000820392", "BTC@bitcoin")]
    assert shown.transactions == ("0" * 62 + "aa",)
    assert gw.orders.get("cart-1001") == order  # paid, so it is not read again


@plays("aurpay", "order-refund")
def a_refund_that_nobody_has_confirmed_yet(gw: Opened) -> None:
    know_the_order(gw, OrderStatus.PAID)
    request = RefundRequest(reference="refund-1", order="cart-1001")
    refund = gw.refunds.create(request)
    assert (refund.order, refund.account, refund.status.is_final) == ("cart-1001", "it", False)
    assert gw.refunds.create(request) == refund


@plays("aurpay", "get-order-refund-info")
def a_refund_is_confirmed_by_the_orders_status(gw: Opened) -> None:
    flow = flows.reads.read(gw.core, "it", "refunds.get", lambda it: it.adapter.get_refund(ORDER), seconds=None)
    refund = gw.run(flow)
    assert (refund.status, refund.amount) == (RefundStatus.COMPLETED, Money("18.0012", "USDT@tron"))


@plays("aurpay", "get-transactions")
def a_page_of_transactions(gw: Opened) -> None:
    flow = flows.reads.page(
        gw.core,
        "it",
        "transactions.list",
        lambda it, query: it.adapter.list_transactions(query),
        cursor=None,
        size=10,
        seconds=None,
    )
    page = gw.run(flow)
    (moved,) = page.items
    assert (moved.provider_id, moved.kind, moved.status) == (
        "7f8b5d6e-0000-4000-8000-000000000001",
        "ORDER",
        "SUCCESS",
    )
    assert moved.obtained == Money("0.00101728608", "BTC@bitcoin")
    assert page.next is None


@plays("aurpay", "supported-real-currencies")
def fiat_currencies(gw: Opened) -> None:
    found = gw.currencies.list(account="it", kind="fiat")
    assert [currency.asset.code for currency in found] == ["USD", "EUR", "JPY"]


@plays("aurpay", "supported-crypto-currencies")
def crypto_currencies(gw: Opened) -> None:
    found = gw.currencies.list(account="it")
    assert [(coin.asset.code, coin.contract) for coin in found] == [
        ("BTC@bitcoin", None),
        ("USDT@tron", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
    ]


@plays("aurpay", "wallets-list")
def custodial_wallets(gw: Opened) -> None:
    (wallet,) = gw.wallets.list(account="it")
    assert (wallet.asset.code, wallet.total) == ("USDT@tron", Money("120.5", "USDT@tron"))


@plays("aurpay", "self-custody-wallets")
def self_custody_wallets(gw: Opened) -> None:
    (wallet,) = gw.wallets.list(account="it", kind="self-custody")
    assert wallet.address == "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert (wallet.available, wallet.total) == (None, None)


@plays("aurpay", "lightning-balance")
def the_lightning_balance(gw: Opened) -> None:
    (wallet,) = gw.wallets.list(account="it", kind="lightning")
    assert wallet.total == Money("0.00155419", "BTC@lightning")


@plays("aurpay", "create-lightning-withdrawal")
def an_invoice_is_paid(gw: Opened) -> None:
    request = WithdrawalRequest(
        reference="payout-77",
        amount="0.001 BTC@lightning",
        to=LightningInvoice(
            "lnbc1m1pnzhprnsp5qszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqpp5qvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrqvpsx"
            "qcrqvpsxqcrqvpsdq2wpshjmm4ws9qrsgqlft862m92wpget600z233l30aspz9vfns43xfqxzykadqgtawxxnsxrfjw0hdl32xn2ht99dtls"
            "gvq6a9skmhanc9ajmauwc9ds3zkcpp6slqs"
        ),
    )
    paid = gw.withdrawals.create(request)
    assert (paid.status, paid.provider_id, paid.amount) == (WithdrawalStatus.PENDING, None, request.amount)
    assert gw.withdrawals.create(request) == paid


@plays("aurpay", "get-api-key", auth=LOGIN)
def a_key_is_obtained(gw: Opened) -> None:
    issued = gw.keys.issue(account="it")
    assert issued.secret.reveal() == "example-access-token"
    assert (issued.expires_at - NOW).total_seconds() == 86400
    assert "example-access-token" not in repr(issued) + issued.model_dump_json()


@plays("aurpay", "refused-key")
def aurpay_refuses_a_key_in_a_good_answer(gw: Opened) -> None:
    with pytest.raises(AuthenticationFailed, match="unauthorized") as refused:
        gw.keys.verify(account="it")
    assert (refused.value.provider_code, refused.value.outcome) == ("401", "rejected")


# Emirex


@plays("emirex", "symbols")
def markets(gw: Opened) -> None:
    found = gw.markets.list(account="it")
    assert [(market.market, market.provider_id, market.rate_decimals) for market in found] == [
        ("BTC/USDC", "BTCUSDC", 2),
        ("ETH/BTC", "ETHBTC", 6),
    ]


@plays("emirex", "ticker")
def a_ticker(gw: Opened) -> None:
    ticker = gw.markets.ticker("BTC/USDC", account="it")
    assert (ticker.market, ticker.last, ticker.change) == ("BTC/USDC", Decimal("60000.50"), Decimal("1.69"))
    assert str(ticker.volume) == "12.34567890"


@plays("emirex", "book")
def a_book(gw: Opened) -> None:
    book = gw.markets.book("BTC/USDC", account="it", depth=2)
    assert [level.rate for level in book.bids] == [Decimal("60000.1"), Decimal(59999)]
    assert [level.rate for level in book.asks] == [Decimal(60001), Decimal("60002.5")]
    assert (book.asks[0].volume, book.sequence) == (Decimal("0.00000001"), 987654)


@plays("emirex", "trades")
def public_trades(gw: Opened) -> None:
    found = gw.markets.trades("BTC/USDC", account="it")
    assert [(trade.rate, trade.side) for trade in found] == [
        (Decimal("60000.5"), Side.BUY),
        (Decimal(60000), Side.SELL),
    ]


@plays("emirex", "incorrect-pair")
def a_pair_that_there_is_not(gw: Opened) -> None:
    with pytest.raises(InvalidRequest, match="Incorrect pair") as refused:
        gw.markets.ticker("BTC/XYZ", account="it")
    assert refused.value.outcome == "rejected"


@plays("emirex", "framework-error", auth=None)
def a_parameter_that_is_missing(gw: Opened) -> None:
    with pytest.raises(InvalidRequest, match="Missing required parameters: pair"):
        gw.account("it").request("GET", "/public/book")


@plays("emirex", "unknown-path", auth=None)
def a_page_of_html(gw: Opened) -> None:
    with pytest.raises(NotFound, match="HTTP 404"):
        gw.account("it").request("GET", "/public/nothing")


@plays("emirex", "balances")
def balances(gw: Opened) -> None:
    found = gw.wallets.list(account="it")
    assert [(wallet.asset.code, wallet.total.amount, wallet.available.amount) for wallet in found] == [
        ("BTC", Decimal("0.30000001"), Decimal("0.1")),
        ("USDC", Decimal(1000), Decimal(1000)),
    ]


@plays("emirex", "create-order-limit")
def a_limit_order(gw: Opened) -> None:
    request = TradeRequest(reference="trade-1", market="BTC/USDC", side="sell", volume="2", rate="100.5")
    trade = gw.trades.create(request)
    assert (trade.provider_id, trade.status, trade.kind) == ("42", TradeStatus.PENDING, TradeKind.LIMIT)
    assert (trade.market, trade.side, trade.volume, trade.rate) == ("BTC/USDC", Side.SELL, Decimal(2), Decimal("100.5"))
    assert gw.trades.create(request) == trade


@plays("emirex", "create-order-market")
def a_market_order(gw: Opened) -> None:
    request = TradeRequest(
        reference="trade-1", market="BTC/USDC", side="buy", kind="market", volume=Decimal("0.00000001")
    )
    assert gw.trades.create(request).provider_id == "43"


@plays("emirex", "get-order")
def a_trade_by_its_number(gw: Opened) -> None:
    trade = gw.trades.fetch(account="it", provider_id="42")
    assert (trade.status, trade.filled, trade.commission) == (TradeStatus.OPEN, Decimal("0.5"), Decimal("0.0005"))
    assert (trade.account, trade.environment) == ("it", "live")


@plays("emirex", "delete-order")
def a_trade_is_cancelled(gw: Opened) -> None:
    flow = flows.reads.read(gw.core, "it", "trades.cancel", lambda it: it.adapter.cancel_trade("42"), seconds=None)
    assert gw.run(flow).status is TradeStatus.CANCELLED


@plays("emirex", "orders")
def open_trades(gw: Opened) -> None:
    (trade,) = gw.trades.open(account="it")
    assert (trade.provider_id, trade.status, trade.side) == ("42", TradeStatus.OPEN, Side.SELL)


@plays("emirex", "history")
def finished_trades_to_the_empty_page(gw: Opened) -> None:
    found = gw.trades.history(account="it")
    assert [(trade.provider_id, trade.status) for trade in found] == [
        ("41", TradeStatus.FILLED),
        ("40", TradeStatus.CANCELLED),
    ]


@pytest.mark.parametrize(("provider", "name"), sorted(SCENARIOS))
def test_a_documented_example(provider: str, name: str, colour: str) -> None:
    scenario, settings = SCENARIOS[provider, name]
    account = {"provider": provider, **ACCOUNTS[provider], **settings}
    clock = VirtualClock(NOW)
    with (
        playing(provider, "documented", name),
        opened(colour, plugins=load_plugins(), clock=clock, accounts={"it": account}) as gw,
    ):
        scenario(gw)
        assert clock.slept == []


def test_every_documented_example_is_played() -> None:
    assert set(SCENARIOS) == names("documented")
