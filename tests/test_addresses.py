"""Addresses: the specifications' vectors, the wrong network, and test addresses on live accounts."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import bech32, keccak
from gateway.addresses import AddressCheck, Flavour, Verdict, check_address
from gateway.assets import Asset
from gateway.errors import InvalidRequest, Outcome

NETWORKS = ["bitcoin", "ethereum", "bsc", "tron", "solana"]

BITCOIN_MAINNET = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",  # the genesis block's
    "1RustyRX2oai4EYYDpQGWvEL62BBGqN9T",  # BOLT 11
    "3EktnHQD7RiAE6uzMj2ZifT9YgRrkSgzQX",  # BOLT 11
    "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",  # BOLT 11
    "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",  # BIP 84
    "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g",
    "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el",
    "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",  # BIP 86
    "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
    "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",  # BIP 173
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",  # BIP 350
    "BC1SW50QGDZ25J",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
]
BITCOIN_TESTNET = [
    "mk2QpYatsKicvFVuTAQLBryyccRXMUaGHP",  # BOLT 11
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",  # BIP 173
    "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",  # BIP 350
]
BITCOIN_INVALID = [
    # BIP 173
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum does not match"),
    ("BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2", "witness version 17"),
    ("bc1rw5uspcuh", "length"),
    ("bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90", "length"),
    ("BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "length"),
    ("tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sL5k7", "mixes upper and lower case"),
    ("bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du", "where a byte ends"),
    ("tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3pjxtptv", "where a byte ends"),
    ("bc1gmk9yu", "no data"),
    ("tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty", "contains '0'"),
    # BIP 350; and what BIP 173 called valid for versions from 1 on
    ("tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut", "contains '0'"),
    ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "checksum is of the other kind"),
    ("tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf", "checksum is of the other kind"),
    ("BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", "checksum is of the other kind"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", "checksum is of the other kind"),
    ("tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47", "checksum is of the other kind"),
    ("bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "contains 'o'"),
    ("BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", "witness version 17"),
    ("bc1pw5dgrnzv", "length"),
    ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav", "length"),
    ("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq", "mixes upper and lower case"),
    ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf", "where a byte ends"),
    ("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", "where a byte ends"),
    ("bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx", "of the other kind"),
    # base58check
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "checksum does not match"),
    ("175tWpb8K1S7NmH4Zx6rewF9WQrcZv245W", "checksum does not match"),  # as BIP 21 prints it
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf", "length"),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfN0", "contains '0'"),
    ("1" * 65, "too long"),
    ("bc2qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "contains '0'"),
    (" 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "contains ' '"),
]
EVM = [  # EIP-55
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x0000000000000000000000000000000000000000",
]
TRON = ["TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "TEkxiTehnzSmSe2XqrBj4w32RUN966rdz8"]
SOLANA = [
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN",
    "11111111111111111111111111111111",  # the system program: 32 zero bytes
]


def refused(address: str, asset_or_network: str, *, environment: str = "live") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_address(address, asset_or_network, environment=environment)
    assert caught.value.outcome is Outcome.NOT_SENT
    return caught.value


class TestNetworks:
    @pytest.mark.parametrize("environment", ["live", "sandbox"])
    @pytest.mark.parametrize("address", BITCOIN_MAINNET)
    def test_bitcoin_mainnet(self, address: str, environment: str) -> None:
        found = check_address(address, "BTC@bitcoin", environment=environment)
        assert found == AddressCheck(Verdict.VALID, "bitcoin", Flavour.MAINNET)

    @pytest.mark.parametrize("address", BITCOIN_TESTNET)
    def test_bitcoin_testnet_is_for_sandboxes(self, address: str) -> None:
        found = check_address(address, "bitcoin", environment="sandbox")
        assert found == AddressCheck(Verdict.VALID, "bitcoin", Flavour.TESTNET)
        error = refused(address, "bitcoin")
        assert "Bitcoin testnet address, and the account is live" in error.message
        assert "mainnet address" in str(error.hint)

    def test_bitcoin_test_networks_have_their_prefixes(self) -> None:
        program = bech32.to_words(bytes(20))
        for prefix, flavour in (("bcrt", Flavour.TESTNET), ("tb", Flavour.TESTNET), ("bc", Flavour.MAINNET)):
            address = bech32.encode(prefix, b"\0" + program, bech32.Encoding.BECH32)
            assert check_address(address, "bitcoin", environment="sandbox").flavour is flavour
        # 'bc1' begins this one, but the last '1' is the separator.
        odd = bech32.encode("bc1x", b"\0" + program, bech32.Encoding.BECH32)
        assert "prefix 'bc1x' is unknown" in refused(odd, "bitcoin").message

    @pytest.mark.parametrize("version, kind", [(0x6F, "P2PKH"), (0xC4, "P2SH")])
    def test_bitcoin_testnet_versions(self, version: int, kind: str) -> None:
        address = base58check(bytes([version]) + bytes(20))
        assert check_address(address, "bitcoin", environment="sandbox").flavour is Flavour.TESTNET
        refused(address, "bitcoin")

    @pytest.mark.parametrize("address, says", BITCOIN_INVALID)
    def test_bitcoin_invalid(self, address: str, says: str) -> None:
        error = refused(address, "bitcoin", environment="sandbox")
        assert error.message.startswith("not a Bitcoin address: ")
        assert says in error.message

    def test_another_coins_version_byte(self) -> None:
        litecoin = base58check(bytes([0x30]) + bytes(20))
        assert "version byte is another network's" in refused(litecoin, "bitcoin").message
        assert "version byte is another network's" in refused(litecoin, "tron").message

    @pytest.mark.parametrize("network", ["ethereum", "bsc"])
    @pytest.mark.parametrize("address", EVM)
    def test_evm(self, address: str, network: str) -> None:
        expected = AddressCheck(Verdict.VALID, network, None)
        assert check_address(address, network, environment="live") == expected
        assert check_address(address.lower(), network, environment="live") == expected
        assert check_address("0x" + address[2:].upper(), network, environment="live") == expected

    @pytest.mark.parametrize("address", EVM[4:8])
    def test_evm_checksum(self, address: str) -> None:
        place = next(i for i, letter in enumerate(address) if letter.isalpha() and i > 1)
        wrong = address[:place] + address[place].swapcase() + address[place + 1 :]
        assert "upper and lower case does not match" in refused(wrong, "ethereum").message

    @pytest.mark.parametrize(
        "address",
        ["0x", EVM[0][:-1], EVM[0] + "0", EVM[0][2:], "0X" + EVM[0][2:], EVM[0][:-1] + "g", EVM[0] + "\n", "alice.eth"],
    )
    def test_evm_shape(self, address: str) -> None:
        assert "0x and 40 hexadecimal digits" in refused(address, "USDC@ethereum").message

    @pytest.mark.parametrize("address", TRON)
    def test_tron(self, address: str) -> None:
        found = check_address(address, Asset.of("USDT@tron"), environment="live")
        assert found == AddressCheck(Verdict.VALID, "tron", None)
        swapped = address[:-2] + address[-1] + address[-2]
        assert "checksum does not match" in refused(swapped, "tron").message

    @pytest.mark.parametrize("address", SOLANA)
    def test_solana(self, address: str) -> None:
        found = check_address(address, "USDC@solana", environment="live")
        assert found == AddressCheck(Verdict.VALID, "solana", None)
        assert "length" in refused(address[:-2], "solana").message


class TestWrongNetwork:
    @pytest.mark.parametrize(
        "address, right, looks",
        [
            (BITCOIN_MAINNET[0], "bitcoin", "a Bitcoin address"),
            (BITCOIN_TESTNET[1], "bitcoin", "a Bitcoin address"),
            (EVM[4], "ethereum", "an Ethereum address"),
            (TRON[0], "tron", "a Tron address"),
            (SOLANA[0], "solana", "a Solana address"),
            ("lnbc1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypq", "", "a Lightning invoice"),
            ("LIGHTNING:LNBC1PVJLUEZPP5QQQSYQCYQ5RQWZQFQQQSYQ", "", "a Lightning invoice"),
            ("5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss", "", "character by character"),
        ],
    )
    def test_says_what_it_looks_like(self, address: str, right: str, looks: str) -> None:
        for network in NETWORKS:
            if network == right or (network == "bsc" and right == "ethereum"):
                continue
            error = refused(address, network, environment="sandbox")
            assert looks in str(error.hint)
            assert address not in str(error)  # it may be a private key

    def test_unchecked_is_never_refused(self) -> None:
        for code in ("TON@ton", "XMR@monero", "BTC@lightning", "USDT@bitcoin-cash"):
            network = code.split("@")[1]
            expected = AddressCheck(Verdict.UNCHECKED, network)
            assert check_address("anything", Asset.incoming(code), environment="live") == expected
            assert check_address("anything", code, environment="live") == expected

    @pytest.mark.parametrize("bare", ["USDT", "BTC", "monero", ""])
    def test_without_a_network(self, bare: str) -> None:
        assert check_address(TRON[0], bare, environment="live") == AddressCheck(Verdict.UNCHECKED, None)

    def test_bare_asset(self) -> None:
        found = check_address(TRON[0], Asset.of("USDT"), environment="live")
        assert (found.verdict, found.network, found.flavour) == ("unchecked", None, None)

    @pytest.mark.parametrize("address", ["", " ", "\n"])
    @pytest.mark.parametrize("network", [*NETWORKS, "ton"])
    def test_nothing_is_no_address(self, address: str, network: str) -> None:
        assert refused(address, network).message == "the address is missing"

    @given(st.text(max_size=120), st.sampled_from(NETWORKS))
    @example("1" * 32, "bitcoin")
    @example("²" * 40, "ethereum")
    def test_any_text(self, address: str, network: str) -> None:
        try:
            found = check_address(address, network, environment="sandbox")
        except InvalidRequest:
            return
        assert found.verdict is Verdict.VALID
        assert len(address) >= 14

    @given(st.sampled_from([*BITCOIN_MAINNET, *TRON]), st.data())
    def test_a_changed_character_is_noticed(self, address: str, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(address) - 1))
        letter = data.draw(st.sampled_from("023456789abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"))
        changed = address[:place] + letter + address[place + 1 :]
        network = "tron" if address in TRON else "bitcoin"
        if changed != address:
            refused(changed, network)


class TestBech32:
    @pytest.mark.parametrize(
        "text, encoding",
        [
            # BIP 173
            ("A12UEL5L", bech32.Encoding.BECH32),
            ("a12uel5l", bech32.Encoding.BECH32),
            (
                "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
                bech32.Encoding.BECH32,
            ),
            ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", bech32.Encoding.BECH32),
            ("11" + "q" * 82 + "c8247j", bech32.Encoding.BECH32),
            ("split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", bech32.Encoding.BECH32),
            ("?1ezyfcl", bech32.Encoding.BECH32),
            # BIP 350
            ("A1LQFN3A", bech32.Encoding.BECH32M),
            ("a1lqfn3a", bech32.Encoding.BECH32M),
            (
                "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
                bech32.Encoding.BECH32M,
            ),
            ("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", bech32.Encoding.BECH32M),
            ("11" + "l" * 82 + "ludsr8", bech32.Encoding.BECH32M),
            ("split1checkupstagehandshakeupstreamerranterredcaperredlc445v", bech32.Encoding.BECH32M),
            ("?1v759aa", bech32.Encoding.BECH32M),
        ],
    )
    def test_valid(self, text: str, encoding: bech32.Encoding) -> None:
        prefix, words, found = bech32.decode(text)
        assert found is encoding
        assert prefix == text.lower().rpartition("1")[0]
        assert bech32.encode(prefix, words, encoding) == text.lower()

    @pytest.mark.parametrize(
        "text, says",
        [
            # BIP 173
            ("\x201nwldj5", "contains ' '"),
            ("\x7f1axkwrx", "contains '\\x7f'"),
            ("\x801eym55h", "contains '\\x80'"),
            ("an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx", "longer"),
            ("pzry9x0s0muk", "separator '1' is missing"),
            ("1pzry9x0s0muk", "nothing before"),
            ("x1b4n0q5v", "contains 'b' after"),
            ("li1dgmt3", "too short"),
            ("de1lg7wt\xff", "contains 'ÿ'"),
            ("A1G7SGD8", "checksum does not match"),
            ("10a06t8", "nothing before"),
            ("1qzzfhee", "nothing before"),
            # BIP 350
            ("\x201xj0phk", "contains ' '"),
            ("\x7f1g6xzxy", "contains '\\x7f'"),
            ("\x801vctc34", "contains '\\x80'"),
            ("an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4", "longer"),
            ("qyrz8wqd2c9m", "separator '1' is missing"),
            ("1qyrz8wqd2c9m", "nothing before"),
            ("y1b0jsk6g", "contains 'b' after"),
            ("lt1igcx5c0", "contains 'i' after"),
            ("in1muywd", "too short"),
            ("mm1crxm3i", "contains 'i' after"),
            ("au1s5cgom", "contains 'o' after"),
            ("M1VUXWEZ", "checksum does not match"),
            ("16plkw9", "nothing before"),
            ("1p2gdwpf", "nothing before"),
        ],
    )
    def test_invalid(self, text: str, says: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            bech32.decode(text)
        assert says in caught.value.message

    @given(st.binary(max_size=60))
    def test_bytes_survive(self, data: bytes) -> None:
        words = bech32.to_words(data)
        assert bech32.to_bytes(words) == data
        # When all five bits of a word are filling, it is not there in the first place.
        padded = bech32.to_padded_bytes(words)
        assert padded[: len(data)] == data
        assert padded[len(data) :].strip(b"\0") == b""
        assert len(padded) == (len(words) * 5 + 7) // 8


class TestKeccak:
    @pytest.mark.parametrize(
        "data, digest",
        [
            (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
            (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
            (
                b"The quick brown fox jumps over the lazy dog",
                "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15",
            ),
            # The topic of ERC-20's Transfer event.
            (
                b"Transfer(address,address,uint256)",
                "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
            ),
        ],
    )
    def test_known_digests(self, data: bytes, digest: str) -> None:
        assert keccak.keccak256(data).hex() == digest

    @pytest.mark.parametrize("length", [0, 1, 134, 135, 136, 137, 271, 272, 273, 1000])
    def test_the_same_sponge_as_sha3(self, length: int) -> None:
        """With SHA-3's padding it must be SHA-3: so block borders are covered for which no Keccak vector is at hand."""
        data = bytes(number * 7 % 256 for number in range(length))
        assert keccak._sponge(data, 0x06) == hashlib.sha3_256(data).digest()
        assert keccak.keccak256(data) != hashlib.sha3_256(data).digest()


def base58check(payload: bytes) -> str:
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text
