"""The public names, written down: docs/stability.md promises them, so none comes, goes or is renamed unnoticed.

A name that is meant to be new is added here, in the change that makes it. One that goes has to be deprecated first, as
that page says.
"""

from __future__ import annotations

import importlib
import inspect
import typing
import warnings
from collections.abc import Iterable

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from docs.test_generated import public_modules, script
from gateway import api
from gateway.cli.app import build
from gateway.config import GatewaySettings, Route
from gateway.contracts.settings import AccountSettings, Limits, Setting
from gateway.models import EVENT_TYPES
from gateway.plugins import load_plugins

NAMES = {
    "gateway": """
        Asset AsyncGateway CardRequest CardTopUp CryptoAddress CustomerRequest Event Gateway GatewayError
        LightningInvoice Money Order OrderException OrderRequest OrderStatus RefundRequest Settlement TradeRequest
        Withdrawal WithdrawalRequest WithdrawalStatus __version__
    """,
    "gateway.errors": """
        AuthenticationFailed CallbackRejected ConfigurationError Conflict GatewayError IdempotencyConflict
        InsufficientFunds InvalidRequest LimitExceeded MalformedResponse NotFound Outcome OutcomeUnknown
        PermissionDenied PluginError ProviderUnavailable RateLimited StoreError UnsupportedOperation
        UnverifiedOperation VaultError
    """,
    "gateway.models": """
        ApiKey Attempt BookLevel Card CardRequest CardStatus CardTopUp CardTransaction CardTransactionStatus Choice
        CryptoAddress Currency CurrencyKind Customer CustomerRequest Delivery DeliveryState Destination EVENT_TYPES
        Environment Event Fee Finding FindingKind GuideStep HandlerState Instant IssuedKey KeyAction KeyAudit
        KeyGuide KeyOrigin KeyProof KeyState LightningInvoice Market NewKey NotCompared Number OneTimeCode Order
        OrderBook OrderException OrderRequest OrderStatus Page PaymentInstructions Permission ProviderCustomer
        ProviderOrder ProviderRefund ProviderWithdrawal PublicTrade Reconciliation Refund RefundRequest RefundStatus
        Rotation Settlement Side Ticker Trade TradeKind TradeRequest TradeStatus Transaction Verdict Wallet
        WalletKind Withdrawal WithdrawalRequest WithdrawalStatus
    """,
    "gateway.money": """
        Money exact plain
    """,
    "gateway.assets": """
        Asset AssetKind known_assets register_asset
    """,
    "gateway.secrets": """
        CardNumber HIDDEN Raw Redactor Secret is_telling is_text
    """,
    "gateway.lightning": """
        Bolt11 check_invoice decode_invoice
    """,
    "gateway.addresses": """
        AddressCheck Flavour Verdict check_address
    """,
    "gateway.uris": """
        payment_uri
    """,
    "gateway.callbacks": """
        asgi wsgi
    """,
    "gateway.observation": """
        Record
    """,
    "gateway.telemetry": """
        instrument
    """,
    "gateway.keyring": """
        ExternalKey MasterKey Passphrase RawKey
    """,
    "gateway.exchange": """
        Failure Malformed Operation Request Response Signing ask decode_json encode_json
    """,
    "gateway.capabilities": """
        Capabilities Capability Grade NeutralOperation OPERATIONS Support absent absent_rest manual supported
    """,
    "gateway.hookspecs": """
        hookimpl
    """,
    "gateway.contracts": """
        Account AccountSettings Adapter Amount Auth BaseUrl CONTRACT_VERSION CancelsOrders CancelsTrades
        CreatesCards CreatesCustomers CreatesOrders CreatesRefunds CreatesTrades CreatesWithdrawals
        GivesOneTimeCodes GuideRequest Identifier IncomingCallback IssuesKeys KeyKind KeyPart KeyRules Limits
        ListsCardTransactions ListsCards ListsCurrencies ListsMarkets ListsOpenTrades ListsOrders ListsPublicTrades
        ListsTradeHistory ListsTransactions ListsWallets ListsWithdrawals LoginAuth NewCard NewOrder NewRefund
        NewTrade NewWithdrawal NoAuth Notice Proof Provider Query RateLimit ReadsBooks ReadsCallbacks ReadsCards
        ReadsCustomers ReadsOrders ReadsRefunds ReadsTickers ReadsTrades ReadsWithdrawals RevokesKeys RingAuth
        Setting VerifiesKeys Wire parser shaped
    """,
    "gateway.testing": """
        Call CallbackDelivery CallbackSample Conformance Delivery DocumentedFailure NotInSandbox OutgoingCallback
        Payment RequestRecord Sandbox SandboxClock SandboxError SandboxOrder SandboxServer SignatureVector StatusWords
        Subject accounts_toml examine faults installed_sandboxes sandbox_of
    """,
    "gateway.testing.faults": """
        CallFault CallbackFault Delay Delayed Drop Duplicated Empty Fault FaultQueue Foreign Forged Reordered Status
        Suppressed Truncated read_call_fault read_callback_fault
    """,
    "gateway.testing.lightning": """
        encode_invoice
    """,
    "gateway.testing.conformance": """
        AuthenticationSuite Bench Call CallbackSample CallbacksSuite CapabilitiesSuite CardsSuite Case Conformance
        CustomersSuite DocumentedFailure FlavourConformance KeysSuite KitClock MarketsSuite Nonconforming
        OrdersSuite Play RateLimitSuite RecordedSandbox RedactionSuite RefundsSuite Report SettingsSuite
        SignatureVector StatusWords Subject Suite TradesSuite TransactionsSuite WalletsSuite WithdrawalsSuite examine
    """,
}
"""What `__all__` of every public module says."""

