"""`Gateway` and `AsyncGateway` are one surface in two colours, and both are typed for those who use them."""

from __future__ import annotations

import importlib.util
import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway import aio, api

ROOT = Path(__file__).parent.parent.parent
SAMPLES = sorted((ROOT / "tests" / "samples").glob("*.py"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_aio", ROOT / ".ci" / "generate_aio.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_asynchronous_module_is_generated_from_the_synchronous_one(generator: ModuleType, tmp_path: Path) -> None:
    made = tmp_path / "aio.py"
    made.write_text(generator.generated((ROOT / "gateway" / "api.py").read_text(encoding="utf-8")), encoding="utf-8")
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    assert ruff is not None
    config = ["--config", str(ROOT / "pyproject.toml")]
    subprocess.run([ruff, "check", "--fix", "--quiet", "--exit-zero", *config, str(made)], check=True)
    subprocess.run([ruff, "format", "--quiet", *config, str(made)], check=True)
    assert made.read_text(encoding="utf-8") == (ROOT / "gateway" / "aio.py").read_text(encoding="utf-8"), (
        "gateway/aio.py is stale: run `make aio`"
    )


def surface(module: ModuleType, asynchronous: bool) -> Iterator[tuple[str, str, Any]]:
    """Every public callable and property: (class, name, parameters), named as in the synchronous one."""
    for kind in vars(module).values():
        if not inspect.isclass(kind) or kind.__module__ != module.__name__ or kind.__name__.startswith("_"):
            continue
        name = kind.__name__.removeprefix("Async") if asynchronous else kind.__name__
        for member, value in inspect.getmembers(kind):
            if member.startswith("_") and member != "__init__":
                continue
            if callable(value):
                parameters = inspect.signature(value).parameters.values()
                yield name, member, [(item.name, item.kind, item.default is item.empty) for item in parameters]
            elif isinstance(value, property):
                yield name, member, "property"


def test_both_have_the_same_names_and_parameters() -> None:
    ours, theirs = list(surface(api, False)), list(surface(aio, True))
    assert ours == theirs
    assert len(ours) > 40


def test_what_sends_is_awaited_or_iterated_in_the_asynchronous_one() -> None:
    checked = 0
    for kind in vars(aio).values():
        if not inspect.isclass(kind) or kind.__module__ != aio.__name__ or kind.__name__.startswith("_"):
            continue
        for name, value in vars(kind).items():
            if inspect.isfunction(value) and "deadline" in inspect.signature(value).parameters:
                returned = str(inspect.signature(value).return_annotation)
                assert inspect.iscoroutinefunction(value) is not returned.startswith("AsyncIterator"), f"{kind} {name}"
                checked += 1
    assert checked > 25


def test_every_call_that_sends_takes_a_deadline() -> None:
    by_the_store_alone = {
        *("Orders.list", "Withdrawals.list", "Journal.list", "Journal.show", "Journal.settle", "Trades.list"),
        *("Orders.explain", "Refunds.list", "Customers.list"),
        *(
            "Keys.list",
            "Keys.get",
            "Keys.guide",
            "Keys.edit",
            "Keys.retire",
            "Keys.activate",
            "Keys.reveal",
            "Keys.audit",
            "Keys.ready",
        ),
    }
    for kind in (api.Orders, api.Refunds, api.Wallets, api.Withdrawals, api.Customers, api.Cards, api.Trades, api.Keys):
        for name, value in vars(kind).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                has_one = "deadline" in inspect.signature(value).parameters
                assert has_one or f"{kind.__name__}.{name}" in by_the_store_alone, f"{kind.__name__}.{name}"


def test_every_public_call_says_what_it_does() -> None:
    for module in (api, aio):
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_"):
                assert kind.__doc__, kind
                for name, value in vars(kind).items():
                    if inspect.isfunction(value) and not name.startswith("_"):
                        assert value.__doc__, f"{kind.__name__}.{name}"


def program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is part of the extra `dev`"
    return found


def test_a_users_samples_pass_mypy_strict(tmp_path: Path) -> None:
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\n")
    done = subprocess.run(
        [program("mypy"), "--strict", "--config-file", str(config), "--cache-dir", str(tmp_path / "cache"), *SAMPLES],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_users_samples_pass_pyright(tmp_path: Path) -> None:
    for sample in SAMPLES:
        shutil.copy(sample, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard", "include": ["."]}')
    done = subprocess.run(
        [program("basedpyright"), "--pythonpath", sys.executable, "--project", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_samples_show_both_colours_and_a_wrong_one_is_found(tmp_path: Path) -> None:
    assert [sample.stem for sample in SAMPLES] == ["asynchronous", "synchronous"]
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from gateway import Gateway, Money, OrderRequest\n"
        "with Gateway() as gw:\n"
        "    OrderRequest(reference='a', price=Money(1.5, 'USD'))\n"
        "    gw.orders.create('cart-1')\n"
        "    gw.orders.get('a').status.shout()\n"
    )
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    done = subprocess.run(
        [program("mypy"), "--strict", "--config-file", "mypy.ini", "--cache-dir", str(tmp_path / "cache"), str(wrong)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line] == ["3", "4", "5"], (
        done.stdout
    )
