"""Aurpay's words in the gateway's: tables first, then conversions.

A conversion runs while the answer is parsed. What it raises (Malformed) says that the answer is not as documented or
not what was asked for, so that an order that may exist is never reported as refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from gateway.addresses import check_address
from gateway.assets import Asset
from gateway.contracts import shaped
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from gateway.exchange import Failure, Malformed, Response
from gateway.lightning import Bolt11, decode_invoice
from gateway.models import (
    Environment,
    Fee,
    OrderException,
    OrderStatus,
    PaymentInstructions,
    ProviderOrder,
    ProviderRefund,
    RefundStatus,
    Transaction,
)
from gateway.money import Money
from gateway.secrets import Raw
from gateway.uris import payment_uri
from gateway_aurpay import wire

__all__ = [
    "COINS",
    "LIGHTNING",
    "STABLECOINS",
    "Site",
    "asset_of",
    "chain_asset",
    "coin_order",
    "failure",
    "hosted_order",
    "lightning_order",
    "order",
    "refund_accepted",
    "refund_read",
    "transaction",
]

# docs.aurpay.net, order statuses (D); TERMINATED is read as cancelled (I). Several clients see SUCCEED for SUCCESS,
# some in lower case (C): compared in upper case.
_ORDER_STATUSES: dict[str, tuple[OrderStatus, frozenset[OrderException]]] = {
    "PENDING": (OrderStatus.PENDING, frozenset()),
    "SUCCESS": (OrderStatus.PAID, frozenset()),
    "SUCCEED": (OrderStatus.PAID, frozenset()),
    "OVERDUE": (OrderStatus.EXPIRED, frozenset()),
    "RESOLVED": (OrderStatus.PAID, frozenset({OrderException.MARKED})),
    "PARTIAL": (OrderStatus.UNDERPAID, frozenset({OrderException.PARTIAL})),
    "TERMINATED": (OrderStatus.CANCELLED, frozenset()),
    "REFUNDED": (OrderStatus.REFUNDED, frozenset()),
}

# The vendor's plugins (P); BNB from a client (C).
COINS: dict[str, tuple[str, str]] = {
    "BTC@bitcoin": ("BTC", "BTC"),
    "BTC@lightning": ("BLN", "BTC-LN"),
    "ETH@ethereum": ("ETH", "ETH"),
    "USDC@ethereum": ("ETH", "USDC-ERC20"),
    "USDT@ethereum": ("ETH", "USDT-ERC20"),
    "DAI@ethereum": ("ETH", "DAI-ERC20"),
    "TRX@tron": ("TRX", "TRX"),
    "USDT@tron": ("TRX", "USDT-TRC20"),
    "USDC@tron": ("TRX", "USDC-TRC20"),
    "BNB@bsc": ("BNB", "BNB"),
}
_ASSETS = {coin: code for code, coin in COINS.items()}
_ASSETS_BY_CURRENCY = {currency: code for code, (_, currency) in COINS.items()}
# For coins that are not in the table: the network of a known chain, and the suffix that repeats it in the currency.
_CHAINS: dict[str, tuple[str, str, str]] = {
    "BTC": ("BTC", "bitcoin", ""),
    "BLN": ("BTC", "lightning", "-LN"),
    "ETH": ("ETH", "ethereum", "-ERC20"),
    "TRX": ("TRX", "tron", "-TRC20"),
    "BNB": ("BNB", "bsc", ""),
}
LIGHTNING = "BLN"
STABLECOINS = frozenset({"USDT", "USDC", "DAI"})

# A code in the envelope whatever the HTTP status; no table is published, 401 was seen in an HTTP 200 (P).
_CODES: dict[int, type[GatewayError]] = {401: AuthenticationFailed}
# Otherwise the HTTP status says which kind; without a telling one nobody knows what the code means.
_STATUSES: dict[int, type[GatewayError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}

# Product guide (D).
_LIFE = timedelta(minutes=30)


def failure(response: Response) -> Failure | None:
    """The provider's own error, in a 2xx or 4xx answer.

    Not for server errors, whether the HTTP status or the envelope's code says so: these leave open what was done.
    """
    if not (response.is_success or 400 <= response.status < 500):
        return None
    try:
        body = response.json()
    except Malformed:
        return None
    code = wire.code_of(body) if isinstance(body, dict) else None
    if (
        code is None
        or 500 <= code < 600
        or (code == 0 and (not response.is_success or body.get("result") is not False))
    ):
        return None
    kind = _CODES.get(code) or _STATUSES.get(response.status)
    return Failure(kind or InvalidRequest, wire.message_of(body), str(code), recognised=kind is not None)


@dataclass(frozen=True, slots=True)
class Site:
    """What of the account's settings conversions need."""

    base_url: str
    environment: Environment
    zone: tzinfo

    def hosted_page(self, order: str) -> str:
        """docs.aurpay.net: the cashier (D)."""
        return f"{self.base_url}/#/cashier/{order}"

    def moment(self, value: Any, name: str, warnings: list[str]) -> datetime | None:
        """A time of the provider, which carries no zone. One that cannot be read is a warning."""
        if value in (None, ""):
            return None
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            warnings.append(f"Aurpay's {name} is not a time as documented; it is in raw")
            return None


