"""Rows about what is asked for, the merchant's brakes, settings and plugins: refused before anything leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import metadata
from typing import Any

from flows.world import ADDRESS, World, cart, invoice, payout, top_up, usd
from gateway import (
    CryptoAddress,
    Gateway,
    Money,
    OrderRequest,
    TradeRequest,
    WithdrawalRequest,
)
from gateway.errors import GatewayError
from gateway.plugins import load_plugins
from support.colours import Opened
from weather.matrix import Case, End
from weather.playing import Plays, Stage, ends

PLAYS = Plays()

ETHEREUM = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"


@contextlib.contextmanager
def nothing_sent(stage: Stage, **changes: dict[str, Any]) -> Iterator[tuple[World, Opened]]:
    """Sandboxes and a gateway at which nothing is asked and nothing recorded."""
    with stage.world(**changes) as (world, gw):
        yield world, gw
        assert {name: len(calls) for name, calls in world.server.requests.items()} == dict.fromkeys(
            world.server.names, 0
        )
        assert gw.journal.list() == []
        assert gw.orders.list() == gw.withdrawals.list() == []


def all_end(end: End | None, *calls: Callable[[], Any]) -> list[GatewayError]:
    return [ends(end, call) for call in calls]


@PLAYS.row("float")
def a_float(case: Case, stage: Stage) -> None:
    half: Any = 0.5
    with nothing_sent(stage) as (_, gw):
        to = CryptoAddress(ADDRESS)
        all_end(
            case.write,
            lambda: Money(half, "USD"),
            lambda: usd("1") * Decimal(1) + Money(half, "USD"),
            lambda: OrderRequest(reference="r", price={"amount": half, "asset": "USD"}),  # type: ignore[arg-type]
            lambda: OrderRequest(reference="r", price=half),
            lambda: OrderRequest(reference="r", price=usd("1"), metadata={"weight": half}),
            lambda: WithdrawalRequest(reference="r", amount={"amount": half, "asset": "USD"}, to=to),  # type: ignore[arg-type]
            lambda: TradeRequest(reference="r", market="BTC/USDC", side="buy", volume=half, rate=Decimal(1)),
            lambda: gw.orders.create(cart(provider_options={"aurpay": {"fixed_encrypt_price": half}}), account="shop"),
            lambda: gw.orders.create(cart(provider_options={"other": {"deep": [{"x": half}]}}), account="shop"),
            lambda: gw.account("shop").request("POST", "/api/x", json={"price": [half]}),
        )


@PLAYS.row("float-setting")
def a_float_in_a_setting(case: Case, stage: Stage) -> None:
    with World(stage.folder) as world:
        for limits in ({"per_withdrawal": 0.5}, {"per_day": [0.5]}, {"per_day": {"amount": 0.5, "asset": "BTC"}}):
            error = ends(case.write, lambda limits=limits: Gateway(accounts=world.accounts(shop={"limits": limits})))
            assert "accounts.shop.limits" in str(error)
        file = stage.folder / "gateway.toml"
        account = '[accounts.shop]\nprovider = "aurpay"\nauth = { kind = "api-key", api_key = "k" }\n'
        for setting in ("[accounts.shop.limits]\nper_day = 0.05\n", "underpayment_tolerance = 0.005\n"):
            file.write_text(account + setting)
            assert "accounts.shop" in str(ends(case.write, lambda: Gateway.from_file(file)))
        route = '[[routes]]\noperation = "orders.create"\naccounts = ["shop"]\nmin = 5.0\n'
        file.write_text(account + route)
        assert "routes.0.min" in str(ends(case.write, lambda: Gateway.from_file(file)))
        stage.monkeypatch.setenv("GATEWAY_ACCOUNTS__SHOP__LIMITS", '{"per_day": [0.5]}')
        file.write_text(account)
        ends(case.write, lambda: Gateway.from_file(file))


@PLAYS.row("no-amount")
def no_amount(case: Case, stage: Stage) -> None:
    with nothing_sent(stage):
        words = ("NaN", "Infinity", "-Infinity", "", "1,5", "25 USD", "1e999", "0x10", "1_000")
        all_end(case.write, *(lambda text=text: usd(text) for text in words))  # type: ignore[misc]
        numbers: tuple[Any, ...] = (Decimal("NaN"), Decimal("Infinity"), True, None, b"1")
        all_end(case.write, *(lambda number=number: Money(number, "USD") for number in numbers))  # type: ignore[misc]
        prices = ("0", "-5", "25.001")
        all_end(case.write, *(lambda price=price: cart(price=f"{price} USD") for price in prices))  # type: ignore[misc]
        amounts = ("0", "-0.001", "0.000000000001")
        all_end(case.write, *(lambda it=it: payout(amount=it, text=invoice()) for it in amounts))  # type: ignore[misc]


@PLAYS.row("unknown-asset")
def unknown_asset(case: Case, stage: Stage) -> None:
    with nothing_sent(stage):
        all_end(
            case.write,
            lambda: cart(pay_with="DOUBLOON"),
            lambda: cart(pay_with="USDT@nowhere"),
            lambda: cart(price="25 DOUBLOON"),
            lambda: Money("25", "DOUBLOON"),
        )


@PLAYS.row("unsupported-price")
def unsupported_price(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):
        for coin in ("USDT@tron", "BTC@lightning", None):
            error = ends(
                case.write,
                lambda coin=coin: gw.orders.create(cart(price="0.001 BTC@bitcoin", pay_with=coin), account="shop"),
            )
            assert "Aurpay takes prices in fiat" in str(error)


@PLAYS.row("refused-price")
def refused_price(case: Case, stage: Stage) -> None:
    with stage.world() as (world, gw):
        request = cart(price="25.00 CHF")
        for _ in range(2):
            ends(case.write, lambda: gw.orders.create(request, account="shop"))
        assert (world.creations(), world.aurpay.orders()) == (1, [])
        assert gw.orders.get("cart-1001").status == "failed"


@PLAYS.row("unsupported-coin")
def unsupported_coin(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):
        for coin in ("SOL@solana", "USDC@solana", "USDT@solana"):
            refused = ends(case.write, lambda coin=coin: gw.orders.create(cart(pay_with=coin), account="shop"))
            assert refused.account == "shop"


def _pays(gw: Opened, text: str, amount: str = "0.001") -> Callable[[], Any]:
    return lambda: gw.withdrawals.create(payout(amount=amount, text=text), account="shop")


@PLAYS.row("broken-invoice")
def broken_invoice(case: Case, stage: Stage) -> None:
    whole = invoice()
    with nothing_sent(stage) as (_, gw):
        damaged = whole[:60] + ("q" if whole[60] != "q" else "p") + whole[61:]
        for text in ("lnbc1", "hello", whole[:-10], damaged, whole + "q", whole[:40].upper() + whole[40:], ADDRESS):
            ends(case.write, _pays(gw, text))


@PLAYS.row("foreign-invoice")
def foreign_invoice(case: Case, stage: Stage) -> None:
    with nothing_sent(stage, shop={"environment": "live"}) as (_, gw):
        for network in ("testnet", "signet", "regtest"):
            assert network in str(ends(case.write, _pays(gw, invoice(network=network))))


@PLAYS.row("expired-invoice")
def expired_invoice(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):
        old = invoice(created_at=datetime.now(UTC) - timedelta(hours=2))
        assert "expired" in str(ends(case.write, _pays(gw, old)))


@PLAYS.row("open-invoice")
def open_invoice(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):
        assert "no amount" in str(ends(case.write, _pays(gw, invoice(None))))
        assert "0.002" in str(ends(case.write, _pays(gw, invoice("0.002"))))


@PLAYS.row("foreign-address")
def foreign_address(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):

        def pays(address: str, asset: str) -> Callable[[], Any]:
            request = WithdrawalRequest(reference="payout-77", amount=Money("1", asset), to=CryptoAddress(address))
            return lambda: gw.withdrawals.create(request, account="shop")

        all_end(
            case.write,
            pays(ETHEREUM, "USDT@tron"),
            pays(ADDRESS, "USDT@ethereum"),
            pays(ADDRESS[:-1] + "M", "USDT@tron"),
            pays(ETHEREUM.replace("d8dA", "d8DA"), "USDT@ethereum"),
            pays("hello", "BTC@bitcoin"),
        )


@PLAYS.row("other-request")
def other_request(case: Case, stage: Stage) -> None:
    with stage.world() as (world, gw):
        gw.orders.create(cart(), account="shop")
        gw.withdrawals.create(payout(), account="shop")
        for change in ({"price": "26.00 USD"}, {"pay_with": None}, {"metadata": {"a": "b"}}):
            other = cart(**change)
            ends(case.write, lambda other=other: gw.orders.create(other, account="shop"))
        ends(case.write, _pays(gw, invoice()))
        assert (world.creations(), len(world.payouts())) == (1, 1)


@PLAYS.row("unknown-reference")
def unknown_reference(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):
        all_end(
            case.read,
            lambda: gw.orders.get("nothing"),
            lambda: gw.orders.renew("nothing"),
            lambda: gw.withdrawals.get("nothing"),
            lambda: gw.refunds.get("nothing"),
            lambda: gw.cards.list(account="cards", customer="nobody"),
        )


@PLAYS.row("not-offered")
def not_offered(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):
        for call in (
            lambda: gw.orders.create(cart(), account="treasury"),
            lambda: gw.withdrawals.create(payout(), account="cards"),
            lambda: gw.withdrawals.create(payout(), account="treasury"),
        ):
            assert ends(case.write, call).hint


@PLAYS.row("not-verified")
def not_verified(case: Case, stage: Stage) -> None:
    with nothing_sent(stage, treasury={"allow_inferred": []}) as (_, gw):
        request = TradeRequest(reference="t-1", market="BTC/USDC", side="buy", volume=Decimal(1), rate=Decimal(1))
        assert "allow_inferred" in str(ends(case.write, lambda: gw.trades.create(request, account="treasury")))
        ends(case.read, lambda: gw.wallets.list(account="treasury"))


@PLAYS.row("over-limit")
def over_limit(case: Case, stage: Stage) -> None:
    for limits in ({"per_withdrawal": "0.0009 BTC"}, {"per_day": "0.0009 BTC"}, {"destinations": []}):
        with nothing_sent(stage, shop={"limits": limits}) as (_, gw):
            assert f"limits.{next(iter(limits))}" in str(ends(case.write, _pays(gw, invoice())))
    with stage.world(shop={"limits": {"per_day": "0.0015 BTC"}}) as (world, gw):
        gw.withdrawals.create(payout("first"), account="shop")
        ends(case.write, lambda: gw.withdrawals.create(payout("second"), account="shop"))
        assert len(world.payouts()) == 1


@PLAYS.row("frozen")
def frozen(case: Case, stage: Stage) -> None:
    with nothing_sent(stage, shop={"limits": {"frozen": True}}) as (_, gw):
        ends(case.write, _pays(gw, invoice()))
    with stage.world() as (world, gw):
        request = payout()
        gw.freeze("shop", reason="looks odd")
        assert "looks odd" in str(ends(case.write, lambda: gw.withdrawals.create(request, account="shop")))
        gw.unfreeze("shop")
        assert gw.withdrawals.create(request, account="shop").status == "pending"
        assert len(world.payouts()) == 1


@PLAYS.row("short-of-money")
def short_of_money(case: Case, stage: Stage) -> None:
    with stage.world() as (world, gw):
        request = top_up(world.customer_with_card(gw), amount="5000 USD")
        for _ in range(2):
            ends(case.write, lambda: gw.withdrawals.create(request, account="cards"))
        assert sum(call.path.endswith("/topup") for call in world.calls("aurex", "POST")) == 1
        assert not [move for move in world.aurex.ledger()["movements"] if move["kind"] == "topup"]
        assert gw.withdrawals.get("load-1").status == "failed"


@PLAYS.row("still-open")
def still_open(case: Case, stage: Stage) -> None:
    with stage.world() as (world, gw):
        order = gw.orders.create(cart(), account="shop")
        ends(case.write, lambda: gw.orders.renew("cart-1001"))
        world.server.pay("aurpay", order.provider_id)
        ends(case.write, lambda: gw.orders.renew("cart-1001"))
        assert world.creations() == 1


@PLAYS.row("unknown-account")
def unknown_account(case: Case, stage: Stage) -> None:
    with nothing_sent(stage) as (_, gw):
        assert "shop" in ends(case.write, lambda: gw.orders.create(cart(), account="nobody")).hint
        all_end(
            case.read,
            lambda: gw.wallets.list(account="nobody"),
            lambda: gw.account("nobody"),
            lambda: gw.orders.fetch(account="nobody", provider_id="1"),
        )


@PLAYS.row("unknown-provider")
def unknown_provider(case: Case, stage: Stage) -> None:
    error = ends(case.write, lambda: Gateway(accounts={"shop": {"provider": "nobody"}}))
    assert "accounts.shop.provider" in str(error)
    assert "aurpay" in str(error)


@PLAYS.row("wrong-setting")
def wrong_setting(case: Case, stage: Stage) -> None:
    with World(stage.folder) as world:
        secret = "very-secret-CANARY"
        for path, change in {
            "accounts.shop.auth": {"auth": {"kind": "api-key"}},
            "accounts.shop.auth.api_key": {"auth": {"kind": "api-key", "api_key": "env:NOT_THERE"}},
            "accounts.shop.base_url": {"base_url": "http://example.com"},
            "accounts.shop.environmnet": {"environmnet": secret},
            "accounts.shop.timeout": {"timeout": secret},
            "accounts.shop.limits": {"limits": secret},
        }.items():
            error = ends(case.write, lambda change=change: Gateway(accounts=world.accounts(shop=change)))
            assert path in str(error)
            assert secret not in str(error)


@contextlib.contextmanager
def _installed(stage: Stage, **points: str) -> Iterator[None]:
    """Besides what is installed, these entry points."""
    from gateway import plugins

    there = list(metadata.entry_points(group=plugins.GROUP))
    more = [metadata.EntryPoint(name, value, plugins.GROUP) for name, value in points.items()]
    with stage.monkeypatch.context() as patch:
        patch.setattr(plugins.metadata, "entry_points", lambda group: [*there, *more])
        plugins._load.cache_clear()
        yield
    plugins._load.cache_clear()


@PLAYS.row("broken-plugin")
def broken_plugin(case: Case, stage: Stage) -> None:
    with World(stage.folder) as world, _installed(stage, acme="no_such_module_anywhere"):
        error = ends(case.write, lambda: Gateway(accounts={"shop": {"provider": "acme"}}))
        assert "no_such_module_anywhere" in str(error)
        with Gateway(accounts=world.accounts(), store="sqlite://") as gw:
            assert gw.orders.create(cart(), account="shop").status == "pending"


@PLAYS.row("claimed-name")
def claimed_name(case: Case, stage: Stage) -> None:
    # After the genuine one in the order of their names.
    with _installed(stage, zzz="weather.claims_aurpay"):
        (plugin,) = (plugin for plugin in load_plugins().loaded if plugin.name == "zzz")
        assert "'aurpay' is taken by" in (plugin.error or "")
        assert load_plugins().provider("aurpay").title == "Aurpay"
        with stage.monkeypatch.context() as patch:
            patch.setenv("GATEWAY_STRICT_PLUGINS", "1")
            ends(case.write, load_plugins)
    with _installed(stage, zzz="weather.registers_twice"):
        (plugin,) = (plugin for plugin in load_plugins().loaded if plugin.name == "zzz")
        assert "registered twice" in (plugin.error or "")
        assert "twice" not in load_plugins().providers
