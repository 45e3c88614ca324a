"""Sandboxes of installed providers, and how a broken one is reported."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from types import SimpleNamespace
from typing import Any

import pytest

import gateway.plugins
from gateway import testing
from gateway.errors import ConfigurationError, PluginError
from gateway.testing import accounts_toml, installed_sandboxes
from toy_sandbox import ToySandbox


def provider(name: str, sandbox: str | None) -> Any:
    return SimpleNamespace(name=name, sandbox=sandbox)


def install(monkeypatch: pytest.MonkeyPatch, *providers: Any) -> None:
    plugins = SimpleNamespace(providers={each.name: each for each in providers})
    monkeypatch.setattr(gateway.plugins, "load_plugins", lambda: plugins)


def not_a_sandbox() -> object:
    return object()


def test_every_provider_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, provider("toy", "toy_sandbox:ToySandbox"), provider("plain", None))
    [first] = installed_sandboxes()
    [second] = installed_sandboxes(["toy"])
    assert isinstance(first, ToySandbox)
    assert first is not second
    assert installed_sandboxes([]) == []


def test_a_name_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, provider("toy", "toy_sandbox:ToySandbox"), provider("plain", None))
    with pytest.raises(ConfigurationError, match="'plain' has a sandbox — there are toy"):
        installed_sandboxes(["toy", "plain"])


@pytest.mark.parametrize(
    ("name", "where", "message"),
    [
        ("toy", "toy_sandbox:Nothing", "cannot be made: AttributeError"),
        ("toy", "no_such_module:Sandbox", "cannot be made: ModuleNotFoundError"),
        ("toy", "toy_sandbox", "cannot be made: AttributeError"),
        ("toy", "toy_sandbox:JSONResponse", "makes no gateway.testing.Sandbox|cannot be made"),
        ("toy", "types:SimpleNamespace", "makes no gateway.testing.Sandbox"),
        ("tin", "toy_sandbox:ToySandbox", "calls itself 'toy'"),
    ],
)
def test_a_broken_one_names_its_provider(monkeypatch: pytest.MonkeyPatch, name: str, where: str, message: str) -> None:
    install(monkeypatch, provider(name, where))
    with pytest.raises(PluginError, match=message) as caught:
        installed_sandboxes([name])
    assert caught.value.provider == name


def test_a_broken_one_leaves_the_others(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    install(monkeypatch, provider("tin", "no_such_module:Sandbox"), provider("toy", "toy_sandbox:ToySandbox"))
    assert [sandbox.name for sandbox in installed_sandboxes()] == ["toy"]
    assert "tin: the sandbox 'no_such_module:Sandbox' cannot be made: ModuleNotFoundError" in caplog.text


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, provider("toy", "toy_sandbox:ToySandbox"))
    monkeypatch.delitem(sys.modules, "toy_sandbox")
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(ConfigurationError, match=r"starlette.*crypto-gateway\[sandbox\]"):
        installed_sandboxes()


def test_public_names_are_there_and_imported_late() -> None:
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="Sandcastle"):
        _ = testing.Sandcastle  # type: ignore[attr-defined]
    heavy = "{'starlette', 'uvicorn', 'h11', 'httpx', 'pydantic', 'sqlalchemy'}"
    code = f"import sys, gateway.testing.plugin; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_accounts_to_paste() -> None:
    accounts = {
        "toy": {
            "provider": "toy",
            "strict": False,
            "page": 10,
            "proxy": None,
            "auth": {"kind": "signature", "api secret": 'a"b\\c\n\x7fé'},
            "allow_inferred": ["wallets.list", "x"],
            "limits": {},
        },
        "my shop": {"provider": "toy"},
    }
    read = tomllib.loads(accounts_toml(accounts))
    assert read["accounts"]["toy"].pop("limits") == {}
    expected = {name: {k: v for k, v in each.items() if v not in (None, {})} for name, each in accounts.items()}
    assert read["accounts"] == expected
    assert accounts_toml({"toy": {"provider": "toy"}}) == '[accounts.toy]\nprovider = "toy"\n'
