"""Emirex's keys: the label rule, the help article's fourteen steps for every request, and the auth of a key."""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.by_hand import NUMBER, answer, carry_out
from gateway.contracts import Account, GuideRequest, NoAuth, Query
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.exchange import Request, Signing
from gateway.models import Environment, GuideStep, KeyAction, KeyProof, Permission
from gateway.secrets import Secret
from gateway_emirex import PROVIDER
from gateway_emirex.adapter import EmirexAdapter
from gateway_emirex.keys import RULES
from gateway_emirex.settings import EmirexSettings, SignedKeys

NOW = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
CODES = (KeyProof.EMAIL_CODE, KeyProof.ONE_TIME_CODE)
(SIGNED,) = RULES.kinds
SOME = [frozenset(chosen) for count in (1, 2, 3) for chosen in combinations(Permission, count)]


def guide(action: KeyAction, label: str | None = "Payout1", **more: Any) -> tuple[GuideStep, ...]:
    return RULES.guide(GuideRequest(action=action, kind=SIGNED, label=label, **more))


def numbers(steps: Sequence[GuideStep]) -> list[int]:
    return [number for step in steps for number in step.covers]


def covering(steps: Sequence[GuideStep], number: int) -> GuideStep:
    (step,) = (step for step in steps if number in step.covers)
    return step


def test_the_provider_has_these_rules() -> None:
    assert PROVIDER.keys is RULES
    assert RULES.kind("signed") is SIGNED
    assert RULES.kind("bearer") is None
    assert (RULES.permissions, RULES.restricts_addresses, RULES.differ_by) == (frozenset(Permission), True, "")
    assert (SIGNED.for_callbacks, SIGNED.issues) == (False, False)
    assert SIGNED.public_part is not None
    assert SIGNED.public_part.name == "public_key"
    assert [part.name for part in SIGNED.secret_parts] == ["secret"]
    assert {part.name for part in SIGNED.parts} | {"kind"} == set(SignedKeys.model_fields)
    assert (RULES.grade, "How does Emirex API work?" in RULES.source) == ("D", True)


# Labels


@pytest.mark.parametrize("label", ["Payout1", "aB3", "0aZ", "Read-only_2", "zzzA9"])
def test_labels_that_the_rule_takes(label: str) -> None:
    assert RULES.label(label) is None


@pytest.mark.parametrize(
    ("label", "missing"),
    [
        ("", "has no upper-case letter and no lower-case letter and no digit"),
        ("payout1", "has no upper-case letter"),
        ("PAYOUT1", "has no lower-case letter"),
        ("Payout", "has no digit"),
        ("payout", "has no upper-case letter and no digit"),
        ("123", "has no upper-case letter and no lower-case letter"),
        ("-_-", "has no upper-case letter and no lower-case letter and no digit"),
        ("Éa1", "has no upper-case letter"),
        ("Aé1", "has no lower-case letter"),
        ("Aa\u0661", "has no digit"),
    ],
)
def test_labels_that_the_rule_refuses_and_why(label: str, missing: str) -> None:
    assert RULES.label(label) == f"{missing}; Emirex asks for {RULES.label_rule}"


@given(st.text(string.ascii_letters + string.digits + "-_", max_size=12))
def test_the_rule_is_the_three_classes_and_nothing_else(label: str) -> None:
    classes = (string.ascii_uppercase, string.ascii_lowercase, string.digits)
    has_all = all(set(label) & set(known) for known in classes)
    assert (RULES.label(label) is None) == has_all
    if has_all:
        assert RULES.label(label[::-1]) is None
        assert RULES.label(f"{label}-x") is None


# Guides


@pytest.mark.parametrize(
    ("action", "covered"),
    [
        (KeyAction.CREATE, list(range(1, 15))),
        (KeyAction.EDIT, [7, 8, 9, 10, 14]),
        (KeyAction.REVOKE, [11, 12, 14]),
        (KeyAction.DELETE, [11, 12, 14]),
        (KeyAction.DELETE_ALL, [13, 14]),
    ],
)
@pytest.mark.parametrize("label", ["Payout1", None])
def test_every_step_of_the_sheet_is_covered_once_and_in_order(
    action: KeyAction, covered: list[int], label: str | None
) -> None:
    assert numbers(guide(action, label)) == covered


def test_only_the_end_of_a_new_key_comes_later() -> None:
    create = guide(KeyAction.CREATE)
    assert [step.covers for step in create if step.later] == [(11, 12), (13,)]
    for action in set(KeyAction) - {KeyAction.CREATE}:
        assert not any(step.later for step in guide(action))


@pytest.mark.parametrize("action", KeyAction)
def test_what_is_asked_for(action: KeyAction) -> None:
    assert RULES.proofs[action] == (*CODES, KeyProof.PERSON)
    asking = [step.covers for step in guide(action) if step.asks]
    assert all(step.asks in ((), CODES) for step in guide(action))
    own = {
        KeyAction.CREATE: [(4,), (9, 10), (11, 12), (13,)],
        KeyAction.EDIT: [(9, 10)],
        KeyAction.REVOKE: [(11, 12)],
        KeyAction.DELETE: [(11, 12)],
        KeyAction.DELETE_ALL: [(13,)],
    }
    assert asking == own[action]
    for step in guide(action):
        if step.asks:
            assert "code from the e-mail" in step.text
            assert "if Google 2FA is on" in step.text


