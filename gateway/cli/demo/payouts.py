"""The chapter about money that leaves: once, never twice, and within the shop's own limits."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from gateway import Gateway, LightningInvoice, Money, WithdrawalRequest, WithdrawalStatus
from gateway.cli.demo.script import Script
from gateway.cli.demo.stage import SHOP, Stage
from gateway.errors import LimitExceeded, OutcomeUnknown
from gateway.models import WalletKind
from gateway.testing import faults
from gateway.testing.lightning import encode_invoice

__all__ = ["payouts"]


def payouts(script: Script, stage: Stage, gateway: Gateway) -> None:
    _paid_once(script, stage, gateway)
    _limited(script, stage, gateway)
    _answer_lost(script, stage, gateway)


def _invoice(amount: Money) -> LightningInvoice:
    """Somebody else's invoice, on the test network that sandboxes pay on."""
    text = encode_invoice(
        ec.generate_private_key(ec.SECP256K1()),
        payment_hash=hashlib.sha256(secrets.token_bytes(32)).digest(),
        payment_secret=secrets.token_bytes(32),
        created_at=datetime.now(UTC),
        amount=amount,
        network="testnet",
        description="for the gateway's demo",
    )
    return LightningInvoice(text)


def _request(reference: str, amount: str) -> WithdrawalRequest:
    money = Money(amount, "BTC@lightning")
    return WithdrawalRequest(reference=reference, amount=money, to=_invoice(money))


def _balance(gateway: Gateway) -> Money:
    (wallet,) = gateway.wallets.list(account=SHOP, kind=WalletKind.LIGHTNING)
    assert wallet.total is not None
    return wallet.total


def _times_paid(stage: Stage, request: WithdrawalRequest) -> int:
    """How often the sandbox's books say that this invoice was paid."""
    return [payout["destination"] for payout in stage.ledger(SHOP)["payouts"]].count(str(request.to))


def _paid_once(script: Script, stage: Stage, gateway: Gateway) -> None:
    provider = gateway.account(SHOP).provider
    request = _request("payout-1", "0.0002")
    with script.step(
        "Lightning payout",
        account=SHOP,
        provider=provider,
        operation="withdrawals.create",
        expect="taken by the provider, and the balance is less by its amount",
    ) as step:
        before = _balance(gateway)
        made = gateway.withdrawals.create(request, account=SHOP)
        step.holds(
            "it is under way or completed",
            made.status in (WithdrawalStatus.PENDING, WithdrawalStatus.PROCESSING, WithdrawalStatus.COMPLETED),
            made.status,
        )
        step.check("times paid, by the sandbox's books", _times_paid(stage, request), 1)
        after = _balance(gateway)
        step.check("what left the wallet", before - after, request.amount)
        step.got = f"{request.amount} left; {before.amount} → {after.amount}; {made.status}"
    with script.step(
        "the same payout again",
        account=SHOP,
        provider=provider,
        operation="withdrawals.create",
        expect="the recorded payout; no request, nothing paid twice",
    ) as step:
        requests = stage.requests(SHOP)
        again = gateway.withdrawals.create(request, account=SHOP)
        step.check("created at", again.created_at, made.created_at)
        step.check("requests at the sandbox", stage.requests(SHOP), requests)
        step.check("times paid, by the sandbox's books", _times_paid(stage, request), 1)
        step.got = "the recorded one; no request was sent"


def _limited(script: Script, stage: Stage, gateway: Gateway) -> None:
    with script.step(
        "payout above the limit",
        account=SHOP,
        provider=gateway.account(SHOP).provider,
        operation="withdrawals.create",
        expect="LimitExceeded, before any request",
    ) as step:
        request = _request("payout-2", "0.002")
        requests = stage.requests(SHOP)
        error = step.raises(LimitExceeded, lambda: gateway.withdrawals.create(request, account=SHOP))
        step.check("requests at the sandbox", stage.requests(SHOP), requests)
        step.check("times paid, by the sandbox's books", _times_paid(stage, request), 0)
        step.got = error.message


def _answer_lost(script: Script, stage: Stage, gateway: Gateway) -> None:
    provider = gateway.account(SHOP).provider
    request = _request("payout-3", "0.0003")
    with script.step(
        "payout whose answer is lost",
        account=SHOP,
        provider=provider,
        operation="withdrawals.create",
        expect="OutcomeUnknown, and the payout is shown as unconfirmed",
    ) as step:
        stage.server.faults(provider).add(faults.Drop(executed=True, method="POST"))
        step.raises(OutcomeUnknown, lambda: gateway.withdrawals.create(request, account=SHOP))
        unconfirmed = gateway.withdrawals.get(request.reference)
        step.check("status", unconfirmed.status, WithdrawalStatus.UNCONFIRMED)
        step.got = "the provider carried it out and the connection broke: unconfirmed"
    with script.step(
        "the lost payout again",
        account=SHOP,
        provider=provider,
        operation="withdrawals.create",
        expect="OutcomeUnknown again, and no second request",
    ) as step:
        requests = stage.requests(SHOP)
        step.raises(OutcomeUnknown, lambda: gateway.withdrawals.create(request, account=SHOP))
        step.check("requests at the sandbox", stage.requests(SHOP), requests)
        step.check("times paid, by the sandbox's books", _times_paid(stage, request), 1)
        step.got = "still unknown; not sent again"
    with script.step(
        "the lost payout settled",
        account=SHOP,
        provider=provider,
        operation="journal.settle",
        expect="completed by what the provider's books show; repeating the call gives that payout",
    ) as step:
        waiting = gateway.journal.list(states=["unknown"])
        step.check("what waits for a person", [entry.reference for entry in waiting], [request.reference])
        step.check("times paid, by the sandbox's books", _times_paid(stage, request), 1)
        gateway.journal.settle(request.reference, outcome="done", reason="the provider's books show it", by="demo")
        requests = stage.requests(SHOP)
        settled = gateway.withdrawals.create(request, account=SHOP)
        step.check("status", settled.status, WithdrawalStatus.COMPLETED)
        step.check("requests at the sandbox", stage.requests(SHOP), requests)
        step.check("times paid in the end", _times_paid(stage, request), 1)
        step.got = "a person looked at the provider: settled as done, never sent again"
