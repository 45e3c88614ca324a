"""Lightning invoices (BOLT 11): reading one, with its checksum and its payee's signature checked.

What is read is what a merchant compares and shows. Route hints, fallback addresses and metadata are left to the paying
node, and so is the judgement whether it can pay: an unknown feature bit, a missing payment secret or a missing
description refuses nothing here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from gateway import bech32
from gateway.errors import InvalidRequest
from gateway.money import Money
from gateway.secp256k1 import HALF_ORDER, recovered_key

__all__ = ["Bolt11", "check_invoice", "decode_invoice"]

NETWORK_PREFIXES = {"bc": "bitcoin", "tb": "testnet", "tbs": "signet", "bcrt": "regtest"}
# How many decimals of a bitcoin a unit has. `p` counts tenths of a millisatoshi and is treated by itself.
MULTIPLIERS = {"": 0, "m": 3, "u": 6, "n": 9}
DEFAULT_EXPIRY = timedelta(seconds=3600)
DEFAULT_MIN_FINAL_CLTV_EXPIRY = 18
# Tagged fields, by the value of their letter.
PAYMENT_HASH, FEATURES, EXPIRY, DESCRIPTION, PAYMENT_SECRET, PAYEE, DESCRIPTION_HASH, MIN_FINAL_CLTV = (
    1,
    5,
    6,
    13,
    16,
    19,
    23,
    24,
)
# Words of five bits. A field of another length than its fixed one is skipped, as the specification's own example does.
_FIXED_LENGTHS = {PAYMENT_HASH: 52, PAYMENT_SECRET: 52, DESCRIPTION_HASH: 52, PAYEE: 53}
_TIMESTAMP, _SIGNATURE = 7, 104
_LONGEST = 8192  # no limit is specified; this bounds what a hostile text can cost
_PREFIX = re.compile(r"ln(bcrt|tbs|bc|tb)(?:([0-9]+)([a-z]?))?")
_SCHEME = "lightning:"


@dataclass(frozen=True, slots=True)
class Bolt11:
    """A decoded invoice. `text` is the invoice in lower case without `lightning:`; hashes, secret and key are in hex.

    `amount` is None when the payer chooses it. `payee` is the key that signed, as the invoice names it or recovered
    from the signature. `features` are the numbers of the bits that are set.
    """

    text: str
    network: str
    amount: Money | None
    created_at: datetime
    expiry: timedelta
    payment_hash: str
    payment_secret: str | None
    description: str | None
    description_hash: str | None
    payee: str
    min_final_cltv_expiry: int
    features: frozenset[int]

    @property
    def expires_at(self) -> datetime:
        """From then on the payee refuses it; aware UTC."""
        return self.created_at + self.expiry


def decode_invoice(text: str) -> Bolt11:
    """The invoice in a text, with or without `lightning:`, all in lower or all in upper case. Raises InvalidRequest."""
    if not isinstance(text, str):
        raise InvalidRequest(f"a Lightning invoice is a text, not {type(text).__name__}")
    invoice = text.strip()
    if invoice[: len(_SCHEME)].lower() == _SCHEME:
        invoice = invoice[len(_SCHEME) :]
    try:
        return _decoded(invoice)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"not a valid Lightning invoice: {error.message}",
            hint="copy the whole invoice again from where it was issued",
        ) from None


def check_invoice(text: str, *, environment: str) -> Bolt11:
    """The decoded invoice. Raises InvalidRequest also for a test network's unless the environment is `sandbox`."""
    invoice = decode_invoice(text)
    if environment != "sandbox" and invoice.network != "bitcoin":
        raise InvalidRequest(
            f"this is a {invoice.network} invoice, and the account is live",
            hint="use a mainnet invoice, which starts with lnbc, or an account whose environment is sandbox",
        )
    return invoice


