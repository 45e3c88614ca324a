"""The story `payments`: orders, payouts, cards and trades through one library, and the same code after a switch."""

from __future__ import annotations

from gateway.cli.demo.books import books
from gateway.cli.demo.orders import (
    check_outs,
    customers,
    expired_and_renewed,
    introduce,
    lightning,
    switched,
    underpaid,
    wallets_after,
    wallets_before,
)
from gateway.cli.demo.payouts import payouts
from gateway.cli.demo.products import cards, exchange
from gateway.cli.demo.script import Script
from gateway.cli.demo.stage import Stage

__all__ = ["tell"]


def tell(script: Script, stage: Stage) -> None:
    with stage.open() as gateway:
        introduce(script, gateway)
        customers(script, gateway)
        before = wallets_before(script, gateway)
        check_outs(script, stage, gateway)
        lightning(script, stage, gateway)
        underpaid(script, stage, gateway)
        expired_and_renewed(script, stage, gateway)
        wallets_after(script, gateway, before)
        payouts(script, stage, gateway)
        cards(script, stage, gateway)
        exchange(script, stage, gateway)
    switched(script, stage)
    with stage.open() as gateway:
        books(script, stage, gateway)
