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


def test_a_float_would_be_seen() -> None:
    assert floats_in({"a": [1, (0.5,)]}) == ["a.0.5"]
