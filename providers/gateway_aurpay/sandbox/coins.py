"""Coins, fiat currencies, exchange rates and addresses of the sandbox. Every rate and address here is made up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal, localcontext

from gateway.money import plain

__all__ = ["COINS", "FIAT_IN_USD", "LIGHTNING", "Coin", "address_for", "quote", "text"]

_EXACT = Context(prec=80)


@dataclass(frozen=True, slots=True)
class Coin:
    """A row of the table of coins. `usd` is a fixed, made-up rate; amounts are quoted with `decimals` digits."""

    chain: str
    chain_name: str
    currency: str
    decimals: int
    usd: Decimal
    contract: str = ""  # of a coin that is no token: not documented
    stable: bool = False


# "Coins". `Tron` is documented, the other chains' names are not. Contracts are those that the issuers publish.
_ROWS = (
    Coin("ETH", "Ethereum", "ETH", 8, Decimal(2500)),
    Coin(
        "ETH",
        "Ethereum",
        "USDC-ERC20",
        6,
        Decimal("1.0004"),
        "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
        stable=True,
    ),
    Coin(
        "ETH",
        "Ethereum",
        "USDT-ERC20",
        6,
        Decimal("0.9996"),
        "0xdac17f958d2ee523a2206206994597c13d831ec7",
        stable=True,
    ),
    Coin(
        "ETH",
        "Ethereum",
        "DAI-ERC20",
        6,
        Decimal("0.9998"),
        "0x6b175474e89094c44da98b954eedeac495271d0f",
        stable=True,
    ),
    Coin("TRX", "Tron", "TRX", 6, Decimal("0.125")),
    Coin("TRX", "Tron", "USDT-TRC20", 6, Decimal("0.9996"), "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", stable=True),
    Coin("TRX", "Tron", "USDC-TRC20", 6, Decimal("1.0004"), "TEkxiTehnzSmSe2XqrBj4w32RUN966rdz8", stable=True),
    Coin("BTC", "Bitcoin", "BTC", 8, Decimal(64000)),
    Coin("BLN", "Lightning", "BTC-LN", 8, Decimal(64000)),
    Coin("BNB", "BNB Smart Chain", "BNB", 8, Decimal(600)),
)
COINS: Mapping[str, Coin] = {coin.currency: coin for coin in _ROWS}
LIGHTNING = COINS["BTC-LN"]

# The fiat currencies that the vendor's plugin names, with made-up rates.
FIAT_IN_USD: Mapping[str, Decimal] = {
    code: Decimal(rate)
    for code, rate in (
        pair.split(":")
        for pair in (
            "USD:1 AUD:0.65 BRL:0.18 CAD:0.73 CNY:0.14 EUR:1.1 GBP:1.25 HKD:0.128 IDR:0.00006 INR:0.012 JPY:0.0065 "
            "KRW:0.00073 MXN:0.055 MYR:0.22 NZD:0.6 PKR:0.0036 PLN:0.25 RUB:0.011 SEK:0.095 SGD:0.74 THB:0.028"
        ).split()
    )
}


def quote(price: Decimal, fiat: str, coin: Coin, *, fixed: bool = False) -> Decimal:
    """The coin's amount for a price, rounded up. `fixed` counts a stablecoin as one dollar (`fixed_encrypt_price`)."""
    worth = Decimal(1) if fixed and coin.stable else coin.usd
    with localcontext(_EXACT):
        return (price * FIAT_IN_USD[fiat] / worth).quantize(Decimal(1).scaleb(-coin.decimals), ROUND_UP)


def text(amount: Decimal) -> str:
    """As lists and callbacks write it: a text without padding, as in the sample `"19.0012"`."""
    return plain(amount.normalize(_EXACT))


def address_for(chain: str, purpose: str) -> str:
    """An address in the chain's form that belongs to nobody, the same for the same purpose; Bitcoin's is of testnet."""
    body = hashlib.sha256(f"{chain} {purpose}".encode()).digest()[:20]
    if chain == "BTC":
        return _base58check(b"\x6f" + body)
    if chain == "TRX":
        return _base58check(b"\x41" + body)
    if chain == "BLN":
        return ""  # an invoice has no address
    return "0x" + body.hex()


_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _base58check(data: bytes) -> str:
    """For data that does not start with a zero byte."""
    number = int.from_bytes(data + hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4])
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return digits
