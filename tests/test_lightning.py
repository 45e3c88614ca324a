"""Lightning invoices: the specification's examples, every way to be wrong, and what the sandboxes issue."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway import bech32
from gateway.errors import InvalidRequest, Outcome
from gateway.lightning import Bolt11, check_invoice, decode_invoice
from gateway.money import Money
from gateway.secp256k1 import HALF_ORDER, ORDER, recovered_key
from gateway.testing.lightning import encode_invoice

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "bolt11.json").read_text(encoding="utf-8"))
KEY = ec.derive_private_key(int(VECTORS["private_key"], 16), ec.SECP256K1())
PAYEE: str = VECTORS["payee"]
HASH = bytes.fromhex("0001020304050607080900010203040506070809000102030405060708090102")
SECRET = b"\x11" * 32
THEN = datetime(2017, 6, 1, 10, 57, 38, tzinfo=UTC)  # 1496314658, the moment of nearly all the examples
DONATION: str = VECTORS["valid"][0]["invoice"]
# Tagged fields and the timestamp as the specification's examples spell them, in five-bit words.
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
TIMESTAMP = "pvjluez"
PAYMENT_HASH = "pp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypq"


def titled(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["title"]) for vector in vectors]


def signed(fields: str, *, prefix: str = "lnbc", high_s: bool = False, recovery_id: int | None = None) -> str:
    """A genuinely signed invoice around fields that no writer would choose. In the lower form of s unless `high_s`."""
    words = bytes(ALPHABET.index(letter) for letter in TIMESTAMP + fields)
    digest = hashlib.sha256(prefix.encode() + bech32.to_padded_bytes(words)).digest()
    r, s = decode_dss_signature(KEY.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)))
    if (s > HALF_ORDER) is not high_s:
        s = ORDER - s
    if recovery_id is None:
        recovery_id = [found.hex() if (found := recovered_key(digest, r, s, i)) else "" for i in range(4)].index(PAYEE)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([recovery_id])
    return bech32.encode(prefix, words + bech32.to_words(signature), bech32.Encoding.BECH32)


def field(letter: str, data: bytes) -> str:
    words = "".join(ALPHABET[word] for word in bech32.to_words(data))
    return letter + ALPHABET[len(words) >> 5] + ALPHABET[len(words) & 31] + words


def issued(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "payment_hash": HASH,
        "payment_secret": SECRET,
        "created_at": THEN,
        "description": "1 cup coffee",
    }
    return encode_invoice(KEY, **(facts | changes))


def refused(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_invoice(text)
    assert "not a valid Lightning invoice" in str(caught.value)
    assert says in caught.value.message
    assert caught.value.outcome is Outcome.NOT_SENT


class TestSpecification:
    @pytest.mark.parametrize("vector", titled(VECTORS["valid"] + VECTORS["unpayable"]))
    def test_valid_example(self, vector: dict[str, Any]) -> None:
        """Every field of every example. The "unpayable" ones decode: refusing them is for the node that would pay."""
        created_at = datetime.fromtimestamp(vector.get("created_at", 1496314658), UTC)
        amount = vector.get("amount")
        assert decode_invoice(vector["invoice"]) == Bolt11(
            text=vector["invoice"].lower(),
            network=vector.get("network", "bitcoin"),
            amount=None if amount is None else Money(amount, "BTC@lightning"),
            created_at=created_at,
            expiry=timedelta(seconds=vector.get("expiry", 3600)),
            payment_hash=vector.get("payment_hash", HASH.hex()),
            payment_secret=vector.get("payment_secret", SECRET.hex()),
            description=vector.get("description"),
            description_hash=vector.get("description_hash"),
            payee=vector.get("payee", PAYEE),
            min_final_cltv_expiry=vector.get("min_final_cltv_expiry", 18),
            features=frozenset(vector["features"]),
        )

    @pytest.mark.parametrize("vector", titled(VECTORS["invalid"]))
    def test_invalid_example(self, vector: dict[str, Any]) -> None:
        refused(vector["invoice"], vector["says"])


class TestReading:
    def test_times_are_aware_and_the_expiry_counts_from_the_creation(self) -> None:
        invoice = decode_invoice(issued(expiry=timedelta(minutes=1)))
        assert invoice.created_at == THEN
        assert invoice.expires_at == datetime(2017, 6, 1, 10, 58, 38, tzinfo=UTC)
        assert invoice.expires_at.tzinfo is UTC

    @pytest.mark.parametrize("scheme", ["lightning:", "LIGHTNING:", "Lightning:"])
    @pytest.mark.parametrize("written", [DONATION, DONATION.upper()], ids=["lower", "upper"])
    def test_the_scheme_is_taken_off_in_any_case(self, scheme: str, written: str) -> None:
        assert decode_invoice(f" {scheme}{written}\n") == decode_invoice(DONATION)

    @pytest.mark.parametrize(
        "written, amount",
        [
            ("1", "1"),
            ("21", "21"),
            ("25m", "0.025"),
            ("2500u", "0.0025"),
            ("1554190n", "0.00155419"),
            ("10p", "0.00000000001"),
            ("9678785340p", "0.00967878534"),
            ("12345678901234567890n", "12345678901.23456789"),
        ],
    )
    def test_amount_is_exact(self, written: str, amount: str) -> None:
        found = decode_invoice(signed(PAYMENT_HASH, prefix=f"lnbc{written}")).amount
        assert found == Money(amount, "BTC@lightning")
        assert found.outgoing() is found  # within the asset's decimals

    @pytest.mark.parametrize(
        "prefix, says",
        [
            ("lnbc0", "zero"),
            ("lnbc025m", "starts with a zero"),
            ("lnbc1p", "millisatoshi"),
            ("lnbc10f", "multiplier 'f'"),
            ("lnbc" + "9" * 200 + "n", "too many digits"),
            ("lnbc" + "9" * 5000, "too many digits"),
            ("lnbc5mm", "'lnbc5mm'"),
            ("lnbcm", "'lnbcm'"),
            ("lnltc", "'lnltc'"),
            ("bc", "'bc'"),
        ],
    )
    def test_amount_or_prefix_is_wrong(self, prefix: str, says: str) -> None:
        refused(signed(PAYMENT_HASH, prefix=prefix), says)

    @pytest.mark.parametrize(
        "network, prefix", [("bitcoin", "lnbc"), ("testnet", "lntb"), ("signet", "lntbs"), ("regtest", "lnbcrt")]
    )
    @pytest.mark.parametrize("amount", [None, Money("0.0001", "BTC@lightning")], ids=["any amount", "an amount"])
    def test_network(self, network: str, prefix: str, amount: Money | None) -> None:
        text = issued(network=network, amount=amount)
        assert text.startswith(prefix + ("1" if amount is None else "100u1"))
        invoice = decode_invoice(text)
        assert (invoice.network, invoice.amount) == (network, amount)

    def test_only_a_sandbox_uses_test_networks(self) -> None:
        text = issued(network="regtest")
        assert check_invoice(text, environment="sandbox").network == "regtest"
        with pytest.raises(InvalidRequest, match="regtest invoice, and the account is live"):
            check_invoice(text, environment="live")
        assert check_invoice(DONATION, environment="live") == check_invoice(DONATION, environment="sandbox")

    def test_the_first_of_repeated_fields_counts(self) -> None:
        later = field("p", b"\x22" * 32) + field("d", b"later")
        invoice = decode_invoice(signed(PAYMENT_HASH + field("d", b"first") + later))
        assert (invoice.payment_hash, invoice.description) == (HASH.hex(), "first")

    def test_neither_description_nor_its_hash(self) -> None:
        invoice = decode_invoice(signed(PAYMENT_HASH))
        assert (invoice.description, invoice.description_hash) == (None, None)

    @pytest.mark.parametrize(
        "fields, says",
        [
            ("", "payment hash is missing"),
            (field("p", b"\x22" * 31), "payment hash is missing"),
            (PAYMENT_HASH + field("d", b"\xff\xfe"), "not UTF-8"),
            (PAYMENT_HASH + "dqp" + "q", "does not end where a byte ends"),
            (PAYMENT_HASH[:-1] + "p", "does not end where a byte ends"),
            (PAYMENT_HASH + "dqzqqqq", "cut off"),  # two words of data, then two words of a next field
            (PAYMENT_HASH + "dllq", "longer than the invoice"),
            (PAYMENT_HASH + field("x", b"\xff" * 8), "expires later"),  # more than a timedelta
            (PAYMENT_HASH + field("x", b"\xff" * 5), "expires later"),  # more than a datetime
            (PAYMENT_HASH + field("x", b"\xff" * 600), "expires later"),
        ],
    )
    def test_fields_are_wrong(self, fields: str, says: str) -> None:
        refused(signed(fields), says)

    def test_bech32m_is_another_encoding(self) -> None:
        prefix, words, _ = bech32.decode(DONATION, max_length=1000)
        refused(bech32.encode(prefix, words, bech32.Encoding.BECH32M), "Bech32m")

    @pytest.mark.parametrize("text", [DONATION.replace("p", "\uff50", 1), DONATION + "é", "lnbc1\x00"])
    def test_other_characters_are_refused(self, text: str) -> None:
        refused(text, "it contains")

    def test_length_is_bounded(self) -> None:
        refused("lnbc1" + "q" * 100_000, "longer than")

    @pytest.mark.parametrize("value", [None, 5, b"lnbc1"])
    def test_only_text_is_read(self, value: Any) -> None:
        with pytest.raises(InvalidRequest, match="is a text"):
            decode_invoice(value)

    @given(st.text(max_size=200))
    @example("lightning:")
    @example("1")
    @example("lnbc1" + "q" * 120)
    def test_any_text_is_refused_cleanly(self, text: str) -> None:
        with pytest.raises(InvalidRequest):
            decode_invoice(text)

    @given(st.binary(min_size=111, max_size=400).map(lambda data: bytes(byte & 31 for byte in data)))
    def test_any_data_under_a_right_checksum(self, words: bytes) -> None:
        text = bech32.encode("lnbc", words, bech32.Encoding.BECH32)
        with pytest.raises(InvalidRequest, match="not a valid Lightning invoice"):
            decode_invoice(text)

    @given(st.integers(0, len(DONATION) - 1), st.sampled_from(ALPHABET))
    def test_any_changed_character_is_noticed(self, place: int, letter: str) -> None:
        changed = DONATION[:place] + letter + DONATION[place + 1 :]
        if changed != DONATION:
            with pytest.raises(InvalidRequest):
                decode_invoice(changed)


class TestSignature:
    def test_named_payee(self) -> None:
        text = issued(name_payee=True)
        assert decode_invoice(text).payee == PAYEE
        assert decode_invoice(issued()).payee == PAYEE
        assert len(text) > len(issued())

    def test_another_payee_is_named(self) -> None:
        other = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        refused(signed(PAYMENT_HASH + field("n", bytes.fromhex(other))), "not one of the payee that it names")

    def test_the_named_payee_is_no_key(self) -> None:
        refused(signed(PAYMENT_HASH + field("n", b"\x05" * 33)), "not one of the payee that it names")

    def test_high_s_is_valid_only_without_a_named_payee(self) -> None:
        named = PAYMENT_HASH + field("n", bytes.fromhex(PAYEE))
        assert decode_invoice(signed(PAYMENT_HASH, high_s=True)).payee == PAYEE
        assert decode_invoice(signed(named)).payee == PAYEE
        refused(signed(named, high_s=True), "not one of the payee that it names")

    def test_recovery_id(self) -> None:
        refused(signed(PAYMENT_HASH, recovery_id=4), "recovery id")
        # With 2 and 3, r stands for an x above the group's order, which next to no signature has.
        refused(signed(PAYMENT_HASH, recovery_id=2), "no key can have made its signature")
        keys = {decode_invoice(signed(PAYMENT_HASH, recovery_id=number)).payee for number in (0, 1)}
        assert len(keys) == 2
        assert PAYEE in keys

    @pytest.mark.parametrize("r, s", [(0, 1), (1, 0), (ORDER, 1), (1, ORDER), (5, 1)])
    def test_numbers_that_are_no_signature(self, r: int, s: int) -> None:
        """Out of range, or (5) no point's x."""
        assert recovered_key(HASH, r, s, 0) is None

    def test_recovery_of_the_point_at_infinity(self) -> None:
        """r is the base point's x and s the digest: then s·R equals digest·G, and their difference is no key."""
        x = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
        assert recovered_key(HASH, x, int.from_bytes(HASH, "big"), 0) is None
        assert recovered_key(HASH, x, int.from_bytes(HASH, "big"), 1) is not None

    @settings(max_examples=30)  # arithmetic in Python: 15 ms each
    @given(st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32))
    def test_the_signer_is_recovered(self, secret: int, digest: bytes) -> None:
        key = ec.derive_private_key(secret, ec.SECP256K1())
        r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        numbers = key.public_key().public_numbers()
        expected = bytes([2 + numbers.y % 2]) + numbers.x.to_bytes(32, "big")
        assert expected in [recovered_key(digest, r, s, number) for number in (0, 1)]


