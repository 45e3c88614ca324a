"""`gateway vault`: made once, locked with another key, looked into, its single secrets; what the doctor says of it."""

from __future__ import annotations

import errno
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.conftest import COMMAND, TIMEOUT, Run, Terminal
from gateway.cli.app import build
from gateway.keyring import ExternalKey, MasterKey, Passphrase, RawKey, StoreStorage, Vault
from gateway.models.base import Environment
from gateway.models.keys import ApiKey, KeyOrigin, Permission
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway.store import audit, keys
from gateway.store.database import Database
from gateway.testing import SandboxServer, accounts_toml
from support.printed import document, failure, fields

KEY = "5a" * 32
OTHER = "a5" * 32
HUSH = "hush-CANARY-77c1"
WORDS = "correct horse CANARY"
CONTENT = {("shop", "main"): Secret(HUSH), ("shop", "main.api_token"): Secret(f"{HUSH}-token")}


@pytest.fixture(params=["file", "sqlite", "postgres"])
def at(request: pytest.FixtureRequest) -> str:
    """Where the vault is, as the configuration says it."""
    if request.param == "file":
        return 'at = "kept.vault"'
    return 'at = "store"'


@pytest.fixture
def configure(folder: Path, at: str, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Writes a configuration with a [vault] table, of a vault there, that says this of its key."""
    store = "sqlite:///gateway.db"
    if "postgres" in request.node.name:
        store = request.getfixturevalue("postgres")

    def write(key: str = f'key = "{KEY}"', before: str = "") -> None:
        (folder / "gateway.toml").write_text(f'store = "{store}"\n{before}\n[vault]\n{at}\n{key}\n')

    write()
    return write


@pytest.fixture
def vault(folder: Path, configure: Callable[..., None]) -> Callable[[MasterKey], Any]:
    """`with vault(key) as opened:` the vault that the configuration describes, past the command."""

    @contextmanager
    def opened(master: MasterKey) -> Iterator[Vault]:
        text = (folder / "gateway.toml").read_text()
        if "kept.vault" in text:
            yield Vault(folder / "kept.vault", master)
            return
        with Database.open(text.split('"')[1]) as database:
            yield Vault(StoreStorage(lambda: database), master)

    return opened


@pytest.fixture
def filled(vault: Any, cli: Run) -> None:
    document(cli("vault", "init", "--json"))
    with vault(raw(KEY)) as opened:
        opened.put_many(CONTENT)


@pytest.fixture
def piped(folder: Path) -> Callable[..., Result]:
    """The command with this on its standard input, which is no terminal."""

    def run(*words: str, text: str) -> Result:
        return CliRunner().invoke(build(load_plugins()), list(words), input=text)

    return run


def raw(text: str) -> RawKey:
    return RawKey(Secret(text))


def key_file(path: Path, text: str = OTHER) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def failing(*given: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def quiet(result: Result) -> Result:
    """No secret in what it says."""
    assert not [text for text in (KEY, OTHER, HUSH, WORDS) if text in result.output]
    return result


class TestInit:
    def test_it_is_made_and_empty(self, configure: Any, vault: Any, cli: Run) -> None:
        made = document(quiet(cli("vault", "init", "--json")))
        assert made["secrets"] == 0
        with vault(raw(KEY)) as opened:
            assert (opened.name, opened.names()) == (made["vault"], [])

    def test_one_that_is_there_stays(self, filled: None, vault: Any, cli: Run) -> None:
        assert "already; it was left as it is" in failure(quiet(cli("vault", "init", "--json")))["message"]
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    def test_with_a_new_key(self, configure: Any, vault: Any, cli: Run, folder: Path) -> None:
        configure(key='key_file = "its.key"')
        made = document(cli("vault", "init", "--generate-key", "its.key", "--json"))
        assert made["key_file"] == str(folder / "its.key")
        assert made["configure"] is None
        assert stat.S_IMODE((folder / "its.key").stat().st_mode) == 0o600
        key = (folder / "its.key").read_text().strip()
        assert len(bytes.fromhex(key)) == 32
        assert key not in json.dumps(made)
        with vault(raw(key)) as opened:
            assert opened.names() == []
        assert document(cli("vault", "check", "--json"))["names"] == []

    def test_where_no_key_is_configured(self, configure: Any, cli: Run, folder: Path) -> None:
        configure(key="")
        assert "no key for the vault is configured" in failure(cli("vault", "init", "--json"))["message"]
        made = document(cli("vault", "init", "--generate-key", "its.key", "--json"))
        assert made["configure"] == f'[vault] key_file = "{folder / "its.key"}"'
        configure(key=made["configure"].removeprefix("[vault] "))
        assert document(cli("vault", "check", "--json"))["secrets"] == 0

    def test_a_key_file_that_is_there_is_kept(self, configure: Any, cli: Run, folder: Path) -> None:
        configure(key='key_file = "its.key"')
        key_file(folder / "its.key")
        said = failure(quiet(cli("vault", "init", "--generate-key", "its.key", "--json")))
        assert "there is a file its.key already" in said["message"]
        assert (folder / "its.key").read_text() == OTHER + "\n"
        document(cli("vault", "init", "--json"))

    def test_a_new_key_for_a_vault_that_is_there(self, filled: None, configure: Any, cli: Run, folder: Path) -> None:
        configure(key='key_file = "its.key"')
        assert "already" in failure(cli("vault", "init", "--generate-key", "its.key", "--json"))["message"]
        assert not (folder / "its.key").exists()

    @pytest.mark.parametrize("at", ['at = "kept.vault"'])
    def test_the_disk_does_not_confirm_the_vault(
        self, configure: Any, vault: Any, cli: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The vault may be there after a power cut or not: its key is kept in any case."""
        configure(key='key_file = "its.key"')
        with monkeypatch.context() as broken:
            broken.setattr("gateway.keyring.storages._sync_folder", failing)
            said = failure(cli("vault", "init", "--generate-key", "its.key", "--json"))
        assert "the disk did not confirm it" in said["message"]
        assert said["outcome"] == "unknown"
        with vault(RawKey.from_file(folder / "its.key")) as opened:
            assert opened.names() == []

    @pytest.mark.parametrize("at", ['at = "kept.vault"'])
    def test_the_vault_cannot_be_written(
        self, configure: Any, cli: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(key='key_file = "its.key"')
        with monkeypatch.context() as broken:
            broken.setattr("gateway.keyring.storages.os.replace", failing)
            said = failure(cli("vault", "init", "--generate-key", "its.key", "--json"))
        assert "cannot be written" in said["message"]
        assert said["outcome"] == "not_sent"
        assert not (folder / "its.key").exists()
        document(cli("vault", "init", "--generate-key", "its.key", "--json"))

    @pytest.mark.parametrize(
        ("key", "words"),
        [
            (f'key = "{KEY}"', "the vault's key is configured already: vault.key"),
            (f'passphrase = "{WORDS}"', "the vault's key is configured already: vault.passphrase"),
            ('key_file = "another.key"', "vault.key_file names "),
        ],
    )
    def test_another_key_is_configured(self, configure: Any, cli: Run, folder: Path, key: str, words: str) -> None:
        configure(key=key)
        said = failure(quiet(cli("vault", "init", "--generate-key", "its.key", "--json")))
        assert words in said["message"]
        assert sorted(path.name for path in folder.iterdir() if "key" in path.name or "kept" in path.name) == []

    def test_the_variable_is_set(self, configure: Any, cli: Run, folder: Path) -> None:
        configure(key="")
        env = {"GATEWAY_VAULT_KEY": KEY}
        said = failure(quiet(cli("vault", "init", "--generate-key", "its.key", "--json", env=env)))
        assert "configured already: GATEWAY_VAULT_KEY" in said["message"]
        assert document(cli("vault", "init", "--json", env=env))["secrets"] == 0

    def test_before_the_secrets_that_the_configuration_refers_to_are_there(
        self, configure: Any, cli: Run, vault: Any
    ) -> None:
        configure(before='callback_key = "vault:gateway/callback"')
        document(cli("vault", "init", "--json"))
        assert document(cli("vault", "check", "--json"))["secrets"] == 0


def test_a_folder_without_a_vault_table(folder: Path, shop: Path, cli: Run) -> None:
    for words in (("init",), ("check",), ("rekey", "--new-key-env", "X", "--yes")):
        said = failure(cli("vault", *words, "--json"))
        assert said["message"] == "no vault is configured"
        assert "[vault]" in said["hint"]
    made = document(cli("vault", "init", "--generate-key", "its.key", "--json"))
    assert made["vault"] == str(folder / "gateway.vault")


def test_a_key_that_cannot_be_made(folder: Path, shop: Path, cli: Run) -> None:
    said = failure(cli("vault", "init", "--generate-key", "none/its.key", "--json"))
    assert "cannot be made: No such file or directory" in said["message"]
    assert not (folder / "gateway.vault").exists()


class TestRekey:
    def test_a_key_in_the_environment(self, filled: None, cli: Run, vault: Any, configure: Any) -> None:
        words = ("vault", "rekey", "--new-key-env", "NEW_KEY", "--yes", "--json")
        done = document(quiet(cli(*words, env={"NEW_KEY": OTHER})))
        assert done["secrets"] == len(CONTENT)
        assert done["configure"] == '[vault] key = "env:NEW_KEY"; instead of vault.key'
        with vault(raw(OTHER)) as opened:
            assert opened.get_many() == CONTENT
        assert "not the key" in failure(quiet(cli("vault", "check", "--json")))["message"]
        configure(key='key = "env:NEW_KEY"')
        assert document(cli("vault", "check", "--json", env={"NEW_KEY": OTHER}))["secrets"] == len(CONTENT)

    def test_a_key_in_a_file(self, filled: None, cli: Run, vault: Any, configure: Any, folder: Path) -> None:
        file = key_file(folder / "new.key")
        done = document(quiet(cli("vault", "rekey", "--new-key-file", "new.key", "--yes", "--json")))
        assert done["configure"] == f'[vault] key_file = "{file}"; instead of vault.key'
        configure(key='key_file = "new.key"')
        key_file(file)
        assert document(cli("vault", "check", "--json"))["secrets"] == len(CONTENT)
        again = document(quiet(cli("vault", "rekey", "--new-key-file", "new.key", "--yes", "--json")))
        assert again["configure"] is None

    def test_the_same_variable(self, configure: Any, cli: Run) -> None:
        configure(key="")
        env = {"GATEWAY_VAULT_KEY": KEY}
        document(cli("vault", "init", "--json", env=env))
        words = ("vault", "rekey", "--new-key-env", "GATEWAY_VAULT_KEY", "--yes", "--json")
        assert document(cli(*words, env=env))["configure"] is None
        words = ("vault", "rekey", "--new-key-env", "NEW_KEY", "--yes", "--json")
        configured = document(cli(*words, env={**env, "NEW_KEY": OTHER}))["configure"]
        assert configured == '[vault] key = "env:NEW_KEY"; instead of GATEWAY_VAULT_KEY'

    def test_a_service(self, filled: None, cli: Run, vault: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "some_kms.py").write_text(
            "from gateway.keyring import ExternalKey\n"
            "def turned(key):\n    return bytes(byte ^ 7 for byte in key)\n"
            "made = ExternalKey(turned, turned)\n"
        )
        monkeypatch.syspath_prepend(str(folder))
        done = document(quiet(cli("vault", "rekey", "--new-external", "some_kms:made", "--yes", "--json")))
        assert done["configure"] == '[vault] external = "some_kms:made"; instead of vault.key'
        turned = ExternalKey(lambda key: bytes(b ^ 7 for b in key), lambda key: bytes(b ^ 7 for b in key))
        with vault(turned) as opened:
            assert opened.get_many() == CONTENT

    def test_a_passphrase_from_standard_input(self, filled: None, piped: Any, vault: Any) -> None:
        done = document(quiet(piped("vault", "rekey", "--new-passphrase", "--yes", "--json", text=f"{WORDS}\nmore\n")))
        assert done["configure"].startswith("[vault] passphrase = ")
        with vault(Passphrase(Secret(WORDS))) as opened:
            assert opened.get_many() == CONTENT

    def test_no_passphrase(self, filled: None, piped: Any, vault: Any) -> None:
        said = failure(piped("vault", "rekey", "--new-passphrase", "--yes", "--json", text=""))
        assert "none was given, so nothing was done" in said["message"]
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    @pytest.mark.parametrize("answer", ["n\n", "\n", ""])
    def test_no_is_no(self, filled: None, asked: Any, configure: Any, vault: Any, folder: Path, answer: str) -> None:
        configure()  # as `asked` comes with a shop of its own
        key_file(folder / "new.key")
        result = quiet(asked("vault", "rekey", "--new-key-file", "new.key", answer=answer))
        assert result.exit_code == 1
        assert f"(secrets: {len(CONTENT)}) with another key? [y/N]" in result.stderr
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    def test_nobody_to_ask(self, filled: None, cli: Run, vault: Any, folder: Path) -> None:
        key_file(folder / "new.key")
        assert cli("vault", "rekey", "--new-key-file", "new.key").exit_code == 2
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    @pytest.mark.parametrize("words", [(), ("--new-passphrase", "--new-key-env", "X"), ("--new-key-file", "a")])
    def test_misuse_and_keys_that_cannot_be_used(
        self, filled: None, cli: Run, vault: Any, words: tuple[str, ...]
    ) -> None:
        result = cli("vault", "rekey", *words, "--yes")
        if words == ("--new-key-file", "a"):
            assert result.exit_code == 1
            assert "the key file a cannot be read" in result.stderr
        else:
            assert result.exit_code == 2
            assert "which key is to be the new one?" in result.stderr
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    def test_a_variable_that_has_no_key(self, filled: None, cli: Run) -> None:
        words = ("vault", "rekey", "--new-key-env", "NEW_KEY", "--yes", "--json")
        assert failure(cli(*words))["message"] == "the environment variable NEW_KEY is not set"
        said = failure(quiet(cli(*words, env={"NEW_KEY": HUSH})))
        assert said["message"].startswith("NEW_KEY: the vault's key is 32 bytes")


@pytest.mark.parametrize("at", ['at = "kept.vault"'])
class TestAtATerminal:
    def test_a_passphrase_is_asked_for_twice_and_not_shown(
        self, filled: None, vault: Any, terminal: Callable[..., Terminal]
    ) -> None:
        there = terminal("vault", "rekey", "--new-passphrase")
        there.read_until("with another key? [y/N] ")
        there.type("y\n")
        there.read_until("New passphrase: ")
        there.type(f"{WORDS}\n")
        there.read_until("New passphrase, once more: ")
        there.type(f"{WORDS}\n")
        assert there.end() == 0, there.text
        assert WORDS not in there.text
        with vault(Passphrase(Secret(WORDS))) as opened:
            assert opened.get_many() == CONTENT

    def test_a_secret_is_asked_for_once_and_not_shown(
        self, filled: None, vault: Any, terminal: Callable[..., Terminal]
    ) -> None:
        there = terminal("vault", "put", "shop/main", "--replace")
        there.read_until("for good? [y/N] ")
        there.type("y\n")
        there.read_until("Secret shop/main: ")
        there.type(f"{WORDS}\n")
        assert there.end() == 0, there.text
        assert WORDS not in there.text
        with vault(raw(KEY)) as opened:
            assert opened.get("shop", "main") == Secret(WORDS)

    def test_two_different_ones(self, filled: None, vault: Any, terminal: Callable[..., Terminal]) -> None:
        there = terminal("vault", "rekey", "--new-passphrase", "--yes")
        there.read_until("New passphrase: ")
        there.type(f"{WORDS}\n")
        there.read_until("New passphrase, once more: ")
        there.type(f"{WORDS}x\n")
        assert there.end() == 1
        assert "the two are not the same: nothing was done" in there.text
        assert WORDS not in there.text
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT


class TestCheck:
    def test_names_and_no_values(self, filled: None, cli: Run) -> None:
        found = document(quiet(cli("vault", "check", "--json")))
        assert (found["secrets"], found["names"]) == (2, ["shop/main", "shop/main.api_token"])
        shown = fields(quiet(cli("vault", "check")))
        assert (shown["secrets"], shown["names"]) == ("2", "shop/main, shop/main.api_token")

    def test_there_is_none(self, configure: Any, cli: Run, at: str) -> None:
        said = failure(cli("vault", "check", "--json"))["message"]
        assert "there is no vault" in said or "there is no store" in said

    def test_another_key(self, filled: None, configure: Any, cli: Run) -> None:
        configure(key=f'key = "{OTHER}"')
        result = quiet(cli("vault", "check"))
        assert result.exit_code == 1
        assert "this is not the key of the vault" in result.stderr
        assert result.stdout == ""

    @pytest.mark.parametrize("at", ['at = "kept.vault"'])
    def test_what_is_wrong_with_a_file(self, filled: None, cli: Run, folder: Path) -> None:
        path = folder / "kept.vault"
        path.chmod(0o644)
        assert "can be read by others" in failure(cli("vault", "check", "--json"))["message"]
        path.chmod(0o600)
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        assert "is truncated" in failure(quiet(cli("vault", "check", "--json")))["message"]
        path.write_bytes(whole.replace(b"main.api", b"niam.api"))
        assert "is damaged or was edited" in failure(quiet(cli("vault", "check", "--json")))["message"]

    def test_the_rest_of_the_configuration_may_be_wrong(self, filled: None, configure: Any, cli: Run) -> None:
        configure(before='stoer = "x"\ncallback_key = "vault:no/where"')
        assert document(cli("vault", "check", "--json"))["secrets"] == 2


@pytest.mark.parametrize("at", ['at = "kept.vault"', 'at = "store"'])
class TestDoctor:
    def test_secrets_in_the_vault(
        self, filled: None, configure: Any, vault: Any, cli: Run, folder: Path, server: SandboxServer
    ) -> None:
        account = server.account("aurpay")
        key = account["auth"]["api_key"]
        with vault(raw(KEY)) as opened:
            opened.put("shop", "main", Secret(key))
        account["auth"] |= {"api_key": "vault:shop/main"}
        configure(before='callback_key = "vault:shop/main.api_token"')
        file = folder / "gateway.toml"
        file.write_text(file.read_text() + accounts_toml({"shop": account}))
        checks = json.loads(quiet(cli("doctor", "--json")).stdout)["checks"]
        assert [row["level"] for row in checks if row["check"] == "read"] == ["ok"]
        (vaults,) = [row for row in checks if row["check"] == "vault"]
        assert vaults["level"] == "ok"
        assert vaults["found"].endswith(": all secrets open: 2")
        (risk,) = [row for row in checks if row["check"] == "settings at risk" and row["account"] is None]
        assert risk["found"] == "a secret stands in the file: vault.key"
        assert risk["todo"] == "write env:NAME or file:PATH instead"
        assert "auth.api_key" not in json.dumps(checks)
        assert key not in json.dumps(checks)

    def test_one_that_is_not_there_and_a_wrong_key(
        self, filled: None, configure: Any, cli: Run, folder: Path, server: SandboxServer
    ) -> None:
        account = server.account("aurpay")
        account["auth"] |= {"api_key": "vault:shop/none"}
        for key, words in ((KEY, "the vault has no secret shop/none"), (OTHER, "this is not the key of the vault")):
            configure(key=f'key = "{key}"')
            file = folder / "gateway.toml"
            file.write_text(file.read_text() + accounts_toml({"shop": account}))
            result = quiet(cli("doctor", "--json"))
            assert result.exit_code == 1
            checks = json.loads(result.stdout)["checks"]
            (secret,) = [row for row in checks if row["check"] == "secrets"]
            assert secret["found"].startswith(f"accounts.shop.auth.api_key: {words}")
            (vaults,) = [row for row in checks if row["check"] == "vault"]
            assert vaults["level"] == ("ok" if key == KEY else "problem")


class TestPut:
    def test_a_line_of_standard_input(self, filled: None, piped: Any, vault: Any) -> None:
        done = document(quiet(piped("vault", "put", "gateway/callback", "--json", text=f"{WORDS}\nmore\n")))
        assert (done["name"], done["replaced"]) == ("gateway/callback", False)
        assert done["configure"] == '"vault:gateway/callback"'
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == {**CONTENT, ("gateway", "callback"): Secret(WORDS)}

    def test_one_that_is_there_stays(self, filled: None, piped: Any, vault: Any) -> None:
        said = failure(quiet(piped("vault", "put", "shop/main", "--yes", "--json", text=f"{WORDS}\n")))
        assert "has a secret shop/main already; it was left as it is" in said["message"]
        assert said["hint"] == "--replace"
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    def test_another_in_its_place(self, filled: None, piped: Any, vault: Any) -> None:
        words = ("vault", "put", "shop/main", "--replace", "--json")
        assert piped(*words, text=f"{WORDS}\n").exit_code == 2  # nobody to ask
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT
        assert document(quiet(piped(*words, "--yes", text=f"{WORDS}\n")))["replaced"] is True
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == {**CONTENT, ("shop", "main"): Secret(WORDS)}

    def test_no_is_no(self, filled: None, configure: Any, asked: Any, vault: Any) -> None:
        configure()  # as `asked` comes with a shop of its own
        result = quiet(asked("vault", "put", "shop/main", "--replace", answer="n\n"))
        assert result.exit_code == 1
        assert "Replace the secret shop/main in the vault" in result.stderr
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    @pytest.mark.parametrize("text", ["", "\n"])
    def test_nothing_given(self, filled: None, piped: Any, vault: Any, text: str) -> None:
        said = failure(piped("vault", "put", "shop/other", "--json", text=text))
        assert "none was given, so nothing was done" in said["message"]
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    @pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
    @pytest.mark.parametrize("at", ['at = "kept.vault"'])
    def test_what_is_no_text(self, filled: None, cli: Run, folder: Path, errors: str) -> None:
        done = subprocess.run(
            [*COMMAND, "vault", "put", "shop/other", "--json"],
            input=b"\xff" + HUSH.encode() + b"\n",
            env={**os.environ, "PYTHONIOENCODING": f"utf-8:{errors}"},
            capture_output=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 1
        said = json.loads(done.stdout or done.stderr)
        assert "is no text in UTF-8, so nothing was done" in json.dumps(said)
        assert HUSH not in (done.stdout + done.stderr).decode()
        assert document(cli("vault", "check", "--json"))["names"] == ["shop/main", "shop/main.api_token"]

    @pytest.mark.parametrize("name", [f"{HUSH}", f"shop/{HUSH} x", "/main", "shop/", "a/b/c"])
    def test_what_is_no_name_is_not_shown(self, filled: None, piped: Any, vault: Any, name: str) -> None:
        for command in (("put",), ("forget", "--yes")):
            said = failure(quiet(piped("vault", *command, name, "--json", text=f"{WORDS}\n")))
            assert said["message"] == "a secret is kept under an account and a label"
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    def test_another_key_and_no_vault(self, configure: Any, vault: Any, cli: Run, piped: Any, at: str) -> None:
        for command in (("put",), ("forget", "--yes")):
            said = failure(quiet(piped("vault", *command, "shop/main", "--json", text=f"{WORDS}\n")))
            assert "there is no vault" in said["message"] or "there is no store" in said["message"]
        document(cli("vault", "init", "--json"))
        configure(key=f'key = "{OTHER}"')
        for command in (("put",), ("forget", "--yes")):
            said = failure(quiet(piped("vault", *command, "shop/main", "--json", text=f"{WORDS}\n")))
            assert "this is not the key of the vault" in said["message"]
        with vault(raw(KEY)) as opened:
            assert opened.names() == []


class TestForget:
    def test_it_is_gone(self, filled: None, cli: Run, vault: Any) -> None:
        done = document(quiet(cli("vault", "forget", "shop/main", "--yes", "--json")))
        assert (done["name"], done["forgotten"]) == ("shop/main", True)
        with vault(raw(KEY)) as opened:
            assert opened.names() == [("shop", "main.api_token")]

    def test_one_that_is_not_there(self, filled: None, cli: Run, vault: Any) -> None:
        said = failure(quiet(cli("vault", "forget", "shop/none", "--yes", "--json")))
        assert said["message"].endswith("has no secret shop/none")
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    def test_nobody_to_ask(self, filled: None, cli: Run, vault: Any) -> None:
        assert cli("vault", "forget", "shop/main").exit_code == 2
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    @pytest.mark.parametrize("answer", ["n\n", ""])
    def test_no_is_no(self, filled: None, configure: Any, asked: Any, vault: Any, answer: str) -> None:
        configure(before='callback_key = ["vault:shop/main"]')
        result = quiet(asked("vault", "forget", "shop/main", answer=answer))
        assert result.exit_code == 1
        assert "for good; the configuration refers to it? [y/N]" in result.stderr
        assert "refers to it" not in asked("vault", "forget", "shop/main.api_token", answer=answer).stderr
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT


class TestKeysOfARing:
    """Their secrets are left to `gateway keys`, as long as the ring has a row of the key."""

    @pytest.fixture
    def row(self, filled: None, folder: Path) -> Iterator[Callable[..., None]]:
        """`row()` puts a key `main` with two secret parts into the ring of shop, `row(state=…)` changes it."""
        now = datetime.now(UTC)
        key = ApiKey(
            account="shop",
            provider="aurpay",
            environment=Environment.SANDBOX,
            label="main",
            kind="signature",
            permissions=frozenset(Permission),
            origin=KeyOrigin.IMPORTED,
        )
        with Database.open((folder / "gateway.toml").read_text().split('"')[1]) as database:
            database.transaction(lambda connection: keys.add(connection, key, ("api_secret", "api_token"), now))

            def change(**values: Any) -> None:
                found = database.read(lambda connection: keys.find(connection, "shop", "main", now))
                database.transaction(lambda connection: keys.change(connection, found, now, **values))

            yield change

    @pytest.mark.parametrize("name", ["shop/main", "shop/main.api_token"])
    def test_they_are_left_alone(self, row: Any, piped: Any, vault: Any, name: str) -> None:
        for command, hint in ((("put", "--replace"), "gateway keys rotate"), (("forget",), "gateway keys revoke")):
            said = failure(quiet(piped("vault", *command, name, "--yes", "--json", text=f"{WORDS}\n")))
            assert f"{name} is where the secret of the key main of the ring is kept" in said["message"]
            assert said["account"] == "shop"
            assert hint in said["hint"]
        with vault(raw(KEY)) as opened:
            assert opened.get_many() == CONTENT

    def test_also_where_the_secret_is_missing(self, row: Any, piped: Any, vault: Any) -> None:
        with vault(raw(KEY)) as opened:
            opened.remove("shop", "main")
        failure(quiet(piped("vault", "put", "shop/main", "--json", text=f"{WORDS}\n")))
        with vault(raw(KEY)) as opened:
            assert opened.names() == [("shop", "main.api_token")]

    def test_one_that_is_revoked(self, row: Any, cli: Run) -> None:
        row(state="revoked")
        assert "gateway keys delete" in failure(cli("vault", "forget", "shop/main", "--yes", "--json"))["hint"]

    def test_others_of_the_account_are_not_theirs(self, row: Any, piped: Any, cli: Run) -> None:
        for name in ("shop/main.other", "shop/main2", "shop2/main"):
            document(quiet(piped("vault", "put", name, "--json", text=f"{WORDS}\n")))
            document(quiet(cli("vault", "forget", name, "--yes", "--json")))


class TestAudit:
    """Who made the vault and who locked it with another key is kept in the store, where there is one."""

    def kept(self, folder: Path) -> list[Any]:
        with Database.open((folder / "gateway.toml").read_text().split('"')[1]) as database:
            return database.read(audit.listed)

    def test_it_is_kept(self, configure: Any, cli: Run, folder: Path, at: str) -> None:
        with Database.open((folder / "gateway.toml").read_text().split('"')[1]):
            pass
        assert document(cli("vault", "init", "--json"))["audited"] is True
        key_file(folder / "its.key")
        rekeyed = document(quiet(cli("vault", "rekey", "--new-key-file", "its.key", "--yes", "--json")))
        assert rekeyed["audited"] is True
        last, first = self.kept(folder)
        assert (first.action, last.action) == ("vault made", "vault rekeyed")
        assert first.actor == last.actor == pwd.getpwuid(os.getuid()).pw_name
        assert (last.account, last.label) == (None, None)
        assert last.detail == {"vault": rekeyed["vault"], "secrets": 0}

    def test_secrets_are_kept_by_their_names(self, filled: None, cli: Run, piped: Any, folder: Path) -> None:
        with Database.open((folder / "gateway.toml").read_text().split('"')[1]):
            pass
        before = self.kept(folder)
        for words in (
            ("put", "shop/other"),
            ("put", "shop/other", "--replace", "--yes"),
            ("forget", "shop/other", "--yes"),
        ):
            done = document(quiet(piped("vault", *words, "--json", text=f"{WORDS}\n")))
            assert done["audited"] is True
        failure(piped("vault", "put", "shop/main", "--json", text=f"{WORDS}\n"))
        rows = self.kept(folder)
        rows = list(reversed(rows[: len(rows) - len(before)]))
        assert [row.action for row in rows] == ["secret put", "secret replaced", "secret forgotten"]
        assert {(row.account, row.label, row.actor) for row in rows} == {
            ("shop", "other", pwd.getpwuid(os.getuid()).pw_name)
        }
        assert all(row.detail == {"vault": done["vault"]} for row in rows)

    def test_what_was_refused_is_not(self, configure: Any, cli: Run, folder: Path) -> None:
        document(cli("vault", "init", "--json"))
        before = self.kept(folder)
        failure(cli("vault", "init", "--json"))
        configure(key=f'key = "{OTHER}"')
        key_file(folder / "its.key")
        failure(cli("vault", "rekey", "--new-key-file", "its.key", "--yes", "--json"))
        assert self.kept(folder) == before

    def test_no_store_is_made_for_it(self, folder: Path, cli: Run) -> None:
        (folder / "gateway.toml").write_text(f'[vault]\nat = "kept.vault"\nkey = "{KEY}"\n')
        assert document(cli("vault", "init", "--json"))["audited"] is False
        assert not (folder / "gateway.db").exists()

    def test_nor_for_a_secret(self, folder: Path, cli: Run, piped: Any) -> None:
        (folder / "gateway.toml").write_text(f'[vault]\nat = "kept.vault"\nkey = "{KEY}"\n')
        document(cli("vault", "init", "--json"))
        assert document(piped("vault", "put", "shop/main", "--json", text=f"{HUSH}\n"))["audited"] is False
        assert document(cli("vault", "forget", "shop/main", "--yes", "--json"))["audited"] is False
        assert not (folder / "gateway.db").exists()
