"""What every command gives back against running sandboxes: in a pipe, as JSON, and in the store."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import Result

from gateway import CardRequest, CustomerRequest, Gateway, LightningInvoice, Money, OrderRequest, WithdrawalRequest
from gateway.capabilities import OPERATIONS
from gateway.errors import OutcomeUnknown
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer, faults
from support.printed import document, failure, fields, rows

Run = Callable[..., Result]


def create(cli: Run, reference: str, *more: str) -> Result:
    return cli("orders", "create", "--reference", reference, "--price", "25.00 USD", "--account", "aurpay", *more)


# Without any configuration


def test_providers_are_listed_with_their_origin(cli: Run) -> None:
    found = document(cli("providers", "--json"))
    assert [row["name"] for row in found] == sorted(load_plugins().providers)
    assert list(found[0]) == ["name", "title", "distribution", "version", "entry_point", "error"]
    assert {"name": "aurex", "title": "Aurex", "entry_point": "gateway_aurex", "error": None}.items() <= found[
        0
    ].items()
    assert [row["title"] for row in rows(cli("providers"))] == ["Aurex", "Aurpay", "Emirex"]


def test_capabilities_are_the_adapters_tables(cli: Run) -> None:
    found = document(cli("capabilities", "--json"))
    expected = [
        {"provider": name, **row.to_dict()}
        for name, provider in sorted(load_plugins().providers.items())
        for row in provider.capabilities
    ]
    assert found == expected
    assert set(found[0]) == {"provider", "operation", "variant", "support", "grade", "source", "reason"}
    assert {row["operation"] for row in found} == set(OPERATIONS)
    assert [row["operation"] for row in rows(cli("capabilities"))] == [row["operation"] for row in found]


def test_capabilities_of_one_provider_and_of_an_account(cli: Run, shop: Path) -> None:
    assert {row["provider"] for row in document(cli("capabilities", "--provider", "emirex", "--json"))} == {"emirex"}
    of_account = document(cli("capabilities", "--account", "aurpay", "--json"))
    with Gateway.from_file() as gateway:
        table = gateway.account("aurpay").capabilities
    assert of_account == [{"provider": "aurpay", **row.to_dict()} for row in table]


def test_version(cli: Run) -> None:
    from gateway import __version__

    assert cli("--version").stdout == f"crypto-gateway {__version__}\n"
    assert document(cli("--json", "--version")) == {"version": __version__}


# Orders


def test_an_order_is_created_once_and_followed(cli: Run, shop: Path, server: SandboxServer) -> None:
    words = ("--pay-with", "USDT@tron", "--description", "two tickets", "--return-url", "https://shop.example/thanks")
    words += ("--metadata", "cart=1001", "--metadata", "note=a=b", "--settles-to", "merchant", "--customer", "c-42")
    before = len(server.orders("aurpay"))
    made = fields(create(cli, "order-1", *words))
    assert made["reference"] == "order-1"
    assert made["status"] == "pending"
    assert made["price"] == "25.00 USD"
    assert made["pay amount"].endswith(" USDT@tron")
    assert made["pay address"].startswith("T")
    assert made["metadata"] == "cart=1001, note=a=b"
    assert made["environment"] == "sandbox"

    again = document(create(cli, "order-1", *words, "--json"))
    assert again["provider_id"] == made["provider id"]
    assert len(server.orders("aurpay")) == before + 1
    assert again["description"] == "two tickets"
    assert again["customer"] == "c-42"

    server.pay("aurpay", made["provider id"])
    assert fields(cli("orders", "get", "order-1", "--no-refresh"))["status"] == "pending"
    paid = document(cli("orders", "get", "order-1", "--json"))
    assert paid["status"] == "paid"


def test_orders_are_listed_newest_first(cli: Run, shop: Path) -> None:
    for reference in ("list-1", "list-2", "list-3"):
        create(cli, reference)
    found = rows(cli("orders", "list"))
    assert [row["reference"] for row in found] == ["list-3", "list-2", "list-1"]
    assert {row["status"] for row in found} == {"pending"}
    assert [row["reference"] for row in document(cli("orders", "list", "--limit", "2", "--json"))] == [
        "list-3",
        "list-2",
    ]
    assert document(cli("orders", "list", "--status", "paid", "--json")) == []
    assert document(cli("orders", "list", "--account", "emirex", "--json")) == []


def test_an_expired_order_is_renewed(cli: Run, shop: Path, server: SandboxServer) -> None:
    first = fields(create(cli, "renew-1"))
    early = failure(cli("orders", "renew", "renew-1", "--json"))
    assert early["error"] == "Conflict"
    server.expire("aurpay", first["provider id"])
    assert fields(cli("orders", "get", "renew-1"))["status"] == "expired"
    second = fields(cli("orders", "renew", "renew-1", "--account", "aurpay"))
    assert second["status"] == "pending"
    assert second["provider id"] != first["provider id"]
    assert second["attempts"] == "1 aurpay expired, 2 aurpay pending"


def test_an_order_whose_number_was_not_told_is_linked(
    cli: Run, shop: Path, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults("aurpay").add(
        faults.Status(
            status=200, body='{"code": 0, "data": {"pay_url": "https://pay.example/1"}}', path="/api/order/pay-url"
        )
    )
    made = fields(cli("orders", "create", "--reference", "linked-1", "--price", "9.90 USD"))
    assert made["checkout url"] == "https://pay.example/1"
    assert "provider id" not in made
    other = fields(cli("orders", "create", "--reference", "linked-2", "--price", "9.90 USD"))["provider id"]
    refused = failure(cli("orders", "link", "linked-1", "--provider-id", other, "--json"))
    assert refused["error"] == "Conflict"
    assert "belongs to linked-2" in refused["message"]
    elsewhere = f"sqlite:///{shop / 'elsewhere.db'}"
    with monkeypatch.context() as patch:
        patch.setenv("GATEWAY_STORE", elsewhere)
        unknown = fields(cli("orders", "create", "--reference", "made-elsewhere", "--price", "9.90 USD"))["provider id"]
    assert fields(cli("orders", "link", "linked-1", "--provider-id", unknown))["provider id"] == unknown
    assert failure(cli("orders", "link", "linked-1", "--provider-id", unknown, "--json"))["error"] == "Conflict"


def test_an_order_takes_the_route_when_no_account_is_named(cli: Run, shop: Path) -> None:
    made = document(cli("orders", "create", "--reference", "routed-1", "--price", "9.90 EUR", "--json"))
    assert made["account"] == "aurpay"


# Wallets


def test_wallets(cli: Run, shop: Path) -> None:
    wallets = document(cli("wallets", "list", "--account", "aurpay", "--json"))
    assert {wallet["account"] for wallet in wallets} == {"aurpay"}
    assert {"asset": "ETH@ethereum", "kind": "custodial"}.items() <= wallets[0].items()
    shown = rows(cli("wallets", "list", "--account", "aurpay"))
    assert [row["asset"] for row in shown] == [wallet["asset"] for wallet in wallets]
    [lightning] = rows(cli("wallets", "list", "--account", "aurpay", "--kind", "lightning"))
    assert lightning["asset"] == "BTC@lightning"


def test_the_only_account_need_not_be_named(cli: Run, folder: Path, server: SandboxServer) -> None:
    env = {"GATEWAY_ACCOUNTS": json.dumps({"only": server.account("aurpay")}), "GATEWAY_STORE": "sqlite:///only.db"}
    wallets = document(cli("wallets", "list", "--json", env=env))
    assert {wallet["account"] for wallet in wallets} == {"only"}


def test_an_account_is_asked_for_where_there_are_several(cli: Run, shop: Path) -> None:
    error = failure(cli("wallets", "list", "--json"))
    assert error["error"] == "InvalidRequest"
    assert error["hint"] == "--account with one of: aurex, aurpay, emirex"


# Payouts


def payout(invoice: str, reference: str, *, amount: str = "0.0002") -> Sequence[str]:
    money = f"{amount} BTC@lightning"
    return ("withdrawals", "create", "--reference", reference, "--amount", money, "--to-invoice", invoice, "--yes")


def times_paid(server: SandboxServer, invoice: str) -> int:
    return [paid["destination"] for paid in server.ledger("aurpay")["payouts"]].count(invoice)


def test_a_payout_leaves_once(cli: Run, shop: Path, server: SandboxServer, invoice: Callable[[str], str]) -> None:
    text = invoice("0.0002")
    made = fields(cli(*payout(text, "payout-1"), "--account", "aurpay"))
    assert made["amount"] == "0.0002 BTC@lightning"
    assert made["to"] == text
    again = document(cli(*payout(text, "payout-1"), "--account", "aurpay", "--json"))
    assert again["created_at"][:19] == made["created at"][:19]
    assert times_paid(server, text) == 1
    assert document(cli("withdrawals", "get", "payout-1", "--json"))["reference"] == "payout-1"
    assert fields(cli("withdrawals", "get", "payout-1", "--no-refresh"))["account"] == "aurpay"
    assert [row["reference"] for row in rows(cli("withdrawals", "list"))] == ["payout-1"]
    assert document(cli("withdrawals", "list", "--status", "failed", "--account", "aurpay", "--json")) == []


def test_a_limit_stops_a_payout(cli: Run, shop: Path, server: SandboxServer, invoice: Callable[[str], str]) -> None:
    text = invoice("0.002")
    result = cli(*payout(text, "payout-2", amount="0.002"), "--account", "aurpay")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(
        r"error: aurpay .*0\.001 BTC.*\nhint: accounts\.aurpay\.limits\.per_withdrawal\n", result.stderr
    )
    assert times_paid(server, text) == 0


def test_a_card_is_topped_up(cli: Run, shop: Path, server: SandboxServer) -> None:
    with Gateway.from_file() as gateway:
        gateway.customers.create(CustomerRequest(reference="c-7", first_name="Ada", last_name="L"), account="aurex")
        order = gateway.orders.create(
            OrderRequest(
                reference="deposit-7", price=Money("500", "USD"), pay_with="USDT", customer="c-7", settles_to="customer"
            ),
            account="aurex",
        )
        server.pay("aurex", server.orders("aurex")[-1].id)
        assert gateway.orders.get("deposit-7").status == "paid", order
        card = gateway.cards.create(
            CardRequest(reference="card-7", customer="c-7", name="Ada L", initial_balance=Money("25", "USD")),
            account="aurex",
        )
    words = ("--reference", "topup-7", "--amount", "20 USD", "--to-card", card.provider_id, "--customer", "c-7")
    made = fields(cli("withdrawals", "create", *words, "--account", "aurex", "-y"))
    assert made["status"] == "completed"
    assert made["to"] == f"card {card.provider_id} of c-7"


def test_an_address_that_is_none_is_refused(cli: Run, shop: Path) -> None:
    words = ("--reference", "p-3", "--amount", "1 USDT@tron", "--to-address", "nonsense", "--memo", "7", "--yes")
    error = failure(cli("withdrawals", "create", *words, "--account", "aurpay", "--json"))
    assert error["outcome"] == "not_sent"
    assert document(cli("withdrawals", "list", "--json")) == []


# The journal


@pytest.fixture
def lost(shop: Path, server: SandboxServer, invoice: Callable[[str], str]) -> str:
    """A payout whose answer was lost: executed or not, nobody here knows."""
    server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
    text = invoice("0.0003")
    request = WithdrawalRequest(reference="lost-1", amount=Money("0.0003", "BTC@lightning"), to=LightningInvoice(text))
    with Gateway.from_file() as gateway, pytest.raises(OutcomeUnknown):
        gateway.withdrawals.create(request, account="aurpay")
    return text


def test_the_journal_is_shown(cli: Run, lost: str) -> None:
    [entry] = document(cli("journal", "list", "--state", "unknown", "--account", "aurpay", "--json"))
    assert entry["reference"] == "lost-1"
    assert entry["state"] == "unknown"
    [row] = rows(cli("journal", "list"))
    assert row["operation"] == "withdrawals.create"
    assert row["error"] == entry["error"]["message"]
    assert rows(cli("journal", "list", "--state", "done", "--state", "sent")) == []
    shown = fields(cli("journal", "show", "lost-1"))
    assert shown["state"] == "unknown"
    assert json.loads(shown["request"])["amount"] == {"amount": "0.0003", "asset": "BTC@lightning"}
    assert document(cli("journal", "show", "lost-1", "--json")) == [entry]


def test_several_entries_of_a_reference_are_shown_apart(cli: Run, shop: Path, server: SandboxServer) -> None:
    made = fields(create(cli, "twice-1"))
    server.expire("aurpay", made["provider id"])
    cli("orders", "get", "twice-1")
    cli("orders", "renew", "twice-1")
    first, second = cli("journal", "show", "twice-1").stdout.split("\n\n")
    assert "\nscope\t1\n" in first
    assert "\nscope\t2\n" in second


def test_an_unknown_outcome_is_settled_and_never_sent_again(cli: Run, lost: str, server: SandboxServer) -> None:
    refused = failure(cli(*payout(lost, "lost-1", amount="0.0003"), "--account", "aurpay", "--json"))
    assert refused["error"] == "OutcomeUnknown"
    assert refused["outcome"] == "unknown"
    settled = fields(
        cli(
            *("journal", "settle", "lost-1", "--as", "done", "--reason", "seen on the dashboard", "--yes"),
            *("--operation", "withdrawals.create", "--scope", "", "--provider-id", "w-1"),
        )
    )
    assert settled["state"] == "done"
    assert settled["settled because"] == "seen on the dashboard"
    assert settled["provider id"] == "w-1"
    assert fields(cli("withdrawals", "get", "lost-1", "--no-refresh"))["status"] == "completed"
    again = failure(cli("journal", "settle", "lost-1", "--as", "failed", "--reason", "x", "--yes", "--json"))
    assert again["error"] == "Conflict"
    assert times_paid(server, lost) == 1


def test_a_reference_without_an_entry(cli: Run, shop: Path) -> None:
    error = failure(cli("journal", "show", "nobody", "--json"))
    assert error["error"] == "NotFound"
    assert error["reference"] == "nobody"


# Freezing


def test_a_frozen_account_pays_nothing_until_it_is_released(
    cli: Run, shop: Path, server: SandboxServer, invoice: Callable[[str], str]
) -> None:
    text = invoice("0.0001")
    frozen = fields(cli("freeze", "aurpay", "--reason", "a key may have leaked"))
    assert frozen["frozen"] == "yes"
    assert frozen["reason"] == "a key may have leaked"
    error = failure(cli(*payout(text, "frozen-1", amount="0.0001"), "--account", "aurpay", "--json"))
    assert error["error"] == "LimitExceeded"
    assert times_paid(server, text) == 0
    assert document(cli("freeze", "aurpay", "--release", "--yes", "--json")) == {"account": "aurpay", "frozen": False}
    assert cli(*payout(text, "frozen-1", amount="0.0001"), "--account", "aurpay").exit_code == 0
    assert times_paid(server, text) == 1


def test_a_freeze_in_the_configuration_is_not_released(cli: Run, shop: Path) -> None:
    env = {"GATEWAY_ACCOUNTS__EMIREX__LIMITS": '{"frozen": true}'}
    found = document(cli("freeze", "emirex", "--release", "--yes", "--json", env=env))
    assert found["frozen"] is True
    assert found["by"] == "the configuration"


# The store


def test_the_store_is_checked_and_upgraded(cli: Run, shop: Path) -> None:
    missing = failure(cli("store", "check", "--json"))
    assert missing["error"] == "StoreError"
    assert not (shop / "gateway.db").exists()

    create(cli, "store-1")
    sound = document(cli("store", "check", "--json"))
    assert sound["ok"] is True
    assert sound["journal"] == {"done": 1}
    assert fields(cli("store", "check"))["journal"] == "done 1"
    upgraded = document(cli("store", "upgrade", "--json"))
    assert upgraded == {"store": str(shop / "gateway.db"), "from": sound["head"], "to": sound["head"]}


def test_an_empty_database_is_upgraded_from_nothing(cli: Run, shop: Path) -> None:
    sqlite3.connect(shop / "gateway.db").close()
    (shop / "gateway.db").touch()
    upgraded = document(cli("store", "upgrade", "--json"))
    assert upgraded["from"] is None
    assert document(cli("store", "check", "--json"))["schema"] == upgraded["to"]


def test_a_store_that_is_not_sound_is_shown_and_is_a_failure(cli: Run, shop: Path) -> None:
    create(cli, "unsound-1")
    with sqlite3.connect(shop / "gateway.db") as connection:
        connection.execute("UPDATE attempts SET reference = 'nobody'")
    connection.close()
    result = cli("store", "check")
    assert result.exit_code == 1
    assert "\nok\tno\n" in result.stdout
    assert result.stderr.startswith("error: the store is not as it should be\nhint: ")
    as_json = cli("store", "check", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["ok"] is False
    assert as_json.stderr == ""
