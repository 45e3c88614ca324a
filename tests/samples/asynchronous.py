"""A shop's own code, as its type checker sees it. It is checked, not run."""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
from decimal import Decimal

from gateway import (
    AsyncGateway,
    CardRequest,
    CardTopUp,
    CryptoAddress,
    CustomerRequest,
    Event,
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


async def checkout(gw: AsyncGateway, cart: str, price: Money) -> str:
    try:
        order: Order = await gw.orders.create(
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


async def pay_out(gw: AsyncGateway) -> list[Withdrawal]:
    made = [
        await gw.withdrawals.create(
            WithdrawalRequest(reference="p-1", amount=Money("0.001", "BTC@lightning"), to=LightningInvoice("lnbc1")),
            account="shop",
        ),
        await gw.withdrawals.create(
            WithdrawalRequest(reference="p-2", amount=Money("5", "USDT@tron"), to=CryptoAddress("T…")), account="shop"
        ),
        await gw.withdrawals.create(
            WithdrawalRequest(reference="p-3", amount=Money("25", "USD"), to=CardTopUp(customer="c-42", card="1"))
        ),
    ]
    return [payout for payout in made if not payout.status.is_final]


async def everything_else(gw: AsyncGateway) -> None:
    gw.observe(heard)
    async for wallet in gw.wallets.list(account="shop"):
        available: Money | None = wallet.available
        print(wallet.asset.code, available)
    async for order in gw.orders.list(account="shop", status="paid"):
        print(order.reference, [attempt.account for attempt in order.attempts], order.fees)
    await gw.orders.renew("cart-1001")
    await gw.refunds.create(RefundRequest(reference="r-1", order="cart-1001"))
    await gw.customers.create(CustomerRequest(reference="c-42", first_name="A", last_name="B"), account="cards")
    card = await gw.cards.create(
        CardRequest(reference="card-1", customer="c-42", name="A B", initial_balance=Money(25, "USD")), account="cards"
    )
    if card.number is not None:
        print(card.number.masked)
    trade = await gw.trades.create(
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
    print(trade.filled, (await gw.markets.ticker("BTC/USD", account="treasury")).last)
    response = await gw.account("shop").request("GET", "/api/v2/order/", query={"page": "1"})
    status: int = response.status
    print(status, gw.capabilities()["shop"].variants("orders.create"))


def handlers(gw: AsyncGateway) -> None:
    @gw.on("order.paid", name="ship")
    async def ship(event: Event) -> None:
        order: Order = await gw.orders.get(event.reference, refresh=False)
        print(event.id, order.status, event.data["received"])

    @gw.on("order.*", "refund.completed", since="now", timeout=10, tries=3)
    def books(event: Event) -> None:
        print(event.type)

    print(ship, books)


async def poll(gw: AsyncGateway, cursor: int) -> int:
    async for event in gw.events.since(cursor, types=["order.*"], limit=100):
        cursor = event.id
    for delivery in await gw.events.dead(handler="ship"):
        print(delivery.error, delivery.event.subject)
    replayed: int = await gw.events.replay(handler="ship", events=[1, 2])
    return cursor + replayed


def heard(record: Record) -> None:
    print(record.operation, record.seconds, record.outcome)


async def main() -> None:
    async with AsyncGateway.from_file("gateway.toml") as gw:
        try:
            print(await checkout(gw, "cart-1001", Money("25.00", "USD")), await pay_out(gw))
            await everything_else(gw)
            handlers(gw)
            print(await poll(gw, 0))
        except InvalidRequest as wrong:
            print(wrong.message)
        except GatewayError as error:
            print(error.outcome, error.retryable, error.provider_code)
    async with AsyncGateway(accounts={"shop": {"provider": "aurpay"}}, store="sqlite://") as gw:
        gw.add_account("second", provider="aurex", auth={"kind": "bearer", "api_key": "env:KEY"})


if __name__ == "__main__":
    asyncio.run(main())
