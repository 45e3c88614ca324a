"""`gateway callbacks`: the inbox as a person sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Run
from gateway import Gateway, OrderRequest
from gateway.testing import SandboxServer
from support.printed import document, failure, fields, rows

BASE = "http://127.0.0.1:1/pay"


@pytest.fixture
def called_back(shop: Path, server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A shop with a paid order whose callback has come, and one by a stranger; the order's number at the provider."""
    config = shop / "gateway.toml"
    keys = f'public_base_url = "{BASE}"\ncallback_key = "a-callback-key-of-the-tests"\n'
    config.write_text(keys + config.read_text(encoding="utf-8"), encoding="utf-8")
    sent: list[Any] = []
    sandbox = server.sandbox("aurpay")
    monkeypatch.setattr(sandbox, "emit", sent.append)
    with Gateway.from_file(config) as gateway:
        order = gateway.orders.create(OrderRequest(reference="cart-1", price="25.00 USD", pay_with="USDT@tron"))
        assert order.provider_id is not None
        server.pay("aurpay", order.provider_id)
        # The proof covers the address, so a stranger's body can stand beneath it.
        escapes = replace(sent[0], body=b"\x1b[31m")
        for callback in (escapes, sandbox.forged(sent[0])):
            status = gateway.callbacks.receive(
                method=callback.method,
                url=callback.url,
                headers=callback.headers,
                body=callback.body,
                client="192.0.2.7",
            )
            assert status == 200
    return order.provider_id


def test_the_inbox_is_listed_processed_and_shown(cli: Run, called_back: str) -> None:
    found = rows(cli("callbacks", "list"))
    assert [(row["number"], row["order"], row["account"], row["state"], row["proof"]) for row in found] == [
        ("2", "cart-1", "aurpay", "waiting", "differs"),
        ("1", "cart-1", "aurpay", "waiting", "matches"),
    ]
    assert rows(cli("callbacks", "list", "--state", "processed")) == []
    assert len(document(cli("callbacks", "list", "--order", "cart-1", "--limit", "1", "--json"))) == 1
    assert rows(cli("callbacks", "list", "--account", "emirex")) == []
    assert document(cli("callbacks", "process", "--json")) == {"processed": 1}
    assert fields(cli("callbacks", "process")) == {"attempts processed": "0"}
    assert fields(cli("orders", "get", "cart-1"))["status"] == "paid"
    shown = fields(cli("callbacks", "show", "2"))
    assert shown["state"] == "processed"
    assert shown["proof differs because"] in shown["error"]
    assert shown["provider id"] == called_back
    assert shown["url"].startswith(f"{BASE}/aurpay/")
    assert (shown["client"], shown["method"]) == ("192.0.2.7", "POST")


def test_what_is_shown_is_obeyed_by_no_terminal_and_holds_no_secret(cli: Run, called_back: str) -> None:
    text = cli("callbacks", "show", "1").stdout
    assert "\x1b" not in text
    assert "\\x1b[31m" in text
    data = document(cli("callbacks", "show", "1", "--json"))
    assert (data["id"], data["reference"], data["state"], data["proof"]) == (1, "cart-1", "waiting", "matches")
    for secret in ("sandbox-aurpay-callback-token", "sandbox-aurpay-callback-secret", "a-callback-key"):
        assert secret not in str(data)


def test_a_callback_that_is_not_there(cli: Run, shop: Path) -> None:
    error = failure(cli("callbacks", "show", "7", "--json"))
    assert (error["message"], error["hint"]) == ("the inbox has no callback 7", "see `gateway callbacks list`")
    assert cli("callbacks", "list", "--state", "lost").exit_code == 2
    assert rows(cli("callbacks", "list")) == []
