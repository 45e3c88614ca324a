"""`gateway new-provider`: where it writes, what it refuses, and what it says."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import plugins
from gateway.cli.app import build
from gateway.plugins import load_plugins
from gateway.scaffold import NewProvider, Part, Scheme, left_to_fill_in, render
from support.installed import install

Run = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    plugins._load.cache_clear()
    yield lambda *words: CliRunner().invoke(build(load_plugins()), ["new-provider", *words], prog_name="gateway")
    plugins._load.cache_clear()


def written(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


def test_it_writes_what_is_rendered(cli: Run, tmp_path: Path) -> None:
    done = cli("acme", "--auth", "hmac", "--title", "ACME Pay")
    assert (done.exit_code, done.stderr) == (0, "")
    made = render(NewProvider("acme", Scheme.HMAC, "ACME Pay"))
    assert written(tmp_path / "gateway-acme") == made
    assert os.access(tmp_path / "gateway-acme" / ".ci" / "run", os.X_OK)
    assert f"{len(left_to_fill_in(made))} places: grep -rn 'FILL IN:' gateway-acme" in done.stdout


def test_json_lists_the_files_and_what_is_left(cli: Run, tmp_path: Path) -> None:
    done = cli("acme", "--auth", "none", "--directory", "some/where", "--json")
    made = render(NewProvider("acme", Scheme.NONE))
    assert json.loads(done.stdout) == {
        "directory": str(Path("some/where")),
        "distribution": "gateway-acme",
        "files": list(made),
        "fill_in": left_to_fill_in(made),
    }
    assert written(tmp_path / "some" / "where") == made


@pytest.mark.parametrize("words", [["--with", "wallets,payouts"], ["--with", "payouts", "--with", "wallets"]])
def test_parts_are_named_together_or_one_by_one(cli: Run, tmp_path: Path, words: list[str]) -> None:
    done = cli("acme", *words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert written(tmp_path / "gateway-acme") == render(NewProvider("acme", parts=frozenset(Part)))


def test_a_part_that_there_is_not_is_named(cli: Run, tmp_path: Path) -> None:
    done = cli("acme", "--with", "wallets,cards")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: there is no part called 'cards'\nhint: --with takes wallets, payouts\n"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert cli("acme", "--directory", "empty").exit_code == 0
    assert (tmp_path / "empty" / "pyproject.toml").is_file()


def test_nothing_is_overwritten(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway-acme").mkdir()
    (tmp_path / "gateway-acme" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("a file")
    for words in (["acme"], ["acme", "--directory", "file"]):
        done = cli(*words)
        assert done.exit_code == 1
        assert "is there already, and not empty: nothing was written\nhint: name a new --directory\n" in done.stderr
    assert written(tmp_path) == {"gateway-acme/mine.txt": "mine", "file": "a file"}


def test_a_folder_that_cannot_be_made_is_told(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    done = cli("acme", "--directory", "file/below")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: file/below cannot be written: Not a directory\nhint: ")


def test_a_wrong_name_changes_nothing(cli: Run, tmp_path: Path) -> None:
    done = cli("Acme_Pay")
    assert (done.exit_code, done.stderr.partition("\n")[0]) == (1, "error: not a provider's name: 'Acme_Pay'")
    assert cli("acme", "--auth", "magic").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_installed_provider_is_refused(cli: Run, tmp_path: Path) -> None:
    done = cli("aurpay")
    assert done.exit_code == 1
    assert "the name 'aurpay' is taken by crypto-gateway " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_so_is_that_of_a_plugin_that_failed(
    cli: Run, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path_factory.mktemp("site")
    install(site, "somebodys-acme", version="4.5", points={"acme": "no_such_module_of_acme"})
    monkeypatch.syspath_prepend(site)
    plugins._load.cache_clear()
    done = cli("acme")
    assert (done.exit_code, "is taken by somebodys-acme 4.5" in done.stderr) == (1, True)


def test_so_is_one_that_two_claim(
    cli: Run, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path_factory.mktemp("site")
    text = """
from gateway.hookspecs import hookimpl
from support.toy import provider

@hookimpl
def gateway_register_providers(register):
    register(provider("acme"))
"""
    for name in ("claim_one", "claim_two"):
        install(site, name, version="4.5", points={name: name}, files={f"{name}.py": text})
    monkeypatch.syspath_prepend(site)
    plugins._load.cache_clear()
    done = cli("acme")
    assert (done.exit_code, "is taken by claim_one 4.5" in done.stderr) == (1, True)
    for name in ("claim_one", "claim_two"):
        monkeypatch.delitem(sys.modules, name)


def test_a_name_that_is_only_asked_for_is_free(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PLUGINS", "aurpay,acme")
    assert cli("acme").exit_code == 0
    assert (tmp_path / "gateway-acme" / "pyproject.toml").exists()
