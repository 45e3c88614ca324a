"""The story `callbacks`: a callback arrives at a web application, a polled provider gives the same events, a forged one
is turned away.
"""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from gateway import Money, Order, OrderRequest, OrderStatus, Settlement
from gateway.cli.demo.script import Script
from gateway.cli.demo.stage import CARDS, SHOP, Stage
from gateway.cli.demo.webshop import WebShop, web_shop
from gateway.models import CustomerRequest
from gateway.testing import faults

__all__ = ["tell"]

PRICE = Money("40.00", "USD")
CUSTOMER = "c-42"
PAID = ["order.created", "order.paid"]


def tell(script: Script, stage: Stage) -> None:
    accounts = {SHOP: stage.accounts[SHOP], CARDS: stage.accounts[CARDS]}
    with web_shop(stage, accounts) as shop:
        _called_back(script, stage, shop)
        _polled(script, stage, shop)
        _doubled(script, stage, shop)
        _guessed(script, stage, shop)
        _forged(script, stage, shop)
        _cursor(script, shop)


def _order(shop: WebShop, reference: str, account: str) -> Order:
    request = OrderRequest(
        reference=reference,
        price=PRICE,
        pay_with="USDT" if account == CARDS else "USDT@tron",
        customer=CUSTOMER if account == CARDS else None,
        settles_to=Settlement.CUSTOMER if account == CARDS else None,
    )
    return shop.gateway.orders.create(request, account=account)


def _called_back(script: Script, stage: Stage, shop: WebShop) -> None:
    gateway = shop.gateway
    with script.step(
        "a callback arrives",
        account=SHOP,
        provider=stage.provider(SHOP),
        operation="callbacks.receive",
        expect="the provider's POST is answered with 200, and what it says is kept before that",
    ) as step:
        order = _order(shop, "called-back", SHOP)
        stage.pay(order)
        stage.server.callbacks(stage.provider(SHOP)).wait_idle()
        made = stage.server.callbacks(stage.provider(SHOP)).deliveries()
        step.check("answers of the web application", [delivery.status for delivery in made], [200])
        kept = list(gateway.callbacks.list())
        step.check("callbacks in the inbox", [(row.state, row.proof) for row in kept], [("waiting", "matches")])
        step.check(
            "the order, before anybody looked", gateway.orders.get("called-back", refresh=False).status, "pending"
        )
        step.got = f"{made[0].method} {urlsplit(made[0].url).path[:24]}… → 200, kept, not yet believed"
    with script.step(
        "the order is read, the shop is told",
        account=SHOP,
        provider=stage.provider(SHOP),
        operation="orders.get",
        expect="paid, because the provider says so when it is asked; the handler is called",
    ) as step:
        shop.work()
        step.check("the order", gateway.orders.get("called-back", refresh=False).status, OrderStatus.PAID)
        step.check("what the handler was told", shop.told_of("called-back"), PAID)
        step.got = " → ".join(shop.told_of("called-back"))


def _polled(script: Script, stage: Stage, shop: WebShop) -> None:
    with script.step(
        "the same events without callbacks",
        account=CARDS,
        provider=stage.provider(CARDS),
        operation="orders.list",
        expect="this provider calls nobody back; it is polled, and the handler is told the same",
    ) as step:
        shop.gateway.customers.create(
            CustomerRequest(reference=CUSTOMER, first_name="Ada", last_name="Example"), account=CARDS
        )
        order = _order(shop, "polled", CARDS)
        stage.pay(order)
        step.check("callbacks of this provider", stage.server.callbacks(stage.provider(CARDS)).deliveries(), [])
        shop.later(60)
        step.check("what the handler was told", shop.told_of("polled"), PAID)
        step.got = " → ".join(shop.told_of("polled")) + ", by polling"


def _doubled(script: Script, stage: Stage, shop: WebShop) -> None:
    provider = stage.provider(SHOP)
    with script.step(
        "the same callback five times",
        account=SHOP,
        provider=provider,
        operation="callbacks.receive",
        expect="five times 200, and the shop is told once",
    ) as step:
        order = _order(shop, "doubled", SHOP)
        stage.server.callbacks(provider).faults.add(faults.Duplicated(copies=5))
        stage.pay(order)
        stage.server.callbacks(provider).wait_idle()
        shop.work()
        step.check("what the handler was told", shop.told_of("doubled"), PAID)
        kept = [row for row in shop.gateway.callbacks.list() if row.reference == "doubled"]
        step.check("times that it came", sum(row.times for row in kept), 5)
        step.got = f"5 callbacks, {len(kept)} piece of news, told once"


def _guessed(script: Script, stage: Stage, shop: WebShop) -> None:
    with script.step(
        "a stranger guesses an address",
        account=SHOP,
        provider=stage.provider(SHOP),
        operation="callbacks.receive",
        expect="404 without a body, as for anything else that is not there; nothing is kept",
    ) as step:
        before = len(list(shop.gateway.callbacks.list()))
        order = _order(shop, "unpaid", SHOP)
        guessed = _post(f"{shop.url}/pay/{SHOP}/{'0' * 32}.{'0' * 32}", order.provider_id)
        nowhere = _post(f"{shop.url}/pay/nowhere", order.provider_id)
        step.check("answer", guessed, (404, b""))
        step.check("answer of a path that is not there", nowhere, guessed)
        step.check("callbacks in the inbox", len(list(shop.gateway.callbacks.list())), before)
        step.got = "404, the same as for any unknown path; nothing kept"


def _forged(script: Script, stage: Stage, shop: WebShop) -> None:
    provider = stage.provider(SHOP)
    with script.step(
        "somebody has seen the address and forges a callback",
        account=SHOP,
        provider=provider,
        operation="callbacks.receive",
        expect="recorded and reported; the order is read and is not paid",
    ) as step:
        order = shop.gateway.orders.get("unpaid")
        callbacks = stage.server.callbacks(provider)
        callbacks.faults.add(faults.Forged(order=order.provider_id))
        callbacks.faults.add(faults.Suppressed(order=order.provider_id))
        stage.server.expire(provider, stage.order(SHOP, order.provider_id).id)
        callbacks.wait_idle()
        shop.work()
        told = [event for event in shop.told if event.type == "callback.suspicious"]
        step.check("callbacks reported as suspicious", len(told), 1)
        step.check("the order", shop.gateway.orders.get("unpaid", refresh=False).status, OrderStatus.EXPIRED)
        step.check("paid", "order.paid" in shop.told_of("unpaid"), False)
        step.got = str(told[0].data["reason"])


def _cursor(script: Script, shop: WebShop) -> None:
    with script.step(
        "every event has its number", expect="what the handler was told is what the store has, in order"
    ) as step:
        stored = list(shop.gateway.events.since(0))
        step.check("events of one order are in order", [e.type for e in stored if e.reference == "polled"], PAID)
        step.check("events that the handler was told", sorted(e.id for e in shop.told), [e.id for e in stored])
        step.got = f"{len(stored)} events, numbers {stored[0].id} to {stored[-1].id}"


def _post(url: str, number: str | None) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    try:
        connection.request("POST", parts.path, body=f'{{"order_id": "{number}", "status": "SUCCESS"}}')
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
