"""The chapter about payments: every account through the same checkout, then what can go otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from gateway import Gateway, Money, Order, OrderException, OrderRequest, OrderStatus, Settlement
from gateway.api import AccountHandle
from gateway.cli.demo.checkout import Purchase, check_out
from gateway.cli.demo.script import Script, Step
from gateway.cli.demo.stage import BACKUP, CARDS, SHOP, Stage
from gateway.errors import Conflict, UnsupportedOperation
from gateway.models import CustomerRequest, Environment, Wallet, WalletKind
from gateway.testing import Payment

__all__ = [
    "CUSTOMER",
    "check_outs",
    "customers",
    "expired_and_renewed",
    "introduce",
    "lightning",
    "switched",
    "underpaid",
    "wallets_after",
    "wallets_before",
    "whose",
]

CUSTOMER = "c-42"
PRICE = Money("120.00", "USD")
COINS = ("USDT@tron", "USDT")
_ORDER_VARIANTS = ("coin", "coin-without-network", "payer-choice", "lightning")

Balances = dict[tuple[str, WalletKind, str], Decimal]


def introduce(script: Script, gateway: Gateway) -> None:
    """Every account answers for every operation that the core knows."""
    tables = gateway.capabilities()
    every = {(row.operation, row.variant) for table in tables.values() for row in table}
    for name, table in tables.items():
        handle = gateway.account(name)
        with script.step(
            "what the account can do",
            account=name,
            provider=handle.provider,
            expect="an answer, with its source, for every operation there is",
        ) as step:
            rows = list(table)
            step.check("operations answered for", {(row.operation, row.variant) for row in rows}, every)
            step.holds("every row names its source", all(row.source for row in rows))
            step.check("environment", handle.environment, Environment.SANDBOX)
            now = sum(handle.can(row.operation, row.variant) for row in rows)
            by_hand = sum(row.support.value == "manual" for row in rows)
            absent = sum(row.support.value == "absent" for row in rows)
            step.got = f"{now} of {len(rows)} by a call, {by_hand} by hand, {absent} not at all"


def customers(script: Script, gateway: Gateway) -> None:
    """The shop's customer is made known wherever a provider keeps customers, each time under the shop's own number."""
    for name in gateway.accounts:
        handle = gateway.account(name)
        if not handle.can("customers.create"):
            continue
        with script.step(
            "customer made known",
            account=name,
            provider=handle.provider,
            operation="customers.create",
            expect=f"{CUSTOMER} has a number at the provider, and repeating the call makes no second one",
        ) as step:
            request = CustomerRequest(reference=CUSTOMER, first_name="Ada", last_name="Example")
            made = gateway.customers.create(request, account=name)
            again = gateway.customers.create(request, account=name)
            step.check("the customer's number, asked again", again.provider_id, made.provider_id)
            step.got = f"{CUSTOMER} is {made.provider_id} there"


@dataclass
class _Payer:
    """Pays what it is shown, and remembers it."""

    pay: Callable[[Order], None]
    shown: list[Order] = field(default_factory=list)

    def __call__(self, order: Order) -> None:
        self.shown.append(order)
        self.pay(order)


def _check_out(
    step: Step,
    stage: Stage,
    gateway: Gateway,
    reference: str,
    *,
    account: str | None = None,
    coins: Sequence[str] = COINS,
    settles_to: Settlement | None = None,
) -> Order:
    payer = _Payer(stage.pay)
    purchase = Purchase(reference=reference, price=PRICE, coins=coins, customer=CUSTOMER, settles_to=settles_to)
    paid = check_out(gateway, purchase, payer, account=account)
    shown = payer.shown[0]
    step.check("the order before it is paid", shown.status, OrderStatus.PENDING)
    step.holds("the payer is shown an address or an invoice", bool(shown.pay.address or shown.pay.lightning_invoice))
    asked = step.present("the amount to pay", shown.pay.amount)
    step.check("the order after it was paid", paid.status, OrderStatus.PAID)
    step.check("exceptions", sorted(paid.exceptions), [])
    step.check("the provider's number of it", paid.provider_id, shown.provider_id)
    step.check("price at the sandbox", stage.order(paid.account, paid.provider_id).amount, PRICE.amount)
    step.account, step.provider = paid.account, paid.provider
    step.got = f"{asked} to {_short(shown.pay.address or shown.pay.lightning_invoice or '')}: pending → paid"
    return paid


def check_outs(script: Script, stage: Stage, gateway: Gateway) -> None:
    """The same function on every account; where no payments are taken, the refusal costs no request."""
    for name in gateway.accounts:
        handle = gateway.account(name)
        takes = [variant for variant in ("coin", "coin-without-network") if handle.can("orders.create", variant)]
        if takes:
            with script.step(
                "checkout",
                account=name,
                provider=handle.provider,
                operation="orders.create",
                expect="an order to pay, which is paid at the provider and then here",
            ) as step:
                _check_out(step, stage, gateway, f"cart-{name}", account=name, settles_to=handle.settles_to)
        elif not any(handle.can("orders.create", variant) for variant in _ORDER_VARIANTS):
            _refused(script, stage, gateway, handle)


def _refused(script: Script, stage: Stage, gateway: Gateway, handle: AccountHandle) -> None:
    with script.step(
        "checkout refused",
        account=handle.name,
        provider=handle.provider,
        operation="orders.create",
        expect="UnsupportedOperation with a reason, before any request",
    ) as step:
        before = stage.requests(handle.name)
        purchase = Purchase(reference=f"cart-{handle.name}", price=PRICE, coins=COINS, customer=CUSTOMER)
        error = step.raises(UnsupportedOperation, lambda: check_out(gateway, purchase, stage.pay, account=handle.name))
        step.check("requests at the sandbox", stage.requests(handle.name), before)
        step.got = error.message


def lightning(script: Script, stage: Stage, gateway: Gateway) -> None:
    """On every account that takes Lightning."""
    for name in gateway.accounts:
        handle = gateway.account(name)
        if not handle.can("orders.create", "lightning"):
            continue
        with script.step(
            "Lightning order",
            account=name,
            provider=handle.provider,
            operation="orders.create",
            expect="an invoice over the order's amount, paid",
        ) as step:
            _check_out(
                step,
                stage,
                gateway,
                f"lightning-{name}",
                account=name,
                coins=("BTC@lightning",),
                settles_to=handle.settles_to,
            )


def underpaid(script: Script, stage: Stage, gateway: Gateway) -> None:
    """Less than asked for arrives, then the rest."""
    provider = gateway.account(SHOP).provider
    with script.step(
        "underpaid order",
        account=SHOP,
        provider=provider,
        operation="orders.get",
        expect="underpaid + partial, and not paid before the rest has come",
    ) as step:
        request = OrderRequest(reference="underpaid-1", price=Money("30.00", "USD"), pay_with="USDC@tron")
        order = gateway.orders.create(request, account=SHOP)
        stage.pay(order, Payment.UNDER)
        short = gateway.orders.get(order.reference)
        step.check("after nine tenths", short.status, OrderStatus.UNDERPAID)
        step.holds("it is marked as partial", OrderException.PARTIAL in short.exceptions)
        stage.pay(order)
        whole = gateway.orders.get(order.reference)
        step.check("after the rest", whole.status, OrderStatus.PAID)
        step.got = f"{short.status} (partial) → {whole.status}"


def expired_and_renewed(script: Script, stage: Stage, gateway: Gateway) -> None:
    """Nobody pays in time; the same purchase gets a second attempt, and its payment counts."""
    handle = gateway.account(SHOP)
    request = OrderRequest(reference="expired-1", price=Money("25.00", "USD"), pay_with="BTC@bitcoin")
    with script.step(
        "expired order",
        account=SHOP,
        provider=handle.provider,
        operation="orders.renew",
        expect="no second attempt while the first can be paid; expired when its time is over",
    ) as step:
        order = gateway.orders.create(request, account=SHOP)
        before = len(stage.server.orders(handle.provider))
        step.raises(Conflict, lambda: gateway.orders.renew(order.reference))
        step.check("orders at the sandbox", len(stage.server.orders(handle.provider)), before)
        stage.expire(order)
        expired = gateway.orders.get(order.reference)
        step.check("status", expired.status, OrderStatus.EXPIRED)
        step.got = "renewing refused while it is pending; then expired"
    with script.step(
        "renewed order",
        account=SHOP,
        provider=handle.provider,
        operation="orders.renew",
        expect="a second attempt with an address of its own, ready to be paid",
    ) as step:
        renewed = gateway.orders.renew(order.reference, account=SHOP)
        step.check("attempts", [attempt.status.value for attempt in renewed.attempts], ["expired", "pending"])
        step.holds("the address is another one", renewed.pay.address not in (None, order.pay.address))
        uri = step.present("a payment URI", renewed.pay.uri)
        step.got = f"attempt 2: {renewed.pay.amount} to {_short(renewed.pay.address or '')}"
    script.show_payment(uri, "what the payer scans (a test network's address that belongs to nobody: do not pay)")
    with script.step(
        "renewed order paid",
        account=SHOP,
        provider=handle.provider,
        operation="orders.get",
        expect="the purchase is paid by its second attempt",
    ) as step:
        stage.pay(renewed)
        paid = gateway.orders.get(order.reference)
        step.check("status", paid.status, OrderStatus.PAID)
        step.check("attempts", [attempt.status.value for attempt in paid.attempts], ["expired", "paid"])
        step.got = "expired + paid → the purchase is paid"


def whose(handle: AccountHandle) -> str | None:
    """Whose wallets are looked at: those of the customer where orders become the customer's money."""
    return CUSTOMER if handle.settles_to is Settlement.CUSTOMER else None


