"""Calls whose answers nobody has documented: currencies and wallets.

Paths and field names are settings of the account, because a person with an account must be able to correct them in a
minute: whatever does not fit is a malformed answer that names the setting, and the fields that were found instead.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from gateway.assets import Asset
from gateway.errors import InvalidRequest
from gateway.exchange import Malformed
from gateway.models import Currency, CurrencyKind, Wallet, WalletKind
from gateway.money import Money, exact
from gateway.secrets import Raw
from gateway_aurpay import wire
from gateway_aurpay.mapping import asset_of, chain_asset
from gateway_aurpay.settings import (
    CryptoCurrenciesCall,
    LightningBalanceCall,
    RealCurrenciesCall,
    SelfCustodyCall,
    WalletsCall,
)

__all__ = ["crypto_currency", "custodial_wallet", "lightning_wallet", "real_currency", "self_custody_wallet"]


def real_currency(row: Any, call: RealCurrenciesCall) -> Currency:
    """A fiat code: a bare text, or an object that has it in a field."""
    code = _text(row if isinstance(row, str) else wire.named(row, call.currency, "real_currencies.currency"))
    if not re.fullmatch(r"[A-Za-z]{3}", code):
        raise Malformed("expected codes of fiat currencies, found another text (the setting real_currencies.currency)")
    asset = Asset.incoming(code.upper())
    return Currency(code=code, kind=CurrencyKind.FIAT, asset=asset, raw=_raw(row))


def crypto_currency(row: Any, call: CryptoCurrenciesCall) -> Currency:
    chain = _text(wire.named(row, call.chain, "crypto_currencies.chain"))
    code = _text(wire.named(row, call.currency, "crypto_currencies.currency"))
    asset = _asset(chain, code)
    contract = row.get(call.contract_addr)
    return Currency(
        code=code,
        kind=CurrencyKind.CRYPTO,
        asset=asset,
        network=asset.network,
        contract=contract if isinstance(contract, str) and contract else None,
        raw=_raw(row),
    )


def custodial_wallet(row: Any, call: WalletsCall) -> Wallet:
    """A balance. Whether all of it can be spent is not said, so it is the total."""
    chain = _text(wire.named(row, call.chain, "wallets.chain"))
    asset = _asset(chain, _text(wire.named(row, call.currency, "wallets.currency")))
    balance = _number(wire.named(row, call.balance, "wallets.balance"), "wallets.balance")
    address = row.get(call.address)
    return Wallet(
        kind=WalletKind.CUSTODIAL,
        asset=asset,
        total=Money(balance, asset),
        address=address if isinstance(address, str) and address else None,
        raw=_raw(row),
    )


def self_custody_wallet(row: Any, call: SelfCustodyCall) -> Wallet:
    """An address on a chain; it stands for the chain's own coin."""
    chain = _text(wire.named(row, call.chain, "self_custody.chain"))
    address = _text(wire.named(row, call.address, "self_custody.address"))
    return Wallet(kind=WalletKind.SELF_CUSTODY, asset=chain_asset(chain), address=address, raw=_raw(row))


def lightning_wallet(data: Any, call: LightningBalanceCall) -> Wallet:
    """The balance in BTC."""
    setting = "lightning_balance.balance"
    asset = Asset.of("BTC@lightning")
    balance = _number(wire.named(data, call.balance, setting), setting)
    return Wallet(kind=WalletKind.LIGHTNING, asset=asset, total=Money(balance, asset), raw=_raw(data))


def _asset(chain: str, code: str) -> Asset:
    asset = asset_of(chain, code)
    if asset is None:
        raise Malformed("chain and currency do not name an asset")
    return asset


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed(f"expected a text, found {type(value).__name__}")
    return value


def _number(value: Any, setting: str) -> Decimal:
    try:
        return exact(value)
    except InvalidRequest:
        raise Malformed(f"expected a number in the field of the setting {setting}") from None


def _raw(row: Any) -> Raw:
    return Raw(row if isinstance(row, dict) else {"value": row})
