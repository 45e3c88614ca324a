"""Adapters that send an amount as that of another currency, or over another network."""

from __future__ import annotations

from dataclasses import replace

from conformance.acme import COINS, AcmeAdapter, provider
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.assets import Asset
from gateway.contracts import NewOrder, NewWithdrawal
from gateway.errors import InvalidRequest
from gateway.exchange import Operation, Request, ask
from gateway.models import ProviderOrder, ProviderWithdrawal

_ANOTHER = "test_another_coin_is_another_request_or_none"


@fails(_ANOTHER, "orders.create:coin: price 25.00 EUR left as price 25.00 USD does")
class OrdersEurosAsDollars(AcmeAdapter):
    """Orders a price in euros as the same number of dollars."""

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        asked = order.request
        if asked.pay_with is None or asked.pay_with.code not in COINS:
            raise InvalidRequest(f"Acme does not take {asked.pay_with}")
        return (yield from ask(self.new_order(order), self.read_order))


@fails(_ANOTHER, "orders.create:coin: pay_with USDT@ethereum left as pay_with USDT@tron does")
class OrdersOverOneNetwork(AcmeAdapter):
    """Orders a coin over one network, whichever was asked for."""

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        asked = order.request.model_copy(update={"pay_with": Asset.of("USDT@tron")})
        return (yield from super().create_order(replace(order, request=asked)))


@fails(_ANOTHER, "withdrawals.create:address: amount 1.5 TRX@tron left as amount 1.5 USDT@tron does")
class PaysInOneCoin(AcmeAdapter):
    """Pays every amount out in one coin, whichever was asked for."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        made = super().new_payout(withdrawal)
        return replace(made, json={**made.json, "coin": "USDT@tron"})


@fails(
    "test_what_is_asked_for_is_what_leaves",
    "amount.asset was asked to be USDT@tron, and nothing that left says over which network",
)
class NamesNoNetwork(Acme):
    """Pays out a coin without saying over which network, to a provider that takes it nevertheless."""

    class Bare(AcmeAdapter):
        def new_payout(self, withdrawal: NewWithdrawal) -> Request:
            made = super().new_payout(withdrawal)
            return replace(made, json={**made.json, "coin": withdrawal.request.amount.asset.symbol})

        def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
            done = yield from super().create_withdrawal(withdrawal)
            return done.model_copy(update={"amount": withdrawal.request.amount})

    provider = provider(adapter=Bare)
    coins = {}
    unsent = {"orders.create:coin": frozenset({"pay_with"})}
