"""The chapters about what only some providers have: cards, and an exchange."""

from __future__ import annotations

from decimal import Decimal

from gateway import CardRequest, CardTopUp, Gateway, Money, TradeRequest, WithdrawalRequest, WithdrawalStatus
from gateway.cli.demo.orders import CUSTOMER
from gateway.cli.demo.script import Script, Step
from gateway.cli.demo.stage import CARDS, TREASURY, Stage
from gateway.models import CardStatus, Side, TradeStatus

__all__ = ["cards", "exchange"]


def cards(script: Script, stage: Stage, gateway: Gateway) -> None:
    """A card for the customer, paid from the wallet that the paid order filled."""
    provider = gateway.account(CARDS).provider
    request = CardRequest(reference="card-1", customer=CUSTOMER, name="Travel", initial_balance=Money("25.00", "USD"))
    with script.step(
        "card issued",
        account=CARDS,
        provider=provider,
        operation="cards.create",
        expect="an active card; the wallet pays balance and fees; repeating the call makes no second card",
    ) as step:
        before = _wallet(step, gateway)
        card = gateway.cards.create(request, account=CARDS)
        number = step.present("the card's number", card.number)
        debited = step.present("what the wallet paid", card.debited)
        step.check("status", card.status, CardStatus.ACTIVE)
        step.check("balance", card.balance, request.initial_balance)
        step.check("the wallet", _wallet(step, gateway), before - debited)
        again = gateway.cards.create(request, account=CARDS)
        step.check("the card, asked again", again.provider_id, card.provider_id)
        step.check("its number, which is not stored", again.number, None)
        step.check("cards at the sandbox", len(stage.ledger(CARDS)["cards"]), 1)
        step.got = f"{number.masked} with {card.balance}; the wallet paid {debited}"
    with script.step(
        "card topped up",
        account=CARDS,
        provider=provider,
        operation="withdrawals.create",
        expect="10.00 USD more on the card; the wallet pays that and the fee",
    ) as step:
        before = _wallet(step, gateway)
        top_up = WithdrawalRequest(
            reference="top-up-1",
            amount=Money("10.00", "USD"),
            to=CardTopUp(customer=CUSTOMER, card=card.provider_id),
        )
        done = gateway.withdrawals.create(top_up, account=CARDS)
        debited = step.present("what the wallet paid", done.debited)
        (seen,) = gateway.cards.list(account=CARDS, customer=CUSTOMER)
        step.check("status", done.status, WithdrawalStatus.COMPLETED)
        step.check("the card's balance", seen.balance, request.initial_balance + top_up.amount)
        step.check("the wallet", _wallet(step, gateway), before - debited)
        step.got = f"card {request.initial_balance.amount} → {seen.balance}; the wallet paid {debited}"


def _wallet(step: Step, gateway: Gateway) -> Money:
    (wallet,) = gateway.wallets.list(account=CARDS, customer=CUSTOMER)
    return step.present("what the wallet holds", wallet.available)


def exchange(script: Script, stage: Stage, gateway: Gateway) -> None:
    """A market read, a trade placed far from the market and cancelled."""
    provider = gateway.account(TREASURY).provider
    with script.step(
        "market read",
        account=TREASURY,
        provider=provider,
        operation="markets.book",
        expect="a last price, and bids below asks",
    ) as step:
        market = next(iter(gateway.markets.list(account=TREASURY)), None)
        market = step.present("a market", market)
        ticker = gateway.markets.ticker(market.market, account=TREASURY)
        book = gateway.markets.book(market.market, account=TREASURY)
        step.holds("the last price is above zero", ticker.last > 0, ticker.last)
        step.holds("there are bids and asks", bool(book.bids and book.asks))
        bid, ask = book.bids[0].rate, book.asks[0].rate
        step.holds("the best bid is below the best ask", bid < ask, f"{bid}, {ask}")
        step.got = f"{market.market} last {ticker.last}, bid {bid}, ask {ask}"
    half = (bid / 2).quantize(Decimal(1).scaleb(-(market.rate_decimals or 0)))
    request = TradeRequest(
        reference="trade-1",
        market=market.market,
        side=Side.BUY,
        volume=max(ticker.minimum_trade or Decimal(0), Decimal("0.01")),
        rate=half,
    )
    with script.step(
        "trade placed",
        account=TREASURY,
        provider=provider,
        operation="trades.create",
        expect="one open trade, whose money is set aside; repeating the call places no second one",
    ) as step:
        free = _available(step, gateway, market.quote)
        placed = gateway.trades.create(request, account=TREASURY)
        number = step.present("the exchange's number of it", placed.provider_id)
        again = gateway.trades.create(request, account=TREASURY)
        step.check("the trade, asked again", again.provider_id, number)
        open_trades = [trade.provider_id for trade in gateway.trades.open(account=TREASURY)]
        step.check("open trades", open_trades, [number])
        step.check("status", gateway.trades.get(request.reference).status, TradeStatus.OPEN)
        step.check("set aside", free - _available(step, gateway, market.quote), request.volume * half)
        step.got = f"buy {request.volume} {market.base} at {half}: open, number {number}"
    with script.step(
        "trade cancelled",
        account=TREASURY,
        provider=provider,
        operation="trades.cancel",
        expect="cancelled, nothing open, the money free again",
    ) as step:
        cancelled = gateway.trades.cancel(request.reference)
        step.check("status", cancelled.status, TradeStatus.CANCELLED)
        step.check("open trades", list(gateway.trades.open(account=TREASURY)), [])
        step.check(f"{market.quote} available", _available(step, gateway, market.quote), free)
        step.got = f"open → {cancelled.status}; {market.quote} as before"


def _available(step: Step, gateway: Gateway, asset: str) -> Decimal:
    found = {wallet.asset.code: wallet.available for wallet in gateway.wallets.list(account=TREASURY)}
    return step.present(f"what is available in {asset}", found.get(asset)).amount