def asset_of(chain: str | None, currency: str | None) -> Asset | None:
    """The asset that chain and currency name, known or not; None where they name none."""
    if not currency:
        return None
    coin = currency.upper()
    if not chain:
        return _incoming(_ASSETS_BY_CURRENCY.get(coin, currency))
    code = _ASSETS.get((chain.upper(), coin))
    if code is None:
        _, network, suffix = _CHAINS.get(chain.upper(), ("", chain, ""))
        symbol = currency[: -len(suffix)] if suffix and coin.endswith(suffix) else currency
        code = f"{symbol}@{_network(network)}"
    return _incoming(code)


def chain_asset(chain: str) -> Asset:
    """The coin of a chain itself."""
    symbol, network, _ = _CHAINS.get(chain.upper(), (chain, chain, ""))
    return _incoming(f"{symbol}@{_network(network)}")


def _network(chain: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", chain.lower()).strip("-")


def _incoming(code: str) -> Asset:
    try:
        return Asset.incoming(code)
    except ValueError:
        raise Malformed("chain and currency do not name an asset") from None


def _status(
    word: str | None, warnings: list[str], *, default: str | None = None
) -> tuple[OrderStatus, frozenset[OrderException]]:
    known = _ORDER_STATUSES.get((word or default or "").strip().upper())
    if known is None:
        warnings.append(f"Aurpay's order status {(word or '')[:40]!r} is not known; it is read again")
        return OrderStatus.UNRECOGNISED, frozenset()
    return known


def _agree(what: str, asked: object, answered: object) -> None:
    if answered is not None and answered != asked:
        raise Malformed(f"the answer's {what} is not the one that was asked for")


def _priced(price: Money, amount: Decimal | None, currency: str | None) -> Money | None:
    """The answer's price, where it has one; it must be what was asked."""
    _agree("vs_currency", price.asset.code, currency.upper() if currency else None)
    _agree("vs_price", price.amount, amount)
    return None if amount is None else price


def _money(amount: Decimal | None, asset: Asset | None) -> Money | None:
    return None if amount is None or asset is None else Money(amount, asset)


def _hashes(one: str | None, several: Iterable[str | None] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in (one, *(several or ())) if text))


def hosted_order(raw: Raw, data: Any, *, called_back: bool) -> ProviderOrder:
    """An order whose coin the payer chooses on the hosted page (call 1)."""
    answer = shaped(wire.PaymentUrl, data)
    warnings: list[str] = []
    status, exceptions = _status(answer.status, warnings, default="PENDING")
    if answer.order_id is None:
        warnings.append(
            "Aurpay makes this order when the payer has chosen a coin; its number is learned from the callback then"
            if called_back
            else "Aurpay makes this order when the payer has chosen a coin; without callbacks its number is not learned"
        )
    return ProviderOrder(
        provider_id=answer.order_id,
        status=status,
        provider_status=answer.status,
        exceptions=exceptions,
        pay=PaymentInstructions(checkout_url=answer.pay_url),
        warnings=tuple(warnings),
        raw=raw,
    )


