"""Aurpay's operations, in the order of the gateway's contracts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, assert_never

from gateway.assets import Asset
from gateway.capabilities import Capabilities
from gateway.contracts import (
    Account,
    Adapter,
    Auth,
    IncomingCallback,
    NewOrder,
    NewRefund,
    NewWithdrawal,
    Notice,
    Query,
    RingAuth,
)
from gateway.errors import InvalidRequest, UnsupportedOperation
from gateway.exchange import Failure, Operation, Request, Response, ask
from gateway.lightning import check_invoice
from gateway.models import (
    CryptoAddress,
    Currency,
    CurrencyKind,
    IssuedKey,
    LightningInvoice,
    OrderStatus,
    Page,
    ProviderOrder,
    ProviderRefund,
    ProviderWithdrawal,
    RefundStatus,
    Transaction,
    Wallet,
    WalletKind,
    WithdrawalStatus,
)
from gateway.money import plain
from gateway_aurpay import auth, callbacks, inferred, mapping, wire
from gateway_aurpay.capabilities import ADDRESS_BY_SETTINGS, CAPABILITIES, KEYS_BY_HAND, as_signed
from gateway_aurpay.settings import (
    ApiKeyAuth,
    AurpaySettings,
    CallbackSecrets,
    LoginCredentials,
    SignatureAuth,
    WithdrawCall,
)

__all__ = ["Aurpay"]

T = TypeVar("T")

_NAME = "aurpay"


class Aurpay(Adapter[AurpaySettings]):
    """One account at Aurpay."""

    def __init__(self, account: Account[AurpaySettings]) -> None:
        super().__init__(account)
        self.site = mapping.Site(self.settings.base_url, account.environment, self.settings.zone)

    def make_auth(self, credentials: ApiKeyAuth | SignatureAuth | LoginCredentials | CallbackSecrets) -> Auth:
        match credentials:
            case ApiKeyAuth(api_key=key):
                return auth.ApiKey(key)
            case SignatureAuth(api_token=token, api_secret=secret):
                return auth.Signature(token, secret)
            case LoginCredentials():
                return auth.Login(credentials, self.account.now)
            case CallbackSecrets():
                return auth.CallbacksOnly(credentials)
            case other:
                assert_never(other)

    def capabilities(self) -> Capabilities | None:
        table = CAPABILITIES
        if self.settings.withdraw is not None:
            table = table.replaced(ADDRESS_BY_SETTINGS)
        if not isinstance(self.settings.auth, (LoginCredentials, RingAuth)):
            table = table.replaced(KEYS_BY_HAND)
        if isinstance(self.settings.auth, (SignatureAuth, RingAuth)):  # a ring may hold signature pairs
            table = as_signed(table)
        return table

    def read_failure(self, response: Response) -> Failure | None:
        return mapping.failure(response)

    # Orders

    def create_order(self, order: NewOrder) -> Operation[ProviderOrder]:
        """The coin decides which of three calls it is. None of them takes the merchant's own number."""
        price, asset = order.request.price, order.request.pay_with
        if not price.asset.is_fiat:
            raise InvalidRequest(
                f"Aurpay takes prices in fiat, not in {price.asset}", hint="state the price in a currency such as USD"
            )
        if asset is None:
            body = {"price": price.amount, "currency": price.asset.code, **_addresses(order)}
            # The number of such an order is first learned from the POST callback.
            body["enable_post_callback"] = True
            called_back = order.callback_url is not None
            return (
                yield from self._create(
                    "/api/order/pay-url",
                    body,
                    lambda raw, data: mapping.hosted_order(raw, data, called_back=called_back),
                )
            )
        coin = mapping.COINS.get(asset.code)
        if coin is None:
            raise _unknown_coin(asset)
        chain, currency = coin
        if chain == mapping.LIGHTNING:
            if "fixed_encrypt_price" in order.options(_NAME):
                raise InvalidRequest("fixed_encrypt_price is for stablecoins, not for Lightning orders")
            body = {"price": price.amount, "currency": price.asset.code, **_addresses(order)}
            return (
                yield from self._create(
                    "/api/bln/order",
                    body,
                    lambda raw, data: mapping.lightning_order(raw, data, self.site, price, asset),
                )
            )
        body = {
            "chain": chain,
            "currency": currency,
            "vs_currency": price.asset.code,
            "vs_price": price.amount,
            **_addresses(order),
        }
        if order.callback_url is not None:
            body["enable_post_callback"] = True
        if body.get("fixed_encrypt_price") and asset.symbol not in mapping.STABLECOINS:
            raise InvalidRequest(f"fixed_encrypt_price is for stablecoins, not for {asset}")
        return (
            yield from self._create(
                "/api/order/pay-info", body, lambda raw, data: mapping.coin_order(raw, data, self.site, price, asset)
            )
        )

    def _create(
        self, path: str, body: dict[str, Any], convert: Callable[[Any, Any], ProviderOrder]
    ) -> Operation[ProviderOrder]:
        return ask(Request("POST", path, json=body, write=True), lambda response: convert(*wire.enveloped(response)))

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        path = f"/api/v2/order/detail/{_number(provider_id)}"
        return (yield from ask(Request("GET", path), lambda response: self._details(response, provider_id)))

    def _details(self, response: Response, number: str) -> ProviderOrder:
        raw, data = wire.enveloped(response)
        return mapping.order(data, self.site, number=number).model_copy(update={"raw": raw})

    def list_orders(self, query: Query) -> Operation[Page[ProviderOrder]]:
        def convert(row: Any) -> ProviderOrder:
            return mapping.order(row, self.site)

        # The trailing slash is documented; a signature covers it.
        return (yield from _paged("/api/v2/order/", query, Page[ProviderOrder], convert))

    # Refunds

    def create_refund(self, refund: NewRefund) -> Operation[ProviderRefund]:
        """Whole orders only; the outcome stays unconfirmed until a reading shows it."""
        _options(refund.request.provider_options.get(_NAME, {}), {})
        if refund.request.amount is not None:
            raise InvalidRequest(
                "Aurpay refunds whole orders only", hint="leave the amount out, or refund a part in its dashboard"
            )
        number = _number(refund.order)

        def parse(response: Response) -> ProviderRefund:
            raw, answer = wire.refund_answer(response)
            return mapping.refund_accepted(raw, answer, self.site, number)

        return (yield from ask(Request("POST", f"/api/v2/order/refund/{number}", write=True), parse))

    def get_refund(self, order: str) -> Operation[ProviderRefund]:
        """Read in two steps: the info has no known status, so it is the order's that confirms."""
        number = _number(order)
        refund = yield from ask(
            Request("GET", f"/api/v2/order/refund-info/{number}"),
            lambda response: mapping.refund_read(*wire.enveloped(response), number),
        )
        details = yield from self.get_order(number)
        status = RefundStatus.COMPLETED if details.status is OrderStatus.REFUNDED else refund.status
        return refund.model_copy(
            update={
                "status": status,
                "provider_status": details.provider_status,
                "warnings": (*refund.warnings, *details.warnings),
            }
        )

    # Wallets, transactions, currencies

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        settings = self.settings
        match WalletKind(query.kind or WalletKind.CUSTODIAL):
            case WalletKind.CUSTODIAL:
                call = settings.wallets
                return (
                    yield from _loose(call.path, query, Page[Wallet], lambda row: inferred.custodial_wallet(row, call))
                )
            case WalletKind.SELF_CUSTODY:
                own = settings.self_custody
                return (
                    yield from _loose(own.path, query, Page[Wallet], lambda row: inferred.self_custody_wallet(row, own))
                )
            case WalletKind.LIGHTNING:
                balance = settings.lightning_balance
                wallet = yield from ask(
                    Request("GET", balance.path),
                    lambda response: inferred.lightning_wallet(wire.enveloped(response)[1], balance),
                )
                return Page[Wallet](items=(wallet,))
            case other:
                assert_never(other)

    def list_transactions(self, query: Query) -> Operation[Page[Transaction]]:
        def convert(row: Any) -> Transaction:
            return mapping.transaction(row, self.site)

        return (yield from _paged("/api/v2/tx", query, Page[Transaction], convert))

    def list_currencies(self, query: Query) -> Operation[Page[Currency]]:
        if CurrencyKind(query.kind or CurrencyKind.FIAT) is CurrencyKind.FIAT:
            real = self.settings.real_currencies
            return (yield from _loose(real.path, query, Page[Currency], lambda row: inferred.real_currency(row, real)))
        coins = self.settings.crypto_currencies
        return (yield from _loose(coins.path, query, Page[Currency], lambda row: inferred.crypto_currency(row, coins)))

    # Withdrawals

    def create_withdrawal(self, withdrawal: NewWithdrawal) -> Operation[ProviderWithdrawal]:
        _options(withdrawal.options(_NAME), {})
        match withdrawal.request.to:
            case LightningInvoice():
                path, body = "/api/bln/withdraw", self._invoice_body(withdrawal)
            case CryptoAddress() as to:
                call = self.settings.withdraw
                if call is None:
                    raise UnsupportedOperation(
                        "payouts to an address are made in Aurpay's dashboard",
                        hint="or give the account's settings `withdraw` the path and field names",
                    )
                path, body = call.path, _address_body(call, withdrawal, to)
            case _:
                raise UnsupportedOperation("Aurpay issues no cards", hint="pay out to an invoice or an address")

        def parse(response: Response) -> ProviderWithdrawal:
            raw, _ = wire.enveloped(response)
            return ProviderWithdrawal(
                status=WithdrawalStatus.PENDING,
                warnings=(
                    "Aurpay names no number of a payout and no way to read one: see its transactions or dashboard",
                ),
                raw=raw,
            )

        return (yield from ask(Request("POST", path, json=body, write=True), parse))

    def _invoice_body(self, withdrawal: NewWithdrawal) -> dict[str, Any]:
        """The invoice alone. The unit of the body's own `amount` is unknown, so the invoice must carry its amount."""
        invoice = check_invoice(str(withdrawal.request.to), environment=self.account.environment.value)
        if invoice.amount is None:
            raise InvalidRequest(
                "the invoice carries no amount", hint="ask the payee for an invoice over the exact amount"
            )
        if invoice.amount != withdrawal.request.amount:
            raise InvalidRequest(
                f"the invoice asks for {invoice.amount}, the withdrawal is {withdrawal.request.amount}",
                hint="an invoice is paid exactly; state its amount in BTC@lightning",
            )
        return {"ln_invoices": invoice.text}

    # Keys

    def issue_key(self, credentials: Any = None) -> Operation[IssuedKey]:
        """A new key beside the one in use; whether an earlier one ends is not documented."""
        credentials = self.settings.auth if credentials is None else credentials
        if not isinstance(credentials, LoginCredentials):
            raise UnsupportedOperation(KEYS_BY_HAND.reason, hint=KEYS_BY_HAND.instead)
        return (yield from auth.obtain_key(credentials, self.account.now()))

    def verify_key(self) -> Operation[None]:
        """The first order of the list: an authenticated read that changes nothing."""
        yield from self.list_orders(Query(size=1))

    # Callbacks

    @property
    def strict_callbacks(self) -> bool:
        return self.settings.callback.strict

    def read_callback(self, callback: IncomingCallback) -> Notice:
        return callbacks.read(callback, self.settings, self.account.ring())


