"""Checking that an address belongs to the network that money is about to be sent on.

Money sent to an address of another network is lost, so a wrong address is refused with what it seems to be. A network
without a checker here is not guessed at: its addresses are "unchecked". Nothing is looked up, and whether anybody holds
the key is not known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway import bech32
from gateway.assets import Asset
from gateway.errors import InvalidRequest
from gateway.keccak import keccak256

__all__ = ["AddressCheck", "Flavour", "Verdict", "check_address"]


class Verdict(StrEnum):
    """Whether an address was checked and found sound, or is of a network that cannot be checked here."""

    VALID = "valid"
    UNCHECKED = "unchecked"


class Flavour(StrEnum):
    """Mainnet, or any of a network's test networks."""

    MAINNET = "mainnet"
    TESTNET = "testnet"


@dataclass(frozen=True, slots=True)
class AddressCheck:
    """`flavour` is None where mainnet and testnet addresses look the same (EVM, Tron, Solana), and when unchecked."""

    verdict: Verdict
    network: str | None
    flavour: Flavour | None = None


def check_address(address: str, asset_or_network: Asset | str, *, environment: str) -> AddressCheck:
    """Check an address for an asset (`USDT@tron`) or a network (`tron`).

    Raises InvalidRequest for an address that is not one of this network, and for a testnet address unless the
    environment is `sandbox`. A bare symbol and a network without a checker give `unchecked`.
    """
    if not address.strip():
        raise InvalidRequest("the address is missing")
    network = _network(asset_or_network)
    if network not in _CHECKERS:
        return AddressCheck(Verdict.UNCHECKED, network)
    name, check = _CHECKERS[network]
    try:
        flavour = check(address)
    except InvalidRequest as error:
        # The text is not repeated: what was pasted here by mistake may be a private key.
        raise InvalidRequest(f"not a {name} address: {error.message}", hint=_seems(address)) from None
    if flavour is Flavour.TESTNET and environment != "sandbox":
        raise InvalidRequest(
            f"this is a {name} testnet address, and the account is live",
            hint="use a mainnet address, or an account whose environment is sandbox",
        )
    return AddressCheck(Verdict.VALID, network, flavour)


def _network(asset_or_network: Asset | str) -> str | None:
    if isinstance(asset_or_network, Asset):
        return asset_or_network.network
    _, at, network = asset_or_network.rpartition("@")
    return network if at or network in _CHECKERS else None


def _seems(address: str) -> str:
    if _INVOICE.match(address):
        return "this looks like a Lightning invoice"
    for name, check in _CHECKERS.values():
        try:
            check(address)
        except InvalidRequest:
            continue
        return f"this looks like {'an' if name[0] in 'AEIOU' else 'a'} {name} address"
    return "compare it, character by character, with where it comes from"


_INVOICE = re.compile(r"(lightning:)?ln(bc|tb)", re.IGNORECASE)

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES = {character: value for value, character in enumerate(_BASE58)}
_LONGEST_BASE58 = 64  # well above every address; a bound on what a hostile text can cost


def _base58(text: str) -> bytes:
    if len(text) > _LONGEST_BASE58:
        raise InvalidRequest("it is too long")
    number = 0
    for character in text:
        if character not in _BASE58_VALUES:
            raise InvalidRequest(f"it contains {character!r}")
        number = number * 58 + _BASE58_VALUES[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base58check(text: str) -> tuple[int, bytes]:
    """The version byte and the 20-byte hash."""
    data = _base58(text)
    if len(data) != 25:
        raise InvalidRequest("its length is wrong")
    payload, checksum = data[:-4], data[-4:]
    if hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] != checksum:
        raise InvalidRequest("the checksum does not match, so a character is wrong")
    return payload[0], payload[1:]


_SEGWIT_PREFIXES = {
    "bc": Flavour.MAINNET,
    "tb": Flavour.TESTNET,
    "bcrt": Flavour.TESTNET,
}  # BIP 173; signet uses tb too
# P2PKH and P2SH; regtest and signet share testnet's.
_BITCOIN_VERSIONS = {0x00: Flavour.MAINNET, 0x05: Flavour.MAINNET, 0x6F: Flavour.TESTNET, 0xC4: Flavour.TESTNET}


def _bitcoin(address: str) -> Flavour:
    if address.lower().startswith(tuple(prefix + "1" for prefix in _SEGWIT_PREFIXES)):
        return _segwit(address)
    version, _ = _base58check(address)
    if version not in _BITCOIN_VERSIONS:
        raise InvalidRequest("its version byte is another network's")
    return _BITCOIN_VERSIONS[version]


def _segwit(address: str) -> Flavour:
    """BIP 173 and BIP 350. Versions that no rule defines yet are valid recipients, as BIP 350 asks."""
    prefix, words, encoding = bech32.decode(address)
    if prefix not in _SEGWIT_PREFIXES:
        raise InvalidRequest(f"the prefix {prefix[:20]!r} is unknown")
    if not words:
        raise InvalidRequest("it contains no data")
    version, program = words[0], bech32.to_bytes(words[1:])
    if version > 16:
        raise InvalidRequest(f"there is no witness version {version}")
    if not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise InvalidRequest("its length is wrong")
    if encoding is not (bech32.Encoding.BECH32M if version else bech32.Encoding.BECH32):
        raise InvalidRequest("its checksum is of the other kind than its version asks for")
    return _SEGWIT_PREFIXES[prefix]


_EVM = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


def _evm(address: str) -> None:
    """EIP-55: mixed case carries a checksum, all lower and all upper case carry none."""
    if not _EVM.fullmatch(address):
        raise InvalidRequest("it is not 0x and 40 hexadecimal digits")
    digits = address[2:]
    if digits in (digits.lower(), digits.upper()):
        return
    digest = keccak256(digits.lower().encode("ascii")).hex()
    for digit, nibble in zip(digits, digest, strict=False):
        if digit.isalpha() and digit.isupper() != (nibble >= "8"):
            raise InvalidRequest("the checksum in its upper and lower case does not match, so a character is wrong")


def _tron(address: str) -> None:
    version, _ = _base58check(address)
    if version != 0x41:
        raise InvalidRequest("its version byte is another network's")


def _solana(address: str) -> None:
    if len(_base58(address)) != 32:
        raise InvalidRequest("its length is wrong")


_CHECKERS: dict[str, tuple[str, Callable[[str], Flavour | None]]] = {
    "bitcoin": ("Bitcoin", _bitcoin),
    "ethereum": ("Ethereum", _evm),
    "bsc": ("BNB Smart Chain", _evm),
    "tron": ("Tron", _tron),
    "solana": ("Solana", _solana),
}
