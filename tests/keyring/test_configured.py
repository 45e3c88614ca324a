"""The vault of a configuration: where it is, what opens it, and `vault:account/label` wherever a secret stands."""

from __future__ import annotations

import asyncio
import base64
import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway import AsyncGateway, Gateway
from gateway.config import VaultSettings, load_settings
from gateway.core import Core
from gateway.errors import ConfigurationError, GatewayError, VaultError
from gateway.keyring import ExternalKey, FileStorage, Passphrase, RawKey, StoreStorage, Vault
from gateway.keyring.opening import external, master_key
from gateway.secrets import Secret
from gateway.store.database import Database
from support.toy import toy_plugins

KEY = "5a" * 32
OTHER = "a5" * 32
HUSH = "hush-CANARY-51f0"
CALLBACK = "callback-CANARY-51f1-long-enough"
PROXY = "http://user:proxy-CANARY-51f2@127.0.0.1:3128"
SECRETS = (KEY, HUSH, CALLBACK, PROXY, "proxy-CANARY-51f2")

ACCOUNT = 'provider = "toy"\nbase_url = "http://127.0.0.1:1"\nauth = { kind = "key", key = "vault:shop/main" }\n'
TABLE = {"provider": "toy", "base_url": "http://127.0.0.1:1", "auth": {"kind": "key", "key": "vault:shop/main"}}

CONTENT = {
    ("shop", "main"): Secret(HUSH),
    ("shop", "proxy"): Secret(PROXY),
    ("gateway", "callback"): Secret(CALLBACK),
    ("shop", "main.api_token"): Secret("part-CANARY"),
}


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GATEWAY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of a configuration; the process is in another one."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


@pytest.fixture
def configured(shop: Path) -> Callable[..., Path]:
    """Writes a configuration with this [vault] table; what else it says stands before it."""

    def write(vault: str, before: str = "", account: str = ACCOUNT) -> Path:
        file = shop / "gateway.toml"
        file.write_text(f"{before}\n[vault]\n{vault}\n[accounts.shop]\n{account}", encoding="utf-8")
        return file

    return write


def fill(at: Path, master: Any = None) -> Vault:
    vault = Vault.create(at, master or RawKey(Secret(KEY)))
    vault.put_many(CONTENT)
    return vault


def key_of(gateway: Gateway | AsyncGateway, account: str = "shop") -> str:
    settings: Any = gateway._core.account(account).settings
    return str(settings.auth.key.reveal())


def opened(file: Path | None = None, **given: Any) -> str:
    """The key that the account has."""
    with Gateway(file=file, plugins=toy_plugins(), **given) as gateway:
        return key_of(gateway)


def refused(file: Path | None = None, **given: Any) -> str:
    """What is said of a configuration, which shows no secret."""
    with pytest.raises(GatewayError) as caught:
        opened(file, **given)
    assert isinstance(caught.value, ConfigurationError)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert not [secret for secret in (*SECRETS, OTHER) if secret in told]
    return str(caught.value)


