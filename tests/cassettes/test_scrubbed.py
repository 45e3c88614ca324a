"""No cassette holds a secret, a card or somebody's address; neither does it speak of this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from cassettes.replaying import CASSETTES
from cassettes.scrubbing import PLACEHOLDERS, SITE
from gateway_aurpay.sandbox.access import API_KEY, API_TOKEN, PASSWORD, USERNAME

FILES = sorted(CASSETTES.glob("*/*/*.yaml"))
HOSTS = {
    "aurex": {"aurex.cash"},
    "aurpay": {"dashboard.aurpay.net"},
    "emirex": {"api.emirex.com"},
}
MADE_UP = (
    API_KEY,
    API_TOKEN,
    PASSWORD,
    USERNAME,
    "sandbox-aurpay-api-secret",
    "sandbox-aurpay-callback-secret",
    "aurex-sandbox-key-one",
    "aurex-sandbox-key-two",
    "emirex-sandbox-public-key",
    "emirex-sandbox-secret",
)
# The vendors' own samples, and obvious stand-ins.
SAMPLES = {
    "username": {"example-user"},
    "password": {"example-password"},
    "access_token": {"example-access-token"},
    "otp": {"123456"},
}
SECRET_FIELDS = re.compile(
    r"(?i)(pass|secret|token|api.?key|private|signature|^auth|cvv|cvc|otp|cardnumber|username|e-?mail)"
)
NOT_SECRET = {"contract_addr"}


def paths() -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(CASSETTES))) for path in FILES]


def exchanges(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
    return found


def texts(exchange: dict[str, Any]) -> list[str]:
    body = exchange["response"]["body"]["string"]
    said = [exchange["request"]["body"] or "", body]
    return [text.decode() if isinstance(text, bytes) else text for text in said]


def fields(data: Any) -> list[tuple[str, Any]]:
    if isinstance(data, dict):
        return [pair for name, value in data.items() for pair in [(name, value), *fields(value)]]
    return [pair for item in data for pair in fields(item)] if isinstance(data, list) else []


def luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def test_there_are_cassettes_of_every_provider() -> None:
    assert {(path.parent.parent.name, path.parent.name) for path in FILES} >= {
        (provider, kind) for provider in HOSTS for kind in ("documented", "sandbox")
    }


@pytest.mark.parametrize("path", paths())
def test_no_request_carries_a_key(path: Path) -> None:
    for exchange in exchanges(path):
        assert {name.lower() for name in exchange["request"]["headers"]} <= {"accept", "content-type"}
        assert {name.lower() for name in exchange["response"]["headers"]} <= {"content-type"}
        assert not urlsplit(exchange["request"]["uri"]).username


@pytest.mark.parametrize("path", paths())
def test_no_field_holds_a_secret(path: Path) -> None:
    for exchange in exchanges(path):
        query = re.findall(r"[?&]([^=]+)=([^&]*)", exchange["request"]["uri"])
        found = [pair for text in texts(exchange) if text.startswith(("{", "[")) for pair in fields(json.loads(text))]
        for name, value in [*found, *query]:
            if SECRET_FIELDS.search(name) and name not in NOT_SECRET:
                allowed = SAMPLES.get(name.lower(), set()) | {PLACEHOLDERS.get(name.lower())}
                assert value in allowed, f"{name} holds something that is no placeholder"


@pytest.mark.parametrize("path", paths())
def test_nothing_looks_like_a_credential_or_a_card(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for secret in MADE_UP:
        assert secret not in text
    assert not re.search(r"eyJ[A-Za-z0-9_-]{8,}\.", text), "a JSON web token"
    assert not re.search(r"(?i)bearer\s+[a-z0-9]", text)
    assert "BEGIN " not in text
    for digits in re.findall(r"(?<![\d.])\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}(?!\d)", text):
        assert not luhn(re.sub(r"\D", "", digits)), "a card's number"


@pytest.mark.parametrize("path", paths())
def test_it_speaks_of_the_provider_and_not_of_a_machine(path: Path) -> None:
    provider, kind = path.parent.parent.name, path.parent.name
    assert kind in ("documented", "sandbox", "live")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#"), "says where it comes from"
    assert not re.search(r"127\.0\.0\.1|localhost|/(?:home|tmp|root|var)/", text)
    hosts = {urlsplit(exchange["request"]["uri"]).hostname for exchange in exchanges(path)}
    assert hosts == ({urlsplit(SITE).hostname} if kind == "sandbox" else HOSTS[provider])


def test_the_scan_finds_what_it_looks_for(tmp_path: Path) -> None:
    """Each check above fails for a cassette that holds what it looks for."""
    folder = tmp_path / "aurex" / "live"
    folder.mkdir(parents=True)
    path = folder / "bad.yaml"
    exchange = {
        "request": {
            "method": "GET",
            "uri": "http://127.0.0.1/x",
            "headers": {"Authorization": ["Bearer abc"]},
            "body": None,
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": '{"cvv": "123", "cardNumber": "4000 0000 0000 0002"}'},
        },
    }
    path.write_text("# bad\n" + yaml.safe_dump({"interactions": [exchange], "version": 1}), encoding="utf-8")
    for check in (
        test_no_request_carries_a_key,
        test_no_field_holds_a_secret,
        test_nothing_looks_like_a_credential_or_a_card,
        test_it_speaks_of_the_provider_and_not_of_a_machine,
    ):
        with pytest.raises(AssertionError):
            check(path)