def test_the_label_is_entered_where_the_key_is_made() -> None:
    assert covering(guide(KeyAction.CREATE), 2).enter == {"label": "Payout1"}
    unnamed = covering(guide(KeyAction.CREATE, None), 2)
    assert unnamed.enter == {}
    assert RULES.label_rule in unnamed.text


def test_the_secret_is_shown_once_and_the_public_key_in_the_list() -> None:
    shown = [(step.covers, step.shows) for step in guide(KeyAction.CREATE) if step.shows]
    assert shown == [((5,), ("secret",)), ((6,), ("public_key",))]
    assert "one time only" in covering(guide(KeyAction.CREATE), 5).text
    for action in set(KeyAction) - {KeyAction.CREATE}:
        assert not any(step.shows for step in guide(action))


@pytest.mark.parametrize("action", [KeyAction.CREATE, KeyAction.EDIT])
@pytest.mark.parametrize("permissions", SOME)
@pytest.mark.parametrize(
    ("networks", "entered"),
    [
        (None, None),
        (("203.0.113.7/32",), "203.0.113.7"),
        (("203.0.113.7", "2001:db8::1/128"), "203.0.113.7, 2001:db8::1"),
        (("203.0.113.0/24", "198.51.100.9/32"), "203.0.113.0/24, 198.51.100.9"),
    ],
)
def test_boxes_and_addresses_of_every_combination(
    action: KeyAction, permissions: frozenset[Permission], networks: tuple[str, ...] | None, entered: str | None
) -> None:
    steps = guide(action, permissions=permissions, networks=networks)
    step = covering(steps, 7)
    assert [other.covers for other in steps if other.tick] == [(7, 8)]
    assert step.tick == tuple(box for box in ("read", "trade", "withdraw") if box in permissions)
    left = step.text.partition("ticked")[2].partition(";")[0]
    for box in {"trade", "withdraw"} - permissions:
        assert box in left
    assert left.endswith(" not") == (not permissions >= {"trade", "withdraw"})
    assert ("leave read as it is" in step.text) == (Permission.READ not in permissions)
    if networks is None:
        assert step.enter == {"IP access": "all addresses"}
        assert "does not recommend" in step.text
    else:
        assert step.enter == {"IP access": "trusted IPs only", "trusted IPs": entered}
        assert "recommends" in step.text
        assert ("whole networks is not documented" in step.text) == ("/24" in str(entered))


def test_the_page_is_named_by_the_vendors_words() -> None:
    for action in KeyAction:
        for step in guide(action):
            assert step.page == (None if step.covers in ((1,), (14,)) else "Profile -> API Management")
    text = " ".join(step.text for step in guide(KeyAction.CREATE))
    for word in ("Send code", "Add", "Edit permissions", "Delete", "Delete All API Key"):
        assert f'"{word}"' in text


def test_the_key_is_named_where_it_is_known() -> None:
    for action in (KeyAction.EDIT, KeyAction.REVOKE, KeyAction.DELETE):
        assert guide(action)[0].text.startswith("At the key Payout1, press")
        assert guide(action, None)[0].text.startswith("At the key, press")


# Keys of a ring


def ring_account(*ring: Any) -> EmirexAdapter:
    settings = EmirexSettings.model_validate({"provider": "emirex", "auth": {"kind": "ring"}})
    return EmirexAdapter(Account("treasury", Environment.LIVE, settings, lambda: NOW, lambda: ring))


def test_an_account_with_a_ring_signs_with_the_keys_of_it() -> None:
    adapter = ring_account()
    assert isinstance(adapter.auth, NoAuth)
    request = next(adapter.list_wallets(Query()))
    assert (request.path, request.signed) == ("/private/balances", True)
    parts = {"public_key": Secret("p"), "secret": Secret("secret")}
    auth = adapter.make_auth(SIGNED.credentials.model_validate({"kind": SIGNED.name, **parts}))
    check = Request("POST", "/private/x", json={"order_id": "42"}, write=True)
    signed = auth.sign(check, Signing(NOW, NUMBER))
    assert signed.headers["login-token"] == "p"
    assert signed.headers["X-Auth-Sign"] == "b2b4b3a8e5b9e10c6d454818170b2da6f386ceda43917c451a1821fb9f554163"
    assert {secret.reveal() for secret in auth.secrets()} == {"p", "secret"}
    assert auth.numbered


def test_without_keys_the_error_names_the_ring_too() -> None:
    adapter = EmirexAdapter(Account("treasury", Environment.LIVE, EmirexSettings(provider="emirex"), lambda: NOW))
    with pytest.raises(ConfigurationError, match="needs the account's keys") as caught:
        next(adapter.verify_key())
    assert 'auth = { kind = "ring" }' in str(caught.value.hint)


def test_keys_have_numbers_and_limits_of_their_own() -> None:
    adapter = ring_account()
    one, again, other = (
        adapter.make_auth(SignedKeys.model_validate({"kind": "signed", "public_key": public, "secret": "s"}))
        for public in ("one", "one", "other")
    )
    assert one.key_id == again.key_id != other.key_id
    assert "one" not in one.key_id


def test_a_refused_key_is_a_business_error_whose_text_is_not_known() -> None:
    # No text is known to mean "wrong key", so none is read as a 401.
    adapter = ring_account()
    with pytest.raises(InvalidRequest, match="Incorrect login-token"):
        carry_out(
            adapter, adapter.verify_key(), answer({"status": False, "error": "Incorrect login-token"}, status=400)
        )
