"""`gateway doctor`: what it finds, what it says to do, and how far it comes when things are broken."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gateway.cli import checks, doctor
from gateway.config import account_settings
from gateway.observation import Record
from gateway.plugins import Plugin, Plugins, load_plugins
from gateway.testing import SandboxServer, accounts_toml, faults, installed_sandboxes
from support.printed import rows

Run = Callable[..., Result]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Report:
    """The document of `gateway doctor --json`."""

    def __init__(self, result: Result) -> None:
        self.exit_code = result.exit_code
        assert result.stderr == "", result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        self.data = json.loads(result.stdout)
        self.checks: list[dict[str, Any]] = self.data["checks"]

    def of(self, check: str, account: str | None = None) -> list[dict[str, Any]]:
        return [row for row in self.checks if (row["check"], row["account"]) == (check, account)]

    def one(self, check: str, account: str | None = None) -> dict[str, Any]:
        [row] = self.of(check, account)
        return row


@pytest.fixture
def report(cli: Run) -> Callable[..., Report]:
    """Runs the doctor; every line that is not ok says what to do, and the sums and the exit status fit the lines."""

    def run(env: Mapping[str, str] | None = None) -> Report:
        found = Report(cli("doctor", "--json", env=env))
        levels = [row["level"] for row in found.checks]
        assert all(row["todo"] for row in found.checks if row["level"] != "ok")
        assert found.data["problems"] == levels.count("problem")
        assert found.data["warnings"] == levels.count("warning")
        assert found.data["ok"] is (levels.count("problem") == 0)
        assert found.exit_code == (0 if found.data["ok"] else 1)
        return found

    return run


@pytest.fixture
def configure(folder: Path, server: SandboxServer) -> Callable[..., None]:
    """Writes a configuration with the account `shop` at a sandbox, changed, and what else it says."""

    def write(provider: str = "aurpay", *, more: str = "", **changed: Any) -> None:
        account = {**server.account(provider), "allow_inferred": [], **changed}
        (folder / "gateway.toml").write_text(more + accounts_toml({"shop": account}), encoding="utf-8")

    return write


# All is well


def test_sandboxes_that_were_just_pasted_have_no_problem(report: Run, cli: Run, shop: Path) -> None:
    found = report()
    assert found.exit_code == 0
    assert found.one("plugins")["found"] == "providers: aurex, aurpay, emirex"
    assert found.one("configuration")["level"] == "ok"
    assert found.one("store")["found"] == f"there is none yet; it will be {shop / 'gateway.db'}"
    assert [found.one("account", name)["found"] for name in ("aurex", "aurpay", "emirex")] == [
        "aurex, sandbox",
        "aurpay, sandbox",
        "emirex, sandbox",
    ]
    assert found.one("read", "aurpay") == {
        "check": "read",
        "level": "ok",
        "found": "the provider accepts the key",
        "todo": None,
        "account": "aurpay",
    }
    for name in ("aurex", "emirex"):
        assert found.one("read", name)["level"] == "ok"
    assert found.one("rate", "aurpay")["found"] == "the provider declares no limit"
    assert found.one("rate", "aurex")["found"] == "59 of 60 calls within 60 s are free"
    for name in ("aurpay", "emirex"):
        assert found.one("clock", name)["found"] == "it agrees with the provider's"


def test_an_inferred_read_that_is_not_allowed_is_not_made(report: Run, configure: Callable[..., None]) -> None:
    configure("aurex")
    untried = report().one("read", "shop")
    assert untried["level"] == "warning"
    assert "keys.verify is inferred" in untried["found"]
    assert "allow_inferred" in untried["todo"]


def test_a_careful_configuration_has_no_warning(
    report: Run, configure: Callable[..., None], server: SandboxServer, folder: Path
) -> None:
    key = server.account("aurpay")["auth"]["api_key"]
    (folder / "token").write_text("a-token\n", encoding="utf-8")
    configure(
        auth={"kind": "api-key", "api_key": "env:SHOP_KEY"},
        callback={"token": f"file:{folder / 'token'}", "secret": "env:SHOP_SECRET"},
        limits={"per_withdrawal": ["0.001 BTC"]},
        more='callback_key = "env:SHOP_SECRET"\n',
    )
    found = report({"SHOP_KEY": key, "SHOP_SECRET": "shop-secret-1234"})
    assert found.data["warnings"] == found.data["problems"] == 0
    assert found.one("settings at risk", "shop")["found"] == "none"


def test_the_environment_alone(report: Run, folder: Path, server: SandboxServer) -> None:
    env = {
        "GATEWAY_ACCOUNTS": json.dumps({"only": server.account("aurpay")}),
        "GATEWAY_STORE": f"sqlite:///{folder / 'only.db'}",
    }
    found = report(env)
    assert found.one("configuration")["found"] == "read from the environment"
    assert found.one("read", "only")["level"] == "ok"
    # A secret in the environment is where it belongs.
    assert not [row for row in found.of("settings at risk", "only") if "stand in the file" in row["found"]]


# As it is shown


def test_lines_in_a_pipe(cli: Run, shop: Path) -> None:
    found = rows(cli("doctor"))
    assert list(found[0]) == ["level", "account", "check", "found", "what to do"]
    assert {row["level"] for row in found} == {"ok", "warning"}


def test_a_problem_is_an_exit_status_and_a_sum(cli: Run, folder: Path) -> None:
    result = cli("doctor")
    assert result.exit_code == 1
    assert "problem\t\tconfiguration\tthere is no configuration" in result.stdout
    assert result.stderr == "error: problems found: 1\nhint: each line says what to do\n"


def test_on_a_terminal(terminal: Any, process: Any, shop: Path) -> None:
    shown = terminal("doctor")
    assert shown.end() == 0
    assert "looking" in shown.text
    assert "what to do" in shown.text
    assert "\x1b[33mwarning" in shown.text
    piped = process("doctor")
    assert (piped.returncode, piped.stderr) == (0, "")
    assert process("doctor", "--json", env={"GATEWAY_CONFIG": "nowhere.toml"}).returncode == 1


# Broken configurations: as far as they can be read


def test_a_file_that_is_not_toml(report: Run, folder: Path) -> None:
    (folder / "gateway.toml").write_text("[accounts", encoding="utf-8")
    found = report()
    assert found.one("configuration")["level"] == "problem"
    assert "is not TOML" in found.one("configuration")["found"]
    assert found.one("plugins")["level"] == "ok"


def test_every_account_is_looked_at_by_itself(report: Run, folder: Path, server: SandboxServer) -> None:
    good = accounts_toml({"good": server.account("aurpay")})
    (folder / "gateway.toml").write_text(
        'stoer = "sqlite:///typo.db"\n'
        + good
        + '[accounts.nowhere]\nprovider = "nobody"\n'
        + '[accounts.short]\nprovider = "aurpay"\n'
        + '[accounts.keyless]\nprovider = "aurpay"\nauth = { kind = "api-key", api_key = "env:NOT_SET_HERE" }\n'
        + '[accounts.fileless]\nprovider = "aurpay"\ndestinations = ["file:/nowhere/key", "x"]\n'
        + '[accounts.vaulted]\nprovider = "aurpay"\nauth = { kind = "api-key", api_key = "vault:shop/key" }\n',
        encoding="utf-8",
    )
    found = report()
    assert "stoer: is no setting" in found.one("configuration")["found"]
    assert found.one("read", "good")["level"] == "ok"
    assert "no provider is called 'nobody'" in found.one("account", "nowhere")["found"]
    assert "accounts.short.auth: is missing" in found.one("account", "short")["found"]
    keyless = found.one("secrets", "keyless")
    assert keyless["found"] == "accounts.keyless.auth.api_key: the environment variable NOT_SET_HERE is not set"
    assert keyless["level"] == "problem"
    assert (
        "accounts.fileless.destinations.0: the file /nowhere/key cannot be read"
        in (found.one("secrets", "fileless")["found"])
    )
    assert "no vault is configured" in found.one("secrets", "vaulted")["found"]
    assert not found.of("account", "keyless")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store = 5\n", "store: "),
        ("accounts = 5\n", "accounts: "),
        ("[accounts]\nshop = 5\n", "accounts.shop"),
        ('[[routes]]\noperation = "orders.create"\naccounts = ["nobody"]\n', "routes.0.accounts"),
    ],
)
def test_settings_of_the_wrong_kind(report: Run, folder: Path, text: str, said: str) -> None:
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    found = report()
    assert said in found.one("configuration")["found"]
    assert found.exit_code == 1


def test_an_account_that_is_no_table(report: Run, folder: Path) -> None:
    (folder / "gateway.toml").write_text("[accounts]\nshop = 5\n", encoding="utf-8")
    assert report().one("account", "shop")["found"] == "accounts.shop: expected a table"


def test_no_account_at_all(report: Run, folder: Path) -> None:
    (folder / "gateway.toml").touch()
    found = report()
    assert found.one("accounts")["level"] == "warning"
    assert found.exit_code == 0


def test_no_secret_is_shown(cli: Run, shop: Path, server: SandboxServer) -> None:
    with (shop / "gateway.toml").open("a", encoding="utf-8") as file:
        file.write('[accounts.odd]\nprovider = "aurpay"\nauth = { kind = "api-key", api_kee = "hush-hush" }\n')
    output = cli("doctor").output + cli("doctor", "--json").output
    secrets = [text for name in server.names for text in server.account(name)["auth"].values()]
    assert not [text for text in [*secrets, "hush-hush"] if "-" in text and text not in ("api-key",) and text in output]


# Plugins


def with_plugins(*loaded: Plugin, providers: bool = True) -> Plugins:
    real = load_plugins()
    return Plugins(real.manager, providers=real.providers if providers else {}, loaded=list(loaded))


def test_a_plugin_that_did_not_load(report: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Plugin("broken", "acme-broken", "1.2", "acme", error="ImportError: no acme")
    monkeypatch.setattr(doctor, "load_plugins", lambda: with_plugins(broken))
    found = report()
    first, second = found.of("plugins")
    assert first["found"] == "broken (acme-broken 1.2) did not load: ImportError: no acme"
    assert (first["level"], second["level"]) == ("problem", "ok")
    assert found.one("read", "aurpay")["level"] == "ok"


def test_no_provider_is_installed(report: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "load_plugins", lambda: with_plugins(providers=False))
    found = report()
    assert found.one("plugins")["found"] == "no provider is installed"
    assert found.one("account", "aurpay")["level"] == "problem"


# The store


def test_a_sound_store(report: Run, cli: Run, shop: Path) -> None:
    cli("orders", "create", "--reference", "d-1", "--price", "9 USD", "--account", "aurpay")
    before = (shop / "gateway.db").read_bytes()
    assert report().one("store")["found"] == f"{shop / 'gateway.db'} is sound and writable"
    with sqlite3.connect(shop / "gateway.db") as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert "write_probe" not in tables
    assert len(before) == len((shop / "gateway.db").read_bytes())


def test_a_store_with_writes_of_unknown_outcome(report: Run, cli: Run, shop: Path, server: SandboxServer) -> None:
    server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
    lost = cli("orders", "create", "--reference", "d-2", "--price", "9 USD", "--account", "aurpay")
    assert lost.exit_code == 1
    unknown = report().one("journal")
    assert (unknown["level"], unknown["found"]) == ("warning", "writes of unknown outcome: 1")
    assert "gateway journal list --state unknown" in unknown["todo"]


def test_a_store_that_is_not_sound(report: Run, cli: Run, shop: Path) -> None:
    cli("orders", "create", "--reference", "d-3", "--price", "9 USD", "--account", "aurpay")
    with sqlite3.connect(shop / "gateway.db") as connection:
        connection.execute("UPDATE attempts SET reference = 'nobody'")
    connection.close()
    store = report().one("store")
    assert store["level"] == "problem"
    assert "gateway store check" in store["todo"]


def test_a_store_that_cannot_be_used(report: Run, configure: Callable[..., None], folder: Path) -> None:
    configure(more='store = "sqlite:///gateway.db"\n')
    (folder / "gateway.db").write_text("no database, whatever its name says", encoding="utf-8")
    found = report()
    assert found.one("store")["level"] == "problem"
    assert found.one("read", "shop")["level"] == "ok"

    configure(more='store = "postgresql://shop@127.0.0.1:1/gateway"\n')
    assert "the server cannot be reached" in report().one("store")["found"]
    configure(more='store = "sqlite:///nowhere/gateway.db"\n')
    assert "there is no store at" in report().one("store")["found"]


def test_a_folder_that_may_not_be_written(report: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != shop and access(path, mode)
    )  # the superuser may write everywhere
    store = report().one("store")
    assert store["level"] == "problem"
    assert store["found"] == f"there is none yet, and {shop} is not writable"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///"])
def test_a_store_in_memory(report: Run, configure: Callable[..., None], url: str) -> None:
    configure(more=f'store = "{url}"\n')
    first, second = report().of("store")
    assert (first["level"], second["level"]) == ("ok", "warning")
    assert second["found"] == "it is forgotten when the process ends"


def test_a_database_that_is_read_only_is_not_writable(
    report: Run, cli: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("orders", "create", "--reference", "d-4", "--price", "9 USD", "--account", "aurpay")
    from gateway.store import sqlite

    real = sqlite._set_up

    def read_only(connection: sqlite3.Connection, record: object) -> None:
        real(connection, record)
        connection.execute("PRAGMA query_only=ON")

    monkeypatch.setattr(sqlite, "_set_up", read_only)
    store = report().one("store")
    assert (store["level"], store["todo"]) == ("problem", "make the file and its folder writable for this user")


# The authenticated read and the clock


def test_a_key_that_is_refused(report: Run, configure: Callable[..., None]) -> None:
    configure(auth={"kind": "api-key", "api_key": "not-the-key-of-the-sandbox"})
    read = report().one("read", "shop")
    assert read["level"] == "problem"
    assert read["todo"] == "check the account's key and this machine's clock"


def test_a_provider_that_is_not_there(report: Run, configure: Callable[..., None]) -> None:
    configure(base_url="http://127.0.0.1:1", timeout=1)
    found = report()
    assert found.one("read", "shop")["level"] == "problem"
    assert not found.of("clock", "shop")
    assert found.one("rate", "shop")["level"] == "ok"


@pytest.mark.parametrize(
    ("off", "level", "said"),
    [
        (timedelta(0), "ok", "it agrees with the provider's"),
        (timedelta(seconds=20), "warning", "s behind the provider's"),
        (timedelta(seconds=-20), "warning", "s ahead of the provider's"),
        (timedelta(hours=1), "problem", "s behind the provider's"),
    ],
)
def test_the_clock_is_compared_also_when_the_key_is_refused(
    report: Run, configure: Callable[..., None], server: SandboxServer, off: timedelta, level: str, said: str
) -> None:
    configure()
    date = format_datetime(datetime.now(UTC) + off, usegmt=True)
    server.faults("aurpay").add(faults.Status(status=401, headers={"Date": date}, times=2))
    found = report()
    server.faults("aurpay").clear()
    assert found.one("read", "shop")["level"] == "problem"
    clock = found.one("clock", "shop")
    assert clock["level"] == level
    assert clock["found"].endswith(said)


def test_the_clock_is_compared_with_the_sandboxes(report: Run, folder: Path) -> None:
    with SandboxServer(installed_sandboxes(["aurpay"])) as server:
        (folder / "gateway.toml").write_text(accounts_toml(server.accounts()), encoding="utf-8")
        assert report().one("clock", "aurpay")["found"] == "it agrees with the provider's"
        server.advance(3600)
        clock = report().one("clock", "aurpay")
        assert clock["level"] == "problem"
        assert 3598 <= int(clock["found"].removeprefix("it is ").removesuffix(" s behind the provider's")) <= 3600


def record(date: str | None, seconds: float = 0.5) -> Record:
    return Record(
        kind="exchange",
        account="shop",
        provider="aurpay",
        operation="keys.verify",
        outcome="done",
        started_at=NOW,
        seconds=seconds,
        status=200,
        date=date,
    )


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("Fri, 02 Jan 2026 03:04:05 GMT", "it agrees with the provider's"),
        ("Fri, 02 Jan 2026 03:04:05 -0000", "it agrees with the provider's"),  # a zone that is not said is UTC
        ("Fri, 02 Jan 2026 03:04:10 GMT", "it agrees with the provider's"),  # 4.5 s after the end of the exchange
        ("Fri, 02 Jan 2026 03:04:11 GMT", "it is 5 s behind the provider's"),
        ("Fri, 02 Jan 2026 03:04:00 GMT", "it agrees with the provider's"),  # a whole second may just have begun
        ("Fri, 02 Jan 2026 03:03:59 GMT", "it is 5 s ahead of the provider's"),
        ("soon", "not compared: the answer does not say its time"),
        (None, "not compared: the answer does not say its time"),
    ],
)
def test_how_far_a_clock_is_off(date: str | None, found: str) -> None:
    assert checks.clock_skew("shop", record(date)).found == found


def test_a_slow_answer_is_no_skew() -> None:
    assert checks.clock_skew("shop", record("Fri, 02 Jan 2026 03:04:35 GMT", 30.0)).level == "ok"


def test_a_rate_that_is_used_up(report: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.AccountHandle.rate_headroom", lambda self: 0)
    rate = report().one("rate", "aurex")
    assert (rate["level"], rate["found"]) == ("warning", "0 of 60 calls within 60 s are free")


# Settings at risk


def risks(found: Report) -> dict[str, str]:
    return {row["found"]: row["todo"] for row in found.of("settings at risk", "shop")}


def test_secrets_in_the_file(report: Run, configure: Callable[..., None]) -> None:
    configure(more='callback_key = "a-literal-callback-key-of-this-test"\n', limits={"frozen": True})
    found = report()
    assert risks(found) == {
        "secrets stand in the file: accounts.shop.auth.api_key, accounts.shop.callback.token, "
        "accounts.shop.callback.secret": "write env:NAME, file:PATH or vault:account/label instead"
    }
    assert found.one("settings at risk")["found"] == "a secret stands in the file: callback_key"


def test_secrets_in_a_list_in_the_file(report: Run, configure: Callable[..., None], server: SandboxServer) -> None:
    callback = server.account("aurpay")["callback"]
    several = ["env:CALLBACK_SECRET", callback["secret"]]
    configure(limits={"frozen": True}, callback={**callback, "secret": several})
    assert risks(report(env={"CALLBACK_SECRET": "another-secret-of-callbacks"})) == {
        "secrets stand in the file: accounts.shop.auth.api_key, accounts.shop.callback.token, "
        "accounts.shop.callback.secret.1": "write env:NAME, file:PATH or vault:account/label instead"
    }


def test_a_secret_that_the_environment_adds_to_the_file(report: Run, folder: Path, server: SandboxServer) -> None:
    account = server.account("aurpay") | {"auth": {"kind": "api-key"}, "limits": {"frozen": True}, "allow_inferred": []}
    del account["callback"]
    (folder / "gateway.toml").write_text(accounts_toml({"shop": account}), encoding="utf-8")
    key = server.account("aurpay")["auth"]["api_key"]
    found = report({"GATEWAY_ACCOUNTS__SHOP__AUTH__API_KEY": key})
    assert found.one("read", "shop")["level"] == "ok"
    assert list(risks(found)) == ["none"]


@pytest.mark.parametrize(("proxy", "told"), [("http://127.0.0.1:3128", False), ("http://me:pw@127.0.0.1:3128", True)])
def test_a_proxy_without_a_password_is_no_secret(
    configure: Callable[..., None], report: Run, proxy: str, told: bool
) -> None:
    configure(proxy=proxy, limits={"frozen": True})
    [text] = risks(report())
    assert ("accounts.shop.proxy" in text) is told


def test_inferred_operations_and_no_limits(report: Run, configure: Callable[..., None]) -> None:
    configure(allow_inferred=["wallets.list", "currencies.list"])
    found = risks(report())
    assert "operations that nobody was seen using are allowed: currencies.list, wallets.list" in found
    assert found["payouts have no limit"] == (
        "set accounts.shop.limits.per_withdrawal and accounts.shop.limits.per_day"
    )


@pytest.mark.parametrize(
    "limits, further, told",
    [
        ({"per_day": "5 USDT"}, {}, "USDT"),
        ({"per_day": "5 BTC"}, {}, None),
        ({"per_withdrawal": "1 BTC", "per_day": "5 USDT"}, {"allow_inferred": ["withdrawals.create"]}, "BTC, USDT"),
        ({"per_withdrawal": "1 BTC"}, {}, None),
        ({"per_day": "5 USDT", "frozen": True}, {}, None),
    ],
)
def test_payouts_in_assets_without_a_limit(
    configure: Callable[..., None], report: Run, limits: dict[str, Any], further: dict[str, Any], told: str | None
) -> None:
    fields = {name: name for name in ("amount", "currency", "chain", "address")}
    configure(limits=limits, withdraw={"path": "/api/pay", "amount_as": "text", **fields}, **further)
    found = {text: todo for text, todo in risks(report()).items() if "have no limit" in text}
    assert list(found) == ([f"payouts in other assets than {told} have no limit"] if told else [])
    assert all("accounts.shop.limits" in todo for todo in found.values())


def test_a_cards_limit_is_in_fiat() -> None:
    plugins = load_plugins()
    capabilities = plugins.provider("aurex").capabilities
    for amount, told in (("50 USD", 0), ("1 BTC", 1)):
        table = {
            "provider": "aurex",
            "auth": {"kind": "bearer", "api_key": "x"},
            "limits": {"per_day": amount},
        }
        found = list(checks.account_at_risk("shop", account_settings("shop", table, plugins), capabilities, {}))
        assert len([finding for finding in found if "have no limit" in finding.found]) == told


def test_an_exchange_without_payouts_needs_no_limits(report: Run, configure: Callable[..., None]) -> None:
    configure("emirex")
    assert "payouts have no limit" not in risks(report())


def test_live_on_this_machine(report: Run, configure: Callable[..., None], server: SandboxServer) -> None:
    configure(environment="live")
    found = risks(report())
    assert found["base_url is http: requests leave unencrypted"] == "write https in accounts.shop.base_url"
    assert 'accounts.shop.environment = "sandbox"' in found["it is live, and base_url is this machine"]
    configure(environment="live", base_url=server.base_url("aurpay").replace("http://", "https://"), timeout=1)
    found = risks(report())
    assert "it is live, and base_url is this machine" in found
    assert "base_url is http: requests leave unencrypted" not in found
    configure()
    assert not any("live" in text for text in risks(report()))


def test_live_elsewhere(configure: Callable[..., None]) -> None:
    table = {
        "provider": "aurpay",
        "base_url": "https://api.example.com",
        "auth": {"kind": "api-key", "api_key": "x"},
        "limits": {"per_day": ["1 BTC"]},
    }
    plugins = load_plugins()
    settings = account_settings("shop", table, plugins)
    [finding] = checks.account_at_risk("shop", settings, plugins.provider("aurpay").capabilities, {})
    assert (finding.level, finding.found) == ("ok", "none")
