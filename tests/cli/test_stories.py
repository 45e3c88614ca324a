"""The stories `callbacks`, `outage` and `keys`: all steps, and that they fail when what they show is not so."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.demo import STORIES
from gateway.cli.demo.player import play
from gateway.cli.demo.show import Silence
from gateway.flows import failover
from gateway.ring import HeldKey, Ring
from gateway_aurpay import callbacks
from gateway_aurpay.auth import Login

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
    "keys": [
        "a vault",
        "a key that may only read",
        "a trade with it",
        "a label against the rule",
        "a key for one address",
        "the least powerful key",
        "110 calls, one key",
        "110 calls, two keys",
        "a key that is refused",
        "a token is issued",
        "the token expires",
        "one key for another",
        "a secret is read back",
        "the rings",
        "vault and store",
        "what was done with keys",
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


KEYS = STORIES["keys"]


def last_of_keys(expected: str) -> tuple[str, str]:
    """The name of the step that the story ended with, and what it says; it must not be as expected."""
    result = play(KEYS, Silence())
    assert not result.ok
    assert result.steps[-1].expected.startswith(expected)
    return result.steps[-1].name, result.steps[-1].got


def test_the_keys_fail_when_a_key_does_what_it_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = Ring._suitable
    monkeypatch.setattr(Ring, "_suitable", lambda ring, permissions: truth(ring, frozenset()))
    assert last_of_keys("the call raises: PermissionDenied")[0] == "a trade with it"


def test_the_keys_fail_when_an_address_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ring, "admits", lambda ring, key: True)
    assert last_of_keys("the call raises: PermissionDenied")[0] == "a key for one address"


def test_the_keys_fail_when_a_strong_key_does_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ring.min", max, raising=False)
    name, got = last_of_keys("reading: ['Read1']")
    assert name == "the least powerful key"
    assert "Read1" not in got


def test_the_keys_fail_when_one_key_carries_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = Ring.choose

    def choose(ring: Ring, *given: Any, **more: Any) -> HeldKey:
        return ring.keys[0] if ring.account == "cards" else truth(ring, *given, **more)

    monkeypatch.setattr(Ring, "choose", choose)
    monkeypatch.setattr(Ring, "others", lambda *given: [])
    assert last_of_keys("seconds: 55") == ("110 calls, two keys", "seconds: 86.0")


def test_the_keys_fail_when_every_call_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Login, "login_due", lambda login: True)
    assert last_of_keys("logins that the provider saw: 1") == ("a token is issued", "logins that the provider saw: 2")


def test_the_keys_fail_when_an_old_key_is_still_used(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = Ring._active

    def retired_too(ring: Ring) -> list[HeldKey]:
        if ring.account != "kiosk":
            return truth(ring)
        return [held for held in ring.keys if held.key.state in ("active", "retiring")]

    monkeypatch.setattr(Ring, "_active", retired_too)
    assert last_of_keys("requests that the provider saw")[0] == "one key for another"


def test_the_keys_show_their_tables_without_secrets() -> None:
    result = play(KEYS, Silence())
    tables = {step.name: step.to_dict()["table"] for step in result.steps if step.table}
    assert set(tables) == {"the rings", "what was done with keys"}
    assert {row["label"]: row["from"] for row in tables["the rings"]}["Payout1"] == "127.0.0.1/32"
    assert tables["what was done with keys"][-1]["what"] == "revealed"
    assert "secret-of-the-key" not in repr([step.to_dict() for step in result.steps])
