"""New keys, options that one provider knows, deadlines, and calls that are not modelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import Result

from cli.conftest import Run
from gateway.cli.options import options_of
from gateway.secrets import HIDDEN
from gateway.testing import SandboxServer, accounts_toml
from gateway_aurpay.sandbox.service import PASSWORD, USERNAME
from support.printed import document, failure

CREATE = ("orders", "create", "--price", "25.00 USD", "--account", "aurpay")


@pytest.fixture
def login(shop: Path, server: SandboxServer) -> Path:
    account = server.account("aurpay") | {"auth": {"kind": "login", "username": USERNAME, "password": PASSWORD}}
    (shop / "gateway.toml").write_text(accounts_toml({"login": account}), encoding="utf-8")
    return shop


def test_a_new_key_is_hidden_unless_it_is_asked_for(login: Path, cli: Run) -> None:
    hidden = document(cli("keys", "issue", "--yes", "--json"))
    assert hidden["key"] == HIDDEN
    assert hidden["expires_at"]
    shown = document(cli("keys", "issue", "--yes", "--reveal", "--json"))
    assert len(shown["key"]) > 10
    assert shown["key"] != HIDDEN


def test_keys_and_writes_are_asked_for_first(shop: Path, asked: Callable[..., Result], server: SandboxServer) -> None:
    before = len(server.requests["aurpay"])
    refused = asked("keys", "issue", "--account", "aurpay", answer="n\n")
    assert "nothing was done" in refused.stderr
    refused = asked("request", "POST", "/api/order/pay-url", "--account", "aurpay", answer="n\n")
    assert refused.exit_code == 1
    assert "nothing was done" in refused.stderr
    assert len(server.requests["aurpay"]) == before


def test_options_are_json_or_text_and_never_a_float() -> None:
    texts = ["aurpay.a=true", "aurpay.b=1.10", "aurpay.c=NaN", "aurex.d=some text", 'aurex.e={"x": [1e-8]}']
    found = options_of(texts)
    assert found == {
        "aurpay": {"a": True, "b": Decimal("1.10"), "c": "NaN"},
        "aurex": {"d": "some text", "e": {"x": [Decimal("1e-8")]}},
    }
    assert isinstance(found["aurpay"]["b"], Decimal)


@pytest.mark.parametrize("text", ["aurpay=1", "aurpay.x", "other.x=1"])
def test_wrong_options_are_misuse(shop: Path, cli: Run, text: str) -> None:
    refused = cli(*CREATE, "--reference", "o-1", "--provider-option", text)
    assert refused.exit_code == 2
    assert "--provider-option" in refused.stderr


def test_an_option_reaches_its_provider(shop: Path, cli: Run) -> None:
    refused = cli(*CREATE, "--reference", "o-2", "--provider-option", "aurpay.nothing=1", "--json")
    assert "nothing" in json.dumps(failure(refused))


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "86401", "soon"])
def test_a_deadline_is_a_time(shop: Path, cli: Run, seconds: str) -> None:
    refused = cli(*CREATE, "--reference", "d-1", "--deadline", seconds)
    assert refused.exit_code == 2
    assert "--deadline" in refused.stderr
    assert document(cli("orders", "list", "--json")) == []


def test_a_reference_is_refused_in_plain_words(shop: Path, cli: Run) -> None:
    for reference in ("", "two words", "x" * 129):
        refused = failure(cli(*CREATE, "--reference", reference, "--json"))
        assert "1 to 128 printable ASCII characters and no spaces" in refused["message"]