def coin_order(raw: Raw, data: Any, site: Site, price: Money, asset: Asset) -> ProviderOrder:
    """An order for one coin (call 2), compared with what was asked."""
    answer = shaped(wire.CoinOrder, data)
    warnings: list[str] = []
    status, exceptions = _status(answer.status, warnings, default="PENDING")
    chain, currency = COINS[asset.code]
    _agree("chain", chain, answer.chain.upper() if answer.chain else None)
    _agree("currency", currency, answer.currency.upper() if answer.currency else None)
    try:
        check_address(answer.address, asset, environment=site.environment.value)
    except InvalidRequest:
        warnings.append(f"Aurpay's address does not look like one on {asset.network}: compare it before showing it")
    contract = (asset.caip19 or "").rpartition("/")[2].partition(":")[2]
    if answer.contract_addr and "-" in currency and answer.contract_addr.lower() != contract.lower():
        warnings.append(f"Aurpay names another token contract than the known one of {asset}")
    created_at = site.moment(answer.create_time, "create_time", warnings)
    return ProviderOrder(
        provider_id=answer.order_id,
        status=status,
        provider_status=answer.status,
        exceptions=exceptions,
        price=_priced(price, answer.vs_price, answer.vs_currency),
        pay_with=asset,
        pay=PaymentInstructions(
            address=answer.address,
            amount=Money(answer.amount, asset),
            uri=payment_uri(asset, answer.address, answer.amount),
            checkout_url=answer.pay_url or site.hosted_page(answer.order_id),
        ),
        created_at=created_at,
        expires_at=None if created_at is None else created_at + _LIFE,
        warnings=tuple(warnings),
        raw=raw,
    )


def lightning_order(raw: Raw, data: Any, site: Site, price: Money, asset: Asset) -> ProviderOrder:
    """A Lightning order (call 14), its invoice compared with the answer and with the account's network."""
    answer = shaped(wire.LightningOrder, data)
    warnings: list[str] = []
    status, exceptions = _status(answer.status, warnings, default="PENDING")
    invoice = _invoice(answer.payment_request, answer.amount, site.environment)
    return ProviderOrder(
        provider_id=answer.order_id,
        status=status,
        provider_status=answer.status,
        exceptions=exceptions,
        price=_priced(price, answer.vs_price, answer.vs_currency),
        pay_with=asset,
        pay=PaymentInstructions(
            amount=Money(answer.amount, asset),
            uri=payment_uri(asset, None, answer.amount, lightning_invoice=invoice.text),
            checkout_url=answer.pay_url or site.hosted_page(answer.order_id),
            lightning_invoice=answer.payment_request,
        ),
        created_at=site.moment(answer.create_time, "create_time", warnings),
        expires_at=invoice.expires_at,
        warnings=tuple(warnings),
        raw=raw,
    )


def _invoice(text: str, amount: Decimal, environment: Environment) -> Bolt11:
    try:
        invoice = decode_invoice(text)
    except InvalidRequest as error:
        raise Malformed(f"payment_request: {error.message}") from None
    if invoice.amount is None:
        raise Malformed("the invoice in payment_request carries no amount")
    if invoice.amount.amount != amount:
        raise Malformed("the invoice in payment_request asks for another amount than the answer says")
    if (invoice.network == "bitcoin") is not (environment is Environment.LIVE):
        raise Malformed(f"the invoice in payment_request is a {invoice.network} one, the account is {environment}")
    return invoice


