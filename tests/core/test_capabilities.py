"""The capability table: what may be called is decided here, before any network I/O."""

from __future__ import annotations

import pytest

from gateway.capabilities import OPERATIONS, Capabilities, Grade, Support, absent, absent_rest, manual, supported
from gateway.errors import PluginError, UnsupportedOperation, UnverifiedOperation

TABLE = Capabilities.of(
    supported("orders.get", "D", "the manual"),
    supported("wallets.list", "I", "a guess", variant="lightning"),
    supported("wallets.list", "C", "a client", variant="custodial"),
    supported("withdrawals.list", "I", "a guess"),
    manual("refunds.create", "D", "the guide", "a person decides", instead="refund it on the dashboard"),
    absent("cards.create", "the manual", "it issues no cards", instead="use another account"),
)


def test_what_is_supported_and_documented_may_be_called() -> None:
    row = TABLE.require("orders.get")
    assert (row.support, row.grade, row.source) == (Support.SUPPORTED, Grade.DOCUMENTED, "the manual")
    assert TABLE.require("wallets.list", "custodial").grade is Grade.CLIENT


@pytest.mark.parametrize(
    "operation, variant, words",
    [
        ("refunds.create", "", ["only by hand", "a person decides", "refund it on the dashboard"]),
        ("cards.create", "", ["not offered", "it issues no cards", "use another account"]),
        ("trades.create", "limit", ["not offered", "does not declare", "trades.create (limit)"]),
        ("wallets.list", "self-custody", ["not offered"]),
    ],
)
def test_what_is_not_offered_is_refused_with_what_to_do_instead(operation: str, variant: str, words: list[str]) -> None:
    with pytest.raises(UnsupportedOperation) as caught:
        TABLE.require(operation, variant, allowed=[operation], provider="toy")
    assert all(word in str(caught.value) for word in words)
    assert (caught.value.provider, caught.value.operation) == ("toy", operation)


@pytest.mark.parametrize(
    "operation, variant, allowed, may",
    [
        ("wallets.list", "lightning", [], False),
        ("wallets.list", "lightning", ["wallets.list"], True),
        ("wallets.list", "lightning", ["wallets.list:lightning"], True),
        ("wallets.list", "lightning", ["wallets.list:custodial"], False),
        ("wallets.list", "lightning", ["lightning", "wallets"], False),
        ("withdrawals.list", "", ["withdrawals.list"], True),
        ("withdrawals.list", "", ["wallets.list"], False),
    ],
)
def test_an_inferred_call_needs_to_be_allowed(operation: str, variant: str, allowed: list[str], may: bool) -> None:
    if may:
        assert TABLE.require(operation, variant, allowed=allowed).grade is Grade.INFERRED
        return
    with pytest.raises(UnverifiedOperation) as caught:
        TABLE.require(operation, variant, allowed=allowed)
    name = f"{operation}:{variant}" if variant else operation
    assert f'add "{name}" to the account\'s allow_inferred' in str(caught.value)
    assert TABLE.require(operation, variant, allowed=[name])


def test_iterating_gives_every_operation_and_variant_once_in_order() -> None:
    keys = [(row.operation, row.variant) for row in TABLE]
    assert keys == [(item.name, variant) for item in OPERATIONS.values() for variant in item.variants]
    assert {row.support for row in TABLE if row.operation == "orders.create"} == {Support.ABSENT}


def test_supported_variants() -> None:
    assert TABLE.variants("wallets.list") == ("custodial", "lightning")
    assert TABLE.variants("orders.create") == ()


def test_replaced_rows_stand_in_place_and_new_ones_are_added() -> None:
    new = TABLE.replaced(
        supported("wallets.list", "D", "the new manual", variant="lightning"),
        supported("orders.list", "D", "the new manual"),
    )
    assert new.require("wallets.list", "lightning").source == "the new manual"
    assert new.require("orders.list").source == "the new manual"
    assert new.rows[1].operation == "wallets.list"
    assert len(new.rows) == len(TABLE.rows) + 1
    with pytest.raises(UnverifiedOperation):
        TABLE.require("wallets.list", "lightning")


def test_a_row_of_nothing_known_or_declared_twice_is_a_plugin_error() -> None:
    with pytest.raises(PluginError, match=r"orders\.fly"):
        Capabilities.of(supported("orders.fly", "D", "x"))
    with pytest.raises(PluginError, match="sideways"):
        Capabilities.of(supported("orders.create", "D", "x", variant="sideways"))
    with pytest.raises(PluginError, match=r"orders\.create ''"):
        Capabilities.of(supported("orders.create", "D", "x"))
    with pytest.raises(PluginError, match="twice"):
        Capabilities.of(supported("orders.get", "D", "x"), absent("orders.get", "x", "y"))
    with pytest.raises(ValueError, match="Z"):
        supported("orders.get", "Z", "x")


def test_a_row_as_data() -> None:
    assert TABLE.get("refunds.create").to_dict() == {
        "operation": "refunds.create",
        "variant": "",
        "support": "manual",
        "grade": "D",
        "source": "the guide",
        "reason": "a person decides",
    }
    assert TABLE.get("keys.issue").to_dict()["grade"] == "X"


def test_the_operations_are_named_once_and_consistently() -> None:
    methods = [operation.method for operation in OPERATIONS.values()]
    assert len(set(methods)) == len(methods)
    for operation in OPERATIONS.values():
        assert operation.name.count(".") == 1
        if operation.name.endswith((".create", ".cancel", ".issue", ".revoke", ".freeze")):
            assert operation.write
        if operation.name.endswith((".get", ".list")):
            assert not operation.write


def test_the_rest_is_absent_for_one_reason() -> None:
    table = Capabilities.of(
        supported("wallets.list", "D", "the manual", variant="custodial"),
        absent("cards.create", "the manual", "it issues no cards"),
        rest=absent_rest("the index", "there is no such call"),
    )
    assert len(table.rows) == sum(len(one.variants) for one in OPERATIONS.values())
    assert table.get("wallets.list", "custodial").support is Support.SUPPORTED
    assert table.get("cards.create").reason == "it issues no cards"
    others = [row for row in table if (row.operation, row.variant) != ("wallets.list", "custodial")][1:]
    assert {(row.support, row.grade) for row in others} == {(Support.ABSENT, Grade.ABSENT)}
    assert table.get("wallets.list", "lightning") == absent(
        "wallets.list", "the index", "there is no such call", variant="lightning"
    )
    assert list(Capabilities.of(rest=absent_rest("the index", "none")).variants("orders.get")) == []