CALLS = {
    "AccountHandle": """
        can capabilities environment has_ring key_rules provider rate_headroom rate_limit request settles_to
    """,
    "Callbacks": """
        list process receive show
    """,
    "Cards": """
        create list one_time_code reveal transactions
    """,
    "Currencies": """
        list
    """,
    "Customers": """
        create get link
    """,
    "Events": """
        dead handlers latest replay since
    """,
    "Gateway": """
        account accounts add_account capabilities close freeze from_file frozen observe on reconcile reconciled run
        unfreeze
    """,
    "Journal": """
        list settle show
    """,
    "Keys": """
        activate add audit delete delete_all edit get guide issue list ready retire reveal revoke rotate verify
    """,
    "Markets": """
        book list ticker trades
    """,
    "Orders": """
        create explain fetch fetch_all get link list renew
    """,
    "Refunds": """
        create get
    """,
    "Store": """
        accept_restore prune restored restores
    """,
    "Trades": """
        cancel create fetch get history open
    """,
    "Transactions": """
        list
    """,
    "Wallets": """
        list
    """,
    "Withdrawals": """
        create fetch_all get list
    """,
}
"""The calls and properties of a gateway, of an account, and of what hangs on a gateway."""

COMMANDS = {
    "": """
        capabilities conformance currencies demo doctor freeze new-provider providers reconcile request sandbox
        transactions worker
    """,
    "keys": """
        activate add audit create delete delete-all edit guide issue list retire reveal revoke rotate show verify
    """,
    "vault": """
        check forget init put rekey
    """,
    "orders": """
        create explain fetch get link list renew watch
    """,
    "refunds": """
        create get
    """,
    "customers": """
        create get link
    """,
    "cards": """
        code create list show transactions
    """,
    "wallets": """
        list
    """,
    "withdrawals": """
        create fetch get list
    """,
    "markets": """
        book list ticker trades
    """,
    "trades": """
        cancel create get history open
    """,
    "callbacks": """
        list process show
    """,
    "events": """
        dead handlers replay tail
    """,
    "journal": """
        list settle show
    """,
    "store": """
        accept-restore check export prune restored upgrade
    """,
}
"""The commands, by their group."""