def order(raw: Any, site: Site, *, number: str | None = None) -> ProviderOrder:
    """An order of the list or the details. `number` is the one that was asked for.

    What arrived is not told: `fee` is the provider's part, and whether `obtained` is before or after it is not
    documented, so it stays in `raw`.
    """
    entry = shaped(wire.Entry, raw)
    if number is not None:
        _agree("order_id", number, entry.order_id)
    warnings: list[str] = []
    status, exceptions = _status(entry.status, warnings)
    asset = asset_of(entry.chain, entry.currency)
    price = _incoming(entry.vs_currency.upper()) if entry.vs_currency else None
    amount, fee = _money(entry.amount, asset), _money(entry.fee, asset)
    on_lightning = asset is not None and asset.network == "lightning"
    address = None if on_lightning else entry.to_addr
    payable = status is OrderStatus.PENDING and asset is not None and amount is not None
    created_at = site.moment(entry.create_time, "create_time", warnings)
    # The 30 minutes are those of orders for a coin; nothing is said of invoices, and a Lightning invoice has its own.
    lives_30_minutes = not on_lightning and (entry.order_type or "ORDER").upper() == "ORDER"
    return ProviderOrder(
        provider_id=entry.order_id,
        status=status,
        provider_status=entry.status,
        exceptions=exceptions,
        price=_money(entry.vs_price, price),
        pay_with=asset,
        pay=PaymentInstructions(
            address=address,
            amount=amount,
            uri=payment_uri(asset, address, amount.amount) if payable and asset and amount else None,
            checkout_url=entry.pay_url or site.hosted_page(entry.order_id),
        ),
        fees=() if fee is None else (Fee(name="fee", amount=fee),),
        refundable=entry.refund,
        transactions=_hashes(entry.tx_hash, entry.tx_hash_list),
        movements=() if entry.tx_id is None else (entry.tx_id,),
        created_at=created_at,
        updated_at=site.moment(entry.update_time, "update_time", warnings),
        expires_at=created_at + _LIFE if created_at is not None and lives_30_minutes else None,
        warnings=tuple(warnings),
        raw=Raw(raw),
    )


def refund_accepted(raw: Raw, answer: wire.RefundAnswer, site: Site, number: str) -> ProviderRefund:
    """The answer to a refund (call 6). It proves nothing yet: the documentation calls it both a POST and a reading."""
    _agree("order_id", number, answer.order_id)
    warnings = ["Aurpay's answer does not prove a refund: it is confirmed when the order is read as REFUNDED"]
    return ProviderRefund(
        provider_id=answer.order_id,
        status=RefundStatus.UNCONFIRMED,
        provider_status=answer.refund_status,
        created_at=site.moment(answer.refund_date, "refund_date", warnings),
        warnings=tuple(warnings),
        raw=raw,
    )


def refund_read(raw: Raw, data: Any, number: str) -> ProviderRefund:
    """The refund info (call 5), as pending: only the order's own status says that it is done."""
    info = shaped(wire.RefundInfo, data)
    _agree("order_id", number, info.order_id)
    return ProviderRefund(
        provider_id=info.order_id,
        status=RefundStatus.PENDING,
        amount=_money(info.amount, asset_of(info.chain, info.currency)),
        raw=raw,
    )


def transaction(raw: Any, site: Site) -> Transaction:
    entry = shaped(wire.TransactionEntry, raw)
    warnings: list[str] = []
    asset = asset_of(entry.chain, entry.currency)
    fee = _money(entry.fee, asset)
    return Transaction(
        provider_id=entry.tx_id,
        kind=entry.tx_type,
        status=entry.status,
        amount=_money(entry.amount, asset),
        obtained=_money(entry.obtained, asset),
        fees=() if fee is None else (Fee(name="fee", amount=fee),),
        order_id=entry.order_id,
        hashes=_hashes(entry.tx_hash, entry.tx_hash_list),
        created_at=site.moment(entry.create_time, "create_time", warnings),
        warnings=tuple(warnings),
        raw=Raw(raw),
    )
