"""Money and assets: exact, within one asset, and never through a float."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway import Asset, Money
from gateway.assets import AssetKind, known_assets, register_asset
from gateway.errors import InvalidRequest, PluginError
from gateway.exchange import decode_json, encode_json
from gateway.money import exact, plain

MONEY: TypeAdapter[Money] = TypeAdapter(Money)
CODES = [asset.code for asset in known_assets()]


@st.composite
def numbers(draw: st.DrawFn) -> Decimal:
    """Anything that an amount may be: up to 60 digits, up to 30 of them behind the point."""
    digits = tuple(map(int, str(draw(st.integers(0, 10**60 - 1)))))
    return Decimal((draw(st.integers(0, 1)), digits, -draw(st.integers(0, 30))))


@given(numbers(), numbers())
def test_adding_and_subtracting_lose_no_digit(one: Decimal, other: Decimal) -> None:
    left, right = Money(one, "USD"), Money(other, "USD")
    assert Fraction((left + right).amount) == Fraction(one) + Fraction(other)
    assert Fraction((left - right).amount) == Fraction(one) - Fraction(other)
    assert (left + right) - right == left
    assert sum([left, right]) == left + right


@given(numbers(), numbers())
def test_comparing_goes_by_the_exact_number(one: Decimal, other: Decimal) -> None:
    left, right = Money(one, "ETH@ethereum"), Money(other, "ETH@ethereum")
    exactly = (Fraction(one), Fraction(other))
    assert (left < right, left <= right, left > right, left >= right, left == right) == (
        exactly[0] < exactly[1],
        exactly[0] <= exactly[1],
        exactly[0] > exactly[1],
        exactly[0] >= exactly[1],
        exactly[0] == exactly[1],
    )
    if left == right:
        assert hash(left) == hash(right)


@given(numbers(), st.integers(-(10**20), 10**20))
def test_multiplying_negating_and_absolute_values_are_exact(amount: Decimal, factor: int) -> None:
    money = Money(amount, "USD")
    assert Fraction((money * factor).amount) == Fraction(amount) * factor == Fraction((factor * money).amount)
    assert Fraction((money * Decimal("0.5")).amount) == Fraction(amount) / 2
    assert Fraction((-money).amount) == -Fraction(amount)
    assert Fraction(abs(money).amount) == abs(Fraction(amount))
    assert bool(money) is (amount != 0)


@given(numbers(), st.sampled_from(CODES))
def test_every_digit_survives_json_pickle_and_text(amount: Decimal, code: str) -> None:
    money = Money(amount, code)
    for again in (
        MONEY.validate_python(json.loads(MONEY.dump_json(money))),
        MONEY.validate_json(MONEY.dump_json(money)),
        MONEY.validate_python(MONEY.dump_python(money)),
        MONEY.validate_python(str(money)),
        pickle.loads(pickle.dumps(money)),
        copy.copy(money),
        copy.deepcopy(money),
        Money.parse(str(money)),
        eval(repr(money)),
    ):
        assert again == money
        assert plain(again.amount) == plain(amount)
        assert again.asset.decimals == money.asset.decimals


@given(numbers())
def test_every_digit_survives_the_wire_as_a_number(amount: Decimal) -> None:
    assert decode_json(encode_json({"amount": amount})) == {"amount": amount}
    assert "e" not in encode_json(amount).decode().lower()


def test_an_amount_of_eighteen_decimals_and_sixty_digits_round_trips() -> None:
    text = "123456789012345678901234567890123456789012.123456789012345678"
    assert len(text.replace(".", "")) == 60
    money = Money(text, "ETH@ethereum")
    assert MONEY.dump_python(money, mode="json") == {"amount": text, "asset": "ETH@ethereum"}
    assert money.outgoing() is money
    assert plain((money + Money("0.000000000000000001", "ETH@ethereum")).amount).endswith("345679")


def test_the_digits_that_were_given_are_kept_but_equality_is_numeric() -> None:
    assert str(Money("25.00", "USD")) == "25.00 USD"
    assert Money("25.00", "USD") == Money("25", "USD")
    assert len({Money("25.00", "USD"), Money(25, "USD"), Money(Decimal("2.5E1"), "USD")}) == 1
    assert plain(Decimal("1E-8")) == "0.00000001"
    assert str(Money("1E-8", "BTC@bitcoin")) == "0.00000001 BTC@bitcoin"
    assert Money("1", "USD") != Money("1", "EUR")
    assert Money("1", "USD") != 1


@pytest.mark.parametrize(
    "amount",
    [
        *(1.0, float("nan"), float("inf"), 0.1, True, None, b"1", [1]),
        *("", " ", "1 ", "1,5", "1_000", "٣", "0x10", "nan", "Infinity", "-inf", "1e1000", "1e", ".", "--1", "1.2.3"),
        *("1" * 97, 10**96, "1e950", "1E-96"),
        *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal("1E999")),
    ],
)
def test_what_is_no_exact_number_is_refused(amount: Any) -> None:
    with pytest.raises(InvalidRequest):
        Money(amount, "USD")
    with pytest.raises(InvalidRequest):
        exact(amount)


@given(st.floats())
def test_no_float_becomes_money_on_any_path(value: float) -> None:
    with pytest.raises(InvalidRequest):
        Money(value, "USD")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        MONEY.validate_python({"amount": value, "asset": "USD"})
    with pytest.raises(TypeError):
        Money("1", "USD") * value  # type: ignore[operator]
    with pytest.raises(TypeError, match="use Decimal"):
        encode_json({"amount": value})


@pytest.mark.parametrize("text", ["1", "1.", ".5", "+1", "-1.50", "1e2", "2E-3", "0", "-0", "9" * 96])
def test_how_an_amount_may_be_written(text: str) -> None:
    assert Money(text, "USD").amount == Decimal(text)


@given(st.integers(-(10**40), 10**40), st.integers(0, 24))
def test_units_of_any_size_keep_every_digit_both_ways(number: int, places: int) -> None:
    money = Money.of_units(number, "ETH@ethereum", places)
    assert money.amount * 10**places == number or abs(number) >= 10**28  # Decimal's own product rounds there
    assert money.in_units(places) == number
    assert Money.of_units(str(number), "ETH@ethereum", places) == money


def test_units_are_written_as_they_are_documented() -> None:
    assert Money("1.5", "USDT@tron").in_units(6) == 1_500_000
    assert Money("2.01", "USDT@tron").in_units(6) == 2_010_000
    assert Money("1E+2", "EUR").in_units(2) == 10_000
    assert str(Money.of_units("150000", "USDT@tron", 6)) == "0.150000 USDT@tron"
    assert Money.of_units(Decimal("9007199254740993"), "BTC", 8) == Money("90071992.54740993", "BTC")


@pytest.mark.parametrize(
    "amount, places", [("1.005", 2), ("0.0000001", 6), ("1", -1), ("1", True), ("1", 1.0), ("1", 97)]
)
def test_money_is_never_cut_to_units(amount: str, places: Any) -> None:
    with pytest.raises(InvalidRequest):
        Money(amount, "USDT").in_units(places)


@pytest.mark.parametrize("number, places", [(1.5, 6), ("many", 6), (1, -1), (None, 2)])
def test_no_money_is_made_of_what_counts_no_units(number: Any, places: Any) -> None:
    with pytest.raises(InvalidRequest):
        Money.of_units(number, "USDT", places)


def test_arithmetic_is_within_one_asset() -> None:
    tron, ethereum, bare = Money(1, "USDT@tron"), Money(1, "USDT@ethereum"), Money(1, "USDT")
    for other in (ethereum, bare, Money(1, "USD")):
        for act in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a >= b):
            with pytest.raises(InvalidRequest, match="USDT@tron"):
                act(tron, other)
        assert tron != other
    for wrong in (1, Decimal(1), "1", None):
        for act in (lambda a, b: a + b, lambda a, b: b + a, lambda a, b: a - b, lambda a, b: a > b):
            with pytest.raises(TypeError):
                act(tron, wrong)
    with pytest.raises(TypeError):
        tron * True
    with pytest.raises(TypeError):
        tron * tron  # type: ignore[operator]
    with pytest.raises(InvalidRequest):
        tron * Decimal("NaN")


def test_a_sum_with_more_digits_than_any_amount_is_refused_not_rounded() -> None:
    with pytest.raises(InvalidRequest, match="too many digits"):
        Money("1E90", "USD") + Money("1E-90", "USD")


def test_money_is_immutable() -> None:
    money = Money(1, "USD")
    with pytest.raises(AttributeError):
        money.amount = Decimal(2)
    with pytest.raises(AttributeError):
        del money.asset
    with pytest.raises(AttributeError):
        money.colour = "red"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "amount, asset, fits",
    [
        ("0.01", "USD", True),
        ("0.010", "USD", True),
        ("0.001", "USD", False),
        ("1", "JPY", True),
        ("1.0", "JPY", True),
        ("1.5", "JPY", False),
        ("0.00000001", "BTC@bitcoin", True),
        ("0.000000001", "BTC@bitcoin", False),
        ("0.00000000001", "BTC@lightning", True),
        ("0.000001", "USDT@tron", True),
        ("0.0000001", "USDT@tron", False),
        ("0.000000000000000001", "ETH@ethereum", True),
        ("0.0000000000000000001", "ETH@ethereum", False),
    ],
)
def test_going_out_an_amount_has_no_more_decimals_than_its_asset(amount: str, asset: str, fits: bool) -> None:
    money = Money(amount, asset)
    if fits:
        assert money.outgoing() is money
    else:
        with pytest.raises(InvalidRequest, match="never rounds") as caught:
            money.outgoing()
        assert asset in str(caught.value)


def test_coming_in_every_decimal_is_kept() -> None:
    money = MONEY.validate_python({"amount": "0.123456789", "asset": "USD"})
    assert plain(money.amount) == "0.123456789"
    unknown = MONEY.validate_python("1.5 NEWCOIN@newchain")
    assert (unknown.asset.code, unknown.asset.decimals) == ("NEWCOIN@newchain", None)
    assert Money("1.123456789", unknown.asset).outgoing().amount == Decimal("1.123456789")


def test_parse_reads_an_amount_and_an_asset() -> None:
    assert Money.parse("0.05 BTC") == Money("0.05", "BTC")
    assert Money.parse("  1   USDT@tron ") == Money(1, "USDT@tron")
    for text in ("", "1", "BTC 1", "1 NOSUCH", "1 BTC extra", "1BTC", "x BTC"):
        with pytest.raises(InvalidRequest):
            Money.parse(text)


@pytest.mark.parametrize("value", [1, "1", None, {"amount": "1"}, {"amount": "1", "asset": 5}, "1 a b", {"a": 1}, []])
def test_what_is_no_money_is_refused_by_a_model(value: Any) -> None:
    with pytest.raises(ValidationError):
        MONEY.validate_python(value)


def test_the_schema_of_money_says_how_it_is_written() -> None:
    class Bill(BaseModel):
        total: Money
        coin: Asset

    schema = Bill.model_json_schema()
    assert schema["properties"]["total"]["properties"].keys() == {"amount", "asset"}
    assert schema["properties"]["coin"]["type"] == "string"


class TestAssets:
    def test_of_finds_what_is_known_and_suggests_for_what_is_not(self) -> None:
        tron = Asset.of("USDT@tron")
        assert (tron.symbol, tron.network, tron.decimals, tron.kind) == ("USDT", "tron", 6, AssetKind.CRYPTO)
        assert Asset.of(tron) is tron
        assert Asset.of("USD").is_fiat
        assert not tron.is_fiat
        with pytest.raises(InvalidRequest, match="USDT@tron"):
            Asset.of("USDT@trom")
        with pytest.raises(InvalidRequest, match="plugin"):
            Asset.of("qqqqqqqqqqq")
        with pytest.raises(InvalidRequest):
            Asset.of(5)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest):
            Asset.of("usd")

    def test_a_bare_symbol_is_an_asset_of_its_own(self) -> None:
        assert Asset.of("USDT") != Asset.of("USDT@tron")
        assert Asset.of("USDT").caip19 is None

    def test_caip19_is_given_where_it_has_a_namespace(self) -> None:
        assert Asset.of("BTC@bitcoin").caip19 == "bip122:000000000019d6689c085ae165831e93/slip44:0"
        assert Asset.of("USDT@ethereum").caip19 == "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"
        assert Asset.of("BTC@lightning").caip19 is None
        assert Asset.of("USD").caip19 is None

    @pytest.mark.parametrize("code", CODES)
    def test_known_assets_survive_every_way(self, code: str) -> None:
        asset = Asset.of(code)
        assert asset.code == code == str(asset)
        assert repr(asset) == f"Asset({code!r})"
        assert pickle.loads(pickle.dumps(asset)) == asset
        assert TypeAdapter(Asset).validate_json(TypeAdapter(Asset).dump_json(asset)) is Asset.of(code)

    @pytest.mark.parametrize("code", ["", "@tron", "A@", "A@B", "A B", "A@x@y", "é", "A\n", "x" * 40])
    def test_what_is_no_code_is_refused_coming_in(self, code: str) -> None:
        with pytest.raises(ValueError, match="not an asset code"):
            Asset.incoming(code)
        with pytest.raises(PluginError):
            register_asset(Asset(code))

    def test_a_model_takes_the_asset_or_its_code(self) -> None:
        read: TypeAdapter[Asset] = TypeAdapter(Asset)
        assert read.validate_python(Asset.of("USD")) is Asset.of("USD")
        assert read.validate_python("WHO@knows").code == "WHO@knows"
        with pytest.raises(ValidationError):
            read.validate_python(5)

    def test_registering_twice_is_fine_and_with_other_facts_is_not(self) -> None:
        before = list(known_assets())
        register_asset(Asset("USD", None, AssetKind.FIAT, 2))
        with pytest.raises(PluginError, match="USD"):
            register_asset(Asset("USD", None, AssetKind.FIAT, 3))
        assert Asset.of("USD").decimals == 2
        assert list(known_assets()) == before
