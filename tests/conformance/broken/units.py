"""Acme whose API counts in smallest units, and adapters that count them wrongly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from starlette.requests import Request as Received
from starlette.routing import Route

from conformance.acme import AcmeAdapter, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.assets import Asset
from gateway.contracts import NewOrder, NewWithdrawal
from gateway.errors import InvalidRequest
from gateway.exchange import Request
from gateway.models import ProviderOrder, Wallet
from gateway.money import Money, plain

_IN = "test_amounts_that_come_in_keep_every_digit"
_OUT = "test_amounts_that_go_out_keep_every_digit"
PLACES = {"USDT": 4, "BTC": 8}  # as the documentation has them: not those of the assets
_CENTS = 2


class UnitSandbox(AcmeSandbox):
    """Takes and shows every amount as a whole number of the smallest unit."""

    def _route(self, method: str, path: str, handle: Callable[[Received, Any], object]) -> Route:
        def counted(request: Received, body: Any) -> object:
            return _counted(handle(request, _counted(body, -1)), 1)

        return super()._route(method, path, counted)


def _counted(data: Any, sign: int) -> Any:
    if isinstance(data, list):
        return [_counted(item, sign) for item in data]
    if not isinstance(data, dict):
        return data
    found = {name: _counted(value, sign) for name, value in data.items()}
    places = PLACES.get(str(found.get("coin")).partition("@")[0], 0)
    for name in ("price", "amount", "received", "available", "held"):
        if found.get(name) is not None:
            number = Decimal(found[name]).scaleb(sign * (_CENTS if name == "price" else places))
            found[name] = plain(number.quantize(Decimal(1))) if sign > 0 else number
    if sign < 0 and "amount" in found:
        found["amount"] = plain(found["amount"])
    return found


class InUnits(AcmeAdapter):
    def new_order(self, order: NewOrder) -> Request:
        made = super().new_order(order)
        return _changed(made, price=order.request.price.in_units(_CENTS))

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        return read.model_copy(update={"price": Money.of_units(data["price"], data["currency"], _CENTS)})

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _changed(super().new_payout(withdrawal), amount=str(self.units(withdrawal.request.amount)))

    def units(self, money: Money) -> int:
        if money.asset.symbol not in PLACES:
            raise InvalidRequest(f"Acme does not pay out {money.asset}", hint="one of " + ", ".join(PLACES))
        return money.in_units(PLACES[money.asset.symbol])

    def money(self, amount: Any, coin: str) -> Money:
        asset = Asset.incoming(coin)
        return Money.of_units(amount, asset, PLACES.get(asset.symbol, 0))


class AcmeInUnits(Acme):
    provider = provider(adapter=InUnits)
    units = {"USDT": 4, "BTC@bitcoin": 8, "USD": _CENTS}

    def sandbox(self) -> UnitSandbox:
        return UnitSandbox()


class DecimalBalances(UnitSandbox):
    """Shows balances in decimals."""

    def _route(self, method: str, path: str, handle: Callable[[Received, Any], object]) -> Route:
        return (AcmeSandbox if path == "/balances" else UnitSandbox)._route(self, method, path, handle)


class ReadsDecimalBalances(InUnits):
    def wallet(self, data: dict[str, Any]) -> Wallet:
        places = PLACES.get(data["coin"].partition("@")[0], 0)
        counted = {name: plain(Decimal(data[name]).scaleb(places)) for name in ("available", "held")}
        return super().wallet({**data, **counted})


class AcmeInBoth(AcmeInUnits):
    provider = provider(adapter=ReadsDecimalBalances)
    units = {**AcmeInUnits.units, "wallets.list USDT": None, "wallets.list:custodial BTC@bitcoin": None}

    def sandbox(self) -> UnitSandbox:
        return DecimalBalances()


def _changed(request: Request, **values: Any) -> Request:
    return replace(request, json={**request.json, **values})


def counts(check: str, words: str) -> Callable[[type[InUnits]], type[InUnits]]:
    """Write a broken adapter of an API in smallest units down."""

    def note(kind: type[InUnits]) -> type[InUnits]:
        subject = type(kind.__name__, (AcmeInUnits,), {"provider": provider(adapter=kind), "__doc__": kind.__doc__})
        subject.__module__ = kind.__module__
        fails(check, words)(subject)
        return kind

    return note


@counts(_OUT, "withdrawals.create:address: amount = 9007199254740993.0001 left as amount = 90071992547409936384")
class CountsOutByAFloat(InUnits):
    """Counts a payout in smallest units by way of a float, which is one unit less at times."""

    def units(self, money: Money) -> int:
        return int(float(money.amount) * 10 ** PLACES[money.asset.symbol])


@counts(_OUT, "withdrawals.create:address: amount = 0.0001 left as amount = 0")
class RoundsBeforeItCounts(InUnits):
    """Rounds a payout to three places before it counts the units, of which there are four."""

    def units(self, money: Money) -> int:
        return super().units(Money(round(money.amount, 3), money.asset))


@counts(_OUT, "withdrawals.create:address: amount = 1.500001 left as amount = 15000")
class CutsWhatIsLeftOver(InUnits):
    """Cuts off what of a payout is no whole unit, where it has to refuse it."""

    def units(self, money: Money) -> int:
        return int(money.amount * 10 ** PLACES[money.asset.symbol])


@counts(_OUT, "withdrawals.create:address: amount = 1.5 is nowhere in what left")
class SendsAnotherAmount(InUnits):
    """Takes a fee of its own from every payout."""

    def units(self, money: Money) -> int:
        return super().units(money) - 1


@counts(_OUT, "withdrawals.create:address: amount = 1.5 USDT@tron left as amount = 1500000")
class CountsOutByTheAsset(InUnits):
    """Counts a payout in units of as many places as the gateway's asset has, which are not the provider's."""

    def units(self, money: Money) -> int:
        return money.in_units(6)


@fails(_OUT, 'units = {"USD": 2} of the Subject says how many places it has; nothing can be looked at without')
class SaysNothingOfUnits(AcmeInUnits):
    """Counts in smallest units, and says nowhere in which."""

    units = {}


@fails(_IN, 'units = {"wallets.list:custodial USDT@tron": None} of the Subject says so')
class SaysNothingOfDecimals(AcmeInBoth):
    """Counts balances in decimals and all else in units, and the Subject says units of everything."""

    units = AcmeInUnits.units


@fails(_OUT, "withdrawals.create:address: amount = 0.000001 left as ?.amount = 0.00", within="withdrawals")
class SendsAFloatInTheQuery(Acme):
    """Sends the amount of a payout in the query, by way of a float; the rest is in the body."""

    class Queries(AcmeAdapter):
        def new_payout(self, withdrawal: NewWithdrawal) -> Request:
            made = super().new_payout(withdrawal)
            amount = f"{float(withdrawal.request.amount.amount):.2f}"
            body = {name: value for name, value in made.json.items() if name != "amount"}
            return replace(made, json=body, query=(("amount", amount),))

    class FromTheQuery(AcmeSandbox):
        def _create_payout(self, request: Received, body: Any) -> object:
            return super()._create_payout(request, {**body, "amount": request.query_params["amount"]})

    provider = provider(adapter=Queries)

    def sandbox(self) -> AcmeSandbox:
        return self.FromTheQuery()


@counts(_IN, "wallets.list:custodial shows the answer's 15002502 at data.items.0.available as 150025.0200 USDT@tron")
class HundredTimesTooMuch(InUnits):
    """Shows balances a hundred times too large."""

    def wallet(self, data: dict[str, Any]) -> Wallet:
        return super().wallet({**data, "available": f"{data['available']}00", "held": f"{data['held']}00"})


@counts(_IN, 'units = {"orders.create:coin USDT@tron": 6} of the Subject says so')
class CountsInByTheAsset(InUnits):
    """Reads amounts as units of as many places as the gateway's asset has, which are not the provider's."""

    def money(self, amount: Any, coin: str) -> Money:
        asset = super().money(amount, coin).asset
        return Money.of_units(amount, asset, asset.decimals or 0)


@counts(_IN, "loses digits")
class ReadsUnitsByAFloat(InUnits):
    """Reads amounts in smallest units by way of a float."""

    def money(self, amount: Any, coin: str) -> Money:
        return super().money(int(float(amount)), coin)


@fails(_IN, "wallets.list:custodial loses digits", within="wallets")
class ReadsWholeNumbersByAFloat(AcmeAdapter):
    """Reads whole numbers by way of a float, which holds sixteen digits; those with a fraction it reads exactly."""

    def money(self, amount: Any, coin: str) -> Money:
        number = Decimal(amount)
        return super().money(Decimal(int(float(number))) if number == number.to_integral_value() else number, coin)
