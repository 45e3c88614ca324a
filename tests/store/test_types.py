"""What goes into the store comes out again: every digit, every microsecond; and nothing inexact goes in."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select

from gateway.errors import InvalidRequest
from gateway.money import Money
from gateway.store.database import Database
from gateway.store.journal import fingerprint
from gateway.store.snapshots import without_floats
from gateway.store.types import ExactDecimal, JsonText, UtcDateTime, canonical

kept = Table(
    "kept",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("number", ExactDecimal),
    Column("moment", UtcDateTime),
    Column("data", JsonText),
)


@pytest.fixture(scope="module")
def memory() -> Any:
    with Database.open("sqlite://") as database:
        database.transaction(lambda connection: kept.create(connection))
        yield database


def through(database: Database, **values: Any) -> Any:
    """The values, written and read again."""

    def work(connection: Connection) -> Any:
        key = connection.execute(insert(kept).values(**values)).inserted_primary_key
        assert key is not None
        return connection.execute(select(kept).where(kept.c.id == key[0])).one()

    return database.transaction(work)


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda number: len(number.as_tuple().digits) + abs(int(number.as_tuple().exponent)) <= 96
)
moments = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9998, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)


class TestExactDecimal:
    @given(number=decimals)
    def test_every_digit_comes_back(self, memory: Database, number: Decimal) -> None:
        found = through(memory, number=number).number
        assert found == number
        assert format(found, "f") == format(number, "f")

    def test_it_is_plain_text_in_the_file(self, sqlite_url: str, tmp_path: Path) -> None:
        with Database.open(sqlite_url) as database:
            database.transaction(lambda connection: kept.create(connection))
            through(database, number=Decimal("1E-8"))
            through(database, number=Decimal("25.00"))
        with sqlite3.connect(tmp_path / "gateway.db") as direct:
            found = direct.execute("SELECT number, typeof(number) FROM kept ORDER BY id").fetchall()
        direct.close()
        assert found == [("0.00000001", "text"), ("25.00", "text")]

    @pytest.mark.parametrize("wrong", [1.5, 7, "7"])
    def test_only_decimals_go_in(self, memory: Database, wrong: object) -> None:
        with pytest.raises(InvalidRequest, match="as Decimal, not as"):
            through(memory, number=wrong)

    @pytest.mark.parametrize("wrong", ["NaN", "Infinity", "1E+999"])
    def test_only_finite_ones(self, memory: Database, wrong: str) -> None:
        with pytest.raises(InvalidRequest):
            through(memory, number=Decimal(wrong))

    def test_nothing_stays_nothing(self, memory: Database) -> None:
        row = through(memory, number=None, moment=None, data=None)
        assert (row.number, row.moment, row.data) == (None, None, None)


class TestUtcDateTime:
    @given(moment=moments)
    def test_the_moment_comes_back_in_utc(self, memory: Database, moment: datetime) -> None:
        found = through(memory, moment=moment).moment
        assert found == moment
        assert found.tzinfo is UTC

    @given(first=moments, second=moments)
    def test_the_text_sorts_as_the_time_does(self, first: datetime, second: datetime) -> None:
        column = UtcDateTime()
        texts = [column.process_bind_param(moment, None) for moment in (first, second)]  # type: ignore[arg-type]
        assert (texts[0] < texts[1]) == (first < second)  # type: ignore[operator]

    def test_a_naive_time_is_refused(self, memory: Database) -> None:
        with pytest.raises(InvalidRequest, match="without a zone"):
            through(memory, moment=datetime(2025, 1, 1))  # noqa: DTZ001

    def test_a_time_beyond_the_calendar_is_refused(self, memory: Database) -> None:
        with pytest.raises(InvalidRequest, match="1 to 9999"):
            through(memory, moment=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))))


texts = st.text(max_size=20)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


class TestJsonText:
    @given(data=st.dictionaries(texts, plain_json, max_size=5))
    def test_data_comes_back(self, memory: Database, data: dict[str, Any]) -> None:
        assert through(memory, data=data).data == data

    def test_a_decimal_becomes_its_text(self, memory: Database) -> None:
        assert through(memory, data=[Decimal("1E-8"), (Decimal("25.00"),)]).data == ["0.00000001", ["25.00"]]

    @pytest.mark.parametrize(
        ("wrong", "where"),
        [
            ({"a": [0, {"b": 0.1}]}, r"\$\.a\[1\]\.b: float"),
            ({"a": Decimal("NaN")}, r"\$\.a: a number"),
            ({1: "a"}, r"\$: the keys"),
            ({"a": b"bytes"}, r"\$\.a: bytes"),
            ("text", "a dict or a list"),
        ],
    )
    def test_what_cannot_be_kept_exactly_is_refused_with_its_place(
        self, memory: Database, wrong: Any, where: str
    ) -> None:
        with pytest.raises(InvalidRequest, match=where):
            through(memory, data=wrong)

    def test_the_canonical_text_does_not_depend_on_the_order(self) -> None:
        assert canonical({"b": 1, "a": "ü"}) == canonical({"a": "ü", "b": 1}) == '{"a":"\\u00fc","b":1}'


class TestFingerprint:
    def test_equal_requests_have_equal_ones(self) -> None:
        assert fingerprint({"a": Decimal("1.0"), "b": [1]}) == fingerprint({"b": (1,), "a": "1.0"})

    @pytest.mark.parametrize("other", [{"a": "1.00"}, {"a": "1.0", "b": None}, {"b": "1.0"}, {}])
    def test_other_requests_have_others(self, other: dict[str, Any]) -> None:
        assert fingerprint(other) != fingerprint({"a": "1.0"})

    def test_the_value(self) -> None:
        # printf '{"a":1}' | sha256sum
        assert fingerprint({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"

    def test_no_floats(self) -> None:
        with pytest.raises(InvalidRequest, match="float"):
            fingerprint({"amount": 0.1})


def test_floats_of_a_raw_answer_become_text() -> None:
    assert without_floats({"a": (0.1, 1, None), "b": {"c": 1e300}}) == {"a": ["0.1", 1, None], "b": {"c": "1e+300"}}


def test_money_survives(memory: Database) -> None:
    money = Money("0.000000000000000001", "ETH@ethereum")
    assert Money(through(memory, number=money.amount).number, "ETH@ethereum") == money
