"""Customers, their wallets and their cards: against a running sandbox. Numbers stay masked until they are asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gateway.testing import SandboxServer
from support.printed import document, failure, fields, rows

Run = Callable[..., Result]
HERE = ("--account", "aurex")
NUMBER = re.compile(r"\d{4} ?\d{4} ?\d{4} ?\d{4}")


@pytest.fixture
def customer(cli: Run, shop: Path, server: SandboxServer, request: pytest.FixtureRequest) -> str:
    """A customer of the test's own, with money in the wallet."""
    number = request.node.name[:60].replace("[", "-").replace("]", "")
    made = cli("customers", "create", "--reference", number, "--first-name", "Ada", "--last-name", "L", *HERE)
    assert made.exit_code == 0, made.output
    words = ("--price", "500 USD", "--pay-with", "USDT", "--customer", number, "--settles-to", "customer", *HERE)
    assert cli("orders", "create", "--reference", f"deposit-{number}", *words).exit_code == 0
    server.pay("aurex", server.orders("aurex")[-1].id)
    return number


def issue(customer: str, *more: str) -> tuple[str, ...]:
    words = ("cards", "create", "--reference", f"card-{customer}", "--customer", customer, "--name", "Ada L")
    return (*words, "--initial-balance", "25 USD", *HERE, *more)


@pytest.fixture
def card(cli: Run, customer: str) -> str:
    """The provider's number of a card of the customer."""
    return fields(cli(*issue(customer, "--yes")))["provider id"]


def cards_issued(server: SandboxServer) -> int:
    return sum(call.method == "POST" and call.path.endswith("/cards") for call in server.requests["aurex"])


# Customers


def test_a_customer_is_made_once_and_found(cli: Run, customer: str, server: SandboxServer) -> None:
    first = document(cli("customers", "get", customer, *HERE, "--json"))
    calls = len(server.requests["aurex"])
    again = fields(
        cli("customers", "create", "--reference", customer, "--first-name", "Ada", "--last-name", "L", *HERE)
    )
    assert again["provider id"] == first["provider_id"]
    assert fields(cli("customers", "get", customer, *HERE, "--no-refresh"))["reference"] == customer
    assert len(server.requests["aurex"]) == calls  # neither asked anything of the provider
    other = failure(
        cli("customers", "create", "--reference", customer, "--first-name", "Eve", "--last-name", "L", *HERE, "--json")
    )
    assert other["error"] == "IdempotencyConflict"


def test_a_customer_of_the_provider_is_linked(cli: Run, customer: str, shop: Path) -> None:
    number = document(cli("customers", "get", customer, *HERE, "--json"))["provider_id"]
    taken = failure(cli("customers", "link", "c-other", "--provider-id", number, *HERE, "--json"))
    assert taken["error"] == "Conflict"
    (shop / "gateway.db").rename(shop / "before.db")
    linked = fields(cli("customers", "link", "c-other", "--provider-id", number, *HERE))
    assert (linked["reference"], linked["provider id"]) == ("c-other", number)
    assert document(cli("customers", "get", "c-other", *HERE, "--json"))["first_name"] == "Ada"


def test_customers_that_are_not_there(cli: Run, shop: Path) -> None:
    assert failure(cli("customers", "get", "c-nobody", *HERE, "--json"))["error"] == "NotFound"
    assert failure(cli("customers", "link", "c-1", "--provider-id", "0", *HERE, "--json"))["outcome"] == "rejected"
    assert failure(cli("customers", "get", "c-1", "--json"))["error"] == "InvalidRequest"


def test_the_wallets_of_a_customer(cli: Run, customer: str) -> None:
    [wallet] = rows(cli("wallets", "list", "--customer", customer, *HERE))
    assert (wallet["customer"], wallet["asset"]) == (customer, "USD")
    [as_json] = document(cli("wallets", "list", "--customer", customer, *HERE, "--json"))
    assert as_json["customer"] == customer
    assert failure(cli("wallets", "list", "--customer", "c-nobody", *HERE, "--json"))["error"] == "NotFound"


# Cards


def test_a_card_is_issued_once_and_its_number_is_masked(cli: Run, customer: str, server: SandboxServer) -> None:
    before = cards_issued(server)
    made = cli(*issue(customer, "--yes"))
    found = fields(made)
    assert re.fullmatch("•••• [0-9]{4}", found["number"])
    assert "cvv" not in found
    assert not NUMBER.search(made.output)
    again = document(cli(*issue(customer, "--yes", "--json")))
    assert again["provider_id"] == found["provider id"]
    assert (again["number"], again["cvv"]) == (None, None)
    assert cards_issued(server) == before + 1


