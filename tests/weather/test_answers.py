"""Any documented answer, changed in any one place: what comes out is a model or an error of the gateway."""

from __future__ import annotations

import os

import pytest
from hypothesis import event, given, settings

from weather.answers import EXAMPLES, Change, changes, exchanges, floats_in, played

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


@pytest.mark.parametrize(("provider", "name"), EXAMPLES)
def test_one_place_is_not_as_documented(provider: str, name: str) -> None:
    @settings(settings.get_profile(settings.get_current_profile_name()), max_examples=1000 if LONG else 25)
    @given(changes(provider, name))
    def holds(change: Change) -> None:
        content = exchanges(provider, name)[change.exchange].content
        results, errors = played(provider, name, {change.exchange: change.apply(content)})
        event(type(errors[0]).__name__ if errors else "a result")
        assert not [found for result in results for found in floats_in(result)]
        for error in errors:
            assert error.message
            assert error.account == "it"

    holds()


@pytest.mark.parametrize(("provider", "name"), EXAMPLES)
def test_what_is_documented_is_understood(provider: str, name: str) -> None:
    results, errors = played(provider, name, {})
    assert results or errors
    assert not [found for result in results for found in floats_in(result)]


@pytest.mark.parametrize(("provider", "name"), [("aurpay", "get-order-details"), ("aurex", "top-up-card")])
class TestAFurtherField:
    """Fields that nobody knows are kept, as long as they are of this world."""

    def ends(self, provider: str, name: str, field: bytes) -> list[str]:
        content = exchanges(provider, name)[0].content
        before, key, after = content.partition(b'"data": {')
        results, errors = played(provider, name, {0: before + key + b'"further": ' + field + b", " + after})
        assert not [found for result in results for found in floats_in(result)]
        return [type(error).__name__ for error in errors]

    @pytest.mark.parametrize("levels", [101, 240, 300, 900, 1_000, 100_000])
    def test_that_is_nested_deeply(self, provider: str, name: str, levels: int) -> None:
        told = "OutcomeUnknown" if name == "top-up-card" else "MalformedResponse"
        assert self.ends(provider, name, b"[" * levels + b"]" * levels) == [told]
        assert self.ends(provider, name, b'{"a":' * levels + b"1" + b"}" * levels) == [told]

    @pytest.mark.parametrize(
        "field",
        [
            b"[" * 90 + b"]" * 90,
            b"[" + b"[1], " * 50_000 + b"[]]",
            b'"' + b"x" * 3_000_000 + b'"',
            b"9" * 4_000,
            b"1e30000000",
            b"-1e-30000000",
            b'"\\u0000\\ud83d\\ude00"',
        ],
        ids=["90 levels", "many", "long", "digits", "huge", "tiny", "odd"],
    )
    def test_that_is_large(self, provider: str, name: str, field: bytes) -> None:
        assert self.ends(provider, name, field) == []


def test_a_float_would_be_seen() -> None:
    assert floats_in({"a": [1, (0.5,)]}) == ["a.0.5"]
