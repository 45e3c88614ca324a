"""The endpoints, numbered so that they can be named. Each takes a checked call and returns its answer's `data`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.addresses import check_address
from gateway.errors import InvalidRequest
from gateway_aurpay.sandbox.access import USER_ID, Access
from gateway_aurpay.sandbox.books import Books
from gateway_aurpay.sandbox.coins import COINS, FIAT_IN_USD, LIGHTNING, Coin, address_for, text
from gateway_aurpay.sandbox.orders import (
    LIST_FIELDS,
    Order,
    Refund,
    Terms,
    shown_order,
    shown_status,
    shown_time,
)
from gateway_aurpay.sandbox.variants import Variants
from gateway_aurpay.sandbox.wire import Call, Refusal, paged

__all__ = ["Endpoints"]

_LIGHTNING_OPTIONS = ("succeed_url", "timeout_url", "callback_url", "timeout_callback")
_OPTIONS = (*_LIGHTNING_OPTIONS, "fixed_encrypt_price", "enable_post_callback")
_TRANSACTION_FIELDS = "user_id tx_id tx_type status chain currency amount obtained fee".split()
_ON_CHAIN = [coin for coin in COINS.values() if coin is not LIGHTNING]
_SELF_CUSTODY_CHAINS = ("ETH", "TRX", "BTC")  # which ones a merchant has connected is made up
_NETWORKS: Mapping[str, str] = {"ETH": "ethereum", "TRX": "tron", "BTC": "bitcoin", "BNB": "bsc"}


class Endpoints:
    def __init__(self, books: Books, access: Access, variants: Variants) -> None:
        self._books = books
        self._access = access
        self._variants = variants

    def pay_url(self, call: Call) -> Any:
        """1: the payer chooses the coin on the hosted page."""
        call.only("price", "currency", *_OPTIONS)
        terms = _terms(call, "price", "currency")
        if self._variants.pay_url_has_order_id:
            # Whether an order can be read before its coin is chosen is not documented: it can, without a coin.
            order = self._books.create(terms, None)
            return {"order_id": order.id, "pay_url": _page(call, order.id)}
        return {"pay_url": _page(call, self._books.open_checkout(terms).id)}

    def pay_info(self, call: Call) -> Any:
        """2: an order for one coin."""
        call.only("chain", "currency", "vs_price", "vs_currency", *_OPTIONS)
        coin = _coin(call.text("chain"), call.text("currency"))
        if coin is LIGHTNING:  # not documented: Lightning orders have a call of their own
            raise Refusal(400, "unsupported currency")
        order = self._books.create(_terms(call, "vs_price", "vs_currency"), coin)
        return {
            "order_id": order.id,
            "status": shown_status(order.status, self._variants),
            "amount": order.amount,
            "create_time": shown_time(order.created_at, self._variants),
            "vs_currency": order.terms.fiat,
            "vs_price": order.terms.price,
            "address": order.address,
            "contract_addr": coin.contract,
            "pay_url": _page(call, order.id),
        }

    def orders(self, call: Call) -> Any:
        """3."""
        return paged(self._books.orders(), lambda order: self._shown(order, LIST_FIELDS), call.query)

    def _shown(self, order: Order, names: Iterable[str]) -> dict[str, Any]:
        shown = shown_order(order, self._variants)
        return {name: shown[name] for name in names}

    def order(self, call: Call) -> Any:
        """4: "the rest as the callback body" (I)."""
        return shown_order(self._books.order(call.order_id), self._variants)

    def refund_info(self, call: Call) -> Any:
        """5: the four fields that are known. Before a refund was asked for: an error, not documented."""
        order = self._books.order(call.order_id)
        if order.refund is None or order.coin is None:
            raise Refusal(404, "no refund of this order")
        return {
            "order_id": order.id,
            "chain": order.coin.chain,
            "currency": order.coin.currency,
            "amount": order.refund.amount,
        }

    def refund(self, call: Call) -> Any:
        """6: answered without an envelope. The values of `refund_status` are not documented."""
        order = self._books.order(call.order_id)
        refund = self._books.refund(order)
        if self._variants.refunds_at_once:
            self._books.complete_refund(order.id)
        return {
            "order_id": order.id,
            "refund_status": "SUCCESS" if refund.done else "PENDING",
            "refund_amount": refund.amount,
            "refund_date": shown_time(refund.asked_at, self._variants),
        }

    def transactions(self, call: Call) -> Any:
        """7: what has moved money; payouts, then orders, newest first. Order, types and statuses are not documented."""
        rows = [_payout_row(payout.id, payout.coin, text(payout.amount)) for payout in reversed(self._books.payouts)]
        for order in self._books.orders():
            if order.coin is None or not order.obtained:
                continue
            if order.refund is not None:
                rows.append(_refund_row(order, order.coin, order.refund))
            rows.append(self._shown(order, _TRANSACTION_FIELDS))
        return paged(rows, lambda row: row, call.query)

    def real_currencies(self, call: Call) -> Any:
        """8: a list of fiat codes (I)."""
        return self._listed(call, list(FIAT_IN_USD))

    def crypto_currencies(self, call: Call) -> Any:
        """9 (I)."""
        rows = [
            {
                "chain": coin.chain,
                "chain_name": coin.chain_name,
                "currency": coin.currency,
                "contract_addr": coin.contract,
            }
            for coin in COINS.values()
        ]
        return self._listed(call, rows)

    def wallets(self, call: Call) -> Any:
        """10 (I). Lightning has its own call (13), so it is not here: not documented."""
        rows = [
            {
                "chain": coin.chain,
                "chain_name": coin.chain_name,
                "currency": coin.currency,
                "balance": text(self._books.balance(coin)),
                "address": address_for(coin.chain, "wallet"),
            }
            for coin in _ON_CHAIN
        ]
        return self._listed(call, rows)

    def withdraw(self, call: Call) -> Any:
        """11, at the path and with the field names that the constructor was given. Answers no data: not documented."""
        names = self._variants.withdraw
        assert names is not None
        call.only(names.amount, names.currency, names.chain, names.address)
        coin = _coin(call.text(names.chain), call.text(names.currency))
        if coin is LIGHTNING:
            raise Refusal(400, "unsupported currency")
        amount = call.number(names.amount) if names.amount_as == "number" else call.amount_text(names.amount)
        address = call.text(names.address)
        try:
            check_address(address, _NETWORKS[coin.chain], environment="sandbox")
        except InvalidRequest:
            raise Refusal(400, "invalid address") from None
        self._books.pay_address(coin, amount, address)
        return None

    def self_custody(self, call: Call) -> Any:
        """12 (I)."""
        names = {coin.chain: coin.chain_name for coin in _ON_CHAIN}
        rows = [
            {"chain": chain, "chain_name": names[chain], "address": address_for(chain, "self-custody")}
            for chain in _SELF_CUSTODY_CHAINS
        ]
        return self._listed(call, rows)

    def lightning_balance(self, call: Call) -> Any:
        """13: text, in BTC (I)."""
        return {"balance": text(self._books.balance(LIGHTNING))}

    def lightning_order(self, call: Call) -> Any:
        """14. Its callbacks are only ever GET, so there is no `enable_post_callback`."""
        call.only("price", "currency", *_LIGHTNING_OPTIONS)
        order = self._books.create(_terms(call, "price", "currency"), LIGHTNING)
        return {
            "order_id": order.id,
            "status": shown_status(order.status, self._variants),
            "amount": order.amount,
            "create_time": shown_time(order.created_at, self._variants),
            "payment_request": order.payment_request,
            "pay_url": _page(call, order.id),
        }

    def lightning_withdrawal(self, call: Call) -> Any:
        """15. Its `data` is unknown: none here. There is no fee for routing: not documented."""
        call.only("ln_invoices", "amount")
        invoice = call.text("ln_invoices")
        self._books.pay_invoice(invoice, call.amount_text("amount") if "amount" in call.body else None)
        return None

    def login(self, call: Call) -> Any:
        """16."""
        call.only("username", "password")
        token, life = self._access.login(call.text("username"), call.text("password"))
        return {"access_token": token, "expire": life}

    def _listed(self, call: Call, rows: list[Any]) -> Any:
        """A bare list, or a paged one that holds everything unless a page is asked for (I)."""
        if not self._variants.paged_lists:
            return rows
        return paged(rows, lambda row: row, call.query or (("size", "100"),))


def _page(call: Call, order_id: str) -> str:
    """Where the hosted page would be at this server; the sandbox has none and is paid by its control."""
    return f"{call.site}/#/cashier/{order_id}"


def _coin(chain: str, currency: str) -> Coin:
    coin = COINS.get(currency)
    if coin is None or coin.chain != chain:
        raise Refusal(400, "unsupported currency")
    return coin


def _terms(call: Call, price: str, fiat: str) -> Terms:
    """The price and the optional fields of 1, 2 and 14; addresses for the payer's browser are only checked."""
    amount, currency = call.number(price), call.text(fiat)
    if currency not in FIAT_IN_USD:
        raise Refusal(400, f"unsupported {fiat}")
    for name in ("succeed_url", "timeout_url"):
        call.optional_text(name)
    return Terms(
        price=amount,
        fiat=currency,
        callback_url=call.optional_text("callback_url"),
        timeout_callback=call.optional_text("timeout_callback"),
        fixed=call.flag("fixed_encrypt_price"),
        post=call.flag("enable_post_callback"),
    )


def _row(tx_id: str, tx_type: str, status: str, coin: Coin, amount: str) -> dict[str, Any]:
    return {
        "user_id": USER_ID,
        "tx_id": tx_id,
        "tx_type": tx_type,
        "status": status,
        "chain": coin.chain,
        "currency": coin.currency,
        "amount": amount,
        "obtained": amount,
        "fee": "0",
    }


def _refund_row(order: Order, coin: Coin, refund: Refund) -> dict[str, Any]:
    return _row(f"refund-{order.tx_id}", "REFUND", "SUCCESS" if refund.done else "PENDING", coin, text(refund.amount))


def _payout_row(tx_id: str, coin: Coin, amount: str) -> dict[str, Any]:
    return _row(tx_id, "WITHDRAW", "SUCCESS", coin, amount)
