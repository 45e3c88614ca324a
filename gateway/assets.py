"""Assets: what an amount is counted in.

An asset's code is `SYMBOL@network` for a coin on one network (`USDT@tron`, `BTC@lightning`), an ISO 4217 code for
fiat (`USD`), and a bare symbol (`USDT`) for a coin whose network is not specified, as some providers name it. A
bare symbol is an asset of its own: it never equals the same coin on a network, because a coin sent over the wrong
network is lost.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gateway.errors import InvalidRequest, PluginError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["Asset", "AssetKind", "known_assets", "register_asset"]


class AssetKind(StrEnum):
    """Whether an asset is a currency or a coin."""

    FIAT = "fiat"
    CRYPTO = "crypto"


_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+$-]{0,31}(@[a-z0-9][a-z0-9-]{0,31})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset. Two are equal when their codes are.

    `decimals` is None where nobody has said how many the asset has; then none are refused. `caip19` is None where
    CAIP-19 has no namespace for it (fiat, Lightning) or where the network is not specified.
    """

    symbol: str
    network: str | None = None
    kind: AssetKind = field(default=AssetKind.CRYPTO, compare=False)
    decimals: int | None = field(default=None, compare=False)
    caip19: str | None = field(default=None, compare=False)
    name: str | None = field(default=None, compare=False)

    @property
    def code(self) -> str:
        """`SYMBOL`, or `SYMBOL@network` where the network is specified."""
        return f"{self.symbol}@{self.network}" if self.network else self.symbol

    @property
    def is_fiat(self) -> bool:
        """Whether it is a currency and not a coin."""
        return self.kind is AssetKind.FIAT

    def satisfies(self, asked: Asset) -> bool:
        """Whether this is what was asked for: the same, or on any network where none was named."""
        return self == asked or (asked.network is None and self.symbol == asked.symbol)

    @classmethod
    def of(cls, code: str | Asset) -> Asset:
        """The known asset with this code; raises InvalidRequest, with the nearest known code, for an unknown one."""
        if isinstance(code, Asset):
            return code
        if not isinstance(code, str):
            raise InvalidRequest(f"an asset is named by a text such as 'USDT@tron', not by {type(code).__name__}")
        found = _registry.get(code)
        if found is not None:
            return found
        near = difflib.get_close_matches(code, _registry, n=3, cutoff=0.6)
        hint = "did you mean " + " or ".join(near) + "?" if near else "a plugin can register further assets"
        raise InvalidRequest(f"unknown asset {code[:70]!r}", hint=hint)

    @classmethod
    def incoming(cls, code: str) -> Asset:
        """The asset that a provider named: known or not, it is kept. Raises ValueError only for what is no code at
        all.
        """
        found = _registry.get(code)
        if found is not None:
            return found
        if not _CODE.fullmatch(code):
            raise ValueError("not an asset code: expected SYMBOL or SYMBOL@network")  # the text may be a secret's
        symbol, _, network = code.partition("@")
        return cls(symbol, network or None)

    def __str__(self) -> str:
        return self.code

    def __repr__(self) -> str:
        return f"Asset({self.code!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema  # here, because it takes longer to import than everything else

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Asset) else cls.incoming(_text(value)),
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
            json_schema_input_schema=core_schema.str_schema(),
        )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("an asset is named by a text such as 'USDT@tron'")
    return value


def register_asset(*assets: Asset) -> None:
    """Make assets known to `Asset.of`, all of them or none. The same asset twice is fine; the same code with other
    facts is refused.
    """
    new: dict[str, Asset] = {}
    for asset in assets:
        if not isinstance(asset, Asset):
            raise PluginError(f"registered {type(asset).__name__}, not an Asset")
        if not _CODE.fullmatch(asset.code):
            raise PluginError(
                f"not an asset code: {asset.code[:70]!r}", hint="use SYMBOL@network, the network in lower case"
            )
        known = _registry.get(asset.code) or new.get(asset.code)
        if known is None:
            new[asset.code] = asset
        elif (known.kind, known.decimals, known.caip19) != (asset.kind, asset.decimals, asset.caip19):
            raise PluginError(f"the asset {asset.code} is already registered with other facts")
    _registry.update(new)


def known_assets() -> Iterator[Asset]:
    """Every registered asset, in the order of registration."""
    return iter(tuple(_registry.values()))


_registry: dict[str, Asset] = {}

# ISO 4217, list one of the maintenance agency (active national currencies), by number of minor-unit digits.
_FIAT_DIGITS: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR "
    "MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG "
    "SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES "
    "WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
for _digits, _codes in _FIAT_DIGITS.items():
    for _code in _codes.split():
        register_asset(Asset(_code, None, AssetKind.FIAT, _digits))

# CAIP-2 chain ids; token contracts are those that the issuers publish for their own coins.
_BITCOIN = "bip122:000000000019d6689c085ae165831e93"
_ETHEREUM = "eip155:1"
_BSC = "eip155:56"
_TRON = "tron:0x2b6653dc"
_SOLANA = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
for _asset in (
    Asset("BTC", "bitcoin", decimals=8, caip19=f"{_BITCOIN}/slip44:0", name="Bitcoin"),
    # BOLT 11 counts in thousandths of a satoshi, so an invoice can have eleven decimals of a bitcoin.
    Asset("BTC", "lightning", decimals=11, name="Bitcoin on Lightning"),
    Asset("ETH", "ethereum", decimals=18, caip19=f"{_ETHEREUM}/slip44:60", name="Ether"),
    Asset("USDC", "ethereum", decimals=6, caip19=f"{_ETHEREUM}/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
    Asset("USDT", "ethereum", decimals=6, caip19=f"{_ETHEREUM}/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"),
    Asset("DAI", "ethereum", decimals=18, caip19=f"{_ETHEREUM}/erc20:0x6b175474e89094c44da98b954eedeac495271d0f"),
    Asset("TRX", "tron", decimals=6, caip19=f"{_TRON}/slip44:195", name="TRON"),
    Asset("USDT", "tron", decimals=6, caip19=f"{_TRON}/trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
    Asset("USDC", "tron", decimals=6, caip19=f"{_TRON}/trc20:TEkxiTehnzSmSe2XqrBj4w32RUN966rdz8"),
    Asset("BNB", "bsc", decimals=18, caip19=f"{_BSC}/slip44:714", name="BNB"),
    Asset("SOL", "solana", decimals=9, caip19=f"{_SOLANA}/slip44:501", name="Solana"),
    Asset("USDC", "solana", decimals=6, caip19=f"{_SOLANA}/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
    Asset("USDT", "solana", decimals=6, caip19=f"{_SOLANA}/token:Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"),
    # Network not specified. As many decimals as the most precise of the coin's networks above, so that none is cut off.
    Asset("BTC", decimals=11),
    Asset("ETH", decimals=18),
    Asset("USDC", decimals=6),
    Asset("USDT", decimals=6),
    Asset("DAI", decimals=18),
    Asset("TRX", decimals=6),
    Asset("BNB", decimals=18),
    Asset("SOL", decimals=9),
):
    register_asset(_asset)