class TestIssuing:
    @pytest.mark.parametrize("number", range(4))
    def test_the_specifications_examples_byte_for_byte(self, number: int) -> None:
        """The first four, whose fields are in the order that this writer uses."""
        vector = VECTORS["valid"][number]
        listing = (
            "One piece of chocolate cake, one icecream cone, one pickle, one slice of swiss cheese, one slice of "
            "salami, one lollypop, one piece of cherry pie, one sausage, one cupcake, and one slice of watermelon"
        )
        hashed = hashlib.sha256(listing.encode()).digest()
        assert (
            issued(
                amount=Money(vector["amount"], "BTC@lightning") if "amount" in vector else None,
                description=vector.get("description"),
                description_hash=hashed if "description_hash" in vector else None,
                expiry=timedelta(seconds=vector["expiry"]) if "expiry" in vector else None,
            )
            == (vector["invoice"])
        )

    @settings(max_examples=40)
    @given(
        secret=st.integers(1, ORDER - 1),
        msat=st.none() | st.integers(1, 10**15),
        description=st.text(max_size=150),
        created_at=st.integers(0, 2**35 - 1),
        expiry=st.none() | st.integers(0, 10**9),
        cltv=st.none() | st.integers(0, 10**6),
        features=st.frozensets(st.integers(0, 120), max_size=5),
        payment_secret=st.none() | st.binary(min_size=32, max_size=32),
        name_payee=st.booleans(),
    )
    def test_what_is_issued_reads_back(
        self,
        secret: int,
        msat: int | None,
        description: str,
        created_at: int,
        expiry: int | None,
        cltv: int | None,
        features: frozenset[int],
        payment_secret: bytes | None,
        name_payee: bool,
    ) -> None:
        amount = None if msat is None else Money(f"{msat}E-11", "BTC@lightning")
        invoice = decode_invoice(
            encode_invoice(
                ec.derive_private_key(secret, ec.SECP256K1()),
                payment_hash=HASH,
                payment_secret=payment_secret,
                created_at=datetime.fromtimestamp(created_at, UTC),
                amount=amount,
                description=description,
                expiry=None if expiry is None else timedelta(seconds=expiry),
                min_final_cltv_expiry=cltv,
                features=features,
                name_payee=name_payee,
            )
        )
        assert invoice.amount == amount
        assert invoice.description == description
        assert invoice.created_at.timestamp() == created_at
        assert invoice.expiry == timedelta(seconds=3600 if expiry is None else expiry)
        assert invoice.min_final_cltv_expiry == (18 if cltv is None else cltv)
        assert invoice.features == features
        assert invoice.payment_secret == (None if payment_secret is None else payment_secret.hex())

    @pytest.mark.parametrize(
        "amount, written",
        [
            ("1", "lnbc11"),
            ("0.025", "lnbc25m1"),
            ("0.0250", "lnbc25m1"),
            ("0.00155419", "lnbc1554190n1"),
            ("0.000000001", "lnbc1n1"),
            ("0.00000000001", "lnbc10p1"),
            ("1.00000000001", "lnbc1000000000010p1"),
        ],
    )
    def test_the_largest_fitting_unit_is_used(self, amount: str, written: str) -> None:
        text = issued(amount=Money(amount, "BTC@lightning"))
        assert text.startswith(written)
        found = decode_invoice(text).amount
        assert found == Money(amount, "BTC@lightning")

    @pytest.mark.parametrize(
        "changes, says",
        [
            ({"description": None}, "either a description or the hash"),
            ({"description_hash": HASH}, "either a description or the hash"),
            ({"description": "x" * 640}, "at most 639 bytes"),
            ({"description": None, "description_hash": b"short"}, "description_hash is 32 bytes, not 5"),
            ({"payment_hash": b""}, "payment_hash is 32 bytes, not 0"),
            ({"payment_secret": b"x" * 33}, "payment_secret is 32 bytes, not 33"),
            ({"network": "litecoin"}, "unknown Lightning network"),
            ({"created_at": datetime(2017, 6, 1)}, "needs a time zone"),  # noqa: DTZ001
            ({"created_at": datetime(1960, 1, 1, tzinfo=UTC)}, "no negative numbers"),
            ({"created_at": datetime(3500, 1, 1, tzinfo=UTC)}, "before the year 3058"),
            ({"expiry": timedelta(seconds=-1)}, "no negative numbers"),
            ({"amount": Money("0.001", "BTC@bitcoin")}, "BTC@lightning, not for BTC@bitcoin"),
            ({"amount": Money("0", "BTC@lightning")}, "more than nothing"),
            ({"amount": Money("-1", "BTC@lightning")}, "more than nothing"),
            ({"amount": Money("0.000000000001", "BTC@lightning")}, "12 decimals"),
        ],
    )
    def test_what_cannot_be_issued(self, changes: dict[str, Any], says: str) -> None:
        with pytest.raises(InvalidRequest, match=says):
            issued(**changes)

    def test_another_curves_key(self) -> None:
        with pytest.raises(InvalidRequest, match="secp256k1, not on secp256r1"):
            encode_invoice(
                ec.derive_private_key(5, ec.SECP256R1()),
                payment_hash=HASH,
                payment_secret=SECRET,
                created_at=THEN,
                description="x",
            )
