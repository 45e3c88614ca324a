"""Refunds, what a provider lists, and its keys: against running sandboxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gateway.testing import SandboxServer, faults
from support.printed import document, failure, fields, rows

Run = Callable[..., Result]
SHOP = ("--account", "aurpay")


def paid(cli: Run, server: SandboxServer, reference: str) -> str:
    """A paid order; the provider's number of it."""
    made = fields(cli("orders", "create", "--reference", reference, "--price", "25.00 USD", *SHOP))
    server.pay("aurpay", made["provider id"])
    assert fields(cli("orders", "get", reference))["status"] == "paid"
    return made["provider id"]


def refunds(server: SandboxServer) -> int:
    return sum(call.method == "POST" and "refund" in call.path for call in server.requests["aurpay"])


# Refunds


def test_an_order_is_refunded_once(cli: Run, shop: Path, server: SandboxServer) -> None:
    number = paid(cli, server, "refunded-1")
    before = refunds(server)
    words = ("refunds", "create", "--reference", "refund-1", "--order", "refunded-1", "--reason", "broken", "--yes")
    made = fields(cli(*words))
    assert {"reference": "refund-1", "order": "refunded-1", "account": "aurpay"}.items() <= made.items()
    assert made["provider id"] == number
    again = document(cli(*words, "--json"))
    assert again["created_at"][:19] == made["created at"][:19]
    assert refunds(server) == before + 1
    assert document(cli("refunds", "get", "refund-1", "--json"))["order"] == "refunded-1"
    assert fields(cli("refunds", "get", "refund-1", "--no-refresh"))["environment"] == "sandbox"


def test_a_refund_is_asked_for(asked: Run, cli: Run, server: SandboxServer) -> None:
    paid(cli, server, "refunded-2")
    before = refunds(server)
    words = ("refunds", "create", "--reference", "refund-2", "--order", "refunded-2")
    whole = asked(*words, answer="n\n")
    assert whole.exit_code == 1
    assert "Refund all of 25.00 USD of refunded-2 from aurpay (aurpay, sandbox) as refund-2? [y/N] " in whole.stderr
    part = asked(*words, "--amount", "5 USD", answer="n\n")
    assert "Refund 5 USD of refunded-2 from" in part.stderr
    assert refunds(server) == before
    assert asked(*words, answer="y\n").exit_code == 0
    assert refunds(server) == before + 1


def test_nothing_is_refunded_unasked(cli: Run, shop: Path, server: SandboxServer) -> None:
    paid(cli, server, "refunded-3")
    before = refunds(server)
    result = cli("refunds", "create", "--reference", "refund-3", "--order", "refunded-3", "--json")
    assert result.exit_code == 2
    assert result.stderr.endswith("hint: add --yes\n")
    assert refunds(server) == before
    assert failure(cli("refunds", "get", "refund-3", "--json"))["error"] == "NotFound"


def test_one_of_two_payments_is_refunded(asked: Run, cli: Run, server: SandboxServer) -> None:
    first = fields(cli("orders", "create", "--reference", "twice-1", "--price", "25.00 USD", *SHOP))["provider id"]
    server.expire("aurpay", first)
    second = fields(cli("orders", "renew", "twice-1"))["provider id"]
    server.pay("aurpay", first, "late")
    server.pay("aurpay", second)
    assert fields(cli("orders", "get", "twice-1"))["status"] == "paid"
    words = ("refunds", "create", "--reference", "refund-9", "--order", "twice-1")
    any_of_them = asked(*words, answer="n\n")
    assert "Refund all of one payment of twice-1 (attempts 1, 2 are paid) as refund-9? [y/N] " in any_of_them.stderr
    named = asked(*words, "--attempt", "1", answer="n\n")
    assert "of twice-1, attempt 1, from aurpay (aurpay, sandbox) as refund-9? [y/N] " in named.stderr
    made = fields(cli(*words, "--attempt", "1", "--yes"))
    assert (made["attempt"], made["provider id"]) == ("1", first)
    assert failure(cli(*words[:3], "refund-8", *words[4:], "--attempt", "3", "--yes", "--json"))["error"] == "NotFound"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (("--order", "nothing"), "NotFound"),
        (("--order", "open-1"), "Conflict"),
        (("--order", "open-1", "--amount", "much"), "InvalidRequest"),
        (("--order", "open-1", "--amount", "0 USD"), "InvalidRequest"),
    ],
)
def test_what_cannot_be_refunded(cli: Run, shop: Path, more: tuple[str, ...], kind: str) -> None:
    cli("orders", "create", "--reference", "open-1", "--price", "9 USD", *SHOP)
    error = failure(cli("refunds", "create", "--reference", "refund-4", *more, "--yes", "--json"))
    assert (error["error"], error["outcome"]) == (kind, "not_sent")


