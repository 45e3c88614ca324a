"""The last chapter: the store's view and the sandboxes' books must be the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gateway import Gateway, LightningInvoice
from gateway.cli.demo.script import Script
from gateway.cli.demo.stage import CARDS, SHOP, TREASURY, Stage
from gateway.models import Attempt

__all__ = ["books"]


def books(script: Script, stage: Stage, gateway: Gateway) -> None:
    attempts = [attempt for order in gateway.orders.list() for attempt in order.attempts]
    handles = [gateway.account(name) for name in gateway.accounts]
    # What an exchange's sandbox calls orders are trades here.
    for provider in dict.fromkeys(handle.provider for handle in handles if handle.can("orders.get")):
        _orders(script, stage, gateway, provider, [attempt for attempt in attempts if attempt.provider == provider])
    _payouts(script, stage, gateway)
    with script.step(
        "nothing left open",
        operation="journal.list",
        expect="no write is intended, under way or of unknown outcome",
    ) as step:
        unsettled = gateway.journal.list(states=["intended", "sent", "unknown"])
        step.check("entries that have not ended", [entry.reference for entry in unsettled], [])
        ended = gateway.journal.list(limit=1000)
        step.got = f"{len(ended)} writes in the journal, every one has ended"


def _orders(script: Script, stage: Stage, gateway: Gateway, provider: str, attempts: list[Attempt]) -> None:
    with script.step(
        "books: orders",
        provider=provider,
        operation="orders.fetch",
        expect="the same orders here and there, each with the same status",
    ) as step:
        here = Counter((attempt.provider_id or "").rpartition("/")[2] for attempt in attempts)
        there = Counter(order.id for order in stage.server.orders(provider))
        step.check("numbers of orders", here, there)
        for attempt in attempts:
            number = step.present("a number", attempt.provider_id)
            seen = gateway.orders.fetch(account=attempt.account, provider_id=number)
            step.check(f"status of {number}", seen.status, attempt.status)
        statuses = Counter(attempt.status.value for attempt in attempts)
        step.got = ", ".join(f"{count} {status}" for status, count in statuses.items()) or "no orders here or there"


def _payouts(script: Script, stage: Stage, gateway: Gateway) -> None:
    """Ledgers are in the providers' own words, so this reads those of the built-in ones."""
    with script.step(
        "books: all other writes",
        operation="withdrawals.list",
        expect="every payout, card and trade of the demo once, and no others",
    ) as step:
        withdrawals = list(gateway.withdrawals.list())
        invoices = Counter(str(made.to) for made in withdrawals if isinstance(made.to, LightningInvoice))
        paid = Counter(payout["destination"] for payout in stage.ledger(SHOP)["payouts"])
        step.check("invoices paid", invoices, paid)
        cards = stage.ledger(CARDS)
        loaded = [made.amount.amount for made in withdrawals if not isinstance(made.to, LightningInvoice)]
        step.check("top-ups", [str(amount) for amount in loaded], _moved(cards, "topup"))
        step.check("cards", _made(gateway, "cards.create"), [card["id"] for card in cards["cards"]])
        trades = [trade["id"] for trade in stage.ledger(TREASURY)["trades"]]
        step.check("trades", _made(gateway, "trades.create"), trades)
        step.got = (
            f"{len(invoices)} invoices paid, {len(loaded)} card topped up, {len(cards['cards'])} card issued, "
            f"{len(trades)} trade placed: the same here and there"
        )


def _made(gateway: Gateway, operation: str) -> list[str | None]:
    """The providers' numbers of what the journal says was made."""
    return [entry.provider_id for entry in gateway.journal.list(states=["done"]) if entry.operation == operation]


def _moved(ledger: dict[str, Any], kind: str) -> list[str]:
    return [movement["card"] for movement in ledger["movements"] if movement["kind"] == kind]
