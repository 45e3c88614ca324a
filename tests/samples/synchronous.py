"""A shop's own code, as its type checker sees it. It is checked, not run."""

# ruff: noqa: T201
from __future__ import annotations

from decimal import Decimal

from gateway import (
    CardRequest,
    CardTopUp,
    CryptoAddress,
    CustomerRequest,
    Event,
    Gateway,
    GatewayError,
    LightningInvoice,
    Money,
    Order,
    OrderException,
    OrderRequest,
    OrderStatus,
    RefundRequest,
    TradeRequest,
    Withdrawal,
    WithdrawalRequest,
)
from gateway.errors import InvalidRequest, OutcomeUnknown, RateLimited
from gateway.models import Side, TradeKind
from gateway.observation import Record


def checkout(gw: Gateway, cart: str, price: Money) -> str:
    try:
        order: Order = gw.orders.create(
            OrderRequest(
                reference=cart,
                price=price,
                pay_with="USDT@tron",
                customer="c-42",
                return_url="https://shop.example/thanks",
                metadata={"cart": cart},
                provider_options={"aurpay": {"fixed_encrypt_price": True}},
            ),
            deadline=20,
        )
    except OutcomeUnknown as unknown:
        return f"look at it: {unknown.hint}"
    except RateLimited as limited:
        return f"again in {limited.retry_after or 1:.0f} s"
    if order.status is OrderStatus.PAID and OrderException.LATE in order.exceptions:
        return "late"
    amount: Money | None = order.pay.amount
    total: Decimal = amount.amount if amount is not None else Decimal(0)
    return order.pay.checkout_url or order.pay.uri or f"{order.pay.address} {total}"


def pay_out(gw: Gateway) -> list[Withdrawal]:
    made = [
        gw.withdrawals.create(
            WithdrawalRequest(reference="p-1", amount=Money("0.001", "BTC@lightning"), to=LightningInvoice("lnbc1")),
            account="shop",
        ),
        gw.withdrawals.create(
            WithdrawalRequest(reference="p-2", amount=Money("5", "USDT@tron"), to=CryptoAddress("T…")), account="shop"
        ),
        gw.withdrawals.create(
            WithdrawalRequest(reference="p-3", amount=Money("25", "USD"), to=CardTopUp(customer="c-42", card="1"))
        ),
    ]
    return [payout for payout in made if not payout.status.is_final]


def everything_else(gw: Gateway) -> None:
    gw.observe(heard)
    for wallet in gw.wallets.list(account="shop"):
        available: Money | None = wallet.available
        print(wallet.asset.code, available)
    for order in gw.orders.list(account="shop", status="paid"):
        print(order.reference, [attempt.account for attempt in order.attempts], order.fees)
    gw.orders.renew("cart-1001")
    gw.refunds.create(RefundRequest(reference="r-1", order="cart-1001"))
    gw.customers.create(CustomerRequest(reference="c-42", first_name="A", last_name="B"), account="cards")
    card = gw.cards.create(
        CardRequest(reference="card-1", customer="c-42", name="A B", initial_balance=Money(25, "USD")), account="cards"
    )
    if card.number is not None:
        print(card.number.masked)
    trade = gw.trades.create(
        TradeRequest(
            reference="t-1",
            market="BTC/USD",
            side=Side.BUY,
            kind=TradeKind.LIMIT,
            volume=Decimal("0.1"),
            rate=Decimal("60000"),
        ),
        account="treasury",
    )
    print(trade.filled, gw.markets.ticker("BTC/USD", account="treasury").last)
    status: int = gw.account("shop").request("GET", "/api/v2/order/", query={"page": "1"}).status
    print(status, gw.capabilities()["shop"].variants("orders.create"))


def handlers(gw: Gateway) -> None:
    @gw.on("order.paid", name="ship")
    def ship(event: Event) -> None:
        order: Order = gw.orders.get(event.reference, refresh=False)
        print(event.id, order.status, event.data["received"])

    @gw.on("order.*", "refund.completed", since="now", timeout=10, tries=3)
    async def books(event: Event) -> None:
        print(event.type)

    print(ship, books)


def poll(gw: Gateway, cursor: int) -> int:
    for event in gw.events.since(cursor, types=["order.*"], limit=100):
        cursor = event.id
    for delivery in gw.events.dead(handler="ship"):
        print(delivery.error, delivery.event.subject)
    replayed: int = gw.events.replay(handler="ship", events=[1, 2])
    return cursor + replayed


def heard(record: Record) -> None:
    print(record.operation, record.seconds, record.outcome)


def main() -> None:
    with Gateway.from_file("gateway.toml") as gw:
        try:
            print(checkout(gw, "cart-1001", Money("25.00", "USD")), pay_out(gw))
            everything_else(gw)
            handlers(gw)
            print(poll(gw, 0))
        except InvalidRequest as wrong:
            print(wrong.message)
        except GatewayError as error:
            print(error.outcome, error.retryable, error.provider_code)
    with Gateway(accounts={"shop": {"provider": "aurpay"}}, store="sqlite://") as gw:
        gw.add_account("second", provider="aurex", auth={"kind": "bearer", "api_key": "env:KEY"})


if __name__ == "__main__":
    main()
