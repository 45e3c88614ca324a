"""Adapters whose lists leave rows and balances out or show them otherwise, and those that show other coins."""

from __future__ import annotations

from typing import Any

from conformance.acme import AcmeAdapter, data_of
from conformance.acme_sandbox import AcmeSandbox
from conformance.broken.fault import fails
from gateway.contracts import Query
from gateway.exchange import Operation, Request, Response, ask
from gateway.models import Fee, OrderStatus, Page, ProviderOrder, ProviderRefund, ProviderWithdrawal, Wallet
from gateway.money import Money
from gateway.secrets import Raw

_ALONE = "test_a_row_of_a_list_is_what_reading_it_alone_shows"
_FIGURES = "test_every_amount_stands_in_its_own_field"
_SHOWN = "test_the_payer_is_shown_what_the_provider_said"
_COINS = "test_a_coin_nobody_knows_is_no_accident"
_ONE = {"wallets.list": {"available": "data.items.*.available"}}
_FEES = "test_fees_and_hashes_are_not_something_else"
_ALL = "test_no_row_of_a_list_is_left_out"


class Rewritten(AcmeAdapter):
    """Makes something else of each row."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        rows = [row for row in map(self.row, page.items) if row is not None]
        return page.model_copy(update={"items": tuple(rows)})

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        raise NotImplementedError


@fails(_ALL, "orders.list leaves out A1, which was made here")
class DropsTheLastRow(AcmeAdapter):
    """Drops the last row of the last page."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        return page if page.next else page.model_copy(update={"items": page.items[:-1]})


@fails(_ALL, "orders.list leaves out A")
class StopsAfterMany(AcmeAdapter):
    """Ends the list after a hundred rows, whatever the provider has."""

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        page = yield from super().list_orders(query)
        return page.model_copy(update={"next": page.next if int(query.cursor or 1) * query.size < 100 else None})


@fails(_ALONE, "which is refunded")
class HidesRefunded(Rewritten):
    """Leaves orders out that were refunded."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return None if row.status is OrderStatus.REFUNDED else row


@fails(_ALONE, "which is told `under` in the sandbox")
class HidesUnderpaid(Rewritten):
    """Leaves orders out of which a part was paid."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return None if row.status is OrderStatus.UNDERPAID else row


@fails(_ALONE, "which is told `expire` in the sandbox")
class HidesExpired(Rewritten):
    """Leaves orders out that have expired."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return None if row.status is OrderStatus.EXPIRED else row


@fails(_ALONE, "with status paid; orders.get says refunded")
class ListsRefundedAsPaid(Rewritten):
    """Shows orders that were refunded as paid in the list."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return row.model_copy(update={"status": OrderStatus.PAID}) if row.provider_status == "refunded" else row


@fails(_ALONE, "with status paid; orders.get says cancelled")
class ListsCancelledAsPaid(Rewritten):
    """Shows cancelled orders as paid in the list."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return row.model_copy(update={"status": OrderStatus.PAID}) if row.provider_status == "cancelled" else row


@fails(_ALONE, "with received 50.00 USDT@tron; orders.get says 25.000 USDT@tron")
class ListsWhatIsDue(Rewritten):
    """Shows in the list as received what is asked for, as soon as anything is."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        return row.model_copy(update={"received": row.received and row.pay.amount})


@fails("test_a_word_nobody_knows_is_no_status_of_a_row", "became 'paid' in a row of the list")
class ListsUnknownAsPaid(Rewritten):
    """Shows orders as paid in the list whose word it does not know."""

    def row(self, row: ProviderOrder) -> ProviderOrder | None:
        unknown = row.status is OrderStatus.UNRECOGNISED
        return row.model_copy(update={"status": OrderStatus.PAID, "warnings": ()}) if unknown else row


@fails(_FIGURES, "wallets.list:custodial leaves out what the answer has at data.items.*.available, in row 2 of 2")
class HidesWallets(AcmeAdapter):
    """Shows the first balance and no other."""

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        page = yield from super().list_wallets(query)
        return page.model_copy(update={"items": page.items[:1]})


