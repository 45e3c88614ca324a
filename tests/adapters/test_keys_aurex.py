"""Aurex's keys: no rule for labels, no scopes, markups that keep keys apart, and the dashboard's steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.by_hand import answer, carry_out
from gateway.contracts import Account, GuideRequest, NoAuth
from gateway.errors import AuthenticationFailed
from gateway.exchange import Request, Signing
from gateway.models import Environment, GuideStep, KeyAction, KeyProof, Permission
from gateway.secrets import Secret
from gateway_aurex import PROVIDER
from gateway_aurex.adapter import AurexAdapter
from gateway_aurex.keys import RULES
from gateway_aurex.settings import AurexSettings, BearerKey

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
(BEARER,) = RULES.kinds


def guide(action: KeyAction, **more: Any) -> tuple[GuideStep, ...]:
    return RULES.guide(GuideRequest(action=action, kind=BEARER, **more))


def test_the_provider_has_these_rules() -> None:
    assert PROVIDER.keys is RULES
    assert RULES.kind("bearer") is BEARER
    assert (RULES.permissions, RULES.restricts_addresses) == (None, False)
    assert "markup" in RULES.differ_by
    assert BEARER.public_part is None
    assert [part.name for part in BEARER.secret_parts] == ["api_key"]
    assert {part.name for part in BEARER.parts} | {"kind"} == set(BearerKey.model_fields)
    assert RULES.proofs == {KeyAction.CREATE: (KeyProof.PERSON,), KeyAction.REVOKE: (KeyProof.PERSON,)}
    assert RULES.grade == "P"  # the markup is known from the vendor's skill


@given(st.text(max_size=12))
def test_no_rule_for_labels_is_known(label: str) -> None:
    assert RULES.label(label) is None
    assert RULES.label_rule == ""


@pytest.mark.parametrize("pool", ["default", "markup-5"])
def test_a_key_is_made_with_the_markup_of_its_pool(pool: str) -> None:
    steps = guide(KeyAction.CREATE, label="Shop1", pool=pool)
    assert [step.shows for step in steps] == [(), (), ("api_key",), ()]
    assert [step.later for step in steps] == [False, False, False, True]
    assert {step.page for step in steps} == {"the dashboard"}
    assert [step.enter for step in steps if step.enter] == [{"markup": f"that of the pool {pool}"}]
    assert "do not stand in for each other" in steps[1].text


@pytest.mark.parametrize("permissions", [frozenset(Permission), frozenset({Permission.READ})])
@pytest.mark.parametrize("networks", [None, ("203.0.113.7/32",)])
@pytest.mark.parametrize("action", KeyAction)
def test_nothing_is_ticked_asked_or_numbered(
    action: KeyAction, networks: tuple[str, ...] | None, permissions: frozenset[Permission]
) -> None:
    # There are no boxes and no list of addresses, and the vendor numbers no steps.
    steps = guide(action, permissions=permissions, networks=networks)
    assert steps == guide(action)
    assert not any(step.tick or step.asks or step.covers for step in steps)


def test_revoking_says_the_vendors_order_and_what_it_does() -> None:
    first, second = guide(KeyAction.REVOKE, label="Shop1")
    assert "make a new key, switch over to it, and only then revoke the old one" in first.text
    assert second.text == "Revoke the key that the gateway calls Shop1: a revoked key loses access at once."
    assert second.page == "the dashboard"
    assert guide(KeyAction.REVOKE)[1].text.startswith("Revoke the key: ")


@pytest.mark.parametrize("action", [KeyAction.EDIT, KeyAction.DELETE, KeyAction.DELETE_ALL])
def test_what_the_vendor_does_not_describe_has_no_steps(action: KeyAction) -> None:
    assert guide(action) == ()
    assert action not in RULES.proofs


def test_an_account_with_a_ring_sends_the_keys_of_it() -> None:
    settings = AurexSettings.model_validate({"provider": "aurex", "auth": {"kind": "ring"}})
    adapter = AurexAdapter(Account("cards", Environment.LIVE, settings, lambda: NOW))
    assert isinstance(adapter.auth, NoAuth)
    one, again, other = (
        adapter.make_auth(BEARER.credentials.model_validate({"kind": BEARER.name, "api_key": Secret(text)}))
        for text in ("key-one", "key-one", "key-two")
    )
    sent = one.sign(Request("GET", "/users/1"), Signing(NOW, 1))
    assert sent.headers["Authorization"] == "Bearer key-one"
    assert [secret.reveal() for secret in other.secrets()] == ["key-two"]
    # The rate limit is each key's own.
    assert one.key_id == again.key_id != other.key_id
    refusal = answer({"success": False, "error": "Invalid or missing API key"}, status=401)
    with pytest.raises(AuthenticationFailed, match="Invalid or missing API key"):
        carry_out(adapter, adapter.verify_key(), refusal)