class TestWhatOpensIt:
    def test_a_key_in_the_environment(self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(shop / "gateway.vault")
        monkeypatch.setenv("GATEWAY_VAULT_KEY", KEY)
        assert opened(configured("")) == HUSH

    def test_the_variable_alone_configures_a_vault(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(shop / "gateway.vault")
        monkeypatch.setenv("GATEWAY_VAULT_KEY", base64.b64encode(bytes.fromhex(KEY)).decode())
        (shop / "gateway.toml").write_text(f"[accounts.shop]\n{ACCOUNT}")
        assert opened(shop / "gateway.toml") == HUSH

    def test_a_key_that_is_referred_to(self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(shop / "gateway.vault")
        monkeypatch.setenv("MY_KEY", KEY)
        assert opened(configured('key = "env:MY_KEY"')) == HUSH
        (shop / "key").write_text(KEY)
        assert opened(configured(f'key = "file:{shop}/key"')) == HUSH
        assert opened(configured(f'key = "{KEY}"')) == HUSH

    def test_the_settings_win_over_the_variable(
        self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(shop / "gateway.vault")
        monkeypatch.setenv("GATEWAY_VAULT_KEY", OTHER)
        assert opened(configured(f'key = "{KEY}"')) == HUSH

    def test_settings_in_variables_win_over_the_file(
        self, configured: Any, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(tmp_path / "elsewhere")
        monkeypatch.setenv("GATEWAY_VAULT__AT", str(tmp_path / "elsewhere"))
        monkeypatch.setenv("GATEWAY_VAULT__KEY", KEY)
        assert opened(configured('at = "nowhere"')) == HUSH

    def test_a_file_beside_the_configuration(self, configured: Any, shop: Path) -> None:
        (shop / "kept").mkdir()
        fill(shop / "kept" / "vault")
        (shop / "vault.key").write_text(KEY + "\n")
        (shop / "vault.key").chmod(0o600)
        file = configured('at = "kept/vault"\nkey_file = "vault.key"')
        assert opened(file) == HUSH
        (shop / "vault.key").chmod(0o640)
        assert f"vault.key_file: the key file {shop / 'vault.key'} can be read by others" in refused(file)
        (shop / "vault.key").unlink()
        assert "vault.key_file: the key file" in refused(file)

    def test_a_passphrase(self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORDS", "correct horse")
        fill(shop / "gateway.vault", Passphrase(Secret("correct horse"), n=16))
        derived = count_derived(monkeypatch)
        before = 'callback_key = "vault:gateway/callback"'
        account = ACCOUNT + 'proxy = "vault:shop/proxy"\n'
        file = configured('passphrase = "env:WORDS"', before, account + "\n[accounts.second]\n" + account)
        with Gateway(file=file, plugins=toy_plugins()) as gateway:
            assert key_of(gateway) == key_of(gateway, "second") == HUSH
            gateway.add_account("third", **TABLE)
            assert gateway._core.vault().check() == len(CONTENT)
        assert len(derived) == 1

    def test_a_service(self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (shop / "my_kms.py").write_text(
            "from gateway.keyring import ExternalKey\n"
            "def turned(key):\n    return bytes(byte ^ 7 for byte in key)\n"
            "made = ExternalKey(turned, turned)\n"
            "def make():\n    return made\n"
            "def fail():\n    raise OSError('hush-CANARY-51f0')\n"
            "nothing = lambda: 5\n"
        )
        monkeypatch.syspath_prepend(str(shop))
        turned = ExternalKey(lambda key: bytes(b ^ 7 for b in key), lambda key: bytes(b ^ 7 for b in key))
        fill(shop / "gateway.vault", turned)
        assert opened(configured('external = "my_kms:made"')) == HUSH
        assert opened(configured('external = "my_kms:make"')) == HUSH
        assert "vault.external: my_kms:fail cannot be used: OSError" in refused(configured('external = "my_kms:fail"'))
        assert "my_kms:none cannot be used: AttributeError" in refused(configured('external = "my_kms:none"'))
        assert "no_such:make cannot be used: ModuleNotFound" in refused(configured('external = "no_such:make"'))
        assert "my_kms:nothing gives no master key" in refused(configured('external = "my_kms:nothing"'))
        for text in ("my_kms", ":make", "my_kms:", "my kms:make"):
            assert "vault.external: " in refused(configured(f'external = "{text}"'))
            with pytest.raises(VaultError):
                external(text)

    def test_a_key_in_python_wins(self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(shop / "gateway.vault")
        monkeypatch.setenv("GATEWAY_VAULT_KEY", OTHER)
        key = RawKey(Secret(KEY))
        file = configured(f'key = "{OTHER}"')
        assert opened(file, vault_key=key) == HUSH
        with Gateway.from_file(file, plugins=toy_plugins(), vault_key=key) as gateway:
            assert key_of(gateway) == HUSH
        assert opened(settings=load_settings(file, vault_key=key), vault_key=key) == HUSH

        async def in_the_other_colour() -> str:
            async with AsyncGateway(file=file, plugins=toy_plugins(), vault_key=key) as gateway:
                return key_of(gateway)

        assert asyncio.run(in_the_other_colour()) == HUSH

    def test_a_key_in_python_alone_configures_a_vault(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(shop / "gateway.vault")
        monkeypatch.chdir(shop)
        assert opened(accounts={"shop": TABLE}, store="sqlite://", vault_key=RawKey(Secret(KEY))) == HUSH
        settings = load_settings(accounts={"shop": TABLE}, store="sqlite://")
        assert settings.vault is None
        assert opened(settings=settings, vault_key=RawKey(Secret(KEY))) == HUSH

    def test_in_arguments(self, tmp_path: Path) -> None:
        fill(tmp_path / "vault")
        vault = {"at": str(tmp_path / "vault"), "key": KEY}
        assert opened(accounts={"shop": TABLE}, store="sqlite://", vault=vault) == HUSH

    @pytest.mark.parametrize(
        ("vault", "words"),
        [
            ("", "no key for the vault is configured"),
            (f'key = "{KEY}"\nkey_file = "x"', "vault: key and key_file are both given: expected one"),
            (f'passphrase = "x"\nexternal = "a:b"\nkey = "{KEY}"', "vault: key and passphrase and external are both"),
            ('key = "vault:shop/main"', "vault.key: cannot be in the vault that it opens"),
            ('passphrase = "vault:shop/main"', "vault.passphrase: cannot be in the vault that it opens"),
            ('key = "env:NOT_THERE"', "vault.key: the environment variable NOT_THERE is not set"),
            (f'key = "{HUSH}"', "vault.key: the vault's key is 32 bytes"),
            ('at = ""', "vault.at: "),
            (f'kye = "{KEY}"', "vault.kye: is no setting"),
            (f'key = "{OTHER}"', "this is not the key of the vault"),
            ('passphrase = "x"', "is locked with a key of another kind: raw, not passphrase"),
            (f'at = "nowhere"\nkey = "{KEY}"', "there is no vault"),
        ],
    )
    def test_mistakes(self, configured: Any, shop: Path, vault: str, words: str) -> None:
        fill(shop / "gateway.vault")
        before = (shop / "gateway.vault").read_bytes()
        assert words in refused(configured(vault))
        assert words in refused(configured(vault, before='callback_key = "vault:gateway/callback"'))
        assert (shop / "gateway.vault").read_bytes() == before

    def test_a_variable_that_is_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_VAULT_KEY", HUSH)
        with pytest.raises(VaultError, match="GATEWAY_VAULT_KEY: the vault's key is 32 bytes") as caught:
            master_key(VaultSettings())
        assert HUSH not in str(caught.value)


def count_derived(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    derived: list[bytes] = []
    derive = Passphrase._derive

    def counted(self: Passphrase, salt: bytes, cost: Mapping[str, int]) -> bytes:
        derived.append(salt)
        return derive(self, salt, cost)

    monkeypatch.setattr(Passphrase, "_derive", counted)
    return derived


class TestWhereASecretIsConfigured:
    @pytest.fixture
    def file(self, configured: Any, shop: Path) -> Path:
        fill(shop / "gateway.vault")
        account = ACCOUNT + 'proxy = "vault:shop/proxy"\n'
        found: Path = configured(f'key = "{KEY}"', 'callback_key = ["vault:gateway/callback"]', account)
        return found

    def test_everywhere(self, file: Path) -> None:
        with Gateway(file=file, plugins=toy_plugins()) as gateway:
            settings = gateway._core.account("shop").settings
            assert key_of(gateway) == HUSH
            assert settings.proxy == Secret(PROXY)
            assert gateway._core.settings.callback_key == (Secret(CALLBACK),)

    def test_a_part_of_a_key(self, file: Path) -> None:
        table = {**TABLE, "auth": {"kind": "key", "key": "vault:shop/main.api_token"}}
        assert opened(file, accounts={"shop": table}) == "part-CANARY"

    def test_in_arguments_and_accounts_that_are_added(self, file: Path) -> None:
        with Gateway(file=file, plugins=toy_plugins(), accounts={"more": TABLE}) as gateway:
            gateway.add_account("added", **TABLE)
            assert key_of(gateway, "more") == key_of(gateway, "added") == HUSH
            with pytest.raises(ConfigurationError, match=r"accounts\.x\.auth\.key: the vault has no secret shop/none"):
                gateway.add_account("x", **{**TABLE, "auth": {"kind": "key", "key": "vault:shop/none"}})

    def test_in_the_environment(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_ACCOUNTS__SHOP__AUTH__KEY", "vault:shop/main.api_token")
        assert opened(file) == "part-CANARY"

    def test_not_in_store(self, file: Path) -> None:
        assert "store: cannot be in the vault: use env:NAME or file:PATH" in refused(file, store="vault:gateway/store")

    def test_one_that_is_put_later_is_there_for_an_account_that_is_added(self, file: Path) -> None:
        with Gateway(file=file, plugins=toy_plugins()) as gateway:
            table = {**TABLE, "auth": {"kind": "key", "key": "vault:late/main"}}
            with pytest.raises(ConfigurationError, match="no secret late/main"):
                gateway.add_account("late", **table)
            gateway._core.vault().put("late", "main", Secret("late-CANARY"))
            gateway.add_account("late", **table)
            assert key_of(gateway, "late") == "late-CANARY"

    @pytest.mark.parametrize(
        ("reference", "words"),
        [
            ("vault:shop/none", "the vault has no secret shop/none (`gateway vault check` lists them)"),
            ("vault:shop", "expected vault:account/label"),
            ("vault:/main", "expected vault:account/label"),
            ("vault:shop/", "expected vault:account/label"),
            ("vault:", "expected vault:account/label"),
        ],
    )
    def test_what_is_not_there(self, file: Path, reference: str, words: str) -> None:
        table = {"auth": {"kind": "key", "key": reference}}
        assert f"accounts.shop.auth.key: {words}" in refused(file, accounts={"shop": table})
        assert f"accounts.shop.proxy: {words}" in refused(file, accounts={"shop": {"proxy": reference}})
        assert f"callback_key: {words}" in refused(file, callback_key=reference)

    def test_a_secret_that_is_not_what_is_expected(self, file: Path) -> None:
        said = refused(file, accounts={"shop": {"proxy": "vault:shop/main"}}, callback_key=CALLBACK)
        assert "accounts.shop.proxy: expected the address of a proxy" in said

    def test_no_vault(self, shop: Path) -> None:
        (shop / "gateway.toml").write_text(f"[accounts.shop]\n{ACCOUNT}")
        said = refused(shop / "gateway.toml")
        assert "accounts.shop.auth.key: no vault is configured" in said
        assert "gateway vault init" in said

    def test_damage_that_is_found_once(self, file: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = shop / "gateway.vault"
        path.write_bytes(path.read_bytes()[:-20])
        read: list[FileStorage] = []
        whole = FileStorage.read

        def counted(self: FileStorage) -> bytes:
            read.append(self)
            return whole(self)

        monkeypatch.setattr(FileStorage, "read", counted)
        said = refused(file, callback_key=["vault:gateway/callback", "vault:gateway/none"])
        assert "callback_key.0: the vault" in said
        assert "callback_key.1: the vault" in said
        assert said.count("is truncated") == 2
        assert len(read) == 1

    def test_nothing_shows_a_secret(self, file: Path) -> None:
        with Gateway(file=file, plugins=toy_plugins()) as gateway:
            core = gateway._core
            shown = [gateway, core, core.settings, core.references, core.vault(), core.account("shop").settings]
            shown += [vars(core.references), vars(core.vault()), vars(core.vault().storage), core.settings.vault]
            text = "".join(f"{thing!r} {thing!s}" for thing in shown) + core.settings.model_dump_json()
        assert not [secret for secret in SECRETS if secret in text]
        assert "Vault object" not in repr(core.settings)


class TestInTheStore:
    @pytest.fixture(params=["sqlite", "postgres"])
    def url(self, request: pytest.FixtureRequest, shop: Path) -> str:
        found: str = request.getfixturevalue("postgres") if request.param == "postgres" else "sqlite:///gateway.db"
        return found

    def test_everywhere(self, configured: Any, shop: Path, url: str) -> None:
        with Database.open(url.replace("gateway.db", str(shop / "gateway.db"))) as database:
            Vault.create(StoreStorage(lambda: database), RawKey(Secret(KEY))).put_many(CONTENT)
        before = f'store = "{url}"\ncallback_key = "vault:gateway/callback"'
        file = configured(f'at = "store"\nkey = "{KEY}"', before, ACCOUNT + 'proxy = "vault:shop/proxy"\n')
        with Gateway(file=file, plugins=toy_plugins()) as gateway:
            assert key_of(gateway) == HUSH
            assert gateway._core.account("shop").settings.proxy == Secret(PROXY)
            assert gateway._core.settings.callback_key == (Secret(CALLBACK),)
            gateway.add_account("added", **TABLE)
            gateway._core.vault().put("late", "main", Secret("late-CANARY"))
            assert gateway._core.vault().name.startswith("in the store ")
        assert opened(file, accounts={"shop": {"auth": {"kind": "key", "key": "vault:late/main"}}}) == "late-CANARY"

    def test_scrypt_runs_once(self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Database.open(f"sqlite:///{shop / 'gateway.db'}") as database:
            Vault.create(StoreStorage(lambda: database), Passphrase(Secret("words"), n=16)).put_many(CONTENT)
        derived = count_derived(monkeypatch)
        file = configured('at = "store"\npassphrase = "words"', 'callback_key = "vault:gateway/callback"')
        with Gateway(file=file, plugins=toy_plugins()) as gateway:
            assert key_of(gateway) == HUSH
            assert gateway._core.vault().check() == len(CONTENT)
        assert len(derived) == 1

    def test_what_is_not_there_is_not_made(self, configured: Any, shop: Path) -> None:
        file = configured(f'at = "store"\nkey = "{KEY}"')
        assert "accounts.shop.auth.key: there is no store at" in refused(file)
        assert not (shop / "gateway.db").exists()
        Database.open(f"sqlite:///{shop / 'gateway.db'}").close()
        assert "accounts.shop.auth.key: there is no vault in the store" in refused(file)

    def test_a_store_that_is_no_address(self, configured: Any) -> None:
        assert "accounts.shop.auth.key: store: not a database URL" in refused(
            configured(f'at = "store"\nkey = "{KEY}"', 'store = "nonsense"')
        )

    def test_a_vault_of_a_store_in_memory(self) -> None:
        key = RawKey(Secret(KEY))
        with Gateway(store="sqlite://", vault={"at": "store"}, vault_key=key, plugins=toy_plugins()) as gateway:
            core = gateway._core
            Vault.create(StoreStorage(core.database), key).put_many(CONTENT)
            gateway.add_account("shop", **TABLE)
            assert key_of(gateway) == HUSH


class TestTheCoresVault:
    def test_none_is_configured(self) -> None:
        core = Core(load_settings(store="sqlite://"), toy_plugins())
        with pytest.raises(VaultError, match="no vault is configured") as caught:
            core.vault()
        assert "gateway vault init" in str(caught.value.hint)

    def test_nothing_is_read_before_it_is_used(self, tmp_path: Path) -> None:
        vault = {"at": str(tmp_path / "none"), "key": KEY}
        core = Core(load_settings(store="sqlite://", vault=vault), toy_plugins())
        assert core.vault() is core.vault()
        with pytest.raises(VaultError, match="there is no vault"):
            core.vault().names()

    def test_the_connection_for_reading_settings_is_closed(
        self, configured: Any, shop: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed: list[Database] = []
        close = Database.close

        def counted(self: Database) -> None:
            closed.append(self)
            close(self)

        monkeypatch.setattr(Database, "close", counted)
        with Database.open(f"sqlite:///{shop / 'gateway.db'}") as database:
            Vault.create(StoreStorage(lambda: database), RawKey(Secret(KEY))).put_many(CONTENT)
        file = configured(f'at = "store"\nkey = "{KEY}"', 'callback_key = "vault:gateway/callback"')
        closed.clear()
        load_settings(file)
        assert len(closed) == 1
        with Gateway(file=file, plugins=toy_plugins()):
            assert len(closed) == 2
        with suppress(ConfigurationError):
            opened(file, accounts={"shop": {"colour": "red"}})
        assert len(closed) == 3
