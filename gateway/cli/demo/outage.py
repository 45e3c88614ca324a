"""The story `outage`: a provider goes down and the shop goes on, without a second payment for one purchase."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from gateway import Money, OrderException, OrderRequest, OrderStatus
from gateway.cli.demo.script import Script
from gateway.cli.demo.stage import BACKUP, SHOP, Stage
from gateway.cli.demo.webshop import WebShop, web_shop
from gateway.testing import Sandbox, SandboxServer, faults

__all__ = ["tell"]

PRICE = Money("40.00", "USD")
COOL_DOWN_SECONDS = 60


class _Elsewhere:
    """A provider with a server of its own, which can be taken off the network and brought back at the same address."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._port = 0
        self.server = SandboxServer([sandbox])

    def up(self) -> None:
        self.server = SandboxServer([self._sandbox], port=self._port)
        self.server.start()
        self._port = urlsplit(self.server.url).port or 0

    def down(self) -> None:
        self.server.stop()


@contextmanager
def _elsewhere(stage: Stage) -> Iterator[_Elsewhere]:
    kind = type(stage.server.sandbox(stage.provider(SHOP)))
    place = _Elsewhere(kind())
    place.up()
    try:
        yield place
    finally:
        place.down()


def tell(script: Script, stage: Stage) -> None:
    with _elsewhere(stage) as elsewhere:
        accounts = {SHOP: elsewhere.server.account(stage.provider(SHOP)), BACKUP: stage.accounts[BACKUP]}
        routes = [{"operation": "orders.create", "accounts": [SHOP, BACKUP]}]
        failover = {"failures": 3, "cool_down": f"{COOL_DOWN_SECONDS}s"}
        with web_shop(stage, accounts, routes, failover=failover) as shop:
            _good_day(script, shop)
            _lost_answer(script, stage, elsewhere, shop)
            elsewhere.down()
            _down(script, shop)
            elsewhere.up()
            _back(script, shop)
            _both_paid(script, stage, elsewhere, shop)


def _buy(shop: WebShop, reference: str) -> list[tuple[str, OrderStatus]]:
    request = OrderRequest(reference=reference, price=PRICE, pay_with="USDT@tron")
    order = shop.gateway.orders.create(request, deadline=4)
    return [(attempt.account, attempt.status) for attempt in order.attempts]


def _good_day(script: Script, shop: WebShop) -> None:
    with script.step(
        "a good day",
        account=SHOP,
        operation="orders.create",
        expect="the order is made at the first account of the route",
    ) as step:
        step.check("attempts", _buy(shop, "good-day"), [(SHOP, OrderStatus.PENDING)])
        step.got = f"made at {SHOP}"


def _lost_answer(script: Script, stage: Stage, elsewhere: _Elsewhere, shop: WebShop) -> None:
    with script.step(
        "an answer is lost",
        account=SHOP,
        operation="orders.create",
        expect="the order may exist there: a second attempt is made at the next account, and both are watched",
    ) as step:
        elsewhere.server.faults(stage.provider(SHOP)).add(faults.Drop(executed=True, method="POST"))
        attempts = _buy(shop, "lost-answer")
        step.check("attempts", attempts, [(SHOP, OrderStatus.CREATING), (BACKUP, OrderStatus.PENDING)])
        order = shop.gateway.orders.get("lost-answer", refresh=False)
        step.holds("it says that the first is unconfirmed", OrderException.UNCONFIRMED in order.exceptions)
        step.check("the account to pay at", order.account, BACKUP)
        step.got = f"{SHOP}: unconfirmed, {BACKUP}: to be paid"


def _down(script: Script, shop: WebShop) -> None:
    with script.step(
        "the provider is down",
        account=SHOP,
        operation="orders.create",
        expect="every purchase goes on at the next account; after a few failures the first is not even asked",
    ) as step:
        for number in range(1, 6):
            live = [account for account, status in _buy(shop, f"down-{number}") if status is OrderStatus.PENDING]
            step.check(f"where purchase {number} can be paid", live, [BACKUP])
        looked = [(choice.account, choice.verdict) for choice in shop.gateway.orders.explain("down-5")]
        step.check("accounts looked at for the last one", looked, [(SHOP, "skipped"), (BACKUP, "chosen")])
        step.got = f"5 purchases at {BACKUP}; {SHOP} rests"


def _back(script: Script, shop: WebShop) -> None:
    with script.step(
        "the provider is back",
        account=SHOP,
        operation="orders.create",
        expect="after the cool-down one purchase tries it, and it is the first choice again",
    ) as step:
        shop.clock.advance(COOL_DOWN_SECONDS * 10)
        step.check("attempts", _buy(shop, "back-1"), [(SHOP, OrderStatus.PENDING)])
        step.check("the one after it", _buy(shop, "back-2"), [(SHOP, OrderStatus.PENDING)])
        step.got = f"made at {SHOP} again"


def _both_paid(script: Script, stage: Stage, elsewhere: _Elsewhere, shop: WebShop) -> None:
    with script.step(
        "the lost order turns up, paid",
        account=SHOP,
        operation="callbacks.receive",
        expect="its callback is the evidence: the attempt is known again, and the purchase is paid",
    ) as step:
        provider = stage.provider(SHOP)
        order = shop.gateway.orders.get("lost-answer", refresh=False)
        known = {attempt.provider_id for attempt in order.attempts}
        known |= {
            shop.gateway.orders.get(f"{name}", refresh=False).provider_id for name in ("good-day", "back-1", "back-2")
        }
        lost = next(one for one in elsewhere.server.orders(provider) if one.id not in known)
        elsewhere.server.pay(provider, lost.id)
        elsewhere.server.callbacks(provider).wait_idle()
        shop.work()
        found = shop.gateway.orders.get("lost-answer", refresh=False)
        step.check("the purchase", found.status, OrderStatus.PAID)
        step.check("paid at", found.account, SHOP)
        step.check("still unconfirmed", OrderException.UNCONFIRMED in found.exceptions, False)
        step.check(
            "open entries of the journal", [e.reference for e in shop.gateway.journal.list(states=["unknown"])], []
        )
        step.got = f"paid at {SHOP}; the attempt at {BACKUP} stays watched"