SETTINGS = {
    "": """
        accounts callback_body_limit callback_key callback_timeout egress failover keys public_base_url reconcile
        routes store telemetry trusted_proxies vault watch worker
    """,
    "routes": """
        accounts currency max min operation pay_with settles_to
    """,
    "accounts": """
        allow_inferred base_url ca_file egress environment key_pool limits provider proxy timeout
        underpayment_tolerance
    """,
    "accounts.limits": """
        destinations frozen per_day per_withdrawal
    """,
    "keys": """
        expiring oldest refresh
    """,
    "failover": """
        cool_down failures
    """,
    "reconcile": """
        every repair scheduled window
    """,
    "vault": """
        at external key key_file passphrase
    """,
    "worker": """
        backend concurrency grace prune_older_than stalled_after
    """,
    "watch": """
        callback early late monitoring rarely soon waiting
    """,
}
"""The settings of all accounts and of everything else; those of one provider are its adapter's."""

HOOKS = """
        gateway_choose_account gateway_event gateway_observe gateway_register_assets gateway_register_commands
        gateway_register_providers
"""

EVENTS = {
    "order": "cancelled created expired failed overpaid paid processing refunded renewed underpaid",
    "withdrawal": "cancelled completed created failed processing unconfirmed",
    "refund": "completed created failed processing unconfirmed",
    "trade": "cancelled created failed filled open unconfirmed",
    "key": "expiring",
    "callback": "suspicious",
}
"""The types of events, by what they are about."""


def compare(found: Iterable[str], written: Iterable[str]) -> None:
    new, gone = set(found) - set(written), set(written) - set(found)
    assert not new, f"not written down here yet: {' '.join(sorted(new))}"
    assert not gone, f"gone, and still promised here: {' '.join(sorted(gone))}"


@pytest.mark.parametrize("module", NAMES)
def test_the_names_of_a_module(module: str) -> None:
    found = importlib.import_module(module)
    names = script("reference").ONLY.get(module, found.__all__)
    assert set(names) <= set(found.__all__)
    compare(names, NAMES[module].split())
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert getattr(found, name) is not None


def test_all_public_modules_are_here() -> None:
    compare(set(public_modules()) - {"gateway.api", "gateway.aio"}, set(NAMES) - {"gateway"})


def flat(tables: dict[str, str]) -> list[str]:
    return [f"{table} {name}".strip() for table, names in tables.items() for name in names.split()]


def test_the_calls_of_a_gateway() -> None:
    found = [
        f"{name} {member}"
        for name, kind in vars(api).items()
        if inspect.isclass(kind) and kind.__module__ == api.__name__ and not name.startswith("_")
        for member in dir(kind)
        if not member.startswith("_")
    ]
    compare(found, flat(CALLS))


def test_the_commands() -> None:
    everything = script("reference").commands(get_command(build(load_plugins())))
    compare([name for name, command in everything if not isinstance(command, TyperGroup)], flat(COMMANDS))


def test_the_settings() -> None:
    tables: dict[str, type[Setting]] = {
        "": GatewaySettings,
        "routes": Route,
        "accounts": AccountSettings,
        "accounts.limits": Limits,
    }
    hints = typing.get_type_hints(GatewaySettings, include_extras=True)
    for name in set(GatewaySettings.model_fields) - {"routes"}:
        for table in script("settings").tables(hints[name]):
            tables[name] = table
    compare(
        [f"{name} {field}".strip() for name, table in tables.items() for field in table.model_fields], flat(SETTINGS)
    )


def test_the_hooks() -> None:
    compare(script("reference").hooks(), HOOKS.split())


def test_the_types_of_events() -> None:
    compare(EVENT_TYPES, [name.replace(" ", ".") for name in flat(EVENTS)])
