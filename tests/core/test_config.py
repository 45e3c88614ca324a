"""The configuration: file, environment and arguments; every mistake is named with its path, and no value is shown."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway import Asset, Gateway, Money
from gateway.assets import known_assets, register_asset
from gateway.config import GatewaySettings, account_settings, load_settings, resolve_secret
from gateway.contracts import AccountSettings
from gateway.errors import ConfigurationError
from gateway.models import Settlement
from support.colours import opened
from support.loopback import Loopback, self_signed
from support.toy import KEY, account, answers, toy_plugins

CANARY = "config-CANARY-11aa"
GOOD = 'provider = "toy"\nbase_url = "http://127.0.0.1:1"\nauth = { kind = "key", key = "k-literal" }\n'


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "shop" / "gateway.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def mistake(**given: Any) -> str:
    """What is said of an account with these settings."""
    table = {"provider": "toy", "base_url": "http://127.0.0.1:1", "auth": {"kind": "key", "key": KEY}, **given}
    table = {name: value for name, value in table.items() if value is not ...}
    with pytest.raises(ConfigurationError) as caught:
        account_settings("shop", table, toy_plugins())
    text = str(caught.value)
    assert KEY not in text
    assert CANARY not in text
    return text


class TestWhereItComesFrom:
    def test_arguments_win_over_the_environment_and_that_over_the_file(
        self, file: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = file(f'store = "sqlite:////file.db"\npublic_base_url = "https://file.example"\n[accounts.shop]\n{GOOD}')
        assert load_settings(path).store == "sqlite:////file.db"
        monkeypatch.setenv("GATEWAY_STORE", "sqlite:////environment.db")
        settings = load_settings(path)
        assert (settings.store, settings.public_base_url) == ("sqlite:////environment.db", "https://file.example")
        assert load_settings(path, store="sqlite:////argument.db").store == "sqlite:////argument.db"

    def test_the_environment_reaches_into_tables(self, file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        path = file('[failover]\nfailures = 5\n[reconcile]\nevery = "12h"\n')
        monkeypatch.setenv("GATEWAY_FAILOVER__COOL_DOWN", "5m")
        monkeypatch.setenv("GATEWAY_RECONCILE__REPAIR", "true")
        settings = load_settings(path)
        assert (settings.failover.failures, settings.failover.cool_down) == (5, timedelta(minutes=5))
        assert (settings.reconcile.every, settings.reconcile.window) == (timedelta(hours=12), timedelta(days=7))
        assert (settings.reconcile.scheduled, settings.reconcile.repair) == (True, True)

    def test_the_environment_reaches_into_accounts(self, file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        path = file(f'[accounts.shop]\n{GOOD}limits = {{ per_day = "1 BTC", frozen = true }}\n')
        monkeypatch.setenv("GATEWAY_ACCOUNTS__SHOP__AUTH__KEY", "from-environment")
        monkeypatch.setenv("GATEWAY_ACCOUNTS__SHOP__LIMITS__PER_DAY", '["2 BTC", "5 USDT"]')
        monkeypatch.setenv("GATEWAY_ACCOUNTS__SHOP__TIMEOUT", "7")
        checked = account_settings("shop", load_settings(path).accounts["shop"], toy_plugins())
        assert checked.auth.key.reveal() == "from-environment"  # type: ignore[attr-defined]
        assert checked.limits.per_day == (Money(2, "BTC"), Money(5, "USDT"))
        assert checked.limits.frozen
        assert checked.timeout == 7

    def test_the_environment_alone_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_ACCOUNTS", '{"shop": {"provider": "toy", "auth": {"kind": "none"}}}')
        monkeypatch.setenv("GATEWAY_ROUTES", '[{"operation": "orders.create", "accounts": ["shop"]}]')
        monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", '["10.0.0.0/8"]')
        settings = load_settings()
        assert list(settings.accounts) == ["shop"]
        assert settings.routes[0].accounts == ("shop",)
        assert str(settings.trusted_proxies[0]) == "10.0.0.0/8"

    def test_a_secret_that_looks_like_json_stays_a_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_ACCOUNTS__SHOP__AUTH__KEY", "{half a secret")
        assert load_settings().accounts["shop"]["auth"]["key"] == "{half a secret"

    @pytest.mark.parametrize("name", ["GATEWAY_ROUTES", "GATEWAY_ACCOUNTS", "GATEWAY_TRUSTED_PROXIES"])
    @pytest.mark.parametrize("value", [f"[{CANARY}", CANARY, '"text"', "5"])
    def test_what_cannot_be_read_there_is_named(self, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigurationError, match=f"the environment variable {name} cannot be read") as caught:
            load_settings()
        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize(
        "name, value",
        [
            ("GATEWAY_ACCOUNTS", "{bad"),
            ("GATEWAY_ACCOUNTS", '{"shop": 5}'),
            ("GATEWAY_ACCOUNTS__SHOP", "{bad"),
            ("GATEWAY_ROUTES__0", "{bad"),
        ],
    )
    def test_the_variable_is_named_however_deep_it_reaches(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigurationError, match=f"the environment variable {name} cannot be read"):
            load_settings()

    def test_a_relative_store_is_beside_the_file(self, file: Any, tmp_path: Path) -> None:
        beside = f"sqlite:///{tmp_path / 'shop'}"
        assert load_settings(file('store = "sqlite:///data/my.db"')).store == f"{beside}/data/my.db"
        assert load_settings(file("")).store == f"{beside}/gateway.db"
        assert load_settings(file('store = "sqlite:////var/my.db"')).store == "sqlite:////var/my.db"
        assert load_settings(file('store = "sqlite://"')).store == "sqlite://"
        assert load_settings().store == "sqlite:///gateway.db"

    @pytest.mark.parametrize(
        "content, words",
        [(b"a = [", "not TOML"), (b"\xff\xfe", "UnicodeDecodeError"), (b'a = "' + CANARY.encode(), "TOML")],
    )
    def test_a_file_that_cannot_be_read_is_named(self, content: bytes, words: str, tmp_path: Path) -> None:
        path = tmp_path / "gateway.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=words) as caught:
            load_settings(path)
        assert str(path) in str(caught.value)
        assert CANARY not in str(caught.value)
        with pytest.raises(ConfigurationError, match="no configuration file"):
            load_settings(tmp_path / "missing.toml")
        with pytest.raises(ConfigurationError, match="IsADirectoryError"):
            load_settings(tmp_path)


class TestSecretReferences:
    def test_environment_and_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SHOP_KEY", CANARY)
        (tmp_path / "key").write_text(f"{CANARY}\n")
        assert resolve_secret("env:SHOP_KEY") == CANARY
        assert resolve_secret(f"file:{tmp_path / 'key'}") == CANARY
        assert resolve_secret("a-literal") == "a-literal"
        assert resolve_secret("sk:live:1") == "sk:live:1"
        table = account("http://127.0.0.1:1", key="env:SHOP_KEY")
        assert account_settings("shop", table, toy_plugins()).auth.key.reveal() == CANARY  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "reference, words",
        [
            ("env:NOT_THERE", "the environment variable NOT_THERE is not set"),
            ("env:EMPTY", "EMPTY is not set"),
            ("file:/no/such/file", "the file /no/such/file cannot be read (FileNotFoundError)"),
            ("file:/", "cannot be read (IsADirectoryError)"),
            ("file:/dev/null", "is empty"),
            ("vault:shop/key", "no vault"),
        ],
    )
    def test_what_is_missing_is_named(self, reference: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMPTY", "")
        assert words in mistake(auth={"kind": "key", "key": reference})
        assert "accounts.shop.auth.key: " in mistake(auth={"kind": "key", "key": reference})


class TestAnAccountsMistakes:
    @pytest.mark.parametrize(
        "given, words",
        [
            ({"auth": ...}, "accounts.shop.auth: is missing"),
            ({"auth": {}}, "accounts.shop.auth: must say which kind it is"),
            ({"auth": {"kind": CANARY}}, "accounts.shop.auth: is of no known kind; expected one of 'key'"),
            ({"auth": {"kind": "key"}}, "accounts.shop.auth.key: is missing"),
            ({"auth": {"kind": "key", "key": 5}}, "accounts.shop.auth.key: expected a text"),
            ({"auth": {"kind": "key", "key": ""}}, "accounts.shop.auth.key: expected a text"),
            ({"auth": {"kind": "key", "key": KEY, "kye": KEY}}, "accounts.shop.auth.kye: is no setting"),
            ({"auth": {"kind": "login", "user": "u"}}, "accounts.shop.auth.password: is missing"),
            ({"auth": CANARY}, "accounts.shop.auth: "),
            ({"colour": CANARY}, "accounts.shop.colour: is no setting"),
            ({"environment": CANARY}, "accounts.shop.environment: must be 'live' or 'sandbox'"),
            ({"base_url": CANARY}, "accounts.shop.base_url: expected an address"),
            ({"base_url": "ftp://x.example"}, "accounts.shop.base_url: expected an address"),
            ({"base_url": "https://x.example:port"}, "accounts.shop.base_url: expected an address"),
            ({"base_url": "https://x.example:99999"}, "accounts.shop.base_url: expected an address"),
            ({"base_url": "https://x.exa\nmple"}, "accounts.shop.base_url: expected an address"),
            ({"base_url": "https://[::1"}, "accounts.shop.base_url: "),
            ({"base_url": f"https://u:{CANARY}@x.example"}, "must not carry a user name"),
            ({"base_url": f"https://x.example/?k={CANARY}"}, "must not carry a query"),
            ({"proxy": CANARY}, "accounts.shop.proxy: expected the address of a proxy"),
            ({"proxy": f"socks9://{CANARY}@x.example"}, "accounts.shop.proxy: expected the address of a proxy"),
            ({"proxy": f"http://u:{CANARY}@x.example:port"}, "accounts.shop.proxy: expected the address of a proxy"),
            ({"proxy": f"http://[{CANARY}"}, "accounts.shop.proxy: expected the address of a proxy"),
            ({"ca_file": "/no/such/file.pem"}, "accounts.shop.ca_file: expected a readable file"),
            ({"ca_file": "/dev/null"}, "accounts.shop.ca_file: expected a readable file"),
            ({"allow_inferred": ["wallet.list"]}, "accounts.shop.allow_inferred: names no operation"),
            ({"allow_inferred": ["wallets.list:gold"]}, "accounts.shop.allow_inferred: names no operation"),
            ({"underpayment_tolerance": 0.5}, "accounts.shop.underpayment_tolerance: expected a percentage"),
            ({"underpayment_tolerance": "0.5"}, "accounts.shop.underpayment_tolerance: expected a percentage"),
            ({"underpayment_tolerance": f"{CANARY}%"}, "accounts.shop.underpayment_tolerance: is no such value"),
            ({"underpayment_tolerance": "100%"}, "accounts.shop.underpayment_tolerance: "),
            ({"timeout": 0}, "accounts.shop.timeout: "),
            ({"timeout": "soon"}, "accounts.shop.timeout: "),
            ({"auth": "text"}, "accounts.shop.auth: expected a table"),
            ({"limits": "text"}, "accounts.shop.limits: expected a table"),
            ({"limits": {"destinations": "bc1q"}}, "accounts.shop.limits.destinations: expected a list"),
            ({"limits": {"per_day": 5}}, "accounts.shop.limits.per_day: expected a text such as '0.05 BTC'"),
            ({"limits": {"per_withdrawal": ["0.05"]}}, "limits.per_withdrawal.0: expected a text such as '0.05 BTC'"),
            ({"limits": {"per_day": f"{CANARY} BTC"}}, "accounts.shop.limits.per_day: is no such value"),
            ({"limits": {"per_withdrawal": "0.05 BCT"}}, "accounts.shop.limits.per_withdrawal: unknown asset; did you"),
            ({"limits": {"per_day": "5 USDT@torn"}}, "limits.per_day: unknown asset; did you mean USDT@tron"),
            ({"limits": {"per_day": ["1 BTC", "-0.1 USDT"]}}, "accounts.shop.limits.per_day.1: must not be below zero"),
            ({"limits": {"per_day": "-1 BTC@bitcoin"}}, "accounts.shop.limits.per_day: must not be below zero"),
            (
                {"limits": {"per_withdrawal": ["1 BTC", "2 BTC@lightning"]}},
                "accounts.shop.limits.per_withdrawal: has more than one amount of BTC",
            ),
            ({"limits": {"per_day": [f"1 {CANARY} x"]}}, "accounts.shop.limits.per_day.0: "),
            ({"limits": {"per_dya": "1 BTC"}}, "accounts.shop.limits.per_dya: is no setting"),
            ({"limits": {"frozen": CANARY}}, "accounts.shop.limits.frozen: "),
            ({"provider": "nobody"}, "accounts.shop.provider: no provider is called 'nobody' — installed: toy"),
            ({"provider": ...}, "accounts.shop.provider: expected the name of a provider — installed: toy"),
            ({"provider": 5}, "accounts.shop.provider: expected the name of a provider"),
        ],
    )
    def test_each_is_named_with_its_path_and_what_was_expected(self, given: dict[str, Any], words: str) -> None:
        assert words in mistake(**given)

    def test_a_limit_may_be_zero_and_of_a_coin_known_on_its_networks_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.assets._registry", {asset.code: asset for asset in known_assets()})
        register_asset(Asset("LIMITCOIN", "somewhere"))
        limits = {"per_day": ["0 BTC@bitcoin", "5 LIMITCOIN", {"amount": "7", "asset": "USD"}]}
        checked = account_settings("shop", account("http://127.0.0.1:1", limits=limits), toy_plugins()).limits
        assert [(most.amount, most.asset.code) for most in checked.per_day] == [
            (0, "BTC@bitcoin"),
            (5, "LIMITCOIN"),
            (7, "USD"),
        ]

    @pytest.mark.parametrize("name", ["", "a b", "a.b", "shöp", "a\nb", "a" * 65, "../shop"])
    def test_a_name_that_is_none_is_refused(self, name: str, colour: str) -> None:
        table = account("http://127.0.0.1:1")
        with pytest.raises(ConfigurationError, match=r"^accounts\..*no name of an account"):
            account_settings(name, table, toy_plugins())
        with opened(colour, accounts={"Shop_2-b": table, "a" * 64: table}) as gw:
            with pytest.raises(ConfigurationError, match="no name of an account"):
                gw.add_account(name, **table)
            assert gw.accounts == ("Shop_2-b", "a" * 64)

    def test_all_are_named_at_once(self) -> None:
        text = mistake(colour=CANARY, timeout=0, auth={"kind": "key"})
        assert all(path in text for path in ("accounts.shop.colour", "accounts.shop.timeout", "accounts.shop.auth.key"))

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://127.0.0.1@api.example",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://[fe80::1]",
        ],
    )
    def test_plain_http_is_for_loopback_only(self, url: str) -> None:
        assert "accounts.shop.base_url" in mistake(base_url=url)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:8080/aurex", "http://[::1]:1", "http://localhost", "http://127.9.9.9"]
    )
    def test_loopback_may_be_plain(self, url: str) -> None:
        assert account_settings("a", account(url + "/"), toy_plugins()).base_url == url

    def test_what_is_right_is_taken(self, tmp_path: Path) -> None:
        checked = account_settings(
            "shop",
            account(
                "https://api.example/v1/",
                proxy="http://u:p@proxy.example:3128",
                ca_file=str(self_signed(tmp_path)),
                allow_inferred=["wallets.list", "wallets.list:lightning", "keys.issue"],
                underpayment_tolerance="0.5%",
                limits={"per_withdrawal": "0.05 BTC", "destinations": ["bc1q"]},
            ),
            toy_plugins(),
        )
        assert checked.base_url == "https://api.example/v1"
        assert checked.underpayment_tolerance == Decimal("0.005")
        assert checked.limits.per_withdrawal == (Money("0.05", "BTC"),)
        assert "p@proxy" not in repr(checked)
        assert KEY not in repr(checked) + checked.model_dump_json()

    def test_every_setting_describes_itself(self) -> None:
        for model in (GatewaySettings, AccountSettings):
            assert not [name for name, field in model.model_fields.items() if not field.description]


def test_the_page_about_the_settings_is_as_its_script_writes_it() -> None:
    root = Path(__file__).parent.parent.parent
    script = root / ".ci" / "generate_settings.py"
    done = subprocess.run([sys.executable, str(script), "--check"], cwd=root, check=False, timeout=60)
    assert done.returncode == 0, "docs/settings.md is stale: run .ci/generate_settings.py"


class TestTheWhole:
    @pytest.mark.parametrize(
        "text, words",
        [
            ("colour = 1", "colour: is no setting"),
            ('accounts = "x"', "accounts: "),
            ('[accounts]\nshop = "x"', "accounts.shop: "),
            ('public_base_url = "http://shop.example"', "public_base_url: https is required"),
            ('trusted_proxies = ["x"]', "trusted_proxies.0: "),
            ('callback_key = "env:NOT_THERE"', "callback_key: the environment variable NOT_THERE is not set"),
            ('[[routes]]\noperation = "orders.create"\naccounts = ["gone"]', "no account is called 'gone'"),
            ('[[routes]]\noperation = "orders.create"\naccounts = []', "routes.0.accounts: "),
            ('[[routes]]\naccounts = ["shop"]', "routes.0.operation: is missing"),
            ("[failover]\ncool_down = 60", "failover.cool_down: expected a time as text, such as '60s', '15m', '12h'"),
            ('[failover]\ncool_down = "0s"', "failover.cool_down: expected a time"),
            ('[failover]\ncool_down = "1.5h"', "failover.cool_down: expected a time"),
            ("[failover]\nfailures = 0", "failover.failures: "),
            ('[reconcile]\nevery = "daily"', "reconcile.every: expected a time"),
            (
                '[[routes]]\noperation = "order.create"\naccounts = ["shop"]',
                "routes.0.operation: expected an operation",
            ),
            ('[[routes]]\noperation = "orders.get"\naccounts = ["shop"]', "routes.0.operation: expected an operation"),
            (f'[[routes]]\noperation="orders.create"\naccounts=["a"]\npay_with="{CANARY}"', "routes.0.pay_with: "),
            (
                '[[routes]]\noperation="orders.create"\naccounts=["a"]\nmin="1 UDS"',
                "routes.0.min: unknown asset; did you",
            ),
            ('[[routes]]\noperation="orders.create"\naccounts=["a"]\nmax="-1 USD"', "routes.0.max: must not be below"),
            ('[[routes]]\noperation="orders.create"\naccounts=["a"]\nmax=5', "routes.0.max: expected a text such as"),
            (
                '[[routes]]\noperation="orders.create"\naccounts=["a"]\ncurrency="UDS"',
                "routes.0.currency: unknown asset; did you mean",
            ),
            (
                '[[routes]]\noperation="orders.create"\naccounts=["a"]\ncurrency=["USD", "EUX"]',
                "routes.0.currency.1: unknown asset; did you mean",
            ),
            (f'[[routes]]\noperation="orders.create"\naccounts=["a"]\nmin="{CANARY}"', "routes.0.min: "),
            (
                '[[routes]]\noperation="orders.create"\naccounts=["a"]\nmin="10 USD"\nmax="9.99 USD"',
                "routes.0: min is above max: no amount can fit",
            ),
            (
                '[[routes]]\noperation="orders.create"\naccounts=["a"]\nmin="1 USD"\nmax="100 EUR"',
                "routes.0: min and max are of different assets: no amount can fit",
            ),
            ('[[routes]]\noperation="orders.create"\naccounts=["a"]\nsettles_to="me"', "routes.0.settles_to: "),
        ],
    )
    def test_each_mistake_is_named(self, text: str, words: str, file: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load_settings(file(f"{text}\n"))
        assert words in str(caught.value)
        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize("bounds", ['min = "10 USD"\nmax = "10.00 USD"', 'min = "10 USD"', 'max = "0 USD"'])
    def test_a_route_that_one_amount_fits_is_fine(self, file: Any, bounds: str) -> None:
        route = f'[[routes]]\noperation = "orders.create"\naccounts = ["shop"]\n{bounds}\n'
        assert len(load_settings(file(f"[accounts.shop]\n{GOOD}{route}")).routes) == 1

    def test_a_route_takes_one_value_or_several(self, file: Any) -> None:
        text = (
            f"[accounts.shop]\n{GOOD}"
            '[[routes]]\noperation = "orders.create"\naccounts = ["shop"]\ncurrency = "USD"\n'
            'pay_with = ["USDT@tron", "BTC@lightning"]\nmin = "1 USD"\nmax = "100.50 USD"\nsettles_to = "customer"\n'
        )
        [route] = load_settings(file(text)).routes
        assert route.currency == ("USD",)
        assert route.pay_with == (Asset.of("USDT@tron"), Asset.of("BTC@lightning"))
        assert (route.min, route.max) == (Money(1, "USD"), Money("100.50", "USD"))
        assert route.settles_to is Settlement.CUSTOMER


class TestAGateway:
    def test_from_a_file(self, file: Any) -> None:
        with Gateway.from_file(file(f"[accounts.shop]\n{GOOD}[accounts.backup]\n{GOOD}"), plugins=toy_plugins()) as gw:
            assert gw.accounts == ("shop", "backup")
            assert gw.account("shop").provider == "toy"
            assert gw.account("shop").environment == "live"
            assert set(gw.capabilities()) == {"shop", "backup"}

    def test_a_wrong_account_stops_it_before_anything_is_opened(self, tmp_path: Path, colour: str) -> None:
        store = tmp_path / "gateway.db"
        with (
            pytest.raises(ConfigurationError, match=r"accounts\.shop\.auth: is missing"),
            opened(colour, accounts={"shop": {"provider": "toy"}}, store=f"sqlite:///{store}"),
        ):
            pass
        assert not store.exists()

    def test_accounts_can_be_added_while_it_runs(self, colour: str) -> None:
        with Loopback(app=answers) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
            gw.add_account("second", **account(server.url, key="second-key")).request("GET", "/me")
            gw.keys.verify(account="second")
            assert gw.accounts == ("shop", "second")
            assert [seen.headers["x-key"] for seen in server.requests] == ["second-key"] * 2
            with pytest.raises(ConfigurationError, match=r"accounts\.second: there is an account of this name"):
                gw.add_account("second", **account(server.url))
            with pytest.raises(ConfigurationError, match=r"accounts\.third\.auth: is missing"):
                gw.add_account("third", provider="toy")
            assert gw.accounts == ("shop", "second")

    def test_an_account_that_is_not_there_is_named_with_those_that_are(self, colour: str) -> None:
        with opened(colour, accounts={"shop": account("http://127.0.0.1:1")}) as gw:
            for call in (lambda: gw.account("shpo"), lambda: gw.keys.verify(account="shpo")):
                with pytest.raises(ConfigurationError, match="'shpo' — configured: shop"):
                    call()

    def test_a_closed_room_has_no_accounts(self) -> None:
        with Gateway(plugins=toy_plugins()) as gw, pytest.raises(ConfigurationError, match="configured: none"):
            gw.account("shop")


@pytest.mark.parametrize(
    "code, absent",
    [
        ("import gateway", "httpx sqlalchemy pydantic alembic typer rich starlette pluggy msgspec cryptography"),
        ("from gateway import Gateway, Money", "httpx sqlalchemy alembic typer rich starlette uvicorn segno"),
        ("import gateway.errors", "httpx sqlalchemy pydantic"),
        ("import gateway.contracts, gateway.exchange, gateway.models", "httpx sqlalchemy typer rich starlette"),
    ],
)
def test_importing_brings_only_what_is_needed(code: str, absent: str) -> None:
    script = f"import sys\n{code}\nprint(*[name for name in {absent.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_every_public_name_is_there_and_nothing_else() -> None:
    import gateway

    script = (
        "import gateway\nfor name in gateway.__all__: getattr(gateway, name)\nprint(dir(gateway) == gateway.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True"
    for name in gateway.__all__:
        value = getattr(gateway, name)
        assert name == "__version__" or value.__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = gateway.nothing  # type: ignore[attr-defined]
