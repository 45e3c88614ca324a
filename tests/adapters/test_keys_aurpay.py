"""Aurpay's keys: four kinds with their parts, what is known of how they are made, and nothing of how they end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.by_hand import answer, carry_out
from gateway.contracts import Account, GuideRequest, KeyKind, LoginAuth, NoAuth
from gateway.errors import AuthenticationFailed, Outcome, UnsupportedOperation
from gateway.exchange import Request, Signing
from gateway.models import Environment, GuideStep, KeyAction, KeyProof
from gateway.secrets import Secret
from gateway_aurpay import AURPAY
from gateway_aurpay.adapter import Aurpay
from gateway_aurpay.keys import RULES
from gateway_aurpay.settings import AurpaySettings, CallbackSecrets

NOW = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
PARTS = {
    "api-key": {"api_key": "canary-key"},
    "signature": {"api_token": "canary-token", "api_secret": "test-secret"},
    "login": {"username": "ada", "password": "canary-password"},
    "callback": {"token": "canary-callback-token", "secret": "canary-callback-secret"},
}


def kind(name: str) -> KeyKind:
    found = RULES.kind(name)
    assert found is not None
    return found


def guide(action: KeyAction, name: str, **more: Any) -> tuple[GuideStep, ...]:
    return RULES.guide(GuideRequest(action=action, kind=kind(name), **more))


def credentials(name: str) -> Any:
    """As they are put together from a ring and its vault."""
    public = kind(name).public_part
    parts = {
        part: text if public is not None and part == public.name else Secret(text) for part, text in PARTS[name].items()
    }
    return kind(name).credentials.model_validate({"kind": name, **parts})


@pytest.fixture
def adapter() -> Aurpay:
    settings = AurpaySettings.model_validate({"provider": "aurpay", "auth": {"kind": "ring"}})
    return Aurpay(Account("shop", Environment.LIVE, settings, lambda: NOW))


def test_the_provider_has_these_rules() -> None:
    assert AURPAY.keys is RULES
    assert [one.name for one in RULES.kinds] == list(PARTS)
    assert (RULES.permissions, RULES.restricts_addresses, RULES.differ_by) == (None, False, "")
    assert RULES.proofs == {KeyAction.CREATE: (KeyProof.PERSON,)}


@pytest.mark.parametrize(
    ("name", "secret", "public"),
    [
        ("api-key", ["api_key"], None),
        ("signature", ["api_secret", "api_token"], None),
        ("login", ["password"], "username"),
        ("callback", ["secret", "token"], None),
    ],
)
def test_the_parts_of_every_kind_the_one_under_the_label_first(
    name: str, secret: list[str], public: str | None
) -> None:
    found = kind(name)
    assert [part.name for part in found.secret_parts] == secret
    assert (None if found.public_part is None else found.public_part.name) == public
    required = {field for field, info in found.credentials.model_fields.items() if info.is_required()}
    assert {part.name for part in found.parts} | {"kind"} == required
    assert found.issues == (name == "login")
    assert found.for_callbacks == (name == "callback")


@given(st.text(max_size=12))
def test_no_rule_for_labels_is_known(label: str) -> None:
    assert RULES.label(label) is None
    assert RULES.label_rule == ""


@pytest.mark.parametrize(
    ("name", "page", "shows"),
    [
        ("api-key", "the dashboard", ("api_key",)),
        ("signature", "the dashboard", ("api_secret", "api_token")),
        ("login", None, ()),
        ("callback", "the dashboard's callback page", ("secret", "token")),
    ],
)
@pytest.mark.parametrize("networks", [None, ("203.0.113.7/32",)])
def test_where_each_kind_comes_from(
    name: str, page: str | None, shows: tuple[str, ...], networks: tuple[str, ...] | None
) -> None:
    first, *rest = guide(KeyAction.CREATE, name, label="Main", networks=networks)
    assert (first.page, first.shows, first.later) == (page, shows, False)
    assert first.asks == ((KeyProof.PASSWORD,) if name == "login" else ())
    assert all(step.later for step in rest)
    assert not any(step.tick or step.enter or step.covers for step in (first, *rest))


@pytest.mark.parametrize("action", [action for action in KeyAction if action is not KeyAction.CREATE])
@pytest.mark.parametrize("name", PARTS)
def test_nothing_is_known_of_how_a_key_is_changed_or_ended(action: KeyAction, name: str) -> None:
    assert guide(action, name, label="Main") == ()
    assert action not in RULES.proofs
    with pytest.raises(UnsupportedOperation, match="neither a call nor a way in the dashboard is documented"):
        AURPAY.capabilities.require("keys.revoke")


# Keys of a ring


def test_every_kind_has_its_auth(adapter: Aurpay) -> None:
    assert isinstance(adapter.auth, NoAuth)
    request, signing = Request("GET", "/api/v2/order/", query=(("page", "1"), ("size", "10"))), Signing(NOW, 1)
    key = adapter.make_auth(credentials("api-key"))
    assert key.sign(request, signing).headers["API-Key"] == "canary-key"
    pair = adapter.make_auth(credentials("signature")).sign(request, signing)
    assert pair.headers["API-Token"] == "canary-token"
    assert pair.headers["Signature"] == "Fl78Dtc3Bwg7dEnGIJ03r5allO4Tqz5o9Cp5wBI3gVA="
    login = adapter.make_auth(credentials("login"))
    assert isinstance(login, LoginAuth)
    assert login.login_due()
    assert not any(isinstance(adapter.make_auth(credentials(name)), LoginAuth) for name in set(PARTS) - {"login"})


@pytest.mark.parametrize("name", PARTS)
def test_no_secret_part_is_told(adapter: Aurpay, name: str) -> None:
    auth, kept = adapter.make_auth(credentials(name)), {PARTS[name][part.name] for part in kind(name).secret_parts}
    assert {secret.reveal() for secret in auth.secrets()} == kept
    for text in kept:
        assert text not in f"{auth.key_id} {credentials(name)!r} {auth!r}"


def test_callback_secrets_sign_no_request(adapter: Aurpay) -> None:
    auth = adapter.make_auth(credentials("callback"))
    with pytest.raises(AuthenticationFailed, match="prove callbacks") as caught:
        auth.sign(Request("GET", "/api/v2/order/"), Signing(NOW, 1))
    assert caught.value.outcome is Outcome.NOT_SENT
    assert "canary" not in str(caught.value)


def test_callback_secrets_are_both_needed_and_stand_in_a_ring_only() -> None:
    for parts in ({"token": "t"}, {"secret": "s"}, {"token": "t", "secret": Secret("")}, {"token": " ", "secret": "s"}):
        with pytest.raises(ValidationError):
            CallbackSecrets.model_validate({"kind": "callback", **parts})
    with pytest.raises(ValidationError, match="auth"):
        AurpaySettings.model_validate({"provider": "aurpay", "auth": {"kind": "callback", **PARTS["callback"]}})


def test_a_login_in_the_ring_issues_and_another_key_does_not(adapter: Aurpay) -> None:
    issued = answer({"code": 0, "message": "ok", "data": {"access_token": "issued", "expire": 86400}, "result": True})
    key, (request,) = carry_out(adapter, adapter.issue_key(credentials("login")), issued)
    assert key.secret.reveal() == "issued"
    assert (request.path, request.json) == (
        "/api/plugin/key/aurpay",
        {"username": "ada", "password": "canary-password"},
    )
    for other in (None, credentials("api-key"), credentials("callback")):
        with pytest.raises(UnsupportedOperation, match="neither user name nor password"):
            next(adapter.issue_key(other))


def test_a_refused_key_is_code_401_in_an_http_200(adapter: Aurpay) -> None:
    refusal = answer({"code": 401, "message": "API-Key is wrong", "data": None, "result": False})
    with pytest.raises(AuthenticationFailed, match="API-Key is wrong"):
        carry_out(adapter, adapter.verify_key(), refusal)
