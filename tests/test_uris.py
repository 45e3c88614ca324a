"""Payment URIs: the standards' own examples, exact amounts, and None where a URI would mislead."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.assets import Asset
from gateway.errors import InvalidRequest
from gateway.money import Money
from gateway.testing.lightning import encode_invoice
from gateway.uris import payment_uri

BITCOIN = "1RustyRX2oai4EYYDpQGWvEL62BBGqN9T"  # BOLT 11; the checksum of the address in BIP 21 and BIP 321 is wrong
EVM = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
SOLANA = "mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN"  # Solana Pay
TRON = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
INVOICE = encode_invoice(
    ec.derive_private_key(7, ec.SECP256K1()),
    payment_hash=b"\1" * 32,
    payment_secret=b"\2" * 32,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    amount=Money("0.001", "BTC@lightning"),
    description="order 1001",
)


class TestBitcoin:
    @pytest.mark.parametrize(
        "amount, facts, query",
        [
            (None, {}, ""),
            (None, {"label": "Luke-Jr"}, "?label=Luke-Jr"),
            ("20.30", {"label": "Luke-Jr"}, "?amount=20.3&label=Luke-Jr"),
            (
                "50",
                {"label": "Luke-Jr", "message": "Donation for project xyz"},
                "?amount=50&label=Luke-Jr&message=Donation%20for%20project%20xyz",
            ),
        ],
    )
    def test_the_standards_examples(self, amount: str | None, facts: dict[str, str], query: str) -> None:
        number = None if amount is None else Decimal(amount)
        assert payment_uri("BTC@bitcoin", BITCOIN, number, **facts) == f"bitcoin:{BITCOIN}{query}"

    @pytest.mark.parametrize(
        "amount, written",
        [("0.00000001", "0.00000001"), ("1E-8", "0.00000001"), ("5E+1", "50"), ("100", "100"), ("1.0", "1")],
    )
    def test_amount_is_plain(self, amount: str, written: str) -> None:
        assert payment_uri("BTC@bitcoin", BITCOIN, Decimal(amount)) == f"bitcoin:{BITCOIN}?amount={written}"

    def test_with_an_invoice(self) -> None:
        uri = payment_uri("BTC@bitcoin", BITCOIN, Decimal("0.001"), lightning_invoice=f"LIGHTNING:{INVOICE.upper()}")
        assert uri == f"bitcoin:{BITCOIN}?amount=0.001&lightning={INVOICE}"

    def test_an_invoice_that_is_none_is_left_out(self) -> None:
        uri = payment_uri("BTC@bitcoin", BITCOIN, None, lightning_invoice="lnbc1broken")
        assert uri == f"bitcoin:{BITCOIN}"

    def test_only_an_invoice(self) -> None:
        assert payment_uri("BTC@bitcoin", None, None, lightning_invoice=INVOICE) == f"lightning:{INVOICE}"

    def test_text_cannot_add_parameters(self) -> None:
        uri = payment_uri("BTC@bitcoin", BITCOIN, Decimal(1), label="a&amount=2", message="é#?=%")
        assert uri == f"bitcoin:{BITCOIN}?amount=1&label=a%26amount%3D2&message=%C3%A9%23%3F%3D%25"
        assert payment_uri("BTC@bitcoin", f"{BITCOIN}?amount=2&", Decimal(1)) is None

    def test_test_networks_have_uris_too(self) -> None:
        address = "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7"
        assert payment_uri("BTC@bitcoin", address, None) == f"bitcoin:{address}"


class TestLightning:
    @pytest.mark.parametrize("written", [INVOICE, INVOICE.upper(), f"lightning:{INVOICE}"])
    def test_invoice(self, written: str) -> None:
        uri = payment_uri("BTC@lightning", None, Decimal("0.001"), lightning_invoice=written, label="x")
        assert uri == f"lightning:{INVOICE}"

    @pytest.mark.parametrize("invoice", [None, "", "lnbc1broken", BITCOIN])
    def test_no_invoice(self, invoice: str | None) -> None:
        assert payment_uri("BTC@lightning", BITCOIN, None, lightning_invoice=invoice) is None


class TestEthereum:
    def test_ether(self) -> None:
        """ERC-681's example, 2.014 ETH, with the chain and the integer written out."""
        uri = payment_uri("ETH@ethereum", EVM, Decimal("2.014"))
        assert uri == f"ethereum:{EVM}@1?value=2014000000000000000"

    def test_bnb(self) -> None:
        assert payment_uri("BNB@bsc", EVM, Decimal("0.5")) == f"ethereum:{EVM}@56?value=500000000000000000"

    def test_tokens(self) -> None:
        uri = payment_uri("USDC@ethereum", EVM, Decimal("19.000012"))
        contract = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
        assert uri == f"ethereum:{contract}@1/transfer?address={EVM}&uint256=19000012"

    def test_the_standards_token_example(self) -> None:
        unicorn = Asset(
            "UNICORN",
            "ethereum",
            decimals=0,
            caip19="eip155:1/erc20:0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7",
        )
        uri = payment_uri(unicorn, "0x8e23ee67d1332ad560396262c48ffbb01f93d052", Decimal(1))
        assert uri == (
            "ethereum:0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7@1/transfer"
            "?address=0x8e23ee67d1332ad560396262c48ffbb01f93d052&uint256=1"
        )

    def test_tokens_of_other_chains(self) -> None:
        token = Asset("USDT", "bsc", decimals=18, caip19="eip155:56/bep20:0x55d398326f99059ff775485246999027b3197955")
        uri = payment_uri(token, EVM, Decimal("1.5"))
        contract = "0x55d398326f99059ff775485246999027b3197955"
        assert uri == f"ethereum:{contract}@56/transfer?address={EVM}&uint256=1500000000000000000"

    def test_without_an_amount(self) -> None:
        assert payment_uri("ETH@ethereum", EVM, None) == f"ethereum:{EVM}@1"
        contract = "0xdac17f958d2ee523a2206206994597c13d831ec7"
        assert payment_uri("USDT@ethereum", EVM, None) == f"ethereum:{contract}@1/transfer?address={EVM}"

    def test_label_and_message_have_no_place(self) -> None:
        assert payment_uri("ETH@ethereum", EVM, None, label="a", message="b") == f"ethereum:{EVM}@1"

    @given(st.integers(1, 10**30))
    def test_wei_are_exact(self, wei: int) -> None:
        uri = payment_uri("ETH@ethereum", EVM, Decimal(f"{wei}E-18"))
        assert uri == f"ethereum:{EVM}@1?value={wei}"