def _decoded(invoice: str) -> Bolt11:
    prefix, words, encoding = bech32.decode(invoice, max_length=_LONGEST)
    if encoding is not bech32.Encoding.BECH32:
        raise InvalidRequest("its checksum is Bech32m, not Bech32")
    network, amount = _network_and_amount(prefix)
    if len(words) < _TIMESTAMP + _SIGNATURE:
        raise InvalidRequest("it is too short")
    signed, signature = words[:-_SIGNATURE], words[-_SIGNATURE:]
    fields = _fields(signed[_TIMESTAMP:])
    if PAYMENT_HASH not in fields:
        raise InvalidRequest("the payment hash is missing")
    created_at = datetime.fromtimestamp(_integer(signed[:_TIMESTAMP]), UTC)
    payee = _payee(prefix.encode("ascii") + bech32.to_padded_bytes(signed), signature, _bytes(fields, PAYEE))
    bits = _integer(fields.get(FEATURES, b""))
    minimum = fields.get(MIN_FINAL_CLTV)
    return Bolt11(
        text=invoice.lower(),
        network=network,
        amount=amount,
        created_at=created_at,
        expiry=_expiry(created_at, fields.get(EXPIRY)),
        payment_hash=bech32.to_bytes(fields[PAYMENT_HASH]).hex(),
        payment_secret=_hex(fields, PAYMENT_SECRET),
        description=_description(fields),
        description_hash=_hex(fields, DESCRIPTION_HASH),
        payee=payee.hex(),
        min_final_cltv_expiry=DEFAULT_MIN_FINAL_CLTV_EXPIRY if minimum is None else _integer(minimum),
        features=frozenset(bit for bit in range(bits.bit_length()) if bits >> bit & 1),
    )


def _network_and_amount(prefix: str) -> tuple[str, Money | None]:
    parts = _PREFIX.fullmatch(prefix)
    if parts is None:
        known = ", ".join(f"ln{name}" for name in NETWORK_PREFIXES)
        raise InvalidRequest(f"it starts with {prefix[:20]!r}, and not with one of {known} and an amount")
    network = NETWORK_PREFIXES[parts[1]]
    digits, multiplier = parts[2], parts[3]
    if digits is None:
        return network, None
    if digits.startswith("0"):
        raise InvalidRequest("its amount is zero or starts with a zero")
    if multiplier == "p":
        if not digits.endswith("0"):
            raise InvalidRequest("its amount is not a whole number of millisatoshi")
        return network, Money(f"{digits[:-1]}E-11", "BTC@lightning")
    if multiplier not in MULTIPLIERS:
        raise InvalidRequest(f"the multiplier {multiplier!r} of its amount is unknown")
    return network, Money(f"{digits}E-{MULTIPLIERS[multiplier]}", "BTC@lightning")


def _fields(words: bytes) -> dict[int, bytes]:
    """The first field of each kind, as its words."""
    fields: dict[int, bytes] = {}
    while words:
        if len(words) < 3:
            raise InvalidRequest("a field is cut off")
        kind, length = words[0], words[1] * 32 + words[2]
        data, words = words[3 : 3 + length], words[3 + length :]
        if len(data) < length:
            raise InvalidRequest("a field is longer than the invoice")
        if length == _FIXED_LENGTHS.get(kind, length):
            fields.setdefault(kind, data)
    return fields


def _integer(words: bytes) -> int:
    number = 0
    for word in words:
        number = number << 5 | word
    return number


def _bytes(fields: dict[int, bytes], kind: int) -> bytes | None:
    return bech32.to_bytes(fields[kind]) if kind in fields else None


def _hex(fields: dict[int, bytes], kind: int) -> str | None:
    data = _bytes(fields, kind)
    return None if data is None else data.hex()


def _description(fields: dict[int, bytes]) -> str | None:
    data = _bytes(fields, DESCRIPTION)
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("its description is not UTF-8") from None


def _expiry(created_at: datetime, words: bytes | None) -> timedelta:
    if words is None:
        return DEFAULT_EXPIRY
    try:
        expiry = timedelta(seconds=_integer(words))
        _ = created_at + expiry
    except OverflowError:
        raise InvalidRequest("it expires later than a date can say") from None
    return expiry


def _payee(signed: bytes, signature: bytes, named: bytes | None) -> bytes:
    """The key that signed: the named one, if the signature is its own, else the recovered one."""
    packed = bech32.to_bytes(signature)
    r, s, recovery_id = int.from_bytes(packed[:32], "big"), int.from_bytes(packed[32:64], "big"), packed[64]
    if recovery_id > 3:
        raise InvalidRequest("the recovery id of its signature is not 0, 1, 2 or 3")
    digest = hashlib.sha256(signed).digest()
    if named is None:
        key = recovered_key(digest, r, s, recovery_id)
        if key is None:
            raise InvalidRequest("no key can have made its signature")
        return key
    # BOLT 11: with a named key only the lower of the two possible values of s is valid.
    if s > HALF_ORDER or not _verified(digest, r, s, named):
        raise InvalidRequest("its signature is not one of the payee that it names")
    return named


def _verified(digest: bytes, r: int, s: int, key: bytes) -> bool:
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key)
        public.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except (ValueError, InvalidSignature):
        return False
    return True