def _balances(step: Step, gateway: Gateway, handle: AccountHandle) -> tuple[list[Wallet], Balances]:
    wallets: list[Wallet] = []
    for kind in (WalletKind.CUSTODIAL, WalletKind.LIGHTNING):
        if handle.can("wallets.list", kind.value):
            wallets += gateway.wallets.list(account=handle.name, kind=kind, customer=whose(handle))
    step.holds("there is a wallet", bool(wallets))
    balances = {
        (handle.name, wallet.kind, wallet.asset.code): step.present("the balance", wallet.total).amount
        for wallet in wallets
    }
    step.holds("nothing is below zero", all(amount >= 0 for amount in balances.values()))
    return wallets, balances


def wallets_before(script: Script, gateway: Gateway) -> Balances:
    found: Balances = {}
    for name in gateway.accounts:
        handle = gateway.account(name)
        if handle.can("wallets.list", "custodial"):
            with script.step(
                "wallets before",
                account=name,
                provider=handle.provider,
                operation="wallets.list",
                expect="balances, none below zero",
            ) as step:
                wallets, balances = _balances(step, gateway, handle)
                found |= balances
                step.got = _in_words(wallets)
    return found


def wallets_after(script: Script, gateway: Gateway, before: Balances) -> None:
    """What the paid orders brought. Accounts without an order of the demo are as they were."""
    paid = {
        (attempt.account, order.pay_with.code if order.pay_with else "")
        for order in gateway.orders.list(status=OrderStatus.PAID)
        for attempt in order.attempts
        if attempt.status is OrderStatus.PAID
    }
    # Several accounts may be keys of one merchant: what one of them earns is in the wallets of all.
    earning = {(gateway.account(account).provider, coin) for account, coin in paid}
    for name in dict.fromkeys(key[0] for key in before):
        handle = gateway.account(name)
        settles_in_usd = handle.settles_to is Settlement.CUSTOMER
        with script.step(
            "wallets after",
            account=name,
            provider=handle.provider,
            operation="wallets.list",
            expect="more in every coin that was paid in, as much as before in all others",
        ) as step:
            _, after = _balances(step, gateway, handle)
            for key, amount in after.items():
                coin = key[2]
                earned = (handle.provider, coin) in earning or (
                    settles_in_usd and any(provider == handle.provider for provider, _ in earning)
                )
                if earned:
                    step.holds(f"there is more {coin} than before", amount > before[key], f"{before[key]} → {amount}")
                else:
                    step.check(f"the balance in {coin}", amount, before[key])
            gained = [f"+{amount - before[key]} {key[2]}" for key, amount in after.items() if amount != before[key]]
            step.got = ", ".join(gained) or "as before"


def switched(script: Script, stage: Stage) -> None:
    """The checkout again, with nothing changed but the route in the configuration."""
    routes: list[tuple[str, dict[str, object]]] = [
        ("checkout by the route", {"accounts": [SHOP]}),
        ("checkout, other account", {"accounts": [BACKUP]}),
        ("checkout, other provider", {"accounts": [CARDS], "settles_to": "customer"}),
    ]
    first: Order | None = None
    for number, (name, route) in enumerate(routes, start=1):
        with (
            stage.open([{"operation": "orders.create", **route}]) as gateway,
            script.step(
                name,
                operation="orders.create",
                expect=f"paid at {route['accounts']}; earlier orders are still found where they were made",
            ) as step,
        ):
            order = _check_out(step, stage, gateway, f"routed-{number}")
            step.check("the account that the route chose", [order.account], route["accounts"])
            if first is not None:
                step.check("the account of the first one", gateway.orders.get(first.reference).account, first.account)
            first = first or order


def _in_words(wallets: list[Wallet]) -> str:
    return (
        ", ".join(f"{wallet.total}" for wallet in wallets if wallet.total is not None and wallet.total.amount)
        or "empty"
    )


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:12]}…{text[-8:]}"
