"""What every provider offers, written down a second time from what is known of the vendor, not from its adapter.

A row is `operation[:variant] support grade`. Whatever is not in a provider's list is absent, grade X. The two are
compared whole, so that a row that is added, dropped or graded otherwise is noticed here.
"""

from __future__ import annotations

import pytest

from gateway import Gateway
from gateway.capabilities import OPERATIONS, Capabilities, Capability
from gateway.errors import UnsupportedOperation, UnverifiedOperation
from gateway.plugins import load_plugins

# The vendor's documentation is D; an answer that only its published skill shows is P.
AUREX = """
    orders.create:coin-without-network  supported P
    orders.get                          supported P
    orders.list                         supported P
    wallets.list:custodial              supported D
    withdrawals.create:card             supported P
    customers.create                    supported D
    customers.get                       supported D
    cards.create                        supported P
    cards.list                          supported P
    cards.get                           supported D
    cards.transactions                  supported P
    cards.one-time-code                 supported P
    keys.issue                          manual    D
    keys.verify                         supported I
    keys.revoke                         manual    D
"""

# A path or an answer that nobody has published is I. Paying out to an address has neither, so a person does it.
AURPAY = """
    orders.create:payer-choice          supported D
    orders.create:coin                  supported D
    orders.create:lightning             supported D
    orders.get                          supported D
    orders.list                         supported D
    refunds.create                      supported D
    refunds.get                         supported D
    transactions.list                   supported D
    currencies.list:fiat                supported I
    currencies.list:crypto              supported I
    wallets.list:custodial              supported I
    wallets.list:self-custody           supported I
    wallets.list:lightning              supported I
    withdrawals.create:lightning        supported D
    withdrawals.create:address          manual    D
    keys.issue                          supported D
    keys.verify                         supported D
    callbacks.receive                   supported C
"""

# Public calls have been seen by a third party, everything private follows from a sister product.
EMIREX = """
    wallets.list:custodial              supported I
    markets.list                        supported C
    markets.ticker                      supported C
    markets.book                        supported C
    markets.trades                      supported C
    trades.create:limit                 supported I
    trades.create:market                supported I
    trades.cancel                       supported I
    trades.get                          supported I
    trades.open                         supported I
    trades.history                      supported I
    keys.issue                          manual    D
    keys.verify                         supported I
    keys.revoke                         manual    D
"""

TABLES = {"aurex": AUREX, "aurpay": AURPAY, "emirex": EMIREX}
PROVIDERS = sorted(TABLES)
KEYS = {
    "aurex": {"kind": "bearer", "api_key": "example-key"},
    "aurpay": {"kind": "api-key", "api_key": "example-key"},
    "emirex": {"kind": "signed", "public_key": "example-key", "secret": "example-secret"},
}
WITHDRAW = {
    "path": "/api/v2/withdraw",
    "amount": "amount",
    "amount_as": "text",
    "currency": "currency",
    "chain": "chain",
    "address": "address",
}


def expected(provider: str) -> dict[str, tuple[str, str]]:
    table = {
        f"{operation.name}:{variant}".removesuffix(":"): ("absent", "X")
        for operation in OPERATIONS.values()
        for variant in operation.variants
    }
    for line in TABLES[provider].split("\n"):
        if line.strip():
            name, support, grade = line.split()
            assert name in table, f"no such operation: {name}"
            table[name] = (support, grade)
    return table


def declared(capabilities: Capabilities) -> dict[str, tuple[str, str]]:
    rows = (row.to_dict() for row in capabilities)
    return {f"{row['operation']}:{row['variant']}".removesuffix(":"): (row["support"], row["grade"]) for row in rows}


def rows(provider: str) -> list[Capability]:
    return list(load_plugins().providers[provider].capabilities)


def test_these_are_the_built_in_providers() -> None:
    built_in = [plugin for plugin in load_plugins().loaded if plugin.distribution == "crypto-gateway"]
    assert sorted(name for plugin in built_in for name in plugin.providers) == PROVIDERS


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_providers_table_is_what_is_known_of_the_vendor(provider: str) -> None:
    assert declared(load_plugins().providers[provider].capabilities) == expected(provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_operation_and_variant_is_declared_by_the_adapter_itself(provider: str) -> None:
    capabilities = load_plugins().providers[provider].capabilities
    assert {(row.operation, row.variant) for row in capabilities.rows} == {
        (operation.name, variant) for operation in OPERATIONS.values() for variant in operation.variants
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_row_names_its_source_and_what_is_not_plain_its_reason(provider: str) -> None:
    for row in rows(provider):
        assert row.source.strip(), row
        if row.support != "supported" or row.grade == "I":
            assert row.reason.strip(), row
        if row.support == "manual":
            assert row.instead.strip(), row


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_unsupported_operation_is_refused_with_its_reason_and_what_to_do_instead(provider: str) -> None:
    capabilities = load_plugins().providers[provider].capabilities
    for row in capabilities:
        if row.support == "supported":
            continue
        with pytest.raises(UnsupportedOperation) as refused:
            capabilities.require(row.operation, row.variant, provider=provider)
        assert row.reason in str(refused.value)
        assert refused.value.hint == (
            row.instead or "use an account at a provider that offers it; `gateway capabilities` shows which do"
        )
        assert (refused.value.provider, refused.value.operation) == (provider, row.operation)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_inferred_operation_is_refused_until_the_account_lists_it(provider: str) -> None:
    capabilities = load_plugins().providers[provider].capabilities
    for row in capabilities:
        name = f"{row.operation}:{row.variant}".removesuffix(":")
        if row.support != "supported" or row.grade != "I":
            continue
        with pytest.raises(UnverifiedOperation, match=name):
            capabilities.require(row.operation, row.variant, provider=provider)
        assert capabilities.require(row.operation, row.variant, allowed=[name]) is row
        assert capabilities.require(row.operation, row.variant, allowed=[row.operation]) is row


def of_account(provider: str, **settings: object) -> dict[str, tuple[str, str]]:
    with Gateway(accounts={"it": {"provider": provider, "auth": KEYS[provider], **settings}}, store="sqlite://") as gw:
        return declared(gw.capabilities()["it"])


@pytest.mark.parametrize("provider", ["aurex", "emirex"])
def test_an_accounts_table_is_its_providers(provider: str) -> None:
    assert of_account(provider) == expected(provider)


def test_an_aurpay_account_with_a_given_key_cannot_obtain_one() -> None:
    assert of_account("aurpay") == expected("aurpay") | {"keys.issue": ("manual", "D")}


def test_an_aurpay_account_that_logs_in_can_obtain_a_key() -> None:
    login = {"kind": "login", "username": "example", "password": "example-password"}
    assert of_account("aurpay", auth=login) == expected("aurpay")


def test_an_aurpay_accounts_settings_switch_payouts_to_an_address_on_as_inferred() -> None:
    table = of_account("aurpay", withdraw=WITHDRAW)
    assert table["withdrawals.create:address"] == ("supported", "I")
