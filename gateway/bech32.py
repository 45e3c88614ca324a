"""Bech32 (BIP 173) and Bech32m (BIP 350): the checksummed text of Bitcoin addresses and Lightning invoices.

A text is a human-readable part, the separator `1`, and words of five bits each, the last six being the checksum.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from gateway.errors import InvalidRequest

__all__ = ["Encoding", "decode", "encode", "to_bytes", "to_padded_bytes", "to_words"]

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6


class Encoding(Enum):
    """Which of the two checksums; the value is the constant that the checksum ends in."""

    BECH32 = 1
    BECH32M = 0x2BC830A3


def decode(text: str, *, max_length: int = 90) -> tuple[str, bytes, Encoding]:
    """The human-readable part in lower case, the five-bit words without the checksum, and which checksum it was.

    Raises InvalidRequest saying what is wrong: length, mixed case, a character, the separator, the checksum.
    """
    if len(text) > max_length:
        raise InvalidRequest(f"it is longer than {max_length} characters")
    for character in text:
        if not "!" <= character <= "~":
            raise InvalidRequest(f"it contains {character!r}")
    lower = text.lower()
    if text not in (lower, text.upper()):
        raise InvalidRequest("it mixes upper and lower case")
    prefix, separator, data = lower.rpartition("1")
    if not separator:
        raise InvalidRequest("the separator '1' is missing")
    if not prefix:
        raise InvalidRequest("there is nothing before the separator '1'")
    for character in data:
        if character not in _VALUES:
            raise InvalidRequest(f"it contains {character!r} after the separator '1'")
    if len(data) < _CHECKSUM:
        raise InvalidRequest("it is too short")
    words = bytes(_VALUES[character] for character in data)
    try:
        encoding = Encoding(_polymod(_expanded(prefix) + words))
    except ValueError:
        raise InvalidRequest("the checksum does not match, so a character is wrong or missing") from None
    return prefix, words[:-_CHECKSUM], encoding


def encode(prefix: str, words: bytes, encoding: Encoding) -> str:
    """The text for a human-readable part in lower case and five-bit words."""
    total = _polymod(_expanded(prefix) + words + bytes(_CHECKSUM)) ^ encoding.value
    checksum = bytes(total >> 5 * (_CHECKSUM - 1 - place) & 31 for place in range(_CHECKSUM))
    return prefix + "1" + "".join(_ALPHABET[word] for word in words + checksum)


def to_words(data: bytes) -> bytes:
    """Bytes as five-bit words, the last filled up with zero bits."""
    words, rest, bits = _regrouped(data, 8, 5)
    return words + bytes([rest << 5 - bits]) if bits else words


def to_bytes(words: bytes) -> bytes:
    """Five-bit words as bytes. Raises InvalidRequest when what is left over is more than four bits, or not zero."""
    data, rest, bits = _regrouped(words, 5, 8)
    if bits > 4 or rest:
        raise InvalidRequest("its data does not end where a byte ends")
    return data


def to_padded_bytes(words: bytes) -> bytes:
    """Five-bit words as bytes, the last filled up with zero bits: what BOLT 11 signs."""
    data, rest, bits = _regrouped(words, 5, 8)
    return data + bytes([rest << 8 - bits]) if bits else data


def _regrouped(values: Iterable[int], width: int, new_width: int) -> tuple[bytes, int, int]:
    """The same bits in groups of another width, and the bits left over: their value and how many they are."""
    groups = bytearray()
    rest = bits = 0
    for value in values:
        rest = rest << width | value
        bits += width
        while bits >= new_width:
            bits -= new_width
            groups.append(rest >> bits)
            rest &= (1 << bits) - 1
    return bytes(groups), rest, bits


def _expanded(prefix: str) -> bytes:
    codes = prefix.encode("ascii")
    return bytes(code >> 5 for code in codes) + b"\0" + bytes(code & 31 for code in codes)


def _polymod(values: bytes) -> int:
    total = 1
    for value in values:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for place, term in enumerate(_GENERATOR):
            if top >> place & 1:
                total ^= term
    return total
