"""When something is looked at again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import WatchSettings
from gateway.flows.schedule import Seen, after_failure, next_look, rest_after

START = datetime(2025, 6, 1, 12, tzinfo=UTC)
DEFAULT = WatchSettings()
DAY = timedelta(days=1)

pauses = st.timedeltas(min_value=timedelta(seconds=10), max_value=timedelta(hours=2))
settings = st.builds(
    WatchSettings,
    soon=pauses,
    early=pauses,
    waiting=pauses,
    late=pauses,
    rarely=pauses,
    monitoring=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=7)),
    callback=pauses,
)
lives = st.none() | st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3))


def looks(until: timedelta, rules: WatchSettings = DEFAULT, **seen: object) -> list[datetime]:
    """Every look at something that was made at START and never changes."""
    found: list[datetime] = []
    at = START
    while True:
        when = next_look(Seen(since=START, looked_at=at, **seen), rules)  # type: ignore[arg-type]
        if when is None or when > START + until:
            return found
        found.append(when)
        at = when


def test_an_open_order_is_read_often_at_first_and_then_less_and_less() -> None:
    found = looks(DAY, expires_at=START + timedelta(hours=1))
    ages = [(moment - START).total_seconds() for moment in found]
    assert ages[:12] == [10 * number for number in range(1, 13)]
    assert [age for age in ages if 120 < age <= 600] == [120 + 30 * number for number in range(1, 17)]
    assert [age for age in ages if 600 < age <= 3600] == [600 + 120 * number for number in range(1, 26)]
    assert [age for age in ages if 3600 < age <= 10_800] == [3610, *(3610 + 900 * number for number in range(1, 8))]
    late = [age for age in ages if age > 12_000]
    assert all(later - earlier == 3600 for earlier, later in pairwise(late))
    assert len(ages) == 82


def test_what_stays_open_for_long_is_read_less_than_hourly() -> None:
    gaps = [later - earlier for earlier, later in pairwise(looks(timedelta(days=60)))]
    assert gaps == sorted(gaps)
    assert gaps[-1] == DAY


@given(settings, lives)
def test_the_next_look_is_after_the_last(rules: WatchSettings, life: timedelta | None) -> None:
    expires_at = None if life is None else START + life
    found = [START, *looks(timedelta(days=4), rules, expires_at=expires_at)]
    assert all(timedelta(seconds=10) <= later - earlier for earlier, later in pairwise(found))
    assert all(later - earlier <= DAY for earlier, later in pairwise(found))


@given(lives.filter(bool))
def test_an_expiry_is_noticed_soon(life: timedelta) -> None:
    expires_at = START + life
    found = looks(life + DAY, expires_at=expires_at)
    assert any(expires_at <= moment <= expires_at + 2 * DEFAULT.soon for moment in found)


@given(settings, st.booleans())
def test_it_ends_when_the_monitoring_does(rules: WatchSettings, expired: bool) -> None:
    found = looks(timedelta(days=60), rules, final_at=START, expired=expired)
    assert found[-1] == START + rules.monitoring
    assert found == sorted(set(found))


def test_late_money_is_looked_for_a_day_after_the_expiry() -> None:
    found = looks(timedelta(days=60), final_at=START, expired=True)
    assert [moment - START for moment in found[:8]] == [timedelta(minutes=15) * number for number in range(1, 9)]
    assert found[-1] == START + DAY
    assert len(found) == 30


def test_what_was_paid_is_looked_at_a_few_times_more() -> None:
    found = looks(timedelta(days=60), final_at=START)
    assert [moment - START for moment in found] == [timedelta(hours=6) * number for number in range(1, 5)]


@given(settings)
def test_a_callback_is_given_time_once(rules: WatchSettings) -> None:
    first, *_ = looks(DAY, rules, called_back=True)
    assert first == START + max(rules.callback, rules.soon)
    looked = START + timedelta(seconds=1)
    without = next_look(Seen(since=START, looked_at=looked), rules)
    assert next_look(Seen(since=START, looked_at=looked, called_back=True), rules) == without


@given(st.integers(min_value=1, max_value=10_000))
def test_failures_back_off_to_a_limit(failures: int) -> None:
    assert timedelta(seconds=30) <= after_failure(failures) <= after_failure(failures + 1) <= timedelta(hours=1)
    assert timedelta(seconds=5) <= rest_after(failures) <= rest_after(failures + 1) <= timedelta(minutes=5)
