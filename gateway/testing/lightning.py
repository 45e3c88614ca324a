"""Issuing Lightning invoices (BOLT 11): what a sandbox does when an order is to be paid over Lightning."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from gateway import bech32, lightning
from gateway.errors import InvalidRequest
from gateway.money import Money, plain
from gateway.secp256k1 import HALF_ORDER, ORDER, recovered_key

__all__ = ["encode_invoice"]

_PREFIXES = {network: prefix for prefix, network in lightning.NETWORK_PREFIXES.items()}
_PICO = 12
_TIMESTAMP = 7  # words of five bits


def encode_invoice(
    private_key: ec.EllipticCurvePrivateKey,
    *,
    payment_hash: bytes,
    payment_secret: bytes | None,
    created_at: datetime,
    amount: Money | None = None,
    network: str = "bitcoin",
    description: str | None = None,
    description_hash: bytes | None = None,
    expiry: timedelta | None = None,
    min_final_cltv_expiry: int | None = None,
    features: Iterable[int] = (8, 14),
    name_payee: bool = False,
) -> str:
    """A signed invoice in lower case; the same arguments give the same text.

    The key is a secp256k1 one; hashes and secret are 32 bytes; either `description` or `description_hash` is given;
    `amount` is in BTC@lightning; times count in whole seconds. Features 8 and 14 say that variable onion payloads and
    the payment secret are required (BOLT 9). `name_payee` adds the public key, which readers otherwise recover. Raises
    InvalidRequest.
    """
    if not isinstance(private_key.curve, ec.SECP256K1):
        raise InvalidRequest(f"an invoice is signed on secp256k1, not on {private_key.curve.name}")
    if (description is None) == (description_hash is None):
        raise InvalidRequest("an invoice has either a description or the hash of one")
    if network not in _PREFIXES:
        raise InvalidRequest(f"unknown Lightning network {network!r}", hint="one of " + ", ".join(_PREFIXES))
    if created_at.tzinfo is None:
        raise InvalidRequest("created_at needs a time zone")
    key = private_key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    words = _words(int(created_at.timestamp())).rjust(_TIMESTAMP, b"\0")
    if len(words) > _TIMESTAMP:
        raise InvalidRequest("an invoice is created before the year 3058")
    if payment_secret is not None:
        words += _field(lightning.PAYMENT_SECRET, _of_32_bytes("payment_secret", payment_secret))
    words += _field(lightning.PAYMENT_HASH, _of_32_bytes("payment_hash", payment_hash))
    if description is not None:
        words += _field(lightning.DESCRIPTION, bech32.to_words(description.encode("utf-8")))
    if description_hash is not None:
        words += _field(lightning.DESCRIPTION_HASH, _of_32_bytes("description_hash", description_hash))
    if expiry is not None:
        words += _field(lightning.EXPIRY, _words(expiry // timedelta(seconds=1)))
    if min_final_cltv_expiry is not None:
        words += _field(lightning.MIN_FINAL_CLTV, _words(min_final_cltv_expiry))
    if name_payee:
        words += _field(lightning.PAYEE, bech32.to_words(key))
    bits = sum(1 << bit for bit in set(features))
    if bits:
        words += _field(lightning.FEATURES, _words(bits))
    prefix = f"ln{_PREFIXES[network]}{_amount(amount)}"
    signature = _signature(private_key, key, prefix.encode("ascii") + bech32.to_padded_bytes(words))
    return bech32.encode(prefix, words + bech32.to_words(signature), bech32.Encoding.BECH32)


def _amount(amount: Money | None) -> str:
    """The amount in the largest unit that counts it in whole numbers."""
    if amount is None:
        return ""
    if amount.asset.code != "BTC@lightning":
        raise InvalidRequest(f"a Lightning invoice asks for BTC@lightning, not for {amount.asset}")
    if amount.amount <= 0:
        raise InvalidRequest("an invoice asks for more than nothing")
    whole, _, fraction = plain(amount.outgoing().amount).partition(".")
    pico = int(whole + fraction.rstrip("0").ljust(_PICO, "0"))
    for letter, decimals in lightning.MULTIPLIERS.items():
        count, rest = divmod(pico, 10 ** (_PICO - decimals))
        if not rest:
            return f"{count}{letter}"
    return f"{pico}p"


def _of_32_bytes(name: str, data: bytes) -> bytes:
    if len(data) != 32:
        raise InvalidRequest(f"{name} is 32 bytes, not {len(data)}")
    return bech32.to_words(data)


def _words(number: int) -> bytes:
    if number < 0:
        raise InvalidRequest("an invoice has no negative numbers")
    words = bytearray()
    while number:
        words.append(number & 31)
        number >>= 5
    return bytes(reversed(words))


def _field(kind: int, words: bytes) -> bytes:
    if len(words) > 1023:
        raise InvalidRequest("a field of an invoice holds at most 639 bytes", hint="use description_hash")
    return bytes([kind, len(words) >> 5, len(words) & 31]) + words


def _signature(private_key: ec.EllipticCurvePrivateKey, key: bytes, signed: bytes) -> bytes:
    """r, s in its lower form, and the recovery id that leads back to the key: 65 bytes. Deterministic (RFC 6979)."""
    digest = hashlib.sha256(signed).digest()
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
    r, s = decode_dss_signature(private_key.sign(digest, algorithm))
    if s > HALF_ORDER:
        s = ORDER - s
    recovery_id = next(number for number in range(4) if recovered_key(digest, r, s, number) == key)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([recovery_id])
