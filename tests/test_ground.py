"""The ground that the house stands on: the walls between its rooms, what is shipped, and what is committed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import pytest

import gateway

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROVIDERS = sorted(path.parent.name for path in (ROOT / "providers").glob("*/__init__.py"))
PACKAGES = ["gateway", *PROVIDERS]
HTTP_CLIENTS = {"aiohttp", "httpcore", "httpx", "httpx2", "requests", "urllib3"}
HTTP_MODULE = "gateway.engine.http"

# What a provider may import of the core, with all below it. pyproject.toml has the same list, for import-linter.
PUBLIC_CONTRACT = {
    "gateway.addresses",
    "gateway.assets",
    "gateway.capabilities",
    "gateway.contracts",
    "gateway.errors",
    "gateway.exchange",
    "gateway.hookspecs",
    "gateway.lightning",
    "gateway.models",
    "gateway.money",
    "gateway.secrets",
    "gateway.testing",
    "gateway.uris",
}


def files(package: str) -> dict[str, Path]:
    """Every source file of a package by its path in the wheel."""
    top = ROOT / package if package == "gateway" else ROOT / "providers" / package
    return {path.relative_to(top.parent).as_posix(): path for path in top.rglob("*.py")}


FILES = {name: path for package in PACKAGES for name, path in files(package).items()}
MODULES = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for name, path in FILES.items()}


def imports(name: str, source: str, known: set[str], *, is_package: bool = False) -> Iterator[str]:
    """The modules that a source imports, anywhere in it; `from a import b` is `a.b` where that is a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known else base
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"}:
                yield str(node.args[0].value)


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def broken_walls(name: str, source: str, known: set[str], *, is_package: bool = False) -> list[str]:
    """The rules between rooms that a module breaks, one text for each import."""
    own = name.split(".")[0]
    found = []
    for imported in imports(name, source, known, is_package=is_package):
        top = imported.split(".")[0]
        if own == "gateway" and top in PROVIDERS:
            found.append(f"{name} imports {imported}: the core knows no provider")
        if own in PROVIDERS and top in PROVIDERS and top != own:
            found.append(f"{name} imports {imported}: providers do not know each other")
        if own in PROVIDERS and top == "gateway" and imported != "gateway" and not within(imported, PUBLIC_CONTRACT):
            found.append(f"{name} imports {imported}: no part of the public contract")
        if top in HTTP_CLIENTS and name != HTTP_MODULE:
            found.append(f"{name} imports {imported}: only {HTTP_MODULE} speaks HTTP")
    return found


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_wall_between_rooms_is_broken(name: str) -> None:
    path = MODULES[name]
    source = path.read_text(encoding="utf-8")
    assert broken_walls(name, source, set(MODULES), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("name", "source", "rule"),
    [
        ("gateway.plugins", "import gateway_aurex", "knows no provider"),
        ("gateway.plugins", "def load():\n    from gateway_aurpay import adapter", "knows no provider"),
        ("gateway.plugins", "importlib.import_module('gateway_emirex')", "knows no provider"),
        ("gateway_aurex.adapter", "from gateway_aurpay.wire import Order", "do not know each other"),
        ("gateway_aurex.adapter", "import gateway.engine.drivers", "public contract"),
        ("gateway_aurex.adapter", "from gateway import store", "public contract"),
        ("gateway_aurex.adapter", "if TYPE_CHECKING:\n    from gateway.config import Settings", "public contract"),
        ("gateway_aurex.adapter", "import httpx", "speaks HTTP"),
        ("gateway.flows.orders", "def send():\n    import httpcore", "speaks HTTP"),
        ("gateway.engine", "from .http import httpx\nimport httpx2", "speaks HTTP"),
    ],
)
def test_a_broken_wall_is_found(name: str, source: str, rule: str) -> None:
    known = set(MODULES) | {"gateway.store"}
    [found] = broken_walls(name, source, known, is_package=name == "gateway.engine")
    assert rule in found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("gateway_aurex.adapter", "from gateway import Money, money\nfrom gateway.contracts.orders import Orders"),
        ("gateway_aurex.adapter", "from . import wire\nfrom gateway_aurex.mapping import STATUSES"),
        ("gateway.engine.http", "import httpx\nfrom . import drivers"),
        ("gateway.flows.orders", "from gateway.engine.http import Client\nfrom ..store import orders"),
    ],
)
def test_what_the_walls_let_through(name: str, source: str) -> None:
    assert broken_walls(name, source, set(MODULES)) == []


def test_relative_imports_are_resolved() -> None:
    known = {"gateway.engine.http", "gateway.money"}
    assert list(imports("gateway.engine.sync", "from .http import Client", known)) == ["gateway.engine.http"]
    assert list(imports("gateway.engine.sync", "from . import http", known)) == ["gateway.engine.http"]
    assert list(imports("gateway.engine", "from . import http", known, is_package=True)) == ["gateway.engine.http"]
    assert list(imports("gateway.engine.sync", "from .. import money", known)) == ["gateway.money"]


