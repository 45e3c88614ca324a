"""Adapters that send money elsewhere, or show what the provider did not say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.acme import AcmeAdapter
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.contracts import NewOrder, NewWithdrawal
from gateway.exchange import Operation, Request, ask
from gateway.models import CryptoAddress, ProviderOrder, ProviderWithdrawal, Wallet
from gateway.money import Money

_LEAVES = "test_what_is_asked_for_is_what_leaves"
_SHOWN = "test_the_payer_is_shown_what_the_provider_said"
_FIELDS = "test_every_amount_stands_in_its_own_field"
_ELSEWHERE = "TLa2f6VPqDgRE67v1736s7bJ8Ray5wYjU7"


def _changed(request: Request, **values: Any) -> Request:
    return replace(request, json={**request.json, **values})


@fails(_LEAVES, "withdrawals.create:address: to.address was asked to be")
class PaysSomebodyElse(AcmeAdapter):
    """Sends every payout to one address, whatever address was asked for."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _changed(super().new_payout(withdrawal), address=_ELSEWHERE)


@fails(_LEAVES, "withdrawals.create:address: to.address was asked to be 'TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL'")
class LowersAddresses(AcmeAdapter):
    """Writes the address of a payout in lower case."""

    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        return _changed(super().new_payout(withdrawal), address=str(withdrawal.request.to).lower())


@fails(_LEAVES, "withdrawals.create:address: to.memo was asked to be '730155', and no such text left")
class DropsMemos(AcmeAdapter):
    """Pays to an address without the memo that was asked for."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        to = withdrawal.request.to
        assert isinstance(to, CryptoAddress)
        asked = withdrawal.request.model_copy(update={"to": CryptoAddress(to.address)})
        return (yield from super().create_withdrawal(replace(withdrawal, request=asked)))


@fails(_LEAVES, "orders.create:coin: pay_with was asked to be 'USDT@tron', and no such text left")
class OrdersWithoutTheNetwork(AcmeAdapter):
    """Leaves the network of a coin away, and tells of an order in the one that was asked for."""

    def new_order(self, order: NewOrder) -> Request:
        return _changed(super().new_order(order), coin="USDT")

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order({**data, "coin": "USDT@tron"})


@fails("test_it_works_and_gives_what_it_should", "withdrawals.create:address sent one write 2 times")
class PaysTwiceByARead(AcmeAdapter):
    """Makes a second payout, by a request that says that it is a read."""

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        done = yield from super().create_withdrawal(withdrawal)
        again = replace(_changed(super().new_payout(withdrawal), address=_ELSEWHERE), write=False)
        yield from ask(again, self.read_payout)
        return done


@fails(_SHOWN, "pay.address is 'an-address-of-nobody', and the provider never said that")
class ShowsAnotherAddress(AcmeAdapter):
    """Shows the payer an address that the provider did not give."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order({**data, "address": "an-address-of-nobody"})


@fails(_SHOWN, "`received` is 50.00 USDT@tron before anybody paid")
class TakesWhatIsDueForReceived(AcmeAdapter):
    """Shows as received what is asked for."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order({**data, "received": data["amount"]})


@fails(_SHOWN, "after `under` in the sandbox `received` is 50.00 USDT@tron, and pay.amount is 50.00 USDT@tron")
class RoundsUpWhatIsReceived(AcmeAdapter):
    """Shows all as received as soon as anything is."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order({**data, "received": data["received"] and data["amount"]})


@fails(_FIELDS, "wallets.list:custodial: `available` does not show what the answer has at data.items.*.available")
class SwapsBalances(AcmeAdapter):
    """Shows what can be spent as what is held, and what is held as what can be spent."""

    def wallet(self, data: dict[str, Any]) -> Wallet:
        return super().wallet({**data, "available": data["held"], "held": data["available"]})


@fails(_FIELDS, "wallets.list:custodial: the total 3025.50 is not the sum of its parts")
class CountsTwice(AcmeAdapter):
    """Shows twice the total of a wallet."""

    def wallet(self, data: dict[str, Any]) -> Wallet:
        read = super().wallet(data)
        assert read.total is not None
        return read.model_copy(update={"total": read.total + read.total})


@fails(_FIELDS, "the Subject does not say where available and allocated")
class SaysNothingOfFields(Acme):
    """Shows several balances, and says nowhere which of the answer's numbers is which."""

    fields = {}


@fails(_FIELDS, "orders.get: `received` does not show what the answer has at data.received")
class ReadsTheWrongAmount(AcmeAdapter):
    """Reads what was received from the field of what is due, for orders that are paid."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        return read if read.received is None else read.model_copy(update={"received": read.pay.amount})


@fails("test_a_coin_nobody_knows_is_no_accident", "a coin that nobody knows ('QZXQ' at data.coin) is an accident")
class StumblesOverCoins(AcmeAdapter):
    """Looks coins up in a table, and fails with a KeyError at one that is not there."""

    def money(self, amount: Any, coin: str) -> Money:
        return super().money(amount, {"USDT@tron": "USDT@tron", "BTC@bitcoin": "BTC@bitcoin"}[coin])