@fails(_FIGURES, "and what stands there is not in BTC@bitcoin")
class SwapsTheCoinsOfWallets(AcmeAdapter):
    """Shows each balance in the coin of another one."""

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        data = yield from ask(Request("GET", "/balances"), data_of)
        coins = [row["coin"] for row in reversed(data["items"])]
        rows = zip(data["items"], coins, strict=True)
        return Page[Wallet](items=tuple(self.wallet({**row, "coin": coin}) for row, coin in rows))


@fails(_FIGURES, "and what stands there is not in USDT@tron")
class ShowsAllWalletsInOneCoin(AcmeAdapter):
    """Shows every balance in one coin."""

    def wallet(self, data: dict[str, Any]) -> Wallet:
        return super().wallet({**data, "coin": "USDT@tron"})


@fails(_FIGURES, "the Subject does not say where available stand in the answer", fields={})
class ShowsOneOfTwoNumbers(AcmeAdapter):
    """Shows as what can be spent what is held, and nothing else that could be compared with it."""

    def wallet(self, data: dict[str, Any]) -> Wallet:
        read = super().wallet({**data, "available": data["held"]})
        return read.model_copy(update={"allocated": None, "total": None, "raw": Raw(data)})


@fails(_FIGURES, "`available` does not show what the answer has at", fields=_ONE)
class ReadsWhatIsHeld(ShowsOneOfTwoNumbers):
    """Shows as what can be spent what is held, and no other balance."""


@fails(_SHOWN, "received is in BTC@bitcoin, and neither the answer nor the request names that")
class ReceivesAnotherCoin(AcmeAdapter):
    """Shows what was received in another coin than it came in."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        received = read.received and Money(read.received.amount, "BTC@bitcoin")
        return read.model_copy(update={"received": received})


@fails(_SHOWN, "pay.amount is in USDT@ethereum, and the order is paid in USDT@tron")
class AsksOnAnotherNetwork(AcmeAdapter):
    """Shows the amount that is asked for on another network than the order is paid on."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        amount = Money(read.pay.amount.amount, "USDT@ethereum")
        return read.model_copy(update={"pay": read.pay.model_copy(update={"amount": amount})})


@fails(_COINS, "refunds.create: amount is in BTC@bitcoin, and neither the answer nor the request names that")
class RefundsInAnotherCoin(AcmeAdapter):
    """Shows a refund in another coin than it is made in."""

    def read_refund(self, response: Response) -> ProviderRefund:
        read = super().read_refund(response)
        return read.model_copy(update={"amount": Money(read.amount.amount, "BTC@bitcoin")})


@fails(_COINS, "withdrawals.get: amount is in BTC@bitcoin, and neither the answer nor the request names that")
class ReadsPayoutsInAnotherCoin(AcmeAdapter):
    """Shows a payout that is read in another coin than it was made in."""

    def get_withdrawal(self, provider_id: str) -> Operation[ProviderWithdrawal]:
        read = yield from super().get_withdrawal(provider_id)
        return read.model_copy(update={"amount": Money(read.amount.amount, "BTC@bitcoin")})


@fails(_FEES, "withdrawals.create:address: the fee 'fee' is 1.5 USDT@tron, which is `amount`")
class TakesTheAmountForTheFee(AcmeAdapter):
    """Reads the fee of a payout from the field of its amount."""

    def read_payout(self, response: Response) -> ProviderWithdrawal:
        read = super().read_payout(response)
        return read.model_copy(update={"fees": (Fee(name="fee", amount=read.amount),)})


@fails(_FEES, "orders.get: `transactions` shows A")
class TakesTheNumberForAHash(AcmeAdapter):
    """Shows the number of an order as the hash of its payment."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        read = super().order(data)
        return read.model_copy(update={"transactions": (data["id"],) if data["received"] else ()})


class HashSandbox(AcmeSandbox):
    def _get_payout(self, request: Any, body: Any) -> object:
        return {**self._payouts[request.path_params["id"]], "txid": None}


@fails(
    _FEES,
    "withdrawals.get: `transactions` shows P",
    sandbox=lambda self: HashSandbox(),
)
class TakesTheNumberForThePayoutsHash(AcmeAdapter):
    """Shows the number of a payout as the hash of its payment, as soon as there is one."""

    def read_payout(self, response: Response) -> ProviderWithdrawal:
        data = data_of(response)
        read = super().read_payout(response)
        return read.model_copy(update={"transactions": (data["id"],) if data.get("txid") else ()})