def test_a_card_is_masked_in_json_too(cli: Run, customer: str) -> None:
    made = cli(*issue(customer, "--yes", "--json"))
    found = document(made)
    assert re.fullmatch("•••• [0-9]{4}", found["number"])
    assert found["cvv"] == "•••"
    assert not NUMBER.search(made.stdout)


def test_issuing_a_card_is_asked_for(asked: Run, cli: Run, customer: str, server: SandboxServer) -> None:
    before = cards_issued(server)
    refused = asked(*issue(customer), answer="n\n")
    assert refused.exit_code == 1
    assert (
        f"Issue a card to {customer} with 25 USD at aurex (aurex, sandbox) as card-{customer}? [y/N] " in refused.stderr
    )
    assert cards_issued(server) == before
    assert asked(*issue(customer), answer="y\n").exit_code == 0
    assert cards_issued(server) == before + 1


def test_cards_are_listed_and_shown_without_their_numbers(cli: Run, customer: str, card: str) -> None:
    [row] = rows(cli("cards", "list", "--customer", customer, *HERE))
    assert (row["provider id"], row["status"], row["balance"]) == (card, "active", "25 USD")
    assert [
        each["provider_id"] for each in document(cli("cards", "list", "--customer", customer, *HERE, "--json"))
    ] == [card]
    shown = cli("cards", "show", card, "--customer", customer, *HERE)
    assert fields(shown)["name"] == "Ada L"
    assert not NUMBER.search(shown.output)
    as_json = document(cli("cards", "show", card, "--customer", customer, *HERE, "--json"))
    assert (as_json["provider_id"], as_json["number"], as_json["cvv"]) == (card, None, None)
    missing = failure(cli("cards", "show", "card_0", "--customer", customer, *HERE, "--json"))
    assert missing["error"] == "NotFound"
    assert missing["hint"] == f"`gateway cards list --customer {customer} --account aurex`"


def test_a_number_is_revealed_only_after_a_question(
    asked: Run, cli: Run, customer: str, card: str, server: SandboxServer, shop: Path
) -> None:
    words = ("cards", "show", card, "--customer", customer, *HERE, "--reveal")
    before = len(server.requests["aurex"])
    refused = asked(*words, answer="n\n")
    assert refused.exit_code == 1
    assert f"Show the number and the CVV of the card {card} of {customer} in the output? [y/N] " in refused.stderr
    assert len(server.requests["aurex"]) == before

    shown = fields(cli(*words, "--yes"))
    assert NUMBER.fullmatch(shown["number"])
    assert re.fullmatch(r"\d{3}", shown["cvv"])
    found = document(cli(*words, "--yes", "--json"))
    assert (found["number"], found["cvv"]) == (shown["number"], shown["cvv"])
    assert found["raw"]["data"]["cardNumber"] == "•••"
    for file in shop.glob("gateway.db*"):
        if file.is_file():
            assert shown["number"].encode() not in file.read_bytes()
            assert shown["number"].replace(" ", "").encode() not in file.read_bytes()


def test_what_a_card_was_used_for(cli: Run, customer: str, card: str) -> None:
    words = ("cards", "transactions", card, "--customer", customer, *HERE)
    assert document(cli(*words, "--json")) == []
    assert cli(*words).stdout == "provider id\tstatus\tamount\tcreated at\twarnings\n"
    assert failure(cli("cards", "transactions", card, "--customer", "c-nobody", *HERE, "--json"))["error"] == "NotFound"


def test_a_code_is_shown_after_a_question(
    asked: Run, cli: Run, customer: str, card: str, server: SandboxServer
) -> None:
    words = ("cards", "code", card, "--customer", customer, *HERE)
    before = len(server.requests["aurex"])
    refused = asked(*words, answer="\n")
    assert f"Show the code that confirms payments with the card {card} of {customer}? [y/N] " in refused.stderr
    assert len(server.requests["aurex"]) == before
    assert re.fullmatch(r"\d{4,8}", fields(cli(*words, "--yes"))["code"])
    confirmed = asked(*words, "--json", answer="yes\n")
    assert re.fullmatch(r"\d{4,8}", json.loads(confirmed.stdout)["code"])


def test_cards_where_there_are_none(cli: Run, shop: Path) -> None:
    error = failure(cli("cards", "list", "--customer", "c-1", "--account", "aurpay", "--json"))
    assert error["error"] == "UnsupportedOperation"