# Orders as the provider has them


def test_an_order_of_the_provider_is_fetched(cli: Run, shop: Path, server: SandboxServer) -> None:
    number = paid(cli, server, "fetched-1")
    found = fields(cli("orders", "fetch", *SHOP, "--provider-id", number))
    assert {"provider id": number, "status": "paid", "reference": "fetched-1"}.items() <= found.items()
    as_json = document(cli("orders", "fetch", *SHOP, "--provider-id", number, "--json"))
    assert as_json["price"] == {"amount": "25", "asset": "USD"}
    [row] = [row for row in rows(cli("orders", "fetch", *SHOP)) if row["provider id"] == number]
    assert row["reference"] == "fetched-1"
    assert len(document(cli("orders", "fetch", *SHOP, "--limit", "1", "--json"))) == 1


def test_what_cannot_be_fetched(cli: Run, shop: Path) -> None:
    assert failure(cli("orders", "fetch", *SHOP, "--provider-id", "none", "--json"))["outcome"] == "rejected"
    assert failure(cli("orders", "fetch", "--provider-id", "1", "--json"))["error"] == "InvalidRequest"
    assert failure(cli("orders", "fetch", "--account", "emirex", "--json"))["error"] == "UnsupportedOperation"
    both = cli("orders", "fetch", *SHOP, "--provider-id", "1", "--customer", "c-1")
    assert (both.exit_code, both.stdout) == (2, "")
    assert "exclude each other" in both.stderr


# Currencies and transactions


def test_currencies(cli: Run, shop: Path) -> None:
    crypto = document(cli("currencies", *SHOP, "--json"))
    assert {"code": "USDT-TRC20", "kind": "crypto", "asset": "USDT@tron"}.items() <= {
        currency["code"]: currency for currency in crypto
    }["USDT-TRC20"].items()
    assert [row["code"] for row in rows(cli("currencies", *SHOP))] == [currency["code"] for currency in crypto]
    fiat = rows(cli("currencies", *SHOP, "--kind", "fiat"))
    assert {row["kind"] for row in fiat} == {"fiat"}
    assert failure(cli("currencies", "--account", "emirex", "--json"))["error"] == "UnsupportedOperation"
    assert cli("currencies", *SHOP, "--kind", "shells").exit_code == 2


def test_transactions(cli: Run, shop: Path, server: SandboxServer) -> None:
    number = paid(cli, server, "moved-1")
    listed = rows(cli("transactions", *SHOP))
    found = fields(cli("orders", "fetch", *SHOP, "--provider-id", number))
    assert listed[0]["kind"] == "ORDER"
    assert found["transactions"]
    as_json = document(cli("transactions", *SHOP, "--limit", "1", "--json"))
    assert [movement["provider_id"] for movement in as_json] == [listed[0]["provider id"]]
    assert failure(cli("transactions", "--account", "aurex", "--json"))["error"] == "UnsupportedOperation"


# Keys


def test_a_key_is_verified(cli: Run, shop: Path, server: SandboxServer) -> None:
    expected = {"account": "aurpay", "provider": "aurpay", "environment": "sandbox", "verified": True}
    assert document(cli("keys", "verify", *SHOP, "--json")) == expected
    assert fields(cli("keys", "verify", *SHOP))["verified"] == "yes"


def test_a_key_that_is_refused(cli: Run, shop: Path, server: SandboxServer) -> None:
    server.faults("aurpay").add(faults.Status(status=401, times=2))
    error = failure(cli("keys", "verify", *SHOP, "--json"))
    assert error["error"] == "AuthenticationFailed"
    server.faults("aurpay").clear()
    assert document(cli("keys", "verify", "--account", "aurex", "--json"))["verified"] is True
    assert failure(cli("keys", "verify", "--json"))["hint"] == "--account with one of: aurex, aurpay, emirex"
