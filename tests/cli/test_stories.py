"""The stories `callbacks` and `outage`: all steps, and that they fail when what they show is not so."""

from __future__ import annotations

import pytest

from gateway.cli.demo import STORIES
from gateway.cli.demo.player import play
from gateway.cli.demo.show import Silence
from gateway.flows import failover
from gateway_aurpay import callbacks

STEPS = {
    "callbacks": [
        "a callback arrives",
        "the order is read, the shop is told",
        "the same events without callbacks",
        "the same callback five times",
        "a stranger guesses an address",
        "somebody has seen the address and forges a callback",
        "every event has its number",
    ],
    "outage": [
        "a good day",
        "an answer is lost",
        "the provider is down",
        "the provider is back",
        "the lost order turns up, paid",
    ],
}


@pytest.mark.parametrize("story", STEPS)
def test_every_step_is_as_expected(story: str) -> None:
    result = play(STORIES[story], Silence())
    assert [(step.name, step.got) for step in result.steps if not step.ok] == []
    assert [step.name for step in result.steps] == STEPS[story]
    assert result.ok


def test_every_story_has_its_steps_here_or_in_the_test_of_the_demo() -> None:
    assert set(STORIES) == {"payments", *STEPS}


def test_the_callbacks_fail_when_a_forgery_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "_compared", lambda *given: "")
    result = play(STORIES["callbacks"], Silence())
    assert result.steps[-1].name == "somebody has seen the address and forges a callback"
    assert not result.ok


def test_the_outage_fails_when_no_order_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "may_go_on", lambda *given: False)
    result = play(STORIES["outage"], Silence())
    assert result.steps[-1].name == "an answer is lost"
    assert not result.ok
