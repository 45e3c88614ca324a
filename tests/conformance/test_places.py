"""Where something stands in what is sent, whatever the body is written in."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest

from gateway.exchange import Request
from gateway.testing.conformance.places import asked_places, sent_places, where
from gateway.testing.conformance.tap import Exchange, as_number

_JSON = b'{"to": [{"amount": 2.010}], "n": "7"}'


@pytest.mark.parametrize(
    "body, place, value",
    [
        (_JSON, "to.0.amount", "2.010"),
        (b"amount=2.010&n=7", "amount", "2.010"),
        (b'{"data": "{\\"amount\\": 2.010}"}', "data.amount", "2.010"),
        (b'{"data": "' + base64.b64encode(_JSON) + b'"}', "data.to.0.amount", "2.010"),
        (b'{"data": "' + base64.urlsafe_b64encode(_JSON).rstrip(b"=") + b'"}', "data.to.0.amount", "2.010"),
        (b"data=" + base64.b64encode(_JSON).replace(b"=", b"%3D").replace(b"+", b"%2B"), "data.to.0.amount", "2.010"),
        (b"<pay><amount>2.010</amount><n>7</n></pay>", "body.2", "2.010"),
    ],
    ids=["json", "form", "text", "base64", "base64url", "form-base64", "xml"],
)
def test_every_place_of_a_body_is_found(body: bytes, place: str, value: str) -> None:
    found = {where(key): text for key, text in sent_places(_exchange(body)).items()}
    assert found[place] == value
    assert as_number(found[place]) == Decimal("2.01")


def test_the_query_and_the_path_are_places_beside_the_body() -> None:
    found = {where(key): text for key, text in sent_places(_exchange(_JSON, "n=8&n=9", "/orders/A1/refund")).items()}
    assert found["n"] == "7"
    assert (found["?.n"], found["?.n.again"]) == ("8", "9")
    assert [text for key, text in found.items() if key.startswith("path")] == ["orders", "A1", "refund"]


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b"[]", b'""', b"\xff\xfe"])
def test_a_body_without_data_has_no_place_that_could_be_an_amount(body: bytes) -> None:
    assert [value for value in sent_places(_exchange(body)).values() if as_number(value) is not None] == []


def test_what_an_adapter_asks_for_has_its_headers() -> None:
    asked = Request("POST", "/pay", json={"amount": Decimal("0.10")}, headers={"Idempotency-Key": "k"}, write=True)
    found: dict[str, Any] = {where(key): value for key, value in asked_places(asked).items()}
    assert found == {"amount": "0.10", "header.idempotency-key": "k"}


def _exchange(body: bytes, query: str = "", path: str = "") -> Exchange:
    return Exchange("POST", path, query, {}, body, 200, b"{}")