def _paged(path: str, query: Query, page: type[Page[T]], convert: Callable[[Any], T]) -> Operation[Page[T]]:
    """One page of a documented list; the cursor is the page's number."""
    number = _page_number(query)
    request = Request("GET", path, query=(("page", str(number)), ("size", str(max(1, query.size)))))

    def parse(response: Response) -> Page[T]:
        rows, last = wire.page_rows(wire.enveloped(response)[1])
        return page(items=tuple(map(convert, rows)), next=str(number + 1) if rows and number < last else None)

    return ask(request, parse)


def _loose(path: str, query: Query, page: type[Page[T]], convert: Callable[[Any], T]) -> Operation[Page[T]]:
    """One page of a list that is not documented; it may not page at all, so the first one is asked for plainly."""
    number = _page_number(query)
    request = Request("GET", path, query=(("page", str(number)),) if number > 1 else ())

    def parse(response: Response) -> Page[T]:
        rows, last = wire.loose_rows(response)
        return page(items=tuple(map(convert, rows)), next=str(number + 1) if rows and number < last else None)

    return ask(request, parse)


def _page_number(query: Query) -> int:
    cursor = query.cursor or "1"
    if not re.fullmatch(r"[1-9][0-9]{0,8}", cursor):
        raise InvalidRequest("not a cursor of this list", hint="use the `next` of the page before")
    return int(cursor)


