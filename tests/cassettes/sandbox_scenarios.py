"""The main operations of every provider, as they are recorded against its sandbox and played again.

Everything that a scenario needs comes out of the answers, so that it asks the same when it is played. `steer` does to
the sandbox what a payer would; played from a cassette it does nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.models import (
    CardRequest,
    CardStatus,
    CardTopUp,
    CustomerRequest,
    LightningInvoice,
    OrderRequest,
    OrderStatus,
    RefundRequest,
    RefundStatus,
    TradeRequest,
    TradeStatus,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.testing.lightning import encode_invoice

__all__ = ["SCENARIOS", "Steer"]

Steer = Callable[[str, str], None]
Scenario = Callable[[Any, Steer], None]
SCENARIOS: dict[tuple[str, str], tuple[Scenario, str]] = {}


def records(provider: str, name: str, auth: str = "") -> Callable[[Scenario], Scenario]:
    """This scenario is this cassette; `auth` is the account's flavour where there are several."""

    def register(scenario: Scenario) -> Scenario:
        assert (provider, name) not in SCENARIOS
        SCENARIOS[provider, name] = scenario, auth
        return scenario

    return register


def cart(**changes: Any) -> OrderRequest:
    return OrderRequest(**{"reference": "cart-1001", "price": "25.00 USD", "pay_with": "USDT@tron", **changes})


@records("aurpay", "order-for-a-coin-is-paid", "api-key")
def order_for_a_coin(gw: Any, steer: Steer) -> None:
    order = gw.orders.create(cart())
    assert (order.status, order.pay.amount.asset.code) == (OrderStatus.PENDING, "USDT@tron")
    steer("pay", order.provider_id)
    assert gw.orders.get("cart-1001").status is OrderStatus.PAID
    (listed,) = gw.orders.fetch_all(account="it")
    assert (listed.reference, listed.status) == ("cart-1001", OrderStatus.PAID)


@records("aurpay", "hosted-order", "signature")
def hosted_order(gw: Any, steer: Steer) -> None:
    order = gw.orders.create(cart(pay_with=None))
    assert order.pay.checkout_url.endswith(order.provider_id)
    steer("expire", order.provider_id)
    assert gw.orders.get("cart-1001").status is OrderStatus.EXPIRED


@records("aurpay", "lightning-order-with-a-login", "login")
def lightning_order(gw: Any, steer: Steer) -> None:
    order = gw.orders.create(cart(pay_with="BTC@lightning"))
    assert order.pay.uri == f"lightning:{order.pay.lightning_invoice}"
    steer("pay", order.provider_id)
    assert gw.orders.get("cart-1001").status is OrderStatus.PAID


@records("aurpay", "refund", "signature")
def refund(gw: Any, steer: Steer) -> None:
    number = gw.orders.create(cart()).provider_id
    steer("pay", number)
    gw.refunds.create(RefundRequest(reference="refund-1", order="cart-1001"))
    steer("complete_refund", number)
    assert gw.refunds.get("refund-1").status is RefundStatus.COMPLETED
    assert {moved.kind for moved in gw.transactions.list(account="it")} == {"ORDER", "REFUND"}


@records("aurpay", "lightning-payout", "signature")
def lightning_payout(gw: Any, steer: Steer) -> None:
    invoice = encode_invoice(
        ec.derive_private_key(7, ec.SECP256K1()),
        payment_hash=hashlib.sha256(b"a recorded payout").digest(),
        payment_secret=bytes(32),
        created_at=datetime(2025, 1, 1, tzinfo=UTC),
        amount=Money("0.001", "BTC@lightning"),
        network="testnet",
        description="a recorded payout",
        expiry=timedelta(days=36500),
    )
    request = WithdrawalRequest(reference="payout-77", amount="0.001 BTC@lightning", to=LightningInvoice(invoice))
    assert gw.withdrawals.create(request).status is WithdrawalStatus.PENDING


@records("aurpay", "wallets-and-currencies", "api-key")
def wallets_and_currencies(gw: Any, steer: Steer) -> None:
    gw.keys.verify(account="it")
    assert "USDT@tron" in {wallet.asset.code for wallet in gw.wallets.list(account="it")}
    assert all(wallet.address for wallet in gw.wallets.list(account="it", kind="self-custody"))
    assert gw.wallets.list(account="it", kind="lightning")[0].total == Money("0.05", "BTC@lightning")
    assert "USD" in {currency.code for currency in gw.currencies.list(account="it", kind="fiat")}
    assert "BTC@lightning" in {currency.asset.code for currency in gw.currencies.list(account="it")}


@records("aurex", "deposit-is-confirmed")
def deposit(gw: Any, steer: Steer) -> None:
    gw.customers.create(CustomerRequest(reference="c-42", first_name="Ada", last_name="Example"))
    order = gw.orders.create(cart(price="100 USD", pay_with="USDT", customer="c-42", settles_to="customer"))
    assert (order.status, order.net) == (OrderStatus.PENDING, Money("95", "USD"))
    steer("pay", order.provider_id.partition("/")[2])
    assert gw.orders.get("cart-1001").status is OrderStatus.PAID
    (wallet,) = gw.wallets.list(account="it", customer="c-42")
    assert wallet.available == Money("1095", "USD")


@records("aurex", "life-of-a-card")
def card(gw: Any, steer: Steer) -> None:
    gw.customers.create(CustomerRequest(reference="c-42", first_name="Ada", last_name="Example"))
    issued = gw.cards.create(CardRequest(reference="card-1", customer="c-42", name="Travel", initial_balance="100 USD"))
    number = issued.provider_id
    loaded = gw.withdrawals.create(WithdrawalRequest(reference="l", amount="50 USD", to=CardTopUp("c-42", number)))
    assert loaded.debited == Money("51.50", "USD")
    assert gw.cards.reveal(account="it", customer="c-42", card=number).status is CardStatus.ACTIVE
    steer("spend", number)
    (used,) = gw.cards.transactions(account="it", customer="c-42", card=number)
    assert used.amount == Money("9.99", "USD")
    assert gw.cards.one_time_code(account="it", customer="c-42", card=number).card == number
    assert [one.provider_id for one in gw.cards.list(account="it", customer="c-42")] == [number]


@records("emirex", "market-data")
def market_data(gw: Any, steer: Steer) -> None:
    assert "BTC/USDC" in {market.market for market in gw.markets.list(account="it")}
    assert gw.markets.ticker("BTC/USDC", account="it").last == Decimal(60000)
    book = gw.markets.book("BTC/USDC", account="it", depth=2)
    assert book.bids[0].rate < book.asks[0].rate
    assert gw.markets.trades("BTC/USDC", account="it")


@records("emirex", "life-of-a-trade")
def trade(gw: Any, steer: Steer) -> None:
    gw.keys.verify(account="it")
    request = TradeRequest(reference="trade-1", market="BTC/USDC", side="buy", volume="0.01", rate="100.5")
    placed = gw.trades.create(request)
    assert [open_.provider_id for open_ in gw.trades.open(account="it")] == [placed.provider_id]
    assert gw.trades.get("trade-1").status is TradeStatus.OPEN
    assert gw.trades.cancel("trade-1").status is TradeStatus.CANCELLED
    assert [done.status for done in gw.trades.history(account="it")] == [TradeStatus.CANCELLED]