class TestSolana:
    @pytest.mark.parametrize(
        "asset, amount, facts, query",
        [
            (
                "SOL@solana",
                "1",
                {"label": "Michael", "message": "Thanks for all the fish"},
                "?amount=1&label=Michael&message=Thanks%20for%20all%20the%20fish",
            ),
            ("USDC@solana", "0.01", {}, "?amount=0.01&spl-token=EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
            ("SOL@solana", None, {"label": "Michael"}, "?label=Michael"),
            ("USDT@solana", None, {}, "?spl-token=Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"),
            ("SOL@solana", "1E-9", {}, "?amount=0.000000001"),
        ],
    )
    def test_solana_pay(self, asset: str, amount: str | None, facts: dict[str, str], query: str) -> None:
        number = None if amount is None else Decimal(amount)
        assert payment_uri(asset, SOLANA, number, **facts) == f"solana:{SOLANA}{query}"


class TestNone:
    @pytest.mark.parametrize(
        "asset, address",
        [
            ("TRX@tron", TRON),
            ("USDT@tron", TRON),
            ("USDT", TRON),
            ("BTC", BITCOIN),
            ("ETH", EVM),
            ("USD", BITCOIN),
            (Asset("LTC", "litecoin", caip19="bip122:12a765e31ffd4059bada1e25190f6e98/slip44:2"), BITCOIN),
            (Asset("RUNE", "bitcoin", caip19="bip122:000000000019d6689c085ae165831e93/rune:840000:1"), BITCOIN),
            (Asset("CAT", "ethereum", caip19="eip155:1/erc721:0x06012c8cf97bead5deae237070f9587f8e7a266d"), EVM),
            (Asset("CAT", "solana", caip19="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/nft:x"), SOLANA),
            (Asset("SHIB", "ethereum", decimals=18), EVM),
        ],
    )
    def test_no_standard(self, asset: Asset | str, address: str) -> None:
        assert payment_uri(asset, address, Decimal(1)) is None
        assert payment_uri(asset, address, None) is None

    @pytest.mark.parametrize("asset", ["BTC@bitcoin", "ETH@ethereum", "USDC@ethereum", "SOL@solana", "USDC@solana"])
    @pytest.mark.parametrize("address", [None, "", TRON, "nonsense", "175tWpb8K1S7NmH4Zx6rewF9WQrcZv245W"])
    def test_address_missing_or_wrong(self, asset: str, address: str | None) -> None:
        assert payment_uri(asset, address, Decimal(1)) is None

    @pytest.mark.parametrize(
        "asset, address, decimals",
        [("BTC@bitcoin", BITCOIN, 8), ("ETH@ethereum", EVM, 18), ("USDC@ethereum", EVM, 6), ("USDC@solana", SOLANA, 6)],
    )
    def test_more_decimals_than_the_asset_has(self, asset: str, address: str, decimals: int) -> None:
        assert payment_uri(asset, address, Decimal(f"1E-{decimals}")) is not None
        assert payment_uri(asset, address, Decimal(f"10E-{decimals + 1}")) is not None
        assert payment_uri(asset, address, Decimal(f"1E-{decimals + 1}")) is None

    def test_unknown_decimals(self) -> None:
        """Whole units cannot be counted without them; a plain decimal can be written."""
        token = Asset("SHIB", "ethereum", caip19="eip155:1/erc20:0x95ad61b0a150d79219dcf64e1e6cc01f0b64c4ce")
        assert payment_uri(token, EVM, Decimal(1)) is None
        assert payment_uri(token, EVM, None) is not None
        bonk = Asset("BONK", "solana", caip19="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:" + SOLANA)
        assert payment_uri(bonk, SOLANA, Decimal("0.1")) == f"solana:{SOLANA}?amount=0.1&spl-token={SOLANA}"

    @pytest.mark.parametrize("amount", [Decimal(0), Decimal("0.00"), Decimal(-1)])
    @pytest.mark.parametrize(
        "asset, address", [("BTC@bitcoin", BITCOIN), ("ETH@ethereum", EVM), ("SOL@solana", SOLANA)]
    )
    def test_nothing_to_pay(self, asset: str, address: str, amount: Decimal) -> None:
        assert payment_uri(asset, address, amount) is None

    @pytest.mark.parametrize("amount", [1.5, Decimal("NaN"), Decimal("Infinity")])
    def test_what_is_no_amount_is_refused(self, amount: Any) -> None:
        with pytest.raises(InvalidRequest):
            payment_uri("BTC@bitcoin", BITCOIN, amount)

    def test_unknown_asset_code(self) -> None:
        with pytest.raises(InvalidRequest, match="unknown asset"):
            payment_uri("BTC@moon", BITCOIN, None)


@given(label=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_label_reads_back(label: str) -> None:
    for asset, address in (("BTC@bitcoin", BITCOIN), ("SOL@solana", SOLANA)):
        uri = payment_uri(asset, address, Decimal("0.5"), label=label)
        assert uri is not None
        assert uri.isascii()
        query = parse_qs(urlsplit(uri).query, strict_parsing=True)
        assert query == {"amount": ["0.5"], "label": [label]}