def _number(provider_id: str) -> str:
    """The number, if it can stand in a path as it is. Aurpay's have 20 digits; others are left to it."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", provider_id):
        raise InvalidRequest("not a number of an order at Aurpay", hint="such as 20240426103947614609")
    return provider_id


def _unknown_coin(asset: Asset) -> InvalidRequest:
    coins = [code for code in mapping.COINS if code.partition("@")[0] == asset.symbol] or list(mapping.COINS)
    if asset.network is None:
        return InvalidRequest(f"Aurpay needs the network of {asset}", hint="one of " + ", ".join(coins))
    return InvalidRequest(f"Aurpay does not take {asset}", hint="it takes " + ", ".join(coins))


_ORDER_OPTIONS: dict[str, type] = {"fixed_encrypt_price": bool, "succeed_url": str, "timeout_url": str}


def _addresses(order: NewOrder) -> dict[str, Any]:
    """The optional fields of an order: where the payer goes, where callbacks go, and the options."""
    request = order.request
    fields: dict[str, Any] = {
        # One page's prose spells `succend_url`; every client sends this.
        "succeed_url": request.return_url,
        "timeout_url": request.cancel_url,
        "callback_url": order.callback_url,
        "timeout_callback": order.callback_url,
        **_options(order.options(_NAME), _ORDER_OPTIONS),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _options(given: Mapping[str, object], known: Mapping[str, type]) -> Mapping[str, object]:
    for name, value in given.items():
        kind = known.get(name)
        if kind is None:
            hint = "known here: " + ", ".join(known) if known else "this call takes none"
            raise InvalidRequest(f"Aurpay has no option {name[:40]!r}", hint=hint)
        if not isinstance(value, kind):
            raise InvalidRequest(f"the option {name} of Aurpay is a {kind.__name__}")
        if isinstance(value, str) and not re.match(r"https?://\S+$", value):
            raise InvalidRequest(f"the option {name} of Aurpay is an http or https address")
    return given


def _address_body(call: WithdrawCall, withdrawal: NewWithdrawal, to: CryptoAddress) -> dict[str, Any]:
    amount = withdrawal.request.amount
    coin = mapping.COINS.get(amount.asset.code)
    if coin is None or coin[0] == mapping.LIGHTNING:
        raise _unknown_coin(amount.asset)
    if to.memo is not None:
        raise InvalidRequest("Aurpay's payouts have no known field for a memo", hint="use an address that needs none")
    chain, currency = coin
    return {
        call.amount: amount.amount if call.amount_as == "number" else plain(amount.amount),
        call.currency: currency,
        call.chain: chain,
        call.address: to.address,
    }