def test_import_linter_has_the_same_public_contract() -> None:
    [contract] = [item for item in PROJECT["tool"]["importlinter"]["contracts"] if item["id"] == "contract"]
    opened = {entry.removeprefix("** -> ").removesuffix(".**") for entry in contract["ignore_imports"]}
    assert opened == PUBLIC_CONTRACT


def test_every_provider_is_named_wherever_providers_are_named() -> None:
    tool = PROJECT["tool"]
    assert PROVIDERS == ["gateway_aurex", "gateway_aurpay", "gateway_emirex"]
    assert sorted(PROJECT["project"]["entry-points"]["gateway"].values()) == PROVIDERS
    assert tool["hatch"]["build"]["targets"]["wheel"]["packages"] == ["gateway", *(f"providers/{p}" for p in PROVIDERS)]
    assert tool["coverage"]["run"]["source_pkgs"] == PACKAGES
    assert tool["importlinter"]["root_packages"] == PACKAGES
    for contract in tool["importlinter"]["contracts"]:
        keys = ("modules", "source_modules", "forbidden_modules")
        assert {name for key in keys for name in contract.get(key, ())} >= set(PROVIDERS), contract["name"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built from the sources without asking the network for anything."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [built] = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        yield archive


def test_the_wheel_holds_every_package_with_its_types(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert set(FILES) <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)


def test_the_wheel_holds_the_migrations(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "gateway/store/migrations/env.py" in names
    assert [name for name in names if re.fullmatch(r"gateway/store/migrations/versions/\w+\.py", name)]


def test_the_wheel_holds_the_templates_of_a_new_provider(wheel: zipfile.ZipFile) -> None:
    templates = ROOT / "gateway" / "scaffold" / "templates"
    found = {path.relative_to(ROOT).as_posix() for path in templates.rglob("*.tmpl")}
    assert "gateway/scaffold/templates/src/package/adapter.py.tmpl" in found
    assert found <= set(wheel.namelist())


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    info = f"crypto_gateway-{gateway.__version__}.dist-info"
    assert {f"{info}/licenses/LICENSE", f"{info}/METADATA"} <= set(wheel.namelist())
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {gateway.__version__}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "[console_scripts]\ngateway = gateway.cli:main\n" in entry_points
    assert "[gateway]\naurex = gateway_aurex\naurpay = gateway_aurpay\nemirex = gateway_emirex\n" in entry_points


def test_the_installed_command_and_entry_points_are_these() -> None:
    assert version("crypto-gateway") == gateway.__version__
    [command] = entry_points(group="console_scripts", name="gateway")
    assert callable(command.load())
    built_in = {point.name: point for point in entry_points(group="gateway")}
    assert {name: built_in[name].value for name in ("aurex", "aurpay", "emirex")} == {
        "aurex": "gateway_aurex",
        "aurpay": "gateway_aurpay",
        "emirex": "gateway_emirex",
    }


def test_the_readme_opens_with_what_it_is_and_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = readme[: readme.find("\n## ") if "\n## " in readme else None]
    assert opening.startswith("# ")
    assert PROJECT["project"]["description"].split(",")[0].lower() in opening.lower()
    assert opening.index("make demo") < opening.index("make test")


def test_the_commands_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"`?make ([a-z]+)", (ROOT / page).read_text(encoding="utf-8")))
        assert named <= targets, page


def committed() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=60).stdout
    return [ROOT / name for name in listing.decode().split("\0") if name and (ROOT / name).is_file()]


HOME_OF_A_MACHINE = re.compile(r"(?<![\w.*-])/(?:work|root|home/\w+|Users/\w+)/")
# Where packages come from is the business of each machine's own settings.
PACKAGE_REGISTRY = re.compile(r"\b(?:pypi|pythonhosted|npmjs|debian|crates)\.(?:org|com|io)\b|--(?:extra-)?index-url")
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone knows which files are committed")
@pytest.mark.parametrize("pattern", [HOME_OF_A_MACHINE, PACKAGE_REGISTRY, PRIVATE_KEY], ids=["path", "registry", "key"])
def test_nothing_committed_belongs_to_one_machine(pattern: re.Pattern[str]) -> None:
    found = []
    for path in committed():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (HOME_OF_A_MACHINE, "cd /" + "work/main"),
        (HOME_OF_A_MACHINE, "store = 'sqlite:////" + "home/sam/gateway.db'"),
        (PACKAGE_REGISTRY, "https://py" + "pi.org/simple"),
        (PRIVATE_KEY, "-----BEGIN EC " + "PRIVATE KEY-----"),
    ],
)
def test_what_belongs_to_one_machine_is_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
